/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shrink to fit: near the end of a budget, a request that asks for more than
 * is left may be served with a lower cap on its output. Only where an answer
 * that is cut short is of use (cap_may_shrink()), and never below what makes
 * one. The client is told by x-headgate-max-output-tokens.
 *
 * Invariant: a request that a lower cap would admit is not refused as busy.
 * From half of --lease-wait on it is tried with less, and then has another
 * half to get its rights, which may be with the control plane. When
 * that does not answer, only the rights that are here count. Nor is it refused
 * as exhausted while requests in flight may leave enough for the least of it.
 */
#ifndef AGENT_FRONT_SHRINK_H
#define AGENT_FRONT_SHRINK_H

#include "agent/front/request.h"

/* The least that is worth asking for: a few sentences; of a model that thinks
 * first, room for that. Tokens for each choice. */
#define SHRINK_MIN	     64
#define SHRINK_MIN_REASONING 1024
#define SHRINK_MAX_TRIES     3

/* nano-USD that the budget can still pay for: rights here, and what the control
 * plane had free or could call back at its last word, unless it does not answer
 * now. */
int64_t shrink_rights(const struct budget_cell *cell, int64_t mono_now);
/* nano-USD that the request reserves when it is shrunk as far as may be; its
 * amount when it should not be. Less than that is of no use to it. */
int64_t shrink_least(const struct request *r);
/* Output tokens of each choice that what is left of the budget pays for; 0
 * when the request should not be shrunk, or is small enough already. */
int64_t shrink_to(const struct request *r, const struct budget_cell *cell);
/* Lower the worst case, the amount and the body. Errors of
 * forward_prepare(). */
int shrink_apply(struct request *r, int64_t n) MUST_CHECK;

#endif
