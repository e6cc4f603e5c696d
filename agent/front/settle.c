/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attempt cost, and the books at the end of a request. Every attempt
 * whose intent was collected gets exactly one usage record, whatever became
 * of it.
 *
 * Estimates (documented in docs/ARCHITECTURE.md): the prompt and the generated
 * text by the model's tokenizer, or by its ratio of bytes, never above what was
 * reserved. They are flagged and can be corrected from the provider's bill.
 */
#include <stdio.h>
#include <string.h>

#include "agent/dialect/sound.h"
#include "agent/front/count.h"
#include "agent/front/front.h"
#include "agent/front/lower.h"
#include "agent/front/places.h"
#include "agent/money/lease_value.h"
#include "proto/headgate.pb-c.h"
#include "proto/held.h"

#define SETTLE_PER_MESSAGE 16	 /* tokens of chat framing */
#define SETTLE_FIXED	   64	 /* tokens of any request */
#define SETTLE_PER_MEDIA   4096	 /* tokens of an image, a sound, a file */
#define SETTLE_SOUND_RATE  16000 /* bytes of a second, for estimates */

/* Units that are not tokens, as far as the request tells them. */
static void
settle_units(const struct scan *q, struct tokens *t)
{
	switch (q->op) {
	case OP_IMAGES:
	case OP_IMAGE_EDITS:
		t->n[TC_IMAGES] = q->n;
		break;
	case OP_SPEECH:
		t->n[TC_CHARACTERS] = q->n_chars;
		break;
	case OP_RERANK:
		t->n[TC_SEARCH_UNITS] = (q->n_messages + 99) / 100;
		break;
	case OP_TRANSCRIPTIONS:
	case OP_TRANSLATIONS:
		t->n[TC_AUDIO_SECONDS] = q->n_seconds;
		break;
	default:
		break;
	}
}

void
settle_worst(const struct scan *q, int64_t max_output, struct tokens *t)
{
	int64_t cap = max_output > 0 ? max_output : 0;

	memset(t, 0, sizeof(*t));
	if (q->op >= OP_RESPONSE_GET) /* billed when it was made */
		return;
	if (q->max_output > 0 && (cap == 0 || q->max_output < cap))
		cap = q->max_output;
	t->n[TC_INPUT] = q->text_bytes + SETTLE_PER_MESSAGE * q->n_messages +
			 SETTLE_PER_MEDIA * q->n_media + SETTLE_FIXED;
	if (scan_bills_output(q->op))
		t->n[TC_OUTPUT] =
		    q->n * (cap < OAI_MAX_TOKENS ? cap : OAI_MAX_TOKENS);
	settle_units(q, t);
}

static int64_t
settle_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* complete: a plain answer was read. */
static int64_t
settle_generated(struct request *r, bool complete)
{
	struct oai_count *c = &r->relay.chat.count;
	int64_t n;

	if (r->att.streamed)
		return relay_generated(&r->relay, complete);
	if (r->plan.mode != RELAY_TRANSLATE) /* it began with the answer */
		count_init(r->f, r->att.dep->model, 0, c);
	c->left = r->f->exact_left;
	n = relay_generated(&r->relay, complete);
	r->f->exact_left = c->left;
	return n;
}

/* Of a provider that told one side only: what it told. */
static void
settle_one_side(const struct ir_usage *told, struct tokens *t)
{
	if (told->input_total > 0)
		t->n[TC_INPUT] = told->input_total;
	if (told->output_total > 0)
		t->n[TC_OUTPUT] = told->output_total;
}

/* Units as the request tells them, which may be all that its model has a price
 * for. Of sound its bytes are known; their bound is far above what is usual. */
static void
settle_asked(const struct request *r, struct tokens *t)
{
	struct tokens units;

	memset(&units, 0, sizeof(units));
	settle_units(&r->scan, &units);
	if (units.n[TC_AUDIO_SECONDS] > 0)
		units.n[TC_AUDIO_SECONDS] =
		    units.n[TC_AUDIO_SECONDS] /
			(SETTLE_SOUND_RATE / SOUND_MIN_RATE) +
		    1;
	for (int c = 0; c < TC_COUNT; c++)
		if (token_class_is_unit((enum token_class)c))
			t->n[c] = settle_min(units.n[c], r->worst.n[c]);
}

static void
settle_estimate(
    struct request *r, bool with_output, bool complete, struct tokens *t)
{
	memset(t, 0, sizeof(*t));
	settle_asked(r, t);
	t->n[TC_INPUT] =
	    settle_min(count_prompt(r, r->att.dep->model, SETTLE_EXACT_MAX),
		r->worst.n[TC_INPUT]);
	if (with_output)
		t->n[TC_OUTPUT] = settle_min(
		    settle_generated(r, complete), r->worst.n[TC_OUTPUT]);
	if (with_output)
		settle_one_side(&relay_usage(&r->relay)->usage, t);
}

/* The provider may be working on it still. Where input costs nothing that would
 * come to nothing, as if nobody had been asked, and nothing would be held
 * behind it (held.h): a token of its output. */
static void
settle_least(const struct request *r, struct tokens *t)
{
	int64_t out = t->n[TC_OUTPUT] + t->n[TC_REASONING] +
		      t->n[TC_AUDIO_OUT] + t->n[TC_IMAGE_OUT];

	if (out == 0 && r->worst.n[TC_OUTPUT] > 0 &&
	    price_effective(&r->att.price, TC_INPUT) == 0)
		t->n[TC_OUTPUT] = 1;
}

/* The provider reported running totals, then the stream broke: no less than
 * what it reported, no less than what was delivered. */
static void
settle_partial(struct request *r, struct tokens *t)
{
	int64_t est, out;

	est = settle_min(settle_generated(r, false), r->worst.n[TC_OUTPUT]);
	*t = relay_usage(&r->relay)->usage.tokens;
	out = t->n[TC_OUTPUT] + t->n[TC_REASONING] + t->n[TC_AUDIO_OUT] +
	      t->n[TC_IMAGE_OUT];
	if (est > out)
		t->n[TC_OUTPUT] += est - out;
	settle_least(r, t);
}

/* A whole answer without usage of an operation whose units are known: all that
 * is billed where the model has a price for them. */
static bool
settle_by_units(struct request *r, struct tokens *t)
{
	struct tokens units;
	struct price price;
	int c;

	memset(&units, 0, sizeof(units));
	settle_units(&r->scan, &units);
	if (!b_model_price_for(r->att.dep->model, r->att.intent.started_at,
		STR(""), 0, &price))
		return false;
	for (c = 0; c < TC_COUNT; c++) {
		if (units.n[c] > 0 && price.per_mtok[c] >= 0 &&
		    c != TC_AUDIO_SECONDS) {
			*t = units;
			return true;
		}
	}
	return false;
}

/* A whole answer of moderations: OpenAI's format has no usage because they are
 * free. Where the model costs nothing either, that is all there is to know. */
static bool
settle_is_free(const struct request *r)
{
	struct price price;

	return r->scan.op == OP_MODERATIONS &&
	       b_model_price_for(r->att.dep->model, r->att.intent.started_at,
		   STR(""), 0, &price) &&
	       price_worst_input(&price) <= 0;
}

/* Did a whole answer tell its usage? Totals on the way to its end are none. */
static bool
settle_is_final(const struct request *r)
{
	const struct usage_state *u = relay_usage(&r->relay);

	return u->known && u->final && !r->relay.unreadable && !r->relay.error;
}

/* Did an answer of status 2xx hold nothing but an error? A stream that began
 * before has had the prompt read, and may have had hidden thoughts, whatever
 * of it the client could be shown. */
static bool
settle_only_error(const struct request *r)
{
	return r->att.refused && r->relay.text_bytes == 0 &&
	       (!r->att.streamed || r->relay.n_events <= 1);
}

/* The tokens of such an answer. What it told of its usage counts. A provider
 * that was too busy did nothing; one that broke down may have worked before,
 * which its bill tells: nothing is assumed. */
static uint32_t
settle_refused(const struct request *r, struct tokens *t)
{
	if (relay_usage(&r->relay)->known) {
		*t = relay_usage(&r->relay)->usage.tokens;
		return r->att.streamed
			   ? HG__USAGE_SOURCE__SOURCE_PROVIDER_PARTIAL
			   : HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
	}
	return r->att.billed ? HG__USAGE_SOURCE__SOURCE_ESTIMATED
			     : HG__USAGE_SOURCE__SOURCE_NONE;
}

/* Tokens of the attempt and where the counts come from. */
static uint32_t
settle_tokens(struct request *r, const struct up_result *res, bool complete,
    struct tokens *t)
{
	const struct attempt *att = &r->att;
	int status = att->have_head ? att->head.status : 0;

	memset(t, 0, sizeof(*t));
	if (att->state != ATT_CALLED || r->scan.op >= OP_RESPONSE_GET)
		return HG__USAGE_SOURCE__SOURCE_NONE;
	if (status >= 200 && status < 300) {
		if (settle_only_error(r))
			return settle_refused(r, t);
		if (complete && settle_is_final(r)) {
			*t = relay_usage(&r->relay)->usage.tokens;
			count_learn(r, &relay_usage(&r->relay)->usage);
			return HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
		}
		if (relay_usage(&r->relay)->known) {
			settle_partial(r, t);
			return HG__USAGE_SOURCE__SOURCE_PROVIDER_PARTIAL;
		}
		if (complete && (settle_is_free(r) || settle_by_units(r, t)))
			return HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
		settle_estimate(r, true, complete, t);
		if (!complete)
			settle_least(r, t);
		return HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	}
	if (status != 0 && att->billed) { /* and charges the prompt */
		settle_estimate(r, false, false, t);
		t->n[TC_IMAGES] = 0;
		return HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	}
	if (status != 0) /* the provider refused */
		return HG__USAGE_SOURCE__SOURCE_NONE;
	if (res != NULL && !res->sent_all)
		return HG__USAGE_SOURCE__SOURCE_NONE;
	/* The provider has the whole request and did not answer. When it hung
	 * up nothing is assumed; when we did, it may well be working on it. */
	if (res == NULL || res->error == ERR_UPSTREAM_TIMEOUT) {
		settle_estimate(r, false, false, t);
		settle_least(r, t);
	}
	return HG__USAGE_SOURCE__SOURCE_ESTIMATED;
}

static void
settle_names(const struct request *r, struct meter_names *n)
{
	memset(n, 0, sizeof(*n));
	if (r->key != NULL) {
		n->tenant_uid = r->key->tenant_uid;
		n->tenant = name_root(r->key->name);
	}
	if (r->route != NULL) {
		n->route_uid = r->route->uid;
		n->route = r->route->name;
	}
	if (r->att.dep != NULL) {
		n->deployment_uid = r->att.dep->uid;
		n->deployment = r->att.dep->name;
		n->provider = r->att.dep->provider->name;
		n->model = r->att.dep->model->name;
	}
}

static void
settle_copy(char *dst, size_t cap, struct str s)
{
	size_t n = s.len < cap - 1 ? s.len : cap - 1;

	memcpy(dst, s.len > 0 ? s.p : "", n);
	dst[n] = '\0';
}

static void
settle_explain_attempt(struct request *r, int error)
{
	struct explain_attempt *a;
	const struct attempt *att = &r->att;

	if (r->n_attempts == EXPLAIN_MAX_ATTEMPTS)
		return;
	a = &r->attempts[r->n_attempts++];
	a->deployment_uid = att->dep->uid;
	a->http_status = att->have_head ? att->head.status : 0;
	a->error = error;
	a->duration_us =
	    att->started > 0 ? (r->f->loop.mono - att->started) / 1000 : 0;
	settle_copy(a->deployment, sizeof(a->deployment), att->dep->name);
	settle_copy(a->region, sizeof(a->region), att->dep->region);
}

static uint32_t
settle_http_status(const struct request *r, const struct up_result *res)
{
	const struct attempt *att = &r->att;

	if (r->gone)
		return 499;
	if (res != NULL && res->error != 0)
		return (uint32_t)err_http_status(res->error);
	return att->have_head ? (uint32_t)att->head.status : 0;
}

static void
settle_note_finish(const struct request *r)
{
	static const char *const known[] = {"", "stop", "length", "tool_calls",
	    "content_filter", "function_call", "end_turn", "stop_sequence",
	    "max_tokens", "tool_use", "refusal", "pause_turn",
	    "model_context_window_exceeded", "STOP", "MAX_TOKENS", "SAFETY",
	    "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "OTHER",
	    "LANGUAGE", "IMAGE_SAFETY", "MALFORMED_FUNCTION_CALL",
	    "guardrail_intervened", "content_filtered", "completed",
	    "max_output_tokens", "COMPLETE", "TOOL_CALL", "incomplete"};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(r->relay.finish, known[i]) == 0)
			return;
	}
	metric_inc(r->f->agent->metrics, AM_UNKNOWN_FINISH, 1);
}

/* The price in force when the request came, for the tier and the size that the
 * answer tells of. */
static void
settle_price(struct request *r, struct journal_usage *u)
{
	const struct ir_usage *told = &relay_usage(&r->relay)->usage;
	struct price price;

	settle_copy(u->tier, sizeof(u->tier), str_of(told->tier));
	if (!b_model_price_for(r->att.dep->model, u->head.started_at,
		str_of(u->tier), tokens_input(&u->tokens), &price))
		price = r->att.price;
	if (money_cost(&u->tokens, &price, &u->cost) != 0)
		u->cost = r->amount;
}

/* Returns the cost. */
static int64_t
settle_record(struct request *r, const struct up_result *res, bool complete)
{
	struct attempt *att = &r->att;
	struct journal_usage u;
	int64_t now = r->f->loop.mono;
	int error = res != NULL ? res->error : 0;

	lower_settle(r);
	memset(&u, 0, sizeof(u));
	u.head = att->intent;
	u.source = settle_tokens(r, res, complete, &u.tokens);
	settle_price(r, &u);
	u.http_status = settle_http_status(r, res);
	if (att->started > 0)
		u.duration_us = (now - att->started) / 1000;
	if (att->first_byte > 0)
		u.first_byte_us = (att->first_byte - att->started) / 1000;
	memcpy(u.finish_reason, r->relay.finish, sizeof(u.finish_reason));
	if (r->gone)
		error = ERR_CLIENT_GONE;
	settle_copy(u.error_code, sizeof(u.error_code),
	    str_of(error != 0 ? err_name(error) : ""));
	memcpy(u.upstream_request_id, att->head.request_id,
	    sizeof(u.upstream_request_id));
	journal_usage(r->f->shard, &u);
	if (u.cost > att->rights.amount)
		metric_inc(r->f->agent->metrics, AM_OVERRUN, 1);
	if (relay_usage(&r->relay)->usage.inconsistent)
		metric_inc(r->f->agent->metrics, AM_USAGE_CLAMPED, 1);
	settle_note_finish(r);
	/* What an estimate may have cost more stays taken. */
	owed_add(r->f, &att->rights,
	    u.cost + usage_held(u.source, att->intent.reserved, u.cost));
	r->tokens = u.tokens;
	r->source = u.source;
	r->cost += u.cost;
	return u.cost;
}

void
settle_attempt(struct request *r, const struct up_result *res, bool complete)
{
	struct attempt *att = &r->att;
	struct meter_names names;
	int64_t cost;
	int error, i;

	if (att->state == ATT_NONE)
		return;
	error = res != NULL ? res->error : 0;
	if (att->state == ATT_RESERVED) {
		owed_cancel(r->f, &att->rights);
	} else {
		cost = settle_record(r, res, complete);
		settle_names(r, &names);
		learn_settled(&r->f->learn, att->dep->model->uid, r->key->uid,
		    cost, att->intent.reserved);
		meter_reserved(&r->f->meter, cost, att->intent.reserved);
		meter_usage(&r->f->meter, &names, &r->tokens, cost, r->source);
		for (i = 0; i < TC_COUNT; i++)
			if (!token_class_is_unit((enum token_class)i))
				r->real_tokens += r->tokens.n[i];
		if (att->state == ATT_CALLED)
			meter_attempt(&r->f->meter, &names,
			    att->have_head ? att->head.status : 0);
	}
	places_give(r);
	settle_explain_attempt(r, error);
	att->state = ATT_NONE;
}

/* A budget of the key; of one for each value the cell of the request's, when
 * its uid is known. */
static const struct budget_cell *
settle_budget(const struct request *r, unsigned i)
{
	struct budget_cell *of = r->key->budgets[i], *c;
	struct str value = STR("");

	if (r->key->filters == NULL || r->key->filters[i].each.len == 0)
		return of;
	if (!tags_get(&r->tags, r->key->filters[i].each, &value))
		value = STR("");
	c = lease_value_find(of, value);
	return c != NULL && atomic_load_explicit(
				&c->current, memory_order_acquire) != NULL
		   ? c
		   : of;
}

static void
settle_explain_budgets(const struct request *r, struct explain_entry *e)
{
	const struct budget_cell *c;
	const struct lease *l;
	struct explain_budget *b;
	unsigned i;

	for (i = 0; i < r->key->n_budgets; i++) {
		b = &e->budgets[e->n_budgets++];
		c = settle_budget(r, i);
		b->uid = c->uid;
		b->limit = budget_limit(c);
		b->soft = c->soft;
		b->spent =
		    atomic_load_explicit(&c->spent, memory_order_relaxed);
		settle_copy(b->name, sizeof(b->name), c->name);
		l = atomic_load_explicit(&c->current, memory_order_acquire);
		if (l != NULL) {
			b->left = atomic_load_explicit(
			    &l->left, memory_order_relaxed);
			b->period_start = l->period_start;
		}
	}
}

static void
settle_explain(struct request *r, int status)
{
	struct explain_entry e;
	const struct attempt *att = &r->att;

	memset(&e, 0, sizeof(e));
	memcpy(e.request_id, r->id_text, sizeof(r->id_text));
	e.started_at = r->started_wall;
	e.duration_us = (r->f->loop.mono - r->started) / 1000;
	if (att->first_byte > 0)
		e.first_byte_us = (att->first_byte - r->started) / 1000;
	e.waited_us = r->waited / 1000;
	e.worker = r->f->index;
	e.streamed = r->scan.stream;
	e.http_status = status;
	e.error = r->gone ? ERR_CLIENT_GONE : r->error;
	memcpy(e.error_code, r->error_code, sizeof(e.error_code));
	memcpy(e.reason, r->reason, sizeof(e.reason));
	memcpy(e.refused_by, r->refused_by, sizeof(e.refused_by));
	memcpy(e.finish_reason, r->relay.finish, sizeof(e.finish_reason));
	e.worst = r->worst;
	e.tokens = r->tokens;
	e.reserved = r->amount;
	e.released = r->released;
	e.cost = r->cost;
	e.source = r->source;
	e.limit_tokens = r->limit_tokens;
	e.limit_settled = r->real_tokens;
	e.config_version = r->bundle->version;
	if (r->key != NULL) {
		e.tenant_uid = r->key->tenant_uid;
		e.team_uid = r->key->team_uid;
		e.project_uid = r->key->project_uid;
		e.key_uid = r->key->uid;
		settle_copy(e.key, sizeof(e.key), r->key->name);
		settle_explain_budgets(r, &e);
	}
	if (r->route != NULL) {
		e.route_uid = r->route->uid;
		settle_copy(e.route, sizeof(e.route), r->route->name);
	}
	if (att->dep != NULL) {
		e.model_uid = att->dep->model->uid;
		e.price_version = att->dep->model->version;
		e.provider_uid = att->dep->provider->uid;
		settle_copy(e.model, sizeof(e.model), att->dep->model->name);
		settle_copy(e.tokenizer, sizeof(e.tokenizer),
		    att->dep->model->tokenizer);
		e.prompt_milli = count_milli_of(r->f, att->dep->model);
		settle_copy(
		    e.provider, sizeof(e.provider), att->dep->provider->name);
	}
	e.n_attempts = r->n_attempts;
	memcpy(e.attempts, r->attempts, r->n_attempts * sizeof(e.attempts[0]));
	explain_put(r->f->agent->explain, r->f->index, &e);
}

void
settle_request(struct request *r)
{
	struct front *f = r->f;
	struct meter_names names;
	double duration, first = -1;
	int status = r->gone ? 499 : r->answer.status;

	if (r->accounted)
		return;
	r->accounted = true;
	MUST(r->att.state == ATT_NONE);
	if (r->limits_held)
		limit_done(r->key->limits, r->key->n_limits,
		    r->real_tokens - r->limit_tokens, f->loop.mono);
	r->limits_held = false;
	places_exit(r);
	if (status == 0 && !r->gone) /* the head never came to its end */
		return;
	settle_names(r, &names);
	duration = (double)(f->loop.mono - r->started) / 1e9;
	if (r->att.first_byte > 0)
		first = (double)(r->att.first_byte - r->started) / 1e9;
	meter_request(&f->meter, &names, status, duration, first);
	if (f->agent->explain != NULL && r->bundle != NULL && r->key != NULL)
		settle_explain(r, status);
}
