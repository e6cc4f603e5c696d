/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of a lease after each operation of the hot path, and of those
 * that wait: a nano-dollar that is counted twice or not at all is overspent or
 * stranded.
 */
#include "tests/unit/agent/lease_kit.h"

static struct lease_kit kit;

static void
sums(struct budget_cell *c, int64_t left, int64_t in_use, int64_t settled)
{
	const struct lease *l = kit_lease(c);

	ck_assert_int_eq(atomic_load(&l->left), left);
	ck_assert_int_eq(atomic_load(&l->in_use), in_use);
	ck_assert_int_eq(atomic_load(&l->settled), settled);
	ck_assert(lease_balanced(l));
}

/* A reservation that is used again counts only on the budgets of its path, not
 * on those of the request before. */
START_TEST(test_path_only)
{
	struct budget_cell *path[3], *short_of;
	struct reservation r;

	kit_start(&kit, NULL);
	for (unsigned i = 0; i < 3; i++) {
		path[i] = kit_cell(&kit, i + 1, false);
		(void)kit_answer(&kit, kit_grant(i + 1, 1, 1000));
	}
	ck_assert_int_eq(
	    lease_reserve_path(path, 3, 100, kit.now, &r, &short_of), 0);
	for (unsigned i = 0; i < 3; i++)
		sums(path[i], 900, 100, 0);
	lease_lower(&r, 70);
	ck_assert_int_eq(r.amount, 70);
	for (unsigned i = 0; i < 3; i++)
		sums(path[i], 930, 70, 0);
	lease_settle(&r, 30);
	for (unsigned i = 0; i < 3; i++)
		sums(path[i], 970, 0, 30);
	ck_assert_int_eq(
	    lease_reserve_path(path, 2, 50, kit.now, &r, &short_of), 0);
	lease_lower(&r, 40);
	lease_lower(&r, 40);
	sums(path[1], 930, 40, 30);
	sums(path[2], 970, 0, 30);
	lease_settle(&r, 40);
	sums(path[0], 930, 0, 70);
	sums(path[1], 930, 0, 70);
	sums(path[2], 970, 0, 30);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(
		    atomic_load(&path[i]->spent_rate_acc), i < 2 ? 70 : 30);
	kit_end(&kit);
}
END_TEST

/* The last nano-dollar may be reserved and no more, at once or in parts, and
 * nothing is free of rights: not even nothing of less than nothing. */
START_TEST(test_last)
{
	struct budget_cell *c;
	struct reservation a, b;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)kit_answer(&kit, kit_grant(7, 1, 100));
	ck_assert_int_eq(kit_try(&kit, c, 101, &a), ERR_AGAIN);
	sums(c, 100, 0, 0);
	ck_assert_int_eq(kit_try(&kit, c, 99, &a), 0);
	ck_assert_int_eq(kit_try(&kit, c, 2, &b), ERR_AGAIN);
	ck_assert_int_eq(kit_try(&kit, c, 1, &b), 0);
	sums(c, 0, 100, 0);
	lease_settle(&b, 1);
	ck_assert_int_eq(kit_try(&kit, c, 0, &b), 0);
	lease_settle(&b, 0);
	lease_settle(&a, 100); /* one more than was reserved */
	sums(c, -1, 0, 101);
	ck_assert_int_eq(kit_try(&kit, c, 0, &b), ERR_AGAIN);
	ck_assert_int_eq(lease_take(kit_lease(c), 5), 0);
	sums(c, -1, 0, 101);
	kit_end(&kit);
}
END_TEST

/* What control may take out of a lease: what is left, at the most. */
START_TEST(test_take)
{
	struct lease l = {.granted = 100};

	atomic_store(&l.left, 100);
	ck_assert_int_eq(lease_take(&l, 0), 0);
	ck_assert_int_eq(lease_take(&l, 30), 30);
	ck_assert_int_eq(atomic_load(&l.left), 70);
	ck_assert_int_eq(lease_take(&l, 71), 70);
	ck_assert_int_eq(lease_take(&l, 1), 0);
	ck_assert_int_eq(atomic_load(&l.left), 0);
	ck_assert(!lease_balanced(&l));
	l.returned = 100;
	ck_assert(lease_balanced(&l));
}
END_TEST

/* A cost above its reservation is told in metrics, by exactly the excess; one
 * that is as high as it, or of a key without budgets, is not. */
START_TEST(test_overruns)
{
	static const struct {
		int64_t cost;
		bool budget;
		uint64_t n;
		int64_t nano;
	} t[] = {{50, true, 0, 0}, {51, true, 1, 1}, {90, true, 1, 40},
	    {0, true, 0, 0}, {90, false, 0, 0}};
	int64_t before, after;
	uint64_t n;

	kit_start(&kit, NULL);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct budget_cell *c, *short_of;
		struct reservation r;

		c = kit_cell(&kit, i + 1, false);
		(void)kit_answer(&kit, kit_grant(i + 1, 1, 1000));
		ck_assert_int_eq(lease_reserve_path(&c, t[i].budget ? 1 : 0, 50,
				     kit.now, &r, &short_of),
		    0);
		n = lease_overruns(&before);
		lease_settle(&r, t[i].cost);
		ck_assert_uint_eq(lease_overruns(&after), n + t[i].n);
		ck_assert_uint_eq(lease_overruns(NULL), n + t[i].n);
		ck_assert_int_eq(after - before, t[i].nano);
		ck_assert_uint_eq(r.n, 0);
		ck_assert_int_eq(r.amount, 0);
	}
	kit_end(&kit);
}
END_TEST

/* A soft budget reserves what it has not; with a lease, that is counted there.
 */
START_TEST(test_soft)
{
	struct budget_cell *c;
	struct reservation r;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, true);
	ck_assert_int_eq(kit_try(&kit, c, 500, &r), 0);
	lease_lower(&r, 400);
	lease_settle(&r, 300);
	ck_assert_int_eq(atomic_load(&c->spent_rate_acc), 300);
	(void)kit_answer(&kit, kit_grant(7, 1, 100));
	ck_assert_int_eq(kit_try(&kit, c, 500, &r), 0);
	sums(c, -400, 500, 0);
	ck_assert_int_eq(atomic_load(&c->peak), 500);
	lease_settle(&r, 120);
	sums(c, -20, 0, 120);
	kit_end(&kit);
}
END_TEST

/* What waits together, and the most of one: told to the control plane, which
 * gives no more than that. */
START_TEST(test_waiting)
{
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)lease_wait(c, 30);
	(void)lease_wait(c, 50);
	(void)lease_wait(c, 20);
	ck_assert_int_eq(atomic_load(&c->want_total), 100);
	ck_assert_int_eq(atomic_load(&c->want_min), 50);
	ck_assert_int_eq(atomic_load(&c->want_least), 20);
	lease_wait_done(c, 30);
	ck_assert_int_eq(atomic_load(&c->want_total), 70);
	ck_assert_int_eq(atomic_load(&c->want_min), 50);
	lease_wait_done(c, 50);
	ck_assert_int_eq(atomic_load(&c->want_total), 20);
	ck_assert_int_eq(atomic_load(&c->want_min), 20);
	lease_wait_done(c, 20);
	ck_assert_int_eq(atomic_load(&c->want_total), 0);
	ck_assert_int_eq(atomic_load(&c->want_min), 0);
	kit_end(&kit);
}
END_TEST

/* Who came and left between two heartbeats was there. */
START_TEST(test_waited)
{
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)lease_wait(c, 30);
	lease_wait_done(c, 30);
	ck_assert_uint_eq(kit_report(&kit, 0, false), 1);
	ck_assert_int_eq(kit.v[0]->want_total, 0);
	ck_assert_int_eq(kit.v[0]->want_least, 0);
	/* and is not the least of those who come later */
	(void)lease_wait(c, 90);
	(void)kit_report(&kit, 0, false);
	(void)kit_report(&kit, 0, false);
	ck_assert_int_eq(kit.v[0]->want_least, 90);
	lease_wait_done(c, 90);
	kit_end(&kit);
}
END_TEST

/* Money may still come when what is here, free, idle at others or on its way
 * back is enough: exhausted is told one nano-dollar above all of it. */
START_TEST(test_verdict)
{
	struct budget_cell *c;
	struct reservation r;
	Hg__LeaseGrant g = kit_grant(7, 1, 100);
	uint64_t gen;

	kit_start(&kit, NULL);
	c = kit_cell(&kit, 7, false);
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(kit_try(&kit, c, 60, &r), 0);
	gen = lease_wait(c, 500);
	g.exhausted = true;
	g.avail = 1000;
	g.busy = 200;
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(lease_verdict(c, 40 + 1000 + 260, gen, 0), LEASE_WAIT);
	ck_assert_int_eq(
	    lease_verdict(c, 40 + 1000 + 261, gen, 0), LEASE_EXHAUSTED);
	/* requests in flight cost a quarter of what they hold */
	ck_assert_int_eq(
	    lease_verdict(c, 40 + 1000 + 195, gen, 250), LEASE_WAIT);
	ck_assert_int_eq(
	    lease_verdict(c, 40 + 1000 + 196, gen, 250), LEASE_BUSY);
	/* that answer was one to an older question */
	ck_assert_int_eq(lease_verdict(c, 5000, gen + 1, 0), LEASE_WAIT);
	/* who waits says what would do, the least counts */
	(void)kit_report(&kit, 0, false);
	(void)lease_verdict(c, 450, gen, 0);
	(void)lease_verdict(c, 350, gen, 0);
	(void)lease_verdict(c, 400, gen, 0);
	ck_assert_int_eq(atomic_load(&c->want_least), 350);
	lease_wait_done(c, 500);
	lease_cancel(&r);
	kit_end(&kit);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_sums");

	UNIT_ADD(s, test_path_only);
	UNIT_ADD(s, test_last);
	UNIT_ADD(s, test_take);
	UNIT_ADD(s, test_overruns);
	UNIT_ADD(s, test_soft);
	UNIT_ADD(s, test_waiting);
	UNIT_ADD(s, test_waited);
	UNIT_ADD(s, test_verdict);
	return unit_run(s);
}
