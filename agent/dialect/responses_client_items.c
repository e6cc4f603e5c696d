/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input of a responses request. What one turn of the model made comes as
 * several items (reasoning, message, function_call ...); here it is one
 * message again. So are the results of calls that follow each other.
 */
#include "agent/dialect/responses_client.h"

struct rspc_item {
	struct oaird *rd;
	struct ir_message *m;
	struct ir_part *result; /* parts of it, when it is a call's output */
	const char *base;	/* input[3] */
};

enum rspc_kind { K_NONE, K_MESSAGE, K_ASSISTANT, K_RESULT };

static int
rspc_image(struct rspc_item *c, struct json v, struct ir_part *p)
{
	struct str url = oaird_member(v, "image_url");

	p->detail = oaird_member(v, "detail");
	if (url.len > 0)
		return oaird_url(c->rd, url, p->field, "image_url", p);
	p->file_id = oaird_member(v, "file_id");
	if (p->file_id.len == 0)
		return oaird_bad(c->rd, p->field, "image_url", "is required");
	return 0;
}

static int
rspc_file(struct rspc_item *c, struct json v, struct ir_part *p)
{
	struct str data = oaird_member(v, "file_data");
	struct str url = oaird_member(v, "file_url");
	int rc = 0;

	p->filename = oaird_member(v, "filename");
	p->file_id = oaird_member(v, "file_id");
	if (data.len > 0 || url.len > 0)
		p->file_id = STR_NULL;
	if (data.len > 0)
		rc = str_starts(data, STR("data:"))
			 ? oaird_url(c->rd, data, p->field, "file_data", p)
			 : oaird_base64(c->rd, data, p->field, "file_data", p);
	else if (url.len > 0)
		rc = oaird_url(c->rd, url, p->field, "file_url", p);
	else if (p->file_id.len == 0)
		return oaird_bad(c->rd, p->field, "",
		    "must have file_data, file_url or file_id");
	oaird_guess_mime(p);
	return rc;
}

static int
rspc_audio(struct rspc_item *c, struct json part, struct ir_part *p)
{
	struct str format;
	struct json v = part;

	(void)json_getz(part, "input_audio", &v);
	format = oaird_member(v, "format");
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
rspc_part_value(struct rspc_item *c, struct json part, struct ir_part *p)
{
	struct json v;
	const char *name = p->type == IR_REFUSAL ? "refusal" : "text";

	switch (p->type) {
	case IR_IMAGE:
		return rspc_image(c, part, p);
	case IR_DOCUMENT:
		return rspc_file(c, part, p);
	case IR_AUDIO:
		return rspc_audio(c, part, p);
	default:
		if (!json_getz(part, name, &v) || v.type != JSON_STRING)
			return oaird_bad(
			    c->rd, p->field, name, "must be a string");
		p->text = json_raw_string(v);
		return 0;
	}
}

static bool
rspc_part_known(struct str key)
{
	static const char *const names[] = {"type", "text", "refusal",
	    "annotations", "logprobs", "detail", "image_url", "file_id",
	    "file_data", "file_url", "filename", "input_audio", "parsed"};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (json_key_eq(key, str_of(names[i])))
			return true;
	}
	return oaird_is_cache_key(key);
}

static int
rspc_part(struct rspc_item *c, struct json v, const char *field)
{
	static const struct {
		const char *name;
		enum ir_part_type type;
	} types[] = {{"input_text", IR_TEXT}, {"output_text", IR_TEXT},
	    {"text", IR_TEXT}, {"input_image", IR_IMAGE},
	    {"input_file", IR_DOCUMENT}, {"input_audio", IR_AUDIO},
	    {"refusal", IR_REFUSAL}};
	const unsigned n = sizeof(types) / sizeof(types[0]);
	struct json_iter it = json_iter(v);
	struct ir_part *p;
	struct json type, val;
	struct str key;
	unsigned k;
	int rc;

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
	rc = rspc_part_value(c, v, p);
	if (rc == 0)
		rc = oaird_cache(c->rd, v, field, &p->cache);
	while (rc == 0 && json_next_member(&it, &key, &val)) {
		if (!rspc_part_known(key))
			rc = oaird_other(c->rd, field, key, val);
	}
	return rc;
}

/* A text or parts, under the name that it has in the item. */
static int
rspc_content(struct rspc_item *c, struct json v, const char *name)
{
	struct json_iter it = json_iter(v);
	struct json item;
	struct ir_part *p;
	const char *field;
	unsigned i;
	int rc = 0;

	if (v.type == JSON_STRING) {
		field = ir_field(c->rd->r, "%s.%s", c->base, name);
		p = oaird_add(c->rd, c->m, c->result, IR_TEXT, field);
		if (p == NULL || field == NULL)
			return oaird_full(c->rd);
		p->text = json_raw_string(v);
		return 0;
	}
	if (v.type != JSON_ARRAY)
		return oaird_bad(
		    c->rd, c->base, name, "must be a string or parts");
	for (i = 0; rc == 0 && json_next_element(&it, &item); i++) {
		field = ir_field(c->rd->r, "%s.%s[%u]", c->base, name, i);
		if (field == NULL)
			return oaird_full(c->rd);
		rc = rspc_part(c, item, field);
	}
	return rc;
}

static int
rspc_message(struct rspc_item *c, struct json v)
{
	struct str signature = oaird_signature(v);
	struct json content;
	int rc;

	if (!json_getz(v, "content", &content) || content.type == JSON_NULL)
		return oaird_bad(c->rd, c->base, "content", "is required");
	rc = rspc_content(c, content, "content");
	if (rc == 0 && signature.len > 0 && c->m->last_part != NULL &&
	    c->m->last_part->type == IR_TEXT)
		c->m->last_part->signature = signature;
	return rc;
}

static int
rspc_call(struct rspc_item *c, struct json v)
{
	struct ir_part *p =
	    oaird_add(c->rd, c->m, c->result, IR_TOOL_CALL, c->base);
	struct json args;

	if (p == NULL)
		return oaird_full(c->rd);
	p->id = oaird_member(v, "call_id");
	p->name = oaird_member(v, "name");
	p->signature = oaird_signature(v);
	p->args = STR("{}");
	if (p->id.len == 0)
		return oaird_bad(c->rd, c->base, "call_id", "is required");
	if (p->name.len == 0)
		return oaird_bad(c->rd, c->base, "name", "is required");
	if (!json_getz(v, "arguments", &args))
		return 0;
	return oaird_args(c->rd, args, c->base, "arguments", &p->args);
}

static int
rspc_output(struct rspc_item *c, struct json v)
{
	struct ir_part *p = oaird_add(c->rd, c->m, c->result, IR_TOOL_RESULT,
	    ir_field(c->rd->r, "%s.output", c->base));
	struct json output;

	if (p == NULL)
		return oaird_full(c->rd);
	p->id = oaird_member(v, "call_id");
	if (p->id.len == 0)
		return oaird_bad(c->rd, c->base, "call_id", "is required");
	p->name = ir_tool_of_call(c->rd->r, p->id);
	c->result = p;
	if (!json_getz(v, "output", &output))
		return oaird_bad(c->rd, c->base, "output", "is required");
	return rspc_content(c, output, "output");
}

/* Texts of a list of {text}, joined by an empty line. */
static int
rspc_join(struct rspc_item *c, struct json list, struct str *ret)
{
	struct json_iter it = json_iter(list);
	struct json item;
	struct str text;
	struct buf b;
	unsigned n = 0;
	int rc = 0;

	buf_init(&b, (size_t)(list.end - list.p) + 4);
	while (json_next_element(&it, &item)) {
		text = oaird_member(item, "text");
		if (n++ == 0)
			*ret = text; /* one: no copy */
		else
			(void)buf_addz(&b, "\\n\\n");
		(void)buf_add_str(&b, text);
	}
	rc = buf_error(&b);
	if (rc == 0 && n > 1) {
		ret->p = arena_strdup(c->rd->r->arena, buf_str(&b));
		ret->len = b.len;
		rc = ret->p != NULL ? 0 : ERR_NOMEM;
	}
	buf_release(&b);
	return rc;
}

static int
rspc_thinking(struct rspc_item *c, struct json v)
{
	struct ir_part *p =
	    oaird_add(c->rd, c->m, c->result, IR_THINKING, c->base);
	struct json list;
	int rc = 0;

	if (p == NULL)
		return oaird_full(c->rd);
	p->signature = oaird_member(v, "encrypted_content");
	if (str_starts(oaird_member(v, "id"), STR(RSPC_OPAQUE)))
		p->type = IR_REDACTED;
	if (json_getz(v, "summary", &list))
		rc = rspc_join(c, list, &p->text);
	if (rc == 0 && p->text.len == 0 && json_getz(v, "content", &list))
		rc = rspc_join(c, list, &p->text);
	return rc != 0 ? oaird_full(c->rd) : 0;
}

/* What an item is, and the role of its message. */
static enum rspc_kind
rspc_kind(struct json v, enum ir_role *role)
{
	static const struct {
		const char *name;
		enum ir_role role;
	} roles[] = {{"user", IR_USER}, {"system", IR_SYSTEM},
	    {"developer", IR_DEVELOPER}, {"assistant", IR_ASSISTANT}};
	struct json type, who;
	unsigned i;

	*role = IR_ASSISTANT;
	if (!json_getz(v, "type", &type) || oaird_is(type, "message")) {
		if (!json_getz(v, "role", &who))
			return K_NONE;
		for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
			if (!oaird_is(who, roles[i].name))
				continue;
			*role = roles[i].role;
			return *role == IR_ASSISTANT ? K_ASSISTANT : K_MESSAGE;
		}
		return K_NONE;
	}
	if (oaird_is(type, "function_call") || oaird_is(type, "reasoning"))
		return K_ASSISTANT;
	if (oaird_is(type, "function_call_output")) {
		*role = IR_USER;
		return K_RESULT;
	}
	return K_NONE;
}

static int
rspc_item_read(struct rspc_item *c, struct json v)
{
	struct json type;

	if (!json_getz(v, "type", &type) || oaird_is(type, "message"))
		return rspc_message(c, v);
	if (oaird_is(type, "function_call"))
		return rspc_call(c, v);
	if (oaird_is(type, "reasoning"))
		return rspc_thinking(c, v);
	return rspc_output(c, v);
}

static int
rspc_item(struct oaird *rd, struct json v, unsigned i, enum rspc_kind *last)
{
	struct rspc_item c = {
	    .rd = rd, .base = ir_field(rd->r, "input[%u]", i)};
	enum rspc_kind kind;
	enum ir_role role;
	struct json type;

	if (c.base == NULL)
		return oaird_full(rd);
	if (v.type != JSON_OBJECT)
		return oaird_bad(rd, c.base, "", "must be an object");
	kind = rspc_kind(v, &role);
	if (kind == K_NONE) {
		if (!json_getz(v, "type", &type) || oaird_is(type, "message"))
			return oaird_bad(
			    rd, c.base, "role", "is not a known role");
		if (type.type != JSON_STRING)
			return oaird_bad(
			    rd, c.base, "type", "must be a string");
		/* items of tools that OpenAI runs, references to kept ones */
		return oaird_other(rd, c.base, STR(""), v);
	}
	c.m = kind != K_MESSAGE && kind == *last ? rd->r->last_message
						 : ir_add_message(rd->r, role);
	*last = kind;
	return c.m == NULL ? oaird_full(rd) : rspc_item_read(&c, v);
}

int
rspc_input(struct oaird *rd, struct json v)
{
	struct rspc_item c = {.rd = rd, .base = ""};
	enum rspc_kind last = K_NONE;
	struct json_iter it = json_iter(v);
	struct ir_part *p;
	struct json item;
	unsigned i;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type == JSON_STRING) {
		c.m = ir_add_message(rd->r, IR_USER);
		if (c.m == NULL)
			return oaird_full(rd);
		p = oaird_add(c.rd, c.m, c.result, IR_TEXT, "input");
		if (p == NULL)
			return oaird_full(rd);
		p->text = json_raw_string(v);
		return 0;
	}
	if (v.type != JSON_ARRAY)
		return oaird_bad(rd, "", "input", "must be a string or items");
	for (i = 0; rc == 0 && json_next_element(&it, &item); i++)
		rc = rspc_item(rd, item, i, &last);
	if (rc == 0 && i == 0)
		return oaird_bad(rd, "", "input", "must not be empty");
	return rc;
}
