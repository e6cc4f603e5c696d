/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to PostgreSQL: a pool of connections, transactions, prepared
 * statements and typed rows. Only files of controlplane/store/ use it to run
 * SQL; other modules take a struct db from the pool and hand it to the typed
 * functions of store_*.h.
 *
 * Usual shape of a unit of work:
 *
 *	rc = store_take(s, &db, e);
 *	if (rc == 0) rc = db_begin(db, e);
 *	if (rc == 0) rc = store_config_lock(db, &version, e);
 *	...
 *	if (rc == 0) rc = db_commit(db, e);
 *	store_give(db);		(rolls back what was not committed)
 *
 * or store_tx(), which also retries. Errors: ERR_AGAIN = serialization
 * failure or deadlock, nothing was done, run the transaction again;
 * ERR_UNAVAILABLE = no connection (the pool reconnects by itself; after a
 * failed COMMIT the outcome is unknown); ERR_EXISTS = unique violation;
 * ERR_CONFLICT = foreign key or exclusion; ERR_INVALID = bad value;
 * ERR_TIMEOUT = statement or pool timeout; ERR_INTERNAL = anything else.
 */
#ifndef CONTROLPLANE_STORE_STORE_H
#define CONTROLPLANE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

struct store;	/* the pool; every function is thread-safe */
struct db;	/* one connection; used by one thread at a time */
struct db_rows; /* a result */

struct store_options {
	const char *conninfo;	 /* libpq URI or key=value string; copied */
	unsigned max_conns;	 /* 0 = 16 */
	int64_t take_timeout_ms; /* wait for a connection; 0 = 5000 */
	int64_t statement_ms;	 /* statement_timeout; 0 = 30000 */
	int64_t connect_ms;	 /* one connection attempt; 0 = 5000 */
	const char *application; /* application_name; NULL = default */
};

/* Make the pool and prove it by one connection. Caller: store_close(). */
int store_open(const struct store_options *o, struct store **ret,
    struct error *e) MUST_CHECK;
/* All connections must have been given back, listeners closed. NULL is ok. */
void store_close(struct store *s);
/* Is the database reachable? Quick; for readyz. */
int store_ping(struct store *s, struct error *e) MUST_CHECK;

struct store_stats {
	unsigned open, idle, waiting;
	uint64_t takes, connects, failures;
};
void store_stats(struct store *s, struct store_stats *ret);

/* Take a connection; blocks up to take_timeout_ms (ERR_TIMEOUT). A broken one
 * is replaced. Give it back with store_give(), which rolls back an open
 * transaction and drops a broken connection; NULL is ok. */
int store_take(struct store *s, struct db **ret, struct error *e) MUST_CHECK;
void store_give(struct db *db);

/* Run fn in a transaction, up to `tries` times (0 = 5) when fn or the commit
 * fails with ERR_AGAIN, or when the connection was lost before the commit was
 * sent. fn returns 0 to commit; anything else rolls back and is returned. */
int store_tx(struct store *s, int tries,
    int (*fn)(struct db *db, void *ctx, struct error *e), void *ctx,
    struct error *e) MUST_CHECK;

/* READ COMMITTED transaction. */
int db_begin(struct db *db, struct error *e) MUST_CHECK;
/* REPEATABLE READ, READ ONLY: several reads of one snapshot. */
int db_begin_snapshot(struct db *db, struct error *e) MUST_CHECK;
int db_commit(struct db *db, struct error *e) MUST_CHECK;
void db_rollback(struct db *db); /* no-op outside a transaction */
bool db_in_tx(const struct db *db);
bool db_is_broken(const struct db *db);

/* Advisory locks, released at the end of the transaction. One key space. */
enum store_lock {
	STORE_LOCK_MIGRATE = 0x68670001,
	STORE_LOCK_CONFIG,     /* writers of the configuration */
	STORE_LOCK_PKI,	       /* first generation of keys */
	STORE_LOCK_PARTITION,  /* making or dropping partitions */
	STORE_LOCK_LEADER,     /* periodic jobs run on one replica */
	STORE_LOCK_FLEET,      /* free for the fleet */
	STORE_LOCK_BUDGET,     /* free for the budget engine */
	STORE_LOCK_CORRECTION, /* corrections of usage */
	STORE_LOCK_AUDIT       /* one reconciliation at a time */
};
int db_lock(struct db *db, enum store_lock lock, struct error *e) MUST_CHECK;
/* ERR_AGAIN at once when somebody else holds it. */
int db_try_lock(
    struct db *db, enum store_lock lock, struct error *e) MUST_CHECK;

/* ---- statements ---- */

/* Declare once, `static const struct db_stmt`; prepared lazily on each
 * connection, found by its address. */
struct db_stmt {
	const char *sql;
};

/* A parameter. Numbers, booleans, times and strings travel as text, so any SQL
 * type fits (a string may be jsonb or uuid); DBX is bytea; arrays are bigint[]
 * and text[]. Pointers must stay valid during the call. */
struct db_val {
	enum {
		DB_NULL,
		DB_I64,
		DB_BOOL,
		DB_STR,
		DB_BYTES,
		DB_TIME,
		DB_I64_ARRAY,
		DB_STR_ARRAY
	} type;
	union {
		int64_t i; /* DB_TIME: nanoseconds since 1970 */
		bool b;
		struct str s;
		struct {
			const void *p;
			size_t n; /* elements */
		} a;
	} v;
};
#define DBI(x) ((struct db_val){DB_I64, {.i = (int64_t)(x)}})
#define DBB(x) ((struct db_val){DB_BOOL, {.b = (x)}})
#define DBS(x) ((struct db_val){DB_STR, {.s = (x)}})
#define DBZ(x) ((struct db_val){DB_STR, {.s = str_of(x)}})
#define DBX(p, n)         \
	((struct db_val){ \
	    DB_BYTES, {.s = str_make((const char *)(const void *)(p), (n))}})
/* timestamptz; microseconds are kept */
#define DBT(ns) ((struct db_val){DB_TIME, {.i = (ns)}})
/* timestamptz or NULL when ns is 0 */
#define DBT0(ns) ((struct db_val){(ns) ? DB_TIME : DB_NULL, {.i = (ns)}})
#define DBNULL	 ((struct db_val){DB_NULL, {.i = 0}})
/* const int64_t *p, n elements */
#define DBIA(p_, n_) ((struct db_val){DB_I64_ARRAY, {.a = {(p_), (n_)}}})
/* const struct str *p, n elements */
#define DBSA(p_, n_) ((struct db_val){DB_STR_ARRAY, {.a = {(p_), (n_)}}})

#define DB_ARGS_MAX 40
/* Expands to two arguments: the values (after one dummy) and their count
 * including the dummy. db_exec(db, &st, DB_ARGS(DBI(7), DBZ("x")), NULL, e) */
#define DB_ARGS(...)                                                 \
	(const struct db_val[]){DBNULL, ##__VA_ARGS__},              \
	    sizeof((const struct db_val[]){DBNULL, ##__VA_ARGS__}) / \
		sizeof(struct db_val)

/* Run; *n_rows (may be NULL) gets the number of affected rows. */
int db_exec(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, int64_t *n_rows, struct error *e) MUST_CHECK;
/* Run and return all rows; *ret is set on success, freed by db_rows_free(). */
int db_query(struct db *db, const struct db_stmt *st, const struct db_val *args,
    size_t n_args, struct db_rows **ret, struct error *e) MUST_CHECK;
/* As db_query, and ERR_NOT_FOUND unless there is exactly one row. */
int db_query_one(struct db *db, const struct db_stmt *st,
    const struct db_val *args, size_t n_args, struct db_rows **ret,
    struct error *e) MUST_CHECK;
/* Unprepared text without parameters, may hold several commands: for
 * migrations and partition maintenance only. */
int db_script(struct db *db, const char *sql, struct error *e) MUST_CHECK;

void db_rows_free(struct db_rows *r); /* NULL is ok */
size_t db_rows_count(const struct db_rows *r);
/* Columns; NULL gives 0, "", false. A value that does not parse is a bug of
 * ours in the statement: MUST. */
bool db_is_null(const struct db_rows *r, size_t row, int col);
int64_t db_i64(const struct db_rows *r, size_t row, int col);
bool db_bool(const struct db_rows *r, size_t row, int col);
/* Valid until db_rows_free(); NUL-terminated. */
const char *db_text(const struct db_rows *r, size_t row, int col);
struct str db_str(const struct db_rows *r, size_t row, int col);
/* timestamptz -> nanoseconds since 1970; NULL and infinity give 0. */
int64_t db_time(const struct db_rows *r, size_t row, int col);
/* bytea into dst[cap]; returns its length, or ERR_TOO_LARGE. */
long db_bytes(const struct db_rows *r, size_t row, int col, void *dst,
    size_t cap) MUST_CHECK;
/* bigint[] into dst[cap]; returns its length, or ERR_TOO_LARGE. */
long db_i64_array(const struct db_rows *r, size_t row, int col, int64_t *dst,
    size_t cap) MUST_CHECK;

/* ---- COPY IN ---- */

int db_copy_begin(
    struct db *db, const char *copy_sql, struct error *e) MUST_CHECK;
int db_copy_data(
    struct db *db, const void *p, size_t n, struct error *e) MUST_CHECK;
/* Ends the COPY; ok false aborts it (always returns an error then). */
int db_copy_end(
    struct db *db, bool ok, int64_t *n_rows, struct error *e) MUST_CHECK;

/* ---- LISTEN / NOTIFY ---- */

/* Sent when (and if) the transaction commits. */
int db_notify(struct db *db, const char *channel, const char *payload,
    struct error *e) MUST_CHECK;

struct store_listener;
/* Called on the listener's thread. payload NULL: the connection was (re)made,
 * notifications may have been missed: look at the tables. */
typedef void store_notify_fn(
    void *ctx, const char *channel, const char *payload);
/* Start a thread that listens on the channels with a connection of its own
 * and reconnects for ever. channels: static strings [a-z_]+. */
int store_listen(struct store *s, const char *const *channels, size_t n,
    store_notify_fn *fn, void *ctx, struct store_listener **ret,
    struct error *e) MUST_CHECK;
void store_unlisten(struct store_listener *l); /* joins; NULL is ok */

/* Channels in use. */
#define STORE_CHANNEL_CONFIG "headgate_config" /* payload: version */
#define STORE_CHANNEL_FLEET  "headgate_fleet"
#define STORE_CHANNEL_TOKEN  "headgate_token"  /* an admin token was revoked */
#define STORE_CHANNEL_RECALL "headgate_recall" /* payload: uid of a budget */

#endif
