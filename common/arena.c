/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: blocks in a list, the one being filled first. A request larger than
 * a chunk gets a block of its own behind the current one, so that the rest of
 * the current block is not lost.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/arena.h"

#define ARENA_ALIGN 16

struct arena_block {
	struct arena_block *next;
	size_t cap;  /* bytes in data */
	size_t used; /* bytes of data handed out */
	_Alignas(ARENA_ALIGN) char data[];
};

void
arena_init(struct arena *a, size_t chunk, size_t max)
{
	*a = (struct arena){.max = max, .chunk = chunk < 64 ? 64 : chunk};
}

void
arena_release(struct arena *a)
{
	struct arena_block *b, *next;

	for (b = a->head; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	arena_init(a, a->chunk, a->max);
}

void
arena_clear(struct arena *a)
{
	struct arena_block *keep = NULL;
	struct arena_block *b, *next;

	/* The block kept is one of the usual size, if there is any. */
	for (b = a->head; b != NULL; b = next) {
		next = b->next;
		if (keep == NULL && b->cap == a->chunk)
			keep = b;
		else
			free(b);
	}
	if (keep != NULL) {
		keep->next = NULL;
		keep->used = 0;
	}
	a->head = keep;
	a->used = 0;
	a->failed = false;
}

static struct arena_block *
arena_block_new(struct arena *a, size_t need)
{
	size_t cap = need > a->chunk ? need : a->chunk;
	struct arena_block *b;

	if (cap > SIZE_MAX - sizeof(*b))
		return NULL;
	b = malloc(sizeof(*b) + cap);
	if (b == NULL)
		return NULL;
	b->cap = cap;
	b->used = 0;
	if (need > a->chunk && a->head != NULL) {
		b->next = a->head->next;
		a->head->next = b;
	} else {
		b->next = a->head;
		a->head = b;
	}
	return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;
	void *p;

	if (n > a->max - a->used) /* also keeps the rounding from wrapping */
		return NULL;
	n = n == 0 ? ARENA_ALIGN
		   : (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (n == 0 || n > a->max - a->used)
		return NULL;
	if (b == NULL || n > b->cap - b->used) {
		b = arena_block_new(a, n);
		if (b == NULL) {
			a->failed = true;
			return NULL;
		}
	}
	p = b->data + b->used;
	b->used += n;
	a->used += n;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);

	if (p != NULL)
		memset(p, 0, n);
	return p;
}

char *
arena_strdup(struct arena *a, struct str s)
{
	char *z = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;

	if (z == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(z, s.p, s.len);
	z[s.len] = '\0';
	return z;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	char tmp[256];
	va_list ap;
	char *z;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	if ((size_t)n < sizeof(tmp))
		return arena_strdup(a, str_make(tmp, (size_t)n));
	z = arena_alloc(a, (size_t)n + 1);
	if (z == NULL)
		return NULL;
	va_start(ap, fmt);
	(void)vsnprintf(z, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return z;
}
