/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on requests and tokens a minute and on requests at once: lock-free
 * cells shared by the workers. A rate is a token bucket: `rate` flows in, at
 * most `depth` (the burst) is kept, and what is admitted is taken out, so that
 *
 *   in any time t no more is admitted than  rate x t + depth.
 *
 * Of tokens, a request larger than the whole bucket passes when the bucket is
 * full and leaves a debt; what an answer really took is corrected afterwards.
 * A debt is kept up to LIMIT_DEBT minutes of the limit.
 *
 * A limit of one agent (`fleet` unset) has its whole rate here. Of a limit of
 * the fleet the cell has a share that the control plane lends for a time, see
 * agent/policy/rate.h: rate, depth and places are the share's then. At
 * `until` it ends, and the agent goes on with the safe share: what it had, but
 * no more than an equal part among the agents last heard of.
 */
#ifndef AGENT_POLICY_LIMIT_H
#define AGENT_POLICY_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

#define LIMIT_UNIT INT64_C(1000000) /* micro-requests, micro-tokens */
#define LIMIT_DEBT 10		    /* minutes of the limit */
/* How many agents there are when nobody said so yet. */
#define LIMIT_AGENTS_GUESS 10

/* Everything in micro-units; rate is a minute's. 0 rate = no share (yet). */
struct limit_bucket {
	_Atomic int64_t level; /* may be below 0: debt */
	_Atomic int64_t at;    /* mono ns, filled up to */
	_Atomic int64_t rate, depth;
	_Atomic int64_t filled; /* what flowed in so far */
	_Atomic int64_t denied; /* of fleets: what was asked in vain */
};

struct rate_table;
struct wait_queue; /* agent/policy/queue.h */

struct limit_cell {
	uint64_t uid;	  /* of the limit item, or deployment */
	struct str name;  /* owned by the registry */
	struct str scope; /* scope name, for messages */
	/* As configured; 0 = no limit. Bursts: 0 = one minute's quota. */
	_Atomic int64_t rpm, tpm, max_conc, req_burst, tok_burst;
	_Atomic bool fleet;    /* what follows is a share */
	_Atomic int64_t until; /* mono ns: end of the share; 0 = none yet,
				  INT64_MAX = the safe share, without end */
	struct limit_bucket req, tok;
	_Atomic int64_t places;	  /* of max_conc; of fleets: our share */
	_Atomic int64_t conc;	  /* taken now */
	_Atomic int64_t peak;	  /* most at once lately (fleets) */
	_Atomic int64_t denied;	  /* for want of a place (fleets) */
	_Atomic int64_t largest;  /* request in micro-tokens lately (fleets) */
	_Atomic bool pending;	  /* a scrap of a share will grow soon */
	_Atomic int64_t agents;	  /* that use it, as last heard; 0 = unknown */
	struct wait_queue *queue; /* of a deployment; else NULL */
	/* The table's, rate.h */
	struct rate_table *table; /* NULL: treat as not of the fleet */
	struct rate_cell *lease;
	_Atomic(struct limit_cell *) asked_next;
	_Atomic bool asked; /* in the list of those that need a share */
};

enum limit_which {
	LIMIT_NONE,
	LIMIT_REQUESTS,
	LIMIT_TOKENS,
	LIMIT_CONCURRENCY
};

struct limit_verdict {
	enum limit_which which; /* what refused */
	struct limit_cell *cell;
	int64_t limit;	  /* as configured */
	int64_t retry_ms; /* when it may succeed */
};

/* Is a share so small that it is none yet: below half of an equal part? Who
 * joins while others have all of the limit is lent what is left of the
 * division first. */
static inline bool
limit_is_scrap(int64_t share, int64_t whole, int64_t agents)
{
	return share <= 0 || (agents > 0 && share < whole / agents / 2);
}

/* What a limit item or a deployment says. */
struct limit_values {
	int64_t rpm, tpm, max_conc, req_burst, tok_burst;
	bool fleet;
};
/* Make them hold. A new bucket is full; one that has another rate or burst now
 * keeps its level as far as it fits. One thread at a time. */
void limit_set(struct limit_cell *c, const struct limit_values *v);

/* Take one request, `tokens` tokens and one place on all cells, all or
 * nothing. 0; ERR_RATE_LIMITED with *v filled; ERR_AGAIN: v->cell has no share
 * of its limit yet, or a scrap of one that will grow, and was asked for one,
 * wait for it. Any worker. */
int limit_take(struct limit_cell *const *cells, unsigned n, int64_t tokens,
    int64_t mono_now, struct limit_verdict *v);
/* Give the places back; tokens_delta = real minus taken tokens (may be < 0)
 * corrects the token rate. Exactly once for each successful take. */
void limit_done(struct limit_cell *const *cells, unsigned n,
    int64_t tokens_delta, int64_t mono_now);
/* Remaining requests/tokens at this agent and ms until its bucket is full, for
 * x-ratelimit-* headers. Never more than a minute's quota remains. */
void limit_remaining(const struct limit_cell *c, int64_t mono_now,
    int64_t *req_left, int64_t *tok_left, int64_t *req_reset_ms,
    int64_t *tok_reset_ms);

/* No share came in time: go on with the safe share. Any worker. */
void limit_assume(struct limit_cell *c, int64_t mono_now);

/* ---- for the table of shares (control thread) ---- */

/* Micro-units of the burst of a rate: per_minute and burst as configured. */
int64_t limit_burst(int64_t per_minute, int64_t burst);
/* Let flow in what is due by now. */
void limit_fill(struct limit_bucket *b, int64_t now);
/* Change rate and depth; returns what was in it above the new depth and is
 * out now. */
int64_t limit_reshape(
    struct limit_bucket *b, int64_t rate, int64_t depth, int64_t now);
/* Put in; returns what did not fit. */
int64_t limit_pour(struct limit_bucket *b, int64_t amount);

#endif
