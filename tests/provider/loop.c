/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loops of the simulator: accept, read, write, timers. Sockets are
 * registered once, edge-triggered, so that a small request costs one recv and
 * one send: the simulator must never be what a benchmark measures.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tests/provider/conn.h"
#include "tests/provider/route.h"
#include "tests/provider/timers.h"

#define LOOP_EVENTS    256
#define LOOP_READ      16384
#define LOOP_ROUNDS    16 /* streams: turns of events before others run */
#define LOOP_TICK_MS   100
#define LOOP_OUT_LIMIT (1024 * 1024 * 1024)

struct loop {
	struct sim *sim;
	pthread_t thread;
	int epoll_fd, listen_fd, tls_fd; /* tls_fd -1: no TLS */
	int64_t now_ns;
	struct timers timers;
	struct conn *dead; /* freed at the end of the turn */
	struct conn *open;
};

static int64_t
loop_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
conn_now_ns(const struct conn *c)
{
	return c->loop->now_ns;
}

void
conn_schedule(struct conn *c, int64_t due_ns)
{
	timers_set(&c->loop->timers, c, due_ns);
}

void
conn_close(struct conn *c, bool reset)
{
	struct linger now = {1, 0};

	if (c->fd < 0)
		return;
	timers_remove(&c->loop->timers, c);
	if (c->tls != NULL && !reset)
		tls_end(c->tls, c->ending);
	if (reset)
		(void)setsockopt(
		    c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(c->fd);
	c->fd = -1;
	atomic_fetch_sub(&c->sim->n.open_connections, 1);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->loop->open = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->next_dead = c->loop->dead;
	c->loop->dead = c;
}

static void
loop_bury(struct loop *l)
{
	while (l->dead != NULL) {
		struct conn *c = l->dead;

		l->dead = c->next_dead;
		exchange_release(&c->x);
		buf_release(&c->in);
		buf_release(&c->out);
		tls_free(c->tls);
		free(c);
	}
}

static ssize_t
conn_send(struct conn *c, const void *p, size_t n)
{
	return c->tls != NULL ? tls_send(c->tls, p, n)
			      : send(c->fd, p, n, MSG_NOSIGNAL);
}

/* Send what is there. False when the connection was closed. */
static bool
conn_flush(struct conn *c)
{
	while (c->out_sent < c->out.len && c->writable) {
		size_t n = c->out.len - c->out_sent;
		ssize_t sent;

		if (c->split > 0 && n > c->split)
			n = c->split;
		if (c->reset_at >= 0 && (int64_t)n > c->reset_at - c->answered)
			n = (size_t)(c->reset_at - c->answered);
		sent = n == 0 ? 0 : conn_send(c, c->out.data + c->out_sent, n);
		if (sent < 0 && errno == EAGAIN) {
			c->writable = false;
			break;
		}
		if (sent < 0) {
			exchange_abort(c, true);
			conn_close(c, false);
			return false;
		}
		c->out_sent += (size_t)sent;
		c->answered += sent;
		if (c->reset_at >= 0 && c->answered >= c->reset_at) {
			exchange_abort(c, false);
			conn_close(c, true);
			return false;
		}
		if (c->drip_ns > 0 && c->out_sent < c->out.len) {
			conn_schedule(c, c->loop->now_ns + c->drip_ns);
			break;
		}
	}
	if (c->out_sent == c->out.len) {
		c->out_sent = 0;
		buf_clear(&c->out);
	}
	return true;
}

/* Start the next request of the input, if one is complete. */
static bool
conn_next_request(struct conn *c)
{
	struct buf in = c->in;
	struct http_request r;
	int rc;

	in.data += c->in_used;
	in.len -= c->in_used;
	rc = http_parse(&in, &r);
	if (rc < 0) {
		atomic_fetch_add(&c->sim->n.bad_requests, 1);
		conn_close(c, false);
		return false;
	}
	if (rc == 0) {
		if (c->in_used > 0) {
			buf_consume(&c->in, c->in_used);
			c->in_used = 0;
		}
		if (r.want_continue)
			buf_addz(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
		return false;
	}
	c->answered = 0;
	c->reset_at = -1;
	c->split = 0;
	c->drip_ns = 0;
	c->half_close = false;
	c->close_after = r.close;
	route_request(c, &r);
	c->in_used += r.total;
	if (c->in_used == c->in.len) {
		c->in_used = 0;
		buf_clear(&c->in);
	}
	return true;
}

/* Everything that can be done for a connection now. */
static void
conn_advance(struct conn *c)
{
	for (int round = 0; c->fd >= 0; round++) {
		if (!conn_flush(c))
			return;
		if (c->out.len > 0)
			return; /* the socket is full, or dripping */
		if (c->x.phase == X_STREAM && c->heap_at == 0) {
			if (round >= LOOP_ROUNDS) {
				conn_schedule(c, c->loop->now_ns);
				return;
			}
			exchange_step(c);
			continue;
		}
		if (c->x.phase != X_IDLE)
			return;
		if (c->half_close) {
			if (c->tls != NULL)
				tls_end(c->tls, CONN_NOTIFY);
			(void)shutdown(c->fd, SHUT_WR);
			return;
		}
		if (c->close_after) {
			conn_close(c, false);
			return;
		}
		if (c->in.len == 0)
			return;
		if (!conn_next_request(c) && (c->fd < 0 || c->out.len == 0))
			return;
	}
}

static void
conn_read(struct conn *c)
{
	for (;;) {
		ssize_t n;

		if (buf_reserve(&c->in, LOOP_READ) != 0) {
			c->peer_gone = true;
			return;
		}
		if (c->tls != NULL)
			n = tls_recv(c->tls, c->in.data + c->in.len,
			    c->in.cap - c->in.len);
		else
			n = recv(c->fd, c->in.data + c->in.len,
			    c->in.cap - c->in.len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			c->peer_gone = true;
			return;
		}
		if (n < 0 && errno == EAGAIN)
			return;
		if (n > 0)
			c->in.len += (size_t)n;
		if (c->in.len < c->in.cap && c->tls == NULL)
			return; /* TLS: until it says that no more is there */
	}
}

static void
conn_on_event(struct conn *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (events & EPOLLOUT)
		c->writable = true;
	if ((events & EPOLLIN) || c->tls != NULL)
		conn_read(c);
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->peer_gone = true;
	conn_advance(c);
	if (c->fd >= 0 && c->peer_gone) {
		exchange_abort(c, true);
		conn_close(c, false);
	}
}

static void
loop_accept(struct loop *l, bool tls)
{
	for (int i = 0; i < 64; i++) {
		int one = 1;
		int fd = accept4(tls ? l->tls_fd : l->listen_fd, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event ev;
		struct conn *c;

		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (c != NULL && tls)
			c->tls = tls_new(l->sim->tls, fd);
		if (c == NULL || (tls && c->tls == NULL)) {
			free(c);
			(void)close(fd);
			return;
		}
		(void)setsockopt(
		    fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->loop = l;
		c->sim = l->sim;
		c->fd = fd;
		c->writable = true;
		c->reset_at = -1;
		buf_init(&c->in, HTTP_MAX_HEAD + 2 * HTTP_MAX_BODY);
		buf_init(&c->out, LOOP_OUT_LIMIT);
		ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
		ev.data.ptr = c;
		c->next = l->open;
		if (l->open != NULL)
			l->open->prev = c;
		l->open = c;
		atomic_fetch_add(&l->sim->n.connections, 1);
		if (tls)
			atomic_fetch_add(&l->sim->n.tls_connections, 1);
		atomic_fetch_add(&l->sim->n.open_connections, 1);
		if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
			conn_close(c, false);
	}
}

static void
loop_run_timers(struct loop *l)
{
	struct conn *c;

	while ((c = timers_take_due(&l->timers, l->now_ns)) != NULL) {
		if (c->out.len > 0) { /* a drip goes on */
			conn_advance(c);
			continue;
		}
		if (c->x.phase == X_WAIT || c->x.phase == X_STREAM)
			exchange_step(c);
		conn_advance(c);
	}
}

static void *
loop_main(void *arg)
{
	struct loop *l = arg;
	struct epoll_event events[LOOP_EVENTS];

	while (!atomic_load(&l->sim->stop)) {
		int64_t wait = timers_next(&l->timers) - loop_clock();
		struct timespec ts;
		int n;

		if (wait > LOOP_TICK_MS * 1000000LL)
			wait = LOOP_TICK_MS * 1000000LL;
		if (wait < 0)
			wait = 0;
		ts.tv_sec = 0;
		ts.tv_nsec = wait;
		n = epoll_pwait2(l->epoll_fd, events, LOOP_EVENTS, &ts, NULL);
		l->now_ns = loop_clock();
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				loop_accept(l, false);
			else if (events[i].data.ptr == l)
				loop_accept(l, true);
			else
				conn_on_event(
				    events[i].data.ptr, events[i].events);
		}
		loop_run_timers(l);
		loop_bury(l);
	}
	return NULL;
}

/* A listening socket; port 0 is replaced by the one the kernel chose. */
static int
loop_listen(struct loop_place *at, struct error *e)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	addr.sin_port = htons(at->port);
	if (fd < 0 || inet_pton(AF_INET, at->host, &addr.sin_addr) != 1)
		goto bad;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, len) != 0 ||
	    listen(fd, 4096) != 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
		goto bad;
	at->port = ntohs(addr.sin_port);
	return fd;
bad:
	if (fd >= 0)
		(void)close(fd);
	return err_set(e, ERR_IO, "cannot listen on %s:%u: %s", at->host,
	    (unsigned)at->port, strerror(errno));
}

static int
loop_open(struct loop *l, struct sim *sim, struct loop_place *plain,
    struct loop_place *tls, struct error *e)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct epoll_event tls_ev = {.events = EPOLLIN, .data.ptr = l};

	l->sim = sim;
	l->now_ns = loop_clock();
	l->tls_fd = -1;
	l->listen_fd = loop_listen(plain, e);
	if (l->listen_fd < 0)
		return l->listen_fd;
	if (sim->tls != NULL) {
		l->tls_fd = loop_listen(tls, e);
		if (l->tls_fd < 0)
			return l->tls_fd;
	}
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0 ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->listen_fd, &ev) != 0 ||
	    (l->tls_fd >= 0 &&
		epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->tls_fd, &tls_ev) != 0))
		return err_set(e, ERR_IO, "epoll: %s", strerror(errno));
	return 0;
}

/* The end: what was under way is billed as far as it got. */
static void
loop_close(struct loop *l)
{
	while (l->open != NULL) {
		exchange_abort(l->open, false);
		conn_close(l->open, false);
	}
	loop_bury(l);
	timers_release(&l->timers);
	if (l->listen_fd > 0)
		(void)close(l->listen_fd);
	if (l->tls_fd > 0)
		(void)close(l->tls_fd);
	if (l->epoll_fd > 0)
		(void)close(l->epoll_fd);
}

int
loops_run(struct sim *sim, struct loop_place *plain, struct loop_place *tls,
    int n_threads,
    void (*on_ready)(const struct loop_place *, const struct loop_place *),
    struct error *e)
{
	struct loop *loops = calloc((size_t)n_threads, sizeof(*loops));
	int rc = 0, started = 0;

	if (loops == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	for (int i = 0; i < n_threads && rc == 0; i++)
		rc = loop_open(&loops[i], sim, plain, tls, e);
	if (rc == 0)
		on_ready(plain, sim->tls != NULL ? tls : NULL);
	for (; started < n_threads && rc == 0; started++) {
		if (pthread_create(&loops[started].thread, NULL, loop_main,
			&loops[started]) != 0) {
			rc = err_set(e, ERR_IO, "cannot start a thread");
			break;
		}
	}
	if (rc != 0)
		atomic_store(&sim->stop, 1);
	for (int i = 0; i < started; i++)
		(void)pthread_join(loops[i].thread, NULL);
	for (int i = 0; i < n_threads; i++)
		loop_close(&loops[i]);
	free(loops);
	return rc;
}
