/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells of values: what is asked and answered of them, which of them a request
 * finds on its path, and what is shown.
 */
#include "tests/unit/agent/value_kit.h"
#include "tests/unit/support/oom.h"

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
	Suite *s = suite_create("agent/lease_value_told");

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
