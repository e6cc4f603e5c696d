/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a place at a deployment: see places.h. While it waits a request
 * is in REQ_QUEUE and holds its key's limits, nothing else.
 */
#include "agent/front/places.h"

#define PLACES_FULL "all deployments of the model are at capacity"

static struct limit_cell *
places_cell(const struct request *r, unsigned target)
{
	return r->route->targets[target].deployment->concurrency;
}

bool
places_take(struct request *r, unsigned target)
{
	struct limit_cell *cell = places_cell(r, target);

	if (cell != NULL && !queue_take(cell)) {
		r->full |= UINT64_C(1) << target;
		return false;
	}
	r->att.place = cell;
	return true;
}

void
places_give(struct request *r)
{
	if (r->att.place != NULL)
		queue_give(r->f->agent->gate, r->att.place, r->f->loop.mono);
	r->att.place = NULL;
}

static void
places_count(struct request *r, const char *outcome)
{
	struct str labels[2] = {
	    str_of(queue_class_name(r->ticket.class)), str_of(outcome)};

	metric_add(
	    metric_series(r->f->agent->metrics, AM_QUEUED, labels, 2), 1);
}

/* The request is in REQ_ADMIT. */
static void
places_refuse(struct request *r, const char *outcome, int64_t retry_ms)
{
	places_count(r, outcome);
	if (r->fallback) {
		request_move(r, REQ_USAGE);
		front_want_finish(r);
		return;
	}
	refuse_busy(r, retry_ms, PLACES_FULL);
}

/* Out of the queue. */
static void
places_waited(struct request *r)
{
	struct str label = str_of(queue_class_name(r->ticket.class));
	int64_t t = r->f->loop.mono - r->ticket.since;

	timer_cancel(&r->f->loop.timers, &r->timer);
	r->waited += t;
	metric_observe(
	    metric_series(r->f->agent->metrics, AM_QUEUE_WAIT, &label, 1),
	    (double)t / 1e9);
	r->ticket.state = TICKET_NONE;
	request_move(r, REQ_ADMIT);
}

static void
places_granted(struct request *r)
{
	unsigned target = r->queued[r->ticket.granted];

	places_waited(r);
	places_count(r, "served");
	r->att.place = places_cell(r, target);
	admit_granted(r, target);
}

static void
places_over(struct timer *t, int64_t now)
{
	struct request *r =
	    (struct request *)(void *)((char *)t -
				       offsetof(struct request, timer));
	enum ticket_state was = queue_leave(r->f->agent->gate, &r->ticket);

	(void)now;
	if (was == TICKET_GRANTED) {
		places_granted(r);
		return;
	}
	places_waited(r);
	places_refuse(r, was == TICKET_SHED ? "displaced" : "timeout", 1000);
}

bool
places_wait(struct request *r)
{
	struct limit_cell *cells[QUEUE_TARGETS];
	struct front *f = r->f;
	int64_t deadline = f->loop.mono + f->lim.queue_wait, retry_ms;
	unsigned i, k, n = 0;

	if (r->full == 0 || f->agent->gate == NULL)
		return false;
	for (i = 0; i < r->route->n_targets && n < QUEUE_TARGETS; i++) {
		struct limit_cell *cell = places_cell(r, i);

		if (i >= 64 || (r->full >> i & 1) == 0)
			continue;
		for (k = 0; k < n && cells[k] != cell; k++)
			continue;
		if (k < n)
			continue; /* another target of the same deployment */
		cells[n] = cell;
		r->queued[n++] = i;
	}
	r->tried &= ~r->full;
	r->full = 0;
	r->ticket.class = r->key->class;
	r->ticket.worker = f->index;
	r->ticket.tenant = r->key->tenant_uid;
	if (queue_enter(f->agent->gate, &r->ticket, cells, n, f->loop.mono,
		deadline, &retry_ms) != 0) {
		places_refuse(r, "refused", retry_ms);
		return true;
	}
	timer_set(&f->loop.timers, &r->timer, deadline, places_over);
	request_move(r, REQ_QUEUE);
	return true;
}

void
places_leave(struct request *r)
{
	struct front *f = r->f;

	/* Only then another worker cannot grant it any more. */
	if (queue_leave(f->agent->gate, &r->ticket) == TICKET_GRANTED)
		queue_give(f->agent->gate,
		    places_cell(r, r->queued[r->ticket.granted]), f->loop.mono);
	timer_cancel(&f->loop.timers, &r->timer);
	places_count(r, "left");
}

void
places_turn(struct front *f)
{
	struct queue_gate *g = f->agent->gate;
	struct queue_ticket *t;
	struct request *r;

	while (g != NULL && (t = queue_inbox(g, f->index)) != NULL) {
		r = (struct request *)(void *)((char *)t -
					       offsetof(
						   struct request, ticket));
		if (t->state == TICKET_GRANTED) {
			places_granted(r);
			continue;
		}
		places_waited(r);
		places_refuse(r, "displaced", 1000);
	}
}
