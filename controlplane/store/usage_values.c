/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Soft budgets for each value. Nothing is reserved on them, so agents need not
 * know their cells: a charge names the budget, without a period, and here the
 * cell is found by the record's tags. The value takes its place as any; what a
 * value without one spends is not counted by the budget.
 */
#include <stdlib.h>
#include <string.h>

#include "common/tags.h"
#include "controlplane/store/store_internal.h"
#include "controlplane/store/store_value.h"
#include "controlplane/store/usage_internal.h"

#define VALUES_ARENA (256 << 20) /* limit, as of ingest */
#define VALUES_ASKS  4096	 /* of store_value_cells() */

struct each {
	uint64_t uid;
	struct str name; /* of the tag */
};

/* May the charge be one of them? A hard budget is charged in the period of its
 * lease. */
static bool
values_may(const Hg__Charge *c)
{
	return c->period_start == 0 && c->budget_uid <= INT64_MAX;
}

static int
values_compare(const void *pa, const void *pb)
{
	const struct value_ask *a = pa, *b = pb;

	if (a->budget_uid != b->budget_uid)
		return a->budget_uid < b->budget_uid ? -1 : 1;
	return str_cmp(a->value, b->value);
}

static const struct each *
values_each(const struct usage_values *v, uint64_t uid)
{
	for (size_t i = 0; i < v->n_each; i++)
		if (v->each[i].uid == uid)
			return &v->each[i];
	return NULL;
}

/* The record's value; false when it is none. */
static bool
values_of(const struct each *k, const Hg__UsageRecord *r, struct str *value)
{
	*value = STR("");
	for (size_t i = 0; i < r->n_tags; i++)
		if (str_eqz(k->name, r->tags[i]->key))
			*value = str_of(r->tags[i]->value);
	return value->len == 0 || tags_user_is_valid(*value);
}

/* Which of these uids are budgets for each value, and of what. */
static int
values_budgets(struct db *db, struct usage_values *v, const int64_t *uids,
    size_t n, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT i.uid, CASE i.spec->>'each' WHEN 'user' THEN 'user' "
	    "ELSE substr(i.spec->>'each', 5) END FROM config_item i "
	    "WHERE i.kind = 9 AND i.uid = ANY ($1::bigint[]) "
	    "AND i.spec->>'each' IS NOT NULL"};
	struct db_rows *r = NULL;
	int rc = db_query(db, &st, DB_ARGS(DBIA(uids, n)), &r, e);

	if (rc != 0)
		return rc;
	v->each =
	    arena_zalloc(&v->arena, db_rows_count(r) * sizeof(*v->each) + 1);
	for (size_t i = 0; v->each != NULL && i < db_rows_count(r); i++) {
		struct str name = db_str(r, i, 1);
		char *copy = arena_alloc(&v->arena, name.len + 1);

		if (copy == NULL) {
			v->each = NULL;
			break;
		}
		memcpy(copy, name.p, name.len);
		v->each[v->n_each++] = (struct each){
		    (uint64_t)db_i64(r, i, 0), str_make(copy, name.len)};
	}
	db_rows_free(r);
	return v->each == NULL ? err_set(e, ERR_NOMEM, "no memory") : 0;
}

/* The values of the batch, each once, in order. */
static int
values_collect(struct usage_values *v, const Hg__UsageBatch *b, size_t most,
    int64_t now, struct error *e)
{
	size_t m = 0;

	v->asks = arena_zalloc(&v->arena, most * sizeof(*v->asks));
	if (v->asks == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	for (size_t i = 0; i < b->n_records; i++) {
		const Hg__UsageRecord *r = b->records[i];

		if (usage_record_reject(r, now) != NULL &&
		    !usage_record_charges(r))
			continue;
		for (size_t k = 0; k < r->n_charges; k++) {
			const struct each *of =
			    values_may(r->charges[k])
				? values_each(v, r->charges[k]->budget_uid)
				: NULL;
			struct str value;

			if (of == NULL || !values_of(of, r, &value))
				continue;
			v->asks[m].budget_uid = of->uid;
			v->asks[m++].value = value;
		}
	}
	qsort(v->asks, m, sizeof(*v->asks), values_compare);
	for (size_t i = 0; i < m; i++)
		if (v->n == 0 ||
		    values_compare(&v->asks[v->n - 1], &v->asks[i]) != 0)
			v->asks[v->n++] = v->asks[i];
	return 0;
}

struct find {
	struct usage_values *v;
	const Hg__UsageBatch *b;
	const int64_t *uids;
	size_t n;
	int64_t now;
};

static int
values_tx(struct db *db, void *ctx, struct error *e)
{
	const struct find *f = ctx;
	struct usage_values *v = f->v;
	int rc;

	v->n = v->n_each = 0;
	rc = values_budgets(db, v, f->uids, f->n, e);
	if (rc == 0 && v->n_each > 0)
		rc = values_collect(v, f->b, f->n, f->now, e);
	for (size_t i = 0; rc == 0 && i < v->n; i += VALUES_ASKS)
		rc = store_value_cells_tx(db, STR(""), 0, &v->asks[i],
		    v->n - i < VALUES_ASKS ? v->n - i : VALUES_ASKS, f->now, e);
	return rc;
}

int
usage_values_find(struct usage_values *v, struct store *s,
    const Hg__UsageBatch *b, int64_t now, struct error *e)
{
	struct find f = {.v = v, .b = b, .now = now};
	int64_t *uids;
	size_t n = 0;

	*v = (struct usage_values){.n = 0};
	arena_init(&v->arena, 4096, VALUES_ARENA);
	for (size_t i = 0; i < b->n_records; i++)
		for (size_t k = 0; k < b->records[i]->n_charges; k++)
			n += values_may(b->records[i]->charges[k]);
	if (n == 0)
		return 0;
	uids = arena_alloc(&v->arena, n * sizeof(*uids));
	if (uids == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	f.uids = uids;
	for (size_t i = 0; i < b->n_records; i++)
		for (size_t k = 0; k < b->records[i]->n_charges; k++) {
			const Hg__Charge *c = b->records[i]->charges[k];

			if (values_may(c))
				uids[f.n++] = (int64_t)c->budget_uid;
		}
	return store_tx(s, 0, values_tx, &f, e);
}

void
usage_values_apply(const struct usage_values *v, const Hg__UsageRecord *r,
    struct usage_entry *en)
{
	/* made by usage_record_entry() for this entry */
	int64_t *c = (int64_t *)(uintptr_t)en->charges;
	size_t n = 0;

	for (size_t i = 0; v->n_each > 0 && i < r->n_charges; i++) {
		int64_t *from = c + i * USAGE_CHARGE_INTS;
		const struct each *of =
		    values_may(r->charges[i])
			? values_each(v, r->charges[i]->budget_uid)
			: NULL;
		struct value_ask key = {0}, *found = NULL;

		if (of != NULL) {
			key.budget_uid = of->uid;
			if (values_of(of, r, &key.value))
				found = bsearch(&key, v->asks, v->n,
				    sizeof(key), values_compare);
			if (found == NULL || found->state != VALUE_OK)
				continue;
			from[0] = (int64_t)found->cell_uid;
		}
		memmove(c + n++ * USAGE_CHARGE_INTS, from,
		    USAGE_CHARGE_INTS * sizeof(*c));
	}
	if (v->n_each == 0)
		return;
	en->n_charges = n;
	if (n == 0)
		en->held = 0;
}

void
usage_values_free(struct usage_values *v)
{
	arena_release(&v->arena);
}
