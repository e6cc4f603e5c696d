/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer consists of, decided before its first byte: thinking, text,
 * tool calls, a refusal, and into how many events each is cut. The same
 * request in two dialects gets the same plan.
 */
#ifndef TESTS_PROVIDER_PLAN_H
#define TESTS_PROVIDER_PLAN_H

#include "common/buf.h"
#include "tests/provider/scan.h"

struct exchange;
struct json_t;

#define PLAN_MAX_CALLS	32
#define PLAN_MAX_BLOCKS (PLAN_MAX_CALLS + 8)

enum block_type {
	BLOCK_THINKING,
	BLOCK_REDACTED,
	BLOCK_TEXT,
	BLOCK_REFUSAL,
	BLOCK_CALL
};

struct block {
	enum block_type type;
	int call;	      /* BLOCK_CALL: which */
	int64_t from, tokens; /* words of the seed's text */
	int64_t ev, n_ev;     /* its events in the stream, first and number */
};

struct plan_slice {
	uint32_t at, len; /* in the exchange's blob */
};

struct plan {
	struct block blocks[PLAN_MAX_BLOCKS];
	int n_blocks;
	int64_t n_thinking; /* events of thinking, they come first */
	int n_calls;
	struct {
		struct plan_slice name, args;
	} calls[PLAN_MAX_CALLS];
	bool json;		  /* the text is `answer` */
	struct plan_slice answer; /* JSON text */
};

/* Fills x->plan, x->blob and x->n_events (of one choice). content: tokens that
 * are text or arguments. */
void plan_make(struct exchange *x, const struct scan *s, int64_t content);
/* The block that content event `at` (of one choice) belongs to; *i its number
 * within the block. */
const struct block *plan_find(const struct exchange *x, int64_t at, int64_t *i);
/* Piece i of a block as content of a JSON string; i -1: all of it. Of a call:
 * its arguments. */
void plan_text(const struct exchange *x, int64_t choice, const struct block *b,
    int64_t i, struct buf *out);
/* The arguments of a call, a JSON object. */
struct str plan_args(const struct exchange *x, int call);
struct str plan_name(const struct exchange *x, int call);
/* prefix and what makes the call's id unique. */
void plan_call_id(
    const struct exchange *x, const char *prefix, int call, struct buf *out);

/* Signatures of thinking: proof that a text came from here. kind is a letter
 * of the dialect's choice. sign_add appends base64. */
void sign_add(struct buf *out, uint64_t seed, char kind, struct str text);
bool sign_check(struct str sig, char kind, struct str text);
/* The thinking of a block, not escaped (it needs no escape). */
void sign_add_block(const struct exchange *x, const struct block *b, char kind,
    struct buf *out);

#endif
