/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words that the simulator says: one token is one short word with its
 * leading space, all plain ASCII that needs no escape in JSON, so that a
 * piece of an answer is one slice of a prepared text.
 */
#ifndef TESTS_PROVIDER_TEXT_H
#define TESTS_PROVIDER_TEXT_H

#include <stdint.h>

#include "common/buf.h"

/* Once, before threads start. */
void text_init(void);
/* Append tokens [from, from + n) of the endless text that `seed` picks. */
void text_add(struct buf *out, uint64_t seed, int64_t from, int64_t n);
/* A 64-bit hash: the source of everything that looks random here. */
uint64_t text_hash(struct str s, uint64_t seed);
/* One step of a generator (SplitMix64). */
uint64_t text_next(uint64_t *state);

#endif
