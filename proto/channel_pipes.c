/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to connections and sockets of the channel: which there are,
 * since when there is none, closing without trusting that it ends. See
 * channel_priv.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/channel_priv.h"

#define PACE_FROM      4    /* sockets that hang before new ones wait */
#define PACE_MS	       5000 /* for the next */
#define PACE_SLOW      32   /* from here on longer, twice for each */
#define PACE_STEP      8    /* so many more, */
#define PACE_DOUBLINGS 6    /* at most as often as this */

/* ---- closing ------------------------------------------------------------ */

struct channel_closing {
	nng_socket sock;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool done;
	atomic_int refs;
};

static void
closing_unref(struct channel_closing *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	pthread_cond_destroy(&c->done_cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void *
closing_main(void *arg)
{
	struct channel_closing *c = arg;

	(void)nng_close(c->sock);
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->done_cond);
	pthread_mutex_unlock(&c->lock);
	closing_unref(c);
	return NULL;
}

struct channel_closing *
channel_closing_start(nng_socket sock)
{
	struct channel_closing *c = calloc(1, sizeof(*c));
	pthread_t thread;

	if (c == NULL)
		return NULL;
	c->sock = sock;
	pthread_mutex_init(&c->lock, NULL);
	channel_cond_init(&c->done_cond);
	atomic_init(&c->refs, 2); /* the thread's and the caller's */
	if (pthread_create(&thread, NULL, closing_main, c) != 0) {
		atomic_store(&c->refs, 1);
		closing_unref(c);
		return NULL;
	}
	pthread_detach(thread);
	return c;
}

bool
channel_closing_done(struct channel_closing *c, int64_t wait_ms)
{
	struct timespec until = channel_timespec(channel_now_ms() + wait_ms);
	bool done;

	if (c == NULL)
		return true;
	pthread_mutex_lock(&c->lock);
	while (!c->done && wait_ms > 0 &&
	       pthread_cond_timedwait(&c->done_cond, &c->lock, &until) !=
		   ETIMEDOUT)
		;
	done = c->done;
	pthread_mutex_unlock(&c->lock);
	return done;
}

void
channel_closing_free(struct channel_closing *c)
{
	if (c != NULL)
		closing_unref(c);
}

bool
channel_close(nng_socket sock)
{
	struct channel_closing *c = channel_closing_start(sock);
	bool done = c != NULL && channel_closing_done(c, CHANNEL_CLOSE_MS);

	channel_closing_free(c);
	return done;
}

bool
channel_gate_enter(struct channel_gate *g)
{
	atomic_fetch_add(&g->inside, 1);
	if (!atomic_load(&g->shut))
		return true;
	channel_gate_leave(g);
	return false;
}

void
channel_gate_leave(struct channel_gate *g)
{
	atomic_fetch_sub(&g->inside, 1);
}

bool
channel_gate_shut(struct channel_gate *g, int64_t wait_ms)
{
	int64_t end = channel_now_ms() + wait_ms;
	const struct timespec pause = {0, 1000000};

	atomic_store(&g->shut, true);
	while (atomic_load(&g->inside) > 0) {
		if (channel_now_ms() >= end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- connections -------------------------------------------------------- */

void
channel_pipes_init(struct channel_pipes *p, int64_t patience_ms)
{
	pthread_mutex_init(&p->lock, NULL);
	channel_cond_init(&p->change);
	p->n_known = 0;
	p->had_one = false;
	p->patience_ms = patience_ms;
	p->born_ms = p->lost_ms = channel_now_ms();
	atomic_init(&p->gone_ms, 0);
	atomic_init(&p->n, 0);
}

void
channel_pipes_release(struct channel_pipes *p)
{
	pthread_cond_destroy(&p->change);
	pthread_mutex_destroy(&p->lock);
}

void
channel_pipes_on_event(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct channel_pipes *p = arg;
	unsigned i;

	pthread_mutex_lock(&p->lock);
	if (ev == NNG_PIPE_EV_ADD_POST) {
		atomic_fetch_add(&p->n, 1);
		p->had_one = true;
		p->lost_ms = 0;
		if (p->n_known < CHANNEL_MAX_PIPES)
			p->pipes[p->n_known++] = pipe;
	} else {
		for (i = 0; i < p->n_known; i++)
			if (nng_pipe_id(p->pipes[i]) == nng_pipe_id(pipe))
				break;
		if (i < p->n_known)
			p->pipes[i] = p->pipes[--p->n_known];
		atomic_store(&p->gone_ms, channel_now_ms());
		if (atomic_load(&p->n) > 0 && atomic_fetch_sub(&p->n, 1) == 1)
			p->lost_ms = channel_now_ms();
	}
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
}

int
channel_pipes_watch(struct channel_pipes *p, nng_socket sock, struct error *e)
{
	int rv;

	rv = nng_pipe_notify(
	    sock, NNG_PIPE_EV_ADD_POST, channel_pipes_on_event, p);
	if (rv == 0)
		rv = nng_pipe_notify(
		    sock, NNG_PIPE_EV_REM_POST, channel_pipes_on_event, p);
	return rv == 0 ? 0 : channel_fail(e, rv, "pipe notification");
}

void
channel_pipes_drop(struct channel_pipes *p)
{
	nng_pipe copy[CHANNEL_MAX_PIPES];
	unsigned i, n;

	pthread_mutex_lock(&p->lock);
	n = p->n_known;
	memcpy(copy, p->pipes, n * sizeof(copy[0]));
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < n; i++)
		(void)nng_pipe_close(copy[i]);
}

bool
channel_pipes_is_lost(struct channel_pipes *p)
{
	bool lost;

	pthread_mutex_lock(&p->lock);
	lost =
	    p->lost_ms != 0 && channel_now_ms() - p->lost_ms > p->patience_ms;
	pthread_mutex_unlock(&p->lock);
	return lost;
}

int64_t
channel_pipes_next(struct channel_pipes *p, int64_t base_ms)
{
	int64_t most = base_ms * CHANNEL_DIAL_MAX_MS / CHANNEL_DIAL_MS;
	bool had_one;

	pthread_mutex_lock(&p->lock);
	had_one = p->had_one;
	pthread_mutex_unlock(&p->lock);
	if (had_one)
		return base_ms;
	return 2 * p->patience_ms < most ? 2 * p->patience_ms : most;
}

bool
channel_pipes_may_renew(const struct channel_pipes *p, unsigned n_hanging)
{
	unsigned more = 0;

	if (n_hanging < PACE_FROM)
		return true;
	if (n_hanging >= PACE_SLOW)
		more = 1 + (n_hanging - PACE_SLOW) / PACE_STEP;
	if (more > PACE_DOUBLINGS)
		more = PACE_DOUBLINGS;
	return channel_now_ms() - p->born_ms >= (int64_t)PACE_MS << more;
}

void
channel_pipes_wait(struct channel_pipes *p, int64_t until_ms)
{
	struct timespec until = channel_timespec(until_ms);

	pthread_mutex_lock(&p->lock);
	if (atomic_load(&p->n) == 0)
		(void)pthread_cond_timedwait(&p->change, &p->lock, &until);
	pthread_mutex_unlock(&p->lock);
}

void
channel_pipes_pause(
    struct channel_pipes *p, int64_t until_ms, const atomic_bool *stop)
{
	struct timespec until = channel_timespec(until_ms);

	pthread_mutex_lock(&p->lock);
	while (!atomic_load(stop) && pthread_cond_timedwait(&p->change,
					 &p->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&p->lock);
}

void
channel_pipes_kick(struct channel_pipes *p)
{
	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
}
