/* SPDX-License-Identifier: Apache-2.0 */
/* See store_rate.h. Four statements for all limits of one exchange. */
#include "controlplane/store/store_rate.h"

#include <stdlib.h>
#include <string.h>

#define RATE_COLUMNS   20
#define RATE_UNIT      INT64_C(1000000)
#define RATE_MAX       INT64_C(100000000000) /* as agents count */
#define RATE_FORGOTTEN (60 * NS_PER_S)

/* Columns of arrays. */
struct rate_columns {
	int64_t *v[RATE_COLUMNS];
};

static int
rate_columns_new(struct rate_columns *c, unsigned n_columns, size_t n)
{
	unsigned i;

	c->v[0] = calloc(n * n_columns + 1, sizeof(int64_t));
	if (c->v[0] == NULL)
		return ERR_NOMEM;
	for (i = 1; i < n_columns; i++)
		c->v[i] = c->v[0] + i * n;
	return 0;
}

static int64_t
rate_micro(int64_t n)
{
	return (n < RATE_MAX ? n : RATE_MAX) * RATE_UNIT;
}

static int
rate_pools(struct db *db, struct rate_view *v, size_t n, const int64_t *uids,
    struct error *e)
{
	static const struct db_stmt make = {
	    "INSERT INTO rate_pool (limit_uid, at, requests_level, "
	    "tokens_level) SELECT i.uid, 0, 0, 0 FROM config_item i "
	    "WHERE i.kind = 10 AND i.uid = ANY($1::bigint[]) ORDER BY 1 "
	    "ON CONFLICT DO NOTHING"};
	static const struct db_stmt lock = {
	    "SELECT p.limit_uid, p.at, p.requests_level, p.tokens_level, "
	    "coalesce((i.spec->>'requests_per_minute')::bigint, 0), "
	    "coalesce((i.spec->>'tokens_per_minute')::bigint, 0), "
	    "coalesce((i.spec->>'concurrency')::bigint, 0), "
	    "coalesce((i.spec->>'requests_burst')::bigint, 0), "
	    "coalesce((i.spec->>'tokens_burst')::bigint, 0), "
	    "coalesce(i.spec->>'across', 'fleet') = 'fleet' "
	    "FROM rate_pool p JOIN config_item i ON i.uid = p.limit_uid "
	    "WHERE p.limit_uid = ANY($1::bigint[]) "
	    "ORDER BY p.limit_uid FOR UPDATE OF p"};
	struct db_val ids = DBIA(uids, n);
	struct db_rows *r = NULL;
	size_t i, k;
	int rc;

	rc = db_exec(db, &make, DB_ARGS(ids), NULL, e);
	if (rc == 0)
		rc = db_query(db, &lock, DB_ARGS(ids), &r, e);
	for (i = 0; rc == 0 && i < db_rows_count(r); i++) {
		for (k = 0; k < n; k++)
			if (v[k].limit_uid == (uint64_t)db_i64(r, i, 0))
				break;
		if (k == n)
			continue;
		v[k].found = db_bool(r, i, 9);
		v[k].pool = (struct share_pool){.is_new = db_i64(r, i, 1) == 0,
		    .at = db_i64(r, i, 1),
		    .level = {db_i64(r, i, 2), db_i64(r, i, 3)}};
		v[k].limit = (struct share_limit){
		    .size = {rate_micro(db_i64(r, i, 4)),
			rate_micro(db_i64(r, i, 5)), db_i64(r, i, 6)},
		    .burst = {rate_micro(db_i64(r, i, 7) > 0 ? db_i64(r, i, 7)
							     : db_i64(r, i, 4)),
			rate_micro(db_i64(r, i, 8) > 0 ? db_i64(r, i, 8)
						       : db_i64(r, i, 5))}};
	}
	db_rows_free(r);
	return rc;
}

static int
rate_row_read(const struct db_rows *r, size_t i, struct share_row *s)
{
	memset(s, 0, sizeof(*s));
	if (str_copy(db_str(r, i, 1), s->agent_id, sizeof(s->agent_id)) != 0)
		return ERR_CORRUPT;
	s->boot_epoch = (uint64_t)db_i64(r, i, 2);
	s->session = (uint64_t)db_i64(r, i, 3);
	s->share_id = (uint64_t)db_i64(r, i, 4);
	s->until = db_i64(r, i, 5);
	s->old_until = db_i64(r, i, 9);
	for (unsigned d = 0; d < SHARE_N; d++) {
		s->size[d] = db_i64(r, i, 6 + (int)d);
		s->old[d] = db_i64(r, i, 10 + (int)d);
		s->wanted[d] = db_i64(r, i, 13 + (int)d);
	}
	for (unsigned d = 0; d < SHARE_RATES; d++) {
		s->given[d] = db_i64(r, i, 16 + (int)d);
		s->returned[d] = db_i64(r, i, 18 + (int)d);
	}
	s->in_flight = db_i64(r, i, 20);
	return 0;
}

/* Where the rows of a limit begin; they are in the order of uids. */
static size_t
rate_first(const int64_t *uids, size_t n, uint64_t uid)
{
	size_t low = 0, mid;

	while (low < n) {
		mid = low + (n - low) / 2;
		if ((uint64_t)uids[mid] < uid)
			low = mid + 1;
		else
			n = mid;
	}
	return low;
}

/* Each view gets its limit's rows and one more to use. */
static int
rate_rows(struct rate_view *v, const struct db_rows *r, const int64_t *uids,
    struct str agent_id)
{
	size_t total = db_rows_count(r), i, first, n = 0;
	bool mine = false;

	first = rate_first(uids, total, v->limit_uid);
	while (first + n < total && (uint64_t)uids[first + n] == v->limit_uid)
		n++;
	v->rows = calloc(n + 1, sizeof(*v->rows));
	if (v->rows == NULL)
		return ERR_NOMEM;
	for (i = first, v->n = 0; i < first + n; i++, v->n++) {
		if (rate_row_read(r, i, &v->rows[v->n]) != 0)
			return ERR_CORRUPT;
		if (str_eqz(agent_id, v->rows[v->n].agent_id)) {
			v->me = v->n;
			mine = true;
		}
	}
	if (mine)
		return 0;
	v->me = v->n;
	return str_copy(
	    agent_id, v->rows[v->n++].agent_id, sizeof(v->rows[0].agent_id));
}

int
store_rate_lock(struct db *db, struct str agent_id, struct rate_view *v,
    size_t n, struct error *e)
{
	static const struct db_stmt read = {
	    "SELECT limit_uid, agent_id, boot_epoch, session, share_id, "
	    "until_at, requests, tokens, places, old_until, old_requests, "
	    "old_tokens, old_places, requests_wanted, tokens_wanted, "
	    "places_wanted, requests_given, tokens_given, requests_returned, "
	    "tokens_returned, in_flight FROM rate_share "
	    "WHERE limit_uid = ANY($1::bigint[]) ORDER BY limit_uid, agent_id"};
	struct rate_columns c;
	struct db_rows *r = NULL;
	int64_t *uids = NULL;
	size_t i;
	int rc;

	if (rate_columns_new(&c, 1, n) != 0)
		return err_set(e, ERR_NOMEM, "no memory for limits");
	for (i = 0; i < n; i++)
		c.v[0][i] = (int64_t)v[i].limit_uid;
	rc = rate_pools(db, v, n, c.v[0], e);
	if (rc == 0)
		rc = db_query(db, &read, DB_ARGS(DBIA(c.v[0], n)), &r, e);
	if (rc == 0)
		uids = calloc(db_rows_count(r) + 1, sizeof(*uids));
	for (i = 0; uids != NULL && i < db_rows_count(r); i++)
		uids[i] = db_i64(r, i, 0);
	if (rc == 0 && uids == NULL)
		rc = err_set(e, ERR_NOMEM, "no memory for shares");
	for (i = 0; rc == 0 && i < n; i++)
		if (v[i].found && rate_rows(&v[i], r, uids, agent_id) != 0)
			rc = err_set(e, ERR_NOMEM, "no memory for shares");
	free(uids);
	db_rows_free(r);
	free(c.v[0]);
	return rc;
}

void
store_rate_free(struct rate_view *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].rows);
}

static int
rate_write_pools(struct db *db, const struct rate_columns *c, size_t n,
    int64_t now, struct error *e)
{
	static const struct db_stmt pools = {
	    "UPDATE rate_pool p SET at = t.at, requests_level = t.req, "
	    "tokens_level = t.tok FROM unnest($1::bigint[], $2::bigint[], "
	    "$3::bigint[], $4::bigint[]) AS t(uid, at, req, tok) "
	    "WHERE p.limit_uid = t.uid"};
	static const struct db_stmt forget = {
	    "DELETE FROM rate_share WHERE limit_uid = ANY($1::bigint[]) "
	    "AND until_at < $2 AND old_until < $2"};
	int rc;

	rc = db_exec(db, &pools,
	    DB_ARGS(DBIA(c->v[0], n), DBIA(c->v[1], n), DBIA(c->v[2], n),
		DBIA(c->v[3], n)),
	    NULL, e);
	if (rc == 0)
		rc = db_exec(db, &forget,
		    DB_ARGS(DBIA(c->v[0], n), DBI(now - RATE_FORGOTTEN)), NULL,
		    e);
	return rc;
}

static int
rate_write_rows(struct db *db, struct str agent_id,
    const struct rate_columns *c, size_t n, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO rate_share (limit_uid, agent_id, boot_epoch, session, "
	    "share_id, until_at, requests, tokens, places, old_until, "
	    "old_requests, old_tokens, old_places, requests_wanted, "
	    "tokens_wanted, places_wanted, requests_given, tokens_given, "
	    "requests_returned, tokens_returned, in_flight) "
	    "SELECT uid, $1, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, "
	    "v12, v13, v14, v15, v16, v17, v18, v19 FROM unnest("
	    "$2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
	    "$6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], "
	    "$10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], "
	    "$14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], "
	    "$18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[]) "
	    "AS t(uid, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, "
	    "v13, v14, v15, v16, v17, v18, v19) "
	    "ON CONFLICT (limit_uid, agent_id) DO UPDATE SET "
	    "(boot_epoch, session, share_id, until_at, requests, tokens, "
	    "places, old_until, old_requests, old_tokens, old_places, "
	    "requests_wanted, tokens_wanted, places_wanted, requests_given, "
	    "tokens_given, requests_returned, tokens_returned, in_flight) = "
	    "(excluded.boot_epoch, excluded.session, excluded.share_id, "
	    "excluded.until_at, excluded.requests, excluded.tokens, "
	    "excluded.places, excluded.old_until, excluded.old_requests, "
	    "excluded.old_tokens, excluded.old_places, "
	    "excluded.requests_wanted, excluded.tokens_wanted, "
	    "excluded.places_wanted, excluded.requests_given, "
	    "excluded.tokens_given, excluded.requests_returned, "
	    "excluded.tokens_returned, excluded.in_flight)"};
	struct db_val a[2 + RATE_COLUMNS];

	a[0] = DBNULL; /* as DB_ARGS() makes them */
	a[1] = DBS(agent_id);
	for (unsigned k = 0; k < RATE_COLUMNS; k++)
		a[2 + k] = DBIA(c->v[k], n);
	return db_exec(db, &st, a, 2 + RATE_COLUMNS, NULL, e);
}

/* Columns 1.. of a row, in the order of rate_write_rows(). */
static void
rate_row_columns(
    const struct share_row *s, const struct rate_columns *c, size_t i)
{
	const int64_t row[RATE_COLUMNS - 1] = {(int64_t)s->boot_epoch,
	    (int64_t)s->session, (int64_t)s->share_id, s->until, s->size[0],
	    s->size[1], s->size[2], s->old_until, s->old[0], s->old[1],
	    s->old[2], s->wanted[0], s->wanted[1], s->wanted[2], s->given[0],
	    s->given[1], s->returned[0], s->returned[1], s->in_flight};

	for (unsigned k = 1; k < RATE_COLUMNS; k++)
		c->v[k][i] = row[k - 1];
}

int
store_rate_write(struct db *db, struct str agent_id, const struct rate_view *v,
    size_t n, int64_t now, struct error *e)
{
	struct rate_columns c;
	size_t i, k = 0;
	int rc;

	if (rate_columns_new(&c, RATE_COLUMNS, n) != 0)
		return err_set(e, ERR_NOMEM, "no memory for shares");
	for (i = 0; i < n; i++) {
		if (!v[i].found)
			continue;
		c.v[0][k] = (int64_t)v[i].limit_uid;
		c.v[1][k] = v[i].pool.at;
		c.v[2][k] = v[i].pool.level[0];
		c.v[3][k++] = v[i].pool.level[1];
	}
	rc = k > 0 ? rate_write_pools(db, &c, k, now, e) : 0;
	for (i = k = 0; i < n; i++) {
		if (!v[i].found)
			continue;
		c.v[0][k] = (int64_t)v[i].limit_uid;
		rate_row_columns(&v[i].rows[v[i].me], &c, k++);
	}
	if (rc == 0 && k > 0)
		rc = rate_write_rows(db, agent_id, &c, k, e);
	free(c.v[0]);
	return rc;
}
