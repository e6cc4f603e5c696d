/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of budget periods in PostgreSQL: closed once nothing is out, final
 * then; late usage goes to the open one; carrying over, once.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "common/clock.h"
#include "controlplane/store/money_audit.h"
#include "controlplane/store/store_budget.h"
#include "tests/unit/controlplane/support/asker.h"

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

#define HOUR (INT64_C(3600) * NS_PER_S)
#define DAY  (24 * HOUR)
/* Later than any real clock: what comes late goes to the newest period. */
#define BEGIN INT64_C(3000844800000000000) /* 2065-02-03T00:00:00Z */
#define SPEC(rest)                                        \
	"{\"scope\":\"acme\",\"limit_usd\":\"0.000001\"," \
	"\"period\":\"day\"" rest "}"

static struct budget_closing
closing(struct asker *a)
{
	struct budget_closing c;

	IS(store_budget_close(a->l.store, a->now, &c, &e), 0);
	ck_assert_int_eq(asker_books_wrong(a), 0);
	return c;
}

static int64_t
of_period(struct asker *a, const char *what, int64_t start)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
	    "SELECT (%s)::bigint FROM budget_period WHERE period_start = %lld",
	    what, (long long)start);
	return pgtest_number(a->l.store, sql);
}

#define CLOSED(a, start) of_period(a, "(state = 'closed')::int", start)

/* What is left goes back, in whatever period the lease is. */
static void
give_back(struct asker *a)
{
	int64_t period = a->period;

	a->returned = a->granted - a->spent;
	(void)asker_ask(a, 0);
	if (a->period != period) /* told of the next one: tell of the old */
		ck_abort();
}

/* Report on an old period only. */
static void
give_back_old(struct asker *a, int64_t period, int64_t returned, int64_t spent)
{
	struct lease_write w = {.budget_uid = a->uid,
	    .period_start = period,
	    .returned = returned,
	    .r_settled = spent,
	    .report_at = a->now};

	IS(db_begin(a->db, &e), 0);
	IS(store_lease_write(a->db, str_of(a->id), a->boot_epoch, &w, &e), 0);
	IS(db_commit(a->db, &e), 0);
}

START_TEST(test_close)
{
	struct lease_write w = {0};
	struct budget_closing c;
	struct asker a;
	int64_t old = BEGIN;

	asker_open(&a, SPEC(""));
	a.now = BEGIN + 12 * HOUR;
	ck_assert_int_eq(asker_ask(&a, 400)->granted, 400);
	ck_assert_int_eq(a.period, old);
	asker_charge(&a, old, 150);
	a.spent = 150;
	c = closing(&a);
	ck_assert_int_eq(c.closing + c.closed, 0);
	a.now = BEGIN + DAY + BUDGET_CLOSE_SKEW_NS; /* replicas may differ */
	ck_assert_int_eq(closing(&a).closing, 0);
	a.now += 1000;
	c = closing(&a);
	ck_assert_int_eq(c.closing, 1);
	ck_assert_int_eq(c.closed, 0); /* 250 are out */
	/* No grant any more, by whatever replica. */
	w = (struct lease_write){.budget_uid = a.uid,
	    .period_start = old,
	    .grant = 1,
	    .report_at = a.now};
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_write(a.db, str_of(a.id), a.boot_epoch, &w, &e),
	    ERR_CONFLICT);
	db_rollback(a.db);
	/* Usage of it comes, and is its own. */
	asker_charge(&a, old, 50);
	ck_assert_int_eq(of_period(&a, "settled", old), 200);
	give_back_old(&a, old, 200, 200);
	c = closing(&a);
	ck_assert_int_eq(c.closed, 1);
	ck_assert_int_eq(CLOSED(&a, old), 1);
	ck_assert_int_eq(closing(&a).closed, 0);
	/* What comes now is booked in the open one. */
	a.period = 0;
	a.granted = a.returned = a.spent = 0;
	(void)asker_ask(&a, 0);
	asker_charge(&a, old, 70);
	ck_assert_int_eq(of_period(&a, "settled", old), 200);
	ck_assert_int_eq(of_period(&a, "settled", old + DAY), 70);
	ck_assert_int_eq(of_period(&a, "free", old + DAY), 930);
	ck_assert_int_eq(pgtest_number(a.l.store,
			     "SELECT sum(cost)::bigint FROM budget_correction "
			     "WHERE charge_class = 'Correction'"),
	    70);
	ck_assert_int_eq(asker_books_wrong(&a), 0);
	/* The database itself keeps it. */
	ck_assert_int_ne(db_script(a.db,
			     "UPDATE budget_period SET settled = settled + 1, "
			     "free = free - 1 WHERE state = 'closed'",
			     &e),
	    0);
	ck_assert_ptr_nonnull(strstr(e.text, "is closed"));
	ck_assert_int_ne(db_script(a.db,
			     "UPDATE budget_period SET state = 'open' "
			     "WHERE state = 'closed'",
			     &e),
	    0);
	ck_assert_int_ne(db_script(a.db,
			     "DELETE FROM budget_period WHERE state = 'closed' "
			     "AND NOT EXISTS (SELECT 1 FROM lease)",
			     &e) == 0 &&
			     CLOSED(&a, old) != 1,
	    1);
	ck_assert_int_ne(
	    db_script(a.db, "UPDATE budget_correction SET cost = 0", &e), 0);
	/* A limit that changes later does not change it either. */
	(void)lab_put(&a.l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000002\",\"period\":"
	    "\"day\"}");
	(void)asker_ask(&a, 10);
	ck_assert_int_eq(of_period(&a, "limit_nano", old), 1000);
	ck_assert_int_eq(of_period(&a, "limit_nano", old + DAY), 2000);
	asker_close(&a);
}
END_TEST

/* An agent vanished: closed after 72 hours; its journal comes all the same. */
START_TEST(test_wait)
{
	struct doubt_decision d = {
	    .release = false, .author = STR("me"), .reason = STR("bill")};
	struct asker a;
	int64_t amount;

	asker_open(&a, SPEC(""));
	a.now = BEGIN + HOUR;
	(void)asker_ask(&a, 600);
	asker_charge(&a, BEGIN, 100);
	a.now = BEGIN + DAY + BUDGET_CLOSE_WAIT_NS;
	ck_assert_int_eq(closing(&a).closed, 0);
	a.now += BUDGET_CLOSE_SKEW_NS + 1000;
	ck_assert_int_eq(closing(&a).closed, 1);
	asker_charge(&a, BEGIN, 300);
	ck_assert_int_eq(of_period(&a, "settled", BEGIN), 100);
	/* its rights were spent: they are no doubt of the old period */
	ck_assert_int_eq(of_period(&a, "free", BEGIN), 700);
	ck_assert_int_eq(asker_books_wrong(&a), 0);
	pgtest_sql(a.l.store, "UPDATE lease SET doubtful = true");
	d.budget_uid = a.uid;
	d.period_start = BEGIN;
	d.agent_id = str_of(a.id);
	d.boot_epoch = a.boot_epoch;
	IS(db_begin(a.db, &e), 0);
	IS(store_doubt_decide(a.db, &d, &amount, &e), 0);
	IS(db_commit(a.db, &e), 0);
	ck_assert_int_eq(amount, 200);
	ck_assert_int_eq(of_period(&a, "settled", BEGIN), 100);
	ck_assert_int_eq(
	    pgtest_number(a.l.store, "SELECT sum(settled)::bigint FROM "
				     "budget_period"),
	    600);
	ck_assert_int_eq(of_period(&a, "free", BEGIN), 900);
	asker_close(&a);
}
END_TEST

/* Calendars that change: a period begins where the closed one ended. */
START_TEST(test_longer)
{
	struct asker a;

	asker_open(&a, SPEC(""));
	a.now = BEGIN + HOUR;
	(void)asker_ask(&a, 600);
	asker_charge(&a, BEGIN, 600);
	a.spent = 600;
	give_back(&a);
	a.now = BEGIN + DAY + HOUR;
	ck_assert_int_eq(closing(&a).closed, 1);
	(void)lab_put(&a.l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\",\"period\":"
	    "\"week\",\"anchor_day\":2}"); /* BEGIN is a Tuesday */
	a.period = 0;
	a.granted = a.returned = a.spent = 0;
	ck_assert_int_eq(asker_ask(&a, 700)->granted, 700);
	ck_assert_int_eq(a.period, BEGIN + DAY);
	ck_assert_int_eq(
	    of_period(&a, "period_end", a.period), BEGIN + 7 * DAY);
	ck_assert_int_eq(of_period(&a, "settled", BEGIN), 600);
	asker_close(&a);
}
END_TEST

/* One day is closed, the next one still has something out: the week begins
 * after the closed one, with what the other spent. */
START_TEST(test_longer_while_closing)
{
	struct asker a;

	asker_open(&a, SPEC(""));
	a.now = BEGIN + HOUR;
	(void)asker_ask(&a, 600);
	asker_charge(&a, BEGIN, 600);
	a.spent = 600;
	give_back(&a);
	a.now = BEGIN + DAY + HOUR;
	a.period = 0;
	a.granted = a.returned = a.spent = 0;
	(void)asker_ask(&a, 300);
	asker_charge(&a, BEGIN + DAY, 200);
	a.now = BEGIN + 2 * DAY + HOUR;
	ck_assert_int_eq(closing(&a).closed, 1);
	(void)lab_put(&a.l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\",\"period\":"
	    "\"week\",\"anchor_day\":2}");
	a.period = 0;
	a.granted = 300;
	a.returned = 100;
	a.spent = 200;
	ck_assert_int_eq(asker_ask(&a, 700)->granted, 1000);
	ck_assert_int_eq(a.period, BEGIN + DAY);
	ck_assert_int_eq(of_period(&a, "settled", BEGIN), 600);
	asker_close(&a);
}
END_TEST

/* A window that becomes so much longer that its bucket begins with one that
 * is closed: the new one begins behind it, and the old ones count. */
START_TEST(test_longer_window)
{
	struct asker a;

	asker_open(&a,
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\",\"period\":"
	    "\"rolling\",\"rolling_hours\":1}");
	a.now = BEGIN + 1000;
	ck_assert_int_eq(asker_ask(&a, 600)->granted, 600);
	ck_assert_int_eq(a.period, BEGIN);
	asker_charge(&a, BEGIN, 600);
	a.spent = 600;
	give_back(&a);
	a.now = BEGIN + 3 * HOUR;
	(void)closing(&a);
	ck_assert_int_eq(CLOSED(&a, BEGIN), 1);
	(void)lab_put(&a.l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\",\"period\":"
	    "\"rolling\",\"rolling_hours\":96}"); /* buckets of 4 hours */
	for (int i = 0; i < 3; i++) {
		a.period = 0;
		a.granted = a.returned = a.spent = 0;
		ck_assert_int_eq(asker_ask(&a, 500)->granted, 0); /* 400 left */
		ck_assert_int_eq(asker_ask(&a, 100)->granted, 100);
		ck_assert_int_eq(asker_status(&a).free, 300 - 100 * i);
		asker_charge(&a, a.period, 100);
		a.spent = 100;
		give_back(&a);
		a.now += 4 * HOUR;
	}
	(void)closing(&a);
	asker_close(&a);
}
END_TEST

/* Usage of a period that nobody knew, closed long since, is no period to
 * begin behind. */
START_TEST(test_orphan)
{
	struct asker a;
	char sql[256];

	asker_open(&a, SPEC(""));
	a.now = BEGIN + 2 * HOUR;
	(void)snprintf(sql, sizeof(sql),
	    "INSERT INTO budget_period (budget_uid, period_start, period_end, "
	    "limit_nano, free, state, config_version) VALUES (%llu, %lld, "
	    "%lld, 0, 0, 'closed', 0)",
	    (unsigned long long)a.uid, (long long)(BEGIN + HOUR),
	    (long long)(BEGIN + HOUR));
	pgtest_sql(a.l.store, sql);
	ck_assert_int_eq(asker_ask(&a, 400)->granted, 400);
	ck_assert_int_eq(a.period, BEGIN);
	ck_assert_int_eq(of_period(&a, "period_end", BEGIN), BEGIN + DAY);
	asker_close(&a);
}
END_TEST

/* A period that other replicas take for over: nothing is granted, nothing
 * fails, and what came back is noted. */
START_TEST(test_grant_while_closing)
{
	struct asker a;

	asker_open(&a, SPEC(""));
	a.now = BEGIN + HOUR;
	ck_assert_int_eq(asker_ask(&a, 400)->granted, 400);
	a.returned = 300;
	pgtest_sql(a.l.store, "UPDATE budget_period SET state = 'closing'");
	ck_assert_int_eq(asker_ask(&a, 500)->granted, 400);
	ck_assert_int_eq(of_period(&a, "free", BEGIN), 900);
	ck_assert_int_eq(
	    pgtest_number(a.l.store, "SELECT returned FROM lease"), 300);
	asker_close(&a);
}
END_TEST

/* A budget that was deleted meanwhile neither gives nor takes. */
START_TEST(test_transfer_gone)
{
	struct budget_move m = {.amount = 100, .author = STR("me")};
	struct asker a;
	uint64_t other;

	asker_open(&a, SPEC(""));
	a.now = m.now = BEGIN + HOUR;
	(void)lab_put(&a.l, 9, "acme.c", SPEC(""));
	other = lab_uid(&a.l, 9, "acme.c");
	pgtest_sql(a.l.store, "DELETE FROM config_item WHERE name = 'acme.c'");
	m.budget_uid = other;
	IS(store_budget_transfer(a.db, &m, a.uid, &e), ERR_NOT_FOUND);
	m.budget_uid = a.uid;
	IS(store_budget_transfer(a.db, &m, other, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(asker_status(&a).limit, 1000);
	asker_close(&a);
}
END_TEST

struct closer {
	pthread_t thread;
	struct store *s;
	int64_t now, carried, closed;
};

static void *
closer_run(void *arg)
{
	struct closer *c = arg;
	struct budget_closing r;
	struct error err;

	for (int i = 0; i < 10; i++) {
		MUST(store_budget_close(c->s, c->now, &r, &err) == 0);
		c->carried += r.carried;
		c->closed += r.closed;
	}
	return NULL;
}

/* Four replicas close the same period. */
static int64_t
close_by_many(struct asker *a)
{
	struct closer c[4] = {0};
	int64_t carried = 0, closed = 0;

	for (int i = 0; i < 4; i++) {
		c[i].s = a->l.store;
		c[i].now = a->now;
		ck_assert_int_eq(
		    pthread_create(&c[i].thread, NULL, closer_run, &c[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
		carried += c[i].carried;
		closed += c[i].closed;
	}
	ck_assert_int_eq(closed, 1);
	return carried;
}

static void *
closer_once(void *arg)
{
	struct closer *c = arg;
	struct budget_closing r;
	struct error err;

	MUST(store_budget_close(c->s, c->now, &r, &err) == 0);
	c->closed = r.closed;
	c->carried = r.carried;
	return NULL;
}

/* Who closes one budget and waits for its open period holds no row of
 * another: ingest, which has the first one's and wants the other's, goes on.
 */
START_TEST(test_close_waits_alone)
{
	struct closer c = {0};
	struct asker a;
	uint64_t other;
	char sql[200];

	asker_open(&a, SPEC(",\"carry_over_percent\":100"));
	(void)lab_put(&a.l, 9, "acme.c", SPEC(",\"carry_over_percent\":100"));
	other = lab_uid(&a.l, 9, "acme.c");
	ck_assert_uint_gt(other, a.uid);
	a.now = BEGIN + HOUR;
	(void)asker_ask(&a, 0);
	(void)snprintf(sql, sizeof(sql),
	    "SELECT period_start FROM hg_budget_period(%llu, %lld)",
	    (unsigned long long)other, (long long)a.now);
	pgtest_sql(a.l.store, sql);
	c.s = a.l.store;
	c.now = BEGIN + DAY + HOUR;
	IS(db_begin(a.db, &e), 0);
	(void)snprintf(sql, sizeof(sql),
	    "SELECT period_start FROM hg_budget_period(%llu, %lld)",
	    (unsigned long long)a.uid, (long long)c.now);
	IS(db_script(a.db, sql, &e), 0);
	ck_assert_int_eq(pthread_create(&c.thread, NULL, closer_once, &c), 0);
	while (pgtest_number(a.l.store,
		   "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0)
		(void)poll(NULL, 0, 5);
	(void)snprintf(sql, sizeof(sql),
	    "SELECT 1 FROM budget_period WHERE budget_uid = %llu "
	    "FOR UPDATE NOWAIT",
	    (unsigned long long)other);
	IS(db_script(a.db, sql, &e), 0);
	IS(db_commit(a.db, &e), 0);
	ck_assert_int_eq(pthread_join(c.thread, NULL), 0);
	ck_assert_int_ge(c.closed, 1);
	IS(store_budget_close(
	       a.l.store, c.now, &(struct budget_closing){0}, &e),
	    0);
	ck_assert_int_eq(
	    pgtest_number(a.l.store, "SELECT sum(amount)::bigint FROM "
				     "budget_adjustment WHERE kind = 'carry'"),
	    2000);
	asker_close(&a);
}
END_TEST

/* More than fit into one transaction. */
START_TEST(test_close_many)
{
	struct budget_closing c;
	struct asker a;

	asker_open(&a, SPEC(",\"carry_over_percent\":100"));
	pgtest_sql(a.l.store,
	    "INSERT INTO budget_period (budget_uid, period_start, period_end, "
	    "limit_nano, free, config_version, base_nano) SELECT 1000000 + i, "
	    "1, 2, 7, 7, 0, 7 FROM generate_series(1, 1050) i");
	a.now = BEGIN + HOUR;
	c = closing(&a);
	ck_assert_int_eq(c.closing, 1050);
	ck_assert_int_eq(c.closed, 1050);
	c = closing(&a);
	ck_assert_int_eq(c.closing + c.closed, 0);
	asker_close(&a);
}
END_TEST

/* Spend so much of the current period and let it end. */
static int64_t
day_of(struct asker *a, int64_t spend)
{
	a->period = 0;
	a->granted = a->returned = a->spent = 0;
	(void)asker_ask(a, spend);
	if (a->granted < spend)
		return -1;
	asker_charge(a, a->period, spend);
	a->spent = spend;
	give_back(a);
	a->now += DAY;
	return close_by_many(a);
}

START_TEST(test_carry)
{
	struct asker a;

	asker_open(&a,
	    SPEC(
		",\"carry_over_usd\":\"0.0000006\",\"carry_over_percent\":50"));
	a.now = BEGIN + HOUR;
	ck_assert_int_eq(day_of(&a, 700), 300);
	ck_assert_int_eq(asker_status(&a).limit, 1300);
	ck_assert_int_eq(asker_status(&a).adjust, 300);
	/* Carried money is spent first and does not go on again. */
	ck_assert_int_eq(day_of(&a, 100), 500); /* half; not 1000 + 200 */
	ck_assert_int_eq(asker_status(&a).limit, 1500);
	ck_assert_int_eq(day_of(&a, 1400), 100);
	ck_assert_int_eq(asker_status(&a).limit, 1100);
	ck_assert_int_eq(day_of(&a, 1101), -1); /* the ceiling holds */
	ck_assert_int_eq(day_of(&a, 1100), 0);
	ck_assert_int_eq(asker_status(&a).limit, 1000);
	ck_assert_int_eq(
	    pgtest_number(a.l.store, "SELECT count(*) FROM budget_event "
				     "WHERE kind = 'carry'"),
	    3);
	ck_assert_int_eq(
	    pgtest_number(a.l.store, "SELECT count(*) FROM budget_adjustment "
				     "WHERE kind = 'carry'"),
	    3);
	/* What is held is not carried, nor what is out when time is over. */
	a.period = 0;
	a.granted = a.returned = a.spent = 0;
	(void)asker_ask(&a, 500);
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_charge(a.db, str_of(a.id),
	       &(struct lease_charge){.budget_uid = a.uid,
		   .period_start = a.period,
		   .boot_epoch = a.boot_epoch,
		   .cost = 100,
		   .held = 200,
		   .last_at = a.now},
	       1, &e),
	    0);
	IS(db_commit(a.db, &e), 0);
	a.now += DAY;
	ck_assert_int_eq(closing(&a).closed, 0);
	a.now += BUDGET_CLOSE_WAIT_NS;
	/* 1000 - 100 spent - 200 held - 200 on the lease; the two days since
	 * are empty and have no period */
	ck_assert_int_eq(closing(&a).carried, 500);
	ck_assert_int_eq(asker_status(&a).limit, 1500);
	asker_close(&a);
}
END_TEST

/* An increase that was over before the period was, and after which nobody
 * asked, is not carried. */
START_TEST(test_carry_after_increase)
{
	struct budget_move m = {.amount = 100, .author = STR("me")};
	struct asker a;

	asker_open(&a, SPEC(",\"carry_over_percent\":100"));
	a.now = m.now = BEGIN + HOUR;
	m.budget_uid = a.uid;
	IS(store_budget_increase(a.db, &m, BEGIN + 2 * HOUR, &e), 0);
	(void)asker_ask(&a, 200);
	asker_charge(&a, BEGIN, 200);
	a.spent = 200;
	give_back(&a);
	ck_assert_int_eq(of_period(&a, "free", BEGIN), 900);
	a.now = BEGIN + DAY + HOUR;
	ck_assert_int_eq(closing(&a).carried, 800);
	/* one that still holds is part of what was left */
	m.now = a.now;
	IS(store_budget_increase(a.db, &m, BEGIN + 9 * DAY, &e), 0);
	a.period = 0;
	a.granted = a.returned = a.spent = 0;
	(void)asker_ask(&a, 1000); /* 800 of it were carried */
	asker_charge(&a, a.period, 1000);
	a.spent = 1000;
	give_back(&a);
	a.now += DAY;
	ck_assert_int_eq(closing(&a).carried, 900);
	asker_close(&a);
}
END_TEST

START_TEST(test_carry_expires)
{
	struct asker a;
	int64_t start;

	asker_open(&a,
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\",\"period\":"
	    "\"week\",\"carry_over_percent\":100,\"carry_over_days\":2}");
	a.now = BEGIN + HOUR;
	(void)asker_ask(&a, 400);
	asker_charge(&a, a.period, 400);
	a.spent = 400;
	give_back(&a);
	a.now = a.period + 7 * DAY + HOUR;
	ck_assert_int_eq(closing(&a).carried, 600);
	a.period = 0;
	a.granted = a.returned = a.spent = 0;
	(void)asker_ask(&a, 250);
	start = a.period;
	asker_charge(&a, a.period, 250);
	a.spent = 250;
	a.now = start + 2 * DAY - 1000;
	(void)closing(&a);
	ck_assert_int_eq(asker_status(&a).limit, 1600);
	a.now += 2000;
	for (int i = 0; i < 3; i++)
		(void)closing(&a);
	ck_assert_int_eq(asker_status(&a).limit, 1250); /* 350 of 600 left */
	ck_assert_int_eq(asker_status(&a).free, 1000);
	asker_close(&a);
}
END_TEST

/* Weeks of random days, agents that vanish, usage that comes late: every
 * charge is in one period, closed ones never change, and nobody gets more
 * than what is effective. */
START_TEST(test_random)
{
	struct asker a;
	struct rng_seeded rng;
	int64_t total = 0, n_late = 0, frozen[80], starts[80];
	int n_frozen = 0;

	rng_seeded_init(&rng, 11);
	asker_open(&a, SPEC(",\"carry_over_percent\":80"));
	a.now = BEGIN + HOUR;
	for (int day = 0; day < 60; day++) {
		int64_t period, before = asker_status(&a).limit;

		a.period = 0;
		a.granted = a.returned = a.spent = 0;
		for (int i = 0; i < 5; i++) {
			int64_t w = (int64_t)rng_below(&rng.rng, 700);

			(void)asker_ask(&a, w);
			ck_assert_int_le(a.granted, before);
			if (a.granted - a.returned - a.spent < w)
				continue;
			asker_charge(&a, a.period, w);
			a.spent += w;
			total += w;
		}
		period = a.period;
		if (rng_below(&rng.rng, 3) > 0)
			give_back(&a);
		a.now += DAY;
		(void)closing(&a);
		if (CLOSED(&a, period) && n_frozen < 80) {
			starts[n_frozen] = period;
			frozen[n_frozen++] = of_period(&a, "settled", period);
		}
		if (n_frozen > 0 && rng_below(&rng.rng, 2) == 0) {
			int64_t cost = (int64_t)rng_below(&rng.rng, 50);

			asker_charge(&a,
			    starts[rng_below(&rng.rng, (uint64_t)n_frozen)],
			    cost);
			total += cost;
			n_late++;
		}
		ck_assert_int_eq(asker_books_wrong(&a), 0);
		ck_assert_int_eq(
		    pgtest_number(a.l.store, "SELECT sum(settled)::bigint FROM "
					     "budget_period"),
		    total);
	}
	for (int i = 0; i < n_frozen; i++)
		ck_assert_int_eq(
		    of_period(&a, "settled", starts[i]), frozen[i]);
	ck_assert_int_gt(n_frozen, 20);
	ck_assert_int_gt(n_late, 15);
	asker_close(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/closing");

	UNIT_ADD(s, test_close);
	UNIT_ADD(s, test_wait);
	UNIT_ADD(s, test_longer);
	UNIT_ADD(s, test_longer_while_closing);
	UNIT_ADD(s, test_longer_window);
	UNIT_ADD(s, test_orphan);
	UNIT_ADD(s, test_grant_while_closing);
	UNIT_ADD(s, test_transfer_gone);
	UNIT_ADD(s, test_close_waits_alone);
	UNIT_ADD(s, test_close_many);
	UNIT_ADD(s, test_carry);
	UNIT_ADD(s, test_carry_after_increase);
	UNIT_ADD(s, test_carry_expires);
	UNIT_ADD(s, test_random);
	return pgtest_run(s);
}
