/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world for the sizes of leases, in virtual time of one millisecond a
 * step: agents with the real lease table, a control plane that decides with
 * the real grant.c, clients in closed loops. The line of an agent can be cut:
 * what it asks then hangs until the line is whole again.
 */
#ifndef TESTS_UNIT_MONEY_WORLD_H
#define TESTS_UNIT_MONEY_WORLD_H

#include "agent/money/lease_table.h"
#include "controlplane/money/grant.h"

#define W_AGENTS  8
#define W_BUDGETS 2
#define W_CLIENTS 64 /* of an agent */
#define W_MS	  NS_PER_MS

struct w_client {
	bool on, waits;
	unsigned budget; /* what the request in flight is for */
	int64_t until;	 /* next step */
	int64_t wait_end;
	int64_t amount;
	uint64_t gen;
	struct reservation rights; /* n > 0: in flight */
};

struct w_agent {
	struct lease_table *table;
	struct budget_cell *cells[W_BUDGETS];
	struct w_client clients[W_CLIENTS];
	struct lease_view view[W_BUDGETS]; /* the control plane's row */
	bool cut, kicked;
	int64_t called; /* a call is out since, 0 = none */
	int64_t next_beat, last_urgent;
	Hg__LeaseReport **asked;
	size_t n_asked;
	bool urgent;
	struct arena arena;
	uint64_t served[W_BUDGETS], refused[W_BUDGETS], sent;
};

struct world {
	int64_t now;
	unsigned n_agents, n_budgets;
	int64_t limit[W_BUDGETS], free[W_BUDGETS];
	int64_t worst, cost;  /* of each request */
	int64_t takes, pause; /* ns: of a request, between two */
	bool patient;	      /* who is short waits, whatever it is told */
	struct w_agent agents[W_AGENTS];
};

/* *w is zeroed and gets agents and budgets of these limits. */
void world_init(
    struct world *w, unsigned agents, unsigned budgets, const int64_t *limits);
void world_release(struct world *w);
/* n clients on each agent from now on, the others end when they are done. */
void world_clients(struct world *w, unsigned n);
void world_cut(struct world *w, bool cut);
void world_run(struct world *w, int64_t ms);
uint64_t world_served(const struct world *w, unsigned budget);
/* Rights left on agent a, and free + rights + spend = limit everywhere. */
int64_t world_left(const struct world *w, unsigned a, unsigned budget);
void world_check(const struct world *w);

#endif
