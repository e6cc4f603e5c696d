/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes of leases around disturbances: what an agent can serve from its rights
 * when the line is cut, after idleness, after it ran dry, beside a budget that
 * is exhausted; and that agents which come back together do not take all.
 */
#include "tests/unit/money/world.h"
#include "tests/unit/support/unit.h"

#define USD INT64_C(1000000000)

/* Requests that 6 clients make in ms, each 5 ms and a pause of 3. */
#define RATE(ms) ((uint64_t)(ms)*6 / 9)

/* What is served on budget 0 in a cut of ms. */
static uint64_t
cut_for(struct world *w, int64_t ms)
{
	uint64_t before = world_served(w, 0);

	world_cut(w, true);
	world_run(w, ms);
	before = world_served(w, 0) - before;
	world_cut(w, false);
	return before;
}

static struct world w;

/* Four cuts of 4 s: the fourth serves as much as the first. The clients go to
 * a second budget in turn, which is exhausted: nobody hangs there while the
 * control plane is silent, or none would be left for the first one. */
START_TEST(test_partitions)
{
	const int64_t limits[] = {1000 * USD, 5 * USD / 100};
	uint64_t first;

	world_init(&w, 2, 2, limits);
	world_clients(&w, 6);
	world_run(&w, 10000);
	ck_assert_uint_lt(world_served(&w, 1), 5 * USD / 100 / 80000);
	first = cut_for(&w, 4000);
	/* one second until the silence is noticed; each request there costs
	 * its client 30 ms */
	ck_assert_uint_ge(first, 2 * 6 * 3000 / 41 * 9 / 10);
	for (int i = 0; i < 3; i++) {
		world_run(&w, 1500);
		ck_assert_uint_ge(cut_for(&w, 4000), first * 9 / 10);
	}
	/* As it was: whoever is short waits its two seconds. */
	world_run(&w, 1500);
	w.patient = true;
	ck_assert_uint_lt(cut_for(&w, 4000), 60);
	world_release(&w);
}
END_TEST

/* Idle for so long that everything went back, then one request: with its
 * answer come rights for the rate from before. */
START_TEST(test_idle)
{
	const int64_t limits[] = {1000 * USD};
	int64_t held;

	world_init(&w, 1, 1, limits);
	world_clients(&w, 6);
	world_run(&w, 10000);
	world_clients(&w, 0);
	world_run(&w, 15000);
	ck_assert_int_eq(world_left(&w, 0, 0), 0);
	ck_assert_int_eq(
	    w.free[0], 1000 * USD - (int64_t)world_served(&w, 0) * w.cost);
	world_clients(&w, 1);
	world_run(&w, 20);
	held = world_left(&w, 0, 0);
	ck_assert_int_ge(held, (int64_t)RATE(8000) * w.cost);
	world_clients(&w, 6);
	ck_assert_uint_ge(cut_for(&w, 8000), RATE(8000) * 9 / 10);
	/* If it was only one request, it all goes back. */
	world_run(&w, 5000);
	world_clients(&w, 0);
	world_run(&w, 15000);
	ck_assert_int_eq(world_left(&w, 0, 0), 0);
	world_release(&w);
}
END_TEST

/* A cut that outlasts the rights: what was not served is no lack of demand. */
START_TEST(test_dry)
{
	const int64_t limits[] = {1000 * USD};
	uint64_t n;

	world_init(&w, 2, 1, limits);
	world_clients(&w, 6);
	world_run(&w, 10000);
	n = cut_for(&w, 60000);
	ck_assert_uint_ge(n, 2 * RATE(9000));
	ck_assert_uint_le(n, 2 * RATE(30000));
	ck_assert_int_lt(world_left(&w, 0, 0), w.worst);
	world_run(&w, 100);
	ck_assert_uint_ge(cut_for(&w, 8000), 2 * RATE(8000) * 9 / 10);
	world_release(&w);
}
END_TEST

/* Eight agents come back at once to a budget that pays for a few seconds of
 * them: nobody takes more than its share, all serve. */
START_TEST(test_no_herd)
{
	const int64_t limits[] = {6 * USD};
	int64_t free;

	world_init(&w, 8, 1, limits);
	world_clients(&w, 6);
	world_run(&w, 3000);
	world_clients(&w, 0);
	world_run(&w, 15000);
	free = w.free[0];
	ck_assert_int_gt(free, 4 * USD);
	world_clients(&w, 6);
	for (int i = 0; i < 20; i++) {
		world_run(&w, 5);
		for (unsigned a = 0; a < 8; a++)
			ck_assert_int_le(world_left(&w, a, 0), free / 2);
	}
	for (unsigned a = 0; a < 8; a++)
		ck_assert_uint_gt(w.agents[a].served[0], 0);
	ck_assert_int_gt(w.free[0], 0);
	world_release(&w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("money/sizing");

	UNIT_ADD(s, test_partitions);
	UNIT_ADD(s, test_idle);
	UNIT_ADD(s, test_dry);
	UNIT_ADD(s, test_no_herd);
	return unit_run(s);
}
