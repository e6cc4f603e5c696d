/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's prices: exact, rounded up once, by the line that held; and on
 * generated input the same cost as common/money, which shares no code.
 */
#include "common/money.h"
#include "common/rng.h"
#include "tests/provider/price.h"
#include "tests/unit/support/unit.h"

START_TEST(test_parse)
{
	int64_t n = -1;

	ck_assert(sim_price_parse("2.50", &n));
	ck_assert_int_eq(n, 2500000000);
	ck_assert(sim_price_parse("0.000000001", &n));
	ck_assert_int_eq(n, 1);
	ck_assert(sim_price_parse("7", &n));
	ck_assert_int_eq(n, 7000000000);
	ck_assert(!sim_price_parse("", &n));
	ck_assert(!sim_price_parse("-1", &n));
	ck_assert(!sim_price_parse("1.", &n));
	ck_assert(!sim_price_parse(".5", &n));
	ck_assert(!sim_price_parse("1.0000000001", &n));
	ck_assert(!sim_price_parse("1e3", &n));
	ck_assert(!sim_price_parse("99999999999999999999", &n));
}
END_TEST

START_TEST(test_effective_dates)
{
	struct sim_prices p = {
	    .lines = {{.class = SIM_INPUT, .per_mtok = 300000000, .to = 1000},
		{.class = SIM_INPUT, .per_mtok = 150000000, .from = 1000}},
	    .n_lines = 2};
	int64_t tokens[SIM_CLASSES] = {[SIM_INPUT] = 1000};

	ck_assert_int_eq(sim_price_cost(&p, tokens, "", 999), 300000);
	ck_assert_int_eq(sim_price_cost(&p, tokens, "", 1000), 150000);
}
END_TEST

START_TEST(test_rounds_up_once)
{
	struct sim_prices p = {.lines = {{.class = SIM_INPUT, .per_mtok = 1},
				   {.class = SIM_OUTPUT, .per_mtok = 1}},
	    .n_lines = 2};
	int64_t tokens[SIM_CLASSES] = {0};

	ck_assert_int_eq(sim_price_cost(&p, tokens, "", 0), 0);
	tokens[SIM_INPUT] = 1;
	tokens[SIM_OUTPUT] = 1;
	ck_assert_int_eq(sim_price_cost(&p, tokens, "", 0), 1);
}
END_TEST

START_TEST(test_tiers_and_thresholds)
{
	struct sim_prices p = {
	    .lines = {{.class = SIM_INPUT, .per_mtok = 1000000},
		{.class = SIM_INPUT, .per_mtok = 2000000, .above_tokens = 100},
		{.class = SIM_INPUT, .per_mtok = 5000000, .tier = "priority"},
		{.class = SIM_IMAGES, .per_mtok = 7000000}},
	    .n_lines = 4};
	int64_t tokens[SIM_CLASSES] = {[SIM_INPUT] = 100};

	ck_assert_int_eq(sim_price_cost(&p, tokens, "", 0), 100);
	tokens[SIM_CACHE_READ] = 1; /* counts for the threshold */
	ck_assert_int_eq(sim_price_cost(&p, tokens, "", 0), 202);
	ck_assert_int_eq(sim_price_cost(&p, tokens, "priority", 0), 505);
	ck_assert_int_eq(sim_price_cost(&p, tokens, "flex", 0), 202);
	tokens[SIM_IMAGES] = 2;
	tokens[SIM_CHARACTERS] = 99; /* no price: free */
	ck_assert_int_eq(sim_price_cost(&p, tokens, "", 0), 216);
}
END_TEST

START_TEST(test_against_money)
{
	enum token_class same[SIM_CLASSES];
	struct rng_seeded r;

	for (int c = 0; c < SIM_CLASSES; c++)
		ck_assert_int_eq(
		    token_class_parse(str_of(sim_class_names[c]), &same[c]), 0);
	ck_assert_int_eq(SIM_CLASSES, TC_COUNT);
	rng_seeded_init(&r, 7);
	for (int round = 0; round < 20000; round++) {
		struct sim_prices mine = {.n_lines = 0};
		int64_t tokens[SIM_CLASSES], cost = -1;
		struct tokens t = {{0}};
		struct price theirs;

		for (int c = 0; c < TC_COUNT; c++)
			theirs.per_mtok[c] = -1;
		for (int c = 0; c < SIM_CLASSES; c++) {
			int64_t price =
			    (int64_t)rng_below(&r.rng, 100000000000);

			tokens[c] = (int64_t)rng_below(&r.rng, 1000000);
			t.n[same[c]] = tokens[c];
			/* some classes have no price and fall back */
			if (c != SIM_INPUT && c != SIM_OUTPUT &&
			    rng_below(&r.rng, 3) == 0)
				continue;
			theirs.per_mtok[same[c]] = price;
			mine.lines[mine.n_lines++] = (struct sim_price_line){
			    .class = (enum sim_class)c, .per_mtok = price};
		}
		ck_assert_int_eq(money_cost(&t, &theirs, &cost), 0);
		ck_assert_int_eq(sim_price_cost(&mine, tokens, "", 5), cost);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("provider/price");

	UNIT_ADD(s, test_parse);
	UNIT_ADD(s, test_effective_dates);
	UNIT_ADD(s, test_rounds_up_once);
	UNIT_ADD(s, test_tiers_and_thresholds);
	UNIT_ADD(s, test_against_money);
	return unit_run(s);
}
