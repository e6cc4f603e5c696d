/* SPDX-License-Identifier: Apache-2.0 */
/* See learn.h. */
#include "agent/money/learn.h"

#include <stddef.h>
#include <string.h>

/* Upper ends of the buckets, per mille. */
static const int learn_ends[LEARN_BUCKETS] = {
    8, 16, 23, 31, 47, 62, 94, 125, 188, 250, 375, 500, 750, 1000};

static size_t
learn_set(uint64_t model, uint64_t key)
{
	uint64_t h = (model * UINT64_C(0x9e3779b97f4a7c15)) ^
		     (key * UINT64_C(0xc2b2ae3d27d4eb4f));

	return (size_t)(h >> 32) & (LEARN_ROWS / LEARN_WAYS - 1);
}

static const struct learn_row *
learn_find(const struct learn *l, uint64_t model, uint64_t key)
{
	const struct learn_row *at =
	    &l->rows[learn_set(model, key) * LEARN_WAYS];

	for (int i = 0; i < LEARN_WAYS; i++)
		if (at[i].model == model && at[i].key == key)
			return &at[i];
	return NULL;
}

static struct learn_row *
learn_place(struct learn *l, uint64_t model, uint64_t key)
{
	struct learn_row *at = &l->rows[learn_set(model, key) * LEARN_WAYS];
	struct learn_row *least = at;

	for (int i = 0; i < LEARN_WAYS; i++) {
		if (at[i].model == model && at[i].key == key)
			return &at[i];
		if (at[i].n < least->n)
			least = &at[i];
	}
	memset(least, 0, sizeof(*least));
	least->model = model;
	least->key = key;
	return least;
}

static void
learn_fade(struct learn_row *r)
{
	r->n = 0;
	for (int i = 0; i < LEARN_BUCKETS; i++) {
		r->count[i] /= 2;
		r->n += r->count[i];
	}
}

void
learn_settled(
    struct learn *l, uint64_t model, uint64_t key, int64_t cost, int64_t worst)
{
	struct learn_row *r;
	int share, i = 0;

	if (worst <= 0 || model == 0)
		return;
	share = cost >= worst
		    ? 1000
		    : (int)((__int128)(cost > 0 ? cost : 0) * 1000 / worst);
	while (share > learn_ends[i])
		i++;
	r = learn_place(l, model, key);
	r->count[i]++;
	if (++r->n >= LEARN_MOST)
		learn_fade(r);
}

int
learn_share(
    const struct learn *l, uint64_t model, uint64_t key, unsigned part, int low)
{
	const struct learn_row *r = learn_find(l, model, key);
	uint64_t sum = 0;
	int i = 0;

	if (r == NULL || r->n < LEARN_MIN)
		return -1;
	for (;; i++) {
		sum += r->count[i];
		if (sum * 1000 >= (uint64_t)r->n * part ||
		    i == LEARN_BUCKETS - 1)
			break;
	}
	if (low)
		return i == 0 ? 0 : learn_ends[i - 1];
	return learn_ends[i];
}
