/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast usage gets into PostgreSQL: records a second through the ingest
 * (rows, ledger, hourly and daily sums, budget, watermark, durable commits)
 * beside a plain COPY of the very same rows into a table without indexes, in
 * the same run, with as many connections. Then the chargeback of a month.
 * Prints JSON lines {name, value, unit, baseline_name, baseline, ratio}.
 *
 * Keys are used by Zipf's law, each with one model mostly; UNIFORM=1 spreads
 * records over all keys x models, which makes nearly each one a sum of its
 * own: the worst case.
 *
 * Environment: SHARDS (2), BATCHES per shard (60), RECORDS per batch (2500),
 * KEYS (1000), REPORT_KEYS (5000), DIR for the cluster.
 */
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/io.h"
#include "controlplane/store/embedded.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/store_usage.h"
#include "tests/unit/controlplane/support/usagegen.h"

#define BENCH_MAX_SHARDS 16

struct shard {
	struct store *s;
	unsigned index;
	Hg__UsageBatch **batches;
	size_t n;
	struct buf copy; /* the rows as binary COPY */
	pthread_t thread;
};

static struct usagegen gen;
static int64_t wall;

static _Noreturn void
die(const char *what, const struct error *e)
{
	fprintf(stderr, "ingest_bench: %s: %s\n", what, e->text);
	exit(1);
}

static unsigned
setting(const char *name, unsigned def)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? (unsigned)strtoul(v, NULL, 10) : def;
}

static void *
run_ingest(void *arg)
{
	struct shard *sh = arg;
	struct usage_result r;
	struct error e;

	for (size_t i = 0; i < sh->n; i++) {
		const Hg__UsageBatch *b = sh->batches[i];

		if (store_usage_ingest(sh->s,
			STR("01890000-0000-7000-8000-00000000000a"), b, wall,
			&r, &e) != 0)
			die("ingest", &e);
		if (r.accepted != b->n_records) {
			fprintf(stderr, "ingest_bench: %llu of %zu booked\n",
			    (unsigned long long)r.accepted, b->n_records);
			exit(1);
		}
	}
	return NULL;
}

static void *
run_copy(void *arg)
{
	struct shard *sh = arg;
	struct db *db = NULL;
	struct error e;

	if (store_take(sh->s, &db, &e) != 0 ||
	    db_copy_begin(db, "COPY plain FROM STDIN (FORMAT binary)", &e) !=
		0 ||
	    db_copy_data(db, sh->copy.data, sh->copy.len, &e) != 0 ||
	    db_copy_end(db, true, NULL, &e) != 0)
		die("copy", &e);
	store_give(db);
	return NULL;
}

/* Seconds until all shards are through. */
static double
run_all(struct shard *sh, unsigned n, void *(*fn)(void *arg))
{
	int64_t from = clock_mono(clock_system());

	for (unsigned i = 0; i < n; i++)
		pthread_create(&sh[i].thread, NULL, fn, &sh[i]);
	for (unsigned i = 0; i < n; i++)
		pthread_join(sh[i].thread, NULL);
	return (double)(clock_mono(clock_system()) - from) / 1e9;
}

static void
sql(struct store *s, const char *text)
{
	struct db *db = NULL;
	struct error e;

	if (store_take(s, &db, &e) != 0 ||
	    db_script(db, "SET statement_timeout = 0", &e) != 0 ||
	    db_script(db, text, &e) != 0)
		die(text, &e);
	store_give(db);
}

static void
make_batches(struct shard *sh, struct store *s, unsigned index)
{
	size_t per = setting("RECORDS", 2500);

	sh->s = s;
	sh->index = index;
	sh->n = setting("BATCHES", 60);
	sh->batches = calloc(sh->n, sizeof(*sh->batches));
	for (size_t i = 0; i < sh->n; i++)
		sh->batches[i] = usagegen_batch(
		    &gen, 1, index, 1 + i * per, per, wall - 3600 * NS_PER_S);
}

/* The booked rows of a shard as the server's own binary COPY. */
static void
fetch_copy(struct shard *sh, const char *dir)
{
	char path[512], text[1024];
	struct error e;

	snprintf(path, sizeof(path), "%s/data/shard%u", dir, sh->index);
	snprintf(text, sizeof(text),
	    "COPY (SELECT * FROM usage WHERE shard = %u ORDER BY seq) "
	    "TO '%s' (FORMAT binary)",
	    sh->index, path);
	sql(sh->s, text);
	buf_init(&sh->copy, (size_t)4 << 30);
	if (io_read_file(io_system(), path, &sh->copy, &e) != 0)
		die(path, &e);
	unlink(path);
}

static void
bench_ingest(struct store *s, const char *dir)
{
	struct shard sh[BENCH_MAX_SHARDS] = {0};
	unsigned n = setting("SHARDS", 2);
	double t_ingest, t_copy, rows;
	struct usage_check c;
	struct db *db = NULL;
	struct error e;

	if (n > BENCH_MAX_SHARDS)
		n = BENCH_MAX_SHARDS;
	for (unsigned i = 0; i < n; i++)
		make_batches(&sh[i], s, i);
	rows = (double)n * (double)sh[0].n * setting("RECORDS", 2500);
	sql(s, "CHECKPOINT");
	t_ingest = run_all(sh, n, run_ingest);
	if (store_take(s, &db, &e) != 0 || store_usage_check(db, &c, &e) != 0)
		die("check", &e);
	store_give(db);
	if ((double)c.usage_rows != rows || c.tenants_wrong != 0) {
		fprintf(stderr, "ingest_bench: the books are wrong\n");
		exit(1);
	}
	sql(s, "CREATE TABLE plain (LIKE usage)");
	for (unsigned i = 0; i < n; i++)
		fetch_copy(&sh[i], dir);
	sql(s, "CHECKPOINT");
	t_copy = run_all(sh, n, run_copy);
	printf("{\"name\":\"usage_ingest\",\"value\":%.0f,"
	       "\"unit\":\"records/s\",\"baseline_name\":\"plain COPY\","
	       "\"baseline\":%.0f,\"ratio\":%.3f,\"goal\":50000}\n",
	    rows / t_ingest, rows / t_copy, t_copy / t_ingest);
	fprintf(stderr,
	    "%.0f records, %u connections, batches of %u: %.2f s; "
	    "COPY %.2f s; %lld ledger rows\n",
	    rows, n, setting("RECORDS", 2500), t_ingest, t_copy,
	    (long long)c.ledger_rows);
	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < sh[i].n; k++)
			usagegen_free(sh[i].batches[k]);
		free(sh[i].batches);
		buf_release(&sh[i].copy);
	}
}

static int
on_row(void *ctx, const struct report_row *r)
{
	int64_t *sums = ctx;

	sums[0]++;
	sums[1] += r->requests;
	return 0;
}

/* A month of 100 million records: 30 days x keys x 4 models of daily sums. */
static void
bench_report(struct store *s)
{
	const unsigned keys = setting("REPORT_KEYS", 5000);
	struct report_query q = {.group_by = REPORT_TENANT | REPORT_TEAM |
					     REPORT_PROJECT | REPORT_KEY |
					     REPORT_MODEL};
	int64_t sums[2] = {0}, from;
	struct db *db = NULL;
	struct error e;
	char text[1024];

	/* 2026-01 */
	q.from = INT64_C(1767225600) * NS_PER_S;
	q.to = q.from + INT64_C(31) * 86400 * NS_PER_S;
	snprintf(text, sizeof(text),
	    "INSERT INTO usage_daily SELECT timestamptz '2026-01-01 00:00+00' "
	    "+ d * interval '1 day', k %% 50 + 1, k %% 50 + 1, k %% 500 + 1, "
	    "k + 1, m, m, m, %u, 12345678, 1000, 200, 0, 0, 300, 0, 0, 0, 0, "
	    "0 FROM generate_series(0, 30) d, generate_series(1, %u) k, "
	    "generate_series(1, 4) m; ANALYZE usage_daily",
	    100000000 / 31 / 4 / (keys ? keys : 1), keys);
	sql(s, text);
	if (store_take(s, &db, &e) != 0)
		die("take", &e);
	from = clock_mono(clock_system());
	if (store_usage_report(db, &q, on_row, sums, &e) != 0)
		die("report", &e);
	from = clock_mono(clock_system()) - from;
	store_give(db);
	printf("{\"name\":\"chargeback_month_100M\",\"value\":%.0f,"
	       "\"unit\":\"ms\",\"baseline_name\":\"goal\","
	       "\"baseline\":2000,\"ratio\":%.3f,\"goal\":2000}\n",
	    (double)from / 1e6, (double)from / 2e9);
	fprintf(stderr, "report: %lld rows, %lld requests\n",
	    (long long)sums[0], (long long)sums[1]);
}

static int
on_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int
main(void)
{
	const char *tmp = getenv("TMPDIR"), *given = getenv("DIR");
	struct embedded_options o = {0};
	struct store_options so = {.max_conns = BENCH_MAX_SHARDS + 2};
	struct embedded *em = NULL;
	struct store *s = NULL;
	char dir[256];
	struct error e;
	int applied;

	snprintf(dir, sizeof(dir), "%s/ingest-bench.XXXXXX",
	    given ? given
	    : tmp ? tmp
		  : "/tmp");
	if (mkdtemp(dir) == NULL) {
		perror("ingest_bench: mkdtemp");
		return 1;
	}
	o.dir = dir;
	if (embedded_start(&o, &em, &e) != 0)
		die("start", &e);
	so.conninfo = embedded_conninfo(em);
	if (store_open(&so, &s, &e) != 0 ||
	    migrate_run(
		s, schema_migrations, n_schema_migrations, &applied, &e) != 0)
		die("open", &e);
	wall = clock_wall(clock_system());
	usagegen_world(&gen, s, 20, setting("KEYS", 1000), 8, true);
	gen.zipf = setting("UNIFORM", 0) == 0;
	if (store_usage_maintain(s, wall, &e) != 0)
		die("partitions", &e);
	bench_ingest(s, dir);
	bench_report(s);
	store_close(s);
	embedded_stop(em, 0);
	nftw(dir, on_remove, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
