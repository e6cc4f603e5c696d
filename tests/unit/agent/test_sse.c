/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event parser against WHATWG's rules: for every document the events are
 * the same whole, in every split in two, and byte by byte.
 */
#include <stdio.h>
#include <string.h>

#include "agent/dialect/sse.h"
#include "tests/unit/support/unit.h"

struct got {
	char text[4096]; /* name|data; of all events */
	char raw[4096];
	size_t n_raw;
};

static int
collect(void *ctx, const struct sse_event *ev)
{
	struct got *g = ctx;
	size_t n = strlen(g->text);

	ck_assert_uint_lt(g->n_raw + ev->raw.len, sizeof(g->raw));
	memcpy(g->raw + g->n_raw, ev->raw.p, ev->raw.len);
	g->n_raw += ev->raw.len;
	if (!ev->has_data)
		return 0;
	(void)snprintf(g->text + n, sizeof(g->text) - n, "%.*s|%.*s;",
	    STR_ARG(ev->name), STR_ARG(ev->data));
	return 0;
}

static void
feed(struct sse *s, const char *p, size_t n, struct got *g)
{
	ck_assert_int_eq(sse_feed(s, p, n, collect, g), 0);
}

static void
expect(const char *doc, size_t len, const char *want)
{
	struct sse s;
	struct got g;
	size_t cut, i;

	sse_init(&s, 1000);
	for (cut = 0; cut <= len; cut++) {
		memset(&g, 0, sizeof(g));
		sse_clear(&s);
		feed(&s, doc, cut, &g);
		feed(&s, doc + cut, len - cut, &g);
		ck_assert_int_eq(sse_finish(&s, collect, &g), 0);
		ck_assert_msg(strcmp(g.text, want) == 0,
		    "cut at %zu: \"%s\", not \"%s\"", cut, g.text, want);
	}
	memset(&g, 0, sizeof(g));
	sse_clear(&s);
	for (i = 0; i < len; i++)
		feed(&s, doc + i, 1, &g);
	ck_assert_int_eq(sse_finish(&s, collect, &g), 0);
	ck_assert_str_eq(g.text, want);
	sse_release(&s);
}

#define EXPECT(doc, want) expect(doc, sizeof(doc) - 1, want)

START_TEST(test_line_ends)
{
	EXPECT("data: a\n\ndata: b\n\n", "|a;|b;");
	EXPECT("data: a\r\n\r\ndata: b\r\n\r\n", "|a;|b;");
	EXPECT("data: a\r\rdata: b\r\r", "|a;|b;");
	EXPECT("data: a\r\n\ndata: b\n\r\n", "|a;|b;");
	EXPECT("data: a\n\r\ndata: b\r\r\ndata: c\n\n", "|a;|b;|c;");
}
END_TEST

START_TEST(test_fields)
{
	EXPECT("data:a\n\n", "|a;");
	EXPECT("data:  a\n\n", "| a;");
	EXPECT("data\n\n", "|;");
	EXPECT("data: a\ndata: b\ndata:\ndata: c\n\n", "|a\nb\n\nc;");
	EXPECT("event: x\ndata: 1\n\nevent: y\n\ndata: 2\n\n", "x|1;|2;");
	EXPECT("id: 7\nretry: 10\ndata: 1\n\n", "|1;");
	EXPECT(": ping\n\n: ping\ndata: 1\n\n", "|1;");
	EXPECT("\xef\xbb\xbf"
	       "data: 1\n\n",
	    "|1;");
	EXPECT("\n\n\ndata: 1\n\n\n\n", "|1;");
}
END_TEST

START_TEST(test_not_line_ends)
{
	EXPECT("data: a\xe2\x80\xa8"
	       "b\xe2\x80\xa9"
	       "c\xc2\x85"
	       "d\n\n",
	    "|a\xe2\x80\xa8"
	    "b\xe2\x80\xa9"
	    "c\xc2\x85"
	    "d;");
	EXPECT("data: {\"t\":\"\xf0\x9f\x98\x80\\ud83d\\ude00\"}\n\n",
	    "|{\"t\":\"\xf0\x9f\x98\x80\\ud83d\\ude00\"};");
}
END_TEST

START_TEST(test_end_without_blank_line)
{
	EXPECT("data: a\n\ndata: b", "|a;|b;");
	EXPECT("data: a\n\ndata: b\n", "|a;|b;");
	EXPECT("data: a\n\ndata: b\r", "|a;|b;");
	EXPECT("", "");
}
END_TEST

START_TEST(test_raw_is_complete)
{
	static const char doc[] = ": c\r\n\r\ndata: a\r\ndata: b\r\n\r\n"
				  "event: z\r\ndata: d\r\n\r\n";
	struct got g = {.n_raw = 0};
	struct sse s;

	sse_init(&s, 1000);
	feed(&s, doc, 20, &g);
	feed(&s, doc + 20, sizeof(doc) - 1 - 20, &g);
	ck_assert_uint_eq(g.n_raw, sizeof(doc) - 1);
	sse_release(&s);
}
END_TEST

/* What a relay passes on is what came, wherever it was cut. */
START_TEST(test_raw_is_exact)
{
	static const char *const docs[] = {"data: a\r\n\r\ndata: b\r\n\r\n",
	    "data: a\r\r\ndata: b\n\r\n: c\r\rdata: d\n\n",
	    "\r\n\r\ndata: a\r\n\r\n\r\n\r\ndata: b\r\n\r\n",
	    "\r\rdata: a\n\r\n\n"};
	struct sse s;
	struct got g;
	size_t i, cut, len;

	sse_init(&s, 1000);
	for (i = 0; i < sizeof(docs) / sizeof(docs[0]); i++) {
		len = strlen(docs[i]);
		for (cut = 0; cut <= len; cut++) {
			memset(&g, 0, sizeof(g));
			sse_clear(&s);
			feed(&s, docs[i], cut, &g);
			feed(&s, docs[i] + cut, len - cut, &g);
			ck_assert_int_eq(sse_finish(&s, collect, &g), 0);
			ck_assert_msg(
			    g.n_raw == len && memcmp(g.raw, docs[i], len) == 0,
			    "document %zu cut at %zu", i, cut);
		}
		memset(&g, 0, sizeof(g));
		sse_clear(&s);
		for (cut = 0; cut < len; cut++)
			feed(&s, docs[i] + cut, 1, &g);
		ck_assert_uint_eq(g.n_raw, len);
	}
	sse_release(&s);
}
END_TEST

START_TEST(test_limit)
{
	struct got g = {.n_raw = 0};
	char doc[600];
	struct sse s;
	size_t i;

	memset(doc, 'x', sizeof(doc));
	memcpy(doc, "data: ", 6);
	sse_init(&s, 500);
	ck_assert_int_eq(
	    sse_feed(&s, doc, sizeof(doc), collect, &g), ERR_TOO_LARGE);
	sse_clear(&s);
	for (i = 0; i < 500; i++)
		feed(&s, doc + i, 1, &g);
	ck_assert_int_eq(
	    sse_feed(&s, doc + 500, 1, collect, &g), ERR_TOO_LARGE);
	/* A whole event is measured alike, in one piece or in many. */
	for (size_t cut = 0; cut < 2; cut++) {
		sse_clear(&s);
		memset(doc, 'x', sizeof(doc));
		memcpy(doc, "data: ", 6);
		memcpy(doc + 498 + cut, "\n\n", 2); /* 500 bytes, 501 */
		ck_assert_int_eq(sse_feed(&s, doc, 500 + cut, collect, &g),
		    cut == 0 ? 0 : ERR_TOO_LARGE);
		sse_clear(&s);
		for (i = 0; i < 499 + cut; i++)
			feed(&s, doc + i, 1, &g);
		ck_assert_int_eq(sse_feed(&s, doc + i, 1, collect, &g),
		    cut == 0 ? 0 : ERR_TOO_LARGE);
	}
	/* Many small events in one read are not one large one. */
	sse_clear(&s);
	feed(&s, "data: ", 6, &g);
	for (i = 0; i + 3 <= sizeof(doc); i += 3)
		memcpy(doc + i, "y\n\n", 3);
	feed(&s, doc, sizeof(doc), &g);
	sse_release(&s);
}
END_TEST

static int
stop(void *ctx, const struct sse_event *ev)
{
	(void)ev;
	return ++*(int *)ctx == 2 ? 1 : 0;
}

START_TEST(test_callback_stops)
{
	struct sse s;
	int n = 0;

	sse_init(&s, 500);
	ck_assert_int_eq(
	    sse_feed(&s, "data: 1\n\ndata: 2\n\ndata: 3\n\n", 27, stop, &n), 1);
	ck_assert_int_eq(n, 2);
	sse_release(&s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/sse");

	UNIT_ADD(s, test_line_ends);
	UNIT_ADD(s, test_fields);
	UNIT_ADD(s, test_not_line_ends);
	UNIT_ADD(s, test_end_without_blank_line);
	UNIT_ADD(s, test_raw_is_complete);
	UNIT_ADD(s, test_raw_is_exact);
	UNIT_ADD(s, test_limit);
	UNIT_ADD(s, test_callback_stops);
	return unit_run(s);
}
