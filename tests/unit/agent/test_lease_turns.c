/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a lease is told of: what is asked again, what cannot wait, whose turn it
 * is, whom a heartbeat takes along, when all is told. What is told too seldom
 * strands money; what is told for ever costs the control plane.
 */
#include <stdlib.h>

#include "proto/envelope.h"
#include "tests/unit/agent/lease_kit.h"

#define S NS_PER_S

static struct lease_kit kit;

/* Of a period that is over. */
static void
ended(int64_t period, int64_t granted)
{
	Hg__LeaseGrant g = kit_grant(7, period, granted);

	g.valid_ms = 0;
	ck_assert(!kit_answer(&kit, g));
}

/* A report without an answer is repeated until one is answered that was built
 * a minute after it: the lost one may arrive until then, and grant. */
START_TEST(test_asked_again)
{
	struct budget_cell *c;
	struct reservation r;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)kit_cell(&kit, 8, false);
	ck_assert_int_eq(kit_try(&kit, c, 5, &r), ERR_AGAIN);
	ck_assert_uint_eq(kit_report(&kit, 0, false), 1);
	lease_table_no_reply(kit.t);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(
		    kit_report(&kit, i == 0 ? 60 * S - 1 : 1, false), 1);
		ck_assert_uint_eq(kit.v[0]->budget_uid, 7);
		(void)lease_table_reply(kit.t, kit.now, kit.now, NULL, 0);
	}
	ck_assert_uint_eq(kit_report(&kit, 1, false), 0);
	kit_end(&kit);
}
END_TEST

/* An answer is one to what was asked: what was lost later is not asked again
 * of those that were answered before. */
START_TEST(test_answered_is_done)
{
	struct budget_cell *a, *b;

	kit_start(&kit, NULL);
	a = kit_cell(&kit, 7, false);
	b = kit_cell(&kit, 8, false);
	atomic_store(&a->refill, true);
	atomic_store(&a->touched, true);
	ck_assert_uint_eq(kit_report(&kit, 0, true), 1);
	ck_assert(atomic_load(&a->in_flight) && !atomic_load(&b->in_flight));
	(void)lease_table_reply(kit.t, kit.now, kit.now, NULL, 0);
	ck_assert(!atomic_load(&a->in_flight));
	atomic_store(&a->touched, false);
	atomic_store(&b->refill, true);
	atomic_store(&b->touched, true);
	ck_assert_uint_eq(kit_report(&kit, S, true), 1);
	ck_assert_uint_eq(kit.v[0]->budget_uid, 8);
	lease_table_no_reply(kit.t);
	ck_assert_uint_eq(kit_report(&kit, S, false), 1);
	ck_assert_uint_eq(kit.v[0]->budget_uid, 8);
	kit_end(&kit);
}
END_TEST

/* Whom a hint of the control plane concerns: who rests on rights that others
 * may need. */
START_TEST(test_hinted)
{
	static const struct {
		int64_t granted, horizon_ms;
		bool soft, yes;
	} t[] = {{100, 40000, false, true}, {100, 0, false, false},
	    {0, 40000, false, false}, {100, 40000, true, false}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		Hg__LeaseGrant g = kit_grant(7, 1, t[i].granted);

		kit_start(&kit, NULL);
		(void)kit_cell(&kit, 7, t[i].soft);
		ck_assert(!lease_table_hint(kit.t, 7)); /* no lease yet */
		g.horizon_ms = t[i].horizon_ms;
		(void)kit_answer(&kit, g);
		ck_assert(!lease_table_urgent(kit.t));
		ck_assert(lease_table_hint(kit.t, 7) == t[i].yes);
		ck_assert(!lease_table_hint(kit.t, 8));
		ck_assert(lease_table_urgent(kit.t) == t[i].yes);
		ck_assert_uint_eq(kit_report(&kit, 1, true), t[i].yes);
		ck_assert(!lease_table_urgent(kit.t));
		kit_end(&kit);
	}
}
END_TEST

/* Wherever in the table what cannot wait is, it is seen, and it alone. */
START_TEST(test_urgent)
{
	enum { N = 3 };
	struct budget_cell *c[N];
	Hg__LeaseGrant g;

	kit_start(&kit, NULL);
	for (unsigned i = 0; i < N; i++) {
		c[i] = kit_cell(&kit, i + 1, false);
		(void)kit_answer(&kit, kit_grant(i + 1, 1, 100));
	}
	for (unsigned i = 0; i < N; i++) {
		ck_assert(!lease_table_urgent(kit.t));
		ck_assert_uint_eq(kit_report(&kit, 1, true), 0);
		(void)lease_wait(c[i], 10);
		ck_assert(lease_table_urgent(kit.t));
		ck_assert_uint_eq(kit_report(&kit, 1, true), 1);
		ck_assert_uint_eq(kit.v[0]->budget_uid, i + 1);
		lease_wait_done(c[i], 10);
		ck_assert(!lease_table_urgent(kit.t));
		atomic_store(&c[i]->refill, true);
		ck_assert(lease_table_urgent(kit.t));
		ck_assert_uint_eq(kit_report(&kit, 1, true), 1);
		ck_assert_uint_eq(kit.v[0]->budget_uid, i + 1);
	}
	/* the tail: what is left goes back at once, and then is no more */
	g = kit_grant(2, 1, 100);
	g.mode = HG__LEASE_MODE__LEASE_TAIL;
	(void)kit_answer(&kit, g);
	ck_assert(lease_table_urgent(kit.t));
	ck_assert_uint_eq(kit_report(&kit, 1, true), 1);
	ck_assert_int_eq(kit.v[0]->returned, 100);
	(void)kit_answer(&kit, g);
	ck_assert(!lease_table_urgent(kit.t));
	kit_end(&kit);
}
END_TEST

/* More budgets than fit into a message: each has its turn, also when others
 * were urgent between two heartbeats. */
START_TEST(test_turns)
{
	static const uint64_t turn[][2] = {{1, 2}, {3, 1}, {2, 3}, {1, 2}};
	struct lease_tuning tuning = lease_tuning_default;
	struct budget_cell *c[3];

	tuning.max_reports = 2;
	kit_start(&kit, &tuning);
	for (unsigned i = 0; i < 3; i++) {
		c[i] = kit_cell(&kit, i + 1, false);
		(void)kit_answer(&kit, kit_grant(i + 1, 1, 100));
	}
	for (size_t k = 0; k < sizeof(turn) / sizeof(turn[0]); k++) {
		ck_assert_uint_eq(kit_report(&kit, 1, false), 2);
		ck_assert_uint_eq(kit.v[0]->budget_uid, turn[k][0]);
		ck_assert_uint_eq(kit.v[1]->budget_uid, turn[k][1]);
		atomic_store(&c[1]->refill, true);
		ck_assert_uint_eq(kit_report(&kit, 1, true), 1);
		ck_assert_uint_eq(kit.v[0]->budget_uid, 2);
	}
	kit_end(&kit);
}
END_TEST

/* As many as a control plane takes in one message, or it refuses all of them
 * again and again; the rest has its turn in the next. */
START_TEST(test_many)
{
	const size_t n = PROTO_LEASE_REPORTS_MAX + 900;
	struct arena a;
	size_t told = 0, got;
	bool *seen = calloc(n + 1, sizeof(*seen));

	ck_assert_ptr_nonnull(seen);
	kit_start(&kit, NULL);
	arena_init(&a, 1 << 16, (size_t)1 << 22);
	for (size_t i = 1; i <= n; i++)
		(void)lease_wait(lease_table_cell(kit.t, i, STR("b")), 1);
	for (int turn = 0; turn < 2; turn++) {
		arena_clear(&a);
		ck_assert_int_eq(
		    lease_table_report(kit.t, kit.now, false, &a, &kit.v, &got),
		    0);
		ck_assert_uint_eq(got, PROTO_LEASE_REPORTS_MAX);
		for (size_t i = 0; i < got; i++) {
			told += !seen[kit.v[i]->budget_uid];
			seen[kit.v[i]->budget_uid] = true;
		}
		(void)lease_table_reply(kit.t, kit.now, kit.now, NULL, 0);
	}
	ck_assert_uint_eq(told, n);
	arena_release(&a);
	kit_end(&kit);
	free(seen);
}
END_TEST

/* With room for all, each is told of once, and with what is old. */
START_TEST(test_each_once)
{
	for (unsigned n = 1; n <= 9; n += 4) {
		kit_start(&kit, NULL);
		for (unsigned i = 0; i < n; i++)
			(void)kit_cell(&kit, i + 1, false);
		for (unsigned i = 0; i < n; i++) {
			(void)kit_answer(&kit, kit_grant(i + 1, 1, 100));
			(void)kit_answer(&kit, kit_grant(i + 1, 2, 100));
		}
		ck_assert_uint_eq(kit_report(&kit, 1, false), 2 * n);
		for (unsigned i = 0; i < n; i++) {
			ck_assert_ptr_nonnull(kit_told(&kit, i + 1, 1));
			ck_assert_ptr_nonnull(kit_told(&kit, i + 1, 2));
		}
		kit_end(&kit);
	}
}
END_TEST

/* Old leases that do not fit go with a later report. */
START_TEST(test_old_ones_later)
{
	struct lease_tuning tuning = lease_tuning_default;
	int64_t returned[5] = {0};

	tuning.max_reports = 2;
	kit_start(&kit, &tuning);
	(void)kit_cell(&kit, 7, false);
	for (int64_t period = 1; period <= 4; period++)
		(void)kit_answer(&kit, kit_grant(7, period, 100));
	for (int i = 0; i < 8; i++) {
		size_t n = kit_report(&kit, 1, false);

		ck_assert_uint_le(n, 2);
		for (size_t k = 0; k < n; k++) {
			int64_t period = kit.v[k]->period_start;

			returned[period] = kit.v[k]->returned;
			if (period < 4)
				ended(period, 100);
		}
	}
	for (int64_t period = 1; period < 4; period++)
		ck_assert_int_eq(returned[period], 100);
	kit_end(&kit);
}
END_TEST

/* When a rest ends: not a nanosecond before; and who rested for half of his
 * own goes along. */
START_TEST(test_round)
{
	for (int64_t late = 0; late < 2; late++) {
		struct budget_cell *a, *b;
		Hg__LeaseGrant g;
		int64_t due;

		kit_start(&kit, NULL);
		a = kit_cell(&kit, 1, false);
		b = kit_cell(&kit, 2, false);
		g = kit_grant(1, 1, 1000);
		g.horizon_ms = 40000;
		(void)kit_answer(&kit, g);
		due = kit.now + 20 * S;
		kit_spend(&kit, a, 10, 10);
		kit.now += 10 * S + late;
		g.budget_uid = 2;
		(void)kit_answer(&kit, g);
		kit_spend(&kit, b, 10, 10);
		ck_assert_uint_eq(
		    kit_report(&kit, due - 1 - kit.now, false), 0);
		kit_spend(&kit, a, 10, 10);
		kit_spend(&kit, b, 10, 10);
		ck_assert_uint_eq(kit_report(&kit, 1, false), late ? 1 : 2);
		ck_assert_uint_eq(kit.v[0]->budget_uid, 1);
		kit_end(&kit);
	}
}
END_TEST

/* Wherever he is in the table who is due. */
START_TEST(test_due)
{
	enum { N = 3 };

	for (unsigned due = 0; due < N; due++) {
		struct budget_cell *c[N];

		kit_start(&kit, NULL);
		for (unsigned i = 0; i < N; i++) {
			Hg__LeaseGrant g = kit_grant(i + 1, 1, 1000);

			c[i] = kit_cell(&kit, i + 1, false);
			g.horizon_ms = i == due ? 100000 : 102000;
			(void)kit_answer(&kit, g);
		}
		for (unsigned i = 0; i < N; i++)
			kit_spend(&kit, c[i], 10, 10);
		ck_assert_uint_eq(kit_report(&kit, 50 * S - 1, false), 0);
		for (unsigned i = 0; i < N; i++)
			kit_spend(&kit, c[i], 10, 10);
		ck_assert_uint_eq(kit_report(&kit, 1, false), N);
		kit_end(&kit);
	}
}
END_TEST

/* Who may not rest is told of with each heartbeat anyway, and takes nobody
 * along. */
START_TEST(test_no_rest)
{
	struct budget_cell *a, *b;
	Hg__LeaseGrant g = kit_grant(2, 1, 1000);

	kit_start(&kit, NULL);
	a = kit_cell(&kit, 1, false);
	b = kit_cell(&kit, 2, false);
	g.horizon_ms = 40000;
	(void)kit_answer(&kit, g);
	for (int i = 1; i < 10; i++) {
		kit.now += 2 * S;
		(void)kit_answer(&kit, kit_grant(1, 1, 1000 * i));
		kit_spend(&kit, a, 10, 10);
		kit_spend(&kit, b, 10, 10);
		ck_assert_uint_eq(kit_report(&kit, 0, false), 1);
		ck_assert_uint_eq(kit.v[0]->budget_uid, 1);
	}
	kit_end(&kit);
}
END_TEST

/* Who has nothing to say makes no round, however long ago his rest ended. */
START_TEST(test_nothing_due)
{
	struct budget_cell *b;
	Hg__LeaseGrant g = kit_grant(1, 1, 0);

	kit_start(&kit, NULL);
	(void)kit_cell(&kit, 1, false);
	b = kit_cell(&kit, 2, false);
	(void)kit_report(&kit, 0, false);
	(void)kit_answer(&kit, g);
	(void)kit_report(&kit, 0, false); /* all is told of the first */
	g.horizon_ms = 10000;
	(void)kit_answer(&kit, g);
	kit.now += 5 * S;
	g = kit_grant(2, 1, 1000);
	g.horizon_ms = 40000;
	(void)kit_answer(&kit, g);
	for (int i = 0; i < 4; i++) {
		kit_spend(&kit, b, 10, 10);
		ck_assert_uint_eq(kit_report(&kit, 4 * S, false), 0);
	}
	kit_end(&kit);
}
END_TEST

/* A rest ends when the budget is another one; the same bundle again ends
 * nothing. */
START_TEST(test_published)
{
	struct budget_cell *c;
	int64_t until;
	Hg__LeaseGrant g = kit_grant(7, 1, 1000);

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	g.horizon_ms = 40000;
	(void)kit_answer(&kit, g);
	until = kit.now + 20 * S;
	lease_table_publish(kit.t, kit.set, 1);
	ck_assert_int_eq(c->rest_until, until);
	kit.set[0].limit += 5;
	lease_table_publish(kit.t, kit.set, 1);
	ck_assert_int_lt(c->rest_until, kit.now);
	ck_assert_int_eq(budget_limit(c), 1000005);
	g.limit = 1000005;
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(c->rest_until, until);
	kit.set[0].soft = true;
	lease_table_publish(kit.t, kit.set, 1);
	ck_assert_int_lt(c->rest_until, kit.now);
	kit_end(&kit);
}
END_TEST

/* Done means: everything is back and told, of each budget and period. */
START_TEST(test_done)
{
	enum { N = 3 };

	for (unsigned at = 0; at < N; at++) {
		struct budget_cell *c[N];
		struct reservation r;

		kit_start(&kit, NULL);
		for (unsigned i = 0; i < N; i++)
			c[i] = kit_cell(&kit, i + 1, false);
		ck_assert(lease_table_done(kit.t));
		(void)kit_answer(&kit, kit_grant(at + 1, 1, 100));
		ck_assert(!lease_table_done(kit.t));
		ck_assert_int_eq(kit_try(&kit, c[at], 60, &r), 0);
		(void)kit_answer(&kit, kit_grant(at + 1, 2, 0));
		lease_table_drain(kit.t);
		(void)kit_report(&kit, S, false);
		(void)kit_answer(&kit, kit_grant(at + 1, 2, 0));
		ck_assert(!lease_table_done(kit.t)); /* the old one */
		lease_settle(&r, 60);
		(void)kit_report(&kit, S, false);
		(void)kit_answer(&kit, kit_grant(at + 1, 1, 100));
		ck_assert(lease_table_done(kit.t));
		kit_end(&kit);
	}
}
END_TEST

/* Not while a report had no answer: it may have made a grant. */
START_TEST(test_not_done)
{
	struct budget_cell *c;
	struct reservation r;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	ck_assert_int_eq(kit_try(&kit, c, 5, &r), ERR_AGAIN);
	(void)kit_report(&kit, 1, false);
	lease_table_no_reply(kit.t);
	ck_assert(!lease_table_done(kit.t));
	(void)kit_report(&kit, 1, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 0));
	(void)kit_report(&kit, 1, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 0));
	ck_assert(lease_table_done(kit.t));
	(void)kit_report(&kit, 1, false);
	lease_table_no_reply(kit.t);
	ck_assert(!lease_table_done(kit.t));
	kit_end(&kit);
}
END_TEST

/* Silence counts from the first nanosecond of the clock as well. */
START_TEST(test_asked_at_zero)
{
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	lease_table_asked(kit.t, 0);
	ck_assert(!lease_silent(c, S));
	ck_assert(lease_silent(c, S + 1));
	kit_end(&kit);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_turns");

	UNIT_ADD(s, test_asked_again);
	UNIT_ADD(s, test_answered_is_done);
	UNIT_ADD(s, test_hinted);
	UNIT_ADD(s, test_urgent);
	UNIT_ADD(s, test_turns);
	UNIT_ADD(s, test_many);
	UNIT_ADD(s, test_each_once);
	UNIT_ADD(s, test_old_ones_later);
	UNIT_ADD(s, test_round);
	UNIT_ADD(s, test_due);
	UNIT_ADD(s, test_no_rest);
	UNIT_ADD(s, test_nothing_due);
	UNIT_ADD(s, test_published);
	UNIT_ADD(s, test_done);
	UNIT_ADD(s, test_not_done);
	UNIT_ADD(s, test_asked_at_zero);
	return unit_run(s);
}
