/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision about a report at its borders: one nano-dollar or nanosecond
 * to each side, and each condition by itself. Beyond a border money is given
 * twice, kept from who waits for it, or asked back over and over.
 */
#include "controlplane/money/grant.h"
#include "tests/unit/support/unit.h"

#define S   INT64_C(1000000000)
#define NOW (1000 * S)

static struct grant_config cfg;
static struct lease_view v;
static Hg__LeaseReport r;
static struct grant_result d;

/* An agent alone with a budget of which so much is free. */
static void
begin(int64_t free)
{
	cfg = grant_default;
	v = (struct lease_view){.budget_uid = 9,
	    .found = true,
	    .exists = true,
	    .is_current = true,
	    .counted = true,
	    .period_start = 1,
	    .period_end = INT64_MAX,
	    .limit = INT64_C(1) << 50,
	    .free = free};
	hg__lease_report__init(&r);
}

static void
decide(void)
{
	grant_decide(&cfg, &v, &r, NOW, &d);
}

/* One waits for this, and who waits with it for all. */
static void
waits(int64_t min, int64_t total)
{
	r.want_min = min;
	r.want_total = total;
}

/* Rights are what was granted without what came back, what is in use and the
 * larger of what was shipped and what was reported as spent. */
START_TEST(test_rights)
{
	static const struct {
		int64_t shipped, said, before;
	} t[] = {{300, 100, 0}, {100, 300, 0}, {100, 200, 300}, {300, 0, 0}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		begin(100000);
		v.granted = r.granted = 1000;
		v.settled = t[i].shipped;
		r.settled = t[i].said;
		v.r_settled = t[i].before;
		v.returned = r.returned = 150;
		r.in_use = 250;
		waits(400, 400);
		decide();
		ck_assert_int_eq(d.w.grant, 100); /* it has 300 */
		ck_assert_int_eq(d.granted, 1100);
		ck_assert_int_eq(d.free, 99900);
		ck_assert_int_eq(d.w.returned, 150);
		ck_assert_int_eq(d.w.r_in_use, 250);
	}
}
END_TEST

/* What is written of a report never falls, and never says more than was
 * granted. */
START_TEST(test_written)
{
	begin(1000);
	v.granted = 500;
	v.settled = 100;
	v.returned = 50;
	v.r_settled = 80;
	v.high_water = 90;
	v.version = 7;
	r.returned = 200;
	r.settled = 120;
	r.high_water = 130;
	r.in_use = 10;
	decide();
	ck_assert_int_eq(d.w.returned, 200);
	ck_assert_int_eq(d.w.r_settled, 120);
	ck_assert_int_eq(d.w.high_water, 130);
	ck_assert_int_eq(d.w.seen_granted, 500);
	ck_assert_int_eq(d.w.seen_returned, 50);
	ck_assert_int_eq(d.w.report_at, NOW);
	ck_assert_int_eq(
	    d.w.fence_at, NOW + grant_default.fence_ms * INT64_C(1000000));
	ck_assert_int_eq(d.free, 1150); /* 150 came back */
	ck_assert(d.move);
	r.returned = 401; /* 100 were spent */
	r.settled = 501;
	r.high_water = 89;
	decide();
	ck_assert_int_eq(d.w.returned, 400);
	ck_assert_int_eq(d.w.r_settled, 500);
	ck_assert_int_eq(d.w.high_water, 90);
	r.in_use = 500;
	decide();
	ck_assert_int_eq(d.w.r_in_use, 500);
	r.in_use++; /* absurd */
	decide();
	ck_assert_int_eq(d.w.r_in_use, 500);
	r.returned = 49; /* an older report */
	r.settled = 79;
	decide();
	ck_assert_int_eq(d.w.returned, 50);
	ck_assert_int_eq(d.w.r_settled, 80);
	ck_assert_int_eq(d.free, 1000);
	v.exists = false;
	decide();
	ck_assert_int_eq(d.w.seen_granted, -1);
	ck_assert(!d.report);
}
END_TEST

/* What moves money or marks is written under the lock, and nothing else is. */
START_TEST(test_moves)
{
	begin(100000);
	v.granted = r.granted = 500;
	decide();
	ck_assert(!d.move && d.report);
	v.returned = r.returned = 5;
	decide();
	ck_assert(!d.move);
	r.returned = 6;
	decide();
	ck_assert(d.move);
	r.returned = 5;
	waits(495, 495); /* it has them */
	decide();
	ck_assert(!d.move && d.w.grant == 0);
	waits(496, 496);
	decide();
	ck_assert(d.move && d.w.grant == 1);
	waits(0, 0);
	v.recall = true; /* and it has some */
	decide();
	ck_assert(!d.move && d.w.recall);
	r.returned = v.returned = 500;
	decide();
	ck_assert(d.move && !d.w.recall);
}
END_TEST

/* The most that one waits for is there to the last nano-dollar, without asking
 * others; a nano-dollar above it is asked of those who are idle, and is
 * exhausted where they have not as much. */
START_TEST(test_short)
{
	static const struct {
		int64_t want, total, idle, grant;
		bool exhausted, recall;
	} t[] = {{500, 500, 7, 500, false, false},
	    {501, 501, 7, 0, false, true}, {507, 507, 7, 0, false, true},
	    {508, 508, 7, 0, true, false},
	    /* smaller ones wait beside it */
	    {508, 509, 7, 1, true, true}, {508, 509, 0, 1, true, false},
	    {600, 9000, 0, 500, true, false}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		begin(500);
		v.recallable = t[i].idle;
		waits(t[i].want, t[i].total);
		decide();
		ck_assert_int_eq(d.w.grant, t[i].grant);
		ck_assert(d.exhausted == t[i].exhausted);
		ck_assert(d.w.recall_others == t[i].recall);
		ck_assert_int_eq(d.avail, 500 + t[i].idle - t[i].grant);
	}
}
END_TEST

/* Who spent more than it was granted and waits for nothing is short of
 * nothing. */
START_TEST(test_below_zero)
{
	begin(10);
	v.granted = v.settled = 100;
	r.settled = 100;
	r.in_use = 50;
	v.recallable = 40;
	decide();
	ck_assert(!d.exhausted && !d.w.recall_others);
	waits(1, 1);
	decide(); /* 51 are missing for it */
	ck_assert(d.exhausted);
	v.recallable = 41;
	decide();
	ck_assert(!d.exhausted && d.w.recall_others);
}
END_TEST

/* Who does not wait takes nothing of what makes a tail for n agents, and all
 * that is above it may be given. */
START_TEST(test_tail)
{
	for (int64_t more = 0; more < 3; more++) {
		begin(4 * 3 * 100 + more);
		v.n_active = 2;
		r.w_p99 = 100;
		decide();
		ck_assert_int_eq(d.w.grant, more);
		ck_assert_int_eq(d.free, 4 * 3 * 100);
		ck_assert(!d.tail);
		v.free = 4 * 3 * 100 - 1;
		decide();
		ck_assert_int_eq(d.w.grant, 0);
		ck_assert(d.tail);
		v.soft = true;
		decide();
		ck_assert(!d.tail);
	}
	begin(4 * 3 * 100); /* the larger of the two makes it */
	v.n_active = 2;
	r.w_p99 = 0;
	waits(100, 100);
	r.granted = v.granted = 100;
	decide();
	ck_assert(!d.tail && d.w.grant == 0);
	v.free--;
	decide();
	ck_assert(d.tail);
}
END_TEST

/* After others asked for what it holds only waiting agents are given, for a
 * second by either clock. */
START_TEST(test_contested)
{
	static const struct {
		int64_t at;
		bool contested;
	} t[] = {{0, false}, {NOW - S, false}, {NOW - S + 1, true}, {NOW, true},
	    {NOW + S - 1, true}, {NOW + S, false}, {1, false}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		begin(INT64_C(1) << 40);
		v.recall_at = t[i].at;
		r.rate_per_s = 100;
		decide();
		ck_assert_int_eq(d.w.grant, t[i].contested ? 0 : 1000);
		waits(1, 1);
		decide();
		ck_assert_int_eq(d.w.grant, 1001);
	}
}
END_TEST

/* The report that fulfils a recall is not answered by a new grant, nor by
 * rest. */
START_TEST(test_recall_done)
{
	begin(INT64_C(1) << 40);
	v.recall = true;
	v.granted = r.granted = 500;
	r.returned = 500;
	r.rate_per_s = r.steady_rate = 100;
	r.horizon_max_ms = 300000;
	decide();
	ck_assert_int_eq(d.recall_to, -1);
	ck_assert(!d.w.recall && d.move);
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert_int_eq(d.horizon_ms, 0);
	ck_assert(!d.plenty);
	waits(50, 50); /* but who waits is served */
	decide();
	ck_assert_int_ge(d.w.grant, 50);
	ck_assert(!d.plenty);
}
END_TEST

/* What time gave back is not the agent's any more, down to the last: it gets
 * nothing, and may not rest, until it said so. */
START_TEST(test_given_back)
{
	for (int64_t kept = 0; kept < 2; kept++) {
		begin(INT64_C(1) << 40);
		v.granted = r.granted = 500;
		v.returned = 300 - kept;
		v.settled = 120;
		r.settled = 200; /* not all is shipped */
		r.returned = 298;
		r.rate_per_s = r.steady_rate = 100;
		r.horizon_max_ms = 300000;
		waits(50, 50);
		decide();
		ck_assert_int_eq(d.recall_to, kept);
		ck_assert_int_eq(d.w.grant, 0);
		ck_assert_int_eq(d.horizon_ms, 0);
		ck_assert(!d.plenty);
		r.returned = v.returned;
		decide();
		ck_assert_int_eq(d.recall_to, -1);
		ck_assert_int_gt(d.w.grant, 0);
		ck_assert(d.plenty);
	}
}
END_TEST

/* Nobody else makes a difference: not to soft budgets (their holders are not
 * written), not in windows that move, not where the row was stale, and not
 * below the floor or what is lacking. The floor is told where money moves. */
START_TEST(test_plenty)
{
	begin(INT64_C(1) << 40);
	waits(100, 100);
	decide();
	ck_assert(d.plenty && d.move);
	ck_assert_int_eq(d.w.floor, 4 * 101);
	v.free = 4 * 101; /* what was free before the grant counts */
	decide();
	ck_assert(d.plenty);
	v.free--;
	decide();
	ck_assert(!d.plenty);
	ck_assert_int_eq(d.w.floor, 0);
	v.free = INT64_C(1) << 40;
	v.soft = true;
	decide();
	ck_assert(!d.plenty);
	v.soft = false;
	v.moved = true;
	decide();
	ck_assert(!d.plenty && d.w.floor == 0);
	v.moved = false;
	v.stale = true;
	decide();
	ck_assert(!d.plenty && d.w.floor == 0);
	v.stale = false;
	v.granted = r.granted = 100; /* nothing moves */
	decide();
	ck_assert(d.plenty && !d.move);
	ck_assert_int_eq(d.w.floor, 0);
	/* a debt is more than the floor */
	v.granted = r.granted = 0;
	v.settled = 1000000;
	v.free = 1000100;
	decide();
	ck_assert(d.plenty);
	v.free--;
	decide();
	ck_assert(!d.plenty);
}
END_TEST

/* A rest of 20 s is the shortest; what ends it sooner makes it none. */
START_TEST(test_shortest)
{
	for (int less = 0; less < 2; less++) {
		begin(INT64_C(1) << 40);
		r.rate_per_s = r.steady_rate = 100;
		r.horizon_max_ms = 20000 - less;
		decide();
		ck_assert_int_eq(d.horizon_ms, less ? 0 : 20000);
		r.horizon_max_ms = 300000;
		v.period_end = NOW + 20 * S - less;
		decide();
		ck_assert_int_eq(d.horizon_ms, less ? 0 : 20000);
		v.period_end = INT64_MAX;
		v.free = 4 * (20 * 100 + 1) - less;
		decide();
		ck_assert_int_eq(d.horizon_ms, less ? 0 : 20000);
	}
	/* without a steady rate there is nothing to be longer for */
	begin(4 * (10 * 100 + 1) - 1);
	r.rate_per_s = 100;
	r.horizon_max_ms = 300000;
	decide();
	ck_assert_int_eq(d.horizon_ms, 0);
	v.free++;
	decide();
	ck_assert_int_eq(d.horizon_ms, 300000);
	/* nor is a tail a time to rest */
	begin(4 * 51);
	r.granted = v.granted = 50;
	waits(50, 50);
	r.w_p99 = 52;
	r.horizon_max_ms = 300000;
	decide();
	ck_assert(d.tail);
	ck_assert_int_eq(d.horizon_ms, 0);
	/* a soft budget is at rest whatever was spent of it */
	begin(-1000);
	v.soft = true;
	r.horizon_max_ms = 300000;
	decide();
	ck_assert_int_eq(d.horizon_ms, 300000);
	ck_assert_int_eq(d.w.quiet_until, NOW + 310 * S);
}
END_TEST

/* Numbers at the ends of their range do not come out at the other end. */
START_TEST(test_ends)
{
	begin(INT64_MAX);
	r.rate_per_s = INT64_MAX;
	waits(INT64_MAX, INT64_MAX);
	decide();
	ck_assert_int_eq(d.w.grant, INT64_MAX);
	begin(INT64_MIN);
	waits(INT64_MAX, INT64_MAX);
	decide();
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(d.exhausted);
}
END_TEST

static int64_t
valid_ms(int64_t end)
{
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT;

	v.period_end = end;
	decide();
	grant_answer(&cfg, &v, &d, NOW, &g);
	ck_assert_int_eq(g.period_end, end);
	return g.valid_ms;
}

/* The answer says all that was decided; of a period that is over, that what is
 * not in use must come back. */
START_TEST(test_answer)
{
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT;

	begin(1000);
	v.granted = r.granted = 70;
	r.in_use = 30;
	v.spent = 5;
	v.busy = 6;
	v.recallable = 8;
	waits(50, 50);
	decide();
	grant_answer(&cfg, &v, &d, NOW, &g);
	ck_assert_uint_eq(g.budget_uid, 9);
	ck_assert_int_eq(g.period_start, 1);
	ck_assert_int_eq(g.granted, 80);
	ck_assert_int_eq(g.fence_ms, cfg.fence_ms);
	ck_assert_int_eq(g.recall_to, -1);
	ck_assert_int_eq(g.limit, v.limit);
	ck_assert_int_eq(g.spent, 5);
	ck_assert_int_eq(g.free, 990);
	ck_assert_int_eq(g.avail, 998);
	ck_assert_int_eq(g.busy, 6);
	ck_assert(!g.exhausted && g.mode == HG__LEASE_MODE__LEASE_NORMAL);
	ck_assert_int_gt(valid_ms(INT64_MAX), INT64_C(1) << 40);
	ck_assert_int_eq(valid_ms(NOW + 5 * S), 5000);
	ck_assert_int_eq(valid_ms(NOW - 1), 0);
	v.is_current = false;
	ck_assert_int_eq(valid_ms(NOW + 5 * S), 0);
	hg__lease_grant__init(&g);
	grant_answer(&cfg, &v, &d, NOW, &g);
	ck_assert_int_eq(g.fence_ms, 0);
	ck_assert_int_eq(g.recall_to, 30);
	ck_assert_int_eq(d.w.grant, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("money/grant_borders");

	UNIT_ADD(s, test_rights);
	UNIT_ADD(s, test_written);
	UNIT_ADD(s, test_moves);
	UNIT_ADD(s, test_short);
	UNIT_ADD(s, test_below_zero);
	UNIT_ADD(s, test_tail);
	UNIT_ADD(s, test_contested);
	UNIT_ADD(s, test_recall_done);
	UNIT_ADD(s, test_given_back);
	UNIT_ADD(s, test_plenty);
	UNIT_ADD(s, test_shortest);
	UNIT_ADD(s, test_ends);
	UNIT_ADD(s, test_answer);
	return unit_run(s);
}
