/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases written many at once: the same as one by one under the lock, refused
 * where what was decided on does not hold any more, without deadlocks. Leases
 * that may be silent: they count as active, and their agents are told.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/rng.h"
#include "controlplane/money/exchange.h"
#include "controlplane/store/store_lease.h"
#include "tests/unit/controlplane/support/fleetlab.h"

#define AGENT	STR("01890000-0000-7000-8000-000000000001")
#define OTHER	STR("01890000-0000-7000-8000-000000000002")
#define NOW	INT64_C(1750000000000000000)
#define RECENT	(NOW - INT64_C(5000000000))
#define BUDGETS 8

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

struct some {
	struct lab l;
	struct db *db;
	uint64_t uid[2 * BUDGETS]; /* i and i + BUDGETS are alike */
	int64_t start;
};

static void
some_open(struct some *t)
{
	char name[40];

	lab_open_store(&t->l);
	(void)lab_put(&t->l, 1, "acme", "{}");
	for (unsigned i = 0; i < 2 * BUDGETS; i++) {
		snprintf(name, sizeof(name), "acme.b%02u", i);
		(void)lab_put(&t->l, 9, name,
		    "{\"scope\":\"acme\",\"limit_usd\":\"0.00001\","
		    "\"period\":\"once\"}");
		t->uid[i] = lab_uid(&t->l, 9, name);
	}
	IS(store_take(t->l.store, &t->db, &e), 0);
	for (unsigned i = 0; i < 2 * BUDGETS; i++) {
		struct lease_key key = {.budget_uid = t->uid[i]};
		struct lease_view v;

		IS(db_begin(t->db, &e), 0);
		IS(store_lease_lock(t->db, AGENT, 1, key, NOW, RECENT, &v, &e),
		    0);
		IS(db_commit(t->db, &e), 0);
		ck_assert_int_eq(v.limit, 10000);
		t->start = v.period_start;
	}
}

static void
some_close(struct some *t)
{
	int64_t wrong = -1;

	IS(store_lease_check(t->db, &wrong, &e), 0);
	ck_assert_int_eq(wrong, 0);
	store_give(t->db);
	lab_close(&t->l);
}

static struct lease_view
seen(struct some *t, struct str agent, unsigned i)
{
	struct lease_key key = {.budget_uid = t->uid[i]};
	struct lease_view v;

	IS(store_lease_read(t->db, agent, 1, &key, 1, NOW, RECENT, &v, &e), 0);
	return v;
}

/* What was decided on what is there. */
static struct lease_write
decided(const struct lease_view *v, int64_t grant, int64_t returned)
{
	return (struct lease_write){.budget_uid = v->budget_uid,
	    .period_start = v->period_start,
	    .grant = grant,
	    .returned = returned,
	    .report_at = NOW,
	    .fence_at = NOW + 1,
	    .floor = 1,
	    .version = v->version,
	    .seen_granted = v->exists ? v->granted : -1,
	    .seen_returned = v->returned};
}

/* One by one, as the single path does. */
static void
write_one(struct some *t, struct str agent, const struct lease_write *w)
{
	struct lease_key key = {.budget_uid = w->budget_uid};
	struct lease_view v;

	IS(db_begin(t->db, &e), 0);
	IS(store_lease_lock(t->db, agent, 1, key, NOW, RECENT, &v, &e), 0);
	IS(store_lease_write(t->db, agent, 1, w, &e), 0);
	IS(db_commit(t->db, &e), 0);
}

static bool
write_at_once(struct some *t, struct str agent, const struct lease_write *w)
{
	bool written = true;

	IS(store_lease_write_some(t->db, agent, 1, w, 1, &written, &e), 0);
	return written;
}

static void
same(const struct lease_view *a, const struct lease_view *b)
{
	ck_assert_int_eq(a->free, b->free);
	ck_assert_int_eq(a->exists, b->exists);
	ck_assert_int_eq(a->granted, b->granted);
	ck_assert_int_eq(a->returned, b->returned);
	ck_assert_int_eq(a->settled, b->settled);
	ck_assert_int_eq(a->high_water, b->high_water);
	ck_assert_int_eq(a->r_settled, b->r_settled);
	ck_assert_int_eq(a->r_in_use, b->r_in_use);
	ck_assert_int_eq(a->report_at, b->report_at);
	ck_assert_int_eq(a->fence_at, b->fence_at);
	ck_assert_int_eq(a->recall, b->recall);
}

/* Charges lower settled's rest and so what can be returned. */
static void
charge(struct some *t, unsigned i, int64_t cost)
{
	struct lease_charge c[2] = {
	    {.budget_uid = t->uid[i]}, {.budget_uid = t->uid[i + BUDGETS]}};

	for (unsigned k = 0; k < 2; k++) {
		c[k].period_start = t->start;
		c[k].boot_epoch = 1;
		c[k].cost = cost;
		c[k].last_at = NOW;
	}
	IS(db_begin(t->db, &e), 0);
	IS(store_lease_charge(t->db, AGENT, c, 2, &e), 0);
	IS(db_commit(t->db, &e), 0);
}

/* Random moves and reports: set of the first half, one by one of the other. */
START_TEST(test_same)
{
	struct rng_seeded rng;
	struct some t;
	unsigned moved = 0;

	some_open(&t);
	rng_seeded_init(&rng, 25);
#define BELOW(n) ((int64_t)rng_below(&rng.rng, (uint64_t)(n)))
	for (unsigned round = 0; round < 150; round++) {
		struct lease_write w[BUDGETS];
		bool written[BUDGETS];
		unsigned at[BUDGETS], n = 0;

		for (unsigned i = 0; i < BUDGETS; i++) {
			struct lease_view v = seen(&t, AGENT, i);

			if (BELOW(4) == 0)
				continue;
			w[n] = decided(&v, v.free > 10 ? BELOW(v.free / 10) : 0,
			    v.returned + BELOW(60));
			w[n].high_water = BELOW(2000);
			w[n].r_settled = BELOW(2000);
			w[n].r_in_use = BELOW(300);
			w[n].fence_at = NOW + BELOW(1000);
			if (BELOW(5) == 0) { /* a report only */
				w[n].grant = w[n].floor = 0;
				w[n].returned = v.returned;
			}
			at[n++] = i;
		}
		IS(store_lease_write_some(t.db, AGENT, 1, w, n, written, &e),
		    0);
		for (unsigned k = 0; k < n; k++) {
			ck_assert(written[k] || w[k].floor == 0);
			moved += w[k].floor > 0;
			w[k].budget_uid = t.uid[at[k] + BUDGETS];
			if (written[k])
				write_one(&t, AGENT, &w[k]);
		}
		charge(&t, (unsigned)BELOW(BUDGETS), BELOW(50));
		for (unsigned i = 0; i < BUDGETS; i++) {
			struct lease_view a = seen(&t, AGENT, i);
			struct lease_view b = seen(&t, AGENT, i + BUDGETS);

			same(&a, &b);
		}
	}
	ck_assert_uint_gt(moved, 500);
	some_close(&t);
}
END_TEST

/* Every condition, by itself, refuses and leaves all as it was. */
START_TEST(test_conditions)
{
	struct some t;
	struct lease_view v, after;
	struct lease_write w, good;
	char sql[300];

	some_open(&t);
	v = seen(&t, AGENT, 0);
	good = decided(&v, 100, 0);
	ck_assert(!v.exists && write_at_once(&t, AGENT, &good));
	v = seen(&t, AGENT, 0);
	ck_assert_int_eq(v.granted, 100);
	ck_assert_int_eq(v.free, 9900);
	/* the same decision again: the lease is not what was seen */
	ck_assert(!write_at_once(&t, AGENT, &good));
	good = decided(&v, 50, 0);
	good.floor = 9900;
#define REFUSED(change)                                                \
	do {                                                           \
		w = good;                                              \
		change;                                                \
		ck_assert_msg(!write_at_once(&t, AGENT, &w), #change); \
		after = seen(&t, AGENT, 0);                            \
		ck_assert_int_eq(after.granted, 100);                  \
		ck_assert_int_eq(after.free, 9900);                    \
		ck_assert_int_eq(after.report_at, v.report_at);        \
	} while (0)
	REFUSED(w.floor = 9901);
	REFUSED(w.version--);
	REFUSED(w.version++);
	REFUSED(w.seen_granted = 99);
	REFUSED(w.seen_granted = -1);
	REFUSED(w.seen_returned = 1);
	REFUSED(w.period_start++);
	snprintf(sql, sizeof(sql),
	    "UPDATE lease SET recall = true "
	    "WHERE budget_uid = %lld",
	    (long long)t.uid[0]);
	pgtest_sql(t.l.store, sql);
	REFUSED((void)0);
	pgtest_sql(t.l.store, "UPDATE lease SET recall = false");
	pgtest_sql(t.l.store, "UPDATE budget_period SET state = 'closing'");
	REFUSED((void)0);
	pgtest_sql(t.l.store, "UPDATE budget_period SET state = 'open'");
	pgtest_sql(t.l.store, "UPDATE budget_period SET period_end = 2");
	REFUSED((void)0);
	pgtest_sql(t.l.store,
	    "UPDATE budget_period SET period_end = 9223372036854775807");
	/* another process of the agent has begun */
	pgtest_sql(t.l.store,
	    "INSERT INTO agent (id, hostname, agent_group, region, public_key, "
	    "join_token, boot_epoch) VALUES "
	    "('01890000-0000-7000-8000-000000000001', '', 'g', 'r', '\\x00', "
	    "'j', 2)");
	REFUSED((void)0);
	pgtest_sql(t.l.store, "UPDATE agent SET boot_epoch = 1");
	/* and with nothing of that, it is written */
	ck_assert(write_at_once(&t, AGENT, &good));
	after = seen(&t, AGENT, 0);
	ck_assert_int_eq(after.granted, 150);
	ck_assert_int_eq(after.free, 9850);
	some_close(&t);
}
END_TEST

/* An agent that may be silent counts, as long as it holds rights. */
START_TEST(test_quiet)
{
	struct some t;
	struct lease_view v;
	struct lease_write w;

	some_open(&t);
	v = seen(&t, OTHER, 0);
	w = decided(&v, 400, 0);
	w.report_at = RECENT - 1;
	w.r_in_use = 100;
	ck_assert(write_at_once(&t, OTHER, &w));
	v = seen(&t, AGENT, 0);
	ck_assert(v.counted);
	ck_assert_int_eq(v.n_active, 0); /* silent for too long */
	ck_assert_int_eq(v.recallable, 0);
	v = seen(&t, OTHER, 0);
	w = decided(&v, 0, 0);
	w.report_at = RECENT - 1;
	w.r_in_use = 100;
	w.floor = 0;
	w.quiet_until = NOW;
	ck_assert(write_at_once(&t, OTHER, &w));
	v = seen(&t, AGENT, 0);
	ck_assert_int_eq(v.n_active, 1);
	ck_assert_int_eq(v.recallable, 300);
	ck_assert_int_eq(v.busy, 100);
	/* it does not fall, neither here nor by the single path */
	w.quiet_until = NOW - 1;
	ck_assert(write_at_once(&t, OTHER, &w));
	ck_assert_int_eq(seen(&t, AGENT, 0).n_active, 1);
	write_one(&t, OTHER, &w);
	ck_assert_int_eq(seen(&t, AGENT, 0).n_active, 1);
	w.returned = 400; /* nothing is left there */
	w.r_in_use = 0;
	write_one(&t, OTHER, &w);
	v = seen(&t, AGENT, 0);
	ck_assert_int_eq(v.n_active, 0);
	ck_assert_int_eq(v.free, 10000);
	some_close(&t);
}
END_TEST

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned n, ready;
	char payload[64];
} heard = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void
hear(void *ctx, const char *channel, const char *payload)
{
	(void)ctx, (void)channel;
	pthread_mutex_lock(&heard.lock);
	if (payload == NULL)
		heard.ready++;
	else {
		heard.n++;
		snprintf(heard.payload, sizeof(heard.payload), "%s", payload);
	}
	pthread_cond_broadcast(&heard.more);
	pthread_mutex_unlock(&heard.lock);
}

static void
wait_heard(unsigned n)
{
	pthread_mutex_lock(&heard.lock);
	while (heard.ready == 0 || heard.n < n)
		pthread_cond_wait(&heard.more, &heard.lock);
	ck_assert_uint_eq(heard.n, n);
	pthread_mutex_unlock(&heard.lock);
}

/* Who may be silent is told of a recall, once a second while it is needed. */
START_TEST(test_told)
{
	static const char *const channels[] = {STORE_CHANNEL_RECALL};
	struct store_listener *listener = NULL;
	struct some t;
	struct lease_view v;
	struct lease_write w, ask;
	char uid[32];

	some_open(&t);
	IS(store_listen(t.l.store, channels, 1, hear, NULL, &listener, &e), 0);
	wait_heard(0);
	v = seen(&t, OTHER, 3);
	w = decided(&v, 400, 0);
	w.report_at = RECENT - 1;
	ck_assert(write_at_once(&t, OTHER, &w));
	v = seen(&t, AGENT, 3);
	ask = decided(&v, 0, 0);
	ask.recall_others = true;
	write_one(&t, AGENT, &ask); /* it is not silent by permission: no */
	v = seen(&t, OTHER, 3);
	ck_assert(v.recall);
	w = decided(&v, 0, 0);
	w.report_at = RECENT - 1;
	w.quiet_until = NOW + 3 * NS_PER_S;
	w.recall = true;
	write_one(&t, OTHER, &w);
	write_one(&t, AGENT, &ask); /* yes */
	wait_heard(1);
	snprintf(uid, sizeof(uid), "%llu", (unsigned long long)t.uid[3]);
	ck_assert_str_eq(heard.payload, uid);
	ask.report_at = NOW + NS_PER_S;
	write_one(&t, AGENT, &ask); /* not yet again */
	ask.report_at++;
	write_one(&t, AGENT, &ask); /* yes */
	wait_heard(2);
	ck_assert_int_eq(seen(&t, AGENT, 3).recall_at, ask.report_at);
	/* who reported a moment ago may be silent from then on: told */
	w.report_at = ask.report_at = NOW + 3 * NS_PER_S;
	write_one(&t, OTHER, &w);
	write_one(&t, AGENT, &ask);
	wait_heard(3);
	ask.report_at = NOW + 5 * NS_PER_S; /* silent for too long */
	write_one(&t, AGENT, &ask);
	ask.budget_uid = t.uid[4]; /* nobody holds anything there */
	write_one(&t, AGENT, &ask);
	/* notifications come in order: one of our own is the next */
	pgtest_sql(t.l.store, "NOTIFY headgate_recall, 'end'");
	wait_heard(4);
	ck_assert_str_eq(heard.payload, "end");
	store_unlisten(listener);
	some_close(&t);
}
END_TEST

/* ---- at the same time ---------------------------------------------------- */

struct crosser {
	pthread_t thread;
	struct some *t;
	unsigned no;
	int64_t granted[BUDGETS];
	int rc;
	char text[512];
};

/* Reports of an agent on all budgets, in its own order; every few rounds it
 * wants more than is plenty, which goes one by one. */
static void *
crosser_main(void *arg)
{
	struct crosser *c = arg;
	struct arena a;
	struct db *db = NULL;
	struct error err = {0};
	char id[37];

	snprintf(
	    id, sizeof(id), "01890000-0000-7000-8000-00000000000%u", c->no);
	arena_init(&a, 1 << 16, 16 << 20);
	c->rc = store_take(c->t->l.store, &db, &err);
	for (unsigned round = 0; c->rc == 0 && round < 150; round++) {
		Hg__LeaseReport v[BUDGETS], *list[BUDGETS];
		struct exchange x = {.agent_id = str_of(id),
		    .boot_epoch = 1,
		    .now = NOW + round,
		    .cfg = &grant_default};

		for (unsigned k = 0; k < BUDGETS; k++) {
			unsigned i = c->no % 2 ? k : BUDGETS - 1 - k;

			hg__lease_report__init(&v[k]);
			v[k].budget_uid = c->t->uid[i];
			v[k].granted = c->granted[i];
			v[k].returned = round % 5 == 4 ? c->granted[i] : 0;
			v[k].w_p99 = 2 * round + 1;
			if (round % 3 == 2)
				v[k].want_min = v[k].want_total = 40 * round;
			list[k] = &v[k];
		}
		c->rc = exchange_run(&x, db, list, BUDGETS, &a, &err);
		for (size_t g = 0; g < x.n_grants; g++)
			for (unsigned i = 0; i < BUDGETS; i++)
				if (c->t->uid[i] == x.grants[g]->budget_uid)
					c->granted[i] = x.grants[g]->granted;
		arena_clear(&a);
	}
	snprintf(c->text, sizeof(c->text), "%s", err.text);
	store_give(db);
	arena_release(&a);
	return NULL;
}

START_TEST(test_crossing)
{
	struct crosser c[4] = {0};
	struct some t;

	some_open(&t);
	pgtest_sql(t.l.store, "UPDATE budget_period SET free = free + 90000000,"
			      " limit_nano = limit_nano + 90000000, "
			      "base_nano = base_nano + 90000000");
	for (unsigned i = 0; i < 4; i++) {
		c[i].t = &t;
		/* 1 and 3 are one agent with two messages under way */
		c[i].no = i == 3 ? 1 : i + 1;
		pthread_create(&c[i].thread, NULL, crosser_main, &c[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(c[i].thread, NULL);
		ck_assert_msg(c[i].rc == 0, "%d %s", c[i].rc, c[i].text);
	}
	ck_assert_int_eq(
	    pgtest_number(t.l.store, "SELECT deadlocks FROM pg_stat_database "
				     "WHERE datname = current_database()"),
	    0);
	some_close(&t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/lease_some");

	UNIT_ADD(s, test_same);
	UNIT_ADD(s, test_conditions);
	UNIT_ADD(s, test_quiet);
	UNIT_ADD(s, test_told);
	UNIT_ADD(s, test_crossing);
	return pgtest_run(s);
}
