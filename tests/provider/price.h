/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prices of the oracle bill. On purpose this shares nothing with
 * common/money.c: a bill that is computed twice by one piece of code proves
 * nothing.
 */
#ifndef TESTS_PROVIDER_PRICE_H
#define TESTS_PROVIDER_PRICE_H

#include <stdbool.h>
#include <stdint.h>

/* The token classes this simulator bills. */
enum sim_class {
	SIM_INPUT,
	SIM_CACHE_READ,
	SIM_CACHE_WRITE,
	SIM_OUTPUT,
	SIM_REASONING,
	SIM_CLASSES
};
extern const char *const sim_class_names[SIM_CLASSES];

/* One effective-dated price. */
struct sim_price_line {
	enum sim_class class;
	int64_t per_mtok; /* nano-USD per million tokens */
	int64_t from, to; /* seconds since 1970; to 0 = open */
};

#define SIM_MAX_PRICES 32

struct sim_prices {
	struct sim_price_line lines[SIM_MAX_PRICES];
	int n_lines;
};

/* Decimal USD text ("2.50") to nano-USD; false when malformed. */
bool sim_price_parse(const char *usd, int64_t *nano);
/* Cost in nano-USD of a request that began at `at` (seconds): the exact sum,
 * rounded up once. A class without a price is priced as input or output. */
int64_t sim_price_cost(
    const struct sim_prices *p, const int64_t tokens[SIM_CLASSES], int64_t at);

#endif
