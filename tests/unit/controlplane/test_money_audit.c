/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconciliation on a real PostgreSQL: nothing to find in a healthy store,
 * and every kind of planted damage is named down to the record.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/rng.h"
#include "controlplane/store/money_audit.h"
#include "controlplane/store/store_budget.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_usage.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/controlplane/support/usagegen.h"
#include "tests/unit/support/unit.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

#define AGENT STR("01890000-0000-7000-8000-00000000000a")

/* 2026-03-15 10:00:00 UTC */
#define T0  INT64_C(1773568800000000000)
#define DAY (86400 * NS_PER_S)
#define NOW (T0 + 3600 * NS_PER_S)

static struct usagegen gen;

static struct usage_result
ship(struct store *s, uint64_t epoch, uint32_t shard, uint64_t first, size_t n,
    int64_t at)
{
	Hg__UsageBatch *b = usagegen_batch(&gen, epoch, shard, first, n, at);
	struct usage_result r;
	struct error e;

	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	ck_assert_uint_eq(r.accepted, n);
	usagegen_free(b);
	return r;
}

/* ---- what a run said ---- */

struct seen {
	struct money_audit m;
	char scope[16], list[8192], detail[4096];
	int n;
};

static int
on_run(void *ctx, const struct money_audit *m)
{
	struct seen *o = ctx;

	o->m = *m;
	snprintf(o->scope, sizeof(o->scope), "%.*s", STR_ARG(m->scope));
	return 0;
}

/* "kind/measure " of each difference, and the first one's detail. */
static int
on_finding(void *ctx, const struct money_finding *f)
{
	struct seen *o = ctx;
	size_t at = strlen(o->list), text = strlen(o->detail);

	if (f->notice)
		return 0;
	o->n++;
	snprintf(o->list + at, sizeof(o->list) - at, "%.*s/%.*s ",
	    STR_ARG(f->kind), STR_ARG(f->measure));
	snprintf(o->detail + text, sizeof(o->detail) - text, "%.*s\n",
	    STR_ARG(f->detail));
	return 0;
}

static struct seen
run_as(struct store *s, const struct money_audit_request *q)
{
	static struct seen o;
	struct db *db = NULL;
	struct error e;
	int64_t id = 0;

	memset(&o, 0, sizeof(o));
	OK(money_audit_run(s, q, &id, &e));
	OK(store_take(s, &db, &e));
	OK(money_audit_get(db, id, on_run, &o, &e));
	OK(money_audit_findings(db, id, 1000, on_finding, &o, &e));
	store_give(db);
	ck_assert_int_eq(o.m.id, id);
	ck_assert_int_eq(o.m.differences, o.n);
	return o;
}

static struct seen
run(struct store *s, enum money_audit_scope scope)
{
	struct money_audit_request q = {.actor = STR("test"), .scope = scope};

	return run_as(s, &q);
}

static void
healthy(struct store *s, enum money_audit_scope scope)
{
	struct seen o = run(s, scope);

	ck_assert_msg(o.n == 0, "%d: %s\n%s", o.n, o.list, o.detail);
	ck_assert_int_eq(o.m.usage_cost, o.m.ledger_cost);
	ck_assert_int_eq(o.m.usage_cost, o.m.hourly_cost);
	ck_assert_int_eq(o.m.usage_cost, o.m.daily_cost);
}

/* Found, and said where: every text of `says` is in a detail. */
static void
finds(struct store *s, const char *kind, const char *const *says)
{
	struct seen o = run(s, MONEY_AUDIT_FULL);

	ck_assert_msg(
	    strstr(o.list, kind) != NULL, "no %s in %s", kind, o.list);
	for (size_t i = 0; says[i] != NULL; i++)
		ck_assert_msg(strstr(o.detail, says[i]) != NULL,
		    "no \"%s\" in %s", says[i], o.detail);
}
#define FINDS(s, kind, ...) \
	finds(s, kind, (const char *const[]){__VA_ARGS__, NULL})

/* ---- a store with some history ---- */

static void
lease(struct store *s, int64_t granted, uint64_t epoch)
{
	struct lease_key key = {.budget_uid = gen.budget};
	struct lease_write w = {.budget_uid = gen.budget, .grant = granted};
	struct lease_view view;
	struct db *db = NULL;
	struct error e;

	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(store_lease_lock(db, AGENT, epoch, key, T0, 0, &view, &e));
	w.period_start = view.period_start;
	w.report_at = NOW;
	w.fence_at = INT64_MAX;
	OK(store_lease_write(db, AGENT, epoch, &w, &e));
	OK(db_commit(db, &e));
	store_give(db);
}

static void
correct(struct store *s, uint64_t seq)
{
	Hg__UsageBatch *b = usagegen_batch(&gen, 2, 0, seq, 1, T0);
	struct usage_evidence ev = {.attempt = 1};
	struct correction_result r;
	struct db *db = NULL;
	struct uuid id;
	struct error e;

	memcpy(id.b, b->records[0]->request_id.data, 16);
	uuid_format(&id, ev.request_id);
	usagegen_free(b);
	ev.tokens.n[TC_INPUT] = 11;
	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(store_usage_correct(db, &ev, 1, STR("finance"), &r, &e));
	OK(db_commit(db, &e));
	store_give(db);
	ck_assert_uint_eq(r.corrected, 1);
}

/* Three shards over three days, a lease from before and one from between, an
 * estimate that was corrected, one that is still open, and quarantine. */
static struct store *
world(void)
{
	struct store *s = pgtest_open();
	struct usage_result r;
	Hg__UsageBatch *b;
	struct error e;

	usagegen_world(&gen, s, 3, 40, 4, true);
	ship(s, 1, 0, 1, 300, T0 - 2 * DAY);
	ship(s, 1, 1, 1, 300, T0 - DAY);
	pgtest_sql(s, "UPDATE usage_batch SET at = at - interval '1 hour'");
	lease(s, INT64_C(5000000000), 1);
	ship(s, 1, 0, 301, 300, T0 - DAY);
	ship(s, 1, 1, 301, 300, T0);
	lease(s, INT64_C(3000000000), 2);
	b = usagegen_batch(&gen, 2, 0, 1, 10, T0);
	for (int i = 0; i < 3; i++)
		b->records[i]->source = HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	b->records[5]->started_at = NOW + 3600 * NS_PER_S;
	b->records[6]->tokens[0] = -1;
	b->records[7]->cost = -1;
	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	ck_assert_uint_eq(r.quarantined, 3);
	usagegen_free(b);
	correct(s, 1);
	return s;
}

START_TEST(test_healthy)
{
	struct store *s = world();
	struct money_audit_request q = {.scope = MONEY_AUDIT_RANGE,
	    .from = T0 - T0 % DAY - DAY,
	    .to = T0 - T0 % DAY,
	    .tenant = STR("t1")};
	struct seen o;
	struct error e;
	int64_t id;

	healthy(s, MONEY_AUDIT_CHANGED);
	healthy(s, MONEY_AUDIT_CHANGED);
	healthy(s, MONEY_AUDIT_FULL);
	o = run(s, MONEY_AUDIT_CHANGED);
	ck_assert_int_ge(o.m.days, 1);
	ck_assert_int_eq(o.m.quarantined, 3);
	ck_assert_int_eq(o.m.leases, 2);
	o = run_as(s, &q);
	ck_assert_int_eq(o.n, 0);
	ck_assert_int_eq(o.m.days, 1);
	ck_assert_str_eq(o.scope, "range");
	ck_assert_int_eq(o.m.usage_cost,
	    pgtest_number(s, "SELECT sum(cost) FROM usage u JOIN item_name n "
			     "ON n.uid = tenant_uid AND n.name = 't1' WHERE "
			     "started_at >= '2026-03-14 00:00+00' AND "
			     "started_at < '2026-03-15 00:00+00'"));
	q.tenant = STR("nobody");
	ck_assert_int_eq(money_audit_run(s, &q, &id, &e), ERR_NOT_FOUND);
	pgtest_close(s);
}
END_TEST

START_TEST(test_much_traffic)
{
	struct store *s = pgtest_open();
	struct seen o;

	usagegen_world(&gen, s, 4, 1000, 4, true);
	for (uint32_t shard = 0; shard < 4; shard++)
		for (uint64_t i = 0; i < 10; i++)
			ship(s, 1, shard, 1 + i * 1500, 1500,
			    T0 - (int64_t)i * 7 * 3600 * NS_PER_S);
	healthy(s, MONEY_AUDIT_FULL);
	o = run(s, MONEY_AUDIT_CHANGED);
	ck_assert_int_eq(o.m.usage_rows, 60000);
	printf("# %lld rows in %lld ms\n", (long long)o.m.usage_rows,
	    (long long)o.m.duration_ms);
	pgtest_close(s);
}
END_TEST

/* ---- damage ---- */

#define LEDGER_OFF "ALTER TABLE ledger DISABLE TRIGGER USER; "

START_TEST(test_ledger_row_deleted)
{
	struct store *s = world();

	pgtest_sql(s, LEDGER_OFF "DELETE FROM ledger WHERE batch_id = 3 AND "
				 "ord = 7");
	FINDS(s, "usage_ledger/cost", "no ledger row of batch 3 for key t",
	    "0 of 0 in the ledger; in usage: seq 3", "request 0", " attempt 1");
	FINDS(s, "batch_ledger/cost", "batch 3 holds 300 records of ");
	/* it stays until it is repaired, also in incremental runs */
	ck_assert_int_gt(run(s, MONEY_AUDIT_CHANGED).n, 0);
	ck_assert_int_gt(run(s, MONEY_AUDIT_CHANGED).n, 0);
	pgtest_close(s);
}
END_TEST

START_TEST(test_ledger_amount)
{
	struct store *s = world();

	pgtest_sql(s, LEDGER_OFF "UPDATE ledger SET amount = amount + 5 WHERE "
				 "batch_id = 2 AND ord = 0");
	FINDS(s, "usage_ledger/cost", "ledger row 0 of batch 2 for key t");
	pgtest_close(s);
}
END_TEST

START_TEST(test_rollup_changed)
{
	struct store *s = world();
	struct seen o;

	pgtest_sql(s, "UPDATE usage_hourly SET t_output = t_output + 1 WHERE "
		      "ctid = (SELECT min(ctid) FROM usage_hourly)");
	o = run(s, MONEY_AUDIT_FULL);
	ck_assert_str_eq(o.list, "usage_hourly/output hourly_daily/output ");
	ck_assert_ptr_nonnull(
	    strstr(o.detail, "hourly row: hour 2026-03-13T10:00Z, key t"));
	pgtest_sql(s, "UPDATE usage_hourly SET t_output = t_output - 1 WHERE "
		      "ctid = (SELECT max(ctid) FROM usage_hourly)");
	pgtest_close(s);
}
END_TEST

START_TEST(test_rollups_offset)
{
	struct store *s = world();
	struct seen o;

	/* two wrongs that cancel out in every total */
	pgtest_sql(s, "UPDATE usage_daily d SET cost = cost + CASE WHEN "
		      "d.ctid = (SELECT min(ctid) FROM usage_daily) THEN 9 "
		      "ELSE -9 END WHERE d.ctid IN (SELECT min(ctid) FROM "
		      "usage_daily UNION SELECT max(ctid) FROM usage_daily)");
	o = run(s, MONEY_AUDIT_FULL);
	ck_assert_str_eq(o.list, "hourly_daily/cost hourly_daily/cost ");
	pgtest_sql(s, "DELETE FROM usage_daily WHERE ctid = (SELECT min(ctid) "
		      "FROM usage_daily)");
	FINDS(s, "hourly_daily/requests", "no daily row: key t");
	pgtest_close(s);
}
END_TEST

START_TEST(test_usage_dropped)
{
	struct store *s = world();

	pgtest_sql(s, "DELETE FROM usage WHERE boot_epoch = 1 AND shard = 0 "
		      "AND seq = 417");
	FINDS(s, "usage_missing/records",
	    "record 417 of agent 01890000-0000-7000-8000-00000000000a, epoch "
	    "1, shard 0 was booked by batch 3 and is in neither");
	FINDS(s, "usage_hourly/cost", "hourly row");
	/* and the lease says what it cost */
	FINDS(s, "lease_usage/cost", "on budget t0.monthly");
	pgtest_close(s);
}
END_TEST

START_TEST(test_usage_duplicated)
{
	struct store *s = world();

	pgtest_sql(s, "INSERT INTO usage SELECT * FROM usage WHERE boot_epoch "
		      "= 1 AND shard = 1 AND seq = 42");
	FINDS(s, "usage_duplicate/records", "record 42 of agent",
	    "is there 2 times, in batches 2, 2");
	pgtest_sql(s, "DELETE FROM usage WHERE ctid = (SELECT max(ctid) FROM "
		      "usage WHERE boot_epoch = 1 AND shard = 1 AND seq = 42) "
		      "AND tableoid = 'usage_20260314'::regclass");
	healthy(s, MONEY_AUDIT_FULL);
	/* the same request under another number */
	pgtest_sql(s, "UPDATE usage SET request_id = (SELECT request_id FROM "
		      "usage WHERE boot_epoch = 1 AND shard = 1 AND seq = 42) "
		      "WHERE boot_epoch = 1 AND shard = 1 AND seq = 43");
	FINDS(s, "request_duplicate/records", "attempt 1 is billed 2 times",
	    "shard 1 seq 42 batch 2", "shard 1 seq 43 batch 2");
	/* and on another day */
	pgtest_sql(s, "UPDATE usage SET request_id = (SELECT request_id FROM "
		      "usage WHERE boot_epoch = 1 AND shard = 1 AND seq = 44) "
		      "WHERE boot_epoch = 1 AND shard = 0 AND seq = 44");
	FINDS(s, "request_duplicate/records", "billed on several days",
	    "2026-03-13 agent");
	pgtest_close(s);
}
END_TEST

START_TEST(test_lease_corrupted)
{
	struct store *s = world();

	pgtest_sql(s, "UPDATE lease SET settled = settled + 7 WHERE "
		      "boot_epoch = 1");
	FINDS(s, "budget_conservation/cost", "budget t0.monthly, period from");
	FINDS(s, "lease_usage/cost",
	    "lease of agent 01890000-0000-7000-8000-"
	    "00000000000a, epoch 1 on budget "
	    "t0.monthly");
	/* conserved, yet not what usage says */
	pgtest_sql(s, "UPDATE lease SET granted = granted + 7 WHERE "
		      "boot_epoch = 1");
	ck_assert_str_eq(run(s, MONEY_AUDIT_FULL).list, "lease_usage/cost ");
	pgtest_sql(s, "UPDATE lease SET settled = settled - 14, granted = "
		      "granted - 14 WHERE boot_epoch = 1");
	ck_assert_str_eq(run(s, MONEY_AUDIT_FULL).list, "lease_usage/cost ");
	pgtest_sql(s, "UPDATE lease SET settled = settled + 7, granted = "
		      "granted + 7 WHERE boot_epoch = 1");
	healthy(s, MONEY_AUDIT_FULL);
	pgtest_sql(s, "UPDATE lease SET returned = granted + 1 WHERE "
		      "boot_epoch = 2");
	FINDS(s, "lease_bounds/cost", "epoch 2 on budget t0.monthly");
	pgtest_close(s);
}
END_TEST

START_TEST(test_period_corrupted)
{
	struct store *s = world();

	/* all sums are right, but nobody configured that */
	pgtest_sql(s, "UPDATE budget_period SET free = free + 5, limit_nano = "
		      "limit_nano + 5, base_nano = base_nano + 5");
	ck_assert_str_eq(run(s, MONEY_AUDIT_FULL).list, "budget_limit/base ");
	pgtest_sql(s, "UPDATE budget_period SET free = free - 5, limit_nano = "
		      "limit_nano - 5, base_nano = base_nano - 5");
	pgtest_sql(s, "UPDATE budget_period SET free = free - 3, "
		      "settled = settled + 3");
	ck_assert_str_eq(run(s, MONEY_AUDIT_FULL).list, "budget_usage/cost ");
	pgtest_sql(s, "UPDATE budget_period SET free = free + 3, "
		      "settled = settled - 3");
	pgtest_sql(s, "UPDATE budget_period SET free = free - 3");
	ck_assert_str_eq(
	    run(s, MONEY_AUDIT_FULL).list, "budget_conservation/cost ");
	/* conserved again, but no estimate holds that */
	pgtest_sql(s, "UPDATE budget_period SET held = held + 3");
	ck_assert_str_eq(run(s, MONEY_AUDIT_CHANGED).list, "budget_held/cost ");
	pgtest_close(s);
}
END_TEST

START_TEST(test_watermark)
{
	struct store *s = world();

	pgtest_sql(s, "UPDATE usage_watermark SET seq = 599 WHERE boot_epoch "
		      "= 1 AND shard = 0");
	FINDS(s, "watermark/seq",
	    "shard 0: the watermark says 599, the last "
	    "batch ends at 600");
	pgtest_sql(s, "UPDATE usage_watermark SET seq = 600 WHERE boot_epoch "
		      "= 1 AND shard = 0");
	pgtest_sql(s, "UPDATE usage_batch SET first_seq = 303 WHERE id = 3");
	FINDS(s, "watermark_gap/seq",
	    "batch 3 begins at record 303, the one "
	    "before ends at 300");
	FINDS(s, "batch_records/records",
	    "batch 3 covers records 303 to 600; "
	    "300 were booked and 0 are in");
	pgtest_sql(s, "UPDATE usage_batch SET first_seq = 301 WHERE id = 3");
	pgtest_sql(s, "DELETE FROM usage_quarantine WHERE seq = 7");
	FINDS(s, "batch_records/records", "7 were booked and 2 are in");
	pgtest_close(s);
}
END_TEST

START_TEST(test_one_at_a_time)
{
	struct money_audit_request q = {.actor = STR("")};
	struct store *s = world();
	struct db *db = NULL;
	struct error e;
	int64_t id;

	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(db_lock(db, STORE_LOCK_AUDIT, &e));
	ck_assert_int_eq(money_audit_run(s, &q, &id, &e), ERR_CONFLICT);
	db_rollback(db);
	store_give(db);
	OK(money_audit_run(s, &q, &id, &e));
	pgtest_close(s);
}
END_TEST

/* ---- retention ---- */

static struct retention
expire(struct store *s, int64_t days)
{
	struct retention gone;
	struct error e;

	OK(store_retention(s, days, NOW, &gone, &e));
	return gone;
}

static int64_t
partitions(struct store *s)
{
	return pgtest_number(s, "SELECT count(*) FROM pg_inherits WHERE "
				"inhparent = 'usage'::regclass");
}

START_TEST(test_retention)
{
	struct store *s = world();
	int64_t n = partitions(s), ledger;

	/* nothing that was not audited, and nothing young */
	ck_assert_int_eq(expire(s, 1).days, 0);
	healthy(s, MONEY_AUDIT_CHANGED);
	ck_assert_int_eq(expire(s, 30).days, 0);
	/* nor a day that differs */
	pgtest_sql(s, "UPDATE usage_daily SET cost = cost + 1 WHERE day = "
		      "'2026-03-13 00:00+00' AND (key_uid, model_uid) = "
		      "(SELECT key_uid, model_uid FROM usage_daily WHERE day "
		      "= '2026-03-13 00:00+00' ORDER BY 1, 2 LIMIT 1)");
	ck_assert_int_eq(run(s, MONEY_AUDIT_FULL).n, 1);
	ck_assert_int_eq(expire(s, 1).days, 0);
	pgtest_sql(s, "UPDATE usage_daily SET cost = cost - 1 WHERE day = "
		      "'2026-03-13 00:00+00' AND (key_uid, model_uid) = "
		      "(SELECT key_uid, model_uid FROM usage_daily WHERE day "
		      "= '2026-03-13 00:00+00' ORDER BY 1, 2 LIMIT 1)");
	healthy(s, MONEY_AUDIT_FULL);
	/* nor one that got more since, be it of a batch with a number from
	 * before (it began before the youngest one, and was committed later) */
	pgtest_sql(s, "INSERT INTO ledger SELECT batch_id, 1000000, hour, "
		      "kind, tenant_uid, project_uid, key_uid, route_uid, "
		      "deployment_uid, provider_uid, model_uid, price_version, "
		      "0, 0 FROM ledger ORDER BY hour, batch_id LIMIT 1");
	ck_assert_int_eq(expire(s, 1).days, 0);
	healthy(s, MONEY_AUDIT_FULL);
	ledger = pgtest_number(s, "SELECT sum(amount) FROM ledger");
	ck_assert_int_eq(expire(s, 1).days, 1);
	ck_assert_int_eq(partitions(s), n - 1);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT sum(amount) FROM ledger"), ledger);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT sum(cost)::bigint FROM usage_daily"),
	    ledger);
	ck_assert_int_eq(run(s, MONEY_AUDIT_FULL).n, 0);
	/* late records for that day are booked and audited, and go again */
	ship(s, 1, 0, 601, 50, T0 - 2 * DAY);
	ck_assert_int_eq(partitions(s), n);
	ck_assert_int_eq(expire(s, 1).days, 0);
	ck_assert_int_eq(run(s, MONEY_AUDIT_CHANGED).n, 0);
	ck_assert_int_eq(expire(s, 1).days, 1);
	ck_assert_int_eq(run(s, MONEY_AUDIT_FULL).n, 0);
	/* what was charged is still compared with leases */
	pgtest_sql(s, "UPDATE lease SET settled = settled + 1, granted = "
		      "granted + 1 WHERE boot_epoch = 1");
	ck_assert_str_eq(run(s, MONEY_AUDIT_FULL).list, "lease_usage/cost ");
	pgtest_close(s);
}
END_TEST

START_TEST(test_retention_leases)
{
	struct store *s = world();

	healthy(s, MONEY_AUDIT_FULL);
	pgtest_sql(s, "UPDATE budget_period SET period_end = 5");
	/* what is out on a lease keeps it */
	pgtest_sql(s, "UPDATE lease l SET returned = granted - settled WHERE "
		      "boot_epoch = 1; UPDATE budget_period SET free = free + "
		      "(SELECT returned FROM lease WHERE boot_epoch = 1)");
	healthy(s, MONEY_AUDIT_FULL);
	ck_assert_int_eq(expire(s, 100).leases, 1);
	ck_assert_int_eq(pgtest_number(s, "SELECT boot_epoch FROM lease"), 2);
	ck_assert_int_eq(run(s, MONEY_AUDIT_CHANGED).n, 0);
	ck_assert_int_eq(run(s, MONEY_AUDIT_FULL).n, 0);
	pgtest_close(s);
}
END_TEST

/* A month is over: what comes for it then is booked in another period, and
 * the reconciliation follows; then the period itself goes. */
START_TEST(test_closed_period)
{
	struct money_audit_request q = {
	    .actor = STR("test"), .scope = MONEY_AUDIT_FULL};
	struct store *s = world();
	struct budget_closing c;
	struct usage_result r;
	Hg__UsageBatch *b;
	int64_t settled, start, id;
	struct error e;

	pgtest_sql(s, "UPDATE lease SET doubtful = true WHERE boot_epoch = 1");
	healthy(s, MONEY_AUDIT_FULL);
	OK(store_budget_close(s, NOW + 60 * DAY, &c, &e));
	ck_assert_int_eq(c.closed, 1);
	start = pgtest_number(s, "SELECT period_start FROM budget_period "
				 "WHERE state = 'closed'");
	settled = pgtest_number(s, "SELECT settled FROM budget_period "
				   "WHERE state = 'closed'");
	healthy(s, MONEY_AUDIT_FULL);
	/* late usage of both leases, an estimate, corrections of two: one that
	 * was made before, one that holds money of the closed period */
	ship(s, 1, 0, 601, 50, T0 - DAY);
	b = usagegen_batch(&gen, 2, 0, 11, 20, T0);
	b->records[1]->source = b->records[2]->source =
	    HG__USAGE_SOURCE__SOURCE_ESTIMATED;
	OK(store_usage_ingest(s, AGENT, b, NOW, &r, &e));
	usagegen_free(b);
	healthy(s, MONEY_AUDIT_FULL);
	correct(s, 2);
	correct(s, 12);
	healthy(s, MONEY_AUDIT_CHANGED);
	healthy(s, MONEY_AUDIT_FULL);
	ck_assert_int_eq(pgtest_number(s, "SELECT settled FROM budget_period "
					  "WHERE state = 'closed'"),
	    settled);
	ck_assert_int_gt(pgtest_number(s, "SELECT count(*) FROM "
					  "budget_correction"),
	    3);
	/* somebody changes what was carried out of it */
	pgtest_sql(s, "ALTER TABLE budget_correction DISABLE TRIGGER ALL; "
		      "UPDATE budget_correction SET cost = cost + 1 WHERE id = "
		      "(SELECT min(id) FROM budget_correction)");
	ck_assert_str_eq(run(s, MONEY_AUDIT_FULL).list,
	    "lease_usage/cost budget_usage/cost budget_usage/cost ");
	pgtest_sql(s, "UPDATE budget_correction SET cost = cost - 1 WHERE id = "
		      "(SELECT min(id) FROM budget_correction)");
	healthy(s, MONEY_AUDIT_FULL);
	/* A decision about what is still held and in doubt. */
	pgtest_number(s, "SELECT hg_held_decide(budget_uid, period_start, "
			 "'book', 'me', 'x') FROM budget_period WHERE state = "
			 "'closed'");
	pgtest_number(s, "SELECT hg_doubt_decide(budget_uid, period_start, "
			 "agent_id, boot_epoch, 'book', 'me', 'x') FROM lease "
			 "WHERE doubtful");
	healthy(s, MONEY_AUDIT_FULL);
	pgtest_sql(s,
	    "UPDATE budget_period p SET free = free + (SELECT "
	    "sum(granted - settled - returned) FROM lease l WHERE "
	    "l.period_start = p.period_start) WHERE state = 'closed'; "
	    "UPDATE lease SET returned = granted - settled");
	healthy(s, MONEY_AUDIT_FULL);
	/* In time all of it goes. */
	ck_assert_int_eq(expire(s, 1).periods, 0);
	OK(store_retention(s, 1, NOW + 500 * DAY, &(struct retention){0}, &e));
	ck_assert_int_eq(pgtest_number(s, "SELECT count(*) FROM budget_period "
					  "WHERE state = 'closed'"),
	    0);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT settled FROM budget_pruned"), settled);
	ck_assert_int_eq(run(s, MONEY_AUDIT_FULL).n, 0);
	ship(s, 1, 0, 651, 50, T0 - DAY);
	ck_assert_int_eq(pgtest_number(s, "SELECT count(*) FROM budget_period "
					  "WHERE state = 'closed'"),
	    0);
	OK(money_audit_run(s, &q, &id, &e));
	ck_assert_int_eq(run(s, MONEY_AUDIT_FULL).n, 0);
	ck_assert_int_gt(start, 0);
	pgtest_close(s);
}
END_TEST

/* Deleted limits: a fresh one, one that still lends, one that may go; and one
 * that is configured. */
START_TEST(test_rate_retention)
{
	struct store *s = world();
	struct db *db = NULL;
	int64_t n = -1;
	struct error e;

	pgtest_sql(s,
	    "INSERT INTO rate_pool SELECT u, CASE u WHEN 9001 THEN 10 ELSE 5 "
	    "END, 0, 0 FROM generate_series(9001, 9004) u; "
	    "INSERT INTO rate_share SELECT u, 'a', 1, 1, 1, CASE u WHEN 9002 "
	    "THEN 10 ELSE 4 END, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 "
	    "FROM generate_series(9001, 9004) u; "
	    "INSERT INTO config_item SELECT (jsonb_populate_record(i, "
	    "'{\"uid\": 9004, \"name\": \"acme.more\", \"kind\": 10}')).* "
	    "FROM config_item i ORDER BY uid LIMIT 1");
	/* Somebody works with it: not now. */
	OK(store_take(s, &db, &e));
	OK(db_begin(db, &e));
	OK(db_script(
	    db, "SELECT FROM rate_pool WHERE limit_uid = 9003 FOR UPDATE", &e));
	OK(store_rate_retention(s, DAY + 10, &n, &e));
	ck_assert_int_eq(n, 0);
	db_rollback(db);
	store_give(db);
	OK(store_rate_retention(s, DAY + 10, &n, &e));
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(pgtest_number(s, "SELECT sum(limit_uid) - 27000 FROM "
					  "rate_pool"),
	    7);
	ck_assert_int_eq(pgtest_number(s, "SELECT sum(limit_uid) - 27000 FROM "
					  "rate_share"),
	    7);
	OK(store_rate_retention(s, DAY + 11, &n, &e));
	ck_assert_int_eq(n, 2);
	ck_assert_int_eq(
	    pgtest_number(s, "SELECT max(limit_uid) - count(*) FROM rate_pool"),
	    9003);
	pgtest_close(s);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("money_audit");

	UNIT_ADD(s, test_healthy);
	UNIT_ADD(s, test_much_traffic);
	UNIT_ADD(s, test_ledger_row_deleted);
	UNIT_ADD(s, test_ledger_amount);
	UNIT_ADD(s, test_rollup_changed);
	UNIT_ADD(s, test_rollups_offset);
	UNIT_ADD(s, test_usage_dropped);
	UNIT_ADD(s, test_usage_duplicated);
	UNIT_ADD(s, test_lease_corrupted);
	UNIT_ADD(s, test_period_corrupted);
	UNIT_ADD(s, test_watermark);
	UNIT_ADD(s, test_one_at_a_time);
	UNIT_ADD(s, test_rate_retention);
	UNIT_ADD(s, test_retention);
	UNIT_ADD(s, test_retention_leases);
	UNIT_ADD(s, test_closed_period);
	return s;
}

int
main(void)
{
	return pgtest_run(suite());
}
