/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One agent process: start with replay, end, configuration, journal thread.
 * Its memory goes with the process, its disk stays.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ctl/identity.h"
#include "agent/money/lease_table.h"
#include "tests/sim/sim.h"

static int64_t
clock_mono_sim(struct clock *c)
{
	const struct sim_clock *k = (struct sim_clock *)c;
	int64_t t = k->sim->now - k->base;

	return NS_PER_S + t + t / 1000000 * k->ppm;
}

static int64_t
clock_wall_sim(struct clock *c)
{
	const struct sim_clock *k = (struct sim_clock *)c;

	return SIM_WALL0 + k->sim->now + k->skew;
}

struct sim_agent *
sim_agent_new(struct sim *s)
{
	struct sim_agent *a = calloc(1, sizeof(*a));

	MUST(a != NULL && s->n_agents < SIM_AGENTS);
	a->sim = s;
	a->index = s->n_agents++;
	s->agents[a->index] = a;
	(void)snprintf(a->id, sizeof(a->id),
	    "00000000-0000-7000-8000-00000000000%u", a->index);
	a->uuid[6] = 0x70;
	a->uuid[8] = 0x80;
	a->uuid[15] = (uint8_t)a->index;
	a->clock = (struct sim_clock){
	    .clock = {clock_mono_sim, clock_wall_sim}, .sim = s};
	a->clock.ppm = (int64_t)sim_below(s, 401) - 200;
	a->clock.skew = ((int64_t)sim_below(s, 20001) - 10000) * NS_PER_MS;
	if (sim_chance(s, 30)) /* beyond what ingest believes */
		a->clock.skew *= 100;
	a->disk = sim_disk_new(&s->noise.rng);
	a->n_shards = 1 + (unsigned)sim_below(s, SIM_SHARDS);
	return a;
}

void
sim_agent_free(struct sim_agent *a)
{
	if (a == NULL)
		return;
	sim_agent_die(a);
	sim_disk_free(a->disk);
	free(a->learn);
	free(a);
}

/* ---- configuration
 * ------------------------------------------------------------ */

/* PLANT_PATH_ORDER */
static void
agent_turn_path(struct b_key *k)
{
	for (unsigned i = 0; i < k->n_budgets / 2; i++) {
		struct budget_cell *c = k->budgets[i];

		k->budgets[i] = k->budgets[k->n_budgets - 1 - i];
		k->budgets[k->n_budgets - 1 - i] = c;
	}
}

void
sim_agent_config(struct sim_agent *a)
{
	static char names[SIM_BUDGETS][16];
	struct budget_setting v[SIM_BUDGETS];
	struct sim *s = a->sim;
	size_t n = 0;

	for (unsigned k = 0; k < SIM_KEYS; k++) {
		a->keys[k].n_budgets = 0;
		a->keys[k].uid = 2 + k;
		a->keys[k].tenant_uid = 1;
	}
	for (unsigned i = 0; i < s->db.n_budgets; i++) {
		const struct m_budget *b = &s->db.budgets[i];
		struct budget_cell *c;

		if (b->deleted)
			continue;
		(void)snprintf(names[i], sizeof(names[i]), "b%u", i);
		c = lease_table_cell(a->leases, b->uid, str_of(names[i]));
		MUST(c != NULL);
		v[n++] = (struct budget_setting){
		    .cell = c, .limit = b->limit, .soft = b->soft};
		for (unsigned k = 0; k < SIM_KEYS; k++)
			if (s->paths[k] & (1u << i))
				a->keys[k].budgets[a->keys[k].n_budgets++] = c;
	}
	if (s->plant == PLANT_PATH_ORDER && a->index % 2 == 1)
		for (unsigned k = 0; k < SIM_KEYS; k++)
			agent_turn_path(&a->keys[k]);
	lease_table_publish(a->leases, v, n);
}

/* ---- start and end
 * --------------------------------------------------------------- */

static int
agent_open(struct sim_agent *a)
{
	struct sim *s = a->sim;
	struct ship_link link = {.send = sim_line_send_usage, .ctx = a};
	struct journal_replay found;
	uint64_t epoch = a->epoch;
	struct journal_options opt = {.dir = "d/journal",
	    .n_shards = a->n_shards,
	    .segment_size =
		sim_chance(s, 300) ? 1200 + (int64_t)sim_below(s, 4000) : 20000,
	    .reserve = 1024,
	    .group_commit_ms = 2,
	    .io = sim_disk_io(a->disk),
	    .clock = &a->clock.clock};
	struct error e;
	char dir[32], boot_id[16];
	int rc;

	rc = epoch_next(opt.io, "d", &a->epoch, &e);
	if (rc != 0)
		return rc;
	if (s->plant == PLANT_SAME_EPOCH && a->life > 1 && epoch != 0) {
		a->epoch = epoch;
		(void)snprintf(dir, sizeof(dir), "d/j%" PRIu64, a->life);
		opt.dir = dir;
	}
	opt.epoch = a->epoch;
	(void)snprintf(boot_id, sizeof(boot_id), "m%u", a->machine);
	opt.boot_id = boot_id;
	memcpy(opt.agent_id, a->uuid, 16);
	rc = journal_open(&opt, &a->journal, &found, &e);
	if (rc != 0) {
		if (!sim_disk_dead(a->disk))
			sim_trace(s, "agent %u: %s", a->index, e.text);
		a->journal = NULL;
		return rc;
	}
	sim_trace(s,
	    "agent %u starts boot %" PRIu64 ": %" PRIu64 " records, %" PRIu64
	    " intents, %" PRIu64 " torn, %" PRIu64 " filled",
	    a->index, a->epoch, found.records, found.intents_recovered,
	    found.torn, found.filled);
	a->leases = lease_table_new(NULL);
	free(a->learn); /* it was in memory only */
	a->learn = NULL;
	MUST(a->leases != NULL);
	return shipper_new(a->journal, &link, &s->noise.rng, &a->shipper, &e);
}

void
sim_agent_start(struct sim_agent *a)
{
	struct sim *s = a->sim;

	if (a->up || a->gone)
		return;
	a->life++;
	a->up = true;
	a->instance = rng_u64(&s->noise.rng);
	a->seq = a->flush_no = a->synced_no = 0;
	a->n_owed = 0;
	a->clock.base = s->now;
	a->call = 0;
	a->next_beat = a->last_urgent = 0;
	a->backoff_ms = 0;
	a->sync_at = a->ship_at = 0;
	a->kicked = a->hello_done = a->fenced = a->lost_power = false;
	if (agent_open(a) != 0) {
		sim_agent_die(a);
		sim_at(s, NS_PER_S, EV_START, a->index, 0);
		return;
	}
	sim_agent_config(a);
	sim_line_again(a, 1);
	sim_line_wake_ship(a, NS_PER_MS);
	sim_agent_wake_sync(a, NS_PER_MS);
	sim_at(s, 100 * NS_PER_MS, EV_CONFIG, a->index, 0);
	if (!s->quiet)
		sim_at(s, (int64_t)sim_below(s, (uint64_t)s->think), EV_ARRIVE,
		    a->index, 0);
}

/* What was lost with power or disk cannot be asked for. */
static void
agent_forgive(struct sim_agent *a, bool all)
{
	struct sim *s = a->sim;

	for (unsigned i = 0; i < s->n_reqs; i++) {
		struct sim_req *r = &s->reqs[i];

		if (r->agent != a->index || r->rows > 0 || r->forgiven)
			continue;
		if (all || (r->boot == a->epoch && r->flush_no > a->synced_no))
			r->forgiven = true;
		else
			continue;
	}
}

void
sim_agent_die(struct sim_agent *a)
{
	struct sim *s = a->sim;

	if (!a->up)
		return;
	sim_trace(s, "agent %u boot %" PRIu64 " ends%s", a->index, a->epoch,
	    a->gone	    ? ", disk lost"
	    : a->lost_power ? ", power cut"
			    : "");
	a->up = false;
	a->life++;
	for (unsigned i = 0; i < SIM_IN_FLIGHT; i++) {
		if (a->flights[i].state == REQ_CALLED) {
			s->reqs[a->flights[i].req].died = true;
			sim_req_ends(s, &s->reqs[a->flights[i].req]);
		}
		a->flights[i].state = REQ_FREE;
	}
	sim_disk_die_after(a->disk, 0);
	shipper_free(a->shipper);
	journal_close(a->journal);
	lease_table_free(a->leases);
	a->shipper = NULL;
	a->journal = NULL;
	a->leases = NULL;
	if (a->lost_power || a->gone) {
		agent_forgive(a, a->gone);
		a->machine++;
	}
	sim_disk_restart(a->disk, a->lost_power);
}

/* ---- journal thread
 * ---------------------------------------------------------------- */

/* Is everything that was flushed on the platter? */
static bool
agent_all_synced(const struct sim_agent *a)
{
	for (unsigned i = 0; i < a->n_shards; i++) {
		const struct segment *g = a->journal->shards[i].stream.first;

		for (; g != NULL; g = g->next) {
			bool bad = atomic_load(&g->poisoned);

			if (bad && !g->rescued)
				return false;
			if (!bad &&
			    atomic_load(&g->flushed) != atomic_load(&g->synced))
				return false;
		}
	}
	return true;
}

void
sim_agent_sync(struct sim_agent *a)
{
	bool pending = false;

	journal_sync_turn(a->journal);
	if (agent_all_synced(a))
		a->synced_no = a->flush_no;
	sim_agent_lowered(a);
	sim_line_wake_ship(a, NS_PER_MS);
	sim_agent_wake_sync(a, NS_PER_S);
	for (unsigned i = 0; i < a->n_shards; i++)
		pending |= journal_pending(&a->journal->shards[i]);
	if (pending)
		sim_agent_turn(a);
}

void
sim_agent_wake_sync(struct sim_agent *a, int64_t delay)
{
	if (a->sync_at > a->sim->now && a->sync_at <= a->sim->now + delay)
		return;
	a->sync_at = a->sim->now + delay;
	sim_at(a->sim, delay, EV_SYNC, a->index, ++a->sync_no);
}

bool
sim_agent_busy(const struct sim_agent *a)
{
	for (unsigned i = 0; i < SIM_IN_FLIGHT; i++)
		if (a->flights[i].state != REQ_FREE)
			return true;
	return false;
}
