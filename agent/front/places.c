/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a place: see places.h. While it waits a request is in REQ_QUEUE
 * and holds its key's limits and the agent's places that it has, nothing else.
 * The time to wait is one for all that it waits for before an attempt.
 */
#include "agent/front/places.h"

#define PLACES_FULL "all deployments of the model are at capacity"

static const char *const places_full[AGENT_PLACES] = {
    "the gateway serves as many streams as it can",
    "the gateway serves as many requests as it can"};

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

/* Where the request waits, or waited last. */
static struct queue_gate *
places_gate(const struct request *r)
{
	return r->queued_own != 0 ? r->f->agent->places_gate
				  : r->f->agent->gate;
}

static struct str
places_at(const struct request *r)
{
	if (r->queued_own == 0)
		return STR("deployment");
	return str_of(agent_place_name((enum agent_place)(r->queued_own - 1)));
}

static void
places_count(struct request *r, const char *outcome)
{
	struct str labels[3] = {str_of(queue_class_name(r->ticket.class)),
	    places_at(r), str_of(outcome)};

	metric_add(
	    metric_series(r->f->agent->metrics, AM_QUEUED, labels, 3), 1);
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
	refuse_busy(r, retry_ms,
	    r->queued_own != 0 ? places_full[r->queued_own - 1] : PLACES_FULL);
}

/* Out of the queue. */
static void
places_waited(struct request *r)
{
	struct str labels[2] = {
	    str_of(queue_class_name(r->ticket.class)), places_at(r)};
	int64_t t = r->f->loop.mono - r->ticket.since;

	timer_cancel(&r->f->loop.timers, &r->timer);
	r->waited += t;
	r->queue_spent = r->queued_own != 0 ? r->queue_spent + t : 0;
	metric_observe(
	    metric_series(r->f->agent->metrics, AM_QUEUE_WAIT, labels, 2),
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
	if (r->queued_own != 0) {
		r->own_places |= (uint8_t)(1U << (r->queued_own - 1));
		limits_begin(r); /* it may need another one */
		return;
	}
	r->att.place = places_cell(r, target);
	admit_granted(r, target);
}

static void
places_over(struct timer *t, int64_t now)
{
	struct request *r =
	    (struct request *)(void *)((char *)t -
				       offsetof(struct request, timer));
	enum ticket_state was = queue_leave(places_gate(r), &r->ticket);

	(void)now;
	if (was == TICKET_GRANTED) {
		places_granted(r);
		return;
	}
	places_waited(r);
	places_refuse(r, was == TICKET_SHED ? "displaced" : "timeout", 1000);
}

/* Wait at those cells, in REQ_ADMIT; or it is refused. */
static void
places_queue(struct request *r, struct limit_cell *const *cells, unsigned n)
{
	struct front *f = r->f;
	int64_t deadline = f->loop.mono + f->lim.queue_wait - r->queue_spent;
	int64_t retry_ms;

	r->ticket.class = r->key->class;
	r->ticket.worker = f->index;
	r->ticket.tenant = r->key->tenant_uid;
	if (queue_enter(places_gate(r), &r->ticket, cells, n, f->loop.mono,
		deadline, &retry_ms) != 0) {
		places_refuse(r, "refused", retry_ms);
		return;
	}
	timer_set(&f->loop.timers, &r->timer, deadline, places_over);
	request_move(r, REQ_QUEUE);
}

bool
places_wait(struct request *r)
{
	struct limit_cell *cells[QUEUE_TARGETS];
	unsigned i, k, n = 0;

	if (r->full == 0 || r->f->agent->gate == NULL)
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
	r->queued_own = 0;
	places_queue(r, cells, n);
	return true;
}

bool
places_enter(struct request *r)
{
	struct agent *a = r->f->agent;
	struct limit_cell *cell;
	unsigned p;

	for (p = 0; p < AGENT_PLACES; p++) {
		cell = &a->places[p];
		if ((p == AGENT_STREAMS && !r->scan.stream) ||
		    atomic_load_explicit(&cell->places, memory_order_relaxed) ==
			0 ||
		    (r->own_places >> p & 1) != 0)
			continue;
		if (!queue_take(cell)) {
			r->queued_own = p + 1;
			places_queue(r, &cell, 1);
			return false;
		}
		r->own_places |= (uint8_t)(1U << p);
	}
	if (r->scan.stream) {
		r->counted_stream = true;
		r->f->n_streams++;
	}
	return true;
}

void
places_exit(struct request *r)
{
	struct agent *a = r->f->agent;

	for (unsigned p = 0; r->own_places >> p != 0; p++)
		if ((r->own_places >> p & 1) != 0)
			queue_give(
			    a->places_gate, &a->places[p], r->f->loop.mono);
	r->own_places = 0;
	if (r->counted_stream)
		r->f->n_streams--;
	r->counted_stream = false;
}

void
places_leave(struct request *r)
{
	struct front *f = r->f;
	struct limit_cell *cell;

	/* Only then another worker cannot grant it any more. */
	if (queue_leave(places_gate(r), &r->ticket) == TICKET_GRANTED) {
		cell = r->queued_own != 0
			   ? &f->agent->places[r->queued_own - 1]
			   : places_cell(r, r->queued[r->ticket.granted]);
		queue_give(places_gate(r), cell, f->loop.mono);
	}
	timer_cancel(&f->loop.timers, &r->timer);
	places_count(r, "left");
}

bool
places_body(struct request *r, size_t more)
{
	static const size_t eighths[QUEUE_CLASSES] = {8, 7, 6};
	const struct front *f = r->f;
	struct str labels[3] = {str_of(queue_class_name(r->key->class)),
	    STR("bodies"), STR("refused")};

	if (f->bodies + more <= f->lim.max_bodies / 8 * eighths[r->key->class])
		return true;
	metric_add(metric_series(f->agent->metrics, AM_QUEUED, labels, 3), 1);
	return false;
}

static void
places_look(struct front *f, struct queue_gate *g)
{
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

void
places_turn(struct front *f)
{
	places_look(f, f->agent->places_gate);
	places_look(f, f->agent->gate);
}
