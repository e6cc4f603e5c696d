/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 engine: one request on one connection at a time, written with
 * one sendmsg where the kernel takes it, read through one scratch buffer that
 * all calls of the worker share. So an open stream costs its socket and a few
 * hundred bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "agent/upstream/h1_conn.h"

#define H1_SCRATCH   65536
#define H1_MAX_READS 4 /* reads of one connection a turn */
#define H1_HEAD_MAX  16384
#define H1_FILE_STEP ((size_t)1 << 20) /* bytes of one sendfile */

struct h1_call {
	struct up_call base; /* first */
	struct loop_deferred deferred;
	struct timer timer;
	struct h1 *h;
	struct h1_conn *conn;
	struct h1_call *failed_next; /* see h1.failed */
	int64_t deadline;	     /* mono ns */
	uint32_t first_byte_ms, idle_ms;
	struct iovec iov[UP_MAX_PARTS + 1];
	unsigned iov_at, n_iov; /* not yet sent */
	char *head_copy;	/* of the request, while it is not sent */
	int file;		/* body after the parts */
	off_t file_at;
	int64_t file_left;
	struct h1_head head;
	struct h1_chunked chunked;
	uint64_t left; /* of a body with a length */
	bool have_head, sending;
	struct up_result res;
};

struct h1 {
	struct loop *loop;
	struct h1_conns conns;
	struct pool calls;
	struct h1_call *failed; /* report in h1_turn */
	char request_head[H1_HEAD_MAX];
	char scratch[H1_SCRATCH];
};

static void h1_ready(struct h1_conn *c, uint32_t events);
static void h1_cancel(struct up_call *base);
static void h1_pause(struct up_call *base, bool paused);
static void h1_body_ready(struct up_call *base);

static const struct up_engine_ops h1_ops = {h1_cancel, h1_pause, h1_body_ready};

struct h1 *
h1_new(struct loop *l, const struct up_limits *lim)
{
	struct h1 *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->loop = l;
	h1_conns_init(&h->conns, l, lim, h1_ready);
	pool_init(&h->calls, sizeof(struct h1_call), lim->max_calls);
	return h;
}

void
h1_free(struct h1 *h)
{
	if (h == NULL)
		return;
	loop_end_turn(h->loop);
	h1_conns_release(&h->conns);
	pool_release(&h->calls);
	free(h);
}

bool
h1_can(const struct b_provider *p)
{
	return str_eq(p->scheme, STR("http")) && p->proxy_url.len == 0 &&
	       h1_host_is_numeric(p->host);
}

static void
h1_call_free(struct loop_deferred *d)
{
	struct h1_call *c =
	    (struct h1_call *)(void *)((char *)d -
				       offsetof(struct h1_call, deferred));

	pool_put(&c->h->calls, c);
}

/* The call is over: no callback after this. */
static void
h1_drop(struct h1_call *c)
{
	MUST(!c->base.over);
	c->base.over = true;
	timer_cancel(&c->h->loop->timers, &c->timer);
	free(c->head_copy);
	c->head_copy = NULL;
	loop_defer(c->h->loop, &c->deferred, h1_call_free);
}

static void
h1_fail(struct h1_call *c, int error, const char *text)
{
	if (c->conn != NULL)
		h1_conn_close(c->conn);
	c->conn = NULL;
	c->res.error = error;
	(void)snprintf(c->res.text, sizeof(c->res.text), "%s", text);
	h1_drop(c);
	c->base.ev->done(c->base.ctx, &c->res);
}

/* The whole answer is there. The connection is kept when it is clean. */
static void
h1_finish(struct h1_call *c, bool clean)
{
	struct h1_conn *conn = c->conn;

	c->conn = NULL;
	if (clean && c->head.keep_alive && !c->sending && !conn->eof_seen)
		h1_conn_rest(conn);
	else
		h1_conn_close(conn);
	h1_drop(c);
	c->base.ev->done(c->base.ctx, &c->res);
}

static void
h1_cancel(struct up_call *base)
{
	struct h1_call *c = (struct h1_call *)base, **at;

	if (base->over)
		return;
	for (at = &c->h->failed; *at != NULL; at = &(*at)->failed_next) {
		if (*at == c) {
			*at = c->failed_next;
			break;
		}
	}
	if (c->conn != NULL)
		h1_conn_close(c->conn);
	c->conn = NULL;
	h1_drop(c);
}

static void
h1_pause(struct up_call *base, bool paused)
{
	struct h1_call *c = (struct h1_call *)base;

	if (base->over || base->paused == paused)
		return;
	base->paused = paused;
	c->deadline = c->h->loop->mono + c->idle_ms * NS_PER_MS;
	if (!paused && c->conn != NULL)
		h1_conn_more(c->conn);
}

/* Move the deadline; the timer itself is moved only when it would fire too
 * late. */
static void h1_timer(struct timer *t, int64_t now);

static void
h1_deadline(struct h1_call *c, uint32_t ms)
{
	c->deadline = c->h->loop->mono + ms * NS_PER_MS;
	if (!timer_armed(&c->timer) || c->timer.at > c->deadline)
		timer_set(
		    &c->h->loop->timers, &c->timer, c->deadline, h1_timer);
}

static void
h1_timer(struct timer *t, int64_t now)
{
	struct h1_call *c =
	    (struct h1_call *)(void *)((char *)t -
				       offsetof(struct h1_call, timer));

	if (c->base.paused && c->have_head)
		c->deadline = now + c->idle_ms * NS_PER_MS;
	if (c->deadline > now) {
		timer_set(&c->h->loop->timers, t, c->deadline, h1_timer);
		return;
	}
	h1_fail(c, ERR_UPSTREAM_TIMEOUT,
	    c->conn != NULL && c->conn->connecting
		? "no connection in time"
		: (c->have_head ? "the answer stalled" : "no answer in time"));
}

/* Keep what of the request head was not sent; it lies in a shared buffer. */
static bool
h1_keep_head(struct h1_call *c)
{
	struct iovec *v = &c->iov[0];

	if (c->iov_at != 0 || c->head_copy != NULL)
		return true;
	c->head_copy = malloc(v->iov_len);
	if (c->head_copy == NULL)
		return false;
	memcpy(c->head_copy, v->iov_base, v->iov_len);
	v->iov_base = c->head_copy;
	return true;
}

static void
h1_sent(struct h1_call *c, size_t n)
{
	struct iovec *v;

	while (c->iov_at < c->n_iov) {
		v = &c->iov[c->iov_at];
		if (n < v->iov_len) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= n;
			return;
		}
		n -= v->iov_len;
		c->iov_at++;
	}
	if (c->file_left > 0)
		return;
	c->sending = false;
	c->res.sent_all = true;
	h1_deadline(c, c->first_byte_ms);
}

/* One step; 0 at the end of a file that still grows. */
static ssize_t
h1_send_some(struct h1_call *c)
{
	struct msghdr m = {0};
	size_t step = H1_FILE_STEP;
	ssize_t n;

	if (c->iov_at == c->n_iov) {
		if (c->file_left < (int64_t)step)
			step = (size_t)c->file_left;
		n = sendfile(c->conn->src.fd, c->file, &c->file_at, step);
		if (n > 0)
			c->file_left -= n;
		return n;
	}
	m.msg_iov = &c->iov[c->iov_at];
	m.msg_iovlen = c->n_iov - c->iov_at;
	return sendmsg(c->conn->src.fd, &m,
	    MSG_NOSIGNAL | MSG_DONTWAIT | (c->file_left > 0 ? MSG_MORE : 0));
}

/* Send what the kernel takes. ERR_UPSTREAM when the connection is broken. */
static int
h1_send(struct h1_call *c)
{
	bool in_file;
	ssize_t n;

	while (c->sending) {
		in_file = c->iov_at == c->n_iov;
		n = h1_send_some(c);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 && in_file)
			break; /* until up_body_ready() */
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			break;
		if (n < 0)
			return ERR_UPSTREAM;
		h1_sent(c, in_file ? 0 : (size_t)n);
		if (c->sending) {
			/* A slow upload is alive as long as bytes go. */
			h1_deadline(c, c->first_byte_ms);
		}
	}
	if (c->sending && !h1_keep_head(c))
		return ERR_NOMEM;
	return 0;
}

static void
h1_body_ready(struct up_call *base)
{
	struct h1_call *c = (struct h1_call *)base;

	if (base->over || c->conn == NULL || c->conn->connecting || !c->sending)
		return;
	/* A broken connection is found by reading it, in the next turn. */
	if (h1_send(c) != 0)
		h1_conn_more(c->conn);
}

/* Body bytes; *used of n. Returns false when the call is over. */
static bool
h1_body(struct h1_call *c, const char *p, size_t n, size_t *used)
{
	const char *data = p;
	size_t len = n;

	*used = n;
	if (c->head.framing == H1_CHUNKED) {
		if (h1_chunked_next(&c->chunked, p, n, used, &data, &len) !=
		    0) {
			h1_fail(c, ERR_UPSTREAM, "bad chunk in the answer");
			return false;
		}
	} else if (c->head.framing == H1_LENGTH) {
		if ((uint64_t)len > c->left)
			len = (size_t)c->left;
		c->left -= len;
		*used = len;
	}
	if (len > 0) {
		c->base.ev->data(c->base.ctx, data, len);
		if (c->base.over)
			return false;
	}
	if ((c->head.framing == H1_CHUNKED &&
		c->chunked.state == H1_CHUNK_DONE) ||
	    (c->head.framing == H1_LENGTH && c->left == 0)) {
		h1_finish(c, *used == n);
		return false;
	}
	return true;
}

/* A complete head. Returns false when the call is over. */
static bool
h1_take_head(struct h1_call *c, struct str raw, bool more)
{
	if (h1_head_parse(raw, &c->head) != 0 || c->head.up.status == 101) {
		h1_fail(c, ERR_UPSTREAM, "malformed answer head");
		return false;
	}
	if (c->head.up.status < 200)
		return true; /* 100 Continue and the like: wait on */
	c->have_head = true;
	if (c->head.framing == H1_LENGTH)
		c->left = (uint64_t)c->head.up.content_length;
	h1_deadline(c, c->idle_ms);
	c->base.ev->head(c->base.ctx, &c->head.up);
	if (c->base.over)
		return false;
	if (c->head.framing == H1_NONE) {
		h1_finish(c, !more);
		return false;
	}
	return true;
}

static void h1_bytes(struct h1_call *c, const char *p, size_t n);

/* Collect a head that came in pieces. */
static void
h1_head_piece(struct h1_call *c, const char *p, size_t n)
{
	struct buf head;
	struct h1_conn *conn = c->conn;
	size_t len;

	if (buf_add(&conn->head, p, n) != 0) {
		h1_fail(c, ERR_UPSTREAM, "the answer's head is too large");
		return;
	}
	len = h1_head_len(conn->head.data, conn->head.len);
	if (len == 0)
		return;
	/* The rest of the buffer is fed from a private copy of the struct,
	 * since the call may end and the connection go. */
	head = conn->head;
	buf_init(&conn->head, conn->pool->lim.max_head);
	if (h1_take_head(c, str_make(head.data, len), head.len > len) &&
	    head.len > len)
		h1_bytes(c, head.data + len, head.len - len);
	buf_release(&head);
}

static void
h1_bytes(struct h1_call *c, const char *p, size_t n)
{
	size_t used;

	while (n > 0) {
		if (!c->have_head) {
			used = c->conn->head.len > 0 ? 0 : h1_head_len(p, n);
			if (used == 0 || used > c->h->conns.lim.max_head) {
				h1_head_piece(c, p, n);
				return;
			}
			if (!h1_take_head(c, str_make(p, used), used < n))
				return;
		} else if (!h1_body(c, p, n, &used)) {
			return;
		}
		p += used;
		n -= used;
	}
}

static void
h1_eof(struct h1_call *c)
{
	c->conn->eof_seen = true;
	if (c->have_head && c->head.framing == H1_CLOSE)
		h1_finish(c, false);
	else
		h1_fail(c, ERR_UPSTREAM,
		    c->res.got_any ? "the answer was cut off"
				   : "the connection was closed");
}

/* Read what is there. hup: read to the end, no further event will come. */
static void
h1_read(struct h1_conn *conn, bool hup)
{
	struct h1_call *c = conn->call;
	struct h1 *h = c->h;
	ssize_t n;
	int i;

	for (i = 0; i < H1_MAX_READS && !c->base.paused; i++) {
		n = recv(conn->src.fd, h->scratch, sizeof(h->scratch), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			h1_fail(c, ERR_UPSTREAM,
			    c->res.got_any ? "the answer was cut off"
					   : "the connection was reset");
			return;
		}
		if (n == 0) {
			h1_eof(c);
			return;
		}
		c->res.got_any = true;
		c->deadline =
		    h->loop->mono +
		    (c->have_head ? c->idle_ms : c->first_byte_ms) * NS_PER_MS;
		h1_bytes(c, h->scratch, (size_t)n);
		if (c->base.over)
			return;
		if ((size_t)n < sizeof(h->scratch) && !hup)
			return;
	}
	if (!c->base.paused)
		h1_conn_more(conn);
	else
		conn->eof_seen = conn->eof_seen || hup;
}

static void
h1_connected(struct h1_call *c)
{
	struct h1_conn *conn = c->conn;
	socklen_t len = sizeof(int);
	int err = 0;

	(void)getsockopt(conn->src.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err != 0) {
		h1_fail(c, ERR_UPSTREAM,
		    err == ECONNREFUSED ? "connection refused"
					: "cannot connect");
		return;
	}
	conn->connecting = false;
	c->res.connected = true;
	h1_deadline(c, c->first_byte_ms);
}

static void
h1_ready(struct h1_conn *conn, uint32_t events)
{
	struct h1_call *c = conn->call;

	if (c == NULL) { /* resting: the provider closed it or sent junk */
		if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !=
		    0)
			h1_conn_close(conn);
		return;
	}
	if (conn->connecting) {
		if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) == 0)
			return;
		h1_connected(c);
		if (c->base.over)
			return;
	}
	if (c->sending && (events & EPOLLOUT) != 0 && h1_send(c) != 0) {
		/* There may be an answer that explains it: read first. */
		events |= EPOLLIN | EPOLLHUP;
		c->sending = true;
	}
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		h1_read(
		    conn, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}

/* Append to h->request_head; a head that is too long ends above its size. */
static inline void
h1_put(struct h1 *h, size_t *n, const char *p, size_t len)
{
	if (len > sizeof(h->request_head) || *n > sizeof(h->request_head) - len)
		*n = sizeof(h->request_head) + 1;
	else if (len > 0)
		memcpy(h->request_head + *n, p, len);
	*n += len;
}

#define H1_PUT(h, n, lit) h1_put(h, n, "" lit, sizeof(lit) - 1)

static void
h1_put_length(struct h1 *h, size_t *n, uint64_t v)
{
	char digits[24];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	H1_PUT(h, n, "Content-Length: ");
	h1_put(h, n, digits + i, sizeof(digits) - i);
	H1_PUT(h, n, "\r\n");
}

/* Write the request head into h->request_head. 0 = too long. */
static size_t
h1_write_head(struct h1 *h, const struct up_request *rq,
    const struct h1_origin *o, uint64_t body_len)
{
	const struct b_provider *p = rq->provider;
	const char *method = rq->method != NULL ? rq->method : "POST";
	size_t n = 0;
	unsigned i;

	h1_put(h, &n, method, strlen(method));
	H1_PUT(h, &n, " ");
	h1_put(h, &n, p->path_prefix.p, p->path_prefix.len);
	h1_put(h, &n, rq->path.p, rq->path.len);
	H1_PUT(h, &n, " HTTP/1.1\r\nHost: ");
	h1_put(h, &n, o->authority, strlen(o->authority));
	H1_PUT(h, &n, "\r\nAccept-Encoding: identity\r\n");
	if (strcmp(method, "POST") == 0)
		h1_put_length(h, &n, body_len);
	for (i = 0; i <= p->n_headers; i++) {
		struct str s =
		    i < p->n_headers ? p->headers[i] : p->auth_header;

		if (s.len == 0)
			continue;
		h1_put(h, &n, s.p, s.len);
		H1_PUT(h, &n, "\r\n");
	}
	h1_put(h, &n, rq->headers.p, rq->headers.len);
	H1_PUT(h, &n, "\r\n");
	return n <= sizeof(h->request_head) ? n : 0;
}

static int
h1_fill(
    struct h1_call *c, const struct up_request *rq, const struct h1_origin *o)
{
	uint64_t len = 0;
	size_t head_len;
	unsigned i;

	for (i = 0; i < rq->n_parts; i++) {
		c->iov[i + 1].iov_base = (void *)(uintptr_t)rq->parts[i].p;
		c->iov[i + 1].iov_len = rq->parts[i].len;
		len += rq->parts[i].len;
	}
	if (rq->body_fd_len > 0) {
		c->file = rq->body_fd;
		c->file_at = (off_t)rq->body_fd_offset;
		c->file_left = rq->body_fd_len;
		len += (uint64_t)rq->body_fd_len;
	}
	head_len = h1_write_head(c->h, rq, o, len);
	if (head_len == 0)
		return ERR_TOO_LARGE;
	c->iov[0].iov_base = c->h->request_head;
	c->iov[0].iov_len = head_len;
	c->n_iov = rq->n_parts + 1;
	c->sending = true;
	c->first_byte_ms = rq->first_byte_timeout_ms;
	c->idle_ms = rq->idle_timeout_ms;
	return 0;
}

/* Report an error of h1_start from the loop instead. */
static void
h1_fail_later(struct h1_call *c, int error, const char *text)
{
	if (c->conn != NULL)
		h1_conn_close(c->conn);
	c->conn = NULL;
	timer_cancel(&c->h->loop->timers, &c->timer);
	c->res.error = error;
	(void)snprintf(c->res.text, sizeof(c->res.text), "%s", text);
	c->failed_next = c->h->failed;
	c->h->failed = c;
}

int
h1_start(struct h1 *h, const struct up_request *rq, const struct up_events *ev,
    void *ctx, struct up_call **ret)
{
	struct h1_origin *o = h1_origin_find(&h->conns, rq->provider);
	struct h1_call *c;
	int rc;

	if (o == NULL)
		return ERR_NOMEM;
	c = pool_get(&h->calls);
	if (c == NULL)
		return ERR_OVERLOADED;
	c->base.ops = &h1_ops;
	c->base.ev = ev;
	c->base.ctx = ctx;
	c->h = h;
	rc = h1_fill(c, rq, o);
	if (rc != 0) {
		pool_put(&h->calls, c);
		return rc;
	}
	c->conn = rq->fresh ? NULL : h1_conn_reuse(&h->conns, o);
	if (c->conn != NULL) {
		c->res.reused = c->res.connected = true;
		c->conn->call = c;
		h1_deadline(c, c->first_byte_ms);
		rc = h1_send(c);
	} else {
		rc = h1_conn_open(&h->conns, o, &c->conn);
		if (rc == 0) {
			c->conn->call = c;
			h1_deadline(c, rq->connect_timeout_ms);
			rc = h1_keep_head(c) ? 0 : ERR_NOMEM;
		}
	}
	if (rc != 0)
		h1_fail_later(c, rc == ERR_OVERLOADED ? rc : ERR_UPSTREAM,
		    c->res.reused ? "the connection was closed"
				  : "cannot connect");
	*ret = &c->base;
	return 0;
}

bool
h1_turn(struct h1 *h)
{
	struct h1_conn *conn, *list = h->conns.more;
	struct h1_call *c;

	while ((c = h->failed) != NULL) {
		h->failed = c->failed_next;
		h1_drop(c);
		c->base.ev->done(c->base.ctx, &c->res);
	}
	h->conns.more = NULL;
	while ((conn = list) != NULL) {
		list = conn->more_next;
		conn->in_more = false;
		if (conn->call != NULL)
			h1_read(conn, conn->eof_seen);
	}
	h1_conns_sweep(&h->conns);
	return h->conns.more != NULL || h->failed != NULL;
}

uint64_t
h1_connects(const struct h1 *h)
{
	return h->conns.n_connects;
}

unsigned
h1_in_flight(const struct h1 *h)
{
	return (unsigned)h->calls.live;
}
