/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to budgets beside requests, in PostgreSQL. Bounded: time gives
 * rights of vanished agents back, no more than the budget says, and an agent
 * that comes back is asked for them. Events, increases, transfers.
 */
#include <stdio.h>

#include "common/clock.h"
#include "controlplane/money/watch.h"
#include "controlplane/store/store_budget.h"
#include "tests/unit/controlplane/support/asker.h"

#define MINUTE (60 * NS_PER_S)

static struct error e;

static int64_t
watch(struct asker *a)
{
	struct watch_result w;

	ck_assert_int_eq(watch_budgets(a->l.store, a->now, 0, &w, &e), 0);
	return w.released;
}

#define BOUNDED                                                      \
	"{\"scope\":\"acme\",\"limit_usd\":\"0.000001\",\"period\":" \
	"\"month\",\"mode\":\"bounded\",\"overspend_usd\":\"%s\"}"

static void
bounded_open(struct asker *a, const char *delta)
{
	char spec[200];

	(void)snprintf(spec, sizeof(spec), BOUNDED, delta);
	asker_open(a, spec);
	ck_assert_int_eq(time_parse(STR("2026-03-10T12:00:00Z"), &a->now), 0);
}

/* Released after the fence and a minute, at most 300, all decisions kept. */
START_TEST(test_release)
{
	struct asker a;

	bounded_open(&a, "0.0000003");
	ck_assert_int_eq(asker_ask(&a, 700)->granted, 700);
	asker_charge(&a, a.period, 100);
	a.now += 15 * MINUTE + 50 * NS_PER_S;
	ck_assert_int_eq(watch(&a), 0);
	a.now += 11 * NS_PER_S;
	ck_assert_int_eq(watch(&a), 300);
	ck_assert_int_eq(watch(&a), 0);
	ck_assert_int_eq(asker_status(&a).free, 600);
	ck_assert_int_eq(asker_status(&a).released, 300);
	ck_assert_int_eq(asker_status(&a).doubtful, 300);
	ck_assert_int_eq(asker_books_wrong(&a), 0);
	ck_assert_int_eq(
	    pgtest_number(a.l.store, "SELECT sum(amount) FROM doubt_decision"),
	    300);
	/* Another agent gets them; the first one had spent all: 1,300. */
	asker_charge(&a, a.period, 600);
	ck_assert_int_eq(asker_status(&a).free, 300);
	a.id = "01890000-0000-7000-8000-000000000002";
	a.granted = a.spent = a.returned = a.period = 0;
	ck_assert_int_eq(asker_ask(&a, 300)->granted, 300);
	ck_assert(asker_ask(&a, 301)->exhausted);
	asker_close(&a);
}
END_TEST

/* The agent was only cut off: it may not spend what was released. */
START_TEST(test_comes_back)
{
	struct asker a;
	Hg__LeaseGrant *g;

	bounded_open(&a, "1");
	ck_assert_int_eq(asker_ask(&a, 700)->granted, 700);
	asker_charge(&a, a.period, 100);
	a.spent = 100;
	a.now += 17 * MINUTE;
	ck_assert_int_eq(watch(&a), 600);
	ck_assert_int_eq(asker_status(&a).free, 900);
	g = asker_ask(&a, 0);
	ck_assert_int_eq(g->recall_to, 0);
	ck_assert_int_eq(g->granted, 700);
	/* 50 of it are in use and are spent; the rest it gives back, which
	 * the control plane has already */
	asker_charge(&a, a.period, 50);
	a.spent = 150;
	a.returned = 550;
	ck_assert_int_eq(asker_ask(&a, 0)->recall_to, 0);
	ck_assert_int_eq(asker_status(&a).free, 850);
	ck_assert_int_eq(asker_status(&a).settled, 150);
	a.now += 17 * MINUTE;
	ck_assert_int_eq(watch(&a), 0);
	asker_close(&a);
}
END_TEST

START_TEST(test_hard_is_left_alone)
{
	struct asker a;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"once\"}");
	a.now = clock_wall(clock_system());
	ck_assert_int_eq(asker_ask(&a, 700)->granted, 700);
	a.now += 100000 * MINUTE;
	ck_assert_int_eq(watch(&a), 0);
	ck_assert_int_eq(asker_status(&a).doubtful, 700);
	asker_close(&a);
}
END_TEST

static int64_t
events(struct asker *a)
{
	struct watch_result w;

	ck_assert_msg(
	    watch_budgets(a->l.store, a->now, 0, &w, &e) == 0, "%s", e.text);
	return w.events;
}

/* Each threshold once in a period, a forecast after a tenth of it. */
START_TEST(test_events)
{
	struct asker a;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"month\",\"thresholds\":[50,80,100],"
		       "\"forecast\":true}");
	ck_assert_int_eq(time_parse(STR("2026-03-03T00:00:00Z"), &a.now), 0);
	ck_assert_int_eq(events(&a), 0);
	(void)asker_ask(&a, 1000);
	asker_charge(&a, a.period, 499);
	ck_assert_int_eq(events(&a), 0);
	asker_charge(&a, a.period, 1);
	ck_assert_int_eq(events(&a), 1);
	ck_assert_int_eq(events(&a), 0);
	a.now += 48 * 60 * MINUTE; /* 500 in 4 days of 31 */
	ck_assert_int_eq(events(&a), 1);
	ck_assert_int_eq(
	    pgtest_number(a.l.store, "SELECT forecast_nano FROM budget_event "
				     "WHERE kind = 'forecast'"),
	    3875);
	asker_charge(&a, a.period, 500);
	ck_assert_int_eq(events(&a), 2);
	ck_assert_int_eq(events(&a), 0);
	a.now += 30 * 24 * 60 * MINUTE;
	ck_assert_int_eq(events(&a), 0);
	a.period = a.granted = a.spent = 0;
	(void)asker_ask(&a, 1000);
	asker_charge(&a, a.period, 900);
	ck_assert_int_eq(events(&a), 3);
	asker_close(&a);
}
END_TEST

static void
move(struct asker *a, const struct budget_move *m, int64_t until, uint64_t to,
    int code)
{
	int rc;

	ck_assert_int_eq(db_begin(a->db, &e), 0);
	rc = until != 0 ? store_budget_increase(a->db, m, until, &e)
			: store_budget_transfer(a->db, m, to, &e);
	ck_assert_msg(rc == code, "%d not %d: %s", rc, code, e.text);
	if (rc == 0)
		ck_assert_int_eq(db_commit(a->db, &e), 0);
	else
		db_rollback(a->db);
	ck_assert_int_eq(asker_books_wrong(a), 0);
}

/* More until an instant, over the end of a period; then it is gone. */
START_TEST(test_increase)
{
	struct budget_move m = {.author = STR("root"), .reason = STR("launch")};
	struct asker a;
	int64_t until;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"day\"}");
	ck_assert_int_eq(time_parse(STR("2026-03-10T12:00:00Z"), &a.now), 0);
	until = a.now + 24 * 60 * MINUTE;
	ck_assert(asker_ask(&a, 1200)->exhausted);
	m.budget_uid = a.uid;
	m.amount = 500;
	m.now = a.now;
	move(&a, &m, until, 0, 0);
	ck_assert_int_eq(asker_status(&a).limit, 1500);
	ck_assert_int_eq(asker_status(&a).adjust, 500);
	ck_assert_int_eq(asker_ask(&a, 1200)->granted, 1200);
	a.now += 13 * 60 * MINUTE; /* the next day, until noon */
	a.period = a.granted = 0;
	ck_assert_int_eq(asker_ask(&a, 1300)->granted, 1300);
	ck_assert_int_eq(asker_status(&a).free, 200);
	a.now = until;
	ck_assert_int_eq(asker_status(&a).free, -300);
	ck_assert_int_eq(asker_status(&a).limit, 1000);
	ck_assert(asker_ask(&a, 1400)->exhausted);
	asker_close(&a);
}
END_TEST

/* Out of a rolling window: every window from now on lacks it, for its length;
 * into one: every window has it. */
START_TEST(test_transfer_rolling)
{
	struct budget_move m = {.author = STR("root"), .reason = STR("agreed")};
	struct asker a;
	uint64_t from, to;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"rolling\",\"rolling_hours\":24}");
	(void)lab_put(&a.l, 9, "acme.d",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.0000001\","
	    "\"period\":\"rolling\",\"rolling_hours\":5}");
	ck_assert_int_eq(time_parse(STR("2026-03-10T12:00:00Z"), &a.now), 0);
	from = a.uid;
	to = lab_uid(&a.l, 9, "acme.d");
	ck_assert_int_eq(asker_ask(&a, 300)->granted, 300);
	asker_charge(&a, a.period, 300);
	a.spent = 300;
	m.budget_uid = from;
	m.now = a.now;
	m.amount = 701;
	move(&a, &m, 0, to, ERR_CONFLICT);
	m.amount = 600;
	move(&a, &m, 0, to, 0);
	ck_assert_int_eq(asker_status(&a).limit, 400);
	/* Buckets go by; the window holds 300 + 100 and no more. */
	for (int i = 0; i < 23; i++) {
		a.now += 60 * MINUTE;
		ck_assert(asker_ask(&a, 101)->exhausted);
		ck_assert_int_eq(asker_status(&a).limit, 400);
		ck_assert_int_eq(asker_status(&a).free, 100);
		ck_assert_int_eq(asker_books_wrong(&a), 0);
	}
	a.now += 3 * 60 * MINUTE;
	ck_assert_int_eq(asker_status(&a).limit, 1000);
	ck_assert_int_eq(asker_status(&a).free, 1000);
	a.now = m.now + 299 * MINUTE;
	a.uid = to;
	a.period = a.granted = a.spent = 0;
	ck_assert_int_eq(asker_ask(&a, 700)->granted, 700);
	a.now = m.now + 301 * MINUTE; /* it was spent: nothing for a while */
	ck_assert_int_eq(asker_status(&a).limit, 100);
	ck_assert(asker_ask(&a, 701)->exhausted);
	asker_close(&a);
}
END_TEST

/* Only what is free moves, and only for this period. */
START_TEST(test_transfer)
{
	struct budget_move m = {.author = STR("root"), .reason = STR("agreed")};
	struct asker a;
	uint64_t to;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"day\"}");
	ck_assert_int_eq(time_parse(STR("2026-03-10T12:00:00Z"), &a.now), 0);
	(void)lab_put(&a.l, 9, "acme.c",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.0000001\","
	    "\"period\":\"month\"}");
	to = lab_uid(&a.l, 9, "acme.c");
	ck_assert_int_eq(asker_ask(&a, 600)->granted, 600);
	m.budget_uid = a.uid;
	m.now = a.now;
	m.amount = 401;
	move(&a, &m, 0, to, ERR_CONFLICT);
	m.amount = 400;
	(void)lab_put(
	    &a.l, 9, "acme.e", "{\"scope\":\"acme\",\"period\":\"unlimited\"}");
	move(&a, &m, 0, lab_uid(&a.l, 9, "acme.e"), ERR_INVALID);
	move(&a, &m, 0, to, 0);
	ck_assert_int_eq(asker_status(&a).limit, 600);
	ck_assert_int_eq(asker_status(&a).free, 0);
	a.uid = to;
	ck_assert_int_eq(asker_status(&a).limit, 500);
	ck_assert_int_eq(asker_status(&a).free, 500);
	m.budget_uid = to; /* and some of it back */
	m.amount = 100;
	move(&a, &m, 0, (a.uid = lab_uid(&a.l, 9, "acme.b")), 0);
	ck_assert_int_eq(asker_status(&a).free, 100);
	ck_assert_int_eq(pgtest_number(a.l.store,
			     "SELECT sum(amount) FROM budget_adjustment"),
	    0);
	a.now += 24 * 60 * MINUTE;
	ck_assert_int_eq(asker_status(&a).limit, 1000);
	asker_close(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/bounded");

	UNIT_ADD(s, test_release);
	UNIT_ADD(s, test_comes_back);
	UNIT_ADD(s, test_hard_is_left_alone);
	UNIT_ADD(s, test_events);
	UNIT_ADD(s, test_increase);
	UNIT_ADD(s, test_transfer);
	UNIT_ADD(s, test_transfer_rolling);
	return pgtest_run(s);
}
