/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage ingest on a real PostgreSQL: exactly once under repeated, reordered
 * and gapped batches and while the server is killed; rows, ledger and sums
 * agree; corrections; reports.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/rng.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/store_usage.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/controlplane/support/usagegen.h"
#include "tests/unit/support/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

#define AGENT_TEXT "01890000-0000-7000-8000-00000000000a"
#define AGENT	   STR(AGENT_TEXT)

/* 2026-03-15 10:00:00 UTC, a quarter to midnight for edges */
#define T0  INT64_C(1773568800000000000)
#define NOW (T0 + 3600 * NS_PER_S)

static struct usagegen gen;

/* Ingest seq first..first+n-1 of a shard; returns the result. */
static struct usage_result
ship(struct store *s, uint64_t epoch, uint32_t shard, uint64_t first, size_t n,
    bool last)
{
	Hg__UsageBatch *b = usagegen_batch(&gen, epoch, shard, first, n, T0);
	struct usage_result r;
	struct error e;

	b->last = last;
	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	usagegen_free(b);
	return r;
}

/* Everything booked once, and all sums equal. Returns the cost. */
static int64_t
check_books(struct store *s, int64_t rows)
{
	struct usage_check c;
	struct db *db = NULL;
	struct error e;

	OK(store_take(s, &db, &e));
	OK(store_usage_check(db, &c, &e));
	store_give(db);
	if (rows >= 0)
		ck_assert_int_eq(c.usage_rows, rows);
	ck_assert_int_eq(c.tenants_wrong, 0);
	ck_assert_int_eq(c.duplicates, 0);
	ck_assert_int_eq(c.usage_cost, c.ledger_debit);
	ck_assert_int_eq(c.usage_cost, c.ledger_credit);
	ck_assert_int_eq(c.usage_cost, c.hourly_cost);
	ck_assert_int_eq(c.usage_cost, c.daily_cost);
	return c.usage_cost;
}

static int64_t
batch_cost(uint64_t epoch, uint32_t shard, uint64_t first, size_t n)
{
	Hg__UsageBatch *b = usagegen_batch(&gen, epoch, shard, first, n, T0);
	int64_t cost = 0;

	for (size_t i = 0; i < n; i++)
		cost += b->records[i]->cost;
	usagegen_free(b);
	return cost;
}

START_TEST(test_once)
{
	struct store *s = pgtest_open();
	struct usage_result r;

	usagegen_world(&gen, s, 3, 20, 4, false);
	r = ship(s, 1, 0, 1, 100, false);
	ck_assert_uint_eq(r.watermark, 100);
	ck_assert_uint_eq(r.accepted, 100);
	ck_assert_int_eq(r.cost, batch_cost(1, 0, 1, 100));
	/* repeated as a whole and in part */
	r = ship(s, 1, 0, 1, 100, false);
	ck_assert_uint_eq(r.watermark, 100);
	ck_assert_uint_eq(r.accepted, 0);
	ck_assert_uint_eq(r.repeated, 100);
	r = ship(s, 1, 0, 51, 100, false);
	ck_assert_uint_eq(r.watermark, 150);
	ck_assert_uint_eq(r.accepted, 50);
	ck_assert_uint_eq(r.repeated, 50);
	/* a gap is never acked past */
	r = ship(s, 1, 0, 152, 10, true);
	ck_assert(r.gap);
	ck_assert_uint_eq(r.watermark, 150);
	ck_assert_uint_eq(r.accepted, 0);
	/* an old batch that comes late */
	r = ship(s, 1, 0, 20, 30, false);
	ck_assert_uint_eq(r.watermark, 150);
	/* other shards and epochs count for themselves */
	r = ship(s, 1, 1, 1, 10, false);
	ck_assert_uint_eq(r.watermark, 10);
	r = ship(s, 2, 0, 1, 10, false);
	ck_assert_uint_eq(r.watermark, 10);
	/* what was missing */
	r = ship(s, 1, 0, 151, 11, true);
	ck_assert_uint_eq(r.watermark, 161);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM usage_watermark "
			     "WHERE closed AND seq = 161"),
	    1);
	ck_assert_int_eq(check_books(s, 181), batch_cost(1, 0, 1, 161) +
						  batch_cost(1, 1, 1, 10) +
						  batch_cost(2, 0, 1, 10));
	/* an empty last batch closes */
	r = ship(s, 1, 1, 11, 0, true);
	ck_assert_uint_eq(r.watermark, 10);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM usage_watermark "
			     "WHERE closed"),
	    2);
	pgtest_close(s);
}
END_TEST

START_TEST(test_hole_inside)
{
	struct store *s = pgtest_open();
	Hg__UsageBatch *b;
	struct usage_result r;
	struct error e;

	usagegen_world(&gen, s, 1, 2, 1, false);
	b = usagegen_batch(&gen, 1, 0, 1, 10, T0);
	b->records[6]->seq = 9; /* 1..6, 9, 8, 9, 10 */
	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	ck_assert_uint_eq(r.watermark, 6);
	ck_assert(r.gap);
	usagegen_free(b);
	check_books(s, 6);
	pgtest_close(s);
}
END_TEST

struct rejected {
	size_t n;
	uint64_t seq[16];
	char cost_reason[64], short_id[37];
};

static int
on_rejected(void *ctx, const struct usage_rejected *q)
{
	struct rejected *w = ctx;

	ck_assert_uint_lt(w->n, 16);
	w->seq[w->n++] = q->seq;
	ck_assert_int_eq(q->at, NOW);
	if (q->seq == 2) {
		ck_assert_int_eq(q->claimed, -5);
		ck_assert_uint_eq(strlen(q->request_id), 36);
		ck_assert_int_eq(str_copy(q->reason, w->cost_reason, 64), 0);
	}
	if (q->seq == 8) /* its id had 15 bytes */
		ck_assert_str_eq(q->request_id, "");
	return 0;
}

/* Ten records in pages of four; none twice, none left out. */
static void
check_quarantine(struct store *s)
{
	struct rejected w = {0};
	char cursor[96] = "", next[96];
	struct error e;
	struct db *db;
	int pages = 0;

	OK(store_take(s, &db, &e));
	do {
		OK(store_usage_quarantine(
		    db, STR(""), str_of(cursor), 4, on_rejected, &w, next, &e));
		memcpy(cursor, next, sizeof(cursor));
	} while (cursor[0] != '\0' && ++pages < 9);
	ck_assert_uint_eq(w.n, 10);
	for (size_t i = 0; i < w.n; i++)
		ck_assert_uint_eq(w.seq[i], i + 1);
	ck_assert_str_ne(w.cost_reason, "");
	w.n = 0;
	OK(store_usage_quarantine(
	    db, STR("nobody"), STR(""), 4, on_rejected, &w, next, &e));
	ck_assert_uint_eq(w.n, 0);
	ck_assert_int_eq(store_usage_quarantine(db, STR(""), STR("x 1 2"), 4,
			     on_rejected, &w, next, &e),
	    ERR_INVALID);
	store_give(db);
}

START_TEST(test_bad_records)
{
	struct store *s = pgtest_open();
	Hg__UsageBatch *b;
	struct usage_result r;
	struct error e;
	char *bad;

	usagegen_world(&gen, s, 2, 4, 2, false);
	b = usagegen_batch(&gen, 1, 0, 1, 14, T0);
	b->records[0]->tokens[0] = -1;
	b->records[1]->cost = -5;
	b->records[2]->tenant_uid = 999999;
	b->records[3]->key_uid = 999999;
	b->records[4]->cost = INT64_C(1000000000000001);
	b->records[5]->started_at = NOW + 301 * NS_PER_S;
	b->records[6]->started_at = NOW - 401 * 86400 * NS_PER_S;
	b->records[7]->request_id.len = 15;
	b->records[8]->key_uid = UINT64_MAX;
	b->records[9]->tenant_uid = gen.key[0]; /* no tenant's uid */
	/* odd, but storable */
	bad = b->records[11]->finish_reason;
	memcpy(bad, "\xff\x01\xc3(", 4);
	b->records[12]->http_status = 70000;
	b->records[12]->attempt = UINT32_MAX;
	b->records[12]->duration_us = -1;
	b->records[13]->n_tags = 1;
	b->records[13]->tags = calloc(1, sizeof(*b->records[13]->tags));
	b->records[13]->tags[0] = malloc(sizeof(Hg__Label));
	hg__label__init(b->records[13]->tags[0]);
	b->records[13]->tags[0]->key = strdup("env\"");
	b->records[13]->tags[0]->value = strdup("\xf0\x9f\x8c\x8a\\");
	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	ck_assert_uint_eq(r.watermark, 14);
	ck_assert_uint_eq(r.accepted, 4);
	ck_assert_uint_eq(r.quarantined, 10);
	usagegen_free(b);
	ck_assert_int_eq(pgtest_number(s, "SELECT count(DISTINCT reason) FROM "
					  "usage_quarantine"),
	    8);
	check_quarantine(s);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM usage WHERE tags->>'env\"'"
			     " = U&'\\+01F30A\\\\'"),
	    1);
	check_books(s, 4);
	/* numbers that cannot be a journal's */
	b = usagegen_batch(&gen, 1, 0, 15, 1, T0);
	b->records[0]->seq = 0;
	ck_assert_int_eq(
	    store_usage_ingest(s, AGENT, b, NOW, &r, &e), ERR_INVALID);
	ck_assert_int_eq(
	    store_usage_ingest(s, STR("x"), b, NOW, &r, &e), ERR_INVALID);
	usagegen_free(b);
	pgtest_close(s);
}
END_TEST

/* Numbers that pass one by one, and sums that cannot hold more: the shard goes
 * on, and other keys' sums are as they were. */
START_TEST(test_absurd)
{
	const int64_t max = INT64_C(1000000000000000);
	struct store *s = pgtest_open();
	Hg__UsageBatch *b;
	struct usage_result r;
	struct error e;

	usagegen_world(&gen, s, 2, 4, 2, true);
	b = usagegen_batch(&gen, 1, 0, 1, 30, T0);
	for (int i = 0; i < 20; i++)
		b->records[i]->cost = max;
	for (int i = 20; i < 25; i++)
		b->records[i]->tokens[0] = INT64_MAX - i;
	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	usagegen_free(b);
	ck_assert_uint_eq(r.watermark, 30);
	ck_assert_uint_eq(r.accepted, 10);
	ck_assert_uint_eq(r.quarantined, 20);
	ck_assert_str_eq(r.rejects[0].reason, "the batch holds too much");
	ck_assert_uint_eq(r.rejects[0].n, 15);
	ck_assert_uint_eq(r.rejects[0].first_seq, 11);
	ck_assert_str_eq(r.rejects[1].reason, "too many tokens");
	ck_assert_uint_eq(r.rejects[1].n, 5);
	ck_assert_ptr_null(r.rejects[2].reason);
	check_books(s, 10);
	/* the sums of one key are nearly full */
	pgtest_sql(s, "UPDATE usage_hourly SET cost = 9223372036854775000 "
		      "WHERE ctid = (SELECT min(ctid) FROM usage_hourly)");
	r = ship(s, 1, 0, 31, 40, false);
	ck_assert_uint_eq(r.watermark, 70);
	ck_assert_uint_eq(r.accepted, 0);
	ck_assert_uint_eq(r.quarantined, 40);
	ck_assert_str_eq(r.rejects[0].reason, "a sum would overflow");
	/* only that batch: what does not touch the full sum is booked */
	b = usagegen_batch(&gen, 1, 0, 71, 10, T0 + 7200 * NS_PER_S);
	OK(store_usage_ingest(s, AGENT, b, NOW + 7200 * NS_PER_S, &r, &e));
	usagegen_free(b);
	ck_assert_uint_eq(r.accepted, 10);
	pgtest_close(s);
}
END_TEST

START_TEST(test_many_days)
{
	struct store *s = pgtest_open();
	Hg__UsageBatch *b;
	struct usage_result r;
	struct error e;

	usagegen_world(&gen, s, 2, 10, 2, false);
	b = usagegen_batch(&gen, 1, 0, 1, 400, T0);
	for (size_t i = 0; i < 400; i++)
		b->records[i]->started_at =
		    T0 - (int64_t)(i * 7919 % 400) * 3600 * NS_PER_S;
	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	ck_assert_uint_eq(r.accepted, 400);
	usagegen_free(b);
	check_books(s, 400);
	/* A partition that was dropped comes back on demand. */
	pgtest_sql(s, "DROP TABLE usage_20260315");
	r = ship(s, 1, 0, 401, 5, false);
	ck_assert_uint_eq(r.accepted, 5);
	OK(store_usage_maintain(s, NOW, &e));
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM pg_class WHERE relname = "
			     "'usage_20260318' AND relispartition"),
	    1);
	pgtest_close(s);
}
END_TEST

struct shipper {
	struct store *s;
	uint32_t shard;
	uint64_t until;
	size_t batch;
	unsigned long n_failed;
	_Atomic bool done;
};

/* What an agent does: send what follows the last ack, again on failure, now
 * and then an old or a future batch as well. */
static void *
ship_all(void *arg)
{
	struct shipper *p = arg;
	struct usage_result r;
	uint64_t acked = 0;
	unsigned turn = 0;
	struct error e;

	while (acked < p->until) {
		uint64_t first = acked + 1;
		Hg__UsageBatch *b;

		if (turn % 7 == 3 && acked > p->batch)
			first -= p->batch / 2;
		if (turn++ % 11 == 5)
			first += p->batch;
		b = usagegen_batch(&gen, 1, p->shard, first, p->batch, T0);
		if (store_usage_ingest(p->s, AGENT, b, NOW, &r, &e) == 0)
			acked = r.watermark;
		else
			p->n_failed++;
		usagegen_free(b);
	}
	p->done = true;
	return NULL;
}

START_TEST(test_parallel)
{
	struct store *s = pgtest_open();
	struct shipper p[6];
	pthread_t t[6];
	int64_t rows;

	usagegen_world(&gen, s, 2, 30, 3, true);
	for (uint32_t i = 0; i < 6; i++) {
		p[i] = (struct shipper){s, i / 2, 2000, 150 + i, 0, false};
		pthread_create(&t[i], NULL, ship_all, &p[i]);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	/* Two shippers a shard: the last batch of each may go beyond. */
	rows = pgtest_number(s, "SELECT sum(seq) FROM usage_watermark");
	ck_assert_int_ge(rows, 6000);
	check_books(s, rows);
	for (int i = 0; i < 6; i++)
		ck_assert_uint_eq(p[i].n_failed, 0);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM budget_period WHERE "
			     "settled = (SELECT sum(cost) FROM usage)"),
	    1);
	pgtest_close(s);
}
END_TEST

/* A durable server of its own, killed again and again while two shards
 * ship. */
START_TEST(test_killed_server)
{
	struct embedded_options o = pgtest_options("killed");
	struct embedded *em = NULL;
	struct store_options so = {.max_conns = 8};
	struct store *s = NULL;
	struct shipper p[2];
	pthread_t t[2];
	struct error e;
	int applied, kills = 0;

	OK(embedded_start(&o, &em, &e));
	so.conninfo = embedded_conninfo(em);
	OK(store_open(&so, &s, &e));
	OK(migrate_run(
	    s, schema_migrations, n_schema_migrations, &applied, &e));
	usagegen_world(&gen, s, 2, 10, 2, true);
	for (uint32_t i = 0; i < 2; i++) {
		p[i] = (struct shipper){s, i, 40000, 400, 0, false};
		pthread_create(&t[i], NULL, ship_all, &p[i]);
	}
	while (!p[0].done || !p[1].done) {
		int64_t before, now;

		/* Kill in the middle of work: once more was booked. */
		before = pgtest_number(
		    s, "SELECT coalesce(sum(seq), 0) FROM usage_watermark");
		do {
			now = pgtest_number(s,
			    "SELECT coalesce(sum(seq), 0) FROM "
			    "usage_watermark");
		} while (now < before + 3000 && !p[0].done && !p[1].done);
		if (kills >= 5 || p[0].done || p[1].done)
			break;
		embedded_kill(em);
		kills++;
		OK(embedded_restart(em, &e));
	}
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	ck_assert_int_ge(kills, 3);
	check_books(
	    s, pgtest_number(s, "SELECT sum(seq) FROM usage_watermark"));
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT count(*) FROM budget_period WHERE "
			     "settled = (SELECT sum(cost) FROM usage)"),
	    1);
	store_close(s);
	embedded_stop(em, 0);
}
END_TEST

static void
evidence(struct usage_evidence *ev, uint64_t seq, int64_t in, int64_t out)
{
	Hg__UsageBatch *b = usagegen_batch(&gen, 1, 0, seq, 1, T0);
	struct uuid id;

	memset(ev, 0, sizeof(*ev));
	memcpy(id.b, b->records[0]->request_id.data, 16);
	uuid_format(&id, ev->request_id);
	ev->attempt = 1;
	ev->tokens.n[TC_INPUT] = in;
	ev->tokens.n[TC_OUTPUT] = out;
	usagegen_free(b);
}

static struct correction_result
correct(struct store *s, const struct usage_evidence *ev, size_t n)
{
	struct correction_result r;
	struct db *db = NULL;
	struct error e;

	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(store_usage_correct(db, ev, n, STR("finance"), &r, &e));
	OK(db_commit(db, &e));
	store_give(db);
	return r;
}

START_TEST(test_corrections)
{
	struct store *s = pgtest_open();
	struct usage_evidence ev[4];
	struct correction_result r;
	struct usage_result ur;
	Hg__UsageBatch *b;
	int64_t cost, c0, c1;
	struct error e;

	usagegen_world(&gen, s, 2, 10, 2, true);
	b = usagegen_batch(&gen, 1, 0, 1, 20, T0);
	b->records[0]->source = HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	b->records[1]->source = HG__USAGE_SOURCE__SOURCE_PROVIDER_PARTIAL;
	c0 = b->records[0]->cost;
	c1 = b->records[1]->cost;
	OK(store_usage_ingest(s, AGENT, b, NOW, &ur, &e));
	usagegen_free(b);
	cost = check_books(s, 20);
	evidence(&ev[0], 1, 10, 20);
	evidence(&ev[1], 2, 0, 0);
	ev[1].absent = true;
	evidence(&ev[2], 3, 1, 1); /* final: refused */
	evidence(&ev[3], 1000, 1, 1);
	r = correct(s, ev, 4);
	ck_assert_uint_eq(r.corrected, 2);
	ck_assert_uint_eq(r.refused, 1);
	ck_assert_uint_eq(r.not_found, 1);
	ck_assert_int_eq(r.delta_cost, 10 * 1000 + 20 * 2000 - c0 - c1);
	ck_assert_int_eq(check_books(s, 22), cost + r.delta_cost);
	/* the same evidence again changes nothing */
	r = correct(s, ev, 2);
	ck_assert_uint_eq(r.unchanged, 2);
	ck_assert_uint_eq(r.corrected, 0);
	check_books(s, 22);
	/* better evidence replaces it */
	evidence(&ev[0], 1, 11, 20);
	r = correct(s, ev, 1);
	ck_assert_int_eq(r.delta_cost, 1000);
	cost = check_books(s, 23);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT settled FROM budget_period"), cost);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT sum(requests) FROM usage_daily"), 20);
	pgtest_close(s);
}
END_TEST

/* A correction is priced as the agent would have: by the record's tier and
 * the size of the whole input. */
START_TEST(test_correction_tier)
{
	struct store *s = pgtest_open();
	struct usage_evidence ev;
	struct correction_result r;
	struct usage_result ur;
	Hg__UsageBatch *b;
	int64_t c0, c1;
	char tier[] = "priority";
	char *old;
	struct error e;

	usagegen_world(&gen, s, 2, 10, 2, true);
	b = usagegen_batch(&gen, 1, 0, 1, 2, T0);
	b->records[0]->source = HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	b->records[1]->source = HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	old = b->records[0]->tier;
	b->records[0]->tier = tier;
	c0 = b->records[0]->cost;
	c1 = b->records[1]->cost;
	OK(store_usage_ingest(s, AGENT, b, NOW, &ur, &e));
	b->records[0]->tier = old;
	usagegen_free(b);
	ck_assert_int_eq(
	    pgtest_number(
		s, "SELECT count(*) FROM usage WHERE tier = 'priority'"),
	    1);
	evidence(&ev, 1, 10, 20);
	r = correct(s, &ev, 1);
	ck_assert_int_eq(r.delta_cost, 10 * 1000 + 20 * 5000 - c0);
	evidence(&ev, 2, 900, 20);
	ev.tokens.n[TC_CACHE_READ] = 101;
	ev.tokens.n[TC_WEB_SEARCH] = 3; /* no price: recorded, costs nothing */
	r = correct(s, &ev, 1);
	ck_assert_int_eq(r.delta_cost, 1001 * 3000 + 20 * 2000 - c1);
	/* billed in another tier than the answer told */
	ev.has_tier = true;
	memcpy(ev.tier, tier, sizeof(tier));
	r = correct(s, &ev, 1);
	ck_assert_uint_eq(r.corrected, 1);
	ck_assert_int_eq(r.delta_cost, 20 * 3000);
	ev.tier[0] = '\0';
	r = correct(s, &ev, 1);
	ck_assert_int_eq(r.delta_cost, -20 * 3000);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT sum(t_web_search) FROM usage_daily"), 3);
	ck_assert_int_eq(
	    pgtest_number(
		s, "SELECT count(*) FROM usage WHERE tier = 'priority'"),
	    3);
	check_books(s, 6);
	pgtest_close(s);
}
END_TEST

struct rows {
	size_t n;
	int64_t requests, cost, input;
	char first[200], days[200];
};

static int
on_report(void *ctx, const struct report_row *r)
{
	struct rows *to = ctx;

	if (to->n++ == 0)
		snprintf(to->first, sizeof(to->first), "%.*s|%.*s|%.*s",
		    STR_ARG(r->names[0]), STR_ARG(r->names[3]),
		    STR_ARG(r->names[4]));
	snprintf(to->days + strlen(to->days),
	    sizeof(to->days) - strlen(to->days), "%.*s ", STR_ARG(r->names[7]));
	to->requests += r->requests;
	to->cost += r->cost;
	to->input += r->tokens.n[TC_INPUT];
	return 0;
}

static struct rows
report(struct store *s, int64_t from, int64_t to, unsigned bits,
    const char *tenant)
{
	struct report_query q = {from, to, bits, str_of(tenant)};
	struct rows rows = {0};
	struct db *db = NULL;
	struct error e;

	OK(store_take(s, &db, &e));
	OK(store_usage_report(db, &q, on_report, &rows, &e));
	store_give(db);
	return rows;
}

START_TEST(test_report)
{
	struct store *s = pgtest_open();
	const int64_t h = 3600 * NS_PER_S, from = T0 - 20 * 24 * h;
	Hg__UsageBatch *b;
	struct usage_result ur;
	struct rows all, part;
	struct error e;
	char sql[256];

	usagegen_world(&gen, s, 3, 9, 3, false);
	b = usagegen_batch(&gen, 1, 0, 1, 2000, T0);
	for (size_t i = 0; i < 2000; i++)
		b->records[i]->started_at =
		    T0 - (int64_t)(i * 7919 % 20000) * 60 * NS_PER_S;
	OK(store_usage_ingest(s, AGENT, b, NOW, &ur, &e));
	usagegen_free(b);
	all =
	    report(s, from, NOW, REPORT_TENANT | REPORT_KEY | REPORT_MODEL, "");
	ck_assert_int_eq(all.requests, 2000);
	ck_assert_int_eq(all.cost, ur.cost);
	ck_assert_uint_eq(all.n, 27);
	ck_assert_str_eq(all.first, "t0|t0.team.p.k0|m0");
	part = report(s, from, NOW, REPORT_TENANT, "t1");
	ck_assert_uint_eq(part.n, 1);
	ck_assert_str_eq(part.first, "t1||");
	ck_assert_uint_eq(report(s, from, NOW, 0, "").n, 1);
	ck_assert_uint_eq(report(s, from, NOW, 0, "nobody").n, 0);
	ck_assert_uint_eq(report(s, NOW, NOW + h, 0, "").n, 0);
	/* any cut of the range agrees with the rows */
	for (int i = 0; i < 40; i++) {
		int64_t a = T0 - (int64_t)(i * 7717 % 9000) * 61 * NS_PER_S;
		int64_t z = a + 1 + (int64_t)(i * i) * 977 * NS_PER_S;

		if (i % 5 == 0)
			a = a / h * h;
		if (i % 3 == 0)
			z = z / (24 * h) * (24 * h) + 24 * h;
		snprintf(sql, sizeof(sql),
		    "SELECT coalesce(sum(cost), 0) FROM usage WHERE "
		    "started_at >= hg_instant(%lld) AND started_at < "
		    "hg_instant(%lld)",
		    (long long)a, (long long)z);
		ck_assert_int_eq(report(s, a, z, REPORT_PROJECT, "").cost,
		    pgtest_number(s, sql));
	}
	part = report(s, T0 - 30 * h, T0 + h, REPORT_DAY, "");
	ck_assert_str_eq(part.days, "2026-03-14 2026-03-15 ");
	pgtest_close(s);
}
END_TEST

struct list {
	size_t n;
	int64_t cost, last_at;
	char request_id[37];
};

static int
on_row(void *ctx, const struct usage_row *u)
{
	struct list *l = ctx;

	ck_assert(l->last_at == 0 || u->started_at <= l->last_at);
	l->last_at = u->started_at;
	l->n++;
	l->cost += u->cost;
	memcpy(l->request_id, u->request_id, 37);
	ck_assert_int_eq(u->tenant.p[0], 't');
	ck_assert_slice_eq(u->provider, "sim");
	return 0;
}

START_TEST(test_list)
{
	struct store *s = pgtest_open();
	struct usage_filter f = {.limit = 7};
	char cursor[64], next[64] = "", id[37];
	struct list l = {0};
	struct db *db = NULL;
	struct usage_result ur;
	struct error e;
	int pages = 0;

	usagegen_world(&gen, s, 2, 4, 2, false);
	ur = ship(s, 1, 0, 1, 100, false);
	OK(store_take(s, &db, &e));
	do {
		memcpy(cursor, next, sizeof(cursor));
		f.cursor = str_of(cursor);
		OK(store_usage_list(db, &f, on_row, &l, next, &e));
		pages++;
	} while (next[0] != '\0');
	ck_assert_int_eq(pages, 15);
	ck_assert_uint_eq(l.n, 100);
	ck_assert_int_eq(l.cost, ur.cost);
	memcpy(id, l.request_id, sizeof(id));
	f = (struct usage_filter){.limit = 100, .request_id = str_of(id)};
	l = (struct list){0};
	OK(store_usage_list(db, &f, on_row, &l, next, &e));
	ck_assert_uint_eq(l.n, 1);
	f = (struct usage_filter){.limit = 1000,
	    .tenant = STR("t1"),
	    .key = STR("t1.team.p.k1"),
	    .from = T0};
	l = (struct list){0};
	OK(store_usage_list(db, &f, on_row, &l, next, &e));
	ck_assert_int_eq((int64_t)l.n,
	    pgtest_number(s,
		"SELECT count(*) FROM usage u JOIN item_name n ON "
		"n.uid = u.key_uid WHERE n.name = 't1.team.p.k1'"));
	f.cursor = STR("1.2");
	ck_assert_int_eq(
	    store_usage_list(db, &f, on_row, &l, next, &e), ERR_INVALID);
	f.cursor = STR_NULL;
	f.request_id = STR("no-uuid");
	ck_assert_int_eq(
	    store_usage_list(db, &f, on_row, &l, next, &e), ERR_INVALID);
	store_give(db);
	/* the ledger cannot be changed */
	OK(store_take(s, &db, &e));
	ck_assert_int_ne(db_script(db, "UPDATE ledger SET amount = 0", &e), 0);
	ck_assert_int_ne(db_script(db, "DELETE FROM ledger", &e), 0);
	store_give(db);
	pgtest_close(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("store_usage");

	UNIT_ADD(s, test_once);
	UNIT_ADD(s, test_hole_inside);
	UNIT_ADD(s, test_bad_records);
	UNIT_ADD(s, test_absurd);
	UNIT_ADD(s, test_many_days);
	UNIT_ADD(s, test_parallel);
	UNIT_ADD(s, test_killed_server);
	UNIT_ADD(s, test_corrections);
	UNIT_ADD(s, test_correction_tier);
	UNIT_ADD(s, test_report);
	UNIT_ADD(s, test_list);
	return s;
}

int
main(void)
{
	return pgtest_run(suite());
}
