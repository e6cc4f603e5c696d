/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Embeddings between dialects: what goes to each provider, what is refused, and
 * that vectors come back whole, in order and to the last bit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/embed.h"
#include "tests/unit/support/unit.h"

static struct carry_lost lost;
static struct error e;
static struct buf out;

static void
setup(void)
{
	buf_init(&out, 1 << 20);
	memset(&lost, 0, sizeof(lost));
	memset(&e, 0, sizeof(e));
}

static void
teardown(void)
{
	buf_release(&out);
}

static int
translate(enum op op, bool batch, const char *body, enum provider_dialect to,
    const char *model, bool lenient)
{
	struct embed_opts o = {.to = to,
	    .model = str_of(model),
	    .lenient = lenient,
	    .lost = &lost};
	struct embed q;
	int rc;

	ck_assert_int_eq(json_validate(str_of(body), NULL, NULL), 0);
	buf_clear(&out);
	memset(&e, 0, sizeof(e));
	rc = embed_read(op, batch, str_of(body), &q, &e);
	return rc != 0 ? rc : embed_write(&q, &o, &out, &e);
}

static void
goes(enum provider_dialect to, const char *model, const char *body,
    const char *want)
{
	ck_assert_msg(
	    translate(OP_EMBEDDINGS, false, body, to, model, false) == 0, "%s",
	    e.text);
	ck_assert_str_eq(buf_cstr(&out), want);
	ck_assert_int_eq(json_validate(buf_str(&out), NULL, NULL), 0);
}

#define TWO "{\"model\":\"x\",\"input\":[\"a\\\"\\u00e9\",\"b\"],"

START_TEST(test_requests)
{
	goes(PROVIDER_GEMINI, "models/g", TWO "\"dimensions\":8}",
	    "{\"requests\":[{\"model\":\"models/g\",\"content\":{\"parts\":[{"
	    "\"text\":\"a\\\"\\u00e9\"}]},\"outputDimensionality\":8},{"
	    "\"model\":\"models/g\",\"content\":{\"parts\":[{\"text\":\"b\"}]},"
	    "\"outputDimensionality\":8}]}");
	goes(PROVIDER_VERTEX, "g", TWO "\"input_type\":\"search_query\"}",
	    "{\"instances\":[{\"content\":\"a\\\"\\u00e9\",\"task_type\":"
	    "\"RETRIEVAL_QUERY\"},{\"content\":\"b\",\"task_type\":"
	    "\"RETRIEVAL_QUERY\"}]}");
	goes(PROVIDER_COHERE, "c", TWO "\"dimensions\":256}",
	    "{\"model\":\"c\",\"texts\":[\"a\\\"\\u00e9\",\"b\"],"
	    "\"input_type\":\"search_document\",\"embedding_types\":[\"float\"]"
	    ",\"output_dimension\":256}");
	goes(PROVIDER_OLLAMA, "o", "{\"input\":\"a\"}",
	    "{\"model\":\"o\",\"input\":[\"a\"]}");
	goes(PROVIDER_MISTRAL, "m", TWO "\"dimensions\":8}",
	    "{\"model\":\"m\",\"input\":[\"a\\\"\\u00e9\",\"b\"],"
	    "\"output_dimension\":8}");
	goes(PROVIDER_BEDROCK, "amazon.titan-embed-text-v2:0",
	    "{\"input\":\"a\",\"dimensions\":256}",
	    "{\"inputText\":\"a\",\"dimensions\":256}");
	goes(PROVIDER_BEDROCK, "eu.cohere.embed-v4:0",
	    "{\"input\":\"a\",\"encoding_format\":\"base64\"}",
	    "{\"texts\":[\"a\"],\"input_type\":\"search_document\","
	    "\"embedding_types\":[\"float\"]}");
}
END_TEST

START_TEST(test_gemini_requests)
{
	ck_assert_int_eq(
	    translate(OP_GEMINI_EMBED, true,
		"{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"},{"
		"\"text\":\"b\"}]},\"outputDimensionality\":8},{\"content\":{"
		"\"parts\":[]},\"output_dimensionality\":8}]}",
		PROVIDER_OPENAI, "m", false),
	    0);
	ck_assert_str_eq(buf_cstr(&out),
	    "{\"model\":\"m\",\"input\":[\"ab\",\"\"],\"encoding_format\":"
	    "\"float\",\"dimensions\":8}");
	ck_assert_int_eq(translate(OP_GEMINI_EMBED, false,
			     "{\"content\":{\"parts\":[{\"text\":\"a\"}]},"
			     "\"embedContentConfig\":{\"taskType\":"
			     "\"RETRIEVAL_QUERY\"}}",
			     PROVIDER_COHERE, "m", false),
	    0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&out), "\"search_query\""));
}
END_TEST

static void
refused(enum op op, bool batch, const char *body, enum provider_dialect to,
    const char *field)
{
	ck_assert_int_eq(
	    translate(op, batch, body, to, "m", false), ERR_INVALID);
	ck_assert_str_eq(e.field, field);
	ck_assert(e.text[0] != '\0');
}

START_TEST(test_refused)
{
	refused(OP_EMBEDDINGS, false, "{\"input\":[1,2]}", PROVIDER_COHERE,
	    "input[0]");
	refused(OP_EMBEDDINGS, false, "{\"input\":[\"a\",[1]]}",
	    PROVIDER_GEMINI, "input[1]");
	refused(
	    OP_EMBEDDINGS, false, "{\"input\":{}}", PROVIDER_GEMINI, "input");
	refused(OP_EMBEDDINGS, false, "{}", PROVIDER_GEMINI, "input");
	refused(OP_EMBEDDINGS, false,
	    "{\"input\":\"a\",\"encoding_format\":\"int8\"}", PROVIDER_GEMINI,
	    "encoding_format");
	refused(OP_EMBEDDINGS, false, "{\"input\":\"a\",\"dimensions\":1.5}",
	    PROVIDER_GEMINI, "dimensions");
	refused(OP_EMBEDDINGS, false, "{\"input\":\"a\",\"late\":1}",
	    PROVIDER_GEMINI, "late");
	refused(OP_EMBEDDINGS, false,
	    "{\"input\":\"a\",\"input_type\":\"clustering\"}", PROVIDER_OLLAMA,
	    "input_type");
	refused(OP_EMBEDDINGS, false, "{\"input\":\"a\"}", PROVIDER_BEDROCK,
	    "model");
	refused(OP_GEMINI_EMBED, true,
	    "{\"requests\":[{\"content\":{\"parts\":[]},\"title\":\"t\"}]}",
	    PROVIDER_OPENAI, "requests[0].title");
	refused(OP_GEMINI_EMBED, true,
	    "{\"requests\":[{\"content\":{\"parts\":[]}},{\"content\":{"
	    "\"parts\":[]},\"taskType\":\"CLUSTERING\"}]}",
	    PROVIDER_OPENAI, "requests[1]");
	refused(OP_GEMINI_EMBED, true, "{\"requests\":[{\"content\":1}]}",
	    PROVIDER_OPENAI, "requests[0].content.parts");
	refused(OP_GEMINI_EMBED, false,
	    "{\"content\":{\"parts\":[{\"text\":\"a\"},{\"fileData\":{}}]}}",
	    PROVIDER_OPENAI, "content.parts[1]");
	refused(OP_GEMINI_EMBED, false,
	    "{\"content\":{\"parts\":[]},\"embedContentConfig\":{"
	    "\"autoTruncate\":true}}",
	    PROVIDER_OPENAI, "embedContentConfig.autoTruncate");
}
END_TEST

START_TEST(test_lenient)
{
	ck_assert_int_eq(
	    translate(OP_EMBEDDINGS, false,
		"{\"input\":\"a\",\"late\":1,\"input_type\":\"clustering\","
		"\"user\":\"u\"}",
		PROVIDER_OLLAMA, "m", true),
	    0);
	ck_assert_str_eq(buf_cstr(&out), "{\"model\":\"m\",\"input\":[\"a\"]}");
	ck_assert_str_eq(lost.text, "user, late, input_type");
}
END_TEST

static int
reply(enum provider_dialect from, int64_t n, bool base64, const char *body,
    struct usage_state *u)
{
	struct embed_reply q = {
	    .from = from, .op = OP_EMBEDDINGS, .n = n, .base64 = base64};

	buf_clear(&out);
	memset(u, 0, sizeof(*u));
	return embed_answer(&q, STR("mine"), str_of(body), NULL, u, &out);
}

START_TEST(test_answers)
{
	static const struct {
		enum provider_dialect from;
		const char *body;
		int64_t told; /* -1 = nothing */
	} rows[] = {
	    {PROVIDER_GEMINI, "{\"embeddings\":[{\"values\":[1,0.50]}]}", -1},
	    {PROVIDER_GEMINI,
		"{\"embedding\":{\"values\":[1,0.50]},\"usageMetadata\":{"
		"\"promptTokenCount\":9}}",
		9},
	    {PROVIDER_VERTEX,
		"{\"predictions\":[{\"embeddings\":{\"statistics\":{"
		"\"token_count\":4.0},\"values\":[1, 0.50]}}]}",
		4},
	    {PROVIDER_COHERE,
		"{\"embeddings\":{\"float\":[[1,0.50]]},\"meta\":{"
		"\"billed_units\":{\"input_tokens\":3}}}",
		3},
	    {PROVIDER_BEDROCK, "{\"embeddings\":[[1,0.50]]}", -1},
	    {PROVIDER_BEDROCK,
		"{\"embedding\":[1,0.50],\"inputTextTokenCount\":5}", 5},
	    {PROVIDER_OLLAMA,
		"{\"embeddings\":[[1,0.50]],\"prompt_eval_count\":0}", 0},
	    {PROVIDER_MISTRAL,
		"{\"data\":[{\"index\":0,\"embedding\":[1,0.50]}],\"usage\":{"
		"\"prompt_tokens\":7,\"total_tokens\":7}}",
		7},
	};
	struct usage_state u;
	char want[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ck_assert_int_eq(
		    reply(rows[i].from, 1, false, rows[i].body, &u), 0);
		ck_assert_int_eq(u.known && u.final, rows[i].told >= 0);
		(void)snprintf(want, sizeof(want),
		    "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\","
		    "\"index\":0,\"embedding\":[1,0.50]}],\"model\":\"mine\","
		    "\"usage\":{\"prompt_tokens\":%d,\"total_tokens\":%d}}",
		    (int)(rows[i].told > 0 ? rows[i].told : 0),
		    (int)(rows[i].told > 0 ? rows[i].told : 0));
		ck_assert_str_eq(buf_cstr(&out), want);
	}
}
END_TEST

START_TEST(test_no_answers)
{
	static const char *const bodies[] = {"{}", "[]", "nonsense", "",
	    "{\"embeddings\":[]}", "{\"embeddings\":[[1],[2]]}",
	    "{\"embeddings\":[1]}", "{\"embeddings\":[[\"1\"]]}",
	    "{\"embeddings\":[null]}", "{\"embeddings\":{\"float\":[[1]]}}",
	    "{\"error\":\"no\"}"};
	struct usage_state u;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
		ck_assert_int_ne(
		    reply(PROVIDER_OLLAMA, 1, false, bodies[i], &u), 0);
	ck_assert_int_ne(reply(PROVIDER_OPENAI, 2, false,
			     "{\"data\":[{\"index\":1,\"embedding\":[1]},{"
			     "\"index\":0,\"embedding\":[2]}]}",
			     &u),
	    0);
	ck_assert_int_ne(
	    reply(PROVIDER_OLLAMA, 1, true, "{\"embeddings\":[[1e39]]}", &u),
	    0);
}
END_TEST

static unsigned
digit(char c)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c != '\0' ? strchr(set, c) : NULL;

	return p != NULL ? (unsigned)(p - set) : 0;
}

/* base64 -> floats, by code of its own. */
static size_t
unpack(const char *s, float *dst, size_t cap)
{
	unsigned char bytes[256];
	size_t n = 0, i;
	unsigned v;

	for (i = 0; s[i] != '"'; i += 4) {
		v = digit(s[i]) << 18 | digit(s[i + 1]) << 12 |
		    digit(s[i + 2]) << 6 | digit(s[i + 3]);
		ck_assert_uint_lt(n, sizeof(bytes) - 3);
		bytes[n++] = (unsigned char)(v >> 16);
		if (s[i + 2] != '=')
			bytes[n++] = (unsigned char)(v >> 8);
		if (s[i + 3] != '=')
			bytes[n++] = (unsigned char)v;
	}
	ck_assert_uint_eq(n % 4, 0);
	ck_assert_uint_le(n / 4, cap);
	memcpy(dst, bytes, n);
	return n / 4;
}

/* Halves between two floats, the smallest and the largest, long texts: what is
 * read through a double is off by one bit here and there. */
START_TEST(test_packed)
{
	static const char *const texts[] = {"0", "-0", "1", "-0.1", "16777217",
	    "16777219", "1.00000017881393432617187499",
	    "1.00000017881393432617187501", "1.4e-45", "7e-46",
	    "3.4028234663852886e38", "1e-10", "123456789012345678901234567890",
	    "0.333333333333333333333333333333333333333"};
	struct usage_state u;
	char body[1024] = "{\"embeddings\":[[";
	float got[32];
	const char *p;
	size_t i, n = sizeof(texts) / sizeof(*texts);

	for (i = 1; i <= n; i++) {
		(void)snprintf(body + strlen(body), sizeof(body) - strlen(body),
		    "%s%s", i > 1 ? "," : "", texts[i - 1]);
		p = body;
		(void)snprintf(
		    body + strlen(body), sizeof(body) - strlen(body), "]]}");
		ck_assert_int_eq(reply(PROVIDER_OLLAMA, 1, true, p, &u), 0);
		body[strlen(body) - 3] = '\0';
		p = strstr(buf_cstr(&out), "\"embedding\":\"");
		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq(unpack(p + 13, got, 32), i);
		for (size_t k = 0; k < i; k++) {
			float want = strtof(texts[k], NULL);

			ck_assert_mem_eq(&got[k], &want, sizeof(want));
		}
	}
	ck_assert_int_eq(
	    reply(PROVIDER_OLLAMA, 1, true, "{\"embeddings\":[[1]]}", &u), 0);
	ck_assert_ptr_nonnull(strstr(buf_cstr(&out), ":\"AACAPw==\"}"));
}
END_TEST

static int64_t
estimate(void *ctx)
{
	(*(int *)ctx)++;
	return 42;
}

START_TEST(test_told_by_head)
{
	struct embed_reply q = {.from = PROVIDER_BEDROCK,
	    .op = OP_EMBEDDINGS,
	    .n = 1,
	    .told = 1 + 9};
	struct usage_state u = {0};

	ck_assert_int_eq(
	    embed_answer(&q, STR("m"),
		STR("{\"embeddings\":{\"float\":[[1]]}}"), NULL, &u, &out),
	    0);
	ck_assert(u.known && u.final);
	ck_assert_int_eq(u.usage.tokens.n[TC_INPUT], 9);
}
END_TEST

START_TEST(test_estimate)
{
	int calls = 0;
	struct embed_reply q = {.from = PROVIDER_GEMINI,
	    .op = OP_GEMINI_EMBED,
	    .n = 2,
	    .batch = true,
	    .estimate = estimate,
	    .ctx = &calls};
	struct usage_state u = {0};

	ck_assert_int_ne(embed_answer(&q, STR("m"), STR("{\"embeddings\":[]}"),
			     NULL, &u, &out),
	    0);
	ck_assert_int_eq(calls, 0);
	buf_clear(&out);
	ck_assert_int_eq(
	    embed_answer(&q, STR("m"),
		STR("{\"embeddings\":[{\"values\":[1]},{\"values\":[]}]}"),
		NULL, &u, &out),
	    0);
	ck_assert_int_eq(calls, 1);
	ck_assert_str_eq(buf_cstr(&out),
	    "{\"embeddings\":[{\"values\":[1]},{\"values\":[]}],"
	    "\"usageMetadata\":{\"promptTokenCount\":42,\"totalTokenCount\":42}"
	    "}");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/embed");
	TCase *tc = tcase_create("embed");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_requests);
	tcase_add_test(tc, test_gemini_requests);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_lenient);
	tcase_add_test(tc, test_answers);
	tcase_add_test(tc, test_no_answers);
	tcase_add_test(tc, test_packed);
	tcase_add_test(tc, test_told_by_head);
	tcase_add_test(tc, test_estimate);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
