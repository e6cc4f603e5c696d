/* SPDX-License-Identifier: Apache-2.0 */
/* See rate.h. Cells come in over a lock-free stack that workers push to. */
#include "agent/policy/rate.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

#define RATE_MINUTE (60 * NS_PER_S)
#define RATE_SMOOTH (4 * NS_PER_S)

const struct rate_tuning rate_tuning_default = {
    .idle_ns = 10 * NS_PER_S, .max_reports = 512};

/* What the table knows of one rate of a cell. */
struct rate_dim {
	int64_t given, returned; /* of the session, cumulative */
	int64_t used, denied;	 /* at the last report */
	int64_t demand;		 /* micro a minute, smoothed */
};

struct rate_cell {
	struct limit_cell *cell;
	uint64_t session, share_id;
	struct rate_dim req, tok;
	int64_t conc_denied, conc_want, largest;
	int64_t last_mono, busy_mono, conc_mono; /* of conc_want */
	bool confirm; /* a smaller share is in force: say so */
	bool release; /* it was given back: to be told, then forgotten */
	bool told;    /* of a release: it is in a report */
};

struct rate_table {
	struct rate_tuning tuning;
	pthread_mutex_t lock;
	_Atomic(struct limit_cell *) asked;
	struct rate_cell **cells; /* those with a share, or that want one */
	size_t n, cap, cursor;
	bool draining;
	uint64_t sessions, n_shares;
	_Atomic uint64_t n_lapses;
	void (*kick)(void *ctx);
	void *kick_ctx;
};

struct rate_table *
rate_table_new(const struct rate_tuning *tuning)
{
	struct rate_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->tuning = *tuning;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void
rate_table_free(struct rate_table *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->n; i++) {
		t->cells[i]->cell->lease = NULL;
		free(t->cells[i]);
	}
	free(t->cells);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void
rate_table_kick(struct rate_table *t, void (*kick)(void *ctx), void *ctx)
{
	t->kick_ctx = ctx;
	t->kick = kick;
}

void
rate_ask(struct limit_cell *c)
{
	struct rate_table *t = c->table;
	struct limit_cell *head;

	if (atomic_load_explicit(&c->asked, memory_order_relaxed) ||
	    atomic_exchange(&c->asked, true))
		return;
	head = atomic_load(&t->asked);
	do
		atomic_store(&c->asked_next, head);
	while (!atomic_compare_exchange_weak(&t->asked, &head, c));
	if (t->kick != NULL)
		t->kick(t->kick_ctx);
}

void
rate_lapsed(struct limit_cell *c)
{
	atomic_fetch_add(&c->table->n_lapses, 1);
}

/* ---- cells ---- */

static int
rate_list(struct rate_table *t, struct limit_cell *c)
{
	struct rate_cell *x, **cells;

	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 64 : t->cap * 2;

		cells = realloc(t->cells, cap * sizeof(struct rate_cell *));
		if (cells == NULL)
			return ERR_NOMEM;
		t->cells = cells;
		t->cap = cap;
	}
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return ERR_NOMEM;
	x->cell = c;
	x->session = ++t->sessions;
	c->lease = x;
	t->cells[t->n++] = x;
	return 0;
}

/* Take in what the workers asked for. What finds no memory asks again. */
static void
rate_take_asked(struct rate_table *t)
{
	struct limit_cell *c = atomic_exchange(&t->asked, NULL), *next;

	for (; c != NULL; c = next) {
		next = atomic_load(&c->asked_next);
		if (c->lease == NULL && rate_list(t, c) != 0)
			atomic_store(&c->asked, false);
	}
}

static void
rate_unlist(struct rate_table *t, size_t i)
{
	struct rate_cell *x = t->cells[i];

	x->cell->lease = NULL;
	t->cells[i] = t->cells[--t->n];
	/* A release did it before: it may have been asked for again. */
	if (!x->release)
		atomic_store(&x->cell->asked, false);
	free(x);
}

/* What was taken out of the bucket in this session. */
static int64_t
dim_used(const struct rate_dim *d, const struct limit_bucket *b)
{
	return atomic_load(&b->filled) - atomic_load(&b->level) - d->returned;
}

static void
dim_begin(struct rate_dim *d, struct limit_bucket *b)
{
	d->given = d->returned = 0;
	d->used = dim_used(d, b);
	d->denied = atomic_load(&b->denied);
}

/* What the bucket holds was not lent in the session that begins. */
static void
dim_drop(struct rate_dim *d, struct limit_bucket *b, int64_t now)
{
	(void)limit_reshape(b, 0, 0, now);
	dim_begin(d, b);
}

static void
rate_new_session(struct rate_table *t, struct rate_cell *x, int64_t now)
{
	x->session = ++t->sessions;
	x->share_id = 0;
	x->confirm = false;
	dim_drop(&x->req, &x->cell->req, now);
	dim_drop(&x->tok, &x->cell->tok, now);
}

void
rate_limit_changed(struct limit_cell *c)
{
	int64_t rpm = atomic_load(&c->rpm), tpm = atomic_load(&c->tpm),
		conc = atomic_load(&c->max_conc);

	/* A share of a larger limit is cut at once; a larger limit is felt at
	 * the next exchange. The depth follows then. */
	pthread_mutex_lock(&c->table->lock);
	if (atomic_load(&c->req.rate) > rpm * LIMIT_UNIT)
		atomic_store(&c->req.rate, rpm * LIMIT_UNIT);
	if (atomic_load(&c->tok.rate) > tpm * LIMIT_UNIT)
		atomic_store(&c->tok.rate, tpm * LIMIT_UNIT);
	if (atomic_load(&c->places) > conc)
		atomic_store(&c->places, conc);
	pthread_mutex_unlock(&c->table->lock);
}

/* ---- reports ---- */

/* Smoothed over RATE_SMOOTH; but what was denied counts at once. */
static int64_t
dim_demand(struct rate_dim *d, struct limit_bucket *b, int64_t dt)
{
	int64_t used = dim_used(d, b), denied = atomic_load(&b->denied), seen,
		more;
	__int128 rate;

	more = denied - d->denied;
	seen = used - d->used + more;
	d->used = used;
	d->denied = denied;
	if (seen < 0)
		seen = 0;
	rate = (__int128)seen * RATE_MINUTE / dt;
	if (rate > INT64_MAX / 8)
		rate = INT64_MAX / 8;
	if (dt >= RATE_SMOOTH || (more > 0 && rate > d->demand))
		d->demand = (int64_t)rate;
	else
		d->demand += (int64_t)((rate - d->demand) * dt / RATE_SMOOTH);
	return seen;
}

static void
rate_measure(struct rate_cell *x, int64_t now)
{
	struct limit_cell *c = x->cell;
	int64_t dt = now - x->last_mono, seen, denied = atomic_load(&c->denied),
		peak, conc = atomic_load(&c->conc);

	peak = atomic_exchange(&c->largest, 0);
	x->largest = x->largest * 7 / 8 > peak ? x->largest * 7 / 8 : peak;
	if (x->last_mono == 0) {
		x->busy_mono = x->last_mono = now;
		dim_begin(&x->req, &c->req);
		dim_begin(&x->tok, &c->tok);
		x->conc_denied = denied;
		return;
	}
	if (dt < 50 * NS_PER_MS)
		return;
	x->last_mono = now;
	limit_fill(&c->req, now);
	limit_fill(&c->tok, now);
	seen = dim_demand(&x->req, &c->req, dt);
	seen += dim_demand(&x->tok, &c->tok, dt);
	peak = atomic_exchange(&c->peak, conc);
	if (peak < conc)
		peak = conc;
	peak += denied - x->conc_denied;
	x->conc_denied = denied;
	if (seen > 0 || peak > 0)
		x->busy_mono = now;
	/* Kept until the others must have heard of it and given up theirs. */
	if (peak >= x->conc_want || now - x->conc_mono >= RATE_SMOOTH) {
		x->conc_want = peak;
		x->conc_mono = now;
	}
}

/* Give the share back: nothing is admitted from here on. False when a request
 * holds a place: later. */
static bool
rate_release(struct rate_cell *x, int64_t now)
{
	struct limit_cell *c = x->cell;
	int64_t places = atomic_exchange(&c->places, 0);

	if (atomic_load(&c->conc) > 0) {
		atomic_store(&c->places, places);
		return false;
	}
	atomic_store(&c->asked, false); /* who comes now asks anew */
	atomic_store(&c->until, 0);
	x->req.returned += limit_reshape(&c->req, 0, 0, now);
	x->tok.returned += limit_reshape(&c->tok, 0, 0, now);
	return true;
}

/* The rate whose part of the burst holds the largest request. */
static int64_t
rate_for_largest(const struct rate_cell *x)
{
	int64_t tpm = atomic_load(&x->cell->tpm),
		burst = limit_burst(tpm, atomic_load(&x->cell->tok_burst));

	if (burst <= 0 || x->largest >= burst)
		return tpm * LIMIT_UNIT;
	return (int64_t)((__int128)x->largest * tpm * LIMIT_UNIT / burst);
}

static int
rate_build(struct rate_cell *x, struct arena *a, Hg__RateReport **ret)
{
	Hg__RateReport *m = arena_alloc(a, sizeof(*m));
	struct limit_cell *c = x->cell;

	if (m == NULL)
		return ERR_NOMEM;
	hg__rate_report__init(m);
	m->limit_uid = c->uid;
	m->session = x->session;
	m->share_id = x->share_id;
	m->release = x->release;
	m->requests_wanted = x->req.demand;
	m->tokens_wanted = rate_for_largest(x);
	if (m->tokens_wanted < x->tok.demand)
		m->tokens_wanted = x->tok.demand;
	m->places_wanted = x->conc_want;
	m->requests_level = atomic_load(&c->req.level);
	m->tokens_level = atomic_load(&c->tok.level);
	m->requests_returned = x->req.returned;
	m->tokens_returned = x->tok.returned;
	m->in_flight = atomic_load(&c->conc);
	x->told = true;
	x->confirm = false;
	*ret = m;
	return 0;
}

static bool
rate_cell_urgent(const struct rate_cell *x)
{
	return x->confirm || atomic_load(&x->cell->until) == 0 ||
	       atomic_load(&x->cell->pending);
}

/* Bring one cell up to date before it reports. False: it is gone. */
static bool
rate_refresh(struct rate_table *t, size_t i, int64_t now)
{
	struct rate_cell *x = t->cells[i];
	struct limit_cell *c = x->cell;

	if (!atomic_load(&c->fleet)) {
		rate_unlist(t, i);
		return false;
	}
	rate_measure(x, now);
	if (!x->release &&
	    (t->draining || now - x->busy_mono > t->tuning.idle_ns) &&
	    rate_release(x, now)) {
		x->release = true;
		x->told = false;
	}
	return true;
}

int
rate_table_report(struct rate_table *t, int64_t mono_now, bool urgent,
    struct arena *a, Hg__RateReport ***reports, size_t *n)
{
	size_t i, max;
	int rc = 0;

	*n = 0;
	pthread_mutex_lock(&t->lock);
	rate_take_asked(t);
	for (i = 0; i < t->n;)
		i += rate_refresh(t, i, mono_now) ? 1 : 0;
	max = t->n < t->tuning.max_reports ? t->n : t->tuning.max_reports;
	*reports = arena_alloc(a, (max + 1) * sizeof(**reports));
	if (*reports == NULL)
		rc = ERR_NOMEM;
	for (i = 0; rc == 0 && i < t->n && *n < max; i++) {
		struct rate_cell *x = t->cells[(t->cursor + i) % t->n];

		if (urgent && !x->release && !rate_cell_urgent(x))
			continue;
		rc = rate_build(x, a, &(*reports)[*n]);
		if (rc == 0)
			++*n;
	}
	if (t->n > 0)
		t->cursor = (t->cursor + i) % t->n;
	for (i = t->n; rc == 0 && i > 0; i--)
		if (t->cells[i - 1]->release && t->cells[i - 1]->told)
			rate_unlist(t, i - 1);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

bool
rate_table_urgent(struct rate_table *t)
{
	bool urgent = false;
	size_t i;

	pthread_mutex_lock(&t->lock);
	rate_take_asked(t);
	for (i = 0; i < t->n && !urgent; i++)
		urgent = rate_cell_urgent(t->cells[i]) && !t->draining;
	pthread_mutex_unlock(&t->lock);
	return urgent;
}

/* ---- replies ---- */

/* True when the share became smaller. */
static bool
dim_apply(struct rate_dim *d, struct limit_bucket *b, int64_t rate,
    int64_t depth, int64_t given, int64_t now)
{
	bool less = rate < atomic_load(&b->rate);

	d->returned += limit_reshape(b, rate, depth, now);
	if (given > d->given) {
		d->returned += limit_pour(b, given - d->given);
		d->given = given;
	}
	return less;
}

/* The part of the burst that goes with a share of the rate; at least one
 * request must fit. */
static int64_t
rate_depth(int64_t per_minute, int64_t burst, int64_t rate)
{
	int64_t whole = limit_burst(per_minute, burst);

	if (per_minute <= 0 || rate <= 0)
		return 0;
	return (int64_t)((__int128)whole * rate / (per_minute * LIMIT_UNIT));
}

static void
rate_apply(struct rate_table *t, struct rate_cell *x, const Hg__RateShare *m,
    int64_t until, int64_t now)
{
	struct limit_cell *c = x->cell;
	int64_t rpm = atomic_load(&c->rpm), tpm = atomic_load(&c->tpm), old,
		conc = atomic_load(&c->max_conc), places = m->places,
		agents = m->n_agents > 0 ? m->n_agents : 1;
	bool less;

	if (m->session != x->session || x->release || until <= now)
		return;
	old = atomic_load(&c->until);
	if (old == INT64_MAX || (old != 0 && old <= now)) {
		/* It was on its own meanwhile: begin anew, ask at once. */
		rate_new_session(t, x, now);
		atomic_store(&c->until, 0);
		return;
	}
	less = dim_apply(&x->req, &c->req, m->requests_rate,
	    rate_depth(rpm, atomic_load(&c->req_burst), m->requests_rate),
	    m->requests_given, now);
	less |= dim_apply(&x->tok, &c->tok, m->tokens_rate,
	    rate_depth(tpm, atomic_load(&c->tok_burst), m->tokens_rate),
	    m->tokens_given, now);
	less |= places < atomic_load(&c->places);
	atomic_store(&c->places, places);
	atomic_store(&c->agents, agents);
	atomic_store(&c->pending,
	    m->more && ((rpm > 0 && limit_is_scrap(m->requests_rate,
					rpm * LIMIT_UNIT, agents)) ||
			   (tpm > 0 && limit_is_scrap(m->tokens_rate,
					   tpm * LIMIT_UNIT, agents)) ||
			   (conc > 0 && limit_is_scrap(places, conc, agents))));
	x->share_id = m->share_id;
	x->confirm = x->confirm || less;
	atomic_store_explicit(&c->until, until, memory_order_release);
	t->n_shares++;
}

bool
rate_table_reply(struct rate_table *t, int64_t sent_mono, int64_t mono_now,
    Hg__RateShare *const *shares, size_t n)
{
	size_t i, k;
	bool wake = false;

	pthread_mutex_lock(&t->lock);
	for (k = 0; k < n; k++) {
		for (i = 0; i < t->n; i++)
			if (t->cells[i]->cell->uid == shares[k]->limit_uid &&
			    t->cells[i]->session == shares[k]->session)
				break;
		if (i == t->n)
			continue;
		wake = wake || rate_cell_urgent(t->cells[i]);
		rate_apply(t, t->cells[i], shares[k],
		    sent_mono + (int64_t)shares[k]->ttl_ms * NS_PER_MS,
		    mono_now);
	}
	pthread_mutex_unlock(&t->lock);
	return wake;
}

void
rate_table_drain(struct rate_table *t)
{
	pthread_mutex_lock(&t->lock);
	t->draining = true;
	pthread_mutex_unlock(&t->lock);
}

bool
rate_table_done(struct rate_table *t)
{
	bool done;

	pthread_mutex_lock(&t->lock);
	done = t->n == 0;
	pthread_mutex_unlock(&t->lock);
	return done;
}

void
rate_table_each(struct rate_table *t,
    void (*each)(void *ctx, const struct rate_view *v), void *ctx)
{
	size_t i;

	pthread_mutex_lock(&t->lock);
	for (i = 0; i < t->n; i++) {
		struct limit_cell *c = t->cells[i]->cell;
		struct rate_view v = {.uid = c->uid,
		    .name = c->name,
		    .scope = c->scope,
		    .rpm = atomic_load(&c->rpm),
		    .tpm = atomic_load(&c->tpm),
		    .max_conc = atomic_load(&c->max_conc),
		    .req_rate = atomic_load(&c->req.rate),
		    .tok_rate = atomic_load(&c->tok.rate),
		    .places = atomic_load(&c->places),
		    .in_flight = atomic_load(&c->conc),
		    .agents = atomic_load(&c->agents),
		    .safe = atomic_load(&c->until) == INT64_MAX};

		each(ctx, &v);
	}
	pthread_mutex_unlock(&t->lock);
}

void
rate_table_counts(struct rate_table *t, uint64_t *shares, uint64_t *lapses)
{
	pthread_mutex_lock(&t->lock);
	*shares = t->n_shares;
	*lapses = atomic_load(&t->n_lapses);
	pthread_mutex_unlock(&t->lock);
}
