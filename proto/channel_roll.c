/* SPDX-License-Identifier: Apache-2.0 */
/* See channel_roll.h. */
#include "proto/channel_roll.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ROLL_MISSES 2
#define ROLL_STUCK  5
#define ROLL_CLOSES 256 /* in one call */

struct entry {
	struct roll_peer peer;
	int pipe;
	unsigned missed; /* calls in a row */
};
struct seen {
	struct roll_peer peer;
	int pipe;
	bool here;
};

struct channel_roll {
	pthread_mutex_t lock; /* of entries */
	struct entry *entries;
	size_t n, room;
	struct seen *calls; /* by peer; the calling thread's */
	size_t n_calls, call_room;
	atomic_uint n_stuck;
};

struct channel_roll *
channel_roll_new(void)
{
	struct channel_roll *r = calloc(1, sizeof(*r));

	if (r != NULL)
		pthread_mutex_init(&r->lock, NULL);
	return r;
}

void
channel_roll_free(struct channel_roll *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->entries);
	free(r->calls);
	free(r);
}

/* ---- coming and going ---------------------------------------------------- */

static bool
peer_of_pipe(nng_pipe pipe, struct roll_peer *p)
{
	nng_sockaddr a, here;

	if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &a) != 0 ||
	    nng_pipe_get_addr(pipe, NNG_OPT_LOCADDR, &here) != 0)
		return false;
	if (a.s_family == NNG_AF_INET) {
		memcpy(p->address, &a.s_in.sa_addr, 4);
		p->port = a.s_in.sa_port;
		p->here = ntohs(here.s_in.sa_port);
	} else if (a.s_family == NNG_AF_INET6) {
		memcpy(p->address, a.s_in6.sa_addr, 16);
		p->port = a.s_in6.sa_port;
		p->here = ntohs(here.s_in6.sa_port);
	}
	return true;
}

void
channel_roll_add(struct channel_roll *r, nng_pipe pipe)
{
	struct entry k = {.pipe = nng_pipe_id(pipe)};

	if (!peer_of_pipe(pipe, &k.peer)) {
		(void)nng_pipe_close(pipe);
		return;
	}
	pthread_mutex_lock(&r->lock);
	if (r->n == r->room) {
		size_t room = r->room == 0 ? 64 : 2 * r->room;
		struct entry *v = realloc(r->entries, room * sizeof(*v));

		if (v != NULL) {
			r->entries = v;
			r->room = room;
		}
	}
	if (r->n < r->room)
		r->entries[r->n++] = k;
	pthread_mutex_unlock(&r->lock);
}

void
channel_roll_remove(struct channel_roll *r, nng_pipe pipe)
{
	size_t i = 0;

	pthread_mutex_lock(&r->lock);
	while (i < r->n && r->entries[i].pipe != nng_pipe_id(pipe))
		i++;
	if (i < r->n)
		r->entries[i] = r->entries[--r->n];
	pthread_mutex_unlock(&r->lock);
}

bool
channel_roll_has(struct channel_roll *r, const struct roll_peer *p)
{
	bool yes = false;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n && !yes; i++)
		yes = memcmp(&r->entries[i].peer, p, sizeof(*p)) == 0;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

/* ---- calling ------------------------------------------------------------- */

static int
seen_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct roll_peer)); /* their first member */
}

static struct seen *
roll_find(struct channel_roll *r, const struct roll_peer *p)
{
	struct seen key = {.peer = *p};

	if (r->n_calls == 0)
		return NULL;
	return bsearch(&key, r->calls, r->n_calls, sizeof(key), seen_compare);
}

void
channel_roll_call(struct channel_roll *r)
{
	pthread_mutex_lock(&r->lock);
	if (r->call_room < r->n) {
		struct seen *v = realloc(r->calls, r->room * sizeof(*r->calls));

		if (v != NULL) {
			r->calls = v;
			r->call_room = r->room;
		}
	}
	r->n_calls = r->n < r->call_room ? r->n : r->call_room;
	for (size_t i = 0; i < r->n_calls; i++)
		r->calls[i] = (struct seen){
		    r->entries[i].peer, r->entries[i].pipe, false};
	pthread_mutex_unlock(&r->lock);
	if (r->n_calls > 0)
		qsort(r->calls, r->n_calls, sizeof(*r->calls), seen_compare);
}

bool
channel_roll_see(struct channel_roll *r, const struct roll_peer *p)
{
	struct seen *s = roll_find(r, p);

	if (s != NULL)
		s->here = true;
	return s != NULL;
}

unsigned
channel_roll_end(struct channel_roll *r)
{
	nng_pipe gone[ROLL_CLOSES];
	unsigned n = 0, n_stuck = 0;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++) {
		struct entry *k = &r->entries[i];
		const struct seen *s = roll_find(r, &k->peer);

		if (s == NULL || s->pipe != k->pipe)
			continue; /* came since */
		k->missed = s->here ? 0 : k->missed + 1;
		n_stuck += k->missed >= ROLL_STUCK;
		if (k->missed >= ROLL_MISSES && n < ROLL_CLOSES)
			gone[n++].id = (uint32_t)k->pipe;
	}
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < n; i++)
		(void)nng_pipe_close(gone[i]);
	atomic_store(&r->n_stuck, n_stuck);
	return n;
}

unsigned
channel_roll_stuck(const struct channel_roll *r)
{
	return atomic_load(&r->n_stuck);
}
