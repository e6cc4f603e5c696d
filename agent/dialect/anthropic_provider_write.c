/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neutral form to an Anthropic messages request: everything but system
 * text and messages, which are in anthropic_provider_messages.c.
 *
 * Thinking has rules of its own: a budget is at least 1024 tokens and below
 * max_tokens; with thinking on, a tool cannot be forced and sampling cannot be
 * changed; and in the middle of a tool loop a budget needs the thinking that
 * led to the call, with its signature.
 */
#include "agent/dialect/anthropic_provider.h"

#include <stdlib.h>
#include <string.h>

#define ANTP_MAX_TOKENS 4096 /* where nobody names a cap */
#define ANTP_MIN_BUDGET 1024

static double
antp_number(struct str s)
{
	char text[64];

	return str_copy(s, text, sizeof(text)) == 0 ? strtod(text, NULL) : 0;
}

static int
antp_digits(struct str s, size_t *at)
{
	size_t start = *at;
	int n = 0;

	while (*at < s.len && s.p[*at] >= '0' && s.p[*at] <= '9' &&
	       *at - start < 9)
		n = 10 * n + (s.p[(*at)++] - '0');
	return *at > start ? n : -1;
}

/* "claude-opus-4-7", "claude-3-7-sonnet", "claude-sonnet-4-20250514": the
 * first number is the version; a second one below 100 the minor version. */
enum antp_way
antp_way_of(struct str model)
{
	struct str name = STR("claude");
	int major = -1, minor;
	size_t at = 0;

	while (at + name.len <= model.len &&
	       memcmp(model.p + at, name.p, name.len) != 0)
		at++;
	if (at + name.len > model.len)
		return ANTP_BUDGET;
	for (at += name.len; at < model.len && major < 0; at++) {
		if (model.p[at] >= '0' && model.p[at] <= '9') {
			major = antp_digits(model, &at);
			break;
		}
	}
	if (major < 0)
		return ANTP_EFFORT; /* a name without a number: recent */
	at++;
	minor = at <= model.len ? antp_digits(model, &at) : 0;
	if (minor < 0 || minor > 99)
		minor = 0;
	if (major < 4 || (major == 4 && minor < 6))
		return ANTP_BUDGET;
	return major == 4 && minor == 6 ? ANTP_BOTH : ANTP_EFFORT;
}

/* Is the last turn a call without the thinking that led to it? */
static bool
antp_unproven_loop(const struct ir_request *r)
{
	const struct ir_message *m, *last = NULL;
	const struct ir_part *p;
	bool call = false;

	for (m = r->messages; m != NULL; m = m->next) {
		if (m->role == IR_ASSISTANT)
			last = m;
	}
	for (p = last != NULL ? last->parts : NULL; p != NULL; p = p->next) {
		if (antp_is_proven(p))
			return false;
		call = call || p->type == IR_TOOL_CALL;
	}
	return call;
}

static const char *
antp_effort_word(enum ir_effort e, enum antp_way way)
{
	if (e <= IR_EFFORT_LOW)
		return "low";
	if (e == IR_EFFORT_XHIGH && way == ANTP_BOTH)
		return "high";
	return ir_effort_name(e);
}

static const char *
antp_think_feature(const struct ir_request *r)
{
	return r->effort != IR_EFFORT_UNSET ? "reasoning effort"
					    : "thinking budget";
}

/* A budget that fits under the cap; 0 = none does. */
static int64_t
antp_fit_budget(int64_t budget, int64_t cap)
{
	if (budget >= cap)
		budget = cap / 2;
	if (budget < ANTP_MIN_BUDGET)
		budget = ANTP_MIN_BUDGET;
	return budget < cap ? budget : 0;
}

int
antp_decide(struct pw *pw, int64_t cap, struct antp_think *t)
{
	const struct ir_request *r = pw->r;
	enum antp_way way = antp_way_of(pw->o->model);
	enum ir_effort effort = r->effort;
	int64_t budget = r->thinking_budget;
	const char *feature = antp_think_feature(r);

	memset(t, 0, sizeof(*t));
	if (budget <= 0 && (effort == IR_EFFORT_UNSET || budget == 0))
		return 0;
	if (effort == IR_EFFORT_NONE && budget <= 0)
		return 0;
	if (r->tools != NULL &&
	    (r->choice == IR_CHOICE_ANY || r->choice == IR_CHOICE_TOOL))
		return pw_refuse(
		    pw, feature, "a model that must call a tool cannot think");
	t->on = true;
	if (way == ANTP_EFFORT || (way == ANTP_BOTH && budget <= 0)) {
		if (effort == IR_EFFORT_UNSET)
			effort = ir_budget_effort(budget);
		t->effort = antp_effort_word(effort, way);
		return 0;
	}
	t->budget = antp_fit_budget(
	    budget > 0 ? budget : ir_effort_budget(effort), cap);
	if (t->budget == 0 || antp_unproven_loop(r)) {
		t->on = false;
		carry_lost_add(
		    pw->o->lost, carry_field(feature, pw->o->client));
	}
	return 0;
}

static int
antp_write_sampling(struct pw *pw, const struct antp_think *t)
{
	const struct ir_request *r = pw->r;
	double heat = antp_number(r->temperature);
	double nucleus = antp_number(r->top_p);
	int rc = 0;

	if (r->temperature.len > 0 && t->on && heat != 1) {
		rc = pw_refuse(
		    pw, "temperature", "only 1 goes together with thinking");
	} else if (r->temperature.len > 0 && heat > 1) {
		rc = pw_refuse(pw, "temperature", "it must not be above 1");
		jw_name_i64(&pw->w, "temperature", 1);
	} else {
		jw_opt_raw(&pw->w, "temperature", r->temperature);
	}
	/* 1 is the default; newer models take one of both only. */
	if (rc == 0 && r->top_p.len > 0 && nucleus != 1) {
		if (t->on && nucleus < 0.95)
			rc = pw_refuse(pw, "top_p",
			    "with thinking it must be at least 0.95");
		else
			jw_name_raw(&pw->w, "top_p", r->top_p);
	}
	if (rc == 0 && r->top_k.len > 0) {
		if (t->on)
			rc = pw_refuse(pw, "top_k",
			    "it does not go together with thinking");
		else
			jw_name_raw(&pw->w, "top_k", r->top_k);
	}
	pw_stops(pw, "stop_sequences");
	return rc;
}

void
antp_write_cache(struct jw *w, enum ir_cache cache)
{
	if (cache == IR_CACHE_NONE)
		return;
	jw_name_open(w, "cache_control", '{');
	jw_name_z(w, "type", "ephemeral");
	if (cache == IR_CACHE_1H)
		jw_name_z(w, "ttl", "1h");
	jw_close(w, '}');
}

static void
antp_write_tools(struct pw *pw)
{
	const struct ir_tool *t;
	struct jw *w = &pw->w;

	if (pw->r->tools == NULL)
		return;
	jw_name_open(w, "tools", '[');
	for (t = pw->r->tools; t != NULL; t = t->next) {
		jw_open(w, '{');
		jw_name_esc(w, "name", t->name);
		jw_opt_esc(w, "description", t->description);
		jw_name_raw(w, "input_schema",
		    t->schema.len > 0
			? t->schema
			: STR("{\"type\":\"object\",\"properties\":{}}"));
		if (t->strict == 1)
			jw_name_bool(w, "strict", true);
		antp_write_cache(w, t->cache);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static void
antp_write_choice(struct pw *pw)
{
	static const char *const words[] = {[IR_CHOICE_UNSET] = "auto",
	    [IR_CHOICE_AUTO] = "auto",
	    [IR_CHOICE_NONE] = "none",
	    [IR_CHOICE_ANY] = "any",
	    [IR_CHOICE_TOOL] = "tool"};
	const struct ir_request *r = pw->r;
	bool one = r->parallel == 0 && r->choice != IR_CHOICE_NONE;
	struct jw *w = &pw->w;

	if (r->tools == NULL || (r->choice == IR_CHOICE_UNSET && !one))
		return;
	jw_name_open(w, "tool_choice", '{');
	jw_name_z(w, "type", words[r->choice]);
	if (r->choice == IR_CHOICE_TOOL)
		jw_name_esc(w, "name", r->choice_name);
	if (one)
		jw_name_bool(w, "disable_parallel_tool_use", true);
	jw_close(w, '}');
}

static void
antp_write_thinking(struct pw *pw, const struct antp_think *t)
{
	struct jw *w = &pw->w;

	if (!t->on)
		return;
	jw_name_open(w, "thinking", '{');
	if (t->budget > 0) {
		jw_name_z(w, "type", "enabled");
		jw_name_i64(w, "budget_tokens", t->budget);
	} else {
		jw_name_z(w, "type", "adaptive");
		if (pw->r->show_thinking)
			jw_name_z(w, "display", "summarized");
	}
	jw_close(w, '}');
}

static void
antp_write_output(struct pw *pw, const struct antp_think *t)
{
	bool schema = pw->r->format == IR_FORMAT_SCHEMA;
	struct jw *w = &pw->w;

	if (!schema && t->effort == NULL)
		return;
	jw_name_open(w, "output_config", '{');
	if (t->effort != NULL)
		jw_name_z(w, "effort", t->effort);
	if (schema) {
		jw_name_open(w, "format", '{');
		jw_name_z(w, "type", "json_schema");
		jw_name_raw(w, "schema",
		    pw->r->format_schema.len > 0
			? pw->r->format_schema
			: STR("{\"type\":\"object\"}"));
		jw_close(w, '}');
	}
	jw_close(w, '}');
}

int
anthropic_provider_write(const struct ir_request *r, const struct write_opts *o,
    struct buf *out, struct error *e)
{
	struct antp_think t;
	struct pw pw;
	int64_t cap;
	int rc = pw_begin(&pw, r, o, CARRY_P_ANTHROPIC, out, e);

	if (rc != 0)
		return rc;
	cap = pw_cap(&pw);
	if (cap <= 0)
		cap = ANTP_MAX_TOKENS;
	rc = antp_decide(&pw, cap, &t);
	if (rc != 0)
		return rc;
	jw_open(&pw.w, '{');
	jw_name(&pw.w, "model");
	jw_plain(&pw.w, o->model);
	jw_name_i64(&pw.w, "max_tokens", cap);
	if (r->stream)
		jw_name_bool(&pw.w, "stream", true);
	rc = antp_write_messages(&pw, r->format == IR_FORMAT_JSON);
	if (rc == 0)
		rc = antp_write_sampling(&pw, &t);
	antp_write_tools(&pw);
	antp_write_choice(&pw);
	antp_write_thinking(&pw, &t);
	antp_write_output(&pw, &t);
	if (r->user.len > 0) {
		jw_name(&pw.w, "metadata");
		jw_one_esc(&pw.w, "user_id", r->user);
	}
	jw_close(&pw.w, '}');
	return rc != 0 ? rc : buf_error(out);
}
