/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/money: reservations, reports and grants. A small model of the control
 * plane hands out rights from a pot; random schedules of requests, lost and
 * repeated messages, recalls, periods and drains must keep conservation and
 * never let more be spent than the pot held.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "agent/money/lease_table.h"
#include "common/rng.h"
#include "tests/unit/support/unit.h"

#define USD INT64_C(1000000000)

/* ck_assert tells the runner about each check; these run millions of times. */
#define QUICK(cond)                          \
	do {                                 \
		if (!(cond))                 \
			ck_abort_msg(#cond); \
	} while (0)

static struct b_key
key_of(struct budget_cell **cells, unsigned n)
{
	struct b_key k = {.n_budgets = n};

	for (unsigned i = 0; i < n; i++)
		k.budgets[i] = cells[i];
	return k;
}

static struct budget_cell *
cell_new(struct lease_table *t, uint64_t uid, bool soft)
{
	char name[32];
	struct budget_cell *c;
	struct budget_setting s;

	snprintf(name, sizeof(name), "acme.b%d", (int)uid);
	c = lease_table_cell(t, uid, str_of(name));
	ck_assert_ptr_nonnull(c);
	s = (struct budget_setting){
	    .cell = c, .limit = 100 * USD, .soft = soft};
	lease_table_publish(t, &s, 1);
	return c;
}

static Hg__LeaseGrant
grant(uint64_t uid, int64_t period, int64_t granted)
{
	Hg__LeaseGrant g;

	hg__lease_grant__init(&g);
	g.budget_uid = uid;
	g.period_start = period;
	g.period_end = period + 86400 * NS_PER_S;
	g.granted = granted;
	g.fence_ms = 10000;
	g.valid_ms = 86400000;
	g.recall_to = -1;
	g.limit = 100 * USD;
	return g;
}

static size_t
exchange(struct lease_table *t, int64_t now, bool urgent, struct arena *a,
    Hg__LeaseReport ***r)
{
	size_t n;

	arena_clear(a);
	QUICK(lease_table_report(t, now, urgent, a, r, &n) == 0);
	return n;
}

static void
give(struct lease_table *t, int64_t now, Hg__LeaseGrant *g)
{
	(void)lease_table_reply(t, now, now, (Hg__LeaseGrant *const *)&g, 1);
}

START_TEST(test_reserve_settle)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_new(t, 7, false), *short_of = NULL;
	struct b_key k = key_of(&c, 1);
	struct reservation r, r2;
	Hg__LeaseGrant g = grant(7, 1000, 100);
	struct lease *l;

	ck_assert_int_eq(lease_reserve(&k, 10, 1, &r, &short_of), ERR_AGAIN);
	ck_assert_ptr_eq(short_of, c);
	ck_assert_uint_eq(r.n, 0);
	give(t, 1, &g);
	ck_assert_int_eq(lease_reserve(&k, 60, 2, &r, &short_of), 0);
	ck_assert_int_eq(lease_reserve(&k, 60, 2, &r2, &short_of), ERR_AGAIN);
	ck_assert_int_eq(lease_reserve(&k, 40, 2, &r2, &short_of), 0);
	l = atomic_load(&c->current);
	ck_assert_int_eq(atomic_load(&l->left), 0);
	ck_assert_int_eq(atomic_load(&l->in_use), 100);
	lease_settle(&r, 25);
	lease_cancel(&r2);
	ck_assert_uint_eq(r.n, 0);
	ck_assert_int_eq(r.amount, 0); /* it holds nothing any more */
	ck_assert_int_eq(atomic_load(&l->left), 75);
	ck_assert_int_eq(atomic_load(&l->settled), 25);
	ck_assert(lease_balanced(l));
	/* A key without budgets always may; an empty settle is nothing. */
	k.n_budgets = 0;
	ck_assert_int_eq(lease_reserve(&k, 1000, 2, &r, &short_of), 0);
	lease_settle(&r, 5);
	lease_table_free(t);
}
END_TEST

START_TEST(test_all_or_nothing)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c[3], *short_of = NULL;
	struct b_key k;
	struct reservation r;

	for (unsigned i = 0; i < 3; i++) {
		Hg__LeaseGrant g = grant(i + 1, 1000, i == 1 ? 50 : 100);

		c[i] = cell_new(t, i + 1, false);
		give(t, 1, &g);
	}
	k = key_of(c, 3);
	ck_assert_int_eq(lease_reserve(&k, 60, 2, &r, &short_of), ERR_AGAIN);
	ck_assert_ptr_eq(short_of, c[1]);
	for (unsigned i = 0; i < 3; i++) {
		struct lease *l = atomic_load(&c[i]->current);

		ck_assert_int_eq(atomic_load(&l->left), i == 1 ? 50 : 100);
		ck_assert_int_eq(atomic_load(&l->in_use), 0);
	}
	ck_assert_int_eq(lease_reserve(&k, 50, 2, &r, &short_of), 0);
	ck_assert_uint_eq(r.n, 3);
	lease_settle(&r, 1);
	lease_table_free(t);
}
END_TEST

START_TEST(test_fence_and_period)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_new(t, 7, false), *short_of = NULL;
	struct b_key k = key_of(&c, 1);
	struct reservation r, mid;
	Hg__LeaseGrant g = grant(7, 1000, 100);
	Hg__LeaseReport **v;
	struct lease *old, *l;
	struct arena a;
	int64_t sent = 5 * NS_PER_S, fence = sent + 10 * NS_PER_S;
	size_t n;

	arena_init(&a, 4096, (size_t)1 << 20);
	give(t, sent, &g);
	ck_assert_int_eq(lease_reserve(&k, 1, fence - 1, &r, &short_of), 0);
	lease_cancel(&r);
	ck_assert_int_eq(lease_reserve(&k, 1, fence, &r, &short_of), ERR_AGAIN);
	/* The same cumulative grant later only moves the fence. */
	give(t, fence, &g);
	l = atomic_load(&c->current);
	ck_assert_int_eq(atomic_load(&l->left), 100);
	ck_assert_int_eq(lease_reserve(&k, 30, fence, &mid, &short_of), 0);
	/* An older fence does not move it back. */
	give(t, sent, &g);
	ck_assert_int_eq(lease_reserve(&k, 1, fence, &r, &short_of), 0);
	lease_cancel(&r);

	/* A new period: the old lease is drained and reported to its end. */
	old = l;
	g = grant(7, 2000, 40);
	give(t, fence, &g);
	l = atomic_load(&c->current);
	ck_assert_ptr_ne(l, old);
	ck_assert_int_eq(l->period_start, 2000);
	lease_settle(&mid, 10); /* charged to the period that reserved it */
	ck_assert_int_eq(atomic_load(&old->settled), 10);
	n = exchange(t, fence + 1, false, &a, &v);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(v[0]->period_start, 2000);
	ck_assert_int_eq(v[1]->period_start, 1000);
	ck_assert_int_eq(v[1]->returned, 90);
	ck_assert_int_eq(v[1]->in_use, 0);
	ck_assert(lease_balanced(old));
	/* Without an answer it is said again; after one, never again. */
	lease_table_no_reply(t);
	ck_assert_uint_eq(exchange(t, fence + 2, false, &a, &v), 2);
	g = grant(7, 1000, 100);
	give(t, fence, &g);
	n = exchange(t, fence + 3, false, &a, &v);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(v[0]->period_start, 2000);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

START_TEST(test_idle_and_recall)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_new(t, 7, false), *short_of = NULL;
	struct b_key k = key_of(&c, 1);
	struct reservation r;
	Hg__LeaseGrant g = grant(7, 1000, 100 * USD);
	Hg__LeaseReport **v;
	struct arena a;
	int64_t now = NS_PER_S;
	struct lease *l;

	arena_init(&a, 4096, (size_t)1 << 20);
	ck_assert_uint_eq(exchange(t, now, false, &a, &v), 0); /* untouched */
	ck_assert_int_eq(lease_reserve(&k, USD, now, &r, &short_of), ERR_AGAIN);
	ck_assert_uint_eq(exchange(t, now, false, &a, &v), 1);
	ck_assert_int_eq(v[0]->period_start, 0);
	ck_assert_int_eq(v[0]->w_p99, USD);
	give(t, now, &g);
	l = atomic_load(&c->current);
	ck_assert_int_eq(lease_reserve(&k, USD, now, &r, &short_of), 0);

	/* In use: a surplus shrinks by half a heartbeat, never the need. */
	ck_assert_uint_eq(exchange(t, now + NS_PER_S, false, &a, &v), 1);
	ck_assert_int_gt(v[0]->returned, 40 * USD);
	ck_assert_int_lt(v[0]->returned, 60 * USD);
	g.recall_to = 2 * USD;
	give(t, now, &g);
	ck_assert_int_eq(
	    atomic_load(&l->left) + atomic_load(&l->in_use), 2 * USD);
	ck_assert(lease_table_urgent(t));
	ck_assert_uint_eq(exchange(t, now + NS_PER_S, true, &a, &v), 1);
	ck_assert_int_eq(v[0]->returned, 98 * USD);
	g.recall_to = -1;
	give(t, now, &g);
	ck_assert(!lease_table_urgent(t));
	lease_settle(&r, USD / 2);

	/* Idle for long enough: everything goes back, then silence. */
	for (int i = 1; i < 12; i++) {
		(void)exchange(t, now + i * NS_PER_S, false, &a, &v);
		give(t, now, &g);
	}
	ck_assert_int_eq(atomic_load(&l->left), 0);
	ck_assert_int_eq(l->returned, 100 * USD - USD / 2);
	ck_assert(lease_balanced(l));
	ck_assert_uint_eq(exchange(t, now + 20 * NS_PER_S, false, &a, &v), 0);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

START_TEST(test_waiters)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c = cell_new(t, 7, false);
	Hg__LeaseGrant g = grant(7, 1000, 0), *pg = &g;
	Hg__LeaseReport **v;
	struct arena a;
	uint64_t gen, gen2;

	arena_init(&a, 4096, (size_t)1 << 20);
	gen = lease_wait(c, 10);
	ck_assert(lease_table_urgent(t));
	ck_assert_uint_eq(exchange(t, 1, true, &a, &v), 1);
	ck_assert_int_eq(v[0]->want_min, 10);
	ck_assert_int_eq(v[0]->want_total, 10);
	/* Who comes while the question is out is not answered by it. */
	gen2 = lease_wait(c, 30);
	g.exhausted = true;
	ck_assert(lease_table_reply(t, 1, 1, (Hg__LeaseGrant *const *)&pg, 1));
	ck_assert_uint_ge(atomic_load(&c->reply_gen), gen + 1);
	ck_assert_uint_lt(atomic_load(&c->reply_gen), gen2 + 1);
	ck_assert(atomic_load(&c->exhausted));
	lease_wait_done(c, 10);
	ck_assert_uint_eq(exchange(t, 2, true, &a, &v), 1);
	ck_assert_int_eq(v[0]->want_min, 30);
	ck_assert_int_eq(v[0]->want_total, 30);
	g.exhausted = false;
	give(t, 2, &g);
	ck_assert_uint_ge(atomic_load(&c->reply_gen), gen2 + 1);
	lease_wait_done(c, 30);
	ck_assert_int_eq(atomic_load(&c->want_min), 0);
	ck_assert_int_eq(atomic_load(&c->want_total), 0);
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

START_TEST(test_soft_and_overrun)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c[2] = {cell_new(t, 1, true), NULL}, *short_of;
	struct b_key k;
	struct reservation r;
	Hg__LeaseGrant g = grant(2, 1000, 10);
	struct lease *l;
	int64_t total;
	uint64_t before = lease_overruns(&total);

	c[1] = cell_new(t, 2, false);
	atomic_store(&c[0]->soft, true);
	give(t, 1, &g);
	k = key_of(c, 2);
	ck_assert_int_eq(lease_reserve(&k, 10, 2, &r, &short_of), 0);
	lease_settle(&r, 0);
	ck_assert_uint_eq(lease_overruns(&total), before);
	ck_assert_int_eq(lease_reserve(&k, 10, 2, &r, &short_of), 0);
	ck_assert_ptr_null(r.leases[0]); /* soft: no lease is needed */
	lease_settle(&r, 15);		 /* the provider ignored the cap */
	ck_assert_uint_eq(lease_overruns(&total), before + 1);
	l = atomic_load(&c[1]->current);
	ck_assert_int_eq(atomic_load(&l->left), -5);
	ck_assert(lease_balanced(l));
	ck_assert_int_eq(lease_reserve(&k, 1, 2, &r, &short_of), ERR_AGAIN);
	lease_table_free(t);
}
END_TEST

/* ---- the model
 * --------------------------------------------------------------------- */

struct pot { /* one (budget, period) at the control plane */
	int64_t limit, free, granted, returned;
};

static void
pot_answer(struct pot *p, const Hg__LeaseReport *r, Hg__LeaseGrant *g,
    struct rng *rng, uint64_t extra)
{
	int64_t more;

	if (r->returned > p->returned) {
		p->free += r->returned - p->returned;
		p->returned = r->returned;
	}
	QUICK(r->granted <= p->granted); /* knowledge, I4 */
	QUICK(r->granted >= r->returned);
	more = r->want_total;
	if (r->w_p99 > 0)
		more += (int64_t)rng_below(rng, extra);
	if (more > p->free)
		more = p->free;
	p->granted += more;
	p->free -= more;
	g->granted = p->granted;
	g->exhausted = p->free == 0;
}

#define MODEL_KEYS     4
#define MODEL_REQUESTS 32

struct model {
	struct lease_table *t;
	struct budget_cell *cells[3];
	struct pot pots[3];
	struct b_key keys[MODEL_KEYS];
	struct reservation open[MODEL_REQUESTS];
	bool busy[MODEL_REQUESTS];
	int64_t spent[3], now;
	struct rng_seeded rng;
	struct arena arena;
	Hg__LeaseGrant late[3]; /* a reply that arrives again, later */
	bool has_late;
};

static void
model_request(struct model *m)
{
	struct rng *rng = &m->rng.rng;
	unsigned at = (unsigned)rng_below(rng, MODEL_REQUESTS);
	struct reservation *r = &m->open[at];
	struct budget_cell *short_of;

	if (m->busy[at]) {
		int64_t cost = (int64_t)rng_below(rng, (uint64_t)r->amount + 1);

		for (unsigned i = 0; i < r->n; i++)
			m->spent[r->cells[i]->uid - 1] += cost;
		lease_settle(r, cost);
		m->busy[at] = false;
		return;
	}
	m->busy[at] =
	    lease_reserve(&m->keys[rng_below(rng, MODEL_KEYS)],
		1 + (int64_t)rng_below(rng, 40), m->now, r, &short_of) == 0;
	if (!m->busy[at] && rng_below(rng, 2) == 0) {
		(void)lease_wait(short_of, 20);
		lease_wait_done(short_of, 20);
	}
}

static void
model_heartbeat(struct model *m, bool urgent)
{
	struct rng *rng = &m->rng.rng;
	Hg__LeaseGrant g[3], *pg[3];
	Hg__LeaseReport **v;
	size_t n = exchange(m->t, m->now, urgent, &m->arena, &v), n_g = 0;
	int64_t sent = m->now;

	for (size_t i = 0; i < n; i++) {
		uint64_t uid = v[i]->budget_uid;

		QUICK(n_g < 3);
		g[n_g] = grant(uid, 1000, 0);
		pot_answer(&m->pots[uid - 1], v[i], &g[n_g], rng, 50);
		if (rng_below(rng, 4) == 0)
			g[n_g].recall_to = v[i]->in_use;
		if (rng_below(rng, 8) == 0)
			g[n_g].mode = HG__LEASE_MODE__LEASE_TAIL;
		pg[n_g] = &g[n_g];
		n_g++;
	}
	m->now += (int64_t)rng_below(rng, (uint64_t)NS_PER_S);
	if (rng_below(rng, 5) == 0) { /* the reply is lost */
		lease_table_no_reply(m->t);
		return;
	}
	(void)lease_table_reply(m->t, sent, m->now, pg, n_g);
	if (rng_below(rng, 5) == 0 && n_g > 0) {
		m->late[0] = g[0];
		m->has_late = true;
	}
}

static void
model_check(struct model *m)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct lease *l = atomic_load(&m->cells[i]->current);

		if (l == NULL)
			continue;
		QUICK(lease_balanced(l));
		QUICK(atomic_load(&l->left) >= 0);
		QUICK(atomic_load(&l->settled) == m->spent[i]);
		QUICK(l->granted <= m->pots[i].granted);
		QUICK(l->returned >= m->pots[i].returned);
		QUICK(m->spent[i] <= m->pots[i].limit);
	}
}

static void
model_run(uint64_t seed)
{
	static struct model m;
	Hg__LeaseReport **v;

	memset(&m, 0, sizeof(m));
	rng_seeded_init(&m.rng, seed);
	arena_init(&m.arena, 4096, (size_t)4 << 20);
	m.t = lease_table_new(NULL);
	m.now = NS_PER_S;
	for (unsigned i = 0; i < 3; i++) {
		m.cells[i] = cell_new(m.t, i + 1, false);
		m.pots[i].limit = m.pots[i].free =
		    500 + (int64_t)rng_below(&m.rng.rng, 2000);
	}
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&m.cells[i]->deleted, false);
	for (unsigned i = 0; i < MODEL_KEYS; i++)
		m.keys[i] = key_of(m.cells, i % 3 + 1);
	for (int step = 0; step < 3000; step++) {
		uint64_t what = rng_below(&m.rng.rng, 20);

		if (what < 14)
			model_request(&m);
		else if (what < 18)
			model_heartbeat(&m, what < 16);
		else if (m.has_late)
			give(m.t, m.now - NS_PER_S, &m.late[0]);
		else
			m.now += (int64_t)rng_below(&m.rng.rng, 1000000000);
		model_check(&m);
	}
	/* Drain: all comes back, to the nano-dollar. */
	for (unsigned i = 0; i < MODEL_REQUESTS; i++)
		if (m.busy[i])
			lease_cancel(&m.open[i]);
	lease_table_drain(m.t);
	for (int i = 0; i < 100 && !lease_table_done(m.t); i++)
		model_heartbeat(&m, false);
	ck_assert(lease_table_done(m.t));
	m.now += 120 * NS_PER_S; /* replies may be late for a while */
	(void)exchange(m.t, m.now, false, &m.arena, &v);
	(void)lease_table_reply(m.t, m.now, m.now, NULL, 0);
	ck_assert_uint_eq(exchange(m.t, m.now, false, &m.arena, &v), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(m.pots[i].free + m.spent[i], m.pots[i].limit);
	arena_release(&m.arena);
	lease_table_free(m.t);
}

START_TEST(test_random_schedules)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		model_run(seed);
}
END_TEST

/* ---- threads
 * ----------------------------------------------------------------------- */

#define N_THREADS 4
#define N_ROUNDS  2000

struct racer {
	struct b_key *key;
	uint64_t seed;
	int64_t spent;
	unsigned admitted;
};

static _Atomic int racers_left;

static void *
race(void *arg)
{
	struct racer *me = arg;
	struct rng_seeded rng;
	struct reservation r;
	struct budget_cell *short_of;

	rng_seeded_init(&rng, me->seed);
	while (me->admitted < N_ROUNDS) {
		int64_t amount = 1 + (int64_t)rng_below(&rng.rng, 100);
		int64_t cost;

		if (lease_reserve(me->key, amount, NS_PER_S, &r, &short_of) !=
		    0) {
			if (atomic_load(&short_of->exhausted))
				break;
			(void)lease_wait(short_of, amount);
			sched_yield();
			lease_wait_done(short_of, amount);
			continue;
		}
		me->admitted++;
		cost = (int64_t)rng_below(&rng.rng, (uint64_t)amount + 1);
		me->spent += cost;
		lease_settle(&r, cost);
	}
	atomic_fetch_sub(&racers_left, 1);
	return NULL;
}

START_TEST(test_threads)
{
	struct lease_table *t = lease_table_new(NULL);
	struct budget_cell *c[2] = {
	    cell_new(t, 1, false), cell_new(t, 2, false)};
	struct pot pots[2] = {{4000000, 4000000, 0, 0}, {900000, 900000, 0, 0}};
	struct b_key keys[2] = {key_of(c, 1), key_of(c, 2)};
	struct racer racers[N_THREADS] = {0};
	pthread_t threads[N_THREADS];
	int64_t spent[2] = {0, 0};
	struct rng_seeded rng;
	struct arena a;
	int idle = 0;

	rng_seeded_init(&rng, 42);
	atomic_store(&c[0]->deleted, false);
	arena_init(&a, 4096, (size_t)4 << 20);
	atomic_store(&racers_left, N_THREADS);
	for (unsigned i = 0; i < N_THREADS; i++) {
		racers[i].key = &keys[i % 2];
		racers[i].seed = i + 1;
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	while (atomic_load(&racers_left) > 0 || idle++ < 3) {
		Hg__LeaseGrant g[4], *pg[4];
		Hg__LeaseReport **v;
		size_t n = exchange(t, NS_PER_S / 2, idle % 2, &a, &v);

		for (size_t i = 0; i < n; i++) {
			g[i] = grant(v[i]->budget_uid, 1000, 0);
			pot_answer(&pots[v[i]->budget_uid - 1], v[i], &g[i],
			    &rng.rng, 5000);
			g[i].granted = pots[v[i]->budget_uid - 1].granted;
			if (rng_below(&rng.rng, 3) == 0)
				g[i].recall_to = v[i]->in_use;
			pg[i] = &g[i];
		}
		(void)lease_table_reply(t, NS_PER_S / 2, NS_PER_S / 2, pg, n);
	}
	for (unsigned i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		spent[0] += racers[i].spent;
		if (i % 2 == 1)
			spent[1] += racers[i].spent;
	}
	ck_assert_uint_gt(racers[0].admitted + racers[1].admitted, 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct lease *l = atomic_load(&c[i]->current);

		ck_assert(lease_balanced(l));
		ck_assert_int_ge(atomic_load(&l->left), 0);
		ck_assert_int_eq(atomic_load(&l->in_use), 0);
		ck_assert_int_eq(atomic_load(&l->settled), spent[i]);
		ck_assert_int_le(spent[i], pots[i].limit);
		ck_assert_int_eq(atomic_load(&c[i]->want_total), 0);
	}
	arena_release(&a);
	lease_table_free(t);
}
END_TEST

/* Silence is counted from the first question that has no answer. */
START_TEST(test_silent)
{
	struct lease_tuning tuning = lease_tuning_default;

	for (int i = 1; i <= 3; i++) {
		struct lease_table *t;
		struct budget_cell *c;
		Hg__LeaseGrant g = grant(7, 1000, 100);

		tuning.silent_ns = i * NS_PER_S;
		t = lease_table_new(&tuning);
		c = cell_new(t, 7, false);
		ck_assert(!lease_silent(c, 90 * NS_PER_S));
		lease_table_asked(t, NS_PER_S);
		lease_table_asked(t, NS_PER_S + 1);
		ck_assert(!lease_silent(c, (i + 1) * NS_PER_S - 1));
		ck_assert(lease_silent(c, (i + 1) * NS_PER_S));
		give(t, 2 * NS_PER_S, &g);
		ck_assert(!lease_silent(c, 90 * NS_PER_S));
		lease_table_free(t);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/lease");

	UNIT_ADD(s, test_reserve_settle);
	UNIT_ADD(s, test_all_or_nothing);
	UNIT_ADD(s, test_fence_and_period);
	UNIT_ADD(s, test_idle_and_recall);
	UNIT_ADD(s, test_waiters);
	UNIT_ADD(s, test_soft_and_overrun);
	UNIT_ADD(s, test_random_schedules);
	UNIT_ADD(s, test_threads);
	UNIT_ADD(s, test_silent);
	return unit_run(s);
}
