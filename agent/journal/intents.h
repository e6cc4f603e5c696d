/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open intents of a shard: encoded intent records without their usage
 * record, by request id and attempt. The worker keeps one to carry open
 * intents over into a new segment (so that old segments can be deleted), the
 * replay one to find out what a crash interrupted. One thread at a time.
 */
#ifndef AGENT_JOURNAL_INTENTS_H
#define AGENT_JOURNAL_INTENTS_H

#include "agent/journal/record.h"

struct intent_slot {
	uint32_t next; /* in its chain or the free list; slot number + 1 */
	uint32_t turn; /* intent_set.turn when it was added */
	uint16_t len;  /* of the record; 0 = free */
	uint8_t record[RECORD_INTENT_MAX];
};

struct intent_set {
	struct intent_slot *slots;
	uint32_t *heads; /* n_heads chains; slot number + 1 */
	uint32_t n_slots, cap, n_heads, free_list;
	uint32_t count;	       /* open intents */
	uint32_t turn;	       /* the owner's, for its use */
	uint32_t removed_turn; /* of the slot that was removed last */
};

void intents_init(struct intent_set *s);
void intents_release(struct intent_set *s);
/* Add an encoded intent record; of two with the same id the one that reserves
 * less is kept (a lowered one was carried over). ERR_NOMEM. */
int intents_add(
    struct intent_set *s, const uint8_t *record, size_t len) MUST_CHECK;
/* The open intent with the first RECORD_ID bytes of its head, or NULL. */
const struct intent_slot *intents_find(
    const struct intent_set *s, const uint8_t *id);
/* nano-USD that it reserves. */
int64_t intents_reserved(const struct intent_slot *slot);
/* The open intent with the identity of `to` reserves to->reserved, for
 * to->worst, from now on. False when there is none, or it reserves no more
 * already. */
bool intents_lower(struct intent_set *s, const struct journal_intent *to);
/* Remove by the first RECORD_ID bytes of a head; false when not there. */
bool intents_remove(struct intent_set *s, const uint8_t *id);
/* The open intent at or after slot *at (start at 0), which is moved behind
 * it; NULL at the end. The order is that of the slots. */
const struct intent_slot *intents_next(
    const struct intent_set *s, uint32_t *at);

#endif
