/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll, timers and deferred frees of one worker.
 */
#include "agent/loop/loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int
loop_init(
    struct loop *l, struct clock *clock, size_t max_timers, struct error *e)
{
	memset(l, 0, sizeof(*l));
	l->clock = clock;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return err_set(e, ERR_IO, "epoll_create1: %s", strerror(errno));
	if (timer_heap_init(&l->timers, max_timers) != 0) {
		close(l->epoll_fd);
		l->epoll_fd = -1;
		return err_set(e, ERR_NOMEM, "timers: out of memory");
	}
	l->mono = clock_mono(clock);
	l->wall = clock_wall(clock);
	return 0;
}

void
loop_release(struct loop *l)
{
	loop_end_turn(l);
	timer_heap_release(&l->timers);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	l->epoll_fd = -1;
}

int
loop_add(struct loop *l, struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data = {.ptr = s}};

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) != 0)
		return ERR_IO;
	return 0;
}

void
loop_del(struct loop *l, struct loop_source *s)
{
	struct epoll_event ev = {0};

	if (s->ready == NULL)
		return;
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, &ev);
	s->ready = NULL;
}

void
loop_forget(struct loop_source *s)
{
	s->ready = NULL;
}

void
loop_defer(struct loop *l, struct loop_deferred *d,
    void (*release)(struct loop_deferred *d))
{
	d->release = release;
	d->next = l->deferred;
	l->deferred = d;
}

static int
loop_wait_ms(const struct loop *l, int64_t max_wait)
{
	int64_t next = timer_next(&l->timers), wait = max_wait;

	if (next != INT64_MAX && next - l->mono < wait)
		wait = next - l->mono;
	if (wait <= 0)
		return 0;
	/* Round up: waking early would spin until the deadline. */
	return (int)((wait + NS_PER_MS - 1) / NS_PER_MS);
}

void
loop_poll(struct loop *l, int64_t max_wait)
{
	struct loop_source *s;
	int i, n;

	n = epoll_wait(
	    l->epoll_fd, l->events, LOOP_BATCH, loop_wait_ms(l, max_wait));
	l->mono = clock_mono(l->clock);
	l->wall = clock_wall(l->clock);
	for (i = 0; i < n; i++) {
		s = l->events[i].data.ptr;
		if (s->ready != NULL)
			s->ready(s, l->events[i].events);
	}
	timer_run(&l->timers, l->mono, LOOP_MAX_TIMERS);
}

void
loop_end_turn(struct loop *l)
{
	struct loop_deferred *d;

	while ((d = l->deferred) != NULL) {
		l->deferred = d->next;
		d->release(d);
	}
}
