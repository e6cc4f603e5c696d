/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/buf: limits, sticky errors, JSON escaping, memory running out.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/rng.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

START_TEST(test_append)
{
	struct buf b;

	buf_init(&b, 1000);
	ck_assert_str_eq(buf_cstr(&b), "");
	ck_assert_uint_eq(buf_str(&b).len, 0);
	ck_assert_int_eq(buf_addz(&b, "ab"), 0);
	ck_assert_int_eq(buf_addc(&b, 'c'), 0);
	ck_assert_int_eq(buf_add_str(&b, STR("de")), 0);
	ck_assert_int_eq(buf_add_str(&b, STR_NULL), 0);
	ck_assert_int_eq(buf_add(&b, NULL, 0), 0);
	ck_assert_int_eq(buf_addf(&b, "%d-%s", 7, "x"), 0);
	ck_assert_int_eq(buf_add_i64(&b, -12), 0);
	ck_assert_str_eq(buf_cstr(&b), "abcde7-x-12");
	buf_consume(&b, 5);
	ck_assert_str_eq(buf_cstr(&b), "7-x-12");
	buf_consume(&b, 0);
	buf_consume(&b, 6);
	ck_assert_str_eq(buf_cstr(&b), "");
	buf_clear(&b);
	ck_assert_int_eq(buf_addf(&b, "%0*d", 500, 1), 0);
	ck_assert_uint_eq(b.len, 500);
	buf_release(&b);
	ck_assert_int_eq(buf_addz(&b, "again"), 0);
	ck_assert_str_eq(buf_cstr(&b), "again");
	buf_release(&b);
}
END_TEST

START_TEST(test_limit)
{
	struct buf b;

	buf_init(&b, 10);
	ck_assert_int_eq(buf_addz(&b, "0123456789"), 0);
	ck_assert_str_eq(buf_cstr(&b), "0123456789");
	ck_assert_int_eq(buf_add(&b, NULL, 0), 0);
	ck_assert_int_eq(buf_addc(&b, 'x'), ERR_TOO_LARGE);
	ck_assert_int_eq(buf_error(&b), ERR_TOO_LARGE);
	ck_assert_str_eq(buf_cstr(&b), "");
	ck_assert_uint_eq(b.len, 10);
	/* Sticky: also what would fit, also nothing. */
	buf_consume(&b, 5);
	ck_assert_int_eq(buf_addc(&b, 'x'), ERR_TOO_LARGE);
	ck_assert_int_eq(buf_addf(&b, "%s", ""), ERR_TOO_LARGE);
	ck_assert_int_eq(buf_add_json(&b, STR("")), ERR_TOO_LARGE);
	ck_assert_ptr_null(buf_take(&b, NULL));
	ck_assert_int_eq(buf_error(&b), 0);
	ck_assert_int_eq(buf_addf(&b, "%s", "01234567890"), ERR_TOO_LARGE);
	buf_clear(&b);
	ck_assert_int_eq(buf_addf(&b, "%s", "0123456789"), 0);
	buf_release(&b);
	buf_init(&b, 0);
	ck_assert_int_eq(buf_reserve(&b, 0), 0);
	ck_assert_int_eq(buf_addc(&b, 'x'), ERR_TOO_LARGE);
	buf_release(&b);
	buf_init(&b, SIZE_MAX);
	ck_assert_int_eq(buf_addz(&b, "x"), 0);
	ck_assert_int_eq(buf_reserve(&b, SIZE_MAX - 1), ERR_TOO_LARGE);
	buf_clear(&b);
	ck_assert_int_eq(buf_reserve(&b, SIZE_MAX / 2), ERR_NOMEM);
	buf_release(&b);
}
END_TEST

START_TEST(test_i64)
{
	static const int64_t v[] = {0, 1, -1, 9, 10, -10, INT64_MAX, INT64_MIN,
	    INT64_MIN + 1, 1000000000};
	struct buf b;
	size_t i;

	buf_init(&b, 64);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char z[32];

		(void)snprintf(z, sizeof(z), "%" PRId64, v[i]);
		buf_clear(&b);
		ck_assert_int_eq(buf_add_i64(&b, v[i]), 0);
		ck_assert_str_eq(buf_cstr(&b), z);
	}
	buf_release(&b);
}
END_TEST

START_TEST(test_json)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_add_json(&b, STR("a\"b\\c/\n\r\t\b\x01\x1f\x7f"
			     "d"));
	ck_assert_str_eq(buf_cstr(&b),
	    "\"a\\\"b\\\\c/\\n\\r\\t\\u0008\\u0001\\u001f\\u007fd\"");
	buf_clear(&b);
	buf_add_json(&b, STR("\0"));
	ck_assert_str_eq(buf_cstr(&b), "\"\\u0000\"");
	buf_clear(&b);
	buf_add_json(&b, STR("\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80"));
	ck_assert_str_eq(
	    buf_cstr(&b), "\"\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80\"");
	buf_clear(&b);
	buf_add_json(&b, STR("\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xc2\xa0"));
	ck_assert_str_eq(buf_cstr(&b), "\"\\u0085\\u2028\\u2029\xc2\xa0\"");
	buf_clear(&b);
	buf_add_json(&b, STR("x\xff\xc3"));
	ck_assert_str_eq(buf_cstr(&b), "\"x\xef\xbf\xbd\xef\xbf\xbd\"");
	buf_clear(&b);
	buf_add_json(&b, STR_NULL);
	ck_assert_str_eq(buf_cstr(&b), "\"\"");
	buf_clear(&b);
	buf_add_escaped(&b, STR("a\nb"));
	ck_assert_str_eq(buf_cstr(&b), "a\\nb");
	buf_release(&b);
}
END_TEST

/* Whatever the bytes, the literal is JSON; valid UTF-8 comes back the same. */
START_TEST(test_json_random)
{
	struct rng_seeded r;
	struct buf b;
	int n;

	rng_seeded_init(&r, 3);
	buf_init(&b, 1000);
	for (n = 0; n < 20000; n++) {
		size_t len = rng_below(&r.rng, 24);
		struct str in;
		char raw[24];
		json_t *j;

		r.rng.fill(&r.rng, raw, sizeof(raw));
		if (n % 2 == 0)
			for (size_t i = 0; i < sizeof(raw); i++)
				raw[i] &= 0x7f;
		in = str_make(raw, len);
		buf_clear(&b);
		ck_assert_int_eq(buf_add_json(&b, in), 0);
		j = json_loadb(
		    b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		ck_assert_ptr_nonnull(j);
		if (str_is_utf8(in)) {
			ck_assert_uint_eq(json_string_length(j), len);
			ck_assert_mem_eq(json_string_value(j), raw, len);
		}
		json_decref(j);
	}
	buf_release(&b);
}
END_TEST

START_TEST(test_take)
{
	struct buf b;
	size_t len;
	char *p;

	buf_init(&b, 100);
	p = buf_take(&b, &len);
	ck_assert_str_eq(p, "");
	ck_assert_uint_eq(len, 0);
	free(p);
	buf_addz(&b, "text");
	p = buf_take(&b, &len);
	ck_assert_str_eq(p, "text");
	ck_assert_uint_eq(len, 4);
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.max, 100);
	free(p);
}
END_TEST

START_TEST(test_oom)
{
	EACH_OOM
	{
		struct buf b;
		size_t len = 99;
		char *p;
		int rc;

		buf_init(&b, 100000);
		buf_addz(&b, "x");
		buf_addf(&b, "%0*d", 1000, 5);
		buf_add_json(&b, STR("\n\"\xff"));
		rc = buf_add_i64(&b, 5);
		p = buf_take(&b, &len);
		if (oom_hit()) {
			ck_assert_int_eq(rc, ERR_NOMEM);
			ck_assert_ptr_null(p);
			ck_assert_uint_eq(len, 0);
		} else {
			ck_assert_int_eq(rc, 0);
			ck_assert_uint_eq(len, strlen(p));
		}
		free(p);
	}
	ck_assert_uint_ge(oom_failures(), 2);
}
END_TEST

START_TEST(test_take_empty_oom)
{
	EACH_OOM
	{
		struct buf b;
		char *p;

		buf_init(&b, 1);
		p = buf_take(&b, NULL);
		ck_assert_int_eq(p == NULL, oom_hit());
		free(p);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/buf");

	UNIT_ADD(s, test_append);
	UNIT_ADD(s, test_limit);
	UNIT_ADD(s, test_i64);
	UNIT_ADD(s, test_json);
	UNIT_ADD(s, test_json_random);
	UNIT_ADD(s, test_take);
	UNIT_ADD(s, test_oom);
	UNIT_ADD(s, test_take_empty_oom);
	return unit_run(s);
}
