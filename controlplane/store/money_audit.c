/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the checks of schema/0101_money_audit_checks.sql and reads what they
 * left.
 */
#include "controlplane/store/money_audit.h"

static const char *const audit_scopes[] = {"changed", "full", "range"};

/* ---- running ---- */

static int
audit_number(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, int64_t *ret, struct error *e)
{
	struct db_rows *r = NULL;
	int rc = db_query_one(db, st, args, n_args, &r, e);

	if (rc == 0)
		*ret = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

/* 0 = all. */
static int
audit_tenant(struct db *db, struct str name, int64_t *uid, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT uid FROM config_item WHERE kind = 1 AND name = $1"};
	int rc;

	*uid = 0;
	if (name.len == 0)
		return 0;
	rc = audit_number(db, &st, DB_ARGS(DBS(name)), uid, e);
	if (rc == ERR_NOT_FOUND)
		return err_set_field(e, rc, "/tenant",
		    "tenant %.*s does not exist", STR_ARG(name));
	return rc;
}

static int
audit_begin(struct db *db, const struct money_audit_request *q, int64_t tenant,
    int64_t *id, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT hg_audit_begin($1, $2, $3, $4, $5)"};

	return audit_number(db, &st,
	    DB_ARGS(DBS(q->actor), DBZ(audit_scopes[q->scope]), DBT0(q->from),
		DBT0(q->to), DBI(tenant)),
	    id, e);
}

static int
audit_days(struct db *db, const struct money_audit_request *q, int64_t tenant,
    int64_t id, struct error *e)
{
	static const struct db_stmt days = {"SELECT hg_audit_days($1)"};
	static const struct db_stmt day = {"SELECT hg_audit_day($1, $2, $3)"};
	struct db_rows *r = NULL;
	int64_t n;
	int rc;

	rc = db_query(db, &days, DB_ARGS(DBI(id)), &r, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		if (q->stop != NULL && q->stop(q->stop_ctx))
			rc = err_set(e, ERR_AGAIN, "stopped");
		else
			rc = audit_number(db, &day,
			    DB_ARGS(DBI(id), DBS(db_str(r, i, 0)), DBI(tenant)),
			    &n, e);
	}
	db_rows_free(r);
	return rc;
}

static int
audit_in_tx(struct db *db, const struct money_audit_request *q, int64_t *id,
    struct error *e)
{
	/* One snapshot, though it writes; scans may take long. */
	static const char settings[] =
	    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; "
	    "SET LOCAL statement_timeout = 0; SET LOCAL jit = off; "
	    "SET LOCAL work_mem = '64MB'";
	static const struct db_stmt end = {"SELECT hg_audit_end($1)"};
	int64_t tenant = 0;
	int rc;

	rc = db_script(db, settings, e);
	if (rc == 0)
		rc = db_try_lock(db, STORE_LOCK_AUDIT, e);
	if (rc == ERR_AGAIN)
		return err_set(e, ERR_CONFLICT, "an audit is running already");
	if (rc == 0)
		rc = audit_tenant(db, q->tenant, &tenant, e);
	if (rc == 0)
		rc = audit_begin(db, q, tenant, id, e);
	if (rc == 0)
		rc = audit_days(db, q, tenant, *id, e);
	if (rc == 0)
		rc = db_exec(db, &end, DB_ARGS(DBI(*id)), NULL, e);
	return rc;
}

int
money_audit_run(struct store *s, const struct money_audit_request *q,
    int64_t *id, struct error *e)
{
	struct db *db = NULL;
	int rc;

	rc = store_take(s, &db, e);
	if (rc == 0)
		rc = db_begin(db, e);
	if (rc == 0)
		rc = audit_in_tx(db, q, id, e);
	if (rc == 0)
		rc = db_commit(db, e);
	store_give(db);
	return rc;
}

int
money_audit_patience(struct db *db, struct error *e)
{
	return db_script(
	    db, "SET LOCAL idle_in_transaction_session_timeout = 0", e);
}

/* ---- reading ---- */

int
money_audit_get(
    struct db *db, int64_t id, money_audit_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT id, at, duration_ms, actor, scope, "
	    "CASE WHEN tenant_uid = 0 THEN '' ELSE hg_name(tenant_uid) END, "
	    "first_day, last_day, days, usage_rows, usage_cost, ledger_cost, "
	    "hourly_cost, daily_cost, budget_periods, leases, doubtful, held, "
	    "quarantined, differences, notices FROM money_audit "
	    "WHERE CASE WHEN $1::bigint <> 0 THEN id = $1 ELSE "
	    "tenant_uid = 0 END ORDER BY id DESC LIMIT 1"};
	struct db_rows *r = NULL;
	struct money_audit m;
	int64_t *const numbers[] = {&m.days, &m.usage_rows, &m.usage_cost,
	    &m.ledger_cost, &m.hourly_cost, &m.daily_cost, &m.budget_periods,
	    &m.leases, &m.doubtful, &m.held, &m.quarantined, &m.differences,
	    &m.notices};
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(id)), &r, e);
	if (rc == 0 && db_rows_count(r) == 1) {
		m = (struct money_audit){
		    .id = db_i64(r, 0, 0),
		    .at = db_time(r, 0, 1),
		    .duration_ms = db_i64(r, 0, 2),
		    .actor = db_str(r, 0, 3),
		    .scope = db_str(r, 0, 4),
		    .tenant = db_str(r, 0, 5),
		    .first_day = db_str(r, 0, 6),
		    .last_day = db_str(r, 0, 7),
		};
		for (int i = 0; i < (int)(sizeof(numbers) / sizeof(*numbers));
		     i++)
			*numbers[i] = db_i64(r, 0, 8 + i);
		rc = fn(ctx, &m);
	}
	db_rows_free(r);
	return rc;
}

int
money_audit_findings(struct db *db, int64_t id, int limit, money_finding_fn *fn,
    void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT kind, day, "
	    "CASE WHEN tenant_uid IS NULL THEN '' ELSE hg_name(tenant_uid) "
	    "END, CASE WHEN budget_uid IS NULL THEN '' ELSE "
	    "hg_name(budget_uid) END, agent_id, request_id, measure, detail, "
	    "notice, batch_id, boot_epoch, shard, seq, attempt, period_start, "
	    "expected, found FROM money_finding WHERE run_id = $1 "
	    "ORDER BY notice, id LIMIT $2"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(id), DBI(limit)), &r, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		struct money_finding f = {
		    .kind = db_str(r, i, 0),
		    .day = db_str(r, i, 1),
		    .tenant = db_str(r, i, 2),
		    .budget = db_str(r, i, 3),
		    .agent_id = db_str(r, i, 4),
		    .request_id = db_str(r, i, 5),
		    .measure = db_str(r, i, 6),
		    .detail = db_str(r, i, 7),
		    .notice = db_bool(r, i, 8),
		    .batch_id = db_i64(r, i, 9),
		    .boot_epoch = db_i64(r, i, 10),
		    .shard = db_i64(r, i, 11),
		    .seq = db_i64(r, i, 12),
		    .attempt = db_i64(r, i, 13),
		    .period_start = db_i64(r, i, 14),
		    .expected = db_i64(r, i, 15),
		    .found = db_i64(r, i, 16),
		};

		rc = fn(ctx, &f);
	}
	db_rows_free(r);
	return rc;
}
