/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include "tests/unit/money/world.h"

#include "tests/unit/support/unit.h"

#define HOLDS(cond)                          \
	do {                                 \
		if (!(cond))                 \
			ck_abort_msg(#cond); \
	} while (0)

#define WAIT_NS	  (2 * NS_PER_S)
#define RTT_NS	  (2 * W_MS)
#define URGENT_NS (50 * W_MS)

static bool *world_kick; /* of the agent that acts */

static void
kicked(void *ctx)
{
	(void)ctx;
	if (world_kick != NULL)
		*world_kick = true;
}

void
world_init(
    struct world *w, unsigned agents, unsigned budgets, const int64_t *limits)
{
	*w = (struct world){.now = NS_PER_S,
	    .n_agents = agents,
	    .n_budgets = budgets,
	    .worst = 4000000,
	    .cost = 80000,
	    .takes = 5 * W_MS,
	    .pause = 3 * W_MS};
	leases_set_kick(kicked, NULL);
	for (unsigned b = 0; b < budgets; b++)
		w->limit[b] = w->free[b] = limits[b];
	for (unsigned i = 0; i < agents; i++) {
		struct w_agent *a = &w->agents[i];
		struct budget_setting set[W_BUDGETS] = {0};

		a->table = lease_table_new(NULL);
		arena_init(&a->arena, 4096, (size_t)1 << 20);
		for (unsigned b = 0; b < budgets; b++) {
			char name[] = "acme.b0";

			name[6] = (char)('0' + b);
			a->cells[b] =
			    lease_table_cell(a->table, b + 1, str_of(name));
			set[b] = (struct budget_setting){
			    .cell = a->cells[b], .limit = limits[b]};
			a->view[b] = (struct lease_view){.budget_uid = b + 1,
			    .found = true,
			    .is_current = true,
			    .period_start = 1,
			    .period_end = INT64_MAX,
			    .limit = limits[b]};
		}
		lease_table_publish(a->table, set, budgets);
	}
}

void
world_release(struct world *w)
{
	for (unsigned i = 0; i < w->n_agents; i++) {
		lease_table_free(w->agents[i].table);
		arena_release(&w->agents[i].arena);
	}
	leases_set_kick(NULL, NULL);
}

/* ---- control plane --------------------------------------------------------
 */

static void
control_view(struct world *w, unsigned me, unsigned b)
{
	struct lease_view *v = &w->agents[me].view[b];

	v->free = w->free[b];
	v->n_active = v->recallable = v->busy = 0;
	for (unsigned i = 0; i < w->n_agents; i++) {
		const struct lease_view *o = &w->agents[i].view[b];
		int64_t idle =
		    o->granted - o->returned - o->r_settled - o->r_in_use;

		if (i == me || !o->exists ||
		    o->report_at < w->now - grant_default.recent_ns)
			continue;
		v->n_active++;
		v->recallable += idle > 0 ? idle : 0;
		v->busy += o->r_in_use;
	}
}

static void
control_write(
    struct world *w, unsigned me, unsigned b, const struct lease_write *d)
{
	struct lease_view *v = &w->agents[me].view[b];

	HOLDS(d->grant >= 0 && d->grant <= w->free[b] + d->returned);
	w->free[b] += d->returned - v->returned - d->grant;
	v->granted += d->grant;
	v->returned = d->returned;
	v->r_settled = d->r_settled;
	v->r_in_use = d->r_in_use;
	v->report_at = d->report_at;
	v->recall = d->recall;
	v->exists = true;
	for (unsigned i = 0; d->recall_others && i < w->n_agents; i++)
		if (i != me && w->agents[i].view[b].exists)
			w->agents[i].view[b].recall = true;
}

static void
control_answer(struct world *w, unsigned me)
{
	struct w_agent *a = &w->agents[me];
	Hg__LeaseGrant g[W_BUDGETS], *v[W_BUDGETS];
	size_t n;

	HOLDS(a->n_asked <= W_BUDGETS);
	for (n = 0; n < a->n_asked; n++) {
		const Hg__LeaseReport *r = a->asked[n];
		unsigned b = (unsigned)r->budget_uid - 1;
		struct grant_result d;

		control_view(w, me, b);
		grant_decide(&grant_default, &a->view[b], r, w->now, &d);
		control_write(w, me, b, &d.w);
		hg__lease_grant__init(&g[n]);
		grant_answer(&grant_default, &a->view[b], &d, w->now, &g[n]);
		v[n] = &g[n];
	}
	(void)lease_table_reply(a->table, a->called, w->now, v, n);
}

/* ---- an agent ---------------------------------------------------------------
 */

static void
agent_line(struct world *w, unsigned i)
{
	struct w_agent *a = &w->agents[i];
	bool full = w->now >= a->next_beat;

	if (a->called != 0) {
		if (a->cut || w->now < a->called + RTT_NS)
			return;
		control_answer(w, i);
		a->called = 0;
		return;
	}
	if (!full && !a->kicked &&
	    !(w->now >= a->last_urgent + URGENT_NS &&
		lease_table_urgent(a->table)))
		return;
	a->kicked = false;
	a->last_urgent = w->now;
	if (full)
		a->next_beat = w->now + NS_PER_S;
	arena_clear(&a->arena);
	HOLDS(lease_table_report(a->table, w->now, !full, &a->arena, &a->asked,
		  &a->n_asked) == 0);
	a->called = w->now;
	a->sent++;
}

/* As agent/front/admit.c: reserve, wait, give up. */
static void
client_try(struct world *w, struct w_agent *a, struct w_client *c)
{
	struct budget_cell *cell = a->cells[c->budget], *short_of;
	bool over;

	if (lease_reserve_path(
		&cell, 1, c->amount, w->now, &c->rights, &short_of) == 0) {
		if (c->waits)
			lease_wait_done(cell, c->amount);
		c->waits = false;
		c->until = w->now + w->takes;
		return;
	}
	over = !w->patient && lease_silent(cell, w->now);
	if (!c->waits && !over) {
		c->waits = true;
		c->wait_end = w->now + WAIT_NS;
		c->gen = lease_wait(cell, c->amount);
		return;
	}
	if (!over && w->now < c->wait_end &&
	    lease_verdict(cell, c->amount, c->gen, 0) != LEASE_EXHAUSTED)
		return;
	if (c->waits)
		lease_wait_done(cell, c->amount);
	c->waits = false;
	a->refused[c->budget]++;
	c->until = w->now + 30 * W_MS;
}

static void
client_step(struct world *w, struct w_agent *a, struct w_client *c)
{
	if (!c->waits && w->now < c->until)
		return;
	if (c->rights.n > 0) {
		lease_settle(&c->rights, w->cost);
		a->served[c->budget]++;
		c->until = w->now + w->pause;
	} else if (c->waits) {
		client_try(w, a, c);
	} else if (c->on) {
		c->budget = (c->budget + 1) % w->n_budgets;
		c->amount = w->worst;
		client_try(w, a, c);
	}
}

void
world_clients(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < w->n_agents; i++)
		for (unsigned k = 0; k < W_CLIENTS; k++)
			w->agents[i].clients[k].on = k < n;
}

void
world_cut(struct world *w, bool cut)
{
	for (unsigned i = 0; i < w->n_agents; i++)
		w->agents[i].cut = cut;
}

void
world_run(struct world *w, int64_t ms)
{
	for (int64_t end = w->now + ms * W_MS; w->now < end; w->now += W_MS) {
		for (unsigned i = 0; i < w->n_agents; i++) {
			struct w_agent *a = &w->agents[i];

			world_kick = &a->kicked;
			for (unsigned k = 0; k < W_CLIENTS; k++)
				client_step(w, a, &a->clients[k]);
			agent_line(w, i);
		}
	}
	world_check(w);
}

uint64_t
world_served(const struct world *w, unsigned budget)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->n_agents; i++)
		n += w->agents[i].served[budget];
	return n;
}

int64_t
world_left(const struct world *w, unsigned a, unsigned budget)
{
	const struct lease *l =
	    atomic_load(&w->agents[a].cells[budget]->current);

	return l == NULL ? 0 : atomic_load(&l->left);
}

void
world_check(const struct world *w)
{
	for (unsigned b = 0; b < w->n_budgets; b++) {
		int64_t sum = w->free[b];

		for (unsigned i = 0; i < w->n_agents; i++) {
			const struct lease *l =
			    atomic_load(&w->agents[i].cells[b]->current);
			const struct lease_view *v = &w->agents[i].view[b];

			sum += v->granted - v->returned;
			if (l == NULL)
				continue;
			HOLDS(lease_balanced(l) && atomic_load(&l->left) >= 0);
			HOLDS(l->granted <= v->granted &&
			      l->returned >= v->returned);
		}
		HOLDS(sum == w->limit[b] && w->free[b] >= 0);
	}
}
