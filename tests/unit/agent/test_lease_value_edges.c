/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells of values at their borders: what alone keeps one from being used for
 * another value, when there is little room, what an answer says, and that
 * nothing of the value before is left. A cell that changes hands too early
 * charges one user for another.
 */
#include <pthread.h>

#include "agent/money/lease_value.h"
#include "tests/unit/agent/lease_kit.h"
#include "tests/unit/support/oom.h"

#define S	NS_PER_S
#define PARENT	7
#define RECYCLE (100 * S)

static struct lease_kit kit;
static struct budget_cell *parent;

/* Heartbeats with an answer that says nothing. */
static void
beats(int64_t ns)
{
	while (ns > 0) {
		int64_t step = ns < S ? ns : S;

		(void)kit_report(&kit, step, false);
		(void)lease_table_reply(kit.t, kit.now, kit.now, NULL, 0);
		ns -= step;
	}
}

static void
begin(size_t places)
{
	struct lease_tuning tuning = lease_tuning_default;

	tuning.max_values = places;
	tuning.recycle_ns = RECYCLE;
	kit_start(&kit, &tuning);
	parent = kit_cell(&kit, PARENT, false);
	kit.set[0].filter.each = STR("user");
	lease_table_publish(kit.t, kit.set, kit.n_set);
	beats(20 * S);
}

static struct budget_cell *
cell(const char *value)
{
	return lease_value_cell(parent, str_of(value));
}

static bool
there(const char *value)
{
	return lease_value_find(parent, str_of(value)) != NULL;
}

static size_t
fill(const char *prefix, size_t n)
{
	char name[] = "x00";
	size_t made = 0;

	for (size_t i = 0; i < n; i++) {
		name[0] = prefix[0];
		name[1] = (char)('0' + i / 10);
		name[2] = (char)('0' + i % 10);
		made += cell(name) != NULL;
	}
	return made;
}

static uint64_t
used(void)
{
	uint64_t cells, refused;

	lease_value_counts(kit.t, &cells, &refused);
	return cells;
}

static Hg__LeaseGrant
known(const char *value, uint64_t uid, int64_t granted, int64_t returned)
{
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT;

	g.each_uid = PARENT;
	g.value = (char *)(uintptr_t)value;
	g.budget_uid = uid;
	g.period_start = 1;
	g.granted = granted;
	g.returned = returned;
	return g;
}

static struct budget_cell *
learn(const char *value, uint64_t uid)
{
	struct budget_cell *c = cell(value);

	ck_assert_ptr_nonnull(c);
	(void)lease_wait(c, 10);
	(void)kit_report(&kit, 0, true);
	ck_assert(!kit_answer(&kit, known(value, uid, 0, 0)));
	lease_wait_done(c, 10);
	ck_assert_uint_eq(c->uid, uid);
	return c;
}

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

/* V5: who asked for a value in vain and waits no more is forgotten like any
 * other; an ask that comes late grants nothing, so it is not repeated. */
START_TEST(test_nobody_waits)
{
	struct budget_cell *c;

	begin(1);
	c = cell("it");
	(void)lease_wait(c, 10);
	ck_assert_uint_eq(kit_report(&kit, 0, true), 1);
	lease_table_no_reply(kit.t);
	ck_assert_uint_eq(kit_report(&kit, S, true), 1); /* he still waits */
	ck_assert_uint_eq(kit.v[0]->each_uid, PARENT);
	lease_table_no_reply(kit.t);
	lease_wait_done(c, 10);
	ck_assert(!lease_table_urgent(kit.t));
	for (int i = 0; i < 13; i++) {
		ck_assert_uint_eq(kit_report(&kit, S, i % 2 == 0), 0);
		lease_table_no_reply(kit.t);
	}
	ck_assert(lease_table_done(kit.t));
	ck_assert_uint_eq(used(), 0);
	kit_end(&kit);
}
END_TEST

/* Of the path that the request has now each cell of a value must still be it,
 * wherever on the key it is. */
START_TEST(test_path_of_many)
{
	const struct b_filter filters[] = {{0},
	    {.each = STR("user"), .model_uid = 9}, {.each = STR("user")},
	    {.each = STR("user")}};
	struct budget_cell *path[BUNDLE_MAX_BUDGETS], *other;
	struct b_key key = {.n_budgets = 3, .filters = filters};
	struct tags tags = {.len = 0};
	struct b_filter what = {.tags = &tags};

	begin(8);
	other = kit_cell(&kit, PARENT + 1, false);
	key.budgets[0] = kit_cell(&kit, PARENT + 2, false);
	key.budgets[1] = other;
	key.budgets[2] = parent;
	tags_add_user(&tags, STR("it"));
	ck_assert_uint_eq(lease_path(&key, &what, path), 2);
	ck_assert_ptr_eq(path[0], key.budgets[0]);
	ck_assert_ptr_eq(path[1], cell("it"));
	ck_assert(lease_path_holds(&key, &what, path, 2));
	path[1] = cell("another");
	ck_assert(!lease_path_holds(&key, &what, path, 2));
	what.model_uid = 9;
	ck_assert_uint_eq(lease_path(&key, &what, path), 3);
	ck_assert(lease_path_holds(&key, &what, path, 3));
	path[1] = path[2];
	ck_assert(!lease_path_holds(&key, &what, path, 3));
	kit_end(&kit);
}
END_TEST

/* No room for the value: who has rights for that on the budget itself keeps
 * them until there is a cell; or he would look for one for ever. */
START_TEST(test_path_without_room)
{
	const struct b_filter filters[] = {{.each = STR("user")}};
	struct budget_cell *path[BUNDLE_MAX_BUDGETS], *other[1];
	struct b_key key = {.n_budgets = 1, .filters = filters};
	struct tags tags = {.len = 0};
	struct b_filter what = {.tags = &tags};

	begin(1);
	key.budgets[0] = parent;
	tags_add_user(&tags, STR("late"));
	ck_assert_ptr_nonnull(other[0] = cell("first"));
	ck_assert_uint_eq(lease_path(&key, &what, path), 1);
	ck_assert_ptr_eq(path[0], parent);
	ck_assert(lease_path_holds(&key, &what, path, 1));
	ck_assert(!lease_path_holds(&key, &what, other, 1));
	beats(13 * S);
	ck_assert_uint_eq(lease_path(&key, &what, other), 1);
	ck_assert_ptr_ne(other[0], parent);
	ck_assert(lease_path_holds(&key, &what, other, 1));
	ck_assert(!lease_path_holds(&key, &what, path, 1));
	kit_end(&kit);
}
END_TEST

/* Of a soft one the budget itself is charged, also when it was hard until now
 * and the value has a cell; nobody asks for anything. */
START_TEST(test_soft)
{
	const struct b_filter filters[] = {{.each = STR("user")}};
	struct budget_cell *path[BUNDLE_MAX_BUDGETS], *it, *short_of = NULL;
	struct b_key key = {.n_budgets = 1, .filters = filters};
	struct tags tags = {.len = 0};
	struct b_filter what = {.tags = &tags};
	struct reservation r;

	begin(1);
	key.budgets[0] = parent;
	tags_add_user(&tags, STR("it"));
	it = learn("it", 50);
	kit.set[0].soft = true;
	lease_table_publish(kit.t, kit.set, kit.n_set);
	ck_assert(!lease_path_holds(&key, &what, &it, 1));
	ck_assert_uint_eq(lease_path(&key, &what, path), 1);
	ck_assert_ptr_eq(path[0], parent);
	ck_assert_int_eq(lease_reserve_path(
			     path, 1, INT64_C(1) << 60, kit.now, &r, &short_of),
	    0);
	ck_assert(lease_path_holds(&key, &what, path, 1));
	ck_assert_ptr_null(r.leases[0]);
	ck_assert_ptr_eq(r.cells[0], parent);
	ck_assert(!lease_table_urgent(kit.t));
	beats(2 * S);
	lease_settle(&r, 5);
	ck_assert_uint_eq(kit_report(&kit, S, false), 0);
	kit.set[0].soft = false; /* and back */
	lease_table_publish(kit.t, kit.set, kit.n_set);
	ck_assert(!lease_path_holds(&key, &what, path, 1));
	ck_assert_uint_eq(lease_path(&key, &what, path), 1);
	ck_assert_ptr_eq(path[0], it);
	kit_end(&kit);
}
END_TEST

/* A cell that is known has no place: who waits is told, and it stays known; a
 * grant says that it has one again. */
START_TEST(test_no_place)
{
	struct budget_cell *c;
	Hg__LeaseGrant g;
	uint64_t gen;

	begin(8);
	c = learn("it", 50);
	gen = lease_wait(c, 10);
	(void)kit_report(&kit, S, true);
	g = kit_grant(50, 1, 0);
	g.answer = HG__VALUE_ANSWER__VALUE_FULL;
	ck_assert(kit_answer(&kit, g));
	ck_assert(lease_value_is_refused(c));
	ck_assert_int_eq(lease_verdict(c, 10, gen, 0), LEASE_BUSY);
	ck_assert_uint_eq(c->uid, 50);
	ck_assert_ptr_null(atomic_load(&c->current));
	(void)kit_report(&kit, S, true);
	ck_assert_ptr_nonnull(kit_told(&kit, 50, 0)); /* asked again */
	ck_assert(kit_answer(&kit, kit_grant(50, 1, 100)));
	ck_assert(!lease_value_is_refused(c));
	ck_assert_int_eq(atomic_load(&kit_lease(c)->left), 100);
	lease_wait_done(c, 10);
	/* of a budget that is not for each value it means nothing */
	c = kit_cell(&kit, 60, false);
	g.budget_uid = 60;
	(void)kit_answer(&kit, g);
	ck_assert(!lease_value_is_refused(c));
	kit_end(&kit);
}
END_TEST

/* Answers that make no sense, and no memory for one that does. */
START_TEST(test_no_answer)
{
	struct budget_cell *c;
	Hg__LeaseGrant g;
	char name[TAGS_USER_MAX + 2];
	bool woken;

	begin(8);
	c = cell("it");
	(void)lease_wait(c, 10);
	(void)kit_report(&kit, 0, true);
	ck_assert(!kit_answer(&kit, known("it", 0, 0, 0)));
	ck_assert(
	    !kit_answer(&kit, known("it", PARENT, 0, 0))); /* of another */
	ck_assert(!kit_answer(&kit, known("other", 50, 0, 0)));
	g = known("it", 50, 0, 0);
	g.each_uid = 99;
	ck_assert(!kit_answer(&kit, g));
	ck_assert_uint_eq(c->uid, 0);
	oom_arm(1, NULL);
	woken = kit_answer(&kit, known("it", 50, 100, 0));
	ck_assert(oom_hit());
	ck_assert(!woken);
	ck_assert_uint_eq(c->uid, 0);
	ck_assert(!kit_answer(&kit, known("it", 50, 0, 0)));
	ck_assert_uint_eq(c->uid, 50);
	ck_assert(!kit_answer(&kit, known("it", 51, 0, 0))); /* it has one */
	ck_assert_uint_eq(c->uid, 50);
	lease_wait_done(c, 10);
	/* the longest value, and one that is longer */
	memset(name, 'x', sizeof(name));
	name[TAGS_USER_MAX + 1] = '\0';
	ck_assert_ptr_null(cell(name));
	ck_assert_ptr_null(lease_value_find(parent, str_of(name)));
	ck_assert(!kit_answer(&kit, known(name, 52, 0, 0)));
	name[TAGS_USER_MAX] = '\0';
	ck_assert_ptr_nonnull(cell(name));
	ck_assert(there(name));
	(void)lease_wait(cell(name), 10);
	(void)kit_report(&kit, 0, true);
	ck_assert(!kit_answer(&kit, known(name, 52, 0, 0)));
	ck_assert_uint_eq(cell(name)->uid, 52);
	lease_wait_done(cell(name), 10);
	ck_assert_slice_eq(lease_value_text(cell(name)), name);
	kit_end(&kit);
}
END_TEST

/* What is told of a value that gets no cell: its limit, when that is too small;
 * nothing, when there is no room. Who waits is woken. */
START_TEST(test_told)
{
	for (int full = 0; full < 2; full++) {
		Hg__LeaseGrant g = known("it", 0, 0, 0);
		struct budget_cell *c;
		uint64_t cells, before, refused, gen;

		begin(8);
		c = cell("it");
		(void)kit_report(&kit, 0, false);
		g.answer = full ? HG__VALUE_ANSWER__VALUE_FULL
				: HG__VALUE_ANSWER__VALUE_SHORT;
		g.limit = 500;
		g.period_end = 77;
		lease_value_counts(kit.t, &cells, &before);
		gen = atomic_load(&c->reply_gen);
		ck_assert(!kit_answer(&kit, g)); /* nobody waits */
		(void)lease_wait(c, 10);
		ck_assert(kit_answer(&kit, g));
		lease_wait_done(c, 10);
		lease_value_counts(kit.t, &cells, &refused);
		ck_assert_uint_eq(refused - before, full ? 2 : 0);
		ck_assert_uint_eq(atomic_load(&c->reply_gen), gen + 2);
		ck_assert(lease_value_is_refused(c) == (full == 1));
		ck_assert_int_eq(budget_limit(c), 500);
		ck_assert_int_eq(atomic_load(&c->reset_at), 77);
		ck_assert_int_eq(atomic_load(&c->free), full ? 0 : 500);
		ck_assert_int_eq(atomic_load(&c->avail), full ? 0 : 500);
		ck_assert(atomic_load(&c->exhausted) == (full == 0));
		/* a uid makes good for it */
		(void)kit_answer(&kit, known("it", 50, 0, 0));
		ck_assert(!lease_value_is_refused(c));
		ck_assert(!atomic_load(&c->exhausted));
		kit_end(&kit);
	}
}
END_TEST

/* One that gave up its place and finds none: nothing of it is spent or used
 * anywhere. Who waits is woken; when it has a place again it has rights. */
START_TEST(test_place_lost)
{
	Hg__LeaseGrant g = kit_grant(50, 1, 0);
	struct budget_cell *c;

	begin(8);
	c = learn("it", 50);
	g.spent = 5;
	g.busy = 7;
	(void)kit_answer(&kit, g);
	ck_assert_int_eq(atomic_load(&c->spent), 5);
	g.answer = HG__VALUE_ANSWER__VALUE_FULL;
	g.granted = 60;
	ck_assert(!kit_answer(&kit, g));
	ck_assert(lease_value_is_refused(c));
	ck_assert_int_eq(atomic_load(&c->spent), 0);
	ck_assert_int_eq(atomic_load(&c->busy), 0);
	ck_assert_int_eq(atomic_load(&kit_lease(c)->left), 0);
	(void)lease_wait(c, 10);
	ck_assert(kit_answer(&kit, g));
	(void)kit_answer(&kit, kit_grant(50, 1, 60));
	ck_assert(!lease_value_is_refused(c));
	ck_assert_int_eq(atomic_load(&kit_lease(c)->left), 60);
	lease_wait_done(c, 10);
	kit_end(&kit);
}
END_TEST

static unsigned n_shown, n_shown_old;
static uint64_t shown_uid;
static bool shown_of_value;

static void
show(void *ctx, const struct lease_shown *v)
{
	(void)ctx;
	if (v->uid == PARENT)
		return;
	n_shown += !v->old;
	n_shown_old += v->old;
	shown_uid = v->uid;
	shown_of_value = v->of_value;
}

static unsigned
shown(void)
{
	n_shown = n_shown_old = 0;
	lease_table_each(kit.t, kit.now, show, NULL);
	return n_shown;
}

/* Of values those are shown that are known or that somebody waits for, and no
 * lease of the value that a cell had before. */
START_TEST(test_shown)
{
	struct budget_cell *c;

	begin(1);
	c = cell("it");
	(void)kit_report(&kit, 0, false);
	ck_assert_uint_eq(shown(), 0);
	(void)lease_wait(c, 10);
	ck_assert_uint_eq(shown(), 1);
	ck_assert_uint_eq(shown_uid, 0);
	ck_assert(shown_of_value);
	lease_wait_done(c, 10);
	(void)learn("it", 50);
	ck_assert_uint_eq(shown(), 1);
	ck_assert_uint_eq(shown_uid, 50);
	(void)kit_answer(&kit, kit_grant(50, 1, 0));
	(void)kit_report(&kit, S, false);
	(void)kit_answer(&kit, kit_grant(50, 1, 0));
	ck_assert_uint_eq(shown(), 1);
	for (int i = 0; i < 500 && lease_table_find(kit.t, 50) != NULL; i++)
		beats(S);
	ck_assert_uint_eq(shown() + n_shown_old, 0);
	(void)learn("new", 51);
	ck_assert_uint_eq(shown(), 1);
	ck_assert_uint_eq(shown_uid, 51);
	ck_assert_uint_eq(n_shown_old, 0);
	kit_end(&kit);
	begin(8); /* one that is not shown hides none */
	(void)cell("first");
	(void)learn("then", 50);
	ck_assert_uint_eq(shown(), 1);
	ck_assert_uint_eq(shown_uid, 50);
	kit_end(&kit);
}
END_TEST

/* What was said of one value is not of the next in its cell. */
START_TEST(test_told_another)
{
	Hg__LeaseGrant g = known("it", 0, 0, 0);
	struct budget_cell *c;

	begin(1);
	c = cell("it");
	g.answer = HG__VALUE_ANSWER__VALUE_FULL;
	(void)kit_report(&kit, 0, false);
	(void)kit_answer(&kit, g);
	ck_assert(lease_value_is_refused(c));
	beats(13 * S);
	ck_assert_ptr_eq(cell("new"), c);
	ck_assert(!lease_value_is_refused(c));
	kit_end(&kit);
}
END_TEST

/* No memory to adopt a cell: it is one next time, and those behind it. */
START_TEST(test_adopted_later)
{
	struct budget_cell *c;

	begin(100);
	ck_assert_uint_eq(fill("a", 70), 70); /* the table has room for 64 */
	c = cell("a69");
	(void)lease_wait(c, 10);
	oom_arm(1, NULL);
	ck_assert(!lease_table_urgent(kit.t));
	ck_assert(oom_hit());
	ck_assert(lease_table_urgent(kit.t));
	ck_assert_uint_eq(kit_report(&kit, 0, true), 1);
	ck_assert_str_eq(kit.v[0]->value, "a69");
	lease_wait_done(c, 10);
	kit_end(&kit);
}
END_TEST

/* The limit of the budget is that of each value, with what was added to it;
 * the same bundle again ends no rest. */
START_TEST(test_follows)
{
	struct budget_cell *c;
	Hg__LeaseGrant g = kit_grant(50, 1, 100);
	int64_t until;

	begin(8);
	c = learn("it", 50);
	g.limit = 1000200;
	g.horizon_ms = 40000;
	(void)kit_answer(&kit, g);
	until = c->rest_until;
	lease_table_publish(kit.t, kit.set, kit.n_set);
	ck_assert_int_eq(c->rest_until, until);
	ck_assert_int_eq(budget_limit(c), 1000200);
	kit.set[0].limit -= 300;
	lease_table_publish(kit.t, kit.set, kit.n_set);
	ck_assert_int_eq(budget_limit(c), 999900);
	ck_assert_int_eq(atomic_load(&c->limit), 999700);
	ck_assert_int_lt(c->rest_until, kit.now);
	kit_end(&kit);
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
	UNIT_ADD(s, test_room_again);
	UNIT_ADD(s, test_others_look);
	UNIT_ADD(s, test_each_second);
	UNIT_ADD(s, test_oldest_first);
	UNIT_ADD(s, test_nothing_left);
	UNIT_ADD(s, test_before);
	UNIT_ADD(s, test_nobody_waits);
	UNIT_ADD(s, test_path_of_many);
	UNIT_ADD(s, test_path_without_room);
	UNIT_ADD(s, test_soft);
	UNIT_ADD(s, test_no_place);
	UNIT_ADD(s, test_no_answer);
	UNIT_ADD(s, test_told);
	UNIT_ADD(s, test_place_lost);
	UNIT_ADD(s, test_shown);
	UNIT_ADD(s, test_told_another);
	UNIT_ADD(s, test_adopted_later);
	UNIT_ADD(s, test_follows);
	return unit_run(s);
}
