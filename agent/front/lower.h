/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hold decay: a request in flight holds rights for its worst case. Some of it
 * is proven too high while the answer streams, and is let go of:
 *
 *   HELD --told, worth it--> WRITTEN --durable--> RELEASED
 *     \________________________\____________________\--> settled
 *
 * What proves it: the provider told its count of the input before the end
 * (Anthropic in message_start, Gemini in every chunk, compatible servers that
 * count along). The input's part of the reservation falls from the bound to
 * what these tokens cost at the dearest tier that the answer may have. The
 * output's part does not fall: what is spent so far and what the cap leaves
 * add up to the same.
 *
 * - Only when no other attempt is possible: the client got the first bytes, or
 *   left. Another attempt would reserve anew in any case.
 * - Only when the whole bound is the request's own: not with tools of the
 *   provider, kept context or a declared cap.
 * - Only when somebody may need it (lower_is_tight()), for it costs a record;
 *   by more than a tenth and LOWER_MIN. At most once an attempt.
 * - The amount is proven from the moment it was told, so the attempt's usage
 *   record names the lower one from then on; the rights follow when the lower
 *   record is durable (journal.h), so that no crash bills more than is held.
 * - A provider that tells more input later was wrong: it is counted, and the
 *   amount that the end proves is what a partial count holds.
 */
#ifndef AGENT_FRONT_LOWER_H
#define AGENT_FRONT_LOWER_H

#include "agent/front/request.h"

#define LOWER_MIN   INT64_C(10000)   /* nano-USD */
#define LOWER_POLL  (2 * NS_PER_MS)  /* while a record is not durable */
#define LOWER_AGAIN (50 * NS_PER_MS) /* look whether it is tight now */
#define LOWER_FREE  4		     /* tight: less than a 4th is free */

/* Bytes of a streamed answer were read. Cheap while there is nothing new. */
void lower_look(struct request *r);
/* How long a turn may wait while f->lowering, ns: a group commit, or, when a
 * disk makes trouble, longer. */
int64_t lower_max_wait(const struct front *f);
/* Every turn while f->lowering: let go of what became durable. */
void lower_release(struct front *f);
/* The attempt ends, before its usage record is made: what the provider told
 * last decides the amount that the record names. */
void lower_settle(struct request *r);

#endif
