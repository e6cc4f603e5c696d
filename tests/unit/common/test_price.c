/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which price lines hold: dates, tiers, large inputs; and that nothing that an
 * answer can cost is above what was reserved for it.
 */
#include "common/price.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct price_line lines[] = {
    {TC_INPUT, 100, 0, 50, STR(""), 0},
    {TC_INPUT, 110, 50, INT64_MAX, STR(""), 0},
    {TC_INPUT, 220, 50, INT64_MAX, STR(""), 200},
    {TC_OUTPUT, 500, 0, INT64_MAX, STR(""), 0},
    {TC_OUTPUT, 750, 0, INT64_MAX, STR(""), 200},
    {TC_INPUT, 200, 0, INT64_MAX, STR("priority"), 0},
    {TC_OUTPUT, 1000, 0, INT64_MAX, STR("priority"), 0},
    {TC_INPUT, 55, 0, INT64_MAX, STR("flex"), 0},
    {TC_CACHE_READ, 5, 0, INT64_MAX, STR("flex"), 0},
    {TC_INPUT, 600, 0, INT64_MAX, STR("fast"), 0},
    {TC_INPUT, 660, 0, INT64_MAX, STR("fast+us"), 0},
};

static const struct price_line free_of_charge[] = {
    {TC_INPUT, 0, 0, INT64_MAX, STR(""), 0},
    {TC_OUTPUT, 0, 0, INT64_MAX, STR(""), 0},
};

/* In one tier what is read from the cache is free. */
static const struct price_line free_in_tier[] = {
    {TC_INPUT, 100, 0, INT64_MAX, STR(""), 0},
    {TC_OUTPUT, 500, 0, INT64_MAX, STR(""), 0},
    {TC_CACHE_READ, 0, 0, INT64_MAX, STR("flex"), 0},
};

static int64_t
input_at(int64_t at, const char *tier, int64_t n)
{
	struct price p;

	ck_assert(price_at(lines, N(lines), at, str_of(tier), n, true, &p));
	return p.per_mtok[TC_INPUT];
}

START_TEST(test_at)
{
	struct price p;

	ck_assert_int_eq(input_at(49, "", 10), 100);
	ck_assert_int_eq(input_at(50, "", 10), 110);
	ck_assert_int_eq(input_at(50, "", 200), 110); /* not above */
	ck_assert_int_eq(input_at(50, "", 201), 220);
	ck_assert_int_eq(input_at(49, "", 201), 100);
	ck_assert_int_eq(input_at(50, "priority", 10), 200);
	/* a line of the tier wins over a larger standard one */
	ck_assert_int_eq(input_at(50, "priority", 1000), 200);
	ck_assert_int_eq(input_at(50, "unheard", 1000), 220);
	ck_assert_int_eq(input_at(50, "fast", 1), 600);
	ck_assert_int_eq(input_at(50, "fast+us", 1), 660);
	ck_assert_int_eq(input_at(50, "fast+eu", 1), 600);
	ck_assert_int_eq(input_at(50, "us", 1), 110);
	ck_assert(price_at(lines, N(lines), 0, STR("flex"), 1, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_OUTPUT], 500); /* standard */
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], 5);
	ck_assert(price_at(lines, N(lines), 0, STR(""), 1, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], -1);
	ck_assert(!price_at(lines, N(lines), -1, STR(""), 1, true, &p));
	ck_assert(price_at(lines, 1, 0, STR(""), 1, false, &p));
	ck_assert(!price_at(lines, 1, 0, STR(""), 1, true, &p));
	/* A price of nothing is a price. */
	ck_assert(price_at(free_of_charge, 2, 0, STR(""), 1, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_OUTPUT], 0);
}
END_TEST

/* Agent and control plane take the same of two that differ in nothing. */
START_TEST(test_same_start)
{
	const struct price_line v[] = {
	    {TC_INPUT, 300, 10, INT64_MAX, STR(""), 0},
	    {TC_INPUT, 100, 20, INT64_MAX, STR(""), 0},
	    {TC_INPUT, 200, 20, INT64_MAX, STR(""), 0},
	    {TC_INPUT, 400, 10, INT64_MAX, STR(""), 0},
	};
	struct price p;

	ck_assert(price_at(v, N(v), 20, STR(""), 1, false, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 200);
}
END_TEST

START_TEST(test_bound)
{
	struct price p;

	ck_assert(price_bound(lines, N(lines), 50, STR(""), 200, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 200); /* priority unasked */
	ck_assert_int_eq(p.per_mtok[TC_OUTPUT], 1000);
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], -1);
	ck_assert(price_bound(lines, N(lines), 50, STR(""), 201, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 220);
	/* flex has a price for cached input, standard takes that of input */
	ck_assert(price_bound(lines, N(lines), 50, STR("flex"), 10, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], 200);
	ck_assert(price_bound(
	    free_in_tier, N(free_in_tier), 50, STR("flex"), 10, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], 100);
	ck_assert(price_bound(lines, N(lines), 50, STR("fast"), 10, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 660);
	ck_assert(
	    price_bound(lines, N(lines), 50, STR("*"), INT64_MAX, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 660);
}
END_TEST

/* Without input tokens (an image, a search) the lines hold that hold from the
 * first token on; those above 0 of nothing else. */
START_TEST(test_no_input)
{
	struct price p;

	ck_assert_int_eq(input_at(50, "", 0), 110);
	ck_assert(price_bound(lines, N(lines), 50, STR("flex"), 0, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_OUTPUT], 1000);
}
END_TEST

/* The border of large inputs, in both. */
START_TEST(test_above)
{
	const struct price_line v[] = {
	    {TC_INPUT, 100, 0, INT64_MAX, STR(""), 0},
	    {TC_INPUT, 900, 0, INT64_MAX, STR(""), 200},
	};
	struct price p;

	for (int64_t n = 199; n <= 201; n++) {
		ck_assert(price_at(v, 2, 0, STR(""), n, false, &p));
		ck_assert_int_eq(p.per_mtok[TC_INPUT], n > 200 ? 900 : 100);
		ck_assert(price_bound(v, 2, 0, STR(""), n, false, &p));
		ck_assert_int_eq(p.per_mtok[TC_INPUT], n > 200 ? 900 : 100);
	}
	ck_assert(price_at(v, 1, 0, STR(""), 201, false, &p)); /* one line */
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 100);
	ck_assert(price_bound(v, 1, 0, STR(""), 201, false, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 100);
}
END_TEST

/* A line holds from its first instant until before its last. */
START_TEST(test_instants)
{
	const struct price_line v[] = {
	    {TC_INPUT, 100, 10, 20, STR(""), 0},
	    {TC_INPUT, 300, 20, 30, STR(""), 0},
	};
	static const struct {
		int64_t at, price;
	} t[] = {{9, -1}, {10, 100}, {19, 100}, {20, 300}, {29, 300}, {30, -1}};

	for (size_t i = 0; i < N(t); i++) {
		struct price p;

		ck_assert(price_at(v, 2, t[i].at, STR(""), 1, false, &p) ==
			  (t[i].price >= 0));
		ck_assert_int_eq(p.per_mtok[TC_INPUT], t[i].price);
		ck_assert(price_bound(v, 2, t[i].at, STR(""), 1, false, &p) ==
			  (t[i].price >= 0));
		ck_assert_int_eq(p.per_mtok[TC_INPUT], t[i].price);
	}
}
END_TEST

/* Input that is only priced in another tier costs the dearest of its side
 * where an answer is of the standard one: that is reserved. */
START_TEST(test_base_elsewhere)
{
	const struct price_line v[] = {
	    {TC_CACHE_READ, 300, 0, INT64_MAX, STR(""), 0},
	    {TC_INPUT, 100, 0, INT64_MAX, STR("flex"), 0},
	    {TC_OUTPUT, 10, 0, INT64_MAX, STR(""), 0},
	    {TC_REASONING, 5, 0, INT64_MAX, STR("flex"), 0},
	    {TC_AUDIO_OUT, 7, 0, INT64_MAX, STR(""), 100},
	};
	struct price p;

	ck_assert(price_bound(v, N(v), 0, STR("flex"), 1000, true, &p));
	ck_assert_int_eq(p.per_mtok[TC_INPUT], 300);
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], 300);
	ck_assert_int_eq(p.per_mtok[TC_REASONING], 10);
	ck_assert_int_eq(p.per_mtok[TC_AUDIO_OUT], 10); /* up to 100 */
	ck_assert_int_eq(p.per_mtok[TC_OUTPUT], 10);
}
END_TEST

/* What has a standard line from the first token on is reserved at that, not at
 * the dearer price of its base: else cached input would block wrongly. */
START_TEST(test_own_line)
{
	const struct price_line v[] = {
	    {TC_INPUT, 100, 0, INT64_MAX, STR(""), 0},
	    {TC_CACHE_READ, 10, 0, INT64_MAX, STR(""), 0},
	    {TC_CACHE_WRITE_5M, 20, 0, INT64_MAX, STR(""), 5},
	    {TC_CACHE_WRITE_1H, 30, 0, INT64_MAX, STR("priority"), 0},
	};
	struct price p;

	ck_assert(price_bound(v, N(v), 0, STR(""), 1000, false, &p));
	ck_assert_int_eq(p.per_mtok[TC_CACHE_READ], 10);
	ck_assert_int_eq(p.per_mtok[TC_CACHE_WRITE_5M], 100);
	ck_assert_int_eq(p.per_mtok[TC_CACHE_WRITE_1H], 100);
}
END_TEST

/* Each class is written, whatever was there before, and nothing behind. */
START_TEST(test_all_written)
{
	struct {
		struct price p;
		int64_t behind;
	} ret;

	for (int i = 0; i < 4; i++) {
		bool bound = i % 2 == 1;
		int64_t behind = i < 2 ? 0 : INT64_C(0x1111111111111111);

		memset(&ret, 0x11, sizeof(ret));
		ret.behind = behind;
		ck_assert((bound ? price_bound : price_at)(
		    lines, N(lines), 50, STR("priority"), 1, true, &ret.p));
		ck_assert_int_eq(ret.p.per_mtok[TC_INPUT], 200);
		ck_assert_int_eq(ret.p.per_mtok[TC_OUTPUT], 1000);
		for (int c = 0; c < TC_COUNT; c++)
			if (c != TC_INPUT && c != TC_OUTPUT)
				ck_assert_int_eq(ret.p.per_mtok[c], -1);
		ck_assert_int_eq(ret.behind, behind);
	}
}
END_TEST

static const char *const tiers[] = {"", "priority", "flex", "us", "fast",
    "fast+us", "priority+us", "ultrafast"};

/* May an answer be of this tier when `asked` was asked for? */
static bool
possible(const char *tier, const char *asked)
{
	struct str base, place;

	(void)str_cut(str_of(tier), '+', &base, &place);
	if (str_eqz(base, "fast") || str_eqz(base, "flex") ||
	    str_eqz(base, "ultrafast"))
		return str_eqz(base, asked);
	return true;
}

START_TEST(test_bound_holds)
{
	struct rng_seeded r;

	rng_seeded_init(&r, 77);
	for (int round = 0; round < 20000; round++) {
		struct price_line v[24];
		size_t n = 1 + rng_below(&r.rng, N(v));
		const char *asked = tiers[rng_below(&r.rng, N(tiers))];
		const char *tier = tiers[rng_below(&r.rng, N(tiers))];
		int64_t max = (int64_t)rng_below(&r.rng, 30);
		int64_t input = (int64_t)rng_below(&r.rng, (uint64_t)max + 1);
		struct price bound, p;
		bool known;

		for (size_t i = 0; i < n; i++)
			v[i] = (struct price_line){
			    .cls =
				(enum token_class)rng_below(&r.rng, TC_COUNT),
			    .per_mtok = (int64_t)rng_below(&r.rng, 1000),
			    .from = (int64_t)rng_below(&r.rng, 3),
			    .to = 2 + (int64_t)rng_below(&r.rng, 3),
			    .tier = str_of(tiers[rng_below(&r.rng, N(tiers))]),
			    .above_tokens = (int64_t)rng_below(&r.rng, 3) * 10,
			};
		if (strchr(asked, '+') != NULL || !possible(tier, asked))
			continue;
		(void)price_at(v, n, 2, str_of(tier), input, false, &p);
		known = price_bound(v, n, 2, str_of(asked), max, false, &bound);
		for (int c = 0; c < TC_COUNT; c++)
			if (p.per_mtok[c] >= 0 || known)
				ck_assert_int_ge(price_effective(&bound,
						     (enum token_class)c),
				    p.per_mtok[TC_INPUT] < 0 ||
					    p.per_mtok[TC_OUTPUT] < 0
					? p.per_mtok[c]
					: price_effective(
					      &p, (enum token_class)c));
		ck_assert_int_ge(
		    price_worst_input(&bound), price_worst_input(&p));
		ck_assert_int_ge(
		    price_worst_output(&bound), price_worst_output(&p));
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/price");

	UNIT_ADD(s, test_at);
	UNIT_ADD(s, test_same_start);
	UNIT_ADD(s, test_bound);
	UNIT_ADD(s, test_no_input);
	UNIT_ADD(s, test_above);
	UNIT_ADD(s, test_instants);
	UNIT_ADD(s, test_base_elsewhere);
	UNIT_ADD(s, test_own_line);
	UNIT_ADD(s, test_all_written);
	UNIT_ADD(s, test_bound_holds);
	return unit_run(s);
}
