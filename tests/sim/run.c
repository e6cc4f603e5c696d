/* SPDX-License-Identifier: Apache-2.0 */
/* See run.h. */
#include "tests/sim/run.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILURES_SHOWN 10

static const struct {
	const char *name, *text;
} plants[PLANT_COUNT] = {{"PLANT_NONE", ""},
#define X(e, text) {#e, text},
    SIM_PLANT_TABLE(X)
#undef X
};

/* What a worker tells: written at once, so it arrives in one piece. */
enum note_kind { NOTE_FAILED, NOTE_PLANT, NOTE_TOTALS };
struct note {
	enum note_kind kind;
	uint64_t seed; /* 0: no seed showed the bug */
	int plant;
	struct totals t;
	char why[RUN_WHY];
};
_Static_assert(sizeof(struct note) <= PIPE_BUF, "a note is written at once");

/* Shared by the processes of one run. */
struct board {
	_Atomic uint64_t bad; /* the lowest seed that failed */
	_Atomic uint64_t at[RUN_MAX_JOBS];
};

/* The first failures, by seed. */
struct failures {
	unsigned n;
	struct {
		uint64_t seed;
		char why[RUN_WHY];
	} v[FAILURES_SHOWN];
};

struct worker {
	const struct run *r;
	struct board *board;
	unsigned index;
	int64_t end; /* monotonic; 0 = none */
	int fd;
};
typedef void (*worker_fn)(struct worker *w);
typedef void (*note_fn)(void *ctx, const struct note *n);

unsigned
run_processors(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > RUN_MAX_JOBS ? RUN_MAX_JOBS : (unsigned)n;
}

const char *
run_plant_name(int p)
{
	return plants[p].name;
}

const char *
run_plant_text(int p)
{
	return plants[p].text;
}

bool
run_seed(uint64_t seed, enum sim_plant plant, bool trace, struct totals *t,
    char *why)
{
	struct sim *s = calloc(1, sizeof(*s));
	bool ok;

	MUST(s != NULL);
	sim_init(s, seed, plant, trace);
	ok = sim_run(s);
	(void)snprintf(why, RUN_WHY, "%s", s->failure);
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
	t->hopeless += s->n_hopeless;
	t->hints += s->n_hints;
	t->calms += s->calm_ask;
	t->virtual_ns += s->now;
	sim_release(s);
	free(s);
	return ok;
}

static void
totals_add(struct totals *t, const struct totals *v)
{
	t->seeds += v->seeds;
	t->violations += v->violations;
	t->events += v->events;
	t->admitted += v->admitted;
	t->refused += v->refused;
	t->kills += v->kills;
	t->power += v->power;
	t->msgs += v->msgs;
	t->lost += v->lost;
	t->dups += v->dups;
	t->probes += v->probes;
	t->released += v->released;
	t->overspent += v->overspent;
	t->lowered += v->lowered;
	t->hopeless += v->hopeless;
	t->hints += v->hints;
	t->calms += v->calms;
	t->virtual_ns += v->virtual_ns;
}

/* ---- processes ----------------------------------------------------------- */

static void
worker_tell(struct worker *w, const struct note *n)
{
	MUST(write(w->fd, n, sizeof(*n)) == (ssize_t)sizeof(*n));
}

static pid_t
worker_start(struct worker *w, worker_fn fn)
{
	pid_t parent = getpid(), pid = fork();

	MUST(pid >= 0);
	if (pid > 0)
		return pid;
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	if (getppid() != parent)
		_exit(1); /* it ended already */
	fn(w);
	exit(0);
}

static void
workers_read(int fd, note_fn note, void *ctx)
{
	struct note n;
	size_t have = 0;

	for (;;) {
		ssize_t got = read(fd, (char *)&n + have, sizeof(n) - have);

		MUST(got >= 0);
		if (got == 0)
			return;
		have += (size_t)got;
		if (have < sizeof(n))
			continue;
		note(ctx, &n);
		have = 0;
	}
}

/* Runs fn in r->jobs processes and hands what they tell to `note`. One that
 * does not end well is told of as a failure of the seed that it was at. */
static void
workers_run(const struct run *r, worker_fn fn, note_fn note, void *ctx)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t end = r->seconds <= 0
			  ? 0
			  : clock_mono(clock_system()) + r->seconds * NS_PER_S;
	pid_t pids[RUN_MAX_JOBS];
	int fds[2];

	MUST(board != MAP_FAILED && pipe(fds) == 0 && r->jobs >= 1 &&
	     r->jobs <= RUN_MAX_JOBS);
	atomic_store(&board->bad, UINT64_MAX);
	fflush(NULL);
	for (unsigned i = 0; i < r->jobs; i++) {
		struct worker w = {.r = r,
		    .board = board,
		    .index = i,
		    .end = end,
		    .fd = fds[1]};

		pids[i] = worker_start(&w, fn);
	}
	close(fds[1]);
	workers_read(fds[0], note, ctx);
	close(fds[0]);
	for (unsigned i = 0; i < r->jobs; i++) {
		struct note n = {
		    .kind = NOTE_FAILED, .seed = atomic_load(&board->at[i])};
		int status;

		MUST(waitpid(pids[i], &status, 0) == pids[i]);
		if (status == 0)
			continue;
		(void)snprintf(n.why, sizeof(n.why), "the process ended: %s %d",
		    WIFSIGNALED(status) ? "signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status)
					: WEXITSTATUS(status));
		note(ctx, &n);
		n.kind = NOTE_TOTALS;
		n.t.violations = 1;
		note(ctx, &n);
	}
	munmap(board, sizeof(*board));
}

/* ---- seeds --------------------------------------------------------------- */

static void
work_seeds(struct worker *w)
{
	struct note n = {.kind = NOTE_FAILED};
	struct board *b = w->board;

	for (uint64_t i = w->index; i < w->r->seeds; i += w->r->jobs) {
		n.seed = w->r->from + i;
		/* All below the lowest that fails run, whoever is faster. */
		if (w->r->first && n.seed > atomic_load(&b->bad))
			break;
		if (w->end != 0 && clock_mono(clock_system()) >= w->end)
			break;
		atomic_store(&b->at[w->index], n.seed);
		n.t.seeds++;
		if (run_seed(n.seed, w->r->plant, false, &n.t, n.why))
			continue;
		if (n.t.violations++ < FAILURES_SHOWN)
			worker_tell(w, &n);
		if (w->r->first) {
			uint64_t bad = atomic_load(&b->bad);

			while (n.seed < bad && !atomic_compare_exchange_weak(
						   &b->bad, &bad, n.seed))
				;
			break;
		}
	}
	n.kind = NOTE_TOTALS;
	worker_tell(w, &n);
}

struct seeds_seen {
	struct totals t;
	struct failures failures;
};

static void
seeds_note(void *ctx, const struct note *n)
{
	struct seeds_seen *seen = ctx;
	struct failures *f = &seen->failures;
	unsigned i;

	if (n->kind == NOTE_TOTALS) {
		totals_add(&seen->t, &n->t);
		return;
	}
	for (i = f->n; i > 0 && f->v[i - 1].seed > n->seed; i--)
		if (i < FAILURES_SHOWN)
			f->v[i] = f->v[i - 1];
	if (i == FAILURES_SHOWN)
		return;
	f->v[i].seed = n->seed;
	memcpy(f->v[i].why, n->why, sizeof(n->why));
	if (f->n < FAILURES_SHOWN)
		f->n++;
}

void
run_many(const struct run *r, struct totals *t)
{
	struct seeds_seen seen = {0};
	bool all, ok;

	workers_run(r, work_seeds, seeds_note, &seen);
	for (unsigned i = 0; i < seen.failures.n; i++)
		printf("# seed %" PRIu64 ": %s\n", seen.failures.v[i].seed,
		    seen.failures.v[i].why);
	all = seen.t.seeds == r->seeds || (r->first && seen.t.violations > 0);
	ok = all && seen.t.violations == 0;
	printf("%s %u - %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64
	       " violations\n",
	    ok ? "ok" : "not ok", ++t->test, seen.t.seeds, r->from,
	    seen.t.violations);
	if (!all)
		printf("# not all of %" PRIu64 " seeds ran (--seconds %" PRId64
		       ")\n",
		    r->seeds, r->seconds);
	fflush(stdout);
	totals_add(t, &seen.t);
	t->cut_short |= !all;
}

/* ---- planted bugs -------------------------------------------------------- */

static void
work_planted(struct worker *w)
{
	for (unsigned p = PLANT_NONE + 1 + w->index; p < PLANT_COUNT;
	     p += w->r->jobs) {
		struct note n = {
		    .kind = NOTE_PLANT, .plant = (int)p, .seed = 1};

		while (
		    n.seed <= w->r->seeds &&
		    run_seed(n.seed, (enum sim_plant)p, false, &n.t, n.why)) {
			n.seed++;
			atomic_store(&w->board->at[w->index], n.seed);
		}
		if (n.seed > w->r->seeds)
			n.seed = 0;
		worker_tell(w, &n);
	}
}

struct plants_seen {
	struct note v[PLANT_COUNT];
};

static void
plants_note(void *ctx, const struct note *n)
{
	struct plants_seen *seen = ctx;

	if (n->kind == NOTE_PLANT)
		seen->v[n->plant] = *n;
	else if (n->kind == NOTE_FAILED)
		printf("# seed %" PRIu64 ": %s\n", n->seed, n->why);
}

void
run_planted(const struct run *r, struct totals *t)
{
	struct plants_seen *seen = calloc(1, sizeof(*seen));

	MUST(seen != NULL);
	workers_run(r, work_planted, plants_note, seen);
	for (int p = PLANT_NONE + 1; p < PLANT_COUNT; p++) {
		const struct note *n = &seen->v[p];

		t->planted++;
		t->caught += n->seed != 0;
		printf("%s %u - planted: %s", n->seed != 0 ? "ok" : "not ok",
		    ++t->test, plants[p].text);
		if (n->seed != 0)
			printf(" (seed %" PRIu64 ": %s)", n->seed, n->why);
		printf("\n");
	}
	fflush(stdout);
	free(seen);
}
