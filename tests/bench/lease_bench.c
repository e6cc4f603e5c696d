/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lease traffic costs PostgreSQL: AGENTS agents with the same BUDGETS
 * budgets, all in use, report on all of them in each heartbeat (one a second)
 * through the control plane's exchange. Measured is the CPU time of all server
 * processes for the heartbeats of one second, as a share of one core; beside
 * it as many round trips that ask for nothing. Prints one JSON line {name,
 * value, unit, baseline_name, baseline, ratio, goal} for each kind of traffic:
 *
 *   steady   every budget is spent from, a lease lasts SPEND heartbeats
 *   quiet    one report in ten is on a budget that was used since
 *
 * Cost is linear in agents (test_plenty of test_grant), so AGENTS of them are
 * measured and the figure is for FLEET.
 *
 * Environment: FLEET (1000), AGENTS (20), BUDGETS (100), BEATS of each agent
 * (2), SPEND (20).
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "controlplane/money/exchange.h"
#include "controlplane/store/store_lease.h"
#include "tests/unit/controlplane/support/fleetlab.h"

#define WORST INT64_C(40000000) /* of a request, nano-USD */

struct bench {
	struct lab l;
	struct db *db;
	struct arena arena;
	unsigned n_agents, n_budgets, beats, spend;
	uint64_t *uids;	  /* of the budgets */
	int64_t *granted; /* per agent and budget, as it knows it */
	int64_t *settled; /* the same */
	int64_t period, now;
	int postmaster;
	uint64_t n_reports, n_grants;
};

static _Noreturn void
die(const char *what, const struct error *e)
{
	fprintf(stderr, "lease_bench: %s: %s\n", what, e ? e->text : "");
	exit(1);
}

static unsigned
setting(const char *name, unsigned def)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? (unsigned)strtoul(v, NULL, 10) : def;
}

static void
agent_id(unsigned a, char id[37])
{
	(void)snprintf(id, 37, "01890000-0000-7000-8000-%012x", a + 1);
}

/* ---- CPU of the server --------------------------------------------------
 */

/* utime + stime of a process in ticks, of its dead children too; its parent. */
static bool
stat_of(int pid, long *ticks, int *parent)
{
	char path[64], text[1024];
	unsigned long u, s;
	long cu, cs;
	const char *p;
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	p = strrchr(text, ')');
	if (p == NULL ||
	    sscanf(p + 1,
		" %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
		parent, &u, &s, &cu, &cs) != 5)
		return false;
	*ticks = (long)(u + s) + cu + cs;
	return true;
}

static double
server_seconds(const struct bench *b)
{
	DIR *d = opendir("/proc");
	struct dirent *ent;
	long sum = 0;

	while (d != NULL && (ent = readdir(d)) != NULL) {
		int pid = (int)strtol(ent->d_name, NULL, 10);
		int parent;
		long ticks;

		if (pid > 0 && stat_of(pid, &ticks, &parent) &&
		    (pid == b->postmaster || parent == b->postmaster))
			sum += ticks;
	}
	if (d != NULL)
		closedir(d);
	return (double)sum / (double)sysconf(_SC_CLK_TCK);
}

/* ---- the world ---------------------------------------------------------
 */

static void
bench_budgets(struct bench *b)
{
	char name[40];

	(void)lab_put(&b->l, 1, "acme", "{}");
	for (unsigned i = 0; i < b->n_budgets; i++) {
		(void)snprintf(name, sizeof(name), "acme.b%u", i);
		(void)lab_put(&b->l, 9, name,
		    "{\"scope\":\"acme\",\"limit_usd\":\"9000000\","
		    "\"period\":\"month\",\"time_zone\":\"Europe/Berlin\"}");
		b->uids[i] = lab_uid(&b->l, 9, name);
	}
}

/* All agents have leases already, which hold what their reports ask for; that
 * they got it by ten grants each is of no matter here. */
static void
bench_leases(struct bench *b)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
	    "SELECT hg_budget_period(uid, %lld) FROM config_item "
	    "WHERE kind = 9;"
	    "INSERT INTO lease (budget_uid, period_start, agent_id, boot_epoch,"
	    " granted, fence_at, r_in_use, report_at) SELECT p.budget_uid, "
	    "p.period_start, '01890000-0000-7000-8000-' || "
	    "lpad(to_hex(a), 12, '0'), 1, %lld, %lld, %lld, %lld "
	    "FROM budget_period p, generate_series(1, %u) a;"
	    "UPDATE budget_period SET free = free - %lld;"
	    "VACUUM ANALYZE lease; VACUUM ANALYZE budget_period; CHECKPOINT",
	    (long long)b->now, (long long)(b->spend * WORST),
	    (long long)(b->now + 900 * NS_PER_S), (long long)WORST,
	    (long long)b->now, b->n_agents,
	    (long long)(b->n_agents * b->spend * WORST));
	for (char *save, *s = strtok_r(text, ";", &save); s != NULL;
	     s = strtok_r(NULL, ";", &save))
		pgtest_sql(b->l.store, s);
	b->period = pgtest_number(
	    b->l.store, "SELECT min(period_start) FROM budget_period");
	for (size_t i = 0; i < (size_t)b->n_agents * b->n_budgets; i++)
		b->granted[i] = b->spend * WORST;
}

/* ---- traffic ----------------------------------------------------------- */

static void
report_of(struct bench *b, unsigned a, unsigned i, Hg__LeaseReport *r)
{
	size_t at = (size_t)a * b->n_budgets + i;

	hg__lease_report__init(r);
	r->budget_uid = b->uids[i];
	r->period_start = b->period;
	r->granted = b->granted[at];
	r->settled = b->settled[at];
	r->in_use = WORST;
	r->high_water = r->settled + r->in_use;
	r->w_p99 = WORST;
	/* What the grant fills up to is what SPEND heartbeats use. */
	r->rate_per_s = WORST * ((int64_t)b->spend - 2) / 10;
}

/* One heartbeat of one agent. every: reports on each n-th budget. */
static void
beat(struct bench *b, unsigned a, unsigned every)
{
	Hg__LeaseReport *v = arena_zalloc(&b->arena, b->n_budgets * sizeof(*v));
	Hg__LeaseReport **list =
	    arena_zalloc(&b->arena, b->n_budgets * sizeof(*list));
	struct exchange x = {
	    .boot_epoch = 1, .now = b->now, .cfg = &grant_default};
	struct error e;
	char id[37];
	size_t n = 0;

	agent_id(a, id);
	x.agent_id = str_of(id);
	for (unsigned i = 0; i < b->n_budgets; i++) {
		/* At different times in each lease. */
		if ((a + i) % every != 0)
			continue;
		b->settled[(size_t)a * b->n_budgets + i] += WORST;
		report_of(b, a, i, &v[n]);
		list[n] = &v[n];
		n++;
	}
	if (exchange_run(&x, b->db, list, n, &b->arena, &e) != 0)
		die("exchange", &e);
	if (x.n_grants != n)
		die("not every report is answered", NULL);
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < b->n_budgets; k++)
			if (b->uids[k] == x.grants[i]->budget_uid)
				b->granted[(size_t)a * b->n_budgets + k] =
				    x.grants[i]->granted;
	b->n_reports += n;
	b->n_grants += x.n_given;
	arena_clear(&b->arena);
}

/* CPU seconds of the server for a second's heartbeats. */
static double
traffic(struct bench *b, unsigned every)
{
	double from = server_seconds(b);

	for (unsigned k = 0; k < b->beats; k++)
		for (unsigned a = 0; a < b->n_agents; a++) {
			b->now += NS_PER_S / b->n_agents;
			beat(b, a, every);
		}
	return (server_seconds(b) - from) / b->beats;
}

static double
round_trips(struct bench *b)
{
	static const struct db_stmt st = {"SELECT 1"};
	double from = server_seconds(b);
	struct error e;

	for (unsigned i = 0; i < b->n_agents * b->beats; i++) {
		struct db_rows *r = NULL;

		if (db_query(b->db, &st, DB_ARGS(), &r, &e) != 0)
			die("a round trip", &e);
		db_rows_free(r);
	}
	return (server_seconds(b) - from) / b->beats;
}

static void
measure(struct bench *b, const char *name, unsigned every)
{
	double scale = (double)setting("FLEET", 1000) / b->n_agents;
	double cpu, bare;
	int64_t wrong = -1;
	struct error e;

	b->n_reports = b->n_grants = 0;
	cpu = 100 * scale * traffic(b, every);
	bare = 100 * scale * round_trips(b);
	if (store_lease_check(b->db, &wrong, &e) != 0 || wrong != 0)
		die("the books are wrong", &e);
	printf("{\"name\":\"lease_traffic_%s\",\"value\":%.3g,\"unit\":\"%% of "
	       "a core of PostgreSQL\",\"baseline_name\":\"as many empty round "
	       "trips\",\"baseline\":%.3g,\"ratio\":%.3g,\"goal\":5}\n",
	    name, cpu, bare, bare > 0 ? cpu / bare : 0);
	fflush(stdout);
	fprintf(stderr, "%s: %u agents, %llu reports and %llu grants\n", name,
	    b->n_agents, (unsigned long long)(b->n_reports / b->beats),
	    (unsigned long long)(b->n_grants / b->beats));
}

/* A test of one case: the helpers of the unit tests check by libcheck. */
START_TEST(bench_all)
{
	struct bench b = {.n_agents = setting("AGENTS", 20),
	    .n_budgets = setting("BUDGETS", 100),
	    .beats = setting("BEATS", 2),
	    .spend = setting("SPEND", 20)};
	size_t n = (size_t)b.n_agents * b.n_budgets;
	struct error e;
	long ticks;
	int self;

	b.uids = calloc(b.n_budgets, sizeof(*b.uids));
	b.granted = calloc(n, sizeof(*b.granted));
	b.settled = calloc(n, sizeof(*b.settled));
	if (b.uids == NULL || b.granted == NULL || b.settled == NULL)
		die("no memory", NULL);
	arena_init(&b.arena, 1 << 16, 64 << 20);
	lab_open_store(&b.l);
	b.now = clock_wall(clock_system());
	bench_budgets(&b);
	bench_leases(&b);
	if (store_take(b.l.store, &b.db, &e) != 0)
		die("store", &e);
	self = (int)pgtest_number(b.l.store, "SELECT pg_backend_pid()");
	if (!stat_of(self, &ticks, &b.postmaster))
		die("no server process", NULL);
	measure(&b, "steady", 1);
	measure(&b, "quiet", 10);
	store_give(b.db);
	arena_release(&b.arena);
	free(b.uids);
	free(b.granted);
	free(b.settled);
	lab_close(&b.l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bench/lease");
	TCase *tc = tcase_create("lease");

	tcase_set_timeout(tc, 1200);
	tcase_add_test(tc, bench_all);
	suite_add_tcase(s, tc);
	return pgtest_run(s);
}
