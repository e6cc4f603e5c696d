/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the pool share: the connection itself. Not for other
 * modules, and not for store_*.c files that only run statements.
 */
#ifndef CONTROLPLANE_STORE_STORE_INTERNAL_H
#define CONTROLPLANE_STORE_STORE_INTERNAL_H

#include <libpq-fe.h>
#include <pthread.h>

#include "controlplane/store/store.h"

#define STORE_DAY_SLOTS 64
#define DB_STMT_SLOTS	512 /* power of two; half of it is used at most */

struct db {
	struct store *store;
	struct db *next; /* in the pool's idle list */
	PGconn *pg;
	bool broken;	  /* never goes back to the pool */
	bool in_tx;	  /* BEGIN succeeded, neither commit nor rollback yet */
	bool commit_sent; /* a lost connection may or may not have committed */
	unsigned n_stmts;
	const struct db_stmt *stmts[DB_STMT_SLOTS]; /* hash by address */
};

struct db_rows {
	PGresult *res;
};

struct store {
	pthread_mutex_t lock;
	pthread_cond_t freed; /* a connection or a place came free */
	struct db *idle;      /* last used first */
	unsigned n_open, n_idle, n_waiting, max;
	uint64_t n_takes, n_connects, n_failures;
	char *conninfo, *application;
	int64_t take_ms, statement_ms, connect_ms;
	/* Days whose usage partition exists, + 1; by day modulo the size. */
	_Atomic int64_t days[STORE_DAY_SLOTS];
};

/* Connect and set up a session. On failure *ret stays. */
int store_connect(const struct store *s, const char *role, PGconn **ret,
    struct error *e) MUST_CHECK;
/* Turn a failed result (or NULL) into an error; marks the connection broken
 * where that is so. Does not clear res. */
int db_fail(
    struct db *db, const PGresult *res, const char *what, struct error *e);
/* Run one command without parameters; rows are dropped. */
int db_command(struct db *db, const char *sql, struct error *e) MUST_CHECK;

#endif
