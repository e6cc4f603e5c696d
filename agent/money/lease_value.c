/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lease_value.h. Workers find cells in a hash table of their own, under a
 * lock that only who makes or recycles cells takes for writing. The hash is
 * keyed: callers choose the values.
 */
#include "agent/money/lease_value.h"

#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/money/lease_table_priv.h"
#include "common/err.h"

/* From a look-up to the reservation it takes microseconds. One that has a uid
 * rests as long as leases do (lease_tuning.recycle_ns). */
#define VALUE_YOUNG_NS (10 * NS_PER_S)
#define VALUE_SWEEP_NS NS_PER_S
/* The clock of look-ups stood still; heartbeats are every minute at least. */
#define VALUE_GAP_NS (65 * NS_PER_S)
#define VALUE_PART   8 /* less than a part of it spare: make room */

struct lease_values {
	pthread_rwlock_t lock; /* of all but the atomics */
	struct lease_value **bucket;
	size_t n_bucket; /* power of two; 0 before the first value */
	size_t max, n_made, n_spare;
	struct lease_value *spare, *fresh; /* fresh: not in the table yet */
	struct lease_value *last_fresh;
	uint8_t key[crypto_shorthash_KEYBYTES];
	int64_t next_sweep;   /* C */
	int64_t steady_since; /* C: `now` was never older than VALUE_GAP_NS */
	int64_t gap; /* C: how old `now` was at most, of late; see there */
	_Atomic int64_t now;   /* mono, set by C */
	_Atomic int asks_left; /* until the next full report */
	_Atomic bool has_fresh;
	_Atomic uint64_t n_refused;
};

struct lease_values *
lease_values_new(size_t max)
{
	struct lease_values *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->max = max;
	v->asks_left = LEASE_VALUE_ASKS;
	pthread_rwlock_init(&v->lock, NULL);
	randombytes_buf(v->key, sizeof(v->key));
	return v;
}

void
lease_values_free(struct lease_values *v)
{
	if (v == NULL)
		return;
	while (v->fresh != NULL) {
		struct lease_value *next = v->fresh->cell.fresh;

		free(v->fresh);
		v->fresh = next;
	}
	free(v->bucket);
	pthread_rwlock_destroy(&v->lock);
	free(v);
}

static struct lease_value *
value_of(const struct budget_cell *c)
{
	return c->value;
}

struct str
lease_value_text(const struct budget_cell *c)
{
	const struct lease_value *x = c->value;

	return x == NULL ? str_make(NULL, 0) : str_make(x->text, x->len);
}

bool
lease_value_is_refused(const struct budget_cell *c)
{
	return c->value != NULL &&
	       atomic_load(&c->value->refused) == HG__VALUE_ANSWER__VALUE_FULL;
}

static uint64_t
value_hash(const struct lease_values *v, uint64_t uid, struct str value)
{
	uint8_t in[sizeof(uid) + TAGS_USER_MAX];
	uint64_t h;

	memcpy(in, &uid, sizeof(uid));
	memcpy(in + sizeof(uid), value.len > 0 ? value.p : "", value.len);
	(void)crypto_shorthash(
	    (uint8_t *)&h, in, sizeof(uid) + value.len, v->key);
	return h;
}

static struct lease_value *
value_look(const struct lease_values *v, const struct budget_cell *of,
    struct str value, uint64_t hash)
{
	struct lease_value *x;

	if (v->n_bucket == 0)
		return NULL;
	x = v->bucket[hash & (v->n_bucket - 1)];
	while (x != NULL && (x->hash != hash || x->of != of ||
				!str_eq(str_make(x->text, x->len), value)))
		x = x->next;
	return x;
}

struct budget_cell *
lease_value_find(struct budget_cell *of, struct str value)
{
	struct lease_values *v = of->values;
	struct lease_value *x;
	uint64_t hash;

	if (value.len > TAGS_USER_MAX)
		return NULL;
	hash = value_hash(v, of->uid, value);
	pthread_rwlock_rdlock(&v->lock);
	x = value_look(v, of, value, hash);
	if (x != NULL)
		atomic_store_explicit(&x->used,
		    atomic_load_explicit(&v->now, memory_order_relaxed),
		    memory_order_relaxed);
	pthread_rwlock_unlock(&v->lock);
	return x == NULL ? NULL : &x->cell;
}

/* A cell for the value, in no bucket yet; under the lock. */
static struct lease_value *
value_take(struct lease_values *v)
{
	struct lease_value *x = v->spare;

	if (v->n_bucket == 0) {
		size_t n = 64;

		while (n < v->max)
			n *= 2;
		v->bucket = calloc(n, sizeof(struct lease_value *));
		if (v->bucket == NULL)
			return NULL;
		v->n_bucket = n;
	}
	if (x != NULL) {
		v->spare = x->next;
		v->n_spare--;
		return x;
	}
	if (v->n_made == v->max)
		return NULL;
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return NULL;
	x->cell.value = x;
	v->n_made++;
	if (v->fresh == NULL)
		v->fresh = x;
	else
		v->last_fresh->cell.fresh = x;
	v->last_fresh = x;
	return x;
}

static struct lease_value *
value_make(struct lease_values *v, struct budget_cell *of, struct str value,
    uint64_t hash)
{
	struct lease_value *x = value_take(v);

	if (x == NULL)
		return NULL;
	x->of = of;
	x->hash = hash;
	x->len = value.len;
	memcpy(x->text, value.len > 0 ? value.p : "", value.len);
	x->text[value.len] = '\0';
	atomic_store(&x->refused, HG__VALUE_ANSWER__VALUE_KNOWN);
	x->cell.name = of->name;
	x->cell.values = v;
	x->cell.silent_since = of->silent_since;
	x->cell.silent_ns = of->silent_ns;
	lease_value_follow(&x->cell);
	x->next = v->bucket[hash & (v->n_bucket - 1)];
	v->bucket[hash & (v->n_bucket - 1)] = x;
	return x;
}

struct budget_cell *
lease_value_cell(struct budget_cell *of, struct str value)
{
	struct lease_values *v = of->values;
	struct budget_cell *c = lease_value_find(of, value);
	struct lease_value *x;
	uint64_t hash;

	if (c != NULL || value.len > TAGS_USER_MAX)
		return c;
	hash = value_hash(v, of->uid, value);
	pthread_rwlock_wrlock(&v->lock);
	x = value_look(v, of, value, hash);
	if (x == NULL) {
		x = value_make(v, of, value, hash);
		if (v->fresh != NULL)
			atomic_store(&v->has_fresh, true);
	}
	if (x != NULL)
		atomic_store(&x->used, atomic_load(&v->now));
	pthread_rwlock_unlock(&v->lock);
	if (x == NULL)
		atomic_fetch_add(&v->n_refused, 1);
	return x == NULL ? NULL : &x->cell;
}

void
lease_value_follow(struct budget_cell *c)
{
	const struct budget_cell *of = value_of(c)->of;
	int64_t limit = atomic_load(&of->limit);
	/* a worker that makes the cell may do the same just now */
	int64_t was = atomic_exchange(&c->limit, limit);

	if (limit != was) {
		atomic_fetch_add(&c->told_limit, limit - was);
		c->rest_until = 0; /* it may not be plenty now */
	}
	atomic_store(&c->deleted, atomic_load(&of->deleted));
}

/* ---- the table's side ---------------------------------------------------- */

/* All of it is spent or returned, and the control plane knows. Of one that is
 * over more may be spent, by requests that cost more than they reserved: it is
 * granted nothing any more, so that nobody asks what S was. */
static bool
value_lease_is_done(const struct lease *l, bool over)
{
	int64_t left = atomic_load(&l->left);

	return !lease_news(l) && (over ? left <= 0 : left == 0) &&
	       lease_balanced(l);
}

/* Nobody needs it to stay what it is, but who looked it up just now. */
static bool
value_is_done(struct budget_cell *c)
{
	struct lease *l = atomic_load(&c->current);

	if (atomic_load(&c->want_total) != 0 || c->sent_demand ||
	    atomic_load(&c->in_flight) || c->unanswered || c->ask_until != 0)
		return false;
	if (l != NULL && !value_lease_is_done(l, false))
		return false;
	for (l = c->old; l != NULL; l = l->next)
		if (!value_lease_is_done(l, true))
			return false;
	return true;
}

/* Its leases, all told, can be used at once for any period. */
static void
value_clear_leases(struct lease_table *t, struct budget_cell *c, int64_t now)
{
	struct lease *l = atomic_load(&c->current);

	if (l != NULL) {
		atomic_store(&c->current, NULL);
		lease_cell_retire(c, l, now);
	}
	for (l = c->old; l != NULL; l = l->next) {
		l->period_start = LEASE_NO_PERIOD;
		l->granted = l->returned = 0;
		atomic_store(&l->left, 0);
		atomic_store(&l->settled, 0);
		l->sent_returned = l->sent_settled = 0;
		l->told = true;
		l->sent_idle = l->tail = l->pool = false;
		l->retired_mono = now - t->tuning.recycle_ns;
		l->over_mono = 0;
	}
}

/* Under the writers' lock. */
static void
value_recycle(struct lease_table *t, struct lease_value *x, int64_t now)
{
	struct lease_values *v = t->values;
	struct lease_value **at = &v->bucket[x->hash & (v->n_bucket - 1)];
	const size_t at_waits = offsetof(struct budget_cell, want_total);
	const size_t waits = sizeof(x->cell.want_total);
	struct lease *old;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	value_clear_leases(t, &x->cell, now);
	old = x->cell.old;
	/* All but who waits: nobody, or somebody just now who stood still since
	 * the look-up and will say when it waits no more. */
	memset(&x->cell, 0, at_waits);
	memset((char *)&x->cell + at_waits + waits, 0,
	    sizeof(x->cell) - at_waits - waits);
	x->cell.old = old;
	x->cell.value = x;
	x->of = NULL;
	x->len = 0;
	x->next = v->spare;
	v->spare = x;
	v->n_spare++;
}

/* Those that were not looked up for `rest`. */
static size_t
values_sweep(struct lease_table *t, int64_t now, int64_t rest, size_t wanted)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_cells && n < wanted; i++) {
		struct lease_value *x = value_of(t->cells[i]);

		if (x == NULL || x->of == NULL || !value_is_done(&x->cell) ||
		    now - atomic_load(&x->used) - t->values->gap <
			(x->cell.uid == 0 ? VALUE_YOUNG_NS : rest))
			continue;
		value_recycle(t, x, now);
		n++;
	}
	return n;
}

/* Those that were not used for longest go first, roughly. */
static void
values_make_room(struct lease_table *t, int64_t now)
{
	struct lease_values *v = t->values;
	size_t part = v->max / VALUE_PART + 1, n = 0;

	if (now < v->next_sweep || now - v->steady_since < VALUE_YOUNG_NS)
		return;
	v->next_sweep = now + VALUE_SWEEP_NS;
	pthread_rwlock_wrlock(&v->lock);
	if (v->max - v->n_made + v->n_spare < part) {
		for (int i = 4; i > 0 && n < part; i /= 2)
			n += values_sweep(
			    t, now, i * t->tuning.recycle_ns, part - n);
		if (n > 0)
			lease_table_reindex(t);
	}
	pthread_rwlock_unlock(&v->lock);
}

static void
values_adopt(struct lease_table *t)
{
	struct lease_values *v = t->values;

	if (!atomic_exchange(&v->has_fresh, false))
		return;
	pthread_rwlock_wrlock(&v->lock);
	while (v->fresh != NULL) {
		struct lease_value *x = v->fresh;

		if (lease_table_push(t, &x->cell) != 0) {
			atomic_store(&v->has_fresh, true); /* next time */
			break;
		}
		x->at = t->n_cells - 1;
		v->fresh = x->cell.fresh;
		x->cell.fresh = NULL;
		lease_value_follow(&x->cell);
	}
	pthread_rwlock_unlock(&v->lock);
}

/* A look-up has the stamp of the report before it, so it may be younger than
 * that by the time to the next one. Of these times the longest counts, less
 * half of what passed since: when `gap` and VALUE_YOUNG_NS have passed since a
 * stamp, at least two thirds of the latter have since the look-up. */
static void
values_clock(struct lease_values *v, int64_t before, int64_t now)
{
	int64_t d = now - before;

	if (before == 0 || d > VALUE_GAP_NS)
		v->steady_since = now;
	else
		v->gap = v->gap - d / 2 > d ? v->gap - d / 2 : d;
}

void
lease_values_upkeep(struct lease_table *t, int64_t now)
{
	struct lease_values *v = t->values;
	int64_t before = atomic_load(&v->now);

	values_adopt(t);
	if (now <= before)
		return;
	values_clock(v, before, now);
	atomic_store(&v->now, now);
	values_make_room(t, now);
}

void
lease_values_allow(struct lease_table *t)
{
	atomic_store(&t->values->asks_left, LEASE_VALUE_ASKS);
}

bool
lease_value_may_ask(const struct budget_cell *c)
{
	if (atomic_load(&c->each))
		return false;
	if (c->value == NULL || c->uid != 0)
		return true;
	return c->value->of != NULL && atomic_load(&c->values->asks_left) > 0 &&
	       atomic_load(&c->want_total) > 0;
}

void
lease_value_ask(struct budget_cell *c, Hg__LeaseReport *r)
{
	struct lease_value *x = value_of(c);

	if (x == NULL || c->uid != 0)
		return;
	atomic_fetch_sub(&c->values->asks_left, 1);
	r->each_uid = x->of->uid;
	r->value = x->text;
}

/* There is no place for the value; what is told holds for its limit. */
static void
value_told(struct lease_value *x, const Hg__LeaseGrant *g)
{
	struct budget_cell *c = &x->cell;
	bool is_short = g->answer == HG__VALUE_ANSWER__VALUE_SHORT;

	if (!is_short)
		atomic_fetch_add(&c->values->n_refused, 1);
	atomic_store(&x->refused, g->answer);
	atomic_store(&c->spent, 0);
	atomic_store(&c->told_limit, g->limit);
	atomic_store(&c->reset_at, g->period_end);
	atomic_store(&c->free, is_short ? g->limit : 0);
	atomic_store(&c->avail, is_short ? g->limit : 0);
	atomic_store(&c->busy, 0);
	atomic_store(&c->exhausted, is_short);
	atomic_fetch_add(&c->reply_gen, 1);
}

bool
lease_value_is_full(struct budget_cell *c, const Hg__LeaseGrant *g)
{
	if (c->value == NULL)
		return false;
	if (g->answer == HG__VALUE_ANSWER__VALUE_FULL) {
		value_told(c->value, g);
		return true;
	}
	atomic_store(&c->value->refused, HG__VALUE_ANSWER__VALUE_KNOWN);
	return false;
}

/* The lease that the cell had before it was forgotten, all spent or returned
 * (V4). It waits among the old ones for its period to be the current one. */
static bool
value_before(const struct lease_table *t, struct budget_cell *c,
    const Hg__LeaseGrant *g, int64_t now)
{
	struct lease *l;

	if (g->granted <= 0)
		return true;
	if (g->returned < 0 || g->returned > g->granted)
		return false;
	l = lease_table_fresh(t, c, now);
	if (l == NULL)
		return false;
	l->cell = c;
	l->period_start = g->period_start;
	l->granted = g->granted;
	l->returned = l->sent_returned = g->returned;
	l->sent_settled = g->granted - g->returned;
	atomic_store(&l->settled, l->sent_settled);
	lease_cell_retire(c, l, now);
	l->over_mono = INT64_MAX; /* not known: as long as the cell is its */
	l->told = true;
	return true;
}

static bool
value_has(const struct budget_cell *c, int64_t period_start)
{
	const struct lease *l = atomic_load(&c->current);

	if (l != NULL && l->period_start == period_start)
		return true;
	for (l = c->old; l != NULL; l = l->next)
		if (l->period_start == period_start)
			return true;
	return false;
}

bool
lease_value_answer(struct lease_table *t, const Hg__LeaseGrant *g, int64_t now)
{
	struct budget_cell *of = lease_table_look(t, g->each_uid);
	struct str value = str_of(g->value);
	struct lease_value *x;
	struct budget_cell *c;

	if (of == NULL || value.len > TAGS_USER_MAX)
		return false;
	pthread_rwlock_rdlock(&t->values->lock);
	x = value_look(
	    t->values, of, value, value_hash(t->values, of->uid, value));
	pthread_rwlock_unlock(&t->values->lock);
	/* only C recycles, so it stays what it is */
	if (x == NULL)
		return false;
	c = &x->cell;
	if (c->uid != 0) { /* a lease more, of another period */
		if (c->uid == g->budget_uid && !value_has(c, g->period_start))
			(void)value_before(t, c, g, now);
		return false;
	}
	if (g->answer != HG__VALUE_ANSWER__VALUE_KNOWN) {
		value_told(x, g);
		return atomic_load(&c->want_total) > 0;
	}
	if (g->budget_uid == 0 || lease_table_look(t, g->budget_uid) != NULL ||
	    !value_before(t, c, g, now))
		return false;
	atomic_store(&x->refused, HG__VALUE_ANSWER__VALUE_KNOWN);
	atomic_store(&c->exhausted, false);
	c->uid = g->budget_uid; /* before it has a current lease: V1 */
	lease_table_bind(t, x->at);
	atomic_fetch_add(&c->reply_gen, 1);
	return false;
}

void
lease_value_counts(
    const struct lease_table *t, uint64_t *cells, uint64_t *refused)
{
	struct lease_values *v = t->values;

	pthread_rwlock_rdlock(&v->lock);
	*cells = v->n_made - v->n_spare;
	pthread_rwlock_unlock(&v->lock);
	*refused = atomic_load(&v->n_refused);
}
