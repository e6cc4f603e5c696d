/* SPDX-License-Identifier: Apache-2.0 */
/* See shrink.h. */
#include "agent/front/shrink.h"

#include "agent/dialect/cap.h"
#include "agent/front/forward.h"
#include "agent/front/front.h"
#include "agent/front/reserve.h"

static bool
shrink_may(const struct request *r)
{
	switch (r->scan.op) {
	case OP_CHAT:
	case OP_COMPLETIONS:
	case OP_RESPONSES:
	case OP_MESSAGES:
	case OP_GENERATE:
		break;
	default:
		return false;
	}
	/* Each of several prompts would take the cap that fits all. */
	if (r->scan.op == OP_COMPLETIONS && r->scan.n_messages > 1)
		return false;
	return r->n_shrinks < SHRINK_MAX_TRIES && r->spool == NULL &&
	       !r->declared && r->worst.n[TC_WEB_SEARCH] == 0 &&
	       cap_may_shrink(r->scan.op, json_root(buf_str(&r->body)), r->ir);
}

int64_t
shrink_rights(const struct budget_cell *cell, int64_t mono_now)
{
	const struct lease *l =
	    atomic_load_explicit(&cell->current, memory_order_acquire);
	int64_t free = atomic_load_explicit(&cell->free, memory_order_relaxed);
	int64_t avail =
	    atomic_load_explicit(&cell->avail, memory_order_relaxed);
	int64_t left = 0;

	if (avail > free) /* with what lies idle at others */
		free = avail;

	if (l != NULL)
		left = atomic_load_explicit(&l->left, memory_order_relaxed);
	if (left < 0)
		left = 0;
	if (free < 0 || lease_silent(cell, mono_now))
		free = 0;
	return free > INT64_MAX - left ? INT64_MAX : left + free;
}

static int64_t
shrink_min(const struct b_model *m)
{
	return (m->can & (UINT32_C(1) << CAP_REASONING)) != 0
		   ? SHRINK_MIN_REASONING
		   : SHRINK_MIN;
}

int64_t
shrink_least(const struct request *r)
{
	struct tokens worst = r->worst;
	int64_t choices = r->scan.n > 0 ? r->scan.n : 1;
	int64_t n = shrink_min(r->att.dep->model) * choices, amount;

	if (n >= worst.n[TC_OUTPUT] || !shrink_may(r))
		return r->amount;
	worst.n[TC_OUTPUT] = n;
	return reserve_amount(&worst, &r->att.price, &amount) ? amount
							      : r->amount;
}

int64_t
shrink_to(const struct request *r, const struct budget_cell *cell)
{
	const struct b_model *m = r->att.dep->model;
	int64_t choices = r->scan.n > 0 ? r->scan.n : 1;
	int64_t min = shrink_min(m);
	int64_t n;

	n = reserve_fit(
	    &r->worst, &r->att.price, shrink_rights(cell, r->f->loop.mono));
	n /= choices;
	if (n < min || n >= r->worst.n[TC_OUTPUT] / choices || !shrink_may(r))
		return 0;
	return n;
}

int
shrink_apply(struct request *r, int64_t n)
{
	struct error e = {0};
	int64_t choices = r->scan.n > 0 ? r->scan.n : 1;

	r->n_shrinks++;
	if (r->shrunk == 0)
		metric_inc(r->f->agent->metrics, AM_SHRUNK, 1);
	r->shrunk = n;
	r->worst.n[TC_OUTPUT] = n * choices;
	if (!reserve_amount(&r->worst, &r->att.price, &r->amount))
		return ERR_TOO_LARGE;
	return forward_prepare(r, &e);
}
