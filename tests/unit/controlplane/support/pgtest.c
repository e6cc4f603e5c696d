/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See pgtest.h. The first database is migrated once and then serves as the
 * template of the others.
 */
#include "tests/unit/controlplane/support/pgtest.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/store/migrate.h"
#include "tests/unit/support/unit.h"

static struct embedded *pgtest_cluster;
static char pgtest_folder[PATH_MAX / 2];
static char pgtest_last[400];

static _Noreturn void
pgtest_die(const char *what, const struct error *e)
{
	fprintf(stderr, "pgtest: %s: %s\n", what, e->text);
	pgtest_stop();
	_exit(99);
}

const char *
pgtest_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	if (pgtest_folder[0] != '\0')
		return pgtest_folder;
	snprintf(pgtest_folder, sizeof(pgtest_folder), "%s/pgtest.XXXXXX",
	    tmp ? tmp : "/tmp");
	if (mkdtemp(pgtest_folder) == NULL || chmod(pgtest_folder, 0755) != 0) {
		perror("pgtest: mkdtemp");
		_exit(99);
	}
	return pgtest_folder;
}

struct embedded_options
pgtest_options(const char *name)
{
	static char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/%s", pgtest_dir(), name);
	return (struct embedded_options){.dir = dir};
}

static struct store *
pgtest_connect(const char *database)
{
	struct store_options o = {.conninfo = pgtest_last, .max_conns = 32};
	struct store *s = NULL;
	struct error e;

	snprintf(pgtest_last, sizeof(pgtest_last),
	    "host=%s user=headgate dbname=%s",
	    embedded_socket_dir(pgtest_cluster), database);
	if (store_open(&o, &s, &e) != 0)
		pgtest_die("connect", &e);
	return s;
}

void
pgtest_start(void)
{
	struct embedded_options o = pgtest_options("pg");
	struct error e;
	struct store *s;
	int applied;

	o.unsafe_fast = true;
	o.max_conns = 120;
	if (embedded_start(&o, &pgtest_cluster, &e) != 0)
		pgtest_die("start", &e);
	s = pgtest_connect("postgres");
	pgtest_sql(s, "CREATE DATABASE pgtest");
	store_close(s);
	s = pgtest_connect("pgtest");
	if (migrate_run(
		s, schema_migrations, n_schema_migrations, &applied, &e) != 0)
		pgtest_die("migrate", &e);
	store_close(s);
}

static int
pgtest_remove(
    const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void
pgtest_stop(void)
{
	if (pgtest_cluster != NULL)
		embedded_kill(pgtest_cluster);
	embedded_stop(pgtest_cluster, 1);
	pgtest_cluster = NULL;
	if (pgtest_folder[0] != '\0')
		nftw(pgtest_folder, pgtest_remove, 16, FTW_DEPTH | FTW_PHYS);
	pgtest_folder[0] = '\0';
}

int
pgtest_run(Suite *suite)
{
	int rc;

	pgtest_start();
	rc = unit_run(suite);
	pgtest_stop();
	return rc;
}

struct store *
pgtest_open(void)
{
	static unsigned counter;
	char name[64], sql[128];
	struct store *s;

	snprintf(name, sizeof(name), "t%d_%u", (int)getpid(), ++counter);
	s = pgtest_connect("postgres");
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE pgtest", name);
	pgtest_sql(s, sql);
	store_close(s);
	return pgtest_connect(name);
}

void
pgtest_close(struct store *s)
{
	store_close(s);
}

const char *
pgtest_conninfo(void)
{
	return pgtest_last;
}

/* Statements are found by address: one for each text, kept for ever. */
static const struct db_stmt *
pgtest_stmt(const char *sql)
{
	static struct db_stmt all[512];
	size_t i = 0;

	while (i < 511 && all[i].sql != NULL && strcmp(all[i].sql, sql) != 0)
		i++;
	if (all[i].sql == NULL)
		all[i].sql = strdup(sql);
	MUST(i < 511);
	return &all[i];
}

int64_t
pgtest_number(struct store *s, const char *sql)
{
	struct db_rows *r = NULL;
	struct db *db = NULL;
	struct error e;
	int64_t v;

	if (store_take(s, &db, &e) != 0 ||
	    db_query_one(db, pgtest_stmt(sql), DB_ARGS(), &r, &e) != 0)
		pgtest_die(sql, &e);
	v = db_i64(r, 0, 0);
	db_rows_free(r);
	store_give(db);
	return v;
}

void
pgtest_sql(struct store *s, const char *sql)
{
	struct db *db = NULL;
	struct error e;

	if (store_take(s, &db, &e) != 0 || db_script(db, sql, &e) != 0)
		pgtest_die(sql, &e);
	store_give(db);
}
