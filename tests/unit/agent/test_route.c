/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Picking deployments, the circuit breaker, the explain ring, the moves of a
 * request.
 */
#include <stdio.h>
#include <string.h>

#include "agent/front/explain.h"
#include "agent/front/request.h"
#include "agent/route/route.h"
#include "tests/unit/support/unit.h"

static struct b_deployment dep[4];
static struct b_target target[4];
static struct b_route route;
static struct route_health health;
static struct rng_seeded rng;

static void
setup(void)
{
	static const uint32_t prio[4] = {0, 0, 1, 2}, weight[4] = {3, 1, 1, 1};
	unsigned i;

	memset(&route, 0, sizeof(route));
	for (i = 0; i < 4; i++) {
		dep[i].uid = 100 + i;
		target[i].deployment = &dep[i];
		target[i].priority = prio[i];
		target[i].weight = weight[i];
	}
	route.targets = target;
	route.n_targets = 4;
	rng_seeded_init(&rng, 1);
	route_health_init(&health, 3, NS_PER_S);
}

static int
pick(uint64_t tried, int64_t now)
{
	return route_pick(&route, tried, &health, &rng.rng, now, NULL, NULL);
}

START_TEST(test_weights)
{
	int i, n[4] = {0};

	setup();
	for (i = 0; i < 4000; i++)
		n[pick(0, 0)]++;
	ck_assert_int_eq(n[2] + n[3], 0);
	ck_assert_int_gt(n[0], 2800);
	ck_assert_int_lt(n[0], 3200);
	target[0].weight = target[1].weight = 0; /* then any will do */
	ck_assert_int_ge(pick(0, 0), 0);
}
END_TEST

START_TEST(test_failover_order)
{
	setup();
	ck_assert_int_eq(pick(1, 0), 1);
	ck_assert_int_eq(pick(3, 0), 2);
	ck_assert_int_eq(pick(7, 0), 3);
	ck_assert_int_eq(pick(15, 0), -1);
}
END_TEST

static bool
fits(void *ctx, const struct b_deployment *d)
{
	return d->uid == *(uint64_t *)ctx;
}

START_TEST(test_fit)
{
	uint64_t only = 102;

	setup();
	ck_assert_int_eq(
	    route_pick(&route, 0, &health, &rng.rng, 0, fits, &only), 2);
	only = 7;
	ck_assert_int_eq(
	    route_pick(&route, 0, &health, &rng.rng, 0, fits, &only), -1);
}
END_TEST

START_TEST(test_circuit)
{
	int64_t now = NS_PER_S;

	setup();
	ck_assert(!route_failed(&health, 101, now));
	ck_assert(!route_failed(&health, 101, now));
	ck_assert(route_failed(&health, 101, now));
	ck_assert(route_is_open(&health, 101, now));
	ck_assert_int_eq(pick(1, now), 2); /* 101 is passed over */
	/* after the pause it is tried; failing again opens it for longer */
	now += NS_PER_S;
	ck_assert_int_eq(pick(1, now), 1);
	ck_assert(route_failed(&health, 101, now));
	ck_assert(route_is_open(&health, 101, now + NS_PER_S));
	route_worked(&health, 101);
	ck_assert(!route_is_open(&health, 101, now));
	/* all open: the best is tried all the same */
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			(void)route_failed(&health, dep[i].uid, now);
	ck_assert_int_le(pick(0, now), 1);
	ck_assert_int_ge(pick(0, now), 0);
}
END_TEST

START_TEST(test_explain)
{
	static struct explain_entry e, got;
	struct explain_table *t = explain_new(2, 4);
	int i;

	for (i = 0; i < 10; i++) {
		(void)snprintf(e.request_id, sizeof(e.request_id), "id-%d", i);
		e.cost = i;
		explain_put(t, (unsigned)(i % 2), &e);
	}
	ck_assert(explain_find(t, "id-9", &got));
	ck_assert_int_eq(got.cost, 9);
	ck_assert(explain_find(t, "id-2", &got));
	ck_assert(!explain_find(t, "id-1", &got)); /* overwritten */
	ck_assert(!explain_find(t, "id-", &got));
	ck_assert(!explain_find(t, "", &got));
	explain_free(t);
}
END_TEST

START_TEST(test_moves)
{
	int from, to, n;

	/* Whoever called a provider passes REQ_USAGE before the end. */
	ck_assert(!request_may_move(REQ_CALL, REQ_END));
	ck_assert(!request_may_move(REQ_CALL, REQ_ANSWER));
	ck_assert(!request_may_move(REQ_RELAY, REQ_END));
	ck_assert(!request_may_move(REQ_RELAY, REQ_ANSWER));
	ck_assert(!request_may_move(REQ_INTENT, REQ_END));
	/* No call without an intent. */
	for (from = 0; from < REQ_N_STATES; from++)
		ck_assert(from == REQ_INTENT ||
			  !request_may_move((enum req_state)from, REQ_CALL));
	/* No failover once the client got something. */
	ck_assert(!request_may_move(REQ_RELAY, REQ_ADMIT));
	for (from = 0; from < REQ_N_STATES; from++) {
		n = 0;
		for (to = 0; to < REQ_N_STATES; to++)
			n += request_may_move(
			    (enum req_state)from, (enum req_state)to);
		ck_assert_int_eq(n == 0, from == REQ_END);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/route");

	UNIT_ADD(s, test_weights);
	UNIT_ADD(s, test_failover_order);
	UNIT_ADD(s, test_fit);
	UNIT_ADD(s, test_circuit);
	UNIT_ADD(s, test_explain);
	UNIT_ADD(s, test_moves);
	return unit_run(s);
}
