/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What budgets have spent and leased, and decisions about doubtful rights:
 * those of agents whose journal cannot prove what was spent.
 */
#include <string.h>

#include "common/tags.h"
#include "controlplane/rest/budget_find.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/rest/money_json.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_value.h"

static int
budget_on_lease(void *ctx, const struct lease_status *l)
{
	json_t *row = json_pack("{s:o, s:o, s:I, s:I, s:I, s:b, s:o, s:o}",
	    "agent", json_strn(l->agent_id), "boot_epoch",
	    json_u64(l->boot_epoch), "granted", (json_int_t)l->granted,
	    "settled", (json_int_t)l->settled, "returned",
	    (json_int_t)l->returned, "doubtful", l->doubtful, "updated_at",
	    json_instant(l->updated_at), "period_start",
	    l->period_start > 1 ? json_instant(l->period_start) : json_null());

	return json_array_append_new(ctx, row) ? ERR_NOMEM : 0;
}

/* Takes leases. A budget without a limit has nothing free. */
static json_t *
budget_json(struct str name, json_t *spec, const struct budget_status *st,
    json_t *leases)
{
	bool limited = json_object_get(spec, "limit_usd") != NULL;
	json_t *out;

	out = json_pack("{s:o, s:o, s:O?, s:O?, s:O?}", "name", json_strn(name),
	    "uid", json_u64(st->budget_uid), "scope",
	    json_object_get(spec, "scope"), "mode",
	    json_object_get(spec, "mode"), "period",
	    json_object_get(spec, "period"));
	(void)json_object_update_new(out,
	    json_pack("{s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
		"limit_nanousd",
		limited ? json_integer(st->limit) : json_null(),
		"adjustment_nanousd", (json_int_t)st->adjust, "spent_nanousd",
		(json_int_t)st->settled, "free_nanousd",
		limited ? json_integer(st->free) : json_null(),
		"leased_nanousd", (json_int_t)st->leased, "released_nanousd",
		(json_int_t)st->released, "doubtful_nanousd",
		(json_int_t)st->doubtful, "held_nanousd", (json_int_t)st->held,
		"period_start",
		st->period_start - st->span > 1
		    ? json_instant(st->period_start - st->span)
		    : json_null(),
		"period_end",
		st->period_end < INT64_MAX ? json_instant(st->period_end)
					   : json_null(),
		"leases", leases));
	return out;
}

/* All values of a budget together; the limit is that of each. Takes leases. */
static int
budget_sum(struct rest_call *c, const struct budget_found *b, json_t *leases)
{
	struct budget_status st = {.budget_uid = b->uid};
	struct value_sum sum;
	json_t *out;
	int rc;

	rc = store_value_sum(
	    c->db, b->uid, clock_wall(c->o->clock), &sum, &c->e);
	if (rc != 0) {
		json_decref(leases);
		return rc;
	}
	st.limit = sum.limit;
	st.settled = sum.spent;
	st.held = sum.held;
	st.leased = sum.leased;
	st.period_start = sum.start;
	st.period_end = sum.end;
	out = budget_json(c->params[0], b->spec, &st, leases);
	(void)json_object_set_new(out, "free_nanousd", json_null());
	(void)json_object_set(out, "each", json_object_get(b->spec, "each"));
	(void)json_object_set_new(out, "values", json_integer(sum.n));
	(void)json_object_set_new(
	    out, "retired_values", json_integer(sum.n_retired));
	return rest_json(c, 200, out);
}

int
budget_answer(struct rest_call *c, struct str value)
{
	struct budget_found b;
	struct budget_status st;
	json_t *leases = json_array(), *out;
	int rc = budget_find(c, value, "value", &b);

	if (rc == 0 && b.cell == 0) {
		rc = budget_sum(c, &b, leases);
		json_decref(b.spec);
		return rc;
	}
	if (rc == 0)
		rc = store_budget_status(c->db, b.cell, clock_wall(c->o->clock),
		    &st, budget_on_lease, leases, &c->e);
	if (rc != 0) {
		json_decref(b.spec);
		json_decref(leases);
		return rc;
	}
	out = budget_json(c->params[0], b.spec, &st, leases);
	if (b.each) {
		(void)json_object_set(
		    out, "each", json_object_get(b.spec, "each"));
		(void)json_object_set_new(out, "value", json_strn(value));
	}
	json_decref(b.spec);
	return rest_json(c, 200, out);
}

int
budget_status(struct rest_call *c)
{
	return budget_answer(c, http_param(c->req, "value"));
}

static int
doubt_read(struct rest_call *c, struct doubt_decision *d)
{
	struct str boot, action, at;
	int rc;

	memset(d, 0, sizeof(*d));
	rc = body_only(c, "agent boot_epoch action reason period_start value");
	if (rc == 0)
		rc = body_string(c, "agent", 64, false, &d->agent_id);
	if (rc == 0)
		rc = body_string(
		    c, "boot_epoch", 20, d->agent_id.len > 0, &boot);
	if (rc == 0 && boot.p != NULL && str_to_u64(boot, &d->boot_epoch) != 0)
		rc = err_set_field(&c->e, ERR_INVALID, "/boot_epoch",
		    "boot_epoch must be a number as text");
	if (rc == 0)
		rc = body_string(c, "action", 16, true, &action);
	d->release = rc == 0 && str_eq(action, STR("release"));
	if (rc == 0 && !d->release && !str_eq(action, STR("book")))
		rc = err_set_field(&c->e, ERR_INVALID, "/action",
		    "action must be release (it was not spent) or book (it "
		    "was)");
	if (rc == 0)
		rc = body_string(c, "reason", 1000, true, &d->reason);
	if (rc == 0)
		rc = body_string(c, "period_start", 40, false, &at);
	if (rc == 0 && at.p != NULL && parse_time(at, &d->period_start) != 0)
		rc = err_set_field(&c->e, ERR_INVALID, "/period_start",
		    "period_start must be an instant");
	return rc;
}

int
budget_doubt(struct rest_call *c)
{
	struct budget_found b = {.uid = 0};
	struct budget_status st;
	struct doubt_decision d;
	struct str value = STR_NULL;
	int64_t amount = 0;
	int rc = doubt_read(c, &d);

	if (rc == 0)
		rc = body_string(c, "value", TAGS_USER_MAX, false, &value);
	if (rc == 0)
		rc = budget_find_one(c, value, "/value", &b);
	json_decref(b.spec);
	if (rc == 0 && d.period_start == 0) {
		rc = store_budget_status(c->db, b.cell, clock_wall(c->o->clock),
		    &st, NULL, NULL, &c->e);
		d.period_start = st.period_start;
	}
	if (rc != 0)
		return rc;
	d.budget_uid = b.cell;
	d.author = str_of(c->who.name);
	rc = store_doubt_decide(c->db, &d, &amount, &c->e);
	if (rc != 0)
		return rc;
	rest_audit(c, d.release ? "release doubt" : "book doubt",
	    json_pack("{s:o, s:I, s:I, s:o}", "agent", json_strn(d.agent_id),
		"boot_epoch", (json_int_t)d.boot_epoch, "amount_nanousd",
		(json_int_t)amount, "reason", json_strn(d.reason)),
	    "budgets/%.*s", STR_ARG(c->params[0]));
	return rest_json(c, 200,
	    json_pack("{s:s, s:I}", "action", d.release ? "release" : "book",
		"amount_nanousd", (json_int_t)amount));
}
