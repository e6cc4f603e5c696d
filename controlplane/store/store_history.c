/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Past versions of the configuration, and sealed provider credentials.
 */
#include "controlplane/store/store_config.h"

#define VERSION_COLUMNS "version, author, message, at, rollback_of, n_changes"

static int
versions_each(struct db_rows *r, store_version_fn *fn, void *ctx)
{
	struct store_version v;
	int rc = 0;

	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		v.version = (uint64_t)db_i64(r, i, 0);
		v.author = db_str(r, i, 1);
		v.message = db_str(r, i, 2);
		v.at = db_time(r, i, 3);
		v.rollback_of = (uint64_t)db_i64(r, i, 4);
		v.n_changes = db_i64(r, i, 5);
		rc = fn(ctx, &v);
	}
	db_rows_free(r);
	return rc;
}

int
store_version_list(struct db *db, uint64_t before, int limit,
    store_version_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT " VERSION_COLUMNS
	    " FROM config_version WHERE $1::bigint = 0 OR version < $1 "
	    "ORDER BY version DESC LIMIT $2"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(before), DBI(limit)), &r, e);
	return rc != 0 ? rc : versions_each(r, fn, ctx);
}

int
store_version_get(struct db *db, uint64_t version, store_version_fn *fn,
    void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT " VERSION_COLUMNS
	    " FROM config_version WHERE version = $1"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBI(version)), &r, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "version %llu does not exist",
		    (unsigned long long)version);
	return rc != 0 ? rc : versions_each(r, fn, ctx);
}

int
store_config_changes(struct db *db, uint64_t from, uint64_t to,
    store_change_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT version, op, kind, uid, name, old, new FROM config_change "
	    "WHERE version > $1 AND version <= $2 ORDER BY version, ord"};
	struct db_rows *r = NULL;
	struct store_change c;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(from), DBI(to)), &r, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		c.op = (enum store_op)db_i64(r, i, 1);
		c.kind = (int)db_i64(r, i, 2);
		c.uid = (uint64_t)db_i64(r, i, 3);
		c.name = db_str(r, i, 4);
		c.old_spec = db_str(r, i, 5);
		c.new_spec = db_str(r, i, 6);
		rc = fn(ctx, (uint64_t)db_i64(r, i, 0), &c);
	}
	db_rows_free(r);
	return rc;
}

static int
history_items(struct db_rows *r, store_item_fn *fn, void *ctx)
{
	struct store_item it;
	int rc = 0;

	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		it.kind = (int)db_i64(r, i, 0);
		it.uid = (uint64_t)db_i64(r, i, 1);
		it.name = db_str(r, i, 2);
		it.version = (uint64_t)db_i64(r, i, 3);
		it.updated_at = it.created_at = db_time(r, i, 4);
		it.spec = db_str(r, i, 5);
		rc = fn(ctx, &it);
	}
	db_rows_free(r);
	return rc;
}

int
store_config_at(struct db *db, uint64_t version, store_item_fn *fn, void *ctx,
    struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT c.kind, c.uid, c.name, c.version, v.at, c.new FROM ("
	    "SELECT DISTINCT ON (uid) * FROM config_change "
	    "WHERE version <= $1 ORDER BY uid, version DESC, ord DESC) c "
	    "JOIN config_version v ON v.version = c.version "
	    "WHERE c.op <> 3 ORDER BY c.kind, c.uid"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(version)), &r, e);
	return rc != 0 ? rc : history_items(r, fn, ctx);
}

int
store_config_spec_at(struct db *db, uint64_t uid, uint64_t version,
    store_item_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT c.kind, c.uid, c.name, c.version, v.at, c.new FROM ("
	    "SELECT * FROM config_change WHERE uid = $1 AND version <= $2 "
	    "ORDER BY version DESC, ord DESC LIMIT 1) c "
	    "JOIN config_version v ON v.version = c.version WHERE c.op <> 3"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBI(uid), DBI(version)), &r, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "item %llu is not in version %llu",
		    (unsigned long long)uid, (unsigned long long)version);
	return rc != 0 ? rc : history_items(r, fn, ctx);
}

int
store_secret_put(struct db *db, uint64_t provider_uid, const void *sealed,
    size_t n, uint64_t *secret_version, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO secret (provider_uid, version, sealed) "
	    "SELECT $1, coalesce(max(version), 0) + 1, $2 FROM secret "
	    "WHERE provider_uid = $1 RETURNING version"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(
	    db, &st, DB_ARGS(DBI(provider_uid), DBX(sealed, n)), &r, e);
	if (rc == 0)
		*secret_version = (uint64_t)db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_secret_get(struct db *db, uint64_t provider_uid, uint64_t secret_version,
    void *dst, size_t cap, size_t *n, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT sealed FROM secret WHERE provider_uid = $1 "
	    "AND version = $2"};
	struct db_rows *r = NULL;
	long len;
	int rc;

	rc = db_query_one(
	    db, &st, DB_ARGS(DBI(provider_uid), DBI(secret_version)), &r, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "the credential does not exist");
	if (rc != 0)
		return rc;
	len = db_bytes(r, 0, 0, dst, cap);
	db_rows_free(r);
	if (len < 0)
		return err_set(e, (int)len, "the credential is too long");
	*n = (size_t)len;
	return 0;
}
