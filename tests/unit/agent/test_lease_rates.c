/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent asks for and keeps, in exact numbers: rates of spending, how
 * they are forgotten, what is asked for and what goes back at the border. A
 * rate that is too high takes money from other agents, one that is too low
 * makes requests wait.
 */
#include "tests/unit/agent/lease_kit.h"

#define MS NS_PER_MS
#define S  NS_PER_S

static struct lease_kit kit;

/* A budget with plenty, and the first report done: rates are measured from
 * here. */
static struct budget_cell *
measured(const struct lease_tuning *tuning)
{
	struct budget_cell *c;

	kit_start(&kit, tuning);
	c = kit_cell(&kit, 7, false);
	(void)kit_report(&kit, 0, false);
	(void)kit_answer(&kit, kit_grant(7, 1, INT64_C(1) << 40));
	return c;
}

/* `spent`, and the report after dt. */
static void
beat(struct budget_cell *c, int64_t dt, int64_t spent)
{
	kit_spend(&kit, c, spent, spent);
	(void)kit_report(&kit, dt, false);
}

/* An unknown rate is known after 20 ms, a known one changes after 100 ms, and
 * no cost is forgotten meanwhile. */
START_TEST(test_soonest)
{
	struct budget_cell *c = measured(NULL);

	beat(c, 20 * MS - 1, 1000);
	ck_assert_int_eq(c->rate_per_s, 0);
	beat(c, 1, 0);
	ck_assert_int_eq(c->rate_per_s, 50000);
	beat(c, 100 * MS - 1, 20000);
	ck_assert_int_eq(c->rate_per_s, 50000);
	beat(c, 1, 0);
	ck_assert_int_eq(c->rate_per_s, 200000);
	kit_end(&kit);
}
END_TEST

/* More than twice as much counts at once; less by a fifth each second. The
 * steady rate is the mean of what was measured. */
START_TEST(test_smooth)
{
	static const struct {
		int64_t dt, spent, rate, steady;
	} step[] = {
	    {S, 1000, 1000, 1000},
	    {S, 2000, 1200, 1500}, /* twice is not more than twice */
	    {S, 200, 1000, 1067}, {S, 2001, 2001, 1300},
	    {4 * S, 4 * 2001, 2001, 1650},   /* half of the time */
	    {90 * S, 90 * 3001, 2958, 3001}, /* longer than what counts */
	    {S, 3001 + 6000, 9001, 3101},    /* a sixtieth of it */
	};
	struct budget_cell *c = measured(NULL);

	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		beat(c, step[i].dt, step[i].spent);
		ck_assert_int_eq(c->rate_per_s, step[i].rate);
		ck_assert_int_eq(c->steady_rate, step[i].steady);
	}
	kit_end(&kit);
}
END_TEST

/* Who was refused rights would have spent more: until the next report the rate
 * does not fall, and no longer. */
START_TEST(test_blocked)
{
	struct budget_cell *c = measured(NULL);
	struct reservation r;

	beat(c, S, 1000);
	ck_assert_int_eq(kit_try(&kit, c, INT64_MAX, &r), ERR_AGAIN);
	beat(c, S, 500);
	ck_assert_int_eq(c->rate_per_s, 1000);
	beat(c, S, 500);
	ck_assert_int_eq(c->rate_per_s, 900);
	kit_end(&kit);
}
END_TEST

/* Who comes back is given the rate from before, halved each minute since it
 * was last reached, and nothing after ten. */
START_TEST(test_comes_back)
{
	static const struct {
		int64_t after, rate;
	} t[] = {{60 * S - 1, 102400}, {60 * S, 51200}, {120 * S - 1, 51200},
	    {600 * S - 1, 200}, {600 * S, 0}};

	struct lease_tuning tuning = lease_tuning_default;

	tuning.horizon_ns = 1000 * S; /* nothing is surplus */
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct budget_cell *c = measured(&tuning);
		int64_t last;

		for (int k = 0; k < 50; k++) /* it is reached all the time */
			beat(c, S, 102400);
		last = kit.now;
		for (int k = 0; k < 7; k++)
			(void)kit_report(&kit, S, false);
		ck_assert_int_eq(c->rate_per_s, 0);
		(void)kit_report(
		    &kit, last + t[i].after - 50 * MS - kit.now, false);
		(void)kit_answer(&kit, kit_grant(7, 1, INT64_C(2) << 40));
		ck_assert_int_eq(c->rate_per_s, 0); /* nobody came */
		beat(c, 50 * MS, 0);
		ck_assert_int_eq(c->rate_per_s, t[i].rate);
		kit_end(&kit);
	}
}
END_TEST

/* What comes to an idle budget and is recalled at once is told of, and not
 * asked for: nobody is there. */
START_TEST(test_nobody_came)
{
	struct budget_cell *c = measured(NULL);
	Hg__LeaseGrant g = kit_grant(7, 1, INT64_C(2) << 40);

	beat(c, S, 1000);
	for (int k = 0; k < 7; k++)
		(void)kit_report(&kit, S, false);
	(void)kit_answer(&kit, kit_grant(7, 1, INT64_C(1) << 40));
	g.recall_to = 0;
	(void)kit_answer(&kit, g);
	ck_assert_uint_eq(kit_report(&kit, 50 * MS, true), 1);
	ck_assert_int_eq(kit.v[0]->returned, (INT64_C(2) << 40) - 1000);
	ck_assert_int_eq(kit.v[0]->rate_per_s, 0);
	ck_assert_int_eq(c->rate_per_s, 0);
	kit_end(&kit);
}
END_TEST

/* A pause of idle_return_ns forgets rates, the largest request and the swing
 * of concurrency: nothing is asked for by who is not there. */
START_TEST(test_forgets)
{
	struct budget_cell *c = measured(NULL);

	beat(c, S, 1600);
	ck_assert_int_eq(atomic_load(&c->w_max), 1600);
	(void)kit_report(&kit, S, false); /* a sixteenth and a little */
	ck_assert_int_eq(atomic_load(&c->w_max), 1499);
	(void)kit_report(
	    &kit, lease_tuning_default.idle_return_ns - S - 1, false);
	ck_assert_int_gt(atomic_load(&c->w_max), 0);
	ck_assert_int_gt(atomic_load(&c->peak), 0);
	ck_assert_int_gt(c->steady_rate, 0);
	(void)kit_report(&kit, 1, false);
	ck_assert_int_eq(atomic_load(&c->w_max), 0);
	ck_assert_int_eq(atomic_load(&c->peak), 0);
	ck_assert_int_eq(c->rate_per_s, 0);
	ck_assert_int_eq(c->steady_rate, 0);
	ck_assert_int_eq(c->steady_ns, 0);
	kit_end(&kit);
}
END_TEST

/* Nobody made a request yet: the largest is 0, never less. */
START_TEST(test_none_yet)
{
	struct budget_cell *c = measured(NULL);

	for (int i = 0; i < 8; i++) {
		(void)kit_report(&kit, S, false);
		ck_assert_int_eq(atomic_load(&c->w_max), 0);
		ck_assert_int_eq(atomic_load(&c->peak), 0);
	}
	kit_end(&kit);
}
END_TEST

/* An eighth of what ran at once before is forgotten with each heartbeat, but
 * not with a report between two of them. */
START_TEST(test_peak)
{
	struct budget_cell *c = measured(NULL);
	struct reservation stays, goes;

	ck_assert_int_eq(kit_try(&kit, c, 100, &stays), 0);
	ck_assert_int_eq(kit_try(&kit, c, 900, &goes), 0);
	lease_settle(&goes, 0);
	ck_assert_int_eq(atomic_load(&c->peak), 1000);
	atomic_store(&c->refill, true);
	ck_assert_uint_eq(kit_report(&kit, 0, true), 1);
	ck_assert_int_eq(atomic_load(&c->peak), 1000);
	(void)kit_report(&kit, 0, false);
	ck_assert_int_eq(atomic_load(&c->peak), 1000 - 900 / 8 - 1);
	lease_cancel(&stays);
	kit_end(&kit);
}
END_TEST

/* A request waits before the first heartbeat: what came for it and those
 * behind it does not go back with the next report as if nobody had been there.
 */
START_TEST(test_first_waits)
{
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)lease_wait(c, 60);
	ck_assert_uint_eq(kit_report(&kit, 0, true), 1);
	(void)kit_answer(&kit, kit_grant(7, 1, 600));
	lease_wait_done(c, 60);
	kit_spend(&kit, c, 60, 10);
	atomic_store(&c->refill, true);
	ck_assert_uint_eq(kit_report(&kit, MS, true), 1);
	ck_assert_int_eq(kit.v[0]->returned, 0);
	kit_end(&kit);
}
END_TEST

/* What is asked for: ten seconds of the rate, what swings, who waits, and a
 * handful of the largest while the rate is not known; and when it is asked for
 * again: at half of it, or when spending doubles. */
START_TEST(test_asks)
{
	struct budget_cell *c = measured(NULL);
	struct reservation stays, goes;

	ck_assert_int_eq(kit_try(&kit, c, 30, &stays), 0);
	ck_assert_int_eq(kit_try(&kit, c, 20, &goes), 0);
	lease_settle(&goes, 0);
	(void)lease_wait(c, 100);
	(void)kit_report(&kit, 0, false);
	ck_assert_uint_eq(kit.n, 1);
	ck_assert_int_eq(kit.v[0]->want_min, 100);
	ck_assert_int_eq(kit.v[0]->want_total, 100);
	ck_assert_int_eq(kit.v[0]->want_least, 100);
	ck_assert_int_eq(kit.v[0]->w_p99, 30);
	ck_assert_int_eq(kit.v[0]->in_use, 30);
	ck_assert_int_eq(kit.v[0]->rate_per_s, (20 + 100 + 16 * 30) / 10);
	ck_assert_int_eq(atomic_load(&c->low_water), (20 + 100 + 16 * 30) / 2);
	ck_assert_int_eq(atomic_load(&c->spend_mark), 30);
	beat(c, S, 1000);
	ck_assert_int_eq(kit.v[0]->rate_per_s, 1000 + (1000 + 100) / 10);
	ck_assert_int_eq(
	    atomic_load(&c->low_water), (10 * 1000 + 1000 + 100) / 2);
	ck_assert_int_eq(atomic_load(&c->spend_mark), 2000);
	ck_assert_int_eq(kit.v[0]->steady_rate, 1000);
	ck_assert_int_eq(kit.v[0]->horizon_max_ms, 0);
	lease_wait_done(c, 100);
	lease_cancel(&stays);
	kit_end(&kit);
}
END_TEST

/* Who leaves or is deleted asks for nothing, whatever waits there. */
START_TEST(test_asks_no_more)
{
	for (int drain = 0; drain < 2; drain++) {
		struct budget_cell *c = measured(NULL);

		beat(c, S, 1000);
		(void)lease_wait(c, 100);
		if (drain)
			lease_table_drain(kit.t);
		else
			lease_table_publish(kit.t, NULL, 0);
		ck_assert_uint_eq(kit_report(&kit, S, false), 1);
		ck_assert_int_eq(kit.v[0]->returned, kit.v[0]->granted - 1000);
		ck_assert_int_eq(kit.v[0]->want_total, 0);
		ck_assert_int_eq(kit.v[0]->want_min, 0);
		ck_assert_int_eq(kit.v[0]->rate_per_s, 0);
		ck_assert_int_eq(kit.v[0]->w_p99, 0);
		lease_wait_done(c, 100);
		kit_end(&kit);
	}
}
END_TEST

/* Half of what is beyond one and a half times the need goes back; at the
 * border nothing does, or two agents would pass rights to and fro. */
START_TEST(test_surplus)
{
	struct lease_tuning tuning = lease_tuning_default;

	for (int64_t more = 0; more < 2; more++) {
		struct budget_cell *c;

		kit_start(&kit, &tuning);
		c = kit_cell(&kit, 7, false);
		(void)kit_report(&kit, 0, false);
		(void)kit_answer(&kit, kit_grant(7, 1, 300 + more));
		/* one of 100 ran: it may come again, and so may another */
		kit_spend(&kit, c, 100, 0);
		atomic_store(&c->refill, true);
		(void)kit_report(&kit, 0, true); /* between heartbeats: later */
		ck_assert_int_eq(kit_lease(c)->returned, 0);
		(void)kit_report(&kit, 0, false);
		ck_assert_int_eq(kit_lease(c)->returned, more * 50);
		kit_end(&kit);
	}
}
END_TEST

/* With a horizon the need is ten seconds of the rate and the steady rate for
 * the rest of it. */
START_TEST(test_surplus_of_horizon)
{
	for (int64_t more = 0; more < 2; more++) {
		struct budget_cell *c;
		Hg__LeaseGrant g = kit_grant(7, 1, 150 + 480 + more);

		kit_start(&kit, NULL);
		c = kit_cell(&kit, 7, false);
		(void)kit_report(&kit, 0, false);
		g.horizon_ms = 30000;
		(void)kit_answer(&kit, g);
		for (int i = 0; i < 15; i++)
			kit_spend(&kit, c, 10, 10);
		ck_assert_uint_eq(kit_report(&kit, 15 * S - 1, false), 0);
		ck_assert_int_eq(kit_lease(c)->returned, 0);
		kit_end(&kit);

		kit_start(&kit, NULL);
		c = kit_cell(&kit, 7, false);
		(void)kit_report(&kit, 0, false);
		(void)kit_answer(&kit, g);
		for (int i = 0; i < 15; i++)
			kit_spend(&kit, c, 10, 10);
		ck_assert_uint_eq(kit_report(&kit, 15 * S, false), 1);
		ck_assert_int_eq(c->rate_per_s, 10);
		ck_assert_int_eq(kit_lease(c)->returned, more * 80);
		kit_end(&kit);
	}
}
END_TEST

/* A horizon is asked for once the rate was measured for ten seconds; a soft
 * budget holds nothing back and may have one at once. */
START_TEST(test_known)
{
	for (int64_t less = 0; less < 2; less++) {
		struct budget_cell *c = measured(NULL);

		beat(c, 10 * S - less, 1000);
		ck_assert_uint_eq(kit.n, 1);
		ck_assert_int_eq(
		    kit.v[0]->horizon_max_ms, less > 0 ? 0 : 300000);
		kit_end(&kit);
	}
	kit_start(&kit, NULL);
	kit_spend(&kit, kit_cell(&kit, 7, true), 10, 10);
	ck_assert_uint_eq(kit_report(&kit, 0, false), 1);
	ck_assert_int_eq(kit.v[0]->horizon_max_ms, 300000);
	kit_end(&kit);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_rates");

	UNIT_ADD(s, test_soonest);
	UNIT_ADD(s, test_smooth);
	UNIT_ADD(s, test_blocked);
	UNIT_ADD(s, test_comes_back);
	UNIT_ADD(s, test_nobody_came);
	UNIT_ADD(s, test_forgets);
	UNIT_ADD(s, test_none_yet);
	UNIT_ADD(s, test_peak);
	UNIT_ADD(s, test_first_waits);
	UNIT_ADD(s, test_asks);
	UNIT_ADD(s, test_asks_no_more);
	UNIT_ADD(s, test_surplus);
	UNIT_ADD(s, test_surplus_of_horizon);
	UNIT_ADD(s, test_known);
	return unit_run(s);
}
