/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit of money: its latest run with what it found, and a run on demand.
 */
#include <time.h>

#include "controlplane/rest/call.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/store/money_audit.h"

#define AUDIT_TRIES   50
#define AUDIT_WAIT_NS 200000000L /* while another run goes on */

static json_t *
text_or_null(struct str s)
{
	return s.len > 0 ? json_strn(s) : json_null();
}

static json_t *
number_or_null(int64_t v)
{
	return v != 0 ? json_integer(v) : json_null();
}

static int
money_on_run(void *ctx, const struct money_audit *m)
{
	json_t **ret = ctx;

	*ret = json_pack(
	    "{s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, "
	    "s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "id", json_u64((uint64_t)m->id), "at", json_instant(m->at),
	    "duration_ms", (json_int_t)m->duration_ms, "actor",
	    json_strn(m->actor), "scope", json_strn(m->scope), "first_day",
	    text_or_null(m->first_day), "last_day", text_or_null(m->last_day),
	    "tenant", text_or_null(m->tenant), "days", (json_int_t)m->days,
	    "usage_rows", (json_int_t)m->usage_rows, "usage_nanousd",
	    (json_int_t)m->usage_cost, "ledger_nanousd",
	    (json_int_t)m->ledger_cost, "hourly_nanousd",
	    (json_int_t)m->hourly_cost, "daily_nanousd",
	    (json_int_t)m->daily_cost, "budget_periods",
	    (json_int_t)m->budget_periods, "leases", (json_int_t)m->leases,
	    "doubtful_nanousd", (json_int_t)m->doubtful, "held_nanousd",
	    (json_int_t)m->held, "quarantined", (json_int_t)m->quarantined,
	    "differences", (json_int_t)m->differences, "notices",
	    (json_int_t)m->notices);
	return *ret != NULL ? 0 : ERR_NOMEM;
}

static int
money_on_finding(void *ctx, const struct money_finding *f)
{
	json_t *row = json_pack(
	    "{s:o, s:b, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
	    "s:o, s:o, s:o, s:o, s:o}",
	    "kind", json_strn(f->kind), "notice", f->notice, "measure",
	    json_strn(f->measure), "expected", (json_int_t)f->expected, "found",
	    (json_int_t)f->found, "day", text_or_null(f->day), "tenant",
	    text_or_null(f->tenant), "budget", text_or_null(f->budget),
	    "period_start",
	    f->period_start > 1 ? json_instant(f->period_start) : json_null(),
	    "batch", number_or_null(f->batch_id), "agent",
	    text_or_null(f->agent_id), "boot_epoch",
	    f->agent_id.len > 0 ? json_u64((uint64_t)f->boot_epoch)
				: json_null(),
	    "shard", f->agent_id.len > 0 ? json_integer(f->shard) : json_null(),
	    "seq", f->seq != 0 ? json_u64((uint64_t)f->seq) : json_null(),
	    "request_id", text_or_null(f->request_id), "attempt",
	    number_or_null(f->attempt), "detail", json_strn(f->detail));

	return json_array_append_new(ctx, row) ? ERR_NOMEM : 0;
}

static int
money_answer(struct rest_call *c, int64_t id, int limit)
{
	json_t *out = NULL, *list = json_array();
	int rc;

	rc = money_audit_get(c->db, id, money_on_run, &out, &c->e);
	if (rc == 0 && out == NULL)
		rc = err_set(&c->e, ERR_NOT_FOUND, "money was not audited yet");
	if (rc == 0 &&
	    str_to_i64(str_of(json_string_value(json_object_get(out, "id"))),
		&id) != 0)
		rc = err_set(&c->e, ERR_INTERNAL, "bad number of a run");
	if (rc == 0)
		rc = money_audit_findings(
		    c->db, id, limit, money_on_finding, list, &c->e);
	if (rc != 0) {
		json_decref(out);
		json_decref(list);
		return rc;
	}
	(void)json_object_set_new(out, "findings", list);
	return rest_json(c, 200, out);
}

int
money_audit_latest(struct rest_call *c)
{
	int limit = 0, rc = query_limit(c, &limit);

	return rc != 0 ? rc : money_answer(c, 0, limit);
}

static int
money_request(struct rest_call *c, struct money_audit_request *q)
{
	struct str from, to;
	int rc;

	q->actor = str_of(c->who.name);
	rc = body_only(c, "from to tenant");
	if (rc == 0)
		rc = body_string(c, "from", 40, false, &from);
	if (rc == 0)
		rc = body_string(c, "to", 40, false, &to);
	if (rc == 0)
		rc = body_string(c, "tenant", 200, false, &q->tenant);
	if (rc == 0 && from.p != NULL && parse_time(from, &q->from) != 0)
		rc = err_set_field(&c->e, ERR_INVALID, "/from",
		    "from must be an instant or a date");
	if (rc == 0 && to.p != NULL && parse_time(to, &q->to) != 0)
		rc = err_set_field(&c->e, ERR_INVALID, "/to",
		    "to must be an instant or a date");
	if (rc == 0 && q->to != 0 && q->to <= q->from)
		rc = err_set_field(
		    &c->e, ERR_INVALID, "/to", "to must lie after from");
	if (rc == 0 && (q->from != 0 || q->to != 0))
		q->scope = MONEY_AUDIT_RANGE;
	return rc;
}

int
money_audit_post(struct rest_call *c)
{
	const struct timespec wait = {0, AUDIT_WAIT_NS};
	struct money_audit_request q = {.scope = MONEY_AUDIT_FULL};
	int64_t id = 0;
	int rc = money_request(c, &q);

	/* The run has a transaction of its own, this one waits. */
	if (rc == 0)
		rc = money_audit_patience(c->db, &c->e);
	if (rc != 0)
		return rc;
	for (int i = 0; i < AUDIT_TRIES; i++) {
		rc = money_audit_run(c->o->store, &q, &id, &c->e);
		if (rc != ERR_CONFLICT && rc != ERR_AGAIN)
			break;
		(void)nanosleep(&wait, NULL);
	}
	if (rc != 0)
		return rc;
	rest_audit(c, "audit money",
	    json_pack("{s:I, s:o}", "run", (json_int_t)id, "tenant",
		text_or_null(q.tenant)),
	    "money");
	return money_answer(c, id, 1000);
}
