/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private server: one owner, crash recovery, what a killed owner leaves,
 * errors that say what is wrong.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controlplane/store/embedded.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/support/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

static struct store *
open_store(struct embedded *em)
{
	struct store_options o = {.conninfo = embedded_conninfo(em)};
	struct store *s = NULL;
	struct error e;

	OK(store_open(&o, &s, &e));
	return s;
}

START_TEST(test_life)
{
	struct embedded_options o = pgtest_options("life");
	struct embedded *em = NULL, *two = NULL;
	struct store *s;
	char conninfo[256], dir[128];
	struct stat st;
	struct error e;

	ck_assert_int_eq(embedded_attach(o.dir, conninfo, sizeof(conninfo), &e),
	    ERR_NOT_FOUND);
	OK(embedded_start(&o, &em, &e));
	/* one owner; a tool may join */
	ck_assert_int_eq(embedded_start(&o, &two, &e), ERR_CONFLICT);
	OK(embedded_attach(o.dir, conninfo, sizeof(conninfo), &e));
	ck_assert_str_eq(conninfo, embedded_conninfo(em));
	s = open_store(em);
	pgtest_sql(s, "CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM pg_settings WHERE "
			     "(name, setting) IN (('data_checksums', 'on'), "
			     "('listen_addresses', ''), ('fsync', 'on'), "
			     "('server_encoding', 'UTF8'), "
			     "('lc_collate', 'C'))"),
	    5);
	/* killed: the pool heals after the restart */
	embedded_kill(em);
	ck_assert(!embedded_is_running(em));
	ck_assert_int_ne(store_ping(s, &e), 0);
	OK(embedded_restart(em, &e));
	OK(store_ping(s, &e));
	/* the postmaster alone is killed, its children must go first */
	kill(embedded_pid(em), SIGKILL);
	while (embedded_is_running(em))
		poll(NULL, 0, 5);
	OK(embedded_restart(em, &e));
	ck_assert_int_eq(pgtest_number(s, "SELECT a FROM t"), 7);
	store_close(s);
	snprintf(dir, sizeof(dir), "%s", embedded_socket_dir(em));
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	ck_assert_uint_ne(st.st_uid, 0);
	embedded_stop(em, 0);
	ck_assert_int_ne(stat(dir, &st), 0);
	/* a stale pid file that names a stranger */
	snprintf(conninfo, sizeof(conninfo), "echo %d > %s/data/postmaster.pid",
	    (int)getppid(), o.dir);
	ck_assert_int_eq(system(conninfo), 0);
	OK(embedded_start(&o, &em, &e));
	s = open_store(em);
	ck_assert_int_eq(pgtest_number(s, "SELECT a FROM t"), 7);
	store_close(s);
	embedded_stop(em, 0);
}
END_TEST

/* The owner is killed without a chance to stop its server: the server ends
 * by itself and the next owner starts. */
START_TEST(test_killed_owner)
{
	struct embedded_options o = pgtest_options("killed-owner");
	struct embedded *em = NULL;
	struct store *s;
	struct error e;
	pid_t owner, server = 0;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	owner = fork();
	if (owner == 0) {
		if (embedded_start(&o, &em, &e) != 0)
			_exit(1);
		s = open_store(em);
		pgtest_sql(
		    s, "CREATE TABLE t (a int); INSERT INTO t VALUES (8)");
		server = embedded_pid(em);
		if (write(p[1], &server, sizeof(server)) != sizeof(server))
			_exit(1);
		for (;;)
			pause();
	}
	close(p[1]);
	ck_assert_int_eq(read(p[0], &server, sizeof(server)), sizeof(server));
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	OK(embedded_start(&o, &em, &e));
	ck_assert(kill(server, 0) != 0 && errno == ESRCH);
	s = open_store(em);
	ck_assert_int_eq(pgtest_number(s, "SELECT a FROM t"), 8);
	store_close(s);
	embedded_stop(em, 0);
	close(p[0]);
}
END_TEST

START_TEST(test_errors)
{
	struct embedded_options o = pgtest_options("closed/pg");
	struct embedded *em = NULL;
	char cmd[1024], dir[512];
	struct error e;

	snprintf(dir, sizeof(dir), "%s", o.dir);
	o.dir = dir;
	o.bindir = "/nonexistent";
	ck_assert_int_eq(embedded_start(&o, &em, &e), ERR_NOT_FOUND);
	o.bindir = NULL;
	if (geteuid() == 0) {
		o.user = "no-such-user";
		ck_assert_int_eq(embedded_start(&o, &em, &e), ERR_NOT_FOUND);
		o.user = "root";
		ck_assert_int_eq(embedded_start(&o, &em, &e), ERR_INVALID);
		o.user = NULL;
		snprintf(
		    cmd, sizeof(cmd), "chmod 0700 %s/closed", pgtest_dir());
		ck_assert_int_eq(system(cmd), 0);
		ck_assert_int_eq(embedded_start(&o, &em, &e), ERR_FORBIDDEN);
		ck_assert_ptr_nonnull(strstr(e.text, "cannot enter"));
		ck_assert_ptr_nonnull(strstr(e.text, "/closed:"));
	}
	/* the log's end is in the error */
	o = pgtest_options("broken");
	o.unsafe_fast = true;
	OK(embedded_start(&o, &em, &e));
	embedded_stop(em, 0);
	snprintf(cmd, sizeof(cmd),
	    "echo 'no_such_setting = 1' >> "
	    "%s/data/local.conf",
	    o.dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_eq(embedded_start(&o, &em, &e), ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(e.text, "no_such_setting"));
	/* a file in the way */
	o = pgtest_options("file");
	snprintf(cmd, sizeof(cmd), "touch %s", o.dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_int_ne(embedded_start(&o, &em, &e), 0);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("embedded");

	UNIT_ADD(s, test_life);
	UNIT_ADD(s, test_killed_owner);
	UNIT_ADD(s, test_errors);
	return s;
}

int
main(void)
{
	Suite *s = suite();
	int rc;

	/* No shared cluster; only the folder. */
	(void)pgtest_dir();
	rc = unit_run(s);
	pgtest_stop();
	return rc;
}
