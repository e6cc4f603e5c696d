/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a route to a deployment: lowest priority number first, by weight among
 * equals, leaving out what was tried already, what is at its concurrency and
 * what failed lately (a passive circuit breaker per deployment and worker).
 * When every candidate's circuit is open the best one is tried all the same:
 * refusing is never better than trying.
 */
#ifndef AGENT_ROUTE_ROUTE_H
#define AGENT_ROUTE_ROUTE_H

#include <stdint.h>

#include "agent/config/bundle.h"
#include "common/rng.h"

#define ROUTE_MAX_TARGETS 64   /* of one route; further ones are not used */
#define ROUTE_CIRCUITS	  1024 /* slots; a power of two */

struct route_circuit {
	uint64_t uid;	    /* deployment; 0 = free */
	uint32_t failures;  /* in a row */
	int64_t open_until; /* mono ns; 0 = closed */
	int64_t cooldown;   /* of the last opening, ns */
};

struct route_health {
	struct route_circuit slots[ROUTE_CIRCUITS];
	uint32_t max_failures; /* in a row that open a circuit */
	int64_t cooldown;      /* first opening, ns; doubles up to 16 x */
};

void route_health_init(
    struct route_health *h, uint32_t max_failures, int64_t cooldown);
/* Outcome of a call to the deployment. route_failed returns true when this
 * failure opened its circuit. */
void route_worked(struct route_health *h, uint64_t uid);
bool route_failed(struct route_health *h, uint64_t uid, int64_t mono_now);
bool route_is_open(const struct route_health *h, uint64_t uid, int64_t now);

/* May the target serve the request at all (capability, price, ...)? */
typedef bool route_fit_fn(void *ctx, const struct b_deployment *d);

/* Pick a target. tried: bit set of target indices to leave out. fit may be
 * NULL. Returns the index or -1 when nothing is left. */
int route_pick(const struct b_route *r, uint64_t tried,
    const struct route_health *h, struct rng *rng, int64_t mono_now,
    route_fit_fn *fit, void *ctx);

#endif
