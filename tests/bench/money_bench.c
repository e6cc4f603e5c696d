/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What money costs a request in the agent, in CPU time:
 *
 *   admission  choice of the path, reservation and settlement on three
 *              budgets, by one worker and by two on the same budgets; beside
 *              a mutex around plain counters that does the same
 *   journal    intent and usage records, one write a loop turn, group commit
 *              by the journal's own thread, and shipping: read back, encoded,
 *              signed, acknowledged, deleted; beside one write(2) a request
 *              of as many bytes
 *
 * Prints JSON lines {name, value, unit, baseline_name, baseline, ratio, goal}.
 * Environment: REQUESTS (3000000 for admission, a tenth for the journal), TURN
 * (requests of a loop turn, 16), DIR for the journal. Argument: `admission` or
 * `journal` for one of them, e.g. to count its instructions.
 */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/journal/ship.h"
#include "agent/money/lease_table.h"
#include "common/rng.h"
#include "proto/envelope.h"

#define BUDGETS	    3
#define WORKERS_MAX 2
#define RESERVED    INT64_C(40000)
#define COST	    INT64_C(21000)

static unsigned long
setting(const char *name, unsigned long def)
{
	const char *v = getenv(name);

	return v != NULL && *v != '\0' ? strtoul(v, NULL, 10) : def;
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "money_bench: %s\n", what);
	exit(1);
}

static void
print(const char *name, double value, const char *baseline_name,
    double baseline, double goal)
{
	printf("{\"name\":\"%s\",\"value\":%.3g,\"unit\":\"us/request\","
	       "\"baseline_name\":\"%s\",\"baseline\":%.3g,\"ratio\":%.3g",
	    name, value, baseline_name, baseline, value / baseline);
	if (goal > 0)
		printf(",\"goal\":%g", goal);
	printf("}\n");
	fflush(stdout);
}

/* ---- admission -----------------------------------------------------------
 */

/* What leases do without leases: one lock, plain numbers. */
static struct {
	pthread_mutex_t lock;
	struct {
		int64_t left, in_use, settled;
	} v[BUDGETS];
} plain = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct worker {
	const struct b_key *key;
	const struct b_filter *what;
	unsigned long n;
	double us; /* CPU of each request */
	pthread_t thread;
};

static double
thread_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void *
run_leases(void *arg)
{
	struct worker *w = arg;
	double from = thread_us();

	for (unsigned long i = 0; i < w->n; i++) {
		struct budget_cell *path[BUNDLE_MAX_BUDGETS], *short_of;
		struct reservation r;
		unsigned n = lease_path(w->key, w->what, path);

		if (n != BUDGETS || lease_reserve_path(path, n, RESERVED, 2, &r,
					&short_of) != 0)
			die("not admitted");
		lease_settle(&r, COST);
	}
	w->us = (thread_us() - from) / (double)w->n;
	return NULL;
}

static bool
plain_reserve(int64_t amount)
{
	bool ok = true;

	pthread_mutex_lock(&plain.lock);
	for (unsigned i = 0; i < BUDGETS; i++)
		ok = ok && plain.v[i].left >= amount;
	for (unsigned i = 0; ok && i < BUDGETS; i++) {
		plain.v[i].left -= amount;
		plain.v[i].in_use += amount;
	}
	pthread_mutex_unlock(&plain.lock);
	return ok;
}

static void *
run_plain(void *arg)
{
	struct worker *w = arg;
	double from = thread_us();

	for (unsigned long i = 0; i < w->n; i++) {
		if (!plain_reserve(RESERVED))
			die("not admitted by the plain counters");
		pthread_mutex_lock(&plain.lock);
		for (unsigned k = 0; k < BUDGETS; k++) {
			plain.v[k].in_use -= RESERVED;
			plain.v[k].settled += COST;
			plain.v[k].left += RESERVED - COST;
		}
		pthread_mutex_unlock(&plain.lock);
	}
	w->us = (thread_us() - from) / (double)w->n;
	return NULL;
}

/* Mean CPU of a request over the workers. */
static double
run_workers(const struct b_key *key, const struct b_filter *what, unsigned n,
    unsigned long requests, void *(*fn)(void *))
{
	struct worker w[WORKERS_MAX];
	double sum = 0;

	for (unsigned i = 0; i < n; i++) {
		w[i] = (struct worker){
		    .key = key, .what = what, .n = requests / n};
		if (pthread_create(&w[i].thread, NULL, fn, &w[i]) != 0)
			die("no thread");
	}
	for (unsigned i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		sum += w[i].us;
	}
	return sum / n;
}

/* A budget with more rights than all requests need. */
static struct budget_cell *
cell_ready(struct lease_table *t, uint64_t uid)
{
	struct budget_cell *c = lease_table_cell(t, uid, STR("acme.b"));
	Hg__LeaseGrant g = HG__LEASE_GRANT__INIT, *p = &g;

	if (c == NULL)
		die("no memory");
	g.budget_uid = uid;
	g.period_start = 1000;
	g.period_end = INT64_MAX;
	g.granted = INT64_MAX / 4;
	g.fence_ms = g.valid_ms = 86400000;
	g.recall_to = -1;
	g.limit = g.granted;
	(void)lease_table_reply(t, 1, 1, &p, 1);
	return c;
}

static double
median(double *v)
{
	for (int i = 0; i < 3; i++)
		for (int k = i + 1; k < 3; k++)
			if (v[k] < v[i]) {
				double x = v[i];

				v[i] = v[k];
				v[k] = x;
			}
	return v[1];
}

static void
bench_admission(void)
{
	unsigned long requests = setting("REQUESTS", 3000000);
	struct lease_table *t = lease_table_new(NULL);
	struct b_filter filters[BUDGETS] = {
	    {0}, {.model_uid = 5}, {.route_uid = 3, .model_uid = 5}};
	struct b_filter what = {
	    .route_uid = 3, .provider_uid = 4, .model_uid = 5};
	struct budget_setting set[BUDGETS];
	struct b_key key = {.n_budgets = BUDGETS, .filters = filters};

	if (t == NULL)
		die("no memory");
	for (unsigned i = 0; i < BUDGETS; i++) {
		set[i] = (struct budget_setting){.filter = filters[i],
		    .limit = INT64_MAX / 4,
		    .cell = lease_table_cell(t, i + 1, STR("acme.b"))};
		plain.v[i].left = INT64_MAX / 4;
	}
	lease_table_publish(t, set, BUDGETS);
	for (unsigned i = 0; i < BUDGETS; i++)
		key.budgets[i] = cell_ready(t, i + 1);
	for (unsigned n = 1; n <= WORKERS_MAX; n++) {
		double leases[3], locked[3];
		char name[64];

		for (int round = 0; round < 3; round++) {
			leases[round] =
			    run_workers(&key, &what, n, requests, run_leases);
			locked[round] =
			    run_workers(&key, &what, n, requests, run_plain);
		}
		(void)snprintf(name, sizeof(name),
		    "admission_3_budgets_%u_worker%s", n, n > 1 ? "s" : "");
		print(name, median(leases), "a mutex and plain counters",
		    median(locked), 1.0);
	}
	for (unsigned i = 0; i < BUDGETS; i++)
		if (!lease_balanced(atomic_load(&key.budgets[i]->current)))
			die("the leases do not balance");
	lease_table_free(t);
}

/* ---- journal -------------------------------------------------------------
 */

struct sink {
	uint8_t secret[SIGN_SECRET_LEN];
	struct buf out;
	uint64_t records, bytes, seq;
};

/* The control plane's side: all is packed and signed as for the channel. */
static int
sink_send(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack)
{
	struct sink *s = ctx;
	struct envelope env = {.version = ENVELOPE_VERSION,
	    .type = HG__MESSAGE_TYPE__MSG_USAGE,
	    .boot_epoch = b->boot_epoch,
	    .seq = ++s->seq,
	    .sender = STR("01890000-0000-7000-8000-00000000000a")};

	buf_clear(&s->out);
	if (envelope_pack_message(&env, &b->base, s->secret, &s->out) != 0)
		die("cannot pack a batch");
	s->records += b->n_records;
	s->bytes += s->out.len;
	ack->boot_epoch = b->boot_epoch;
	ack->shard = b->shard;
	ack->watermark =
	    b->n_records > 0 ? b->records[b->n_records - 1]->seq : 0;
	return 0;
}

static void
usage_of(struct journal_usage *u, unsigned long n)
{
	struct journal_intent *i = &u->head;

	memset(u, 0, sizeof(*u));
	memcpy(i->request_id, &n, sizeof(n));
	i->attempt = 1;
	i->started_at = 1700000000 * NS_PER_S + (int64_t)n * 1000;
	i->tenant_uid = 11, i->team_uid = 12, i->project_uid = 13;
	i->key_uid = 14, i->route_uid = 15, i->deployment_uid = 16;
	i->provider_uid = 17, i->model_uid = 18;
	i->config_version = i->price_version = 190;
	i->reserved = RESERVED;
	i->worst.n[TC_INPUT] = 300;
	i->worst.n[TC_OUTPUT] = 400;
	i->n_charges = BUDGETS;
	for (unsigned c = 0; c < BUDGETS; c++)
		i->charges[c] = (struct journal_charge){
		    c + 70, INT64_C(1735689600) * NS_PER_S};
	u->tokens.n[TC_INPUT] = 210;
	u->tokens.n[TC_OUTPUT] = 40 + (int64_t)(n % 300);
	u->cost = COST;
	u->source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
	u->http_status = 200;
	u->duration_us = 820000;
	u->first_byte_us = 310000;
	(void)snprintf(u->finish_reason, sizeof(u->finish_reason), "stop");
	(void)snprintf(u->upstream_request_id, sizeof(u->upstream_request_id),
	    "chatcmpl-%016lx", n);
}

static double
process_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return ((double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec) * 1e6 +
	       (double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec;
}

static int
on_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* Turns of a worker: the intents of `turn` new requests and the usage of those
 * of the turn before go out in one write. */
static void
journal_turns(struct journal *j, unsigned long requests, unsigned turn)
{
	struct journal_shard *s = &j->shards[0];
	struct journal_usage u;

	for (unsigned long at = 0; at <= requests; at += turn) {
		for (unsigned k = 0; at > 0 && k < turn; k++) {
			usage_of(&u, at - turn + k);
			journal_usage(s, &u);
		}
		for (unsigned k = 0; at < requests && k < turn; k++) {
			usage_of(&u, at + k);
			if (journal_intent(s, &u.head) != 0)
				die("no intent");
		}
		if (journal_flush(s) != 0)
			die("the journal cannot be written");
	}
}

struct journal_cost {
	double keep, ship; /* us */
};

/* CPU of a request of the whole process, its journal thread included. What
 * making the records' fields costs is measured apart and taken off. */
static struct journal_cost
journal_run(const char *dir, unsigned long requests, unsigned turn)
{
	struct journal_options opt = {.dir = dir,
	    .epoch = 1,
	    .n_shards = 1,
	    .segment_size = (int64_t)64 << 20,
	    .reserve = 1 << 20,
	    .group_commit_ms = 5,
	    .io = io_system(),
	    .clock = clock_system()};
	struct sink sink = {.seq = 0};
	struct ship_link link = {sink_send, &sink};
	struct journal_replay found;
	struct rng_seeded rng;
	struct journal *j = NULL;
	struct shipper *s = NULL;
	struct journal_usage u;
	struct error e;
	uint8_t pk[SIGN_PUBLIC_LEN];
	struct journal_cost c;
	double from, own;

	rng_seeded_init(&rng, 1);
	sign_keypair(pk, sink.secret);
	buf_init(&sink.out, ENVELOPE_MAX);
	if (mkdir(dir, 0700) != 0 || journal_open(&opt, &j, &found, &e) != 0 ||
	    shipper_new(j, &link, &rng.rng, &s, &e) != 0 ||
	    journal_start(j, &e) != 0)
		die("no journal");
	own = process_us();
	for (unsigned long i = 0; i < requests; i++) {
		usage_of(&u, i);
		__asm__ volatile("" : : "r"(&u) : "memory");
	}
	own = process_us() - own;
	from = process_us();
	journal_turns(j, requests, turn);
	journal_stop(j); /* after a last round */
	c.keep = (process_us() - from - 2 * own) / (double)requests;
	from = process_us();
	while (!shipper_done(s))
		(void)shipper_turn(s);
	c.ship = (process_us() - from) / (double)requests;
	if (sink.records != requests)
		die("records are missing");
	shipper_free(s);
	journal_close(j);
	buf_release(&sink.out);
	return c;
}

/* One write(2) a request of as many bytes, and one fsync at the end. */
static double
write_run(const char *path, unsigned long requests)
{
	struct journal_usage u;
	uint8_t bytes[RECORD_INTENT_MAX + RECORD_USAGE_MAX];
	double from;
	size_t len;
	int fd;

	usage_of(&u, 1);
	len = record_encode_intent(bytes, &u.head);
	len += record_encode_usage(bytes + len, &u, 1);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0)
		die("no file");
	from = process_us();
	for (unsigned long i = 0; i < requests; i++)
		if (write(fd, bytes, len) != (ssize_t)len)
			die("cannot write");
	(void)fsync(fd);
	close(fd);
	return (process_us() - from) / (double)requests;
}

static void
bench_journal(void)
{
	unsigned long requests = setting("REQUESTS", 3000000) / 10;
	unsigned turn = (unsigned)setting("TURN", 16);
	const char *given = getenv("DIR"), *tmp = getenv("TMPDIR");
	const char *plain_write = "one write(2) of as many bytes";
	struct journal_cost c;
	char dir[256], name[300];
	double keep[3], ship[3], both[3], plainly[3], base;

	(void)snprintf(dir, sizeof(dir), "%s/money-bench.XXXXXX",
	    given ? given
	    : tmp ? tmp
		  : "/tmp");
	if (mkdtemp(dir) == NULL)
		die("no folder");
	requests -= requests % turn;
	for (int round = 0; round < 3; round++) {
		(void)snprintf(name, sizeof(name), "%s/j%d", dir, round);
		c = journal_run(name, requests, turn);
		keep[round] = c.keep;
		ship[round] = c.ship;
		both[round] = c.keep + c.ship;
		(void)snprintf(name, sizeof(name), "%s/w%d", dir, round);
		plainly[round] = write_run(name, requests);
		(void)unlink(name);
	}
	base = median(plainly);
	print("journal_records", median(keep), plain_write, base, 1.5);
	print("journal_shipping", median(ship), plain_write, base, 0);
	print("journal_and_shipping", median(both), plain_write, base, 1.5);
	nftw(dir, on_remove, 16, FTW_DEPTH | FTW_PHYS);
}

int
main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";

	if (strcmp(only, "journal") != 0)
		bench_admission();
	if (strcmp(only, "admission") != 0)
		bench_journal();
	return 0;
}
