/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to tokenizer: what its files share.
 */
#ifndef AGENT_TOKENIZER_TOKENIZER_PRIV_H
#define AGENT_TOKENIZER_TOKENIZER_PRIV_H

#include "agent/tokenizer/bpe.h"
#include "agent/tokenizer/split.h"
#include "agent/tokenizer/tokenizer.h"

struct tokenizer {
	struct bpe_table table;
	const struct uclass_table *classes;
	enum split_rule rule;
};

struct tokenizer_scratch {
	struct bpe_scratch bpe;
	char text[TOKENIZER_PIECE_MAX]; /* unescaped JSON */
};

/* Unescape from *p (inside a valid JSON string) into at most cap bytes of
 * dst, whole characters only; moves *p. */
size_t token_unescape(const char **p, const char *end, char *dst, size_t cap);

#endif
