/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing Cohere v2 chat requests.
 *
 * What is odd: what a model says beside its calls is their tool_plan; results
 * are messages of their own; the choice of one tool is made by offering no
 * other; strictness is one switch for all tools.
 */
#include "agent/dialect/media.h"
#include "agent/dialect/provider_write.h"

#define COHERE_MAX_STOPS 5

static bool
cohere_has(const struct ir_message *m, enum ir_part_type type)
{
	const struct ir_part *p;

	for (p = m->parts; p != NULL; p = p->next)
		if (p->type == type)
			return true;
	return false;
}

/* All text of the message as one string, named. */
static void
cohere_text(struct pw *pw, const struct ir_message *m, const char *name)
{
	const struct ir_part *p;
	bool first = true;

	jw_name(&pw->w, name);
	jw_sep(&pw->w);
	(void)buf_addc(pw->w.b, '"');
	for (p = m->parts; p != NULL; p = p->next) {
		if ((p->type != IR_TEXT && p->type != IR_REFUSAL) ||
		    p->text.len == 0)
			continue;
		if (!first)
			(void)buf_addz(pw->w.b, "\\n");
		first = false;
		(void)buf_add_str(pw->w.b, p->text);
	}
	(void)buf_addc(pw->w.b, '"');
}

static int
cohere_image(struct pw *pw, const struct ir_part *p)
{
	struct str mime = media_mime(pw->r->arena, p);

	if (p->data.len > 0 && mime.len == 0)
		return pw_refuse_part(pw, p, "its media type is not told");
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "type", "image_url");
	jw_name_open(&pw->w, "image_url", '{');
	jw_name(&pw->w, "url");
	jw_sep(&pw->w);
	(void)buf_addc(pw->w.b, '"');
	if (p->data.len > 0) {
		(void)buf_addz(pw->w.b, "data:");
		(void)buf_add_str(pw->w.b, mime);
		(void)buf_addz(pw->w.b, ";base64,");
		(void)buf_add_str(pw->w.b, p->data);
	} else {
		(void)buf_add_str(pw->w.b, p->url);
	}
	(void)buf_addc(pw->w.b, '"');
	jw_opt_esc(&pw->w, "detail", p->detail);
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
	return 0;
}

/* Text and images of a user. */
static int
cohere_content(struct pw *pw, const struct ir_message *m)
{
	const struct ir_part *p;
	int rc = 0;

	jw_name_open(&pw->w, "content", '[');
	for (p = pw_part(pw, m->parts, false); p != NULL && rc == 0;
	     p = pw_part(pw, p->next, false)) {
		if (p->type == IR_TEXT) {
			jw_open(&pw->w, '{');
			jw_name_z(&pw->w, "type", "text");
			jw_name_esc(&pw->w, "text", p->text);
			jw_close(&pw->w, '}');
		} else if (p->type == IR_IMAGE) {
			rc = cohere_image(pw, p);
		}
	}
	jw_close(&pw->w, ']');
	return rc;
}

static int
cohere_result(struct pw *pw, const struct ir_part *p)
{
	struct str id = pw_call_id(pw, p, "call_", false);

	if (id.p == NULL)
		return ERR_NOMEM;
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "role", "tool");
	jw_name_esc(&pw->w, "tool_call_id", id);
	jw_name(&pw->w, "content");
	jw_sep(&pw->w);
	(void)buf_addc(pw->w.b, '"');
	pw_result_text(pw, p);
	(void)buf_addc(pw->w.b, '"');
	jw_close(&pw->w, '}');
	return 0;
}

static int
cohere_user(struct pw *pw, const struct ir_message *m)
{
	const struct ir_part *p;
	bool others = false, image = false;
	int rc = 0;

	for (p = m->parts; p != NULL && rc == 0; p = p->next) {
		if (p->type == IR_TOOL_RESULT)
			rc = cohere_result(pw, p);
		else
			others = true;
		image = image || p->type == IR_IMAGE;
	}
	if (rc != 0 || !others)
		return rc;
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "role", "user");
	if (image)
		rc = cohere_content(pw, m);
	else
		cohere_text(pw, m, "content");
	jw_close(&pw->w, '}');
	return rc;
}

static int
cohere_assistant(struct pw *pw, const struct ir_message *m)
{
	bool calls = cohere_has(m, IR_TOOL_CALL);
	const struct ir_part *p;
	struct str id;

	if (!calls && !cohere_has(m, IR_TEXT) && !cohere_has(m, IR_REFUSAL))
		return 0; /* earlier thinking only */
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "role", "assistant");
	if (!calls || cohere_has(m, IR_TEXT))
		cohere_text(pw, m, calls ? "tool_plan" : "content");
	if (calls)
		jw_name_open(&pw->w, "tool_calls", '[');
	for (p = m->parts; p != NULL; p = p->next) {
		if (p->type != IR_TOOL_CALL)
			continue;
		id = pw_call_id(pw, p, "call_", false);
		if (id.p == NULL)
			return ERR_NOMEM;
		jw_open(&pw->w, '{');
		jw_name_esc(&pw->w, "id", id);
		jw_name_z(&pw->w, "type", "function");
		jw_name_open(&pw->w, "function", '{');
		jw_name_esc(&pw->w, "name", p->name);
		jw_name(&pw->w, "arguments");
		jw_plain(&pw->w, p->args.len > 0 ? p->args : STR("{}"));
		jw_close(&pw->w, '}');
		jw_close(&pw->w, '}');
	}
	if (calls)
		jw_close(&pw->w, ']');
	jw_close(&pw->w, '}');
	return 0;
}

static int
cohere_messages(struct pw *pw)
{
	const struct ir_message *m;
	int rc = 0;

	jw_name_open(&pw->w, "messages", '[');
	for (m = pw->r->messages; m != NULL && rc == 0; m = m->next) {
		if (m->role == IR_ASSISTANT) {
			rc = cohere_assistant(pw, m);
		} else if (m->role == IR_USER) {
			rc = cohere_user(pw, m);
		} else {
			jw_open(&pw->w, '{');
			jw_name_z(&pw->w, "role", "system");
			cohere_text(pw, m, "content");
			jw_close(&pw->w, '}');
		}
	}
	jw_close(&pw->w, ']');
	return rc;
}

static void
cohere_tools(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	const struct ir_tool *t;
	bool one = false, strict = false;

	if (r->n_tools == 0)
		return;
	for (t = r->tools; t != NULL && r->choice == IR_CHOICE_TOOL;
	     t = t->next)
		one = one || str_eq(t->name, r->choice_name);
	jw_name_open(&pw->w, "tools", '[');
	for (t = r->tools; t != NULL; t = t->next) {
		if (one && !str_eq(t->name, r->choice_name))
			continue;
		strict = strict || t->strict == 1;
		pw_function_tool(pw, t);
	}
	jw_close(&pw->w, ']');
	if (strict)
		jw_name_bool(&pw->w, "strict_tools", true);
	if (r->choice == IR_CHOICE_ANY || r->choice == IR_CHOICE_TOOL)
		jw_name_z(&pw->w, "tool_choice", "REQUIRED");
	else if (r->choice == IR_CHOICE_NONE)
		jw_name_z(&pw->w, "tool_choice", "NONE");
}

static void
cohere_thinking(struct pw *pw)
{
	int64_t n = pw->r->thinking_budget, cap = pw_cap(pw);

	if (n < 0)
		n = ir_effort_budget(pw->r->effort);
	if (n < 0)
		return;
	if (cap >= 0 && n >= cap)
		n = cap > 1 ? cap - 1 : 0;
	jw_name_open(&pw->w, "thinking", '{');
	jw_name_z(&pw->w, "type", n > 0 ? "enabled" : "disabled");
	if (n > 0)
		jw_name_i64(&pw->w, "token_budget", n);
	jw_close(&pw->w, '}');
}

static int
cohere_settings(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	int64_t cap = pw_cap(pw);
	int rc = 0;

	if (cap >= 0)
		jw_name_i64(&pw->w, "max_tokens", cap);
	jw_opt_raw(&pw->w, "temperature", r->temperature);
	jw_opt_raw(&pw->w, "p", r->top_p);
	jw_opt_raw(&pw->w, "k", r->top_k);
	jw_opt_raw(&pw->w, "seed", r->seed);
	jw_opt_raw(&pw->w, "frequency_penalty", r->frequency_penalty);
	jw_opt_raw(&pw->w, "presence_penalty", r->presence_penalty);
	if (r->logprobs)
		jw_name_bool(&pw->w, "logprobs", true);
	if (r->n_stops > COHERE_MAX_STOPS)
		rc = pw_refuse(
		    pw, "stop sequences", "Cohere takes at most 5 of them");
	else
		pw_stops(pw, "stop_sequences");
	if (r->format == IR_FORMAT_JSON || r->format == IR_FORMAT_SCHEMA) {
		jw_name_open(&pw->w, "response_format", '{');
		jw_name_z(&pw->w, "type", "json_object");
		if (r->format == IR_FORMAT_SCHEMA)
			jw_opt_raw(&pw->w, "json_schema", r->format_schema);
		jw_close(&pw->w, '}');
	}
	cohere_thinking(pw);
	return rc;
}

int
cohere_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e)
{
	struct pw pw;
	int rc;

	rc = pw_begin(&pw, r, o, CARRY_P_COHERE, out, e);
	if (rc != 0)
		return rc;
	jw_open(&pw.w, '{');
	jw_name(&pw.w, "model");
	jw_plain(&pw.w, o->model);
	rc = cohere_messages(&pw);
	if (rc == 0) {
		cohere_tools(&pw);
		rc = cohere_settings(&pw);
	}
	jw_name_bool(&pw.w, "stream", r->stream);
	jw_close(&pw.w, '}');
	return rc != 0 ? rc : buf_error(out);
}
