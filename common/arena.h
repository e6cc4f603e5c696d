/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: memory of one request or one message; freed all at once. Not
 * thread-safe. The total is limited when the arena is made.
 */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/str.h"

struct arena_block;
struct arena {
	struct arena_block *head;
	size_t used;  /* bytes handed out */
	size_t max;   /* limit for used */
	size_t chunk; /* size of a fresh block */
	bool failed;  /* memory ran out since init or clear */
};

void arena_init(struct arena *a, size_t chunk, size_t max);
void arena_release(struct arena *a);
void arena_clear(struct arena *a); /* keeps the first block */
/* 16-byte aligned, not zeroed; NULL at the limit or without memory. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc));
void *arena_zalloc(struct arena *a, size_t n) __attribute__((malloc));
char *arena_strdup(struct arena *a, struct str s); /* NUL-terminated */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
