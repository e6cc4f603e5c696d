/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See store_value.h.
 */
#include "controlplane/store/store_value.h"

#include <stdlib.h>

#define VALUE_ASKS_MAX 4096

static enum value_state
value_state(struct str why)
{
	if (str_eqz(why, "ok"))
		return VALUE_OK;
	if (str_eqz(why, "full"))
		return VALUE_TOO_MANY;
	return str_eqz(why, "short") ? VALUE_TOO_DEAR : VALUE_GONE;
}

/* Columns of the asks. */
struct asks {
	int64_t *uids, *least;
	struct str *values;
};

static int
value_query(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct value_ask *v, size_t n, int64_t now, const struct asks *k,
    struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT r.cell, r.why, r.lim, r.ends, l.period_start, l.granted, "
	    "l.returned, k.ord FROM unnest($1::bigint[], "
	    "$2::text[], $3::bigint[]) WITH ORDINALITY "
	    "AS k(uid, value, least, ord) CROSS JOIN LATERAL "
	    "hg_budget_value(k.uid, k.value, k.least, $4) r "
	    "LEFT JOIN LATERAL ((SELECT x.period_start, x.granted, x.returned "
	    "FROM lease x WHERE x.budget_uid = r.cell AND x.agent_id = $5 "
	    "AND x.boot_epoch = $6 ORDER BY x.period_start DESC LIMIT 1) "
	    "UNION (SELECT x.period_start, x.granted, x.returned "
	    "FROM budget_period p JOIN lease x ON x.budget_uid = r.cell "
	    "AND x.period_start = p.period_start AND x.agent_id = $5 "
	    "AND x.boot_epoch = $6 WHERE p.budget_uid = r.cell "
	    "AND p.period_end > $4 ORDER BY 1 DESC LIMIT $7 - 1)) l "
	    "ON true ORDER BY k.ord, l.period_start DESC"};
	struct db_rows *r = NULL;
	int rc;

	for (size_t i = 0; i < n; i++) {
		k->uids[i] = (int64_t)v[i].budget_uid;
		k->least[i] = v[i].least;
		k->values[i] = v[i].value;
	}
	rc = db_query(db, &st,
	    DB_ARGS(DBIA(k->uids, n), DBSA(k->values, n), DBIA(k->least, n),
		DBI(now), DBS(agent_id), DBI(boot_epoch),
		DBI(VALUE_LEASES_MAX)),
	    &r, e);
	for (size_t i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct value_ask *to = &v[db_i64(r, i, 7) - 1];

		to->state = value_state(db_str(r, i, 1));
		to->cell_uid = (uint64_t)db_i64(r, i, 0);
		to->limit = db_i64(r, i, 2);
		to->end_ns = db_i64(r, i, 3);
		if (!db_is_null(r, i, 4))
			to->leases[to->n_leases++] = (struct value_lease){
			    .period_start = db_i64(r, i, 4),
			    .granted = db_i64(r, i, 5),
			    .returned = db_i64(r, i, 6)};
	}
	db_rows_free(r);
	return rc;
}

int
store_value_cells_tx(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct value_ask *v, size_t n, int64_t now, struct error *e)
{
	struct asks k;
	int rc;

	if (n == 0)
		return 0;
	if (n > VALUE_ASKS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%zu values", n);
	k.uids = calloc(2 * n, sizeof(int64_t));
	k.values = calloc(n, sizeof(struct str));
	if (k.uids == NULL || k.values == NULL) {
		free(k.uids);
		free(k.values);
		return err_set(e, ERR_NOMEM, "no memory for values");
	}
	k.least = k.uids + n;
	rc = value_query(db, agent_id, boot_epoch, v, n, now, &k, e);
	free(k.uids);
	free(k.values);
	return rc;
}

int
store_value_cells(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct value_ask *v, size_t n, int64_t now, struct error *e)
{
	int rc;

	if (n == 0)
		return 0;
	rc = db_begin(db, e);
	if (rc == 0)
		rc = store_value_cells_tx(
		    db, agent_id, boot_epoch, v, n, now, e);
	if (rc == 0)
		rc = db_commit(db, e);
	if (rc != 0)
		db_rollback(db);
	return rc;
}

struct place {
	uint64_t cell_uid;
	int64_t least, now;
	enum value_state state;
};

static int
place_run(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT why FROM hg_value_place($1, $2, $3)"};
	struct place *x = ctx;
	struct db_rows *r = NULL;
	int rc = db_query_one(db, &st,
	    DB_ARGS(DBI(x->cell_uid), DBI(x->least), DBI(x->now)), &r, e);

	if (rc == 0)
		x->state = value_state(db_str(r, 0, 0));
	db_rows_free(r);
	return rc;
}

int
store_value_place(struct db *db, uint64_t cell_uid, int64_t least, int64_t now,
    enum value_state *state, struct error *e)
{
	struct place x = {cell_uid, least, now, VALUE_GONE};
	int rc = db_begin(db, e);

	if (rc == 0)
		rc = place_run(db, &x, e);
	if (rc == 0)
		rc = db_commit(db, e);
	if (rc != 0)
		db_rollback(db);
	*state = x.state;
	return rc;
}

struct retire {
	int64_t now, idle, n;
	bool more;
};

static int
retire_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT budget, retired FROM hg_values_retire($1, $2)"};
	struct retire *x = ctx;
	struct db_rows *r = NULL;
	int rc =
	    db_query_one(db, &st, DB_ARGS(DBI(x->now), DBI(x->idle)), &r, e);

	if (rc == 0) {
		x->more = !db_is_null(r, 0, 0);
		x->n = db_i64(r, 0, 1);
	}
	db_rows_free(r);
	return rc;
}

int
store_value_retire(
    struct store *s, int64_t now, int64_t idle_ns, int64_t *n, struct error *e)
{
	struct retire x = {.now = now, .idle = idle_ns, .more = true};
	int rc = 0;

	*n = 0;
	while (rc == 0 && x.more) {
		rc = store_tx(s, 0, retire_tx, &x, e);
		if (rc == 0)
			*n += x.n;
	}
	return rc;
}

int
store_value_find(struct db *db, uint64_t budget_uid, struct str value,
    uint64_t *cell_uid, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT cell_uid FROM budget_value "
	    "WHERE budget_uid = $1 AND value = $2"};
	struct db_rows *r = NULL;
	int rc = db_query(db, &st, DB_ARGS(DBI(budget_uid), DBS(value)), &r, e);

	if (rc == 0 && db_rows_count(r) == 0)
		rc = err_set_field(e, ERR_NOT_FOUND, "/value",
		    "the budget has not counted this value yet");
	if (rc == 0)
		*cell_uid = (uint64_t)db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

/* What a cell has used now: of the period that holds the instant, or of the
 * buckets in the window that ends there. */
#define VALUE_USED                                                      \
	"LEFT JOIN LATERAL (SELECT coalesce((c.spec->>'rolling_hours')" \
	"::bigint, 0) * 3600000000000 AS span) w ON true "              \
	"LEFT JOIN LATERAL (SELECT sum(p.settled)::bigint AS spent, "   \
	"sum(p.held)::bigint AS held, sum(p.settled + p.held)::bigint " \
	"AS used FROM budget_period p WHERE p.budget_uid = v.cell_uid " \
	"AND p.period_end > $2::bigint - w.span "                       \
	"AND p.period_start <= $2::bigint) u ON true "

int
store_value_list(struct db *db, uint64_t budget_uid, int64_t now,
    int64_t after_used, uint64_t after_uid, int limit, value_fn *fn, void *ctx,
    struct error *e)
{
	static const struct db_stmt st = {
	    "WITH page AS MATERIALIZED (SELECT v.cell_uid, v.value, "
	    "v.created_at, v.retired_at, coalesce(u.used, 0) AS used "
	    "FROM budget_value v JOIN config_item c ON c.uid = "
	    "v.budget_uid " VALUE_USED
	    "WHERE v.budget_uid = $1 AND ($3::bigint < 0 "
	    "OR coalesce(u.used, 0) < $3::bigint "
	    "OR (coalesce(u.used, 0) = $3::bigint AND v.cell_uid > "
	    "$4::bigint)) "
	    "ORDER BY 5 DESC, 1 LIMIT $5) "
	    "SELECT g.cell_uid, g.value, g.created_at, n.whole, "
	    "coalesce(p.free + n.lim - p.limit_nano, n.lim), "
	    "coalesce(p.settled, 0) + n.past_settled, "
	    "coalesce(p.held, 0) + n.past_held, coalesce(l.out, 0)::bigint, "
	    "g.used, hg_value_used(g.cell_uid), g.retired_at "
	    "FROM page g CROSS JOIN LATERAL hg_budget_now(g.cell_uid, $2) n "
	    "LEFT JOIN budget_period p ON p.budget_uid = g.cell_uid "
	    "AND p.period_start = n.period_start "
	    "LEFT JOIN LATERAL (SELECT sum(x.granted - x.settled - x.returned) "
	    "AS out FROM lease x WHERE x.budget_uid = g.cell_uid "
	    "AND x.period_start <= n.period_start "
	    "AND x.period_start >= n.period_start - n.span) l ON true "
	    "ORDER BY g.used DESC, g.cell_uid"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st,
	    DB_ARGS(DBI(budget_uid), DBI(now), DBI(after_used), DBI(after_uid),
		DBI(limit)),
	    &r, e);
	for (size_t i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct value_row row = {.cell_uid = (uint64_t)db_i64(r, i, 0),
		    .value = db_str(r, i, 1),
		    .created_at = db_time(r, i, 2),
		    .limit = db_i64(r, i, 3),
		    .free = db_i64(r, i, 4),
		    .spent = db_i64(r, i, 5),
		    .held = db_i64(r, i, 6),
		    .leased = db_i64(r, i, 7),
		    .used = db_i64(r, i, 8),
		    .last_used = db_is_null(r, i, 9) ? 0 : db_time(r, i, 9),
		    .retired_at = db_is_null(r, i, 10) ? 0 : db_time(r, i, 10)};

		rc = fn(ctx, &row);
	}
	db_rows_free(r);
	return rc;
}

int
store_value_sum(struct db *db, uint64_t budget_uid, int64_t now,
    struct value_sum *ret, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT z.n, s.spent, s.held, s.out, "
	    "n.period_end - CASE WHEN n.span > 0 THEN n.span "
	    "ELSE n.period_end - n.period_start END, n.period_end, n.lim, "
	    "z.n_retired FROM config_item c CROSS JOIN (SELECT "
	    "count(*) FILTER (WHERE v.retired_at IS NULL) AS n, "
	    "count(v.retired_at) AS n_retired FROM budget_value v "
	    "WHERE v.budget_uid = $1) z CROSS JOIN LATERAL hg_window(0, "
	    "c.spec, $2) n "
	    "CROSS JOIN LATERAL (SELECT coalesce(sum(p.settled), 0)::bigint "
	    "AS spent, coalesce(sum(p.held), 0)::bigint AS held, "
	    "coalesce(sum(l.out), 0)::bigint AS out FROM budget_value v "
	    "JOIN budget_period p ON p.budget_uid = v.cell_uid "
	    "AND p.period_end > $2::bigint - n.span "
	    "AND p.period_start <= $2::bigint "
	    "LEFT JOIN LATERAL (SELECT sum(x.granted - x.settled - x.returned) "
	    "AS out FROM lease x WHERE x.budget_uid = p.budget_uid "
	    "AND x.period_start = p.period_start) l ON true "
	    "WHERE v.budget_uid = $1) s WHERE c.uid = $1"};
	struct db_rows *r = NULL;
	int rc =
	    db_query_one(db, &st, DB_ARGS(DBI(budget_uid), DBI(now)), &r, e);

	if (rc == 0)
		*ret = (struct value_sum){.n = db_i64(r, 0, 0),
		    .spent = db_i64(r, 0, 1),
		    .held = db_i64(r, 0, 2),
		    .leased = db_i64(r, 0, 3),
		    .start = db_i64(r, 0, 4),
		    .end = db_i64(r, 0, 5),
		    .limit = db_i64(r, 0, 6),
		    .n_retired = db_i64(r, 0, 7)};
	db_rows_free(r);
	return rc;
}
