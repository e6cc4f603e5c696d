/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of many seeds, on all cores. Each of N processes takes every N-th seed
 * (or planted bug) and tells what it found through one pipe; the parent adds
 * up and prints, in the order of the seeds. A seed is simulated alone, so what
 * it does depends on its number only: not on the number of processes.
 */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "tests/sim/sim.h"

#define RUN_WHY	     400
#define RUN_MAX_JOBS 256

struct totals {
	uint64_t seeds, violations, events, admitted, refused, kills, power,
	    msgs, lost, dups, planted, caught, probes, regress, released,
	    overspent, lowered, hopeless, hints, calms;
	int64_t virtual_ns;
	bool cut_short; /* the time was over before all seeds ran */
	unsigned test;	/* TAP number */
};

struct run {
	uint64_t from, seeds;
	int64_t seconds;      /* 0 = no end */
	unsigned jobs;	      /* processes, 1..RUN_MAX_JOBS */
	bool first;	      /* end at the first seed that fails */
	enum sim_plant plant; /* in all of them */
};

/* Processors that this process may use, 1..RUN_MAX_JOBS. */
unsigned run_processors(void);
/* What a planted bug is called and what it is; p < PLANT_COUNT. */
const char *run_plant_name(int p);
const char *run_plant_text(int p);
/* One seed; true = no violation. Adds to t; why[RUN_WHY] says what is wrong. */
bool run_seed(uint64_t seed, enum sim_plant plant, bool trace, struct totals *t,
    char *why);
/* All seeds: prints the first that fail and one line of TAP,
 * which is "not ok" also when the time was over before all of them ran. */
void run_many(const struct run *r, struct totals *t);
/* Each planted bug, until one of r->seeds seeds (from 1) shows it: one line of
 * TAP each. Takes no notice of the time. */
void run_planted(const struct run *r, struct totals *t);

#endif
