/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is thrown away in time; see schema/0102_retention.sql.
 */
#include "common/clock.h"
#include "controlplane/store/money_audit.h"

#define RETENTION_DAY_NS (86400 * NS_PER_S)
/* Readers and writers wait behind us while we wait. */
#define RETENTION_LOCK "SET LOCAL lock_timeout = '2s'"

struct expire {
	const struct db_stmt *st;
	struct db_val arg;
	int64_t n;
};

static int
expire_tx(struct db *db, void *ctx, struct error *e)
{
	struct expire *x = ctx;
	struct db_rows *r = NULL;
	int rc;

	rc = db_script(db, RETENTION_LOCK, e);
	if (rc == 0)
		rc = db_try_lock(db, STORE_LOCK_AUDIT, e);
	if (rc == 0)
		rc = db_query_one(db, x->st, DB_ARGS(x->arg), &r, e);
	if (rc == 0)
		x->n = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_audit_retention(struct store *s, int64_t days, int64_t wall_now,
    int64_t *n, struct error *e)
{
	static const struct db_stmt st = {"SELECT hg_audit_expire($1)"};
	struct expire x = {
	    .st = &st, .arg = DBT(wall_now - days * RETENTION_DAY_NS)};
	int rc;

	*n = 0;
	do {
		rc = store_tx(s, 1, expire_tx, &x, e);
		if (rc == 0)
			*n += x.n;
	} while (rc == 0 && x.n > 0);
	return rc;
}

/* A share that holds keeps its limit's rows: should a rollback bring the limit
 * back, what is lent counts. The rows that somebody works with are skipped. */
int
store_rate_retention(
    struct store *s, int64_t wall_now, int64_t *n, struct error *e)
{
	static const struct db_stmt st = {
	    "WITH gone AS MATERIALIZED (SELECT p.limit_uid FROM rate_pool p "
	    "WHERE p.at < $1 AND NOT EXISTS (SELECT 1 FROM config_item i "
	    "WHERE i.uid = p.limit_uid) AND NOT EXISTS (SELECT 1 FROM "
	    "rate_share s WHERE s.limit_uid = p.limit_uid "
	    "AND greatest(s.until_at, s.old_until) >= $1) "
	    "FOR UPDATE OF p SKIP LOCKED), shares AS (DELETE FROM rate_share s "
	    "USING gone WHERE s.limit_uid = gone.limit_uid), pools AS (DELETE "
	    "FROM rate_pool p USING gone WHERE p.limit_uid = gone.limit_uid) "
	    "SELECT count(*) FROM gone"};
	struct expire x = {.st = &st, .arg = DBI(wall_now - RETENTION_DAY_NS)};
	int rc = store_tx(s, 1, expire_tx, &x, e);

	*n = rc == 0 ? x.n : 0;
	return rc;
}

int
store_retention(struct store *s, int64_t days, int64_t wall_now,
    struct retention *ret, struct error *e)
{
	static const struct db_stmt day = {
	    "SELECT (hg_usage_drop(($1::timestamptz AT TIME ZONE "
	    "'UTC')::date) IS NOT NULL)::int"};
	static const struct db_stmt lease = {"SELECT hg_lease_expire($1)"};
	static const struct db_stmt period = {"SELECT hg_period_prune($1)"};
	int64_t before = wall_now - days * RETENTION_DAY_NS;
	struct expire x = {.st = &day, .arg = DBT(before)};
	int rc;

	*ret = (struct retention){0};
	do {
		rc = store_tx(s, 1, expire_tx, &x, e);
		if (rc == 0)
			ret->days += x.n;
	} while (rc == 0 && x.n > 0);
	if (rc != 0)
		return rc;
	x = (struct expire){.st = &lease, .arg = DBI(before)};
	rc = store_tx(s, 1, expire_tx, &x, e);
	ret->leases = x.n;
	if (rc != 0)
		return rc;
	x = (struct expire){.st = &period, .arg = DBI(before)};
	rc = store_tx(s, 1, expire_tx, &x, e);
	ret->periods = x.n;
	return rc;
}
