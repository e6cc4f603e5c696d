/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes of Unicode characters as the splitting rules of the tokenizers tell
 * them apart. One table, made once a process from the runs in uclass_data.c.
 */
#ifndef AGENT_TOKENIZER_UCLASS_H
#define AGENT_TOKENIZER_UCLASS_H

#include <stddef.h>
#include <stdint.h>

enum uclass {
	UC_OTHER,   /* the rest: punctuation, symbols, controls, no character */
	UC_UPPER,   /* Lu, Lt */
	UC_LOWER,   /* Ll */
	UC_LETTER,  /* Lm, Lo */
	UC_NUMBER,  /* N */
	UC_SPACE,   /* White_Space but CR and LF */
	UC_NEWLINE, /* CR, LF */
	UC_MARK,    /* M */
	UC_END	    /* end of the text; not in the table */
};

#define UCLASS_BLOCK 128 /* characters */

struct uclass_table {
	uint8_t block[0x110000 / UCLASS_BLOCK];
	uint8_t class_of[256][UCLASS_BLOCK];
};

/* Any thread; never NULL, constant. */
const struct uclass_table *uclass_table(void);

static inline enum uclass
uclass_of(const struct uclass_table *t, uint32_t cp)
{
	return (enum uclass)
	    t->class_of[t->block[cp / UCLASS_BLOCK]][cp % UCLASS_BLOCK];
}

/* uclass_data.c: first code point of a run * 8 + class, ascending from 0. */
extern const uint32_t uclass_runs[];
extern const size_t uclass_n_runs;

#endif
