/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: one row for each write and each refused write.
 */
#include "controlplane/store/store_admin.h"

int
audit_add(struct db *db, const struct audit_entry *a, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO audit (actor, role, action, target, request_id, "
	    "remote, version, status, detail) VALUES ($1, $2, $3, $4, $5, $6, "
	    "nullif($7::bigint, 0), $8, $9)"};

	return db_exec(db, &st,
	    DB_ARGS(DBS(a->actor), DBS(a->role), DBS(a->action), DBS(a->target),
		DBS(a->request_id), DBS(a->remote), DBI(a->version),
		DBI(a->status), a->detail.len > 0 ? DBS(a->detail) : DBNULL),
	    NULL, e);
}

int
audit_list(struct db *db, const struct audit_filter *f, audit_fn *fn, void *ctx,
    struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT id, at, actor, role, action, target, request_id, remote, "
	    "version, status, detail FROM audit "
	    "WHERE ($1::bigint = 0 OR id < $1) AND ($2::text = '' OR actor = "
	    "$2) AND ($3::text = '' OR starts_with(target, $3)) "
	    "AND ($4::timestamptz IS NULL OR at >= $4) "
	    "AND ($5::timestamptz IS NULL OR at < $5) "
	    "ORDER BY id DESC LIMIT $6"};
	struct db_rows *r = NULL;
	struct audit_entry a;
	int rc;

	rc = db_query(db, &st,
	    DB_ARGS(DBI(f->before), DBS(f->actor), DBS(f->target_prefix),
		DBT0(f->from), DBT0(f->to), DBI(f->limit)),
	    &r, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		a.id = db_i64(r, i, 0);
		a.at = db_time(r, i, 1);
		a.actor = db_str(r, i, 2);
		a.role = db_str(r, i, 3);
		a.action = db_str(r, i, 4);
		a.target = db_str(r, i, 5);
		a.request_id = db_str(r, i, 6);
		a.remote = db_str(r, i, 7);
		a.version = (uint64_t)db_i64(r, i, 8);
		a.status = (int)db_i64(r, i, 9);
		a.detail = db_str(r, i, 10);
		rc = fn(ctx, &a);
	}
	db_rows_free(r);
	return rc;
}
