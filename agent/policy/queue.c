/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weighted turns between classes, turns between flows, hand-over of places.
 * See queue.h.
 *
 * That no wake-up is lost: who enters counts himself in before he looks for a
 * free place; who gives a place frees it before he looks whether anybody
 * waits. Both orders are sequentially consistent.
 */
#include "agent/policy/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/err.h"

#define QUEUE_RETRY_MIN NS_PER_S
#define QUEUE_RETRY_MAX (60 * NS_PER_S)

/* What one turn costs a class; the inverse of its weight. */
static const int64_t queue_stride[QUEUE_CLASSES] = {1, 4, 16};

struct queue_flow {
	struct queue_node *head, *tail;
	struct queue_flow *next, *prev; /* ring of flows that wait */
	unsigned n;
};

struct queue_line {		 /* of one class */
	struct queue_flow *turn; /* whose turn it is; NULL = nobody waits */
	int64_t pass;
	unsigned n, n_flows;
	struct queue_flow flows[QUEUE_FLOWS];
};

struct wait_queue {
	struct limit_cell *cell;
	_Atomic unsigned n;
	int64_t time;	    /* virtual */
	int64_t pace, last; /* ns between two places, smoothed; mono */
	struct queue_line lines[QUEUE_CLASSES];
};

struct queue_inbox {
	struct queue_ticket *first, *last;
};

struct queue_gate {
	pthread_mutex_t lock;
	unsigned max, n;
	unsigned by_class[QUEUE_CLASSES];
	void (*wake)(void *ctx, unsigned worker);
	void *ctx;
	struct queue_inbox inbox[QUEUE_WORKERS];
};

const char *
queue_class_name(enum queue_class c)
{
	static const char *const names[] = {"critical", "standard", "batch"};

	return c < QUEUE_CLASSES ? names[c] : "?";
}

struct queue_gate *
queue_gate_new(
    unsigned max, void (*wake)(void *ctx, unsigned worker), void *ctx)
{
	struct queue_gate *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	pthread_mutex_init(&g->lock, NULL);
	g->max = max;
	g->wake = wake;
	g->ctx = ctx;
	return g;
}

void
queue_gate_free(struct queue_gate *g)
{
	if (g == NULL)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

int
queue_attach(struct limit_cell *c)
{
	if (c->queue != NULL)
		return 0;
	c->queue = calloc(1, sizeof(*c->queue));
	if (c->queue == NULL)
		return ERR_NOMEM;
	c->queue->cell = c;
	return 0;
}

void
queue_detach(struct limit_cell *c)
{
	free(c->queue);
	c->queue = NULL;
}

/* ---- lines ---- */

static struct queue_flow *
queue_flow(struct wait_queue *q, const struct queue_ticket *t)
{
	uint64_t h = t->tenant * UINT64_C(0x9e3779b97f4a7c15);

	return &q->lines[t->class].flows[(h >> 32) % QUEUE_FLOWS];
}

static void
line_put(struct wait_queue *q, struct queue_node *x)
{
	struct queue_ticket *t = x->ticket;
	struct queue_line *l = &q->lines[t->class];
	struct queue_flow *f = queue_flow(q, t);
	int64_t begin = q->time + queue_stride[t->class];

	if (l->n++ == 0 && l->pass < begin)
		l->pass = begin;
	x->next = NULL;
	x->prev = f->tail;
	*(f->tail != NULL ? &f->tail->next : &f->head) = x;
	f->tail = x;
	atomic_fetch_add(&q->n, 1);
	if (f->n++ > 0)
		return;
	l->n_flows++;
	if (l->turn == NULL) {
		l->turn = f->next = f->prev = f;
		return;
	}
	f->next = l->turn; /* last in turn */
	f->prev = l->turn->prev;
	f->prev->next = f;
	f->next->prev = f;
}

static void
line_remove(struct queue_node *x)
{
	struct wait_queue *q = x->queue;
	struct queue_line *l = &q->lines[x->ticket->class];
	struct queue_flow *f = queue_flow(q, x->ticket);

	*(x->prev != NULL ? &x->prev->next : &f->head) = x->next;
	*(x->next != NULL ? &x->next->prev : &f->tail) = x->prev;
	x->queue = NULL;
	l->n--;
	atomic_fetch_sub(&q->n, 1);
	if (--f->n > 0)
		return;
	l->n_flows--;
	f->prev->next = f->next;
	f->next->prev = f->prev;
	if (l->turn == f)
		l->turn = f->next != f ? f->next : NULL;
	f->next = f->prev = NULL;
}

/* The next in turn; it pays for the turn. NULL when nobody waits. */
static struct queue_ticket *
queue_next(struct wait_queue *q)
{
	struct queue_line *best = NULL, *l;
	struct queue_ticket *t;
	int c;

	for (c = 0; c < QUEUE_CLASSES; c++) {
		l = &q->lines[c];
		if (l->n > 0 && (best == NULL || l->pass < best->pass))
			best = l;
	}
	if (best == NULL)
		return NULL;
	t = best->turn->head->ticket;
	best->turn = best->turn->next;
	q->time = best->pass;
	best->pass += queue_stride[best - q->lines];
	return t;
}

/* ---- tickets ---- */

/* Out of all queues, into its worker's inbox or nowhere. */
static void
ticket_end(struct queue_gate *g, struct queue_ticket *t, enum ticket_state to)
{
	struct queue_inbox *in = &g->inbox[t->worker];
	unsigned i;

	for (i = 0; i < t->n; i++)
		if (t->nodes[i].queue != NULL)
			line_remove(&t->nodes[i]);
	g->n--;
	g->by_class[t->class]--;
	t->state = to;
	if (to == TICKET_NONE)
		return;
	t->next = NULL;
	*(in->last != NULL ? &in->last->next : &in->first) = t;
	in->last = t;
	g->wake(g->ctx, t->worker);
}

static void
inbox_remove(struct queue_inbox *in, struct queue_ticket *t)
{
	struct queue_ticket **at = &in->first, *prev = NULL;

	while (*at != NULL && *at != t) {
		prev = *at;
		at = &(*at)->next;
	}
	if (*at == NULL)
		return;
	*at = t->next;
	if (in->last == t)
		in->last = prev;
}

/* One place, if one is free. */
static bool
queue_place(struct limit_cell *c)
{
	int64_t max = atomic_load(&c->places),
		now = atomic_fetch_add(&c->conc, 1) + 1;

	if (max <= 0 || now <= max)
		return true;
	atomic_fetch_sub(&c->conc, 1);
	return false;
}

/* Hand out what is free. */
static void
queue_serve(struct queue_gate *g, struct wait_queue *q, int64_t now)
{
	struct queue_ticket *t;
	unsigned i;

	while (atomic_load(&q->n) > 0 && queue_place(q->cell)) {
		t = queue_next(q);
		MUST(t != NULL);
		for (i = 0; t->nodes[i].queue != q; i++)
			continue;
		t->granted = i;
		ticket_end(g, t, TICKET_GRANTED);
		if (q->last != 0 && now > q->last)
			q->pace = q->pace == 0
				      ? now - q->last
				      : (q->pace * 7 + now - q->last) / 8;
		q->last = now;
	}
	if (atomic_load(&q->n) == 0)
		q->last = 0; /* pauses are no pace */
}

bool
queue_take(struct limit_cell *c)
{
	if (c->queue != NULL && atomic_load(&c->queue->n) > 0)
		return false;
	return queue_place(c);
}

void
queue_give(struct queue_gate *g, struct limit_cell *c, int64_t now)
{
	atomic_fetch_sub(&c->conc, 1);
	if (g == NULL || c->queue == NULL || atomic_load(&c->queue->n) == 0)
		return;
	pthread_mutex_lock(&g->lock);
	queue_serve(g, c->queue, now);
	pthread_mutex_unlock(&g->lock);
}

/* How long a newcomer would wait; 0 = not known. */
static int64_t
queue_estimate(struct wait_queue *q, const struct queue_ticket *t)
{
	const struct queue_line *l = &q->lines[t->class];
	const struct queue_flow *f = queue_flow(q, t);
	int64_t mine = l->n, turns, sum, part;
	int c;

	/* Of each other tenant as many go before us as we have waiting. */
	turns = (int64_t)f->n * (l->n_flows + 1) + l->n_flows;
	mine = (turns < mine ? turns : mine) + 1;
	for (sum = mine, c = 0; c < QUEUE_CLASSES; c++) {
		if (c == (int)t->class)
			continue;
		part = mine * queue_stride[t->class] / queue_stride[c];
		sum += part < q->lines[c].n ? part : q->lines[c].n;
	}
	return q->pace * sum;
}

/* Does nobody of its class or a higher one wait? */
static bool
queue_is_first(const struct wait_queue *q, enum queue_class class)
{
	int c;

	for (c = 0; c <= (int)class; c++)
		if (q->lines[c].n > 0)
			return false;
	return true;
}

/* The newest of the last class below t's that waits somewhere with it makes
 * room. */
static bool
queue_displace(struct queue_gate *g, struct limit_cell *const *cells,
    unsigned n, enum queue_class class)
{
	unsigned i;
	int c;

	for (c = QUEUE_CLASSES - 1; c > (int)class; c--) {
		for (i = 0; i < n; i++) {
			struct queue_line *l = &cells[i]->queue->lines[c];

			if (l->n == 0)
				continue;
			ticket_end(g, l->turn->prev->tail->ticket, TICKET_SHED);
			return true;
		}
	}
	return false;
}

int
queue_enter(struct queue_gate *g, struct queue_ticket *t,
    struct limit_cell *const *cells, unsigned n, int64_t now, int64_t deadline,
    int64_t *retry_ms)
{
	int64_t wait = INT64_MAX, w;
	bool first = false;
	unsigned i;
	int rc = 0;

	MUST(t->state == TICKET_NONE && n > 0 && n <= QUEUE_TARGETS);
	pthread_mutex_lock(&g->lock);
	for (i = 0; i < n; i++) {
		w = queue_estimate(cells[i]->queue, t);
		wait = w < wait ? w : wait;
		first = first || queue_is_first(cells[i]->queue, t->class);
	}
	if ((now + wait > deadline && !first) ||
	    (g->n >= g->max && !queue_displace(g, cells, n, t->class)))
		rc = ERR_OVERLOADED;
	for (i = 0, t->n = 0; rc == 0 && i < n; i++) {
		t->nodes[i] =
		    (struct queue_node){t, cells[i]->queue, NULL, NULL};
		line_put(cells[i]->queue, &t->nodes[i]);
		if (cells[i]->queue->last == 0)
			cells[i]->queue->last = now;
		t->n++;
	}
	if (rc == 0) {
		t->state = TICKET_WAITING;
		t->since = now;
		g->n++;
		g->by_class[t->class]++;
	}
	for (i = 0; rc == 0 && i < n && t->state == TICKET_WAITING; i++)
		queue_serve(g, cells[i]->queue, now);
	pthread_mutex_unlock(&g->lock);
	wait = wait < QUEUE_RETRY_MIN ? QUEUE_RETRY_MIN : wait;
	wait = wait > QUEUE_RETRY_MAX ? QUEUE_RETRY_MAX : wait;
	*retry_ms = wait / NS_PER_MS;
	return rc;
}

enum ticket_state
queue_leave(struct queue_gate *g, struct queue_ticket *t)
{
	enum ticket_state was;

	pthread_mutex_lock(&g->lock);
	was = t->state;
	if (was == TICKET_WAITING)
		ticket_end(g, t, TICKET_NONE);
	else if (was != TICKET_NONE)
		inbox_remove(&g->inbox[t->worker], t);
	t->state = TICKET_NONE;
	pthread_mutex_unlock(&g->lock);
	return was;
}

struct queue_ticket *
queue_inbox(struct queue_gate *g, unsigned worker)
{
	struct queue_inbox *in = &g->inbox[worker];
	struct queue_ticket *t;

	pthread_mutex_lock(&g->lock);
	t = in->first;
	if (t != NULL) {
		in->first = t->next;
		if (in->first == NULL)
			in->last = NULL;
	}
	pthread_mutex_unlock(&g->lock);
	return t;
}

void
queue_lengths(struct queue_gate *g, unsigned ret[QUEUE_CLASSES])
{
	pthread_mutex_lock(&g->lock);
	memcpy(ret, g->by_class, sizeof(g->by_class));
	pthread_mutex_unlock(&g->lock);
}

void
queue_lengths_at(struct queue_gate *g, const struct limit_cell *c,
    unsigned ret[QUEUE_CLASSES])
{
	int i;

	pthread_mutex_lock(&g->lock);
	for (i = 0; i < QUEUE_CLASSES; i++)
		ret[i] = c->queue->lines[i].n;
	pthread_mutex_unlock(&g->lock);
}
