/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binary heap of timers, indices from 1.
 */
#include "agent/loop/timer.h"

#include <stdlib.h>

int
timer_heap_init(struct timer_heap *h, size_t cap)
{
	h->n = 0;
	h->cap = cap;
	h->slots = calloc(cap + 1, sizeof(*h->slots));
	return h->slots != NULL ? 0 : ERR_NOMEM;
}

void
timer_heap_release(struct timer_heap *h)
{
	free(h->slots);
	h->slots = NULL;
	h->n = h->cap = 0;
}

static void
timer_place(struct timer_heap *h, size_t i, struct timer *t)
{
	h->slots[i] = t;
	t->pos = i;
}

static void
timer_up(struct timer_heap *h, size_t i, struct timer *t)
{
	while (i > 1 && h->slots[i / 2]->at > t->at) {
		timer_place(h, i, h->slots[i / 2]);
		i /= 2;
	}
	timer_place(h, i, t);
}

static void
timer_down(struct timer_heap *h, size_t i, struct timer *t)
{
	size_t child;

	for (;;) {
		child = i * 2;
		if (child > h->n)
			break;
		if (child < h->n &&
		    h->slots[child + 1]->at < h->slots[child]->at)
			child++;
		if (h->slots[child]->at >= t->at)
			break;
		timer_place(h, i, h->slots[child]);
		i = child;
	}
	timer_place(h, i, t);
}

void
timer_set(struct timer_heap *h, struct timer *t, int64_t at,
    void (*fire)(struct timer *t, int64_t now))
{
	int64_t old = t->at;

	t->fire = fire;
	t->at = at;
	if (t->pos == 0) {
		MUST(h->n < h->cap);
		h->n++;
		timer_up(h, h->n, t);
	} else if (at < old) {
		timer_up(h, t->pos, t);
	} else {
		timer_down(h, t->pos, t);
	}
}

void
timer_cancel(struct timer_heap *h, struct timer *t)
{
	struct timer *last;
	size_t i = t->pos;

	if (i == 0)
		return;
	t->pos = 0;
	last = h->slots[h->n--];
	if (last == t)
		return;
	if (i > 1 && h->slots[i / 2]->at > last->at)
		timer_up(h, i, last);
	else
		timer_down(h, i, last);
}

void
timer_run(struct timer_heap *h, int64_t now, unsigned max)
{
	struct timer *t;

	while (max-- > 0 && h->n > 0 && h->slots[1]->at <= now) {
		t = h->slots[1];
		timer_cancel(h, t);
		t->fire(t, now);
	}
}

int64_t
timer_next(const struct timer_heap *h)
{
	return h->n > 0 ? h->slots[1]->at : INT64_MAX;
}
