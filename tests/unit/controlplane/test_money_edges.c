/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money at the edges of periods, messages and decisions, in PostgreSQL: what
 * is reported or decided about one thing moves no money of another.
 */
#include <pthread.h>
#include <poll.h>
#include <stdio.h>

#include "common/clock.h"
#include "controlplane/money/exchange.h"
#include "tests/unit/controlplane/support/asker.h"

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

#define HOUR  (INT64_C(3600) * NS_PER_S)
#define DAY   (24 * HOUR)
#define OTHER "01890000-0000-7000-8000-000000000002"
/* Later than any real clock: what comes late goes to the newest period. */
#define BEGIN INT64_C(3000844800000000000) /* 2065-02-03T00:00:00Z */
#define SPEC(rest)                                        \
	"{\"scope\":\"acme\",\"limit_usd\":\"0.000001\"," \
	"\"period\":\"day\"" rest "}"

/* One number of the lease of `agent` on the period. */
static int64_t
of_lease(struct asker *a, const char *what, const char *agent, int64_t start)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
	    "SELECT coalesce(sum(%s), 0)::bigint FROM lease "
	    "WHERE agent_id = '%s' AND period_start = %lld",
	    what, agent, (long long)start);
	return pgtest_number(a->l.store, sql);
}

struct teller {
	struct asker *a;
	Hg__LeaseReport r;
	pthread_t thread;
	int rc;
	int64_t answered; /* the period of the last grant */
};

static void *
teller_main(void *arg)
{
	struct teller *t = arg;
	struct exchange x = {.agent_id = str_of(t->a->id),
	    .boot_epoch = 1,
	    .now = t->a->now,
	    .cfg = &grant_default};
	Hg__LeaseReport *list = &t->r;
	struct db *db = NULL;
	struct error err = {0};
	struct arena arena;

	arena_init(&arena, 4096, 1 << 20);
	t->rc = store_take(t->a->l.store, &db, &err);
	if (t->rc == 0)
		t->rc = exchange_run(&x, db, &list, 1, &arena, &err);
	if (t->rc == 0 && x.n_grants > 0)
		t->answered = x.grants[x.n_grants - 1]->period_start;
	store_give(db);
	arena_release(&arena);
	return NULL;
}

static void
wait_blocked(struct asker *a)
{
	while (pgtest_number(a->l.store,
		   "SELECT count(*) FROM pg_stat_activity WHERE "
		   "datname = current_database() "
		   "AND wait_event_type = 'Lock'") == 0)
		poll(NULL, 0, 1);
}

/* A report that was decided on while its bucket was the newest one, and that
 * waited for who began the next: what it says was returned of the old bucket
 * is not taken from the new one, where the same agent holds rights by then (its
 * next message went to another replica). */
START_TEST(test_report_meets_next_bucket)
{
	struct lease_key key = {0};
	struct lease_write w = {.grant = 300};
	struct lease_view v;
	struct teller t = {0};
	struct asker a;
	int64_t first;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"rolling\",\"rolling_hours\":24}");
	a.now = BEGIN + HOUR / 2;
	ck_assert_int_eq(asker_ask(&a, 400)->granted, 400);
	first = a.period;
	t.a = &a;
	hg__lease_report__init(&t.r);
	t.r.budget_uid = a.uid;
	t.r.period_start = first;
	t.r.granted = 400;
	t.r.returned = 250;
	t.r.settled = 150;
	t.r.want_min = t.r.want_total = 10;

	key.budget_uid = w.budget_uid = a.uid;
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_lock(
	       a.db, str_of(a.id), 1, key, a.now + HOUR, a.now + HOUR, &v, &e),
	    0);
	ck_assert_int_gt(v.period_start, first);
	w.period_start = v.period_start;
	w.report_at = a.now;
	IS(store_lease_write(a.db, str_of(a.id), 1, &w, &e), 0);
	pthread_create(&t.thread, NULL, teller_main, &t);
	wait_blocked(&a);
	IS(db_commit(a.db, &e), 0);
	pthread_join(t.thread, NULL);
	IS(t.rc, 0);

	ck_assert_int_eq(of_lease(&a, "returned", a.id, v.period_start), 0);
	ck_assert_int_eq(of_lease(&a, "r_settled", a.id, v.period_start), 0);
	ck_assert_int_eq(of_lease(&a, "returned", a.id, first), 250);
	ck_assert_int_eq(of_lease(&a, "r_settled", a.id, first), 150);
	/* and who waits is answered about the new one */
	ck_assert_int_eq(t.answered, v.period_start);
	asker_close(&a);
}
END_TEST

/* An agent that says it has more in use than there is in the world is not
 * heard of by others, who go on. */
START_TEST(test_absurd_report)
{
	struct exchange x = {
	    .agent_id = STR(OTHER), .boot_epoch = 1, .cfg = &grant_default};
	Hg__LeaseReport r, *list = &r;
	struct asker a;
	char id[2][40] = {"01890000-0000-7000-8000-000000000003",
	    "01890000-0000-7000-8000-000000000004"};

	asker_open(&a, SPEC(""));
	a.now = x.now = BEGIN + HOUR;
	for (int i = 0; i < 2; i++) {
		a.id = id[i];
		a.period = a.granted = a.spent = 0;
		(void)asker_ask(&a, 100);
		hg__lease_report__init(&r);
		r.budget_uid = a.uid;
		r.period_start = a.period;
		r.granted = r.settled = r.returned = r.in_use = INT64_MAX;
		r.high_water = r.rate_per_s = r.w_p99 = INT64_MAX;
		r.steady_rate = r.horizon_max_ms = INT32_MAX;
		r.returned = 0;
		x.agent_id = str_of(a.id);
		IS(exchange_run(&x, a.db, &list, 1, &a.arena, &e), 0);
	}
	a.id = OTHER;
	a.period = a.granted = 0;
	(void)asker_ask(&a, 900); /* counts the others */
	ck_assert_int_ge(asker_ask(&a, 100)->granted, 100);
	asker_close(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/money_edges");

	UNIT_ADD(s, test_report_meets_next_bucket);
	UNIT_ADD(s, test_absurd_report);
	return pgtest_run(s);
}
