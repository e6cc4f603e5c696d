/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usage normaliser, plain answers, streamed answers and what clients see
 * of their usage, error bodies.
 */
#include <stdio.h>
#include <string.h>

#include "agent/dialect/openai.h"
#include "tests/unit/support/unit.h"

static bool
usage(const char *text, enum op op, struct tokens *t, bool *clamped)
{
	struct usage_state s = {0};
	struct error e;

	ck_assert_int_eq(
	    json_validate(str_of(text), &json_default_limits, &e), 0);
	(void)usage_update(
	    &s, oai_usage_shape(op), json_root(str_of(text)), true);
	*t = s.usage.tokens;
	*clamped = s.usage.inconsistent;
	return s.known;
}

START_TEST(test_usage_classes)
{
	struct tokens t;
	bool clamped;

	ck_assert(usage("{\"prompt_tokens\":100,\"completion_tokens\":50,"
			"\"total_tokens\":150,\"prompt_tokens_details\":"
			"{\"cached_tokens\":30,\"cache_write_tokens\":20,"
			"\"audio_tokens\":5},\"completion_tokens_details\":"
			"{\"reasoning_tokens\":40,\"audio_tokens\":2,"
			"\"accepted_prediction_tokens\":1,"
			"\"rejected_prediction_tokens\":3}}",
	    OP_CHAT, &t, &clamped));
	ck_assert(!clamped);
	ck_assert_int_eq(t.n[TC_INPUT], 45);
	ck_assert_int_eq(t.n[TC_CACHE_READ], 30);
	ck_assert_int_eq(t.n[TC_CACHE_WRITE_5M], 20);
	ck_assert_int_eq(t.n[TC_AUDIO_IN], 5);
	ck_assert_int_eq(t.n[TC_OUTPUT], 8);
	ck_assert_int_eq(t.n[TC_REASONING], 40);
	ck_assert_int_eq(t.n[TC_AUDIO_OUT], 2);
}
END_TEST

START_TEST(test_usage_odd)
{
	struct tokens t;
	bool clamped;

	/* an explicit zero is a value */
	ck_assert(usage("{\"prompt_tokens\":0,\"completion_tokens\":0,"
			"\"total_tokens\":0}",
	    OP_CHAT, &t, &clamped));
	ck_assert(!clamped);
	/* details may be null (vLLM) */
	ck_assert(usage("{\"prompt_tokens\":3,\"completion_tokens\":4,"
			"\"prompt_tokens_details\":null}",
	    OP_CHAT, &t, &clamped));
	ck_assert_int_eq(t.n[TC_INPUT], 3);
	/* one missing of three */
	ck_assert(usage("{\"prompt_tokens\":3,\"total_tokens\":10}", OP_CHAT,
	    &t, &clamped));
	ck_assert_int_eq(t.n[TC_OUTPUT], 7);
	ck_assert(usage("{\"completion_tokens\":3,\"total_tokens\":10}",
	    OP_CHAT, &t, &clamped));
	ck_assert_int_eq(t.n[TC_INPUT], 7);
	/* nothing said */
	ck_assert(!usage("null", OP_CHAT, &t, &clamped));
	ck_assert(!usage("{}", OP_CHAT, &t, &clamped));
	ck_assert(!usage("{\"prompt_tokens\":3}", OP_CHAT, &t, &clamped));
	ck_assert(usage("{\"prompt_tokens\":3}", OP_EMBEDDINGS, &t, &clamped));
}
END_TEST

START_TEST(test_usage_hostile)
{
	struct tokens t;
	bool clamped;

	ck_assert(usage("{\"prompt_tokens\":10,\"completion_tokens\":5,"
			"\"prompt_tokens_details\":{\"cached_tokens\":11,"
			"\"audio_tokens\":4}}",
	    OP_CHAT, &t, &clamped));
	ck_assert(clamped);
	ck_assert_int_eq(t.n[TC_CACHE_READ], 10);
	ck_assert_int_eq(t.n[TC_INPUT], 0);
	ck_assert_int_eq(t.n[TC_AUDIO_IN], 0);
	ck_assert(usage("{\"prompt_tokens\":10,\"completion_tokens\":5,"
			"\"total_tokens\":99}",
	    OP_CHAT, &t, &clamped));
	ck_assert(clamped);
	ck_assert(!usage("{\"prompt_tokens\":-1,\"completion_tokens\":5}",
	    OP_CHAT, &t, &clamped));
	ck_assert(clamped);
	ck_assert(!usage("{\"prompt_tokens\":9223372036854775807,"
			 "\"completion_tokens\":5}",
	    OP_CHAT, &t, &clamped));
	ck_assert(!usage("{\"prompt_tokens\":1.5,\"completion_tokens\":5}",
	    OP_CHAT, &t, &clamped));
	ck_assert(clamped);
}
END_TEST

START_TEST(test_plain)
{
	struct oai_answer a;

	ck_assert_int_eq(
	    oai_answer_scan(OP_CHAT,
		STR("\n\n{\"choices\":[{\"message\":{\"role\":\"assistant\","
		    "\"content\":\"12345678\"},\"finish_reason\":\"stop\"}],"
		    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}"),
		&json_default_limits, &a),
	    0);
	ck_assert(a.usage.known && a.has_choices);
	ck_assert_str_eq(a.finish, "stop");
	ck_assert_int_eq(a.text_bytes, 8);
	ck_assert_int_ne(oai_answer_scan(OP_CHAT, STR("{\"choices\":["),
			     &json_default_limits, &a),
	    0);
	ck_assert_int_eq(
	    oai_answer_scan(OP_CHAT, STR("[]"), &json_default_limits, &a),
	    ERR_INVALID);
}
END_TEST

/* ---- streams ---- */

struct client {
	struct oai_stream s;
	char seen[8192];
};

static int
take(void *ctx, const struct sse_event *ev)
{
	struct client *c = ctx;
	struct str parts[OAI_MAX_PARTS];
	unsigned i,
	    n = oai_stream_event(&c->s, ev, &json_default_limits, parts);

	for (i = 0; i < n; i++) {
		size_t len = strlen(c->seen);

		(void)snprintf(c->seen + len, sizeof(c->seen) - len, "%.*s",
		    STR_ARG(parts[i]));
	}
	return 0;
}

static void
stream(struct client *c, bool wants, const char *doc)
{
	struct sse p;

	sse_init(&p, 4096);
	memset(c, 0, sizeof(*c));
	oai_stream_init(&c->s, 4096);
	oai_stream_begin(&c->s, wants);
	ck_assert_int_eq(sse_feed(&p, doc, strlen(doc), take, c), 0);
	ck_assert_int_eq(sse_finish(&p, take, c), 0);
	sse_release(&p);
	oai_stream_release(&c->s);
}

#define CHUNK(content, rest)                                        \
	"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{" \
	"\"role\":\"assistant\",\"content\":\"" content "\"},"      \
	"\"finish_reason\":null}]" rest "}\n\n"
#define FINISH(rest)                                                  \
	"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{}," \
	"\"finish_reason\":\"stop\"}]" rest "}\n\n"
#define USAGE                                                              \
	"data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":" \
	"12,\"completion_tokens\":100,\"total_tokens\":112}}\n\n"
#define DONE "data: [DONE]\n\n"

START_TEST(test_stream_usage_hidden)
{
	struct client c;

	stream(&c, false,
	    CHUNK("hello", ",\"usage\":null") FINISH(",\"usage\":null")
		USAGE DONE);
	ck_assert_str_eq(c.seen, CHUNK("hello", "") FINISH("") DONE);
	ck_assert(c.s.done && c.s.finished && c.s.sum.usage.known);
	ck_assert_int_eq(c.s.sum.usage.usage.tokens.n[TC_OUTPUT], 100);
	ck_assert_int_eq(c.s.sum.text_bytes, 5);
	ck_assert_str_eq(c.s.sum.finish, "stop");
}
END_TEST

START_TEST(test_stream_usage_shown)
{
	struct client c;

	stream(&c, true,
	    CHUNK("hello", ",\"usage\":null") FINISH(",\"usage\":null")
		USAGE DONE);
	ck_assert_str_eq(c.seen, CHUNK("hello", ",\"usage\":null")
				     FINISH(",\"usage\":null") USAGE DONE);
}
END_TEST

START_TEST(test_stream_usage_places)
{
	struct client c;

	/* first, in the middle, with spaces */
	stream(&c, false,
	    "data: {\"usage\":null,\"id\":\"c\",\"choices\":[{\"delta\":{}}]}"
	    "\n\ndata: { \"usage\" : null , \"choices\":[{\"delta\":{}}] }\n\n"
	    "data: {\"id\":1 , \"usage\" : null, \"choices\":[{}]}\n\n"
	    "data: {\"choices\":[{}],\"x\":{\"usage\":null}}\n\n");
	ck_assert_str_eq(c.seen,
	    "data: {\"id\":\"c\",\"choices\":[{\"delta\":{}}]}\n\n"
	    "data: { \"choices\":[{\"delta\":{}}] }\n\n"
	    "data: {\"id\":1 , \"choices\":[{}]}\n\n"
	    "data: {\"choices\":[{}],\"x\":{\"usage\":null}}\n\n");
	/* over several data lines */
	stream(
	    &c, false, "data: {\"choices\":[{}],\ndata: \"usage\":null}\n\n");
	ck_assert_str_eq(c.seen, "data: {\"choices\":[{}]}\n\n");
}
END_TEST

START_TEST(test_stream_running_usage)
{
	struct client c;

	/* cumulative usage on each chunk: the last one wins, null does not
	 * erase; chunks with choices are kept without it */
	stream(&c, false,
	    CHUNK("a", ",\"usage\":{\"prompt_tokens\":5,"
		       "\"completion_tokens\":1}") CHUNK("b",
		",\"usage\":{\"prompt_tokens\":5,"
		"\"completion_tokens\":2}") CHUNK("c", ",\"usage\":null") DONE);
	ck_assert_str_eq(
	    c.seen, CHUNK("a", "") CHUNK("b", "") CHUNK("c", "") DONE);
	ck_assert_int_eq(c.s.sum.usage.usage.tokens.n[TC_OUTPUT], 2);
}
END_TEST

/* Chunks that repeat are not read again: each must give what it gives when it
 * comes alone, whatever came before it. */
static const char *const repeating[] = {CHUNK("a", ",\"usage\":null"),
    CHUNK("b \\\"c\\u00e9", ",\"usage\":null"), CHUNK("", ",\"usage\":null"),
    CHUNK("d", ",\"usage\":null,\"obfuscation\":\"xyz\""),
    CHUNK("ee", ",\"usage\":null,\"obfuscation\":\"\""),
    CHUNK("e\xff", ",\"usage\":null"), CHUNK("e\n", ",\"usage\":null"),
    CHUNK("f\",\"tool_calls\":\"x", ",\"usage\":null"),
    CHUNK("g", ",\"usage\":null "), CHUNK("g", ",\"service_tier\":\"flex\""),
    CHUNK("h", ",\"service_tier\":\"flex\""), CHUNK("i", ""), CHUNK("jj", ""),
    "data: {\"obfuscation\":\"q\",\"choices\":[{\"delta\":{\"content\":"
    "\"k\"}}],\"usage\":null}\n\n",
    "data: {\"obfuscation\":\"\",\"choices\":[{\"delta\":{\"content\":"
    "\"kk\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"l\"}},{\"delta\":{"
    "\"content\":\"m\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"l\",\"x\":\"y\"}}]}"
    "\n\n",
    FINISH(",\"usage\":null")};

#define N_REPEATING (sizeof(repeating) / sizeof(repeating[0]))

START_TEST(test_stream_repeating)
{
	static struct client c, alone;
	char doc[4096], seen[3 * 8192];
	size_t i, j, k, at[3];
	int64_t bytes;

	for (i = 0; i < N_REPEATING * N_REPEATING * N_REPEATING * 2; i++) {
		at[0] = i / 2 % N_REPEATING;
		at[1] = i / 2 / N_REPEATING % N_REPEATING;
		at[2] = i / 2 / N_REPEATING / N_REPEATING;
		doc[0] = seen[0] = '\0';
		bytes = 0;
		for (j = 0; j < 3; j++) {
			stream(&alone, i % 2 != 0, repeating[at[j]]);
			bytes += alone.s.sum.text_bytes;
			k = strlen(seen);
			(void)snprintf(
			    seen + k, sizeof(seen) - k, "%s", alone.seen);
			k = strlen(doc);
			(void)snprintf(
			    doc + k, sizeof(doc) - k, "%s", repeating[at[j]]);
		}
		stream(&c, i % 2 != 0, doc);
		ck_assert_str_eq(c.seen, seen);
		ck_assert_int_eq(c.s.sum.text_bytes, bytes);
		ck_assert(!alone.s.bad_json || c.s.bad_json);
		if (alone.s.sum.usage.usage.tier[0] != '\0')
			ck_assert_str_eq(c.s.sum.usage.usage.tier, "flex");
	}
}
END_TEST

START_TEST(test_stream_odd)
{
	struct client c;

	stream(&c, false,
	    ": OPENROUTER PROCESSING\n\n"
	    "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n"
	    "data: not json\n\n" DONE "data: {\"late\":1}\n\n");
	ck_assert_str_eq(c.seen,
	    ": OPENROUTER PROCESSING\n\n"
	    "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n"
	    "data: not json\n\n" DONE);
	ck_assert(c.s.bad_json && !c.s.sum.usage.known && !c.s.finished);
	stream(&c, false, "data: {\"error\":{\"message\":\"x\"}}\n\n");
	ck_assert(c.s.error && !c.s.done);
	ck_assert_str_eq(c.seen, "data: {\"error\":{\"message\":\"x\"}}\n\n");
}
END_TEST

START_TEST(test_errors)
{
	struct buf b;
	struct error e;
	char code[16];

	buf_init(&b, 4096);
	oai_error_body(&b, ERR_BUDGET_EXHAUSTED, STR("no \"money\"\n"), NULL,
	    NULL, ",\"headgate\":{\"budget\":\"acme.m\"}");
	ck_assert_slice_eq(buf_str(&b),
	    "{\"error\":{\"message\":\"no \\\"money\\\"\\n\","
	    "\"type\":\"insufficient_quota\",\"param\":null,"
	    "\"code\":\"budget_exhausted\","
	    "\"headgate\":{\"budget\":\"acme.m\"}}}");
	ck_assert_int_eq(
	    json_validate(buf_str(&b), &json_default_limits, &e), 0);
	ck_assert(oai_is_error(buf_str(&b), &json_default_limits));
	oai_error_code(buf_str(&b), code, sizeof(code));
	ck_assert_str_eq(code, ""); /* does not fit */
	buf_clear(&b);
	oai_error_body(&b, ERR_RATE_LIMITED, STR("m"), NULL, "model", NULL);
	oai_error_code(buf_str(&b), code, sizeof(code));
	ck_assert_str_eq(code, "rate_limited");
	ck_assert(
	    !oai_is_error(STR("{\"error\":\"x\"}"), &json_default_limits));
	ck_assert(!oai_is_error(STR("<html>"), &json_default_limits));
	buf_release(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/openai_answer");

	UNIT_ADD(s, test_usage_classes);
	UNIT_ADD(s, test_usage_odd);
	UNIT_ADD(s, test_usage_hostile);
	UNIT_ADD(s, test_plain);
	UNIT_ADD(s, test_stream_usage_hidden);
	UNIT_ADD(s, test_stream_usage_shown);
	UNIT_ADD(s, test_stream_usage_places);
	UNIT_ADD(s, test_stream_running_usage);
	UNIT_ADD(s, test_stream_repeating);
	UNIT_ADD(s, test_stream_odd);
	UNIT_ADD(s, test_errors);
	return unit_run(s);
}
