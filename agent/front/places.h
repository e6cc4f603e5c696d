/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request and its places: of the agent itself (--max-streams,
 * --max-requests; held from admission to the end), and at a deployment (held by
 * an attempt). Take one, wait in the queue for one (agent/policy/queue.h), give
 * it back. Worker's thread.
 *
 * Invariant: no more requests hold places of a kind than there are, and each
 * is given back exactly once, whatever ends the request.
 */
#ifndef AGENT_FRONT_PLACES_H
#define AGENT_FRONT_PLACES_H

#include "agent/front/front.h"

/* Take those of the agent's places that the request, in REQ_ADMIT, needs and
 * does not hold. False: it waits for one and then goes on with limits_begin(),
 * or is refused. */
bool places_enter(struct request *r);
/* Give the agent's places back. Safe at any time. */
void places_exit(struct request *r);
/* May the large body grow by so much? The last eighth of the room for them is
 * not for batch and standard keys, the eighth before it not for batch. */
bool places_body(struct request *r, size_t more);
/* Take a place at a target of the route; false: none is free, remembered in
 * r->full. A deployment without a bound always has one. */
bool places_take(struct request *r, unsigned target);
/* Give the attempt's place back, if it has one. Safe at any time. */
void places_give(struct request *r);
/* Every target that could be tried is full (r->full): wait for one of them, or
 * refuse. False: there is nothing to wait for. */
bool places_wait(struct request *r);
/* Its client left while it waited. */
void places_leave(struct request *r);
/* Go on with the requests that got a place, or lost their turn. */
void places_turn(struct front *f);

#endif
