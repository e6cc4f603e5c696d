/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations whose usage was collected but is not written yet. What they give
 * back would be spent by other requests, here or at other agents, whose records
 * may be on disk first; a process that dies before the usage is written bills
 * the whole reservation at its next start, and both together more than there
 * was. So the order is: collect usage, write it, give back. When the disk takes
 * nothing, rights stay taken until it does.
 */
#ifndef AGENT_FRONT_OWED_H
#define AGENT_FRONT_OWED_H

#include <stddef.h>

#include "agent/money/lease.h"

struct front;

struct owed {
	struct reservation rights;
	int64_t cost; /* nano-USD, with what is held behind an estimate */
};

struct owed_list {
	struct owed *v;
	size_t n, cap;
};

/* Settle v at `cost` once the usage collected so far is written; v is empty
 * then. Without memory it is settled now. */
void owed_add(struct front *f, struct reservation *v, int64_t cost);
/* Nothing was collected for it: all of it goes back now. */
void owed_cancel(struct front *f, struct reservation *v);
/* After each attempt to write: settle what is written, tell who waits. */
void owed_settle(struct front *f);
/* At the end; what is still owed was never written and stays taken. */
void owed_release(struct owed_list *l);

#endif
