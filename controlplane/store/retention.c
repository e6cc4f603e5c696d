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
