/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for rights on a budget, or for a share of a limit: the worker's
 * list of them, in what order they are tried, and what those leave for them
 * who came later.
 *
 * Order: the classes, and in them who waits longest; who has waited for half of
 * --lease-wait goes with the critical ones. Who has waited for a sixteenth
 * claims its rights (agent/money/lease_claim.h) until three quarters are over:
 * the last one is for those who stood behind. They came later, so that each of
 * them is tried without any claim before it before its own time ends; nobody is
 * refused because somebody else did not get what it waited for. Between
 * workers, only who claims is in order.
 *
 * Invariant: only a request in REQ_WAIT has claims, or one that is about to
 * return there in the same call.
 */
#ifndef AGENT_FRONT_WAITING_H
#define AGENT_FRONT_WAITING_H

#include "agent/front/front.h"

/* Into the list, at its place by wait_since; that and wait_end are set the
 * first time. */
void waiting_enter(struct request *r);
/* Out of the list. Its claims end; it keeps its turn until waiting_over(). */
void waiting_leave(struct request *r);
/* As waiting_leave(), but the claims stay: it waits for another budget now. */
void waiting_move(struct request *r);
/* It got what it waited for: when it waits again it is as new. */
void waiting_over(struct request *r);
/* In which class (enum queue_class) it is tried. */
int waiting_class(const struct request *r);
/* Its place in the order of all, see lease_key(). */
uint64_t waiting_key(const struct request *r);
/* It found no rights on r->short_of: claim what comes, if its time for that has
 * come and they may come; or end its claims. share: lease_is_likely(). */
void waiting_claim(struct request *r, int share);
/* End its claims, tell who stood behind. Safe at any time. */
void waiting_drop(struct request *r);
/* When it is to be tried next because of its claims (mono ns). */
int64_t waiting_next(const struct request *r);
/* Rights came free: for who waits, before who comes. They are tried in this
 * turn; those of other workers, too, or within a millisecond. */
void waiting_tell(struct front *f);

#endif
