/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of providers' answers: framing that must be refused, the chunked
 * coding in every split; timers of the loop.
 */
#include <stdio.h>
#include <string.h>

#include "agent/loop/timer.h"
#include "agent/upstream/h1_parse.h"
#include "tests/unit/support/unit.h"

static int
parse(const char *raw, struct h1_head *h)
{
	return h1_head_parse(str_of(raw), h);
}

START_TEST(test_heads)
{
	struct h1_head h;

	ck_assert_int_eq(
	    parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		  "Content-Type: text/event-stream; charset=utf-8\r\n"
		  "x-request-id: abc\r\nretry-after: 3\r\n\r\n",
		&h),
	    0);
	ck_assert_int_eq(h.up.status, 200);
	ck_assert_int_eq(h.framing, H1_LENGTH);
	ck_assert(h.keep_alive && h.up.event_stream);
	ck_assert_str_eq(h.up.request_id, "abc");
	ck_assert_str_eq(h.up.retry_after, "3");
	ck_assert_int_eq(parse("HTTP/1.1 204\r\n\r\n", &h), 0);
	ck_assert_int_eq(h.framing, H1_NONE);
	ck_assert_int_eq(
	    parse("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", &h), 0);
	ck_assert_int_eq(h.framing, H1_CHUNKED);
	ck_assert_int_eq(parse("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
			       "Connection: foo, Close\r\n\r\n",
			     &h),
	    0);
	ck_assert(!h.keep_alive);
	ck_assert_int_eq(parse("HTTP/1.0 200 OK\r\n\r\n", &h), 0);
	ck_assert_int_eq(h.framing, H1_CLOSE);
	ck_assert(!h.keep_alive);
	ck_assert_int_eq(
	    parse("HTTP/1.1 200 OK\r\nx-request-id: a\x01\x80z\r\n\r\n", &h),
	    0);
	ck_assert_str_eq(h.up.request_id, "a??z");
}
END_TEST

START_TEST(test_bad_heads)
{
	static const char *const bad[] = {"", "\r\n\r\n",
	    "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
	    "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
	    "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
	    "Content-Length: 6\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
	    "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n"};
	struct h1_head h;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(parse(bad[i], &h) == ERR_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(test_head_len)
{
	ck_assert_uint_eq(h1_head_len("a\r\n\r\nb", 6), 5);
	ck_assert_uint_eq(h1_head_len("a\n\nb", 4), 3);
	ck_assert_uint_eq(h1_head_len("a\r\n\r", 4), 0);
	ck_assert_uint_eq(h1_head_len("a\r\nb\r\n", 6), 0);
	ck_assert_uint_eq(h1_head_len("", 0), 0);
}
END_TEST

/* Feed in pieces of `step`; returns an error or the bytes left over. */
static int
unchunk(const char *in, size_t step, char *out)
{
	struct h1_chunked c;
	size_t at = 0, n = strlen(in), part, used, len, o = 0;
	const char *data;

	memset(&c, 0, sizeof(c));
	while (at < n && c.state != H1_CHUNK_DONE) {
		part = n - at < step ? n - at : step;
		if (h1_chunked_next(&c, in + at, part, &used, &data, &len) != 0)
			return ERR_INVALID;
		memcpy(out + o, data, len);
		o += len;
		at += used;
	}
	out[o] = '\0';
	return c.state == H1_CHUNK_DONE ? (int)(n - at) : -1000;
}

START_TEST(test_chunks)
{
	static const char good[] = "5\r\nhello\r\nA;x=y\r\n0123456789\r\n"
				   "1 \r\n!\r\n0\r\nTrailer: x\r\n\r\nmore";
	static const char *const bad[] = {"\r\n", "g\r\n", "5hello",
	    "5\r\nhello5\r\n", "5\nhello\r\n", "-5\r\nhello\r\n",
	    "ffffffffffffffff\r\n", "5\r\nhello\rX", "0\r\n\rX", ";\r\n"};
	char out[256];
	size_t step, i;

	for (step = 1; step < sizeof(good); step++) {
		ck_assert_int_eq(unchunk(good, step, out), 4);
		ck_assert_str_eq(out, "hello0123456789!");
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(
		    unchunk(bad[i], 1, out) == ERR_INVALID, "%s", bad[i]);
		ck_assert_msg(
		    unchunk(bad[i], 100, out) == ERR_INVALID, "%s", bad[i]);
	}
	ck_assert_int_eq(unchunk("5\r\nhel", 2, out), -1000);
}
END_TEST

struct tick {
	struct timer t; /* first */
	int n;
	int64_t at;
};
static int64_t last_fired;

static void
ticked(struct timer *t, int64_t now)
{
	struct tick *k = (struct tick *)(void *)t;

	ck_assert_int_ge(now, k->at);
	ck_assert_int_ge(k->at, last_fired);
	last_fired = k->at;
	k->n++;
}

START_TEST(test_timers)
{
	static struct tick k[200];
	struct timer_heap h;
	unsigned seed = 7, i, round;

	ck_assert_int_eq(timer_heap_init(&h, 200), 0);
	ck_assert_int_eq(timer_next(&h), INT64_MAX);
	for (round = 0; round < 20; round++) {
		last_fired = 0;
		for (i = 0; i < 200; i++) {
			k[i].n = 0;
			seed = seed * 1103515245 + 12345;
			k[i].at = (seed >> 8) % 1000;
			timer_set(&h, &k[i].t, k[i].at, ticked);
		}
		for (i = 0; i < 200; i += 3) { /* move */
			seed = seed * 1103515245 + 12345;
			k[i].at = (seed >> 8) % 1000;
			timer_set(&h, &k[i].t, k[i].at, ticked);
		}
		for (i = 0; i < 200; i += 7)
			timer_cancel(&h, &k[i].t);
		while (timer_next(&h) != INT64_MAX)
			timer_run(&h, timer_next(&h), 5);
		for (i = 0; i < 200; i++) {
			ck_assert_int_eq(k[i].n, i % 7 == 0 ? 0 : 1);
			ck_assert(!timer_armed(&k[i].t));
		}
	}
	timer_heap_release(&h);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/h1");

	UNIT_ADD(s, test_heads);
	UNIT_ADD(s, test_bad_heads);
	UNIT_ADD(s, test_head_len);
	UNIT_ADD(s, test_chunks);
	UNIT_ADD(s, test_timers);
	return unit_run(s);
}
