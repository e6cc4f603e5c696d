/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot path of the leases: reserve, settle, wait. A reservation is one
 * compare-and-swap a budget on lease.left; nothing else decides admission. The
 * other counters follow it and are only read by reports:
 *
 *   reserve  left -= a, then in_use += a
 *   settle   settled += c, left += a - c, then in_use -= a
 *   lower    left += a - b, then in_use -= a - b
 *
 * `left` alone says what may be promised. Who asks whether money may still come
 * (lease_verdict) reads in_use before left, and both before what was given
 * back, so that what moves meanwhile is seen once or twice, not never.
 */
#include "agent/money/lease.h"

#include "agent/money/lease_claim.h"
#include "agent/money/lease_value.h"
#include "common/err.h"
#include "common/tags.h"

/* Longer than it takes to get rights on the budget that was short. */
#define LEASE_HOLD_NS NS_PER_S

static struct {
	void (*fn)(void *ctx);
	void *ctx;
} lease_kick;

static _Atomic uint64_t lease_n_overruns;
static _Atomic int64_t lease_overrun_nano;

void
leases_set_kick(void (*kick)(void *ctx), void *ctx)
{
	lease_kick.fn = kick;
	lease_kick.ctx = ctx;
}

int64_t
lease_add_cap(int64_t a, int64_t b)
{
	int64_t v;

	return __builtin_add_overflow(a, b, &v) ? INT64_MAX : v;
}

/* Take exactly `amount`; false when not that and `claimed` is left. */
static bool
lease_take_all(struct lease *l, int64_t amount, int64_t claimed)
{
	int64_t left = atomic_load_explicit(&l->left, memory_order_relaxed);

	while (left >= amount && left - amount >= claimed) {
		if (atomic_compare_exchange_weak_explicit(&l->left, &left,
			left - amount, memory_order_acq_rel,
			memory_order_relaxed))
			return true;
	}
	return false;
}

int64_t
lease_take(struct lease *l, int64_t amount)
{
	int64_t left = atomic_load_explicit(&l->left, memory_order_relaxed);
	int64_t part;

	MUST(amount >= 0);
	do {
		part = left < amount ? left : amount;
		if (part <= 0)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(&l->left, &left,
	    left - part, memory_order_acq_rel, memory_order_relaxed));
	return part;
}

static void
lease_give_back(struct lease *l, int64_t amount)
{
	atomic_fetch_add_explicit(&l->left, amount, memory_order_acq_rel);
	atomic_fetch_sub_explicit(&l->in_use, amount, memory_order_release);
}

/* *max is at least v from now on. */
static void
lease_raise(_Atomic int64_t *max, int64_t v)
{
	int64_t old = atomic_load_explicit(max, memory_order_relaxed);

	while (v > old && !atomic_compare_exchange_weak_explicit(max, &old, v,
			      memory_order_relaxed, memory_order_relaxed))
		;
}

/* What must be left of the rights for somebody who goes first. Who takes
 * nothing is in nobody's way. */
static inline int64_t
lease_leaves(const struct budget_cell *cell, int64_t amount, int64_t mono_now,
    uint64_t key)
{
	if (atomic_load_explicit(&cell->claim, memory_order_relaxed) == 0 ||
	    amount == 0)
		return 0;
	return lease_claimed(cell, key, mono_now);
}

/* One budget of the path. */
static bool
lease_reserve_one(struct budget_cell *cell, struct lease *l, int64_t amount,
    int64_t mono_now, uint64_t key)
{
	if (atomic_load_explicit(&cell->soft, memory_order_relaxed)) {
		if (l != NULL)
			atomic_fetch_sub_explicit(
			    &l->left, amount, memory_order_acq_rel);
	} else {
		if (l == NULL ||
		    mono_now >= atomic_load_explicit(
				    &l->fence_mono, memory_order_acquire) ||
		    mono_now >= atomic_load_explicit(
				    &l->end_mono, memory_order_acquire))
			return false;
		if (!lease_take_all(
			l, amount, lease_leaves(cell, amount, mono_now, key)))
			return false;
	}
	if (l != NULL)
		lease_raise(
		    &cell->peak, amount + atomic_fetch_add_explicit(&l->in_use,
					      amount, memory_order_relaxed));
	return true;
}

static void
lease_touch(struct budget_cell *cell, int64_t amount)
{
	lease_raise(&cell->w_max, amount);
	if (!atomic_load_explicit(&cell->touched, memory_order_relaxed))
		atomic_store_explicit(
		    &cell->touched, true, memory_order_relaxed);
}

/* Ask for more before a request has to wait. A soft budget needs nothing. */
static void
lease_refill(struct budget_cell *cell)
{
	if (atomic_load_explicit(&cell->soft, memory_order_relaxed))
		return;
	if (!atomic_exchange_explicit(
		&cell->refill, true, memory_order_acq_rel) &&
	    lease_kick.fn != NULL)
		lease_kick.fn(lease_kick.ctx);
}

static void
lease_low(struct budget_cell *cell, struct lease *l)
{
	if (l != NULL &&
	    atomic_load_explicit(&l->left, memory_order_relaxed) <
		atomic_load_explicit(&cell->low_water, memory_order_relaxed))
		lease_refill(cell);
}

static void
lease_spent(struct budget_cell *cell, int64_t cost)
{
	int64_t acc = atomic_fetch_add_explicit(
	    &cell->spent_rate_acc, cost, memory_order_relaxed);

	if (!atomic_load_explicit(&cell->touched, memory_order_relaxed))
		atomic_store_explicit(
		    &cell->touched, true, memory_order_relaxed);
	if (acc + cost >
	    atomic_load_explicit(&cell->spend_mark, memory_order_relaxed))
		lease_refill(cell);
}

static void
lease_hold(struct budget_cell *c, int64_t amount, int64_t mono_now)
{
	if (mono_now >=
	    atomic_load_explicit(&c->hold_until, memory_order_relaxed))
		atomic_store_explicit(
		    &c->hold_amount, amount, memory_order_relaxed);
	else
		lease_raise(&c->hold_amount, amount);
	lease_raise(&c->hold_until, mono_now + LEASE_HOLD_NS);
}

/* What was taken so far goes back, but not to the control plane: the request
 * comes again when it has rights on the rest of its path. */
static void
lease_undo(struct reservation *r, int64_t mono_now)
{
	while (r->n > 0) {
		r->n--;
		if (r->leases[r->n] == NULL)
			continue;
		lease_give_back(r->leases[r->n], r->amount);
		lease_hold(r->cells[r->n], r->amount, mono_now);
	}
}

static bool
filter_takes(const struct b_filter *f, const struct b_filter *what)
{
	return (f->route_uid == 0 || f->route_uid == what->route_uid) &&
	       (f->provider_uid == 0 ||
		   f->provider_uid == what->provider_uid) &&
	       (f->model_uid == 0 || f->model_uid == what->model_uid) &&
	       (f->tags == NULL ||
		   (what->tags != NULL && tags_have(what->tags, f->tags)));
}

static struct str
path_value(struct str each, const struct b_filter *what)
{
	struct str value = STR("");

	if (what->tags != NULL && !tags_get(what->tags, each, &value))
		value = STR("");
	return value;
}

/* The cell of the request's value; the budget's own when there is no room for
 * the value, on which nobody can reserve, and of a soft one, on which nobody
 * has to: the control plane finds whose it is by the record's tags. */
static struct budget_cell *
path_cell(struct budget_cell *of, struct str each, const struct b_filter *what)
{
	struct budget_cell *c;

	if (atomic_load_explicit(&of->soft, memory_order_relaxed))
		return of;
	c = lease_value_cell(of, path_value(each, what));
	return c != NULL ? c : of;
}

unsigned
lease_path(const struct b_key *key, const struct b_filter *what,
    struct budget_cell **path)
{
	unsigned n = 0;

	MUST(key->n_budgets <= BUNDLE_MAX_BUDGETS);
	for (unsigned i = 0; i < key->n_budgets; i++) {
		const struct b_filter *f =
		    key->filters == NULL ? NULL : &key->filters[i];

		if (f != NULL && !filter_takes(f, what))
			continue;
		path[n++] = f != NULL && f->each.len > 0
				? path_cell(key->budgets[i], f->each, what)
				: key->budgets[i];
	}
	return n;
}

bool
lease_path_holds(const struct b_key *key, const struct b_filter *what,
    struct budget_cell *const *path, unsigned n)
{
	for (unsigned i = 0; key->filters != NULL && i < key->n_budgets; i++) {
		const struct b_filter *f = &key->filters[i];
		const struct budget_cell *c;
		unsigned k = 0;

		if (f->each.len == 0 || !filter_takes(f, what))
			continue;
		c = key->budgets[i];
		if (!atomic_load_explicit(&c->soft, memory_order_relaxed))
			c = lease_value_find(
			    key->budgets[i], path_value(f->each, what));
		if (c == NULL) /* no room, see path_cell() */
			c = key->budgets[i];
		while (k < n && path[k] != c)
			k++;
		if (k == n)
			return false;
	}
	return true;
}

int
lease_reserve(const struct b_key *key, int64_t amount, int64_t mono_now,
    struct reservation *r, struct budget_cell **short_of)
{
	return lease_reserve_path(
	    key->budgets, key->n_budgets, amount, mono_now, r, short_of);
}

int
lease_reserve_path(struct budget_cell *const *path, unsigned n, int64_t amount,
    int64_t mono_now, struct reservation *r, struct budget_cell **short_of)
{
	return lease_reserve_as(
	    path, n, amount, mono_now, LEASE_KEY_LAST, r, short_of);
}

int
lease_reserve_as(struct budget_cell *const *path, unsigned n, int64_t amount,
    int64_t mono_now, uint64_t key, struct reservation *r,
    struct budget_cell **short_of)
{
	MUST(amount >= 0 && n <= BUNDLE_MAX_BUDGETS);
	r->n = 0;
	r->amount = amount;
	for (unsigned i = 0; i < n; i++) {
		struct budget_cell *cell = path[i];
		struct lease *l =
		    atomic_load_explicit(&cell->current, memory_order_acquire);

		lease_touch(cell, amount);
		if (!lease_reserve_one(cell, l, amount, mono_now, key)) {
			lease_undo(r, mono_now);
			atomic_store_explicit(
			    &cell->blocked, true, memory_order_relaxed);
			*short_of = cell;
			return ERR_AGAIN;
		}
		lease_low(cell, l);
		r->cells[i] = cell;
		r->leases[i] = l;
		r->n = i + 1;
	}
	return 0;
}

void
lease_settle(struct reservation *r, int64_t cost)
{
	MUST(cost >= 0 && r->n <= BUNDLE_MAX_BUDGETS);
	for (unsigned i = 0; i < r->n; i++) {
		struct lease *l = r->leases[i];

		lease_spent(r->cells[i], cost);
		if (l == NULL)
			continue;
		atomic_fetch_add_explicit(
		    &l->settled, cost, memory_order_relaxed);
		atomic_fetch_add_explicit(
		    &l->left, r->amount - cost, memory_order_acq_rel);
		atomic_fetch_sub_explicit(
		    &l->in_use, r->amount, memory_order_release);
	}
	if (r->n > 0 && cost > r->amount) {
		atomic_fetch_add(&lease_n_overruns, 1);
		atomic_fetch_add(&lease_overrun_nano, cost - r->amount);
	}
	r->n = 0;
	r->amount = 0;
}

void
lease_lower(struct reservation *r, int64_t amount)
{
	MUST(amount >= 0 && amount <= r->amount && r->n <= BUNDLE_MAX_BUDGETS);
	for (unsigned i = 0; i < r->n; i++)
		if (r->leases[i] != NULL)
			lease_give_back(r->leases[i], r->amount - amount);
	r->amount = amount;
}

/* Somebody waits for `amount`. */
static void
lease_want(struct budget_cell *cell, int64_t amount)
{
	int64_t least =
	    atomic_load_explicit(&cell->want_least, memory_order_relaxed);

	while ((least == 0 || amount < least) &&
	       !atomic_compare_exchange_weak_explicit(&cell->want_least, &least,
		   amount, memory_order_relaxed, memory_order_relaxed))
		;
	lease_raise(&cell->want_most, amount);
}

uint64_t
lease_wait(struct budget_cell *cell, int64_t amount)
{
	uint64_t gen;

	MUST(amount >= 0);
	lease_want(cell, amount);
	lease_raise(&cell->want_min, amount);
	atomic_fetch_add(&cell->want_total, amount);
	atomic_store(&cell->touched, true);
	/* A reply on its way may answer a question without us in it. The order
	 * of the two loads matters: see lease_table_reply(). */
	gen = atomic_load(&cell->in_flight) ? 1 : 0;
	gen += atomic_load(&cell->reply_gen);
	if (lease_kick.fn != NULL)
		lease_kick.fn(lease_kick.ctx);
	return gen;
}

void
lease_wait_done(struct budget_cell *cell, int64_t amount)
{
	int64_t total = atomic_fetch_sub(&cell->want_total, amount) - amount;
	int64_t min = atomic_load(&cell->want_min);

	MUST(total >= 0);
	/* The largest of the others is not known; it is at most their sum. */
	while (min > total &&
	       !atomic_compare_exchange_weak(&cell->want_min, &min, total)) {
		total = atomic_load(&cell->want_total);
	}
}

enum lease_verdict
lease_verdict(struct budget_cell *cell, int64_t amount, uint64_t gen, int share)
{
	const struct lease *l =
	    atomic_load_explicit(&cell->current, memory_order_acquire);
	int64_t hope = 0, busy = 0, going;

	lease_want(cell, amount);
	if (lease_value_is_refused(cell) &&
	    atomic_load_explicit(&cell->reply_gen, memory_order_acquire) > gen)
		return LEASE_BUSY;
	if (atomic_load_explicit(&cell->reply_gen, memory_order_acquire) <=
		gen ||
	    !atomic_load_explicit(&cell->exhausted, memory_order_relaxed))
		return LEASE_WAIT;
	if (l != NULL) { /* the order: see the top */
		busy = atomic_load_explicit(&l->in_use, memory_order_acquire);
		hope = atomic_load_explicit(&l->left, memory_order_acquire);
	}
	going = atomic_load_explicit(&cell->going, memory_order_acquire);
	hope = lease_add_cap(hope, going);
	hope = lease_add_cap(
	    hope, atomic_load_explicit(&cell->avail, memory_order_relaxed));
	busy = lease_add_cap(
	    busy, atomic_load_explicit(&cell->busy, memory_order_relaxed));
	if (amount > lease_add_cap(hope, busy))
		return LEASE_EXHAUSTED;
	if (share > 0 &&
	    amount > lease_add_cap(hope,
			 (int64_t)((__int128)busy * (1000 - share) / 1000)))
		return LEASE_BUSY;
	return LEASE_WAIT;
}

bool
lease_silent(const struct budget_cell *cell, int64_t mono_now)
{
	/* Of a value's cell that was recycled just now: none. */
	const _Atomic int64_t *p = cell->silent_since;
	int64_t since =
	    p == NULL ? 0 : atomic_load_explicit(p, memory_order_relaxed);

	return since != 0 && mono_now - since >= cell->silent_ns;
}

uint64_t
lease_overruns(int64_t *total_nano)
{
	if (total_nano != NULL)
		*total_nano = atomic_load(&lease_overrun_nano);
	return atomic_load(&lease_n_overruns);
}

bool
lease_balanced(const struct lease *l)
{
	return atomic_load(&l->left) + atomic_load(&l->in_use) +
		   atomic_load(&l->settled) + l->returned ==
	       l->granted;
}
