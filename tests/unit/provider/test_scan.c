/* SPDX-License-Identifier: Apache-2.0 */
/* Reading request bodies: members, caps, the token counting rule, knobs. */
#include "tests/provider/scan.h"
#include "tests/unit/support/unit.h"

static struct scan
scanned(const char *text)
{
	struct scan s;

	ck_assert_msg(scan_body(str_of(text), &s), "%s", text);
	return s;
}

START_TEST(test_members)
{
	struct scan s =
	    scanned("{\"model\":\"m\",\"stream\":true,\"stream_options\":"
		    "{\"include_usage\":true},\"max_tokens\":9,"
		    "\"max_completion_tokens\":7,\"n\":2,\"messages\":[]}");

	ck_assert(str_eqz(s.model, "m"));
	ck_assert(s.stream && s.include_usage && s.has_messages);
	ck_assert_int_eq(s.max_tokens, 7);
	ck_assert_int_eq(s.n, 2);
	ck_assert_int_eq(s.prompt_tokens, 3);
}
END_TEST

START_TEST(test_tokens)
{
	/* 3 + 4 + ceil(5/4); role is not text */
	ck_assert_int_eq(scanned("{\"messages\":[{\"role\":\"user\","
				 "\"content\":\"hello\"}]}")
			     .prompt_tokens,
	    9);
	/* escapes count as the bytes they mean: 1 + 2 + 3 + 4 */
	ck_assert_int_eq(scanned("{\"messages\":[{\"content\":"
				 "\"\\n\\u00e9\\u20ac\\ud83d\\ude00\"}]}")
			     .prompt_tokens,
	    10);
	ck_assert_int_eq(
	    scanned("{\"messages\":[{\"content\":[{\"type\":\"text\","
		    "\"text\":\"abcd\"}]}]}")
		.prompt_tokens,
	    8);
}
END_TEST

START_TEST(test_inputs)
{
	struct scan s = scanned("{\"input\":[\"abcd\",\"abcde\"]}");

	ck_assert_int_eq(s.n_inputs, 2);
	ck_assert_int_eq(s.prompt_tokens, 3 + 1 + 2);
	s = scanned("{\"input\":[1,2,3]}");
	ck_assert_int_eq(s.n_inputs, 1);
	ck_assert_int_eq(s.prompt_tokens, 3 + 3);
	s = scanned("{\"input\":[[1,2],[3]]}");
	ck_assert_int_eq(s.n_inputs, 2);
	ck_assert_int_eq(s.prompt_tokens, 3 + 3);
}
END_TEST

START_TEST(test_knobs)
{
	struct scan s =
	    scanned("{\"x_sim\":{\"ttft_ms\":5,\"fault\":\"cut=3\",\"framing\":"
		    "\"crlf\"}}");

	ck_assert_ptr_null(s.bad);
	ck_assert_int_eq(s.knobs.ttft_ms, 5);
	ck_assert_int_eq(s.knobs.fault, FAULT_CUT);
	ck_assert_int_eq(s.knobs.after, 3);
	ck_assert_int_eq(s.knobs.framing, FRAMING_CRLF);
	ck_assert_int_eq(s.knobs.gap_ms, -1);
	ck_assert_ptr_nonnull(scanned("{\"x_sim\":{\"nope\":1}}").bad);
	ck_assert_ptr_nonnull(scanned("{\"x_sim\":{\"fault\":\"?\"}}").bad);
}
END_TEST

START_TEST(test_malformed)
{
	static const char *const bad[] = {"", "[]", "{", "{\"a\"}", "{\"a\":}",
	    "{\"a\":1,}", "{\"a\":1}x", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}",
	    "{\"a\":[1,]}", "{\"a\":\"", "{\"messages\":[", "{\"model\":"};
	struct scan s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!scan_body(str_of(bad[i]), &s), "%s", bad[i]);
}
END_TEST

/* No prefix of a document may be read past its end. */
START_TEST(test_prefixes)
{
	static const char text[] =
	    "{\"model\":\"m\",\"messages\":[{\"content\":\"\\u00e9\"}],"
	    "\"tools\":[{\"function\":{\"name\":\"f\"}}],\"input\":[[1]],"
	    "\"x_sim\":{\"fault\":\"cut=3\"},\"stream_options\":{}}";
	struct scan s;

	for (size_t n = 0; n < sizeof(text); n++) {
		char *copy = malloc(n > 0 ? n : 1);

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, text, n);
		ck_assert(scan_body(str_make(copy, n), &s) ==
			  (n == sizeof(text) - 1));
		free(copy);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("provider/scan");

	UNIT_ADD(s, test_members);
	UNIT_ADD(s, test_tokens);
	UNIT_ADD(s, test_inputs);
	UNIT_ADD(s, test_knobs);
	UNIT_ADD(s, test_malformed);
	UNIT_ADD(s, test_prefixes);
	return unit_run(s);
}
