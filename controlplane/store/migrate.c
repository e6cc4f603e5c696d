/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forward-only migrations. Each transaction takes the lock first and looks
 * again, so two control planes that start together share the work.
 */
#include "controlplane/store/migrate.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define MIGRATE_SUM 32

static int
migrate_make_table(struct db *db, void *ctx, struct error *e)
{
	int rc;

	(void)ctx;
	rc = db_lock(db, STORE_LOCK_MIGRATE, e);
	if (rc == 0)
		rc = db_script(db,
		    "CREATE TABLE IF NOT EXISTS schema_migration ("
		    "version integer PRIMARY KEY, name text NOT NULL, "
		    "checksum bytea NOT NULL, "
		    "applied_at timestamptz NOT NULL DEFAULT now())",
		    e);
	return rc;
}

struct migrate_one {
	const struct migration *m;
	bool applied; /* by us */
};

static int
migrate_check_sum(const struct db_rows *r, const struct migration *m,
    const uint8_t sum[MIGRATE_SUM], struct error *e)
{
	uint8_t have[MIGRATE_SUM];
	long n = db_bytes(r, 0, 0, have, sizeof(have));

	if (n == MIGRATE_SUM && memcmp(have, sum, MIGRATE_SUM) == 0)
		return 0;
	return err_set(e, ERR_VERSION,
	    "migration %04d_%s was applied to this database with another text "
	    "than this program has; migrations never change once released",
	    m->version, m->name);
}

static int
migrate_one(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt find = {
	    "SELECT checksum FROM schema_migration WHERE version = $1"};
	static const struct db_stmt add = {
	    "INSERT INTO schema_migration (version, name, checksum) "
	    "VALUES ($1, $2, $3)"};
	struct migrate_one *o = ctx;
	const struct migration *m = o->m;
	uint8_t sum[MIGRATE_SUM];
	struct db_rows *r = NULL;
	int rc;

	o->applied = false;
	crypto_generichash(
	    sum, sizeof(sum), (const uint8_t *)m->sql, m->len, NULL, 0);
	rc = db_lock(db, STORE_LOCK_MIGRATE, e);
	if (rc == 0)
		rc = db_query(db, &find, DB_ARGS(DBI(m->version)), &r, e);
	if (rc != 0)
		return rc;
	if (db_rows_count(r) > 0) {
		rc = migrate_check_sum(r, m, sum, e);
		db_rows_free(r);
		return rc;
	}
	db_rows_free(r);
	rc = db_script(db,
	    "SET LOCAL statement_timeout = 0; "
	    "SET LOCAL check_function_bodies = off",
	    e);
	if (rc == 0)
		rc = db_script(db, m->sql, e);
	if (rc != 0) {
		err_wrap(e, "migration %04d_%s", m->version, m->name);
		return rc;
	}
	o->applied = true;
	return db_exec(db, &add,
	    DB_ARGS(DBI(m->version), DBZ(m->name), DBX(sum, sizeof(sum))), NULL,
	    e);
}

/* A version that this program does not have was applied by a newer one. */
static int
migrate_check_known(
    struct store *s, const struct migration *m, size_t n, struct error *e)
{
	static const struct db_stmt all = {
	    "SELECT version, name FROM schema_migration ORDER BY version"};
	struct db_rows *r = NULL;
	struct db *db = NULL;
	int rc;

	rc = store_take(s, &db, e);
	if (rc == 0)
		rc = db_query(db, &all, DB_ARGS(), &r, e);
	for (size_t i = 0; rc == 0 && i < db_rows_count(r); i++) {
		size_t k = 0;

		while (k < n && m[k].version != db_i64(r, i, 0))
			k++;
		if (k == n)
			rc = err_set(e, ERR_VERSION,
			    "the database has migration %04d_%s, which this "
			    "program does not know: it belongs to a newer "
			    "Headgate",
			    (int)db_i64(r, i, 0), db_text(r, i, 1));
	}
	db_rows_free(r);
	store_give(db);
	return rc;
}

int
migrate_run(struct store *s, const struct migration *m, size_t n, int *applied,
    struct error *e)
{
	int rc;

	*applied = 0;
	rc = store_tx(s, 0, migrate_make_table, NULL, e);
	if (rc == 0)
		rc = migrate_check_known(s, m, n, e);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct migrate_one one = {.m = &m[i]};

		rc = store_tx(s, 0, migrate_one, &one, e);
		*applied += one.applied;
	}
	return rc;
}

int
migrate_version(struct store *s, int *version, struct error *e)
{
	static const struct db_stmt exists = {
	    "SELECT to_regclass('schema_migration') IS NOT NULL"};
	static const struct db_stmt max = {
	    "SELECT coalesce(max(version), 0) FROM schema_migration"};
	struct db_rows *r = NULL;
	struct db *db = NULL;
	int rc;

	*version = 0;
	rc = store_take(s, &db, e);
	if (rc == 0)
		rc = db_query_one(db, &exists, DB_ARGS(), &r, e);
	if (rc == 0 && db_bool(r, 0, 0)) {
		db_rows_free(r);
		r = NULL;
		rc = db_query_one(db, &max, DB_ARGS(), &r, e);
		if (rc == 0)
			*version = (int)db_i64(r, 0, 0);
	}
	db_rows_free(r);
	store_give(db);
	return rc;
}
