/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local limits on requests and tokens per minute and on concurrency: lock-free
 * cells shared by the workers. Rates are token buckets on the monotonic clock
 * (GCRA: one atomic "theoretical arrival time" each, burst = one minute's
 * quota), so an idle caller may use a whole minute's quota at once and never
 * more than 2 x quota within any 60 s.
 */
#ifndef AGENT_POLICY_LIMIT_H
#define AGENT_POLICY_LIMIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/str.h"

struct limit_cell {
	uint64_t uid;	  /* of the limit item, or deployment */
	struct str name;  /* owned by the registry */
	struct str scope; /* scope name, for messages */
	_Atomic int64_t rpm, tpm, max_conc; /* 0 = no limit; set by C */
	_Atomic int64_t tat_req;	    /* mono ns */
	_Atomic int64_t tat_tok;	    /* mono ns */
	_Atomic int64_t conc;
};

enum limit_which {
	LIMIT_NONE,
	LIMIT_REQUESTS,
	LIMIT_TOKENS,
	LIMIT_CONCURRENCY
};

struct limit_verdict {
	enum limit_which which; /* what refused */
	const struct limit_cell *cell;
	int64_t limit;
	int64_t retry_ms; /* when it may succeed */
};

/* Take one request, `tokens` tokens and one concurrency place on all cells,
 * all or nothing. 0 or ERR_RATE_LIMITED with *v filled. */
int limit_take(struct limit_cell *const *cells, unsigned n, int64_t tokens,
    int64_t mono_now, struct limit_verdict *v);
/* Give the places back; tokens_delta = real minus taken tokens (may be < 0)
 * corrects the token rate. Exactly once for each successful take. */
void limit_done(struct limit_cell *const *cells, unsigned n,
    int64_t tokens_delta, int64_t mono_now);
/* Remaining requests/tokens and ms to full, for x-ratelimit-* headers. */
void limit_remaining(const struct limit_cell *c, int64_t mono_now,
    int64_t *req_left, int64_t *tok_left, int64_t *req_reset_ms,
    int64_t *tok_reset_ms);

#endif
