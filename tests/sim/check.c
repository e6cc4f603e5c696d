/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invariants (I1 to I18 of the budget design), looked at after every
 * event; what can only be said of a finished run is in sim_check_end().
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/money/lease_table.h"
#include "tests/sim/model.h"
#include "tests/sim/sim.h"

int64_t
sim_free_sum(const struct sim *s)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < s->db.n_periods; i++)
		sum += s->db.periods[i].free;
	return sum;
}

/* I1, and the three sums. */
static void
check_books(struct sim *s)
{
	int64_t out[M_PERIODS];

	memset(out, 0, s->db.n_periods * sizeof(*out));
	for (unsigned i = 0; i < s->db.n_leases; i++) {
		const struct m_lease *l = &s->db.leases[i];

		out[l->period] += l->granted - l->returned - l->settled;
		if (l->granted < 0 || l->returned < 0 || l->settled < 0 ||
		    l->settled + l->returned > l->granted)
			sim_fail(s,
			    "I1: lease of agent %u boot %" PRIu64 ": G %" PRId64
			    " S %" PRId64 " R %" PRId64,
			    l->agent, l->boot, l->granted, l->settled,
			    l->returned);
	}
	for (unsigned i = 0; i < s->db.n_periods; i++) {
		const struct m_period *p = &s->db.periods[i];

		if (p->limit != p->free + out[i] + p->settled + p->held)
			sim_fail(s,
			    "I1: budget %" PRIu64 ": limit %" PRId64
			    " is not free %" PRId64 " + leased %" PRId64
			    " + settled %" PRId64,
			    p->uid, p->limit, p->free, out[i], p->settled);
	}
	if (s->db.ledger != s->db.booked || s->db.hourly != s->db.booked ||
	    s->db.daily != s->db.booked)
		sim_fail(s,
		    "I13: usage %" PRId64 ", ledger %" PRId64
		    ", hourly %" PRId64 ", daily %" PRId64,
		    s->db.booked, s->db.ledger, s->db.hourly, s->db.daily);
}

static bool
check_bounded(const struct sim *s, uint64_t uid)
{
	for (unsigned i = 0; i < s->db.n_budgets; i++)
		if (s->db.budgets[i].uid == uid)
			return s->db.budgets[i].bounded;
	return false;
}

/* I3, I4 of one lease in an agent. */
static void
check_lease(struct sim *s, const struct sim_agent *a, const struct lease *l)
{
	int64_t left = atomic_load(&l->left), use = atomic_load(&l->in_use);
	int64_t settled = atomic_load(&l->settled);
	const struct m_lease *m;

	if (atomic_load(&l->cell->soft))
		return;
	if (!lease_balanced(l) || left < 0 || use < 0 || settled < 0 ||
	    l->returned > l->granted)
		sim_fail(s,
		    "I3: agent %u budget %" PRIu64 ": G %" PRId64 " S %" PRId64
		    " R %" PRId64 " I %" PRId64 " left %" PRId64,
		    a->index, l->cell->uid, l->granted, settled, l->returned,
		    use, left);
	m = sim_db_lease(s, l->cell->uid, l->period_start, a->index, a->epoch);
	if (m == NULL && l->granted == 0)
		return;
	if (m == NULL || l->granted > m->granted ||
	    (m->returned > l->returned && !check_bounded(s, l->cell->uid)) ||
	    m->settled > settled)
		sim_fail(s,
		    "I4: agent %u budget %" PRIu64 ": G %" PRId64 " S %" PRId64
		    " R %" PRId64 ", the control plane has G %" PRId64
		    " S %" PRId64 " R %" PRId64,
		    a->index, l->cell->uid, l->granted, settled, l->returned,
		    m == NULL ? -1 : m->granted, m == NULL ? -1 : m->settled,
		    m == NULL ? -1 : m->returned);
}

/* Rights that live agents could still spend, by pot. */
static void
check_agents(struct sim *s, int64_t *left)
{
	for (unsigned i = 0; i < s->n_agents; i++) {
		const struct sim_agent *a = s->agents[i];

		for (unsigned b = 0; a->up && b < s->db.n_budgets; b++) {
			const struct budget_cell *c =
			    lease_table_find(a->leases, s->db.budgets[b].uid);
			const struct lease *l =
			    c == NULL ? NULL : atomic_load(&c->current);

			if (l != NULL) {
				check_lease(s, a, l);
				left[sim_pot(s, c->uid, l->period_start)] +=
				    atomic_load(&l->left);
			}
			for (l = c == NULL ? NULL : c->old; l != NULL;
			     l = l->next)
				check_lease(s, a, l);
		}
	}
}

/* I2: all that was started, at its worst while it runs, and all that may
 * still be started without asking, never exceed the limit. I17: of bounded
 * budgets by no more than the doubt that was released, which is bounded. */
static void
check_safety(struct sim *s)
{
	int64_t left[SIM_POTS];

	memset(left, 0,
	    (s->n_pots + s->n_agents * s->db.n_budgets) * sizeof(*left));
	check_agents(s, left);
	for (unsigned i = 0; i < s->n_pots; i++) {
		const struct sim_pot *t = &s->pots[i];
		const struct m_budget *b = NULL;
		const struct m_period *p;

		if (t->spent + t->running + left[i] == 0)
			continue;
		for (unsigned k = 0; k < s->db.n_budgets; k++)
			if (s->db.budgets[k].uid == t->uid)
				b = &s->db.budgets[k];
		if (b == NULL || b->soft)
			continue;
		p = sim_db_period(s, t->uid, t->start);
		if (p != NULL && b->bounded && p->released > b->delta)
			sim_fail(s,
			    "I17: budget %" PRIu64 " start %" PRId64
			    ": %" PRId64 " of doubt released, %" PRId64
			    " may be",
			    t->uid, t->start, p->released, b->delta);
		if (p != NULL && t->spent > p->top)
			s->n_overspent++;
		if (p == NULL ||
		    t->spent + t->running + left[i] > p->top + p->released)
			sim_fail(s,
			    "I2, I17: budget %" PRIu64 " start %" PRId64
			    ": spent %" PRId64 " + running %" PRId64
			    " + left %" PRId64 " exceed %" PRId64,
			    t->uid, t->start, t->spent, t->running, left[i],
			    p == NULL ? 0 : p->top + p->released);
	}
}

void
sim_check(struct sim *s, enum sim_event_kind kind)
{
	bool database = kind == EV_TO_CP || kind == EV_SHIP ||
			kind == EV_FAULT || kind == EV_HEAL || kind == EV_DOUBT;
	int64_t free_now = sim_free_sum(s);

	if (!database && free_now > s->free_before)
		sim_fail(s, "I8: free rose by %" PRId64 " without evidence",
		    free_now - s->free_before);
	s->free_before = free_now;
	if (database)
		check_books(s);
	if (kind != EV_SYNC && kind != EV_TIMEOUT && kind != EV_CONFIG) {
		check_safety(s);
		sim_window_check(s);
	}
}

/* ---- at the end
 * ----------------------------------------------------------------- */

static void
check_request(struct sim *s, unsigned i)
{
	const struct sim_req *r = &s->reqs[i];

	if (r->called && r->rows == 0 && !r->forgiven)
		sim_fail(s,
		    "once: request %u of agent %u boot %" PRIu64
		    " was called and is not booked",
		    i, r->agent, r->boot);
	if (r->rows == 1 &&
	    ((r->booked < r->cost && !r->estimated) || r->booked > r->worst))
		sim_fail(s,
		    "once: request %u cost %" PRId64 ", at worst %" PRId64
		    ", %" PRId64 " is booked",
		    i, r->cost, r->worst, r->booked);
	if (r->died && r->rows == 1 && r->booked > r->held)
		sim_fail(s,
		    "I7: request %u is booked at %" PRId64
		    ", its process held %" PRId64 " when it ended",
		    i, r->booked, r->held);
	if (r->called && r->n_charges != r->n_path)
		sim_fail(s, "I14: request %u is charged to %u of %u budgets", i,
		    r->n_charges, r->n_path);
}

static bool
check_is_soft(const struct sim *s, uint64_t uid)
{
	for (unsigned i = 0; i < s->db.n_budgets; i++)
		if (s->db.budgets[i].uid == uid)
			return s->db.budgets[i].soft;
	return false;
}

/* I12, I13: a period's spend is the usage that names it. */
static void
check_periods(struct sim *s)
{
	for (unsigned i = 0; i < s->db.n_periods; i++) {
		const struct m_period *p = &s->db.periods[i];
		int64_t sum = 0;

		if (check_is_soft(s, p->uid)) /* charged by time, not period */
			continue;
		for (unsigned k = 0; k < s->db.n_usage; k++)
			for (unsigned c = 0; c < s->usage[k].n_charges; c++)
				if (s->usage[k].charges[c].budget_uid ==
					p->uid &&
				    s->usage[k].charges[c].period_start ==
					p->start)
					sum += s->usage[k].cost;
		if (sum != p->settled)
			sim_fail(s,
			    "I12: budget %" PRIu64 " start %" PRId64
			    ": settled %" PRId64 ", usage says %" PRId64,
			    p->uid, p->start, p->settled, sum);
	}
}

/* I14: what was booked names the budgets that reserved. */
static void
check_charges(struct sim *s)
{
	for (unsigned k = 0; k < s->db.n_usage; k++) {
		const struct m_usage *u = &s->usage[k];
		const struct sim_req *r = &s->reqs[u->req];

		if (u->n_charges != r->n_charges ||
		    memcmp(u->charges, r->charges,
			r->n_charges * sizeof(*r->charges)) != 0)
			sim_fail(
			    s, "I14: request %u is charged to others", u->req);
	}
}

/* A grant whose every reply was lost until its period was over (or its budget
 * deleted): nobody will ask for it. It ends with the boot epoch. */
static bool
check_unknown(struct sim *s, const struct m_lease *l)
{
	const struct sim_agent *a = s->agents[l->agent];
	const struct m_period *p = &s->db.periods[l->period];
	const struct budget_cell *c;
	const struct lease *at;

	if (!a->up || l->boot != a->epoch ||
	    (p->end > sim_control_now(s, s->home) &&
		sim_db_budget(s, l->uid) != NULL))
		return false;
	c = lease_table_find(a->leases, l->uid);
	at = c == NULL ? NULL : atomic_load(&c->current);
	if (at != NULL && at->period_start == l->start)
		return false;
	for (at = c == NULL ? NULL : c->old; at != NULL; at = at->next)
		if (at->period_start == l->start)
			return false;
	return true;
}

/* I9: nothing is stranded but what lost disks and cut journals hold. */
static void
check_stranded(struct sim *s)
{
	for (unsigned i = 0; i < s->db.n_leases; i++) {
		const struct m_lease *l = &s->db.leases[i];
		int64_t out = l->granted - l->returned - l->settled;

		if (out != 0 && !s->agents[l->agent]->gone &&
		    !m_epoch_lacks(s, l->agent, l->boot) &&
		    !check_unknown(s, l))
			sim_fail(s,
			    "I9: agent %u boot %" PRIu64 " (now %" PRIu64
			    ") holds %" PRId64 " of budget %" PRIu64
			    " start %" PRId64,
			    l->agent, l->boot, s->agents[l->agent]->epoch, out,
			    l->uid, l->start);
	}
}

/* I16: who has nothing to do sends a heartbeat a second, and up to four more
 * while the last rights go back; urgent ones would be twenty. */
static void
check_traffic(struct sim *s)
{
	const int64_t quiet = (SIM_TAIL_NS - SIM_SETTLED_NS) / NS_PER_S;

	for (unsigned i = 0; i < s->n_agents; i++)
		if (s->agents[i]->quiet_beats > 5 * quiet)
			sim_fail(s,
			    "I16: agent %u sent %u heartbeats in %" PRId64
			    " quiet seconds",
			    i, s->agents[i]->quiet_beats, quiet);
}

void
sim_check_end(struct sim *s)
{
	for (unsigned i = 0; i < s->n_agents; i++)
		if (!s->agents[i]->gone &&
		    (!s->agents[i]->up || s->agents[i]->fenced))
			sim_fail(s, "agent %u does not come back", i);
	for (unsigned i = 0; i < s->n_reqs; i++)
		check_request(s, i);
	check_charges(s);
	check_periods(s);
	check_books(s);
	check_stranded(s);
	check_traffic(s);
}
