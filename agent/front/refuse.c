/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that the gateway itself makes: body, status and retry advice. A
 * refusal that repeating cannot cure says so (x-should-retry: false), because
 * SDKs repeat 429 and 5xx by themselves.
 */
#include <stdio.h>
#include <string.h>

#include "agent/front/front.h"
#include "agent/money/lease_value.h"

#define NAME_WITH_VALUE 420 /* 255 and 128 bytes, and the brackets */

static void
refuse_advice(struct answer *a, int code)
{
	switch (code) {
	case ERR_BUDGET_EXHAUSTED:
		a->should_retry = 0;
		break;
	case ERR_BUDGET_BUSY:
		a->should_retry = 1;
		a->retry_ms = 500;
		break;
	case ERR_OVERLOADED:
	case ERR_NOT_READY:
	case ERR_UNAVAILABLE:
	case ERR_NOMEM:
		a->should_retry = 1;
		a->retry_ms = 1000;
		break;
	case ERR_JOURNAL_FULL:
		a->should_retry = 1;
		a->retry_ms = 5000;
		break;
	default:
		break;
	}
}

/* retry_ms < 0: by the code. */
static void
refuse_build(struct request *r, int code, const char *param, const char *text,
    const char *extra, int64_t retry_ms)
{
	struct answer *a = &r->answer;
	struct dialect_error de;

	a->is_json = true;
	a->retry_ms = -1;
	a->should_retry = -1;
	a->cost = -1;
	a->estimated = false;
	a->retry_after[0] = a->processing_ms[0] = '\0';
	refuse_advice(a, code);
	if (retry_ms >= 0) {
		a->retry_ms = retry_ms;
		a->should_retry = 1;
	}
	errors_of_code(code, param, str_of(text), &de);
	de.retry_ms = a->retry_ms;
	a->status = errors_status(r->target.s.client, &de);
	buf_clear(&r->out);
	errors_write(&r->out, r->target.s.client, &de, r->id_text, extra);
	r->error = code;
	(void)snprintf(
	    r->error_code, sizeof(r->error_code), "%s", err_name(code));
	(void)snprintf(r->reason, sizeof(r->reason), "%s", text);
}

void
refuse_prepare(struct request *r, int code, const char *param, const char *text,
    const char *extra)
{
	refuse_build(r, code, param, text, extra, -1);
}

static void
refuse_send(struct request *r)
{
	meter_count(&r->f->meter, AM_REFUSED, r->error_code);
	request_move(r, REQ_ANSWER);
	server_resume(r);
}

void
refuse_field(struct request *r, int code, const char *param, const char *text)
{
	refuse_prepare(r, code, param, text, NULL);
	refuse_send(r);
}

void
refuse(struct request *r, int code, const char *text)
{
	refuse_field(r, code, NULL, text != NULL ? text : err_text(code));
}

void
refuse_busy(struct request *r, int64_t retry_ms, const char *text)
{
	refuse_build(r, ERR_OVERLOADED, NULL, text, NULL, retry_ms);
	refuse_send(r);
}

void
refuse_head(struct request *r, enum head_reason reason)
{
	meter_count(&r->f->meter, AM_BAD_HEAD, head_reason_name(reason));
	refuse_prepare(
	    r, head_reason_code(reason), NULL, head_reason_text(reason), NULL);
	if (reason == HEAD_FIELDS_TOO_LARGE)
		r->answer.status = 431;
	if (reason == HEAD_ENCODED_BODY)
		r->answer.status = 415;
	r->answer.close = true;
	refuse_send(r);
}

void
refuse_limit(struct request *r, const struct limit_verdict *v)
{
	static const char *const what[] = {"", "requests per minute",
	    "tokens per minute", "concurrent requests"};
	static const char *const label[] = {
	    "none", "requests", "tokens", "concurrency"};
	char text[320];

	(void)snprintf(text, sizeof(text),
	    "Rate limit reached for %.*s (%.*s): %lld %s. Please try again in "
	    "%lld ms.",
	    STR_ARG(v->cell->name), STR_ARG(v->cell->scope),
	    (long long)v->limit, what[v->which], (long long)v->retry_ms);
	refuse_build(r, ERR_RATE_LIMITED, NULL, text, NULL, v->retry_ms);
	(void)snprintf(r->refused_by, sizeof(r->refused_by), "%.*s",
	    STR_ARG(v->cell->name));
	meter_count(&r->f->meter, AM_LIMIT_REJECT, label[v->which]);
	refuse_send(r);
}

/* Of what was the request short? When what is spent leaves room for its worst
 * case, the rest is held by requests in flight and other agents: these are the
 * refusals that may turn out to have been needless. */
static struct str
refuse_short(const struct request *r, const struct budget_cell *cell)
{
	const struct lease *l =
	    atomic_load_explicit(&cell->current, memory_order_acquire);
	int64_t limit, spent;

	if (l == NULL || r->f->loop.mono >= atomic_load_explicit(&l->fence_mono,
						memory_order_acquire))
		return STR("lease");
	limit = budget_limit(cell);
	spent = atomic_load_explicit(&cell->spent, memory_order_relaxed);
	return spent >= 0 && limit - spent >= r->amount ? STR("rights")
							: STR("limit");
}

/* "acme.users", of a value "acme.users[alice]": it is the caller's own. */
static void
refuse_budget_name(const struct budget_cell *cell, char *dst, size_t cap)
{
	struct str value = lease_value_text(cell);

	if (value.p == NULL)
		(void)snprintf(dst, cap, "%.*s", STR_ARG(cell->name));
	else
		(void)snprintf(dst, cap, "%.*s[%.*s]", STR_ARG(cell->name),
		    STR_ARG(value));
}

/* Is it refused because there is no room for its value? */
static bool
refuse_is_full(
    const struct budget_cell *cell, char *text, size_t cap, const char *name)
{
	if (atomic_load_explicit(&cell->each, memory_order_relaxed))
		(void)snprintf(text, cap,
		    "Budget %s cannot count one more value now: this agent "
		    "keeps as many as it may (--budget-values). Please try "
		    "again.",
		    name);
	else if (lease_value_is_refused(cell))
		(void)snprintf(text, cap,
		    "Budget %s cannot be opened: the budget counts as many "
		    "values as it may (max_values).",
		    name);
	else
		return false;
	return true;
}

/* What a refusal says of its budget. */
struct refused_budget {
	char limit[32], spent[32], reset[40]; /* reset "" = never */
	bool over, silent;
};

static void
refuse_budget_text(const struct budget_cell *cell,
    const struct refused_budget *f, const char *name, char *text, size_t cap)
{
	if (refuse_is_full(cell, text, cap, name))
		return;
	(void)snprintf(text, cap, "%s %s %s: %s of %s USD are spent%s%s.%s",
	    f->over	? "Budget"
	    : f->silent ? "This gateway holds too little of budget"
			: "The rest of budget",
	    name,
	    f->over	? "is exhausted"
	    : f->silent ? "and its control plane does not answer"
			: "is in use by requests in flight",
	    f->spent, f->limit, f->reset[0] != '\0' ? "; it resets at " : "",
	    f->reset, f->over ? "" : " Please try again.");
}

/* The members of the error that programs read. */
static void
refuse_budget_json(const struct budget_cell *cell,
    const struct refused_budget *f, char *extra, size_t cap)
{
	struct buf b;

	buf_init(&b, cap - 1);
	(void)buf_addz(&b, ",\"headgate\":{\"budget\":");
	(void)buf_add_json(&b, cell->name);
	if (lease_value_text(cell).p != NULL) {
		(void)buf_addz(&b, ",\"value\":");
		(void)buf_add_json(&b, lease_value_text(cell));
	}
	(void)buf_addz(&b, ",\"scope\":");
	(void)buf_add_json(&b, name_root(cell->name));
	(void)buf_addf(&b, ",\"limit_usd\":\"%s\",\"spent_usd\":\"%s\"",
	    f->limit, f->spent);
	if (f->reset[0] != '\0')
		(void)buf_addf(&b, ",\"resets_at\":\"%s\"}", f->reset);
	else
		(void)buf_addz(&b, ",\"resets_at\":null}");
	(void)snprintf(extra, cap, "%s", buf_cstr(&b));
	buf_release(&b);
}

void
refuse_budget(struct request *r, int code, const struct budget_cell *cell)
{
	struct refused_budget f = {.over = code == ERR_BUDGET_EXHAUSTED};
	char text[768], extra[2048], name[NAME_WITH_VALUE];
	int64_t at =
	    atomic_load_explicit(&cell->reset_at, memory_order_relaxed);
	struct str label[2];

	f.silent = !f.over && lease_silent(cell, r->f->loop.mono);
	money_format(budget_limit(cell), f.limit);
	money_format(
	    atomic_load_explicit(&cell->spent, memory_order_relaxed), f.spent);
	if (at > 0 && at < INT64_MAX)
		time_format(at, 0, f.reset);
	refuse_budget_json(cell, &f, extra, sizeof(extra));
	refuse_budget_name(cell, name, sizeof(name));
	refuse_budget_text(cell, &f, name, text, sizeof(text));
	refuse_prepare(r, code, NULL, text, extra[0] != '\0' ? extra : NULL);
	/* The value is for nobody but the caller. */
	(void)snprintf(
	    r->refused_by, sizeof(r->refused_by), "%.*s", STR_ARG(cell->name));
	refuse_budget_text(
	    cell, &f, r->refused_by, r->reason, sizeof(r->reason));
	label[0] = str_of(err_name(code));
	label[1] = refuse_short(r, cell);
	metric_add(
	    metric_series(r->f->agent->metrics, AM_BUDGET_REJECT, label, 2), 1);
	refuse_send(r);
}

void
refuse_in_stream(struct request *r, int code, const char *text)
{
	struct dialect_error de;

	errors_of_code(code, NULL, str_of(text), &de);
	relay_break(&r->relay, &de, r->id_text);
	r->error = code;
	(void)snprintf(
	    r->error_code, sizeof(r->error_code), "%s", err_name(code));
	(void)snprintf(r->reason, sizeof(r->reason), "%s", text);
}
