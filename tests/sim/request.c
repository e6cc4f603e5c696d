/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of clients, as agent/front/admit.c and settle.c handle them:
 * reserve or wait, intent, flush, call, usage, flush, settle.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/money/learn.h"
#include "proto/headgate.pb-c.h"
#include "proto/held.h"
#include "tests/sim/sim.h"

#define WAIT_NS	   (2 * NS_PER_S)
#define BUSY_PART  100 /* as ADMIT_BUSY_PART */
#define CLAIM_RANK 1   /* all keys are of one class */

/* Odd prices, so that roundings show. */
static const struct price sim_price = {
    {2500003, -1, -1, -1, 10000007, -1, -1, -1, -1, -1}};

static int64_t
cost_of(struct sim *s, const struct tokens *t)
{
	__int128 exact = (__int128)t->n[TC_INPUT] * 2500003 +
			 (__int128)t->n[TC_OUTPUT] * 10000007;
	int64_t cost;

	MUST(money_cost(t, &sim_price, &cost) == 0);
	if ((__int128)cost * 1000000 < exact ||
	    (__int128)cost * 1000000 >= exact + 1000000)
		sim_fail(s, "I18: %" PRId64 " is not rounded up once", cost);
	return cost;
}

static struct journal_shard *
flight_shard(struct sim_agent *a, const struct sim_flight *f)
{
	return &a->journal->shards[f->shard];
}

static unsigned
req_new(struct sim_agent *a, const struct sim_flight *f)
{
	struct sim *s = a->sim;

	if (s->n_reqs == s->cap_reqs) {
		s->cap_reqs = 2 * s->cap_reqs + 256;
		s->reqs = realloc(s->reqs, s->cap_reqs * sizeof(*s->reqs));
		MUST(s->reqs != NULL);
	}
	s->reqs[s->n_reqs] = (struct sim_req){.agent = a->index,
	    .key = f->key,
	    .boot = a->epoch,
	    .at = s->now,
	    .n_path = a->keys[f->key].n_budgets,
	    .worst = f->amount};
	return s->n_reqs++;
}

unsigned
sim_pot(struct sim *s, uint64_t uid, int64_t start)
{
	for (unsigned i = s->n_pots; i-- > 0;)
		if (s->pots[i].uid == uid && s->pots[i].start == start)
			return i;
	MUST(s->n_pots < SIM_POTS);
	s->pots[s->n_pots] = (struct sim_pot){.uid = uid, .start = start};
	return s->n_pots++;
}

/* The request no longer runs: what the provider bills is what it cost. */
void
sim_req_ends(struct sim *s, struct sim_req *r)
{
	if (!r->running)
		return;
	r->running = false;
	for (unsigned i = 0; i < r->n_charges; i++) {
		s->pots[r->pots[i]].running -= r->held;
		s->pots[r->pots[i]].spent += r->cost;
	}
}

/* I11: the control plane must not believe the lease dead already. */
static void
check_fence(struct sim_agent *a, const struct sim_flight *f)
{
	struct sim *s = a->sim;

	for (unsigned i = 0; i < f->rights.n; i++) {
		const struct lease *l = f->rights.leases[i];
		const struct m_lease *m =
		    l == NULL ? NULL
			      : sim_db_lease(s, l->cell->uid, l->period_start,
				    a->index, a->epoch);

		if (l == NULL || atomic_load(&l->cell->soft))
			continue;
		if (m == NULL)
			sim_fail(
			    s, "I4: agent %u admits without a lease", a->index);
		else if (m->fence_at + NS_PER_S < SIM_WALL0 + s->now)
			sim_fail(s,
			    "I11: agent %u admits %" PRId64
			    " ms after the fence on budget %" PRIu64,
			    a->index,
			    (SIM_WALL0 + s->now - m->fence_at) / NS_PER_MS,
			    m->uid);
	}
}

static void
flight_intent(struct sim_agent *a, struct sim_flight *f)
{
	struct journal_intent *in = &f->intent;
	struct sim *s = a->sim;
	unsigned id;

	check_fence(a, f);
	f->req = req_new(a, f);
	id = f->req + 1; /* fillers of the journal have none */
	memcpy(in->request_id, &id, sizeof(id));
	in->attempt = 1;
	in->started_at = clock_wall(&a->clock.clock);
	in->tenant_uid = 1;
	in->key_uid = 2 + f->key;
	in->project_uid = in->team_uid = in->route_uid = in->model_uid =
	    in->deployment_uid = in->provider_uid = 1;
	in->reserved = f->amount;
	in->n_charges = f->rights.n;
	for (unsigned i = 0; i < f->rights.n; i++) {
		const struct lease *l = f->rights.leases[i];

		in->charges[i].budget_uid = f->rights.cells[i]->uid;
		in->charges[i].period_start = l != NULL ? l->period_start : 0;
		s->reqs[f->req].charges[i] = in->charges[i];
		s->reqs[f->req].pots[i] = sim_pot(
		    s, in->charges[i].budget_uid, in->charges[i].period_start);
	}
	s->reqs[f->req].n_charges = f->rights.n;
	if (journal_intent(flight_shard(a, f), in) != 0) {
		lease_cancel(&f->rights);
		s->n_reqs--;
		s->n_busy++;
		f->state = REQ_FREE;
		return;
	}
	f->state = REQ_INTENT;
	s->stir = s->now;
}

static int
flight_reserve(struct sim_agent *a, struct sim_flight *f)
{
	struct b_key *key = &a->keys[f->key], half;
	struct budget_cell *was = f->short_of;
	int rc = lease_reserve_as(key->budgets, key->n_budgets, f->amount,
	    clock_mono(&a->clock.clock), lease_key(CLAIM_RANK, f->turn),
	    &f->rights, &f->short_of);

	if (rc == ERR_AGAIN && a->sim->plant == PLANT_PARENT_DEBIT &&
	    key->n_budgets > 1 && f->short_of != key->budgets[0]) {
		half = *key;
		half.n_budgets = 1;
		rc = lease_reserve(&half, f->amount,
		    clock_mono(&a->clock.clock), &f->rights, &f->short_of);
	}
	if (rc == 0)
		f->short_of = was;
	return rc;
}

static void
flight_refused(struct sim_agent *a, struct sim_flight *f, const char *why)
{
	struct sim *s = a->sim;

	sim_trace(
	    s, "agent %u refuses %" PRId64 ": %s", a->index, f->amount, why);
	if (f->probe && !(sim_calm_deaf(s) && strcmp(why, "busy") == 0))
		sim_fail(s,
		    "I10: agent %u refuses %" PRId64 " on key %u (%s), "
		    "budget %" PRIu64 " is short, though it is free",
		    a->index, f->amount, f->key, why,
		    f->short_of == NULL ? 0 : f->short_of->uid);
	if (f->duel)
		sim_duel_refused(s, a, f, why);
	(void)lease_claims_drop(&f->claims);
	f->state = REQ_FREE;
	s->stir = s->now;
	s->n_refused++;
}

static void
flight_park(struct sim_agent *a, struct sim_flight *f)
{
	if (lease_silent(f->short_of, clock_mono(&a->clock.clock))) {
		flight_refused(a, f, "silent");
		return;
	}
	if (f->state != REQ_WAITS) {
		f->since = a->sim->now;
		sim_at(a->sim, f->duel ? SIM_DUEL_WAIT : WAIT_NS, EV_GIVE_UP,
		    a->index, (uint64_t)(f - a->flights) | f->id << 16);
	}
	f->state = REQ_WAITS;
	f->reply_gen = lease_wait(f->short_of, f->amount);
	if (f->turn == 0)
		f->turn = lease_turn();
}

/* One seed of four tells those busy that what others give back will not be
 * enough for, as far as is known of what requests cost. */
static bool
flight_learns(const struct sim *s)
{
	return s->seed % 4 == 1;
}

static void
flight_learn(struct sim_agent *a, const struct sim_req *r)
{
	if (!flight_learns(a->sim))
		return;
	if (a->learn == NULL)
		a->learn = calloc(1, sizeof(*a->learn));
	MUST(a->learn != NULL);
	learn_settled(a->learn, 1, 1, r->cost, r->worst);
}

/* admit_usual_share() */
static int
flight_share(const struct sim_agent *a)
{
	int share =
	    a->learn == NULL ? 0 : learn_share(a->learn, 1, 1, BUSY_PART, 1);

	return share < 0 ? 0 : share;
}

/* waiting_claim() */
static void
flight_claim(struct sim_agent *a, struct sim_flight *f)
{
	int64_t now = clock_mono(&a->clock.clock);
	int64_t wait = f->duel ? SIM_DUEL_WAIT : WAIT_NS;
	int64_t age = a->sim->now - f->since;

	if (f->state != REQ_WAITS || age < wait / 16)
		return;
	if (age < wait / 4 * 3 &&
	    lease_is_likely(f->short_of, f->amount, flight_share(a)))
		lease_claim(&f->claims, f->short_of, f->amount,
		    lease_key(CLAIM_RANK, f->turn), now + wait / 4 * 3 - age,
		    now);
	else
		(void)lease_claims_drop(&f->claims);
}

/* admit_retry() */
static void
flight_retry(struct sim_agent *a, struct sim_flight *f)
{
	struct budget_cell *cell = f->short_of;
	enum lease_verdict verdict;
	int rc = flight_reserve(a, f);

	if (rc == 0) {
		lease_wait_done(cell, f->amount);
		(void)lease_claims_drop(&f->claims);
		flight_intent(a, f);
		return;
	}
	verdict = lease_verdict(cell, f->amount, f->reply_gen, flight_share(a));
	if (a->sim->plant == PLANT_ALL_EXHAUSTED)
		verdict = atomic_load(&cell->reply_gen) > f->reply_gen &&
				  atomic_load(&cell->exhausted)
			      ? LEASE_EXHAUSTED
			      : LEASE_WAIT;
	if (verdict != LEASE_WAIT) {
		a->sim->n_hopeless += verdict == LEASE_BUSY;
		lease_wait_done(cell, f->amount);
		flight_refused(a, f,
		    verdict == LEASE_EXHAUSTED ? "exhausted" : "hopeless");
		return;
	}
	if (f->short_of != cell) {
		lease_wait_done(cell, f->amount);
		flight_park(a, f);
	}
	flight_claim(a, f);
}

void
sim_agent_retry(struct sim_agent *a)
{
	for (unsigned i = 0; i < SIM_IN_FLIGHT; i++)
		if (a->flights[i].state == REQ_WAITS)
			flight_retry(a, &a->flights[i]);
	sim_agent_turn(a);
}

void
sim_agent_give_up(struct sim_agent *a, unsigned u)
{
	struct sim_flight *f = &a->flights[u];

	lease_wait_done(f->short_of, f->amount);
	flight_refused(a, f, "busy");
	sim_agent_turn(a);
}

/* How much: anything up to the largest; a probe takes all that is free. */
static void
flight_amount(struct sim_agent *a, struct sim_flight *f)
{
	struct sim *s = a->sim;
	struct tokens *t = &f->intent.worst;
	const struct b_key *k = &a->keys[f->key];
	int64_t room = INT64_MAX, at = sim_control_now(s, s->home), free;
	struct m_now now;

	for (unsigned i = 0; (f->probe || f->duel) && i < k->n_budgets; i++) {
		const struct m_budget *b = sim_db_budget(s, k->budgets[i]->uid);
		const struct m_period *p;

		if (b == NULL || b->soft)
			continue;
		sim_budget_now(s, b, at, &now);
		p = sim_db_period(s, b->uid, now.start);
		if (now.end - at < 8 * NS_PER_S)
			room = 0;
		free = p == NULL ? now.lim : p->free + now.lim - p->limit;
		if (free < room)
			room = free > 0 ? free : 0;
	}
	t->n[TC_INPUT] = 1 + (int64_t)sim_below(s, 200);
	t->n[TC_OUTPUT] = (int64_t)sim_below(s, (uint64_t)s->worst / 10 + 1);
	if (room != INT64_MAX) {
		t->n[TC_INPUT] = 0;
		t->n[TC_OUTPUT] = room <= 20 ? 0 : room / 11;
	}
	if (f->duel && room != INT64_MAX)
		t->n[TC_OUTPUT] =
		    t->n[TC_OUTPUT] *
		    (s->duel_small ? 1 : 30 + (int64_t)sim_below(s, 71)) / 100;
	if (s->calm_amount > 0) {
		t->n[TC_INPUT] = 0;
		t->n[TC_OUTPUT] = s->calm_amount / 11;
		t->n[TC_OUTPUT] =
		    t->n[TC_OUTPUT] * s->calm_amount / cost_of(s, t);
	}
	f->amount = cost_of(s, t);
}

static void
flight_new(struct sim_agent *a, bool probe)
{
	struct sim *s = a->sim;
	static uint64_t ids;
	struct sim_flight *f;
	unsigned i = 0;

	while (i < SIM_IN_FLIGHT && a->flights[i].state != REQ_FREE)
		i++;
	if (i == SIM_IN_FLIGHT)
		return;
	f = &a->flights[i];
	memset(f, 0, sizeof(*f));
	f->id = ++ids & 0xffffffffff;
	f->probe = probe;
	f->duel = s->dueling;
	f->rich_since = s->now;
	f->key = (unsigned)sim_below(s, SIM_KEYS);
	if (s->calm_amount > 0)
		f->key = 0;
	if (f->duel && s->duel_key < SIM_KEYS)
		f->key = s->duel_key;
	f->shard = (unsigned)sim_below(s, a->n_shards);
	flight_amount(a, f);
	if ((probe || f->duel) && f->amount == 0)
		return;
	if (probe)
		s->n_probes++;
	if (!journal_writable(flight_shard(a, f)))
		flight_refused(a, f, "journal");
	else if (flight_reserve(a, f) == 0)
		flight_intent(a, f);
	else
		flight_park(a, f);
}

void
sim_agent_arrive(struct sim_agent *a, unsigned n, bool probe)
{
	while (n-- > 0)
		flight_new(a, probe);
	sim_agent_turn(a);
}

/* The provider has it: from now on it costs. */
static void
flight_call(struct sim_agent *a, struct sim_flight *f)
{
	struct sim *s = a->sim;
	struct sim_req *r = &s->reqs[f->req];
	int64_t took = (int64_t)sim_below(s, (uint64_t)NS_PER_S * 2);

	for (unsigned i = 0; i < TC_COUNT; i++)
		f->tokens.n[i] =
		    (int64_t)sim_below(s, (uint64_t)f->intent.worst.n[i] + 1);
	if (sim_chance(s, 200)) /* the cap is reached */
		f->tokens = f->intent.worst;
	r->cost = cost_of(s, &f->tokens);
	r->running = r->called = true;
	r->held = r->worst;
	for (unsigned i = 0; i < r->n_charges; i++)
		s->pots[r->pots[i]].running += r->held;
	r->flush_no = a->flush_no;
	s->n_admitted++;
	s->calm_served |= f->probe;
	f->state = REQ_CALLED;
	if (!s->quiet && sim_chance(s, 50))
		took *= 8;
	sim_at(s, took + 1, EV_DONE, a->index,
	    (uint64_t)(f - a->flights) | f->id << 16);
	sim_lower_plan(a, f, took);
}

static void
flight_settle(struct sim_agent *a, struct sim_flight *f, int64_t cost)
{
	struct sim_owed o = {.rights = f->rights, .shard = f->shard};
	struct journal_usage u;

	memset(&u, 0, sizeof(u));
	u.head = f->intent;
	u.tokens = f->tokens;
	u.source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
	if (cost > 1 && sim_chance(a->sim, 50)) {
		/* Nobody said what it cost: something below the truth. */
		u.source = HG__USAGE_SOURCE__SOURCE_ESTIMATED;
		cost = 1 + (int64_t)sim_below(a->sim, (uint64_t)cost);
		a->sim->reqs[f->req].estimated = true;
	}
	u.cost = cost;
	journal_usage(flight_shard(a, f), &u);
	cost += a->sim->plant == PLANT_NO_HOLD
		    ? 0
		    : usage_held(u.source, f->intent.reserved, cost);
	o.cost = cost;
	f->rights.n = 0;
	MUST(a->n_owed < SIM_OWED);
	a->owed[a->n_owed++] = o;
	sim_req_ends(a->sim, &a->sim->reqs[f->req]);
	f->state = REQ_FREE;
	a->sim->stir = a->sim->now;
}

void
sim_agent_done(struct sim_agent *a, unsigned u)
{
	struct sim_flight *f = &a->flights[u];

	flight_learn(a, &a->sim->reqs[f->req]);
	flight_settle(a, f, a->sim->reqs[f->req].cost);
	sim_agent_turn(a);
}

/* What is written is given back, as agent/front/owed.c does. */
static void
flights_owed(struct sim_agent *a)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < a->n_owed; i++) {
		struct sim_owed o = a->owed[i];

		if (!journal_is_written(&a->journal->shards[o.shard])) {
			a->owed[kept++] = o;
			continue;
		}
		lease_settle(&a->owed[i].rights, o.cost);
		if (a->sim->plant == PLANT_SETTLE_TWICE &&
		    sim_chance(a->sim, 20))
			lease_settle(&o.rights, o.cost);
	}
	a->n_owed = kept;
}

/* End of a loop turn: one flush a shard, then what waited for it. */
void
sim_agent_turn(struct sim_agent *a)
{
	struct sim *s = a->sim;
	bool ok[SIM_SHARDS], again = false;

	for (unsigned i = 0; i < a->n_shards; i++) {
		ok[i] = true;
		if (s->plant == PLANT_NO_INTENT && sim_chance(s, 500))
			continue;
		if (journal_pending(&a->journal->shards[i])) {
			ok[i] = journal_flush(&a->journal->shards[i]) == 0;
			a->flush_no++;
		}
	}
	if (sim_disk_dead(a->disk))
		return;
	flights_owed(a);
	if (atomic_load(&a->journal->dirty))
		sim_agent_wake_sync(a, 2 * NS_PER_MS);
	for (unsigned i = 0; i < SIM_IN_FLIGHT; i++) {
		struct sim_flight *f = &a->flights[i];

		if (f->state != REQ_INTENT)
			continue;
		if (ok[f->shard]) {
			flight_call(a, f);
		} else {
			flight_settle(a, f, 0);
			again = true;
		}
	}
	if (again) /* their records; may fail again, the sync turn repeats */
		for (unsigned i = 0; i < a->n_shards; i++)
			if (journal_flush(&a->journal->shards[i]) != 0)
				s->n_busy++;
	flights_owed(a);
}
