/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases in PostgreSQL and over the channel: a budget run
 * down by two agents, recall, dead processes, late usage, changed limits.
 * After each test the books are checked: limit = free + live + settled.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "common/clock.h"
#include "controlplane/money/exchange.h"
#include "controlplane/store/store_lease.h"
#include "tests/unit/controlplane/support/fleetlab.h"

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

static int64_t
books_wrong(struct lab *l)
{
	struct db *db = NULL;
	int64_t wrong = -1;

	IS(store_take(l->store, &db, &e), 0);
	IS(store_lease_check(db, &wrong, &e), 0);
	store_give(db);
	return wrong;
}

static struct budget_status
status(struct lab *l, uint64_t uid)
{
	struct budget_status s;
	struct db *db = NULL;

	IS(store_take(l->store, &db, &e), 0);
	IS(store_budget_status(
	       db, uid, clock_wall(clock_system()), &s, NULL, NULL, &e),
	    0);
	store_give(db);
	return s;
}

static uint64_t
budget(struct lab *l, const char *limit_usd)
{
	char spec[200];

	snprintf(spec, sizeof(spec),
	    "{\"scope\":\"acme\",\"limit_usd\":\"%s\",\"period\":\"month\","
	    "\"time_zone\":\"UTC\"}",
	    limit_usd);
	(void)lab_put(l, 9, "acme.b", spec);
	return lab_uid(l, 9, "acme.b");
}

static Hg__LeaseReport
report(uint64_t uid, const Hg__LeaseGrant *g, int64_t returned, int64_t in_use,
    int64_t want)
{
	Hg__LeaseReport r;

	hg__lease_report__init(&r);
	r.budget_uid = uid;
	r.period_start = g != NULL ? g->period_start : 0;
	r.granted = g != NULL ? g->granted : 0;
	r.returned = returned;
	r.in_use = in_use;
	r.want_min = r.want_total = want;
	return r;
}

START_TEST(test_run_down)
{
	Hg__LeaseGrant ga, gb;
	Hg__LeaseReport r;
	struct lab_agent a, b;
	struct budget_status s;
	struct fleet_stats st;
	Hg__UsageAck ack;
	struct lab l;
	uint64_t uid;
	int i;

	lab_open(&l);
	lab_config(&l);
	uid = budget(&l, "0.000001"); /* 1000 nano-USD */
	lab_agent(&l, "eu", &a);
	lab_agent(&l, "us", &b);
	s = status(&l, uid); /* nothing stored yet */
	ck_assert_int_eq(s.limit, 1000);
	ck_assert_int_eq(s.free, 1000);
	r = report(uid, NULL, 0, 0, 300);
	IS(lab_beat(&a, &r, &ga), 0);
	ck_assert_int_eq(ga.granted, 300);
	ck_assert_int_gt(ga.valid_ms, 0);
	ck_assert_int_eq(ga.recall_to, -1);
	ck_assert_int_eq(ga.limit, 1000);
	/* the reply was lost: the same again, not more */
	IS(lab_beat(&a, &r, &ga), 0);
	ck_assert_int_eq(ga.granted, 300);
	r = report(uid, NULL, 0, 0, 600);
	IS(lab_beat(&b, &r, &gb), 0);
	ck_assert_int_eq(gb.granted, 600);
	/* 100 are free; a's 300 are idle, so b may hope for 400 */
	r = report(uid, &ga, 0, 0, 0);
	IS(lab_beat(&a, &r, &ga), 0);
	r = report(uid, &gb, 0, 600, 401);
	IS(lab_beat(&b, &r, &gb), 0);
	ck_assert(gb.exhausted);
	r = report(uid, &gb, 0, 600, 400);
	IS(lab_beat(&b, &r, &gb), 0);
	ck_assert(!gb.exhausted);
	ck_assert_int_eq(gb.granted, 600);
	r = report(uid, &ga, 0, 0, 0);
	IS(lab_beat(&a, &r, &ga), 0);
	ck_assert_int_eq(ga.recall_to, 0);
	r = report(uid, &ga, 300, 0, 0);
	IS(lab_beat(&a, &r, &ga), 0);
	ck_assert_int_eq(ga.recall_to, -1);
	r = report(uid, &gb, 0, 600, 400);
	IS(lab_beat(&b, &r, &gb), 0);
	ck_assert_int_eq(gb.granted, 1000);
	s = status(&l, uid);
	ck_assert_int_eq(s.free, 0);
	ck_assert_int_eq(s.leased, 1000);
	/* spent: ten records of 100, shipped twice */
	for (i = 0; i < 2; i++) {
		IS(lab_usage(
		       &b, 1, 0, 1, 10, 100, uid, gb.period_start, false, &ack),
		    0);
		ck_assert_uint_eq(ack.watermark, 10);
	}
	s = status(&l, uid);
	ck_assert_int_eq(s.settled, 1000);
	ck_assert_int_eq(s.leased, 0);
	ck_assert_int_eq(s.free, 0);
	r = report(uid, &ga, 300, 0, 1);
	IS(lab_beat(&a, &r, &ga), 0);
	ck_assert(ga.exhausted);
	ck_assert_int_eq(ga.spent, 1000);
	ck_assert_int_eq(books_wrong(&l), 0);
	fleet_stats(l.fleet, &st); /* 300, 600 and 400 more */
	ck_assert_uint_eq(st.grants, 3);
	ck_assert_int_eq(st.granted, 1300);
	lab_agent_free(&a);
	lab_agent_free(&b);
	lab_close(&l);
}
END_TEST

/* Amounts above what 32 bits hold, as busy agents of rich tenants want. */
START_TEST(test_large_grant)
{
	static const int64_t want = INT64_C(50) * 1000000000;
	Hg__LeaseGrant g;
	Hg__LeaseReport r;
	struct lab_agent a;
	struct lab l;
	uint64_t uid;

	lab_open(&l);
	lab_config(&l);
	uid = budget(&l, "1000000");
	lab_agent(&l, "eu", &a);
	r = report(uid, NULL, 0, 0, want);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_ge(g.granted, want);
	r = report(uid, &g, g.granted, 0, 0);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(status(&l, uid).leased, 0);
	ck_assert_int_eq(books_wrong(&l), 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

/* A larger limit helps at once, a smaller one is visible as debt. */
START_TEST(test_changed_limit)
{
	struct lab_agent a;
	Hg__LeaseGrant g;
	Hg__LeaseReport r;
	struct lab l;
	uint64_t uid;

	lab_open(&l);
	lab_config(&l);
	uid = budget(&l, "0.000001");
	lab_agent(&l, "eu", &a);
	r = report(uid, NULL, 0, 0, 1000);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.granted, 1000);
	r = report(uid, &g, 0, 1000, 60);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert(g.exhausted);
	(void)budget(&l, "0.0000011");
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.granted, 1060);
	ck_assert_int_eq(g.limit, 1100);
	(void)budget(&l, "0.0000005");
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(status(&l, uid).free, -560);
	ck_assert_int_eq(status(&l, uid).limit, 500);
	ck_assert_int_eq(books_wrong(&l), 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

START_TEST(test_dead_process)
{
	struct lab_agent a;
	Hg__LeaseGrant g;
	Hg__LeaseReport r;
	struct budget_status s;
	Hg__UsageAck ack;
	struct lab l;
	uint64_t uid;

	lab_open(&l);
	lab_config(&l);
	uid = budget(&l, "0.000001");
	lab_agent(&l, "eu", &a); /* two shards */
	r = report(uid, NULL, 0, 0, 700);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.granted, 700);
	IS(lab_usage(&a, 1, 0, 1, 1, 100, uid, g.period_start, false, &ack), 0);
	/* killed and started again */
	a.boot_epoch = 2;
	a.instance = "again";
	IS(lab_hello(&a, 2), 0);
	s = status(&l, uid);
	ck_assert_int_eq(s.doubtful, 600);
	ck_assert_int_eq(s.free, 300);
	IS(lab_usage(&a, 1, 0, 2, 1, 50, uid, g.period_start, true, &ack), 0);
	ck_assert_int_eq(status(&l, uid).doubtful, 550); /* one shard open */
	/* the last words may come from the old process itself */
	a.boot_epoch = 1;
	a.instance = "one";
	IS(lab_beat(&a, NULL, NULL), ERR_VERSION);
	IS(lab_usage(&a, 2, 1, 1, 0, 0, uid, g.period_start, true, &ack),
	    ERR_INVALID);
	IS(lab_usage(&a, 1, 1, 1, 0, 0, uid, g.period_start, true, &ack), 0);
	a.boot_epoch = 2;
	a.instance = "again";
	s = status(&l, uid);
	ck_assert_int_eq(s.doubtful, 0);
	ck_assert_int_eq(s.free, 850);
	ck_assert_int_eq(s.settled, 150);
	/* a new lease of the new process */
	r = report(uid, NULL, 0, 0, 850);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.granted, 850);
	/* usage that should not exist any more: out of free, never lost */
	IS(lab_usage(&a, 1, 5, 1, 1, 30, uid, g.period_start, false, &ack), 0);
	s = status(&l, uid);
	ck_assert_int_eq(s.free, -30);
	ck_assert_int_eq(s.settled, 180);
	/* on no lease at all (soft budgets), current period */
	IS(lab_usage(&a, 2, 0, 1, 1, 5, uid, 0, false, &ack), 0);
	ck_assert_int_eq(status(&l, uid).settled, 185);
	ck_assert_int_eq(books_wrong(&l), 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

/* A machine that lost power proves nothing: its rights stay in doubt until a
 * person decides, and only once. */
START_TEST(test_power_cut)
{
	struct doubt_decision d = {
	    .author = STR("root"), .reason = STR("bill")};
	struct lab_agent a;
	Hg__LeaseGrant g;
	Hg__LeaseReport r;
	Hg__UsageAck ack;
	struct db *db = NULL;
	int64_t amount = 0;
	struct lab l;

	lab_open(&l);
	lab_config(&l);
	d.budget_uid = budget(&l, "0.000001");
	lab_agent(&l, "eu", &a); /* two shards */
	r = report(d.budget_uid, NULL, 0, 0, 700);
	IS(lab_beat(&a, &r, &g), 0);
	a.boot_epoch = 2;
	a.instance = "again";
	IS(lab_hello(&a, 2), 0);
	a.may_lack = true;
	IS(lab_usage(
	       &a, 1, 0, 1, 1, 100, d.budget_uid, g.period_start, true, &ack),
	    0);
	a.may_lack = false; /* one cut shard is enough */
	IS(lab_usage(
	       &a, 1, 1, 1, 0, 0, d.budget_uid, g.period_start, true, &ack),
	    0);
	ck_assert_int_eq(status(&l, d.budget_uid).doubtful, 600);
	ck_assert_int_eq(status(&l, d.budget_uid).free, 300);
	IS(store_take(l.store, &db, &e), 0);
	d.period_start = g.period_start;
	d.agent_id = str_of(a.id);
	d.boot_epoch = 2; /* not this one */
	IS(store_doubt_decide(db, &d, &amount, &e), ERR_NOT_FOUND);
	d.boot_epoch = 1;
	IS(store_doubt_decide(db, &d, &amount, &e), 0);
	ck_assert_int_eq(amount, 600);
	IS(store_doubt_decide(db, &d, &amount, &e), ERR_NOT_FOUND);
	store_give(db);
	ck_assert_int_eq(status(&l, d.budget_uid).doubtful, 0);
	ck_assert_int_eq(status(&l, d.budget_uid).settled, 700);
	ck_assert_int_eq(status(&l, d.budget_uid).free, 300);
	ck_assert_int_eq(books_wrong(&l), 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

/* What estimated requests may have cost more is neither free nor spent until
 * there is evidence. */
START_TEST(test_held)
{
	struct usage_evidence ev = {.attempt = 1,
	    .absent = true,
	    .request_id = "00010100-0000-0000-0000-000000000000"};
	struct doubt_decision d = {.author = STR("root"), .reason = STR("no")};
	struct correction_result cr;
	struct lab_agent a;
	Hg__LeaseGrant g;
	Hg__LeaseReport r;
	Hg__UsageAck ack;
	struct db *db = NULL;
	int64_t amount = 0;
	uint64_t uid;
	struct lab l;

	lab_open(&l);
	lab_config(&l);
	uid = budget(&l, "0.000001");
	lab_agent(&l, "eu", &a);
	r = report(uid, NULL, 0, 0, 700);
	IS(lab_beat(&a, &r, &g), 0);
	a.estimated = 90;
	IS(lab_usage(&a, 1, 0, 1, 3, 40, uid, g.period_start, false, &ack), 0);
	ck_assert_int_eq(status(&l, uid).settled, 120);
	ck_assert_int_eq(status(&l, uid).held, 150);
	ck_assert_int_eq(status(&l, uid).leased, 430);
	ck_assert_int_eq(status(&l, uid).free, 300);
	ck_assert_int_eq(books_wrong(&l), 0);
	IS(store_take(l.store, &db, &e), 0);
	for (int i = 0; i < 2; i++) { /* the same evidence twice */
		IS(db_begin(db, &e), 0);
		IS(store_usage_correct(db, &ev, 1, STR("bill"), &cr, &e), 0);
		IS(db_commit(db, &e), 0);
		ck_assert_int_eq(status(&l, uid).settled, 80);
		ck_assert_int_eq(status(&l, uid).held, 100);
		ck_assert_int_eq(status(&l, uid).free, 390);
	}
	d.budget_uid = uid;
	d.period_start = g.period_start;
	d.release = true;
	IS(store_doubt_decide(db, &d, &amount, &e), 0);
	ck_assert_int_eq(amount, 100);
	IS(store_doubt_decide(db, &d, &amount, &e), ERR_NOT_FOUND);
	ck_assert_int_eq(status(&l, uid).free, 490);
	/* evidence after the decision frees nothing twice */
	ev.request_id[3] = '2';
	IS(db_begin(db, &e), 0);
	IS(store_usage_correct(db, &ev, 1, STR("bill"), &cr, &e), 0);
	IS(db_commit(db, &e), 0);
	store_give(db);
	ck_assert_int_eq(status(&l, uid).held, 0);
	ck_assert_int_eq(status(&l, uid).settled, 40);
	ck_assert_int_eq(status(&l, uid).free, 530);
	ck_assert_int_eq(books_wrong(&l), 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

START_TEST(test_other_periods)
{
	struct lab_agent a;
	Hg__LeaseGrant g;
	Hg__LeaseReport r;
	Hg__UsageAck ack;
	struct lab l;
	int64_t old;
	uint64_t uid, soft;

	lab_open(&l);
	lab_config(&l);
	uid = budget(&l, "0.000001");
	lab_agent(&l, "eu", &a);
	r = report(uid, NULL, 0, 0, 400);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.granted, 400);
	/* what is told of a lease is written, and its fence moves */
	r = report(uid, &g, 0, 100, 0);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_gt(g.fence_ms, 0);
	ck_assert_int_eq(
	    pgtest_number(l.store, "SELECT r_in_use FROM lease"), 100);
	/* time passes: make the period one of last year */
	old = g.period_start - INT64_C(31536000) * NS_PER_S;
	pgtest_sql(l.store, "ALTER TABLE lease DROP CONSTRAINT "
			    "lease_budget_uid_period_start_fkey");
	pgtest_sql(l.store, "UPDATE lease SET period_start = period_start "
			    "- 31536000000000000::bigint");
	pgtest_sql(l.store,
	    "UPDATE budget_period SET period_start = period_start "
	    "- 31536000000000000::bigint, period_end = period_end "
	    "- 31536000000000000::bigint");
	g.period_start = old;
	r = report(uid, &g, 0, 100, 0); /* nobody asks for more */
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(
	    pgtest_number(l.store, "SELECT count(*) FROM budget_period"), 1);
	r = report(uid, &g, 0, 100, 200); /* it has not noticed yet */
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.period_start, old);
	ck_assert_int_eq(g.valid_ms, 0);
	ck_assert_int_eq(g.recall_to, 100);
	ck_assert_int_eq(g.granted, 400);
	/* the current period was granted in the same reply */
	ck_assert_int_eq(status(&l, uid).leased, 200);
	/* what it gives back goes to the old period, usage too */
	r = report(uid, &g, 300, 100, 0);
	IS(lab_beat(&a, &r, &g), 0);
	IS(lab_usage(&a, 1, 0, 1, 1, 100, uid, old, false, &ack), 0);
	ck_assert_int_eq(
	    pgtest_number(l.store,
		"SELECT free FROM budget_period ORDER BY 1 DESC LIMIT 1"),
	    900);
	ck_assert_int_eq(status(&l, uid).settled, 0);
	/* soft: no money moves, the period is told, usage counts */
	(void)lab_put(&l, 9, "acme.soft",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.00000001\","
	    "\"period\":\"once\",\"mode\":\"soft\"}");
	soft = lab_uid(&l, 9, "acme.soft");
	r = report(soft, NULL, 0, 0, 500);
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.granted, 0);
	ck_assert(!g.exhausted);
	ck_assert_int_eq(g.period_start, 1);
	ck_assert_int_eq(g.period_end, INT64_MAX);
	IS(lab_usage(&a, 1, 0, 2, 1, 70, soft, 1, false, &ack), 0);
	ck_assert_int_eq(status(&l, soft).settled, 70);
	ck_assert_int_eq(status(&l, soft).free, -60);
	/* a budget that does not exist */
	r = report(999999, NULL, 0, 0, 500);
	g.granted = 5;
	IS(lab_beat(&a, &r, &g), 0);
	ck_assert_int_eq(g.granted, 0);
	ck_assert_uint_eq(g.budget_uid, 0);
	ck_assert_int_eq(books_wrong(&l), 0);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

/* ---- many at once
 * -------------------------------------------------------------- */

struct racer {
	struct lab *l;
	char id[AGENT_ID_CAP];
	uint64_t uid;
	int64_t spent, granted, returned;
	unsigned seed;
	pthread_t thread;
};

/* An agent that spends what it gets as fast as it can, straight on the
 * exchange and the charge, until the budget is exhausted. */
static void *
racer_main(void *arg)
{
	struct racer *x = arg;
	struct rng_seeded rng;
	struct db *db = NULL;
	struct arena a;
	int64_t period = 0;

	rng_seeded_init(&rng, x->seed);
	arena_init(&a, 4096, 1 << 20);
	MUST(store_take(x->l->store, &db, NULL) == 0);
	for (;;) {
		struct exchange ex = {.agent_id = str_of(x->id),
		    .boot_epoch = 1,
		    .now = clock_wall(clock_system()),
		    .cfg = &grant_default};
		int64_t w = 1 + (int64_t)rng_below(&rng.rng, 400), cost;
		struct lease_charge c;
		Hg__LeaseReport r, *list = &r;
		bool exhausted;

		hg__lease_report__init(&r);
		r.budget_uid = x->uid;
		r.period_start = period;
		r.granted = x->granted;
		r.settled = x->spent;
		r.returned = x->returned;
		r.want_min = r.want_total = w;
		r.rate_per_s = (int64_t)rng_below(&rng.rng, 300);
		arena_clear(&a);
		MUST(exchange_run(&ex, db, &list, 1, &a, NULL) == 0);
		MUST(ex.n_grants == 1);
		period = ex.grants[0]->period_start;
		exhausted = ex.grants[0]->exhausted;
		if (ex.grants[0]->granted > x->granted)
			x->granted = ex.grants[0]->granted;
		if (ex.grants[0]->recall_to == 0)
			x->returned = x->granted - x->spent;
		if (x->granted - x->spent - x->returned < w) {
			if (exhausted)
				break;
			/* give back, so that nobody waits for nobody */
			x->returned = x->granted - x->spent;
			continue;
		}
		cost = (int64_t)rng_below(&rng.rng, (uint64_t)w + 1);
		c = (struct lease_charge){.budget_uid = x->uid,
		    .period_start = period,
		    .boot_epoch = 1,
		    .cost = cost,
		    .last_at = ex.now};
		x->spent += cost;
		MUST(db_begin(db, NULL) == 0);
		MUST(store_lease_charge(db, str_of(x->id), &c, 1, NULL) == 0);
		MUST(db_commit(db, NULL) == 0);
	}
	store_give(db);
	arena_release(&a);
	return NULL;
}

START_TEST(test_race)
{
	struct racer r[6];
	struct budget_status s;
	int64_t spent = 0;
	struct lab l;
	uint64_t uid;
	int i;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, "0.00005"); /* 50,000 */
	for (i = 0; i < 6; i++) {
		memset(&r[i], 0, sizeof(r[i]));
		r[i].l = &l;
		r[i].uid = uid;
		r[i].seed = (unsigned)i;
		snprintf(r[i].id, sizeof(r[i].id),
		    "01890000-0000-7000-8000-00000000000%u", r[i].seed % 10);
		pthread_create(&r[i].thread, NULL, racer_main, &r[i]);
	}
	for (i = 0; i < 6; i++) {
		pthread_join(r[i].thread, NULL);
		spent += r[i].spent;
	}
	s = status(&l, uid);
	ck_assert_int_eq(books_wrong(&l), 0);
	ck_assert_int_eq(s.settled, spent);
	ck_assert_int_le(spent, 50000);
	ck_assert_int_ge(s.free, 0);
	/* it stopped because it was empty, not because it was stuck */
	ck_assert_int_gt(spent, 50000 - 6 * 400);
	lab_close(&l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/lease");

	UNIT_ADD(s, test_run_down);
	UNIT_ADD(s, test_large_grant);
	UNIT_ADD(s, test_changed_limit);
	UNIT_ADD(s, test_dead_process);
	UNIT_ADD(s, test_power_cut);
	UNIT_ADD(s, test_held);
	UNIT_ADD(s, test_other_periods);
	UNIT_ADD(s, test_race);
	return pgtest_run(s);
}
