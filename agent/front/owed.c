/* SPDX-License-Identifier: Apache-2.0 */
/* See owed.h. */
#include "agent/front/owed.h"

#include <stdlib.h>

#include "agent/front/front.h"
#include "agent/front/waiting.h"

#define OWED_FIRST 64

static bool
owed_grow(struct owed_list *l)
{
	size_t cap = l->cap == 0 ? OWED_FIRST : 2 * l->cap;
	struct owed *v;

	if (l->n < l->cap)
		return true;
	v = realloc(l->v, cap * sizeof(*v));
	if (v == NULL)
		return false;
	l->v = v;
	l->cap = cap;
	return true;
}

void
owed_add(struct front *f, struct reservation *v, int64_t cost)
{
	struct owed_list *l = &f->owed;

	if (v->n == 0 || !owed_grow(l)) {
		lease_settle(v, cost);
		return;
	}
	l->v[l->n++] = (struct owed){*v, cost};
	v->n = 0;
	v->amount = 0;
}

/* Does anybody wait for rights on its budgets? */
static bool
owed_is_wanted(const struct reservation *v)
{
	for (unsigned i = 0; i < v->n; i++)
		if (atomic_load_explicit(
			&v->cells[i]->want_total, memory_order_relaxed) > 0)
			return true;
	return false;
}

void
owed_settle(struct front *f)
{
	struct owed_list *l = &f->owed;
	bool wanted = false;

	if (l->n == 0 || !journal_is_written(f->shard))
		return;
	for (size_t i = 0; i < l->n; i++) {
		wanted = wanted || owed_is_wanted(&l->v[i].rights);
		lease_settle(&l->v[i].rights, l->v[i].cost);
	}
	l->n = 0;
	if (wanted)
		waiting_tell(f);
}

void
owed_cancel(struct front *f, struct reservation *v)
{
	bool wanted = owed_is_wanted(v);

	lease_cancel(v);
	if (wanted)
		waiting_tell(f);
}

void
owed_release(struct owed_list *l)
{
	free(l->v);
	*l = (struct owed_list){NULL, 0, 0};
}
