/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money at the edges of periods, messages and decisions, in PostgreSQL: what
 * is reported or decided about one thing moves no money of another.
 */
#include <pthread.h>
#include <poll.h>
#include <stdio.h>

#include "common/clock.h"
#include "controlplane/money/exchange.h"
#include "controlplane/store/store_budget.h"
#include "tests/unit/controlplane/support/asker.h"

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

#define HOUR  (INT64_C(3600) * NS_PER_S)
#define DAY   (24 * HOUR)
#define OTHER "01890000-0000-7000-8000-000000000002"
/* Later than any real clock: what comes late goes to the newest period. */
#define BEGIN INT64_C(3000844800000000000) /* 2065-02-03T00:00:00Z */
#define SPEC(rest)                                        \
	"{\"scope\":\"acme\",\"limit_usd\":\"0.000001\"," \
	"\"period\":\"day\"" rest "}"

/* One number of the lease of `agent` on the period. */
static int64_t
of_lease(struct asker *a, const char *what, const char *agent, int64_t start)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
	    "SELECT coalesce(sum(%s), 0)::bigint FROM lease "
	    "WHERE agent_id = '%s' AND period_start = %lld",
	    what, agent, (long long)start);
	return pgtest_number(a->l.store, sql);
}

struct teller {
	struct asker *a;
	Hg__LeaseReport r;
	pthread_t thread;
	int rc;
	int64_t answered; /* the period of the last grant */
};

static void *
teller_main(void *arg)
{
	struct teller *t = arg;
	struct exchange x = {.agent_id = str_of(t->a->id),
	    .boot_epoch = 1,
	    .now = t->a->now,
	    .cfg = &grant_default};
	Hg__LeaseReport *list = &t->r;
	struct db *db = NULL;
	struct error err = {0};
	struct arena arena;

	arena_init(&arena, 4096, 1 << 20);
	t->rc = store_take(t->a->l.store, &db, &err);
	if (t->rc == 0)
		t->rc = exchange_run(&x, db, &list, 1, &arena, &err);
	if (t->rc == 0 && x.n_grants > 0)
		t->answered = x.grants[x.n_grants - 1]->period_start;
	store_give(db);
	arena_release(&arena);
	return NULL;
}

static void
wait_blocked(struct asker *a)
{
	while (pgtest_number(a->l.store,
		   "SELECT count(*) FROM pg_stat_activity WHERE "
		   "datname = current_database() "
		   "AND wait_event_type = 'Lock'") == 0)
		poll(NULL, 0, 1);
}

/* A report that was decided on while its bucket was the newest one, and that
 * waited for who began the next: what it says was returned of the old bucket
 * is not taken from the new one, where the same agent holds rights by then (its
 * next message went to another replica). */
START_TEST(test_report_meets_next_bucket)
{
	struct lease_key key = {0};
	struct lease_write w = {.grant = 300};
	struct lease_view v;
	struct teller t = {0};
	struct asker a;
	int64_t first;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"rolling\",\"rolling_hours\":24}");
	a.now = BEGIN + HOUR / 2;
	ck_assert_int_eq(asker_ask(&a, 400)->granted, 400);
	first = a.period;
	t.a = &a;
	hg__lease_report__init(&t.r);
	t.r.budget_uid = a.uid;
	t.r.period_start = first;
	t.r.granted = 400;
	t.r.returned = 250;
	t.r.settled = 150;
	t.r.want_min = t.r.want_total = 10;

	key.budget_uid = w.budget_uid = a.uid;
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_lock(
	       a.db, str_of(a.id), 1, key, a.now + HOUR, a.now + HOUR, &v, &e),
	    0);
	ck_assert_int_gt(v.period_start, first);
	w.period_start = v.period_start;
	w.report_at = a.now;
	IS(store_lease_write(a.db, str_of(a.id), 1, &w, &e), 0);
	pthread_create(&t.thread, NULL, teller_main, &t);
	wait_blocked(&a);
	IS(db_commit(a.db, &e), 0);
	pthread_join(t.thread, NULL);
	IS(t.rc, 0);

	ck_assert_int_eq(of_lease(&a, "returned", a.id, v.period_start), 0);
	ck_assert_int_eq(of_lease(&a, "r_settled", a.id, v.period_start), 0);
	ck_assert_int_eq(of_lease(&a, "returned", a.id, first), 250);
	ck_assert_int_eq(of_lease(&a, "r_settled", a.id, first), 150);
	/* and who waits is answered about the new one */
	ck_assert_int_eq(t.answered, v.period_start);
	asker_close(&a);
}
END_TEST

/* An agent that says it has more in use than there is in the world is not
 * heard of by others, who go on. */
START_TEST(test_absurd_report)
{
	struct exchange x = {
	    .agent_id = STR(OTHER), .boot_epoch = 1, .cfg = &grant_default};
	Hg__LeaseReport r, *list = &r;
	struct asker a;
	char id[2][40] = {"01890000-0000-7000-8000-000000000003",
	    "01890000-0000-7000-8000-000000000004"};

	asker_open(&a, SPEC(""));
	a.now = x.now = BEGIN + HOUR;
	for (int i = 0; i < 2; i++) {
		a.id = id[i];
		a.period = a.granted = a.spent = 0;
		(void)asker_ask(&a, 100);
		hg__lease_report__init(&r);
		r.budget_uid = a.uid;
		r.period_start = a.period;
		r.granted = r.settled = r.returned = r.in_use = INT64_MAX;
		r.high_water = r.rate_per_s = r.w_p99 = INT64_MAX;
		r.steady_rate = r.horizon_max_ms = INT32_MAX;
		r.returned = 0;
		x.agent_id = str_of(a.id);
		IS(exchange_run(&x, a.db, &list, 1, &a.arena, &e), 0);
	}
	a.id = OTHER;
	a.period = a.granted = 0;
	(void)asker_ask(&a, 900); /* counts the others */
	ck_assert_int_ge(asker_ask(&a, 100)->granted, 100);
	asker_close(&a);
}
END_TEST

/* Money leaves a period only while the period is open: what a closed one had
 * left may have been carried over already. */
START_TEST(test_transfer_from_closed)
{
	struct budget_move m = {.amount = 400, .author = STR("me")};
	struct budget_closing c;
	struct asker a;
	uint64_t to;

	asker_open(&a, SPEC(",\"carry_over_percent\":100"));
	(void)lab_put(&a.l, 9, "acme.w",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
	    "\"period\":\"once\"}");
	to = lab_uid(&a.l, 9, "acme.w");
	a.now = BEGIN + HOUR;
	(void)asker_ask(&a, 0);
	a.now = BEGIN + DAY + BUDGET_CLOSE_SKEW_NS + 1000;
	IS(store_budget_close(a.l.store, a.now, &c, &e), 0);
	ck_assert_int_eq(c.closed, 1);
	ck_assert_int_eq(c.carried, 1000);
	/* a replica whose clock is a minute behind */
	m.budget_uid = a.uid;
	m.now = BEGIN + DAY - NS_PER_S;
	IS(db_begin(a.db, &e), 0);
	IS(store_budget_transfer(a.db, &m, to, &e), ERR_CONFLICT);
	db_rollback(a.db);
	ck_assert_int_eq(
	    pgtest_number(
		a.l.store, "SELECT sum(limit_nano)::bigint FROM budget_period"),
	    1000 + 2000);
	asker_close(&a);
}
END_TEST

/* A process died with requests in flight, its journal came completely: nothing
 * is out, so its period closes and carries without waiting for three days. */
START_TEST(test_close_after_crash)
{
	struct budget_closing c;
	struct asker a;
	Hg__LeaseReport r, *list = &r;
	struct exchange x = {.boot_epoch = 1, .cfg = &grant_default};
	int64_t released;

	asker_open(&a, SPEC(",\"carry_over_percent\":100"));
	x.agent_id = str_of(a.id);
	a.now = x.now = BEGIN + HOUR;
	(void)asker_ask(&a, 400);
	hg__lease_report__init(&r);
	r.budget_uid = a.uid;
	r.period_start = a.period;
	r.granted = 400;
	r.in_use = 300;
	IS(exchange_run(&x, a.db, &list, 1, &a.arena, &e), 0);
	ck_assert_int_eq(of_lease(&a, "r_in_use", a.id, BEGIN), 300);
	asker_charge(&a, a.period, 250);
	pgtest_sql(a.l.store,
	    "INSERT INTO usage_watermark (agent_id, boot_epoch, shard, seq, "
	    "closed) VALUES ('01890000-0000-7000-8000-000000000001', 1, 0, 1, "
	    "true)");
	IS(store_lease_release(a.l.store, str_of(a.id), 2, &released, &e), 0);
	ck_assert_int_eq(released, 150);
	a.now = BEGIN + DAY + BUDGET_CLOSE_SKEW_NS + 1000;
	IS(store_budget_close(a.l.store, a.now, &c, &e), 0);
	ck_assert_int_eq(c.closed, 1);
	ck_assert_int_eq(c.carried, 750);
	asker_close(&a);
}
END_TEST

/* Usage that says it was in periods that nobody knows makes rows to book it
 * in, but no money: nothing is carried over from them. */
START_TEST(test_carry_of_usage)
{
	const int64_t old = INT64_C(1706918400000000000); /* 2024-02-03 */
	struct budget_closing c;
	struct asker a;

	asker_open(&a, SPEC(",\"carry_over_percent\":100"));
	a.now = old + 12 * HOUR;
	(void)asker_ask(&a, 0);
	ck_assert_int_eq(a.period, old);
	for (int i = 2; i < 6; i++)
		asker_charge(&a, old - i * DAY, 1);
	a.now -= 9 * DAY; /* no period, but an instant */
	asker_charge(&a, 0, 1);
	a.now += 9 * DAY;
	IS(store_budget_close(a.l.store, a.now, &c, &e), 0);
	ck_assert_int_eq(c.closed, 5);
	ck_assert_int_eq(c.carried, 0);
	ck_assert_int_eq(asker_status(&a).limit, 1000);
	/* a period that was there is carried, though nothing was spent */
	a.now += DAY;
	IS(store_budget_close(a.l.store, a.now, &c, &e), 0);
	ck_assert_int_eq(c.closed, 1);
	ck_assert_int_eq(c.carried, 1000);
	asker_close(&a);
}
END_TEST

#define ONCE(to)                                                     \
	"{\"scope\":\"acme\",\"limit_usd\":\"0.000001\",\"period\":" \
	"\"once\",\"from\":\"2065-02-03T00:00:00Z\",\"to\":\"" to "\"}"

/* The end of a budget is put off after it was closed: it has one limit. */
START_TEST(test_once_made_longer)
{
	struct budget_closing c;
	struct asker a;

	asker_open(&a, ONCE("2065-02-04T00:00:00Z"));
	a.now = BEGIN + HOUR;
	(void)asker_ask(&a, 700);
	asker_charge(&a, BEGIN, 600);
	a.spent = 600;
	a.returned = 100;
	(void)asker_ask(&a, 0);
	a.now = BEGIN + DAY + BUDGET_CLOSE_SKEW_NS + 1000;
	IS(store_budget_close(a.l.store, a.now, &c, &e), 0);
	ck_assert_int_eq(c.closed, 1);
	(void)lab_put(&a.l, 9, "acme.b", ONCE("2065-02-06T00:00:00Z"));
	a.period = a.granted = a.spent = a.returned = 0;
	ck_assert(asker_ask(&a, 401)->exhausted);
	ck_assert_int_eq(asker_ask(&a, 400)->granted, 400);
	ck_assert_int_eq(asker_status(&a).limit, 400);
	/* late usage of the closed part is of the same limit */
	asker_charge(&a, a.period, 400);
	asker_charge(&a, BEGIN, 7);
	ck_assert_int_eq(asker_status(&a).free, -7);
	a.spent = 400;
	/* and once more */
	a.now = BEGIN + 3 * DAY + BUDGET_CLOSE_SKEW_NS + 1000;
	IS(store_budget_close(a.l.store, a.now, &c, &e), 0);
	ck_assert_int_eq(c.closed, 1);
	(void)lab_put(&a.l, 9, "acme.b", ONCE("2065-02-09T00:00:00Z"));
	a.period = a.granted = a.spent = a.returned = 0;
	ck_assert(asker_ask(&a, 1)->exhausted);
	asker_close(&a);
}
END_TEST

/* The last usage of a bucket reaches a threshold; nobody asks any more, so
 * there is no newer bucket. Told all the same, once. */
START_TEST(test_event_between_buckets)
{
	struct asker a;
	int64_t n = 0;

	asker_open(&a, "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
		       "\"period\":\"rolling\",\"rolling_hours\":24,"
		       "\"thresholds\":[50,80]}");
	a.now = BEGIN + HOUR - NS_PER_S;
	(void)asker_ask(&a, 700);
	a.now += 2 * NS_PER_S;
	asker_charge(&a, a.period, 700);
	IS(store_budget_raise(a.l.store, a.now, &n, &e), 0);
	ck_assert_int_eq(n, 1);
	a.now += HOUR;
	IS(store_budget_raise(a.l.store, a.now, &n, &e), 0);
	ck_assert_int_eq(n, 0);
	asker_close(&a);
}
END_TEST

static void
bill(struct lab *l, char seq)
{
	struct usage_evidence ev = {.attempt = 1,
	    .absent = true,
	    .request_id = "000?0100-0000-0000-0000-000000000000"};
	struct correction_result cr;
	struct db *db = NULL;

	ev.request_id[3] = seq;
	IS(store_take(l->store, &db, &e), 0);
	IS(db_begin(db, &e), 0);
	IS(store_usage_correct(db, &ev, 1, STR("bill"), &cr, &e), 0);
	IS(db_commit(db, &e), 0);
	store_give(db);
	ck_assert_int_eq((int64_t)cr.corrected, 1);
}

#define HELD(l) pgtest_number((l)->store, "SELECT held FROM budget_period")

/* Somebody decided about what estimates held; the bills that come later let go
 * of nothing that younger estimates hold by then. */
START_TEST(test_held_after_decision)
{
	struct doubt_decision d = {
	    .release = true, .author = STR("root"), .reason = STR("no")};
	struct lab_agent a;
	Hg__LeaseReport r;
	Hg__LeaseGrant g;
	Hg__UsageAck ack;
	struct db *db = NULL;
	int64_t amount = 0, wrong = -1;
	struct lab l;

	lab_open(&l);
	lab_config(&l);
	(void)lab_put(&l, 9, "acme.b",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.000001\","
	    "\"period\":\"month\"}");
	d.budget_uid = lab_uid(&l, 9, "acme.b");
	lab_agent(&l, "eu", &a);
	hg__lease_report__init(&r);
	r.budget_uid = d.budget_uid;
	r.want_min = r.want_total = 700;
	IS(lab_beat(&a, &r, &g), 0);
	d.period_start = g.period_start;
	a.estimated = 90;
	IS(lab_usage(
	       &a, 1, 0, 1, 3, 40, d.budget_uid, g.period_start, false, &ack),
	    0);
	ck_assert_int_eq(HELD(&l), 150);
	IS(store_take(l.store, &db, &e), 0);
	IS(store_doubt_decide(db, &d, &amount, &e), 0);
	ck_assert_int_eq(amount, 150);
	IS(lab_usage(
	       &a, 1, 0, 4, 2, 40, d.budget_uid, g.period_start, false, &ack),
	    0);
	ck_assert_int_eq(HELD(&l), 100);
	bill(&l, '1');
	bill(&l, '3');
	ck_assert_int_eq(HELD(&l), 100);
	bill(&l, '5'); /* its own */
	ck_assert_int_eq(HELD(&l), 50);
	bill(&l, '2');
	bill(&l, '4');
	ck_assert_int_eq(HELD(&l), 0);
	ck_assert_int_eq(
	    pgtest_number(l.store, "SELECT settled FROM budget_period"), 0);
	IS(store_lease_check(db, &wrong, &e), 0);
	ck_assert_int_eq(wrong, 0);
	store_give(db);
	lab_agent_free(&a);
	lab_close(&l);
}
END_TEST

/* n records on one budget, none of which can be believed but each of which
 * passes; the sums of all together would not fit into an integer. */
static void
flood(struct asker *a, uint64_t key, uint64_t seq, size_t n, bool estimated)
{
	Hg__UsageRecord *rec = calloc(n, sizeof(*rec));
	Hg__UsageRecord **list = calloc(n, sizeof(Hg__UsageRecord *));
	uint8_t(*rid)[16] = calloc(n, sizeof(*rid));
	Hg__Charge charge, *charges = &charge;
	struct usage_result r;
	Hg__UsageBatch b;

	hg__usage_batch__init(&b);
	hg__charge__init(&charge);
	charge.budget_uid = a->uid;
	charge.period_start = a->period;
	charge.reserved = INT64_MAX;
	b.boot_epoch = 1;
	b.first_seq = seq;
	b.records = list;
	b.n_records = n;
	for (size_t i = 0; i < n; i++) {
		hg__usage_record__init(&rec[i]);
		list[i] = &rec[i];
		memcpy(rid[i], &i, sizeof(i));
		rec[i].seq = seq + i;
		rec[i].attempt = 1;
		rec[i].request_id.data = rid[i];
		rec[i].request_id.len = 16;
		rec[i].started_at = a->now;
		rec[i].tenant_uid = lab_uid(&a->l, 1, "acme");
		rec[i].key_uid = key;
		rec[i].cost = estimated ? 1 : INT64_C(1000000000000000);
		rec[i].source = estimated
				    ? HG__USAGE_SOURCE__SOURCE_ESTIMATED
				    : HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
		rec[i].charges = &charges;
		rec[i].n_charges = 1;
	}
	IS(store_usage_ingest(a->l.store, str_of(a->id), &b, a->now, &r, &e),
	    0);
	ck_assert_uint_eq(r.watermark, seq + n - 1);
	free(rec);
	free(list);
	free(rid);
}

/* An agent that sends absurd numbers frees nothing by it. */
START_TEST(test_absurd_usage)
{
	enum { N = 9300 }; /* times 1e15 is more than an int64 holds */
	struct asker a;
	uint64_t key;

	asker_open(&a, SPEC(""));
	(void)lab_put(&a.l, 2, "acme.r", "{}");
	(void)lab_put(&a.l, 3, "acme.r.c", "{}");
	(void)lab_put(&a.l, 4, "acme.r.c.k", "{}");
	key = lab_uid(&a.l, 4, "acme.r.c.k");
	a.now = clock_wall(clock_system());
	(void)asker_ask(&a, 0);
	flood(&a, key, 1, N, true);
	flood(&a, key, N + 1, N, false);
	ck_assert_int_gt(
	    pgtest_number(a.l.store, "SELECT held FROM budget_period"), 0);
	ck_assert_int_gt(
	    pgtest_number(a.l.store, "SELECT settled FROM budget_period"), 0);
	ck_assert_int_lt(
	    pgtest_number(a.l.store, "SELECT free FROM budget_period"), 0);
	asker_close(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/money_edges");

	UNIT_ADD(s, test_report_meets_next_bucket);
	UNIT_ADD(s, test_absurd_report);
	UNIT_ADD(s, test_transfer_from_closed);
	UNIT_ADD(s, test_close_after_crash);
	UNIT_ADD(s, test_carry_of_usage);
	UNIT_ADD(s, test_once_made_longer);
	UNIT_ADD(s, test_event_between_buckets);
	UNIT_ADD(s, test_held_after_decision);
	UNIT_ADD(s, test_absurd_usage);
	return pgtest_run(s);
}
