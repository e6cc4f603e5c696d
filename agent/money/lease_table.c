/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registry of budget cells and the exchange with the control plane, see
 * lease_table.h. What to keep and what to give back is decided in
 * lease_report.c; what a grant means in table_grant().
 */
#include <stdlib.h>
#include <string.h>

#include "agent/money/lease_table_priv.h"
#include "agent/money/lease_value.h"
#include "common/err.h"
#include "proto/envelope.h"

const struct lease_tuning lease_tuning_default = {
    .idle_return_ns = 5 * NS_PER_S,
    .horizon_ns = 10 * NS_PER_S,
    .recycle_ns = 600 * NS_PER_S,
    .silent_ns = LEASE_SILENT_NS,
    .max_reports = PROTO_LEASE_REPORTS_MAX,
    .max_values = 10000,
};

struct lease_table *
lease_table_new(const struct lease_tuning *tuning)
{
	struct lease_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->tuning = tuning != NULL ? *tuning : lease_tuning_default;
	t->values = lease_values_new(t->tuning.max_values);
	if (t->values == NULL) {
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void
lease_table_free(struct lease_table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_cells; i++) {
		struct budget_cell *c = t->cells[i];
		struct lease *l = atomic_load(&c->current);

		free(l);
		for (l = c->old; l != NULL;) {
			struct lease *next = l->next;

			free(l);
			l = next;
		}
		if (c->value == NULL)
			free((void *)(uintptr_t)c->name.p);
		free(c);
	}
	free(t->cells);
	free(t->index);
	lease_values_free(t->values);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static size_t
table_slot(const struct lease_table *t, uint64_t uid)
{
	size_t i = (size_t)((uid * UINT64_C(0x9e3779b97f4a7c15)) >> 20);

	for (;; i++) {
		uint32_t at = t->index[i & (t->n_index - 1)];

		if (at == 0 || t->cells[at - 1]->uid == uid)
			return i & (t->n_index - 1);
	}
}

struct budget_cell *
lease_table_look(const struct lease_table *t, uint64_t uid)
{
	uint32_t at;

	if (t->n_index == 0 || uid == 0)
		return NULL;
	at = t->index[table_slot(t, uid)];
	return at == 0 ? NULL : t->cells[at - 1];
}

/* Room for one more cell in both tables. */
static int
table_grow(struct lease_table *t)
{
	if (t->n_cells == t->cap) {
		size_t cap = t->cap == 0 ? 64 : 2 * t->cap;
		struct budget_cell **cells =
		    realloc(t->cells, cap * sizeof(struct budget_cell *));

		if (cells == NULL)
			return ERR_NOMEM;
		t->cells = cells;
		t->cap = cap;
	}
	if (2 * (t->n_cells + 1) > t->n_index) {
		size_t n = t->n_index == 0 ? 256 : 2 * t->n_index;
		uint32_t *index = calloc(n, sizeof(*index));

		if (index == NULL)
			return ERR_NOMEM;
		free(t->index);
		t->index = index;
		t->n_index = n;
		lease_table_reindex(t);
	}
	return 0;
}

void
lease_table_bind(struct lease_table *t, size_t at)
{
	t->index[table_slot(t, t->cells[at]->uid)] = (uint32_t)at + 1;
}

void
lease_table_reindex(struct lease_table *t)
{
	memset(t->index, 0, t->n_index * sizeof(*t->index));
	for (size_t i = 0; i < t->n_cells; i++)
		if (t->cells[i]->uid != 0)
			lease_table_bind(t, i);
}

int
lease_table_push(struct lease_table *t, struct budget_cell *c)
{
	int rc = table_grow(t);

	if (rc == 0)
		t->cells[t->n_cells++] = c;
	return rc;
}

static struct budget_cell *
table_add(struct lease_table *t, uint64_t uid, struct str name)
{
	struct budget_cell *c;
	char *copy;

	if (table_grow(t) != 0)
		return NULL;
	c = calloc(1, sizeof(*c));
	copy = str_dup(name);
	if (c == NULL || copy == NULL) {
		free(c);
		free(copy);
		return NULL;
	}
	c->uid = uid;
	c->silent_since = &t->silent_since;
	c->silent_ns = t->tuning.silent_ns;
	c->name = str_make(copy, name.len);
	c->values = t->values;
	t->cells[t->n_cells] = c;
	t->index[table_slot(t, uid)] = (uint32_t)++t->n_cells;
	return c;
}

struct budget_cell *
lease_table_cell(struct lease_table *t, uint64_t uid, struct str name)
{
	struct budget_cell *c;

	pthread_mutex_lock(&t->lock);
	c = lease_table_look(t, uid);
	if (c == NULL)
		c = table_add(t, uid, name);
	pthread_mutex_unlock(&t->lock);
	return c;
}

struct budget_cell *
lease_table_find(struct lease_table *t, uint64_t uid)
{
	struct budget_cell *c;

	pthread_mutex_lock(&t->lock);
	c = lease_table_look(t, uid);
	pthread_mutex_unlock(&t->lock);
	return c;
}

void
lease_table_publish(
    struct lease_table *t, const struct budget_setting *v, size_t n)
{
	pthread_mutex_lock(&t->lock);
	t->generation++;
	for (size_t i = 0; i < n; i++) {
		struct budget_cell *c = v[i].cell;

		/* until the control plane tells the new effective one */
		atomic_fetch_add(
		    &c->told_limit, v[i].limit - atomic_load(&c->limit));
		if (v[i].limit != atomic_load(&c->limit) ||
		    v[i].soft != atomic_load(&c->soft))
			c->rest_until = 0; /* it may not be plenty now */
		atomic_store(&c->limit, v[i].limit);
		atomic_store(&c->soft, v[i].soft);
		atomic_store(&c->each, v[i].filter.each.len > 0);
		atomic_store(&c->deleted, false);
		c->generation = t->generation;
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		struct budget_cell *c = t->cells[i];

		if (c->value != NULL) {
			if (c->value->of != NULL) /* which stands before it */
				lease_value_follow(c);
		} else if (c->generation != t->generation) {
			atomic_store(&c->deleted, true);
		}
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- replies ------------------------------------------------------------ */

static int64_t
after_ms(int64_t from, int64_t ms)
{
	int64_t ns;

	if (ms <= 0)
		return from;
	if (__builtin_mul_overflow(ms, NS_PER_MS, &ns))
		return INT64_MAX;
	return lease_add_cap(from, ns);
}

struct lease *
lease_table_fresh(
    const struct lease_table *t, struct budget_cell *c, int64_t now)
{
	for (struct lease **at = &c->old; *at != NULL; at = &(*at)->next) {
		struct lease *l = *at;

		if (now - l->retired_mono < t->tuning.recycle_ns ||
		    now < l->over_mono || lease_news(l) || !lease_balanced(l))
			continue;
		*at = l->next;
		l->next = NULL;
		l->granted = l->returned = 0;
		atomic_store(&l->settled, 0);
		atomic_store(&l->left, 0);
		l->retired_mono = l->sent_returned = l->sent_settled = 0;
		l->over_mono = 0;
		l->told = l->sent_idle = l->tail = l->pool = false;
		return l;
	}
	return calloc(1, sizeof(struct lease));
}

/* Max-merge what was granted; true when that brought rights. */
static bool
lease_merge(struct lease *l, int64_t granted)
{
	int64_t more = granted - l->granted;

	if (more <= 0)
		return false;
	l->granted = granted;
	atomic_fetch_add_explicit(&l->left, more, memory_order_acq_rel);
	return true;
}

static void
lease_times(struct lease *l, const Hg__LeaseGrant *g, int64_t sent_mono)
{
	int64_t fence = after_ms(sent_mono, g->fence_ms);

	if (fence > atomic_load(&l->fence_mono))
		atomic_store(&l->fence_mono, fence);
	l->period_end = g->period_end;
	atomic_store(&l->end_mono, after_ms(sent_mono, g->valid_ms));
	if (g->valid_ms > 0)
		l->over_mono = atomic_load(&l->end_mono);
}

/* The lease of the period that the control plane says is the current one. It
 * may be one that ended too early here (our clock is fast, or replicas differ
 * about the time, or the budget's period was changed and changed back). */
static struct lease *
cell_new_period(struct lease_table *t, struct budget_cell *c,
    const Hg__LeaseGrant *g, struct lease *again, int64_t now)
{
	struct lease *old = atomic_load(&c->current);
	struct lease *l = again;

	if (again != NULL)
		lease_cell_revive(c, again);
	else
		l = lease_table_fresh(t, c, now);

	if (l == NULL)
		return NULL;
	l->cell = c;
	l->period_start = g->period_start;
	if (old != NULL)
		lease_cell_retire(c, old, now);
	return l;
}

static struct lease *
cell_find_old(const struct budget_cell *c, int64_t period_start)
{
	struct lease *l = c->old;

	while (l != NULL && l->period_start != period_start)
		l = l->next;
	return l;
}

static void
lease_told(struct lease *l)
{
	if (l->sent_idle)
		l->told = true;
}

static void
table_recall(struct lease_table *t, struct lease *l, const Hg__LeaseGrant *g,
    int64_t now)
{
	int64_t keep = lease_add_cap(g->recall_to, lease_held(l->cell, now));
	int64_t has = atomic_load(&l->left) + atomic_load(&l->in_use);

	l->tail = g->mode == HG__LEASE_MODE__LEASE_TAIL;
	if (g->recall_to < 0 || has <= keep)
		return;
	lease_give_up(l, has - keep);
	t->n_recalls++;
}

/* Low water stays what it was; spending that doubles matters no more. */
static void
cell_horizon(struct budget_cell *c, const Hg__LeaseGrant *g, int64_t sent_mono)
{
	c->horizon_ns = after_ms(0, g->horizon_ms);
	if (c->horizon_ns > LEASE_HORIZON_MOST_NS)
		c->horizon_ns = LEASE_HORIZON_MOST_NS;
	c->rest_from = sent_mono;
	c->rest_until = sent_mono + c->horizon_ns / 2;
	if (c->horizon_ns > 0)
		atomic_store(&c->spend_mark, INT64_MAX);
}

static bool
table_grant(struct lease_table *t, const Hg__LeaseGrant *g, int64_t sent_mono,
    int64_t now)
{
	struct budget_cell *c = lease_table_look(t, g->budget_uid);
	struct lease *l, *old;

	if (c == NULL || g->granted < 0)
		return false;
	if (lease_value_is_full(c, g))
		return atomic_load(&c->want_total) > 0;
	l = atomic_load(&c->current);
	old = cell_find_old(c, g->period_start);
	if (old != NULL &&
	    (g->valid_ms <= 0 ||
		(l != NULL && l->period_start > g->period_start))) {
		/* A superseded period: account, never admit. */
		(void)lease_merge(old, g->granted);
		lease_told(old);
		return false;
	}
	if (l != NULL && g->period_start < l->period_start)
		return false;
	if (l == NULL || g->period_start > l->period_start) {
		l = cell_new_period(t, c, g, old, now);
		if (l == NULL)
			return false;
	}
	l->pool = false;
	if (lease_merge(l, g->granted)) {
		t->n_grants++;
	} else {
		/* Nothing to be had: do not ask again before the heartbeat.
		 * Rights too small for those who still wait go back, or two
		 * agents could each sit on half of what one request needs. */
		if (atomic_load(&l->left) < atomic_load(&c->low_water)) {
			atomic_store(&c->low_water, INT64_MIN);
			atomic_store(&c->spend_mark, INT64_MAX);
		}
		/* What came back since is asked with the next time. */
		l->pool = c->sent_demand && !c->sent_silent;
	}
	lease_times(l, g, sent_mono);
	cell_horizon(c, g, sent_mono);
	atomic_store(&c->current, l);
	lease_told(l);
	table_recall(t, l, g, now);
	atomic_store(&c->spent, g->spent);
	atomic_store(&c->told_limit, g->limit);
	atomic_store(&c->reset_at, g->period_end);
	atomic_store(&c->free, g->free);
	atomic_store(&c->avail, g->avail > 0 ? g->avail : 0);
	atomic_store(&c->busy, g->busy > 0 ? g->busy : 0);
	/* What went back with the report is in `avail` now. */
	atomic_store(&c->going, l->returned - l->sent_returned);
	atomic_store(&c->exhausted, g->exhausted);
	/* The count first, then the flag: see lease_wait(). */
	atomic_fetch_add(&c->reply_gen, 1);
	return atomic_load(&c->want_total) > 0;
}

/* An unanswered report may have made a grant that we do not know: it is asked
 * again, or its rights would be stranded. Who asks for a uid is granted none.
 */
static void
table_answered(struct lease_table *t, bool answered)
{
	for (size_t i = 0; i < t->n_cells; i++) {
		struct budget_cell *c = t->cells[i];

		if (!c->sent_demand)
			continue;
		c->sent_demand = false;
		c->unanswered = !answered && c->uid != 0;
		if (answered && c->sent_mono >= c->ask_until)
			c->ask_until = 0;
		else if (c->unanswered)
			c->ask_until =
			    lease_add_cap(c->sent_mono, LEASE_LATE_NS);
		atomic_store(&c->in_flight, false);
	}
}

bool
lease_table_reply(struct lease_table *t, int64_t sent_mono, int64_t mono_now,
    Hg__LeaseGrant *const *grants, size_t n)
{
	bool wake = false;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < n; i++) {
		if (grants[i]->each_uid != 0
			? lease_value_answer(t, grants[i], mono_now)
			: table_grant(t, grants[i], sent_mono, mono_now))
			wake = true;
	}
	table_answered(t, true);
	atomic_store(&t->silent_since, 0);
	pthread_mutex_unlock(&t->lock);
	return wake;
}

void
lease_table_no_reply(struct lease_table *t)
{
	pthread_mutex_lock(&t->lock);
	table_answered(t, false);
	pthread_mutex_unlock(&t->lock);
}

void
lease_table_asked(struct lease_table *t, int64_t mono_now)
{
	int64_t none = 0;

	(void)atomic_compare_exchange_strong(
	    &t->silent_since, &none, mono_now > 0 ? mono_now : 1);
}

/* ---- state -------------------------------------------------------------- */

bool
lease_table_hint(struct lease_table *t, uint64_t uid)
{
	struct budget_cell *c;
	const struct lease *l;
	bool yes;

	pthread_mutex_lock(&t->lock);
	c = lease_table_look(t, uid);
	l = c == NULL ? NULL : atomic_load(&c->current);
	yes = l != NULL && c->horizon_ns > 0 && atomic_load(&l->left) > 0 &&
	      !atomic_load(&c->soft);
	if (yes)
		c->hinted = true;
	pthread_mutex_unlock(&t->lock);
	return yes;
}

bool
lease_table_urgent(struct lease_table *t)
{
	bool yes = false;

	pthread_mutex_lock(&t->lock);
	lease_values_upkeep(t, 0);
	for (size_t i = 0; i < t->n_cells && !yes; i++)
		yes = lease_cell_urgent(t->cells[i]);
	pthread_mutex_unlock(&t->lock);
	return yes;
}

void
lease_table_fence(struct lease_table *t)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n_cells; i++) {
		struct lease *l = atomic_load(&t->cells[i]->current);

		if (l != NULL)
			atomic_store(&l->fence_mono, 0);
	}
	pthread_mutex_unlock(&t->lock);
}

void
lease_table_drain(struct lease_table *t)
{
	pthread_mutex_lock(&t->lock);
	t->draining = true;
	pthread_mutex_unlock(&t->lock);
}

bool
lease_table_done(struct lease_table *t)
{
	bool done = true;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n_cells && done; i++) {
		struct lease *l = atomic_load(&t->cells[i]->current);

		done =
		    !t->cells[i]->unanswered && (l == NULL || !lease_news(l));
		for (l = t->cells[i]->old; l != NULL && done; l = l->next)
			done = !lease_news(l);
	}
	pthread_mutex_unlock(&t->lock);
	return done;
}

static void
view_fill(struct lease_shown *v, const struct budget_cell *c,
    const struct lease *l, int64_t now)
{
	*v = (struct lease_shown){.uid = c->uid,
	    .name = c->name,
	    .limit = budget_limit(c),
	    .spent = atomic_load(&c->spent),
	    .rate_per_s = c->rate_per_s,
	    .want_total = atomic_load(&c->want_total),
	    .soft = atomic_load(&c->soft),
	    .deleted = atomic_load(&c->deleted),
	    .exhausted = atomic_load(&c->exhausted),
	    .of_value = c->value != NULL};
	if (l == NULL)
		return;
	v->period_start = l->period_start;
	v->period_end = l->period_end;
	v->granted = l->granted;
	v->returned = l->returned;
	v->settled = atomic_load(&l->settled);
	v->in_use = atomic_load(&l->in_use);
	v->left = atomic_load(&l->left);
	v->old = l->retired_mono != 0;
	v->fenced = now >= atomic_load(&l->fence_mono);
}

void
lease_table_each(struct lease_table *t, int64_t mono_now,
    void (*each)(void *ctx, const struct lease_shown *v), void *ctx)
{
	struct lease_shown v;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n_cells; i++) {
		const struct budget_cell *c = t->cells[i];

		if (c->value != NULL && c->uid == 0 &&
		    atomic_load(&c->want_total) == 0)
			continue;
		view_fill(&v, c, atomic_load(&c->current), mono_now);
		each(ctx, &v);
		for (struct lease *l = c->old; l != NULL; l = l->next) {
			if (l->period_start == LEASE_NO_PERIOD)
				continue;
			view_fill(&v, c, l, mono_now);
			each(ctx, &v);
		}
	}
	pthread_mutex_unlock(&t->lock);
}

void
lease_table_counts(struct lease_table *t, uint64_t *grants, uint64_t *recalls)
{
	pthread_mutex_lock(&t->lock);
	*grants = t->n_grants;
	*recalls = t->n_recalls;
	pthread_mutex_unlock(&t->lock);
}
