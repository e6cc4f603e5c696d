/* SPDX-License-Identifier: Apache-2.0 */
/* SQL of join tokens and of enrolment (store_fleet.h). */
#include <stdio.h>
#include <string.h>

#include "controlplane/store/store_fleet.h"

int
store_join_create(struct db *db, const struct join_row *j,
    const uint8_t digest[32], struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO join_token (id, digest, agent_group, region, labels, "
	    "created_by, expires_at, max_uses) VALUES ($1, $2, $3, $4, "
	    "coalesce(nullif($5, '')::text, '{}')::jsonb, $6, $7, $8)"};

	return db_exec(db, &st,
	    DB_ARGS(DBZ(j->id), DBX((const char *)digest, 32), DBS(j->group),
		DBS(j->region), DBS(j->labels), DBS(j->created_by),
		DBT0(j->expires_at), DBI(j->max_uses)),
	    NULL, e);
}

int
store_join_list(struct db *db, join_row_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT id, agent_group, region, labels::text, created_by, "
	    "created_at, expires_at, revoked_at, max_uses, uses "
	    "FROM join_token ORDER BY created_at DESC, id DESC"};
	struct db_rows *r = NULL;
	size_t i;
	int rc;

	rc = db_query(db, &st, DB_ARGS(), &r, e);
	for (i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct join_row j = {.group = db_str(r, i, 1),
		    .region = db_str(r, i, 2),
		    .labels = db_str(r, i, 3),
		    .created_by = db_str(r, i, 4),
		    .created_at = db_time(r, i, 5),
		    .expires_at = db_time(r, i, 6),
		    .revoked_at = db_time(r, i, 7),
		    .max_uses = db_i64(r, i, 8),
		    .uses = db_i64(r, i, 9)};

		snprintf(j.id, sizeof(j.id), "%s", db_text(r, i, 0));
		rc = fn(ctx, &j);
	}
	db_rows_free(r);
	return rc;
}

int
store_join_revoke(struct db *db, struct str id, struct error *e)
{
	static const struct db_stmt st = {
	    "UPDATE join_token SET revoked_at = coalesce(revoked_at, now()) "
	    "WHERE id = $1"};
	int64_t n = 0;
	int rc = db_exec(db, &st, DB_ARGS(DBS(id)), &n, e);

	if (rc == 0 && n == 0)
		rc = err_set(e, ERR_NOT_FOUND, "join token %.*s does not exist",
		    STR_ARG(id));
	return rc;
}

/* ---- enrolment ----------------------------------------------------------- */

static int
enrol_copy(const struct db_rows *r, struct agent_enrol *a, struct error *e)
{
	if (str_copy(db_str(r, 0, 0), a->group, sizeof(a->group)) != 0 ||
	    str_copy(db_str(r, 0, 1), a->region, sizeof(a->region)) != 0)
		return err_set(e, ERR_INTERNAL, "group or region too long");
	return 0;
}

/* The key enrolled before (its reply was lost): the same answer again. */
static int
enrol_known(struct db *db, struct agent_enrol *a, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT agent_group, region, id, revoked_at IS NOT NULL "
	    "FROM agent WHERE public_key = $1"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(
	    db, &st, DB_ARGS(DBX((const char *)a->public_key, 32)), &r, e);
	if (rc == 0 && db_rows_count(r) == 1) {
		a->key_known = true;
		snprintf(a->id, sizeof(a->id), "%s", db_text(r, 0, 2));
		rc = enrol_copy(r, a, e);
		if (rc == 0 && db_bool(r, 0, 3))
			rc = err_set(
			    e, ERR_UNAUTHENTICATED, "this agent was revoked");
	}
	db_rows_free(r);
	return rc;
}

static int
enrol_use(struct db *db, struct agent_enrol *a, struct error *e)
{
	static const struct db_stmt use = {
	    "UPDATE join_token SET uses = uses + 1 WHERE id = $1 "
	    "AND digest = $2 AND revoked_at IS NULL "
	    "AND (expires_at IS NULL OR expires_at > now()) "
	    "AND (max_uses = 0 OR uses < max_uses) "
	    "RETURNING agent_group, region"};
	static const struct db_stmt why = {
	    "SELECT CASE WHEN digest <> $2 THEN 'its secret is wrong' "
	    "WHEN revoked_at IS NOT NULL THEN 'it was revoked' "
	    "WHEN expires_at <= now() THEN 'it has expired' "
	    "ELSE 'it is used up' END FROM join_token WHERE id = $1"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &use,
	    DB_ARGS(DBS(a->token_id), DBX((const char *)a->digest, 32)), &r, e);
	if (rc != 0)
		return rc;
	if (db_rows_count(r) == 1) {
		rc = enrol_copy(r, a, e);
		db_rows_free(r);
		return rc;
	}
	db_rows_free(r);
	r = NULL;
	rc = db_query(db, &why,
	    DB_ARGS(DBS(a->token_id), DBX((const char *)a->digest, 32)), &r, e);
	if (rc == 0)
		rc = err_set(e, ERR_UNAUTHENTICATED, "join token refused: %s",
		    db_rows_count(r) == 1 ? db_text(r, 0, 0)
					  : "it does not exist");
	db_rows_free(r);
	return rc;
}

static int
enrol_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt insert = {
	    "INSERT INTO agent (id, hostname, agent_group, region, labels, "
	    "public_key, join_token, software_version) SELECT $1, $2, $3, $4, "
	    "labels || coalesce(nullif($5, '')::text, '{}')::jsonb, $6, id, "
	    "$8 FROM join_token WHERE id = $7"};
	struct agent_enrol *a = ctx;
	int rc;

	a->key_known = false;
	rc = enrol_known(db, a, e);
	if (rc != 0 || a->key_known)
		return rc;
	rc = enrol_use(db, a, e);
	if (rc == 0)
		rc = db_exec(db, &insert,
		    DB_ARGS(DBZ(a->id), DBS(a->hostname), DBZ(a->group),
			DBZ(a->region), DBS(a->labels),
			DBX((const char *)a->public_key, 32), DBS(a->token_id),
			DBS(a->software_version)),
		    NULL, e);
	if (rc == ERR_EXISTS) /* raced with itself: look again */
		rc = err_set(e, ERR_AGAIN, "the key enrolled meanwhile");
	return rc;
}

int
store_agent_enrol(struct store *s, struct agent_enrol *a, struct error *e)
{
	return store_tx(s, 0, enrol_tx, a, e);
}
