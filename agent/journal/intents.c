/* SPDX-License-Identifier: Apache-2.0 */
/* Hash table of open intents, see intents.h. */
#include "agent/journal/intents.h"

#include <stdlib.h>
#include <string.h>

void
intents_init(struct intent_set *s)
{
	memset(s, 0, sizeof(*s));
}

void
intents_release(struct intent_set *s)
{
	free(s->slots);
	free(s->heads);
	memset(s, 0, sizeof(*s));
}

static const uint8_t *
slot_id(const struct intent_slot *slot)
{
	return slot->record + RECORD_HEADER;
}

/* Request ids are UUIDv7: their last 8 bytes are random. */
static uint32_t *
intents_head(const struct intent_set *s, const uint8_t *id)
{
	uint64_t h =
	    (get_u64(id + 8) ^ get_u32(id + 16)) * UINT64_C(0x9e3779b97f4a7c15);

	return &s->heads[(h >> 32) & (s->n_heads - 1)];
}

static int64_t
record_reserved(const uint8_t *record)
{
	return (int64_t)get_u64(record + RECORD_HEADER + RECORD_RESERVED);
}

/* Take another record of the same request if it reserves less. */
static void
slot_lower(struct intent_slot *slot, const uint8_t *record, size_t len)
{
	if (record_reserved(record) >= record_reserved(slot->record))
		return;
	slot->len = (uint16_t)len;
	memcpy(slot->record, record, len);
}

static int
intents_grow(struct intent_set *s)
{
	uint32_t cap = s->cap == 0 ? 64 : s->cap * 2;
	struct intent_slot *slots;
	uint32_t *heads;

	if (cap > UINT32_MAX / 4)
		return ERR_LIMIT;
	slots = realloc(s->slots, cap * sizeof(*slots));
	if (slots == NULL)
		return ERR_NOMEM;
	s->slots = slots;
	heads = calloc(cap * 2, sizeof(*heads));
	if (heads == NULL)
		return ERR_NOMEM;
	free(s->heads);
	s->heads = heads;
	s->n_heads = cap * 2;
	s->cap = cap;
	for (uint32_t i = 0; i < s->n_slots; i++) { /* none is free now */
		uint32_t *head = intents_head(s, slot_id(&slots[i]));

		slots[i].next = *head;
		*head = i + 1;
	}
	return 0;
}

static struct intent_slot *
intents_get(const struct intent_set *s, const uint8_t *id)
{
	if (s->n_heads == 0)
		return NULL;
	for (uint32_t at = *intents_head(s, id); at != 0;
	     at = s->slots[at - 1].next)
		if (memcmp(slot_id(&s->slots[at - 1]), id, RECORD_ID) == 0)
			return &s->slots[at - 1];
	return NULL;
}

int
intents_add(struct intent_set *s, const uint8_t *record, size_t len)
{
	const uint8_t *id = record + RECORD_HEADER;
	struct intent_slot *slot = intents_get(s, id);
	uint32_t *head, at;
	int rc;

	MUST(len >= RECORD_HEADER + RECORD_HEAD && len <= RECORD_INTENT_MAX);
	if (slot != NULL) {
		slot_lower(slot, record, len);
		return 0;
	}
	if (s->free_list == 0 && s->n_slots == s->cap) {
		rc = intents_grow(s);
		if (rc != 0)
			return rc;
	}
	if (s->free_list != 0) {
		at = s->free_list;
		s->free_list = s->slots[at - 1].next;
	} else {
		at = ++s->n_slots;
	}
	head = intents_head(s, id);
	slot = &s->slots[at - 1];
	slot->next = *head;
	slot->turn = s->turn;
	slot->len = (uint16_t)len;
	memcpy(slot->record, record, len);
	*head = at;
	s->count++;
	return 0;
}

const struct intent_slot *
intents_find(const struct intent_set *s, const uint8_t *id)
{
	return intents_get(s, id);
}

int64_t
intents_reserved(const struct intent_slot *slot)
{
	return record_reserved(slot->record);
}

bool
intents_lower(struct intent_set *s, const struct journal_intent *to)
{
	uint8_t id[RECORD_ID], record[RECORD_INTENT_MAX];
	struct intent_slot *slot;
	struct journal_intent i;

	memcpy(id, to->request_id, 16);
	put_u32(id + 16, to->attempt);
	slot = intents_get(s, id);
	if (slot == NULL || to->reserved >= record_reserved(slot->record))
		return false;
	MUST(record_decode_intent(
		 str_make((const char *)slot->record + RECORD_HEADER,
		     (size_t)slot->len - RECORD_HEADER),
		 &i) == 0);
	i.reserved = to->reserved;
	i.worst = to->worst;
	slot_lower(slot, record, record_encode_intent(record, &i));
	return true;
}

bool
intents_remove(struct intent_set *s, const uint8_t *id)
{
	uint32_t *link;

	if (s->n_heads == 0)
		return false;
	for (link = intents_head(s, id); *link != 0;) {
		uint32_t at = *link;
		struct intent_slot *slot = &s->slots[at - 1];

		if (memcmp(slot_id(slot), id, RECORD_ID) != 0) {
			link = &slot->next;
			continue;
		}
		*link = slot->next;
		s->removed_turn = slot->turn;
		slot->len = 0;
		slot->next = s->free_list;
		s->free_list = at;
		s->count--;
		return true;
	}
	return false;
}

const struct intent_slot *
intents_next(const struct intent_set *s, uint32_t *at)
{
	while (*at < s->n_slots) {
		const struct intent_slot *slot = &s->slots[(*at)++];

		if (slot->len != 0)
			return slot;
	}
	return NULL;
}
