/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controlplane/money/grant: sizes, recall, refusals; and a model of one
 * budget with several agents under random schedules, messages lost and
 * repeated, agents killed: money is conserved, never overspent, and not
 * stranded once everybody is idle.
 */
#include "controlplane/money/grant.h"

#include "common/rng.h"
#include "tests/unit/support/unit.h"

#define CFG (&grant_default)

/* ck_assert reports each success through a pipe: too slow for a model. */
#define HOLDS(cond)                          \
	do {                                 \
		if (!(cond))                 \
			ck_abort_msg(#cond); \
	} while (0)

static struct lease_view
view(int64_t free)
{
	return (struct lease_view){.budget_uid = 9,
	    .found = true,
	    .is_current = true,
	    .period_start = 1,
	    .period_end = INT64_MAX,
	    .limit = 1000000,
	    .free = free};
}

static struct grant_result
decide(const struct lease_view *v, int64_t settled, int64_t in_use,
    int64_t want_min, int64_t want_total, int64_t rate)
{
	struct grant_result d;
	Hg__LeaseReport r;

	hg__lease_report__init(&r);
	r.granted = v->granted;
	r.settled = settled;
	r.in_use = in_use;
	r.want_min = want_min;
	r.want_total = want_total;
	r.rate_per_s = rate;
	r.returned = v->returned;
	grant_decide(CFG, v, &r, 1000, &d);
	return d;
}

START_TEST(test_sizes)
{
	struct lease_view v = view(1000000);
	struct grant_result d;

	d = decide(&v, 0, 0, 700, 700, 0); /* one waits */
	ck_assert_int_eq(d.w.grant, 700);
	ck_assert(!d.exhausted);
	d = decide(&v, 0, 0, 700, 700, 1000); /* and a rate: ten seconds */
	ck_assert_int_eq(d.w.grant, 10700);
	d = decide(&v, 0, 0, 0, 0, 1000000); /* never more than free / 2n */
	ck_assert_int_eq(d.w.grant, 500000);
	v.n_active = 4;
	d = decide(&v, 0, 0, 0, 0, 1000000);
	ck_assert_int_eq(d.w.grant, 100000);
	d = decide(&v, 0, 0, 300000, 300000, 0); /* but what one waits for */
	ck_assert_int_eq(d.w.grant, 300000);
	v.granted = 50000; /* rights count */
	d = decide(&v, 10000, 20000, 30000, 30000, 0);
	ck_assert_int_eq(d.w.grant, 10000);
	ck_assert_int_eq(d.granted, 60000);
	d = decide(&v, 0, 0, 30000, 30000, 0); /* enough: a late heartbeat */
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(!d.exhausted);
}
END_TEST

/* What is too small for all who wait stays free, where it can be added up: in
 * pieces it would be of no use to anybody. */
START_TEST(test_pieces)
{
	struct lease_view v = view(394);
	struct grant_result d;
	Hg__LeaseReport r;

	hg__lease_report__init(&r);
	r.want_min = 415;
	r.want_total = 200 * 415;
	grant_decide(CFG, &v, &r, 1000, &d);
	ck_assert_int_eq(d.w.grant, 394); /* an agent that does not tell */
	r.want_least = 415;
	grant_decide(CFG, &v, &r, 1000, &d);
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(d.exhausted);
	ck_assert_int_eq(d.free, 394);
	r.want_least = 395;
	grant_decide(CFG, &v, &r, 1000, &d);
	ck_assert_int_eq(d.w.grant, 0);
	r.want_least = 394; /* one made do with less */
	grant_decide(CFG, &v, &r, 1000, &d);
	ck_assert_int_eq(d.w.grant, 394);
	r.want_least = 400; /* with what the agent has */
	r.granted = v.granted = 6;
	grant_decide(CFG, &v, &r, 1000, &d);
	ck_assert_int_eq(d.w.grant, 394);
	r.granted = v.granted = 5;
	grant_decide(CFG, &v, &r, 1000, &d);
	ck_assert_int_eq(d.w.grant, 0);
	v.recallable = 300; /* not even while the rest is being collected */
	grant_decide(CFG, &v, &r, 1000, &d);
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(!d.exhausted && d.w.recall_others);
}
END_TEST

START_TEST(test_exhausted)
{
	struct lease_view v = view(500);
	struct grant_result d;

	d = decide(&v, 0, 0, 501, 501, 0);
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(d.exhausted);
	ck_assert(!d.w.recall_others);
	ck_assert(d.tail);
	d = decide(&v, 0, 0, 500, 500, 0);
	ck_assert_int_eq(d.w.grant, 500);
	ck_assert(!d.exhausted);
	v.recallable = 1; /* others are idle */
	d = decide(&v, 0, 0, 501, 501, 0);
	ck_assert(!d.exhausted);
	ck_assert(d.w.recall_others && d.move);
	ck_assert_int_eq(d.w.grant, 0);
	v.recallable = 0; /* smaller ones wait beside the large one */
	d = decide(&v, 0, 0, 600, 900, 0);
	ck_assert_int_eq(d.w.grant, 300);
	ck_assert(d.exhausted);
	v.granted = 100; /* rights and free together are enough */
	d = decide(&v, 0, 0, 600, 600, 0);
	ck_assert_int_eq(d.w.grant, 500);
	ck_assert(!d.exhausted);
	v = view(-50); /* overspent */
	d = decide(&v, 0, 0, 1, 1, 5);
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(d.exhausted);
}
END_TEST

START_TEST(test_recall)
{
	struct lease_view v = view(0);
	struct grant_result d;

	v.granted = 1000;
	v.recall = true;
	v.exists = true;
	d = decide(&v, 100, 200, 0, 0, 0);
	ck_assert_int_eq(d.recall_to, 200);
	ck_assert(d.w.recall);
	ck_assert_int_eq(d.w.grant, 0);
	v.returned = 700; /* done */
	d = decide(&v, 100, 200, 0, 0, 0);
	ck_assert_int_eq(d.recall_to, -1);
	ck_assert(!d.w.recall && d.move);
	v.returned = 0; /* it waits itself: keeps what it has */
	d = decide(&v, 100, 200, 900, 900, 0);
	ck_assert_int_eq(d.recall_to, -1);
	ck_assert(d.w.recall);
}
END_TEST

START_TEST(test_other_periods_and_soft)
{
	struct lease_view v = view(1000);
	struct grant_result d;
	Hg__LeaseGrant g;

	v.is_current = false;
	d = decide(&v, 0, 0, 100, 100, 100);
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(!d.exhausted);
	hg__lease_grant__init(&g);
	grant_answer(CFG, &v, &d, 1000, &g);
	ck_assert_int_eq(g.fence_ms, 0);
	ck_assert_int_eq(g.valid_ms, 0);
	v = view(-1000);
	v.soft = true;
	d = decide(&v, 0, 0, 100, 100, 100);
	ck_assert_int_eq(d.w.grant, 0);
	ck_assert(!d.exhausted && !d.tail);
	grant_answer(CFG, &v, &d, 1000, &g);
	ck_assert_int_gt(g.fence_ms, 0);
	ck_assert_int_gt(g.valid_ms, 0);
}
END_TEST

/* Nothing an agent says makes it get more than is free, or give back what it
 * does not hold. */
START_TEST(test_hostile_reports)
{
	static const int64_t odd[] = {
	    INT64_MIN, -1, 0, 1, 999, 1000, 1001, INT64_MAX / 2, INT64_MAX};
	const size_t n = sizeof(odd) / sizeof(odd[0]);
	struct rng_seeded rng;
	unsigned i;

	rng_seeded_init(&rng, 5);
	for (i = 0; i < 200000; i++) {
		struct lease_view v = view(odd[1 + rng_below(&rng.rng, 5)]);
		struct grant_result d;
		Hg__LeaseReport r;

		hg__lease_report__init(&r);
		v.granted = (int64_t)rng_below(&rng.rng, 2000);
		v.settled =
		    (int64_t)rng_below(&rng.rng, (uint64_t)v.granted + 1);
		v.returned = (int64_t)rng_below(
		    &rng.rng, (uint64_t)(v.granted - v.settled) + 1);
		r.granted = odd[rng_below(&rng.rng, n)];
		r.settled = odd[rng_below(&rng.rng, n)];
		r.returned = odd[rng_below(&rng.rng, n)];
		r.high_water = odd[rng_below(&rng.rng, n)];
		r.in_use = odd[rng_below(&rng.rng, n)];
		r.rate_per_s = odd[rng_below(&rng.rng, n)];
		r.want_min = odd[rng_below(&rng.rng, n)];
		r.want_total = odd[rng_below(&rng.rng, n)];
		r.w_p99 = odd[rng_below(&rng.rng, n)];
		grant_decide(CFG, &v, &r, 1000, &d);
		HOLDS(d.w.grant >= 0);
		HOLDS(d.w.returned >= v.returned);
		HOLDS(d.w.returned <= v.granted - v.settled);
		if (d.w.grant > 0)
			HOLDS(d.w.grant <= v.free + d.w.returned - v.returned);
		HOLDS(d.free == v.free + d.w.returned - v.returned - d.w.grant);
	}
}
END_TEST

/* Where plenty is free, who else is there changes nothing. */
/* What is granted counts as what was free: plenty ends where the floor that is
 * told says. */
START_TEST(test_plenty_ends)
{
	struct lease_view v = view(INT64_C(1) << 40);
	struct grant_result d;

	v.counted = true;
	d = decide(&v, 0, 0, 700, 700, 0);
	ck_assert_int_gt(d.w.grant, 0);
	ck_assert(d.plenty);
	ck_assert_int_gt(d.w.floor, 700);
	v.free = d.w.floor;
	ck_assert(decide(&v, 0, 0, 700, 700, 0).plenty);
	v.free--;
	ck_assert(!decide(&v, 0, 0, 700, 700, 0).plenty);
}
END_TEST

START_TEST(test_plenty)
{
	struct rng_seeded rng;

	rng_seeded_init(&rng, 6);
	for (unsigned i = 0; i < 100000; i++) {
		struct lease_view alone, many;
		struct grant_result a, b;
		Hg__LeaseReport r;

		hg__lease_report__init(&r);
		r.granted = (int64_t)rng_below(&rng.rng, 5000);
		r.settled = (int64_t)rng_below(&rng.rng, 1000);
		r.in_use = (int64_t)rng_below(&rng.rng, 1000);
		r.rate_per_s = (int64_t)rng_below(&rng.rng, 100);
		r.w_p99 = (int64_t)rng_below(&rng.rng, 100);
		r.want_total = (int64_t)rng_below(&rng.rng, 2) *
			       (int64_t)rng_below(&rng.rng, 9000);
		r.want_min = (int64_t)rng_below(&rng.rng, 9000);
		alone = view(grant_plenty(CFG, &r));
		alone.granted = r.granted;
		alone.exists = true;
		alone.recall = rng_below(&rng.rng, 2) == 0;
		many = alone;
		many.n_active = GRANT_AGENTS_MAX - 1;
		many.recallable = (int64_t)rng_below(&rng.rng, 1 << 20);
		grant_decide(CFG, &alone, &r, 1000, &a);
		grant_decide(CFG, &many, &r, 1000, &b);
		HOLDS(a.w.grant == b.w.grant && a.move == b.move);
		HOLDS(a.recall_to == b.recall_to && a.tail == b.tail);
		HOLDS(a.exhausted == b.exhausted && a.granted == b.granted);
		HOLDS(a.w.recall_others == b.w.recall_others);
	}
}
END_TEST

static struct grant_result
decide_steady(const struct lease_view *v, int64_t rate, int64_t max_ms)
{
	struct grant_result d;
	Hg__LeaseReport r;

	hg__lease_report__init(&r);
	r.granted = v->granted;
	r.rate_per_s = r.steady_rate = rate;
	r.horizon_max_ms = max_ms;
	grant_decide(CFG, v, &r, 1000, &d);
	return d;
}

/* 4 (need + 1) n must be free, of rights for so many seconds. */
START_TEST(test_horizon)
{
	struct lease_view v = view(4 * 10 * (300 * 100 + 1));
	struct grant_result d;

	v.counted = v.exists = true;
	v.n_active = 9;
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 300000);
	ck_assert_int_eq(d.w.grant, 300 * 100);
	ck_assert(d.plenty && d.w.floor == v.free);
	ck_assert_int_eq(d.w.quiet_until, 1000 + INT64_C(310) * 1000000000);
	v.free--; /* a second less */
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 299000);
	ck_assert_int_eq(d.w.grant, 299 * 100);
	v.free++;
	v.n_active++; /* one agent more */
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 272000);
	v.counted = false; /* nobody knows how many */
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 0);
	ck_assert(!d.plenty);
	v.free = 4 * INT64_C(10000) * (300 * 100 + 1);
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 300000);
	v.free--;
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 299000);
	v.counted = true;
	v.n_active = 9;
	v.free = 4 * 10 * (20 * 100 + 1); /* the least that makes sense */
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 20000);
	v.free--;
	d = decide_steady(&v, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 0);
	ck_assert_int_eq(d.w.quiet_until, 0);
	ck_assert_int_eq(d.w.grant, 10 * 100);
	ck_assert(d.plenty); /* at ten seconds it is */
}
END_TEST

/* Where agents are not counted there may be as many as a little more than were
 * seen: a small fleet rests with little money. */
START_TEST(test_uncounted)
{
	struct grant_config cfg = grant_default;
	struct lease_view v = view(4 * 22 * (300 * 100 + 1));
	struct grant_result d;
	Hg__LeaseReport r;

	ck_assert_int_eq(grant_agents_most(-1), 16);
	ck_assert_int_eq(grant_agents_most(0), 16);
	ck_assert_int_eq(grant_agents_most(3), 22);
	ck_assert_int_eq(
	    grant_agents_most(GRANT_AGENTS_MAX / 2 - 8), GRANT_AGENTS_MAX);
	ck_assert_int_eq(grant_agents_most(INT64_MAX), GRANT_AGENTS_MAX);
	hg__lease_report__init(&r);
	r.rate_per_s = r.steady_rate = 100;
	r.horizon_max_ms = 300000;
	cfg.agents_most = grant_agents_most(3);
	ck_assert_int_eq(grant_plenty(&cfg, &r), 4 * 22 * (60 * 100 + 1));
	ck_assert_int_eq(grant_plenty(CFG, &r),
	    4 * (int64_t)GRANT_AGENTS_MAX * (60 * 100 + 1));
	v.exists = true;
	grant_decide(&cfg, &v, &r, 1000, &d);
	ck_assert_int_eq(d.horizon_ms, 300000);
	ck_assert(d.plenty && d.w.floor == v.free);
	v.free--;
	grant_decide(&cfg, &v, &r, 1000, &d);
	ck_assert_int_eq(d.horizon_ms, 299000);
}
END_TEST

/* What shortens or forbids it. */
START_TEST(test_no_horizon)
{
	struct grant_config cfg = grant_default;
	struct lease_view v = view(INT64_C(1) << 50), u;
	struct grant_result d;
	Hg__LeaseReport r;

	v.counted = v.exists = true;
	ck_assert_int_eq(decide_steady(&v, 100, 300000).horizon_ms, 300000);
	/* an agent that takes none, or less */
	ck_assert_int_eq(decide_steady(&v, 100, 0).horizon_ms, 0);
	ck_assert_int_eq(decide_steady(&v, 100, 0).w.grant, 1000);
	ck_assert_int_eq(decide_steady(&v, 100, 19999).horizon_ms, 0);
	ck_assert_int_eq(decide_steady(&v, 100, 60000).horizon_ms, 60000);
	ck_assert_int_eq(decide_steady(&v, 100, INT64_MAX).horizon_ms, 300000);
	/* the period's end */
	u = v;
	u.period_end = 1000 + INT64_C(45) * 1000000000;
	ck_assert_int_eq(decide_steady(&u, 100, 300000).horizon_ms, 45000);
	u.period_end = 1000 + INT64_C(19) * 1000000000;
	ck_assert_int_eq(decide_steady(&u, 100, 300000).horizon_ms, 0);
	/* rights are asked back, or were a moment ago */
	u = v;
	u.granted = 100;
	u.recall = true;
	ck_assert_int_eq(decide_steady(&u, 100, 300000).horizon_ms, 0);
	u = v;
	u.recall_at = 1;
	d = decide_steady(&u, 100, 300000);
	ck_assert_int_eq(d.horizon_ms, 0);
	ck_assert_int_eq(d.w.grant, 0);
	u.recall_at = INT64_C(1000001000); /* of a clock that is ahead */
	ck_assert_int_eq(decide_steady(&u, 100, 300000).horizon_ms, 300000);
	u.recall_at--;
	ck_assert_int_eq(decide_steady(&u, 100, 300000).horizon_ms, 0);
	/* it is not the current period */
	u = v;
	u.is_current = false;
	ck_assert_int_eq(decide_steady(&u, 100, 300000).horizon_ms, 0);
	/* a window that rolls may rest, but is looked at under the lock */
	u = v;
	u.moved = true;
	d = decide_steady(&u, 100, 300000);
	ck_assert(d.horizon_ms == 300000 && !d.plenty);
	/* a soft budget holds nothing back */
	u = view(-5);
	u.soft = true;
	ck_assert_int_eq(decide_steady(&u, 0, 300000).horizon_ms, 300000);
	/* it reports twice before its fence */
	hg__lease_report__init(&r);
	r.rate_per_s = r.steady_rate = 100;
	r.horizon_max_ms = 300000;
	cfg.fence_ms = 100000;
	grant_decide(&cfg, &v, &r, 1000, &d);
	ck_assert_int_eq(d.horizon_ms, 50000);
	cfg.fence_ms = 39999;
	grant_decide(&cfg, &v, &r, 1000, &d);
	ck_assert_int_eq(d.horizon_ms, 0);
}
END_TEST

/* ---- the model --------------------------------------------------------------
 */

#define N_AGENTS 5

/* Lease at the control plane (cp_) and in the agent. */
struct model_agent {
	int64_t cp_granted, cp_settled, cp_returned, cp_r_settled, cp_r_in_use,
	    cp_report_at;
	bool cp_recall;
	int64_t g, s, r, in_use; /* agent: granted, settled, returned */
	int64_t waits;		 /* a waiting reservation; 0 = none */
	int64_t reserved[8];
	Hg__LeaseGrant late; /* a reply that arrives once more later */
};

struct model {
	struct rng_seeded rng;
	int64_t limit, free, settled, now;
	struct model_agent a[N_AGENTS];
	int64_t spent; /* truth */
	unsigned n_admitted, n_exhausted;
};

static int64_t
below(struct model *m, int64_t n)
{
	return (int64_t)rng_below(&m->rng.rng, (uint64_t)n);
}

static void
model_check(const struct model *m)
{
	int64_t live = 0;
	int i;

	for (i = 0; i < N_AGENTS; i++) {
		const struct model_agent *a = &m->a[i];

		live += a->cp_granted - a->cp_returned - a->cp_settled;
		/* I3: an agent never promises more than it holds */
		HOLDS(a->g - a->s - a->r - a->in_use >= 0);
		/* I4: the control plane knows at least as much exposure */
		HOLDS(a->g <= a->cp_granted);
		HOLDS(a->cp_settled <= a->s);
		HOLDS(a->cp_returned <= a->r);
	}
	HOLDS(m->limit == m->free + live + m->settled); /* I1 */
	HOLDS(m->free >= 0);
	HOLDS(m->spent <= m->limit); /* I2 */
}

static struct lease_view
model_view(const struct model *m, int k)
{
	const struct model_agent *a = &m->a[k];
	struct lease_view v = view(m->free);
	int i;

	v.limit = m->limit;
	v.spent = m->settled;
	v.granted = a->cp_granted;
	v.settled = a->cp_settled;
	v.returned = a->cp_returned;
	v.r_settled = a->cp_r_settled;
	v.r_in_use = a->cp_r_in_use;
	v.recall = a->cp_recall;
	v.exists = a->cp_granted > 0;
	for (i = 0; i < N_AGENTS; i++) {
		const struct model_agent *o = &m->a[i];
		int64_t s = o->cp_settled > o->cp_r_settled ? o->cp_settled
							    : o->cp_r_settled;
		int64_t idle =
		    o->cp_granted - o->cp_returned - s - o->cp_r_in_use;

		if (i == k || o->cp_report_at < m->now - CFG->recent_ns)
			continue;
		v.n_active++;
		v.recallable += idle > 0 ? idle : 0;
	}
	return v;
}

static void
model_write(struct model *m, int k, const struct lease_write *w)
{
	struct model_agent *a = &m->a[k];
	int i;

	m->free += w->returned - a->cp_returned - w->grant;
	a->cp_granted += w->grant;
	a->cp_returned = w->returned;
	a->cp_r_settled = w->r_settled;
	a->cp_r_in_use = w->r_in_use;
	a->cp_report_at = w->report_at;
	a->cp_recall = w->recall;
	for (i = 0; i < N_AGENTS; i++)
		if (i != k && w->recall_others)
			m->a[i].cp_recall = true;
}

/* The agent takes an answer, possibly an old one again. */
static void
model_apply(struct model *m, struct model_agent *a, const Hg__LeaseGrant *g)
{
	int64_t hold;

	if (g->granted > a->g)
		a->g = g->granted;
	hold = a->g - a->s - a->r;
	if (g->recall_to >= 0 && hold > g->recall_to) {
		int64_t give = hold - g->recall_to;

		if (give > hold - a->in_use)
			give = hold - a->in_use;
		a->r += give;
	}
	if (a->waits > 0 && a->g - a->s - a->r - a->in_use >= a->waits) {
		int i;

		for (i = 0; i < 8 && a->reserved[i] != 0; i++)
			;
		if (i < 8) {
			a->reserved[i] = a->waits;
			a->in_use += a->waits;
			a->waits = 0;
			m->n_admitted++;
		}
	} else if (a->waits > 0 && g->exhausted) {
		a->waits = 0;
		m->n_exhausted++;
	}
}

static void
model_heartbeat(struct model *m, int k, bool lose_reply)
{
	struct model_agent *a = &m->a[k];
	struct lease_view v = model_view(m, k);
	struct grant_result d;
	Hg__LeaseReport r;
	Hg__LeaseGrant g;

	hg__lease_report__init(&r);
	r.granted = a->g;
	r.settled = a->s;
	r.returned = a->r;
	r.in_use = a->in_use;
	r.want_min = r.want_total = a->waits;
	r.rate_per_s = below(m, 200);
	r.w_p99 = below(m, 500);
	grant_decide(CFG, &v, &r, m->now, &d);
	if (d.exhausted) /* I10: only when it is true */
		HOLDS(d.free + v.recallable <
		      a->waits - (a->g - a->s - a->r - a->in_use));
	model_write(m, k, &d.w);
	hg__lease_grant__init(&g);
	grant_answer(CFG, &v, &d, m->now, &g);
	if (below(m, 4) == 0)
		model_apply(m, a, &a->late); /* an old one again */
	if (!lose_reply)
		model_apply(m, a, &g);
	a->late = g;
}

static void
model_settle(struct model *m, struct model_agent *a)
{
	int i = (int)below(m, 8);
	int64_t cost;

	if (a->reserved[i] == 0)
		return;
	cost = below(m, a->reserved[i] + 1);
	a->in_use -= a->reserved[i];
	a->reserved[i] = 0;
	a->s += cost;
	m->spent += cost;
}

/* Usage arrives at the control plane, some or all of it. */
static void
model_ship(struct model *m, struct model_agent *a, bool all)
{
	int64_t rest = a->s - a->cp_settled,
		c = all ? rest : below(m, rest + 1);

	a->cp_settled += c;
	m->settled += c;
	HOLDS(a->cp_settled <= a->cp_granted - a->cp_returned);
}

static void
model_step(struct model *m)
{
	struct model_agent *a = &m->a[below(m, N_AGENTS)];

	m->now += below(m, 500) * 1000000;
	switch (below(m, 8)) {
	case 0:
	case 1:
		if (a->waits == 0)
			a->waits = 1 + below(m, 800);
		break;
	case 2:
	case 3:
		model_settle(m, a);
		break;
	case 4:
		model_ship(m, a, false);
		break;
	case 5: /* gives back some idle rights by itself */
		a->r += below(m, a->g - a->s - a->r - a->in_use + 1);
		break;
	default:
		model_heartbeat(m, (int)(a - m->a), below(m, 5) == 0);
	}
	model_check(m);
}

/* I9: everybody becomes idle and gives back; nothing is stranded. */
static void
model_rest(struct model *m)
{
	int i, k;

	for (k = 0; k < N_AGENTS; k++) {
		struct model_agent *a = &m->a[k];

		for (i = 0; i < 8; i++) {
			a->in_use -= a->reserved[i];
			a->reserved[i] = 0;
		}
		a->waits = 0;
		HOLDS(a->in_use == 0);
		a->g = a->cp_granted; /* the next heartbeat tells it */
		a->r = a->g - a->s;
		model_ship(m, a, true);
		model_heartbeat(m, k, true);
		if (a->cp_granted != a->g) { /* it asked by its rate */
			a->g = a->cp_granted;
			a->r = a->g - a->s;
		}
	}
	for (k = 0; k < N_AGENTS; k++) {
		struct lease_view v = model_view(m, k);
		struct grant_result d;
		Hg__LeaseReport r;

		hg__lease_report__init(&r);
		r.granted = m->a[k].g;
		r.settled = m->a[k].s;
		r.returned = m->a[k].r;
		grant_decide(CFG, &v, &r, m->now, &d);
		HOLDS(d.w.grant == 0);
		model_write(m, k, &d.w);
	}
	HOLDS(m->free == m->limit - m->settled);
	HOLDS(m->settled == m->spent);
}

START_TEST(test_model)
{
	struct model *m = calloc(1, sizeof(*m));
	int i, k, round;

	ck_assert_ptr_nonnull(m);
	for (round = 0; round < 60; round++) {
		memset(m, 0, sizeof(*m));
		rng_seeded_init(&m->rng, (uint64_t)(_i * 1000 + round));
		m->limit = m->free = 1000 + below(m, 60000);
		m->now = INT64_C(1000000000000);
		for (k = 0; k < N_AGENTS; k++) {
			hg__lease_grant__init(&m->a[k].late);
			m->a[k].late.recall_to = -1;
		}
		for (i = 0; i < 1500; i++)
			model_step(m);
		ck_assert_uint_gt(m->n_admitted, 0);
		model_rest(m);
	}
	free(m);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/grant");
	TCase *tc = tcase_create("model");

	UNIT_ADD(s, test_sizes);
	UNIT_ADD(s, test_pieces);
	UNIT_ADD(s, test_exhausted);
	UNIT_ADD(s, test_recall);
	UNIT_ADD(s, test_other_periods_and_soft);
	UNIT_ADD(s, test_hostile_reports);
	UNIT_ADD(s, test_plenty_ends);
	UNIT_ADD(s, test_plenty);
	UNIT_ADD(s, test_horizon);
	UNIT_ADD(s, test_uncounted);
	UNIT_ADD(s, test_no_horizon);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_model, 0, 10);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
