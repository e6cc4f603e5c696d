/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When an agent reports on its leases: each heartbeat while its rate is not
 * known or the control plane names no horizon; then in rounds, at half the
 * horizon, unless something cannot wait. A plain model answers: it gives what
 * a horizon needs.
 */
#include <stdio.h>

#include "agent/money/lease_table.h"
#include "tests/unit/support/unit.h"

#define CELLS	5
#define COST	INT64_C(1000)
#define HORIZON 300

static struct lease_table *table;
static struct budget_cell *cells[CELLS];
static struct arena arena;
static int64_t now;
static int64_t horizon_ms; /* that the model names to who takes one */
static unsigned n_reports;
static unsigned reported[CELLS]; /* in the last exchange */
static int64_t granted[CELLS];

static void
publish(int64_t limit)
{
	struct budget_setting v[CELLS];

	for (unsigned i = 0; i < CELLS; i++)
		v[i] =
		    (struct budget_setting){.cell = cells[i], .limit = limit};
	lease_table_publish(table, v, CELLS);
}

static void
rest_setup(void)
{
	table = lease_table_new(NULL);
	ck_assert_ptr_nonnull(table);
	for (unsigned i = 0; i < CELLS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "acme.b%u", i);
		cells[i] = lease_table_cell(table, i + 1, str_of(name));
		ck_assert_ptr_nonnull(cells[i]);
		granted[i] = 0;
	}
	publish(1000);
	arena_init(&arena, 4096, 1 << 20);
	now = 1000 * NS_PER_S;
	horizon_ms = HORIZON * 1000;
	n_reports = 0;
}

static void
rest_end(void)
{
	lease_table_free(table);
	arena_release(&arena);
}

static void
answer(const Hg__LeaseReport *r, Hg__LeaseGrant *g)
{
	unsigned i = (unsigned)r->budget_uid - 1;
	bool takes = r->horizon_max_ms > 0 && horizon_ms > 0;
	int64_t left = r->granted - r->settled - r->returned - r->in_use;
	int64_t need = r->rate_per_s * 10 + r->w_p99 + r->want_total;

	if (takes)
		need += r->steady_rate * (horizon_ms / 1000 - 10);
	hg__lease_grant__init(g);
	if (need > left)
		granted[i] = r->granted + need - left;
	g->budget_uid = r->budget_uid;
	g->period_start = 1;
	g->period_end = INT64_MAX;
	g->granted = granted[i];
	g->fence_ms = 900000;
	g->valid_ms = INT64_MAX;
	g->recall_to = -1;
	g->free = 1000000000;
	g->horizon_ms = takes ? horizon_ms : 0;
	reported[i]++;
	n_reports++;
}

/* An exchange; lost: it gets no answer. Returns how many reports were in it. */
static size_t
beat(bool urgent, bool lost)
{
	Hg__LeaseReport **r;
	Hg__LeaseGrant g[2 * CELLS], *list[2 * CELLS];
	size_t n;

	memset(reported, 0, sizeof(reported));
	arena_clear(&arena);
	ck_assert_int_eq(
	    lease_table_report(table, now, urgent, &arena, &r, &n), 0);
	ck_assert_uint_le(n, 2 * CELLS);
	for (size_t i = 0; i < n; i++) {
		answer(r[i], &g[i]);
		list[i] = &g[i];
	}
	if (lost)
		lease_table_no_reply(table);
	else
		(void)lease_table_reply(table, now, now, list, n);
	return n;
}

static void
spend(unsigned i, int64_t cost)
{
	struct reservation r;
	struct budget_cell *short_of;

	if (lease_reserve_path(&cells[i], 1, cost, now, &r, &short_of) == 0)
		lease_settle(&r, cost);
}

/* Seconds of traffic and heartbeats, urgent ones where they are wanted. */
static void
traffic(unsigned seconds)
{
	while (seconds-- > 0) {
		now += NS_PER_S;
		for (unsigned i = 0; i < CELLS; i++)
			spend(i, COST);
		if (lease_table_urgent(table))
			(void)beat(true, false);
		(void)beat(false, false);
	}
}

/* Everything rests for a while already. */
static void
settle_down(void)
{
	traffic(200);
	n_reports = 0;
	ck_assert_uint_eq(beat(false, false), 0);
	ck_assert(!lease_table_urgent(table));
}

/* 100 s of plenty are at most a report in 150 s for each cell. */
START_TEST(test_silent)
{
	rest_setup();
	traffic(8); /* the rate is not known yet */
	ck_assert_uint_ge(n_reports, 7 * CELLS);
	settle_down();
	traffic(600);
	ck_assert_uint_ge(n_reports, 3 * CELLS);
	ck_assert_uint_le(n_reports, 5 * CELLS);
	for (unsigned i = 0; i < CELLS; i++)
		ck_assert(lease_balanced(atomic_load(&cells[i]->current)));
	rest_end();
}
END_TEST

/* A control plane that names none: each heartbeat, as ever. */
START_TEST(test_old_control_plane)
{
	rest_setup();
	horizon_ms = 0;
	traffic(60);
	n_reports = 0;
	traffic(20);
	ck_assert_uint_eq(n_reports, 20 * CELLS);
	rest_end();
}
END_TEST

/* When one is due all go along, but not who reported lately. */
START_TEST(test_rounds)
{
	size_t most = 0, n;

	rest_setup();
	settle_down();
	/* cell 0 gets out of step by an urgent report */
	traffic(40);
	ck_assert(lease_table_hint(table, 1));
	ck_assert_uint_eq(beat(true, false), 1);
	ck_assert_uint_eq(reported[0], 1);
	for (unsigned k = 0; k < 170; k++) {
		now += NS_PER_S;
		for (unsigned i = 0; i < CELLS; i++)
			spend(i, COST);
		n = beat(false, false);
		if (n > most)
			most = n;
		ck_assert(n == 0 || n >= CELLS - 1);
	}
	ck_assert_uint_eq(most, CELLS);
	rest_end();
}
END_TEST

START_TEST(test_at_once)
{
	struct reservation r;
	struct budget_cell *short_of;
	struct lease *l;

	rest_setup();
	settle_down();
	/* somebody waits */
	(void)lease_wait(cells[1], 50 * COST);
	ck_assert(lease_table_urgent(table));
	ck_assert_uint_eq(beat(true, false), 1);
	ck_assert_uint_eq(reported[1], 1);
	lease_wait_done(cells[1], 50 * COST);
	/* rights run low: as low as ten seconds would make them */
	l = atomic_load(&cells[2]->current);
	ck_assert_int_eq(
	    lease_reserve_path(&cells[2], 1, atomic_load(&l->left) - 9 * COST,
		now, &r, &short_of),
	    0);
	ck_assert(!lease_table_urgent(table));
	for (unsigned k = 0; k < 5; k++)
		spend(2, COST);
	ck_assert(lease_table_urgent(table));
	ck_assert_uint_eq(beat(true, false), 1);
	ck_assert_uint_eq(reported[2], 1);
	lease_cancel(&r);
	/* the limit changes: all, with the next heartbeat */
	publish(2000);
	now += NS_PER_S;
	ck_assert_uint_eq(beat(false, false), CELLS);
	/* somebody else needs it: once, and not what nobody has */
	ck_assert(lease_table_hint(table, 4));
	ck_assert(!lease_table_hint(table, 99));
	ck_assert_uint_eq(beat(true, false), 1);
	ck_assert_uint_eq(reported[3], 1);
	ck_assert(!lease_table_urgent(table));
	rest_end();
}
END_TEST

/* Idle cells give back and say so, and then nothing. */
START_TEST(test_idle)
{
	unsigned seconds = 0;

	rest_setup();
	settle_down();
	while (seconds < 10 && beat(false, false) == 0) {
		now += NS_PER_S;
		seconds++;
	}
	ck_assert_uint_ge(seconds, 4);
	ck_assert_uint_le(seconds, 6);
	for (unsigned i = 0; i < CELLS; i++) {
		const struct lease *l = atomic_load(&cells[i]->current);

		ck_assert_uint_eq(reported[i], 1);
		ck_assert_int_eq(atomic_load(&l->left), 0);
	}
	(void)beat(false, false);
	for (unsigned k = 0; k < 400; k++) {
		now += NS_PER_S;
		ck_assert_uint_eq(beat(false, false), 0);
		ck_assert(!lease_table_urgent(table));
	}
	rest_end();
}
END_TEST

/* A round that is not answered is asked again with each heartbeat until all is
 * known, drained cells at once. */
START_TEST(test_lost)
{
	rest_setup();
	settle_down();
	for (unsigned k = 0; k < 160; k++) {
		now += NS_PER_S;
		for (unsigned i = 0; i < CELLS; i++)
			spend(i, COST);
		if (beat(false, true) > 0)
			break;
	}
	for (unsigned i = 0; i < CELLS; i++)
		ck_assert_uint_eq(reported[i], 1);
	n_reports = 0;
	traffic(30); /* an older one may still arrive */
	ck_assert_uint_eq(n_reports, 30 * CELLS);
	traffic(40);
	n_reports = 0;
	traffic(50);
	ck_assert_uint_eq(n_reports, 0);
	lease_table_drain(table);
	now += NS_PER_S;
	ck_assert_uint_eq(beat(false, false), CELLS);
	(void)beat(false, false);
	ck_assert(lease_table_done(table));
	rest_end();
}
END_TEST

/* What is kept and asked for is for the horizon, and shrinks with it. */
START_TEST(test_shrinks)
{
	const struct lease *l;
	int64_t much, little;

	rest_setup();
	settle_down();
	l = atomic_load(&cells[0]->current);
	much = atomic_load(&l->left);
	ck_assert_int_ge(much, (HORIZON / 2 - 60) * COST);
	horizon_ms = 0;
	traffic(200);
	little = atomic_load(&l->left);
	ck_assert_int_le(little, 40 * COST);
	ck_assert_int_gt(little, 5 * COST);
	ck_assert_int_gt(l->returned, 0);
	rest_end();
}
END_TEST

/* A horizon beyond belief is cut. */
START_TEST(test_too_long)
{
	rest_setup();
	horizon_ms = INT64_MAX;
	now += NS_PER_S;
	spend(0, COST);
	for (unsigned k = 0; k < 30; k++) {
		now += NS_PER_S;
		spend(0, COST);
		horizon_ms = k < 20 ? 0 : INT64_MAX / 4;
		(void)beat(false, false);
	}
	ck_assert_int_le(cells[0]->horizon_ns, 300 * NS_PER_S);
	ck_assert_int_le(cells[0]->rest_until, now + 150 * NS_PER_S);
	rest_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease_rest");

	UNIT_ADD(s, test_silent);
	UNIT_ADD(s, test_old_control_plane);
	UNIT_ADD(s, test_rounds);
	UNIT_ADD(s, test_at_once);
	UNIT_ADD(s, test_idle);
	UNIT_ADD(s, test_lost);
	UNIT_ADD(s, test_shrinks);
	UNIT_ADD(s, test_too_long);
	return unit_run(s);
}
