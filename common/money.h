/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money: int64 nano-USD (1 USD = 1e9), 128-bit intermediates, rounded up once
 * per request. Never floating point. Shared by agent, control plane and
 * tests, so that a request is priced by one piece of code.
 */
#ifndef COMMON_MONEY_H
#define COMMON_MONEY_H

#include <stdint.h>

#include "common/str.h"

/*
 * Disjoint token classes; numbers are on the wire and in the database. New
 * ones go to the end. Some are not tokens but other units that are paid for:
 * their prices are per million of them as well, and they have no fall-back:
 * without a price line they cost nothing (token_class_is_unit).
 */
#define TOKEN_CLASS_TABLE(X)                                                \
	X(TC_INPUT, 0, "input", "uncached input")                           \
	X(TC_CACHE_READ, 1, "cache_read", "input read from the cache")      \
	X(TC_CACHE_WRITE_5M, 2, "cache_write_5m", "cache write, 5 minutes") \
	X(TC_CACHE_WRITE_1H, 3, "cache_write_1h", "cache write, 1 hour")    \
	X(TC_OUTPUT, 4, "output", "output without reasoning")               \
	X(TC_REASONING, 5, "reasoning", "reasoning output")                 \
	X(TC_AUDIO_IN, 6, "audio_in", "audio input")                        \
	X(TC_AUDIO_OUT, 7, "audio_out", "audio output")                     \
	X(TC_IMAGE_IN, 8, "image_in", "image input")                        \
	X(TC_IMAGE_OUT, 9, "image_out", "image output")                     \
	X(TC_WEB_SEARCH, 10, "web_search", "searches by server tools")      \
	X(TC_AUDIO_SECONDS, 11, "audio_seconds", "seconds of audio")        \
	X(TC_CHARACTERS, 12, "characters", "characters spoken")             \
	X(TC_IMAGES, 13, "images", "images made")                           \
	X(TC_SEARCH_UNITS, 14, "search_units", "units of reranking")        \
	X(TC_AUDIO_CACHE_READ, 15, "audio_cache_read", "cached audio input")

enum token_class {
#define X(e, num, name, text) e = num,
	TOKEN_CLASS_TABLE(X)
#undef X
	    TC_COUNT
};
const char *token_class_name(enum token_class c);
int token_class_parse(struct str s, enum token_class *ret) MUST_CHECK;

struct tokens {
	int64_t n[TC_COUNT];
};

/* Is the class counted in units other than tokens? */
bool token_class_is_unit(enum token_class c);
/* Tokens of the whole input: what above_tokens of a price line is compared
 * with, by agent and control plane alike. Counts must not be negative. */
int64_t tokens_input(const struct tokens *t);

/* nano-USD per 1,000,000 tokens or units, per class; -1 = the model has no
 * price for that class (then reasoning is priced as output, cache_* and the
 * other input classes as input, cached audio as cache_read, other outputs as
 * output, units not at all). */
struct price {
	int64_t per_mtok[TC_COUNT];
};

/* Cost in nano-USD: ceil(sum(n * per_mtok) / 1e6). ERR_INVALID on a negative
 * count, ERR_TOO_LARGE on overflow of int64. */
int money_cost(
    const struct tokens *t, const struct price *p, int64_t *cost) MUST_CHECK;
/* What a token of class c costs, after the fall-backs above; a class whose
 * fall-back has no price either costs the dearest of its side (0 if none).
 * A unit without a price of its own costs 0. */
int64_t price_effective(const struct price *p, enum token_class c);
/* The dearest price among input classes / output classes, for worst cases.
 * Units are on neither side. */
int64_t price_worst_input(const struct price *p);
int64_t price_worst_output(const struct price *p);

/* "12.5" or "0.000000001" USD -> nano-USD; at most 9 decimals, no sign, no
 * exponent; ERR_INVALID, or ERR_TOO_LARGE beyond int64. Format is exact with
 * at least 2 decimals. */
int money_parse(struct str s, int64_t *nano) MUST_CHECK;
void money_format(int64_t nano, char dst[32]);

#endif
