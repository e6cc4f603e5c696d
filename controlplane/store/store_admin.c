/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admin tokens and idempotency keys.
 */
#include "controlplane/store/store_admin.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_COLUMNS                                                    \
	"id, name, role, prefix, created_at, expires_at, last_used_at, " \
	"created_by"

static const char *const role_names[] = {
    NULL, "viewer", "finance", "admin", "owner"};

const char *
admin_role_name(enum admin_role r)
{
	return r >= ROLE_VIEWER && r <= ROLE_OWNER ? role_names[r] : "none";
}

int
admin_role_parse(struct str s, enum admin_role *ret)
{
	for (int r = ROLE_VIEWER; r <= ROLE_OWNER; r++) {
		if (str_eqz(s, role_names[r])) {
			*ret = (enum admin_role)r;
			return 0;
		}
	}
	return ERR_INVALID;
}

static void
token_read(const struct db_rows *r, size_t row, struct admin_token *t)
{
	memset(t, 0, sizeof(*t));
	t->id = db_i64(r, row, 0);
	snprintf(t->name, sizeof(t->name), "%s", db_text(r, row, 1));
	t->role = (enum admin_role)db_i64(r, row, 2);
	snprintf(t->prefix, sizeof(t->prefix), "%s", db_text(r, row, 3));
	t->created_at = db_time(r, row, 4);
	t->expires_at = db_time(r, row, 5);
	t->last_used_at = db_time(r, row, 6);
	snprintf(
	    t->created_by, sizeof(t->created_by), "%s", db_text(r, row, 7));
}

static void
token_digest(struct str text, uint8_t digest[32])
{
	crypto_hash_sha256(digest, (const uint8_t *)text.p, text.len);
}

int
admin_token_create(struct db *db, struct str name, enum admin_role role,
    int64_t expires_at, struct str created_by, char *secret,
    struct admin_token *t, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO admin_token (name, role, digest, prefix, created_by, "
	    "expires_at) VALUES ($1, $2, $3, $4, $5, $6) "
	    "RETURNING " TOKEN_COLUMNS};
	uint8_t raw[32], digest[32];
	struct db_rows *r = NULL;
	char text[ADMIN_TOKEN_TEXT];
	int rc;

	if (name.len == 0 || name.len >= sizeof(t->name))
		return err_set_field(e, ERR_INVALID, "/name",
		    "a token's name has 1 to %zu characters",
		    sizeof(t->name) - 1);
	randombytes_buf(raw, sizeof(raw));
	memcpy(text, "hga-", 4);
	sodium_bin2base64(text + 4, sizeof(text) - 4, raw, sizeof(raw),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(raw, sizeof(raw));
	token_digest(str_of(text), digest);
	rc = db_query_one(db, &st,
	    DB_ARGS(DBS(name), DBI(role), DBX(digest, sizeof(digest)),
		DBS(str_make(text, 10)), DBS(created_by), DBT0(expires_at)),
	    &r, e);
	if (rc == ERR_EXISTS)
		err_set_field(e, rc, "/name",
		    "there is a token called %.*s already", STR_ARG(name));
	if (rc == 0) {
		token_read(r, 0, t);
		memcpy(secret, text, ADMIN_TOKEN_TEXT);
	}
	sodium_memzero(text, sizeof(text));
	db_rows_free(r);
	return rc;
}

int
admin_token_check(
    struct db *db, struct str presented, struct admin_token *t, struct error *e)
{
	static const struct db_stmt find = {
	    "SELECT " TOKEN_COLUMNS ", "
	    "last_used_at IS NULL OR "
	    "last_used_at < now() - interval '1 minute' "
	    "FROM admin_token WHERE digest = $1 AND revoked_at IS NULL "
	    "AND (expires_at IS NULL OR expires_at > now())"};
	static const struct db_stmt use = {
	    "UPDATE admin_token SET last_used_at = now() WHERE id = $1"};
	uint8_t digest[32];
	struct db_rows *r = NULL;
	int rc;

	token_digest(presented, digest);
	rc = db_query_one(db, &find, DB_ARGS(DBX(digest, 32)), &r, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, ERR_UNAUTHENTICATED,
		    "missing, unknown, expired or revoked admin token");
	if (rc != 0)
		return rc;
	token_read(r, 0, t);
	if (db_bool(r, 0, 8))
		rc = db_exec(db, &use, DB_ARGS(DBI(t->id)), NULL, e);
	db_rows_free(r);
	return rc;
}

int
admin_token_list(struct db *db, admin_token_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT " TOKEN_COLUMNS
	    " FROM admin_token WHERE revoked_at IS NULL ORDER BY id"};
	struct db_rows *r = NULL;
	struct admin_token t;
	int rc;

	rc = db_query(db, &st, DB_ARGS(), &r, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		token_read(r, i, &t);
		rc = fn(ctx, &t);
	}
	db_rows_free(r);
	return rc;
}

int
admin_token_revoke(struct db *db, struct str id_or_name, struct admin_token *t,
    struct error *e)
{
	/* Owners are locked together, so that two revocations at once cannot
	 * both leave the other's token as the last one. */
	static const struct db_stmt owners = {
	    "SELECT id FROM admin_token WHERE role = 4 AND revoked_at IS NULL "
	    "AND (expires_at IS NULL OR expires_at > now()) "
	    "ORDER BY id FOR UPDATE"};
	static const struct db_stmt find = {
	    "SELECT " TOKEN_COLUMNS
	    " FROM admin_token WHERE revoked_at IS NULL "
	    "AND (name = $1 OR id::text = $1) "
	    "ORDER BY id::text = $1 DESC LIMIT 1"};
	static const struct db_stmt revoke = {
	    "UPDATE admin_token SET revoked_at = now() WHERE id = $1"};
	struct db_rows *live = NULL, *r = NULL;
	int rc;

	rc = db_query(db, &owners, DB_ARGS(), &live, e);
	if (rc == 0)
		rc = db_query_one(db, &find, DB_ARGS(DBS(id_or_name)), &r, e);
	if (rc == ERR_NOT_FOUND)
		err_set(e, rc, "there is no token %.*s", STR_ARG(id_or_name));
	if (rc == 0) {
		token_read(r, 0, t);
		if (db_rows_count(live) == 1 && db_i64(live, 0, 0) == t->id)
			rc = err_set(e, ERR_CONFLICT,
			    "%s is the last owner's token; make another one "
			    "first",
			    t->name);
	}
	if (rc == 0)
		rc = db_exec(db, &revoke, DB_ARGS(DBI(t->id)), NULL, e);
	/* Other replicas may remember it. */
	if (rc == 0)
		rc = db_notify(db, STORE_CHANNEL_TOKEN, "", e);
	db_rows_free(live);
	db_rows_free(r);
	return rc;
}

int
admin_token_count(
    struct db *db, enum admin_role at_least, int64_t *n, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT count(*) FROM admin_token WHERE role >= $1 "
	    "AND revoked_at IS NULL "
	    "AND (expires_at IS NULL OR expires_at > now())"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBI(at_least)), &r, e);
	if (rc == 0)
		*n = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

/* ---- idempotency keys ---- */

static int
idem_read(const struct db_rows *r, const uint8_t hash[32],
    struct idem_reply *reply, struct error *e)
{
	uint8_t have[32];
	size_t cap;
	long n;

	if (db_bytes(r, 0, 0, have, 32) != 32 || memcmp(have, hash, 32) != 0)
		return err_set(e, ERR_CONFLICT,
		    "this Idempotency-Key was used for another request");
	reply->status = (int)db_i64(r, 0, 1);
	snprintf(
	    reply->location, sizeof(reply->location), "%s", db_text(r, 0, 2));
	snprintf(reply->etag, sizeof(reply->etag), "%s", db_text(r, 0, 3));
	cap = db_str(r, 0, 4).len / 2 + 1;
	reply->body = malloc(cap);
	if (reply->body == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	n = db_bytes(r, 0, 4, reply->body, cap);
	MUST(n >= 0);
	reply->body_len = (size_t)n;
	return 0;
}

int
idem_begin(struct db *db, int64_t token_id, struct str key,
    const uint8_t request_hash[32], bool *found, struct idem_reply *r,
    struct error *e)
{
	/* Waits for a transaction that has the same key in work. */
	static const struct db_stmt add = {
	    "INSERT INTO idempotency (token_id, key, request_hash) "
	    "VALUES ($1, $2, $3) ON CONFLICT (token_id, key) DO UPDATE SET "
	    "request_hash = excluded.request_hash, created_at = now(), "
	    "status = NULL "
	    "WHERE idempotency.created_at < now() - interval '24 hours'"};
	static const struct db_stmt get = {
	    "SELECT request_hash, status, location, etag, body "
	    "FROM idempotency WHERE token_id = $1 AND key = $2 "
	    "AND status IS NOT NULL"};
	struct db_rows *rows = NULL;
	int64_t n;
	int rc;

	MUST(db_in_tx(db));
	memset(r, 0, sizeof(*r));
	*found = false;
	rc = db_exec(db, &add,
	    DB_ARGS(DBI(token_id), DBS(key), DBX(request_hash, 32)), &n, e);
	if (rc != 0 || n == 1)
		return rc;
	rc = db_query_one(db, &get, DB_ARGS(DBI(token_id), DBS(key)), &rows, e);
	if (rc == ERR_NOT_FOUND)
		return err_set(e, ERR_AGAIN,
		    "a request with this Idempotency-Key is being worked on");
	if (rc == 0)
		rc = idem_read(rows, request_hash, r, e);
	*found = rc == 0;
	db_rows_free(rows);
	return rc;
}

int
idem_finish(struct db *db, int64_t token_id, struct str key, int status,
    struct str location, struct str etag, struct str body, struct error *e)
{
	static const struct db_stmt st = {
	    "UPDATE idempotency SET status = $3, location = $4, etag = $5, "
	    "body = $6 WHERE token_id = $1 AND key = $2"};

	return db_exec(db, &st,
	    DB_ARGS(DBI(token_id), DBS(key), DBI(status), DBS(location),
		DBS(etag), DBX(body.p ? body.p : "", body.len)),
	    NULL, e);
}

int
idem_expire(struct db *db, struct error *e)
{
	static const struct db_stmt st = {
	    "DELETE FROM idempotency "
	    "WHERE created_at < now() - interval '24 hours'"};

	return db_exec(db, &st, DB_ARGS(), NULL, e);
}
