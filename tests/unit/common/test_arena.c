/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/arena: alignment, limits, reuse after clearing, no overlap.
 */
#include "common/arena.h"
#include "common/rng.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

START_TEST(test_alloc)
{
	struct arena a;
	char *p, *q;

	arena_init(&a, 256, 1000000);
	p = arena_alloc(&a, 1);
	q = arena_alloc(&a, 1);
	ck_assert_uint_eq((uintptr_t)p % 16, 0);
	ck_assert_uint_eq((uintptr_t)q % 16, 0);
	ck_assert_ptr_ne(p, q);
	p = arena_alloc(&a, 0);
	q = arena_alloc(&a, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_ne(p, q);
	p = arena_zalloc(&a, 3000); /* larger than a chunk */
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(p[0] | p[2999], 0);
	/* The chunk in use before is still being filled. */
	ck_assert_ptr_eq(arena_alloc(&a, 16), q + 16);
	ck_assert_str_eq(arena_strdup(&a, STR("abc")), "abc");
	ck_assert_str_eq(arena_strdup(&a, STR_NULL), "");
	ck_assert_str_eq(arena_printf(&a, "%s-%d", "x", 5), "x-5");
	q = arena_printf(&a, "%0*d", 600, 7);
	ck_assert_uint_eq(strlen(q), 600);
	arena_release(&a);
	ck_assert_uint_eq(a.used, 0);
	ck_assert_ptr_nonnull(arena_alloc(&a, 1));
	arena_release(&a);
}
END_TEST

START_TEST(test_limit)
{
	struct arena a;

	arena_init(&a, 64, 160);
	ck_assert_ptr_nonnull(arena_alloc(&a, 100)); /* 112 rounded */
	ck_assert_ptr_null(arena_alloc(&a, 49));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 8));
	ck_assert_ptr_null(arena_zalloc(&a, 1000));
	ck_assert_ptr_null(arena_strdup(&a, STR("0123456789012345678901234567"
						"890123456789012345678")));
	ck_assert_ptr_null(arena_printf(&a, "%0*d", 300, 1));
	ck_assert_ptr_nonnull(arena_alloc(&a, 48));
	ck_assert_ptr_null(arena_alloc(&a, 0));
	ck_assert_ptr_null(arena_alloc(&a, 1));
	arena_clear(&a);
	ck_assert_ptr_nonnull(arena_alloc(&a, 160));
	arena_release(&a);
	arena_init(&a, 64, SIZE_MAX);
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 40));
	arena_release(&a);
}
END_TEST

/* A warm arena serves requests without going to the allocator. */
START_TEST(test_clear_keeps_a_block)
{
	struct arena a;
	unsigned long before;
	int i, ok = 0;

	arena_init(&a, 1024, 100000);
	ck_assert_ptr_nonnull(arena_alloc(&a, 100));
	ck_assert_ptr_nonnull(arena_alloc(&a, 5000));
	ck_assert_ptr_nonnull(arena_alloc(&a, 1000));
	arena_clear(&a);
	ck_assert_uint_eq(a.used, 0);
	before = oom_allocations();
	for (i = 0; i < 100; i++) {
		ok += arena_alloc(&a, 500) != NULL;
		ok += arena_alloc(&a, 500) != NULL;
		arena_clear(&a);
	}
	before = oom_allocations() - before;
	ck_assert_uint_eq(before, 0);
	ck_assert_int_eq(ok, 200);
	arena_release(&a);
	arena_clear(&a);
	ck_assert_ptr_null(a.head);
}
END_TEST

START_TEST(test_no_overlap)
{
	struct rng_seeded r;
	struct arena a;
	unsigned char *p[500];
	size_t len[500];
	int round, i;

	rng_seeded_init(&r, 4);
	arena_init(&a, 512, 10000000);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 500; i++) {
			len[i] = rng_below(&r.rng, i % 50 ? 100 : 2000);
			p[i] = arena_alloc(&a, len[i]);
			ck_assert_ptr_nonnull(p[i]);
			memset(p[i], i, len[i]);
		}
		for (i = 0; i < 500; i++)
			for (size_t k = 0; k < len[i]; k++)
				ck_assert_uint_eq(p[i][k], (unsigned char)i);
		arena_clear(&a);
	}
	arena_release(&a);
}
END_TEST

START_TEST(test_oom)
{
	EACH_OOM
	{
		struct arena a;
		void *p, *q, *z;

		arena_init(&a, 64, 10000);
		p = arena_alloc(&a, 40);
		q = arena_strdup(&a, STR("more than the rest of the block"));
		z = arena_printf(&a, "%0*d", 1000, 1);
		if (oom_hit())
			ck_assert(p == NULL || q == NULL || z == NULL);
		else
			ck_assert(p != NULL && q != NULL && z != NULL);
		/* After the failure the arena still works. */
		ck_assert_ptr_nonnull(arena_zalloc(&a, 10));
		arena_release(&a);
	}
	ck_assert_uint_eq(oom_failures(), 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/arena");

	UNIT_ADD(s, test_alloc);
	UNIT_ADD(s, test_limit);
	UNIT_ADD(s, test_clear_keeps_a_block);
	UNIT_ADD(s, test_no_overlap);
	UNIT_ADD(s, test_oom);
	return unit_run(s);
}
