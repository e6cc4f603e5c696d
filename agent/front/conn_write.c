/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending answers: whole ones with a length, streams in chunks. What the kernel
 * does not take at once waits in conn.pend, except the body of a whole answer,
 * which stays where it is.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "agent/front/conn.h"

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

void
conn_write(struct conn *c)
{
	if (!conn_flush_pend(c))
		return;
	if (c->req->stream_started)
		conn_send_stream(c);
	else
		conn_send_plain(c);
}
