/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/pool: limit, reuse, zeroing, misuse aborts.
 */
#include <signal.h>
#include <string.h>

#include "common/pool.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

START_TEST(test_reuse)
{
	unsigned long before;
	struct pool p;
	char *a, *b, *again;

	pool_init(&p, 100, 2);
	a = pool_get(&p);
	b = pool_get(&p);
	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_nonnull(b);
	ck_assert_ptr_null(pool_get(&p));
	ck_assert_uint_eq(p.live, 2);
	memset(a, 'x', 100);
	pool_put(&p, a);
	pool_put(&p, NULL);
	ck_assert_uint_eq(p.live, 1);
	ck_assert_uint_eq(p.n_free, 1);
	before = oom_allocations();
	again = pool_get(&p);
	before = oom_allocations() - before;
	ck_assert_ptr_eq(again, a);
	ck_assert_uint_eq(before, 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(a[i], 0);
	pool_put(&p, a);
	pool_put(&p, b);
	pool_release(&p);
	ck_assert_uint_eq(p.n_free, 0);
	ck_assert_ptr_nonnull(a = pool_get(&p));
	pool_put(&p, a);
	pool_release(&p);
}
END_TEST

START_TEST(test_small_objects)
{
	struct pool p;
	void *o[100];
	int i;

	pool_init(&p, 1, 100);
	for (i = 0; i < 100; i++)
		ck_assert_ptr_nonnull(o[i] = pool_get(&p));
	for (i = 0; i < 100; i++)
		pool_put(&p, o[i]);
	pool_release(&p);
	pool_init(&p, 8, 0);
	ck_assert_ptr_null(pool_get(&p));
	pool_release(&p);
}
END_TEST

START_TEST(test_release_with_live_aborts)
{
	struct pool p;

	pool_init(&p, 8, 1);
	ck_assert_ptr_nonnull(pool_get(&p));
	pool_release(&p);
}
END_TEST

START_TEST(test_put_too_often_aborts)
{
	struct pool p;
	long word[2] = {0, 0};

	pool_init(&p, 8, 1);
	pool_put(&p, word);
}
END_TEST

START_TEST(test_oom)
{
	EACH_OOM
	{
		struct pool p;
		void *a, *b;

		pool_init(&p, 32, 4);
		a = pool_get(&p);
		b = pool_get(&p);
		ck_assert_int_eq(a == NULL || b == NULL, oom_hit());
		ck_assert_uint_eq(p.live, (size_t)(a != NULL) + (b != NULL));
		pool_put(&p, a);
		pool_put(&p, b);
		pool_release(&p);
	}
	ck_assert_uint_eq(oom_failures(), 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/pool");
	TCase *t = tcase_create("aborts");

	UNIT_ADD(s, test_reuse);
	UNIT_ADD(s, test_small_objects);
	UNIT_ADD(s, test_oom);
	tcase_add_test_raise_signal(t, test_release_with_live_aborts, SIGABRT);
	tcase_add_test_raise_signal(t, test_put_too_often_aborts, SIGABRT);
	suite_add_tcase(s, t);
	return unit_run(s);
}
