/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/clock: the fake clock, RFC 3339 against the C library and at the
 * edges of the range.
 */
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

START_TEST(test_clocks)
{
	struct clock_fake f;
	int64_t a, b;

	a = clock_mono(clock_system());
	b = clock_mono(clock_system());
	ck_assert_int_ge(b, a);
	a = clock_wall(clock_system());
	b = (int64_t)time(NULL);
	ck_assert_int_le(a / NS_PER_S, b + 1);
	ck_assert_int_ge(a / NS_PER_S, b - 2);
	clock_fake_init(&f, 5, 1000);
	ck_assert_int_eq(clock_mono(&f.clock), 5);
	ck_assert_int_eq(clock_wall(&f.clock), 1000);
	clock_fake_advance(&f, 10);
	ck_assert_int_eq(clock_mono(&f.clock), 15);
	ck_assert_int_eq(clock_wall(&f.clock), 1010);
	f.wall -= 500; /* the wall clock may be set back */
	ck_assert_int_eq(clock_wall(&f.clock), 510);
	ck_assert_int_eq(clock_mono(&f.clock), 15);
}
END_TEST

START_TEST(test_format)
{
	char z[32];

	time_format(0, 0, z);
	ck_assert_str_eq(z, "1970-01-01T00:00:00Z");
	time_format(-1, 1, z);
	ck_assert_str_eq(z, "1969-12-31T23:59:59.999Z");
	time_format(INT64_C(1767323045006) * NS_PER_MS, 1, z);
	ck_assert_str_eq(z, "2026-01-02T03:04:05.006Z");
	time_format(INT64_C(951782400) * NS_PER_S, 0, z);
	ck_assert_str_eq(z, "2000-02-29T00:00:00Z");
	time_format(INT64_MAX, 1, z);
	ck_assert_str_eq(z, "2262-04-11T23:47:16.854Z");
	time_format(INT64_MIN, 1, z);
	ck_assert_str_eq(z, "1677-09-21T00:12:43.145Z");
}
END_TEST

START_TEST(test_format_random)
{
	struct rng_seeded r;
	int n;

	rng_seeded_init(&r, 5);
	for (n = 0; n < 50000; n++) {
		int64_t ns = (int64_t)rng_u64(&r.rng);
		time_t s = (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
		char want[40], got[32];
		int64_t back;
		struct tm tm;

		ck_assert_ptr_nonnull(gmtime_r(&s, &tm));
		(void)strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
		time_format(ns, 0, got);
		ck_assert_str_eq(got, want);
		if (s < -INT64_C(9223372036)) /* below the first second */
			continue;
		ck_assert_int_eq(time_parse(str_of(got), &back), 0);
		ck_assert_int_eq(back, (int64_t)s * NS_PER_S);
	}
}
END_TEST

START_TEST(test_parse)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1970-01-01t00:00:00z", 0},
	    {"1970-01-01T01:00:00+01:00", 0},
	    {"1969-12-31T16:30:00-07:30", 0},
	    {"1970-01-01T00:00:00-00:00", 0},
	    {"1970-01-01T00:00:00.5Z", 500000000},
	    {"1970-01-01T00:00:00.000000001Z", 1},
	    {"1970-01-01T00:00:00.0000000019999Z", 1},
	    {"1969-12-31T23:59:59.999999999Z", -1},
	    {"2016-12-31T23:59:60Z", INT64_C(1483228800) * NS_PER_S},
	    {"2262-04-11T23:47:16.854775807Z", INT64_MAX},
	    {"1677-09-21T00:12:43.145224192Z", INT64_MIN},
	};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t ns = 1234;

		ck_assert_msg(time_parse(str_of(good[i].text), &ns) == 0, "%s",
		    good[i].text);
		ck_assert_msg(ns == good[i].ns, "%s", good[i].text);
	}
}
END_TEST

START_TEST(test_parse_refuses)
{
	static const char *const bad[] = {"", "Z", "2026-01-02",
	    "2026-01-02T03:04:05", "2026-01-02 03:04:05Z",
	    "2026-1-02T03:04:05Z", "2026-13-02T03:04:05Z",
	    "2026-00-02T03:04:05Z", "2026-02-29T03:04:05Z",
	    "2100-02-29T03:04:05Z", "2026-04-31T00:00:00Z",
	    "2026-01-00T03:04:05Z", "2026-01-02T24:04:05Z",
	    "2026-01-02T03:60:05Z", "2026-01-02T03:04:61Z",
	    "2026-01-02T03:04:60Z", "2026-01-02T03:04:05.Z",
	    "2026-01-02T03:04:05,5Z", "2026-01-02T03:04:05+0100",
	    "2026-01-02T03:04:05+01", "2026-01-02T03:04:05+24:00",
	    "2026-01-02T03:04:05+01:60", "2026-01-02T03:04:05ZZ",
	    "2026-01-02T03:04:05Z ", " 2026-01-02T03:04:05Z",
	    "+026-01-02T03:04:05Z", "2026-01-02T03:04:05.5x",
	    "2026/01-02T03:04:05Z", "2026-01-02T03-04:05Z",
	    "1677-09-21T00:12:43.145224191Z", "2262-04-11T23:47:16.854775808Z",
	    "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z",
	    "2026-01-02T03:04:05.1-"};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t ns = 1234;

		ck_assert_msg(time_parse(str_of(bad[i]), &ns) == ERR_INVALID,
		    "%s", bad[i]);
		ck_assert_int_eq(ns, 1234);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/clock");

	UNIT_ADD(s, test_clocks);
	UNIT_ADD(s, test_format);
	UNIT_ADD(s, test_format_random);
	UNIT_ADD(s, test_parse);
	UNIT_ADD(s, test_parse_refuses);
	return unit_run(s);
}
