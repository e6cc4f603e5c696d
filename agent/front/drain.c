/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers whose client left. A route may want them read to their end, so that
 * the provider's own count is billed; bounded in time, in tokens and in number
 * over all workers of the agent.
 */
#include "agent/front/call.h"

static void
drain_over(struct timer *t, int64_t now)
{
	struct request *r =
	    (struct request *)(void *)((char *)t -
				       offsetof(struct request, timer));

	(void)now;
	call_abandon(r);
}

bool
drain_begin(struct request *r)
{
	const struct b_route *route = r->route;
	struct agent *a = r->f->agent;

	if (route == NULL || !route->drain || r->att.state != ATT_CALLED ||
	    r->att.call == NULL ||
	    atomic_load_explicit(&a->draining, memory_order_relaxed))
		return false;
	if (atomic_fetch_add_explicit(&a->n_drains, 1, memory_order_relaxed) >=
	    route->drain_max_concurrent) {
		atomic_fetch_sub_explicit(
		    &a->n_drains, 1, memory_order_relaxed);
		return false;
	}
	r->draining = true;
	r->out_pos = 0;
	if (r->relay.begun && r->att.streamed)
		buf_clear(&r->out);
	timer_set(&r->f->loop.timers, &r->timer,
	    r->f->loop.mono + (int64_t)route->drain_max_ms * NS_PER_MS,
	    drain_over);
	if (r->paused) {
		r->paused = false;
		up_pause(r->att.call, false);
	}
	return true;
}

void
drain_more(struct request *r)
{
	int64_t n;

	buf_clear(&r->out);
	if (r->route->drain_max_tokens == 0)
		return;
	/* By the ratio: this is only a bound. */
	n = r->relay.o.mode == RELAY_CHAT ? r->relay.chat.sum.text_bytes
					  : r->relay.text_bytes;
	if (n / 4 > (int64_t)r->route->drain_max_tokens)
		call_abandon(r);
}

void
drain_end(struct request *r)
{
	if (!r->draining)
		return;
	r->draining = false;
	timer_cancel(&r->f->loop.timers, &r->timer);
	atomic_fetch_sub_explicit(
	    &r->f->agent->n_drains, 1, memory_order_relaxed);
}
