/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of one loop: a binary heap of deadlines on the monotonic clock. A
 * timer lives inside the object that it serves. Cancelling and re-arming cost
 * O(log n); deadlines that move often (idle time-outs) are better re-armed
 * lazily by the object when its timer fires too early.
 */
#ifndef AGENT_LOOP_TIMER_H
#define AGENT_LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct timer {
	int64_t at; /* mono ns */
	size_t pos; /* place in the heap, from 1; 0 = not armed */
	void (*fire)(struct timer *t, int64_t now);
};

struct timer_heap {
	struct timer **slots; /* slots[1..n] */
	size_t n, cap;
};

/* Room for cap timers armed at once. ERR_NOMEM. */
int timer_heap_init(struct timer_heap *h, size_t cap) MUST_CHECK;
void timer_heap_release(struct timer_heap *h);
/* Arm or move t; fire is called once, at or after `at`. */
void timer_set(struct timer_heap *h, struct timer *t, int64_t at,
    void (*fire)(struct timer *t, int64_t now));
void timer_cancel(struct timer_heap *h, struct timer *t); /* idle: no-op */
static inline bool
timer_armed(const struct timer *t)
{
	return t->pos != 0;
}
/* Fire what is due, at most max timers (work per turn is bounded). */
void timer_run(struct timer_heap *h, int64_t now, unsigned max);
/* Next deadline or INT64_MAX. */
int64_t timer_next(const struct timer_heap *h);

#endif
