/* SPDX-License-Identifier: Apache-2.0 */
/* See provider_write.h. */
#include "agent/dialect/provider_write.h"

#include <string.h>

int
pw_begin(struct pw *pw, const struct ir_request *r, const struct write_opts *o,
    enum carry_provider p, struct buf *out, struct error *e)
{
	memset(pw, 0, sizeof(*pw));
	pw->r = r;
	pw->o = o;
	pw->provider = p;
	pw->w.b = out;
	pw->e = e;
	return carry_check(r, o->client, p, o->lenient, o->lost, e);
}

int64_t
pw_cap(const struct pw *pw)
{
	int64_t want = pw->r->max_output, cap = pw->o->max_output;

	if (cap <= 0)
		return want;
	return want >= 0 && want < cap ? want : cap;
}

const struct ir_part *
pw_part(const struct pw *pw, const struct ir_part *p, bool in_result)
{
	while (p != NULL && !carry_takes_part(p, in_result, pw->provider))
		p = p->next;
	return p;
}

int
pw_refuse_part(struct pw *pw, const struct ir_part *p, const char *what)
{
	return carry_refuse(p->field != NULL ? p->field : "messages", what,
	    pw->o->lenient, pw->o->lost, pw->e);
}

int
pw_refuse(struct pw *pw, const char *feature, const char *what)
{
	const char *field = feature;
	unsigned i;

	for (i = 0; i < carry_n_rows; i++) {
		if (strcmp(carry_rows[i].feature, feature) == 0 &&
		    carry_rows[i].names[pw->o->client] != NULL)
			field = carry_rows[i].names[pw->o->client];
	}
	return carry_refuse(field, what, pw->o->lenient, pw->o->lost, pw->e);
}

static bool
pw_is_plain_id(struct str id)
{
	size_t i;

	for (i = 0; i < id.len; i++) {
		char c = id.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return id.len > 0 && id.len <= 64;
}

struct str
pw_call_id(
    struct pw *pw, const struct ir_part *p, const char *prefix, bool plain_only)
{
	if (p->id.len == 0)
		return ir_make_call_id(pw->r->arena, prefix,
		    p->type == IR_TOOL_CALL ? pw->n_calls++ : pw->n_results++,
		    STR("call"));
	if (plain_only && !pw_is_plain_id(p->id))
		return ir_make_call_id(pw->r->arena, prefix, 0, p->id);
	return p->id;
}

struct str
pw_result_name(const struct pw *pw, const struct ir_part *p)
{
	return p->name.len > 0 ? p->name : ir_tool_of_call(pw->r, p->id);
}

void
pw_result_text(struct pw *pw, const struct ir_part *result)
{
	const struct ir_part *p;

	if (result->result_json.len > 0)
		(void)buf_add_escaped(pw->w.b, result->result_json);
	for (p = result->parts; p != NULL; p = p->next)
		if (p->type == IR_TEXT)
			(void)buf_add_str(pw->w.b, p->text);
}

void
pw_stops(struct pw *pw, const char *name)
{
	unsigned i;

	if (pw->r->n_stops == 0)
		return;
	jw_name_open(&pw->w, name, '[');
	for (i = 0; i < pw->r->n_stops; i++)
		jw_esc(&pw->w, pw->r->stops[i]);
	jw_close(&pw->w, ']');
}

bool
pw_model_has(const struct pw *pw, const char *z)
{
	struct str m = pw->o->model, what = str_of(z);

	for (; m.len >= what.len; m.p++, m.len--)
		if (str_starts(m, what))
			return true;
	return false;
}

void
pw_function_tool(struct pw *pw, const struct ir_tool *t)
{
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "type", "function");
	jw_name_open(&pw->w, "function", '{');
	jw_name_esc(&pw->w, "name", t->name);
	jw_opt_esc(&pw->w, "description", t->description);
	jw_name_raw(&pw->w, "parameters",
	    t->schema.len > 0 ? t->schema
			      : STR("{\"type\":\"object\",\"properties\":{}}"));
	jw_close(&pw->w, '}');
	jw_close(&pw->w, '}');
}

/* Messages of one role in a row, from *m on, as one. *m is set behind them. */
static int
pw_turn(struct pw *pw, const struct pw_turns *how, const struct ir_message **m)
{
	bool assistant = (*m)->role == IR_ASSISTANT;
	size_t start = pw->w.b->len, filled;
	bool comma = pw->w.comma;
	const struct ir_part *p;
	int rc = 0;

	if (how->begin != NULL)
		how->begin(how->ctx);
	jw_open(&pw->w, '{');
	jw_name_z(&pw->w, "role", assistant ? how->assistant : "user");
	jw_name_open(&pw->w, how->parts, '[');
	filled = pw->w.b->len;
	for (; *m != NULL && rc == 0; *m = (*m)->next) {
		if (pw_is_system(*m))
			continue;
		if (((*m)->role == IR_ASSISTANT) != assistant)
			break;
		for (p = pw_part(pw, (*m)->parts, false); p != NULL && rc == 0;
		     p = pw_part(pw, p->next, false))
			rc = how->part(pw, p, how->ctx);
	}
	if (rc == 0 && buf_error(pw->w.b) == 0 && pw->w.b->len == filled) {
		pw->w.b->len = start; /* nothing to say: no message */
		pw->w.comma = comma;
		return 0;
	}
	jw_close(&pw->w, ']');
	jw_close(&pw->w, '}');
	return rc;
}

int
pw_write_turns(struct pw *pw, const struct pw_turns *how)
{
	const struct ir_message *m = pw->r->messages;
	int rc = 0;

	jw_name_open(&pw->w, how->name, '[');
	while (m != NULL && rc == 0) {
		if (pw_is_system(m))
			m = m->next;
		else
			rc = pw_turn(pw, how, &m);
	}
	jw_close(&pw->w, ']');
	return rc;
}
