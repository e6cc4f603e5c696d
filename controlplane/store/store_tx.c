/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions, advisory locks, scripts, COPY and NOTIFY, and how a failure
 * of PostgreSQL becomes one of our error codes.
 */
#include <poll.h>
#include <string.h>

#include "common/rng.h"
#include "controlplane/store/store.h"
#include "controlplane/store/store_internal.h"

/* Exact states first, then classes (two characters). */
static const struct {
	const char *state;
	int code;
	bool broken; /* drop the connection */
} db_states[] = {
    {"40001", ERR_AGAIN, false},      /* serialization failure */
    {"40P01", ERR_AGAIN, false},      /* deadlock */
    {"55P03", ERR_AGAIN, false},      /* lock not available */
    {"26000", ERR_AGAIN, true},	      /* prepared statement is gone */
    {"0A000", ERR_AGAIN, true},	      /* cached plan changed its type */
    {"57014", ERR_TIMEOUT, false},    /* statement timeout */
    {"23505", ERR_EXISTS, false},     /* unique */
    {"23503", ERR_CONFLICT, false},   /* foreign key */
    {"23P01", ERR_CONFLICT, false},   /* exclusion */
    {"42P01", ERR_NOT_FOUND, false},  /* no such table: a dropped day */
    {"25006", ERR_UNAVAILABLE, true}, /* read only: failover under way */
    {"25P03", ERR_UNAVAILABLE, true}, /* idle in transaction */
    {"08", ERR_UNAVAILABLE, true},    /* connection */
    {"53", ERR_UNAVAILABLE, false},   /* resources */
    {"57P", ERR_UNAVAILABLE, true},   /* shutdown, crash, starting up */
    {"22", ERR_INVALID, false},	      /* data */
    {"23", ERR_INVALID, false},	      /* check, not null */
};

int
db_fail(struct db *db, const PGresult *res, const char *what, struct error *e)
{
	const char *state =
	    res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	const char *text =
	    res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	int code = ERR_INTERNAL;

	if (state != NULL) {
		for (size_t i = 0; i < sizeof(db_states) / sizeof(*db_states);
		     i++) {
			const char *s = db_states[i].state;

			if (strncmp(state, s, strlen(s)) == 0) {
				code = db_states[i].code;
				db->broken |= db_states[i].broken;
				break;
			}
		}
	}
	if (PQstatus(db->pg) != CONNECTION_OK) {
		db->broken = true;
		code = ERR_UNAVAILABLE;
	}
	return err_set(e, code, "database: %s%s%s", what,
	    text || code == ERR_UNAVAILABLE ? ": " : "",
	    text		      ? text
	    : code == ERR_UNAVAILABLE ? "connection lost"
				      : "");
}

int
db_command(struct db *db, const char *sql, struct error *e)
{
	PGresult *res;
	ExecStatusType st;
	int rc = 0;

	if (db->broken)
		return err_set(e, ERR_UNAVAILABLE, "database: connection lost");
	res = PQexec(db->pg, sql);
	st = PQresultStatus(res);
	if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK)
		rc = db_fail(db, res, "command failed", e);
	PQclear(res);
	return rc;
}

int
db_script(struct db *db, const char *sql, struct error *e)
{
	return db_command(db, sql, e);
}

static int
db_start(struct db *db, const char *sql, struct error *e)
{
	int rc;

	MUST(!db->in_tx);
	db->commit_sent = false;
	rc = db_command(db, sql, e);
	db->in_tx = rc == 0;
	return rc;
}

int
db_begin(struct db *db, struct error *e)
{
	return db_start(db, "BEGIN ISOLATION LEVEL READ COMMITTED", e);
}

int
db_begin_snapshot(struct db *db, struct error *e)
{
	return db_start(
	    db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e);
}

int
db_commit(struct db *db, struct error *e)
{
	PGresult *res;
	int rc = 0;

	MUST(db->in_tx);
	if (db->broken)
		return err_set(e, ERR_UNAVAILABLE, "database: connection lost");
	db->commit_sent = true;
	res = PQexec(db->pg, "COMMIT");
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		rc = db_fail(db, res, "commit failed", e);
	else if (strcmp(PQcmdStatus(res), "COMMIT") != 0)
		/* COMMIT of a failed transaction answers ROLLBACK. */
		rc = err_set(
		    e, ERR_INTERNAL, "database: the transaction had failed");
	PQclear(res);
	if (!db->broken)
		db->in_tx = false;
	return rc;
}

void
db_rollback(struct db *db)
{
	struct error ignored;
	int rc;

	if (!db->in_tx)
		return;
	db->in_tx = false;
	if (db->broken)
		return;
	rc = db_command(db, "ROLLBACK", &ignored);
	if (rc != 0)
		db->broken = true;
}

bool
db_in_tx(const struct db *db)
{
	return db->in_tx;
}

bool
db_is_broken(const struct db *db)
{
	return db->broken;
}

static int
store_tx_once(struct store *s,
    int (*fn)(struct db *db, void *ctx, struct error *e), void *ctx,
    bool *retry, struct error *e)
{
	struct db *db;
	int rc;

	*retry = false;
	rc = store_take(s, &db, e);
	if (rc != 0)
		return rc;
	rc = db_begin(db, e);
	if (rc == 0)
		rc = fn(db, ctx, e);
	if (rc == 0)
		rc = db_commit(db, e);
	*retry = rc == ERR_AGAIN ||
		 (rc == ERR_UNAVAILABLE && db->broken && !db->commit_sent);
	store_give(db);
	return rc;
}

int
store_tx(struct store *s, int tries,
    int (*fn)(struct db *db, void *ctx, struct error *e), void *ctx,
    struct error *e)
{
	bool retry;
	int rc;

	if (tries <= 0)
		tries = 5;
	for (int i = 1;; i++) {
		rc = store_tx_once(s, fn, ctx, &retry, e);
		if (rc == 0 || !retry || i >= tries)
			return rc;
		/* Two that deadlocked should not meet again in step. */
		poll(NULL, 0, (int)rng_below(rng_system(), 5u << i));
	}
}

int
db_lock(struct db *db, enum store_lock lock, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT pg_advisory_xact_lock($1::bigint)"};

	return db_exec(db, &st, DB_ARGS(DBI(lock)), NULL, e);
}

int
db_try_lock(struct db *db, enum store_lock lock, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT pg_try_advisory_xact_lock($1::bigint)"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBI(lock)), &r, e);
	if (rc == 0 && !db_bool(r, 0, 0))
		rc = err_set(e, ERR_AGAIN, "somebody else holds the lock");
	db_rows_free(r);
	return rc;
}

int
db_notify(
    struct db *db, const char *channel, const char *payload, struct error *e)
{
	static const struct db_stmt st = {"SELECT pg_notify($1, $2)"};

	return db_exec(db, &st, DB_ARGS(DBZ(channel), DBZ(payload)), NULL, e);
}

int
db_copy_begin(struct db *db, const char *copy_sql, struct error *e)
{
	PGresult *res;
	int rc = 0;

	if (db->broken)
		return err_set(e, ERR_UNAVAILABLE, "database: connection lost");
	res = PQexec(db->pg, copy_sql);
	if (PQresultStatus(res) != PGRES_COPY_IN)
		rc = db_fail(db, res, "copy failed", e);
	PQclear(res);
	return rc;
}

int
db_copy_data(struct db *db, const void *p, size_t n, struct error *e)
{
	const char *at = p;

	while (n > 0) {
		int part = n > (1 << 20) ? 1 << 20 : (int)n;

		if (PQputCopyData(db->pg, at, part) != 1)
			return db_fail(db, NULL, "copy failed", e);
		at += part;
		n -= (size_t)part;
	}
	return 0;
}

int
db_copy_end(struct db *db, bool ok, int64_t *n_rows, struct error *e)
{
	PGresult *res;
	int rc = 0;

	if (PQputCopyEnd(db->pg, ok ? NULL : "aborted") != 1)
		rc = db_fail(db, NULL, "copy failed", e);
	while ((res = PQgetResult(db->pg)) != NULL) {
		if (PQresultStatus(res) != PGRES_COMMAND_OK) {
			if (rc == 0)
				rc = db_fail(db, res, "copy failed", e);
		} else if (n_rows != NULL) {
			struct str t = str_of(PQcmdTuples(res));

			if (str_to_i64(t, n_rows) != 0)
				*n_rows = 0;
		}
		PQclear(res);
		if (PQstatus(db->pg) != CONNECTION_OK)
			break;
	}
	return rc;
}
