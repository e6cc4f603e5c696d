/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/str: slices, strict numbers, UTF-8 against a slow reference, hex,
 * names.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "common/rng.h"
#include "common/str.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

START_TEST(test_compare)
{
	ck_assert(str_eq(STR_NULL, STR("")));
	ck_assert(str_eq(STR("a\0b"), str_make("a\0b", 3)));
	ck_assert(!str_eq(STR("a\0b"), STR("a\0c")));
	ck_assert(str_eqz(STR("abc"), "abc"));
	ck_assert(str_eqz(STR_NULL, NULL));
	ck_assert(str_ieq(STR("Content-TYPE"), STR("content-type")));
	ck_assert(!str_ieq(STR("a"), STR("ab")));
	/* Only letters fold: '@' and '`', '[' and '{' differ by that bit. */
	ck_assert(!str_ieq(STR("@["), STR("`{")));
	ck_assert(!str_ieq(STR("\xc3\x80"), STR("\xc3\xa0")));
	ck_assert(str_ieq(STR_NULL, STR_NULL));
	ck_assert_int_eq(str_cmp(STR("a"), STR("b")), -1);
	ck_assert_int_eq(str_cmp(STR("b"), STR("a")), 1);
	ck_assert_int_eq(str_cmp(STR("a"), STR("ab")), -1);
	ck_assert_int_eq(str_cmp(STR("ab"), STR("a")), 1);
	ck_assert_int_eq(str_cmp(STR_NULL, STR("")), 0);
	ck_assert_int_eq(str_cmp(STR("\xff"), STR("a")), 1);
}
END_TEST

START_TEST(test_parts)
{
	struct str head, tail;

	ck_assert(str_starts(STR("abc"), STR("ab")));
	ck_assert(str_starts(STR("abc"), STR_NULL));
	ck_assert(!str_starts(STR("ab"), STR("abc")));
	ck_assert(str_ends(STR("abc"), STR("bc")));
	ck_assert(str_ends(STR_NULL, STR("")));
	ck_assert(!str_ends(STR("bc"), STR("abc")));
	ck_assert_slice_eq(str_trim(STR(" \t a b\t ")), "a b");
	ck_assert_slice_eq(str_trim(STR(" \t ")), "");
	ck_assert_slice_eq(str_trim(STR("\n")), "\n");
	ck_assert(str_cut(STR("a=b=c"), '=', &head, &tail));
	ck_assert_slice_eq(head, "a");
	ck_assert_slice_eq(tail, "b=c");
	ck_assert(str_cut(STR("a="), '=', &head, &tail));
	ck_assert_slice_eq(tail, "");
	ck_assert(!str_cut(STR("abc"), '=', &head, &tail));
	ck_assert_slice_eq(head, "abc");
	ck_assert_slice_eq(tail, "");
	ck_assert(!str_cut(STR_NULL, '=', &head, &tail));
	ck_assert_int_eq(str_find(STR("abc"), 'c'), 2);
	ck_assert_int_eq(str_find(STR("abc"), 'x'), -1);
	ck_assert_int_eq(str_find(STR_NULL, 'x'), -1);
	ck_assert_int_eq(str_find(STR("a\0b"), '\0'), 1);
}
END_TEST

START_TEST(test_numbers)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1.0",
	    "0x1", "1e3", "--1", "1a", "99999999999999999999",
	    "18446744073709551616"};
	uint64_t u = 7;
	int64_t i = 7;
	size_t k;

	for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		ck_assert_int_eq(str_to_u64(str_of(bad[k]), &u), ERR_INVALID);
		ck_assert_int_eq(str_to_i64(str_of(bad[k]), &i), ERR_INVALID);
	}
	ck_assert_uint_eq(u, 7); /* untouched on error */
	ck_assert_int_eq(i, 7);
	ck_assert_int_eq(str_to_u64(STR("18446744073709551615"), &u), 0);
	ck_assert(u == UINT64_MAX);
	ck_assert_int_eq(str_to_u64(STR("-1"), &u), ERR_INVALID);
	ck_assert_int_eq(str_to_u64(STR("1\0"), &u), ERR_INVALID);
	ck_assert_int_eq(str_to_i64(STR("9223372036854775807"), &i), 0);
	ck_assert(i == INT64_MAX);
	ck_assert_int_eq(str_to_i64(STR("-9223372036854775808"), &i), 0);
	ck_assert(i == INT64_MIN);
	ck_assert_int_eq(
	    str_to_i64(STR("9223372036854775808"), &i), ERR_INVALID);
	ck_assert_int_eq(
	    str_to_i64(STR("-9223372036854775809"), &i), ERR_INVALID);
	ck_assert_int_eq(str_to_i64(STR("-0"), &i), 0);
	ck_assert_int_eq(i, 0);
	ck_assert_int_eq(str_to_u64(STR("007"), &u), 0);
	ck_assert_uint_eq(u, 7);
}
END_TEST

START_TEST(test_numbers_random)
{
	struct rng_seeded r;
	int n;

	rng_seeded_init(&r, 1);
	for (n = 0; n < 20000; n++) {
		int64_t want =
		    (int64_t)(rng_u64(&r.rng) >> rng_below(&r.rng, 64));
		int64_t got;
		char z[32];

		if (rng_below(&r.rng, 2))
			want = (int64_t)(0 - (uint64_t)want);
		(void)snprintf(z, sizeof(z), "%" PRId64, want);
		ck_assert_int_eq(str_to_i64(str_of(z), &got), 0);
		ck_assert_int_eq(got, want);
	}
}
END_TEST

START_TEST(test_copy)
{
	char dst[4] = "zzz";
	char *z;

	ck_assert_int_eq(str_copy(STR("abc"), dst, sizeof(dst)), 0);
	ck_assert_str_eq(dst, "abc");
	ck_assert_int_eq(
	    str_copy(STR("abcd"), dst, sizeof(dst)), ERR_TOO_LARGE);
	ck_assert_str_eq(dst, "");
	ck_assert_int_eq(str_copy(STR("a\0b"), dst, sizeof(dst)), ERR_INVALID);
	ck_assert_str_eq(dst, "");
	ck_assert_int_eq(str_copy(STR_NULL, dst, 1), 0);
	ck_assert_int_eq(str_copy(STR_NULL, dst, 0), ERR_TOO_LARGE);
	z = str_dup(STR_NULL);
	ck_assert_str_eq(z, "");
	free(z);
	ck_assert_ptr_null(str_dup(str_make(dst, SIZE_MAX)));
	EACH_OOM
	{
		z = str_dup(STR("secret"));
		if (oom_hit())
			ck_assert_ptr_null(z);
		else
			ck_assert_str_eq(z, "secret");
		free(z);
	}
	ck_assert_uint_eq(oom_failures(), 1);
}
END_TEST

/* Decodes by the book, one code point after the other. */
static bool
slow_utf8(const unsigned char *p, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t i = 0;

	while (i < n) {
		unsigned len = p[i] < 0x80	       ? 1
			       : (p[i] & 0xe0) == 0xc0 ? 2
			       : (p[i] & 0xf0) == 0xe0 ? 3
			       : (p[i] & 0xf8) == 0xf0 ? 4
						       : 0;
		uint32_t cp;
		unsigned k;

		if (len == 0 || len > n - i)
			return false;
		cp = len == 1 ? p[i] : p[i] & (0x7fu >> len);
		for (k = 1; k < len; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
			cp = cp << 6 | (p[i + k] & 0x3f);
		}
		if (len > 1 && cp < least[len])
			return false;
		if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
			return false;
		i += len;
	}
	return true;
}

START_TEST(test_utf8_all_pairs)
{
	char b[12];
	unsigned i;

	/* Every two bytes, alone and at the end of a longer text. */
	memset(b, 'x', sizeof(b));
	for (i = 0; i < 65536; i++) {
		b[10] = (char)(i >> 8);
		b[11] = (char)i;
		ck_assert_int_eq(str_is_utf8(str_make(b + 10, 2)),
		    slow_utf8((unsigned char *)b + 10, 2));
		ck_assert_int_eq(str_is_utf8(str_make(b, 12)),
		    slow_utf8((unsigned char *)b, 12));
	}
}
END_TEST

START_TEST(test_utf8_random)
{
	static const unsigned char pick[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
	    0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0,
	    0xf4, 0xf5, 0xff};
	struct rng_seeded r;
	unsigned char b[24];
	int n, good = 0;

	rng_seeded_init(&r, 2);
	for (n = 0; n < 300000; n++) {
		size_t len = rng_below(&r.rng, sizeof(b));
		size_t i;

		for (i = 0; i < len; i++)
			b[i] = rng_below(&r.rng, 3)
				   ? 'a'
				   : pick[rng_below(&r.rng, sizeof(pick))];
		ck_assert_int_eq(
		    str_is_utf8(str_make((char *)b, len)), slow_utf8(b, len));
		good += slow_utf8(b, len);
	}
	ck_assert_int_gt(good, 1000);
	ck_assert(str_is_utf8(STR_NULL));
	ck_assert(str_is_utf8(STR("a\0b \xf4\x8f\xbf\xbf \xed\x9f\xbf")));
	ck_assert(!str_is_utf8(STR("\xed\xa0\x80")));
	ck_assert(!str_is_utf8(STR("\xf4\x90\x80\x80")));
	ck_assert(!str_is_utf8(STR("\xc0\x80")));
	ck_assert(!str_is_utf8(STR("abcdefgh\xe6\xbc")));
}
END_TEST

START_TEST(test_hex)
{
	unsigned char raw[4] = {0x00, 0x9a, 0xff, 0x10};
	unsigned char back[4];
	char z[9];

	hex_encode(raw, sizeof(raw), z);
	ck_assert_str_eq(z, "009aff10");
	ck_assert_int_eq(hex_decode(str_of(z), back, 4), 0);
	ck_assert_mem_eq(raw, back, 4);
	ck_assert_int_eq(hex_decode(STR("009AfF10"), back, 4), 0);
	ck_assert_mem_eq(raw, back, 4);
	ck_assert_int_eq(hex_decode(STR("009aff1"), back, 4), ERR_INVALID);
	ck_assert_int_eq(hex_decode(STR("009aff1000"), back, 4), ERR_INVALID);
	ck_assert_int_eq(hex_decode(STR("009aff1g"), back, 4), ERR_INVALID);
	ck_assert_int_eq(hex_decode(STR("0 9aff10"), back, 4), ERR_INVALID);
	ck_assert_int_eq(hex_decode(STR_NULL, back, 0), 0);
	hex_encode(raw, 0, z);
	ck_assert_str_eq(z, "");
}
END_TEST

START_TEST(test_base64)
{
	const int url = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
	const int plain = sodium_base64_VARIANT_ORIGINAL;
	char dst[8];
	size_t n = 0;
	int c;

	ck_assert_int_eq(base64_decode(STR("_-8"), url, NULL, dst, 2, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(
	    base64_decode(STR("YW\nJj"), plain, "\n", dst, 8, &n), 0);
	ck_assert_slice_eq(str_make(dst, n), "abc");
	ck_assert_int_eq(
	    base64_decode(str_make("YW\0Jj", 5), plain, "\n", dst, 8, &n),
	    ERR_INVALID);
	ck_assert_int_eq(base64_decode(STR_NULL, plain, NULL, dst, 8, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(
	    base64_decode(STR("YWJj"), plain, NULL, dst, 2, &n), ERR_INVALID);
	ck_assert_int_eq(
	    base64_decode(STR("YQ"), plain, NULL, dst, 8, &n), ERR_INVALID);
	for (c = 0x80; c < 0x100; c++) {
		char text[4] = {'Y', 'W', 'J', (char)c};

		ck_assert_int_eq(
		    base64_decode(str_make(text, 4), plain, NULL, dst, 8, &n),
		    ERR_INVALID);
		ck_assert_int_eq(
		    base64_decode(str_make(text, 4), url, NULL, dst, 8, &n),
		    ERR_INVALID);
	}
}
END_TEST

START_TEST(test_names)
{
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "-a",
	    "a-", "A", "a_b", "a b", "a/b", "a.b.c.d.e", "\xc3\xa9", "a.-b",
	    "a\n"};
	char longest[65];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(
		    !name_is_valid(str_of(bad[i]), 0), "\"%s\"", bad[i]);
	ck_assert(!name_is_valid(STR("a\0b"), 0));
	ck_assert(name_is_valid(STR("a"), 0));
	ck_assert(name_is_valid(STR("0-9.a--b.c"), 3));
	ck_assert(name_is_valid(STR("a.b.c.d"), 0));
	ck_assert(!name_is_valid(STR("a.b"), 1));
	ck_assert(!name_is_valid(STR("a.b"), 3));
	memset(longest, 'a', 64);
	longest[64] = '\0';
	ck_assert(!name_is_valid(str_make(longest, 64), 0));
	ck_assert(name_is_valid(str_make(longest, 63), 0));
	ck_assert_int_eq(name_segments(STR("")), 0);
	ck_assert_int_eq(name_segments(STR("a")), 1);
	ck_assert_int_eq(name_segments(STR("a.b.c")), 3);
	ck_assert_slice_eq(name_parent(STR("a.b.c")), "a.b");
	ck_assert_slice_eq(name_parent(STR("a")), "");
	ck_assert_slice_eq(name_root(STR("acme.team.x")), "acme");
	ck_assert_slice_eq(name_root(STR("acme")), "acme");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/str");

	UNIT_ADD(s, test_compare);
	UNIT_ADD(s, test_parts);
	UNIT_ADD(s, test_numbers);
	UNIT_ADD(s, test_numbers_random);
	UNIT_ADD(s, test_copy);
	UNIT_ADD(s, test_utf8_all_pairs);
	UNIT_ADD(s, test_utf8_random);
	UNIT_ADD(s, test_hex);
	UNIT_ADD(s, test_base64);
	UNIT_ADD(s, test_names);
	return unit_run(s);
}
