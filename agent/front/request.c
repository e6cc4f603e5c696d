/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of legal moves, and the free list of requests. A request keeps
 * small buffers across its lives; large ones go back to the system.
 */
#include "agent/front/request.h"

#include <stdlib.h>

#include "agent/front/front.h"
#include "agent/front/spool.h"

#define REQUEST_KEEP 16384 /* bytes of a buffer that are kept */

#define TO(s) (1U << (s))
static const unsigned request_moves[REQ_N_STATES] = {
    [REQ_HEAD] = TO(REQ_BODY) | TO(REQ_ANSWER) | TO(REQ_END),
    [REQ_BODY] = TO(REQ_ADMIT) | TO(REQ_ANSWER) | TO(REQ_END),
    /* USAGE: no target is left after failures that were recorded */
    [REQ_ADMIT] = TO(REQ_WAIT) | TO(REQ_QUEUE) | TO(REQ_INTENT) |
		  TO(REQ_ANSWER) | TO(REQ_USAGE),
    [REQ_QUEUE] = TO(REQ_ADMIT) | TO(REQ_END),
    [REQ_WAIT] = TO(REQ_ADMIT) | TO(REQ_ANSWER) | TO(REQ_END),
    /* flush failed; the client left before the flush */
    [REQ_INTENT] = TO(REQ_CALL) | TO(REQ_ANSWER) | TO(REQ_USAGE),
    /* ADMIT: the next target; its usage record was collected */
    [REQ_CALL] = TO(REQ_RELAY) | TO(REQ_USAGE) | TO(REQ_ADMIT),
    [REQ_RELAY] = TO(REQ_USAGE),
    [REQ_USAGE] = TO(REQ_ANSWER) | TO(REQ_END),
    [REQ_ANSWER] = TO(REQ_END),
    [REQ_END] = 0,
};

bool
request_may_move(enum req_state from, enum req_state to)
{
	return (request_moves[from] & TO(to)) != 0;
}

void
request_move(struct request *r, enum req_state to)
{
	MUST(request_may_move(r->state, to));
	r->state = to;
}

static struct request *
request_make(struct front *f)
{
	struct request *r;

	if (f->n_requests >= f->lim.max_requests)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	f->n_requests++;
	buf_init(&r->body, f->lim.max_body);
	buf_init(&r->out, f->lim.max_answer);
	buf_init(&r->held, f->lim.max_event + 1024);
	buf_init(&r->up_body, 2 * f->lim.max_body + 65536);
	buf_init(&r->up_head, 32768);
	buf_init(&r->fields, 4096);
	relay_init(&r->relay, f->lim.max_event);
	return r;
}

struct request *
request_new(struct front *f, struct conn *c)
{
	struct request *r = f->free_list;

	if (r != NULL) {
		f->free_list = r->next;
		f->n_free--;
	} else {
		r = request_make(f);
		if (r == NULL)
			return NULL;
	}
	r->f = f;
	r->conn = c;
	r->next = NULL;
	r->state = REQ_HEAD;
	r->started = r->last_io = f->loop.mono;
	r->started_wall = f->loop.wall;
	r->answer.retry_ms = -1;
	r->answer.should_retry = -1;
	r->answer.cost = -1;
	r->id_text[0] = '\0';
	uuid_v7(&r->id, &f->rng.rng, f->loop.wall);
	uuid_format(&r->id, r->id_text);
	atomic_fetch_add_explicit(&f->in_flight, 1, memory_order_relaxed);
	return r;
}

static void
request_trim(struct buf *b)
{
	if (b->cap > REQUEST_KEEP)
		buf_release(b);
	else
		buf_clear(b);
}

/* Back to what request_new() expects. */
static void
request_wipe(struct request *r)
{
	r->f->bodies -= r->body_bytes;
	relay_clear(&r->relay);
	relay_trim(&r->relay, REQUEST_KEEP);
	spool_free(r->spool);
	if (r->ir != NULL)
		arena_release(&r->arena);
	request_trim(&r->body);
	request_trim(&r->out);
	request_trim(&r->held);
	request_trim(&r->up_body);
	request_trim(&r->up_head);
	request_trim(&r->fields);
	r->lost.n = 0;
	r->lost.text[0] = r->stored[0] = r->stored_own[0] = '\0';
	r->cannot_field[0] = r->cannot_text[0] = r->sim[0] = '\0';
	r->error_code[0] = r->reason[0] = r->refused_by[0] = '\0';
	tags_clear(&r->tags);
	memset(r, 0, offsetof(struct request, tags));
}

static void
request_release(struct loop_deferred *d)
{
	struct request *r =
	    (struct request *)(void *)((char *)d -
				       offsetof(struct request, deferred));
	struct front *f = r->f;

	request_wipe(r);
	r->f = f;
	r->next = f->free_list;
	f->free_list = r;
	f->n_free++;
}

void
request_free(struct request *r)
{
	MUST(r->state == REQ_END && r->att.call == NULL);
	MUST(r->att.state == ATT_NONE && r->claims.n == 0);
	timer_cancel(&r->f->loop.timers, &r->timer);
	bundle_unref(r->bundle);
	r->bundle = NULL;
	atomic_fetch_sub_explicit(&r->f->in_flight, 1, memory_order_relaxed);
	loop_defer(&r->f->loop, &r->deferred, request_release);
}

void
request_drain(struct front *f)
{
	struct request *r;

	while ((r = f->free_list) != NULL) {
		f->free_list = r->next;
		buf_release(&r->body);
		buf_release(&r->out);
		buf_release(&r->held);
		buf_release(&r->up_body);
		buf_release(&r->up_head);
		buf_release(&r->fields);
		relay_release(&r->relay);
		free(r);
		f->n_requests--;
		f->n_free--;
	}
}
