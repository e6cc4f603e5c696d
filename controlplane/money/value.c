/* SPDX-License-Identifier: Apache-2.0 */
/* See value.h. */
#include "controlplane/money/value.h"

#include <stdlib.h>

#include "common/tags.h"
#include "controlplane/store/store_value.h"

struct values {
	struct value_ask *v; /* sorted */
	size_t n;
};

static bool
value_is_valid(struct str s)
{
	return s.len == 0 || tags_user_is_valid(s);
}

static int
value_order(const void *a, const void *b)
{
	const struct value_ask *x = a, *y = b;

	if (x->budget_uid != y->budget_uid)
		return x->budget_uid < y->budget_uid ? -1 : 1;
	return str_cmp(x->value, y->value);
}

/* The asks of the reports, in order, each value once. */
static void
values_collect(struct values *k, Hg__LeaseReport *const *reports, size_t n)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		const Hg__LeaseReport *r = reports[i];

		if (r->each_uid == 0 || !value_is_valid(str_of(r->value)))
			continue;
		k->v[m].budget_uid = r->each_uid;
		k->v[m].value = str_of(r->value);
		k->v[m++].least =
		    r->want_least > 0 ? r->want_least : r->want_min;
	}
	qsort(k->v, m, sizeof(*k->v), value_order);
	for (size_t i = 0; i < m; i++)
		if (k->n == 0 || value_order(&k->v[k->n - 1], &k->v[i]) != 0)
			k->v[k->n++] = k->v[i];
}

/* What is told of a value, and of a lease on it, if there is one. */
static Hg__LeaseGrant *
value_grant(
    const struct value_ask *v, const struct value_lease *l, struct arena *a)
{
	Hg__LeaseGrant *g = arena_alloc(a, sizeof(*g));

	if (g == NULL)
		return NULL;
	hg__lease_grant__init(g);
	g->each_uid = v->budget_uid;
	g->value = (char *)(uintptr_t)v->value.p; /* of the report */
	g->recall_to = -1;
	if (v->state == VALUE_OK) {
		g->budget_uid = v->cell_uid;
		if (l == NULL)
			return g;
		g->period_start = l->period_start;
		g->granted = l->granted;
		g->returned = l->returned;
		return g;
	}
	g->answer = v->state == VALUE_TOO_DEAR ? HG__VALUE_ANSWER__VALUE_SHORT
					       : HG__VALUE_ANSWER__VALUE_FULL;
	g->exhausted = v->state == VALUE_TOO_DEAR;
	g->limit = v->limit;
	g->free = g->avail = v->limit;
	g->period_end = v->end_ns;
	return g;
}

/* After the answers of the exchange, those about values. */
static int
values_answer(struct exchange *x, const struct values *k, struct arena *a)
{
	size_t n = x->n_grants;
	Hg__LeaseGrant **all =
	    arena_alloc(a, (n + k->n * VALUE_LEASES_MAX) * sizeof(*all));

	if (all == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		all[i] = x->grants[i];
	for (size_t i = 0; i < k->n; i++) {
		const struct value_ask *v = &k->v[i];
		size_t m = 0;

		if (v->state == VALUE_GONE)
			continue; /* the agent's configuration is old */
		do {
			all[n] = value_grant(
			    v, v->n_leases > 0 ? &v->leases[m] : NULL, a);
			if (all[n++] == NULL)
				return ERR_NOMEM;
		} while (++m < v->n_leases);
	}
	x->grants = all;
	x->n_grants = n;
	return 0;
}

int
value_exchange(struct exchange *x, struct db *db,
    Hg__LeaseReport *const *reports, size_t n, struct arena *a, struct error *e)
{
	struct values k = {0};
	Hg__LeaseReport **rest;
	size_t asks = 0, m = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		asks += reports[i]->each_uid != 0;
	if (asks == 0 || n > EXCHANGE_MAX_REPORTS)
		return exchange_run(x, db, reports, n, a, e);
	k.v = arena_zalloc(a, asks * sizeof(*k.v));
	rest = arena_alloc(a, n * sizeof(*rest));
	if (k.v == NULL || rest == NULL)
		return err_set(e, ERR_NOMEM, "no memory for leases");
	for (size_t i = 0; i < n; i++)
		if (reports[i]->each_uid == 0)
			rest[m++] = reports[i];
	values_collect(&k, reports, n);
	rc = store_value_cells(
	    db, x->agent_id, x->boot_epoch, k.v, k.n, x->now, e);
	if (rc == 0)
		rc = exchange_run(x, db, rest, m, a, e);
	if (rc == 0 && values_answer(x, &k, a) != 0)
		rc = err_set(e, ERR_NOMEM, "no memory for leases");
	return rc;
}
