/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/money at its edges: when more is asked for, which budgets count a
 * request, whom a reply answers, the instant at which idle rights go back.
 */
#include "agent/money/lease_table.h"
#include "common/err.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

#define USD INT64_C(1000000000)

static unsigned kicks;

static void
kick(void *ctx)
{
	(void)ctx;
	kicks++;
}

static struct budget_cell *
cell_with(struct lease_table *t, uint64_t uid, int64_t granted)
{
	struct budget_cell *c = lease_table_cell(t, uid, STR("acme.b"));
	struct budget_setting s = {.cell = c, .limit = 100 * USD};
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT, *p = &g;

	ck_assert_ptr_nonnull(c);
	lease_table_publish(t, &s, 1);
	g.budget_uid = uid;
	g.period_start = 1000;
	g.period_end = INT64_MAX;
	g.granted = granted;
	g.fence_ms = g.valid_ms = 86400000;
	g.recall_to = -1;
	g.limit = 100 * USD;
	(void)lease_table_reply(t, 1, 1, &p, 1);
	return c;
}

static size_t
report(struct lease_table *t, int64_t now, struct arena *a)
{
	Hg__LeaseReport **v;
	size_t n;

	arena_clear(a);
	ck_assert_int_eq(lease_table_report(t, now, false, a, &v, &n), 0);
	return n;
}

/* Among many, each budget is found by its own number and no other. */
START_TEST(test_registry)
{
	enum { MANY = 1000 };
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *cells[MANY];

	ck_assert_ptr_null(lease_table_find(t, 1));
	for (uint64_t i = 0; i < MANY; i++) {
		ck_assert_ptr_null(lease_table_find(t, 1 + 3 * i));
		cells[i] = lease_table_cell(t, 1 + 3 * i, STR("acme.b"));
		ck_assert_uint_eq(cells[i]->uid, 1 + 3 * i);
	}
	for (uint64_t i = 0; i < MANY; i++) {
		ck_assert_ptr_eq(lease_table_find(t, 1 + 3 * i), cells[i]);
		ck_assert_ptr_eq(
		    lease_table_cell(t, 1 + 3 * i, STR("x")), cells[i]);
		ck_assert_ptr_null(lease_table_find(t, 2 + 3 * i));
	}
	lease_table_free(t);
}
END_TEST

START_TEST(test_spend_mark)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 100), *short_of;
	struct reservation r;

	leases_set_kick(kick, NULL);
	atomic_store(&c->spend_mark, 10);
	atomic_store(&c->refill, false);
	kicks = 0;
	for (int i = 0; i < 2; i++) { /* 10 are not more than the mark */
		ck_assert_int_eq(
		    lease_reserve_path(&c, 1, 5, 2, &r, &short_of), 0);
		lease_settle(&r, 5);
		ck_assert(!atomic_load(&c->refill));
	}
	ck_assert_int_eq(lease_reserve_path(&c, 1, 1, 2, &r, &short_of), 0);
	lease_settle(&r, 1);
	ck_assert(atomic_load(&c->refill));
	ck_assert_uint_eq(kicks, 1);
	leases_set_kick(NULL, NULL);
	lease_table_free(t);
}
END_TEST

/* An answer without more: nobody asks again before the heartbeat, and what
 * is there for those who wait goes back. */
START_TEST(test_nothing_to_be_had)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 100), *short_of;
	struct reservation r;

	leases_set_kick(kick, NULL);
	for (int more = 1; more >= 0; more--) {
		atomic_store(&c->low_water, 1000);
		atomic_store(&c->spend_mark, 0);
		(void)cell_with(t, 7, 100 + more);
		if (more)
			(void)cell_with(t, 7, 100 + more);
		atomic_store(&c->refill, false);
		kicks = 0;
		ck_assert_int_eq(
		    lease_reserve_path(&c, 1, 5, 2, &r, &short_of), 0);
		lease_settle(&r, 5);
		ck_assert_uint_eq(kicks, 0);
	}
	/* Enough is left: the marks stay. */
	atomic_store(&c->low_water, 50);
	(void)cell_with(t, 7, 101);
	ck_assert_int_eq(atomic_load(&c->low_water), 50);
	leases_set_kick(NULL, NULL);
	lease_table_free(t);
}
END_TEST

/* What the agent's metrics say of grants and recalls. */
START_TEST(test_counts)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 100);
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT, *p = &g;
	uint64_t grants, recalls;

	(void)cell_with(t, 7, 100); /* nothing new */
	(void)cell_with(t, 7, 150);
	lease_table_counts(t, &grants, &recalls);
	ck_assert_uint_eq(grants, 2);
	ck_assert_uint_eq(recalls, 0);
	g.budget_uid = 7;
	g.period_start = 1000;
	g.granted = 150;
	g.fence_ms = g.valid_ms = 1000;
	for (int to = 150; to >= 149; to--) {
		g.recall_to = to;
		(void)lease_table_reply(t, 1, 1, &p, 1);
		ck_assert_int_eq(
		    atomic_load(&atomic_load(&c->current)->left), to);
		lease_table_counts(t, &grants, &recalls);
		ck_assert_uint_eq(recalls, (unsigned)(150 - to));
	}
	ck_assert_uint_eq(grants, 2);
	lease_table_free(t);
}
END_TEST

/* The control plane says when rights end in milliseconds of any size. */
START_TEST(test_for_ever)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 100), *short_of;
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT, *p = &g;
	struct reservation r;

	g.budget_uid = 7;
	g.period_start = 1000;
	g.period_end = INT64_MAX;
	g.granted = 100;
	g.recall_to = -1;
	g.fence_ms = g.valid_ms = INT64_MAX;
	(void)lease_table_reply(t, 5, 5, &p, 1);
	ck_assert_int_eq(
	    atomic_load(&atomic_load(&c->current)->fence_mono), INT64_MAX);
	ck_assert_int_eq(
	    lease_reserve_path(&c, 1, 5, INT64_MAX - 1, &r, &short_of), 0);
	lease_settle(&r, 5);
	g.valid_ms = 3;
	(void)lease_table_reply(t, 5, 6, &p, 1);
	ck_assert_int_eq(
	    atomic_load(&atomic_load(&c->current)->end_mono), 5 + 3000000);
	lease_table_free(t);
}
END_TEST

START_TEST(test_filters)
{
	struct lease_table *t = lease_table_new(NULL);
	const struct b_filter filters[] = {{.model_uid = 5}, {.model_uid = 6},
	    {.route_uid = 3}, {.route_uid = 4}, {.provider_uid = 8},
	    {.provider_uid = 9}, {.route_uid = 0}};
	struct b_filter what = {
	    .route_uid = 3, .provider_uid = 8, .model_uid = 5};
	struct budget_cell *path[BUNDLE_MAX_BUDGETS];
	struct b_key key = {.n_budgets = 7, .filters = filters};

	for (unsigned i = 0; i < 7; i++)
		key.budgets[i] = cell_with(t, i + 1, 10);
	ck_assert_uint_eq(lease_path(&key, &what, path), 4);
	ck_assert_uint_eq(path[0]->uid, 1);
	ck_assert_uint_eq(path[1]->uid, 3);
	ck_assert_uint_eq(path[2]->uid, 5);
	ck_assert_uint_eq(path[3]->uid, 7);
	lease_table_free(t);
}
END_TEST

/* A question that is not out yet is answered by the next reply, and not by
 * those before it. */
START_TEST(test_generation)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 10);

	ck_assert_int_eq(atomic_load(&c->limit), 100 * USD);
	(void)cell_with(t, 7, 20);
	(void)cell_with(t, 7, 30);
	ck_assert_uint_eq(atomic_load(&c->reply_gen), 3);
	ck_assert_uint_eq(lease_wait(c, 50), 3);
	lease_wait_done(c, 50);
	lease_table_free(t);
}
END_TEST

/* The limit of a bundle counts at once, before any reply. */
START_TEST(test_limit_published)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = lease_table_cell(t, 7, STR("acme.b"));
	struct budget_setting s = {.cell = c, .limit = 42, .soft = true};

	lease_table_publish(t, &s, 1);
	ck_assert_int_eq(atomic_load(&c->limit), 42);
	ck_assert(atomic_load(&c->soft));
	ck_assert(!atomic_load(&c->deleted));
	lease_table_publish(t, NULL, 0); /* no bundle names it any more */
	ck_assert(atomic_load(&c->deleted));
	lease_table_publish(t, &s, 1);
	ck_assert(!atomic_load(&c->deleted));
	lease_table_free(t);
}
END_TEST

/* What was added to a limit stays when the configured one changes. */
START_TEST(test_limit_told)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 0);
	struct budget_setting s = {.cell = c, .limit = 90 * USD};

	atomic_store(&c->told_limit, 120 * USD); /* 20 more for this period */
	lease_table_publish(t, &s, 1);
	ck_assert_int_eq(budget_limit(c), 110 * USD);
	s.limit = 95 * USD;
	lease_table_publish(t, &s, 1);
	ck_assert_int_eq(budget_limit(c), 115 * USD);
	lease_table_free(t);
}
END_TEST

/* One heartbeat has room for all budgets. */
START_TEST(test_many)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c, *short_of;
	struct reservation r;
	struct arena a;

	arena_init(&a, 4096, (size_t)1 << 20);
	for (uint64_t uid = 1; uid <= 12; uid++) {
		c = cell_with(t, uid, 100);
		ck_assert_int_eq(
		    lease_reserve_path(&c, 1, 10, 2, &r, &short_of), 0);
		lease_settle(&r, 10);
	}
	ck_assert_uint_eq(report(t, 3, &a), 12);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* The rate after one more second in which `spent` was spent. */
static int64_t
rate_after(struct lease_table *t, struct budget_cell *c, int64_t *now,
    int64_t spent, bool blocked, struct arena *a)
{
	struct budget_cell *short_of;
	struct reservation r;

	ck_assert_int_eq(
	    lease_reserve_path(&c, 1, spent, *now, &r, &short_of), 0);
	lease_settle(&r, spent);
	atomic_store(&c->blocked, blocked);
	*now += NS_PER_S;
	(void)report(t, *now, a);
	return c->rate_per_s;
}

/* Quick to rise, slow to fall, and it does not fall while requests wait. */
START_TEST(test_rate)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, USD);
	int64_t now = NS_PER_S, was, rate;
	struct arena a;

	arena_init(&a, 4096, (size_t)1 << 20);
	(void)report(t, now, &a);
	was = rate_after(t, c, &now, 1000, false, &a);
	ck_assert_int_eq(was, 1000);
	rate = rate_after(t, c, &now, 1500, false, &a);
	ck_assert_int_gt(rate, was);
	ck_assert_int_lt(rate, 1500);
	was = rate;
	rate = rate_after(t, c, &now, 100, false, &a);
	ck_assert_int_lt(rate, was);
	ck_assert_int_gt(rate, was / 2);
	was = rate;
	ck_assert_int_eq(rate_after(t, c, &now, 100, true, &a), was);
	ck_assert_int_gt(rate_after(t, c, &now, was + 500, true, &a), was);
	ck_assert_int_eq(rate_after(t, c, &now, 9000, true, &a), 9000);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* After an idle spell one request that need not wait is enough: the rate is
 * what it was, halved for each minute. */
START_TEST(test_rate_comes_back)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct lease_table *t;
	struct budget_cell *c;
	int64_t now = NS_PER_S, was;
	struct arena a;

	t = lease_table_new(&tuning);
	arena_init(&a, 4096, (size_t)1 << 20);
	c = cell_with(t, 7, USD);
	(void)report(t, now, &a);
	was = rate_after(t, c, &now, 100000, false, &a);
	ck_assert_int_eq(was, 100000);
	now += tuning.idle_return_ns;
	(void)report(t, now, &a);
	ck_assert_int_eq(c->rate_per_s, 0);
	now += NS_PER_S; /* nobody came */
	(void)report(t, now, &a);
	ck_assert_int_eq(c->rate_per_s, 0);
	now += NS_PER_S;
	(void)report(t, now, &a); /* nobody comes: nothing is asked for */
	ck_assert_int_eq(c->rate_per_s, 0);
	(void)cell_with(t, 7, 2 * USD);
	ck_assert_int_ge(rate_after(t, c, &now, 1, false, &a), was / 2);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* All periods that are over are told of at once: each gives its rest back. */
START_TEST(test_old_periods)
{
	enum { OLD = 4 };
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 100);
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT, *p = &g;
	Hg__LeaseReport **v;
	int64_t sum = 0;
	unsigned told = 0;
	struct arena a;
	size_t n;

	arena_init(&a, 4096, (size_t)1 << 20);
	g.budget_uid = 7;
	g.period_end = INT64_MAX;
	g.fence_ms = g.valid_ms = 86400000;
	g.recall_to = -1;
	for (int i = 1; i <= OLD; i++) { /* a current one and OLD before it */
		g.period_start = 1000 + i;
		g.granted = 100 + i;
		(void)lease_table_reply(t, 1, 1, &p, 1);
	}
	ck_assert_int_eq(atomic_load(&c->current)->period_start, 1000 + OLD);
	ck_assert_int_eq(lease_table_report(t, NS_PER_S, false, &a, &v, &n), 0);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(v[i]->budget_uid, 7);
		if (v[i]->period_start >= 1000 + OLD)
			continue;
		ck_assert_int_eq(v[i]->granted, v[i]->period_start - 900);
		ck_assert_int_eq(v[i]->returned, v[i]->granted);
		told++;
		sum += v[i]->granted;
	}
	ck_assert_uint_eq(told, OLD);
	ck_assert_int_eq(sum, 100 + 101 + 102 + 103);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* Nobody used it: there is nothing to say of it. */
START_TEST(test_unused_is_silent)
{
	struct lease_table *t = lease_table_new(NULL);
	struct arena a;

	arena_init(&a, 4096, (size_t)1 << 20);
	for (uint64_t uid = 1; uid <= 3; uid++)
		ck_assert_ptr_nonnull(lease_table_cell(t, uid, STR("acme.b")));
	for (int64_t s = 1; s <= 3; s++)
		ck_assert_uint_eq(report(t, s * NS_PER_S, &a), 0);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* An answer brought nothing. Who is waiting then asks for no more while it
 * gives back what is too little; nobody is: the next report asks as ever. */
START_TEST(test_asks_after_nothing)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, USD);
	int64_t now = NS_PER_S;
	Hg__LeaseReport **v;
	struct arena a;
	size_t n;

	arena_init(&a, 4096, (size_t)1 << 20);
	for (int i = 0; i < 2; i++) {
		(void)rate_after(t, c, &now, 1000, false, &a);
		(void)cell_with(t, 7, USD);
	}
	atomic_store(&c->touched, true);
	now += NS_PER_S;
	ck_assert_int_eq(lease_table_report(t, now, false, &a, &v, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_gt(v[0]->rate_per_s, 0);
	ck_assert_int_gt(v[0]->w_p99, 0);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* Rights kept for a request that comes again go back with all others when the
 * agent drains or the budget is gone. */
START_TEST(test_held_goes_too)
{
	for (int drain = 0; drain < 2; drain++) {
		struct lease_table *t = lease_table_new(NULL);
		struct budget_cell *path[2] = {cell_with(t, 7, 100),
		    lease_table_cell(t, 8, STR("acme.c"))};
		struct budget_cell *short_of;
		struct reservation r;
		struct lease *l = atomic_load(&path[0]->current);
		struct arena a;

		arena_init(&a, 4096, (size_t)1 << 20);
		ck_assert_int_eq(
		    lease_reserve_path(path, 2, 60, NS_PER_S, &r, &short_of),
		    ERR_AGAIN);
		ck_assert_ptr_eq(short_of, path[1]);
		if (drain)
			lease_table_drain(t);
		else
			lease_table_publish(t, NULL, 0);
		(void)report(t, NS_PER_S + 1, &a);
		ck_assert_int_eq(atomic_load(&l->left), 0);
		ck_assert_int_eq(l->returned, 100);
		arena_release(&a);
		lease_table_free(t);
	}
}
END_TEST

/* What was in use a moment ago is forgotten bit by bit, down to what is in use
 * and not further. */
START_TEST(test_peak_decays)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, USD), *short_of;
	struct reservation stays, goes;
	int64_t was = 1000;
	struct arena a;

	arena_init(&a, 4096, (size_t)1 << 20);
	ck_assert_int_eq(
	    lease_reserve_path(&c, 1, 900, NS_PER_S, &stays, &short_of), 0);
	ck_assert_int_eq(
	    lease_reserve_path(&c, 1, 100, NS_PER_S, &goes, &short_of), 0);
	lease_settle(&goes, 1);
	ck_assert_int_eq(atomic_load(&c->peak), was);
	for (int64_t s = 2; s < 60; s++) {
		(void)report(t, s * NS_PER_S, &a);
		ck_assert_int_ge(atomic_load(&c->peak), 900);
		ck_assert_int_le(atomic_load(&c->peak), was);
		was = atomic_load(&c->peak);
	}
	ck_assert_int_eq(was, 900);
	lease_settle(&stays, 1);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

static bool
answer(struct lease_table *t, int64_t start, int64_t granted, int64_t valid_ms,
    int64_t now)
{
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT, *p = &g;

	g.budget_uid = 7;
	g.period_start = start;
	g.period_end = INT64_MAX;
	g.granted = granted;
	g.fence_ms = 86400000;
	g.valid_ms = valid_ms;
	g.recall_to = -1;
	return lease_table_reply(t, now, now, &p, 1);
}

/* An old lease of which all is told is used again, also behind one of which
 * not all is: memory does not grow with the periods. */
START_TEST(test_used_again)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct lease_table *t;
	struct budget_cell *c;
	struct lease *first;
	int64_t now = NS_PER_S;
	struct arena a;

	tuning.recycle_ns = 10 * NS_PER_S;
	t = lease_table_new(&tuning);
	arena_init(&a, 4096, (size_t)1 << 20);
	c = cell_with(t, 7, 100);
	first = atomic_load(&c->current);
	(void)answer(t, 1000, 100, 1, now);
	(void)answer(t, 1001, 100, 86400000, now);
	(void)report(t, now, &a); /* what the first had goes back */
	(void)answer(t, 1000, 100, 0, now);
	now += 9 * NS_PER_S;
	(void)answer(t, 1002, 100, 86400000, now);
	ck_assert_ptr_ne(atomic_load(&c->current), first);
	now += NS_PER_S;
	(void)answer(t, 1003, 100, 86400000, now);
	ck_assert_ptr_eq(atomic_load(&c->current), first);
	ck_assert_int_eq(first->granted, 100);
	ck_assert_int_eq(atomic_load(&first->left), 100);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* Who waits is woken by news of the current period only. */
START_TEST(test_woken)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 100);
	bool woken;

	(void)lease_wait(c, 500);
	ck_assert(answer(t, 1000, 200, 86400000, 1));
	ck_assert(!answer(t, 900, 200, 86400000, 1)); /* before it */
	oom_arm(1, NULL);
	woken = answer(t, 1001, 100, 86400000, 1); /* no memory for it */
	ck_assert(oom_hit());
	ck_assert(!woken);
	ck_assert(answer(t, 1001, 100, 86400000, 1));
	ck_assert(!answer(t, 1000, 300, 86400000, 1)); /* over */
	lease_wait_done(c, 500);
	ck_assert(!answer(t, 1001, 300, 86400000, 1)); /* nobody waits */
	lease_table_free(t);
}
END_TEST

/* Told to stop: nobody is admitted until the control plane says so. */
START_TEST(test_fenced)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 100), *short_of;
	struct reservation r;

	ck_assert_ptr_nonnull(
	    lease_table_cell(t, 8, STR("acme.c"))); /* has no lease */
	lease_table_fence(t);
	ck_assert_int_eq(
	    lease_reserve_path(&c, 1, 5, 2, &r, &short_of), ERR_AGAIN);
	(void)cell_with(t, 7, 100);
	ck_assert_int_eq(lease_reserve_path(&c, 1, 5, 2, &r, &short_of), 0);
	lease_settle(&r, 5);
	lease_table_free(t);
}
END_TEST

/* A large request is forgotten bit by bit while nobody comes. */
START_TEST(test_largest_decays)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, USD), *short_of;
	struct reservation r;
	int64_t was = 10000;
	struct arena a;

	arena_init(&a, 4096, (size_t)1 << 20);
	ck_assert_int_eq(
	    lease_reserve_path(&c, 1, was, NS_PER_S, &r, &short_of), 0);
	lease_settle(&r, 1);
	(void)report(t, NS_PER_S, &a); /* in use until here */
	ck_assert_int_eq(atomic_load(&c->w_max), was);
	for (int64_t at = NS_PER_S / 2;
	     at < lease_tuning_default.idle_return_ns; at += NS_PER_S / 2) {
		(void)report(t, NS_PER_S + at, &a);
		ck_assert_int_lt(atomic_load(&c->w_max), was);
		ck_assert_int_gt(atomic_load(&c->w_max), was / 2);
		was = atomic_load(&c->w_max);
	}
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

static struct lease_shown shown[4];
static unsigned n_shown;

static void
show(void *ctx, const struct lease_shown *v)
{
	(void)ctx;
	ck_assert_uint_lt(n_shown, 4);
	shown[n_shown++] = *v;
}

/* Status shows every budget, and its older leases behind the current one. */
START_TEST(test_shown)
{
	struct lease_table *t = lease_table_new(NULL);

	(void)cell_with(t, 7, 100);
	(void)answer(t, 1001, 150, 1000, NS_PER_S);
	ck_assert_ptr_nonnull(lease_table_cell(t, 8, STR("acme.c")));
	for (int i = 0; i < 2; i++) {
		n_shown = 0;
		lease_table_each(t, NS_PER_S, show, NULL);
		ck_assert_uint_eq(n_shown, 3);
	}
	ck_assert_uint_eq(shown[0].uid, 7);
	ck_assert_int_eq(shown[0].period_start, 1001);
	ck_assert_int_eq(shown[0].granted, 150);
	ck_assert_int_eq(shown[0].left, 150);
	ck_assert(!shown[0].old && !shown[0].fenced);
	ck_assert_int_eq(shown[1].period_start, 1000);
	ck_assert_int_eq(shown[1].granted, 100);
	ck_assert(shown[1].old && shown[1].fenced);
	ck_assert_uint_eq(shown[2].uid, 8);
	ck_assert_int_eq(shown[2].period_start, 0);
	lease_table_free(t);
}
END_TEST

START_TEST(test_idle_instant)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct lease_table *t;
	struct budget_cell *c, *short_of;
	struct reservation r;
	struct lease *l;
	struct arena a;
	int64_t now = NS_PER_S;

	tuning.horizon_ns = 1000 * NS_PER_S; /* nothing is surplus */
	t = lease_table_new(&tuning);
	arena_init(&a, 4096, (size_t)1 << 20);
	c = cell_with(t, 7, 100);
	l = atomic_load(&c->current);
	ck_assert_int_eq(lease_reserve_path(&c, 1, 60, now, &r, &short_of), 0);
	lease_settle(&r, 10);
	(void)report(t, now, &a); /* in use until here */
	(void)report(t, now + tuning.idle_return_ns - 1, &a);
	ck_assert_int_gt(atomic_load(&l->left), 0);
	ck_assert_int_gt(atomic_load(&c->w_max), 0);
	(void)report(t, now + tuning.idle_return_ns, &a);
	ck_assert_int_eq(atomic_load(&c->w_max), 0); /* forgotten with them */
	ck_assert_int_eq(atomic_load(&l->left), 0);
	ck_assert_int_eq(l->returned, 90);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* The smallest that somebody waits for is told while he says that he waits. */
START_TEST(test_least)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 0);
	static const struct {
		int64_t says, told;
	} step[] = {{0, 10}, {30, 10}, {30, 30}, {0, 30}, {0, 0}, {20, 20}};
	Hg__LeaseReport **v;
	struct arena a;
	uint64_t gen;
	size_t n;

	arena_init(&a, 4096, (size_t)1 << 20);
	gen = lease_wait(c, 30);
	(void)lease_wait(c, 10);
	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		if (step[i].says > 0)
			(void)lease_verdict(c, step[i].says, gen, 0);
		arena_clear(&a);
		ck_assert_int_eq(lease_table_report(t, 2, true, &a, &v, &n), 0);
		ck_assert_uint_eq(n, 1);
		ck_assert_int_eq(v[0]->want_least, step[i].told);
		if (i == 0)
			lease_wait_done(c, 10);
	}
	lease_wait_done(c, 30);
	arena_clear(&a);
	ck_assert_int_eq(lease_table_report(t, 2, false, &a, &v, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(v[0]->want_least, 0); /* nobody waits */
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* Rights that are on their way back are not lost to who waits for them. */
START_TEST(test_going_back)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_with(t, 7, 166);
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT, *p = &g;
	uint64_t gen = lease_wait(c, 500);
	struct arena a;

	arena_init(&a, 4096, (size_t)1 << 20);
	g.budget_uid = 7;
	g.period_start = 1000;
	g.period_end = INT64_MAX;
	g.granted = 166;
	g.fence_ms = g.valid_ms = 86400000;
	g.recall_to = -1;
	g.exhausted = true;
	g.avail = 228;
	ck_assert_uint_eq(report(t, 2, &a), 1);
	(void)lease_table_reply(t, 2, 2, &p, 1);
	ck_assert_int_eq(lease_verdict(c, 394, gen, 0), LEASE_WAIT);
	ck_assert_int_eq(lease_verdict(c, 395, gen, 0), LEASE_EXHAUSTED);
	ck_assert_uint_eq(report(t, 3, &a), 1); /* gives all back */
	ck_assert_int_eq(atomic_load(&atomic_load(&c->current)->left), 0);
	ck_assert_int_eq(lease_verdict(c, 394, gen, 0), LEASE_WAIT);
	ck_assert_int_eq(lease_verdict(c, 395, gen, 0), LEASE_EXHAUSTED);
	g.avail = 394; /* it arrived */
	(void)lease_table_reply(t, 3, 3, &p, 1);
	ck_assert_int_eq(lease_verdict(c, 394, gen, 0), LEASE_WAIT);
	ck_assert_int_eq(lease_verdict(c, 395, gen, 0), LEASE_EXHAUSTED);
	lease_wait_done(c, 500);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_edges");

	UNIT_ADD(s, test_registry);
	UNIT_ADD(s, test_spend_mark);
	UNIT_ADD(s, test_nothing_to_be_had);
	UNIT_ADD(s, test_counts);
	UNIT_ADD(s, test_for_ever);
	UNIT_ADD(s, test_filters);
	UNIT_ADD(s, test_generation);
	UNIT_ADD(s, test_limit_published);
	UNIT_ADD(s, test_limit_told);
	UNIT_ADD(s, test_many);
	UNIT_ADD(s, test_rate);
	UNIT_ADD(s, test_rate_comes_back);
	UNIT_ADD(s, test_old_periods);
	UNIT_ADD(s, test_unused_is_silent);
	UNIT_ADD(s, test_asks_after_nothing);
	UNIT_ADD(s, test_held_goes_too);
	UNIT_ADD(s, test_peak_decays);
	UNIT_ADD(s, test_used_again);
	UNIT_ADD(s, test_woken);
	UNIT_ADD(s, test_fenced);
	UNIT_ADD(s, test_largest_decays);
	UNIT_ADD(s, test_shown);
	UNIT_ADD(s, test_idle_instant);
	UNIT_ADD(s, test_least);
	UNIT_ADD(s, test_going_back);
	return unit_run(s);
}
