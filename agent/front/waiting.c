/* SPDX-License-Identifier: Apache-2.0 */
/* See waiting.h. */
#include "agent/front/waiting.h"

static int64_t
waiting_from(const struct request *r)
{
	return r->wait_since + r->f->lim.lease_wait / 16;
}

static int64_t
waiting_until(const struct request *r)
{
	return r->wait_since + r->f->lim.lease_wait / 4 * 3;
}

void
waiting_enter(struct request *r)
{
	struct front *f = r->f;
	struct request *after;

	if (r->wait_since == 0) {
		r->wait_since = f->loop.mono;
		r->wait_end = r->wait_since + f->lim.lease_wait;
	}
	r->parked = f->loop.mono;
	after = f->waiting_last; /* who comes back goes before later ones */
	while (after != NULL && after->wait_since > r->wait_since)
		after = after->wait_prev;
	r->wait_prev = after;
	r->wait_next = after != NULL ? after->wait_next : f->waiting;
	*(after != NULL ? &after->wait_next : &f->waiting) = r;
	*(r->wait_next != NULL ? &r->wait_next->wait_prev : &f->waiting_last) =
	    r;
}

void
waiting_move(struct request *r)
{
	struct front *f = r->f;

	if (r->short_of != NULL)
		lease_wait_done(r->short_of, r->amount);
	r->short_of = NULL;
	r->short_limit = NULL;
	r->waited += f->loop.mono - r->parked;
	timer_cancel(&f->loop.timers, &r->timer);
	*(r->wait_prev != NULL ? &r->wait_prev->wait_next : &f->waiting) =
	    r->wait_next;
	*(r->wait_next != NULL ? &r->wait_next->wait_prev : &f->waiting_last) =
	    r->wait_prev;
	r->wait_next = r->wait_prev = NULL;
}

void
waiting_leave(struct request *r)
{
	waiting_move(r);
	waiting_drop(r);
}

void
waiting_over(struct request *r)
{
	waiting_drop(r);
	r->wait_since = 0;
	r->turn = 0;
}

int
waiting_class(const struct request *r)
{
	return r->wait_since != 0 && r->f->loop.mono - r->wait_since >=
					 r->f->lim.lease_wait / 2
		   ? QUEUE_CRITICAL
		   : (int)r->key->class;
}

uint64_t
waiting_key(const struct request *r)
{
	return lease_key((unsigned)waiting_class(r), r->turn);
}

void
waiting_claim(struct request *r, int share)
{
	int64_t now = r->f->loop.mono;

	if (r->short_of == NULL || now < waiting_from(r))
		return;
	if (now < waiting_until(r) &&
	    lease_is_likely(r->short_of, r->amount, share))
		lease_claim(&r->claims, r->short_of, r->amount, waiting_key(r),
		    waiting_until(r), now);
	else
		waiting_drop(r);
}

void
waiting_drop(struct request *r)
{
	if (r->claims.n > 0 && lease_claims_drop(&r->claims))
		waiting_tell(r->f);
}

int64_t
waiting_next(const struct request *r)
{
	int64_t now = r->f->loop.mono;

	if (now < waiting_from(r))
		return waiting_from(r);
	return now < waiting_until(r) ? waiting_until(r) : INT64_MAX;
}

void
waiting_tell(struct front *f)
{
	if (f->waiting != NULL)
		f->woken = true;
	if (f->agent->n_workers == 1)
		return;
	f->tell_others = f->loop.mono - f->told_others < NS_PER_MS;
	if (f->tell_others)
		return;
	f->told_others = f->loop.mono;
	agent_wake_all(f->agent);
}
