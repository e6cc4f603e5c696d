/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading request bodies, and what of them is changed on the way upstream.
 */
#include <stdio.h>
#include <string.h>

#include "agent/dialect/openai.h"
#include "tests/unit/support/unit.h"

#define MSG "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"

static int
scan(enum op ep, const char *body, struct scan *r, struct error *e)
{
	memset(e, 0, sizeof(*e));
	return oai_request_scan(ep, str_of(body), &json_default_limits, r, e);
}

static void
bad(const char *body, int code, const char *param)
{
	struct scan r;
	struct error e;

	ck_assert_msg(scan(OP_CHAT, body, &r, &e) == code, "%s", body);
	ck_assert_msg(
	    strcmp(e.field, param) == 0, "%s: param \"%s\"", body, e.field);
	ck_assert(e.text[0] != '\0');
}

START_TEST(test_reads)
{
	struct scan r;
	struct error e;

	ck_assert_int_eq(
	    scan(OP_CHAT,
		"{\"model\":\"m\\u0031\",\"stream\":true,\"n\":3,"
		"\"stream_options\":{\"include_usage\":true},"
		"\"max_tokens\":5,\"max_completion_tokens\":9," MSG "}",
		&r, &e),
	    0);
	ck_assert_str_eq(r.model, "m1");
	ck_assert(r.stream && r.include_usage);
	ck_assert_int_eq(r.n, 3);
	ck_assert_int_eq(r.max_output, 9);
	ck_assert_int_eq(r.n_messages, 1);
	ck_assert_int_ge(r.text_bytes, 5);
	ck_assert_int_eq(
	    scan(OP_CHAT, "{\"model\":\"m\",\"stream\":null," MSG "}", &r, &e),
	    0);
	ck_assert(!r.stream);
	ck_assert_int_eq(r.max_output, -1);
	ck_assert_int_eq(r.n, 1);
}
END_TEST

START_TEST(test_media)
{
	struct scan r;
	struct error e;

	ck_assert_int_eq(
	    scan(OP_CHAT,
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
		"\"content\":[{\"type\":\"text\",\"text\":\"x\"},"
		"{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\"}}]}]}",
		&r, &e),
	    0);
	ck_assert_int_eq(r.n_media, 1);
}
END_TEST

START_TEST(test_embeddings)
{
	struct scan r;
	struct error e;

	ck_assert_int_eq(
	    scan(OP_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"hi\"}", &r, &e),
	    0);
	ck_assert_int_eq(
	    scan(OP_EMBEDDINGS, "{\"model\":\"m\",\"input\":[[1,2,3],[4]]}", &r,
		&e),
	    0);
	ck_assert_int_eq(r.n_messages, 2);
	ck_assert_int_ge(r.text_bytes, 16);
	ck_assert_int_eq(
	    scan(OP_EMBEDDINGS, "{\"model\":\"m\"}", &r, &e), ERR_INVALID);
	ck_assert_str_eq(e.field, "input");
	ck_assert_int_eq(
	    scan(OP_EMBEDDINGS, "{\"model\":\"m\",\"input\":7}", &r, &e),
	    ERR_INVALID);
	ck_assert_str_eq(e.field, "input");
}
END_TEST

START_TEST(test_bad)
{
	static char deep[2048];
	int i;

	bad("", ERR_INVALID, "");
	bad("[]", ERR_INVALID, "");
	bad("{\"model\":\"m\"," MSG, ERR_INVALID, "");
	bad("{\"model\":\"m\"," MSG "} x", ERR_INVALID, "");
	bad("{" MSG "}", ERR_INVALID, "model");
	bad("{\"model\":7," MSG "}", ERR_INVALID, "model");
	bad("{\"model\":\"a\",\"mod\\u0065l\":\"b\"," MSG "}", ERR_INVALID, "");
	bad("{\"model\":\"m\"}", ERR_INVALID, "messages");
	bad("{\"model\":\"m\",\"messages\":[]}", ERR_INVALID, "messages");
	bad("{\"model\":\"m\",\"messages\":[1]}", ERR_INVALID, "messages");
	bad("{\"model\":\"m\",\"stream\":\"yes\"," MSG "}", ERR_INVALID,
	    "stream");
	bad("{\"model\":\"m\",\"stream_options\":[]," MSG "}", ERR_INVALID,
	    "stream_options");
	bad("{\"model\":\"m\",\"stream_options\":{\"include_usage\":1}," MSG
	    "}",
	    ERR_INVALID, "stream_options.include_usage");
	bad("{\"model\":\"m\",\"n\":0," MSG "}", ERR_INVALID, "n");
	bad("{\"model\":\"m\",\"n\":129," MSG "}", ERR_INVALID, "n");
	bad("{\"model\":\"m\",\"n\":1.5," MSG "}", ERR_INVALID, "n");
	bad("{\"model\":\"m\",\"max_tokens\":-1," MSG "}", ERR_INVALID,
	    "max_tokens");
	bad("{\"model\":\"m\",\"max_completion_tokens\":"
	    "99999999999999999999," MSG "}",
	    ERR_INVALID, "max_completion_tokens");
	memset(deep, '[', 1000);
	for (i = 0; i < 1000; i++)
		deep[1000 + i] = ']';
	bad(deep, ERR_TOO_LARGE, "");
}
END_TEST

static void
rewritten(const char *body, bool force, const char *want)
{
	struct scan r;
	struct str parts[OAI_MAX_PARTS];
	struct error e;
	char got[1024];
	unsigned i, n;
	size_t len = 0;

	ck_assert_msg(scan(OP_CHAT, body, &r, &e) == 0, "%s: %s", body, e.text);
	n = oai_request_rewrite(&r, str_of(body), STR("\"up\""), force, parts);
	ck_assert_uint_le(n, OAI_MAX_PARTS);
	for (i = 0; i < n; i++) {
		ck_assert_uint_gt(parts[i].len, 0);
		ck_assert_uint_lt(len + parts[i].len, sizeof(got));
		memcpy(got + len, parts[i].p, parts[i].len);
		len += parts[i].len;
	}
	got[len] = '\0';
	ck_assert_str_eq(got, want);
	ck_assert_int_eq(
	    json_validate(str_make(got, len), &json_default_limits, &e), 0);
}

START_TEST(test_rewrite)
{
	rewritten(
	    "{\"model\":\"m\"," MSG "}", true, "{\"model\":\"up\"," MSG "}");
	rewritten(" {" MSG " , \"model\" : \"m\" } ", true,
	    " {" MSG " , \"model\" : \"up\" } ");
	rewritten("{\"model\":\"m\",\"stream\":true," MSG "}", true,
	    "{\"model\":\"up\",\"stream\":true," MSG
	    ",\"stream_options\":{\"include_usage\":true}}");
	rewritten("{\"model\":\"m\",\"stream\":true," MSG "}", false,
	    "{\"model\":\"up\",\"stream\":true," MSG "}");
	rewritten(
	    "{\"stream\":true,\"stream_options\":null,\"model\":\"m\"," MSG "}",
	    true,
	    "{\"stream\":true,\"stream_options\":{\"include_usage\":true},"
	    "\"model\":\"up\"," MSG "}");
	rewritten("{\"stream\":true,\"stream_options\":{ },\"model\":\"m\"," MSG
		  "}",
	    true,
	    "{\"stream\":true,\"stream_options\":{\"include_usage\":true },"
	    "\"model\":\"up\"," MSG "}");
	rewritten("{\"model\":\"m\",\"stream\":true,\"stream_options\":"
		  "{\"include_obfuscation\":false}," MSG "}",
	    true,
	    "{\"model\":\"up\",\"stream\":true,\"stream_options\":"
	    "{\"include_usage\":true,\"include_obfuscation\":false}," MSG "}");
	rewritten("{\"model\":\"m\",\"stream\":true,\"stream_options\":"
		  "{\"a\":1,\"include_usage\":false}," MSG "}",
	    true,
	    "{\"model\":\"up\",\"stream\":true,\"stream_options\":"
	    "{\"a\":1,\"include_usage\":true}," MSG "}");
	rewritten("{\"model\":\"m\",\"stream\":true,\"stream_options\":"
		  "{\"include_usage\":true}," MSG "}",
	    true,
	    "{\"model\":\"up\",\"stream\":true,\"stream_options\":"
	    "{\"include_usage\":true}," MSG "}");
}
END_TEST

START_TEST(test_unknown_fields_stay)
{
	rewritten("{\"x\":{\"model\":\"no\",\"stream_options\":1},"
		  "\"model\":\"m\",\"tools\":[{\"type\":\"custom\"}]," MSG "}",
	    true,
	    "{\"x\":{\"model\":\"no\",\"stream_options\":1},"
	    "\"model\":\"up\",\"tools\":[{\"type\":\"custom\"}]," MSG "}");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/openai_request");

	UNIT_ADD(s, test_reads);
	UNIT_ADD(s, test_media);
	UNIT_ADD(s, test_embeddings);
	UNIT_ADD(s, test_bad);
	UNIT_ADD(s, test_rewrite);
	UNIT_ADD(s, test_unknown_fields_stay);
	return unit_run(s);
}
