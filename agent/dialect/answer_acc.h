/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer writer remembers of an answer: its choices and its blocks,
 * with the text of those that are needed again (plain answers, closing frames
 * of streams). Bounded in bytes, blocks and choices. Single-threaded.
 */
#ifndef AGENT_DIALECT_ANSWER_ACC_H
#define AGENT_DIALECT_ANSWER_ACC_H

#include "agent/dialect/ir.h"
#include "common/json.h"

#define ACC_MAX_BYTES	((size_t)64 << 20)
#define ACC_MAX_BLOCKS	16384
#define ACC_MAX_CHOICES 128

/* The slices are esc, but logprobs: elements of an array, with commas. */
struct acc_block {
	unsigned choice, block;
	enum ir_part_type part;
	unsigned index; /* the writer's: of the call, of the item */
	bool open;
	bool hidden;   /* the writer's: says nothing of it */
	bool any;      /* a delta came */
	struct buf id; /* of the call */
	struct buf name, text, signature, logprobs;
};

struct acc_choice {
	unsigned choice;
	unsigned n_calls;
	bool started, has_text, finished;
	enum ir_finish finish;
};

struct acc {
	struct acc_block **blocks; /* in the order of their start */
	unsigned n_blocks, cap_blocks;
	struct acc_choice *choices; /* sorted */
	unsigned n_choices, cap_choices;
	size_t used; /* bytes of texts */
	size_t max;
};

void acc_init(struct acc *a, size_t max);
void acc_release(struct acc *a);
/* A block starts; id and name are kept. ERR_TOO_LARGE, ERR_NOMEM. */
int acc_open(struct acc *a, const struct ir_event *ev,
    struct acc_block **ret) MUST_CHECK;
/* NULL when there is none. */
struct acc_block *acc_find(
    const struct acc *a, unsigned choice, unsigned block);
/* Append to a buf of a block. ERR_TOO_LARGE, ERR_NOMEM. */
int acc_add(struct acc *a, struct buf *to, struct str s) MUST_CHECK;
/* Append logprobs: a JSON array. */
int acc_add_logprobs(
    struct acc *a, struct acc_block *b, struct str json) MUST_CHECK;
/* Forget a block. */
void acc_drop(struct acc *a, struct acc_block *b);
/* The choice, made when it is new. ERR_TOO_LARGE, ERR_NOMEM. */
int acc_choice(
    struct acc *a, unsigned choice, struct acc_choice **ret) MUST_CHECK;
/* The elements of a JSON array: without brackets and outer space. */
struct str acc_elements(struct str json);
/* The tier that was billed in OpenAI's words, "" = standard or not one of
 * them. u may be NULL. */
struct str acc_openai_tier(const struct ir_usage *u);

#endif
