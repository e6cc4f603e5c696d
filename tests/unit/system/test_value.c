/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets for each value, the agent's real lease table against the real
 * exchange in PostgreSQL: one cell for a value whoever asks, bounds, and that
 * no value exceeds its limit though agents forget cells, lose answers and ask
 * again. After each test the books are checked.
 */
#include <pthread.h>
#include <stdio.h>

#include "agent/money/lease_value.h"
#include "common/clock.h"
#include "controlplane/money/value.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_value.h"
#include "tests/unit/controlplane/support/fleetlab.h"

#define LIMIT  10000 /* nano-USD of each value */
#define USERS  14
#define AGENTS 2
#define PLACES 6 /* cells of an agent */
#define STEPS  800

static struct error e;

#define IS(call, code)                                                      \
	do {                                                                \
		int is_rc = (call);                                         \
                                                                            \
		ck_assert_msg(is_rc == (code), "%s: %d not %d (%s)", #call, \
		    is_rc, (code), e.text);                                 \
	} while (0)

static uint64_t
budget(struct lab *l, const char *more)
{
	char spec[300];

	snprintf(spec, sizeof(spec),
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.00001\",\"period\":\"once\","
	    "\"time_zone\":\"UTC\",\"each\":\"user\"%s}",
	    more);
	(void)lab_put(l, 9, "acme.each", spec);
	return lab_uid(l, 9, "acme.each");
}

static struct db *
take(struct lab *l)
{
	struct db *db = NULL;

	IS(store_take(l->store, &db, &e), 0);
	return db;
}

static void
books_are_right(struct lab *l)
{
	struct db *db = take(l);
	int64_t wrong = -1;

	IS(store_lease_check(db, &wrong, &e), 0);
	store_give(db);
	ck_assert_int_eq(wrong, 0);
}

/* ---- agents -------------------------------------------------------------- */

struct agent_of {
	struct lab *l;
	struct db *db;
	struct lease_table *table;
	struct budget_cell *parent;
	struct b_filter filter;
	struct b_key key;
	struct rng_seeded rng;
	struct arena arena;
	char id[AGENT_ID_CAP];
	int64_t mono;
	uint64_t n_lost, n_full, n_served, n_known;
	int64_t spent[USERS];
};

static void
agent_open(struct agent_of *a, struct lab *l, uint64_t uid, unsigned n)
{
	struct lease_tuning tuning = lease_tuning_default;
	struct budget_setting s;

	memset(a, 0, sizeof(*a));
	tuning.max_values = PLACES;
	tuning.recycle_ns = 30 * NS_PER_S;
	a->l = l;
	a->db = take(l);
	a->table = lease_table_new(&tuning);
	a->parent = lease_table_cell(a->table, uid, STR("acme.each"));
	a->filter.each = STR("user");
	a->key.n_budgets = 1;
	a->key.budgets[0] = a->parent;
	a->key.filters = &a->filter;
	a->mono = 1000 * NS_PER_S;
	s = (struct budget_setting){
	    .cell = a->parent, .limit = LIMIT, .filter = a->filter};
	lease_table_publish(a->table, &s, 1);
	rng_seeded_init(&a->rng, n);
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

/* One exchange; lost: the answer does not arrive. */
static void
agent_beat(struct agent_of *a, bool urgent, bool lost)
{
	struct exchange x = {.agent_id = str_of(a->id),
	    .boot_epoch = 1,
	    .now = clock_wall(clock_system()),
	    .lease_only = urgent,
	    .cfg = &grant_default};
	Hg__LeaseReport **reports = NULL;
	int64_t sent = a->mono;
	size_t n = 0;

	arena_clear(&a->arena);
	MUST(lease_table_report(
		 a->table, sent, urgent, &a->arena, &reports, &n) == 0);
	MUST(value_exchange(&x, a->db, reports, n, &a->arena, NULL) == 0);
	a->mono += NS_PER_MS;
	if (lost) {
		a->n_lost++;
		lease_table_no_reply(a->table);
		return;
	}
	for (size_t i = 0; i < x.n_grants; i++)
		a->n_known +=
		    x.grants[i]->each_uid != 0 && x.grants[i]->granted > 0;
	(void)lease_table_reply(a->table, sent, a->mono, x.grants, x.n_grants);
}

static void
agent_rests(struct agent_of *a, int seconds)
{
	for (int i = 0; i < seconds; i++) {
		a->mono += NS_PER_S;
		agent_beat(a, false, false);
	}
}

/* Reserve w for the user, waiting as requests do. */
static bool
agent_reserve(struct agent_of *a, const char *user, int64_t w, bool lossy,
    struct reservation *r)
{
	struct budget_cell *path[BUNDLE_MAX_BUDGETS], *cell;
	struct b_filter what = {.route_uid = 1};
	struct tags tags = {.len = 0};

	tags_add_user(&tags, str_of(user));
	what.tags = &tags;
	for (int i = 0; i < 8; i++) {
		unsigned n = lease_path(&a->key, &what, path);

		MUST(n == 1);
		if (lease_reserve_path(path, n, w, a->mono, r, &cell) == 0)
			return true;
		if (cell == a->parent) {
			a->n_full++;
			return false;
		}
		MUST(str_eqz(lease_value_text(cell), user));
		(void)lease_wait(cell, w);
		agent_beat(a, true, lossy && rng_below(&a->rng.rng, 8) == 0);
		lease_wait_done(cell, w);
	}
	return false;
}

/* Is there anything for who waits over some heartbeats? */
static bool
agent_has(struct agent_of *a, const char *user)
{
	struct budget_cell *c, *short_of;
	struct reservation r = {0};
	bool has = false;

	for (int i = 0;
	     i < 100 && lease_value_cell(a->parent, str_of(user)) == NULL; i++)
		agent_rests(a, 1); /* until there is room */
	c = lease_value_cell(a->parent, str_of(user));
	ck_assert_ptr_nonnull(c);
	(void)lease_wait(c, 1);
	for (int i = 0; i < 4 && !has; i++) {
		agent_rests(a, 1);
		has = lease_reserve_path(&c, 1, 1, a->mono, &r, &short_of) == 0;
	}
	lease_wait_done(c, 1);
	if (has)
		lease_cancel(&r);
	return has;
}

static void
agent_charge(struct agent_of *a, const struct budget_cell *cell,
    int64_t period_start, int64_t cost)
{
	struct lease_charge c = {.budget_uid = cell->uid,
	    .period_start = period_start,
	    .boot_epoch = 1,
	    .cost = cost,
	    .last_at = clock_wall(clock_system())};

	MUST(db_begin(a->db, NULL) == 0);
	MUST(store_lease_charge(a->db, str_of(a->id), &c, 1, NULL) == 0);
	MUST(db_commit(a->db, NULL) == 0);
}

/* A request of a user; then some time goes by. */
static void
agent_step(struct agent_of *a)
{
	/* mostly a few users, which change: others can be forgotten */
	uint64_t at = rng_below(&a->rng.rng, PLACES - 2) +
		      (uint64_t)(a->mono / (25 * NS_PER_S));
	unsigned u = (unsigned)(at % USERS);
	int64_t w = 1 + (int64_t)rng_below(&a->rng.rng, 900), cost;
	struct reservation r;
	char name[24];

	snprintf(name, sizeof(name), "user-%u", u);
	if (agent_reserve(a, name, w, true, &r)) {
		struct budget_cell *cell = r.cells[0];
		int64_t period = r.leases[0]->period_start;

		MUST(str_eqz(lease_value_text(cell), name)); /* V1 */
		cost = (int64_t)rng_below(&a->rng.rng, (uint64_t)w + 1);
		agent_charge(a, cell, period, cost);
		lease_settle(&r, cost);
		a->spent[u] += cost;
		a->n_served++;
	}
	for (uint64_t i = rng_below(&a->rng.rng, 3); i > 0; i--) {
		a->mono += NS_PER_S;
		agent_beat(a, false, rng_below(&a->rng.rng, 200) == 0);
	}
}

static void *
agent_main(void *arg)
{
	struct agent_of *a = arg;

	for (int i = 0; i < STEPS; i++)
		agent_step(a);
	/* Everything goes back when nobody comes any more. */
	agent_rests(a, 90);
	return NULL;
}

struct listed {
	int64_t spent[USERS], leased;
	unsigned n;
};

static int
on_value(void *ctx, const struct value_row *v)
{
	struct listed *x = ctx;
	unsigned u = USERS;

	char name[24];

	ck_assert_int_eq(str_copy(v->value, name, sizeof(name)), 0);
	ck_assert_int_eq(sscanf(name, "user-%u", &u), 1);
	ck_assert_uint_lt(u, USERS);
	x->spent[u] = v->spent;
	x->leased += v->leased;
	x->n++;
	ck_assert_int_eq(v->limit, LIMIT);
	ck_assert_int_eq(v->free + v->spent + v->leased, LIMIT);
	return 0;
}

/* Agents with fewer places than there are users. */
START_TEST(test_forgotten)
{
	struct agent_of a[AGENTS];
	pthread_t threads[AGENTS];
	struct listed list = {.n = 0};
	struct lab l;
	uint64_t uid, cells, refused;
	int64_t sum = 0;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, "");
	for (unsigned i = 0; i < AGENTS; i++) {
		agent_open(&a[i], &l, uid, i);
		pthread_create(&threads[i], NULL, agent_main, &a[i]);
	}
	for (unsigned i = 0; i < AGENTS; i++)
		pthread_join(threads[i], NULL);
	IS(store_value_list(a[0].db, uid, clock_wall(clock_system()), -1, 0,
	       100, on_value, &list, &e),
	    0);
	ck_assert_uint_gt(list.n, PLACES); /* so cells were used again */
	for (unsigned u = 0; u < USERS; u++) {
		int64_t spent = a[0].spent[u] + a[1].spent[u];

		ck_assert_int_eq(list.spent[u], spent);
		ck_assert_int_le(spent, LIMIT);
		sum += spent;
	}
	for (unsigned i = 0; i < AGENTS; i++) {
		lease_value_counts(a[i].table, &cells, &refused);
		ck_assert_uint_le(cells, PLACES);
		ck_assert_uint_gt(a[i].n_lost, 10);
		/* forgotten and asked for again */
		ck_assert_uint_gt(a[i].n_known, 10);
		ck_assert_uint_gt(a[i].n_served, 100);
	}
	ck_assert_int_gt(sum, 5 * LIMIT);
	ck_assert_int_eq(list.leased, 0); /* nothing is stranded */
	books_are_right(&l);
	for (unsigned i = 0; i < AGENTS; i++)
		agent_close(&a[i]);
	lab_close(&l);
}
END_TEST

/* One that spent all is forgotten and comes back: it still has nothing. */
START_TEST(test_spent)
{
	struct reservation r;
	struct agent_of a;
	struct lab l;
	uint64_t uid, cells, refused;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, "");
	agent_open(&a, &l, uid, 1);
	/* at once, so that nothing is ever returned */
	ck_assert(agent_reserve(&a, "all", LIMIT, false, &r));
	agent_charge(&a, r.cells[0], r.leases[0]->period_start, LIMIT);
	lease_settle(&r, LIMIT);
	ck_assert(!agent_reserve(&a, "all", 1, false, &r));
	/* room is needed */
	for (int i = 0; i < 3 * PLACES; i++) {
		char name[24];

		snprintf(name, sizeof(name), "other-%d", i);
		agent_rests(&a, 15);
		ck_assert(agent_reserve(&a, name, 1, false, &r));
		lease_cancel(&r);
	}
	agent_rests(&a, 15);
	ck_assert_uint_eq(a.n_known, 0);
	ck_assert(!agent_reserve(&a, "all", 1, false, &r));
	ck_assert_uint_gt(a.n_known, 0); /* it had been forgotten */
	for (int i = 0; i < 4; i++) {
		agent_rests(&a, i < 3 ? 1 : 20);
		ck_assert(!agent_reserve(&a, "all", 1, false, &r));
	}
	lease_value_counts(a.table, &cells, &refused);
	ck_assert_uint_eq(refused, 0);
	agent_close(&a);
	books_are_right(&l);
	lab_close(&l);
}
END_TEST

/* A day that begins at another hour, not near to now: a period that has its
 * own start and holds now. */
static void
calendar(struct lab *l, int i)
{
	int64_t hour = clock_wall(clock_system()) / (3600 * NS_PER_S);
	char spec[200];

	snprintf(spec, sizeof(spec),
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.00001\",\"period\":\"day\","
	    "\"time_zone\":\"UTC\",\"each\":\"user\",\"anchor_time\":"
	    "\"%02d:00\"}",
	    (int)((hour + 3 + i) % 24));
	(void)lab_put(l, 9, "acme.each", spec);
}

/* The calendar of the budget is changed over and over: what was spent in a
 * period is spent when it is the current one again, whether the agent has used
 * its lease of it for another since, or has forgotten the value. */
START_TEST(test_calendars)
{
	struct reservation r;
	struct agent_of a;
	struct lab l;
	uint64_t uid;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, "");
	agent_open(&a, &l, uid, 1);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 6; i++) {
			calendar(&l, i);
			/* at once, so that nothing is ever returned */
			if (round == 0) {
				ck_assert(
				    agent_reserve(&a, "all", LIMIT, false, &r));
				agent_charge(&a, r.cells[0],
				    r.leases[0]->period_start, LIMIT);
				lease_settle(&r, LIMIT);
			}
			ck_assert(!agent_has(&a, "all"));
			agent_rests(&a, 40);
		}
		for (int i = 0; i < 3 * PLACES && round == 1; i++) {
			char name[24];

			snprintf(name, sizeof(name), "other-%d", i);
			agent_rests(&a, 15);
			ck_assert(agent_reserve(&a, name, 1, false, &r));
			lease_cancel(&r);
		}
	}
	ck_assert_uint_gt(a.n_known, 0); /* it had been forgotten */
	agent_close(&a);
	books_are_right(&l);
	lab_close(&l);
}
END_TEST

/* ---- asks ---------------------------------------------------------------- */

struct asker_of {
	struct lab *l;
	uint64_t uid, cells[40];
	pthread_t thread;
};

static void *
asker_main(void *arg)
{
	struct asker_of *x = arg;
	struct db *db = NULL;
	struct value_ask v[40];
	char names[40][16];

	MUST(store_take(x->l->store, &db, NULL) == 0);
	for (int i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "n%02d", i);
		v[i] = (struct value_ask){
		    .budget_uid = x->uid, .value = str_of(names[i])};
	}
	/* each alone, and all at once */
	for (int i = 0; i < 20; i++)
		MUST(
		    store_value_cells(db, STR("a"), 1, &v[i], 1, 1, NULL) == 0);
	MUST(store_value_cells(db, STR("a"), 1, v, 40, 1, NULL) == 0);
	for (int i = 0; i < 40; i++)
		x->cells[i] = v[i].state == VALUE_OK ? v[i].cell_uid : 0;
	store_give(db);
	return NULL;
}

START_TEST(test_one_cell)
{
	struct asker_of x[4];
	struct value_sum sum;
	struct db *db;
	struct lab l;
	uint64_t uid, found = 0;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, ",\"max_values\":30");
	for (int i = 0; i < 4; i++) {
		x[i].l = &l;
		x[i].uid = uid;
		pthread_create(&x[i].thread, NULL, asker_main, &x[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(x[i].thread, NULL);
	for (int i = 0; i < 40; i++) {
		ck_assert((x[0].cells[i] != 0) == (i < 30));
		for (int j = 1; j < 4; j++)
			ck_assert_uint_eq(x[j].cells[i], x[0].cells[i]);
		for (int j = 0; j < i && i < 30; j++)
			ck_assert_uint_ne(x[0].cells[i], x[0].cells[j]);
	}
	db = take(&l);
	IS(store_value_sum(db, uid, clock_wall(clock_system()), &sum, &e), 0);
	ck_assert_int_eq(sum.n, 30);
	ck_assert_int_eq(sum.limit, LIMIT);
	IS(store_value_find(db, uid, STR("n07"), &found, &e), 0);
	ck_assert_uint_eq(found, x[0].cells[7]);
	IS(store_value_find(db, uid, STR("n35"), &found, &e), ERR_NOT_FOUND);
	store_give(db);
	lab_close(&l);
}
END_TEST

/* What is answered, over the exchange. */
static size_t
ask(struct db *db, uint64_t uid, const char *value, int64_t want,
    struct arena *a, Hg__LeaseGrant *g)
{
	struct exchange x = {.agent_id = STR("x"),
	    .boot_epoch = 1,
	    .now = clock_wall(clock_system()),
	    .cfg = &grant_default};
	Hg__LeaseReport r, *list = &r;

	hg__lease_report__init(&r);
	r.each_uid = uid;
	r.value = (char *)(uintptr_t)value;
	r.want_min = r.want_total = want;
	arena_clear(a);
	IS(value_exchange(&x, db, &list, 1, a, &e), 0);
	if (x.n_grants > 0)
		*g = *x.grants[0];
	return x.n_grants;
}

START_TEST(test_answers)
{
	static const char *const bad[] = {"a\nb", "\xff\xfe",
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "4"};
	struct budget_status st;
	Hg__LeaseGrant g;
	struct arena a;
	struct db *db;
	struct lab l;
	uint64_t uid, plain, alice;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, ",\"max_values\":2");
	(void)lab_put(&l, 9, "acme.plain",
	    "{\"scope\":\"acme\",\"limit_usd\":\"1\",\"period\":\"day\"}");
	plain = lab_uid(&l, 9, "acme.plain");
	arena_init(&a, 4096, 1 << 20);
	db = take(&l);
	/* a value that its limit does not pay for is not kept */
	ck_assert_uint_eq(ask(db, uid, "alice", LIMIT + 1, &a, &g), 1);
	ck_assert_int_eq(g.answer, HG__VALUE_ANSWER__VALUE_SHORT);
	ck_assert_int_eq(g.limit, LIMIT);
	ck_assert_uint_eq(g.budget_uid, 0);
	ck_assert(g.exhausted);
	ck_assert_uint_eq(ask(db, uid, "alice", LIMIT, &a, &g), 1);
	ck_assert_int_eq(g.answer, HG__VALUE_ANSWER__VALUE_KNOWN);
	ck_assert_uint_eq(g.each_uid, uid);
	ck_assert_str_eq(g.value, "alice");
	ck_assert_int_eq(g.granted, 0); /* an ask grants nothing */
	alice = g.budget_uid;
	/* one that is known may be asked for whatever is wanted */
	ck_assert_uint_eq(ask(db, uid, "alice", LIMIT + 1, &a, &g), 1);
	ck_assert_uint_eq(g.budget_uid, alice);
	ck_assert_uint_eq(ask(db, uid, "", 1, &a, &g), 1);
	ck_assert_uint_ne(g.budget_uid, alice);
	ck_assert_uint_eq(ask(db, uid, "bob", 1, &a, &g), 1);
	ck_assert_int_eq(g.answer, HG__VALUE_ANSWER__VALUE_FULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_uint_eq(ask(db, uid, bad[i], 1, &a, &g), 0);
	ck_assert_uint_eq(ask(db, plain, "alice", 1, &a, &g), 0);
	ck_assert_uint_eq(ask(db, 999999, "alice", 1, &a, &g), 0);
	/* the budget itself has no money, its cells have */
	IS(store_budget_status(
	       db, uid, clock_wall(clock_system()), &st, NULL, NULL, &e),
	    ERR_NOT_FOUND);
	IS(store_budget_status(
	       db, alice, clock_wall(clock_system()), &st, NULL, NULL, &e),
	    0);
	ck_assert_int_eq(st.limit, LIMIT);
	ck_assert_int_eq(st.free, LIMIT);
	/* a commit holds for the cells; a deleted budget has none */
	(void)lab_put(&l, 9, "acme.each",
	    "{\"scope\":\"acme\",\"limit_usd\":\"0.00003\",\"period\":\"once\","
	    "\"each\":\"user\"}");
	IS(store_budget_status(
	       db, alice, clock_wall(clock_system()), &st, NULL, NULL, &e),
	    0);
	ck_assert_int_eq(st.limit, 3 * LIMIT);
	(void)lab_delete(&l, 9, "acme.each");
	IS(store_budget_status(
	       db, alice, clock_wall(clock_system()), &st, NULL, NULL, &e),
	    ERR_NOT_FOUND);
	ck_assert_uint_eq(ask(db, uid, "carol", 1, &a, &g), 0);
	store_give(db);
	books_are_right(&l);
	arena_release(&a);
	lab_close(&l);
}
END_TEST

static void
had_lease(struct lab *l, uint64_t cell, int64_t start, int64_t end)
{
	char sql[500];

	(void)snprintf(sql, sizeof(sql),
	    "INSERT INTO budget_period (budget_uid, period_start, period_end, "
	    "limit_nano, free, base_nano, config_version) VALUES (%llu, %lld, "
	    "%lld, 0, 0, 0, 1); INSERT INTO lease (budget_uid, period_start, "
	    "agent_id, boot_epoch, granted, settled) "
	    "VALUES (%llu, %lld, 'x', 1, 5, 5)",
	    (unsigned long long)cell, (long long)start, (long long)end,
	    (unsigned long long)cell, (long long)start);
	pgtest_sql(l->store, sql);
}

/* Who asks for a value is told of his latest lease, and of each whose period
 * is not over: it may be the current one again when the budget's is changed. */
START_TEST(test_leases_told)
{
	const int64_t now = clock_wall(clock_system());
	const int64_t hour = 3600 * NS_PER_S;
	Hg__LeaseGrant g;
	struct arena a;
	struct db *db;
	struct lab l;
	uint64_t uid;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, "");
	arena_init(&a, 4096, 1 << 20);
	db = take(&l);
	ck_assert_uint_eq(ask(db, uid, "v", 1, &a, &g), 1);
	ck_assert_int_eq(g.granted, 0);
	had_lease(&l, g.budget_uid, now - 9 * hour, now - 8 * hour);
	had_lease(&l, g.budget_uid, now - 7 * hour, now - 6 * hour);
	ck_assert_uint_eq(ask(db, uid, "v", 1, &a, &g), 1);
	ck_assert_int_eq(g.period_start, now - 7 * hour);
	ck_assert_int_eq(g.granted, 5);
	had_lease(&l, g.budget_uid, now - 10 * hour, now + hour);
	ck_assert_uint_eq(ask(db, uid, "v", 1, &a, &g), 2);
	ck_assert_int_eq(g.period_start, now - 7 * hour); /* the first */
	had_lease(&l, g.budget_uid, now - hour, now + hour);
	ck_assert_uint_eq(ask(db, uid, "v", 1, &a, &g), 2);
	ck_assert_int_eq(g.period_start, now - hour);
	/* a week, a month, a quarter, a year and one of all times */
	for (int i = 0; i < 5; i++)
		had_lease(
		    &l, g.budget_uid, now - (20 + i) * hour, now + 2 * hour);
	ck_assert_uint_eq(ask(db, uid, "v", 1, &a, &g), 7);
	store_give(db);
	arena_release(&a);
	lab_close(&l);
}
END_TEST

struct paged {
	char seen[32];
	int64_t used;
	uint64_t uid;
};

static int
on_page(void *ctx, const struct value_row *v)
{
	struct paged *p = ctx;

	ck_assert_uint_lt(strlen(p->seen) + v->value.len + 1, sizeof(p->seen));
	strncat(p->seen, v->value.p, v->value.len);
	p->used = v->used;
	p->uid = v->cell_uid;
	return 0;
}

/* Pages of the list are one list, also while a period that was not there when
 * the values spent is the current one. */
START_TEST(test_pages)
{
	static const struct db_stmt spend = {
	    "INSERT INTO budget_period (budget_uid, period_start, period_end, "
	    "limit_nano, free, base_nano, settled, config_version) "
	    "VALUES ($1, $2, $3, 1000, 1000 - $4::bigint, 1000, $4, 1)"};
	const int64_t now = clock_wall(clock_system());
	struct paged p = {.used = -1};
	Hg__LeaseGrant g;
	struct arena a;
	struct db *db;
	struct lab l;
	uint64_t uid;

	lab_open_store(&l);
	(void)lab_put(&l, 1, "acme", "{}");
	uid = budget(&l, "");
	arena_init(&a, 4096, 1 << 20);
	db = take(&l);
	for (int i = 0; i < 5; i++) {
		const char value[] = {(char)('a' + i), '\0'};
		struct db_rows *r = NULL;

		ck_assert_uint_eq(ask(db, uid, value, 1, &a, &g), 1);
		if (i > 0) /* "a" spent nothing */
			IS(db_query(db, &spend,
			       DB_ARGS(DBI(g.budget_uid), DBI(now - NS_PER_S),
				   DBI(now + 3600 * NS_PER_S), DBI(10 * i)),
			       &r, &e),
			    0);
		db_rows_free(r);
	}
	for (int i = 0; i < 3; i++)
		IS(store_value_list(
		       db, uid, now, p.used, p.uid, 2, on_page, &p, &e),
		    0);
	ck_assert_str_eq(p.seen, "edcba");
	store_give(db);
	arena_release(&a);
	lab_close(&l);
}
END_TEST

/* A function that reads a budget's definition from the items knows no cells;
 * whoever replaces one must read budget_def. These mean items. */
START_TEST(test_definitions)
{
	static const struct db_stmt st = {
	    "SELECT coalesce(string_agg(proname, ' ' ORDER BY proname), '') "
	    "FROM pg_proc WHERE proname LIKE 'hg\\_%' "
	    "AND prosrc LIKE '%config_item%'"};
	struct db_rows *r = NULL;
	struct db *db;
	struct lab l;

	lab_open_store(&l);
	db = take(&l);
	IS(db_query_one(db, &st, DB_ARGS(), &r, &e), 0);
	ck_assert_slice_eq(db_str(r, 0, 0),
	    "hg_budget_close_some hg_budget_events hg_budget_value "
	    "hg_values_retire");
	db_rows_free(r);
	store_give(db);
	lab_close(&l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("controlplane/value");

	UNIT_ADD(s, test_forgotten);
	UNIT_ADD(s, test_spent);
	UNIT_ADD(s, test_calendars);
	UNIT_ADD(s, test_one_cell);
	UNIT_ADD(s, test_answers);
	UNIT_ADD(s, test_leases_told);
	UNIT_ADD(s, test_pages);
	UNIT_ADD(s, test_definitions);
	return pgtest_run(s);
}
