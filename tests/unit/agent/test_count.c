/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model's answers teach about its bytes a token: it gets closer, it is
 * bounded whatever comes, and a table that is full forgets nobody.
 */
#include <stdlib.h>

#include "agent/front/count.h"
#include "tests/unit/support/unit.h"

static struct count_ratios *t;

static void
setup(void)
{
	t = calloc(1, sizeof(*t));
	ck_assert_ptr_nonnull(t);
}

static void
teardown(void)
{
	free(t);
}

static void
learn(uint64_t model, int64_t bytes, int64_t tokens)
{
	if (count_ratio_due(t, model, 3600))
		count_ratio_learn(t, model, bytes, tokens);
}

START_TEST(test_gets_closer)
{
	int64_t before = 3600, now;
	int i;

	ck_assert_int_eq(count_ratio_of(t, 7, 3600), 3600);
	for (i = 0; i < 400; i++) {
		learn(7, 4800, 1000);
		now = count_ratio_of(t, 7, 3600);
		ck_assert_int_ge(now, before);
		before = now;
	}
	ck_assert_int_ge(before, 4700);
	ck_assert_int_le(before, 4800);
	/* and goes along when the traffic changes */
	for (i = 0; i < 4000; i++)
		learn(7, 3000, 1000);
	ck_assert_int_le(count_ratio_of(t, 7, 3600), 3100);
	ck_assert_int_eq(count_ratio_of(t, 8, 3500), 3500);
}
END_TEST

START_TEST(test_is_bounded)
{
	int i;

	for (i = 0; i < 3000; i++) {
		learn(1, 7900, 1000);	    /* of 3600: more than twice */
		learn(2, 1100, 1000);	    /* less than half */
		learn(3, 1, 1000000);	    /* beyond belief: no lesson */
		learn(4, INT64_MAX / 2, 1); /* no overflow either */
		learn(5, 0, 0);
		learn(6, -5, 3);
	}
	ck_assert_int_eq(count_ratio_of(t, 1, 3600), 7200);
	ck_assert_int_eq(count_ratio_of(t, 2, 3600), 1800);
	for (i = 3; i <= 6; i++)
		ck_assert_int_eq(count_ratio_of(t, (uint64_t)i, 3600), 3600);
}
END_TEST

/* One request cannot teach much, however many came before. */
START_TEST(test_one_teaches_little)
{
	int64_t before;
	int i;

	for (i = 0; i < 800; i++)
		learn(9, 3600, 1000);
	before = count_ratio_of(t, 9, 3600);
	ck_assert_int_eq(before, 3600);
	count_ratio_learn(t, 9, 8000, 1000);
	ck_assert_int_le(count_ratio_of(t, 9, 3600), 3600 + 4400 / 32 + 1);
}
END_TEST

START_TEST(test_declared_anew)
{
	learn(5, 7000, 1000);
	ck_assert_int_gt(count_ratio_of(t, 5, 3600), 3600);
	ck_assert_int_eq(count_ratio_of(t, 5, 4000), 4000);
	ck_assert(count_ratio_due(t, 5, 4000));
	ck_assert_int_eq(count_ratio_of(t, 5, 4000), 4000);
}
END_TEST

START_TEST(test_more_models_than_places)
{
	uint64_t m;
	int64_t got;

	for (m = 1; m <= 4 * COUNT_RATIOS; m++)
		learn(m, 5000, 1000);
	for (m = 1; m <= 4 * COUNT_RATIOS; m++) {
		got = count_ratio_of(t, m, 3600);
		ck_assert(got == 3600 || (got > 3600 && got <= 5000));
	}
	ck_assert(!count_ratio_due(t, 0, 3600));
}
END_TEST

START_TEST(test_is_a_sample)
{
	int i, n = 0;

	for (i = 0; i < 1000; i++)
		n += count_ratio_due(t, 3, 3600);
	ck_assert_int_ge(n, 32);
	ck_assert_int_le(n, 32 + 1000 / 8 + 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/count");
	TCase *tc = tcase_create("ratio");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_gets_closer);
	tcase_add_test(tc, test_is_bounded);
	tcase_add_test(tc, test_one_teaches_little);
	tcase_add_test(tc, test_declared_anew);
	tcase_add_test(tc, test_more_models_than_places);
	tcase_add_test(tc, test_is_a_sample);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
