/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I10 with agents that rest: plenty of money, a little traffic everywhere but
 * at one agent, until the control plane lets the others be silent. Then that
 * one asks for more than is free, at most what is idle at the others: it must
 * have it before they would report again or return it by themselves. Where
 * nobody hears of the recall (one of eight), it is told busy, never exhausted,
 * and has it when they report again, though they go on.
 */
#include <inttypes.h>

#include "agent/money/lease_table.h"
#include "tests/sim/sim.h"

#define CALM_EVERY  (400 * NS_PER_MS)
#define CALM_STEPS  40
#define CALM_AMOUNT 1100
#define CALM_LIMIT  INT64_C(40000000)
/* To the question, and from there to the verdict. */
#define CALM_ASK_NS    (1500 * NS_PER_MS)
#define CALM_SERVED_NS (2500 * NS_PER_MS)

/* Deaf: half of a horizon and a little. */
#define CALM_DEAF_STEPS 80
#define CALM_DEAF_EVERY (2 * NS_PER_S)

bool
sim_calm_deaf(const struct sim *s)
{
	return s->seed % 24 == 6;
}

int64_t
sim_calm_ns(const struct sim *s)
{
	if (s->seed % 3 != 0)
		return 0;
	return sim_calm_deaf(s) ? 230 * NS_PER_S : 45 * NS_PER_S;
}

/* More than is there now, for everybody. */
static bool
calm_begin(struct sim *s)
{
	struct m_budget *b = &s->db.budgets[0];
	struct m_now now;

	if (b->deleted || b->soft)
		return false;
	sim_budget_now(s, b, sim_control_now(s, s->home), &now);
	if (now.end - sim_control_now(s, s->home) < sim_calm_ns(s))
		return false;
	s->dueling = false;
	b->limit += CALM_LIMIT;
	b->version++;
	for (unsigned i = 0; i < s->n_agents; i++)
		sim_at(s, NS_PER_MS, EV_CONFIG, i, 0);
	return true;
}

static struct sim_agent *
calm_asker(struct sim *s)
{
	for (unsigned i = 0; i < s->n_agents; i++)
		if (s->agents[i]->up)
			return s->agents[i];
	return NULL;
}

static void
calm_traffic(struct sim *s)
{
	const struct sim_agent *asker = calm_asker(s);

	s->calm_amount = CALM_AMOUNT;
	for (unsigned i = 0; i < s->n_agents; i++) {
		if (!s->agents[i]->up || s->agents[i] == asker)
			continue;
		s->acting = s->agents[i];
		sim_agent_arrive(s->acting, 1, false);
	}
	s->calm_amount = 0;
}

/* Half of what the others hold is needed, too. */
static bool
calm_ask(struct sim *s)
{
	struct sim_agent *a = calm_asker(s);
	struct m_budget *b = &s->db.budgets[0];
	const struct m_period *p;
	struct m_now now;
	int64_t idle;

	sim_budget_now(s, b, sim_control_now(s, s->home), &now);
	p = sim_db_period(s, b->uid, now.start);
	if (a == NULL || p == NULL)
		return false;
	idle = sim_duel_avail(s, b->uid) - p->free;
	if (idle < 4 * CALM_AMOUNT)
		return false;
	sim_trace(s, "agent %u asks for %" PRId64 " and half of %" PRId64,
	    a->index, p->free, idle);
	s->calm_wants = s->calm_amount = p->free + idle / 2;
	s->acting = a;
	s->calm_served = false;
	s->calm_ask = true;
	sim_agent_arrive(a, 1, true);
	s->calm_amount = 0;
	return true;
}

/* The others go on, and it asks again and again. */
static void
calm_deaf(struct sim *s, uint64_t step)
{
	struct sim_agent *a = calm_asker(s);

	if (a == NULL || s->calm_served)
		return;
	if (step == CALM_DEAF_STEPS) {
		sim_fail(s, "I10: what agents that rest hold is not given back "
			    "though they report again");
		return;
	}
	calm_traffic(s);
	if (!sim_agent_busy(a)) {
		s->calm_amount = s->calm_wants;
		s->acting = a;
		sim_agent_arrive(a, 1, true);
		s->calm_amount = 0;
	}
	sim_at(s, CALM_DEAF_EVERY, EV_CALM, 0, CALM_STEPS + 2 + step);
}

void
sim_calm(struct sim *s, uint64_t step)
{
	if (step == 1 && !calm_begin(s))
		return;
	if (step <= CALM_STEPS) {
		calm_traffic(s);
		sim_at(s, step < CALM_STEPS ? CALM_EVERY : CALM_ASK_NS, EV_CALM,
		    0, step + 1);
	} else if (step == CALM_STEPS + 1) {
		if (calm_ask(s))
			sim_at(s, CALM_SERVED_NS, EV_CALM, 0, step + 1);
	} else if (sim_calm_deaf(s)) {
		calm_deaf(s, step - CALM_STEPS - 1);
	} else if (!s->calm_served && calm_asker(s) != NULL) {
		sim_fail(s,
		    "I10: what agents that rest hold is not given back for "
		    "%" PRId64 " ms",
		    CALM_SERVED_NS / NS_PER_MS);
	}
}
