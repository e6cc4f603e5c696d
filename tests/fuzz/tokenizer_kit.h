/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small vocabulary for tests of the tokenizers, and merging as its
 * definition says, in quadratic time, to compare with.
 */
#ifndef TESTS_FUZZ_TOKENIZER_KIT_H
#define TESTS_FUZZ_TOKENIZER_KIT_H

#include <stdlib.h>

#include "agent/tokenizer/tokenizer_priv.h"

#define KIT_TOKENS 1200

/* Numbers that are the same in every run. */
static inline uint32_t
kit_random(uint32_t *state, uint32_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % n;
}

/* Tokens: all bytes, and unions of tokens of a few characters. mem holds
 * their bytes. */
static inline size_t
kit_tokens(struct str *tokens, char *mem)
{
	static const char first[] = "aabAB 1'/.\n\xc3\xa9\xcc\x81";
	uint32_t state = 1;
	size_t n, i, len;

	for (n = 0; n < 256; n++) {
		mem[n] = (char)n;
		tokens[n] = str_make(mem + n, 1);
	}
	mem += 256;
	while (n < KIT_TOKENS) {
		for (len = 0, i = 0; i < 2; i++) {
			uint32_t k = kit_random(&state, (uint32_t)n + 600);
			struct str part =
			    k >= 256 && k < n
				? tokens[k]
				: str_make(&first[k % (sizeof(first) - 1)], 1);

			memcpy(mem + len, part.p, part.len);
			len += part.len;
		}
		tokens[n] = str_make(mem, len);
		for (i = 0; i < n && !str_eq(tokens[i], tokens[n]); i++)
			;
		if (len > 24 || i < n)
			continue;
		mem += len;
		n++;
	}
	return n;
}

/* A table file of them; false: no memory. */
static inline bool
kit_table(const char *name, struct buf *out)
{
	static struct str tokens[KIT_TOKENS];
	static char mem[KIT_TOKENS * 64];

	return bpe_table_write(
		   name, tokens, kit_tokens(tokens, mem), out, NULL) == 0;
}

/* Tokens of a piece by the definition; ends[i] is where the i-th ends. */
static inline size_t
kit_merge(const struct bpe_table *t, const uint8_t *p, size_t len, size_t *ends)
{
	size_t i, at, start, n = len;
	uint32_t rank, best;

	if (bpe_rank(t, p, len) != BPE_NONE) {
		ends[0] = len;
		return 1;
	}
	for (i = 0; i < n; i++)
		ends[i] = i + 1;
	for (;;) {
		best = BPE_NONE;
		at = 0;
		for (i = 0; i + 1 < n; i++) {
			start = i > 0 ? ends[i - 1] : 0;
			rank = bpe_rank(t, p + start, ends[i + 1] - start);
			if (rank < best) {
				best = rank;
				at = i;
			}
		}
		if (best == BPE_NONE)
			return n;
		memmove(
		    &ends[at], &ends[at + 1], (n - at - 1) * sizeof(ends[0]));
		n--;
	}
}

#endif
