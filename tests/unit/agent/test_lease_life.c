/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of leases: what ends when, which numbers a lease that is used again
 * starts with, what an answer changes, and what must be told until it was
 * heard, or money is stranded.
 */
#include "tests/unit/agent/lease_kit.h"
#include "tests/unit/support/oom.h"

#define MS NS_PER_MS
#define S  NS_PER_S

static struct lease_kit kit;

/* Periods are numbered by their start. */
static void
ended(int64_t period, int64_t granted)
{
	Hg__LeaseGrant g = kit_grant(7, period, granted);

	g.valid_ms = 0;
	ck_assert(!kit_answer(&kit, g));
}

static struct lease_shown shown[8];
static unsigned n_shown;

static void
show(void *ctx, const struct lease_shown *v)
{
	(void)ctx;
	ck_assert_uint_lt(n_shown, 8);
	shown[n_shown++] = *v;
}

static void
look(void)
{
	n_shown = 0;
	lease_table_each(kit.t, kit.now, show, NULL);
}

/* Rights kept for a request that comes again are kept for a second, not a
 * nanosecond longer, and of several the largest. */
START_TEST(test_held)
{
	for (int over = 0; over < 2; over++) {
		struct budget_cell *path[2], *short_of;
		struct reservation r;
		Hg__LeaseGrant g = kit_grant(7, 1, 100);

		kit_start(&kit, NULL);
		path[0] = kit_cell(&kit, 7, false);
		path[1] = kit_cell(&kit, 8, false);
		g.mode = HG__LEASE_MODE__LEASE_TAIL;
		(void)kit_answer(&kit, g);
		for (int64_t amount = 40; amount <= 60; amount += 20)
			ck_assert_int_eq(lease_reserve_path(path, 2, amount,
					     kit.now, &r, &short_of),
			    ERR_AGAIN);
		ck_assert_int_eq(
		    lease_reserve_path(path, 2, 10, kit.now, &r, &short_of),
		    ERR_AGAIN);
		(void)kit_report(&kit, S - 1 + over, false);
		ck_assert_int_eq(kit_lease(path[0])->returned, over ? 100 : 40);
		kit_end(&kit);
	}
}
END_TEST

/* A later hold begins anew: it is not as large as one that is over. */
START_TEST(test_held_anew)
{
	struct budget_cell *path[2], *short_of;
	struct reservation r;
	Hg__LeaseGrant g = kit_grant(7, 1, 100);

	kit_start(&kit, NULL);
	path[0] = kit_cell(&kit, 7, false);
	path[1] = kit_cell(&kit, 8, false);
	g.mode = HG__LEASE_MODE__LEASE_TAIL;
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(
	    lease_reserve_path(path, 2, 60, kit.now, &r, &short_of), ERR_AGAIN);
	kit.now += S;
	ck_assert_int_eq(
	    lease_reserve_path(path, 2, 10, kit.now, &r, &short_of), ERR_AGAIN);
	(void)kit_report(&kit, 1, false);
	ck_assert_int_eq(kit_lease(path[0])->returned, 90);
	kit_end(&kit);
}
END_TEST

/* The instant at which a period ends belongs to the next one. What the last
 * report of the old one gave back is said until it was heard. */
START_TEST(test_end_is_told)
{
	struct budget_cell *c;
	Hg__LeaseGrant g = kit_grant(7, 1, 100);
	struct lease *l;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	g.valid_ms = 10000;
	(void)kit_answer(&kit, g);
	l = kit_lease(c);
	(void)kit_report(&kit, S, false);
	g.valid_ms = 9000;
	(void)kit_answer(&kit, g);
	(void)kit_report(&kit, 9 * S - 1, false); /* idle: all goes back */
	ck_assert_int_eq(kit_told(&kit, 7, 1)->returned, 100);
	ck_assert_ptr_eq(kit_lease(c), l);
	lease_table_no_reply(kit.t);
	for (int i = 0; i < 2; i++) {
		(void)kit_report(
		    &kit, i == 0 ? 1 : S, false); /* now it is over */
		ck_assert_ptr_null(kit_lease(c));
		ck_assert_ptr_nonnull(kit_told(&kit, 7, 1));
		ck_assert_int_eq(kit_told(&kit, 7, 1)->returned, 100);
		lease_table_no_reply(kit.t);
	}
	(void)kit_report(&kit, S, false);
	ended(1, 100);
	(void)kit_report(&kit, S, false);
	ck_assert_ptr_null(kit_told(&kit, 7, 1));
	kit_end(&kit);
}
END_TEST

START_TEST(test_end_instant)
{
	for (int over = 0; over < 2; over++) {
		struct budget_cell *c;
		Hg__LeaseGrant g = kit_grant(7, 1, 100);
		struct reservation r;

		kit_start(&kit, NULL);
		c = kit_cell(&kit, 7, false);
		g.valid_ms = 10;
		(void)kit_answer(&kit, g);
		kit.now += 10 * MS - 1 + over;
		ck_assert_int_eq(kit_try(&kit, c, 5, &r), over ? ERR_AGAIN : 0);
		(void)kit_report(&kit, 0, false);
		ck_assert((kit_lease(c) == NULL) == over);
		if (!over)
			lease_cancel(&r);
		kit_end(&kit);
	}
}
END_TEST

/* A grant for a period that is over arrives late, after all was told: what it
 * brought goes back, and is said until it was heard. */
START_TEST(test_late_grant)
{
	kit_start(&kit, NULL);
	(void)kit_cell(&kit, 7, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 100));
	(void)kit_answer(&kit, kit_grant(7, 2, 0));
	(void)kit_report(&kit, S, false);
	ck_assert_int_eq(kit_told(&kit, 7, 1)->returned, 100);
	ended(1, 100);
	(void)kit_report(&kit, S, false);
	ck_assert_ptr_null(kit_told(&kit, 7, 1));
	ended(1, 130);
	for (int i = 0; i < 3; i++) {
		(void)kit_report(&kit, S, false);
		ck_assert_ptr_nonnull(kit_told(&kit, 7, 1));
		ck_assert_int_eq(kit_told(&kit, 7, 1)->granted, 130);
		ck_assert_int_eq(kit_told(&kit, 7, 1)->returned, 130);
		lease_table_no_reply(kit.t);
	}
	(void)kit_report(&kit, S, false);
	ended(1, 130);
	(void)kit_report(&kit, S, false);
	ck_assert_ptr_null(kit_told(&kit, 7, 1));
	kit_end(&kit);
}
END_TEST

/* What is old and told stands in nobody's way: the older one behind it, whose
 * request ends now, is told of. */
START_TEST(test_behind_a_told_one)
{
	struct budget_cell *c;
	struct reservation r;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 100));
	ck_assert_int_eq(kit_try(&kit, c, 60, &r), 0);
	(void)kit_answer(&kit, kit_grant(7, 2, 50));
	(void)kit_answer(&kit, kit_grant(7, 3, 0));
	(void)kit_report(&kit, S, false);
	ended(1, 100);
	(void)kit_report(&kit, S, false);
	ended(2, 50);
	lease_settle(&r, 10);
	(void)kit_report(&kit, S, false);
	ck_assert_ptr_null(kit_told(&kit, 7, 2));
	ck_assert_ptr_nonnull(kit_told(&kit, 7, 1));
	ck_assert_int_eq(kit_told(&kit, 7, 1)->settled, 10);
	ck_assert_int_eq(kit_told(&kit, 7, 1)->in_use, 0);
	ck_assert_int_eq(kit_told(&kit, 7, 1)->returned, 90);
	kit_end(&kit);
}
END_TEST

/* A control plane that does not know the budget any more answers nothing of
 * it: what was told once is not said for ever. */
START_TEST(test_unknown_there)
{
	struct budget_cell *c;
	struct reservation r;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 0));
	(void)kit_report(&kit, S, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 0));
	ck_assert_uint_eq(kit_report(&kit, S, false), 0);
	ck_assert_int_eq(kit_try(&kit, c, 5, &r), ERR_AGAIN);
	ck_assert_uint_eq(kit_report(&kit, S, false), 1);
	(void)lease_table_reply(kit.t, kit.now, kit.now, NULL, 0);
	ck_assert_uint_eq(kit_report(&kit, S, false), 0);
	kit_end(&kit);
}
END_TEST

/* A lease that is used again starts from nothing, whatever was spent in its
 * first life, and the control plane hears of it as of a fresh one. */
START_TEST(test_again_from_nothing)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct budget_cell *c;
	struct reservation r;
	struct lease *l;
	const Hg__LeaseReport *told;
	Hg__LeaseGrant g = kit_grant(7, 1, 100);

	tuning.recycle_ns = 10 * S;
	kit_start(&kit, &tuning);
	c = kit_cell(&kit, 7, false);
	g.mode = HG__LEASE_MODE__LEASE_TAIL;
	g.valid_ms = 11000;
	(void)kit_answer(&kit, g);
	l = kit_lease(c);
	ck_assert_int_eq(kit_try(&kit, c, 100, &r), 0);
	lease_settle(&r, 105); /* the provider ignored the cap */
	(void)kit_answer(&kit, kit_grant(7, 2, 0));
	(void)kit_report(&kit, S, false);
	ended(1, 100);
	kit.now += 10 * S;
	(void)kit_answer(&kit, kit_grant(7, 3, 0));
	ck_assert_ptr_eq(kit_lease(c), l);
	ck_assert_int_eq(atomic_load(&l->left), 0);
	ck_assert_int_eq(atomic_load(&l->settled), 0);
	ck_assert(lease_balanced(l));
	look();
	ck_assert(!shown[0].old);
	(void)kit_report(&kit, S, false); /* also when it brings nothing */
	told = kit_told(&kit, 7, 3);
	ck_assert_ptr_nonnull(told);
	ck_assert_int_eq(told->granted, 0);
	ck_assert_int_eq(told->settled, 0);
	ck_assert_int_eq(told->returned, 0);
	ck_assert_int_eq(told->high_water, 0);
	(void)kit_answer(&kit, kit_grant(7, 3, 40));
	ck_assert_int_eq(atomic_load(&l->left), 40);
	ck_assert(!lease_table_urgent(kit.t));
	ck_assert_int_eq(kit_try(&kit, c, 41, &r), ERR_AGAIN);
	ck_assert_int_eq(kit_try(&kit, c, 40, &r), 0);
	lease_cancel(&r);
	kit_end(&kit);
}
END_TEST

/* The budget's period is changed twice and then back: what was granted in the
 * first, which is not over, is no right again, however long ago that was. When
 * it is over, memory does not grow with it. */
START_TEST(test_not_before_its_end)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct budget_cell *c;
	struct reservation r;
	Hg__LeaseGrant g;

	tuning.recycle_ns = 10 * S;
	kit_start(&kit, &tuning);
	c = kit_cell(&kit, 7, false);
	g = kit_grant(7, 1, 100);
	g.valid_ms = 1000000;
	(void)kit_answer(&kit, g);
	kit_spend(&kit, c, 100, 70);
	for (int64_t period = 2; period <= 4; period++) {
		(void)kit_answer(&kit, kit_grant(7, period, 0));
		(void)kit_report(&kit, S, false);
		ended(1, 100);
		kit.now += 100 * S;
	}
	ended(4, 0); /* the first is the current one again */
	(void)kit_report(&kit, S, false);
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(kit_lease(c)->period_start, 1);
	ck_assert_int_eq(atomic_load(&kit_lease(c)->left), 0);
	ck_assert_int_eq(atomic_load(&kit_lease(c)->settled), 70);
	ck_assert_int_eq(kit_try(&kit, c, 1, &r), ERR_AGAIN);
	kit_end(&kit);
	for (int over = 0; over < 2; over++) {
		struct lease *l;

		kit_start(&kit, &tuning);
		c = kit_cell(&kit, 7, false);
		g.valid_ms = 20000;
		(void)kit_answer(&kit, g);
		l = kit_lease(c);
		kit_spend(&kit, c, 100, 100);
		(void)kit_report(&kit, 0, false);
		ended(1, 100); /* says nothing of when it ends */
		(void)kit_answer(&kit, kit_grant(7, 2, 0));
		(void)kit_report(&kit, 0, false);
		ended(1, 100);
		kit.now += 20 * S - 1 + over;
		(void)kit_answer(&kit, kit_grant(7, 3, 50));
		ck_assert_int_eq(kit_lease(c) == l, over);
		kit_end(&kit);
	}
}
END_TEST

/* Nor is one used again while a request is settled there. */
START_TEST(test_not_again)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct budget_cell *c;
	struct reservation r;
	struct lease *l;

	tuning.recycle_ns = 10 * S;
	kit_start(&kit, &tuning);
	c = kit_cell(&kit, 7, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 100));
	l = kit_lease(c);
	ck_assert_int_eq(kit_try(&kit, c, 100, &r), 0);
	(void)kit_answer(&kit, kit_grant(7, 2, 0));
	(void)kit_report(&kit, S, false);
	ended(1, 100);
	kit.now += 3600 * S;
	(void)kit_answer(&kit, kit_grant(7, 3, 40));
	ck_assert_ptr_ne(kit_lease(c), l);
	lease_settle(&r, 70);
	ck_assert_int_eq(atomic_load(&kit_lease(c)->left), 40);
	(void)kit_report(&kit, S, false);
	ck_assert_int_eq(kit_told(&kit, 7, 1)->settled, 70);
	kit_end(&kit);
}
END_TEST

/* All periods ended by this clock, and the control plane says that the second
 * of three is the current one: it goes on with its numbers, and the others
 * stay to be told of. */
START_TEST(test_revived)
{
	struct budget_cell *c;
	struct reservation r;
	struct lease *l = NULL;
	Hg__LeaseGrant g;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	for (int64_t period = 1; period <= 3; period++) {
		g = kit_grant(7, period, 100 * period);
		g.valid_ms = 1000;
		(void)kit_answer(&kit, g);
		if (period != 2)
			continue;
		l = kit_lease(c);
		kit_spend(&kit, c, 150, 30);
		ck_assert_int_eq(kit_try(&kit, c, 50, &r), 0);
	}
	(void)kit_report(&kit, S, false);
	ck_assert_ptr_null(kit_lease(c));
	ended(3, 300); /* of a period that is over: not current by that */
	ck_assert_ptr_null(kit_lease(c));
	(void)kit_answer(&kit, kit_grant(7, 2, 400));
	ck_assert_ptr_eq(kit_lease(c), l);
	look();
	ck_assert_uint_eq(n_shown, 3);
	ck_assert_int_eq(shown[0].period_start, 2);
	ck_assert(!shown[0].old && !shown[0].fenced);
	ck_assert_int_eq(shown[0].settled, 30);
	ck_assert_int_eq(shown[0].in_use, 50);
	ck_assert_int_eq(shown[0].granted, 400);
	ck_assert_int_eq(shown[1].period_start, 3);
	ck_assert_int_eq(shown[2].period_start, 1);
	ck_assert(shown[1].old && shown[2].old);
	ck_assert(lease_balanced(l));
	lease_settle(&r, 50);
	kit_spend(&kit, c, 200, 5); /* it admits again */
	(void)kit_report(&kit, S, false);
	ck_assert_int_eq(kit_told(&kit, 7, 2)->settled, 85);
	ck_assert_int_eq(kit_told(&kit, 7, 1)->returned, 100);
	kit_end(&kit);
}
END_TEST

/* Each number of an answer is what refusals and status show of the budget. */
START_TEST(test_answer_shown)
{
	struct budget_cell *c;
	Hg__LeaseGrant g;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	for (int64_t i = 1; i < 3; i++) {
		g = kit_grant(7, 1, 0);
		g.spent = 10 * i;
		g.limit = 100 * i;
		g.period_end = 1000 * i;
		g.free = 20 * i;
		g.avail = i == 1 ? 30 : -5; /* of a budget that is overspent */
		g.busy = i == 1 ? 40 : -5;
		g.exhausted = i == 1;
		(void)kit_answer(&kit, g);
		ck_assert_int_eq(atomic_load(&c->spent), 10 * i);
		ck_assert_int_eq(budget_limit(c), 100 * i);
		ck_assert_int_eq(atomic_load(&c->reset_at), 1000 * i);
		ck_assert_int_eq(atomic_load(&c->free), 20 * i);
		ck_assert_int_eq(atomic_load(&c->avail), i == 1 ? 30 : 0);
		ck_assert_int_eq(atomic_load(&c->busy), i == 1 ? 40 : 0);
		ck_assert(atomic_load(&c->exhausted) == (i == 1));
		ck_assert_uint_eq(atomic_load(&c->reply_gen), (unsigned)i);
	}
	look();
	ck_assert_int_eq(shown[0].limit, 200);
	ck_assert_int_eq(shown[0].spent, 20);
	ck_assert_int_eq(shown[0].period_end, 2000);
	kit_end(&kit);
}
END_TEST

/* The nanosecond from which nothing is admitted is shown as such. */
START_TEST(test_fence_shown)
{
	for (int late = 0; late < 2; late++) {
		Hg__LeaseGrant g = kit_grant(7, 1, 100);

		kit_start(&kit, NULL);
		(void)kit_cell(&kit, 7, false);
		g.fence_ms = 10;
		(void)kit_answer(&kit, g);
		kit.now += 10 * MS - 1 + late;
		look();
		ck_assert_uint_eq(n_shown, 1);
		ck_assert(shown[0].fenced == (late == 1));
		kit_end(&kit);
	}
}
END_TEST

/* Answers for what is not there wake nobody and change nothing. */
START_TEST(test_not_ours)
{
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)lease_wait(c, 10);
	ck_assert(!kit_answer(&kit, kit_grant(99, 1, 100)));
	ck_assert(!kit_answer(&kit, kit_grant(7, 1, -1)));
	ck_assert_ptr_null(kit_lease(c));
	ck_assert_uint_eq(atomic_load(&c->reply_gen), 0);
	ck_assert(kit_answer(&kit, kit_grant(7, 1, 0)));
	lease_wait_done(c, 10);
	kit_end(&kit);
}
END_TEST

/* A recall counts what requests hold; what they hold is not taken. */
START_TEST(test_recalled)
{
	static const struct {
		int64_t to, left;
	} t[] = {{100, 40}, {99, 39}, {61, 1}, {60, 0}, {10, 0}, {0, 0}};
	const size_t n = sizeof(t) / sizeof(t[0]);

	for (size_t i = 0; i < n; i++) {
		Hg__LeaseGrant g = kit_grant(7, 1, 100);
		struct reservation r;
		struct budget_cell *c;

		kit_start(&kit, NULL);
		c = kit_cell(&kit, 7, false);
		(void)kit_answer(&kit, g);
		ck_assert_int_eq(kit_try(&kit, c, 60, &r), 0);
		g.recall_to = t[i].to;
		(void)kit_answer(&kit, g);
		ck_assert_int_eq(atomic_load(&kit_lease(c)->left), t[i].left);
		ck_assert_int_eq(kit_lease(c)->returned, 40 - t[i].left);
		ck_assert_int_eq(atomic_load(&c->going), 40 - t[i].left);
		(void)kit_report(&kit, 1, true); /* it is on its way */
		ck_assert_int_eq(atomic_load(&c->going), 40 - t[i].left);
		g.recall_to = -1;
		(void)kit_answer(&kit, g);
		ck_assert_int_eq(atomic_load(&c->going), 0);
		lease_cancel(&r);
		kit_end(&kit);
	}
}
END_TEST

/* Without a horizon the marks at which more is asked for stay as they are; with
 * one, spending that doubles does not matter. */
START_TEST(test_marks)
{
	struct budget_cell *c;
	Hg__LeaseGrant g = kit_grant(7, 1, 100);

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)kit_answer(&kit, g);
	atomic_store(&c->spend_mark, 50);
	atomic_store(&c->low_water, 100); /* as much as is left: not below */
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(atomic_load(&c->spend_mark), 50);
	ck_assert_int_eq(atomic_load(&c->low_water), 100);
	atomic_store(&c->low_water, 101); /* and there is no more */
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(atomic_load(&c->spend_mark), INT64_MAX);
	ck_assert_int_eq(atomic_load(&c->low_water), INT64_MIN);
	atomic_store(&c->spend_mark, 50);
	g.horizon_ms = 40000;
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(atomic_load(&c->spend_mark), INT64_MAX);
	ck_assert_int_eq(c->rest_from, kit.now);
	ck_assert_int_eq(c->rest_until, kit.now + 20 * S);
	kit_end(&kit);
}
END_TEST

/* Without memory a budget is not there; all that was made is freed. */
START_TEST(test_memory)
{
	EACH_OOM
	{
		struct lease_table *t = lease_table_new(NULL);
		struct budget_cell *c[3] = {NULL};
		Hg__LeaseGrant g, *p = &g;
		unsigned made = 0;

		for (uint64_t i = 0; t != NULL && i < 3; i++) {
			c[i] = lease_table_cell(t, i + 1, STR("acme.b"));
			made += c[i] != NULL;
		}
		for (int64_t period = 1; t != NULL && period <= 3; period++) {
			g = kit_grant(1, period, 10);
			(void)lease_table_reply(t, 1, 1, &p, 1);
			g = kit_grant(3, period, 10);
			(void)lease_table_reply(t, 1, 1, &p, 1);
		}
		if (oom_hit())
			ck_assert_uint_ge(made + 1, t == NULL ? 0 : 3);
		else
			ck_assert_uint_eq(made, 3);
		for (uint64_t i = 0; i < 3; i++)
			if (c[i] != NULL)
				ck_assert_ptr_eq(
				    lease_table_find(t, i + 1), c[i]);
		lease_table_free(t);
	}
	ck_assert_uint_gt(oom_failures(), 6);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_life");

	UNIT_ADD(s, test_held);
	UNIT_ADD(s, test_held_anew);
	UNIT_ADD(s, test_end_is_told);
	UNIT_ADD(s, test_end_instant);
	UNIT_ADD(s, test_late_grant);
	UNIT_ADD(s, test_behind_a_told_one);
	UNIT_ADD(s, test_unknown_there);
	UNIT_ADD(s, test_again_from_nothing);
	UNIT_ADD(s, test_not_before_its_end);
	UNIT_ADD(s, test_not_again);
	UNIT_ADD(s, test_revived);
	UNIT_ADD(s, test_answer_shown);
	UNIT_ADD(s, test_fence_shown);
	UNIT_ADD(s, test_not_ours);
	UNIT_ADD(s, test_recalled);
	UNIT_ADD(s, test_marks);
	UNIT_ADD(s, test_memory);
	return unit_run(s);
}
