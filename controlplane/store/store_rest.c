/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who refers to whom, as SQL: children by their names' range (names sort by
 * bytes, and '/' follows '.'), references by the fields of the spec.
 */
#include <stdio.h>

#include "controlplane/store/store_rest.h"

enum {
	K_TENANT = 1,
	K_TEAM,
	K_PROJECT,
	K_KEY,
	K_PROVIDER,
	K_MODEL,
	K_DEPLOYMENT,
	K_ROUTE,
	K_BUDGET,
	K_LIMIT
};

int
store_config_get_many(struct db *db, int kind, const struct str *names,
    size_t n, store_item_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT uid, name, version, created_at, updated_at, spec "
	    "FROM config_item WHERE kind = $1 AND name = ANY($2::text[])"};
	struct db_rows *rows = NULL;
	size_t i;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(kind), DBSA(names, n)), &rows, e);
	for (i = 0; rc == 0 && i < db_rows_count(rows); i++) {
		struct store_item it = {.kind = kind,
		    .uid = (uint64_t)db_i64(rows, i, 0),
		    .name = db_str(rows, i, 1),
		    .version = (uint64_t)db_i64(rows, i, 2),
		    .created_at = db_time(rows, i, 3),
		    .updated_at = db_time(rows, i, 4),
		    .spec = db_str(rows, i, 5)};

		rc = fn(ctx, &it);
	}
	db_rows_free(rows);
	return rc;
}

static const struct db_stmt st_children = {
    "SELECT t.name, i.kind, i.name FROM unnest($1::text[]) AS t(name) "
    "JOIN config_item i ON i.kind = ANY($2::bigint[]) "
    "AND i.name > t.name || '.' AND i.name < t.name || '/' LIMIT $3"};
static const struct db_stmt st_scope = {
    "SELECT t.name, i.kind, i.name FROM unnest($1::text[]) AS t(name) "
    "JOIN config_item i ON i.kind IN (9, 10) "
    "AND i.spec->>'scope' = t.name LIMIT $2"};
static const struct db_stmt st_provider = {
    "SELECT t.name, i.kind, i.name FROM unnest($1::text[]) AS t(name) "
    "JOIN config_item i ON i.kind IN (7, 9) "
    "AND i.spec->>'provider' = t.name LIMIT $2"};
static const struct db_stmt st_model = {
    "SELECT t.name, i.kind, i.name FROM unnest($1::text[]) AS t(name) "
    "JOIN config_item i ON i.kind IN (7, 9) "
    "AND i.spec->>'model' = t.name LIMIT $2"};
static const struct db_stmt st_deployment = {
    "SELECT x->>'deployment', i.kind, i.name FROM config_item i, "
    "json_array_elements(i.spec->'targets') AS x WHERE i.kind = 8 "
    "AND x->>'deployment' = ANY($1::text[]) LIMIT $2"};
static const struct db_stmt st_route = {
    "(SELECT x, i.kind, i.name FROM config_item i, "
    "json_array_elements_text(i.spec->'routes') AS x WHERE i.kind <= 4 "
    "AND x = ANY($1::text[]) LIMIT $2) UNION ALL "
    "(SELECT i.spec->>'route', i.kind, i.name FROM config_item i "
    "WHERE i.kind = 9 AND i.spec->>'route' = ANY($1::text[]) LIMIT $2)"};

static int
referrers_run(struct db *db, const struct db_stmt *st,
    const struct db_val *args, size_t n_args, store_referrer_fn *fn, void *ctx,
    struct error *e)
{
	struct db_rows *rows = NULL;
	size_t i;
	int rc = db_query(db, st, args, n_args, &rows, e);

	for (i = 0; rc == 0 && i < db_rows_count(rows); i++)
		rc = fn(ctx, db_str(rows, i, 0), (int)db_i64(rows, i, 1),
		    db_str(rows, i, 2));
	db_rows_free(rows);
	return rc;
}

/* Items whose names lie below: direct children, budgets and limits. */
static int
referrers_children(struct db *db, int kind, const struct str *names, size_t n,
    int limit, store_referrer_fn *fn, void *ctx, struct error *e)
{
	int64_t kinds[3] = {kind + 1, K_BUDGET, K_LIMIT};

	return referrers_run(db, &st_children,
	    DB_ARGS(DBSA(names, n), DBIA(kinds, kind == K_TENANT ? 3 : 1),
		DBI(limit)),
	    fn, ctx, e);
}

int
store_config_referrers(struct db *db, int kind, const struct str *names,
    size_t n, int limit, store_referrer_fn *fn, void *ctx, struct error *e)
{
	const struct db_stmt *st = NULL;
	int rc = 0;

	if (kind >= K_TENANT && kind < K_KEY)
		rc = referrers_children(db, kind, names, n, limit, fn, ctx, e);
	if (rc != 0)
		return rc;
	if (kind >= K_TENANT && kind <= K_KEY)
		st = &st_scope;
	else if (kind == K_PROVIDER)
		st = &st_provider;
	else if (kind == K_MODEL)
		st = &st_model;
	else if (kind == K_DEPLOYMENT)
		st = &st_deployment;
	else if (kind == K_ROUTE)
		st = &st_route;
	if (st == NULL)
		return 0;
	return referrers_run(
	    db, st, DB_ARGS(DBSA(names, n), DBI(limit)), fn, ctx, e);
}

int
store_config_new_uids(struct db *db, uint64_t *dst, size_t n, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT nextval('item_uid_seq') "
	    "FROM generate_series(1, $1::bigint)"};
	struct db_rows *rows = NULL;
	size_t i;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(n)), &rows, e);
	for (i = 0; rc == 0 && i < n; i++)
		dst[i] = (uint64_t)db_i64(rows, i, 0);
	db_rows_free(rows);
	return rc;
}

int
store_key_by_digest(struct db *db, const char *hex, char *name, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT name FROM config_item "
	    "WHERE kind = 4 AND spec->>'digest' = $1::text"};
	struct db_rows *rows = NULL;
	int rc;

	name[0] = '\0';
	rc = db_query(db, &st, DB_ARGS(DBZ(hex)), &rows, e);
	if (rc == 0 && db_rows_count(rows) > 0)
		rc = str_copy(db_str(rows, 0, 0), name, 256);
	db_rows_free(rows);
	return rc;
}

int
store_zone_exists(struct db *db, struct str zone, bool *yes, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT EXISTS (SELECT 1 FROM pg_timezone_names "
	    "WHERE name = $1::text)"};
	struct db_rows *rows = NULL;
	int rc;

	*yes = str_eqz(zone, "UTC");
	if (*yes)
		return 0;
	rc = db_query_one(db, &st, DB_ARGS(DBS(zone)), &rows, e);
	if (rc == 0)
		*yes = db_bool(rows, 0, 0);
	db_rows_free(rows);
	return rc;
}
