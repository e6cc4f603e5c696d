/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who goes next when there is no free place: at a deployment, or of the agent's
 * own (--max-streams, --max-requests). All workers of the agent share one queue
 * for each, under one lock a gate that is only taken when a place is short:
 * with places free a request costs one atomic addition and one load.
 *
 * Order: the classes take turns by weight (critical 16, standard 4, batch 1; a
 * virtual time, the smallest goes first), so that critical requests go first
 * and each class that waits gets its part of the places: nobody starves.
 * Within a class tenants take turns, whatever many requests one has (64 flows
 * by hash); within a tenant first come, first served. All O(1), and nothing is
 * allocated: a ticket lives in its request.
 *
 * A place that comes free is handed over: while somebody waits nobody else
 * takes one. A ticket may wait at several deployments and gets one place.
 *
 * Who cannot be served in time is told at once: the expected wait is how many
 * go before him, by weight, at the pace at which places came free lately. The
 * first of a class waits in any case: the pace is only measured while somebody
 * waits, and one standstill must not refuse for ever.
 */
#ifndef AGENT_POLICY_QUEUE_H
#define AGENT_POLICY_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/policy/limit.h"

enum queue_class { QUEUE_CRITICAL, QUEUE_STANDARD, QUEUE_BATCH, QUEUE_CLASSES };
#define QUEUE_FLOWS   64
#define QUEUE_TARGETS 4 /* deployments at which one ticket waits */
#define QUEUE_WORKERS 64

struct wait_queue; /* of one cell; cell->queue */
struct queue_gate; /* of several cells: lock, bounds, inboxes */

enum ticket_state { TICKET_NONE, TICKET_WAITING, TICKET_GRANTED, TICKET_SHED };

struct queue_node {
	struct queue_ticket *ticket;
	struct wait_queue *queue;
	struct queue_node *next, *prev; /* in its flow */
};

/* Embedded in a request; zeroed means not in use. Under the gate's lock. */
struct queue_ticket {
	enum ticket_state state;
	enum queue_class class;
	unsigned worker, n; /* nodes in use */
	uint64_t tenant;
	int64_t since;	  /* mono ns */
	unsigned granted; /* which of the deployments, as queue_enter() saw */
	struct queue_node nodes[QUEUE_TARGETS];
	struct queue_ticket *next; /* in its worker's inbox */
};

/* NULL without memory. wake: worker i has something in its inbox (any thread,
 * under the lock; must not block). max: tickets of the agent at once. */
struct queue_gate *queue_gate_new(
    unsigned max, void (*wake)(void *ctx, unsigned worker), void *ctx);
void queue_gate_free(struct queue_gate *g); /* NULL is fine */
/* For a cell that is waited at, in cell->queue; ERR_NOMEM. */
int queue_attach(struct limit_cell *c) MUST_CHECK;
void queue_detach(struct limit_cell *c);

/* Take a place if one is free and nobody waits for it. */
bool queue_take(struct limit_cell *c);
/* Give a place back: the next one that waits gets it. Exactly once for each
 * that was taken or granted. g NULL: nobody ever waits. */
void queue_give(struct queue_gate *g, struct limit_cell *c, int64_t now);

/* Wait at cells[0..n-1] (at most QUEUE_TARGETS), whose places are all taken.
 * 0: it waits (or has a place already: look in the inbox). ERR_OVERLOADED: the
 * queue is full or the wait would pass `deadline`; *retry_ms = when to come
 * again. t's class, worker and tenant are set by the caller. */
int queue_enter(struct queue_gate *g, struct queue_ticket *t,
    struct limit_cell *const *cells, unsigned n, int64_t now, int64_t deadline,
    int64_t *retry_ms) MUST_CHECK;
/* Stop waiting, or forget what the inbox holds of it. The state before; when
 * TICKET_GRANTED the caller owns the place of cells[granted]. */
enum ticket_state queue_leave(struct queue_gate *g, struct queue_ticket *t);
/* Take one ticket out of the worker's inbox, NULL when it is empty; its state
 * is TICKET_GRANTED or TICKET_SHED (displaced by a higher class). */
struct queue_ticket *queue_inbox(struct queue_gate *g, unsigned worker);
/* How many wait, by class; any thread. */
void queue_lengths(struct queue_gate *g, unsigned ret[QUEUE_CLASSES]);
/* Of them those at one cell (which has a queue). */
void queue_lengths_at(struct queue_gate *g, const struct limit_cell *c,
    unsigned ret[QUEUE_CLASSES]);
const char *queue_class_name(enum queue_class c);

#endif
