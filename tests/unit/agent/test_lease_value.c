/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells of budgets for each value (agent/money/lease_value.h): V1 to V5, with
 * answers made by hand.
 */
#include <pthread.h>
#include <stdio.h>

#include "agent/money/lease_value.h"
#include "tests/unit/support/unit.h"

#define PARENT	UINT64_C(7)
#define PLACES	16
#define RECYCLE (100 * NS_PER_S)

static struct lease_table *table;
static struct budget_cell *parent, *other;
static struct arena arena;
static int64_t now;
static Hg__LeaseReport **reports;
static size_t n_reports;

static void
setup(size_t places)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct budget_setting v[2];

	tuning.max_values = places;
	tuning.recycle_ns = RECYCLE;
	table = lease_table_new(&tuning);
	ck_assert_ptr_nonnull(table);
	parent = lease_table_cell(table, PARENT, STR("acme.each"));
	other = lease_table_cell(table, PARENT + 1, STR("acme.other"));
	for (int i = 0; i < 2; i++)
		v[i] = (struct budget_setting){.cell = i == 0 ? parent : other,
		    .limit = 1000,
		    .filter = {.each = STR("user")}};
	lease_table_publish(table, v, 2);
	arena_init(&arena, 4096, 1 << 24);
	now = 1000 * NS_PER_S;
}

static void
end(void)
{
	lease_table_free(table);
	arena_release(&arena);
}

static struct budget_cell *
cell_of(struct budget_cell *of, const char *value)
{
	return lease_value_cell(of, str_of(value));
}

static void
beat(bool urgent)
{
	arena_clear(&arena);
	ck_assert_int_eq(lease_table_report(
			     table, now, urgent, &arena, &reports, &n_reports),
	    0);
}

static void
reply(Hg__LeaseGrant *g)
{
	(void)lease_table_reply(table, now, now, &g, g != NULL);
}

/* Seconds with full reports that are answered: nothing new. */
static void
seconds(int n)
{
	for (int i = 0; i < n; i++) {
		now += NS_PER_S;
		beat(false);
		reply(NULL);
	}
}

static void
known(const char *value, uint64_t uid, int64_t granted, int64_t returned)
{
	Hg__LeaseGrant g;

	hg__lease_grant__init(&g);
	g.each_uid = PARENT;
	g.value = (char *)(uintptr_t)value;
	g.budget_uid = uid;
	g.period_start = granted > 0 ? 1 : 0;
	g.granted = granted;
	g.returned = returned;
	reply(&g);
}

static void
grant(uint64_t uid, int64_t granted)
{
	Hg__LeaseGrant g;

	hg__lease_grant__init(&g);
	g.budget_uid = uid;
	g.period_start = 1;
	g.period_end = INT64_MAX;
	g.valid_ms = INT64_MAX / NS_PER_MS / 2;
	g.fence_ms = 900000;
	g.granted = granted;
	g.limit = 1000;
	g.recall_to = -1;
	reply(&g);
}

/* Somebody waits for it: it is asked for and known as uid. */
static struct budget_cell *
learn(const char *value, uint64_t uid, int64_t granted, int64_t returned)
{
	struct budget_cell *c = cell_of(parent, value);

	ck_assert_ptr_nonnull(c);
	(void)lease_wait(c, 10);
	beat(true);
	ck_assert_uint_eq(n_reports, 1);
	ck_assert_uint_eq(reports[0]->budget_uid, 0);
	ck_assert_uint_eq(reports[0]->each_uid, PARENT);
	ck_assert_str_eq(reports[0]->value, value);
	known(value, uid, granted, returned);
	lease_wait_done(c, 10);
	ck_assert_uint_eq(c->uid, uid);
	return c;
}

START_TEST(test_path)
{
	const struct b_filter filters[] = {
	    {.each = STR("user")}, {.each = STR("team")}, {.model_uid = 3}};
	struct b_key key = {.n_budgets = 3,
	    .budgets = {parent, other, NULL},
	    .filters = filters};
	struct budget_cell *path[BUNDLE_MAX_BUDGETS], *again[2];
	struct tags tags = {.len = 0}, none = {.len = 0};
	struct b_filter what = {.model_uid = 1, .tags = &tags};

	setup(PLACES);
	key.budgets[0] = parent;
	key.budgets[1] = other;
	ck_assert_int_eq(tags_add(&tags, STR("team"), STR("alice")), 0);
	tags_add_user(&tags, STR("alice"));
	ck_assert_uint_eq(lease_path(&key, &what, path), 2);
	ck_assert_slice_eq(lease_value_text(path[0]), "alice");
	ck_assert_slice_eq(lease_value_text(path[1]), "alice");
	ck_assert_ptr_ne(path[0], path[1]); /* of two budgets */
	ck_assert_slice_eq(path[0]->name, "acme.each");
	ck_assert_uint_eq(lease_path(&key, &what, again), 2);
	ck_assert_ptr_eq(again[0], path[0]);
	what.tags = &none; /* all that name nobody share one */
	ck_assert_uint_eq(lease_path(&key, &what, again), 2);
	ck_assert_ptr_ne(again[0], path[0]);
	ck_assert_slice_eq(lease_value_text(again[0]), "");
	what.tags = NULL;
	ck_assert_uint_eq(lease_path(&key, &what, path), 2);
	ck_assert_ptr_eq(again[0], path[0]);
	ck_assert_ptr_null(lease_value_text(parent).p);
	end();
}
END_TEST

/* A cell without a uid has no rights; nobody waits: nothing is asked. */
START_TEST(test_asked)
{
	struct budget_cell *c, *short_of, *path[1];
	struct reservation r;

	setup(PLACES);
	path[0] = c = cell_of(parent, "alice");
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 10, now, &r, &short_of), ERR_AGAIN);
	ck_assert_ptr_eq(short_of, c);
	ck_assert(!lease_table_urgent(table));
	beat(false);
	ck_assert_uint_eq(n_reports, 0);
	(void)learn("alice", 50, 0, 0);
	(void)lease_wait(c, 10);
	ck_assert(lease_table_urgent(table));
	beat(true);
	ck_assert_uint_eq(n_reports, 1);
	ck_assert_uint_eq(reports[0]->budget_uid, 50);
	ck_assert_uint_eq(reports[0]->each_uid, 0);
	grant(50, 100);
	lease_wait_done(c, 10);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 10, now, &r, &short_of), 0);
	ck_assert_uint_eq(r.cells[0]->uid, 50);
	lease_settle(&r, 4);
	ck_assert(lease_balanced(atomic_load(&c->current)));
	/* the budget itself is never reported on */
	path[0] = parent;
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 10, now, &r, &short_of), ERR_AGAIN);
	beat(false);
	for (size_t i = 0; i < n_reports; i++)
		ck_assert_uint_eq(reports[i]->budget_uid, 50);
	reply(NULL);
	end();
}
END_TEST

/* V4: what was granted before is no right. */
START_TEST(test_before)
{
	struct budget_cell *c, *short_of, *path[1];
	struct reservation r;
	struct lease *l;

	setup(PLACES);
	path[0] = c = learn("alice", 50, 600, 250);
	ck_assert_ptr_null(atomic_load(&c->current));
	(void)lease_wait(c, 10);
	beat(true);
	grant(50, 600); /* nothing more */
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 1, now, &r, &short_of), ERR_AGAIN);
	beat(true);
	grant(50, 640);
	lease_wait_done(c, 10);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 41, now, &r, &short_of), ERR_AGAIN);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 40, now, &r, &short_of), 0);
	l = atomic_load(&c->current);
	ck_assert(lease_balanced(l));
	ck_assert_int_eq(atomic_load(&l->settled), 350);
	ck_assert_int_eq(l->returned, 250);
	lease_cancel(&r);
	/* more was returned than granted: that cannot be */
	c = cell_of(parent, "bob");
	(void)lease_wait(c, 10);
	beat(true);
	known("bob", 51, 10, 11);
	lease_wait_done(c, 10);
	ck_assert_uint_eq(c->uid, 0);
	end();
}
END_TEST

static size_t
fill(const char *prefix, size_t n)
{
	char name[32];
	size_t made = 0;

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s%zu", prefix, i);
		made += cell_of(parent, name) != NULL;
	}
	return made;
}

/* V2, V3: no more than there are places; those that nobody needs are used
 * again, after a while. */
START_TEST(test_places)
{
	uint64_t cells, refused;
	struct budget_cell *used, *held, *waited, *short_of, *path[1];
	struct reservation r;

	setup(PLACES);
	seconds(20);
	used = learn("used", 50, 0, 0);
	held = learn("held", 51, 0, 0);
	waited = cell_of(parent, "waited");
	(void)lease_wait(waited, 5);
	beat(true);
	grant(51, 100);
	path[0] = held;
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 10, now, &r, &short_of), 0);
	ck_assert_uint_eq(fill("a", PLACES), PLACES - 3);
	lease_value_counts(table, &cells, &refused);
	ck_assert_uint_eq(cells, PLACES);
	ck_assert_uint_eq(refused, 3);
	ck_assert_ptr_eq(cell_of(parent, "used"), used); /* known ones go on */
	seconds(8);
	ck_assert_uint_eq(fill("b", 3), 0); /* too young to be forgotten */
	seconds(12);
	ck_assert_uint_gt(fill("b", 3), 0);
	ck_assert_ptr_eq(lease_value_find(parent, STR("used")), used);
	/* all the others, for long: not what somebody needs */
	for (int i = 0; i < 60; i++) {
		char name[24];

		seconds(11);
		snprintf(name, sizeof(name), "c%d", i);
		ck_assert_ptr_nonnull(cell_of(parent, name));
	}
	ck_assert_ptr_null(lease_value_find(parent, STR("used")));
	ck_assert_ptr_eq(lease_value_find(parent, STR("held")), held);
	ck_assert_ptr_eq(lease_value_find(parent, STR("waited")), waited);
	ck_assert_uint_eq(held->uid, 51);
	lease_cancel(&r);
	lease_wait_done(waited, 5);
	end();
}
END_TEST

/* A request cost more than it reserved. Until the period is over the cell has
 * to know of it; then it is used again like any other. */
START_TEST(test_overrun)
{
	struct budget_cell *c, *short_of, *path[1];
	const struct lease *l;
	Hg__LeaseGrant g;
	struct reservation r;

	setup(1);
	path[0] = c = learn("a", 50, 0, 0);
	hg__lease_grant__init(&g);
	g.budget_uid = 50;
	g.period_start = 1;
	g.valid_ms = g.fence_ms = 500000;
	g.granted = 10;
	g.recall_to = -1;
	(void)lease_wait(c, 10);
	beat(true);
	reply(&g);
	lease_wait_done(c, 10);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 10, now, &r, &short_of), 0);
	lease_settle(&r, 15);
	for (int i = 0; i < 499; i++) {
		now += NS_PER_S;
		beat(false);
		reply(&g);
		g.valid_ms -= 1000;
	}
	l = atomic_load(&c->current);
	ck_assert_int_eq(atomic_load(&l->left), -5);
	ck_assert_ptr_eq(lease_value_find(parent, STR("a")), c);
	g.valid_ms = g.fence_ms = 0; /* it is over */
	for (int i = 0; i < RECYCLE / NS_PER_S + 20; i++) {
		now += NS_PER_S;
		beat(false);
		reply(&g);
	}
	ck_assert_ptr_null(lease_value_find(parent, STR("a")));
	/* the debt was not b's */
	ck_assert_ptr_eq(learn("b", 51, 0, 0), c);
	(void)lease_wait(c, 10);
	beat(true);
	grant(51, 10);
	lease_wait_done(c, 10);
	ck_assert_ptr_eq(atomic_load(&c->current), l);
	ck_assert_int_eq(atomic_load(&l->left), 10);
	end();
}
END_TEST

/* A worker stands still between the look-up and the reservation for so long
 * that its cell is another value's now: it learns so, and gives back. */
START_TEST(test_stalled)
{
	const struct b_filter filters[] = {{.each = STR("user")}};
	struct b_key key = {.n_budgets = 1, .filters = filters};
	struct budget_cell *path[BUNDLE_MAX_BUDGETS], *c, *short_of;
	struct tags tags = {.len = 0};
	struct b_filter what = {.tags = &tags};
	struct reservation r;

	setup(1);
	seconds(20);
	key.budgets[0] = parent;
	tags_add_user(&tags, STR("alice"));
	ck_assert_uint_eq(lease_path(&key, &what, path), 1);
	ck_assert(lease_path_holds(&key, &what, path, 1));
	seconds(20);
	c = learn("bob", 50, 0, 0);
	ck_assert_ptr_eq(c, path[0]);
	(void)lease_wait(c, 10);
	beat(true);
	grant(50, 100);
	lease_wait_done(c, 10);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 10, now, &r, &short_of), 0);
	ck_assert(!lease_path_holds(&key, &what, path, 1));
	lease_cancel(&r);
	ck_assert_int_eq(atomic_load(&atomic_load(&c->current)->left), 100);
	ck_assert(lease_balanced(atomic_load(&c->current)));
	/* bob's own request */
	tags.len = tags.n = 0;
	tags_add_user(&tags, STR("bob"));
	ck_assert_uint_eq(lease_path(&key, &what, path), 1);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 10, now, &r, &short_of), 0);
	seconds(RECYCLE / NS_PER_S + 20);
	ck_assert(lease_path_holds(&key, &what, path, 1));
	lease_cancel(&r);
	end();
}
END_TEST

/* A period was made shorter, then longer again: an answer for each of its
 * leases, and what either was granted before is no right. */
START_TEST(test_before_of_two)
{
	struct budget_cell *c, *short_of, *path[1];
	struct reservation r;
	Hg__LeaseGrant g[2], *list[2] = {&g[0], &g[1]};

	setup(PLACES);
	path[0] = c = cell_of(parent, "alice");
	(void)lease_wait(c, 10);
	beat(true);
	for (int i = 0; i < 2; i++) {
		hg__lease_grant__init(&g[i]);
		g[i].each_uid = PARENT;
		g[i].value = (char *)(uintptr_t) "alice";
		g[i].budget_uid = 50;
		g[i].period_start = 2 - i;
		g[i].granted = 600 - 100 * i;
		g[i].returned = 250;
	}
	for (int again = 0; again < 2; again++) /* twice is once */
		(void)lease_table_reply(table, now, now, list, 2);
	ck_assert_uint_eq(c->uid, 50);
	ck_assert_ptr_null(c->old->next->next);
	beat(true);
	grant(50, 500); /* of period 1: nothing more */
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 1, now, &r, &short_of), ERR_AGAIN);
	beat(true);
	grant(50, 540);
	lease_wait_done(c, 10);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 41, now, &r, &short_of), ERR_AGAIN);
	ck_assert_int_eq(
	    lease_reserve_path(path, 1, 40, now, &r, &short_of), 0);
	ck_assert_int_eq(atomic_load(&c->current)->period_start, 1);
	ck_assert(lease_balanced(atomic_load(&c->current)));
	/* a lease that came after is not one from before */
	g[0].period_start = 1;
	(void)lease_table_reply(table, now, now, list, 1);
	ck_assert_int_eq(c->old->period_start, 2);
	ck_assert_ptr_null(c->old->next);
	lease_cancel(&r);
	end();
}
END_TEST

/* A cell that stands for one value after the other needs no more leases. */
START_TEST(test_leases_again)
{
	struct budget_cell *c;
	size_t n = 0;

	setup(1);
	for (int i = 0; i < 5; i++) {
		c = learn(i % 2 == 0 ? "a" : "b", 50 + (uint64_t)(i % 2), 9, 4);
		n = 0;
		for (struct lease *l = c->old; l != NULL; l = l->next)
			n++;
		ck_assert_uint_eq(n, 1);
		ck_assert_int_eq(c->old->granted, 9);
		ck_assert(lease_balanced(c->old));
		seconds(RECYCLE / NS_PER_S + 20);
		ck_assert_ptr_null(
		    lease_value_find(parent, str_of(i % 2 == 0 ? "a" : "b")));
	}
	end();
}
END_TEST

/* While the clock of look-ups stood still nobody knows how old they are. */
START_TEST(test_clock_stands)
{
	setup(PLACES);
	seconds(20);
	ck_assert_uint_eq(fill("a", PLACES), PLACES);
	now += 1000 * NS_PER_S;
	ck_assert_ptr_nonnull(cell_of(parent, "a0"));
	beat(false); /* a look-up a moment ago has an old stamp */
	reply(NULL);
	ck_assert_ptr_nonnull(lease_value_find(parent, STR("a0")));
	ck_assert_uint_eq(fill("b", 1), 0);
	seconds(13);
	ck_assert_uint_eq(fill("b", 1), 1);
	end();
}
END_TEST

/* Reports are as rare as a control plane may ask for: values are forgotten all
 * the same, and not who was looked up just before one. */
START_TEST(test_rare_reports)
{
	setup(PLACES);
	for (int i = 0; i < 3; i++) {
		now += 60 * NS_PER_S;
		beat(false);
		reply(NULL);
	}
	ck_assert_uint_eq(fill("a", PLACES), PLACES);
	now += 60 * NS_PER_S;
	beat(false);
	reply(NULL);
	ck_assert_uint_eq(fill("b", 1), 0);
	ck_assert_ptr_nonnull(lease_value_find(parent, STR("a0")));
	now += 60 * NS_PER_S;
	beat(false);
	reply(NULL);
	ck_assert_uint_eq(fill("b", 1), 1);
	ck_assert_ptr_nonnull(lease_value_find(parent, STR("a0")));
	end();
}
END_TEST

/* No answer, or not all: it is asked for again. */
START_TEST(test_refused)
{
	struct budget_cell *c;
	Hg__LeaseGrant g;
	uint64_t gen;

	setup(PLACES);
	c = cell_of(parent, "alice");
	gen = lease_wait(c, 10);
	beat(true);
	hg__lease_grant__init(&g);
	g.each_uid = PARENT;
	g.value = (char *)(uintptr_t) "alice";
	g.answer = HG__VALUE_ANSWER__VALUE_FULL;
	g.limit = 1000;
	ck_assert_int_eq(lease_verdict(c, 10, gen, 0), LEASE_WAIT);
	reply(&g);
	ck_assert(lease_value_is_refused(c));
	ck_assert_int_eq(lease_verdict(c, 10, gen, 0), LEASE_BUSY);
	beat(true);
	g.answer = HG__VALUE_ANSWER__VALUE_SHORT;
	g.exhausted = true;
	g.limit = g.free = g.avail = 5;
	reply(&g);
	ck_assert(!lease_value_is_refused(c));
	ck_assert_int_eq(lease_verdict(c, 10, gen, 0), LEASE_EXHAUSTED);
	ck_assert_int_eq(lease_verdict(c, 5, gen, 0), LEASE_WAIT);
	lease_wait_done(c, 10);
	/* of no budget, of a value that nobody asked for, of a known uid */
	g.answer = HG__VALUE_ANSWER__VALUE_KNOWN;
	g.budget_uid = 50;
	g.value = (char *)(uintptr_t) "bob";
	reply(&g);
	g.each_uid = 99;
	reply(&g);
	g.each_uid = PARENT;
	g.value = (char *)(uintptr_t) "alice";
	g.budget_uid = PARENT;
	reply(&g);
	ck_assert_uint_eq(c->uid, 0);
	end();
}
END_TEST

/* V5: values that callers invent do not fill messages. */
START_TEST(test_asks)
{
	size_t n = LEASE_VALUE_ASKS + 500;
	char name[32];

	setup(2 * LEASE_VALUE_ASKS);
	beat(false);
	reply(NULL);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "v%zu", i);
		(void)lease_wait(cell_of(parent, name), 1);
	}
	beat(true);
	ck_assert_uint_eq(n_reports, LEASE_VALUE_ASKS);
	reply(NULL);
	beat(true);
	ck_assert_uint_eq(n_reports, 0);
	ck_assert(!lease_table_urgent(table));
	reply(NULL);
	beat(false);
	ck_assert_uint_gt(n_reports, 0);
	ck_assert_uint_le(n_reports, LEASE_VALUE_ASKS);
	reply(NULL);
	for (size_t i = 0; i < n; i++) { /* all are found, chained or not */
		struct budget_cell *c;

		snprintf(name, sizeof(name), "v%zu", i);
		c = lease_value_find(parent, str_of(name));
		ck_assert_ptr_nonnull(c);
		ck_assert_slice_eq(lease_value_text(c), name);
		lease_wait_done(c, 1);
	}
	end();
}
END_TEST

/* A budget that is changed or deleted: its values, too. */
START_TEST(test_follows)
{
	struct budget_setting v = {
	    .limit = 3000, .filter = {.each = STR("user")}};
	struct budget_cell *c, *late;

	setup(PLACES);
	c = learn("alice", 50, 0, 0);
	late = cell_of(parent, "late"); /* not in the table yet */
	v.cell = parent;
	lease_table_publish(table, &v, 1);
	seconds(1);
	ck_assert_int_eq(atomic_load(&c->limit), 3000);
	ck_assert_int_eq(budget_limit(c), 3000);
	ck_assert_int_eq(atomic_load(&late->limit), 3000);
	lease_table_publish(table, NULL, 0);
	ck_assert(atomic_load(&c->deleted) && atomic_load(&late->deleted));
	end();
}
END_TEST

/* ---- threads ------------------------------------------------------------- */

static atomic_bool stopping;

static void *
worker(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	struct reservation r;
	char name[24];

	while (!atomic_load(&stopping)) {
		struct budget_cell *c, *short_of;

		seed = seed * 1103515245 + 12345;
		snprintf(name, sizeof(name), "u%u", seed / 65536 % 40);
		c = cell_of(parent, name);
		if (c == NULL)
			continue;
		MUST(str_eqz(lease_value_text(c), name));
		if (lease_reserve_path(&c, 1, 5, now, &r, &short_of) == 0)
			lease_settle(&r, 3);
		else {
			(void)lease_wait(c, 5);
			lease_wait_done(c, 5);
		}
	}
	return NULL;
}

/* The threads were seen: they may begin late. */
static bool
is_full(void)
{
	uint64_t cells, refused;

	lease_value_counts(table, &cells, &refused);
	return cells == 32 && refused > 0;
}

START_TEST(test_threads)
{
	unsigned seeds[3] = {1, 2, 3};
	pthread_t threads[3];
	uint64_t cells, refused;

	setup(32);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, worker, &seeds[i]);
	for (int i = 0; i < 300 || !is_full(); i++) {
		Hg__LeaseGrant g[64], *list[64];
		size_t n = 0;

		beat(i % 2 == 0);
		for (size_t k = 0; k < n_reports && n < 64; k++) {
			const Hg__LeaseReport *q = reports[k];

			list[n] = &g[n];
			hg__lease_grant__init(&g[n]);
			g[n].each_uid = q->each_uid;
			g[n].value = q->value;
			g[n].budget_uid = q->budget_uid;
			g[n].recall_to = -1;
			if (q->each_uid != 0) {
				g[n].budget_uid =
				    100 +
				    (uint64_t)strtol(q->value + 1, NULL, 10);
			} else {
				g[n].period_start = 1;
				g[n].period_end = INT64_MAX;
				g[n].valid_ms = g[n].fence_ms = 900000;
				g[n].granted = q->granted + 50;
			}
			n++;
		}
		(void)lease_table_reply(table, now, now, list, n);
	}
	atomic_store(&stopping, true);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	lease_value_counts(table, &cells, &refused);
	ck_assert_uint_eq(cells, 32);
	ck_assert_uint_gt(refused, 0);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_value");

	UNIT_ADD(s, test_path);
	UNIT_ADD(s, test_asked);
	UNIT_ADD(s, test_before);
	UNIT_ADD(s, test_places);
	UNIT_ADD(s, test_stalled);
	UNIT_ADD(s, test_before_of_two);
	UNIT_ADD(s, test_overrun);
	UNIT_ADD(s, test_leases_again);
	UNIT_ADD(s, test_clock_stands);
	UNIT_ADD(s, test_rare_reports);
	UNIT_ADD(s, test_refused);
	UNIT_ADD(s, test_asks);
	UNIT_ADD(s, test_follows);
	UNIT_ADD(s, test_threads);
	return unit_run(s);
}
