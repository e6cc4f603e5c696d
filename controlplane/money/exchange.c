/* SPDX-License-Identifier: Apache-2.0 */
/* See exchange.h. Only commits through typed functions of the store. */
#include "controlplane/money/exchange.h"

#include <string.h>

#include "controlplane/store/store_value.h"

#define EXCHANGE_TRIES 5

struct asked {
	struct lease_key key;
	Hg__LeaseReport report;
};

/* Another period has begun since the report was read: what it says was spent
 * and returned is not of this one, where the agent may have a lease, too. */
static bool
exchange_other(const struct asked *q, const struct lease_view *v)
{
	return v->found && q->key.period_start != 0 &&
	       v->period_start != q->key.period_start;
}

/* Under the lock: decide on fresh numbers and write. A period that is over for
 * other replicas grants nothing (clocks differ): what was said of it is noted
 * all the same, and the agent's other budgets do not suffer. */
static int
exchange_locked(struct exchange *x, struct db *db, const struct asked *q,
    struct lease_view *v, struct grant_result *d, struct error *e)
{
	Hg__LeaseReport r = q->report;
	int rc, tries;

	for (tries = 0; tries < EXCHANGE_TRIES; tries++) {
		struct lease_key key = {.budget_uid = q->key.budget_uid,
		    .period_start = exchange_other(q, v) ? q->key.period_start
				    : v->is_current	 ? 0
							 : v->period_start,
		    .plenty = grant_plenty(x->cfg, &r)};

		rc = db_begin(db, e);
		if (rc == 0)
			rc = store_lease_lock(db, x->agent_id, x->boot_epoch,
			    key, x->now, x->now - x->cfg->recent_ns, v, e);
		if (rc == 0 && exchange_other(q, v))
			rc = err_set(e, ERR_AGAIN, "another period has begun");
		if (rc == 0 && v->found) {
			grant_decide(x->cfg, v, &r, x->now, d);
			if (d->move || (d->report && !x->lease_only))
				rc = store_lease_write(
				    db, x->agent_id, x->boot_epoch, &d->w, e);
		}
		if (rc == 0)
			rc = db_commit(db, e);
		if (rc != 0)
			db_rollback(db);
		if (rc == ERR_CONFLICT)
			r.want_min = r.want_total = r.rate_per_s = r.w_p99 = 0;
		else if (rc != ERR_AGAIN)
			break;
	}
	if (rc == 0 && v->found && d->w.grant > 0) {
		x->n_given++;
		x->given += d->w.grant;
	}
	return rc;
}

/* Up to a tenth less, each agent and each time another: agents that started
 * together do not come back together. */
static int64_t
exchange_horizon(const struct exchange *x, int64_t ms)
{
	uint64_t h = (uint64_t)x->now;

	for (size_t i = 0; i < x->agent_id.len; i++)
		h = (h ^ (uint8_t)x->agent_id.p[i]) * UINT64_C(1099511628211);
	return ms - ms / 1000 * (int64_t)((h >> 32) % 100);
}

/* What is asked: one entry a report, and for a report on a period that is
 * over, one about the current period with the same demand (appended later by
 * exchange_renew). */
static struct asked *
exchange_keys(Hg__LeaseReport *const *reports, size_t n, struct arena *a)
{
	struct asked *q = arena_zalloc(a, (n + 1) * sizeof(*q));
	size_t i;

	for (i = 0; q != NULL && i < n; i++) {
		q[i].key.budget_uid = reports[i]->budget_uid;
		q[i].key.period_start = reports[i]->period_start;
		q[i].report = *reports[i];
	}
	return q;
}

/* Reports on ended periods of budgets that nothing else asks about the
 * current period of: ask, with their demand and no lease of their own. */
static size_t
exchange_renew(const struct asked *q, const struct lease_view *v, size_t n,
    struct asked *renewed)
{
	size_t i, j, m = 0;

	for (i = 0; i < n; i++) {
		if (!v[i].found || v[i].is_current)
			continue;
		if (q[i].report.want_min <= 0 && q[i].report.rate_per_s <= 0)
			continue;
		for (j = 0; j < n; j++)
			if (v[j].is_current &&
			    v[j].budget_uid == v[i].budget_uid)
				break;
		if (j < n)
			continue;
		renewed[m].key.budget_uid = v[i].budget_uid;
		hg__lease_report__init(&renewed[m].report);
		renewed[m].report.budget_uid = v[i].budget_uid;
		renewed[m].report.want_min = q[i].report.want_min;
		renewed[m].report.want_total = q[i].report.want_total;
		renewed[m].report.rate_per_s = q[i].report.rate_per_s;
		renewed[m].report.w_p99 = q[i].report.w_p99;
		m++;
	}
	return m;
}

/* All that a round needs. */
struct round {
	const struct asked *q;
	struct lease_view *v;
	struct grant_result *d;
	struct lease_write *w;	 /* written at once */
	size_t *at;		 /* w[k] is about q[at[k]] */
	bool *done;		 /* w[k] was written */
	bool *kept;		 /* what was decided about q[i] is written */
	enum value_state *place; /* of q[i], which asked for one; else OK */
	size_t n, n_some;
};

static int
round_new(struct round *t, const struct asked *q, size_t n,
    struct lease_view *v, struct arena *a)
{
	*t = (struct round){.q = q,
	    .v = v,
	    .n = n,
	    .d = arena_zalloc(a, n * sizeof(*t->d)),
	    .w = arena_alloc(a, n * sizeof(*t->w)),
	    .at = arena_alloc(a, n * sizeof(*t->at)),
	    .done = arena_zalloc(a, n * sizeof(*t->done)),
	    .kept = arena_zalloc(a, n * sizeof(*t->kept)),
	    .place = arena_zalloc(a, n * sizeof(*t->place))};
	return t->d == NULL || t->w == NULL || t->at == NULL ||
		       t->done == NULL || t->kept == NULL || t->place == NULL
		   ? ERR_NOMEM
		   : 0;
}

/* Read all without locks and decide. */
static int
round_decide(struct exchange *x, struct db *db, struct round *t,
    struct arena *a, struct error *e)
{
	struct lease_key *keys = arena_alloc(a, t->n * sizeof(*keys));
	int rc;

	if (keys == NULL)
		return err_set(e, ERR_NOMEM, "no memory for leases");
	for (size_t i = 0; i < t->n; i++) {
		keys[i] = t->q[i].key;
		keys[i].plenty = grant_plenty(x->cfg, &t->q[i].report);
	}
	rc = store_lease_read(db, x->agent_id, x->boot_epoch, keys, t->n,
	    x->now, x->now - x->cfg->recent_ns, t->v, e);
	for (size_t i = 0; rc == 0 && i < t->n; i++)
		if (t->v[i].found)
			grant_decide(x->cfg, &t->v[i], &t->q[i].report, x->now,
			    &t->d[i]);
	return rc;
}

/* Write at once what needs no second look: reports, and grants and returns
 * where plenty is free. */
static void
round_some(struct exchange *x, struct db *db, struct round *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct grant_result *d = &t->d[i];

		if (!t->v[i].found || t->v[i].stale)
			continue;
		if (d->move ? !d->plenty : !d->report || x->lease_only)
			continue;
		t->at[t->n_some] = i;
		t->w[t->n_some++] = d->w;
	}
	/* After a failure moves are tried one by one; the rest was a hint. */
	if (store_lease_write_some(db, x->agent_id, x->boot_epoch, t->w,
		t->n_some, t->done, NULL) != 0)
		return;
	for (size_t k = 0; k < t->n_some; k++) {
		t->kept[t->at[k]] = t->done[k];
		if (!t->done[k] || t->w[k].grant == 0)
			continue;
		x->n_given++;
		x->given += t->w[k].grant;
	}
}

/* Somebody waits for rights on the cell of a value that has no place: it takes
 * one first. */
static int
round_place(struct exchange *x, struct db *db, struct round *t, size_t i,
    bool *took, struct error *e)
{
	const Hg__LeaseReport *r = &t->q[i].report;
	int rc;

	*took = false;
	if (!t->v[i].retired || !t->v[i].is_current || r->want_min <= 0)
		return 0;
	rc = store_value_place(db, t->v[i].budget_uid,
	    r->want_least > 0 ? r->want_least : r->want_min, x->now,
	    &t->place[i], e);
	*took = rc == 0 && t->place[i] == VALUE_OK;
	return rc;
}

/* Without a place it is told so, or that its whole limit is too little. */
static void
place_answer(const struct round *t, size_t i, Hg__LeaseGrant *g)
{
	if (t->place[i] == VALUE_TOO_MANY)
		g->answer = HG__VALUE_ANSWER__VALUE_FULL;
	if (t->place[i] != VALUE_TOO_DEAR)
		return;
	g->exhausted = true;
	g->free = g->avail = t->v[i].limit;
}

/* An answer extends the agent's fence, and lets it rest, only when our record
 * of it was written. Soft budgets have none: nobody asks what is held there. */
static int
round_answer(
    struct exchange *x, const struct round *t, size_t i, struct arena *a)
{
	Hg__LeaseGrant *g = arena_alloc(a, sizeof(*g));

	if (g == NULL)
		return ERR_NOMEM;
	hg__lease_grant__init(g);
	grant_answer(x->cfg, &t->v[i], &t->d[i], x->now, g);
	place_answer(t, i, g);
	g->horizon_ms = exchange_horizon(x, g->horizon_ms);
	if (!t->kept[i]) {
		g->fence_ms = 0;
		if (!t->v[i].soft)
			g->horizon_ms = 0;
	}
	x->grants[x->n_grants++] = g;
	return 0;
}

static int
exchange_round(struct exchange *x, struct db *db, const struct asked *q,
    size_t n, struct lease_view *v, struct arena *a, struct error *e)
{
	struct round t;
	int rc;

	if (round_new(&t, q, n, v, a) != 0)
		return err_set(e, ERR_NOMEM, "no memory for leases");
	rc = round_decide(x, db, &t, a, e);
	if (rc == 0)
		round_some(x, db, &t);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct grant_result *d = &t.d[i];
		bool took;

		if (!v[i].found)
			continue;
		rc = round_place(x, db, &t, i, &took, e);
		if (rc == 0 &&
		    (took || (!t.kept[i] && (v[i].stale || d->move)))) {
			rc = exchange_locked(x, db, &q[i], &v[i], d, e);
			t.kept[i] = d->move || (d->report && !x->lease_only);
		}
		if (rc == 0 && v[i].found)
			rc = round_answer(x, &t, i, a);
	}
	return rc;
}

int
exchange_run(struct exchange *x, struct db *db, Hg__LeaseReport *const *reports,
    size_t n, struct arena *a, struct error *e)
{
	struct lease_view *v;
	struct asked *q, *renewed;
	int rc;

	x->n_grants = 0;
	if (n == 0)
		return 0;
	if (n > EXCHANGE_MAX_REPORTS)
		return err_set(e, ERR_TOO_LARGE, "%zu lease reports", n);
	q = exchange_keys(reports, n, a);
	renewed = arena_zalloc(a, n * sizeof(*renewed));
	v = arena_zalloc(a, n * sizeof(*v));
	x->grants = arena_zalloc(a, 2 * n * sizeof(Hg__LeaseGrant *));
	if (q == NULL || renewed == NULL || v == NULL || x->grants == NULL)
		return err_set(e, ERR_NOMEM, "no memory for leases");
	rc = exchange_round(x, db, q, n, v, a, e);
	if (rc != 0)
		return rc;
	n = exchange_renew(q, v, n, renewed);
	return n == 0 ? 0 : exchange_round(x, db, renewed, n, v, a, e);
}
