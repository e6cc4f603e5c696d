/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much to grant to an agent that reports on a lease. Pure: what is known
 * comes in, what to write and to answer comes out; nothing here reads a clock
 * or a database.
 *
 * Hard budgets: a grant comes out of `free`, so that the sum of all rights can
 * never pass the limit; only the agent's own report of a return, or ingested
 * usage, or a completely shipped journal of a dead process, moves money back.
 * No timer ever does. Of bounded budgets one does, up to a stated amount.
 */
#ifndef CONTROLPLANE_MONEY_GRANT_H
#define CONTROLPLANE_MONEY_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/store/store_lease.h"
#include "proto/headgate.pb-c.h"

struct grant_config {
	int64_t horizon_s; /* rights for this long at the current rate */
	/* While plenty is free: up to this long, at the steady rate; not less
	 * than rest_s, which makes a difference. */
	int64_t horizon_most_s, rest_s;
	int64_t uncounted_s;  /* agents are not counted to make it longer */
	int64_t tail_factor;  /* TAIL when free < factor * agents * large w */
	int64_t fence_ms;     /* admission allowed this long without a reply */
	int64_t recent_ns;    /* a report within it makes an agent active */
	int64_t contested_ns; /* after a recall only waiters are granted */
	int64_t agents_most;  /* where they are not counted */
};
/* 10 s, up to 5 min from 20 s on; 4, 15 min, 5 s; GRANT_AGENTS_MAX */
extern const struct grant_config grant_default;

struct grant_result {
	bool move; /* money or marks move: write under the lock */
	/* While w.floor is free nobody else makes a difference: it may be
	 * written with others at once (store_lease_write_some()). */
	bool plenty;
	bool report;	      /* the report's columns are worth writing */
	struct lease_write w; /* grant, returned, ... */
	/* the answer */
	int64_t granted;   /* cumulative, after the grant */
	int64_t recall_to; /* -1 = none */
	bool tail, exhausted;
	int64_t spent, free;
	int64_t avail; /* free + idle rights of others */
	/* What the agent may be told when w was written: it need not report
	 * before half of it; 0 = with each heartbeat. w.quiet_until is longer
	 * by what its report may be late. */
	int64_t horizon_ms;
};

/* The most agents that there may be when not long ago `known` were, whatever
 * came since: twice as many and some; no more than GRANT_AGENTS_MAX. A fleet
 * that grows faster takes what is free to where its agents are counted, no
 * further. */
#define GRANT_AGENTS_MAX 10000
int64_t grant_agents_most(int64_t known);

/* With this much free the number of agents (up to cfg->agents_most) and what
 * they hold do not change the decision about the report; > 0. */
int64_t grant_plenty(const struct grant_config *cfg, const Hg__LeaseReport *r);

/* Decide about the report `r` on the lease seen as `v` at wall time `now`.
 * Negative numbers of the report count as 0. */
void grant_decide(const struct grant_config *cfg, const struct lease_view *v,
    const Hg__LeaseReport *r, int64_t now, struct grant_result *ret);

/* The answer on the wire; g must be initialised. */
void grant_answer(const struct grant_config *cfg, const struct lease_view *v,
    const struct grant_result *d, int64_t now, Hg__LeaseGrant *g);

#endif
