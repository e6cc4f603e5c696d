/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See store_budget.h and schema/0092_budget_events.sql.
 */
#include "controlplane/store/store_budget.h"

struct raise {
	int64_t now, n;
};

static int
raise_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {"SELECT hg_budget_events($1)"};
	struct raise *x = ctx;
	struct db_rows *r = NULL;
	int rc = db_query_one(db, &st, DB_ARGS(DBI(x->now)), &r, e);

	if (rc == 0)
		x->n = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_budget_raise(struct store *s, int64_t now, int64_t *n, struct error *e)
{
	struct raise x = {now, 0};
	int rc = store_tx(s, 0, raise_tx, &x, e);

	*n = rc == 0 ? x.n : 0;
	return rc;
}

int
store_budget_events(struct db *db, uint64_t budget_uid, int64_t before,
    int limit, budget_event_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT v.id, v.at, coalesce(x.budget_uid, v.budget_uid), "
	    "coalesce(i.name, ''), "
	    "v.period_start, v.kind, v.percent::bigint, v.limit_nano, "
	    "v.spent_nano, coalesce(v.forecast_nano, -1), "
	    "coalesce(v.amount_nano, -1), x.value FROM budget_event v "
	    "LEFT JOIN budget_value x ON x.cell_uid = v.budget_uid "
	    "LEFT JOIN config_item i ON i.kind = 9 "
	    "AND i.uid = coalesce(x.budget_uid, v.budget_uid) "
	    "WHERE ($1::bigint = 0 OR v.budget_uid = $1::bigint "
	    "OR x.budget_uid = $1::bigint) "
	    "AND ($2::bigint = 0 OR v.id < $2::bigint) "
	    "ORDER BY v.id DESC LIMIT $3"};
	struct db_rows *r = NULL;
	size_t i;
	int rc;

	rc = db_query(
	    db, &st, DB_ARGS(DBI(budget_uid), DBI(before), DBI(limit)), &r, e);
	for (i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct budget_event ev = {.id = db_i64(r, i, 0),
		    .at = db_time(r, i, 1),
		    .budget_uid = (uint64_t)db_i64(r, i, 2),
		    .budget = db_str(r, i, 3),
		    .period_start = db_i64(r, i, 4),
		    .kind = db_str(r, i, 5),
		    .percent = (int)db_i64(r, i, 6),
		    .limit = db_i64(r, i, 7),
		    .spent = db_i64(r, i, 8),
		    .forecast = db_i64(r, i, 9),
		    .amount = db_i64(r, i, 10),
		    .value =
			db_is_null(r, i, 11) ? STR_NULL : db_str(r, i, 11)};

		rc = fn(ctx, &ev);
	}
	db_rows_free(r);
	return rc;
}

int
store_budget_increase(
    struct db *db, const struct budget_move *m, int64_t until, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT hg_budget_increase($1, $2, $3, $4, $5, $6)"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st,
	    DB_ARGS(DBI(m->budget_uid), DBI(m->amount), DBI(until), DBI(m->now),
		DBS(m->author), DBS(m->reason)),
	    &r, e);
	if (rc == 0 && !db_bool(r, 0, 0))
		rc = err_set(e, ERR_INVALID,
		    "the budget has no limit, or has not begun");
	db_rows_free(r);
	return rc;
}

int
store_budget_transfer(struct db *db, const struct budget_move *m,
    uint64_t to_uid, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT hg_budget_transfer($1, $2, $3, $4, $5, $6)"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st,
	    DB_ARGS(DBI(m->budget_uid), DBI(to_uid), DBI(m->amount),
		DBI(m->now), DBS(m->author), DBS(m->reason)),
	    &r, e);
	if (rc == 0 && str_eqz(db_str(r, 0, 0), "short"))
		rc = err_set_field(e, ERR_CONFLICT, "/amount_usd",
		    "less than that is free in the current period");
	else if (rc == 0 && str_eqz(db_str(r, 0, 0), "closed"))
		rc = err_set(e, ERR_CONFLICT,
		    "the current period of one of the budgets was closed");
	else if (rc == 0 && str_eqz(db_str(r, 0, 0), "gone"))
		rc = err_set(e, ERR_NOT_FOUND, "no such budget");
	else if (rc == 0 && !str_eqz(db_str(r, 0, 0), "ok"))
		rc = err_set(e, ERR_INVALID,
		    "money is transferred between budgets with a calendar "
		    "period or once");
	db_rows_free(r);
	return rc;
}
