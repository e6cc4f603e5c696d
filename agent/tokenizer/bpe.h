/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second step of tokenizing: the bytes of a piece are merged, always the
 * adjacent pair whose union has the lowest rank, the leftmost of equals, until
 * no union is a token. Short pieces are searched pair by pair; long ones use
 * a heap, so that no input takes quadratic time.
 */
#ifndef AGENT_TOKENIZER_BPE_H
#define AGENT_TOKENIZER_BPE_H

#include "agent/tokenizer/bpe_table.h"

/* Working memory of one thread, grown as pieces need it: 28 bytes a byte of
 * the longest piece so far. */
struct bpe_scratch {
	void *mem;
	size_t cap; /* bytes of a piece that fit */
};

void bpe_scratch_release(struct bpe_scratch *s);

/* Number of tokens of a piece of 1 to UINT32_MAX / 64 bytes. ids (NULL: only
 * count) has room for len of them. ERR_NOMEM, with *n untouched. */
int bpe_piece(const struct bpe_table *t, struct bpe_scratch *s,
    const uint8_t *p, size_t len, uint32_t *ids, size_t *n) MUST_CHECK;

#endif
