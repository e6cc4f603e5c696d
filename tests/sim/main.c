/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-sim: runs seeds of the simulation. See sim.h.
 *
 *   headgate-sim [--seeds N] [--from N] [--seconds N] [--regress FOLDER]
 *	[--first] [--jobs N] [--plant NAME]
 *	as many seeds as asked for (a failure when they do not fit into the
 *	seconds), --first: until one fails; TAP, then one line of JSON
 *   headgate-sim --seed N [--plant NAME] [--trace]
 *	one seed; --trace: with everything that happens
 *   headgate-sim --planted [--seeds N]
 *	each planted bug until it is caught
 *
 * Many seeds run in --jobs processes, one a processor unless told otherwise.
 * Which ones run, and which fail, does not depend on it.
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/run.h"

/* FOLDER/<anything>.seed: lines "SEED [what it was]". */
static void
run_file(const char *path, const char *name, struct totals *t)
{
	char line[256], why[RUN_WHY];
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
	       ",\"reservations_lowered\":%" PRIu64
	       ",\"refused_as_hopeless\":%" PRIu64
	       ",\"recalls_from_rest\":%" PRIu64 ",\"recall_hints\":%" PRIu64
	       "}\n",
	    t->seeds, t->violations, t->planted, t->caught,
	    (double)t->virtual_ns / 3.6e12, t->regress, t->events, t->admitted,
	    t->refused, t->kills, t->power, t->msgs, t->lost, t->dups,
	    t->probes, t->released, t->overspent, t->lowered, t->hopeless,
	    t->calms, t->hints);
}

static int
plant_find(const char *name)
{
	for (int p = 0; p < PLANT_COUNT; p++)
		if (strcmp(run_plant_name(p), name) == 0)
			return p;
	fprintf(stderr, "headgate-sim: no planted bug %s; there are:\n", name);
	for (int p = 1; p < PLANT_COUNT; p++)
		fprintf(stderr, "  %-20s %s\n", run_plant_name(p),
		    run_plant_text(p));
	exit(2);
}

struct args {
	struct run run;
	uint64_t seed;
	bool one, trace, planted;
	const char *regress;
};

static unsigned
parse_jobs(const char *text)
{
	unsigned long n = strtoul(text, NULL, 10);

	if (n >= 1 && n <= RUN_MAX_JOBS)
		return (unsigned)n;
	fprintf(stderr, "headgate-sim: --jobs is 1 to %d\n", RUN_MAX_JOBS);
	exit(2);
}

static void
parse_args(int argc, char **argv, struct args *a)
{
	static const struct option options[] = {{"seeds", 1, NULL, 'n'},
	    {"from", 1, NULL, 'f'}, {"seconds", 1, NULL, 's'},
	    {"seed", 1, NULL, '1'}, {"plant", 1, NULL, 'p'},
	    {"trace", 0, NULL, 't'}, {"planted", 0, NULL, 'P'},
	    {"regress", 1, NULL, 'r'}, {"first", 0, NULL, 'F'},
	    {"jobs", 1, NULL, 'j'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			a->run.seeds = strtoull(optarg, NULL, 10);
		else if (c == 'f')
			a->run.from = strtoull(optarg, NULL, 10);
		else if (c == 's')
			a->run.seconds = strtoll(optarg, NULL, 10);
		else if (c == '1')
			a->seed = strtoull(optarg, NULL, 10), a->one = true;
		else if (c == 'p')
			a->run.plant = (enum sim_plant)plant_find(optarg);
		else if (c == 't')
			a->trace = true;
		else if (c == 'F')
			a->run.first = true;
		else if (c == 'j')
			a->run.jobs = parse_jobs(optarg);
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
	struct args a = {.run = {.seeds = 1000, .from = 1}};
	struct totals t = {0};
	char why[RUN_WHY] = "";
	bool ok;

	/* Each seed makes and frees much the same: keep the pages. */
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	a.run.jobs = run_processors();
	parse_args(argc, argv, &a);
	if (a.one) {
		ok = run_seed(a.seed, a.run.plant, a.trace, &t, why);
		printf("%s 1 - seed %" PRIu64 " %s\n1..1\n",
		    ok ? "ok" : "not ok", a.seed, why);
		print_json(&t);
		return ok ? 0 : 1;
	}
	if (a.regress != NULL)
		run_regress(a.regress, &t);
	if (!a.planted)
		run_many(&a.run, &t);
	else
		run_planted(&a.run, &t);
	if (!a.planted && a.regress != NULL) {
		a.run.seeds = 3000;
		run_planted(&a.run, &t);
	}
	printf("1..%u\n", t.test);
	print_json(&t);
	return t.violations == 0 && t.caught == t.planted && !t.cut_short ? 0
									  : 1;
}
