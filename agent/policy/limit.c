/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets with an atomic level. Who comes a tick after the last filling
 * fills for all; a take that fails on one cell gives back what it took on the
 * others. Without contention a request costs two atomic additions and one
 * compare-and-swap for each rate.
 */
#include "agent/policy/limit.h"

#include "agent/policy/rate.h"
#include "common/clock.h"
#include "common/err.h"

#define LIMIT_WINDOW (60 * NS_PER_S)
#define LIMIT_TICK   NS_PER_MS
/* Tokens of one request that count; a rate that counts. Keeps all sums within
 * 63 bits. */
#define LIMIT_MAX_TOKENS 100000000
#define LIMIT_MAX_RATE	 INT64_C(100000000000)

static int64_t
limit_load(const _Atomic int64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static int64_t
limit_min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
limit_micro(int64_t n)
{
	return limit_min(n, LIMIT_MAX_RATE) * LIMIT_UNIT;
}

static int64_t
limit_cost(int64_t tokens)
{
	if (tokens > LIMIT_MAX_TOKENS)
		tokens = LIMIT_MAX_TOKENS;
	if (tokens < -LIMIT_MAX_TOKENS)
		tokens = -LIMIT_MAX_TOKENS;
	return tokens * LIMIT_UNIT;
}

int64_t
limit_burst(int64_t per_minute, int64_t burst)
{
	return limit_micro(burst > 0 ? burst : per_minute);
}

/* ---- buckets ---- */

int64_t
limit_pour(struct limit_bucket *b, int64_t amount)
{
	int64_t old = limit_load(&b->level), depth = limit_load(&b->depth), in;

	do {
		in = limit_min(amount, depth - old);
		if (in <= 0)
			return amount;
	} while (!atomic_compare_exchange_weak_explicit(&b->level, &old,
	    old + in, memory_order_relaxed, memory_order_relaxed));
	atomic_fetch_add_explicit(&b->filled, in, memory_order_relaxed);
	return amount - in;
}

void
limit_fill(struct limit_bucket *b, int64_t now)
{
	int64_t at = limit_load(&b->at), rate = limit_load(&b->rate), add, to;
	__int128 due;

	if (now - at < LIMIT_TICK || rate <= 0)
		return;
	due = (__int128)(now - at) * rate / LIMIT_WINDOW;
	if (due <= 0)
		return;
	/* Only the time that was paid out is used up, rounded up. */
	to = at + (int64_t)((due * LIMIT_WINDOW + rate - 1) / rate);
	add = due < INT64_MAX / 4 ? (int64_t)due : INT64_MAX / 4;
	if (atomic_compare_exchange_strong_explicit(
		&b->at, &at, to, memory_order_relaxed, memory_order_relaxed))
		(void)limit_pour(b, add);
}

/* 0, or how long to wait (ns). What is larger than the whole bucket passes
 * when the bucket is full. */
static int64_t
bucket_take(struct limit_bucket *b, int64_t cost, int64_t now)
{
	int64_t need = limit_min(cost, limit_load(&b->depth)), old, rate;
	__int128 wait;

	limit_fill(b, now);
	old = limit_load(&b->level);
	do {
		if (old >= need)
			continue;
		rate = limit_load(&b->rate);
		if (rate <= 0)
			return NS_PER_S;
		wait =
		    ((__int128)(need - old) * LIMIT_WINDOW + rate - 1) / rate;
		return wait < INT64_MAX / 2 ? (int64_t)wait : INT64_MAX / 2;
	} while (!atomic_compare_exchange_weak_explicit(&b->level, &old,
	    old - cost, memory_order_relaxed, memory_order_relaxed));
	return 0;
}

static void
bucket_give(struct limit_bucket *b, int64_t cost)
{
	atomic_fetch_add_explicit(&b->level, cost, memory_order_relaxed);
}

/* More or less was used than taken. */
static void
bucket_correct(struct limit_bucket *b, int64_t more, int64_t per_minute)
{
	int64_t old = limit_load(&b->level), depth = limit_load(&b->depth), to,
		floor = -limit_micro(per_minute) * LIMIT_DEBT;

	do {
		to = old - more;
		if (more > 0 && to < floor)
			to = limit_min(old, floor);
		if (more < 0 && to > depth)
			to = old > depth ? old : depth;
	} while (!atomic_compare_exchange_weak_explicit(
	    &b->level, &old, to, memory_order_relaxed, memory_order_relaxed));
}

int64_t
limit_reshape(struct limit_bucket *b, int64_t rate, int64_t depth, int64_t now)
{
	int64_t old;

	limit_fill(b, now);
	/* What flows from now on flows at the new rate. */
	atomic_store_explicit(&b->rate, rate, memory_order_relaxed);
	if (limit_load(&b->at) < now)
		atomic_store_explicit(&b->at, now, memory_order_relaxed);
	atomic_store_explicit(&b->depth, depth, memory_order_relaxed);
	old = limit_load(&b->level);
	while (old > depth &&
	       !atomic_compare_exchange_weak_explicit(&b->level, &old, depth,
		   memory_order_relaxed, memory_order_relaxed))
		continue;
	return old > depth ? old - depth : 0;
}

/* ---- configuration ---- */

/* The bucket of a limit that is all this agent's. */
static void
bucket_whole(struct limit_bucket *b, int64_t per_minute, int64_t burst)
{
	int64_t depth = limit_burst(per_minute, burst);
	bool is_new = limit_load(&b->rate) == 0;

	atomic_store_explicit(
	    &b->rate, limit_micro(per_minute), memory_order_relaxed);
	atomic_store_explicit(&b->depth, depth, memory_order_relaxed);
	if (is_new || limit_load(&b->level) > depth)
		atomic_store_explicit(&b->level, depth, memory_order_relaxed);
}

void
limit_set(struct limit_cell *c, const struct limit_values *v)
{
	bool fleet = v->fleet && c->table != NULL;

	atomic_store(&c->rpm, v->rpm);
	atomic_store(&c->tpm, v->tpm);
	atomic_store(&c->max_conc, v->max_conc);
	atomic_store(&c->req_burst, v->req_burst);
	atomic_store(&c->tok_burst, v->tok_burst);
	atomic_store(&c->fleet, fleet);
	if (fleet) {
		rate_limit_changed(c);
		return;
	}
	bucket_whole(&c->req, v->rpm, v->req_burst);
	bucket_whole(&c->tok, v->tpm, v->tok_burst);
	atomic_store(&c->places, v->max_conc);
}

/* ---- shares ---- */

/* An equal part for each of the agents, never more than what we have; a cell
 * that never had a share gets its part at once. */
static void
bucket_safe(struct limit_bucket *b, int64_t per_minute, int64_t burst,
    int64_t agents, bool had, int64_t now)
{
	int64_t rate = limit_micro(per_minute) / agents, depth;

	if (had && limit_load(&b->rate) < rate)
		return;
	depth = limit_burst(per_minute, burst) / agents;
	(void)limit_reshape(b, rate, depth, now);
	if (!had)
		(void)limit_pour(b, depth);
}

static void
limit_safe(struct limit_cell *c, bool had, int64_t now)
{
	int64_t n = limit_load(&c->agents), part;

	if (n <= 0)
		n = LIMIT_AGENTS_GUESS;
	bucket_safe(&c->req, limit_load(&c->rpm), limit_load(&c->req_burst), n,
	    had, now);
	bucket_safe(&c->tok, limit_load(&c->tpm), limit_load(&c->tok_burst), n,
	    had, now);
	part = limit_load(&c->max_conc) / n;
	if (!had || limit_load(&c->places) > part)
		atomic_store(&c->places, part);
}

void
limit_assume(struct limit_cell *c, int64_t mono_now)
{
	int64_t none = 0;

	if (atomic_compare_exchange_strong(&c->until, &none, INT64_MAX))
		limit_safe(c, false, mono_now);
}

/* The share of a fleet's limit does not hold: 0 when the safe one does now. */
static int
limit_no_share(struct limit_cell *c, int64_t now)
{
	int64_t until = atomic_load(&c->until);

	if (until == 0) {
		rate_ask(c);
		return ERR_AGAIN;
	}
	if (until <= now &&
	    atomic_compare_exchange_strong(&c->until, &until, INT64_MAX)) {
		limit_safe(c, true, now);
		rate_lapsed(c);
	}
	return 0;
}

/* ---- taking ---- */

static int
limit_refuse(struct limit_verdict *v, enum limit_which which,
    struct limit_cell *c, int64_t limit, int64_t wait_ns)
{
	v->which = which;
	v->cell = c;
	v->limit = limit;
	v->retry_ms = (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
	if (v->retry_ms < 1)
		v->retry_ms = 1;
	return ERR_RATE_LIMITED;
}

/* A rate has nothing left, or a scrap of a share that will grow. */
static int
limit_refuse_rate(struct limit_cell *c, struct limit_bucket *b, int64_t cost,
    int64_t per_minute)
{
	int64_t rate = limit_load(&b->rate);

	if (!atomic_load_explicit(&c->fleet, memory_order_relaxed))
		return ERR_RATE_LIMITED;
	atomic_fetch_add_explicit(&b->denied, cost, memory_order_relaxed);
	rate_ask(c);
	if (atomic_load(&c->pending) &&
	    limit_is_scrap(
		rate, per_minute * LIMIT_UNIT, limit_load(&c->agents)))
		return ERR_AGAIN;
	return rate <= 0 && atomic_load(&c->until) == 0 ? ERR_AGAIN
							: ERR_RATE_LIMITED;
}

/* One place. The order of addition and load matches rate.c, which takes
 * places away before it looks how many are taken. */
static int
limit_place(struct limit_cell *c, struct limit_verdict *v)
{
	int64_t max = limit_load(&c->max_conc), now, peak;
	bool fleet;

	now = atomic_fetch_add(&c->conc, 1) + 1;
	if (max <= 0)
		return 0;
	fleet = atomic_load_explicit(&c->fleet, memory_order_relaxed);
	if (now <= atomic_load(&c->places)) {
		peak = limit_load(&c->peak);
		if (fleet && now > peak)
			atomic_store_explicit(
			    &c->peak, now, memory_order_relaxed);
		return 0;
	}
	atomic_fetch_sub(&c->conc, 1);
	(void)limit_refuse(v, LIMIT_CONCURRENCY, c, max, NS_PER_S);
	if (fleet) {
		atomic_fetch_add(&c->denied, 1);
		rate_ask(c);
		if (atomic_load(&c->pending) &&
		    limit_is_scrap(
			atomic_load(&c->places), max, limit_load(&c->agents)))
			return ERR_AGAIN;
	}
	return ERR_RATE_LIMITED;
}

static int
limit_cell_take(
    struct limit_cell *c, int64_t tokens, int64_t now, struct limit_verdict *v)
{
	int64_t rpm = limit_load(&c->rpm), tpm = limit_load(&c->tpm), wait;
	int rc;

	if (atomic_load_explicit(&c->fleet, memory_order_relaxed)) {
		if (limit_cost(tokens) > limit_load(&c->largest))
			atomic_store_explicit(&c->largest, limit_cost(tokens),
			    memory_order_relaxed);
		if (atomic_load_explicit(&c->until, memory_order_acquire) <=
			now &&
		    limit_no_share(c, now) != 0) {
			v->cell = c;
			return ERR_AGAIN;
		}
	}
	rc = limit_place(c, v);
	if (rc != 0)
		return rc;
	wait = rpm > 0 ? bucket_take(&c->req, LIMIT_UNIT, now) : 0;
	if (wait > 0) {
		atomic_fetch_sub(&c->conc, 1);
		(void)limit_refuse(v, LIMIT_REQUESTS, c, rpm, wait);
		return limit_refuse_rate(c, &c->req, LIMIT_UNIT, rpm);
	}
	wait = tpm > 0 ? bucket_take(&c->tok, limit_cost(tokens), now) : 0;
	if (wait > 0) {
		if (rpm > 0)
			bucket_give(&c->req, LIMIT_UNIT);
		atomic_fetch_sub(&c->conc, 1);
		(void)limit_refuse(v, LIMIT_TOKENS, c, tpm, wait);
		return limit_refuse_rate(c, &c->tok, limit_cost(tokens), tpm);
	}
	return 0;
}

static void
limit_cell_undo(struct limit_cell *c, int64_t tokens)
{
	if (limit_load(&c->rpm) > 0)
		bucket_give(&c->req, LIMIT_UNIT);
	if (limit_load(&c->tpm) > 0)
		bucket_give(&c->tok, limit_cost(tokens));
	atomic_fetch_sub(&c->conc, 1);
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
		tpm = limit_load(&cells[i]->tpm);
		if (tpm > 0 && tokens_delta != 0)
			bucket_correct(
			    &cells[i]->tok, limit_cost(tokens_delta), tpm);
		atomic_fetch_sub(&cells[i]->conc, 1);
	}
}

static void
bucket_left(const struct limit_bucket *b, int64_t per_minute, int64_t now,
    int64_t *left, int64_t *reset_ms)
{
	int64_t rate = limit_load(&b->rate), depth = limit_load(&b->depth),
		level = limit_load(&b->level);
	__int128 flow = (__int128)(now - limit_load(&b->at)) * rate;

	*left = *reset_ms = 0;
	if (per_minute <= 0 || rate <= 0)
		return;
	flow = flow / LIMIT_WINDOW + level;
	if (flow > depth)
		flow = depth;
	if (flow > 0)
		*left = limit_min((int64_t)flow / LIMIT_UNIT, per_minute);
	*reset_ms =
	    (int64_t)(((depth - flow) * LIMIT_WINDOW / rate + NS_PER_MS - 1) /
		      NS_PER_MS);
}

void
limit_remaining(const struct limit_cell *c, int64_t mono_now, int64_t *req_left,
    int64_t *tok_left, int64_t *req_reset_ms, int64_t *tok_reset_ms)
{
	bucket_left(
	    &c->req, limit_load(&c->rpm), mono_now, req_left, req_reset_ms);
	bucket_left(
	    &c->tok, limit_load(&c->tpm), mono_now, tok_left, tok_reset_ms);
}
