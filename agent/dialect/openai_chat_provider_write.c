/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neutral form to a chat completions request. Messages are in
 * openai_chat_provider_messages.c; here is everything else, as far as the
 * provider takes it (QUIRK_*).
 */
#include "agent/dialect/openai_chat_provider.h"

#include "agent/dialect/jw.h"

#define OACP_MAX_STOPS 4

struct oacp_write {
	const struct ir_request *r;
	const struct write_opts *o;
	struct error *e;
	struct jw w;
};

static int
oacp_refuse(struct oacp_write *x, const char *feature, const char *what)
{
	return carry_refuse(carry_field(feature, x->o->client), what,
	    x->o->lenient, x->o->lost, x->e);
}

static bool
oacp_quirk(const struct oacp_write *x, uint64_t quirk)
{
	return (x->o->quirks & quirk) != 0;
}

/* A feature that is asked for: true when it may be written; else *rc says
 * whether to go on. */
static bool
oacp_may(struct oacp_write *x, uint64_t quirk, const char *feature, int *rc)
{
	if (!oacp_quirk(x, quirk))
		return true;
	*rc = oacp_refuse(x, feature, "the provider does not take it");
	return false;
}

static int
oacp_write_tools(struct oacp_write *x)
{
	const struct ir_tool *t;
	struct jw *w = &x->w;
	int rc = 0;

	if (x->r->tools == NULL)
		return 0;
	jw_name_open(w, "tools", '[');
	for (t = x->r->tools; t != NULL && rc == 0; t = t->next) {
		jw_open(w, '{');
		jw_name_z(w, "type", "function");
		jw_name_open(w, "function", '{');
		jw_name_esc(w, "name", t->name);
		jw_opt_esc(w, "description", t->description);
		jw_opt_raw(w, "parameters", t->schema);
		if (t->strict == 0 && !oacp_quirk(x, QUIRK_NO_STRICT))
			jw_name_bool(w, "strict", false);
		if (t->strict == 1 &&
		    oacp_may(x, QUIRK_NO_STRICT, "strict tools", &rc))
			jw_name_bool(w, "strict", true);
		jw_close(w, '}');
		jw_close(w, '}');
	}
	jw_close(w, ']');
	return rc;
}

static int
oacp_write_choice(struct oacp_write *x)
{
	struct jw *w = &x->w;
	int rc = 0;

	if (x->r->tools == NULL)
		return 0;
	switch (x->r->choice) {
	case IR_CHOICE_AUTO:
		jw_name_z(w, "tool_choice", "auto");
		break;
	case IR_CHOICE_NONE:
		jw_name_z(w, "tool_choice", "none");
		break;
	case IR_CHOICE_ANY:
		jw_name_z(w, "tool_choice", "required");
		break;
	case IR_CHOICE_TOOL:
		jw_name_open(w, "tool_choice", '{');
		jw_name_z(w, "type", "function");
		jw_name(w, "function");
		jw_one_esc(w, "name", x->r->choice_name);
		jw_close(w, '}');
		break;
	case IR_CHOICE_UNSET:
		break;
	}
	if (x->r->parallel == 1 && !oacp_quirk(x, QUIRK_NO_PARALLEL))
		jw_name_bool(w, "parallel_tool_calls", true);
	if (x->r->parallel == 0 &&
	    oacp_may(x, QUIRK_NO_PARALLEL, "one tool call at a time", &rc))
		jw_name_bool(w, "parallel_tool_calls", false);
	return rc;
}

static int
oacp_write_format(struct oacp_write *x)
{
	const struct ir_request *r = x->r;
	struct jw *w = &x->w;
	int rc = 0;

	if (r->format == IR_FORMAT_JSON) {
		jw_name_open(w, "response_format", '{');
		jw_name_z(w, "type", "json_object");
		jw_close(w, '}');
	}
	if (r->format != IR_FORMAT_SCHEMA ||
	    !oacp_may(x, QUIRK_NO_JSON_SCHEMA, "JSON schema output", &rc))
		return rc;
	jw_name_open(w, "response_format", '{');
	jw_name_z(w, "type", "json_schema");
	jw_name_open(w, "json_schema", '{');
	jw_name_esc(
	    w, "name", r->format_name.len > 0 ? r->format_name : STR("answer"));
	jw_opt_esc(w, "description", r->format_description);
	jw_opt_raw(w, "schema", r->format_schema);
	if (r->format_strict >= 0)
		jw_name_bool(w, "strict", r->format_strict == 1);
	jw_close(w, '}');
	jw_close(w, '}');
	return rc;
}

static int
oacp_write_stops(struct oacp_write *x)
{
	unsigned i, n = x->r->n_stops;
	int rc = 0;

	if (n > OACP_MAX_STOPS) {
		n = OACP_MAX_STOPS;
		rc = oacp_refuse(
		    x, "stop sequences", "more than 4 stop sequences");
	}
	if (n == 0 || rc != 0)
		return rc;
	jw_name_open(&x->w, "stop", '[');
	for (i = 0; i < n; i++)
		jw_esc(&x->w, x->r->stops[i]);
	jw_close(&x->w, ']');
	return 0;
}

static int
oacp_write_sampling(struct oacp_write *x)
{
	const struct ir_request *r = x->r;
	struct jw *w = &x->w;
	int rc = 0;

	jw_opt_raw(w, "temperature", r->temperature);
	jw_opt_raw(w, "top_p", r->top_p);
	jw_opt_raw(w, "frequency_penalty", r->frequency_penalty);
	jw_opt_raw(w, "presence_penalty", r->presence_penalty);
	if (r->n > 1)
		jw_name_i64(w, "n", r->n);
	if (r->seed.len > 0 && oacp_may(x, QUIRK_NO_SEED, "seed", &rc))
		jw_name_raw(w,
		    oacp_quirk(x, QUIRK_RANDOM_SEED) ? "random_seed" : "seed",
		    r->seed);
	if (rc == 0 && r->logprobs &&
	    oacp_may(x, QUIRK_NO_LOGPROBS, "log probabilities", &rc)) {
		jw_name_bool(w, "logprobs", true);
		if (r->top_logprobs >= 0)
			jw_name_i64(w, "top_logprobs", r->top_logprobs);
	}
	jw_opt_raw(w, "logit_bias", r->logit_bias);
	return rc != 0 ? rc : oacp_write_stops(x);
}

static int
oacp_write_effort(struct oacp_write *x)
{
	enum ir_effort effort = x->r->effort;
	int rc = 0;

	/* Of a budget at most "high": few models know more. No thinking is
	 * what models without reasoning do anyway. */
	if (effort == IR_EFFORT_UNSET && x->r->thinking_budget > 0) {
		effort = ir_budget_effort(x->r->thinking_budget);
		if (effort > IR_EFFORT_HIGH)
			effort = IR_EFFORT_HIGH;
	}
	if (effort != IR_EFFORT_UNSET &&
	    oacp_may(x, QUIRK_NO_REASONING_EFFORT,
		x->r->effort != IR_EFFORT_UNSET ? "reasoning effort"
						: "thinking budget",
		&rc))
		jw_name_z(&x->w, "reasoning_effort", ir_effort_name(effort));
	return rc;
}

/* The client's word in OpenAI's words; "" = the default, left out. */
static struct str
oacp_tier(const struct oacp_write *x)
{
	static const char *const words[] = {
	    "flex", "priority", "scale", "fast"};
	struct str s = x->r->service_tier;
	unsigned i;

	if (s.len == 0 || x->o->client == CARRY_C_CHAT ||
	    x->o->client == CARRY_C_RESPONSES)
		return s;
	if (str_eqz(s, "standard_only"))
		return STR("default");
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_ieq(s, str_of(words[i])))
			return str_of(words[i]);
	}
	return STR_NULL;
}

static int
oacp_write_account(struct oacp_write *x)
{
	struct str tier = oacp_tier(x);
	struct jw *w = &x->w;
	int rc = 0;

	if (oacp_quirk(x, QUIRK_NO_SERVICE_TIER) &&
	    (str_eqz(tier, "auto") || str_eqz(tier, "default")))
		tier = STR_NULL;
	if (tier.len > 0 && oacp_may(x, QUIRK_NO_SERVICE_TIER,
				"service tier other than the default", &rc))
		jw_name_esc(w, "service_tier", tier);
	if (x->r->user.len > 0) {
		if (oacp_quirk(x, QUIRK_NO_USER))
			carry_lost_add(
			    x->o->lost, carry_field("end user", x->o->client));
		else
			jw_name_esc(w, "user", x->r->user);
	}
	jw_opt_raw(w, "metadata", x->r->metadata);
	jw_opt_esc(w, "verbosity", x->r->verbosity);
	return rc;
}

static void
oacp_write_head(struct oacp_write *x)
{
	int64_t cap = x->r->max_output;
	struct jw *w = &x->w;

	if (x->o->max_output > 0 && (cap < 0 || x->o->max_output < cap))
		cap = x->o->max_output;
	jw_name(w, "model");
	jw_plain(w, x->o->model);
	if (cap >= 0)
		jw_name_i64(w,
		    oacp_quirk(x, QUIRK_MAX_TOKENS) ? "max_tokens"
						    : "max_completion_tokens",
		    cap);
	if (!x->r->stream)
		return;
	jw_name_bool(w, "stream", true);
	if (!oacp_quirk(x, QUIRK_NO_STREAM_OPTIONS))
		jw_name_raw(
		    w, "stream_options", STR("{\"include_usage\":true}"));
}

int
openai_chat_provider_write(const struct ir_request *r,
    const struct write_opts *o, struct buf *out, struct error *e)
{
	struct oacp_write x = {r, o, e, {out, false}};
	int rc =
	    carry_check(r, o->client, CARRY_P_OPENAI, o->lenient, o->lost, e);

	if (rc != 0)
		return rc;
	jw_open(&x.w, '{');
	oacp_write_head(&x);
	rc = oacp_write_messages(r, o, &x.w, e);
	if (rc == 0)
		rc = oacp_write_tools(&x);
	if (rc == 0)
		rc = oacp_write_choice(&x);
	if (rc == 0)
		rc = oacp_write_format(&x);
	if (rc == 0)
		rc = oacp_write_sampling(&x);
	if (rc == 0)
		rc = oacp_write_effort(&x);
	if (rc == 0)
		rc = oacp_write_account(&x);
	jw_close(&x.w, '}');
	return rc != 0 ? rc : buf_error(out);
}
