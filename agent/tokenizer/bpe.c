/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a piece are named by their first byte. A part's rank is that of
 * its union with the next part. Entries of the heap are not removed when a
 * merge makes them void; they are known by their rank, which then differs.
 */
#include "agent/tokenizer/bpe.h"

#include <stdlib.h>

#define BPE_SHORT 64 /* up to here the linear search is the faster one */

struct bpe_work {
	const struct bpe_table *t;
	const uint8_t *p;
	uint32_t len;
	uint32_t n_heap;
	uint64_t *heap; /* rank << 32 | part; at most 2 * len */
	uint32_t *rank, *next, *prev;
};

void
bpe_scratch_release(struct bpe_scratch *s)
{
	free(s->mem);
	s->mem = NULL;
	s->cap = 0;
}

static int
bpe_reserve(struct bpe_scratch *s, size_t len)
{
	size_t cap = s->cap > 0 ? s->cap : 1024;
	void *mem;

	if (len <= s->cap)
		return 0;
	while (cap < len)
		cap *= 2;
	mem = malloc(cap * 28);
	if (mem == NULL)
		return ERR_NOMEM;
	free(s->mem);
	s->mem = mem;
	s->cap = cap;
	return 0;
}

static size_t
bpe_short(
    const struct bpe_table *t, const uint8_t *p, size_t len, uint32_t *ids)
{
	uint32_t rank[BPE_SHORT + 1], best;
	uint8_t start[BPE_SHORT + 1];
	size_t i, at, n = len;

	for (i = 0; i < len; i++) {
		start[i] = (uint8_t)i;
		rank[i] = i + 1 < len ? bpe_rank(t, p + i, 2) : BPE_NONE;
	}
	start[len] = (uint8_t)len;
	for (;;) {
		best = BPE_NONE;
		at = 0;
		for (i = 0; i + 1 < n; i++) {
			if (rank[i] < best) {
				best = rank[i];
				at = i;
			}
		}
		if (best == BPE_NONE)
			break;
		n--;
		memmove(&start[at + 1], &start[at + 2], n - at);
		memmove(&rank[at + 1], &rank[at + 2],
		    (n - at - 1) * sizeof(rank[0]));
		rank[at] = at + 1 < n ? bpe_rank(t, p + start[at],
					    start[at + 2] - start[at])
				      : BPE_NONE;
		if (at > 0)
			rank[at - 1] = bpe_rank(t, p + start[at - 1],
			    start[at + 1] - start[at - 1]);
	}
	for (i = 0; ids != NULL && i < n; i++)
		ids[i] = bpe_rank(t, p + start[i], start[i + 1] - start[i]);
	return n;
}

static void
bpe_sift(uint64_t *heap, uint32_t n, uint32_t at)
{
	uint64_t v = heap[at];
	uint32_t child;

	while ((child = 2 * at + 1) < n) {
		if (child + 1 < n && heap[child + 1] < heap[child])
			child++;
		if (heap[child] >= v)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = v;
}

static void
bpe_push(struct bpe_work *w, uint64_t v)
{
	uint32_t at = w->n_heap++, up;

	while (at > 0 && w->heap[up = (at - 1) / 2] > v) {
		w->heap[at] = w->heap[up];
		at = up;
	}
	w->heap[at] = v;
}

/* The rank of a part after its neighbour grew or it did. */
static void
bpe_rerank(struct bpe_work *w, uint32_t at)
{
	uint32_t end = w->next[at];

	w->rank[at] = BPE_NONE;
	if (end >= w->len)
		return;
	w->rank[at] = bpe_rank(w->t, w->p + at, w->next[end] - at);
	if (w->rank[at] != BPE_NONE)
		bpe_push(w, (uint64_t)w->rank[at] << 32 | at);
}

static void
bpe_start(struct bpe_work *w)
{
	uint32_t i;

	for (i = 0; i < w->len; i++) {
		w->next[i] = i + 1;
		w->prev[i] = i - 1;
		w->rank[i] =
		    i + 1 < w->len ? bpe_rank(w->t, w->p + i, 2) : BPE_NONE;
		if (w->rank[i] != BPE_NONE)
			w->heap[w->n_heap++] = (uint64_t)w->rank[i] << 32 | i;
	}
	for (i = w->n_heap / 2; i > 0; i--)
		bpe_sift(w->heap, w->n_heap, i - 1);
}

static size_t
bpe_long(struct bpe_work *w)
{
	uint32_t at, gone, n = w->len;
	uint64_t top;

	bpe_start(w);
	while (w->n_heap > 0) {
		top = w->heap[0];
		w->heap[0] = w->heap[--w->n_heap];
		bpe_sift(w->heap, w->n_heap, 0);
		at = (uint32_t)top;
		if (w->rank[at] != (uint32_t)(top >> 32))
			continue;
		gone = w->next[at];
		w->next[at] = w->next[gone];
		if (w->next[at] < w->len)
			w->prev[w->next[at]] = at;
		w->rank[gone] = BPE_NONE;
		n--;
		bpe_rerank(w, at);
		if (at > 0)
			bpe_rerank(w, w->prev[at]);
	}
	return n;
}

int
bpe_piece(const struct bpe_table *t, struct bpe_scratch *s, const uint8_t *p,
    size_t len, uint32_t *ids, size_t *n)
{
	struct bpe_work w = {.t = t, .p = p, .len = (uint32_t)len};
	uint32_t rank = bpe_rank(t, p, len), at;
	size_t i = 0;
	int rc;

	if (rank != BPE_NONE) {
		if (ids != NULL)
			ids[0] = rank;
		*n = 1;
		return 0;
	}
	if (len <= BPE_SHORT) {
		*n = bpe_short(t, p, len, ids);
		return 0;
	}
	rc = bpe_reserve(s, len);
	if (rc != 0)
		return rc;
	w.heap = s->mem;
	w.rank = (uint32_t *)(w.heap + 2 * s->cap);
	w.next = w.rank + s->cap;
	w.prev = w.next + s->cap;
	*n = bpe_long(&w);
	for (at = 0; ids != NULL && at < w.len; at = w.next[at])
		ids[i++] = bpe_rank(t, p + at, w.next[at] - at);
	return 0;
}
