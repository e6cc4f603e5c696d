/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who goes first when rights are short: a request that waited for a while
 * claims what comes free on its budget, so that a stream of smaller ones that
 * came later cannot take every part of it until its time is over.
 *
 * Nothing is held for a claim. It is a rule for the others: who stands behind
 * takes rights only where the claimed amount is left over. Invariants:
 *
 *	a budget has at most one claim: of those that claimed it, the first
 *	all keys of an agent have one order, and a claim binds only who comes
 *	  after it: so the first of all who wait is bound by none, and no two
 *	  wait for each other, over however many budgets
 *	only who is likely to be served claims: what is here, free, idle at
 *	  others, and what requests in flight here usually give back, pays for
 *	  it. Who needs more than there is holds up nobody
 *	a claim ends with its request, when it is not likely any more, and at
 *	  `until` in any case, whatever became of who made it
 *	while the control plane is silent no claim binds: nobody may wait then
 *
 * A claim is advice: what is admitted is decided by lease.left alone. Who makes
 * one while another worker takes it away may leave its amount with the other's
 * key for a moment; each makes its own again whenever it is woken.
 *
 * While nobody claims a reservation costs one relaxed load more.
 */
#ifndef AGENT_MONEY_LEASE_CLAIM_H
#define AGENT_MONEY_LEASE_CLAIM_H

#include "agent/money/lease.h"

/* Of who has no place in the order: after all others. */
#define LEASE_KEY_LAST UINT64_MAX

/* The claims of one request; zeroed = none. Its worker's. */
struct lease_claims {
	uint64_t key; /* they were made with */
	unsigned n;
	struct budget_cell *cells[BUNDLE_MAX_BUDGETS];
};

/* W. The next number of those who begin to wait, > 0. */
uint64_t lease_turn(void);
/* Its place in the order: lower ranks (0..2) first, then lower turns; turn 0:
 * after all who wait in its rank. */
uint64_t lease_key(unsigned rank, uint64_t turn);
/* W. As lease_reserve_path(), for a request with that key: claims of those
 * before it are left over. */
int lease_reserve_as(struct budget_cell *const *path, unsigned n,
    int64_t amount, int64_t mono_now, uint64_t key, struct reservation *r,
    struct budget_cell **short_of);
/* W. What a request with that key leaves of cell's rights, because somebody
 * before it claims so much. */
int64_t lease_claimed(
    const struct budget_cell *cell, uint64_t key, int64_t mono_now);
/* Any. May `amount` come on cell before long? share: per mille of a reservation
 * that requests usually cost at least; 0 = not known, then half. */
bool lease_is_likely(const struct budget_cell *cell, int64_t amount, int share);
/* W. Claim amount on cell, unless somebody before it does; or make the claim
 * again. The request's other claims stay, and get the key that it has now:
 * who was short of two budgets in turn needs both at once. until: mono ns. */
void lease_claim(struct lease_claims *c, struct budget_cell *cell,
    int64_t amount, uint64_t key, int64_t until, int64_t mono_now);
/* W. End them all. True: others wait, who may go on now. Safe without any. */
bool lease_claims_drop(struct lease_claims *c);

#endif
