/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the lease table: lease_table.c (registry, replies,
 * state) and lease_report.c (what the control plane is told). Everything here
 * runs under the table's lock.
 */
#ifndef AGENT_MONEY_LEASE_TABLE_PRIV_H
#define AGENT_MONEY_LEASE_TABLE_PRIV_H

#include <pthread.h>

#include "agent/money/lease_table.h"

/* A report that got no reply may be taken up this much later and make a grant
 * then: the time that a message may lie in the control plane. */
#define LEASE_LATE_NS (60 * NS_PER_S)

/* No longer horizon is believed; asked for once the rate is known. */
#define LEASE_HORIZON_MOST_NS (300 * NS_PER_S)
#define LEASE_STEADY_NS	      (60 * NS_PER_S)
#define LEASE_KNOWN_NS	      (10 * NS_PER_S)

struct lease_table {
	struct lease_tuning tuning;
	pthread_mutex_t lock;
	struct budget_cell **cells;
	uint32_t *index; /* open addressing, cell number + 1 */
	size_t n_cells, cap, n_index;
	size_t cursor;	   /* where the next report starts */
	int64_t last_full; /* mono of the last full report */
	bool draining;
	/* When the oldest question that nobody answered was asked: 0 = all
	 * are answered. Read by workers (lease_silent). */
	_Atomic int64_t silent_since;
	uint64_t n_grants, n_recalls, generation;
	struct lease_values *values;
};

/* Of the leases of a value's cell that was recycled. */
#define LEASE_NO_PERIOD INT64_C(-1)

/* The cell of a uid, or NULL. */
struct budget_cell *lease_table_look(const struct lease_table *t, uint64_t uid);
/* One more cell, which has no uid yet. 0 or ERR_NOMEM. */
int lease_table_push(struct lease_table *t, struct budget_cell *c) MUST_CHECK;
/* Cell number `at` has a uid now, for which there is none. */
void lease_table_bind(struct lease_table *t, size_t at);
/* Cells lost their uids. */
void lease_table_reindex(struct lease_table *t);

/* A lease of no period for the cell, in no list yet: one of its old ones that
 * rested, or a new one. NULL without memory. */
struct lease *lease_table_fresh(
    const struct lease_table *t, struct budget_cell *c, int64_t now);
/* Return up to amount of what is left to the control plane. */
void lease_give_up(struct lease *l, int64_t amount);
/* Rights that a request holds which waits for a later budget. */
int64_t lease_held(const struct budget_cell *c, int64_t now);
/* l was current: no admission any more, kept until it is settled. */
void lease_cell_retire(struct budget_cell *c, struct lease *l, int64_t now);
/* An old lease of the same period becomes current again. */
void lease_cell_revive(struct budget_cell *c, struct lease *l);
/* Has the control plane something to learn about it? */
bool lease_news(const struct lease *l);
/* Is there something that must not wait for the next heartbeat? */
bool lease_cell_urgent(struct budget_cell *c);

#endif
