/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool: freed objects form a list through their first word. Under
 * AddressSanitizer the rest of a freed object is poisoned, so that use after
 * pool_put() is reported as use after free would be.
 */
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/pool.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(POOL_ASAN)
#include <sanitizer/asan_interface.h>
#define POOL_POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define POOL_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POOL_POISON(p, n)   ((void)0)
#define POOL_UNPOISON(p, n) ((void)0)
#endif

struct pool_free {
	struct pool_free *next;
};

void
pool_init(struct pool *p, size_t size, size_t max)
{
	if (size < sizeof(struct pool_free))
		size = sizeof(struct pool_free);
	*p = (struct pool){.size = size, .max = max};
}

void
pool_release(struct pool *p)
{
	struct pool_free *f = p->free_list;

	MUST(p->live == 0);
	while (f != NULL) {
		struct pool_free *next = f->next;

		POOL_UNPOISON(f, p->size);
		free(f);
		f = next;
	}
	p->free_list = NULL;
	p->n_free = 0;
}

void *
pool_get(struct pool *p)
{
	struct pool_free *f = p->free_list;

	if (p->live >= p->max)
		return NULL;
	if (f != NULL) {
		p->free_list = f->next;
		p->n_free--;
		POOL_UNPOISON(f, p->size);
		memset(f, 0, p->size);
	} else {
		f = calloc(1, p->size);
		if (f == NULL)
			return NULL;
	}
	p->live++;
	return f;
}

void
pool_put(struct pool *p, void *obj)
{
	struct pool_free *f = obj;

	if (obj == NULL)
		return;
	MUST(p->live > 0);
	f->next = p->free_list;
	p->free_list = f;
	p->live--;
	p->n_free++;
	POOL_POISON(f + 1, p->size - sizeof(*f));
}
