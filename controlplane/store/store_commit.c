/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A commit of the configuration, set by set: all deletes, all creations, all
 * updates and the log of them are one statement each, however many items
 * there are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/store/store_config.h"

/* The changes of one kind (or all) as columns. */
struct commit_set {
	size_t n;
	int64_t *ord, *op, *kind, *uid;
	struct str *name, *old, *new;
	void *memory;
};

static struct str
commit_text(struct str s)
{
	return s.p != NULL ? s : STR("");
}

static int
commit_collect(const struct store_change *c, size_t n, int op,
    struct commit_set *s, struct error *e)
{
	size_t one = 4 * sizeof(int64_t) + 3 * sizeof(struct str);

	s->n = 0;
	s->memory = calloc(n + 1, one);
	if (s->memory == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	s->name = s->memory;
	s->old = s->name + n;
	s->new = s->old + n;
	s->ord = (int64_t *)(s->new + n);
	s->op = s->ord + n;
	s->kind = s->op + n;
	s->uid = s->kind + n;
	for (size_t i = 0; i < n; i++) {
		size_t k = s->n;

		if (op != 0 && (int)c[i].op != op)
			continue;
		s->ord[k] = (int64_t)i;
		s->op[k] = c[i].op;
		s->kind[k] = c[i].kind;
		s->uid[k] = (int64_t)c[i].uid;
		s->name[k] = c[i].name;
		s->old[k] = commit_text(c[i].old_spec);
		s->new[k] = commit_text(c[i].new_spec);
		s->n++;
	}
	return 0;
}

/* A statement that returns the uids it did not find. */
static int
commit_all(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, const struct commit_set *s, struct error *e)
{
	struct db_rows *r = NULL;
	int rc = db_query(db, st, args, n_args, &r, e);

	if (rc == 0 && db_rows_count(r) > 0) {
		int64_t uid = db_i64(r, 0, 0);
		size_t i = 0;

		while (i + 1 < s->n && s->uid[i] != uid)
			i++;
		rc = err_set(e, ERR_CONFLICT, "%.*s does not exist any more",
		    STR_ARG(s->name[i]));
	}
	db_rows_free(r);
	return rc;
}

static int
commit_delete(struct db *db, const struct commit_set *s, struct error *e)
{
	static const struct db_stmt st = {
	    "WITH d AS (DELETE FROM config_item WHERE uid = ANY($1::bigint[]) "
	    "RETURNING uid) SELECT unnest($1::bigint[]) EXCEPT ALL "
	    "SELECT uid FROM d LIMIT 1"};

	return commit_all(db, &st, DB_ARGS(DBIA(s->uid, s->n)), s, e);
}

static int
commit_update(struct db *db, const struct commit_set *s, uint64_t version,
    struct error *e)
{
	static const struct db_stmt st = {
	    "WITH d AS (UPDATE config_item i SET version = $3, "
	    "spec = t.spec::json, updated_at = (SELECT at FROM config_version "
	    "WHERE version = $3) FROM unnest($1::bigint[], $2::text[]) "
	    "AS t(uid, spec) WHERE i.uid = t.uid RETURNING i.uid) "
	    "SELECT unnest($1::bigint[]) EXCEPT ALL SELECT uid FROM d LIMIT 1"};

	return commit_all(db, &st,
	    DB_ARGS(DBIA(s->uid, s->n), DBSA(s->new, s->n), DBI(version)), s,
	    e);
}

/* A name that is taken, before the transaction fails of it. */
static int
commit_taken(struct db *db, const struct commit_set *s, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT t.name FROM unnest($1::bigint[], $2::text[]) "
	    "AS t(kind, name) LEFT JOIN config_item i ON i.kind = t.kind "
	    "AND i.name = t.name GROUP BY t.kind, t.name "
	    "HAVING count(i.uid) > 0 OR count(*) > 1 LIMIT 1"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(
	    db, &st, DB_ARGS(DBIA(s->kind, s->n), DBSA(s->name, s->n)), &r, e);
	if (rc == 0 && db_rows_count(r) > 0)
		rc = err_set(
		    e, ERR_EXISTS, "%s exists already", db_text(r, 0, 0));
	db_rows_free(r);
	return rc;
}

static int
commit_create(struct db *db, const struct commit_set *s, uint64_t version,
    struct error *e)
{
	/* An item that a rollback brings back keeps its first creation. */
	static const struct db_stmt item = {
	    "INSERT INTO config_item (uid, kind, name, version, created_at, "
	    "updated_at, spec) SELECT t.uid, t.kind, t.name, n.version, "
	    "coalesce((SELECT min(v.at) FROM config_change c JOIN "
	    "config_version v USING (version) WHERE c.uid = t.uid), n.at), "
	    "n.at, t.spec::json FROM unnest($1::bigint[], $2::bigint[], "
	    "$3::text[], $4::text[]) AS t(uid, kind, name, spec) "
	    "CROSS JOIN config_version n WHERE n.version = $5"};
	static const struct db_stmt name = {
	    "INSERT INTO item_name (uid, kind, name) SELECT t.uid, t.kind, "
	    "t.name FROM unnest($1::bigint[], $2::bigint[], $3::text[]) "
	    "AS t(uid, kind, name) ON CONFLICT DO NOTHING"};
	int rc;

	rc = commit_taken(db, s, e);
	if (rc == 0)
		rc = db_exec(db, &item,
		    DB_ARGS(DBIA(s->uid, s->n), DBIA(s->kind, s->n),
			DBSA(s->name, s->n), DBSA(s->new, s->n), DBI(version)),
		    NULL, e);
	if (rc == 0)
		rc = db_exec(db, &name,
		    DB_ARGS(DBIA(s->uid, s->n), DBIA(s->kind, s->n),
			DBSA(s->name, s->n)),
		    NULL, e);
	return rc;
}

static int
commit_log(struct db *db, const struct commit_set *s, uint64_t version,
    struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO config_change (version, ord, op, kind, uid, name, "
	    "old, new) SELECT $1, t.ord, t.op, t.kind, t.uid, t.name, "
	    "CASE WHEN t.op <> 1 THEN t.old::json END, "
	    "CASE WHEN t.op <> 3 THEN t.new::json END FROM unnest("
	    "$2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
	    "$6::text[], $7::text[], $8::text[]) "
	    "AS t(ord, op, kind, uid, name, old, new)"};

	return db_exec(db, &st,
	    DB_ARGS(DBI(version), DBIA(s->ord, s->n), DBIA(s->op, s->n),
		DBIA(s->kind, s->n), DBIA(s->uid, s->n), DBSA(s->name, s->n),
		DBSA(s->old, s->n), DBSA(s->new, s->n)),
	    NULL, e);
}

static int
commit_set(struct db *db, const struct store_change *c, size_t n, int op,
    uint64_t version, struct error *e)
{
	struct commit_set s;
	int rc = commit_collect(c, n, op, &s, e);

	if (rc == 0 && s.n > 0) {
		switch (op) {
		case STORE_OP_DELETE:
			rc = commit_delete(db, &s, e);
			break;
		case STORE_OP_CREATE:
			rc = commit_create(db, &s, version, e);
			break;
		case STORE_OP_UPDATE:
			rc = commit_update(db, &s, version, e);
			break;
		default:
			rc = commit_log(db, &s, version, e);
			break;
		}
	}
	free(s.memory);
	return rc;
}

static int
commit_version(struct db *db, size_t n, struct str author, struct str message,
    uint64_t rollback_of, uint64_t *version, struct error *e)
{
	static const struct db_stmt add = {
	    "INSERT INTO config_version (version, author, message, "
	    "rollback_of, n_changes, at) SELECT coalesce(max(version), 0) + "
	    "1, $1, $2, nullif($3::bigint, 0), $4, clock_timestamp() "
	    "FROM config_version "
	    "RETURNING version"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &add,
	    DB_ARGS(DBS(author), DBS(message), DBI(rollback_of), DBI(n)), &r,
	    e);
	if (rc == 0)
		*version = (uint64_t)db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_config_commit(struct db *db, const struct store_change *c, size_t n,
    struct str author, struct str message, uint64_t rollback_of,
    uint64_t *version, struct error *e)
{
	/* Deletes first: a name may come back in the same commit. */
	static const int order[] = {
	    STORE_OP_DELETE, STORE_OP_CREATE, STORE_OP_UPDATE, 0};
	char payload[24];
	uint64_t v = 0;
	int rc;

	MUST(db_in_tx(db) && n > 0);
	rc = commit_version(db, n, author, message, rollback_of, &v, e);
	for (size_t i = 0; i < sizeof(order) / sizeof(*order) && rc == 0; i++)
		rc = commit_set(db, c, n, order[i], v, e);
	snprintf(payload, sizeof(payload), "%llu", (unsigned long long)v);
	if (rc == 0)
		rc = db_notify(db, STORE_CHANNEL_CONFIG, payload, e);
	if (rc == 0)
		*version = v;
	return rc;
}
