/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of one worker: epoll, timers, the turn's time and deferred
 * frees. An object that is dropped during a turn stays in memory until the
 * turn ends, because later events of the same epoll_wait batch may still name
 * it.
 */
#ifndef AGENT_LOOP_LOOP_H
#define AGENT_LOOP_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#include "agent/loop/timer.h"
#include "common/clock.h"

#define LOOP_BATCH	128 /* events a turn */
#define LOOP_MAX_TIMERS 64  /* timers fired a turn */

/* A descriptor in the loop; lives inside the object that it serves. */
struct loop_source {
	void (*ready)(struct loop_source *s, uint32_t events);
	int fd;
};

/* Something to free when the turn ends; lives inside the object itself. */
struct loop_deferred {
	struct loop_deferred *next;
	void (*release)(struct loop_deferred *d);
};

struct loop {
	int epoll_fd;
	struct clock *clock;
	int64_t mono, wall; /* of this turn */
	struct timer_heap timers;
	struct loop_deferred *deferred;
	struct epoll_event events[LOOP_BATCH];
};

/* ERR_NOMEM, ERR_IO. */
int loop_init(struct loop *l, struct clock *clock, size_t max_timers,
    struct error *e) MUST_CHECK;
void loop_release(struct loop *l);
/* Watch s->fd for events (EPOLL*). ERR_IO. */
int loop_add(struct loop *l, struct loop_source *s, uint32_t events) MUST_CHECK;
/* Stop watching; the descriptor is still the caller's to close. s stays in
 * memory until the turn ends. Events that are already in the batch are not
 * delivered. */
void loop_del(struct loop *l, struct loop_source *s);
/* The descriptor is about to be closed, which ends watching by itself. */
void loop_forget(struct loop_source *s);
/* Call release(d) when the turn ends. */
void loop_defer(struct loop *l, struct loop_deferred *d,
    void (*release)(struct loop_deferred *d));
/* Wait (at most max_wait ns, and not beyond the next timer), read the clock,
 * deliver events, fire timers. */
void loop_poll(struct loop *l, int64_t max_wait);
/* Run the deferred frees. */
void loop_end_turn(struct loop *l);

#endif
