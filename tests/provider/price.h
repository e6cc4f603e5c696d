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

/* X(enum, name, kind): what this simulator bills; disjoint. */
#define SIM_CLASS_TABLE(X)                                    \
	X(SIM_INPUT, "input", SIM_IS_INPUT)                   \
	X(SIM_CACHE_READ, "cache_read", SIM_IS_INPUT)         \
	X(SIM_CACHE_WRITE, "cache_write_5m", SIM_IS_INPUT)    \
	X(SIM_CACHE_WRITE_1H, "cache_write_1h", SIM_IS_INPUT) \
	X(SIM_OUTPUT, "output", SIM_IS_OUTPUT)                \
	X(SIM_REASONING, "reasoning", SIM_IS_OUTPUT)          \
	X(SIM_AUDIO_IN, "audio_in", SIM_IS_INPUT)             \
	X(SIM_AUDIO_OUT, "audio_out", SIM_IS_OUTPUT)          \
	X(SIM_IMAGE_IN, "image_in", SIM_IS_INPUT)             \
	X(SIM_IMAGE_OUT, "image_out", SIM_IS_OUTPUT)          \
	X(SIM_WEB_SEARCH, "web_search", SIM_IS_UNIT)          \
	X(SIM_AUDIO_SECONDS, "audio_seconds", SIM_IS_UNIT)    \
	X(SIM_CHARACTERS, "characters", SIM_IS_UNIT)          \
	X(SIM_IMAGES, "images", SIM_IS_UNIT)                  \
	X(SIM_SEARCH_UNITS, "search_units", SIM_IS_UNIT)      \
	X(SIM_AUDIO_CACHE_READ, "audio_cache_read", SIM_IS_INPUT)

enum sim_class {
#define X(e, name, kind) e,
	SIM_CLASS_TABLE(X)
#undef X
	    SIM_CLASSES
};
extern const char *const sim_class_names[SIM_CLASSES];

/* One effective-dated price. */
struct sim_price_line {
	enum sim_class class;
	int64_t per_mtok;     /* nano-USD per million tokens or units */
	int64_t from, to;     /* seconds since 1970; to 0 = open */
	int64_t above_tokens; /* for requests with more input than this */
	char tier[24];	      /* "" = for every tier without a line */
};

#define SIM_MAX_PRICES 64

struct sim_prices {
	struct sim_price_line lines[SIM_MAX_PRICES];
	int n_lines;
};

/* Decimal USD text ("2.50") to nano-USD; false when malformed. */
bool sim_price_parse(const char *usd, int64_t *nano);
/* Cost in nano-USD of a request in a tier ("" = standard) that began at `at`
 * (seconds): the exact sum, rounded up once. A class of tokens without a price
 * is priced as input or output (cached audio as cached input), a unit
 * without a price is free. */
int64_t sim_price_cost(const struct sim_prices *p,
    const int64_t tokens[SIM_CLASSES], const char *tier, int64_t at);

#endif
