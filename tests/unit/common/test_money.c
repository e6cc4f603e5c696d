/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/money: exact costs against a slow 128-bit reference, rounding up
 * once, fall-back prices, overflow, decimal text.
 */
#include <stdio.h>

#include "common/money.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

static struct price
no_price(void)
{
	struct price p;
	int i;

	for (i = 0; i < TC_COUNT; i++)
		p.per_mtok[i] = -1;
	return p;
}

START_TEST(test_classes)
{
	enum token_class c;
	int i;

	for (i = 0; i < TC_COUNT; i++) {
		const char *name = token_class_name((enum token_class)i);

		ck_assert_int_eq(token_class_parse(str_of(name), &c), 0);
		ck_assert_int_eq((int)c, i);
	}
	ck_assert_int_eq(token_class_parse(STR("inpu"), &c), ERR_NOT_FOUND);
	ck_assert_int_eq(token_class_parse(STR(""), &c), ERR_NOT_FOUND);
	ck_assert_str_eq(token_class_name((enum token_class)99), "unknown");
	ck_assert_str_eq(token_class_name(TC_COUNT), "unknown");
	/* On the wire and in the database. */
	ck_assert_int_eq(TC_CACHE_WRITE_1H, 3);
	ck_assert_int_eq(TC_IMAGE_OUT, 9);
}
END_TEST

START_TEST(test_rounding)
{
	struct price p = no_price();
	struct tokens t = {{0}};
	int64_t cost = -1;

	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 0);
	p.per_mtok[TC_INPUT] = 1;
	p.per_mtok[TC_OUTPUT] = 1;
	t.n[TC_INPUT] = 1;
	t.n[TC_OUTPUT] = 1;
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 1); /* once, not once a class */
	t.n[TC_INPUT] = 999999;
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 1);
	t.n[TC_INPUT] = 1000000;
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 2);
	/* $2.50 and $10 per million: 1000 in, 500 out. */
	p.per_mtok[TC_INPUT] = INT64_C(2500000000);
	p.per_mtok[TC_OUTPUT] = INT64_C(10000000000);
	t.n[TC_INPUT] = 1000;
	t.n[TC_OUTPUT] = 500;
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 7500000);
}
END_TEST

START_TEST(test_fallback)
{
	struct price p = no_price();
	struct tokens t = {{0}};
	int64_t cost;

	p.per_mtok[TC_INPUT] = 2000000;
	p.per_mtok[TC_OUTPUT] = 5000000;
	for (int i = 0; i < TC_COUNT; i++)
		t.n[i] = 1;
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 7 * 2 + 4 * 5); /* units: nothing */
	p.per_mtok[TC_CACHE_READ] = 0;	       /* free is a price */
	p.per_mtok[TC_REASONING] = 7000000;
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 5 * 2 + 0 + 3 * 5 + 7);
	ck_assert_int_eq(price_worst_input(&p), 2000000);
	ck_assert_int_eq(price_worst_output(&p), 7000000);
	/* Without a base price: the dearest of the side. */
	p.per_mtok[TC_OUTPUT] = -1;
	ck_assert_int_eq(price_effective(&p, TC_AUDIO_OUT), 7000000);
	p = no_price();
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 0);
	ck_assert_int_eq(price_worst_input(&p), 0);
	ck_assert_int_eq(price_worst_output(&p), 0);
}
END_TEST

/* Units beside tokens: priced when they have a price, on neither side. */
START_TEST(test_units)
{
	struct price p = no_price();
	struct tokens t = {{0}};
	int64_t cost;

	p.per_mtok[TC_INPUT] = 2000000;
	p.per_mtok[TC_WEB_SEARCH] = INT64_C(10000000000000); /* 10 USD/1000 */
	t.n[TC_INPUT] = 5;
	t.n[TC_WEB_SEARCH] = 3;
	t.n[TC_IMAGES] = 7;
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert_int_eq(cost, 10 + 3 * 10000000);
	ck_assert_int_eq(price_worst_input(&p), 2000000);
	ck_assert_int_eq(price_worst_output(&p), 0);
	ck_assert_int_eq(tokens_input(&t), 5);
	for (int i = 0; i < TC_COUNT; i++)
		t.n[i] = 1;
	ck_assert_int_eq(tokens_input(&t), 7);
	ck_assert(token_class_is_unit(TC_SEARCH_UNITS));
	ck_assert(!token_class_is_unit(TC_AUDIO_CACHE_READ));
	/* cached audio: as cached input, else as input */
	ck_assert_int_eq(price_effective(&p, TC_AUDIO_CACHE_READ), 2000000);
	p.per_mtok[TC_CACHE_READ] = 500000;
	ck_assert_int_eq(price_effective(&p, TC_AUDIO_CACHE_READ), 500000);
	for (int i = 0; i < TC_COUNT; i++)
		t.n[i] = INT64_MAX;
	ck_assert(tokens_input(&t) == INT64_MAX);
}
END_TEST

/* A base price of nothing is a price: what falls back to it is free. */
START_TEST(test_free_base)
{
	struct price p = no_price();

	p.per_mtok[TC_AUDIO_IN] = 9;
	p.per_mtok[TC_AUDIO_OUT] = 8;
	p.per_mtok[TC_CACHE_READ] = 0;
	ck_assert_int_eq(price_effective(&p, TC_AUDIO_CACHE_READ), 0);
	ck_assert_int_eq(price_effective(&p, TC_INPUT), 9);
	ck_assert_int_eq(price_effective(&p, TC_CACHE_WRITE_5M), 9);
	p.per_mtok[TC_INPUT] = 0;
	ck_assert_int_eq(price_effective(&p, TC_INPUT), 0);
	ck_assert_int_eq(price_effective(&p, TC_CACHE_WRITE_5M), 0);
	ck_assert_int_eq(price_effective(&p, TC_AUDIO_IN), 9);
	ck_assert_int_eq(price_effective(&p, TC_REASONING), 8);
	p.per_mtok[TC_OUTPUT] = 0;
	ck_assert_int_eq(price_effective(&p, TC_REASONING), 0);
	ck_assert_int_eq(price_effective(&p, TC_IMAGES), 0);
}
END_TEST

/* What lies behind the classes is no token and no price. */
START_TEST(test_nothing_behind)
{
	struct {
		struct price p;
		int64_t behind;
	} price = {no_price(), -2};
	struct {
		struct tokens t;
		int64_t behind;
	} tokens = {{{0}}, -1};
	int64_t cost;

	price.p.per_mtok[TC_INPUT] = 2000000;
	tokens.t.n[TC_INPUT] = 3;
	ck_assert_int_eq(money_cost(&tokens.t, &price.p, &cost), 0);
	ck_assert_int_eq(cost, 6);
	price.behind = tokens.behind = INT64_MAX;
	ck_assert_int_eq(money_cost(&tokens.t, &price.p, &cost), 0);
	ck_assert_int_eq(cost, 6);
	ck_assert_int_eq(tokens_input(&tokens.t), 3);
	ck_assert_int_eq(price_worst_input(&price.p), 2000000);
	ck_assert_int_eq(price_worst_output(&price.p), 0);
}
END_TEST

/* Below nothing is nothing that can be paid, in any class. */
START_TEST(test_negative)
{
	for (int c = 0; c < TC_COUNT; c++) {
		struct tokens t = {{0}};
		struct price p = {{0}};
		int64_t cost;

		ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
		t.n[c] = -1;
		ck_assert_int_eq(money_cost(&t, &p, &cost), ERR_INVALID);
		t.n[c] = 0;
		p.per_mtok[c] = -2;
		ck_assert_int_eq(money_cost(&t, &p, &cost), ERR_INVALID);
	}
}
END_TEST

START_TEST(test_limits)
{
	struct price p = no_price();
	struct tokens t = {{0}};
	int64_t cost = 77;
	int i;

	t.n[TC_AUDIO_IN] = -1;
	ck_assert_int_eq(money_cost(&t, &p, &cost), ERR_INVALID);
	t.n[TC_AUDIO_IN] = 0;
	p.per_mtok[TC_AUDIO_IN] = -2;
	ck_assert_int_eq(money_cost(&t, &p, &cost), ERR_INVALID);
	for (i = 0; i < TC_COUNT; i++) {
		p.per_mtok[i] = INT64_MAX;
		t.n[i] = INT64_MAX;
	}
	ck_assert_int_eq(money_cost(&t, &p, &cost), ERR_TOO_LARGE);
	p = no_price();
	t = (struct tokens){{0}};
	p.per_mtok[TC_INPUT] = INT64_MAX;
	t.n[TC_INPUT] = 1000000;
	ck_assert_int_eq(cost, 77); /* untouched so far */
	ck_assert_int_eq(money_cost(&t, &p, &cost), 0);
	ck_assert(cost == INT64_MAX);
	p.per_mtok[TC_OUTPUT] = 1;
	t.n[TC_OUTPUT] = 1;
	ck_assert_int_eq(money_cost(&t, &p, &cost), ERR_TOO_LARGE);
}
END_TEST

/* The reference adds one token class at a time in whole and remaining
 * millionths, so that it shares no arithmetic with the code. */
START_TEST(test_against_reference)
{
	struct rng_seeded r;
	int n, big = 0;

	rng_seeded_init(&r, 8);
	for (n = 0; n < 100000; n++) {
		unsigned shift = (unsigned)rng_below(&r.rng, 50) + 13;
		struct price p;
		struct tokens t;
		unsigned __int128 nanos = 0;
		uint64_t rest = 0;
		int64_t cost;
		int i, rc;

		for (i = 0; i < TC_COUNT; i++) {
			p.per_mtok[i] = (int64_t)(rng_u64(&r.rng) >> shift);
			t.n[i] = (int64_t)(rng_u64(&r.rng) >>
					   (rng_below(&r.rng, 50) + 13));
			nanos += (unsigned __int128)(t.n[i] / 1000000) *
				 (uint64_t)p.per_mtok[i];
			nanos += (unsigned __int128)(t.n[i] % 1000000) *
				 (uint64_t)(p.per_mtok[i] / 1000000);
			rest += (uint64_t)(t.n[i] % 1000000) *
				(uint64_t)(p.per_mtok[i] % 1000000);
		}
		nanos += rest / 1000000 + (rest % 1000000 != 0);
		rc = money_cost(&t, &p, &cost);
		if (nanos > INT64_MAX) {
			ck_assert_int_eq(rc, ERR_TOO_LARGE);
			big++;
		} else {
			ck_assert_int_eq(rc, 0);
			ck_assert(cost == (int64_t)nanos);
		}
	}
	ck_assert_int_gt(big, 100);
}
END_TEST

/* More tokens never cost less; splitting a request never costs less. */
START_TEST(test_monotonic)
{
	struct rng_seeded r;
	int n;

	rng_seeded_init(&r, 9);
	for (n = 0; n < 20000; n++) {
		struct price p = no_price();
		struct tokens a, b, sum;
		int64_t ca, cb, cs;
		int i;

		p.per_mtok[TC_INPUT] = (int64_t)rng_below(&r.rng, 100000000);
		p.per_mtok[TC_OUTPUT] = (int64_t)rng_below(&r.rng, 100000000);
		for (i = 0; i < TC_COUNT; i++) {
			a.n[i] = (int64_t)rng_below(&r.rng, 10000);
			b.n[i] = (int64_t)rng_below(&r.rng, 10000);
			sum.n[i] = a.n[i] + b.n[i];
		}
		ck_assert_int_eq(money_cost(&a, &p, &ca), 0);
		ck_assert_int_eq(money_cost(&b, &p, &cb), 0);
		ck_assert_int_eq(money_cost(&sum, &p, &cs), 0);
		ck_assert_int_ge(cs, ca);
		ck_assert_int_ge(cs, cb);
		ck_assert_int_le(cs, ca + cb);
		ck_assert_int_ge(cs, ca + cb - 1);
	}
}
END_TEST

START_TEST(test_parse)
{
	static const struct {
		const char *text;
		int64_t nano;
	} good[] = {
	    {"0", 0},
	    {"12.5", INT64_C(12500000000)},
	    {"0.000000001", 1},
	    {"0.10", 100000000},
	    {"007", INT64_C(7000000000)},
	    {"9223372036.854775807", INT64_MAX},
	};
	static const char *const bad[] = {"", ".", ".5", "5.", "-1", "+1",
	    "1e3", "1,5", " 1", "1 ", "1.0000000000", "0x1", "1.2.3", "1..2",
	    "$1", "nan"};
	static const char *const big[] = {"9223372036.854775808", "9223372037",
	    "99999999999999999999999", "10000000000.000000000"};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t v = 5;

		ck_assert_int_eq(money_parse(str_of(good[i].text), &v), 0);
		ck_assert_int_eq(v, good[i].nano);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t v = 5;

		ck_assert_msg(money_parse(str_of(bad[i]), &v) == ERR_INVALID,
		    "%s", bad[i]);
		ck_assert_int_eq(v, 5);
	}
	for (i = 0; i < sizeof(big) / sizeof(big[0]); i++) {
		int64_t v = 5;

		ck_assert_msg(money_parse(str_of(big[i]), &v) == ERR_TOO_LARGE,
		    "%s", big[i]);
		ck_assert_int_eq(v, 5);
	}
}
END_TEST

START_TEST(test_format)
{
	static const struct {
		int64_t nano;
		const char *text;
	} cases[] = {
	    {0, "0.00"},
	    {1, "0.000000001"},
	    {-1, "-0.000000001"},
	    {10000000, "0.01"},
	    {100000000, "0.10"},
	    {1000000000, "1.00"},
	    {INT64_C(12500000000), "12.50"},
	    {INT64_C(12345000000), "12.345"},
	    {INT64_C(-1234567891230), "-1234.56789123"},
	    {INT64_MAX, "9223372036.854775807"},
	    {INT64_MIN, "-9223372036.854775808"},
	};
	struct rng_seeded r;
	char z[32];
	size_t i;
	int n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		money_format(cases[i].nano, z);
		ck_assert_str_eq(z, cases[i].text);
	}
	rng_seeded_init(&r, 10);
	for (n = 0; n < 20000; n++) {
		int64_t v =
		    (int64_t)(rng_u64(&r.rng) >> (rng_below(&r.rng, 63) + 1));
		int64_t back;

		if (rng_below(&r.rng, 2))
			v -= v % 1000000;
		money_format(v, z);
		ck_assert_int_eq(money_parse(str_of(z), &back), 0);
		ck_assert_int_eq(back, v);
		ck_assert_ptr_nonnull(strchr(z, '.'));
		ck_assert_uint_ge(strlen(strchr(z, '.')), 3);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/money");

	UNIT_ADD(s, test_classes);
	UNIT_ADD(s, test_rounding);
	UNIT_ADD(s, test_fallback);
	UNIT_ADD(s, test_units);
	UNIT_ADD(s, test_free_base);
	UNIT_ADD(s, test_nothing_behind);
	UNIT_ADD(s, test_negative);
	UNIT_ADD(s, test_limits);
	UNIT_ADD(s, test_against_reference);
	UNIT_ADD(s, test_monotonic);
	UNIT_ADD(s, test_parse);
	UNIT_ADD(s, test_format);
	return unit_run(s);
}
