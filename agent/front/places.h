/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request and its place at a deployment: take one, wait in the queue for one
 * (agent/policy/queue.h), give it back. Worker's thread.
 */
#ifndef AGENT_FRONT_PLACES_H
#define AGENT_FRONT_PLACES_H

#include "agent/front/front.h"

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
