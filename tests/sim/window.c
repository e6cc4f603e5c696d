/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets of rolling windows: hg_window() and what hg_budget_now() and
 * hg_budget_period() do with it, over the model's arrays, and what must hold.
 * A window of N hours is kept in 24 buckets; here an hour is a few seconds.
 *
 * What a bucket has granted counts in the buckets after it until a window's
 * length after its end. So, whatever the replicas' clocks say:
 *
 *  - what was admitted in any N hours, and what may still be admitted without
 *    asking, never exceeds the limit (I2; N less what clocks differ by);
 *  - nothing is granted in a bucket when there is a later one;
 *  - each bucket is balanced (check_books()).
 */
#include <inttypes.h>

#include "agent/money/lease_table.h"
#include "tests/sim/model.h"

/* Two replicas: the one that granted is that much behind the other (world.c).
 * An agent's clock drifts by less than that while a bucket lasts. */
#define WINDOW_SLACK (210 * NS_PER_MS)

static int64_t
window_span(const struct m_budget *b)
{
	return SIM_BUCKETS * b->width;
}

/* ---- the model ----------------------------------------------------------- */

/* hg_window(): somebody may be in a later bucket than the clock says. */
static void
window_bucket(
    const struct sim *s, const struct m_budget *b, int64_t at, struct m_now *n)
{
	n->start = at;
	for (unsigned i = 0; i < s->db.n_periods; i++) {
		const struct m_period *p = &s->db.periods[i];

		if (p->uid == b->uid && !p->closing && p->end > p->start &&
		    p->start < at + b->width && p->start > n->start &&
		    s->plant != PLANT_BUCKET_OPEN)
			n->start = p->start;
	}
	n->start -= n->start % b->width;
	n->end = n->start + b->width;
}

void
sim_budget_now(
    const struct sim *s, const struct m_budget *b, int64_t at, struct m_now *n)
{
	int64_t first;

	*n = (struct m_now){.start = 1, .end = INT64_MAX, .lim = b->limit};
	if (b->period_ns > 0) {
		n->start = at - at % b->period_ns;
		n->end = n->start + b->period_ns;
	}
	if (b->width == 0)
		return;
	window_bucket(s, b, at, n);
	first = n->start - window_span(b);
	if (s->plant == PLANT_WINDOW_SHORT)
		first += b->width;
	for (unsigned i = 0; i < s->db.n_periods; i++) {
		const struct m_period *p = &s->db.periods[i];

		if (p->uid != b->uid || p->end <= first || p->start >= n->end ||
		    p->start == n->start)
			continue;
		n->past += s->plant == PLANT_BUCKET_SPENT ? p->settled
							  : p->limit - p->free;
		n->past_settled += p->settled;
		n->past_held += p->held;
	}
	n->lim -= n->past;
}

void
sim_window_turn(struct sim *s, const struct m_budget *b, int64_t start)
{
	for (unsigned i = 0; i < s->db.n_periods; i++) {
		struct m_period *p = &s->db.periods[i];

		if (p->uid == b->uid && p->start < start && p->end > p->start &&
		    s->plant != PLANT_BUCKET_OPEN)
			p->closing = true;
	}
}

/* ---- the world ----------------------------------------------------------- */

/* Draws from numbers of its own: other seeds stay what they were. Buckets are
 * short, so that windows roll on while the storm lasts; some are so long that
 * probes and duels fit into them. */
void
sim_window_world(struct sim *s)
{
	struct rng_seeded r;
	int64_t longest = 0;

	if (s->seed % 8 != 0)
		return;
	rng_seeded_init(&r, s->seed ^ UINT64_C(0x726f6c6c));
	for (unsigned i = 0; i < s->db.n_budgets; i++) {
		struct m_budget *b = &s->db.budgets[i];
		uint64_t ms = 220 + rng_below(&r.rng, 600);

		if (b->soft || (i > 0 && rng_below(&r.rng, 3) == 0))
			continue;
		if (rng_below(&r.rng, 5) == 0)
			ms = 10000 + rng_below(&r.rng, 20000);
		b->period_ns = 0;
		b->width = (int64_t)ms * NS_PER_MS;
		if (b->width < s->storm_end / 100)
			b->width = s->storm_end / 100;
		if (ms < 10000 && 2 * window_span(b) > longest)
			longest = 2 * window_span(b);
	}
	if (s->storm_end < longest)
		s->storm_end = longest;
	if (longest > 0 && s->think > 200 * NS_PER_MS) /* enough to fill it */
		s->think /= 4;
}

/* ---- what must hold ------------------------------------------------------ */

void
sim_window_granted(struct sim *s, const struct m_period *p)
{
	const struct m_budget *b = sim_db_budget(s, p->uid);

	for (unsigned i = 0; b != NULL && b->width > 0 && i < s->db.n_periods;
	     i++)
		if (s->db.periods[i].uid == p->uid &&
		    s->db.periods[i].start > p->start)
			sim_fail(s,
			    "I2: budget %" PRIu64 " grants in the bucket from "
			    "%" PRId64 ", there is one from %" PRId64,
			    p->uid, p->start, s->db.periods[i].start);
}

/* What providers will bill of all that was admitted since: at its worst while
 * it runs. */
static int64_t
window_spent(const struct sim *s, uint64_t uid, int64_t since)
{
	int64_t sum = 0;

	for (unsigned i = s->n_reqs; i-- > 0 && s->reqs[i].at > since;) {
		const struct sim_req *r = &s->reqs[i];

		for (unsigned k = 0; r->called && k < r->n_charges; k++)
			if (r->charges[k].budget_uid == uid)
				sum += r->running ? r->held : r->cost;
	}
	return sum;
}

/* What agents could admit now. */
static int64_t
window_left(const struct sim *s, uint64_t uid)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < s->n_agents; i++) {
		struct sim_agent *a = s->agents[i];
		const struct budget_cell *c =
		    a->up ? lease_table_find(a->leases, uid) : NULL;
		const struct lease *l =
		    c == NULL ? NULL : atomic_load(&c->current);
		int64_t now = clock_mono(&a->clock.clock);

		if (l != NULL && now < atomic_load(&l->end_mono) &&
		    now < atomic_load(&l->fence_mono))
			sum += atomic_load(&l->left);
	}
	return sum;
}

void
sim_window_check(struct sim *s)
{
	for (unsigned i = 0; i < s->db.n_budgets; i++) {
		struct m_budget *b = &s->db.budgets[i];
		int64_t spent, left;

		if (b->width == 0)
			continue;
		if (b->limit > b->highest)
			b->highest = b->limit;
		spent = window_spent(
		    s, b->uid, s->now - window_span(b) + WINDOW_SLACK);
		left = window_left(s, b->uid);
		if (spent + left > b->highest)
			sim_fail(s,
			    "I2: budget %" PRIu64 ": in %" PRId64 " ms %" PRId64
			    " were spent and %" PRId64 " are left, %" PRId64
			    " is the limit",
			    b->uid, window_span(b) / NS_PER_MS, spent, left,
			    b->highest);
	}
}
