/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing requests for Ollama's own /api/chat.
 *
 * What is odd: content is one string and images are a list beside it; calls
 * have their arguments as an object; there is no choice of tools, so "none"
 * leaves them out.
 */
#include "agent/dialect/media.h"
#include "agent/dialect/provider_write.h"

/* Texts of this type as one string, named; nothing if there are none. */
static void
ollama_text(struct pw *pw, const struct ir_part *p, enum ir_part_type type,
    const char *name, bool always)
{
	bool first = true;

	for (; p != NULL; p = p->next) {
		if (p->type != type &&
		    !(type == IR_TEXT && p->type == IR_REFUSAL))
			continue;
		if (p->text.len == 0)
			continue;
		if (first) {
			jw_name(&pw->w, name);
			jw_sep(&pw->w);
			(void)buf_addc(pw->w.b, '"');
		} else {
			(void)buf_addz(pw->w.b, "\\n");
		}
		first = false;
		(void)buf_add_str(pw->w.b, p->text);
	}
	if (!first)
		(void)buf_addc(pw->w.b, '"');
	else if (always)
		jw_name_z(&pw->w, name, "");
}

static void
ollama_images(struct pw *pw, const struct ir_part *p, bool in_result)
{
	bool open = false;

	for (p = pw_part(pw, p, in_result); p != NULL;
	     p = pw_part(pw, p->next, in_result)) {
		if (p->type != IR_IMAGE || p->data.len == 0)
			continue;
		if (!open)
			jw_name_open(&pw->w, "images", '[');
		open = true;
		jw_esc(&pw->w, p->data);
	}
	if (open)
		jw_close(&pw->w, ']');
}

static void
ollama_calls(struct pw *pw, const struct ir_part *p)
{
	bool open = false;

	for (; p != NULL; p = p->next) {
		if (p->type != IR_TOOL_CALL)
			continue;
		if (!open)
			jw_name_open(&pw->w, "tool_calls", '[');
		open = true;
		jw_open(&pw->w, '{');
		jw_opt_esc(&pw->w, "id", p->id);
		jw_name_open(&pw->w, "function", '{');
		jw_name_esc(&pw->w, "name", p->name);
		jw_name_raw(
		    &pw->w, "arguments", p->args.len > 0 ? p->args : STR("{}"));
		jw_close(&pw->w, '}');
		jw_close(&pw->w, '}');
	}
	if (open)
		jw_close(&pw->w, ']');
}

static void
ollama_result(struct pw *pw, const struct ir_part *p)
{
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "role", "tool");
	jw_opt_esc(&pw->w, "tool_name", pw_result_name(pw, p));
	jw_opt_esc(&pw->w, "tool_call_id", p->id);
	jw_name(&pw->w, "content");
	jw_sep(&pw->w);
	(void)buf_addc(pw->w.b, '"');
	pw_result_text(pw, p);
	(void)buf_addc(pw->w.b, '"');
	jw_close(&pw->w, '}');
}

static bool
ollama_has_image(const struct ir_part *p)
{
	for (; p != NULL; p = p->next)
		if (p->type == IR_IMAGE && p->data.len > 0)
			return true;
	return false;
}

static void
ollama_user(struct pw *pw, const struct ir_message *m)
{
	const struct ir_part *p;
	bool others = false;

	for (p = m->parts; p != NULL; p = p->next) {
		if (p->type == IR_TOOL_RESULT)
			ollama_result(pw, p);
		else
			others = true;
	}
	/* Images of results, behind the results. */
	for (p = m->parts; p != NULL; p = p->next) {
		if (p->type != IR_TOOL_RESULT || !ollama_has_image(p->parts))
			continue;
		jw_open(&pw->w, '{');
		jw_name_z(&pw->w, "role", "user");
		jw_name_z(&pw->w, "content", "");
		ollama_images(pw, p->parts, true);
		jw_close(&pw->w, '}');
	}
	if (!others)
		return;
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "role", "user");
	ollama_text(pw, m->parts, IR_TEXT, "content", true);
	ollama_images(pw, m->parts, false);
	jw_close(&pw->w, '}');
}

static void
ollama_messages(struct pw *pw)
{
	const struct ir_message *m;

	jw_name_open(&pw->w, "messages", '[');
	for (m = pw->r->messages; m != NULL; m = m->next) {
		if (m->role == IR_USER) {
			ollama_user(pw, m);
			continue;
		}
		jw_open(&pw->w, '{');
		jw_name_z(&pw->w, "role",
		    m->role == IR_ASSISTANT ? "assistant" : "system");
		ollama_text(pw, m->parts, IR_TEXT, "content", true);
		if (m->role == IR_ASSISTANT) {
			ollama_text(
			    pw, m->parts, IR_THINKING, "thinking", false);
			ollama_calls(pw, m->parts);
		}
		jw_close(&pw->w, '}');
	}
	jw_close(&pw->w, ']');
}

static void
ollama_tools(struct pw *pw)
{
	const struct ir_tool *t;

	if (pw->r->n_tools == 0 || pw->r->choice == IR_CHOICE_NONE)
		return;
	jw_name_open(&pw->w, "tools", '[');
	for (t = pw->r->tools; t != NULL; t = t->next)
		pw_function_tool(pw, t);
	jw_close(&pw->w, ']');
}

/* Only gpt-oss knows levels; others think or do not. */
static void
ollama_think(struct pw *pw)
{
	enum ir_effort e = pw->r->effort;

	if (pw->r->thinking_budget >= 0)
		e = ir_budget_effort(pw->r->thinking_budget);
	if (e == IR_EFFORT_UNSET)
		return;
	if (e == IR_EFFORT_NONE || !pw_model_has(pw, "gpt-oss"))
		jw_name_bool(&pw->w, "think", e != IR_EFFORT_NONE);
	else
		jw_name_z(&pw->w, "think",
		    e <= IR_EFFORT_LOW	    ? "low"
		    : e == IR_EFFORT_MEDIUM ? "medium"
					    : "high");
}

static void
ollama_options(struct pw *pw)
{
	const struct ir_request *r = pw->r;
	size_t start = pw->w.b->len, filled;
	bool comma = pw->w.comma;
	int64_t cap = pw_cap(pw);

	jw_name_open(&pw->w, "options", '{');
	filled = pw->w.b->len;
	if (cap >= 0)
		jw_name_i64(&pw->w, "num_predict", cap);
	jw_opt_raw(&pw->w, "temperature", r->temperature);
	jw_opt_raw(&pw->w, "top_p", r->top_p);
	jw_opt_raw(&pw->w, "top_k", r->top_k);
	jw_opt_raw(&pw->w, "seed", r->seed);
	jw_opt_raw(&pw->w, "frequency_penalty", r->frequency_penalty);
	jw_opt_raw(&pw->w, "presence_penalty", r->presence_penalty);
	pw_stops(pw, "stop");
	if (buf_error(pw->w.b) == 0 && pw->w.b->len == filled) {
		pw->w.b->len = start;
		pw->w.comma = comma;
	} else {
		jw_close(&pw->w, '}');
	}
}

int
ollama_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e)
{
	struct pw pw;
	int rc;

	rc = pw_begin(&pw, r, o, CARRY_P_OLLAMA, out, e);
	if (rc != 0)
		return rc;
	jw_open(&pw.w, '{');
	jw_name(&pw.w, "model");
	jw_plain(&pw.w, o->model);
	ollama_messages(&pw);
	ollama_tools(&pw);
	if (r->format == IR_FORMAT_JSON)
		jw_name_z(&pw.w, "format", "json");
	else if (r->format == IR_FORMAT_SCHEMA)
		jw_opt_raw(&pw.w, "format", r->format_schema);
	ollama_think(&pw);
	ollama_options(&pw);
	jw_name_bool(&pw.w, "stream", r->stream);
	jw_close(&pw.w, '}');
	return buf_error(out);
}
