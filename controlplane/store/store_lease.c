/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL of budget periods and leases. The functions hg_... are in
 * schema/0020_budget.sql and after it: each makes one change of money in one
 * round trip.
 */
#include "controlplane/store/store_lease.h"

#include <stdlib.h>
#include <string.h>

#define LEASE_KEYS_MAX 4096

int
store_period_bounds(struct db *db, struct str spec, int64_t at, int64_t *start,
    int64_t *end, int64_t *lim, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT period_start, period_end, lim "
	    "FROM hg_window(0, $1::text::json, $2)"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBS(spec), DBI(at)), &r, e);
	if (rc != 0)
		return rc;
	*start = db_i64(r, 0, 0);
	*end = db_i64(r, 0, 1);
	*lim = db_i64(r, 0, 2);
	db_rows_free(r);
	return 0;
}

/* ---- status -------------------------------------------------------------- */

static int
status_period(struct db *db, uint64_t uid, int64_t at,
    struct budget_status *ret, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT c.period_start, c.period_end, c.whole, "
	    "coalesce(p.free + c.lim - p.limit_nano, c.lim), "
	    "coalesce(p.settled, 0) + c.past_settled, "
	    "coalesce(p.held, 0) + c.past_held, c.span, c.base, c.adjust, "
	    "(SELECT coalesce(sum(x.doubt_released), 0)::bigint "
	    "FROM budget_period x WHERE x.budget_uid = $1 "
	    "AND x.period_start <= c.period_start "
	    "AND x.period_start >= c.period_start - c.span) "
	    "FROM hg_budget_now($1, $2) c LEFT JOIN budget_period p "
	    "ON p.budget_uid = $1 AND p.period_start = c.period_start"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(uid), DBI(at)), &r, e);
	if (rc != 0)
		return rc;
	if (db_rows_count(r) == 1) {
		*ret = (struct budget_status){.budget_uid = uid,
		    .period_start = db_i64(r, 0, 0),
		    .period_end = db_i64(r, 0, 1),
		    .limit = db_i64(r, 0, 2),
		    .free = db_i64(r, 0, 3),
		    .settled = db_i64(r, 0, 4),
		    .held = db_i64(r, 0, 5),
		    .span = db_i64(r, 0, 6),
		    .base = db_i64(r, 0, 7),
		    .adjust = db_i64(r, 0, 8),
		    .released = db_i64(r, 0, 9)};
	} else {
		rc = err_set(e, ERR_NOT_FOUND, "no such budget");
	}
	db_rows_free(r);
	return rc;
}

int
store_budget_status(struct db *db, uint64_t budget_uid, int64_t at,
    struct budget_status *ret, lease_status_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT agent_id, boot_epoch, granted, settled, returned, "
	    "doubtful OR fence_at < $3, updated_at, period_start FROM lease "
	    "WHERE budget_uid = $1 AND period_start <= $2 "
	    "AND period_start >= $2::bigint - $4::bigint "
	    "ORDER BY agent_id, boot_epoch, period_start"};
	struct db_rows *r = NULL;
	size_t i;
	int rc;

	rc = status_period(db, budget_uid, at, ret, e);
	if (rc == 0)
		rc = db_query(db, &st,
		    DB_ARGS(DBI(budget_uid), DBI(ret->period_start), DBI(at),
			DBI(ret->span)),
		    &r, e);
	for (i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct lease_status l = {.agent_id = db_str(r, i, 0),
		    .boot_epoch = (uint64_t)db_i64(r, i, 1),
		    .granted = db_i64(r, i, 2),
		    .settled = db_i64(r, i, 3),
		    .returned = db_i64(r, i, 4),
		    .doubtful = db_bool(r, i, 5),
		    .updated_at = db_time(r, i, 6),
		    .period_start = db_i64(r, i, 7)};
		int64_t out = l.granted - l.settled - l.returned;

		*(l.doubtful ? &ret->doubtful : &ret->leased) += out;
		if (fn != NULL)
			rc = fn(ctx, &l);
	}
	db_rows_free(r);
	return rc;
}

/* ---- charging ------------------------------------------------------------ */

/* Columns of an array of structs as int64 arrays. */
struct columns {
	int64_t *v[13];
};

static int
columns_new(struct columns *c, unsigned n_columns, size_t n)
{
	unsigned i;

	memset(c, 0, sizeof(*c));
	c->v[0] = calloc(n * n_columns, sizeof(int64_t));
	if (c->v[0] == NULL)
		return ERR_NOMEM;
	for (i = 1; i < n_columns; i++)
		c->v[i] = c->v[0] + i * n;
	return 0;
}

int
store_lease_charge(struct db *db, struct str agent_id,
    const struct lease_charge *c, size_t n, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT count(hg_charge(uid, start, $1, boot, cost, at, "
	    "hg_held_left(uid, start, held, booked))) FROM ("
	    "SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], "
	    "$5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) "
	    "WITH ORDINALITY AS t(uid, start, boot, cost, at, held, booked, "
	    "ord) ORDER BY ord) q"};
	struct db_rows *r = NULL;
	struct columns k;
	size_t i;
	int rc;

	if (n == 0)
		return 0;
	if (columns_new(&k, 7, n) != 0)
		return err_set(e, ERR_NOMEM, "no memory for charges");
	for (i = 0; i < n; i++) {
		k.v[0][i] = (int64_t)c[i].budget_uid;
		k.v[1][i] = c[i].period_start;
		k.v[2][i] = (int64_t)c[i].boot_epoch;
		k.v[3][i] = c[i].cost;
		k.v[4][i] = c[i].last_at;
		k.v[5][i] = c[i].held;
		k.v[6][i] = c[i].booked_at;
	}
	rc = db_query(db, &st,
	    DB_ARGS(DBS(agent_id), DBIA(k.v[0], n), DBIA(k.v[1], n),
		DBIA(k.v[2], n), DBIA(k.v[3], n), DBIA(k.v[4], n),
		DBIA(k.v[5], n), DBIA(k.v[6], n)),
	    &r, e);
	db_rows_free(r);
	free(k.v[0]);
	return rc;
}

/* ---- reading for a decision ---------------------------------------------- */

static void
view_read(const struct db_rows *r, size_t i, struct lease_view *v)
{
	bool has_item = db_bool(r, i, 0), has_row = !db_is_null(r, i, 4);
	int64_t current = db_i64(r, i, 2);

	v->soft = db_bool(r, i, 1);
	v->found = has_row || (has_item && db_is_null(r, i, 19));
	v->period_start = has_row ? db_i64(r, i, 4) : current;
	v->period_end = has_row ? db_i64(r, i, 5) : db_i64(r, i, 3);
	v->is_current = has_item && v->period_start == current;
	v->limit = db_i64(r, i, 6);
	v->free = db_i64(r, i, 7);
	v->spent = db_i64(r, i, 8);
	v->stale = v->is_current && (!has_row || db_bool(r, i, 9));
	v->granted = db_i64(r, i, 10);
	v->settled = db_i64(r, i, 11);
	v->returned = db_i64(r, i, 12);
	v->high_water = db_i64(r, i, 13);
	v->report_at = db_i64(r, i, 14);
	v->fence_at = db_i64(r, i, 15);
	v->r_settled = db_i64(r, i, 16);
	v->r_in_use = db_i64(r, i, 17);
	v->recall = db_bool(r, i, 18);
	v->n_active = db_i64(r, i, 20);
	v->recallable = db_i64(r, i, 21);
	v->busy = db_i64(r, i, 22);
	v->exists = !db_is_null(r, i, 10);
	v->counted = !db_is_null(r, i, 20);
	v->version = db_i64(r, i, 23);
	v->moved = db_bool(r, i, 24);
	v->recall_at = db_i64(r, i, 25);
	v->retired = !db_is_null(r, i, 26);
}

/* Column 19 is the asked start unless it means the current period. */
static const struct db_stmt lease_read = {
    "SELECT c.version IS NOT NULL, c.soft, "
    "c.period_start, c.period_end, p.period_start, p.period_end, "
    "CASE WHEN h.is THEN c.whole ELSE p.limit_nano END, "
    "CASE WHEN h.is THEN p.free + c.lim - p.limit_nano ELSE p.free END, "
    "CASE WHEN h.is THEN p.settled + c.past_settled ELSE p.settled END, "
    "p.config_version < c.version, "
    "l.granted, l.settled, l.returned, l.high_water, l.report_at, "
    "l.fence_at, l.r_settled, l.r_in_use, l.recall, "
    "nullif(nullif(k.start, 0), c.period_start), "
    "CASE WHEN k.plenty = 0 OR k.plenty > p.free "
    "+ least(0, CASE WHEN h.is THEN c.lim - p.limit_nano END) THEN o.n END, "
    "CASE WHEN h.is THEN coalesce(o.idle, 0) "
    "+ greatest(0, c.past - c.past_settled - c.past_held) ELSE o.idle END, "
    "o.busy, p.config_version, h.is AND (c.span > 0 "
    "OR c.lim <> p.limit_nano), p.recall_at, z.retired "
    "FROM unnest($1::bigint[], $2::bigint[], $7::bigint[]) "
    "WITH ORDINALITY AS k(uid, start, plenty, ord) "
    "LEFT JOIN LATERAL hg_budget_now(k.uid, $5) c ON true "
    "LEFT JOIN budget_period p ON p.budget_uid = k.uid AND p.period_start "
    "= CASE WHEN k.start = 0 THEN c.period_start ELSE k.start END "
    "CROSS JOIN LATERAL (SELECT p.period_start = c.period_start AS is) h "
    "LEFT JOIN lease l ON l.budget_uid = p.budget_uid "
    "AND l.period_start = p.period_start AND l.agent_id = $3 "
    "AND l.boot_epoch = $4 "
    "LEFT JOIN LATERAL (SELECT count(*) AS n, sum(greatest(0, x.granted "
    "- x.returned - greatest(x.settled, x.r_settled + x.r_in_use)))::bigint "
    "AS idle, sum(x.r_in_use)::bigint AS busy "
    "FROM lease x WHERE (k.plenty = 0 OR k.plenty > p.free "
    "+ least(0, CASE WHEN h.is THEN c.lim - p.limit_nano END)) "
    "AND x.budget_uid = p.budget_uid "
    "AND x.period_start = p.period_start AND NOT x.doubtful "
    "AND NOT (x.agent_id = $3 AND x.boot_epoch = $4) "
    "AND (x.report_at >= $6 OR (x.quiet_until >= $5 AND x.granted "
    "- x.returned > greatest(x.settled, x.r_settled)))) o ON true "
    "LEFT JOIN LATERAL (SELECT true AS retired FROM budget_value x "
    "WHERE x.cell_uid = k.uid AND x.retired_at IS NOT NULL LIMIT 1) z ON true "
    "ORDER BY k.ord"};

int
store_lease_read(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_key *keys, size_t n, int64_t now, int64_t recent,
    struct lease_view *view, struct error *e)
{
	struct db_rows *r = NULL;
	struct columns k;
	size_t i;
	int rc;

	if (n == 0)
		return 0;
	if (n > LEASE_KEYS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu lease reports", n);
	if (columns_new(&k, 3, n) != 0)
		return err_set(e, ERR_NOMEM, "no memory for leases");
	for (i = 0; i < n; i++) {
		k.v[0][i] = (int64_t)keys[i].budget_uid;
		k.v[1][i] = keys[i].period_start;
		k.v[2][i] = keys[i].plenty;
	}
	rc = db_query(db, &lease_read,
	    DB_ARGS(DBIA(k.v[0], n), DBIA(k.v[1], n), DBS(agent_id),
		DBI(boot_epoch), DBI(now), DBI(recent), DBIA(k.v[2], n)),
	    &r, e);
	for (i = 0; rc == 0 && i < n; i++) {
		memset(&view[i], 0, sizeof(view[i]));
		view[i].budget_uid = keys[i].budget_uid;
		view_read(r, i, &view[i]);
	}
	db_rows_free(r);
	free(k.v[0]);
	return rc;
}

int
store_lease_lock(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct lease_key key, int64_t now, int64_t recent, struct lease_view *view,
    struct error *e)
{
	static const struct db_stmt lock_current = {
	    "SELECT period_start FROM hg_budget_period($1, $2)"};
	static const struct db_stmt lock_old = {
	    "SELECT period_start FROM budget_period "
	    "WHERE budget_uid = $1 AND period_start = $2 FOR UPDATE"};
	struct db_rows *r = NULL;
	int rc;

	if (key.period_start == 0)
		rc = db_query(db, &lock_current,
		    DB_ARGS(DBI(key.budget_uid), DBI(now)), &r, e);
	else
		rc = db_query(db, &lock_old,
		    DB_ARGS(DBI(key.budget_uid), DBI(key.period_start)), &r, e);
	db_rows_free(r);
	if (rc != 0)
		return rc;
	return store_lease_read(
	    db, agent_id, boot_epoch, &key, 1, now, recent, view, e);
}

/* ---- writing ------------------------------------------------------------- */

int
store_lease_write(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_write *w, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT CASE WHEN $5::bigint > 0 AND EXISTS (SELECT 1 FROM agent a "
	    "WHERE a.id = $3 AND a.boot_epoch > $4) THEN NULL "
	    "ELSE hg_lease_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
	    "$11, $12, $13, $14) END"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st,
	    DB_ARGS(DBI(w->budget_uid), DBI(w->period_start), DBS(agent_id),
		DBI(boot_epoch), DBI(w->grant), DBI(w->returned),
		DBI(w->high_water), DBI(w->r_settled), DBI(w->r_in_use),
		DBI(w->report_at), DBI(w->fence_at), DBB(w->recall),
		DBB(w->recall_others), DBI(w->quiet_until)),
	    &r, e);
	if (rc == 0 && db_is_null(r, 0, 0))
		/* This replica has not heard of the newer process yet. */
		rc = err_set(e, ERR_VERSION, "a newer boot epoch has begun");
	else if (rc == 0 && !db_bool(r, 0, 0))
		rc = err_set(e, ERR_CONFLICT, "not enough money is free");
	db_rows_free(r);
	return rc;
}

static void
some_columns(struct columns *k, const struct lease_write *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		k->v[0][i] = (int64_t)w[i].budget_uid;
		k->v[1][i] = w[i].period_start;
		k->v[2][i] = w[i].grant;
		k->v[3][i] = w[i].returned;
		k->v[4][i] = w[i].high_water;
		k->v[5][i] = w[i].r_settled;
		k->v[6][i] = w[i].r_in_use;
		k->v[7][i] = w[i].fence_at;
		k->v[8][i] = w[i].quiet_until;
		k->v[9][i] = w[i].floor;
		k->v[10][i] = w[i].version;
		k->v[11][i] = w[i].seen_granted;
		k->v[12][i] = w[i].seen_returned;
	}
}

static int
write_some(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct columns *k, size_t n, int64_t now, bool *written,
    struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT hg_lease_write_some($1, $2, $3, $4, $5, $6, $7, $8, $9, "
	    "$10, $11, $12, array_replace($13::bigint[], 0, NULL), $14, $15, "
	    "$16)"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st,
	    DB_ARGS(DBS(agent_id), DBI(boot_epoch), DBI(now), DBIA(k->v[0], n),
		DBIA(k->v[1], n), DBIA(k->v[2], n), DBIA(k->v[3], n),
		DBIA(k->v[4], n), DBIA(k->v[5], n), DBIA(k->v[6], n),
		DBIA(k->v[7], n), DBIA(k->v[8], n), DBIA(k->v[9], n),
		DBIA(k->v[10], n), DBIA(k->v[11], n), DBIA(k->v[12], n)),
	    &r, e);
	for (size_t i = 0; rc == 0 && i < db_rows_count(r); i++) {
		int64_t at = db_i64(r, i, 0) - 1;

		MUST(at >= 0 && (size_t)at < n);
		written[at] = true;
	}
	db_rows_free(r);
	return rc;
}

int
store_lease_write_some(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_write *w, size_t n, bool *written, struct error *e)
{
	struct columns k;
	bool moves = false;
	int rc;

	memset(written, 0, n * sizeof(*written));
	if (n == 0)
		return 0;
	if (columns_new(&k, 13, n) != 0)
		return err_set(e, ERR_NOMEM, "no memory for leases");
	some_columns(&k, w, n);
	for (size_t i = 0; i < n; i++)
		moves |= w[i].floor > 0;
	rc = db_begin(db, e);
	if (rc == 0 && !moves)
		rc = db_script(db, "SET LOCAL synchronous_commit = off", e);
	if (rc == 0)
		rc = write_some(db, agent_id, boot_epoch, &k, n, w[0].report_at,
		    written, e);
	if (rc == 0)
		rc = db_commit(db, e);
	else
		db_rollback(db);
	if (rc != 0)
		memset(written, 0, n * sizeof(*written));
	free(k.v[0]);
	return rc;
}

struct release {
	struct str agent_id;
	uint64_t boot_epoch;
	int64_t released;
};

static int
release_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {"SELECT hg_release($1, $2)"};
	struct release *x = ctx;
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(
	    db, &st, DB_ARGS(DBS(x->agent_id), DBI(x->boot_epoch)), &r, e);
	if (rc == 0)
		x->released = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_lease_release(struct store *s, struct str agent_id, uint64_t boot_epoch,
    int64_t *released, struct error *e)
{
	struct release x = {agent_id, boot_epoch, 0};
	int rc = store_tx(s, 0, release_tx, &x, e);

	*released = x.released;
	return rc;
}

struct doubt_timer {
	int64_t now, grace, released;
};

static int
doubt_timer_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {"SELECT hg_doubt_timer($1, $2)"};
	struct doubt_timer *x = ctx;
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(DBI(x->now), DBI(x->grace)), &r, e);
	if (rc == 0)
		x->released = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_doubt_timer(struct store *s, int64_t now, int64_t grace,
    int64_t *released, struct error *e)
{
	struct doubt_timer x = {now, grace, 0};
	int rc = store_tx(s, 0, doubt_timer_tx, &x, e);

	*released = x.released;
	return rc;
}

int
store_lease_check(struct db *db, int64_t *n_wrong, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT count(*) FROM budget_period p LEFT JOIN LATERAL ("
	    "SELECT sum(granted - returned - settled)::bigint AS live, "
	    "bool_or(granted < 0 OR returned < 0 OR settled < 0 "
	    "OR settled + returned > granted) AS bad "
	    "FROM lease l WHERE l.budget_uid = p.budget_uid "
	    "AND l.period_start = p.period_start) x ON true "
	    "WHERE p.limit_nano <> p.free + coalesce(x.live, 0) + p.settled "
	    "+ p.held OR p.limit_nano <> p.base_nano + p.adjust_nano "
	    "- p.past_nano OR x.bad"};
	struct db_rows *r = NULL;
	int rc = db_query_one(db, &st, DB_ARGS(), &r, e);

	if (rc == 0)
		*n_wrong = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_doubt_decide(struct db *db, const struct doubt_decision *d,
    int64_t *amount, struct error *e)
{
	static const struct db_stmt lease = {
	    "SELECT hg_doubt_decide($1, $2, $3, $4, $5, $6, $7)"};
	static const struct db_stmt held = {
	    "SELECT hg_held_decide($1, $2, $3, $4, $5)"};
	const char *action = d->release ? "release" : "book";
	struct db_rows *r = NULL;
	int rc;

	if (d->agent_id.len == 0)
		rc = db_query_one(db, &held,
		    DB_ARGS(DBI(d->budget_uid), DBI(d->period_start),
			DBZ(action), DBS(d->author), DBS(d->reason)),
		    &r, e);
	else
		rc = db_query_one(db, &lease,
		    DB_ARGS(DBI(d->budget_uid), DBI(d->period_start),
			DBS(d->agent_id), DBI(d->boot_epoch), DBZ(action),
			DBS(d->author), DBS(d->reason)),
		    &r, e);
	if (rc == 0 && db_is_null(r, 0, 0))
		rc = d->agent_id.len == 0
			 ? err_set(e, ERR_NOT_FOUND,
			       "nothing is held behind estimates on this "
			       "budget in this period")
			 : err_set_field(e, ERR_NOT_FOUND, "/agent",
			       "the agent has no doubtful lease of that boot "
			       "epoch on this budget in this period");
	if (rc == 0)
		*amount = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}
