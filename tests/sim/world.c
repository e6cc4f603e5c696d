/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of one seed: what there is, what happens to it (the storm), and
 * the quiet tail in which everything must come right.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/money/lease_table.h"
#include "controlplane/money/grant.h"
#include "tests/sim/sim.h"

enum {
	F_KILL = 1,
	F_POWER = 2,
	F_DISK_LOST = 4,
	F_PARTITION = 8,
	F_CP_DOWN = 16,
	F_FAILOVER = 32,
	F_LIMIT = 64,
	F_DELETE = 128,
	F_DISK = 256,
	F_CLOCK = 512,
	F_ALL = 1023
};

#define PROBE_NS (25 * NS_PER_S)
#define DUEL_NS	 (SIM_DUELS * 10 * NS_PER_S + 10 * NS_PER_S)

uint64_t
sim_below(struct sim *s, uint64_t n)
{
	return rng_below(&s->rng.rng, n);
}

bool
sim_chance(struct sim *s, unsigned per_mille)
{
	return per_mille > 0 && sim_below(s, 1000) < per_mille;
}

void
sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(s->failure, sizeof(s->failure), fmt, ap);
	va_end(ap);
	sim_trace(s, "VIOLATION %s", s->failure);
}

void
sim_trace(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->trace)
		return;
	printf("# %10.4f ", (double)s->now / 1e9);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* ---- events -----------------------------------------------------------------
 */

static bool
event_before(const struct sim_event *x, const struct sim_event *y)
{
	return x->at != y->at ? x->at < y->at : x->order < y->order;
}

struct sim_event *
sim_at(struct sim *s, int64_t delay, enum sim_event_kind kind, unsigned agent,
    uint64_t u)
{
	struct sim_event e = {.at = s->now + (delay > 0 ? delay : 0),
	    .order = s->order++,
	    .kind = kind,
	    .a = agent,
	    .u = u,
	    .life = s->n_agents > agent ? s->agents[agent]->life : 0};
	size_t i = s->n_heap++;

	if (s->n_heap > s->cap_heap) {
		s->cap_heap = 2 * s->cap_heap + 256;
		s->heap = realloc(s->heap, s->cap_heap * sizeof(*s->heap));
		MUST(s->heap != NULL);
	}
	while (i > 0 && event_before(&e, &s->heap[(i - 1) / 2])) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = e;
	return &s->heap[i];
}

static struct sim_event
event_take(struct sim *s)
{
	struct sim_event top = s->heap[0], e = s->heap[--s->n_heap];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < s->n_heap) {
		if (k + 1 < s->n_heap &&
		    event_before(&s->heap[k + 1], &s->heap[k]))
			k++;
		if (!event_before(&s->heap[k], &e))
			break;
		s->heap[i] = s->heap[k];
		i = k;
	}
	if (s->n_heap > 0)
		s->heap[i] = e;
	return top;
}

/* ---- setting up
 * ----------------------------------------------------------------- */

/* The journal's quarantine; in here folders need not be made. */
int __wrap_io_mkdirs(const char *path, mode_t mode, struct error *e);
int
__wrap_io_mkdirs(const char *path, mode_t mode, struct error *e)
{
	(void)path, (void)mode, (void)e;
	return 0;
}

static void
world_budgets(struct sim *s)
{
	s->db.n_budgets = 1 + (unsigned)sim_below(s, SIM_BUDGETS - 1);
	s->worst = 2000 + (int64_t)sim_below(s, 20000);
	for (unsigned i = 0; i < s->db.n_budgets; i++) {
		struct m_budget *b = &s->db.budgets[i];

		*b = (struct m_budget){.uid = 100 + i, .version = 1};
		b->limit = s->worst * (int64_t)(1 + sim_below(s, 60)) / (i + 1);
		if (sim_chance(s, 600))
			b->period_ns =
			    (int64_t)(15 + sim_below(s, 60)) * NS_PER_S;
		b->soft = sim_chance(s, 60);
	}
	for (unsigned k = 0; k < SIM_KEYS; k++)
		s->paths[k] = k == 0 ? 1 : (1u << (k + 1)) - 1;
	if (sim_chance(s, 300))
		s->paths[1] = 2;
}

/* One seed of eight has bounded budgets, with fences that pass. No draw from
 * the seed's numbers: the others stay what they were. */
static void
world_bounded(struct sim *s)
{
	if (s->seed % 8 != 7)
		return;
	for (unsigned i = 0; i < s->db.n_budgets; i++) {
		struct m_budget *b = &s->db.budgets[i];

		if (b->soft || (s->seed / 8 + i) % 3 == 0)
			continue;
		b->bounded = true;
		b->delta = b->limit / (int64_t)(1 + s->seed / 24 % 7);
	}
	s->fence_ms = 1500 + (int64_t)(s->seed / 8 % 50) * 100;
	sim_at(s, NS_PER_S, EV_DOUBT, 0, 0);
}

static void
world_net(struct sim *s)
{
	struct sim_net *n = &s->net;

	n->rtt = (int64_t)(1 + sim_below(s, 40)) * NS_PER_MS;
	n->slow_ns = (int64_t)(1 + sim_below(s, 12)) * NS_PER_S;
	if (sim_chance(s, 800)) {
		n->drop = (unsigned)sim_below(s, 150);
		n->dup = (unsigned)sim_below(s, 150);
		n->slow = (unsigned)sim_below(s, 150);
		n->fail = (unsigned)sim_below(s, 100);
	}
}

void
sim_init(struct sim *s, uint64_t seed, enum sim_plant plant, bool trace)
{
	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->plant = plant;
	s->trace = trace;
	rng_seeded_init(&s->rng, seed);
	rng_seeded_init(&s->noise, seed ^ UINT64_C(0x5bd1e995));
	s->undo = calloc(1, sizeof(*s->undo));
	MUST(s->undo != NULL);
	s->fail_after = -1;
	sim_db_init(s);
	for (unsigned i = 0; i < SIM_REPLICAS; i++) {
		s->replicas[i] = registry_new();
		MUST(s->replicas[i] != NULL);
		s->cp_skew[i] =
		    (int64_t)sim_below(s, 201) * NS_PER_MS - 100 * NS_PER_MS;
	}
	s->fence_ms = 15 * 60 * 1000;
	s->agents_most =
	    s->seed % 4 != 0 ? grant_agents_most(SIM_AGENTS) : GRANT_AGENTS_MAX;
	if (sim_chance(s, 300))
		s->fence_ms = 3000 + (int64_t)sim_below(s, 10000);
	world_budgets(s);
	world_bounded(s);
	world_net(s);
	s->faults = (unsigned)sim_below(s, F_ALL + 1);
	s->think = (int64_t)(5 + sim_below(s, 900)) * NS_PER_MS;
	s->storm_end = (int64_t)(4 + sim_below(s, 20)) * NS_PER_S;
	if (sim_chance(s, 50))
		s->storm_end *= 8;
	sim_window_world(s);
	leases_set_kick(sim_line_kick, s);
	for (unsigned n = 1 + (unsigned)sim_below(s, 4); n > 0; n--) {
		struct sim_agent *a = sim_agent_new(s);

		sim_at(s, (int64_t)sim_below(s, (uint64_t)NS_PER_S), EV_START,
		    a->index, 0);
	}
	if (s->faults != 0)
		sim_at(s, NS_PER_S, EV_FAULT, 0, 0);
	sim_at(s, s->storm_end, EV_HEAL, 0, 0);
	s->end = s->storm_end + SIM_TAIL_NS + PROBE_NS + DUEL_NS;
	s->end += sim_calm_ns(s);
}

void
sim_release(struct sim *s)
{
	for (unsigned i = 0; i < s->n_agents; i++)
		sim_agent_free(s->agents[i]);
	for (unsigned i = 0; i < SIM_REPLICAS; i++)
		registry_free(s->replicas[i]);
	for (size_t i = 0; i < s->n_heap; i++)
		sim_msg_free(s->heap[i].msg);
	free(s->heap);
	free(s->usage);
	free(s->reqs);
	free(s->undo);
	sim_algebra_release(s);
}

/* ---- the storm
 * --------------------------------------------------------------------- */

static void
fault_process(struct sim *s, struct sim_agent *a, unsigned kind)
{
	if (!a->up)
		return;
	if (kind == F_DISK_LOST && s->n_agents < SIM_AGENTS - 1) {
		struct sim_agent *fresh;

		a->gone = true;
		sim_agent_die(a);
		fresh = sim_agent_new(s);
		sim_at(s, NS_PER_S, EV_START, fresh->index, 0);
		return;
	}
	if (kind == F_DISK_LOST)
		return;
	a->lost_power = kind == F_POWER;
	s->n_power += a->lost_power;
	s->n_kills += !a->lost_power;
	if (sim_chance(s, 700)) { /* somewhere in the middle of its writes */
		sim_disk_die_after(a->disk, 1 + (long)sim_below(s, 40));
		return;
	}
	sim_agent_die(a);
	sim_at(s, (int64_t)sim_below(s, 4 * (uint64_t)NS_PER_S), EV_START,
	    a->index, 0);
}

static void
fault_disk(struct sim *s, struct sim_agent *a)
{
	switch (sim_below(s, 4)) {
	case 0:
		sim_disk_fail_write(a->disk, (long)sim_below(s, 20), EIO);
		break;
	case 1:
		sim_disk_fail_fsync(a->disk, (long)sim_below(s, 10));
		break;
	case 2:
		sim_disk_full(a->disk, true);
		break;
	default:
		sim_disk_full(a->disk, false);
		break;
	}
}

static void
fault_config(struct sim *s, bool gone)
{
	struct m_budget *b = &s->db.budgets[sim_below(s, s->db.n_budgets)];

	if (b->deleted)
		return;
	b->version++;
	if (gone)
		b->deleted = true;
	else
		b->limit = (int64_t)sim_below(
		    s, 2 * (uint64_t)b->limit + (uint64_t)s->worst + 1);
	sim_trace(s, "budget %" PRIu64 " %s %" PRId64, b->uid,
	    gone ? "is deleted" : "gets limit", b->limit);
	for (unsigned i = 0; i < s->n_agents; i++)
		sim_at(s, (int64_t)sim_below(s, 3 * (uint64_t)NS_PER_S),
		    EV_CONFIG, i, 0);
}

static void
fault_clock(struct sim *s, struct sim_agent *a)
{
	if (sim_chance(s, 500))
		a->clock.skew =
		    ((int64_t)sim_below(s, 120001) - 60000) * NS_PER_MS;
	else
		s->cp_skew[sim_below(s, SIM_REPLICAS)] =
		    (int64_t)sim_below(s, 201) * NS_PER_MS - 100 * NS_PER_MS;
}

static void
world_fault(struct sim *s)
{
	struct sim_agent *a = s->agents[sim_below(s, s->n_agents)];
	unsigned kind;

	do
		kind = 1u << sim_below(s, 10);
	while (!(s->faults & kind));
	sim_trace(s, "fault %u on agent %u", kind, a->index);
	if (kind & (F_KILL | F_POWER | F_DISK_LOST)) {
		fault_process(s, a, kind);
	} else if (kind == F_PARTITION) {
		a->cut = !a->cut;
	} else if (kind == F_CP_DOWN) {
		s->cp_down = !s->cp_down;
	} else if (kind == F_FAILOVER) {
		registry_forget_all(s->replicas[s->home]);
		s->home = (s->home + 1) % SIM_REPLICAS;
	} else if (kind == F_LIMIT || kind == F_DELETE) {
		fault_config(s, kind == F_DELETE && sim_chance(s, 200));
	} else if (kind == F_DISK) {
		fault_disk(s, a);
	} else {
		fault_clock(s, a);
	}
	if (s->plant == PLANT_TIMER_FREES)
		sim_db_timer_frees(s);
}

/* ---- the tail
 * ------------------------------------------------------------------------ */

static void
world_heal(struct sim *s)
{
	s->quiet = true;
	s->cp_down = false;
	s->net.drop = s->net.dup = s->net.slow = s->net.fail = 0;
	for (unsigned i = 0; i < s->n_agents; i++) {
		struct sim_agent *a = s->agents[i];

		a->cut = false;
		sim_disk_full(a->disk, false);
		sim_disk_fail_write(a->disk, -1, 0);
		sim_disk_fail_fsync(a->disk, -1);
		if (!sim_disk_dead(a->disk))
			sim_disk_die_after(a->disk, -1);
		if (!a->up)
			sim_at(s, 1, EV_START, i, 0);
	}
	sim_trace(s, "quiet from here");
	sim_at(s, SIM_TAIL_NS, EV_ARRIVE, 0, 1);
	sim_at(s, SIM_TAIL_NS + PROBE_NS, EV_ARRIVE, 0, SIM_DUEL_STEP + 1);
	if (sim_calm_ns(s) > 0)
		sim_at(s, SIM_TAIL_NS + PROBE_NS + DUEL_NS, EV_CALM, 0, 1);
}

/* After the idle time: all rights are back; one request at a time for all that
 * is free must be admitted. */
static void
world_probe(struct sim *s, uint64_t step)
{
	if (step == 1)
		sim_check_end(s);
	if (step <= s->n_agents && s->agents[step - 1]->up && !s->failed) {
		s->acting = s->agents[step - 1];
		sim_agent_arrive(s->acting, 1, true);
	}
	if (step < s->n_agents)
		sim_at(s, 2500 * NS_PER_MS, EV_ARRIVE, 0, step + 1);
}

/* ---- one event
 * ------------------------------------------------------------------------ */

static struct sim_msg *
take_msg(struct sim_event *e)
{
	struct sim_msg *m = e->msg;

	e->msg = NULL; /* the event goes by */
	return m;
}

/* What was notified in committed transactions is published to all agents; it
 * may be lost. */
static void
world_tell(struct sim *s)
{
	for (unsigned b = 0; s->db.told != 0 && b < s->db.n_budgets; b++)
		for (unsigned i = 0; i < s->n_agents; i++) {
			if (!(s->db.told >> b & 1) || !s->agents[i]->up ||
			    s->agents[i]->cut || s->plant == PLANT_NO_HINT ||
			    (s->calm_ask && sim_calm_deaf(s)) ||
			    sim_chance(s, 2 * s->net.drop))
				continue;
			s->n_hints++;
			sim_at(s, s->net.rtt / 2, EV_HINT, i,
			    s->db.budgets[b].uid);
		}
	s->db.told = 0;
}

static void
world_hint(struct sim_agent *a, uint64_t uid)
{
	if (!lease_table_hint(a->leases, uid))
		return;
	sim_trace(a->sim, "agent %u hears of a recall", a->index);
	sim_line_kick(a->sim);
}

static void
world_to_cp(struct sim *s, struct sim_msg *m)
{
	struct sim_agent *a = s->agents[m->agent];
	struct sim_msg reply, *r;

	if (s->cp_down) {
		sim_msg_free(m);
		return;
	}
	sim_control(s, m, &reply);
	world_tell(s);
	if (m->again || m->type == MSG_USAGE || sim_chance(s, s->net.drop) ||
	    a->cut) {
		free(reply.bytes);
		sim_msg_free(m);
		return;
	}
	free(m->bytes);
	r = m;
	*r = reply;
	sim_at(s, s->net.rtt / 2, EV_TO_AGENT, m->agent, 0)->msg = r;
}

void
sim_control_meanwhile(struct sim *s)
{
	size_t i;

	if (s->depth != 1 || s->n_heap == 0 || s->quiet || !sim_chance(s, 100))
		return;
	i = sim_below(s, s->n_heap);
	if (s->heap[i].kind != EV_TO_CP || s->heap[i].msg == NULL)
		return;
	sim_trace(s, "meanwhile agent %u", s->heap[i].msg->agent);
	world_to_cp(s, take_msg(&s->heap[i]));
}

static void
world_arrive(struct sim *s, struct sim_agent *a)
{
	unsigned n = sim_chance(s, 100) ? 2 + (unsigned)sim_below(s, 8) : 1;

	if (s->quiet)
		return;
	sim_agent_arrive(a, n, false);
	sim_at(s, (int64_t)sim_below(s, 2 * (uint64_t)s->think) + 1, EV_ARRIVE,
	    a->index, 0);
}

static bool
flight_is(const struct sim_agent *a, uint64_t u, enum req_state state)
{
	const struct sim_flight *f = &a->flights[u & 0xffff];

	return f->state == state && f->id == u >> 16;
}

/* Events of a process: void when it is another one now. */
static void
world_agent_event(struct sim *s, struct sim_event *e)
{
	struct sim_agent *a = s->agents[e->a];

	if (!a->up || e->life != a->life)
		return;
	s->acting = a;
	if (e->kind == EV_ARRIVE)
		world_arrive(s, a);
	else if (e->kind == EV_DONE && flight_is(a, e->u, REQ_CALLED))
		sim_agent_done(a, e->u & 0xffff);
	else if (e->kind == EV_LOWER && flight_is(a, e->u, REQ_CALLED))
		sim_agent_lower(a, e->u & 0xffff);
	else if (e->kind == EV_GIVE_UP && flight_is(a, e->u, REQ_WAITS))
		sim_agent_give_up(a, e->u & 0xffff);
	else if (e->kind == EV_BEAT && e->u == a->beat_no)
		sim_line_beat(a);
	else if (e->kind == EV_SHIP && e->u == a->ship_no)
		sim_line_ship(a);
	else if (e->kind == EV_SYNC && e->u == a->sync_no)
		sim_agent_sync(a);
	else if (e->kind == EV_TO_AGENT && e->msg->life == a->life)
		sim_line_reply(a, e->msg);
	else if (e->kind == EV_TIMEOUT)
		sim_line_timeout(a, e->u);
	else if (e->kind == EV_CONFIG)
		sim_agent_config(a);
	else if (e->kind == EV_HINT)
		world_hint(a, e->u);
}

static void
world_event(struct sim *s, struct sim_event *e)
{
	switch (e->kind) {
	case EV_FAULT:
		if (s->quiet)
			break;
		world_fault(s);
		sim_at(s, (int64_t)sim_below(s, 3 * (uint64_t)NS_PER_S),
		    EV_FAULT, 0, 0);
		break;
	case EV_DOUBT:
		if (!s->cp_down)
			sim_db_doubt_timer(s, NS_PER_S);
		sim_at(s, NS_PER_S, EV_DOUBT, 0, 0);
		break;
	case EV_CALM:
		sim_calm(s, e->u);
		break;
	case EV_HEAL:
		world_heal(s);
		break;
	case EV_START:
		s->acting = s->agents[e->a];
		sim_agent_start(s->agents[e->a]);
		break;
	case EV_TO_CP:
		if (e->msg != NULL)
			world_to_cp(s, take_msg(e));
		break;
	case EV_ARRIVE:
		if (s->quiet && e->u > SIM_DUEL_STEP) {
			sim_duel(s, e->u - SIM_DUEL_STEP);
			break;
		}
		if (s->quiet && e->u > 0) {
			world_probe(s, e->u);
			break;
		}
		/* fall through */
	default:
		world_agent_event(s, e);
		break;
	}
	sim_msg_free(e->msg);
}

/* A process whose disk calls ran out died in the middle of this event. */
static void
world_bury(struct sim *s)
{
	for (unsigned i = 0; i < s->n_agents; i++) {
		struct sim_agent *a = s->agents[i];

		if (!a->up || !sim_disk_dead(a->disk))
			continue;
		sim_agent_die(a);
		sim_at(s, (int64_t)sim_below(s, 3 * (uint64_t)NS_PER_S),
		    EV_START, i, 0);
	}
}

bool
sim_run(struct sim *s)
{
	while (s->n_heap > 0 && !s->failed) {
		struct sim_event e = event_take(s);

		if (e.at > s->end) {
			sim_msg_free(e.msg);
			break;
		}
		s->now = e.at;
		s->n_events++;
		world_event(s, &e);
		world_bury(s);
		if (!s->failed)
			sim_check(s, e.kind);
		if (s->dueling)
			sim_duel_look(s);
	}
	if (!s->failed)
		sim_check_end(s);
	return !s->failed;
}
