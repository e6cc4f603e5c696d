/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First step of tokenizing: text is cut into pieces, and no token crosses a
 * cut. OpenAI defines the cuts by regular expressions; here they are written
 * by hand, because the expressions are fixed, code without a regex engine
 * needs no writable and executable memory, and it is linear by construction.
 *
 * cl100k_base:
 *	(?i:'s|'t|'re|'ve|'m|'ll|'d)
 *	|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
 *	|\s+$|\s*[\r\n]|\s+(?!\S)|\s
 * o200k_base, with A = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}],
 * B = [\p{Ll}\p{Lm}\p{Lo}\p{M}], C = (?i:'s|'t|'re|'ve|'m|'ll|'d)?:
 *	[^\r\n\p{L}\p{N}]?A*B+C|[^\r\n\p{L}\p{N}]?A+B*C|\p{N}{1,3}
 *	| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * \s is the property White_Space; (?i) folds U+017F (long s) with s. A byte
 * that is not well-formed UTF-8 counts as a symbol of its own.
 */
#ifndef AGENT_TOKENIZER_SPLIT_H
#define AGENT_TOKENIZER_SPLIT_H

#include <stdbool.h>

#include "agent/tokenizer/uclass.h"
#include "common/str.h"

enum split_rule { SPLIT_CL100K, SPLIT_O200K };

/* The piece at the start of text, which is not empty; at least one byte. It
 * does not depend on what came before. *open: it ends where it does because
 * the text ends, or what follows was needed and is not there. Any thread. */
size_t split_piece(const struct uclass_table *table, enum split_rule rule,
    struct str text, bool *open);

#endif
