/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items, versions and changes. One writer at a time holds an advisory lock
 * from the read of the latest version to its commit, so versions are in
 * commit order and without holes.
 */
#include "controlplane/store/store_config.h"

#define ITEM_COLUMNS \
	"i.kind, i.uid, i.name, i.version, i.created_at, i.updated_at, i.spec"

static void
item_read(const struct db_rows *r, size_t row, struct store_item *it)
{
	it->kind = (int)db_i64(r, row, 0);
	it->uid = (uint64_t)db_i64(r, row, 1);
	it->name = db_str(r, row, 2);
	it->version = (uint64_t)db_i64(r, row, 3);
	it->created_at = db_time(r, row, 4);
	it->updated_at = db_time(r, row, 5);
	it->spec = db_str(r, row, 6);
}

/* Hand all rows to fn; takes r. */
static int
items_each(struct db_rows *r, store_item_fn *fn, void *ctx)
{
	struct store_item it;
	int rc = 0;

	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		item_read(r, i, &it);
		rc = fn(ctx, &it);
	}
	db_rows_free(r);
	return rc;
}

int
store_config_snapshot(struct db *db, int kind, uint64_t *version,
    store_item_fn *fn, void *ctx, struct error *e)
{
	/* One statement, so one snapshot; a row even without items. */
	static const struct db_stmt st = {
	    "SELECT " ITEM_COLUMNS ", v.latest "
	    "FROM (SELECT coalesce(max(version), 0) AS latest "
	    "FROM config_version) v LEFT JOIN config_item i "
	    "ON $1::int = 0 OR i.kind = $1::int "
	    "ORDER BY i.kind, i.uid"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(kind)), &r, e);
	if (rc != 0)
		return rc;
	*version = (uint64_t)db_i64(r, 0, 7);
	if (db_is_null(r, 0, 0)) {
		db_rows_free(r);
		return 0;
	}
	return items_each(r, fn, ctx);
}

int
store_config_list(struct db *db, const struct store_item_filter *f,
    store_item_fn *fn, void *ctx, struct error *e)
{
	/* '.' + 1 = '/': names below "tenant." lie between the two. */
	static const struct db_stmt st = {
	    "SELECT " ITEM_COLUMNS " "
	    "FROM config_item i WHERE i.kind = $1::int AND i.name > $2 "
	    "AND ($3::text = '' OR starts_with(i.name, $3)) "
	    "AND ($4::text = '' OR i.name = $4 OR "
	    "(i.name > $4 || '.' AND i.name < $4 || '/')) "
	    "ORDER BY i.name LIMIT $5"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st,
	    DB_ARGS(DBI(f->kind), DBS(f->after), DBS(f->prefix), DBS(f->tenant),
		DBI(f->limit)),
	    &r, e);
	return rc != 0 ? rc : items_each(r, fn, ctx);
}

int
store_config_get(struct db *db, int kind, struct str name, store_item_fn *fn,
    void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT " ITEM_COLUMNS
	    " FROM config_item i WHERE i.kind = $1::int AND i.name = $2"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBI(kind), DBS(name)), &r, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, rc, "%.*s does not exist", STR_ARG(name));
	return rc != 0 ? rc : items_each(r, fn, ctx);
}

int
store_config_get_uid(
    struct db *db, uint64_t uid, store_item_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT " ITEM_COLUMNS " FROM config_item i WHERE i.uid = $1"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBI(uid)), &r, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(
		    e, rc, "item %llu does not exist", (unsigned long long)uid);
	return rc != 0 ? rc : items_each(r, fn, ctx);
}

static int
config_number(
    struct db *db, const struct db_stmt *st, uint64_t *ret, struct error *e)
{
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, st, DB_ARGS(), &r, e);
	if (rc == 0)
		*ret = (uint64_t)db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_config_version(struct db *db, uint64_t *version, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT coalesce(max(version), 0) FROM config_version"};

	return config_number(db, &st, version, e);
}

/* ---- writing ---- */

int
store_config_lock(struct db *db, uint64_t *version, struct error *e)
{
	int rc;

	MUST(db_in_tx(db));
	rc = db_lock(db, STORE_LOCK_CONFIG, e);
	if (rc == 0)
		rc = store_config_version(db, version, e);
	return rc;
}

int
store_config_new_uid(struct db *db, uint64_t *uid, struct error *e)
{
	static const struct db_stmt st = {"SELECT nextval('item_uid_seq')"};

	return config_number(db, &st, uid, e);
}

const char *
store_op_name(enum store_op op)
{
	switch (op) {
	case STORE_OP_CREATE:
		return "create";
	case STORE_OP_UPDATE:
		return "update";
	case STORE_OP_DELETE:
		return "delete";
	}
	return "none";
}
