/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/rng: seeded streams repeat, bounds are even, UUIDs.
 */
#include <string.h>

#include "common/clock.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

START_TEST(test_seeded)
{
	struct rng_seeded a, b, c;
	unsigned char x[37], y[37];

	rng_seeded_init(&a, 42);
	rng_seeded_init(&b, 42);
	rng_seeded_init(&c, 43);
	/* Simulation seeds in bug reports must mean the same for ever. */
	ck_assert_uint_eq(rng_u64(&a.rng), UINT64_C(1546998764402558742));
	ck_assert_uint_eq(rng_u64(&b.rng), UINT64_C(1546998764402558742));
	ck_assert_uint_ne(rng_u64(&c.rng), UINT64_C(1546998764402558742));
	a.rng.fill(&a.rng, x, sizeof(x));
	b.rng.fill(&b.rng, y, sizeof(y));
	ck_assert_mem_eq(x, y, sizeof(x));
	a.rng.fill(&a.rng, x, 0);
	ck_assert_uint_eq(rng_u64(&a.rng), rng_u64(&b.rng));
}
END_TEST

START_TEST(test_system)
{
	struct rng *r = rng_system();
	unsigned char x[32] = {0}, y[32] = {0};

	ck_assert_ptr_eq(r, rng_system());
	r->fill(r, x, sizeof(x));
	r->fill(r, y, sizeof(y));
	ck_assert_mem_ne(x, y, sizeof(x));
	r->fill(r, x, 0);
}
END_TEST

START_TEST(test_below)
{
	struct rng_seeded r;
	int count[7] = {0};
	int i;

	rng_seeded_init(&r, 6);
	for (i = 0; i < 70000; i++)
		count[rng_below(&r.rng, 7)]++;
	for (i = 0; i < 7; i++) {
		ck_assert_int_gt(count[i], 9500);
		ck_assert_int_lt(count[i], 10500);
	}
	for (i = 0; i < 100; i++) {
		ck_assert_uint_eq(rng_below(&r.rng, 1), 0);
		ck_assert_uint_lt(rng_below(&r.rng, (UINT64_C(1) << 63) + 1),
		    (UINT64_C(1) << 63) + 1);
	}
}
END_TEST

START_TEST(test_uuid)
{
	int64_t t = INT64_C(1767323045006) * NS_PER_MS;
	struct rng_seeded r;
	struct uuid u, v;
	char z[37], later[37];

	rng_seeded_init(&r, 7);
	uuid_v7(&u, &r.rng, t);
	uuid_format(&u, z);
	ck_assert_uint_eq(strlen(z), 36);
	ck_assert_int_eq(strncmp(z, "019b7ca9-8c8e-7", 15), 0);
	ck_assert_ptr_nonnull(strchr("89ab", z[19]));
	ck_assert_int_eq(uuid_parse(z, 36, &v), 0);
	ck_assert_mem_eq(&u, &v, sizeof(u));
	uuid_v7(&v, &r.rng, t + NS_PER_MS);
	uuid_format(&v, later);
	ck_assert_int_lt(strcmp(z, later), 0);
	uuid_v7(&v, &r.rng, -5);
	ck_assert_int_eq(v.b[0] | v.b[5], 0);
}
END_TEST

START_TEST(test_uuid_parse)
{
	static const char good[] = "019B7ca4-0e8e-7abc-8def-0123456789aB";
	struct uuid u;
	char z[40];
	size_t i;

	ck_assert_int_eq(uuid_parse(good, 36, &u), 0);
	ck_assert_uint_eq(u.b[15], 0xab);
	ck_assert_int_eq(uuid_parse(good, 35, &u), ERR_INVALID);
	ck_assert_int_eq(uuid_parse(good, 0, &u), ERR_INVALID);
	ck_assert_int_eq(uuid_parse(good, 37, &u), ERR_INVALID);
	for (i = 0; i < 36; i++) {
		memcpy(z, good, sizeof(good));
		z[i] = z[i] == '-' ? 'a' : '-';
		ck_assert_int_eq(uuid_parse(z, 36, &u), ERR_INVALID);
		z[i] = 'g';
		ck_assert_int_eq(uuid_parse(z, 36, &u), ERR_INVALID);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/rng");

	UNIT_ADD(s, test_seeded);
	UNIT_ADD(s, test_system);
	UNIT_ADD(s, test_below);
	UNIT_ADD(s, test_uuid);
	UNIT_ADD(s, test_uuid_parse);
	return unit_run(s);
}
