/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LISTEN on a connection and a thread of its own. After every (re)connection
 * the callback runs once per channel with a NULL payload, because what was
 * notified while we were away is gone.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "controlplane/store/store.h"
#include "controlplane/store/store_internal.h"

#define LISTEN_MAX_CHANNELS 8
#define LISTEN_BACKOFF_MAX  2000 /* ms between attempts to reconnect */

struct store_listener {
	struct store *store;
	const char *channels[LISTEN_MAX_CHANNELS];
	size_t n;
	store_notify_fn *fn;
	void *ctx;
	int stop_fd; /* eventfd, readable = stop */
	pthread_t thread;
	PGconn *pg; /* the thread's */
};

/* Wait for input on fd (-1 = only time). True = asked to stop. */
static bool
listener_wait(struct store_listener *l, int fd, int timeout_ms)
{
	struct pollfd p[2] = {
	    {.fd = l->stop_fd, .events = POLLIN},
	    {.fd = fd, .events = POLLIN},
	};

	if (poll(p, fd < 0 ? 1 : 2, timeout_ms) < 0)
		return false;
	return p[0].revents != 0;
}

static int
listener_connect(struct store_listener *l, struct error *e)
{
	PGconn *pg = NULL;
	PGresult *res;
	char sql[128];
	int rc;

	rc = store_connect(l->store, "listen", &pg, e);
	for (size_t i = 0; i < l->n && rc == 0; i++) {
		snprintf(sql, sizeof(sql), "LISTEN %s", l->channels[i]);
		res = PQexec(pg, sql);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			rc = err_set(e, ERR_UNAVAILABLE, "LISTEN failed");
		PQclear(res);
	}
	if (rc != 0) {
		PQfinish(pg);
		return rc;
	}
	l->pg = pg;
	return 0;
}

static void
listener_deliver(struct store_listener *l)
{
	PGnotify *n;

	while ((n = PQnotifies(l->pg)) != NULL) {
		l->fn(l->ctx, n->relname, n->extra);
		PQfreemem(n);
		PQconsumeInput(l->pg);
	}
}

static void
listener_lost(struct store_listener *l)
{
	PQfinish(l->pg);
	l->pg = NULL;
}

static void *
listener_main(void *arg)
{
	struct store_listener *l = arg;
	struct error e;
	int backoff = 50;

	for (;;) {
		if (l->pg == NULL && listener_connect(l, &e) != 0) {
			if (listener_wait(l, -1, backoff))
				break;
			if (backoff < LISTEN_BACKOFF_MAX)
				backoff *= 2;
			continue;
		}
		if (backoff != 0) {
			backoff = 0;
			for (size_t i = 0; i < l->n; i++)
				l->fn(l->ctx, l->channels[i], NULL);
		}
		listener_deliver(l);
		if (listener_wait(l, PQsocket(l->pg), 30000))
			break;
		if (PQconsumeInput(l->pg) == 0 ||
		    PQstatus(l->pg) != CONNECTION_OK) {
			listener_lost(l);
			backoff = 50;
		}
	}
	listener_lost(l);
	return NULL;
}

int
store_listen(struct store *s, const char *const *channels, size_t n,
    store_notify_fn *fn, void *ctx, struct store_listener **ret,
    struct error *e)
{
	struct store_listener *l = calloc(1, sizeof(*l));
	int rc = 0;

	MUST(n >= 1 && n <= LISTEN_MAX_CHANNELS);
	if (l == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	l->store = s;
	for (l->n = 0; l->n < n; l->n++)
		l->channels[l->n] = channels[l->n];
	l->fn = fn;
	l->ctx = ctx;
	l->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (l->stop_fd < 0)
		rc = err_set(e, ERR_LIMIT, "cannot make an eventfd");
	if (rc == 0 && pthread_create(&l->thread, NULL, listener_main, l) != 0)
		rc = err_set(e, ERR_LIMIT, "cannot start a thread");
	if (rc != 0) {
		if (l->stop_fd >= 0)
			close(l->stop_fd);
		free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

void
store_unlisten(struct store_listener *l)
{
	uint64_t one = 1;
	ssize_t n;

	if (l == NULL)
		return;
	n = write(l->stop_fd, &one, sizeof(one));
	MUST(n == sizeof(one));
	pthread_join(l->thread, NULL);
	close(l->stop_fd);
	free(l);
}
