/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded server, the pool, statements, transactions, LISTEN and the
 * migrations, on a real PostgreSQL.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/store.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/support/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

START_TEST(test_values)
{
	static const struct db_stmt st = {
	    "SELECT $1::bigint, $2::bool, $3::text, $4::bytea, "
	    "$5::timestamptz, $6::bigint[], $7::text[], $8::text, "
	    "$9::jsonb->>'a', $10::uuid, array_length($7::text[], 1), "
	    "($7::text[])[2]"};
	const int64_t ints[] = {1, -2, INT64_MAX, INT64_MIN};
	const struct str strs[] = {STR("x"), STR("y,\"{}"), STR("")};
	const uint8_t bytes[] = {0, 1, 0xff, '\\'};
	int64_t at = INT64_C(1789012345678901000), got[4];
	struct store *s = pgtest_open();
	struct db_rows *r = NULL;
	struct db *db = NULL;
	struct error e;
	uint8_t back[4];

	OK(store_take(s, &db, &e));
	for (int i = 0; i < 3; i++) {
		OK(db_query_one(db, &st,
		    DB_ARGS(DBI(-42), DBB(true), DBZ("h\xc3\xa4 'q'"),
			DBX(bytes, sizeof(bytes)), DBT(at), DBIA(ints, 4),
			DBSA(strs, 3), DBNULL, DBZ("{\"a\":\"b\"}"),
			DBZ("01890000-0000-7000-8000-000000000001")),
		    &r, &e));
		ck_assert_int_eq(db_i64(r, 0, 0), -42);
		ck_assert(db_bool(r, 0, 1));
		ck_assert_str_eq(db_text(r, 0, 2), "h\xc3\xa4 'q'");
		ck_assert_int_eq(db_bytes(r, 0, 3, back, 4), 4);
		ck_assert_mem_eq(back, bytes, 4);
		ck_assert_int_eq(db_bytes(r, 0, 3, back, 3), ERR_TOO_LARGE);
		ck_assert_int_eq(db_time(r, 0, 4), at);
		ck_assert_int_eq(db_i64_array(r, 0, 5, got, 4), 4);
		ck_assert_mem_eq(got, ints, sizeof(ints));
		ck_assert(db_is_null(r, 0, 7));
		ck_assert_int_eq(db_i64(r, 0, 7), 0);
		ck_assert_str_eq(db_text(r, 0, 8), "b");
		ck_assert_int_eq(db_i64(r, 0, 10), 3);
		ck_assert_str_eq(db_text(r, 0, 11), "y,\"{}");
		db_rows_free(r);
	}
	store_give(db);
	pgtest_close(s);
}
END_TEST

START_TEST(test_times)
{
	static const struct db_stmt st = {"SELECT $1::timestamptz"};
	static const int64_t at[] = {0, 1000, -1000, -NS_PER_S, NS_PER_S,
	    INT64_C(951782400000000000) /* 2000-02-29 */,
	    INT64_C(4102444799999999000), INT64_C(-2208988800000000000)};
	struct store *s = pgtest_open();
	struct db_rows *r = NULL;
	struct db *db = NULL;
	struct error e;

	OK(store_take(s, &db, &e));
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		OK(db_query_one(db, &st, DB_ARGS(DBT(at[i])), &r, &e));
		ck_assert_int_eq(db_time(r, 0, 0), at[i]);
		db_rows_free(r);
	}
	store_give(db);
	pgtest_close(s);
}
END_TEST

START_TEST(test_errors)
{
	static const struct db_stmt ins = {"INSERT INTO t VALUES ($1, $2)"};
	static const struct db_stmt bad = {"SELECT nonsense"};
	static const struct db_stmt slow = {"SELECT pg_sleep(10)"};
	struct store *s = pgtest_open();
	struct db *db = NULL;
	struct error e;
	char text[3] = {'a', 0, 'b'};

	pgtest_sql(s, "CREATE TABLE t (id bigint PRIMARY KEY, "
		      "v text CHECK (v <> 'no'))");
	OK(store_take(s, &db, &e));
	OK(db_exec(db, &ins, DB_ARGS(DBI(1), DBZ("x")), NULL, &e));
	ck_assert_int_eq(
	    db_exec(db, &ins, DB_ARGS(DBI(1), DBZ("x")), NULL, &e), ERR_EXISTS);
	ck_assert_int_eq(
	    db_exec(db, &ins, DB_ARGS(DBI(2), DBZ("no")), NULL, &e),
	    ERR_INVALID);
	ck_assert_int_eq(
	    db_exec(db, &ins, DB_ARGS(DBZ("one"), DBZ("x")), NULL, &e),
	    ERR_INVALID);
	ck_assert_int_eq(db_exec(db, &ins,
			     DB_ARGS(DBI(3), DBS(str_make(text, 3))), NULL, &e),
	    ERR_INVALID);
	ck_assert_int_eq(db_exec(db, &bad, DB_ARGS(), NULL, &e), ERR_INTERNAL);
	OK(db_script(db, "SET statement_timeout = 20", &e));
	ck_assert_int_eq(db_exec(db, &slow, DB_ARGS(), NULL, &e), ERR_TIMEOUT);
	ck_assert(!db_is_broken(db));
	/* A failed transaction cannot be committed by accident. */
	OK(db_begin(db, &e));
	ck_assert_int_eq(
	    db_exec(db, &ins, DB_ARGS(DBI(1), DBZ("x")), NULL, &e), ERR_EXISTS);
	ck_assert_int_eq(db_commit(db, &e), ERR_INTERNAL);
	store_give(db);
	/* What was not committed is rolled back by giving it back. */
	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(db_exec(db, &ins, DB_ARGS(DBI(9), DBZ("x")), NULL, &e));
	store_give(db);
	ck_assert_int_eq(pgtest_number(s, "SELECT count(*) FROM t"), 1);
	pgtest_close(s);
}
END_TEST

START_TEST(test_pool_limit)
{
	struct store_options o = {.max_conns = 2, .take_timeout_ms = 30};
	struct store *s = pgtest_open(), *small = NULL;
	struct db *a = NULL, *b = NULL, *c = NULL;
	struct store_stats st;
	struct error e;

	o.conninfo = pgtest_conninfo();
	OK(store_open(&o, &small, &e));
	OK(store_take(small, &a, &e));
	OK(store_take(small, &b, &e));
	ck_assert_int_eq(store_take(small, &c, &e), ERR_TIMEOUT);
	store_give(a);
	OK(store_take(small, &c, &e));
	store_give(b);
	store_give(c);
	store_stats(small, &st);
	ck_assert_uint_eq(st.open, 2);
	ck_assert_uint_eq(st.idle, 2);
	ck_assert_uint_eq(st.connects, 2);
	store_close(small);
	pgtest_close(s);
}
END_TEST

static int
add_one(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt get = {"SELECT v FROM c"};
	static const struct db_stmt put = {"UPDATE c SET v = $1"};
	struct db_rows *r = NULL;
	int64_t v;
	int rc;

	(void)ctx;
	rc = db_script(db, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", e);
	if (rc == 0)
		rc = db_query_one(db, &get, DB_ARGS(), &r, e);
	if (rc != 0)
		return rc;
	v = db_i64(r, 0, 0);
	db_rows_free(r);
	return db_exec(db, &put, DB_ARGS(DBI(v + 1)), NULL, e);
}

static void *
add_many(void *arg)
{
	struct error e;

	for (int i = 0; i < 50; i++)
		if (store_tx(arg, 1000, add_one, NULL, &e) != 0)
			return arg;
	return NULL;
}

START_TEST(test_tx_retry)
{
	struct store *s = pgtest_open();
	pthread_t t[4];
	void *failed;

	pgtest_sql(s, "CREATE TABLE c (v bigint); INSERT INTO c VALUES (0)");
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, add_many, s);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &failed);
		ck_assert_ptr_null(failed);
	}
	ck_assert_int_eq(pgtest_number(s, "SELECT v FROM c"), 200);
	pgtest_close(s);
}
END_TEST

struct heard {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int n_null, n;
	char last[32];
};

static void
on_notify(void *ctx, const char *channel, const char *payload)
{
	struct heard *h = ctx;

	ck_assert_str_eq(channel, "headgate_config");
	pthread_mutex_lock(&h->lock);
	if (payload == NULL) {
		h->n_null++;
	} else {
		h->n++;
		snprintf(h->last, sizeof(h->last), "%s", payload);
	}
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->lock);
}

static void
wait_heard(struct heard *h, int n_null, int n)
{
	pthread_mutex_lock(&h->lock);
	while (h->n_null < n_null || h->n < n)
		pthread_cond_wait(&h->cond, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

START_TEST(test_listen)
{
	static const char *const channels[] = {STORE_CHANNEL_CONFIG};
	struct heard h = {.lock = PTHREAD_MUTEX_INITIALIZER,
	    .cond = PTHREAD_COND_INITIALIZER};
	struct store *s = pgtest_open();
	struct store_listener *l = NULL;
	struct db *db = NULL;
	struct error e;

	OK(store_listen(s, channels, 1, on_notify, &h, &l, &e));
	wait_heard(&h, 1, 0);
	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(db_notify(db, STORE_CHANNEL_CONFIG, "rolled back", &e));
	db_rollback(db);
	OK(db_begin(db, &e));
	OK(db_notify(db, STORE_CHANNEL_CONFIG, "17", &e));
	OK(db_commit(db, &e));
	store_give(db);
	wait_heard(&h, 1, 1);
	ck_assert_str_eq(h.last, "17");
	/* Its connection is cut: it comes back and says so. */
	pgtest_sql(s,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
	    "datname = current_database() AND application_name LIKE "
	    "'%listen'");
	wait_heard(&h, 2, 1);
	store_unlisten(l);
	pgtest_close(s);
}
END_TEST

START_TEST(test_cut_connections)
{
	struct store *s = pgtest_open(), *other = NULL;
	struct store_options o = {.max_conns = 4};
	struct db *a = NULL, *b = NULL;
	struct error e;

	o.conninfo = pgtest_conninfo();
	OK(store_open(&o, &other, &e));
	OK(store_take(s, &a, &e));
	OK(store_take(s, &b, &e));
	store_give(b);
	OK(db_begin(a, &e));
	pgtest_sql(other,
	    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
	    "WHERE datname = current_database() AND pid <> pg_backend_pid()");
	ck_assert_int_eq(db_script(a, "SELECT 1", &e), ERR_UNAVAILABLE);
	ck_assert(db_is_broken(a));
	store_give(a);
	for (int i = 0; i < 4; i++)
		OK(store_ping(s, &e));
	store_close(other);
	pgtest_close(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("store_pool");

	UNIT_ADD(s, test_values);
	UNIT_ADD(s, test_times);
	UNIT_ADD(s, test_errors);
	UNIT_ADD(s, test_pool_limit);
	UNIT_ADD(s, test_tx_retry);
	UNIT_ADD(s, test_listen);
	UNIT_ADD(s, test_cut_connections);
	return s;
}

int
main(void)
{
	return pgtest_run(suite());
}
