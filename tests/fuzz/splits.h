/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to cut an input into pieces, for targets of machines that take bytes
 * as they come: what such a machine says must not depend on the cuts. A fuzzer
 * tries one way that the input names; the replay of a corpus (replay_main.c)
 * tries them all: cut in two at every place, and byte by byte.
 */
#ifndef TESTS_FUZZ_SPLITS_H
#define TESTS_FUZZ_SPLITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pieces: one of `first` bytes, then of `step` each. */
struct split {
	size_t first, step;
};
#define SPLIT_WHOLE ((struct split){SIZE_MAX, SIZE_MAX})

/* Length of the piece at `at` of len bytes. */
static inline size_t
split_piece(const struct split *s, size_t at, size_t len)
{
	size_t n = at == 0 ? s->first : s->step;

	return n < len - at ? n : len - at;
}

struct splits {
	size_t len, cut;
	bool every;
};

/* Defined where every split is to be tried. */
extern const char splits_every[] __attribute__((weak));

/* The first way to cut len bytes into *s: pieces of `step` (> 0). */
static inline struct splits
splits_begin(size_t len, size_t step, struct split *s)
{
	*s = (struct split){step, step};
	return (struct splits){len, 0, splits_every != NULL};
}

/* The next way; false: that was the last one. */
static inline bool
splits_next(struct splits *it, struct split *s)
{
	if (!it->every || it->cut >= it->len)
		return false;
	if (++it->cut == it->len)
		*s = (struct split){1, 1};
	else
		*s = (struct split){it->cut, SIZE_MAX};
	return true;
}

#endif
