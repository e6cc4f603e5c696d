/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lease_claim.h. A cell's claim is three words: the key is what it belongs
 * to and is taken by compare-and-swap; the amount and the end are written
 * after it, by its owner.
 */
#include "agent/money/lease_claim.h"

#include "common/err.h"

#define CLAIM_RANK_SHIFT 62
#define CLAIM_TURN_LAST	 ((UINT64_C(1) << CLAIM_RANK_SHIFT) - 1)
#define CLAIM_SHARE	 500 /* per mille, while it is not known */

static _Atomic uint64_t claim_turns;

uint64_t
lease_turn(void)
{
	return 1 +
	       atomic_fetch_add_explicit(&claim_turns, 1, memory_order_relaxed);
}

uint64_t
lease_key(unsigned rank, uint64_t turn)
{
	MUST(rank < 3 && turn < CLAIM_TURN_LAST);
	return (uint64_t)rank << CLAIM_RANK_SHIFT |
	       (turn == 0 ? CLAIM_TURN_LAST : turn);
}

int64_t
lease_claimed(const struct budget_cell *cell, uint64_t key, int64_t mono_now)
{
	uint64_t of = atomic_load_explicit(&cell->claim, memory_order_acquire);

	if (of == 0 || of >= key ||
	    mono_now >= atomic_load_explicit(
			    &cell->claim_until, memory_order_relaxed) ||
	    lease_silent(cell, mono_now))
		return 0;
	return atomic_load_explicit(&cell->claim_amount, memory_order_relaxed);
}

bool
lease_is_likely(const struct budget_cell *cell, int64_t amount, int share)
{
	const struct lease *l =
	    atomic_load_explicit(&cell->current, memory_order_acquire);
	int64_t hope, used = 0;

	if (atomic_load_explicit(&cell->reply_gen, memory_order_acquire) == 0)
		return false;
	if (!atomic_load_explicit(&cell->exhausted, memory_order_relaxed))
		return true;
	hope = lease_add_cap(
	    atomic_load_explicit(&cell->going, memory_order_relaxed),
	    atomic_load_explicit(&cell->avail, memory_order_relaxed));
	if (l != NULL) {
		hope = lease_add_cap(
		    hope, atomic_load_explicit(&l->left, memory_order_relaxed));
		used = atomic_load_explicit(&l->in_use, memory_order_relaxed);
	}
	if (share <= 0)
		share = CLAIM_SHARE;
	return amount <=
	       lease_add_cap(hope,
		   share > 1000
		       ? 0
		       : (int64_t)((__int128)used * (1000 - share) / 1000));
}

/* Make the cell's claim ours, unless somebody before us has it. */
static bool
claim_key(struct budget_cell *cell, uint64_t key, int64_t mono_now)
{
	uint64_t of = atomic_load_explicit(&cell->claim, memory_order_acquire);

	while (of != key) {
		if (of != 0 && of < key &&
		    mono_now < atomic_load_explicit(
				   &cell->claim_until, memory_order_relaxed))
			return false;
		if (atomic_compare_exchange_weak_explicit(&cell->claim, &of,
			key, memory_order_acq_rel, memory_order_acquire))
			break;
	}
	return true;
}

/* The claims that are still ours get the new key. */
static void
claims_rename(struct lease_claims *c, uint64_t key)
{
	for (unsigned i = 0; i < c->n; i++) {
		uint64_t own = c->key;

		(void)atomic_compare_exchange_strong(
		    &c->cells[i]->claim, &own, key);
	}
	c->key = key;
}

void
lease_claim(struct lease_claims *c, struct budget_cell *cell, int64_t amount,
    uint64_t key, int64_t until, int64_t mono_now)
{
	unsigned i = 0;

	MUST(amount >= 0 && key != 0 && key != LEASE_KEY_LAST);
	if (c->key != key)
		claims_rename(c, key);
	while (i < c->n && c->cells[i] != cell)
		i++;
	/* More than a path has only where cells of values changed meanwhile. */
	if (i == BUNDLE_MAX_BUDGETS || !claim_key(cell, key, mono_now))
		return;
	atomic_store_explicit(
	    &cell->claim_amount, amount, memory_order_relaxed);
	atomic_store_explicit(&cell->claim_until, until, memory_order_relaxed);
	if (i == c->n)
		c->cells[c->n++] = cell;
}

bool
lease_claims_drop(struct lease_claims *c)
{
	bool wanted = false;

	for (unsigned i = 0; i < c->n; i++) {
		uint64_t own = c->key;

		if (atomic_compare_exchange_strong(
			&c->cells[i]->claim, &own, 0) &&
		    atomic_load(&c->cells[i]->want_total) > 0)
			wanted = true;
	}
	*c = (struct lease_claims){0};
	return wanted;
}
