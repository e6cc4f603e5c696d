/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The turn of a worker, in the order that the journal's promises need.
 */
#include "agent/front/front.h"
#include "agent/front/lower.h"

#include "agent/front/places.h"
#include "agent/front/waiting.h"

#include <stdlib.h>
#include <unistd.h>

#define FRONT_MAX_ANSWER  (64 * 1024 * 1024) /* of a provider, plain */
#define FRONT_MAX_EVENT	  (8 * 1024 * 1024)
#define FRONT_MAX_IDLE	  1024 /* kept-alive connections per origin */
#define FRONT_IDLE_AGE	  (55 * NS_PER_S)
#define FRONT_IDLE	  (75 * NS_PER_S)
#define FRONT_BODIES	  64 /* of the largest size in flight */
#define FRONT_BODY	  (120 * NS_PER_S)
#define FRONT_SEND	  (60 * NS_PER_S)
#define FRONT_FAILURES	  5 /* in a row open a circuit */
#define FRONT_COOLDOWN	  (2 * NS_PER_S)
#define FRONT_FLUSH_RETRY (100 * NS_PER_MS)

static size_t
front_share(int64_t total, unsigned n, size_t least)
{
	size_t share = total > 0 ? (size_t)total / n : 0;

	/* The kernel spreads connections by hash, not evenly. */
	if (n > 1)
		share += share / 4;
	return share > least ? share : least;
}

static void
front_set_limits(struct front *f)
{
	const struct agent_options *o = f->agent->opt;
	struct front_limits *lim = &f->lim;
	unsigned n = f->agent->n_workers > 0 ? f->agent->n_workers : 1;

	lim->max_connections = front_share(o->max_connections, n, 16);
	lim->max_requests = lim->max_connections + 64;
	lim->max_body = o->max_body > 0 ? (size_t)o->max_body : 1;
	lim->max_bodies = FRONT_BODIES * lim->max_body;
	lim->max_head = o->max_head > 0 ? (size_t)o->max_head : 1;
	lim->stream_buffer =
	    o->stream_buffer > 0 ? (size_t)o->stream_buffer : 1;
	lim->max_answer = FRONT_MAX_ANSWER;
	lim->max_event = FRONT_MAX_EVENT;
	lim->lease_wait = o->lease_wait * NS_PER_MS;
	lim->queue_wait = o->queue_wait * NS_PER_MS;
	lim->idle_timeout = FRONT_IDLE;
	lim->body_timeout = FRONT_BODY;
	lim->send_timeout = FRONT_SEND;
	f->json = json_default_limits;
	f->json.max_bytes = lim->max_body;
	f->answer_json = json_default_limits;
	f->answer_json.max_bytes = lim->max_answer;
	f->answer_json.max_depth = 128;
}

static void
front_on_wake(struct loop_source *s, uint32_t events)
{
	struct front *f =
	    (struct front *)(void *)((char *)s - offsetof(struct front, wake));
	uint64_t n;

	(void)events;
	if (read(s->fd, &n, sizeof(n)) == (ssize_t)sizeof(n))
		f->woken = true;
}

int
front_init(struct front *f, struct agent *a, unsigned index, int listen_fd,
    struct error *e)
{
	struct up_limits up;
	uint64_t seed;
	int rc;

	memset(f, 0, sizeof(*f));
	f->agent = a;
	f->index = index;
	f->shard = a->shards[index];
	front_set_limits(f);
	meter_init(&f->meter, a->metrics);
	a->rng->fill(a->rng, &seed, sizeof(seed));
	rng_seeded_init(&f->rng, seed);
	rc = loop_init(&f->loop, a->clock, f->lim.max_requests * 4 + 64, e);
	if (rc != 0) {
		close(listen_fd);
		return rc;
	}
	up = (struct up_limits){f->lim.max_requests, FRONT_MAX_IDLE,
	    f->json.max_bytes < 32768 ? 32768 : 65536, FRONT_IDLE_AGE,
	    a->opt->upstream_ca_file};
	f->health = calloc(1, sizeof(*f->health));
	f->up = upstream_new(&f->loop, &up, e);
	if (f->health == NULL || f->up == NULL) {
		close(listen_fd);
		front_release(f);
		return err_set(e, ERR_NOMEM, "worker: out of memory");
	}
	route_health_init(f->health, FRONT_FAILURES, FRONT_COOLDOWN);
	rc = server_new(f, listen_fd, &f->server, e);
	if (rc != 0) {
		close(listen_fd);
		front_release(f);
		return rc;
	}
	f->wake.fd = a->links[index].wake_fd;
	f->wake.ready = front_on_wake;
	if (loop_add(&f->loop, &f->wake, EPOLLIN) != 0) {
		front_release(f);
		return err_set(e, ERR_IO, "epoll of the wake-up descriptor");
	}
	return 0;
}

void
front_release(struct front *f)
{
	server_free(f->server);
	f->server = NULL;
	upstream_free(f->up);
	f->up = NULL;
	loop_end_turn(&f->loop);
	request_drain(f);
	MUST(f->n_requests == 0);
	tokenizer_scratch_free(f->scratch);
	f->scratch = NULL;
	free(f->health);
	f->health = NULL;
	bundle_unref(f->bundle);
	f->bundle = NULL;
	owed_release(&f->owed);
	loop_release(&f->loop);
}

void
front_want_start(struct request *r)
{
	if (r->in_start)
		return;
	r->in_start = true;
	r->start_next = r->f->start;
	r->f->start = r;
}

void
front_want_finish(struct request *r)
{
	if (r->in_finish)
		return;
	r->in_finish = true;
	r->finish_next = r->f->finish;
	r->f->finish = r;
}

/* A newer bundle may be in the mailbox; parked requests may have rights. */
static void
front_look_around(struct front *f)
{
	struct bundle *b;
	struct request *r, *next;
	int class;

	f->woken = false;
	b = atomic_exchange_explicit(
	    &f->agent->links[f->index].mailbox, NULL, memory_order_acq_rel);
	if (b != NULL) {
		bundle_unref(f->bundle);
		f->bundle = b;
	}
	places_turn(f);
	for (class = QUEUE_CRITICAL; class < QUEUE_CLASSES; class ++) {
		struct request *last = f->waiting_last;
		bool more = last != NULL;

		for (r = f->waiting; more && r != NULL; r = next) {
			next = r->wait_next;
			more = r != last; /* who parks again comes after it */
			if (waiting_class(r) == class)
				admit_retry(r);
		}
	}
}

static void
front_start_calls(struct request *list, bool durable)
{
	struct request *r;

	while ((r = list) != NULL) {
		list = r->start_next;
		r->in_start = false;
		if (r->state != REQ_INTENT) /* its client left meanwhile */
			continue;
		if (durable) {
			call_start(r);
			continue;
		}
		/* The intent was dropped: nothing was promised. */
		r->att.state = ATT_RESERVED;
		settle_attempt(r, NULL, false);
		refuse(r, ERR_JOURNAL_FULL, NULL);
	}
}

static void
front_finish_answers(struct request *list)
{
	struct request *r;

	while ((r = list) != NULL) {
		list = r->finish_next;
		r->in_finish = false;
		if (r->state == REQ_USAGE)
			call_release(r);
	}
}

/*
 * One write for all that was collected. A usage record that could not be
 * written stays in the journal's memory and is tried again; its answer is
 * released all the same, since the intent on disk bills it after a crash.
 * A call that fails at once may go on with another target: that intent, and the
 * usage of the failure, were collected behind the write and wait for the next.
 */
static void
front_flush(struct front *f)
{
	struct request *start = f->start, *finish = f->finish;
	bool durable = true;

	if (journal_pending(f->shard) &&
	    (f->start != NULL || f->finish != NULL || !f->flush_failed ||
		f->loop.mono >= f->next_retry)) {
		durable = journal_flush(f->shard) == 0;
		f->flush_failed = !durable;
		f->next_retry = f->loop.mono + FRONT_FLUSH_RETRY;
	}
	owed_settle(f);
	f->start = f->finish = NULL;
	front_start_calls(start, durable);
	front_finish_answers(finish);
}

/* Add to a metric what changed since last time; gauges are sums over the
 * workers that way. */
static void
front_publish(struct front *f, enum agent_metric m, int64_t now, int64_t *told)
{
	if (now != *told)
		metric_inc(f->agent->metrics, (size_t)m, now - *told);
	*told = now;
}

static void
front_second(struct front *f)
{
	struct front_told *t = &f->told;

	f->next_second = f->loop.mono + NS_PER_S;
	server_second(f->server);
	front_publish(
	    f, AM_UP_CONNECTS, (int64_t)upstream_connects(f->up), &t->connects);
	front_publish(f, AM_EVENTS, (int64_t)f->events, &t->events);
	front_publish(f, AM_STREAMS, f->n_streams, &t->streams);
	front_publish(f, AM_UP_IN_FLIGHT, upstream_in_flight(f->up), &t->calls);
	front_publish(f, AM_CONNECTIONS, server_n_connections(f->server),
	    &t->connections);
	front_publish(f, AM_IN_FLIGHT,
	    atomic_load_explicit(&f->in_flight, memory_order_relaxed),
	    &t->in_flight);
}

void
front_turn(struct front *f, int64_t max_wait)
{
	int64_t wait = server_max_wait(f->server);
	bool more;
	int i;

	if (f->flush_failed && wait > FRONT_FLUSH_RETRY)
		wait = FRONT_FLUSH_RETRY;
	if (f->lowering != NULL && wait > lower_max_wait(f))
		wait = lower_max_wait(f);
	if (f->tell_others && wait > NS_PER_MS)
		wait = NS_PER_MS;
	loop_poll(&f->loop, wait < max_wait ? wait : max_wait);
	f->exact_left = SETTLE_EXACT_MAX;
	if (f->lowering != NULL)
		lower_release(f);
	if (f->tell_others)
		waiting_tell(f);
	if (f->woken)
		front_look_around(f);
	if (server_is_due(f->server))
		server_run(f->server);
	more = upstream_turn(f->up);
	/* Releasing an answer may start a call and the other way round; a few
	 * rounds, the rest comes next turn. */
	for (i = 0; i < 2; i++) {
		front_flush(f);
		if (f->woken) /* who waits, before who comes */
			front_look_around(f);
		if (server_is_due(f->server))
			server_run(f->server);
		if (f->start == NULL && f->finish == NULL)
			break;
	}
	more = upstream_turn(f->up) || more;
	if (more || f->woken || f->start != NULL || f->finish != NULL ||
	    (f->owed.n > 0 && !f->flush_failed)) {
		uint64_t one = 1;

		(void)!write(f->wake.fd, &one, sizeof(one));
	}
	loop_end_turn(&f->loop);
	if (f->loop.mono >= f->next_second)
		front_second(f);
	atomic_fetch_add_explicit(
	    &f->agent->links[f->index].turns, 1, memory_order_relaxed);
}

void
front_quiesce(struct front *f)
{
	server_quiesce(f->server);
}

void
front_abort(struct front *f)
{
	server_abort_all(f->server);
}

bool
front_is_idle(const struct front *f)
{
	return atomic_load_explicit(&f->in_flight, memory_order_relaxed) == 0 &&
	       f->start == NULL && f->finish == NULL;
}
