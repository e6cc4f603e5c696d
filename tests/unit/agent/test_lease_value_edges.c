/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells of values at their borders: what alone keeps one from being used for
 * another value, when there is little room, and that nothing of the value
 * before is left. A cell that changes hands too early
 * charges one user for another.
 */
#include <pthread.h>

#include "tests/unit/agent/value_kit.h"

enum reason { NONE, WAITED, UNANSWERED, IN_USE, OLD_IN_USE, UNTOLD, N_REASONS };

/* V3, each reason by itself; when it is gone, so is the cell. */
START_TEST(test_kept)
{
	for (enum reason why = NONE; why < N_REASONS; why++) {
		struct budget_cell *c;
		struct reservation r = {0};

		begin(1);
		c = learn("it", 50);
		if (why >= IN_USE) {
			(void)kit_answer(&kit, kit_grant(50, 1, 100));
			ck_assert_int_eq(kit_try(&kit, c, 100, &r), 0);
		}
		if (why == OLD_IN_USE)
			(void)kit_answer(&kit, kit_grant(50, 2, 0));
		if (why == WAITED)
			(void)lease_wait(c, 10);
		for (int i = 0; i < 130; i++) {
			(void)kit_report(&kit, S, false);
			if (why == UNANSWERED) {
				atomic_store(&c->touched, true);
				lease_table_no_reply(kit.t);
			} else if (kit_told(&kit, 50, 2) != NULL) {
				(void)kit_answer(&kit, kit_grant(50, 2, 0));
			} else {
				(void)lease_table_reply(
				    kit.t, kit.now, kit.now, NULL, 0);
			}
			if (why == UNTOLD && r.n > 0)
				lease_settle(&r, 100);
		}
		ck_assert(there("it") == (why != NONE));
		if (why == WAITED)
			lease_wait_done(c, 10);
		if (r.n > 0)
			lease_settle(&r, 100);
		ck_assert_uint_eq(
		    lease_table_find(kit.t, 50) == c, why != NONE);
		kit_end(&kit);
	}
}
END_TEST

/* One that nobody looked up for ten seconds, and for as long as the stamp of
 * the look-up may be old, may go; nobody waits for it, and it has no uid. A
 * nanosecond before, a worker may still hold it. Here that is
 * a second. */
START_TEST(test_young)
{
	for (int64_t more = 0; more < 2; more++) {
		begin(8);
		ck_assert_uint_eq(fill("a", 8), 8);
		beats(9 * S);
		(void)kit_report(&kit, S - 1 + more, false);
		ck_assert_uint_eq(used(), 8);
		(void)kit_report(&kit, S, false);
		ck_assert_uint_eq(used(), more ? 6 : 8);
		kit_end(&kit);
	}
}
END_TEST

/* The longest that a control plane may have reports apart is no time in which
 * the clock stood still: half of what passes since is forgotten. A nanosecond
 * more is, and then all look-ups count as new for ten seconds. */
START_TEST(test_gap)
{
	for (int64_t more = 0; more < 2; more++) {
		begin(8);
		ck_assert_uint_eq(fill("a", 8), 8);
		beats(9 * S);
		(void)kit_report(&kit, 65 * S + more, false);
		ck_assert_uint_eq(used(), 8);
		beats(S);
		ck_assert_uint_eq(used(), more ? 8 : 6);
		beats(9 * S - 1);
		ck_assert_uint_eq(used(), more ? 8 : 6);
		beats(1);
		ck_assert_uint_eq(used(), 6);
		kit_end(&kit);
	}
}
END_TEST

/* Room is made when less than an eighth is spare, and no more than that. */
START_TEST(test_room)
{
	for (size_t n = 13; n <= 14; n++) {
		begin(16);
		ck_assert_uint_eq(fill("a", n), n);
		beats(12 * S);
		ck_assert_uint_eq(used(), n == 13 ? 13 : 11);
		beats(12 * S);
		ck_assert_uint_eq(used(), n == 13 ? 13 : 11);
		/* the spare ones and those that were never made */
		ck_assert_uint_eq(fill("b", 16), n == 13 ? 3 : 5);
		ck_assert_uint_eq(used(), 16);
		ck_assert_ptr_null(cell("c"));
		kit_end(&kit);
	}
}
END_TEST

static void *
looks(void *arg)
{
	(void)there("x00");
	return arg;
}

static void
others_look(void)
{
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, looks, NULL), 0);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
}

/* Whatever was done, nobody is kept from looking for a value after it. */
START_TEST(test_others_look)
{
	begin(8);
	ck_assert_ptr_nonnull(cell("a"));
	others_look();
	ck_assert(there("a"));
	others_look();
	ck_assert(!lease_table_urgent(kit.t));
	others_look();
	ck_assert_uint_eq(used(), 1);
	others_look();
	ck_assert(!kit_answer(&kit, known("a", 50, 0, 0)));
	others_look();
	ck_assert_uint_eq(fill("b", 8), 7);
	others_look();
	beats(12 * S);
	others_look();
	ck_assert_uint_eq(used(), 6);
	kit_end(&kit);
}
END_TEST

/* It is looked for once a second, however many reports there are. */
START_TEST(test_each_second)
{
	begin(8);
	ck_assert_uint_eq(fill("a", 8), 8);
	beats(12 * S);
	ck_assert_uint_eq(used(), 6);
	ck_assert_uint_eq(fill("b", 2), 2);
	(void)kit_report(&kit, S - 1, true);
	ck_assert_uint_eq(used(), 8);
	(void)kit_report(&kit, 1, true);
	ck_assert_uint_eq(used(), 6);
	kit_end(&kit);
}
END_TEST

/* Also while a few are spare that were made before. */
START_TEST(test_room_again)
{
	begin(16);
	ck_assert_uint_eq(fill("a", 16), 16);
	beats(12 * S);
	ck_assert_uint_eq(used(), 13);
	ck_assert_uint_eq(fill("b", 2), 2);
	beats(S);
	ck_assert_uint_eq(used(), 12);
	kit_end(&kit);
}
END_TEST

/* What was not looked up for longest goes first, and with it in the same round
 * as much of what is younger as room is wanted. */
START_TEST(test_oldest_first)
{
	struct budget_cell *a, *b, *rest[6];

	begin(8);
	a = learn("old", 50);
	(void)lease_wait(a, 1);
	beats(150 * S);
	b = learn("younger", 51);
	(void)lease_wait(b, 1);
	for (int i = 0; i < 6; i++) {
		rest[i] = learn(
		    (const char[]){(char)('a' + i), '\0'}, 60 + (uint64_t)i);
		(void)lease_wait(rest[i], 1);
	}
	beats(270 * S);
	ck_assert_uint_eq(used(), 8);
	lease_wait_done(a, 1);
	lease_wait_done(b, 1);
	lease_wait_done(rest[0], 1);
	beats(S);
	ck_assert_uint_eq(used(), 6);
	ck_assert_ptr_null(lease_table_find(kit.t, 50));
	ck_assert_ptr_null(lease_table_find(kit.t, 51));
	for (int i = 0; i < 6; i++)
		ck_assert_ptr_eq(
		    lease_table_find(kit.t, 60 + (uint64_t)i), rest[i]);
	for (int i = 1; i < 6; i++)
		lease_wait_done(rest[i], 1);
	kit_end(&kit);
}
END_TEST

/* Nothing of the value before is left in a cell, nor does its uid lead there;
 * its lease, spent beyond what was granted, starts from nothing. */
START_TEST(test_nothing_left)
{
	struct budget_cell *c, *keep;
	struct lease *l;

	begin(2);
	c = learn("it", 50);
	(void)kit_answer(&kit, kit_grant(50, 1, 100));
	l = kit_lease(c);
	kit_spend(&kit, c, 100, 100);
	(void)kit_report(&kit, S, false);
	(void)kit_answer(&kit, kit_grant(50, 1, 100));
	keep = learn("keep", 51);
	(void)lease_wait(keep, 1);
	for (int i = 0; i < 500 && lease_table_find(kit.t, 50) != NULL; i++)
		beats(S);
	lease_wait_done(keep, 1);
	ck_assert_ptr_null(lease_table_find(kit.t, 50));
	ck_assert(!there("it"));
	ck_assert_uint_eq(lease_value_text(c).len, 0);
	ck_assert_ptr_eq(lease_table_find(kit.t, 51), keep);
	ck_assert_ptr_eq(cell("new"), c);
	ck_assert_uint_eq(c->uid, 0);
	ck_assert_ptr_null(kit_lease(c));
	ck_assert_int_eq(atomic_load(&c->limit), 1000000);
	ck_assert_int_eq(c->rate_per_s, 0);
	ck_assert_slice_eq(lease_value_text(c), "new");
	ck_assert_ptr_eq(learn("new", 52), c);
	ck_assert_ptr_eq(lease_table_find(kit.t, 52), c);
	(void)kit_answer(&kit, kit_grant(52, 1, 40));
	ck_assert_ptr_eq(kit_lease(c), l);
	ck_assert_int_eq(atomic_load(&l->left), 40);
	ck_assert_int_eq(atomic_load(&l->settled), 0);
	ck_assert_int_eq(l->returned, 0);
	ck_assert(lease_balanced(l));
	(void)kit_report(&kit, S, false);
	ck_assert_int_eq(kit_told(&kit, 52, 1)->granted, 40);
	ck_assert_int_eq(kit_told(&kit, 52, 1)->settled, 0);
	kit_end(&kit);
}
END_TEST

/* V4 at its borders: what cannot be is no answer. */
START_TEST(test_before)
{
	static const struct {
		int64_t granted, returned;
		bool known;
	} t[] = {{0, 0, true}, {0, 5, true}, {100, 100, true}, {100, 0, true},
	    {100, 101, false}, {100, -1, false}, {1, 1, true}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct budget_cell *c;
		const struct lease *l;

		begin(8);
		c = cell("it");
		(void)lease_wait(c, 10);
		(void)kit_report(&kit, 0, true);
		(void)kit_answer(
		    &kit, known("it", 50, t[i].granted, t[i].returned));
		ck_assert_uint_eq(c->uid, t[i].known ? 50 : 0);
		ck_assert_uint_eq(atomic_load(&c->reply_gen), t[i].known);
		l = c->old;
		ck_assert((l != NULL) == (t[i].known && t[i].granted > 0));
		if (l != NULL) {
			ck_assert(lease_balanced(l));
			ck_assert_int_eq(atomic_load(&l->left), 0);
			ck_assert_int_eq(l->returned, t[i].returned);
			ck_assert_int_eq(l->period_start, 1);
		}
		lease_wait_done(c, 10);
		(void)kit_report(&kit, S, false);
		ck_assert_ptr_null(kit_told(&kit, 50, 1)); /* it knows */
		kit_end(&kit);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_value_edges");

	UNIT_ADD(s, test_kept);
	UNIT_ADD(s, test_young);
	UNIT_ADD(s, test_gap);
	UNIT_ADD(s, test_room);
	UNIT_ADD(s, test_others_look);
	UNIT_ADD(s, test_each_second);
	UNIT_ADD(s, test_room_again);
	UNIT_ADD(s, test_oldest_first);
	UNIT_ADD(s, test_nothing_left);
	UNIT_ADD(s, test_before);
	return unit_run(s);
}
