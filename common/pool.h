/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool of objects of one size with a limit on how many exist. Freed objects
 * are kept for reuse. Not thread-safe: one pool per worker.
 */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include <stddef.h>

struct pool {
	size_t size; /* bytes of one object */
	size_t max;  /* objects that may be live */
	size_t live;
	size_t n_free; /* objects on the free list */
	void *free_list;
};

void pool_init(struct pool *p, size_t size, size_t max);
void pool_release(struct pool *p); /* MUST have no live object */
void *pool_get(struct pool *p);	   /* zeroed; NULL at the limit / no memory */
void pool_put(struct pool *p, void *obj); /* NULL is fine */

#endif
