/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: who waited goes first, over one budget and over two; whom a claim
 * binds and whom not; that it ends, and that it takes nothing.
 */
#include "agent/money/lease_claim.h"

#include "tests/unit/agent/lease_kit.h"

#define S      NS_PER_S
#define UNTIL  (KIT_START + 10 * S)
#define OLDER  lease_key(1, 10)
#define NEWER  lease_key(1, 20)
#define COMES  lease_key(1, 0)
#define LIMIT  100
#define SMALL  10
#define LARGE  90
#define ROUNDS 200

static struct lease_kit kit;

static struct budget_cell *
rich(uint64_t uid, int64_t granted)
{
	struct budget_cell *c = kit_cell(&kit, uid, false);

	(void)kit_answer(&kit, kit_grant(uid, 1, granted));
	return c;
}

static int
try_as(
    struct budget_cell *c, int64_t amount, uint64_t key, struct reservation *r)
{
	struct budget_cell *short_of;

	return lease_reserve_as(&c, 1, amount, kit.now, key, r, &short_of);
}

/* Could it have them? What it takes goes back. */
static bool
may(struct budget_cell *c, int64_t amount, uint64_t key)
{
	struct reservation r;
	int64_t left = atomic_load(&kit_lease(c)->left);
	int rc = try_as(c, amount, key, &r);

	if (rc == 0)
		lease_cancel(&r);
	ck_assert_int_eq(atomic_load(&kit_lease(c)->left), left);
	ck_assert(lease_balanced(kit_lease(c)));
	return rc == 0;
}

START_TEST(test_order)
{
	uint64_t first = lease_turn();

	ck_assert_uint_gt(first, 0);
	ck_assert_uint_gt(lease_turn(), first);
	ck_assert_uint_lt(OLDER, NEWER);
	ck_assert_uint_lt(NEWER, COMES);
	ck_assert_uint_lt(lease_key(0, 0), OLDER);
	ck_assert_uint_lt(lease_key(2, 0), LEASE_KEY_LAST);
}
END_TEST

/* Who comes later leaves the claimed amount, to the unit; who was there before,
 * or is of a higher class, does not. */
START_TEST(test_binds_who_comes_later)
{
	struct lease_claims mine = {0};
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = rich(7, 100);
	lease_claim(&mine, c, 60, OLDER, UNTIL, kit.now);
	ck_assert(may(c, 40, COMES));
	ck_assert(!may(c, 41, COMES));
	ck_assert(!may(c, 41, NEWER));
	ck_assert(!may(c, 41, LEASE_KEY_LAST));
	ck_assert(may(c, 100, OLDER));
	ck_assert(may(c, 100, OLDER - 1));
	ck_assert(may(c, 100, lease_key(0, 0)));
	/* nothing is nothing, also where less is left than is claimed */
	lease_claim(&mine, c, 101, OLDER, UNTIL, kit.now);
	ck_assert(!may(c, 1, COMES));
	ck_assert(may(c, 0, COMES));
	lease_claim(&mine, c, INT64_MAX, OLDER, UNTIL, kit.now);
	ck_assert(!may(c, 1, COMES));
	ck_assert(may(c, 100, OLDER));
	ck_assert(!lease_claims_drop(&mine)); /* nobody waits */
	ck_assert(may(c, 100, COMES));
	kit_end(&kit);
}
END_TEST

/* The first of those who claim; the other one again when that is over. */
START_TEST(test_one_claim_at_a_time)
{
	struct lease_claims a = {0}, b = {0};
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = rich(7, 100);
	(void)lease_wait(c, 5);
	lease_claim(&b, c, 30, NEWER, UNTIL, kit.now);
	lease_claim(&a, c, 60, OLDER, UNTIL, kit.now);
	lease_claim(&b, c, 30, NEWER, UNTIL, kit.now); /* too late */
	ck_assert(may(c, 40, COMES));
	ck_assert(!may(c, 41, NEWER));
	ck_assert(!lease_claims_drop(&b)); /* it was not b's any more */
	ck_assert(!may(c, 41, COMES));
	lease_claim(&b, c, 30, NEWER, UNTIL, kit.now);
	ck_assert(lease_claims_drop(&a)); /* somebody waits */
	ck_assert(may(c, 100, COMES));
	lease_claim(&b, c, 30, NEWER, UNTIL, kit.now);
	ck_assert(!may(c, 71, COMES));
	ck_assert(may(c, 70, COMES));
	ck_assert(lease_claims_drop(&b));
	ck_assert(!lease_claims_drop(&b));
	lease_wait_done(c, 5);
	kit_end(&kit);
}
END_TEST

/* It moved up: its claims go with it, those that others took not. */
START_TEST(test_new_key)
{
	struct lease_claims a = {0}, b = {0};
	struct budget_cell *c, *d;
	uint64_t up = lease_key(0, 20);

	kit_start(&kit, NULL);
	c = rich(7, 100);
	d = rich(8, 100);
	lease_claim(&a, c, 60, NEWER, UNTIL, kit.now);
	lease_claim(&a, d, 60, NEWER, UNTIL, kit.now);
	lease_claim(&b, d, 20, OLDER, UNTIL, kit.now);
	ck_assert(may(c, 100, OLDER));
	lease_claim(&a, c, 50, up, UNTIL, kit.now);
	ck_assert(!may(c, 51, OLDER));
	ck_assert(may(c, 50, OLDER));
	ck_assert(may(d, 80, COMES));
	lease_claim(&a, d, 60, up, UNTIL, kit.now);
	ck_assert(!may(d, 41, OLDER));
	(void)lease_claims_drop(&a);
	(void)lease_claims_drop(&b);
	ck_assert(may(c, 100, COMES));
	ck_assert(may(d, 100, COMES));
	ck_assert_uint_eq(atomic_load(&c->claim), 0);
	ck_assert_uint_eq(atomic_load(&d->claim), 0);
	kit_end(&kit);
}
END_TEST

/* Whatever became of its owner; and nobody may wait while nobody answers. */
START_TEST(test_ends)
{
	struct lease_claims mine = {0}, other = {0};
	struct budget_cell *c;

	kit_start(&kit, NULL);
	c = rich(7, 100);
	lease_claim(&mine, c, 60, OLDER, kit.now + S, kit.now);
	kit.now += S - 1;
	ck_assert(!may(c, 50, COMES));
	lease_claim(&other, c, 20, NEWER, UNTIL, kit.now);
	ck_assert(!may(c, 50, COMES));
	kit.now++;
	ck_assert(may(c, 100, COMES));
	lease_claim(&other, c, 20, NEWER, UNTIL, kit.now);
	ck_assert(!may(c, 81, COMES));
	ck_assert(may(c, 80, COMES));
	(void)lease_claims_drop(&mine); /* is not its own */
	ck_assert(!may(c, 81, COMES));
	lease_table_asked(kit.t, kit.now);
	kit.now += LEASE_SILENT_NS - 1;
	ck_assert(!may(c, 81, COMES));
	kit.now++;
	ck_assert(may(c, 100, COMES));
	(void)lease_claims_drop(&other);
	kit_end(&kit);
}
END_TEST

/* Who needs more than there is, or than what comes back, claims nothing. */
START_TEST(test_likely)
{
	struct reservation r;
	struct budget_cell *c, *unknown;
	Hg__LeaseGrant g = kit_grant(7, 1, 100);

	kit_start(&kit, NULL);
	unknown = kit_cell(&kit, 8, false);
	c = kit_cell(&kit, 7, false);
	ck_assert(!lease_is_likely(unknown, 1, 0));
	(void)kit_answer(&kit, g);
	ck_assert(lease_is_likely(c, 5000, 0)); /* the control plane has it */
	g.exhausted = true;
	g.avail = 30;
	g.busy = 1000; /* goes to those who wait there */
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(kit_try(&kit, c, 80, &r), 0);
	/* 20 left, 30 elsewhere, half of 80 */
	ck_assert(lease_is_likely(c, 90, 0));
	ck_assert(!lease_is_likely(c, 91, 0));
	ck_assert(lease_is_likely(c, 122, 100));
	ck_assert(!lease_is_likely(c, 123, 100));
	ck_assert(lease_is_likely(c, 50, 1000));
	ck_assert(!lease_is_likely(c, 51, 1000));
	ck_assert(!lease_is_likely(c, 51, 1500));
	ck_assert(lease_is_likely(c, 129, 1));
	ck_assert(!lease_is_likely(c, 130, 1));
	lease_settle(&r, 80);
	ck_assert(!lease_is_likely(c, 51, 1));
	kit_end(&kit);
}
END_TEST

/* ---- a stream of small ones ---- */

struct one {
	struct budget_cell *path[2];
	unsigned n;
	uint64_t turn;
	struct lease_claims claims;
	struct reservation r;
	int64_t amount, age;
	bool served;
};

/* As the front does: try, and claim what is short after a while. */
static void
one_tries(struct one *o, bool claims)
{
	struct budget_cell *short_of = NULL;
	uint64_t key = lease_key(1, o->turn);

	if (lease_reserve_as(o->path, o->n, o->amount, kit.now, key, &o->r,
		&short_of) == 0) {
		(void)lease_claims_drop(&o->claims);
		o->served = true;
	} else if (o->turn == 0) {
		o->turn = lease_turn();
	} else if (claims && o->age++ > 3) {
		lease_claim(&o->claims, short_of, o->amount,
		    lease_key(1, o->turn), UNTIL, kit.now);
	}
}

/* Ten at a time on each budget; one of them ends each round on the one, then on
 * the other, and the next one comes at once; only then those who wait try.
 * How many rounds until all of `large` were served. */
static int
stream(struct budget_cell *const *cells, unsigned n_cells, struct one *large,
    unsigned n_large, bool claims)
{
	static struct reservation small[2][LIMIT / SMALL];
	unsigned done = 0;
	int round;

	for (unsigned b = 0; b < n_cells; b++)
		for (unsigned i = 0; i < LIMIT / SMALL; i++)
			ck_assert_int_eq(try_as(cells[b], SMALL, LEASE_KEY_LAST,
					     &small[b][i]),
			    0);
	for (round = 0; round < ROUNDS && done < n_large; round++) {
		unsigned b = (unsigned)round % n_cells;
		unsigned i = (unsigned)round / n_cells % (LIMIT / SMALL);

		lease_settle(&small[b][i], 0);
		(void)try_as(cells[b], SMALL, COMES, &small[b][i]);
		for (unsigned k = done = 0; k < n_large; k++) {
			if (!large[k].served)
				one_tries(&large[k], claims);
			else if (large[k].r.n > 0)
				lease_settle(&large[k].r, 0);
			done += large[k].served;
		}
	}
	for (unsigned k = 0; k < n_large; k++) {
		(void)lease_claims_drop(&large[k].claims);
		lease_settle(&large[k].r, 0);
	}
	for (unsigned b = 0; b < n_cells; b++) {
		for (unsigned i = 0; i < LIMIT / SMALL; i++)
			lease_settle(&small[b][i], 0);
		ck_assert_uint_eq(atomic_load(&cells[b]->claim), 0);
		ck_assert_int_eq(
		    atomic_load(&kit_lease(cells[b])->left), LIMIT);
		ck_assert(lease_balanced(kit_lease(cells[b])));
	}
	return round;
}

START_TEST(test_large_beside_small)
{
	for (int claims = 0; claims < 2; claims++) {
		struct one large = {.n = 1, .amount = LARGE};
		int rounds;

		kit_start(&kit, NULL);
		large.path[0] = rich(7, LIMIT);
		rounds = stream(large.path, 1, &large, 1, claims);
		if (claims)
			ck_assert_int_lt(rounds, 3 * LIMIT / SMALL);
		else
			ck_assert_int_eq(rounds, ROUNDS); /* starves */
		kit_end(&kit);
	}
}
END_TEST

/* Two that need both budgets, and each found another one short first: neither
 * holds what the other waits for, and neither loses the one budget while it
 * gets the other. */
START_TEST(test_two_budgets)
{
	for (int claims = 0; claims < 2; claims++) {
		struct budget_cell *cells[2];
		struct one large[3];
		int rounds;

		kit_start(&kit, NULL);
		cells[0] = rich(7, LIMIT);
		cells[1] = rich(8, LIMIT);
		for (int i = 0; i < 3; i++) {
			large[i] = (struct one){.n = 2,
			    .amount = LARGE - i,
			    .path = {cells[0], cells[1]}};
			if (i == 1) /* wants the second one only */
				large[i] = (struct one){.n = 1,
				    .amount = LARGE,
				    .path = {cells[1]}};
		}
		rounds = stream(cells, 2, large, 3, claims);
		if (claims)
			ck_assert_int_lt(rounds, 3 * 2 * 3 * LIMIT / SMALL);
		else
			ck_assert_int_eq(rounds, ROUNDS);
		kit_end(&kit);
	}
}
END_TEST

/* Even where each claimed what the other one needs first, in any order. */
START_TEST(test_crossed)
{
	struct budget_cell *c[2];

	for (unsigned i = 0; i < 4; i++) {
		struct one a = {.n = 2, .amount = 60, .turn = 1 + i % 2};
		struct one b = {.n = 2, .amount = 70, .turn = 2 - i % 2};
		uint64_t ka = lease_key(1, a.turn), kb = lease_key(1, b.turn);

		kit_start(&kit, NULL);
		for (unsigned k = 0; k < 2; k++)
			c[k] = a.path[k] = b.path[k] = rich(7 + k, LIMIT);
		lease_claim(&a.claims, c[i / 2], 60, ka, UNTIL, kit.now);
		lease_claim(&b.claims, c[1 - i / 2], 70, kb, UNTIL, kit.now);
		for (int round = 0; round < 3 && !(a.served && b.served);
		     round++) {
			if (!a.served)
				one_tries(&a, true);
			if (!b.served)
				one_tries(&b, true);
			if (a.served && a.r.n > 0)
				lease_settle(&a.r, 0);
			if (b.served && b.r.n > 0)
				lease_settle(&b.r, 0);
		}
		ck_assert(a.served && b.served);
		kit_end(&kit);
	}
}
END_TEST

/* What comes back for a claim while the rest went to the control plane is asked
 * with, not sent after it each time: or who waits would never be asked for. */
START_TEST(test_gives_back_then_asks)
{
	struct lease_claims mine = {0};
	struct reservation r[5], no;
	struct budget_cell *c;
	Hg__LeaseGrant g = kit_grant(7, 1, LIMIT);
	int64_t asked = 0;

	kit_start(&kit, NULL);
	c = rich(7, LIMIT);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(try_as(c, 20, COMES, &r[i]), 0);
	ck_assert_int_eq(try_as(c, 80, COMES, &no), ERR_AGAIN);
	(void)lease_wait(c, 80);
	lease_claim(&mine, c, 80, OLDER, UNTIL, kit.now);
	g.exhausted = true;
	for (int i = 0; i < 5; i++) {
		const Hg__LeaseReport *told;

		lease_settle(&r[i], 0);
		ck_assert_uint_eq(kit_report(&kit, S / 20, true), 1);
		told = kit.v[0];
		asked += told->want_min > 0;
		g.free = g.avail = told->returned;
		(void)kit_answer(&kit, g);
	}
	ck_assert_int_eq(asked, 3);
	lease_wait_done(c, 80);
	(void)lease_claims_drop(&mine);
	kit_end(&kit);
}
END_TEST

/* The largest that waits is known anew from those who say so after each answer:
 * one that waits no more is forgotten, however much the others want together;
 * who did not say so for a report is remembered, and without any word the
 * largest is what it can be. */
START_TEST(test_largest_is_gone)
{
	struct budget_cell *c;
	uint64_t gen;
	static const int64_t want[] = {500, 500, 140, 80, 80, 140};

	kit_start(&kit, NULL);
	c = rich(7, 0); /* nothing to give back */
	gen = lease_wait(c, 500);
	(void)lease_wait(c, 60);
	(void)lease_wait(c, 80);
	for (int i = 0; i < 6; i++) {
		ck_assert_uint_eq(kit_report(&kit, S / 20, true), 1);
		ck_assert_int_eq(kit.v[0]->want_min, want[i]);
		(void)kit_answer(&kit, kit_grant(7, 1, 0));
		if (i == 0)
			(void)lease_verdict(c, 500, gen, 0);
		if (i == 1)
			lease_wait_done(c, 500);
		if (i > 2)
			continue;
		(void)lease_verdict(c, 80, gen, 0);
		(void)lease_verdict(c, 60, gen, 0);
	}
	lease_wait_done(c, 60);
	lease_wait_done(c, 80);
	kit_end(&kit);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_claim");

	UNIT_ADD(s, test_order);
	UNIT_ADD(s, test_binds_who_comes_later);
	UNIT_ADD(s, test_one_claim_at_a_time);
	UNIT_ADD(s, test_new_key);
	UNIT_ADD(s, test_ends);
	UNIT_ADD(s, test_likely);
	UNIT_ADD(s, test_large_beside_small);
	UNIT_ADD(s, test_two_budgets);
	UNIT_ADD(s, test_crossed);
	UNIT_ADD(s, test_gives_back_then_asks);
	UNIT_ADD(s, test_largest_is_gone);
	return unit_run(s);
}
