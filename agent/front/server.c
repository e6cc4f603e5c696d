/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 server of one worker: accepts, reads requests, sends answers.
 * Connections are registered in the worker's epoll once, edge-triggered; all
 * of them read through one scratch buffer, so that an open connection costs a
 * few hundred bytes. A client that hangs up is noticed at once, whatever its
 * request is doing.
 *
 * One request at a time a connection; pipelined bytes wait. After an error in
 * framing nothing further is read as a request: the connection is closed
 * (gently, so that the answer arrives).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/front/conn.h"

#define SERVER_ACCEPTS 64 /* a turn */
#define SERVER_LINGER  (2 * NS_PER_S)
#define CONN_EVENTS    (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

void
conn_want(struct conn *c)
{
	if (c->in_ready || c->state == CONN_CLOSED)
		return;
	c->in_ready = true;
	c->ready_next = c->s->ready;
	c->s->ready = c;
}

void
server_resume(struct request *r)
{
	if (r->conn != NULL)
		conn_want(r->conn);
}

void
conn_let_go(struct conn *c)
{
	struct request *r = c->req;

	if (r == NULL)
		return;
	c->req = NULL;
	r->conn = NULL;
	call_client_gone(r);
	if (r->state == REQ_HEAD || r->state == REQ_BODY ||
	    r->state == REQ_ANSWER)
		request_move(r, REQ_END);
	request_try_end(r);
}

static void
conn_release(struct loop_deferred *d)
{
	struct conn *c =
	    (struct conn *)(void *)((char *)d -
				    offsetof(struct conn, deferred));

	buf_release(&c->in);
	buf_release(&c->pend);
	pool_put(&c->s->conns, c);
}

void
conn_close(struct conn *c)
{
	struct server *s = c->s;

	if (c->state == CONN_CLOSED)
		return;
	if (c->req != NULL && c->req->state == REQ_ANSWER &&
	    !c->req->stream_abort)
		meter_count(&s->f->meter, AM_DISCONNECTS, "answering");
	c->state = CONN_CLOSED;
	conn_let_go(c);
	loop_forget(&c->src);
	close(c->src.fd);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->list = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	/* While it is in the list of ready ones server_run() frees it. */
	if (!c->in_ready)
		loop_defer(&s->f->loop, &c->deferred, conn_release);
}

void
conn_linger(struct conn *c)
{
	conn_let_go(c);
	(void)shutdown(c->src.fd, SHUT_WR);
	c->state = CONN_LINGER;
	c->since = c->s->f->loop.mono;
	buf_release(&c->in);
	conn_want(c);
}

/* ---- events ---- */

static void
conn_work(struct conn *c)
{
	if (c->state == CONN_BUSY && c->req != NULL &&
	    (c->req->stream_started || c->req->state == REQ_ANSWER))
		conn_write(c);
	if (c->state == CONN_HEAD || c->state == CONN_BODY ||
	    c->state == CONN_LINGER)
		conn_read(c);
}

static void
conn_ready(struct loop_source *src, uint32_t events)
{
	struct conn *c = (struct conn *)(void *)src;
	bool hup = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;

	if (hup && c->state != CONN_HEAD && c->state != CONN_BODY) {
		conn_close(c); /* nobody waits for the answer any more */
		return;
	}
	if ((events & EPOLLIN) != 0 || hup)
		c->readable = true;
	if (c->state == CONN_HEAD || c->state == CONN_BODY ||
	    c->state == CONN_LINGER) {
		conn_read(c);
		/* A half-closed connection: what came may be a request, but
		 * its client cannot be told from one that left. */
		if (hup && c->state != CONN_CLOSED)
			conn_close(c);
	} else if ((events & EPOLLOUT) != 0 && c->head_sent) {
		conn_want(c);
	}
}

void
server_run(struct server *s)
{
	struct conn *c, *list = s->ready;

	s->ready = NULL;
	while ((c = list) != NULL) {
		list = c->ready_next;
		c->in_ready = false;
		if (c->state == CONN_CLOSED)
			loop_defer(&s->f->loop, &c->deferred, conn_release);
		else
			conn_work(c);
	}
}

bool
server_is_due(const struct server *s)
{
	return s->ready != NULL;
}

int64_t
server_max_wait(const struct server *s)
{
	return s->ready != NULL ? 0 : NS_PER_S;
}

/* ---- accepting ---- */

static void
server_deafen(struct server *s)
{
	if (s->deaf)
		return;
	s->deaf = true;
	loop_del(&s->f->loop, &s->listener);
}

static void server_accept(struct loop_source *src, uint32_t events);

static void
server_listen_again(struct server *s)
{
	if (!s->deaf || s->quiet || s->conns.live >= s->f->lim.max_connections)
		return;
	s->listener.ready = server_accept;
	if (loop_add(&s->f->loop, &s->listener, EPOLLIN) == 0)
		s->deaf = false;
	else
		s->listener.ready = NULL;
}

static void
server_add(struct server *s, int fd)
{
	struct conn *c = pool_get(&s->conns);

	if (c == NULL) {
		close(fd);
		return;
	}
	c->s = s;
	c->src.fd = fd;
	c->src.ready = conn_ready;
	c->since = s->f->loop.mono;
	buf_init(&c->in, s->f->lim.max_head + SERVER_SCRATCH + 1);
	buf_init(&c->pend, s->f->lim.max_answer + SERVER_SCRATCH);
	if (loop_add(&s->f->loop, &c->src, CONN_EVENTS) != 0) {
		close(fd);
		pool_put(&s->conns, c);
		return;
	}
	c->next = s->list;
	if (s->list != NULL)
		s->list->prev = c;
	s->list = c;
}

static void
server_accept(struct loop_source *src, uint32_t events)
{
	struct server *s =
	    (struct server *)(void *)((char *)src -
				      offsetof(struct server, listener));
	int fd, i;

	(void)events;
	for (i = 0; i < SERVER_ACCEPTS; i++) {
		if (s->conns.live >= s->f->lim.max_connections) {
			server_deafen(s);
			return;
		}
		fd = accept4(src->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			server_add(s, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			server_deafen(s); /* again in a second */
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

int
server_new(struct front *f, int listen_fd, struct server **ret, struct error *e)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "server: out of memory");
	s->f = f;
	pool_init(&s->conns, sizeof(struct conn), f->lim.max_connections);
	s->listener.fd = listen_fd;
	s->listener.ready = server_accept;
	if (loop_add(&f->loop, &s->listener, EPOLLIN) != 0) {
		free(s);
		return err_set(e, ERR_IO, "epoll of the data port");
	}
	*ret = s;
	return 0;
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	server_quiesce(s);
	while (s->list != NULL)
		conn_close(s->list);
	server_run(s); /* frees what was in the ready list */
	loop_end_turn(&s->f->loop);
	pool_release(&s->conns);
	free(s);
}

void
server_quiesce(struct server *s)
{
	if (s->quiet)
		return;
	s->quiet = true;
	loop_forget(&s->listener);
	close(s->listener.fd);
}

unsigned
server_n_connections(const struct server *s)
{
	return (unsigned)s->conns.live;
}

/* Has the connection run out of its time? */
static bool
server_is_late(const struct conn *c, int64_t now)
{
	const struct front_limits *lim = &c->s->f->lim;
	const struct request *r = c->req;

	switch (c->state) {
	case CONN_HEAD:
		return now - c->since > lim->idle_timeout;
	case CONN_BODY:
		return now - r->started > lim->body_timeout;
	case CONN_BUSY:
		return (c->pend.len > 0 || r->state == REQ_ANSWER) &&
		       now - r->last_io > lim->send_timeout;
	case CONN_LINGER:
		return now - c->since > SERVER_LINGER;
	case CONN_CLOSED:
		break;
	}
	return false;
}

void
server_second(struct server *s)
{
	int64_t now = s->f->loop.mono;
	struct conn *c, *next;

	for (c = s->list; c != NULL; c = next) {
		next = c->next;
		if (server_is_late(c, now) ||
		    (s->quiet && c->state == CONN_HEAD && c->in.len == 0))
			conn_close(c);
	}
	server_listen_again(s);
}

void
server_abort_all(struct server *s)
{
	while (s->list != NULL)
		conn_close(s->list);
}

const char *
server_date(struct server *s)
{
	time_t now = (time_t)(s->f->loop.wall / NS_PER_S);
	struct tm tm;

	if (now != s->date_second) {
		s->date_second = now;
		if (gmtime_r(&now, &tm) == NULL ||
		    strftime(s->date, sizeof(s->date),
			"%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
			s->date[0] = '\0';
	}
	return s->date;
}
