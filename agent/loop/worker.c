/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's thread and its listening socket.
 */
#include "agent/loop/worker.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/front/front.h"

#define WORKER_BACKLOG 4096

struct worker {
	struct front front;
	pthread_t thread;
	bool quiet, aborted;
};

/* "host:port" or "[v6]:port". */
static int
worker_split(const char *listen, char *host, size_t cap, char *port,
    size_t port_cap, struct error *e)
{
	const char *colon = strrchr(listen, ':');
	struct str h;

	if (colon == NULL)
		return err_set(e, ERR_INVALID, "%s: no port", listen);
	h = str_make(listen, (size_t)(colon - listen));
	if (h.len >= 2 && h.p[0] == '[' && h.p[h.len - 1] == ']')
		h = str_make(h.p + 1, h.len - 2);
	if (str_copy(h, host, cap) != 0 ||
	    str_copy(str_of(colon + 1), port, port_cap) != 0)
		return err_set(e, ERR_INVALID, "%s: bad address", listen);
	return 0;
}

static int
worker_bind(const struct addrinfo *ai, int *ret)
{
	int fd, on = 1;

	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_IO;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(fd, WORKER_BACKLOG) != 0) {
		close(fd);
		return ERR_IO;
	}
	*ret = fd;
	return 0;
}

static int
worker_port_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		return 0;
	if (sa.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)(void *)&sa)->sin6_port);
	return ntohs(((struct sockaddr_in *)(void *)&sa)->sin_port);
}

static int
worker_listen(struct agent *a, unsigned index, int *ret, struct error *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	char host[256], port[16];
	int rc;

	rc = worker_split(
	    a->opt->data_listen, host, sizeof(host), port, sizeof(port), e);
	if (rc != 0)
		return rc;
	if (index > 0)
		(void)snprintf(
		    port, sizeof(port), "%d", atomic_load(&a->data_port));
	if (getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &list) !=
	    0)
		return err_set(e, ERR_INVALID, "%s: cannot be resolved",
		    a->opt->data_listen);
	rc = worker_bind(list, ret);
	if (rc != 0)
		(void)err_set(
		    e, rc, "%s: %s", a->opt->data_listen, strerror(errno));
	else if (index == 0)
		atomic_store(&a->data_port, worker_port_of(*ret));
	freeaddrinfo(list);
	return rc;
}

/* Follow agent.draining. False when the thread shall end. */
static bool
worker_goes_on(struct worker *w)
{
	int draining = atomic_load_explicit(
	    &w->front.agent->draining, memory_order_relaxed);

	if (draining == 0)
		return true;
	if (!w->quiet) {
		w->quiet = true;
		front_quiesce(&w->front);
	}
	if (draining > 1 && !w->aborted) {
		w->aborted = true;
		front_abort(&w->front);
		return true;
	}
	return !front_is_idle(&w->front);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	char name[16];
	sigset_t all;

	(void)snprintf(name, sizeof(name), "worker-%u", w->front.index);
	(void)pthread_setname_np(pthread_self(), name);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	w->front.woken = true; /* a bundle may be there already */
	while (worker_goes_on(w))
		front_turn(&w->front, w->quiet ? 50 * NS_PER_MS : NS_PER_S);
	/* What is still in memory of the journal gets a last chance. */
	if (journal_pending(w->front.shard))
		(void)!journal_flush(w->front.shard);
	owed_settle(&w->front);
	return NULL;
}

int
worker_start(
    struct agent *a, unsigned index, struct worker **ret, struct error *e)
{
	struct worker *w;
	int rc, fd = -1;

	if (a->links[index].wake_fd <= 0)
		a->links[index].wake_fd =
		    eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a->links[index].wake_fd < 0)
		return err_set(e, ERR_IO, "eventfd: %s", strerror(errno));
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return err_set(e, ERR_NOMEM, "worker: out of memory");
	rc = worker_listen(a, index, &fd, e);
	if (rc == 0)
		rc = front_init(&w->front, a, index, fd, e);
	if (rc != 0) {
		free(w);
		return rc;
	}
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
		front_release(&w->front);
		free(w);
		return err_set(e, ERR_IO, "cannot start a thread");
	}
	*ret = w;
	return 0;
}

void
worker_join(struct worker *w)
{
	if (w == NULL)
		return;
	(void)pthread_join(w->thread, NULL);
	front_release(&w->front);
	free(w);
}

unsigned
worker_in_flight(const struct worker *w)
{
	return atomic_load_explicit(&w->front.in_flight, memory_order_relaxed);
}
