/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places of values (schema/0132_value_places.sql): who was not used for long
 * gives up his place and nothing else; without a place nobody is granted
 * anything, whoever still knows the cell; and in no period do more values spend
 * than there are places, while cells retire and come back under many agents.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "agent/money/lease_value.h"
#include "common/clock.h"
#include "controlplane/money/value.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_value.h"
#include "tests/unit/controlplane/support/fleetlab.h"

#define LIMIT 10000 /* nano-USD of each value */
#define DAY   (24 * 3600 * NS_PER_S)
#define IDLE  (35 * DAY)

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

/* All of a test run on one clock, which only goes when it is told to. */
static int64_t start;
static _Atomic int64_t passed;
static pthread_rwlock_t clock_lock = PTHREAD_RWLOCK_INITIALIZER;

static void
pass(int64_t ns)
{
	pthread_rwlock_wrlock(&clock_lock);
	atomic_fetch_add(&passed, ns);
	pthread_rwlock_unlock(&clock_lock);
}

static int64_t
now_wall(void)
{
	return start + atomic_load(&passed);
}

static struct db *
take(struct lab *l)
{
	struct db *db = NULL;

	IS(store_take(l->store, &db, &e), 0);
	return db;
}

/* A fresh database with a budget for each user. */
static uint64_t
begin(struct lab *l, const char *period, unsigned places)
{
	char spec[300];

	start = clock_wall(clock_system());
	atomic_store(&passed, 0);
	lab_open_store(l);
	(void)lab_put(l, 1, "acme", "{}");
	snprintf(spec, sizeof(spec),
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.00001\",%s,"
	    "\"time_zone\":\"UTC\",\"each\":\"user\",\"max_values\":%u}",
	    period, places);
	(void)lab_put(l, 9, "acme.each", spec);
	return lab_uid(l, 9, "acme.each");
}

#define N(l, ...)                                            \
	({                                                   \
		char n_sql[400];                             \
                                                             \
		snprintf(n_sql, sizeof(n_sql), __VA_ARGS__); \
		pgtest_number((l)->store, n_sql);            \
	})

/* What must hold after each test. */
static void
end(struct lab *l)
{
	struct db *db = take(l);
	int64_t wrong = -1;

	IS(store_lease_check(db, &wrong, &e), 0);
	ck_assert_int_eq(wrong, 0);
	store_give(db);
	ck_assert_int_eq(
	    N(l, "SELECT count(*) FROM budget_each e WHERE e.n <> (SELECT "
		 "count(*) FROM budget_value v WHERE v.budget_uid = "
		 "e.budget_uid AND v.retired_at IS NULL)"),
	    0);
	lab_close(l);
}

/* As often as one likes, not once an hour. */
static int64_t
retire(struct lab *l, int64_t idle)
{
	int64_t n = -1;

	pgtest_sql(l->store, "UPDATE budget_each SET swept_ns = 0");
	IS(store_value_retire(l->store, now_wall(), idle, &n, &e), 0);
	return n;
}

/* ---- agents -------------------------------------------------------------- */

struct agent_of {
	struct db *db;
	struct lease_table *table;
	struct budget_cell *parent;
	struct b_filter filter;
	struct b_key key;
	struct arena arena;
	char id[AGENT_ID_CAP];
	int64_t late; /* after the clock of all, so that time goes on */
	uint64_t n_refused;
};

static void
agent_open(struct agent_of *a, struct lab *l, uint64_t uid, unsigned n)
{
	struct budget_setting s;

	memset(a, 0, sizeof(*a));
	a->db = take(l);
	a->table = lease_table_new(NULL);
	a->parent = lease_table_cell(a->table, uid, STR("acme.each"));
	a->filter.each = STR("user");
	a->key.n_budgets = 1;
	a->key.budgets[0] = a->parent;
	a->key.filters = &a->filter;
	s = (struct budget_setting){
	    .cell = a->parent, .limit = LIMIT, .filter = a->filter};
	lease_table_publish(a->table, &s, 1);
	arena_init(&a->arena, 4096, 1 << 20);
	snprintf(a->id, sizeof(a->id), "01890000-0000-7000-8000-00000000000%u",
	    n % 10);
}

static void
agent_close(struct agent_of *a)
{
	lease_table_free(a->table);
	arena_release(&a->arena);
	store_give(a->db);
}

static int64_t
agent_mono(const struct agent_of *a)
{
	return 1000 * NS_PER_S + atomic_load(&passed) + a->late;
}

static void
agent_beat(struct agent_of *a, bool urgent)
{
	struct exchange x = {.agent_id = str_of(a->id),
	    .boot_epoch = 1,
	    .lease_only = urgent,
	    .cfg = &grant_default};
	Hg__LeaseReport **reports = NULL;
	size_t n = 0;
	int64_t sent;

	/* Nobody's clock is behind, as replicas' may be by a little. */
	pthread_rwlock_rdlock(&clock_lock);
	sent = agent_mono(a);
	x.now = now_wall();
	arena_clear(&a->arena);
	MUST(lease_table_report(
		 a->table, sent, urgent, &a->arena, &reports, &n) == 0);
	IS(value_exchange(&x, a->db, reports, n, &a->arena, &e), 0);
	pthread_rwlock_unlock(&clock_lock);
	a->late += NS_PER_MS;
	(void)lease_table_reply(
	    a->table, sent, agent_mono(a), x.grants, x.n_grants);
}

/* Nobody comes for a while. */
static void
agent_rests(struct agent_of *a)
{
	for (int i = 0; i < 10; i++) {
		a->late += NS_PER_S;
		agent_beat(a, false);
	}
}

static enum lease_verdict
agent_wait(struct agent_of *a, struct budget_cell *cell, int64_t w)
{
	uint64_t gen = lease_wait(cell, w);
	enum lease_verdict v;

	agent_beat(a, true);
	v = lease_verdict(cell, w, gen, 0);
	lease_wait_done(cell, w);
	return v;
}

/* 0; or ERR_BUDGET_BUSY, when the budget counts no more values. */
static int
agent_reserve(
    struct agent_of *a, const char *user, int64_t w, struct reservation *r)
{
	struct budget_cell *path[BUNDLE_MAX_BUDGETS], *cell;
	struct b_filter what = {.route_uid = 1};
	struct tags tags = {.len = 0};

	tags_add_user(&tags, str_of(user));
	what.tags = &tags;
	for (int i = 0; i < 8; i++) {
		MUST(lease_path(&a->key, &what, path) == 1);
		if (lease_reserve_path(path, 1, w, agent_mono(a), r, &cell) ==
		    0) {
			MUST(!lease_value_is_refused(path[0]));
			return 0;
		}
		MUST(str_eqz(lease_value_text(cell), user));
		if (agent_wait(a, cell, w) == LEASE_BUSY &&
		    lease_value_is_refused(cell)) {
			a->n_refused++;
			return ERR_BUDGET_BUSY;
		}
	}
	return ERR_AGAIN;
}

static void
agent_settle(struct agent_of *a, struct reservation *r, int64_t cost)
{
	struct lease_charge c = {.budget_uid = r->cells[0]->uid,
	    .period_start = r->leases[0]->period_start,
	    .boot_epoch = 1,
	    .cost = cost,
	    .last_at = now_wall()};

	IS(db_begin(a->db, &e), 0);
	IS(store_lease_charge(a->db, str_of(a->id), &c, 1, &e), 0);
	IS(db_commit(a->db, &e), 0);
	lease_settle(r, cost);
}

/* He spends so much, and nobody comes for a while. Returns his cell's uid. */
static uint64_t
spend(struct agent_of *a, const char *user, int64_t cost)
{
	struct reservation r;
	uint64_t cell;

	IS(agent_reserve(a, user, cost, &r), 0);
	cell = r.cells[0]->uid;
	agent_settle(a, &r, cost);
	agent_rests(a);
	return cell;
}

static int
try_spend(struct agent_of *a, const char *user)
{
	struct reservation r;
	int rc = agent_reserve(a, user, 1, &r);

	if (rc == 0)
		lease_cancel(&r);
	agent_rests(a);
	return rc;
}

/* ---- one after the other ------------------------------------------------- */

/* Those who left make room; who comes back goes on in the same cell. */
START_TEST(test_room)
{
	struct value_sum sum;
	struct agent_of a, b;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", 2), alice, bob;

	agent_open(&a, &l, uid, 1);
	agent_open(&b, &l, uid, 2);
	alice = spend(&a, "alice", 100);
	bob = spend(&a, "bob", 200);
	IS(try_spend(&b, "carol"), ERR_BUDGET_BUSY);
	/* not before they were away for so long */
	pass(34 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 0);
	IS(try_spend(&b, "carol"), ERR_BUDGET_BUSY);
	pass(2 * DAY);
	pgtest_sql(l.store, "UPDATE lease SET updated_at = updated_at + "
			    "interval '10 days' WHERE budget_uid = (SELECT "
			    "cell_uid FROM budget_value WHERE value = 'bob')");
	ck_assert_int_eq(retire(&l, IDLE), 1); /* alice */
	ck_assert_int_eq(retire(&l, IDLE), 0);
	ck_assert_uint_ne(spend(&b, "carol", 300), 0);
	/* whoever knows her cell: neither agent gets anything for it */
	IS(try_spend(&a, "alice"), ERR_BUDGET_BUSY);
	IS(try_spend(&b, "alice"), ERR_BUDGET_BUSY);
	IS(store_value_sum(a.db, uid, now_wall(), &sum, &e), 0);
	ck_assert_int_eq(sum.n, 2);
	ck_assert_int_eq(sum.n_retired, 1);
	ck_assert_uint_eq(spend(&a, "bob", 1), bob);
	/* bob leaves, too: she takes his place, and is who she was */
	pass(46 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 2);
	ck_assert_uint_eq(spend(&b, "alice", 50), alice);
	ck_assert_uint_eq(spend(&a, "alice", 50), alice);
	ck_assert_int_eq(
	    N(&l,
		"SELECT sum(settled) FROM budget_period WHERE budget_uid = "
		"%llu",
		(unsigned long long)alice),
	    200);
	ck_assert_int_eq(
	    N(&l, "SELECT count(*) FROM budget_value WHERE value = 'alice'"),
	    1);
	agent_close(&a);
	agent_close(&b);
	end(&l);
}
END_TEST

/* Whose whole limit does not pay for who waits takes no place. */
START_TEST(test_short)
{
	enum value_state state;
	struct agent_of a;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", 1), alice;

	agent_open(&a, &l, uid, 1);
	alice = spend(&a, "alice", 100);
	pass(40 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 1);
	IS(store_value_place(a.db, alice, LIMIT + 1, now_wall(), &state, &e),
	    0);
	ck_assert_int_eq(state, VALUE_TOO_DEAR);
	ck_assert_int_eq(N(&l, "SELECT n FROM budget_each"), 0);
	IS(store_value_place(a.db, alice, LIMIT, now_wall(), &state, &e), 0);
	ck_assert_int_eq(state, VALUE_OK);
	IS(store_value_place(a.db, alice, LIMIT + 1, now_wall(), &state, &e),
	    0);
	ck_assert_int_eq(state, VALUE_OK); /* has one */
	ck_assert_int_eq(N(&l, "SELECT n FROM budget_each"), 1);
	/* a place that was taken and not used counts from then on */
	pass(30 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 0);
	pass(6 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 1);
	(void)lab_delete(&l, 9, "acme.each");
	IS(store_value_place(a.db, alice, 1, now_wall(), &state, &e), 0);
	ck_assert_int_eq(state, VALUE_GONE);
	ck_assert_int_eq(retire(&l, IDLE), 0);
	agent_close(&a);
	end(&l);
}
END_TEST

/* What keeps a place: money spent in the period or window, however long that
 * is; rights out; doubt; what is held behind estimates; a limit for ever. */
START_TEST(test_kept)
{
	static const struct {
		const char *period;
		int days; /* until it may go, at least and at most */
	} c[] = {{"\"period\":\"month\"", 0},
	    {"\"period\":\"rolling\",\"rolling_hours\":1", 0},
	    {"\"period\":\"once\"", -1},
	    {"\"period\":\"once\",\"to\":\"2020-01-01T00:00:00Z\"", -1},
	    {"\"period\":\"year\"", 366}};
	struct agent_of a;
	struct lab l;

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		uint64_t uid = begin(&l, c[i].period, 1);
		int64_t n = 0;

		agent_open(&a, &l, uid, 1);
		if (strstr(c[i].period, "2020") == NULL)
			(void)spend(&a, "alice", 100);
		pass(70 * DAY);
		n = retire(&l, IDLE);
		if (c[i].days < 0)
			ck_assert_int_eq(n, 0);
		else if (c[i].days == 0)
			ck_assert_int_eq(n, 1);
		pass(300 * DAY); /* another year */
		n += retire(&l, IDLE);
		ck_assert_int_eq(n, c[i].days >= 0);
		agent_close(&a);
		end(&l);
	}
}
END_TEST

/* While the year lasts, in which he spent. */
START_TEST(test_year)
{
	struct agent_of a;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"year\"", 1);

	agent_open(&a, &l, uid, 1);
	(void)spend(&a, "alice", 100);
	pgtest_sql(l.store, "UPDATE budget_period SET period_end = hg_ns(now() "
			    "+ interval '100 days')");
	pass(99 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 0);
	pass(2 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 1);
	agent_close(&a);
	end(&l);
}
END_TEST

START_TEST(test_out)
{
	struct reservation r;
	struct agent_of a;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", 1);

	agent_open(&a, &l, uid, 1);
	IS(agent_reserve(&a, "alice", 100, &r), 0);
	pass(40 * DAY); /* a request that takes long, or an agent that died */
	ck_assert_int_eq(retire(&l, IDLE), 0);
	agent_settle(&a, &r, 60);
	agent_rests(&a);
	pass(40 * DAY);
	pgtest_sql(
	    l.store, "UPDATE budget_period SET held = 1, free = free - 1");
	ck_assert_int_eq(retire(&l, IDLE), 0);
	pgtest_sql(
	    l.store, "UPDATE budget_period SET held = 0, free = free + 1");
	pgtest_sql(l.store, "UPDATE lease SET doubtful = true");
	ck_assert_int_eq(retire(&l, IDLE), 0);
	pgtest_sql(l.store, "UPDATE lease SET doubtful = false");
	ck_assert_int_eq(retire(&l, IDLE), 1);
	agent_close(&a);
	end(&l);
}
END_TEST

/* Usage of before that comes late is booked on who retired. */
START_TEST(test_late)
{
	struct lease_charge c = {.boot_epoch = 1, .cost = 7};
	struct agent_of a;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", 1), alice;

	agent_open(&a, &l, uid, 1);
	alice = spend(&a, "alice", 100);
	c.last_at = now_wall();
	pass(40 * DAY);
	ck_assert_int_eq(retire(&l, IDLE), 1);
	c.budget_uid = alice;
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_charge(a.db, STR("other"), &c, 1, &e), 0);
	IS(db_commit(a.db, &e), 0);
	ck_assert_int_eq(
	    N(&l,
		"SELECT sum(settled) FROM budget_period WHERE budget_uid = "
		"%llu",
		(unsigned long long)alice),
	    107);
	ck_assert_int_eq(N(&l, "SELECT n FROM budget_each"), 0);
	agent_close(&a);
	end(&l);
}
END_TEST

/* ---- a retirement meets a grant ------------------------------------------ */

/* Decided before it retired, written after: both ways of writing refuse. */
START_TEST(test_decided_before)
{
	struct lease_write w = {.grant = 10, .floor = 10, .seen_granted = -1};
	struct lease_view view;
	struct lease_key key;
	struct agent_of a;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", 1), alice;
	bool written;

	agent_open(&a, &l, uid, 1);
	alice = spend(&a, "alice", 100);
	pass(40 * DAY);
	key = (struct lease_key){.budget_uid = alice};
	/* somebody reported: the current period has a row */
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_lock(
	       a.db, str_of(a.id), 1, key, now_wall(), 0, &view, &e),
	    0);
	/* while he has it nothing retires */
	ck_assert_int_eq(retire(&l, IDLE), 0);
	IS(db_commit(a.db, &e), 0);
	ck_assert(view.is_current && !view.retired);
	/* nor when the row was there before */
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_lock(
	       a.db, str_of(a.id), 1, key, now_wall(), 0, &view, &e),
	    0);
	ck_assert_int_eq(retire(&l, IDLE), 0);
	db_rollback(a.db);
	w.budget_uid = alice;
	w.period_start = view.period_start;
	w.version = view.version;
	w.report_at = now_wall();
	ck_assert_int_eq(retire(&l, IDLE), 1);
	IS(store_lease_write_some(a.db, str_of(a.id), 1, &w, 1, &written, &e),
	    0);
	ck_assert(!written);
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_lock(
	       a.db, str_of(a.id), 1, key, now_wall(), 0, &view, &e),
	    0);
	ck_assert(view.retired);
	IS(store_lease_write(a.db, str_of(a.id), 1, &w, &e), ERR_CONFLICT);
	db_rollback(a.db);
	/* and with a place they would have written */
	pgtest_sql(l.store, "UPDATE budget_value SET retired_at = NULL; "
			    "UPDATE budget_each SET n = 1");
	IS(store_lease_write_some(a.db, str_of(a.id), 1, &w, 1, &written, &e),
	    0);
	ck_assert(written);
	agent_close(&a);
	end(&l);
}
END_TEST

/* The period is being made by whoever is about to grant. */
START_TEST(test_made_meanwhile)
{
	struct lease_write w = {.grant = 10};
	struct lease_view view;
	struct lease_key key;
	struct agent_of a;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", 1), alice;

	agent_open(&a, &l, uid, 1);
	alice = spend(&a, "alice", 100);
	pass(40 * DAY);
	key = (struct lease_key){.budget_uid = alice};
	IS(db_begin(a.db, &e), 0);
	IS(store_lease_lock(
	       a.db, str_of(a.id), 1, key, now_wall(), 0, &view, &e),
	    0);
	ck_assert(!view.exists && !view.retired);
	ck_assert_int_eq(retire(&l, IDLE), 0);
	w.budget_uid = alice;
	w.period_start = view.period_start;
	IS(store_lease_write(a.db, str_of(a.id), 1, &w, &e), 0);
	IS(db_commit(a.db, &e), 0);
	ck_assert_int_eq(retire(&l, IDLE), 0); /* rights are out */
	agent_close(&a);
	end(&l);
}
END_TEST

static struct store *retiring;

static void *
retire_main(void *arg)
{
	int64_t *n = arg;

	IS(store_value_retire(retiring, now_wall(), IDLE, n, &e), 0);
	return NULL;
}

/* It was found to be idle, and is granted something before it is locked. */
START_TEST(test_granted_meanwhile)
{
	static const struct db_stmt made = {
	    "INSERT INTO budget_period (budget_uid, period_start, "
	    "period_end, limit_nano, free, base_nano, config_version) "
	    "SELECT v.cell_uid, c.period_start, c.period_end, c.lim, c.lim, "
	    "c.lim, c.version FROM budget_value v CROSS JOIN LATERAL "
	    "hg_budget_now(v.cell_uid, $1) c"};
	struct db_rows *r = NULL;
	struct lease_write w = {.grant = 10};
	struct lease_view view;
	struct lease_key key;
	pthread_t thread;
	struct agent_of a;
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", 1);
	int64_t n = -1;

	agent_open(&a, &l, uid, 1);
	key = (struct lease_key){.budget_uid = spend(&a, "alice", 100)};
	pass(40 * DAY);
	retiring = l.store;
	IS(db_begin(a.db, &e), 0);
	/* who reads passes, who locks a row waits */
	IS(db_script(a.db, "LOCK TABLE budget_period IN EXCLUSIVE MODE", &e),
	    0);
	pthread_create(&thread, NULL, retire_main, &n);
	while (N(&l, "SELECT count(*) FROM pg_locks WHERE NOT granted "
		     "AND relation = 'budget_period'::regclass") == 0)
		sched_yield();
	/* the period as of now, made without a look at the value's row */
	IS(db_query(a.db, &made, DB_ARGS(DBI(now_wall())), &r, &e), 0);
	db_rows_free(r);
	IS(store_lease_lock(
	       a.db, str_of(a.id), 1, key, now_wall(), 0, &view, &e),
	    0);
	w.budget_uid = key.budget_uid;
	w.period_start = view.period_start;
	IS(store_lease_write(a.db, str_of(a.id), 1, &w, &e), 0);
	IS(db_commit(a.db, &e), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(n, 0);
	agent_close(&a);
	end(&l);
}
END_TEST

/* ---- many at once -------------------------------------------------------- */

#define USERS  12
#define PLACES 5
#define AGENTS 3
#define STEPS  120

struct runner {
	struct agent_of a;
	struct rng_seeded rng;
	int64_t spent[USERS];
	uint64_t n_served;
	pthread_t thread;
};

static _Atomic int running, steps;

static void *
runner_main(void *arg)
{
	struct runner *x = arg;

	for (int i = 0; i < STEPS; i++) {
		/* some of them for a while, then others */
		uint64_t day = (uint64_t)(atomic_load(&passed) / DAY);
		uint64_t u = (rng_below(&x->rng.rng, 6) + 2 * day) % USERS;
		int64_t w = 1 + (int64_t)rng_below(&x->rng.rng, 900), cost;
		struct reservation r;
		char name[24];

		snprintf(name, sizeof(name), "user-%u", (unsigned)u);
		if (agent_reserve(&x->a, name, w, &r) == 0) {
			cost = (int64_t)rng_below(&x->rng.rng, (uint64_t)w + 1);
			agent_settle(&x->a, &r, cost);
			x->spent[u] += cost;
			x->n_served++;
		}
		if (i % 3 == 0)
			agent_rests(&x->a);
		/* six steps of theirs take a quarter of a day */
		if (atomic_fetch_add(&steps, 1) % 6 == 5)
			pass(DAY / 4);
	}
	agent_rests(&x->a);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

START_TEST(test_many)
{
	struct runner x[AGENTS];
	struct lab l;
	uint64_t uid = begin(&l, "\"period\":\"day\"", PLACES), refused = 0;
	int64_t n_retired = 0, sums[USERS] = {0};

	atomic_store(&running, AGENTS);
	atomic_store(&steps, 0);
	for (unsigned i = 0; i < AGENTS; i++) {
		memset(&x[i], 0, sizeof(x[i]));
		agent_open(&x[i].a, &l, uid, i);
		rng_seeded_init(&x[i].rng, i);
		pthread_create(&x[i].thread, NULL, runner_main, &x[i]);
	}
	while (atomic_load(&running) > 0) {
		pthread_rwlock_rdlock(&clock_lock);
		n_retired += retire(&l, NS_PER_S);
		pthread_rwlock_unlock(&clock_lock);
		ck_assert_int_le(N(&l, "SELECT n FROM budget_each UNION ALL "
				       "SELECT 0 ORDER BY 1 DESC LIMIT 1"),
		    PLACES);
	}
	for (unsigned i = 0; i < AGENTS; i++) {
		pthread_join(x[i].thread, NULL);
		refused += x[i].a.n_refused;
		ck_assert_uint_gt(x[i].n_served, STEPS / 20);
		for (unsigned u = 0; u < USERS; u++)
			sums[u] += x[i].spent[u];
	}
	printf("# retired %lld, refused %llu, days %lld\n",
	    (long long)n_retired, (unsigned long long)refused,
	    (long long)(atomic_load(&passed) / DAY));
	ck_assert_int_gt(n_retired, USERS);
	ck_assert_uint_gt(refused, 0);
	/* what was spent is where it belongs, and within the limit */
	for (unsigned u = 0; u < USERS; u++)
		ck_assert_int_eq(
		    N(&l,
			"SELECT coalesce(sum(p.settled), 0)::bigint FROM "
			"budget_period p JOIN budget_value v ON v.cell_uid = "
			"p.budget_uid WHERE v.value = 'user-%u'",
			u),
		    sums[u]);
	ck_assert_int_eq(N(&l,
			     "SELECT count(*) FROM budget_period WHERE "
			     "settled > %d OR free < 0",
			     LIMIT),
	    0);
	ck_assert_int_eq(N(&l,
			     "SELECT count(*) FROM (SELECT 1 FROM "
			     "budget_period WHERE settled > 0 "
			     "GROUP BY period_start HAVING count(*) > %d) x",
			     PLACES),
	    0);
	ck_assert_int_gt(N(&l,
			     "SELECT count(*) FROM (SELECT 1 FROM "
			     "budget_period WHERE settled > 0 "
			     "GROUP BY period_start HAVING count(*) = %d) x",
			     PLACES),
	    0);
	ck_assert_int_eq(N(&l, "SELECT count(*) FROM budget_value"), USERS);
	for (unsigned i = 0; i < AGENTS; i++)
		agent_close(&x[i].a);
	end(&l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/value_places");

	UNIT_ADD(s, test_room);
	UNIT_ADD(s, test_short);
	UNIT_ADD(s, test_kept);
	UNIT_ADD(s, test_year);
	UNIT_ADD(s, test_out);
	UNIT_ADD(s, test_late);
	UNIT_ADD(s, test_decided_before);
	UNIT_ADD(s, test_made_meanwhile);
	UNIT_ADD(s, test_granted_meanwhile);
	UNIT_ADD(s, test_many);
	return pgtest_run(s);
}
