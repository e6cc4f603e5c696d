/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of Gemini's embeddings: names of models in them.
 */
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

int
main(void)
{
	Suite *s = suite_create("agent/scan");

	UNIT_ADD(s, test_embed_rename);
	UNIT_ADD(s, test_embed_rename_limit);
	return unit_run(s);
}
