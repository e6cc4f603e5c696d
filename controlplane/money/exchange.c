/* SPDX-License-Identifier: Apache-2.0 */
/* See exchange.h. Only commits through typed functions of the store. */
#include "controlplane/money/exchange.h"

#include <string.h>

#define EXCHANGE_TRIES 5

struct asked {
	struct lease_key key;
	Hg__LeaseReport report;
};

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
		    .period_start = v->is_current ? 0 : v->period_start,
		    .plenty = grant_plenty(x->cfg, &r)};

		rc = db_begin(db, e);
		if (rc == 0)
			rc = store_lease_lock(db, x->agent_id, x->boot_epoch,
			    key, x->now, x->now - x->cfg->recent_ns, v, e);
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

static int
exchange_answer(struct exchange *x, const struct lease_view *v,
    const struct grant_result *d, struct arena *a)
{
	Hg__LeaseGrant *g = arena_alloc(a, sizeof(*g));

	if (g == NULL)
		return ERR_NOMEM;
	hg__lease_grant__init(g);
	grant_answer(x->cfg, v, d, x->now, g);
	x->grants[x->n_grants++] = g;
	return 0;
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

/* One round: read all, decide, write what moves. An answer extends the agent's
 * fence only when our record of it was written. */
static int
exchange_round(struct exchange *x, struct db *db, const struct asked *q,
    size_t n, struct lease_view *v, struct arena *a, struct error *e)
{
	struct lease_key *keys = arena_alloc(a, n * sizeof(*keys) + 1);
	struct lease_write *w = arena_alloc(a, n * sizeof(*w) + 1);
	size_t i, n_reports = 0, first = x->n_grants;
	int rc;

	if (keys == NULL || w == NULL)
		return err_set(e, ERR_NOMEM, "no memory for leases");
	for (i = 0; i < n; i++) {
		keys[i] = q[i].key;
		keys[i].plenty = grant_plenty(x->cfg, &q[i].report);
	}
	rc = store_lease_read(db, x->agent_id, x->boot_epoch, keys, n, x->now,
	    x->now - x->cfg->recent_ns, v, e);
	for (i = 0; rc == 0 && i < n; i++) {
		struct grant_result d = {0};
		bool written;

		if (!v[i].found)
			continue;
		grant_decide(x->cfg, &v[i], &q[i].report, x->now, &d);
		if (v[i].stale || d.move)
			rc = exchange_locked(x, db, &q[i], &v[i], &d, e);
		else if (d.report && !x->lease_only)
			w[n_reports++] = d.w;
		written = d.move || (d.report && !x->lease_only);
		if (rc == 0 && v[i].found)
			rc = exchange_answer(x, &v[i], &d, a);
		if (rc == 0 && v[i].found && !written)
			x->grants[x->n_grants - 1]->fence_ms = 0;
	}
	if (n_reports > 0 && rc == 0 && /* a hint for others: may fail */
	    store_lease_reports(
		db, x->agent_id, x->boot_epoch, w, n_reports, NULL) != 0)
		for (i = first; i < x->n_grants; i++)
			x->grants[i]->fence_ms = 0;
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
