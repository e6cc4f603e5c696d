/* SPDX-License-Identifier: Apache-2.0 */
/* Faults under way; see fault.h. */
#include "tests/provider/fault.h"
#include "tests/provider/conn.h"
#include "tests/provider/frame.h"
#include "tests/provider/openai.h"
#include "tests/provider/route.h"

#define FAULT_HUGE	 (16 * 1024 * 1024)
#define FAULT_HUGE_TOTAL 0xfffffff0L	    /* of a binary frame */
#define FAULT_HUGE_BODY	 (1LL << 62)	    /* of a plain body */
#define FAULT_HUGE_CHUNK "7ffffffffffffff0" /* of a chunk */

/* An answer that nobody asked for: whoever takes it for the next one is
 * wrong. */
static const char fault_forged[] =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    "content-length: 16\r\n\r\n{\"smuggled\":true}";

bool
fault_is_tls(int64_t fault)
{
	return fault == FAULT_TLS_ALERT || fault == FAULT_TLS_CORRUPT ||
	       fault == FAULT_NO_NOTIFY;
}

/* Spoil a text: a space before a letter becomes no UTF-8. */
static void
fault_utf8(struct buf *b)
{
	for (size_t i = b->len; i > 1; i--) {
		if (b->data[i - 2] == ' ' && b->data[i - 1] >= 'a' &&
		    b->data[i - 1] <= 'z') {
			b->data[i - 2] = (char)0xff;
			return;
		}
	}
}

void
fault_fill(struct buf *out, int64_t n)
{
	if (buf_reserve(out, (size_t)n) != 0)
		return;
	memset(out->data + out->len, 'x', (size_t)n);
	out->len += (size_t)n;
}

/* Make the event from `from` on huge: n letters more in its text. */
static void
fault_swell(struct buf *ev, size_t from, int64_t n)
{
	static const char *const members[] = {"\"text\":\"", "\"delta\":\"",
	    "\"content\":\"", "\"thinking\":\"", "\"partial_json\":\"",
	    "\"input\":\""};
	struct buf tail;

	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		char *at = memmem(ev->data + from, ev->len - from, members[i],
		    strlen(members[i]));

		if (at == NULL)
			continue;
		at += strlen(members[i]);
		buf_init(&tail, SIZE_MAX / 2);
		buf_add(&tail, at, (size_t)(ev->data + ev->len - at));
		ev->len = (size_t)(at - ev->data);
		fault_fill(ev, n);
		buf_add_str(ev, buf_str(&tail));
		buf_release(&tail);
		return;
	}
}

/* How the connection ends once all is sent. */
static void
fault_close(struct conn *c)
{
	c->close_after = true;
	c->half_close = exchange_fault_is(&c->x, FAULT_HALF_CLOSE);
	switch (c->x.k.fault) {
	case FAULT_TLS_ALERT:
		c->ending = CONN_ALERT;
		break;
	case FAULT_TLS_CORRUPT:
		c->ending = CONN_CORRUPT;
		break;
	case FAULT_NO_NOTIFY:
		c->ending = CONN_SILENT;
		break;
	default:
		break;
	}
}

/* A body whose length is wrong, or that ends too early. */
static bool
fault_length(struct conn *c, const char *type, const struct buf *body)
{
	struct exchange *x = &c->x;
	size_t n = body->len;
	int64_t told = (int64_t)n + 100;

	switch (x->k.fault) {
	case FAULT_CUT:
	case FAULT_HALF_CLOSE:
	case FAULT_TLS_ALERT:
	case FAULT_TLS_CORRUPT:
	case FAULT_NO_NOTIFY:
		n /= 2;
		break;
	case FAULT_WRONG_LENGTH:
		break;
	case FAULT_SHORT_LENGTH:
		told = (int64_t)n / 2;
		break;
	case FAULT_HUGE_LENGTH:
		told = FAULT_HUGE_BODY;
		break;
	default:
		return false;
	}
	if (x->k.until_close > 0)
		told = REPLY_UNTIL_CLOSE;
	reply_head(c, 200, type, "", told);
	buf_add(&c->out, body->data, n);
	if (exchange_fault_is(x, FAULT_HUGE_LENGTH))
		x->phase = X_STALL;
	else if (!exchange_fault_is(x, FAULT_SHORT_LENGTH))
		fault_close(c);
	return true;
}

void
fault_plain(struct conn *c, struct buf *body)
{
	struct exchange *x = &c->x;
	const char *type = x->type != NULL ? x->type : x->d->plain_type;
	struct buf headers;

	if (type == NULL)
		type = "application/json";
	if (exchange_fault_is(x, FAULT_BAD_JSON) && body->len > 20)
		body->len -= 20;
	if (exchange_fault_is(x, FAULT_BAD_UTF8))
		fault_utf8(body);
	if (exchange_fault_is(x, FAULT_HUGE_FRAME))
		fault_swell(body, 0, knob_or(x->k.huge_bytes, FAULT_HUGE));
	if (fault_length(c, type, body))
		return;
	buf_init(&headers, 4096);
	if (x->d->headers != NULL)
		x->d->headers(x, &headers);
	buf_addc(&headers, '\0');
	if (exchange_fault_is(x, FAULT_BAD_GZIP)) {
		reply_full(c, 200, type, "content-encoding: gzip\r\n",
		    STR("\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\x4a"));
	} else if (exchange_fault_is(x, FAULT_BAD_CHUNK)) {
		reply_head(c, 200, type, "", REPLY_CHUNKED);
		buf_addz(&c->out, "zz\r\n{\"broken\r\n");
		c->close_after = true;
	} else if (x->k.until_close > 0) {
		reply_head(c, 200, type, headers.data, REPLY_UNTIL_CLOSE);
		buf_add_str(&c->out, buf_str(body));
		c->close_after = true;
	} else {
		reply_full(c, 200, type, headers.data, buf_str(body));
		fault_surplus(c);
	}
	buf_release(&headers);
}

void
fault_surplus(struct conn *c)
{
	if (exchange_fault_is(&c->x, FAULT_SURPLUS))
		buf_addz(&c->out, fault_forged);
}

/* ---- streams ---- */

/* Too busy to begin, as far as anybody can see: nothing is billed. */
static bool
fault_is_busy(const struct exchange *x)
{
	return (exchange_fault_is(x, FAULT_ERROR_OVERLOADED) ||
		   exchange_fault_is(x, FAULT_ERROR_THROTTLED)) &&
	       (x->step <= 1 || !x->told);
}

/* The stream ends here, in an unseemly way. */
static void
fault_break(struct conn *c, struct buf *ev, bool billed)
{
	frame_events(c, buf_str(ev), false);
	buf_clear(ev);
	if (billed)
		exchange_bill(c, exchange_generated(&c->x), false, 200);
	exchange_finish(c);
}

static void
fault_error_event(struct conn *c, struct buf *ev)
{
	struct exchange *x = &c->x;
	bool busy = fault_is_busy(x);

	x->d->error(x,
	    exchange_fault_is(x, FAULT_ERROR_EVENT)	   ? 500
	    : exchange_fault_is(x, FAULT_ERROR_OVERLOADED) ? 529
							   : 429,
	    ev);
	fault_break(c, ev, !busy);
	frame_end(c);
}

/* JSON that ends too early, in an event that is whole. */
static void
fault_bad_json(struct exchange *x, struct buf *ev)
{
	if (x->d->bad_json != NULL)
		x->d->bad_json(x, ev);
	else
		buf_addz(ev, x->d->wire == WIRE_SSE
				 ? "data: {\"id\":\"broken\",\"choices\":[{"
				   "\"delta\":{\"cont\n\n"
				 : "{\"broken\": [{\"cont\n");
}

/* What begins here has a length that nobody could ever send. */
static void
fault_huge_length(struct conn *c, struct buf *ev)
{
	struct exchange *x = &c->x;

	if (x->d->wire == WIRE_BINARY) {
		frame_prelude(ev,
		    (uint32_t)knob_or(x->k.huge_bytes, FAULT_HUGE_TOTAL), 80);
		fault_fill(ev, 4096);
	}
	frame_events(c, buf_str(ev), false);
	buf_clear(ev);
	if (x->d->wire != WIRE_BINARY)
		buf_addz(&c->out, FAULT_HUGE_CHUNK "\r\n: ");
	x->phase = X_STALL;
}

/* Silence: for ever, or for stall_ms. Returns false when it is over. */
static bool
fault_stall(struct conn *c, struct buf *ev)
{
	struct exchange *x = &c->x;

	if (x->stalled)
		return false;
	frame_events(c, buf_str(ev), false);
	buf_clear(ev);
	x->stalled = true;
	if (x->k.stall_ms < 0)
		x->phase = X_STALL;
	else
		conn_schedule(c, conn_now_ns(c) + x->k.stall_ms * 1000000);
	return true;
}

bool
fault_strike(struct conn *c, struct buf *ev)
{
	struct exchange *x = &c->x;

	if (x->step - 1 != knob_or(x->k.after, x->n_events / 2))
		return false;
	switch (x->k.fault) {
	case FAULT_CUT:
	case FAULT_WRONG_LENGTH:
	case FAULT_HALF_CLOSE:
	case FAULT_TLS_ALERT:
	case FAULT_TLS_CORRUPT:
	case FAULT_NO_NOTIFY:
		fault_break(c, ev, true);
		fault_close(c);
		return true;
	case FAULT_BAD_CHUNK:
		fault_break(c, ev, true);
		buf_addz(&c->out, "zz\r\nthis is no chunk\r\n");
		c->close_after = true;
		return true;
	case FAULT_ERROR_EVENT:
	case FAULT_ERROR_OVERLOADED:
	case FAULT_ERROR_THROTTLED:
		fault_error_event(c, ev);
		return true;
	case FAULT_STALL:
		return fault_stall(c, ev);
	case FAULT_HUGE_LENGTH:
		fault_huge_length(c, ev);
		return true;
	case FAULT_BAD_JSON:
		fault_bad_json(x, ev);
		return false;
	default:
		return false;
	}
}

/* ---- single events ---- */

void
fault_aim(struct exchange *x)
{
	x->spoiling = x->step - 1 == knob_or(x->k.after, x->n_events / 2);
}

void
fault_payload(const struct exchange *x, struct buf *json)
{
	if (!x->spoiling)
		return;
	if (exchange_fault_is(x, FAULT_BAD_UTF8))
		fault_utf8(json);
	if (exchange_fault_is(x, FAULT_HUGE_FRAME))
		fault_swell(json, 0, knob_or(x->k.huge_bytes, FAULT_HUGE));
}

void
fault_spoil(struct exchange *x, size_t from, struct buf *ev)
{
	bool spoiling = x->spoiling;

	x->spoiling = false;
	if (!spoiling || ev->len == from)
		return;
	if (x->d->wire == WIRE_BINARY) {
		if (exchange_fault_is(x, FAULT_BAD_CRC))
			ev->data[ev->len - 1] ^= 0x55;
		return;
	}
	if (exchange_fault_is(x, FAULT_BAD_UTF8))
		fault_utf8(ev);
	if (!exchange_fault_is(x, FAULT_HUGE_FRAME))
		return;
	if (x->d == &chat_dialect)
		chat_huge_event(x, knob_or(x->k.huge_bytes, FAULT_HUGE), ev);
	else
		fault_swell(ev, from, knob_or(x->k.huge_bytes, FAULT_HUGE));
}
