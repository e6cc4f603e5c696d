/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controlplane/money/exchange over a store of a few rows that fails when it is
 * told to: what is written at once and what under the lock, what is tried
 * again and as what, and that an answer promises only what is written. The
 * functions of the store are those below, not the real ones.
 */
#include "controlplane/money/exchange.h"
#include "controlplane/store/store_value.h"
#include "tests/unit/support/unit.h"

#define S	INT64_C(1000000000)
#define NOW	(1000 * S)
#define PLENTY	(INT64_C(1) << 40)
#define ROWS	6
#define REPORTS 8

static struct fake {
	struct lease_view row[ROWS]; /* key: budget_uid and period_start */
	size_t n_rows;
	int read_rc, some_rc, commit_rc;
	int lock_rc[8], write_rc[8]; /* of the n-th call */
	bool begins;		     /* a period, before the lock */
	uint64_t gone;		     /* not found any more under the lock */
	uint64_t refused;	     /* write_some finds its row changed */
	bool in_tx;
	unsigned n_begin, n_lock, n_write, n_commit, n_rollback;
	struct lease_write pending;
	bool has_pending;
	struct lease_write wrote[REPORTS]; /* by write_some */
	size_t n_wrote;
	int64_t recent, plenty;
} f;

static struct exchange x;
static struct arena arena;
static Hg__LeaseReport reports[REPORTS];

/* ---- the store ----------------------------------------------------------- */

static struct lease_view *
row_of(uint64_t uid, int64_t period)
{
	for (size_t i = 0; i < f.n_rows; i++)
		if (f.row[i].budget_uid == uid &&
		    (period == 0 ? f.row[i].is_current
				 : f.row[i].period_start == period))
			return &f.row[i];
	return NULL;
}

static void
row_write(const struct lease_write *w)
{
	struct lease_view *v = row_of(w->budget_uid, w->period_start);

	ck_assert_ptr_nonnull(v);
	v->free += w->returned - v->returned - w->grant;
	v->granted += w->grant;
	v->returned = w->returned;
	v->report_at = w->report_at;
	v->exists = true;
}

int
store_lease_read(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_key *keys, size_t n, int64_t now, int64_t recent,
    struct lease_view *view, struct error *e)
{
	(void)db, (void)agent_id, (void)boot_epoch, (void)e;
	ck_assert_int_eq(now, NOW);
	f.recent = recent;
	for (size_t i = 0; i < n; i++) {
		const struct lease_view *v =
		    row_of(keys[i].budget_uid, keys[i].period_start);

		f.plenty = keys[i].plenty;
		view[i] = v != NULL ? *v : (struct lease_view){0};
	}
	return f.read_rc;
}

int
store_lease_lock(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct lease_key key, int64_t now, int64_t recent, struct lease_view *view,
    struct error *e)
{
	struct lease_view *v;
	int rc = f.lock_rc[f.n_lock++];

	(void)db, (void)agent_id, (void)boot_epoch, (void)e;
	ck_assert(f.in_tx);
	ck_assert_int_eq(now, NOW);
	ck_assert_int_eq(recent, f.recent);
	ck_assert_int_gt(key.plenty, 0);
	if (f.begins) {
		v = row_of(key.budget_uid, 0);
		v->is_current = false;
		v = &f.row[f.n_rows++];
		*v = v[-1];
		v->is_current = true;
		v->period_start++;
		v->free = 1000;
		f.begins = false;
	}
	v = row_of(key.budget_uid, key.period_start);
	if (rc != 0)
		return rc;
	if (v == NULL || v->budget_uid == f.gone) {
		*view = (struct lease_view){0};
		return 0;
	}
	v->stale = false;
	*view = *v;
	return 0;
}

int
store_lease_write(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_write *w, struct error *e)
{
	(void)db, (void)agent_id, (void)boot_epoch, (void)e;
	ck_assert(f.in_tx && !f.has_pending);
	f.pending = *w;
	f.has_pending = true;
	return f.write_rc[f.n_write++];
}

int
store_lease_write_some(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_write *w, size_t n, bool *written, struct error *e)
{
	(void)db, (void)agent_id, (void)boot_epoch, (void)e;
	ck_assert(!f.in_tx);
	for (size_t i = 0; i < n && f.some_rc == 0; i++) {
		written[i] = w[i].budget_uid != f.refused;
		if (!written[i])
			continue;
		ck_assert_uint_lt(f.n_wrote, REPORTS);
		f.wrote[f.n_wrote++] = w[i];
		row_write(&w[i]);
	}
	return f.some_rc;
}

/* The leases here are of budgets without values: nobody needs a place. */
int
store_value_place(struct db *db, uint64_t cell_uid, int64_t least, int64_t now,
    enum value_state *state, struct error *e)
{
	(void)db, (void)cell_uid, (void)least, (void)now, (void)state, (void)e;
	ck_abort_msg("a place is taken for budget %d", (int)cell_uid);
}

int
db_begin(struct db *db, struct error *e)
{
	(void)db, (void)e;
	ck_assert(!f.in_tx);
	f.in_tx = true;
	f.n_begin++;
	return 0;
}

int
db_commit(struct db *db, struct error *e)
{
	(void)db, (void)e;
	ck_assert(f.in_tx);
	f.n_commit++;
	if (f.commit_rc != 0)
		return f.commit_rc;
	if (f.has_pending)
		row_write(&f.pending);
	f.in_tx = f.has_pending = false;
	return 0;
}

void
db_rollback(struct db *db)
{
	(void)db;
	f.n_rollback++;
	f.in_tx = f.has_pending = false;
}

/* ---- an exchange --------------------------------------------------------- */

/* Of the current period (its start is 2) a lease with nothing granted. */
static struct lease_view *
row(uint64_t uid, int64_t period, int64_t free)
{
	struct lease_view *v = &f.row[f.n_rows++];

	ck_assert_uint_le(f.n_rows, ROWS);
	*v = (struct lease_view){.budget_uid = uid,
	    .found = true,
	    .exists = true,
	    .counted = true,
	    .is_current = period == 2,
	    .period_start = period,
	    .period_end = INT64_MAX,
	    .limit = PLENTY,
	    .free = free};
	return v;
}

static void
begin(void)
{
	memset(&f, 0, sizeof(f));
	x = (struct exchange){.agent_id = STR("agent-1"),
	    .boot_epoch = 3,
	    .now = NOW,
	    .cfg = &grant_default};
}

static Hg__LeaseReport *
report(size_t i, uint64_t uid, int64_t period, int64_t waits)
{
	hg__lease_report__init(&reports[i]);
	reports[i].budget_uid = uid;
	reports[i].period_start = period;
	reports[i].want_min = reports[i].want_total = waits;
	return &reports[i];
}

/* Blocks of their own for all, and no memory is clean. */
static int
run(size_t n)
{
	Hg__LeaseReport *v[REPORTS];
	struct error e = {0};
	int rc;

	for (size_t i = 0; i < n; i++)
		v[i] = &reports[i];
	arena_release(&arena);
	arena_init(&arena, 64, (size_t)1 << 20);
	f.n_wrote = 0;
	x.n_given = 0;
	x.given = 0;
	rc = exchange_run(&x, NULL, v, n, &arena, &e);
	ck_assert(!f.in_tx);
	ck_assert_uint_eq(
	    f.n_begin, f.n_rollback + f.n_commit * (f.commit_rc == 0));
	return rc;
}

static const Hg__LeaseGrant *
answer(uint64_t uid, int64_t period)
{
	for (size_t i = 0; i < x.n_grants; i++)
		if (x.grants[i]->budget_uid == uid &&
		    x.grants[i]->period_start == period)
			return x.grants[i];
	return NULL;
}

/* Where plenty is free all is written at once; what is not there is not
 * answered, and keeps nobody else from it. */
START_TEST(test_at_once)
{
	begin();
	row(1, 2, PLENTY);
	row(2, 2, PLENTY);
	row(4, 2, PLENTY);
	(void)report(0, 3, 0, 10); /* deleted */
	(void)report(1, 1, 2, 70);
	(void)report(2, 2, 2, 0);
	(void)report(3, 4, 0, 500);
	ck_assert_int_eq(run(4), 0);
	ck_assert_uint_eq(x.n_grants, 3);
	ck_assert_uint_eq(f.n_wrote, 3);
	ck_assert_uint_eq(f.n_begin, 0);
	ck_assert_uint_eq(x.n_given, 2);
	ck_assert_int_eq(x.given, 570);
	ck_assert_int_eq(f.recent, NOW - grant_default.recent_ns);
	ck_assert_int_eq(f.plenty, grant_plenty(&grant_default, &reports[3]));
	ck_assert_int_eq(answer(1, 2)->granted, 70);
	ck_assert_int_eq(answer(2, 2)->granted, 0);
	ck_assert_int_eq(answer(4, 2)->granted, 500);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_ptr_eq(
		    x.grants[i]->base.descriptor, &hg__lease_grant__descriptor);
		ck_assert_int_eq(x.grants[i]->fence_ms, grant_default.fence_ms);
	}
	ck_assert_int_eq(run(0), 0);
	ck_assert_uint_eq(x.n_grants, 0);
}
END_TEST

/* Where little is free each move is a transaction of its own, decided on what
 * is there under the lock; the reports beside it are written at once. */
START_TEST(test_one_by_one)
{
	struct lease_view *a, *b;

	begin();
	(void)row(1, 2, PLENTY);
	a = row(2, 2, 100);
	b = row(3, 2, 100);
	(void)report(0, 1, 2, 0);
	(void)report(1, 2, 2, 60);
	(void)report(2, 3, 0, 40);
	ck_assert_int_eq(run(3), 0);
	ck_assert_uint_eq(f.n_wrote, 1);
	ck_assert_uint_eq(f.wrote[0].budget_uid, 1);
	ck_assert_uint_eq(f.n_commit, 2);
	ck_assert_uint_eq(f.n_rollback, 0);
	ck_assert_int_eq(a->granted, 60);
	ck_assert_int_eq(a->free, 40);
	ck_assert_int_eq(b->granted, 40);
	ck_assert_uint_eq(x.n_given, 2);
	ck_assert_int_eq(x.given, 100);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_gt(x.grants[i]->fence_ms, 0);
}
END_TEST

/* The row changed before write_some came: it, and only it, is looked at again
 * under the lock. */
START_TEST(test_changed)
{
	for (uint64_t at = 1; at <= 3; at++) {
		begin();
		for (uint64_t uid = 1; uid <= 3; uid++) {
			(void)row(uid, 2, PLENTY);
			(void)report(uid - 1, uid, 2, 10 * (int64_t)uid);
		}
		f.refused = at;
		ck_assert_int_eq(run(3), 0);
		ck_assert_uint_eq(f.n_wrote, 2);
		ck_assert_uint_eq(f.n_commit, 1);
		ck_assert_uint_eq(f.pending.budget_uid, at);
		ck_assert_uint_eq(x.n_given, 3);
		ck_assert_int_eq(x.given, 60);
		for (uint64_t uid = 1; uid <= 3; uid++) {
			ck_assert_int_eq(
			    row_of(uid, 0)->granted, 10 * (int64_t)uid);
			ck_assert_int_gt(answer(uid, 2)->fence_ms, 0);
		}
	}
}
END_TEST

/* Nothing at once could be written: money moves one by one; reports are lost,
 * so they extend no fence and let nobody rest. */
START_TEST(test_none_at_once)
{
	begin();
	(void)row(1, 2, PLENTY);
	(void)row(2, 2, PLENTY);
	(void)report(0, 1, 2, 0);
	(void)report(1, 2, 2, 40);
	reports[0].horizon_max_ms = reports[1].horizon_max_ms = 300000;
	f.some_rc = ERR_AGAIN;
	ck_assert_int_eq(run(2), 0);
	ck_assert_uint_eq(f.n_commit, 1);
	ck_assert_int_eq(answer(1, 2)->fence_ms, 0);
	ck_assert_int_eq(answer(1, 2)->horizon_ms, 0);
	ck_assert_int_gt(answer(2, 2)->fence_ms, 0);
	ck_assert_int_gt(answer(2, 2)->horizon_ms, 0);
	ck_assert_uint_eq(x.n_given, 1);
	ck_assert_int_eq(x.given, 40);
}
END_TEST

/* Asked because somebody waits: reports are not written, so only who was given
 * something hears of a later fence. Who holds a soft budget may rest. */
START_TEST(test_lease_only)
{
	begin();
	x.lease_only = true;
	(void)row(1, 2, PLENTY);
	(void)row(2, 2, PLENTY);
	row(3, 2, PLENTY)->soft = true;
	row(4, 2, PLENTY)->stale = true;
	for (size_t i = 0; i < 4; i++) {
		(void)report(i, i + 1, 2, i == 1 ? 40 : 0);
		reports[i].horizon_max_ms = 300000;
	}
	ck_assert_int_eq(run(4), 0);
	ck_assert_uint_eq(f.n_wrote, 1);
	ck_assert_uint_eq(f.wrote[0].budget_uid, 2);
	ck_assert_uint_eq(f.n_write, 0);
	ck_assert_uint_eq(f.n_commit, 1); /* the stale one */
	for (uint64_t uid = 1; uid <= 4; uid++) {
		ck_assert((answer(uid, 2)->fence_ms > 0) == (uid == 2));
		ck_assert(
		    (answer(uid, 2)->horizon_ms > 0) == (uid == 2 || uid == 3));
	}
}
END_TEST

/* A row that is out of date is read again under its lock, money or not. */
START_TEST(test_stale)
{
	struct lease_view *v;

	begin();
	v = row(1, 2, PLENTY);
	v->stale = true;
	(void)report(0, 1, 2, 0);
	ck_assert_int_eq(run(1), 0);
	ck_assert_uint_eq(f.n_wrote, 0);
	ck_assert_uint_eq(f.n_lock, 1);
	ck_assert_uint_eq(f.n_write, 1);
	ck_assert_int_eq(v->report_at, NOW);
	ck_assert_int_gt(answer(1, 2)->fence_ms, 0);
	ck_assert_uint_eq(x.n_given, 0);
	/* without a lease there is no report to write */
	begin();
	v = row(1, 2, PLENTY);
	v->stale = true;
	v->exists = false;
	(void)report(0, 1, 2, 0);
	ck_assert_int_eq(run(1), 0);
	ck_assert_uint_eq(f.n_write, 0);
	ck_assert_int_eq(answer(1, 2)->fence_ms, 0);
}
END_TEST

/* Deleted between the two looks: no answer and no harm. */
START_TEST(test_gone)
{
	begin();
	(void)row(1, 2, 100);
	(void)row(2, 2, 100);
	(void)report(0, 1, 2, 60);
	(void)report(1, 2, 2, 60);
	f.gone = 1;
	ck_assert_int_eq(run(2), 0);
	ck_assert_ptr_null(answer(1, 2));
	ck_assert_uint_eq(x.n_grants, 1);
	ck_assert_int_eq(answer(2, 2)->granted, 60);
	ck_assert_uint_eq(x.n_given, 1);
	ck_assert_int_eq(x.given, 60);
}
END_TEST

/* Whatever fails under the lock leaves nothing behind. What may go through a
 * moment later is tried five times. */
START_TEST(test_tried_again)
{
	for (unsigned fails = 0; fails <= 5; fails++) {
		struct lease_view *v;

		begin();
		v = row(1, 2, 100);
		(void)report(0, 1, 2, 60);
		for (unsigned i = 0; i < fails; i++)
			f.lock_rc[i] = ERR_AGAIN;
		ck_assert_int_eq(run(1), fails < 5 ? 0 : ERR_AGAIN);
		ck_assert_uint_eq(f.n_lock, fails < 5 ? fails + 1 : 5);
		ck_assert_uint_eq(f.n_rollback, fails);
		ck_assert_int_eq(v->granted, fails < 5 ? 60 : 0);
		ck_assert_uint_eq(x.n_given, fails < 5);
		ck_assert_uint_eq(x.n_grants, fails < 5);
	}
}
END_TEST

/* A period that is over elsewhere gives nothing, and its report is noted. */
START_TEST(test_conflict)
{
	struct lease_view *v;

	begin();
	v = row(1, 2, 100);
	v->granted = 20;
	(void)report(0, 1, 2, 60);
	reports[0].returned = 20;
	reports[0].rate_per_s = reports[0].w_p99 = 1;
	f.write_rc[0] = ERR_CONFLICT;
	ck_assert_int_eq(run(1), 0);
	ck_assert_uint_eq(f.n_write, 2);
	ck_assert_uint_eq(f.n_rollback, 1);
	ck_assert_int_eq(v->granted, 20);
	ck_assert_int_eq(v->returned, 20);
	ck_assert_int_eq(answer(1, 2)->granted, 20);
	ck_assert_uint_eq(x.n_given, 0);
	ck_assert_int_eq(x.given, 0);
}
END_TEST

/* A period begins between the look and the lock: what is reported of the old
 * one is written there, and who waits is given of the new one. */
START_TEST(test_period_begins)
{
	begin();
	row(1, 2, 100)->granted = 50;
	(void)report(0, 1, 2, 60);
	reports[0].granted = 50;
	reports[0].returned = 20;
	f.begins = true;
	ck_assert_int_eq(run(1), 0);
	ck_assert_uint_eq(f.n_rollback, 1);
	ck_assert_int_eq(row_of(1, 2)->returned, 20);
	ck_assert_int_eq(row_of(1, 2)->granted, 50);
	ck_assert_int_eq(row_of(1, 3)->returned, 0);
	ck_assert_int_eq(row_of(1, 3)->granted, 50 + 10);
	ck_assert_uint_eq(x.n_grants, 2);
	ck_assert_int_eq(answer(1, 2)->valid_ms, 0);
	ck_assert_int_gt(answer(1, 3)->valid_ms, 0);
}
END_TEST

START_TEST(test_fails)
{
	static const struct {
		int lock, write, commit, read;
	} t[] = {{ERR_IO, 0, 0, 0}, {0, ERR_IO, 0, 0}, {0, 0, ERR_IO, 0},
	    {0, 0, 0, ERR_IO}};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		begin();
		(void)row(1, 2, 100);
		(void)row(2, 2, PLENTY);
		(void)row(3, 2, 100);
		(void)report(0, 1, 2, 60);
		(void)report(1, 2, 2, 10);
		(void)report(2, 3, 2, 60);
		f.lock_rc[0] = t[i].lock;
		f.write_rc[0] = t[i].write;
		f.commit_rc = t[i].commit;
		f.read_rc = t[i].read;
		ck_assert_int_eq(run(3), ERR_IO);
		ck_assert_uint_eq(f.n_lock, t[i].read == 0);
		ck_assert_int_eq(row_of(1, 0)->granted, 0);
		ck_assert_int_eq(row_of(3, 0)->granted, 0);
		/* what was written before stays, and is counted */
		ck_assert_uint_eq(f.n_wrote, t[i].read == 0);
		ck_assert_uint_eq(x.n_given, t[i].read == 0);
		ck_assert_int_eq(x.given, t[i].read == 0 ? 10 : 0);
		ck_assert_uint_eq(x.n_grants, 0);
	}
}
END_TEST

/* Reports on a period that is over ask for the current one with what they
 * want, unless that is asked about beside them, or they want nothing. */
START_TEST(test_renewed)
{
	begin();
	for (uint64_t uid = 1; uid <= 3; uid++) {
		struct lease_view *v = row(uid, 1, 0);

		v->granted = 100;
		(void)row(uid, 2, PLENTY);
		(void)report(uid - 1, uid, 1, 0);
		reports[uid - 1].granted = reports[uid - 1].returned = 100;
	}
	reports[0].want_min = 40;
	reports[0].want_total = 90;
	reports[2].rate_per_s = 7;
	reports[2].w_p99 = 30;
	reports[2].steady_rate = 1000;
	ck_assert_int_eq(run(3), 0);
	ck_assert_uint_eq(x.n_grants, 5);
	for (uint64_t uid = 1; uid <= 3; uid++) {
		ck_assert_ptr_nonnull(answer(uid, 1));
		ck_assert_int_eq(answer(uid, 1)->granted, 100);
		ck_assert_int_eq(answer(uid, 1)->valid_ms, 0);
		ck_assert_int_eq(row_of(uid, 1)->returned, 100);
	}
	ck_assert_int_eq(answer(1, 2)->granted, 90);
	ck_assert_ptr_null(answer(2, 2));
	ck_assert_int_eq(answer(3, 2)->granted, 7 * 10 + 30);
	ck_assert_int_eq(row_of(3, 0)->returned, 0);
}
END_TEST

START_TEST(test_not_renewed_twice)
{
	for (size_t at = 0; at < 3; at++) {
		size_t old = at == 1 ? 0 : 1;

		begin();
		(void)row(1, 1, 0);
		(void)row(1, 2, PLENTY);
		(void)row(2, 2, PLENTY);
		(void)report(at, 1, 2, 40);
		(void)report(old, 1, 1, 40);
		(void)report(3 - at - old, 2, 2, 40);
		ck_assert_int_eq(run(3), 0);
		ck_assert_uint_eq(x.n_grants, 3);
		ck_assert_int_eq(answer(1, 2)->granted, 40);
		/* and keeps nobody else from it */
		(void)row(2, 1, 0);
		(void)report(3 - at - old, 2, 1, 40);
		ck_assert_int_eq(run(3), 0);
		ck_assert_uint_eq(x.n_grants, 4);
		ck_assert_int_ge(answer(2, 2)->granted, 40);
		/* another budget's current period is none of it */
		(void)report(at, 2, 2, 0);
		(void)report(3 - at - old, 7, 0, 0);
		ck_assert_int_eq(run(3), 0);
		ck_assert_uint_eq(x.n_grants, 3);
		ck_assert_ptr_nonnull(answer(1, 2));
	}
}
END_TEST

static int64_t
horizon_of(struct str agent)
{
	Hg__LeaseReport *p = report(0, 1, 2, 0);
	struct error e = {0};
	int64_t ms;

	begin();
	x.agent_id = agent;
	(void)row(1, 2, PLENTY);
	p->horizon_max_ms = 300000;
	arena_release(&arena);
	arena_init(&arena, 64, (size_t)1 << 20);
	ck_assert_int_eq(exchange_run(&x, NULL, &p, 1, &arena, &e), 0);
	ms = answer(1, 2)->horizon_ms;
	ck_assert_int_le(ms, 300000);
	ck_assert_int_gt(ms, 270000);
	return ms;
}

/* Agents come back at different times, up to a tenth earlier: each letter of
 * the name counts, and nothing behind it. */
START_TEST(test_apart)
{
	char name[] = "agent-00";
	unsigned differ = 0;
	int64_t first = horizon_of(str_of(name));

	for (char c = '0'; c <= '9'; c++) {
		name[6] = c;
		differ += horizon_of(str_of(name)) != first;
	}
	ck_assert_uint_ge(differ, 8);
	name[6] = '0';
	for (char c = 'a'; c <= 'j'; c++) {
		name[0] = c;
		differ += horizon_of(str_of(name)) != first;
	}
	ck_assert_uint_ge(differ, 16);
	name[7] = '1';
	first = horizon_of(str_make(name, 7));
	name[7] = '2';
	ck_assert_int_eq(horizon_of(str_make(name, 7)), first);
}
END_TEST

/* As many as fit, and not one more. */
START_TEST(test_most)
{
	static Hg__LeaseReport one;
	static Hg__LeaseReport *v[EXCHANGE_MAX_REPORTS + 1];
	struct error e = {0};

	begin();
	hg__lease_report__init(&one);
	one.budget_uid = 9;
	for (size_t i = 0; i <= EXCHANGE_MAX_REPORTS; i++)
		v[i] = &one;
	arena_release(&arena);
	arena_init(&arena, 4096, (size_t)64 << 20);
	ck_assert_int_eq(
	    exchange_run(&x, NULL, v, EXCHANGE_MAX_REPORTS, &arena, &e), 0);
	ck_assert_int_eq(
	    exchange_run(&x, NULL, v, EXCHANGE_MAX_REPORTS + 1, &arena, &e),
	    ERR_TOO_LARGE);
}
END_TEST

/* Memory may end anywhere: what was granted until then is written and counted,
 * and the answer is an error. */
START_TEST(test_memory)
{
	int rc = ERR_NOMEM;
	unsigned n = 0;

	for (size_t max = 0; rc != 0; max += 16) {
		Hg__LeaseReport *v[2];
		struct error e = {0};
		int64_t sum = 0;

		begin();
		(void)row(1, 1, 0);
		(void)row(1, 2, PLENTY);
		(void)row(2, 2, 100);
		v[0] = report(0, 1, 1, 40);
		v[1] = report(1, 2, 2, 40);
		arena_release(&arena);
		arena_init(&arena, 64, max);
		rc = exchange_run(&x, NULL, v, 2, &arena, &e);
		ck_assert(rc == 0 || rc == ERR_NOMEM);
		n += rc != 0;
		for (size_t i = 0; i < f.n_rows; i++)
			sum += f.row[i].granted;
		ck_assert_int_eq(x.given, sum);
		ck_assert(!f.in_tx);
		ck_assert_uint_lt(max, 1 << 16);
	}
	ck_assert_uint_gt(n, 100);
	ck_assert_uint_eq(x.n_grants, 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("money/exchange");

	UNIT_ADD(s, test_at_once);
	UNIT_ADD(s, test_one_by_one);
	UNIT_ADD(s, test_changed);
	UNIT_ADD(s, test_none_at_once);
	UNIT_ADD(s, test_lease_only);
	UNIT_ADD(s, test_stale);
	UNIT_ADD(s, test_gone);
	UNIT_ADD(s, test_tried_again);
	UNIT_ADD(s, test_conflict);
	UNIT_ADD(s, test_period_begins);
	UNIT_ADD(s, test_fails);
	UNIT_ADD(s, test_renewed);
	UNIT_ADD(s, test_not_renewed_twice);
	UNIT_ADD(s, test_apart);
	UNIT_ADD(s, test_most);
	UNIT_ADD(s, test_memory);
	return unit_run(s);
}
