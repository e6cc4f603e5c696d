/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of Gemini's embeddings: names of models in them. Text of generations:
 * all of it but the images.
 */
#include "agent/dialect/codec.h"
#include "agent/dialect/scan.h"
#include "tests/unit/support/unit.h"

static void
becomes(const char *body, const char *name, const char *want)
{
	struct buf out;

	buf_init(&out, 4096);
	ck_assert_int_eq(
	    scan_embed_rename(str_of(body), str_of(name), &out), 0);
	ck_assert_slice_eq(buf_str(&out), want);
	ck_assert_int_eq(
	    json_validate(buf_str(&out), &json_default_limits, NULL), 0);
	buf_release(&out);
}

START_TEST(test_embed_rename)
{
	becomes("{\"requests\":[{\"model\":\"models/a\",\"content\":{}}, "
		"{\"content\":{\"model\":\"x\"}},3,{\"m\\u006fdel\" : null}] }",
	    "up",
	    "{\"requests\":[{\"model\":\"models/up\",\"content\":{}}, "
	    "{\"content\":{\"model\":\"x\"}},3,"
	    "{\"m\\u006fdel\" : \"models/up\"}] }");
	becomes("{\"model\":\"a\",\"content\":{\"parts\":[]}}", "models/up\"",
	    "{\"model\":\"models/up\\\"\",\"content\":{\"parts\":[]}}");
	becomes("{\"requests\":[{\"model\":1}],\"model\":{}}", "u",
	    "{\"requests\":[{\"model\":\"models/u\"}],"
	    "\"model\":\"models/u\"}");
	becomes("{\"content\":{}}", "u", "{\"content\":{}}");
}
END_TEST

START_TEST(test_embed_rename_limit)
{
	struct buf out;

	buf_init(&out, 20);
	ck_assert_int_eq(
	    scan_embed_rename(STR("{\"model\":\"a\"}"), STR("abcdefgh"), &out),
	    ERR_TOO_LARGE);
	buf_release(&out);
}
END_TEST

/* However an image is spelled, the text beside it is counted. */
START_TEST(test_image_bytes)
{
	static const char *const data[] = {
	    "////", "\\/\\/\\/\\/", "\\u002f\\u002f\\u002f\\u002f"};
	struct ir_request r;
	struct scan scan;
	struct arena a;
	struct error e;
	int64_t first = 0;
	char body[512];

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(body, sizeof(body),
		    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":"
		    "\"user\",\"content\":[{\"type\":\"image\",\"source\":{"
		    "\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"
		    "\"%s\"}},{\"type\":\"text\",\"text\":\"0123456789\"}]}]}",
		    data[i]);
		arena_init(&a, 4096, 1 << 20);
		ir_request_init(&r, &a);
		ck_assert_int_eq(codec_anthropic_client.read(
				     str_of(body), STR(""), false, &r, &e),
		    0);
		scan_generation(OP_MESSAGES, str_of(body), &r, &scan);
		ck_assert_int_eq(scan.n_media, 1);
		if (i == 0)
			first = scan.text_bytes;
		ck_assert_int_eq(scan.text_bytes, first);
		arena_release(&a);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/scan");

	UNIT_ADD(s, test_embed_rename);
	UNIT_ADD(s, test_embed_rename_limit);
	UNIT_ADD(s, test_image_bytes);
	return unit_run(s);
}
