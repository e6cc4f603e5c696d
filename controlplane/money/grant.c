/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grant sizing. With n active agents and what is free:
 *   need  = rate * horizon + w_p99 + want_total - rights
 *   short = want_min - rights           (what the largest waiter lacks)
 *   cap   = free / (2 n)                (a geometric drain)
 *   grant = min(need, max(cap, short if it is free))
 * so one agent never takes more than its share of the rest, yet a waiting
 * request is served while the money for it is free. Near the end of a budget,
 * and while others wait for what an agent holds, only a waiting agent gets
 * anything: else two agents that nobody asks would take turns holding the
 * rest, and a request that fits would never be served.
 *
 * While plenty is free the horizon is longer, so that an agent need not report
 * each second (I16): h is the longest, up to horizon_most_s, of which
 *   free >= max(tail_factor, 2) n need(h)
 * so no lease takes more than 1/n of half of the rest, and what is granted for
 * h seconds shrinks to horizon_s as free does, before a tail begins. Where the
 * agents were not counted n is agents_most. Until quiet_until the agent
 * counts as one that reported just now: its idle rights can be recalled, and
 * exhausted is not told before they were.
 */
#include "controlplane/money/grant.h"

const struct grant_config grant_default = {
    .horizon_s = 10,
    .horizon_most_s = 300,
    .rest_s = 20,
    .uncounted_s = 60,
    .tail_factor = 4,
    .fence_ms = 15 * 60 * 1000,
    .recent_ns = INT64_C(5000000000),
    .contested_ns = INT64_C(1000000000),
    .agents_most = GRANT_AGENTS_MAX,
};

static int64_t
positive(int64_t v)
{
	return v > 0 ? v : 0;
}

static int64_t
min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
max64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Saturating at the ends of int64. */
static int64_t
add64(int64_t a, int64_t b)
{
	int64_t r;

	if (!__builtin_add_overflow(a, b, &r))
		return r;
	return b > 0 ? INT64_MAX : INT64_MIN;
}

static int64_t
sub64(int64_t a, int64_t b)
{
	int64_t r;

	if (!__builtin_sub_overflow(a, b, &r))
		return r;
	return b < 0 ? INT64_MAX : INT64_MIN;
}

static int64_t
mul64(int64_t a, int64_t b)
{
	int64_t r;

	return __builtin_mul_overflow(a, b, &r) ? INT64_MAX : r;
}

/* What the agent may still promise. */
static int64_t
rights_of(const struct lease_view *v, const struct lease_write *w)
{
	int64_t out = sub64(v->granted, max64(v->settled, w->r_settled));

	return sub64(sub64(out, w->returned), w->r_in_use);
}

/* What the agent would like to have in all. */
static int64_t
grant_wish(
    const struct grant_config *cfg, const Hg__LeaseReport *r, int64_t horizon_s)
{
	int64_t need = mul64(positive(r->rate_per_s), cfg->horizon_s);

	if (horizon_s > cfg->horizon_s)
		need = add64(need, mul64(positive(r->steady_rate),
				       horizon_s - cfg->horizon_s));
	return add64(add64(need, positive(r->w_p99)), positive(r->want_total));
}

/* The longest horizon that the agent takes and the fence allows: it reports
 * at least twice before its rights end. */
static int64_t
grant_horizon_most(const struct grant_config *cfg, const Hg__LeaseReport *r)
{
	int64_t most = min64(positive(r->horizon_max_ms), cfg->fence_ms / 2);

	most = min64(most / 1000, cfg->horizon_most_s);
	return most < cfg->rest_s ? cfg->horizon_s : most;
}

/* What must be free for rights of so many seconds with n agents: above it
 * free / (2 n) is more than anybody asks for, and free more than what makes a
 * tail. */
static int64_t
grant_floor(const struct grant_config *cfg, const Hg__LeaseReport *r,
    int64_t horizon_s, int64_t n)
{
	int64_t most =
	    max64(grant_wish(cfg, r, horizon_s), positive(r->want_min));

	most = add64(most, positive(r->in_use)); /* rights may be below 0 */
	return mul64(mul64(add64(most, 1), max64(cfg->tail_factor, 2)), n);
}

int64_t
grant_agents_most(int64_t known)
{
	return min64(add64(mul64(positive(known), 2), 16), GRANT_AGENTS_MAX);
}

/* Reports each half minute are cheaper than to count many agents for longer
 * rests. */
int64_t
grant_plenty(const struct grant_config *cfg, const Hg__LeaseReport *r)
{
	int64_t most = min64(grant_horizon_most(cfg, r), cfg->uncounted_s);

	return grant_floor(cfg, r, most, cfg->agents_most);
}

/* The horizon that `free` is plenty for. */
static int64_t
grant_horizon(const struct grant_config *cfg, const struct lease_view *v,
    const Hg__LeaseReport *r, int64_t n, int64_t free, int64_t now)
{
	int64_t most = grant_horizon_most(cfg, r), more, h;

	if (v->period_end != INT64_MAX)
		most = min64(most, (v->period_end - now) / 1000000000);
	if (most < cfg->rest_s)
		return cfg->horizon_s;
	if (v->soft || free >= grant_floor(cfg, r, most, n))
		return most;
	if (r->steady_rate <= 0)
		return cfg->horizon_s;
	more = sub64(free, grant_floor(cfg, r, cfg->horizon_s, n));
	h = cfg->horizon_s +
	    more / mul64(mul64(r->steady_rate, max64(cfg->tail_factor, 2)), n);
	h = min64(h, most);
	return h < cfg->rest_s ? cfg->horizon_s : h;
}

static int64_t
grant_size(const struct grant_config *cfg, const Hg__LeaseReport *r, int64_t n,
    int64_t horizon_s, int64_t rights, int64_t shortfall, int64_t free)
{
	int64_t want = positive(r->want_total), cap = free / (2 * n), need;

	need = sub64(grant_wish(cfg, r, horizon_s), rights);
	if (need <= 0 || free <= 0)
		return 0;
	if (shortfall <= free)
		return min64(min64(need, max64(cap, shortfall)), free);
	/* The largest waiter cannot be served: only what smaller ones may
	 * use, if there are any; the rest would be stranded here. Not even
	 * that when it is too small for all of them: given out in pieces that
	 * nobody can use it would go round and round. */
	if (positive(r->want_least) > add64(positive(rights), free))
		return 0;
	return min64(positive(want - positive(r->want_min)), free);
}

/* Whether anybody else makes a difference, and how long the agent may be
 * silent. After everything else was decided. */
static void
decide_rest(const struct grant_config *cfg, const struct lease_view *v,
    const Hg__LeaseReport *r, int64_t horizon_s, int64_t shortfall,
    struct grant_result *d)
{
	int64_t n = v->counted ? v->n_active + 1 : cfg->agents_most;
	int64_t floor = grant_floor(cfg, r, horizon_s, n);
	int64_t free = d->free + d->w.grant;

	if (!v->is_current || d->recall_to >= 0 || v->recall)
		return;
	d->plenty = !v->soft && !v->moved && !v->stale && free >= floor &&
		    shortfall <= free;
	if (d->plenty && d->move)
		d->w.floor = floor;
	if (horizon_s <= cfg->horizon_s || d->tail ||
	    (!v->soft && free < floor))
		return;
	d->horizon_ms = horizon_s * 1000;
	d->w.quiet_until =
	    d->w.report_at + horizon_s * 1000000000 + 2 * cfg->recent_ns;
}

/* Another agent waits and this one holds idle rights. */
static void
decide_recall(const struct lease_view *v, const Hg__LeaseReport *r,
    int64_t rights, struct grant_result *d)
{
	d->recall_to = -1;
	d->w.recall = v->recall;
	/* Time gave back what it holds (bounded budgets): not to be spent. */
	if (positive(r->returned) < v->returned)
		d->recall_to = positive(sub64(sub64(v->granted, v->returned),
		    max64(v->settled, d->w.r_settled)));
	if (!v->recall)
		return;
	if (rights <= 0)
		d->w.recall = false; /* done */
	else if (r->want_min <= 0)
		d->recall_to = d->w.r_in_use;
}

void
grant_decide(const struct grant_config *cfg, const struct lease_view *v,
    const Hg__LeaseReport *r, int64_t now, struct grant_result *ret)
{
	struct grant_result d = {.recall_to = -1, .free = v->free};
	/* clocks of replicas differ */
	bool contested = v->recall_at > 0 &&
			 now - v->recall_at < cfg->contested_ns &&
			 v->recall_at - now < cfg->contested_ns;
	int64_t n = v->n_active + 1, rights, shortfall = 0, w, scarce, h;

	d.w = (struct lease_write){.budget_uid = v->budget_uid,
	    .period_start = v->period_start,
	    .returned = max64(v->returned,
		min64(positive(r->returned), v->granted - v->settled)),
	    .high_water = max64(v->high_water, positive(r->high_water)),
	    .r_settled =
		max64(v->r_settled, min64(positive(r->settled), v->granted)),
	    /* more would be absurd, and spoil sums over all agents */
	    .r_in_use = min64(positive(r->in_use), v->granted),
	    .report_at = now,
	    .version = v->version,
	    .seen_granted = v->exists ? v->granted : -1,
	    .seen_returned = v->returned,
	    .fence_at = now + cfg->fence_ms * INT64_C(1000000)};
	d.free = add64(d.free, d.w.returned - v->returned);
	d.avail = add64(positive(d.free), v->recallable);
	rights = rights_of(v, &d.w);
	h = contested ? cfg->horizon_s
		      : grant_horizon(cfg, v, r,
			    v->counted ? n : cfg->agents_most, d.free, now);
	decide_recall(v, r, rights, &d);
	w = max64(positive(r->w_p99), positive(r->want_min));
	scarce = mul64(mul64(cfg->tail_factor, n), w);
	if (v->is_current && !v->soft && !v->retired) {
		if (r->want_min > 0)
			shortfall = positive(sub64(r->want_min, rights));
		if (d.recall_to < 0 &&
		    (r->want_min > 0 ||
			(!v->recall && !contested && d.free >= scarce)))
			d.w.grant =
			    grant_size(cfg, r, n, h, rights, shortfall, d.free);
		if (shortfall > d.free) {
			/* also for smaller requests that wait there */
			d.exhausted = d.avail < shortfall;
			d.w.recall_others =
			    v->recallable > 0 &&
			    (!d.exhausted || r->want_total > r->want_min);
		}
	}
	/* Who does not wait leaves enough for no tail to begin: the answer
	 * would ask for the grant back, over and over. */
	if (r->want_min <= 0)
		d.w.grant = positive(min64(d.w.grant, sub64(d.free, scarce)));
	d.free -= d.w.grant;
	d.avail = positive(sub64(d.avail, d.w.grant));
	d.tail = !v->soft && d.free < scarce;
	d.granted = v->granted + d.w.grant;
	d.spent = v->spent;
	d.move = d.w.grant > 0 || d.w.returned > v->returned ||
		 d.w.recall_others || d.w.recall != v->recall;
	d.report = v->exists;
	decide_rest(cfg, v, r, h, shortfall, &d);
	*ret = d;
}

void
grant_answer(const struct grant_config *cfg, const struct lease_view *v,
    const struct grant_result *d, int64_t now, Hg__LeaseGrant *g)
{
	int64_t left = v->period_end == INT64_MAX
			   ? INT64_MAX
			   : (v->period_end - now) / 1000000;

	g->budget_uid = v->budget_uid;
	g->period_start = v->period_start;
	g->period_end = v->period_end;
	g->granted = d->granted;
	g->fence_ms = v->is_current ? cfg->fence_ms : 0;
	g->valid_ms = v->is_current ? positive(left) : 0;
	g->mode =
	    d->tail ? HG__LEASE_MODE__LEASE_TAIL : HG__LEASE_MODE__LEASE_NORMAL;
	g->recall_to = v->is_current ? d->recall_to : d->w.r_in_use;
	g->exhausted = d->exhausted;
	g->limit = v->limit;
	g->spent = d->spent;
	g->free = d->free;
	g->avail = d->avail;
	g->busy = v->busy;
	g->horizon_ms = d->horizon_ms;
}
