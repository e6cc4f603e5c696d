/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of chat completions. Results of tools that follow each other become
 * one message, because other dialects answer all calls of a turn in one.
 * Thinking comes back as reasoning_content with reasoning_signature, or as
 * thinking_blocks, an extension that some clients know.
 */
#include "agent/dialect/openai_chat_client.h"

enum oaichat_role {
	R_DEVELOPER,
	R_SYSTEM,
	R_USER,
	R_ASSISTANT,
	R_TOOL,
	R_FUNCTION,
	R_NONE
};

static enum oaichat_role
oaichat_role(struct json v)
{
	static const char *const names[R_NONE] = {
	    "developer", "system", "user", "assistant", "tool", "function"};
	int i;

	for (i = 0; i < R_NONE && !oaird_is(v, names[i]); i++)
		;
	return (enum oaichat_role)i;
}

/* The message that parts are read into. */
struct oaichat_msg {
	struct oaird *rd;
	struct ir_message *m;
	struct ir_part *result; /* parts of it, when it is a tool's result */
	const char *base;	/* messages[3] */
};

/* image_url and video_url: {url, detail}, or the URL itself. */
static int
oaichat_part_url(
    struct oaichat_msg *c, struct json v, const char *name, struct ir_part *p)
{
	struct json url, detail;

	if (v.type == JSON_OBJECT && json_getz(v, "url", &url)) {
		if (json_getz(v, "detail", &detail))
			p->detail = json_raw_string(detail);
		v = url;
	}
	return oaird_url(c->rd, json_raw_string(v), p->field, name, p);
}

static int
oaichat_part_audio(struct oaichat_msg *c, struct json v, struct ir_part *p)
{
	struct str format = oaird_member(v, "format");

	if (format.len == 0 || memchr(format.p, '\\', format.len) != NULL)
		return oaird_bad(c->rd, p->field, "input_audio.format",
		    "must be wav or mp3");
	p->mime.p =
	    arena_printf(c->rd->r->arena, "audio/%.*s", STR_ARG(format));
	if (p->mime.p == NULL)
		return oaird_full(c->rd);
	p->mime.len = strlen(p->mime.p);
	return oaird_base64(
	    c->rd, oaird_member(v, "data"), p->field, "input_audio.data", p);
}

static int
oaichat_part_file(struct oaichat_msg *c, struct json v, struct ir_part *p)
{
	struct str data = oaird_member(v, "file_data");
	int rc = 0;

	p->filename = oaird_member(v, "filename");
	p->file_id = oaird_member(v, "file_id");
	if (data.len > 0) {
		p->file_id = STR_NULL;
		rc = str_starts(data, STR("data:"))
			 ? oaird_url(c->rd, data, p->field, "file.file_data", p)
			 : oaird_base64(
			       c->rd, data, p->field, "file.file_data", p);
		oaird_guess_mime(p);
	} else if (p->file_id.len == 0) {
		return oaird_bad(
		    c->rd, p->field, "file", "must have file_data or file_id");
	}
	return rc;
}

/* The value that a part of this type has under its own name. */
static int
oaichat_part_value(struct oaichat_msg *c, struct json type, struct json part,
    struct ir_part *p)
{
	struct str name = json_raw_string(type);
	struct json v;

	if (!json_get(part, name, &v) ||
	    (v.type != JSON_OBJECT && v.type != JSON_STRING))
		return oaird_bad(c->rd, p->field,
		    oaird_is(type, "text") ? "text" : "",
		    "has no value for its type");
	if (p->type == IR_TEXT || p->type == IR_REFUSAL)
		return oaird_string(c->rd, v, p->field,
		    p->type == IR_TEXT ? "text" : "refusal", &p->text);
	if (p->type == IR_IMAGE)
		return oaichat_part_url(c, v, "image_url", p);
	if (p->type == IR_VIDEO)
		return oaichat_part_url(c, v, "video_url", p);
	if (p->type == IR_AUDIO)
		return oaichat_part_audio(c, v, p);
	return oaichat_part_file(c, v, p);
}

static int
oaichat_part(struct oaichat_msg *c, struct json v, unsigned i)
{
	static const struct {
		const char *name;
		enum ir_part_type type;
	} types[] = {{"text", IR_TEXT}, {"image_url", IR_IMAGE},
	    {"input_audio", IR_AUDIO}, {"file", IR_DOCUMENT},
	    {"refusal", IR_REFUSAL}, {"video_url", IR_VIDEO}};
	const unsigned n = sizeof(types) / sizeof(types[0]);
	const char *field = ir_field(c->rd->r, "%s.content[%u]", c->base, i);
	struct ir_part *p;
	struct json_iter it = json_iter(v);
	struct json type, val;
	struct str key;
	unsigned k;
	int rc;

	if (field == NULL)
		return oaird_full(c->rd);
	if (v.type != JSON_OBJECT || !json_getz(v, "type", &type))
		return oaird_bad(c->rd, field, "type", "is required");
	for (k = 0; k < n && !oaird_is(type, types[k].name); k++)
		;
	if (k == n)
		return oaird_bad(
		    c->rd, field, "type", "is not a known type of part");
	p = oaird_add(c->rd, c->m, c->result, types[k].type, field);
	if (p == NULL)
		return oaird_full(c->rd);
	rc = oaichat_part_value(c, type, v, p);
	if (rc == 0)
		rc = oaird_cache(c->rd, v, field, &p->cache);
	while (rc == 0 && json_next_member(&it, &key, &val)) {
		if (!json_key_eq(key, STR("type")) &&
		    !json_key_eq(key, str_of(types[k].name)) &&
		    !json_key_eq(key, STR("annotations")) &&
		    !oaird_is_cache_key(key))
			rc = oaird_other(c->rd, field, key, val);
	}
	return rc;
}

static int
oaichat_content(struct oaichat_msg *c, struct json v)
{
	struct json_iter it = json_iter(v);
	struct ir_part *p;
	struct json item;
	const char *field;
	unsigned i;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type == JSON_ARRAY) {
		for (i = 0; rc == 0 && json_next_element(&it, &item); i++)
			rc = oaichat_part(c, item, i);
		return rc;
	}
	if (v.type != JSON_STRING)
		return oaird_bad(
		    c->rd, c->base, "content", "must be a string or parts");
	if (json_raw_string(v).len == 0 && c->m->role == IR_ASSISTANT)
		return 0; /* beside calls: nobody said anything */
	field = ir_field(c->rd->r, "%s.content", c->base);
	p = oaird_add(c->rd, c->m, c->result, IR_TEXT, field);
	if (p == NULL || field == NULL)
		return oaird_full(c->rd);
	p->text = json_raw_string(v);
	return 0;
}

static int
oaichat_call(struct oaichat_msg *c, struct json call, struct json fn,
    struct str id, const char *base)
{
	struct ir_part *p =
	    oaird_add(c->rd, c->m, c->result, IR_TOOL_CALL, base);
	struct json args;

	if (p == NULL)
		return oaird_full(c->rd);
	p->id = id;
	p->name = oaird_member(fn, "name");
	p->signature = oaird_signature(call);
	if (p->name.len == 0)
		return oaird_bad(c->rd, base, "name", "is required");
	if (!json_getz(fn, "arguments", &args)) {
		p->args = STR("{}");
		return 0;
	}
	return oaird_args(c->rd, args, base, "arguments", &p->args);
}

static int
oaichat_calls(struct oaichat_msg *c, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json call, fn;
	const char *base;
	struct str id;
	unsigned i;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_ARRAY)
		return oaird_bad(
		    c->rd, c->base, "tool_calls", "must be an array");
	for (i = 0; rc == 0 && json_next_element(&it, &call); i++) {
		base = ir_field(
		    c->rd->r, "%s.tool_calls[%u].function", c->base, i);
		if (base == NULL)
			return oaird_full(c->rd);
		if (!json_getz(call, "function", &fn) ||
		    fn.type != JSON_OBJECT) {
			base =
			    ir_field(c->rd->r, "%s.tool_calls[%u]", c->base, i);
			return base == NULL
				   ? oaird_full(c->rd)
				   : oaird_bad(c->rd, base, "type",
					 "must be the call of a function");
		}
		id = oaird_member(call, "id");
		rc = oaichat_call(c, call, fn, id, base);
	}
	return rc;
}

/* The deprecated form of a call: one, without an id. */
static int
oaichat_function(struct oaichat_msg *c, struct json v)
{
	const char *base = ir_field(c->rd->r, "%s.function_call", c->base);

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_bad(
		    c->rd, c->base, "function_call", "must be an object");
	c->rd->call_id = ir_make_call_id(c->rd->r->arena, "call_",
	    c->rd->n_calls++, oaird_member(v, "name"));
	if (base == NULL || c->rd->call_id.p == NULL)
		return oaird_full(c->rd);
	return oaichat_call(c, v, v, c->rd->call_id, base);
}

/* thinking_blocks: [{type, thinking, signature} | {type, data}]. */
static int
oaichat_thinking_blocks(struct oaichat_msg *c, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item, type;
	struct ir_part *p;
	const char *field;
	unsigned i;

	for (i = 0; json_next_element(&it, &item); i++) {
		field =
		    ir_field(c->rd->r, "%s.thinking_blocks[%u]", c->base, i);
		if (field == NULL)
			return oaird_full(c->rd);
		if (!json_getz(item, "type", &type))
			return oaird_bad(c->rd, field, "type", "is required");
		p = oaird_add(c->rd, c->m, c->result,
		    oaird_is(type, "redacted_thinking") ? IR_REDACTED
							: IR_THINKING,
		    field);
		if (p == NULL)
			return oaird_full(c->rd);
		p->text = oaird_member(item, "thinking");
		p->signature = oaird_member(
		    item, p->type == IR_REDACTED ? "data" : "signature");
	}
	return 0;
}

static int
oaichat_thinking(struct oaichat_msg *c, struct json msg)
{
	struct json v;
	struct ir_part *p;
	struct str text, signature;
	const char *field;

	if (json_getz(msg, "thinking_blocks", &v) && v.type == JSON_ARRAY)
		return oaichat_thinking_blocks(c, v);
	text = oaird_member(msg, "reasoning_content");
	signature = oaird_member(msg, "reasoning_signature");
	if (text.len == 0 && signature.len == 0)
		return 0;
	field = ir_field(c->rd->r, "%s.reasoning_content", c->base);
	p = oaird_add(c->rd, c->m, c->result, IR_THINKING, field);
	if (p == NULL || field == NULL)
		return oaird_full(c->rd);
	p->text = text;
	p->signature = signature;
	return 0;
}

/* Members of an assistant's message in the order that other dialects want. */
static int
oaichat_assistant(struct oaichat_msg *c, struct json msg)
{
	struct str signature = oaird_signature(msg);
	struct ir_part *p, *last = NULL;
	struct json v;
	int rc;

	rc = oaichat_thinking(c, msg);
	if (rc == 0 && json_getz(msg, "content", &v))
		rc = oaichat_content(c, v);
	for (p = c->m->parts; p != NULL; p = p->next) {
		if (p->type == IR_TEXT)
			last = p;
	}
	if (last != NULL && signature.len > 0)
		last->signature = signature;
	if (rc == 0 && json_getz(msg, "refusal", &v) &&
	    json_raw_string(v).len > 0) {
		p = oaird_add(c->rd, c->m, c->result, IR_REFUSAL,
		    ir_field(c->rd->r, "%s.refusal", c->base));
		if (p == NULL)
			return oaird_full(c->rd);
		p->text = json_raw_string(v);
	}
	if (rc == 0 && json_getz(msg, "tool_calls", &v))
		rc = oaichat_calls(c, v);
	if (rc == 0 && json_getz(msg, "function_call", &v))
		rc = oaichat_function(c, v);
	return rc;
}

/* What is noted of a message: members that are not read. */
static int
oaichat_message_others(
    struct oaichat_msg *c, struct json msg, enum oaichat_role role)
{
	static const char *const common[] = {"role", "content", "name", NULL};
	static const char *const assistant[] = {"role", "content", "name",
	    "refusal", "tool_calls", "function_call", "reasoning_content",
	    "reasoning_signature", "thinking_blocks", "extra_content",
	    /* what SDKs add to answers that are sent back */
	    "annotations", "parsed", "images", NULL};
	static const char *const tool[] = {
	    "role", "content", "name", "tool_call_id", NULL};
	const char *const *known = role == R_ASSISTANT ? assistant
				   : role == R_TOOL    ? tool
						       : common;
	struct json_iter it = json_iter(msg);
	struct json v;
	struct str key;
	unsigned i;
	int rc = 0;

	while (rc == 0 && json_next_member(&it, &key, &v)) {
		for (i = 0; known[i] != NULL; i++) {
			if (json_key_eq(key, str_of(known[i])))
				break;
		}
		if (known[i] == NULL && !oaird_is_cache_key(key))
			rc = oaird_other(c->rd, c->base, key, v);
	}
	return rc;
}

static int
oaichat_result(struct oaichat_msg *c, struct json msg, enum oaichat_role role)
{
	struct json v;
	struct ir_part *p;

	p = oaird_part(c->rd, c->m, IR_TOOL_RESULT,
	    ir_field(c->rd->r, "%s.content", c->base));
	if (p == NULL)
		return oaird_full(c->rd);
	c->result = p;
	if (role == R_TOOL) {
		p->id = oaird_member(msg, "tool_call_id");
		if (p->id.len == 0)
			return oaird_bad(
			    c->rd, c->base, "tool_call_id", "is required");
		p->name = ir_tool_of_call(c->rd->r, p->id);
	} else {
		p->id = c->rd->call_id;
	}
	if (p->name.len == 0)
		p->name = oaird_member(msg, "name");
	if (json_getz(msg, "content", &v))
		return oaichat_content(c, v);
	return 0;
}

/* A break point of the whole message is one behind its last part. */
static int
oaichat_message_cache(struct oaichat_msg *c, struct json msg)
{
	enum ir_cache cache = IR_CACHE_NONE;
	struct ir_part *p = c->result != NULL ? c->result : c->m->parts;
	int rc = oaird_cache(c->rd, msg, c->base, &cache);

	if (rc != 0 || cache == IR_CACHE_NONE || p == NULL)
		return rc;
	while (p->next != NULL)
		p = p->next;
	p->cache = cache;
	return 0;
}

static int
oaichat_message(
    struct oaird *rd, struct json msg, unsigned i, bool *after_result)
{
	static const enum ir_role roles[] = {[R_DEVELOPER] = IR_DEVELOPER,
	    [R_SYSTEM] = IR_SYSTEM,
	    [R_USER] = IR_USER,
	    [R_ASSISTANT] = IR_ASSISTANT,
	    [R_TOOL] = IR_USER,
	    [R_FUNCTION] = IR_USER};
	struct oaichat_msg c = {
	    .rd = rd, .base = ir_field(rd->r, "messages[%u]", i)};
	enum oaichat_role role;
	struct json v;
	bool result;
	int rc;

	if (c.base == NULL)
		return oaird_full(rd);
	if (msg.type != JSON_OBJECT)
		return oaird_bad(rd, c.base, "", "must be an object");
	role = json_getz(msg, "role", &v) ? oaichat_role(v) : R_NONE;
	if (role == R_NONE)
		return oaird_bad(rd, c.base, "role", "is not a known role");
	result = role == R_TOOL || role == R_FUNCTION;
	c.m = result && *after_result ? rd->r->last_message
				      : ir_add_message(rd->r, roles[role]);
	if (c.m == NULL)
		return oaird_full(rd);
	*after_result = result;
	if (!result)
		c.m->name = oaird_member(msg, "name");
	if (result)
		rc = oaichat_result(&c, msg, role);
	else if (role == R_ASSISTANT)
		rc = oaichat_assistant(&c, msg);
	else if (json_getz(msg, "content", &v) && v.type != JSON_NULL)
		rc = oaichat_content(&c, v);
	else
		rc = oaird_bad(rd, c.base, "content", "is required");
	if (rc == 0)
		rc = oaichat_message_cache(&c, msg);
	return rc != 0 ? rc : oaichat_message_others(&c, msg, role);
}

int
oaichat_messages(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json msg;
	bool after_result = false;
	unsigned i;
	int rc = 0;

	if (v.type != JSON_ARRAY)
		return oaird_bad(rd, "", "messages", "must be an array");
	for (i = 0; rc == 0 && json_next_element(&it, &msg); i++)
		rc = oaichat_message(rd, msg, i, &after_result);
	return rc;
}
