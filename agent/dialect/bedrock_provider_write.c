/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing Bedrock Converse requests. The model and whether to stream are in
 * the path, not in the body.
 *
 * What is odd: messages must alternate, so neighbours of one role become one;
 * tools must be declared when the history holds calls, even if the client
 * gives none or wants none to be called; documents need a name, made of few
 * characters, that no other document has; a JSON schema is sent as a string.
 */
#include <stdlib.h>

#include "agent/dialect/anthropic_provider.h"
#include "agent/dialect/media.h"
#include "agent/dialect/provider_write.h"

#define BEDROCK_MAX_NAME  100
#define BEDROCK_MAX_KNOWN 64 /* tools named by the history */

static int bedrock_part(struct pw *pw, const struct ir_part *p, bool in_result);

static void
bedrock_cache_point(struct pw *pw, enum ir_cache cache)
{
	if (cache == IR_CACHE_NONE)
		return;
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "cachePoint", '{');
	jw_name_z(&pw->w, "type", "default");
	if (cache == IR_CACHE_1H)
		jw_name_z(&pw->w, "ttl", "1h");
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
}

/* ---- parts ---- */

/* Letters, digits, single blanks, hyphens and brackets; no extension; a
 * number makes it the only one of its name. */
static void
bedrock_document_name(struct pw *pw, const struct ir_part *p)
{
	struct str name = media_plain(pw->r->arena, p->filename);
	char text[BEDROCK_MAX_NAME];
	size_t i, n = 0, end = name.len;

	for (i = name.len; i > 1; i--)
		if (name.p[i - 1] == '.') {
			end = i - 1;
			break;
		}
	for (i = 0; i < end && n < sizeof(text); i++) {
		char c = name.p[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') ||
			    strchr("()[]-", c) != NULL;

		if (!good || c == '\0')
			c = c == ' ' ? ' ' : '-';
		if (c == ' ' && (n == 0 || text[n - 1] == ' '))
			continue;
		text[n++] = c;
	}
	while (n > 0 && text[n - 1] == ' ')
		n--;
	jw_name(&pw->w, "name");
	jw_sep(&pw->w);
	(void)buf_addc(pw->w.b, '"');
	(void)buf_add_str(pw->w.b, n > 0 ? str_make(text, n) : STR("document"));
	if (pw->n_documents++ > 0)
		(void)buf_addf(pw->w.b, "-%u", pw->n_documents);
	(void)buf_addc(pw->w.b, '"');
}

static const char *
bedrock_media_kind(enum ir_part_type type)
{
	switch (type) {
	case IR_IMAGE:
		return "image";
	case IR_AUDIO:
		return "audio";
	case IR_VIDEO:
		return "video";
	default:
		return "document";
	}
}

static int
bedrock_media(struct pw *pw, const struct ir_part *p)
{
	const struct media_type *t = media_of(pw->r->arena, p);
	const char *format = t != NULL ? t->format : NULL;

	if (p->data.len == 0 && p->text.len > 0)
		format = "txt"; /* a document that is text */
	else if (p->data.len == 0)
		return pw_refuse_part(pw, p, "Bedrock takes base64 only");
	if (format == NULL || (t != NULL && t->part != p->type))
		return pw_refuse_part(
		    pw, p, "a media type that Bedrock does not take");
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, bedrock_media_kind(p->type), '{');
	jw_name_z(&pw->w, "format", format);
	if (p->type == IR_DOCUMENT)
		bedrock_document_name(pw, p);
	jw_name_open(&pw->w, "source", '{');
	if (p->data.len > 0)
		jw_name_esc(&pw->w, "bytes", p->data);
	else
		jw_name_esc(&pw->w, "text", p->text);
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	return 0;
}

static int
bedrock_call(struct pw *pw, const struct ir_part *p)
{
	struct str id = pw_call_id(pw, p, "tooluse_", true);

	if (id.p == NULL)
		return ERR_NOMEM;
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "toolUse", '{');
	jw_name_esc(&pw->w, "toolUseId", id);
	jw_name_esc(&pw->w, "name", p->name);
	jw_name_raw(&pw->w, "input", p->args.len > 0 ? p->args : STR("{}"));
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	return 0;
}

static int
bedrock_result(struct pw *pw, const struct ir_part *p)
{
	struct str id = pw_call_id(pw, p, "tooluse_", true);
	const struct ir_part *q;
	int rc = 0;

	if (id.p == NULL)
		return ERR_NOMEM;
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "toolResult", '{');
	jw_name_esc(&pw->w, "toolUseId", id);
	jw_name_open(&pw->w, "content", '[');
	if (p->result_json.len > 0) {
		jw_open(&pw->w, '{');
		jw_name_raw(&pw->w, "json", p->result_json);
		jw_close(&pw->w, '}');
	}
	for (q = pw_part(pw, p->parts, true); q != NULL && rc == 0;
	     q = pw_part(pw, q->next, true))
		rc = bedrock_part(pw, q, true);
	jw_close(&pw->w, ']');
	if (p->is_error)
		jw_name_z(&pw->w, "status", "error");
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	return rc;
}

/* Without a signature the provider would refuse it. */
static void
bedrock_thinking(struct pw *pw, const struct ir_part *p)
{
	if (p->signature.len == 0)
		return;
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "reasoningContent", '{');
	if (p->type == IR_REDACTED) {
		jw_name_esc(&pw->w, "redactedContent", p->signature);
	} else {
		jw_name_open(&pw->w, "reasoningText", '{');
		jw_name_esc(&pw->w, "text", p->text);
		jw_name_esc(&pw->w, "signature", p->signature);
		jw_close(&pw->w, '}');
	}
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
}

static int
bedrock_part(struct pw *pw, const struct ir_part *p, bool in_result)
{
	int rc = 0;

	switch (p->type) {
	case IR_TEXT:
	case IR_REFUSAL:
		if (p->text.len > 0) /* empty text is refused */
			jw_one_esc(&pw->w, "text", p->text);
		break;
	case IR_IMAGE:
	case IR_DOCUMENT:
	case IR_AUDIO:
	case IR_VIDEO:
		rc = bedrock_media(pw, p);
		break;
	case IR_TOOL_CALL:
		rc = bedrock_call(pw, p);
		break;
	case IR_TOOL_RESULT:
		rc = bedrock_result(pw, p);
		break;
	case IR_THINKING:
	case IR_REDACTED:
		bedrock_thinking(pw, p);
		break;
	}
	if (rc == 0 && !in_result)
		bedrock_cache_point(pw, p->cache);
	return rc;
}

/* ---- messages ---- */

static void
bedrock_system(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	const struct ir_message *m;
	const struct ir_part *p;
	bool open = false;

	for (m = r->messages; m != NULL; m = m->next) {
		if (!pw_is_system(m))
			continue;
		for (p = m->parts; p != NULL; p = p->next) {
			if (p->type != IR_TEXT || p->text.len == 0)
				continue;
			if (!open)
				jw_name_open(&pw->w, "system", '[');
			open = true;
			jw_one_esc(&pw->w, "text", p->text);
			bedrock_cache_point(pw, p->cache);
		}
	}
	if (r->format == IR_FORMAT_JSON) {
		if (!open)
			jw_name_open(&pw->w, "system", '[');
		open = true;
		jw_one_esc(&pw->w, "text",
		    STR("Answer with one valid JSON object and nothing else: "
			"no other text, no code fence."));
	}
	if (open)
		jw_close(&pw->w, ']');
}

static int
bedrock_turn_part(struct pw *pw, const struct ir_part *p, void *ctx)
{
	(void)ctx;
	return bedrock_part(pw, p, false);
}

static int
bedrock_messages(struct pw *pw)
{
	static const struct pw_turns how = {.name = "messages",
	    .assistant = "assistant",
	    .parts = "content",
	    .part = bedrock_turn_part};

	return pw_write_turns(pw, &how);
}

/* ---- tools ---- */

static bool
bedrock_has_calls(const struct ir_request *r)
{
	const struct ir_message *m;
	const struct ir_part *p;

	for (m = r->messages; m != NULL; m = m->next)
		for (p = m->parts; p != NULL; p = p->next)
			if (p->type == IR_TOOL_CALL ||
			    p->type == IR_TOOL_RESULT)
				return true;
	return false;
}

static void
bedrock_tool(struct pw *pw, struct str name, struct str description,
    struct str schema, bool strict)
{
	jw_open(&pw->w, '{');
	jw_name_open(&pw->w, "toolSpec", '{');
	jw_name_esc(&pw->w, "name", name);
	jw_opt_esc(&pw->w, "description", description);
	jw_name_open(&pw->w, "inputSchema", '{');
	jw_name_raw(&pw->w, "json",
	    schema.len > 0 ? schema
			   : STR("{\"type\":\"object\",\"properties\":{}}"));
	jw_close(&pw->w, '}');
	if (strict)
		jw_name_bool(&pw->w, "strict", true);
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
}

/* Tools that the history calls but nobody declares. */
static void
bedrock_known_tools(struct pw *pw)
{
	struct str known[BEDROCK_MAX_KNOWN];
	const struct ir_message *m;
	const struct ir_part *p;
	unsigned i, n = 0;

	for (m = pw->r->messages; m != NULL; m = m->next) {
		for (p = m->parts; p != NULL; p = p->next) {
			if (p->type != IR_TOOL_CALL || n == BEDROCK_MAX_KNOWN)
				continue;
			for (i = 0; i < n && !str_eq(known[i], p->name); i++)
				;
			if (i < n)
				continue;
			known[n++] = p->name;
			bedrock_tool(pw, p->name, STR(""), STR(""), false);
		}
	}
	if (n == 0)
		bedrock_tool(pw, STR("none"), STR(""), STR(""), false);
}

static void
bedrock_tools(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	const struct ir_tool *t;

	if (r->n_tools == 0 || r->choice == IR_CHOICE_NONE)
		if (!bedrock_has_calls(r))
			return;
	jw_name_open(&pw->w, "toolConfig", '{');
	jw_name_open(&pw->w, "tools", '[');
	for (t = r->tools; t != NULL; t = t->next) {
		bedrock_tool(
		    pw, t->name, t->description, t->schema, t->strict == 1);
		bedrock_cache_point(pw, t->cache);
	}
	if (r->tools == NULL)
		bedrock_known_tools(pw);
	jw_close(&pw->w, ']');
	if (r->n_tools > 0 && r->choice != IR_CHOICE_UNSET &&
	    r->choice != IR_CHOICE_NONE) {
		jw_name_open(&pw->w, "toolChoice", '{');
		jw_name_open(&pw->w,
		    r->choice == IR_CHOICE_AUTO	 ? "auto"
		    : r->choice == IR_CHOICE_ANY ? "any"
						 : "tool",
		    '{');
		if (r->choice == IR_CHOICE_TOOL)
			jw_name_esc(&pw->w, "name", r->choice_name);
		jw_close(&pw->w, '}');
		jw_close(&pw->w, '}');
	}
	jw_close(&pw->w, '}');
}

/* ---- the rest ---- */

/* Claude, by whose rules to think. Names that tell nothing (inference profiles
 * of an account) count as Claude too, as most models that think are. */
static bool
bedrock_is_claude(const struct pw *pw)
{
	static const char *const others[] = {"amazon", "nova", "openai",
	    "gpt-oss", "meta", "llama", "mistral", "cohere", "ai21", "deepseek",
	    "qwen", "minimax", "moonshot", "nvidia", "google", "zai", "writer"};
	size_t i;

	if (pw_model_has(pw, "anthropic") || pw_model_has(pw, "claude"))
		return true;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (pw_model_has(pw, others[i]))
			return false;
	return true;
}

/* Claude that thinks takes no other sampling: refused or dropped. */
static int
bedrock_sampling(struct pw *pw, const char *name, const char *feature,
    struct str number, double least)
{
	char text[64];

	if (number.len == 0)
		return 0;
	if (least > 0 && (str_copy(number, text, sizeof(text)) != 0 ||
			     strtod(text, NULL) < least))
		return pw_refuse(
		    pw, feature, "it does not go together with thinking");
	jw_name_raw(&pw->w, name, number);
	return 0;
}

static int
bedrock_inference(struct pw *pw, bool thinks)
{
	const struct ir_request *r = pw->r;
	size_t start = pw->w.b->len, filled;
	bool comma = pw->w.comma;
	int64_t cap = pw_cap(pw);
	int rc;

	jw_name_open(&pw->w, "inferenceConfig", '{');
	filled = pw->w.b->len;
	if (cap >= 0)
		jw_name_i64(&pw->w, "maxTokens", cap);
	rc = bedrock_sampling(
	    pw, "temperature", "temperature", r->temperature, thinks ? 1 : 0);
	if (rc == 0)
		rc = bedrock_sampling(
		    pw, "topP", "top_p", r->top_p, thinks ? 0.95 : 0);
	pw_stops(pw, "stopSequences");
	if (buf_error(pw->w.b) == 0 && pw->w.b->len == filled) {
		pw->w.b->len = start;
		pw->w.comma = comma;
	} else {
		jw_close(&pw->w, '}');
	}
	return rc;
}

static void
bedrock_claude_fields(struct pw *pw, const struct antp_think *t)
{
	if (!t->on)
		return; /* off unless it is asked for */
	jw_name_open(&pw->w, "thinking", '{');
	if (t->budget > 0) {
		jw_name_z(&pw->w, "type", "enabled");
		jw_name_i64(&pw->w, "budget_tokens", t->budget);
	} else {
		jw_name_z(&pw->w, "type", "adaptive");
		if (pw->r->show_thinking)
			jw_name_z(&pw->w, "display", "summarized");
	}
	jw_close(&pw->w, '}');
	if (t->effort != NULL) {
		jw_name_open(&pw->w, "output_config", '{');
		jw_name_z(&pw->w, "effort", t->effort);
		jw_close(&pw->w, '}');
	}
}

/* low, medium, high: what models know that take no budget. */
static const char *
bedrock_effort(const struct pw *pw)
{
	enum ir_effort e = pw->r->effort;

	if (e == IR_EFFORT_UNSET)
		e = ir_budget_effort(pw->r->thinking_budget);
	return e <= IR_EFFORT_LOW      ? "low"
	       : e == IR_EFFORT_MEDIUM ? "medium"
				       : "high";
}

static int
bedrock_thinking_fields(struct pw *pw, const struct antp_think *t)
{
	const struct ir_request *r = pw->r;
	bool wanted = r->thinking_budget > 0 ||
		      (r->thinking_budget < 0 && r->effort > IR_EFFORT_NONE);

	if (bedrock_is_claude(pw)) {
		bedrock_claude_fields(pw, t);
	} else if (!wanted) {
		return 0;
	} else if (pw_model_has(pw, "openai")) {
		jw_name_z(&pw->w, "reasoning_effort", bedrock_effort(pw));
	} else if (pw_model_has(pw, "nova")) {
		jw_name_open(&pw->w, "reasoningConfig", '{');
		jw_name_z(&pw->w, "type", "enabled");
		jw_name_z(&pw->w, "maxReasoningEffort", bedrock_effort(pw));
		jw_close(&pw->w, '}');
	} else if (r->thinking_budget > 0) {
		return pw_refuse(pw, "thinking budget",
		    "the model has no setting for it that is known");
	} else {
		return pw_refuse(pw, "reasoning effort",
		    "the model has no setting for it that is known");
	}
	return 0;
}

static int
bedrock_additional(struct pw *pw, const struct antp_think *t)
{
	size_t start = pw->w.b->len, filled;
	bool comma = pw->w.comma;
	int rc = 0;

	jw_name_open(&pw->w, "additionalModelRequestFields", '{');
	filled = pw->w.b->len;
	if (pw->r->top_k.len > 0 && t->on) {
		rc = pw_refuse(
		    pw, "top_k", "it does not go together with thinking");
	} else if (pw->r->top_k.len > 0 && pw_model_has(pw, "nova")) {
		jw_name_open(&pw->w, "inferenceConfig", '{');
		jw_name_raw(&pw->w, "topK", pw->r->top_k);
		jw_close(&pw->w, '}');
	} else {
		jw_opt_raw(&pw->w, "top_k", pw->r->top_k);
	}
	if (rc == 0)
		rc = bedrock_thinking_fields(pw, t);
	if (buf_error(pw->w.b) == 0 && pw->w.b->len == filled) {
		pw->w.b->len = start;
		pw->w.comma = comma;
	} else {
		jw_close(&pw->w, '}');
	}
	return rc;
}

static void
bedrock_format(struct pw *pw)
{
	const struct ir_request *r = pw->r;

	if (r->format != IR_FORMAT_SCHEMA)
		return;
	jw_name_open(&pw->w, "outputConfig", '{');
	jw_name_open(&pw->w, "textFormat", '{');
	jw_name_z(&pw->w, "type", "json_schema");
	jw_name_open(&pw->w, "structure", '{');
	jw_name_open(&pw->w, "jsonSchema", '{');
	jw_name(&pw->w, "schema");
	jw_plain(&pw->w, r->format_schema);
	jw_opt_esc(&pw->w, "name", r->format_name);
	jw_opt_esc(&pw->w, "description", r->format_description);
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
}

static int
bedrock_tier(struct pw *pw)
{
	struct str word = pw->r->service_tier;
	const char *tier = NULL;

	if (word.len == 0 || str_eqz(word, "auto") ||
	    str_eqz(word, "default") || str_eqz(word, "standard") ||
	    str_eqz(word, "standard_only"))
		return 0;
	if (str_eqz(word, "priority") || str_eqz(word, "fast"))
		tier = "priority";
	else if (str_eqz(word, "flex"))
		tier = "flex";
	if (tier == NULL)
		return pw_refuse(pw, "service tier other than the default",
		    "Bedrock has no such tier");
	jw_name_open(&pw->w, "serviceTier", '{');
	jw_name_z(&pw->w, "type", tier);
	jw_close(&pw->w, '}');
	return 0;
}

static void
bedrock_metadata(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	bool has_user = false;
	struct json_iter it;
	struct json v;
	struct str key;

	if (r->user.len == 0 && r->metadata.len <= 2)
		return;
	jw_name_open(&pw->w, "requestMetadata", '{');
	if (r->metadata.len > 2) {
		it = json_iter(json_root(r->metadata));
		while (json_next_member(&it, &key, &v)) {
			if (v.type != JSON_STRING)
				continue;
			has_user = has_user || json_key_eq(key, STR("user"));
			jw_esc(&pw->w, key);
			(void)buf_addc(pw->w.b, ':');
			(void)buf_add(pw->w.b, v.p, (size_t)(v.end - v.p));
		}
	}
	if (r->user.len > 0 && !has_user)
		jw_name_esc(&pw->w, "user", r->user);
	jw_close(&pw->w, '}');
}

int
bedrock_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e)
{
	struct antp_think t = {0};
	struct pw pw;
	int rc;

	rc = pw_begin(&pw, r, o, CARRY_P_BEDROCK, out, e);
	if (rc == 0 && bedrock_is_claude(&pw))
		rc = antp_decide(
		    &pw, pw_cap(&pw) > 0 ? pw_cap(&pw) : INT64_MAX, &t);
	if (rc != 0)
		return rc;
	jw_open(&pw.w, '{');
	rc = bedrock_messages(&pw);
	if (rc != 0)
		return rc;
	bedrock_system(&pw);
	rc = bedrock_inference(&pw, t.on);
	if (rc != 0)
		return rc;
	bedrock_tools(&pw);
	bedrock_format(&pw);
	bedrock_metadata(&pw);
	rc = bedrock_tier(&pw);
	if (rc == 0)
		rc = bedrock_additional(&pw, &t);
	jw_close(&pw.w, '}');
	return rc != 0 ? rc : buf_error(out);
}
