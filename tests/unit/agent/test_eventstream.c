/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon's event stream: known vectors, every split in two and byte by byte,
 * and all that must be refused.
 */
#include <stdio.h>

#include "tests/unit/agent/eventstream_kit.h"
#include "tests/unit/support/unit.h"

#define EMPTY "000000100000000005c248eb7d98c8ff"
#define DELTA                                                                  \
	"0000009400000057b4ab9aee0b3a6576656e742d74797065070011636f6e74656e74" \
	"426c6f636b44656c74610d3a636f6e74656e742d747970650700106170706c6963"   \
	"6174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b"   \
	"22636f6e74656e74426c6f636b496e646578223a302c2264656c7461223a7b2274"   \
	"657874223a224869227d7d1f944657"
#define EXCEPTION                                                            \
	"00000090000000618e91a9b70f3a657863657074696f6e2d747970650700137468" \
	"726f74746c696e67457863657074696f6e0d3a636f6e74656e742d747970650700" \
	"106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700" \
	"09657863657074696f6e7b226d657373616765223a22546f6f206d616e79207265" \
	"717565737473227de67f8005"

static int
collect(void *ctx, const struct eventstream_message *m)
{
	struct buf *b = ctx;
	unsigned i;

	for (i = 0; i < m->n_headers; i++) {
		(void)buf_add_str(b, m->headers[i].name);
		if (m->headers[i].type >= EVENTSTREAM_BYTES &&
		    m->headers[i].type <= EVENTSTREAM_STRING)
			(void)buf_addf(
			    b, "=%.*s ", STR_ARG(m->headers[i].value));
		else
			(void)buf_addf(b, "=%d:%lld ", (int)m->headers[i].type,
			    (long long)m->headers[i].number);
	}
	(void)buf_addf(b, "[%.*s]\n", STR_ARG(m->payload));
	return 0;
}

static int
run(struct str doc, size_t max_payload, size_t first, size_t step,
    struct buf *got)
{
	struct eventstream s;
	size_t at, n;
	int rc = 0;

	buf_clear(got);
	eventstream_init(&s, max_payload);
	for (at = 0; at < doc.len && rc == 0; at += n) {
		n = at == 0 && first > 0 ? first : step;
		if (n == 0 || n > doc.len - at)
			n = doc.len - at;
		rc = eventstream_feed(&s, doc.p + at, n, collect, got);
	}
	if (rc == 0)
		rc = eventstream_finish(&s);
	eventstream_release(&s);
	return rc;
}

static void
expect_max(struct str doc, size_t max_payload, int rc, const char *want)
{
	struct buf got;
	size_t cut;

	buf_init(&got, 1 << 20);
	for (cut = 0; cut < doc.len; cut++) {
		ck_assert_int_eq(run(doc, max_payload, cut, 0, &got), rc);
		ck_assert_msg(str_eqz(buf_str(&got), want),
		    "cut at %zu: %s, not %s", cut, buf_cstr(&got), want);
	}
	ck_assert_int_eq(run(doc, max_payload, 1, 1, &got), rc);
	ck_assert_str_eq(buf_cstr(&got), want);
	buf_release(&got);
}

static void
expect(struct str doc, int rc, const char *want)
{
	expect_max(doc, 1 << 20, rc, want);
}

static struct str
unhex(const char *hex, char *dst)
{
	size_t n = strlen(hex) / 2;

	ck_assert_int_eq(hex_decode(str_of(hex), dst, n), 0);
	return str_make(dst, n);
}

START_TEST(test_crc)
{
	ck_assert_uint_eq(eventstream_crc32(0, "123456789", 9), 0xcbf43926u);
	ck_assert_uint_eq(
	    eventstream_crc32(
		eventstream_crc32(0, "12345678901234", 14), "567890123456", 12),
	    eventstream_crc32(0, "12345678901234567890123456", 26));
}
END_TEST

START_TEST(test_vectors)
{
	char raw[1024];

	expect(unhex(EMPTY, raw), 0, "[]\n");
	expect(unhex(DELTA, raw), 0,
	    ":event-type=contentBlockDelta :content-type=application/json "
	    ":message-type=event "
	    "[{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hi\"}}]\n");
	expect(unhex(EXCEPTION, raw), 0,
	    ":exception-type=throttlingException "
	    ":content-type=application/json :message-type=exception "
	    "[{\"message\":\"Too many requests\"}]\n");
	expect(unhex(EMPTY EMPTY EMPTY, raw), 0, "[]\n[]\n[]\n");
}
END_TEST

START_TEST(test_kit_makes_the_vectors)
{
	char raw[1024];
	struct str want;
	struct buf out;

	buf_init(&out, 4096);
	es_bedrock(&out, "event", "contentBlockDelta",
	    STR("{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hi\"}}"));
	want = unhex(DELTA, raw);
	ck_assert_int_eq(str_cmp(buf_str(&out), want), 0);
	buf_release(&out);
}
END_TEST

START_TEST(test_header_types)
{
	static const char headers[] = "\1a\0\1b\1\1c\2\xff\1d\3\xff\xfe"
				      "\1e\4\0\0\1\0\1f\5\xff\xff\xff\xff\xff"
				      "\xff\xff\xfd\1g\6\0\2xy\1h\7\0\0"
				      "\1i\x8\0\0\1\x8b\0\0\0\0"
				      "\1j\x9"
				      "0123456789abcdef";
	struct buf out;

	buf_init(&out, 4096);
	es_message(&out, str_make(headers, sizeof(headers) - 1), STR("p"));
	expect(buf_str(&out), 0,
	    "a=0:1 b=1:0 c=2:-1 d=3:-2 e=4:256 f=5:-3 g=xy h= "
	    "i=8:1696512081920 j=9:0 [p]\n");
	buf_release(&out);
}
END_TEST

static void
refused(const char *headers, size_t n, int rc)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	es_message(&out, str_make(headers, n), STR(""));
	expect(buf_str(&out), rc, "");
	buf_release(&out);
}

START_TEST(test_bad_headers)
{
	char many[65 * 4];
	unsigned i;

#define REFUSED(lit) refused(lit, sizeof(lit) - 1, ERR_CORRUPT)
	REFUSED("\1a\0\1a\1");	      /* twice */
	REFUSED("\0\0");	      /* no name */
	REFUSED("\5a\0");	      /* name beyond the end */
	REFUSED("\1a");		      /* no type */
	REFUSED("\1a\x0a");	      /* no such type */
	REFUSED("\1a\4\0\0\0");	      /* short number */
	REFUSED("\1a\7\0");	      /* half a length */
	REFUSED("\1a\7\0\2x");	      /* short string */
	REFUSED("\1a\x9 0123456789"); /* short uuid */
	for (i = 0; i < 65; i++) {
		many[4 * i] = 2;
		many[4 * i + 1] = (char)('A' + i / 26);
		many[4 * i + 2] = (char)('A' + i % 26);
		many[4 * i + 3] = 0;
	}
	refused(many, sizeof(many), ERR_TOO_LARGE);
}
END_TEST

START_TEST(test_flipped_bits)
{
	char raw[256];
	struct str doc = unhex(DELTA, raw);
	struct buf got;
	size_t i;

	buf_init(&got, 4096);
	for (i = 0; i < doc.len * 8; i++) {
		raw[i / 8] = (char)(raw[i / 8] ^ 1 << i % 8);
		ck_assert_int_ne(run(doc, 1 << 20, 0, 0, &got), 0);
		ck_assert_uint_eq(got.len, 0);
		raw[i / 8] = (char)(raw[i / 8] ^ 1 << i % 8);
	}
	ck_assert_int_eq(run(doc, 1 << 20, 0, 0, &got), 0);
	for (i = 1; i < doc.len; i++)
		ck_assert_int_eq(
		    run(str_make(raw, i), 1 << 20, 0, 0, &got), ERR_CORRUPT);
	buf_release(&got);
}
END_TEST

START_TEST(test_limits)
{
	struct buf out;
	char head[12];

	buf_init(&out, 4096);
	es_message(&out, STR(""), STR("0123456789"));
	expect_max(buf_str(&out), 10, 0, "[0123456789]\n");
	expect_max(buf_str(&out), 9, ERR_TOO_LARGE, "");
	buf_release(&out);
	/* Told by the prelude alone. */
	es_u32(head, 0x7fffffff);
	es_u32(head + 4, 0);
	es_u32(head + 8, eventstream_crc32(0, head, 8));
	expect(str_make(head, 12), ERR_TOO_LARGE, "");
	es_u32(head, (128 << 10) + 17);
	es_u32(head + 4, (128 << 10) + 1);
	es_u32(head + 8, eventstream_crc32(0, head, 8));
	expect(str_make(head, 12), ERR_TOO_LARGE, "");
	es_u32(head, 20);
	es_u32(head + 4, 5);
	es_u32(head + 8, eventstream_crc32(0, head, 8));
	expect(str_make(head, 12), ERR_CORRUPT, "");
	es_u32(head, 0);
	es_u32(head + 4, 0);
	es_u32(head + 8, eventstream_crc32(0, head, 8));
	expect(str_make(head, 12), ERR_CORRUPT, "");
}
END_TEST

static int
stop(void *ctx, const struct eventstream_message *m)
{
	(void)m;
	++*(int *)ctx;
	return 7;
}

START_TEST(test_callback_stops)
{
	struct eventstream s;
	char raw[64];
	struct str doc = unhex(EMPTY EMPTY, raw);
	int n = 0;

	eventstream_init(&s, 16);
	ck_assert_int_eq(eventstream_feed(&s, doc.p, doc.len, stop, &n), 7);
	ck_assert_int_eq(n, 1);
	eventstream_release(&s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("eventstream");

	UNIT_ADD(s, test_crc);
	UNIT_ADD(s, test_vectors);
	UNIT_ADD(s, test_kit_makes_the_vectors);
	UNIT_ADD(s, test_header_types);
	UNIT_ADD(s, test_bad_headers);
	UNIT_ADD(s, test_flipped_bits);
	UNIT_ADD(s, test_limits);
	UNIT_ADD(s, test_callback_stops);
	return unit_run(s);
}
