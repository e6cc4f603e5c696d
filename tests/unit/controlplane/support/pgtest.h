/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real PostgreSQL for unit tests of the control plane: one embedded cluster
 * per test program (fsync off), one fresh migrated database per pgtest_open().
 *
 *	int main(void) { return pgtest_run(suite()); }
 *	...
 *	struct store *s = pgtest_open();
 *	...
 *	pgtest_close(s);
 *
 * Works with libcheck's forked tests: the cluster belongs to the parent.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_SUPPORT_PGTEST_H
#define TESTS_UNIT_CONTROLPLANE_SUPPORT_PGTEST_H

#include <check.h>

#include "controlplane/store/embedded.h"
#include "controlplane/store/store.h"

/* Start the cluster, run the suite (takes it), stop; exit status. */
int pgtest_run(Suite *s);
/* The pieces, for programs with a main of their own. Abort on failure. */
void pgtest_start(void);
void pgtest_stop(void);

/* A store on a fresh database with all migrations; aborts on failure. */
struct store *pgtest_open(void);
/* Closes the store; the database goes with the cluster. */
void pgtest_close(struct store *s);
/* Connection string of the database that pgtest_open() made last. */
const char *pgtest_conninfo(void);

/* Run SQL that returns one number, through psql-free means: aborts unless it
 * gives exactly one row. */
int64_t pgtest_number(struct store *s, const char *sql);
/* Run SQL. */
void pgtest_sql(struct store *s, const char *sql);

/* A folder for this program, removed at the end. */
const char *pgtest_dir(void);
/* Options for another, durable cluster in pgtest_dir()/name that a test
 * starts itself (to kill it). */
struct embedded_options pgtest_options(const char *name);

#endif
