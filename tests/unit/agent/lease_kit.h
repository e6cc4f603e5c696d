/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease table whose time, reports and answers a test decides one by one.
 */
#ifndef TESTS_UNIT_AGENT_LEASE_KIT_H
#define TESTS_UNIT_AGENT_LEASE_KIT_H

#include "agent/money/lease_table.h"
#include "common/err.h"
#include "tests/unit/support/unit.h"

#define KIT_CELLS 16
#define KIT_START (1000 * NS_PER_S)

struct lease_kit {
	struct lease_table *t;
	struct arena a;
	int64_t now;
	struct budget_setting set[KIT_CELLS];
	size_t n_set;
	Hg__LeaseReport **v; /* of the last report */
	size_t n;
};

static inline void
kit_start(struct lease_kit *k, const struct lease_tuning *tuning)
{
	*k = (struct lease_kit){.now = KIT_START};
	k->t = lease_table_new(tuning);
	ck_assert_ptr_nonnull(k->t);
	arena_init(&k->a, 4096, (size_t)1 << 20);
}

static inline void
kit_end(struct lease_kit *k)
{
	lease_table_free(k->t);
	arena_release(&k->a);
}

/* One more budget of the bundle. */
static inline struct budget_cell *
kit_cell(struct lease_kit *k, uint64_t uid, bool soft)
{
	struct budget_cell *c = lease_table_cell(k->t, uid, STR("acme.b"));

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_lt(k->n_set, KIT_CELLS);
	k->set[k->n_set++] =
	    (struct budget_setting){.cell = c, .limit = 1000000, .soft = soft};
	lease_table_publish(k->t, k->set, k->n_set);
	return c;
}

static inline Hg__LeaseGrant
kit_grant(uint64_t uid, int64_t period, int64_t granted)
{
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT;

	g.budget_uid = uid;
	g.period_start = period;
	g.period_end = INT64_MAX;
	g.granted = granted;
	g.fence_ms = g.valid_ms = 86400000;
	g.recall_to = -1;
	g.limit = 1000000;
	return g;
}

/* The answer to the last report: this one grant. */
static inline bool
kit_answer(struct lease_kit *k, Hg__LeaseGrant g)
{
	Hg__LeaseGrant *p = &g;

	return lease_table_reply(k->t, k->now, k->now, &p, 1);
}

/* Report after `later` ns; how many were told. Nothing in it comes from what
 * the memory held before. */
static inline size_t
kit_report(struct lease_kit *k, int64_t later, bool urgent)
{
	void *dirt;

	k->now += later;
	arena_clear(&k->a);
	dirt = arena_alloc(&k->a, 2048);
	ck_assert_ptr_nonnull(dirt);
	memset(dirt, 0xa5, 2048);
	arena_clear(&k->a);
	ck_assert_int_eq(
	    lease_table_report(k->t, k->now, urgent, &k->a, &k->v, &k->n), 0);
	return k->n;
}

/* What the last report said of a lease; NULL when nothing. */
static inline const Hg__LeaseReport *
kit_told(const struct lease_kit *k, uint64_t uid, int64_t period)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i]->budget_uid == uid &&
		    k->v[i]->period_start == period)
			return k->v[i];
	return NULL;
}

static inline struct lease *
kit_lease(struct budget_cell *c)
{
	return atomic_load(&c->current);
}

static inline int
kit_try(struct lease_kit *k, struct budget_cell *c, int64_t amount,
    struct reservation *r)
{
	struct budget_cell *short_of;

	return lease_reserve_path(&c, 1, amount, k->now, r, &short_of);
}

/* A request: reserved, and settled at its cost. */
static inline void
kit_spend(
    struct lease_kit *k, struct budget_cell *c, int64_t amount, int64_t cost)
{
	struct reservation r;

	ck_assert_int_eq(kit_try(k, c, amount, &r), 0);
	lease_settle(&r, cost);
}

#endif
