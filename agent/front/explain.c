/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of seqlock slots. An odd sequence number means that the slot is being
 * written; a reader copies and looks whether the number stayed the same. The
 * bytes travel through release stores and acquire loads, which keeps them
 * between the two looks at the number without fences (TSan knows none).
 */
#include "agent/front/explain.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EXPLAIN_WORDS ((sizeof(struct explain_entry) + 7) / 8)

struct explain_slot {
	_Atomic uint64_t seq;
	_Atomic uint64_t words[EXPLAIN_WORDS];
};

struct explain_table {
	unsigned n_workers, per_worker;
	_Atomic uint64_t *put; /* entries written, per worker */
	struct explain_slot *slots;
};

struct explain_table *
explain_new(unsigned n_workers, unsigned per_worker)
{
	struct explain_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->n_workers = n_workers;
	t->per_worker = per_worker;
	t->put = calloc(n_workers, sizeof(*t->put));
	t->slots = calloc((size_t)n_workers * per_worker, sizeof(*t->slots));
	if (t->put == NULL || t->slots == NULL) {
		explain_free(t);
		return NULL;
	}
	return t;
}

void
explain_free(struct explain_table *t)
{
	if (t == NULL)
		return;
	free(t->put);
	free(t->slots);
	free(t);
}

void
explain_put(
    struct explain_table *t, unsigned worker, const struct explain_entry *e)
{
	uint64_t n =
	    atomic_load_explicit(&t->put[worker], memory_order_relaxed);
	struct explain_slot *s =
	    &t->slots[worker * t->per_worker + n % t->per_worker];
	uint64_t seq = atomic_load_explicit(&s->seq, memory_order_relaxed);
	uint64_t word;
	size_t i, off, len;

	atomic_store_explicit(&s->seq, seq + 1, memory_order_relaxed);
	for (i = 0; i < EXPLAIN_WORDS; i++) {
		off = i * 8;
		len = sizeof(*e) - off < 8 ? sizeof(*e) - off : 8;
		word = 0;
		memcpy(&word, (const char *)e + off, len);
		atomic_store_explicit(&s->words[i], word, memory_order_release);
	}
	atomic_store_explicit(&s->seq, seq + 2, memory_order_release);
	atomic_store_explicit(&t->put[worker], n + 1, memory_order_release);
}

/* False when the slot is empty or was written meanwhile. */
static bool
explain_read(const struct explain_slot *s, struct explain_entry *out)
{
	uint64_t seq = atomic_load_explicit(&s->seq, memory_order_acquire);
	uint64_t word;
	size_t i, off, len;

	if (seq == 0 || (seq & 1) != 0)
		return false;
	for (i = 0; i < EXPLAIN_WORDS; i++) {
		off = i * 8;
		len = sizeof(*out) - off < 8 ? sizeof(*out) - off : 8;
		word = atomic_load_explicit(&s->words[i], memory_order_acquire);
		memcpy((char *)out + off, &word, len);
	}
	return atomic_load_explicit(&s->seq, memory_order_relaxed) == seq;
}

/* Cheap look at the id alone before the whole entry is copied. */
static bool
explain_has_id(const struct explain_slot *s, const char *id, size_t len)
{
	uint64_t word, want = 0;
	size_t i, n;

	for (i = 0; i * 8 < len; i++) {
		n = len - i * 8 < 8 ? len - i * 8 : 8;
		word = atomic_load_explicit(&s->words[i], memory_order_relaxed);
		want = 0;
		memcpy(&want, id + i * 8, n);
		if (memcmp(&word, &want, n) != 0)
			return false;
	}
	return true;
}

bool
explain_find(
    struct explain_table *t, const char *request_id, struct explain_entry *out)
{
	size_t i, len = strlen(request_id);
	size_t total = (size_t)t->n_workers * t->per_worker;

	if (len == 0 || len >= sizeof(out->request_id))
		return false;
	for (i = 0; i < total; i++) {
		if (explain_has_id(&t->slots[i], request_id, len) &&
		    explain_read(&t->slots[i], out) &&
		    strcmp(out->request_id, request_id) == 0)
			return true;
	}
	return false;
}
