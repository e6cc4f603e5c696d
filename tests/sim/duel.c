/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I10, liveness of the tail: in a connected cluster several requests at once
 * want more than half of what is left of their budgets, over one budget or
 * over several. They cannot all have it, but whoever can be paid for is served
 * before its deadline, and "exhausted" is only said when, at some instant
 * while the request waited, it could not be paid for.
 */
#include <inttypes.h>
#include <string.h>

#include "agent/money/lease_table.h"
#include "tests/sim/sim.h"

/* Recalls travel with the replies to heartbeats, so a round of them takes a
 * second; a path of several budgets takes one for each. */
#define DUEL_CALM_NS (2500 * NS_PER_MS)

/* What live agents hold of the lease and could spend or give back, messages on
 * their way included. */
static int64_t
duel_held(const struct sim *s, const struct m_lease *m)
{
	const struct sim_agent *a = s->agents[m->agent];
	const struct budget_cell *c;
	const struct lease *l;
	int64_t settled = m->settled, used = 0;

	if (!a->up || a->epoch != m->boot)
		return 0;
	c = lease_table_find(a->leases, m->uid);
	l = c == NULL ? NULL : atomic_load(&c->current);
	if (l != NULL && l->period_start == m->start) {
		settled = atomic_load(&l->settled);
		used = atomic_load(&l->in_use);
	}
	return m->granted - m->returned - settled - used;
}

/* free + recallable, as nobody in the world knows it. */
int64_t
sim_duel_avail(struct sim *s, uint64_t uid)
{
	const struct m_budget *b = sim_db_budget(s, uid);
	const struct m_period *p;
	struct m_now now;
	int64_t sum;

	if (b == NULL || b->soft)
		return INT64_MAX;
	sim_budget_now(s, b, sim_control_now(s, s->home), &now);
	p = sim_db_period(s, uid, now.start);
	if (p == NULL)
		return now.lim;
	sum = p->free;
	if (b->width > 0)
		sum += now.lim - p->limit;
	for (unsigned i = 0; i < s->db.n_leases; i++)
		if (s->db.leases[i].uid == uid &&
		    s->db.leases[i].start == now.start)
			sum += duel_held(s, &s->db.leases[i]);
	return sum;
}

/* Of the budget of its path that has least. */
static int64_t
duel_least(struct sim *s, const struct sim_agent *a, const struct sim_flight *f)
{
	const struct b_key *k = &a->keys[f->key];
	int64_t least = INT64_MAX;

	for (unsigned i = 0; i < k->n_budgets; i++) {
		int64_t v = sim_duel_avail(s, k->budgets[i]->uid);

		if (v < least)
			least = v;
	}
	return least;
}

void
sim_duel_look(struct sim *s)
{
	for (unsigned i = 0; i < s->n_agents; i++) {
		struct sim_agent *a = s->agents[i];

		for (unsigned k = 0; a->up && k < SIM_IN_FLIGHT; k++) {
			struct sim_flight *f = &a->flights[k];

			if (!f->duel || f->state != REQ_WAITS)
				continue;
			f->least = duel_least(s, a, f);
			if (f->least < f->amount) {
				f->short_once = true;
				f->rich_since = s->now;
			}
		}
	}
}

void
sim_duel_refused(
    struct sim *s, struct sim_agent *a, struct sim_flight *f, const char *why)
{
	bool said =
	    strcmp(why, "exhausted") == 0 || strcmp(why, "hopeless") == 0;
	int64_t since = f->rich_since;

	if (said ? f->short_once || duel_least(s, a, f) < f->amount
		 : strcmp(why, "busy") != 0)
		return;
	if (s->stir > since)
		since = s->stir;
	if (said)
		sim_fail(s,
		    "I10: agent %u is told that for %" PRId64
		    " it is %s, at least %" PRId64
		    " was there all the time, budget %" PRIu64,
		    a->index, f->amount, why, f->least, f->short_of->uid);
	else if (f->state == REQ_WAITS && s->now - since > DUEL_CALM_NS)
		sim_fail(s,
		    "I10: agent %u waits for %" PRId64
		    " on key %u, budget %" PRIu64 ", %" PRId64
		    " is there, and nobody is served for %" PRId64 " ms",
		    a->index, f->amount, f->key, f->short_of->uid, f->least,
		    (s->now - since) / NS_PER_MS);
}

/* The round: first everybody uses a little, then all at once a lot. */
void
sim_duel(struct sim *s, uint64_t step)
{
	s->dueling = true;
	if (step % 2 == 1)
		s->duel_key = sim_chance(s, 500) ? SIM_KEYS : 1;
	for (unsigned i = 0; i < s->n_agents; i++) {
		if (!s->agents[i]->up)
			continue;
		s->acting = s->agents[i];
		s->duel_small = step % 2 == 1;
		sim_agent_arrive(
		    s->acting, 1 + (unsigned)sim_below(s, 2), false);
	}
	if (step < SIM_DUELS * 2)
		sim_at(s, step % 2 == 1 ? 400 * NS_PER_MS : 9 * NS_PER_S,
		    EV_ARRIVE, 0, SIM_DUEL_STEP + step + 1);
}
