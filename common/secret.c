/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret values. Locking is by page and does not nest, so a page that two
 * secrets share must not be unlocked with the first of them: pages stay
 * locked; the allocator gives them to later secrets soon enough.
 */
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/log.h"

int
secret_set(struct secret *s, struct str value)
{
	char *copy = str_dup(value);

	if (copy == NULL)
		return ERR_NOMEM;
	(void)mlock(copy, value.len + 1); /* best effort: RLIMIT_MEMLOCK */
	secret_release(s);
	s->hidden = copy;
	s->len = value.len;
	return 0;
}

void
secret_release(struct secret *s)
{
	if (s->hidden != NULL)
		sodium_memzero(s->hidden, s->len);
	free(s->hidden);
	s->hidden = NULL;
	s->len = 0;
}

struct str
secret_expose(const struct secret *s)
{
	return str_make(s->hidden, s->len);
}
