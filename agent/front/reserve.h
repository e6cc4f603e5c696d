/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is reserved for a request: the dearest price that its answer can have,
 * the amount for its worst case, and how much of an answer fits into less.
 * Pure: no request, no leases, any thread.
 */
#ifndef AGENT_FRONT_RESERVE_H
#define AGENT_FRONT_RESERVE_H

#include "agent/config/bundle.h"
#include "agent/dialect/scan.h"
#include "common/json.h"

/* The price that bounds the answer's: of the tiers that body (its JSON root;
 * of type JSON_NULL where there is none to read) asks for or may be given, up
 * to worst->n[TC_INPUT] tokens of input where the body is all of it. False:
 * the model has no price at that wall time. */
bool reserve_price(const struct b_model *m, int64_t at, const struct scan *q,
    struct json body, const struct tokens *worst, struct price *ret) MUST_CHECK;

/* nano-USD that worst costs at most, rounded up. False when it is more than
 * money can be counted in. */
bool reserve_amount(const struct tokens *worst, const struct price *p,
    int64_t *amount) MUST_CHECK;

/* nano-USD that an answer costs at most whose input was told: `input` tokens of
 * known classes, `unknown` ones of any, and `output` tokens. False as above. */
bool reserve_told(const struct tokens *input, int64_t unknown, int64_t output,
    const struct price *p, int64_t *amount) MUST_CHECK;

/* The most output tokens, over all choices, with which worst costs no more
 * than `amount`; negative when not even its input fits. INT64_MAX where output
 * costs nothing. */
int64_t reserve_fit(
    const struct tokens *worst, const struct price *p, int64_t amount);

#endif
