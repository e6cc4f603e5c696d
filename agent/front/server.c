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
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "agent/front/front.h"
#include "agent/front/http.h"
#include "agent/front/reply.h"
#include "agent/upstream/h1_parse.h"
#include "common/pool.h"

#define SERVER_SCRATCH	 65536
#define SERVER_ACCEPTS	 64 /* a turn */
#define SERVER_READS	 4  /* of one connection a turn */
#define SERVER_LINGER	 (2 * NS_PER_S)
#define SERVER_BODY_STEP (256 * 1024)
#define CONN_EVENTS	 (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

enum conn_state {
	CONN_HEAD,   /* reads a head, or rests */
	CONN_BODY,   /* reads a body */
	CONN_BUSY,   /* the request is worked on, its answer sent */
	CONN_LINGER, /* everything is sent; waits for the client to close */
	CONN_CLOSED
};

struct conn {
	struct loop_source src; /* first */
	struct loop_deferred deferred;
	struct server *s;
	struct request *req;
	struct conn *next, *prev;
	struct conn *ready_next;
	enum conn_state state;
	int64_t since;	 /* mono ns: of the state HEAD or LINGER */
	struct buf in;	 /* read, not yet taken */
	size_t scanned;	 /* of `in`, while a head is looked for */
	struct buf pend; /* to be sent before anything else */
	struct h1_chunked chunked;
	uint64_t left; /* of a body with a length */
	bool in_ready;
	bool readable;		   /* the socket may hold more */
	bool keep;		   /* after this answer */
	bool old;		   /* HTTP/1.0 */
	bool head_sent, tail_sent; /* of the answer, or in pend */
};

struct server {
	struct front *f;
	struct loop_source listener; /* first */
	struct pool conns;
	struct conn *list, *ready;
	bool quiet, deaf; /* deaf: not accepting for now */
	time_t date_second;
	char date[40];
	char head[REPLY_MAX];
	char scratch[SERVER_SCRATCH];
};

static void conn_close(struct conn *c);

static void
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

/* ---- the end of requests and connections ---- */

/* The server is through with the request, one way or the other. */
static void
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

static void
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

/* Close so that what was sent arrives: the client closes first, or else its
 * unread bytes would make the kernel throw our answer away. */
static void
conn_linger(struct conn *c)
{
	conn_let_go(c);
	(void)shutdown(c->src.fd, SHUT_WR);
	c->state = CONN_LINGER;
	c->since = c->s->f->loop.mono;
	buf_release(&c->in);
	conn_want(c);
}

/* ---- reading ---- */

/* A request that is refused before its body was read. */
static void
conn_refuse(struct conn *c, struct request *r, int code, const char *text)
{
	refuse(r, code, text);
	c->keep = false;
	c->state = CONN_BUSY;
}

static void
conn_refuse_head(struct conn *c, struct request *r, enum head_reason reason)
{
	refuse_head(r, reason);
	c->keep = false;
	c->state = CONN_BUSY;
}

/* Not even room for a request. */
static void
conn_overloaded(struct conn *c)
{
	static const char text[] =
	    "HTTP/1.1 503 Service Unavailable\r\n"
	    "content-type: application/json\r\ncontent-length: 102\r\n"
	    "retry-after: 1\r\nconnection: close\r\n\r\n"
	    "{\"error\":{\"message\":\"the agent is overloaded\",\"type\":"
	    "\"server_error\",\"param\":null,\"code\":\"overloaded\"}}";

	(void)send(
	    c->src.fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	conn_linger(c);
}

/* Find the key; unknown, revoked and expired look the same. */
static bool
server_authenticate(struct conn *c, struct request *r)
{
	struct str secret;
	uint8_t digest[32];
	enum head_reason reason = head_credential(&r->head, &secret);
	const struct b_key *k;

	if (reason != HEAD_OK) {
		conn_refuse_head(c, r, reason);
		return false;
	}
	head_digest(secret, digest);
	k = bundle_find_key(r->bundle, digest);
	if (k == NULL || k->disabled ||
	    (k->expires_at != 0 && k->expires_at <= r->f->loop.wall)) {
		conn_refuse(
		    c, r, ERR_UNAUTHENTICATED, "Incorrect API key provided.");
		return false;
	}
	r->key = k;
	return true;
}

/* May the request go on to its body? */
static bool
server_admits_head(struct conn *c, struct request *r)
{
	struct front *f = c->s->f;

	if (f->bundle == NULL) {
		conn_refuse(c, r, ERR_NOT_READY, NULL);
		return false;
	}
	if (atomic_load_explicit(&f->agent->draining, memory_order_relaxed)) {
		conn_refuse(
		    c, r, ERR_UNAVAILABLE, "the agent is shutting down");
		return false;
	}
	r->bundle = f->bundle;
	bundle_ref(r->bundle);
	return server_authenticate(c, r);
}

static void
conn_begin_body(struct conn *c, struct request *r)
{
	size_t want =
	    r->head.content_length > 0 ? (size_t)r->head.content_length : 0;

	if (want > SERVER_BODY_STEP)
		want = SERVER_BODY_STEP;
	if (want > 0 && buf_reserve(&r->body, want) != 0) {
		conn_refuse(c, r, ERR_NOMEM, NULL);
		return;
	}
	request_move(r, REQ_BODY);
	c->state = CONN_BODY;
	c->left =
	    r->head.content_length > 0 ? (uint64_t)r->head.content_length : 0;
	memset(&c->chunked, 0, sizeof(c->chunked));
	if (r->head.expects_continue && r->head.has_body)
		(void)send(c->src.fd, "HTTP/1.1 100 Continue\r\n\r\n", 25,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* For tests: the x-sim-* fields go upstream. The head's slices do not outlive
 * this call. */
static void
conn_keep_sim(struct request *r)
{
	struct buf b;
	unsigned i;

	buf_init(&b, sizeof(r->sim) - 1);
	for (i = 0; i < r->head.n_sim; i++) {
		(void)buf_add_str(&b, r->head.sim[i][0]);
		(void)buf_addz(&b, ": ");
		(void)buf_add_str(&b, r->head.sim[i][1]);
		(void)buf_addz(&b, "\r\n");
	}
	if (buf_error(&b) == 0 && b.len > 0)
		memcpy(r->sim, b.data, b.len);
	buf_release(&b);
}

/* A complete head. */
static void
conn_take_head(struct conn *c, struct str raw)
{
	struct front *f = c->s->f;
	struct request *r = request_new(f, c);
	struct http_line line;
	enum head_reason reason;

	if (r == NULL) {
		conn_overloaded(c);
		return;
	}
	c->req = r;
	c->head_sent = c->tail_sent = false;
	c->keep = true;
	c->old = false;
	if (raw.len > f->lim.max_head) {
		conn_refuse_head(c, r, HEAD_FIELDS_TOO_LARGE);
		return;
	}
	if (http_head_parse(raw, &line, &r->head) != 0) {
		conn_refuse_head(c, r, HEAD_BAD_FIELD);
		return;
	}
	if (f->agent->opt->forward_sim_headers)
		conn_keep_sim(r);
	head_target_parse(line.target, &r->target);
	reason = head_check(
	    &r->head, &r->target, line.method, line.version, f->lim.max_body);
	c->old = str_eq(line.version, STR("HTTP/1.0"));
	c->keep = !c->old && !r->head.wants_close;
	if (reason != HEAD_OK)
		conn_refuse_head(c, r, reason);
	else if (server_admits_head(c, r))
		conn_begin_body(c, r);
}

/* Nothing that can become a head. */
static void
conn_bad_head(struct conn *c, enum head_reason reason)
{
	struct request *r = request_new(c->s->f, c);

	if (r == NULL) {
		conn_overloaded(c);
		return;
	}
	c->req = r;
	c->head_sent = c->tail_sent = false;
	conn_refuse_head(c, r, reason);
}

/* Bytes of a head; returns how many were taken. */
static size_t
conn_head_bytes(struct conn *c, const char *p, size_t n)
{
	size_t len = 0;
	int rc = http_head_scan(p, n, &c->scanned, &len);

	if (rc == 0) {
		conn_take_head(c, str_make(p, len));
		c->scanned = 0;
		return len;
	}
	if (rc == ERR_INVALID)
		conn_bad_head(c, HEAD_BAD_FIELD);
	else if (n > c->s->f->lim.max_head)
		conn_bad_head(c, HEAD_FIELDS_TOO_LARGE);
	return 0;
}

static void
conn_body_done(struct conn *c)
{
	struct request *r = c->req;

	c->state = CONN_BUSY;
	admit_request(r);
}

/* Bytes of a body; returns how many were taken. */
static size_t
conn_body_bytes(struct conn *c, const char *p, size_t n)
{
	struct request *r = c->req;
	const char *data = p;
	size_t used = n, len = n;
	bool done;

	if (r->head.n_coding == 1) {
		if (h1_chunked_next(&c->chunked, p, n, &used, &data, &len) !=
		    0) {
			conn_refuse_head(c, r, HEAD_BAD_CODING);
			return 0;
		}
		done = c->chunked.state == H1_CHUNK_DONE;
	} else {
		if ((uint64_t)len > c->left)
			len = (size_t)c->left;
		c->left -= len;
		used = len;
		done = c->left == 0;
	}
	if (len > 0 && buf_add(&r->body, data, len) != 0) {
		conn_refuse(c, r,
		    buf_error(&r->body) == ERR_TOO_LARGE ? ERR_TOO_LARGE
							 : ERR_NOMEM,
		    NULL);
		return used;
	}
	if (done)
		conn_body_done(c);
	return used;
}

/* Take what can be taken of p[0..n). */
static size_t
conn_bytes(struct conn *c, const char *p, size_t n)
{
	size_t at = 0, used;

	for (;;) {
		if (c->state == CONN_BODY && c->req->head.n_coding == 0 &&
		    c->left == 0) {
			conn_body_done(c); /* no body at all */
			continue;
		}
		if (at == n || (c->state != CONN_HEAD && c->state != CONN_BODY))
			return at;
		used = c->state == CONN_HEAD
			   ? conn_head_bytes(c, p + at, n - at)
			   : conn_body_bytes(c, p + at, n - at);
		if (used == 0)
			return at;
		at += used;
	}
}

static void
conn_feed(struct conn *c, const char *p, size_t n)
{
	size_t used;

	if (c->in.len == 0) {
		used = conn_bytes(c, p, n);
		if (used < n && c->state != CONN_LINGER &&
		    c->state != CONN_CLOSED &&
		    buf_add(&c->in, p + used, n - used) != 0)
			conn_close(c);
		return;
	}
	if (n > 0 && buf_add(&c->in, p, n) != 0) {
		conn_close(c);
		return;
	}
	used = conn_bytes(c, c->in.data, c->in.len);
	if (c->state == CONN_LINGER || c->state == CONN_CLOSED)
		return;
	buf_consume(&c->in, used);
	if (c->in.len == 0)
		buf_release(&c->in);
}

/* Read while a request is awaited and there is something. */
static void
conn_read(struct conn *c)
{
	struct server *s = c->s;
	ssize_t n;
	int i;

	if (c->state == CONN_HEAD && c->in.len > 0 && c->scanned == 0)
		conn_feed(c, NULL, 0); /* pipelined */
	for (i = 0; i < SERVER_READS && c->readable; i++) {
		if (c->state != CONN_HEAD && c->state != CONN_BODY &&
		    c->state != CONN_LINGER)
			return;
		n = recv(c->src.fd, s->scratch, sizeof(s->scratch), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			c->readable = false;
			return;
		}
		if (n <= 0) {
			conn_close(c);
			return;
		}
		if ((size_t)n < sizeof(s->scratch))
			c->readable = false;
		if (c->state != CONN_LINGER)
			conn_feed(c, s->scratch, (size_t)n);
	}
	if (c->readable)
		conn_want(c);
}

/* ---- sending ---- */

/* Send the vector; what the kernel does not take is kept in pend, except that
 * of a last part marked as `lasting` only *left is told. Returns false when
 * the connection broke. */
static bool
conn_send(struct conn *c, struct iovec *v, int n, bool lasting, size_t *left)
{
	struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)n};
	ssize_t k;
	size_t sent, part;
	int i;

	*left = 0;
	do {
		k = sendmsg(c->src.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (k < 0 && errno == EINTR);
	if (k < 0 && errno != EAGAIN)
		return false;
	sent = k > 0 ? (size_t)k : 0;
	if (k > 0 && c->req != NULL)
		c->req->last_io = c->s->f->loop.mono;
	for (i = 0; i < n; i++) {
		part = v[i].iov_len < sent ? v[i].iov_len : sent;
		sent -= part;
		if (part == v[i].iov_len)
			continue;
		if (lasting && i == n - 1)
			*left = v[i].iov_len - part;
		else if (buf_add(&c->pend, (char *)v[i].iov_base + part,
			     v[i].iov_len - part) != 0)
			return false;
	}
	return true;
}

/* What waits from earlier; true when all of it is gone. */
static bool
conn_flush_pend(struct conn *c)
{
	ssize_t k;

	while (c->pend.len > 0) {
		k = send(c->src.fd, c->pend.data, c->pend.len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			if (errno != EAGAIN)
				conn_close(c);
			return false;
		}
		if (c->req != NULL)
			c->req->last_io = c->s->f->loop.mono;
		buf_consume(&c->pend, (size_t)k);
	}
	buf_release(&c->pend);
	return true;
}

/* The whole answer is sent. */
static void
conn_answered(struct conn *c, bool clean)
{
	struct server *s = c->s;

	if (!clean || !c->keep ||
	    atomic_load_explicit(
		&s->f->agent->draining, memory_order_relaxed)) {
		conn_linger(c);
		return;
	}
	conn_let_go(c);
	c->state = CONN_HEAD;
	c->since = s->f->loop.mono;
	c->scanned = 0;
	if (c->in.len > 0 || c->readable)
		conn_want(c);
}

static size_t
conn_head_vec(struct conn *c, struct iovec *v, bool chunked, int64_t length)
{
	struct reply_form form = {c->keep, chunked, length, NULL};

	if (c->head_sent)
		return 0;
	c->head_sent = true;
	if (c->req->answer.close)
		c->keep = form.keep = false;
	form.date = server_date(c->s);
	v->iov_base = c->s->head;
	v->iov_len = reply_head(c->req, &form, c->s->head, sizeof(c->s->head));
	return 1;
}

static void
conn_send_plain(struct conn *c)
{
	struct request *r = c->req;
	struct iovec v[2];
	size_t left, n;

	if (!c->head_sent || r->out_pos < r->out.len) {
		n = conn_head_vec(c, v, false, (int64_t)r->out.len);
		v[n].iov_base = r->out.data + r->out_pos;
		v[n].iov_len = r->out.len - r->out_pos;
		if (!conn_send(c, v, (int)n + 1, true, &left)) {
			conn_close(c);
			return;
		}
		r->out_pos = r->out.len - left;
	}
	if (r->out_pos == r->out.len && c->pend.len == 0)
		conn_answered(c, true);
}

/* "1a2b\r\n" */
static size_t
conn_chunk_size(size_t n, char dst[20])
{
	char digits[16];
	size_t i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n > 0);
	memcpy(dst, digits + i, sizeof(digits) - i);
	memcpy(dst + sizeof(digits) - i, "\r\n", 2);
	return sizeof(digits) - i + 2;
}

static size_t
conn_chunk_end(const struct conn *c, struct iovec *v, bool data)
{
	static char tails[] = "\r\n0\r\n\r\n";
	const struct request *r = c->req;
	bool last = r->stream_end && !r->stream_abort;

	if (c->old || (!data && !last))
		return 0;
	v->iov_base = data ? tails : tails + 2;
	v->iov_len = (data ? 2u : 0u) + (last ? 5u : 0u);
	return 1;
}

/* What the stream owes as one chunk, with the head or the end around it. */
static bool
conn_send_chunk(struct conn *c)
{
	struct request *r = c->req;
	struct iovec v[4];
	char size[20];
	size_t left, n, len = r->out.len - r->out_pos;

	if (c->old)
		c->keep = false;
	n = conn_head_vec(c, v, !c->old, -1);
	if (len > 0 && !c->old) {
		v[n].iov_base = size;
		v[n++].iov_len = conn_chunk_size(len, size);
	}
	if (len > 0) {
		v[n].iov_base = r->out.data + r->out_pos;
		v[n++].iov_len = len;
	}
	n += conn_chunk_end(c, &v[n], len > 0);
	c->tail_sent = r->stream_end;
	if (n > 0 && !conn_send(c, v, (int)n, false, &left))
		return false;
	buf_clear(&r->out);
	r->out_pos = 0;
	return true;
}

static void
conn_send_stream(struct conn *c)
{
	struct request *r = c->req;

	if ((r->out.len > r->out_pos || (r->stream_end && !c->tail_sent)) &&
	    !conn_send_chunk(c)) {
		conn_close(c);
		return;
	}
	if (c->pend.len > 0)
		return;
	if (c->tail_sent)
		conn_answered(c, !r->stream_abort);
	else
		call_drained(r);
}

/* An answer, or more of it, may go out. */
static void
conn_write(struct conn *c)
{
	if (!conn_flush_pend(c))
		return;
	if (c->req->stream_started)
		conn_send_stream(c);
	else
		conn_send_plain(c);
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
