/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lease traffic costs PostgreSQL: AGENTS agents spend from the same
 * BUDGETS budgets each second. What is reported when is decided by the agent's
 * own lease table, on a virtual clock; each report goes through the control
 * plane's exchange to a real PostgreSQL, whose answer goes back to the table.
 * After WARM virtual seconds (starting is dear: a grant each few seconds until
 * rates are known) the CPU time of all server processes for SPAN more,
 * autovacuum and a checkpoint at the end included, is shown as a share of one
 * core; beside it as many empty round trips as there were exchanges. Prints one
 * JSON line {name, value, unit, baseline_name, baseline, ratio, goal} for
 * each.
 *
 * Cost is linear in agents (test_plenty of test_grant: nobody counts the others
 * where plenty is free), so AGENTS of them are measured and the figure is for
 * FLEET; the tables hold the leases of FLEET agents all the same. The server
 * runs without fsync, which costs no CPU time to speak of at a few commits a
 * second.
 *
 * Environment: FLEET (1000), AGENTS (50), BUDGETS (100), WARM (200), SPAN
 * (600), LIMIT of each budget in USD (9000000; below some 8000 free agents are
 * counted).
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/money/lease_table.h"
#include "common/clock.h"
#include "controlplane/money/exchange.h"
#include "controlplane/store/store_lease.h"
#include "tests/unit/controlplane/support/fleetlab.h"

#define WORST INT64_C(40000000) /* of a request, nano-USD */
#define COST  INT64_C(15000000) /* and what it costs */

struct bench_agent {
	struct lease_table *leases;
	struct budget_cell **cells;
	char id[37];
};

struct bench {
	struct lab l;
	struct db *db;
	struct arena arena;
	unsigned n_agents, n_budgets, fleet;
	uint64_t *uids; /* of the budgets */
	struct bench_agent *agents;
	int64_t wall0, mono; /* virtual */
	int postmaster;
	uint64_t n_exchanges, n_reports, n_grants, n_short;
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
	char name[40], spec[200];

	(void)lab_put(&b->l, 1, "acme", "{}");
	for (unsigned i = 0; i < b->n_budgets; i++) {
		(void)snprintf(name, sizeof(name), "acme.b%u", i);
		(void)snprintf(spec, sizeof(spec),
		    "{\"scope\":\"acme\",\"limit_usd\":\"%u\","
		    "\"period\":\"year\",\"time_zone\":\"Europe/Berlin\"}",
		    setting("LIMIT", 9000000));
		(void)lab_put(&b->l, 9, name, spec);
		b->uids[i] = lab_uid(&b->l, 9, name);
	}
}

/* The agents of the fleet that are not measured have leases, too. */
static void
bench_leases(struct bench *b)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
	    "SELECT count(p) FROM config_item, "
	    "LATERAL hg_budget_period(uid, %lld) p WHERE kind = 9;"
	    "INSERT INTO agent (id, hostname, agent_group, region, public_key, "
	    "join_token, boot_epoch) SELECT '01890000-0000-7000-8000-' || "
	    "lpad(to_hex(a), 12, '0'), '', 'g', 'r', "
	    "decode(lpad(to_hex(a), 64, '0'), 'hex'), 'j', 1 "
	    "FROM generate_series(1, %u) a;"
	    "INSERT INTO lease (budget_uid, period_start, agent_id, boot_epoch,"
	    " granted, fence_at, quiet_until, report_at) SELECT p.budget_uid, "
	    "p.period_start, '01890000-0000-7000-8000-' || "
	    "lpad(to_hex(a), 12, '0'), 1, %lld, %lld, %lld, %lld "
	    "FROM budget_period p, generate_series(%u, %u) a;"
	    "UPDATE budget_period SET free = free - %lld;"
	    "VACUUM ANALYZE lease; VACUUM ANALYZE budget_period; "
	    "VACUUM ANALYZE agent; CHECKPOINT",
	    (long long)b->wall0, b->fleet, (long long)(150 * COST),
	    (long long)(b->wall0 + 86400 * NS_PER_S),
	    (long long)(b->wall0 + 86400 * NS_PER_S), (long long)b->wall0,
	    b->n_agents + 1, b->fleet,
	    (long long)((b->fleet - b->n_agents) * 150 * COST));
	for (char *save, *s = strtok_r(text, ";", &save); s != NULL;
	     s = strtok_r(NULL, ";", &save))
		pgtest_sql(b->l.store, s);
}

static void
bench_agents(struct bench *b)
{
	struct budget_setting *v = calloc(b->n_budgets, sizeof(*v));

	b->agents = calloc(b->n_agents, sizeof(*b->agents));
	if (v == NULL || b->agents == NULL)
		die("no memory", NULL);
	for (unsigned a = 0; a < b->n_agents; a++) {
		struct bench_agent *x = &b->agents[a];

		(void)snprintf(x->id, sizeof(x->id),
		    "01890000-0000-7000-8000-%012x", a + 1);
		x->leases = lease_table_new(NULL);
		x->cells = calloc(b->n_budgets, sizeof(*x->cells));
		if (x->leases == NULL || x->cells == NULL)
			die("no memory", NULL);
		for (unsigned i = 0; i < b->n_budgets; i++) {
			x->cells[i] = lease_table_cell(
			    x->leases, b->uids[i], STR("acme.b"));
			v[i] = (struct budget_setting){.cell = x->cells[i],
			    .limit = INT64_C(9000000) * 1000000000};
		}
		lease_table_publish(x->leases, v, b->n_budgets);
	}
	free(v);
}

/* ---- traffic ----------------------------------------------------------- */

/* A heartbeat, or what comes between two. */
static void
beat(struct bench *b, struct bench_agent *a, bool urgent)
{
	struct grant_config cfg = grant_default;
	struct exchange x = {.agent_id = str_of(a->id),
	    .boot_epoch = 1,
	    .now = b->wall0 + b->mono,
	    .lease_only = urgent,
	    .cfg = &cfg};
	Hg__LeaseReport **r;
	struct error e;
	size_t n;

	cfg.agents_most = grant_agents_most(b->fleet);
	if (lease_table_report(a->leases, b->mono, urgent, &b->arena, &r, &n) !=
	    0)
		die("no memory for reports", NULL);
	if (n > 0) {
		if (exchange_run(&x, b->db, r, n, &b->arena, &e) != 0)
			die("exchange", &e);
		b->n_exchanges++;
		b->n_reports += n;
		b->n_grants += x.n_given;
	}
	(void)lease_table_reply(
	    a->leases, b->mono, b->mono, x.grants, x.n_grants);
	arena_clear(&b->arena);
}

/* A request on each budget; rights that are missing are waited for as a worker
 * does. */
static void
spend(struct bench *b, struct bench_agent *a)
{
	for (unsigned i = 0; i < b->n_budgets; i++) {
		struct budget_cell *short_of;
		struct reservation r;
		unsigned tries = 0;

		while (lease_reserve_path(&a->cells[i], 1, WORST, b->mono, &r,
			   &short_of) != 0) {
			if (tries++ == 3)
				break; /* refused */
			(void)lease_wait(short_of, WORST);
			beat(b, a, true);
			lease_wait_done(short_of, WORST);
		}
		b->n_short += tries > 3;
		if (tries <= 3)
			lease_settle(&r, COST);
	}
}

static void
traffic(struct bench *b, unsigned seconds)
{
	for (unsigned k = 0; k < seconds; k++)
		for (unsigned a = 0; a < b->n_agents; a++) {
			b->mono += NS_PER_S / b->n_agents;
			spend(b, &b->agents[a]);
			if (lease_table_urgent(b->agents[a].leases))
				beat(b, &b->agents[a], true);
			beat(b, &b->agents[a], false);
		}
}

static double
round_trips(struct bench *b, uint64_t n)
{
	static const struct db_stmt st = {"SELECT 1"};
	double from = server_seconds(b);
	struct error e;

	for (uint64_t i = 0; i < n; i++) {
		struct db_rows *r = NULL;

		if (db_query(b->db, &st, DB_ARGS(), &r, &e) != 0)
			die("a round trip", &e);
		db_rows_free(r);
	}
	return server_seconds(b) - from;
}

static void
measure(
    struct bench *b, const char *name, unsigned span, double scale, bool goal)
{
	int64_t wrong = -1;
	double from, cpu, bare;
	struct error e;

	b->n_exchanges = b->n_reports = b->n_grants = b->n_short = 0;
	from = server_seconds(b);
	traffic(b, span);
	pgtest_sql(b->l.store, "CHECKPOINT");
	cpu = 100 * scale * (server_seconds(b) - from) / span;
	/* too few to be seen by themselves */
	bare = scale * round_trips(b, 100 * b->n_exchanges) / span;
	if (store_lease_check(b->db, &wrong, &e) != 0 || wrong != 0)
		die("the books are wrong", &e);
	if (goal && b->n_short > 0)
		die("requests were refused where plenty is free", NULL);
	printf("{\"name\":\"%s\",\"value\":%.3g,\"unit\":\"%% of a core of "
	       "PostgreSQL\",\"baseline_name\":\"as many empty round trips\","
	       "\"baseline\":%.3g,\"ratio\":%.3g%s}\n",
	    name, cpu, bare, bare > 0 ? cpu / bare : 0,
	    goal ? ",\"goal\":5" : "");
	fflush(stdout);
	fprintf(stderr,
	    "%s: %u agents, %u s: %llu exchanges, %llu reports, %llu grants, "
	    "%llu refused\n",
	    name, b->n_agents, span, (unsigned long long)b->n_exchanges,
	    (unsigned long long)b->n_reports, (unsigned long long)b->n_grants,
	    (unsigned long long)b->n_short);
}

/* A test of one case: the helpers of the unit tests check by libcheck. */
START_TEST(bench_all)
{
	struct bench b = {.n_agents = setting("AGENTS", 50),
	    .n_budgets = setting("BUDGETS", 100),
	    .fleet = setting("FLEET", 1000)};
	struct error e;
	long ticks;
	int self;

	b.uids = calloc(b.n_budgets, sizeof(*b.uids));
	if (b.uids == NULL || b.fleet < b.n_agents || b.n_agents == 0)
		die("no memory, or more agents than the fleet has", NULL);
	arena_init(&b.arena, 1 << 16, 64 << 20);
	lab_open_store(&b.l);
	b.wall0 = clock_wall(clock_system());
	b.mono = NS_PER_S;
	bench_budgets(&b);
	bench_leases(&b);
	bench_agents(&b);
	if (store_take(b.l.store, &b.db, &e) != 0)
		die("store", &e);
	self = (int)pgtest_number(b.l.store, "SELECT pg_backend_pid()");
	if (!stat_of(self, &ticks, &b.postmaster))
		die("no server process", NULL);
	traffic(&b, setting("WARM", 200));
	measure(&b, "lease_traffic", setting("SPAN", 600),
	    (double)b.fleet / b.n_agents, true);
	store_give(b.db);
	for (unsigned a = 0; a < b.n_agents; a++) {
		lease_table_free(b.agents[a].leases);
		free(b.agents[a].cells);
	}
	free(b.agents);
	arena_release(&b.arena);
	free(b.uids);
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
