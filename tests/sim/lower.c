/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worst cases that fall while a request runs, as agent/front/lower.c handles
 * them: lower record, flush, and rights released when it is durable. One seed
 * of three has them. What falls, when and by how much comes from a hash of the
 * seed, not from its numbers: the other seeds stay what they were.
 */
#include <inttypes.h>

#include "tests/sim/sim.h"

#define LOWER_MAX 3 /* of one request */

static uint64_t
lower_hash(const struct sim *s, const struct sim_flight *f, unsigned what)
{
	uint64_t h = (s->seed * 64 + f->n_lowers * 8 + what) *
			 UINT64_C(0x9e3779b97f4a7c15) ^
		     (f->req + 1) * UINT64_C(0xc2b2ae3d27d4eb4f);

	h = (h ^ (h >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
	return h ^ (h >> 32);
}

void
sim_lower_plan(struct sim_agent *a, struct sim_flight *f, int64_t took)
{
	struct sim *s = a->sim;

	if (s->seed % 3 != 0 || f->n_lowers >= LOWER_MAX ||
	    lower_hash(s, f, 0) % 4 == 0)
		return;
	sim_at(s, 1 + (int64_t)(lower_hash(s, f, 1) % (uint64_t)(took + 1)),
	    EV_LOWER, a->index, (uint64_t)(f - a->flights) | f->id << 16);
}

/* The rights follow. */
static void
lower_rights(struct sim_agent *a, struct sim_flight *f)
{
	struct sim *s = a->sim;
	struct sim_req *r = &s->reqs[f->req];
	int64_t fall = f->rights.amount - f->intent.reserved;

	lease_lower(&f->rights, f->intent.reserved);
	for (unsigned i = 0; i < r->n_charges; i++)
		s->pots[r->pots[i]].running -= fall;
	r->held -= fall;
	f->ticket = 0;
	s->n_lowered++;
	sim_trace(s, "agent %u lets go of %" PRId64 " of request %u", a->index,
	    fall, f->req);
}

void
sim_agent_lower(struct sim_agent *a, unsigned u)
{
	struct sim_flight *f = &a->flights[u];
	struct sim *s = a->sim;
	int64_t least = s->reqs[f->req].cost, was = f->intent.reserved;
	struct journal_intent to = f->intent;

	to.reserved = least + (int64_t)(lower_hash(s, f, 2) %
					(uint64_t)(was - least + 1));
	to.worst = f->tokens; /* whatever: it is only told on */
	f->n_lowers++;
	if (to.reserved < was && journal_lower(&a->journal->shards[f->shard],
				     &to, &f->ticket) == 0) {
		f->intent.reserved = to.reserved;
		if (s->plant == PLANT_LOWER_FIRST)
			lower_rights(a, f);
	}
	sim_lower_plan(a, f, NS_PER_S / 4);
	sim_agent_turn(a);
}

void
sim_agent_lowered(struct sim_agent *a)
{
	for (unsigned i = 0; i < SIM_IN_FLIGHT; i++) {
		struct sim_flight *f = &a->flights[i];

		if (f->state == REQ_CALLED && f->ticket != 0 &&
		    f->ticket <= journal_lowered(&a->journal->shards[f->shard]))
			lower_rights(a, f);
	}
}
