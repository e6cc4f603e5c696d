/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-sim: runs seeds of the simulation. See sim.h.
 *
 *   headgate-sim [--seeds N] [--from N] [--seconds N] [--regress FOLDER]
 *	[--first]
 *	as many seeds as asked for or as fit, --first: until one fails; TAP,
 *	then one line of JSON
 *   headgate-sim --seed N [--plant NAME] [--trace]
 *	one seed, with everything that happens
 *   headgate-sim --planted [--seeds N]
 *	each planted bug until it is caught
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/sim/sim.h"

#define FAILURES_SHOWN 10

static const struct {
	const char *name, *text;
} plants[PLANT_COUNT] = {{"PLANT_NONE", ""},
#define X(e, text) {#e, text},
    SIM_PLANT_TABLE(X)
#undef X
};

struct totals {
	uint64_t seeds, violations, events, admitted, refused, kills, power,
	    msgs, lost, dups, planted, caught, probes, regress, released,
	    overspent, lowered;
	double hours;
	unsigned test; /* TAP number */
};

/* One seed; true = no violation. */
static bool
run_seed(uint64_t seed, enum sim_plant plant, bool trace, struct totals *t,
    char *why)
{
	struct sim *s = calloc(1, sizeof(*s));
	bool ok;

	MUST(s != NULL);
	sim_init(s, seed, plant, trace);
	ok = sim_run(s);
	(void)snprintf(why, sizeof(s->failure), "%s", s->failure);
	t->events += s->n_events;
	t->admitted += s->n_admitted;
	t->refused += s->n_refused;
	t->kills += s->n_kills;
	t->power += s->n_power;
	t->msgs += s->n_msgs;
	t->lost += s->n_lost;
	t->dups += s->n_dups;
	t->probes += s->n_probes;
	t->released += s->n_released;
	t->overspent += s->n_overspent > 0;
	t->lowered += s->n_lowered;
	t->hours += (double)s->now / 3.6e12;
	sim_release(s);
	free(s);
	return ok;
}

static void
run_many(uint64_t from, uint64_t seeds, int64_t seconds, bool first,
    struct totals *t)
{
	int64_t end = clock_mono(clock_system()) + seconds * NS_PER_S;
	char why[400];

	for (uint64_t seed = from; seed < from + seeds; seed++) {
		if (seconds > 0 && clock_mono(clock_system()) >= end)
			break;
		t->seeds++;
		if (run_seed(seed, PLANT_NONE, false, t, why))
			continue;
		if (t->violations++ < FAILURES_SHOWN)
			printf("# seed %" PRIu64 ": %s\n", seed, why);
		if (first)
			break;
	}
	printf("%s %u - %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64
	       " violations\n",
	    t->violations == 0 ? "ok" : "not ok", ++t->test, t->seeds, from,
	    t->violations);
	fflush(stdout);
}

static void
run_planted(uint64_t seeds, struct totals *t)
{
	char why[400];

	for (int p = PLANT_NONE + 1; p < PLANT_COUNT; p++) {
		uint64_t seed = 1;
		struct totals other = {0};

		t->planted++;
		while (seed <= seeds &&
		       run_seed(seed, (enum sim_plant)p, false, &other, why))
			seed++;
		t->caught += seed <= seeds;
		printf("%s %u - planted: %s", seed <= seeds ? "ok" : "not ok",
		    ++t->test, plants[p].text);
		if (seed <= seeds)
			printf(" (seed %" PRIu64 ": %s)", seed, why);
		printf("\n");
		fflush(stdout);
	}
}

/* FOLDER/<anything>.seed: lines "SEED [what it was]". */
static void
run_file(const char *path, const char *name, struct totals *t)
{
	char line[256], why[400];
	FILE *f = fopen(path, "r");

	MUST(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *end;
		uint64_t seed = strtoull(line, &end, 10);
		bool ok;

		if (end == line)
			continue; /* a comment */
		ok = run_seed(seed, PLANT_NONE, false, t, why);
		t->regress++;
		t->violations += !ok;
		printf("%s %u - %s: seed %" PRIu64 " %s\n",
		    ok ? "ok" : "not ok", ++t->test, name, seed, ok ? "" : why);
	}
	fclose(f);
}

static int
seed_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && strcmp(d->d_name + n - 5, ".seed") == 0;
}

static void
run_regress(const char *folder, struct totals *t)
{
	struct dirent **v;
	int n = scandir(folder, &v, seed_file, alphasort);

	for (int i = 0; i < n; i++) {
		char path[512];

		(void)snprintf(
		    path, sizeof(path), "%s/%s", folder, v[i]->d_name);
		run_file(path, v[i]->d_name, t);
		free(v[i]);
	}
	if (n >= 0)
		free(v);
}

static void
print_json(const struct totals *t)
{
	printf("{\"sim_seeds\":%" PRIu64 ",\"sim_violations\":%" PRIu64
	       ",\"planted_bugs\":%" PRIu64 ",\"planted_bugs_caught\":%" PRIu64
	       ",\"virtual_hours\":%.1f,\"regress_seeds\":%" PRIu64
	       ",\"events\":%" PRIu64 ",\"requests_admitted\":%" PRIu64
	       ",\"requests_refused\":%" PRIu64 ",\"kills\":%" PRIu64
	       ",\"power_cuts\":%" PRIu64 ",\"messages\":%" PRIu64
	       ",\"messages_lost\":%" PRIu64 ",\"messages_repeated\":%" PRIu64
	       ",\"probes\":%" PRIu64 ",\"doubt_releases\":%" PRIu64
	       ",\"runs_above_a_bounded_limit\":%" PRIu64
	       ",\"reservations_lowered\":%" PRIu64 "}\n",
	    t->seeds, t->violations, t->planted, t->caught, t->hours,
	    t->regress, t->events, t->admitted, t->refused, t->kills, t->power,
	    t->msgs, t->lost, t->dups, t->probes, t->released, t->overspent,
	    t->lowered);
}

static int
plant_find(const char *name)
{
	for (int p = 0; p < PLANT_COUNT; p++)
		if (strcmp(plants[p].name, name) == 0)
			return p;
	fprintf(stderr, "headgate-sim: no planted bug %s; there are:\n", name);
	for (int p = 1; p < PLANT_COUNT; p++)
		fprintf(stderr, "  %-20s %s\n", plants[p].name, plants[p].text);
	exit(2);
}

struct args {
	uint64_t seeds, from, seed;
	int64_t seconds;
	int plant;
	bool one, trace, planted, first;
	const char *regress;
};

static void
parse_args(int argc, char **argv, struct args *a)
{
	static const struct option options[] = {{"seeds", 1, NULL, 'n'},
	    {"from", 1, NULL, 'f'}, {"seconds", 1, NULL, 's'},
	    {"seed", 1, NULL, '1'}, {"plant", 1, NULL, 'p'},
	    {"trace", 0, NULL, 't'}, {"planted", 0, NULL, 'P'},
	    {"regress", 1, NULL, 'r'}, {"first", 0, NULL, 'F'},
	    {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			a->seeds = strtoull(optarg, NULL, 10);
		else if (c == 'f')
			a->from = strtoull(optarg, NULL, 10);
		else if (c == 's')
			a->seconds = strtoll(optarg, NULL, 10);
		else if (c == '1')
			a->seed = strtoull(optarg, NULL, 10), a->one = true;
		else if (c == 'p')
			a->plant = plant_find(optarg);
		else if (c == 't')
			a->trace = true;
		else if (c == 'F')
			a->first = true;
		else if (c == 'P')
			a->planted = true;
		else if (c == 'r')
			a->regress = optarg;
		else
			exit(2);
	}
}

int
main(int argc, char **argv)
{
	struct args a = {.seeds = 1000, .from = 1};
	struct totals t = {0};
	char why[400] = "";
	bool ok;

	/* Each seed makes and frees much the same: keep the pages. */
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	parse_args(argc, argv, &a);
	if (a.one) {
		ok =
		    run_seed(a.seed, (enum sim_plant)a.plant, a.trace, &t, why);
		printf("%s 1 - seed %" PRIu64 " %s\n1..1\n",
		    ok ? "ok" : "not ok", a.seed, why);
		print_json(&t);
		return ok ? 0 : 1;
	}
	if (a.regress != NULL)
		run_regress(a.regress, &t);
	if (!a.planted)
		run_many(a.from, a.seeds, a.seconds, a.first, &t);
	if (a.planted || a.regress != NULL)
		run_planted(a.planted ? a.seeds : 3000, &t);
	printf("1..%u\n", t.test);
	print_json(&t);
	return t.violations == 0 && t.caught == t.planted ? 0 : 1;
}
