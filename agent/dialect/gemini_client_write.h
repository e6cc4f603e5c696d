/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of Gemini answers and its log probabilities. Private to
 * gemini_client_*.c.
 */
#ifndef AGENT_DIALECT_GEMINI_CLIENT_WRITE_H
#define AGENT_DIALECT_GEMINI_CLIENT_WRITE_H

#include "agent/dialect/codec.h"

#define GEMC_MAX_HELD	 ((size_t)64 << 20)
#define GEMC_MAX_BLOCKS	 4096 /* kept together */
#define GEMC_MAX_CHOICES 8

struct gemc_block {
	struct gemc_block *next;
	unsigned choice, block;
	enum ir_part_type part;
	bool stopped;
	struct buf id, name; /* esc */
	struct buf text;     /* esc: held back */
	struct buf sig;	     /* esc: held back */
};

struct gemc_choice {
	bool seen, refused;
	unsigned n_parts;
	enum ir_finish finish;
	struct buf logprobs; /* entries in the neutral shape, by commas */
};

struct answer_writer {
	struct answer_opts o;
	struct buf *out;
	struct buf tail; /* what ends every chunk */
	struct gemc_block *head, *tail_block;
	struct gemc_choice choices[GEMC_MAX_CHOICES];
	unsigned n_blocks;
	uint64_t n_chunks;
	size_t held;
	const char *block_reason;
	struct ir_usage usage;
	bool usage_new, done;
};

/* logprobsResult from OpenAI's entries (without the array's brackets). */
void gemc_logprobs_write(struct buf *out, struct str entries);

#endif
