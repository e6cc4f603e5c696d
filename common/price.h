/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Price lines: effective-dated unit prices of token classes, for service
 * tiers and for large inputs. Which of them hold for a request is decided
 * here, by one piece of code for agent and control plane.
 */
#ifndef COMMON_PRICE_H
#define COMMON_PRICE_H

#include "common/money.h"

struct price_line {
	enum token_class cls;
	int64_t per_mtok, from, to; /* instants; to = INT64_MAX when open */
	struct str tier;	    /* "" = standard */
	int64_t above_tokens;	    /* 0 = from the first token on */
};

/*
 * The price at instant `at` of an answer of this tier whose whole input
 * (tokens_input()) is `input`. In each class the first of these wins:
 *   1. a line of the tier, over one of its part before '+' ("fast" for
 *      "fast+us"), over a standard one;
 *   2. of these, the line with the highest above_tokens that is less than
 *      input;
 *   3. of these, the one that began last;
 *   4. of these, the last of `lines`.
 * Classes without a line get -1. False when input, or output with need_output,
 * has no price: then nothing is known.
 */
bool price_at(const struct price_line *lines, size_t n, int64_t at,
    struct str tier, int64_t input, bool need_output, struct price *ret);

/*
 * For reservations: the dearest that price_at() can say for any input of at
 * most max_input tokens. tier: what the request asks for, "" = nothing. Lines
 * of tiers that must be asked for ("fast", "ultrafast", "flex", "batch") only
 * count when it does; all others may be given unasked. tier "*" = any.
 * Every class is at least as dear as in any such answer, with fall-backs
 * (price_effective()).
 */
bool price_bound(const struct price_line *lines, size_t n, int64_t at,
    struct str tier, int64_t max_input, bool need_output, struct price *ret);

#endif
