/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets as one atomic "theoretical arrival time" each (GCRA). A take
 * that fails on one cell gives back what it took on the others.
 */
#include "agent/policy/limit.h"

#include "common/clock.h"
#include "common/err.h"

#define LIMIT_WINDOW (60 * NS_PER_S)
/* Tokens of one request that count; keeps the product within 63 bits. */
#define LIMIT_MAX_TOKENS 100000000

static int64_t
limit_cost(int64_t n, int64_t per_minute)
{
	if (n > LIMIT_MAX_TOKENS)
		n = LIMIT_MAX_TOKENS;
	if (n < -LIMIT_MAX_TOKENS)
		n = -LIMIT_MAX_TOKENS;
	return n * LIMIT_WINDOW / per_minute;
}

/* Move *tat on by cost. Returns 0, or how long to wait (ns). What is larger
 * than the whole bucket passes when the bucket is full and leaves a debt. */
static int64_t
limit_bucket_take(_Atomic int64_t *tat, int64_t cost, int64_t now)
{
	int64_t old = atomic_load_explicit(tat, memory_order_relaxed);
	int64_t base, need = cost < LIMIT_WINDOW ? cost : LIMIT_WINDOW;

	do {
		base = old > now ? old : now;
		if (base + need - now > LIMIT_WINDOW)
			return base + need - LIMIT_WINDOW - now;
	} while (!atomic_compare_exchange_weak_explicit(tat, &old, base + cost,
	    memory_order_relaxed, memory_order_relaxed));
	return 0;
}

static void
limit_bucket_give(_Atomic int64_t *tat, int64_t cost)
{
	atomic_fetch_sub_explicit(tat, cost, memory_order_relaxed);
}

static int
limit_refuse(struct limit_verdict *v, enum limit_which which,
    const struct limit_cell *c, int64_t limit, int64_t wait_ns)
{
	v->which = which;
	v->cell = c;
	v->limit = limit;
	v->retry_ms = (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
	if (v->retry_ms < 1)
		v->retry_ms = 1;
	return ERR_RATE_LIMITED;
}

static int
limit_cell_take(
    struct limit_cell *c, int64_t tokens, int64_t now, struct limit_verdict *v)
{
	int64_t rpm = atomic_load_explicit(&c->rpm, memory_order_relaxed);
	int64_t tpm = atomic_load_explicit(&c->tpm, memory_order_relaxed);
	int64_t conc = atomic_load_explicit(&c->max_conc, memory_order_relaxed);
	int64_t wait;

	if (atomic_fetch_add_explicit(&c->conc, 1, memory_order_relaxed) >=
		conc &&
	    conc > 0) {
		limit_bucket_give(&c->conc, 1);
		return limit_refuse(v, LIMIT_CONCURRENCY, c, conc, NS_PER_S);
	}
	if (rpm > 0) {
		wait = limit_bucket_take(&c->tat_req, limit_cost(1, rpm), now);
		if (wait > 0) {
			limit_bucket_give(&c->conc, 1);
			return limit_refuse(v, LIMIT_REQUESTS, c, rpm, wait);
		}
	}
	if (tpm > 0) {
		wait = limit_bucket_take(
		    &c->tat_tok, limit_cost(tokens, tpm), now);
		if (wait > 0) {
			if (rpm > 0)
				limit_bucket_give(
				    &c->tat_req, limit_cost(1, rpm));
			limit_bucket_give(&c->conc, 1);
			return limit_refuse(v, LIMIT_TOKENS, c, tpm, wait);
		}
	}
	return 0;
}

static void
limit_cell_undo(struct limit_cell *c, int64_t tokens)
{
	int64_t rpm = atomic_load_explicit(&c->rpm, memory_order_relaxed);
	int64_t tpm = atomic_load_explicit(&c->tpm, memory_order_relaxed);

	if (rpm > 0)
		limit_bucket_give(&c->tat_req, limit_cost(1, rpm));
	if (tpm > 0)
		limit_bucket_give(&c->tat_tok, limit_cost(tokens, tpm));
	atomic_fetch_sub_explicit(&c->conc, 1, memory_order_relaxed);
}

int
limit_take(struct limit_cell *const *cells, unsigned n, int64_t tokens,
    int64_t mono_now, struct limit_verdict *v)
{
	unsigned i;
	int rc;

	v->which = LIMIT_NONE;
	v->cell = NULL;
	v->limit = v->retry_ms = 0;
	for (i = 0; i < n; i++) {
		rc = limit_cell_take(cells[i], tokens, mono_now, v);
		if (rc != 0) {
			while (i-- > 0)
				limit_cell_undo(cells[i], tokens);
			return rc;
		}
	}
	return 0;
}

void
limit_done(struct limit_cell *const *cells, unsigned n, int64_t tokens_delta,
    int64_t mono_now)
{
	int64_t tpm;
	unsigned i;

	(void)mono_now;
	for (i = 0; i < n; i++) {
		tpm =
		    atomic_load_explicit(&cells[i]->tpm, memory_order_relaxed);
		if (tpm > 0 && tokens_delta != 0)
			atomic_fetch_add_explicit(&cells[i]->tat_tok,
			    limit_cost(tokens_delta, tpm),
			    memory_order_relaxed);
		atomic_fetch_sub_explicit(
		    &cells[i]->conc, 1, memory_order_relaxed);
	}
}

static void
limit_bucket_left(int64_t tat, int64_t per_minute, int64_t now, int64_t *left,
    int64_t *reset_ms)
{
	int64_t used = tat > now ? tat - now : 0;

	*reset_ms = (used + NS_PER_MS - 1) / NS_PER_MS;
	if (used >= LIMIT_WINDOW) {
		*left = 0;
		return;
	}
	*left = (int64_t)((__int128)(LIMIT_WINDOW - used) * per_minute /
			  LIMIT_WINDOW);
}

void
limit_remaining(const struct limit_cell *c, int64_t mono_now, int64_t *req_left,
    int64_t *tok_left, int64_t *req_reset_ms, int64_t *tok_reset_ms)
{
	limit_bucket_left(
	    atomic_load_explicit(&c->tat_req, memory_order_relaxed),
	    atomic_load_explicit(&c->rpm, memory_order_relaxed), mono_now,
	    req_left, req_reset_ms);
	limit_bucket_left(
	    atomic_load_explicit(&c->tat_tok, memory_order_relaxed),
	    atomic_load_explicit(&c->tpm, memory_order_relaxed), mono_now,
	    tok_left, tok_reset_ms);
}
