/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one limit of the fleet is divided among the agents that use it: pure
 * arithmetic on what the database holds of the limit, under its row's lock.
 *
 * A share counts from before its grant is answered until its end on the
 * database's side, later than on the agent's (SHARE_TTL_NS and a margin). A
 * share that is made smaller counts in its old size until the agent says that
 * the new one is in force, or the old one's end. What is free may be lent, and
 * no more:
 *
 *   sum of what counts <= the limit        (rates and places)
 *   pool + sum of the buckets' levels <= burst
 *
 * The pool is the bucket of the part that is not lent: it fills at that part's
 * rate, takes what agents return, and gives what a new share's bucket may
 * hold. Hence all agents in contact admit at most R x t + B, whatever is lost,
 * repeated or overtaken on the way; with the term for small parts and for
 * agents out of contact that agent/policy/rate.h names.
 *
 * Who gets what: each what it wants when there is enough, and an equal part of
 * the rest; otherwise max-min fair, so that nobody who wants it gets less than
 * an equal part.
 */
#ifndef CONTROLPLANE_FLEET_SHARE_H
#define CONTROLPLANE_FLEET_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"

enum share_dim { SHARE_REQUESTS, SHARE_TOKENS, SHARE_PLACES, SHARE_N };
#define SHARE_RATES 2 /* the first two: micro-units a minute */

#define SHARE_TTL_NS (10 * NS_PER_S) /* as the agent counts, from sending */
#define SHARE_MARGIN_NS                                        \
	(5 * NS_PER_S) /* more on our side: clocks' drift, and \
			  replicas whose clocks differ */

struct share_limit {
	int64_t size[SHARE_N];	    /* rates in micro-units a minute; places */
	int64_t burst[SHARE_RATES]; /* micro-units */
};

/* One agent's row. */
struct share_row {
	char agent_id[40];
	uint64_t boot_epoch, session, share_id;
	int64_t until; /* wall ns; at or before now: nothing counts */
	int64_t size[SHARE_N];
	int64_t old_until; /* of the larger one before, until confirmed */
	int64_t old[SHARE_N];
	int64_t wanted[SHARE_N];
	int64_t given[SHARE_RATES], returned[SHARE_RATES];
	int64_t in_flight;
};

struct share_pool {
	bool is_new; /* full */
	int64_t at;  /* wall ns of the last decision */
	int64_t level[SHARE_RATES];
};

struct share_report {
	uint64_t boot_epoch, session, share_id;
	bool release;
	int64_t wanted[SHARE_N];
	int64_t level[SHARE_RATES], returned[SHARE_RATES];
	int64_t in_flight;
};

struct share_answer {
	unsigned n_agents;
	bool more;
	bool stale; /* of a session that is over: answer nothing */
};

/* Decide about rows[me] (zeroed but for the id when it is new) on its report;
 * the caller writes rows[me] and the pool back. */
void share_decide(const struct share_limit *lim, struct share_pool *pool,
    struct share_row *rows, size_t n, size_t me,
    const struct share_report *said, int64_t now, struct share_answer *ret);
/* What counts of a row at `now`. */
int64_t share_counts(const struct share_row *r, enum share_dim d, int64_t now);

#endif
