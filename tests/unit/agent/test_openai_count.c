/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Estimates of tokens: what of a request and of an answer counts, with and
 * without tables, and where exact counting ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/openai.h"
#include "tests/unit/support/unit.h"

static struct tokenizer_set set;

/* One token a byte, or exactly; false without tables. */
static bool
counter(struct oai_count *c, bool exact)
{
	const char *bin = getenv("HG_BIN");
	struct error e = {0};
	char dir[4096];

	memset(c, 0, sizeof(*c));
	c->left = SIZE_MAX;
	if (!exact)
		return tokenizer_for_model(NULL, STR("bytes:1"), &c->counter) ==
		       0;
	(void)snprintf(dir, sizeof(dir), "%s/../share/headgate",
	    bin != NULL ? bin : "build/dev/bin");
	if (tokenizer_set_open(&set, dir, &e) != 0) {
		printf("# not tested with real tables: %s\n", e.text);
		tokenizer_set_close(&set);
		return false;
	}
	ck_assert_int_eq(
	    tokenizer_for_model(&set, STR("o200k"), &c->counter), 0);
	c->scratch = tokenizer_scratch_new();
	ck_assert_ptr_nonnull(c->scratch);
	return true;
}

static void
done(struct oai_count *c)
{
	tokenizer_scratch_free(c->scratch);
	tokenizer_set_close(&set);
}

static int64_t
prompt(struct oai_count c, enum op ep, const char *body)
{
	struct scan r;
	struct error e = {0};

	ck_assert_msg(oai_request_scan(
			  ep, str_of(body), &json_default_limits, &r, &e) == 0,
	    "%s", e.text);
	oai_count_request(&c, &r, str_of(body));
	return oai_count_total(&c);
}

#define HEAD  "{\"model\":\"m\",\"messages\":["
#define USER  "{\"role\":\"user\",\"content\":"
#define HELLO USER "\"hello there\"}"

START_TEST(test_prompt)
{
	/* body, bytes, tokens */
	static const struct {
		enum op ep;
		const char *body;
		int64_t bytes, exact;
	} cases[] = {
	    {OP_CHAT, HEAD HELLO "]}", 3 + 3 + 11, 3 + 3 + 2},
	    {OP_CHAT, HEAD HELLO "," HELLO "],\"user\":\"somebody\"}", 31, 13},
	    {OP_CHAT, HEAD USER "null}]}", 6, 6},
	    {OP_CHAT,
		HEAD USER "[{\"type\":\"text\",\"text\":\"hello there\"},"
			  "{\"type\":\"image_url\",\"image_url\":"
			  "{\"url\":\"data:xxxxxxxxxxxxxxxxx\"}}]}]}",
		6 + 11 + 765, 6 + 2 + 765},
	    {OP_CHAT,
		HEAD "{\"role\":\"assistant\",\"content\":null,"
		     "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\","
		     "\"function\":{\"name\":\"hello\",\"arguments\":"
		     "\"there\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
		     "\"call_1\",\"content\":\"hello\"}]}",
		9 + 15, 9 + 3},
	    {OP_CHAT, HEAD HELLO "],\"tools\":[{\"hello\":\"hello\"}]}",
		17 + 10, 8 + 2},
	    {OP_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"hello there\"}", 11,
		2},
	    {OP_EMBEDDINGS, "{\"model\":\"m\",\"input\":[\"hello\",\"hello\"]}",
		10, 2},
	    {OP_EMBEDDINGS, "{\"model\":\"m\",\"input\":[[1,2],[3]]}", 3, 3},
	};
	struct oai_count c;
	size_t i;

	(void)counter(&c, false);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(
		    prompt(c, cases[i].ep, cases[i].body), cases[i].bytes);
	if (!counter(&c, true))
		return;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(
		    prompt(c, cases[i].ep, cases[i].body), cases[i].exact);
	done(&c);
}
END_TEST

/* Beyond what may be counted exactly goes what was counted, or the ratio. */
START_TEST(test_prompt_is_bounded)
{
	static char body[400000];
	struct oai_count c;
	size_t n, i;
	int64_t all, some;

	if (!counter(&c, true))
		return;
	n = (size_t)snprintf(body, sizeof(body), "%s", HEAD USER "\"");
	for (i = 0; i < 50000; i++, n += 6)
		memcpy(body + n, " hello", 6);
	memcpy(body + n, "\"}]}", 5);
	all = prompt(c, OP_CHAT, body);
	ck_assert_int_eq(all, 6 + 50000);
	c.left = 60000;
	some = prompt(c, OP_CHAT, body);
	ck_assert_int_ge(some, 6 + 50000 - 20);
	ck_assert_int_le(some, 6 + 50000 + 20);
	c.left = 3000; /* too small a sample */
	some = prompt(c, OP_CHAT, body);
	ck_assert_int_ge(some, 6 + 500 + 297000 * 10 / 36 - 20);
	ck_assert_int_le(some, 6 + 500 + 297000 * 10 / 36 + 20);
	c.left = 0;
	ck_assert_int_eq(prompt(c, OP_CHAT, body), 6 + (300000 * 10 + 35) / 36);
	done(&c);
}
END_TEST

START_TEST(test_answer)
{
	static const char body[] =
	    "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":"
	    "\"hello there\",\"tool_calls\":[{\"id\":\"c\",\"function\":"
	    "{\"name\":\"hello\",\"arguments\":\"hello\"}}]}},"
	    "{\"message\":{\"content\":\"hello\"}}]}";
	struct oai_count c;

	(void)counter(&c, false);
	oai_count_answer(&c, str_of(body));
	ck_assert_int_eq(oai_count_total(&c), 11 + 10 + 5);
	if (!counter(&c, true))
		return;
	oai_count_answer(&c, str_of(body));
	ck_assert_int_eq(oai_count_total(&c), 2 + 2 + 1);
	done(&c);
}
END_TEST

static void
feed(struct oai_stream *s, const char *data)
{
	struct str parts[OAI_MAX_PARTS];
	struct sse_event ev = {
	    .raw = str_of(data), .data = str_of(data), .has_data = true};

	(void)oai_stream_event(s, &ev, &json_default_limits, parts);
}

START_TEST(test_stream)
{
	static const char *const deltas[] = {
	    "hel", "lo", " th", "er", "e", " hello", " hello"};
	struct oai_stream s;
	struct oai_count c;
	char event[1024];
	size_t i;
	int n;

	if (!counter(&c, true))
		return;
	oai_stream_init(&s, 4096);
	oai_stream_begin(&s, false);
	s.count = c;
	feed(&s, "{\"choices\":[{\"delta\":{\"role\":\"assistant\","
		 "\"content\":\"\"}}]}");
	for (i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
		(void)snprintf(event, sizeof(event),
		    "{\"choices\":[{\"delta\":{\"content\":\"%s\"}}]}",
		    deltas[i]);
		feed(&s, event);
	}
	ck_assert_int_eq(oai_count_total(&s.count), 4);
	ck_assert_int_eq(s.sum.text_bytes, 23);
	feed(&s, "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
		 "\"function\":{\"arguments\":\" hello\"}}]}}]}");
	ck_assert_int_eq(oai_count_total(&s.count), 5);
	/* Longer than what is gathered, and escapes. */
	n = snprintf(event, sizeof(event),
	    "{\"choices\":[{\"delta\":{\"content\":\"\\u0020");
	for (i = 0; i < 100; i++)
		n += snprintf(event + n, sizeof(event) - (size_t)n, "%s",
		    i > 0 ? " hello" : "hello");
	(void)snprintf(event + n, sizeof(event) - (size_t)n, "\"}}]}");
	feed(&s, event);
	ck_assert_int_eq(oai_count_total(&s.count), 105);
	for (i = 0; i < 100; i++)
		feed(&s, "{\"choices\":[{\"delta\":{\"content\":\" hel\"}},"
			 "{\"delta\":{\"content\":\"l\\u006f\"}}]}");
	ck_assert_int_eq(oai_count_total(&s.count), 205);
	/* No more of it exactly. */
	s.count.left = 0;
	feed(&s, "{\"choices\":[{\"delta\":{\"content\":\"123456789\"}}]}");
	ck_assert_int_eq(oai_count_total(&s.count), 208);
	feed(&s, "not JSON.");
	ck_assert_int_eq(oai_count_total(&s.count), 211);
	oai_stream_release(&s);
	done(&c);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/openai_count");

	UNIT_ADD(s, test_prompt);
	UNIT_ADD(s, test_prompt_is_bounded);
	UNIT_ADD(s, test_answer);
	UNIT_ADD(s, test_stream);
	return unit_run(s);
}
