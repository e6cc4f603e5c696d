/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of budget periods: schema/0120_period_close.sql and 0122 do it, here
 * it is asked for, in transactions that are small, and told about.
 */
#include "controlplane/store/store_budget.h"

#define CLOSE_MOST 100 /* periods in one transaction */

struct closing {
	int64_t now, seen;
	struct budget_closing *ret;
};

static int
end_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {"SELECT hg_budget_end($1, $2)"};
	struct closing *x = ctx;
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(
	    db, &st, DB_ARGS(DBI(x->now), DBI(BUDGET_CLOSE_SKEW_NS)), &r, e);
	if (rc == 0)
		x->ret->closing = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

static int
close_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT seen, closed, carried "
	    "FROM hg_budget_close_some($1, $2, $3, $4)"};
	struct closing *x = ctx;
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st,
	    DB_ARGS(DBI(x->now), DBI(BUDGET_CLOSE_SKEW_NS),
		DBI(BUDGET_CLOSE_WAIT_NS), DBI(CLOSE_MOST)),
	    &r, e);
	if (rc == 0) {
		x->seen = db_i64(r, 0, 0);
		x->ret->closed = db_i64(r, 0, 1);
		x->ret->carried = db_i64(r, 0, 2);
	}
	db_rows_free(r);
	return rc;
}

static int
expire_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {"SELECT hg_carry_expire($1)"};
	struct closing *x = ctx;

	return db_exec(db, &st, DB_ARGS(DBI(x->now)), NULL, e);
}

int
store_budget_close(
    struct store *s, int64_t now, struct budget_closing *ret, struct error *e)
{
	struct budget_closing part = {0};
	struct closing x = {now, 0, &part};
	int rc;

	*ret = part;
	rc = store_tx(s, 0, end_tx, &x, e);
	if (rc == 0)
		ret->closing = part.closing;
	do {
		if (rc == 0)
			rc = store_tx(s, 0, close_tx, &x, e);
		if (rc == 0) {
			ret->closed += part.closed;
			ret->carried += part.carried;
		}
		/* what others are at is not waited for */
	} while (rc == 0 && x.seen == CLOSE_MOST && part.closed > 0);
	return rc == 0 ? store_tx(s, 0, expire_tx, &x, e) : rc;
}

int
store_budget_periods(struct db *db, uint64_t budget_uid, int64_t before,
    int limit, budget_period_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT p.period_start, p.period_end, p.state, p.limit_nano, "
	    "p.base_nano, p.adjust_nano, p.settled, p.held, p.free, "
	    "coalesce(l.live, 0)::bigint, coalesce(k.sum_in, 0)::bigint, "
	    "coalesce(k.sum_out, 0)::bigint, coalesce(a.sum_in, 0)::bigint, "
	    "coalesce(a.sum_out, 0)::bigint, p.closed_at FROM (SELECT * "
	    "FROM budget_period WHERE budget_uid = $1 AND period_start < $2 "
	    "ORDER BY period_start DESC LIMIT $3) p "
	    "LEFT JOIN LATERAL (SELECT sum(granted - returned - settled) "
	    "AS live FROM lease x WHERE x.budget_uid = p.budget_uid "
	    "AND x.period_start = p.period_start) l ON true "
	    "LEFT JOIN LATERAL (SELECT sum(x.cost) FILTER (WHERE x.to_period "
	    "= p.period_start) AS sum_in, sum(x.cost) FILTER (WHERE "
	    "x.from_period = p.period_start) AS sum_out "
	    "FROM budget_correction x WHERE x.budget_uid = p.budget_uid "
	    "AND (x.to_period = p.period_start "
	    "OR x.from_period = p.period_start)) k ON true "
	    "LEFT JOIN LATERAL (SELECT sum(x.amount) FILTER (WHERE "
	    "x.period_start = p.period_start) AS sum_in, sum(x.amount) "
	    "FILTER (WHERE x.from_period = p.period_start AND x.amount > 0) "
	    "AS sum_out FROM budget_adjustment x WHERE x.kind = 'carry' "
	    "AND x.budget_uid = p.budget_uid "
	    "AND (x.period_start = p.period_start "
	    "OR x.from_period = p.period_start)) a ON true "
	    "ORDER BY p.period_start DESC"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(
	    db, &st, DB_ARGS(DBI(budget_uid), DBI(before), DBI(limit)), &r, e);
	for (size_t i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct budget_period_row p = {.start = db_i64(r, i, 0),
		    .end = db_i64(r, i, 1),
		    .state = db_str(r, i, 2),
		    .limit = db_i64(r, i, 3),
		    .base = db_i64(r, i, 4),
		    .adjust = db_i64(r, i, 5),
		    .settled = db_i64(r, i, 6),
		    .held = db_i64(r, i, 7),
		    .free = db_i64(r, i, 8),
		    .leased = db_i64(r, i, 9),
		    .corrections_in = db_i64(r, i, 10),
		    .corrections_out = db_i64(r, i, 11),
		    .carried_in = db_i64(r, i, 12),
		    .carried_out = db_i64(r, i, 13),
		    .closed_at = db_is_null(r, i, 14) ? 0 : db_time(r, i, 14)};

		rc = fn(ctx, &p);
	}
	db_rows_free(r);
	return rc;
}
