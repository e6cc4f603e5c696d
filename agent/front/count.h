/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of prompts before or without a provider's word: by the tokenizer that
 * the model declares, or by the bytes a token that the model's own answers
 * have shown. They serve rates, count_tokens and estimates, never the worst
 * case that money is reserved for.
 *
 * Invariant: what was learned stays between half and twice what the model
 * declares, whatever clients send and providers report.
 */
#ifndef AGENT_FRONT_COUNT_H
#define AGENT_FRONT_COUNT_H

#include <stdint.h>

#include "agent/dialect/openai.h"

struct front;
struct request;
struct b_model;
struct ir_usage;

/* Bytes of text that admission counts exactly, of one prompt and of all in one
 * turn; what is more goes by the ratio of what was counted: 2.5 ms at most. */
#define COUNT_ADMIT_MAX ((size_t)128 << 10)

/* Bytes a token of one model, as one worker learned them. */
struct count_ratio {
	uint64_t model;	  /* uid, 0 = free */
	int64_t declared; /* thousandths of a byte; a change starts anew */
	int64_t milli;
	uint32_t n_learned, n_seen;
};

#define COUNT_RATIOS 256 /* models; of more, some are not learned */
struct count_ratios {
	struct count_ratio slots[COUNT_RATIOS];
};

/* The ratio to count with, thousandths of a byte a token. */
int64_t count_ratio_of(
    const struct count_ratios *t, uint64_t model, int64_t declared);
/* Is an answer of the model due to be looked at? The first ones, then some. */
bool count_ratio_due(
    struct count_ratios *t, uint64_t model, int64_t declared) MUST_CHECK;
/* bytes of text were `tokens` tokens; both > 0. After count_ratio_due(). */
void count_ratio_learn(
    struct count_ratios *t, uint64_t model, int64_t bytes, int64_t tokens);

/* A counter as the model's tokenizer says, for `left` bytes exactly. */
void count_init(struct front *f, const struct b_model *m, size_t left,
    struct oai_count *ret);
/* Thousandths of a byte a token by which the model's text is counted now; 0:
 * exactly. */
int64_t count_milli_of(struct front *f, const struct b_model *m);
/* Tokens of the request's prompt for that model, within the turn's share of
 * exact counting and no more than max bytes of it. Remembered. */
int64_t count_prompt(struct request *r, const struct b_model *m, size_t max);
/* What the request takes of its key's token rates; 0 where there are none.
 * r->route is known, or NULL. */
int64_t count_for_limits(struct request *r);
/* A whole answer's usage came: compare it with the bytes of its prompt. */
void count_learn(struct request *r, const struct ir_usage *told);

#endif
