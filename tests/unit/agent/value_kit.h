/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table with one budget for each user, PARENT, whose cells a test makes and
 * learns the uids of. No cell is used again before RECYCLE.
 */
#ifndef TESTS_UNIT_AGENT_VALUE_KIT_H
#define TESTS_UNIT_AGENT_VALUE_KIT_H

#include "agent/money/lease_value.h"
#include "tests/unit/agent/lease_kit.h"

#define S	NS_PER_S
#define PARENT	7
#define RECYCLE (100 * S)

static struct lease_kit kit;
static struct budget_cell *parent;

/* Heartbeats with an answer that says nothing. */
static inline void
beats(int64_t ns)
{
	while (ns > 0) {
		int64_t step = ns < S ? ns : S;

		(void)kit_report(&kit, step, false);
		(void)lease_table_reply(kit.t, kit.now, kit.now, NULL, 0);
		ns -= step;
	}
}

static inline void
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

static inline struct budget_cell *
cell(const char *value)
{
	return lease_value_cell(parent, str_of(value));
}

static inline bool
there(const char *value)
{
	return lease_value_find(parent, str_of(value)) != NULL;
}

static inline size_t
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

static inline uint64_t
used(void)
{
	uint64_t cells, refused;

	lease_value_counts(kit.t, &cells, &refused);
	return cells;
}

static inline Hg__LeaseGrant
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

static inline struct budget_cell *
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

#endif
