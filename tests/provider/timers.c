/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap whose members know their place. */
#include <stdlib.h>

#include "tests/provider/conn.h"
#include "tests/provider/timers.h"

static void
timers_put(struct timers *t, size_t at, struct conn *c)
{
	t->heap[at] = c;
	c->heap_at = at;
}

static void
timers_up(struct timers *t, size_t at, struct conn *c)
{
	while (at > 1 && t->heap[at / 2]->due_ns > c->due_ns) {
		timers_put(t, at, t->heap[at / 2]);
		at /= 2;
	}
	timers_put(t, at, c);
}

static void
timers_down(struct timers *t, size_t at, struct conn *c)
{
	for (;;) {
		size_t child = at * 2;

		if (child > t->n)
			break;
		if (child < t->n &&
		    t->heap[child + 1]->due_ns < t->heap[child]->due_ns)
			child++;
		if (t->heap[child]->due_ns >= c->due_ns)
			break;
		timers_put(t, at, t->heap[child]);
		at = child;
	}
	timers_put(t, at, c);
}

void
timers_set(struct timers *t, struct conn *c, int64_t due_ns)
{
	timers_remove(t, c);
	if (t->n + 2 > t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct conn **heap = realloc(t->heap, cap * sizeof(*heap));

		MUST(heap != NULL);
		t->heap = heap;
		t->cap = cap;
	}
	c->due_ns = due_ns;
	t->n++;
	timers_up(t, t->n, c);
}

void
timers_remove(struct timers *t, struct conn *c)
{
	size_t at = c->heap_at;
	struct conn *last;

	if (at == 0)
		return;
	c->heap_at = 0;
	last = t->heap[t->n--];
	if (last == c)
		return;
	if (at > 1 && t->heap[at / 2]->due_ns > last->due_ns)
		timers_up(t, at, last);
	else
		timers_down(t, at, last);
}

struct conn *
timers_take_due(struct timers *t, int64_t now_ns)
{
	struct conn *c;

	if (t->n == 0 || t->heap[1]->due_ns > now_ns)
		return NULL;
	c = t->heap[1];
	timers_remove(t, c);
	return c;
}

int64_t
timers_next(const struct timers *t)
{
	return t->n == 0 ? INT64_MAX : t->heap[1]->due_ns;
}

void
timers_release(struct timers *t)
{
	free(t->heap);
	t->heap = NULL;
	t->n = t->cap = 0;
}
