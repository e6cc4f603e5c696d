/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes of a client to a request: heads, the key, bodies. What is refused
 * before its body was read closes the connection, so that nothing of the body
 * is ever taken for a request.
 */
#include <errno.h>
#include <sys/socket.h>

#include "agent/front/conn.h"
#include "agent/front/forward.h"
#include "agent/front/http.h"
#include "agent/front/places.h"
#include "agent/front/spool.h"

#define SERVER_READS	  4 /* of one connection a turn */
#define SERVER_BODY_STEP  (256 * 1024)
#define SERVER_BODY_SMALL (64 * 1024)

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
	enum head_reason reason =
	    head_credential(&r->head, &r->target.s, &secret);
	const struct b_key *k;
	const char *why;

	if (reason != HEAD_OK) {
		conn_refuse_head(c, r, reason);
		return false;
	}
	head_digest(secret, digest);
	r->target.s.key = STR_NULL; /* its bytes are the connection's */
	k = bundle_find_key(r->bundle, digest);
	if (k == NULL || k->disabled ||
	    (k->expires_at != 0 && k->expires_at <= r->f->loop.wall)) {
		conn_refuse(
		    c, r, ERR_UNAUTHENTICATED, "Incorrect API key provided.");
		return false;
	}
	r->key = k;
	why = head_tags(&r->head, &r->tags);
	if (why != NULL)
		conn_refuse(c, r, ERR_INVALID, why);
	return why == NULL;
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
	int rc;

	if (want > SERVER_BODY_STEP)
		want = SERVER_BODY_STEP;
	if (op_is_multipart(r->target.s.op)) {
		struct front *f = r->f;

		rc = spool_new(r->head.content_type, f->agent->opt->data_dir,
		    f->lim.max_body, &r->spool);
		if (rc != 0) {
			conn_refuse(c, r, rc,
			    rc == ERR_UNSUPPORTED
				? "the body must be multipart/form-data"
				: NULL);
			return;
		}
	} else if (want > 0 && buf_reserve(&r->body, want) != 0) {
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
	if (buf_error(&b) == 0 && b.len > 0) {
		memcpy(r->sim, b.data, b.len);
		r->sim[b.len] = '\0';
	}
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
	forward_keep_head(r);
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

/* More of a body or form. All that is in flight is bounded; small requests are
 * served even when large ones have used that up. */
static int
conn_keep_body(struct request *r, const char *data, size_t len)
{
	struct front *f = r->f;

	if (len == 0)
		return 0;
	if (r->body_bytes + len > SERVER_BODY_SMALL && !places_body(r, len))
		return ERR_OVERLOADED;
	r->body_bytes += len;
	f->bodies += len;
	return r->spool != NULL ? spool_add(r->spool, data, len)
				: buf_add(&r->body, data, len);
}

/* Bytes of a body; returns how many were taken. */
static size_t
conn_body_bytes(struct conn *c, const char *p, size_t n)
{
	struct request *r = c->req;
	const char *data = p;
	size_t used = n, len = n;
	bool done;
	int rc;

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
	rc = conn_keep_body(r, data, len);
	if (rc != 0) {
		conn_refuse(c, r, rc == ERR_IO ? ERR_UNAVAILABLE : rc, NULL);
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

void
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
