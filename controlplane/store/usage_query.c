/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing usage rows, and the check that rows, ledger and sums agree.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "controlplane/store/usage_internal.h"

#define QUERY_NAME(col) "coalesce(" col ".name, '#' || u." col "_uid)"
#define QUERY_JOIN(col) \
	" LEFT JOIN item_name " col " ON " col ".uid = u." col "_uid"

/* Names are joined to the page only. */
#define QUERY_SQL(where)                                                                                                  \
	"SELECT u.batch_id, u.seq, u.kind, u.agent_id, u.boot_epoch, "                                                    \
	"u.shard, u.attempt, u.request_id, u.started_at, u.duration_us, "                                                 \
	"u.first_byte_us, " QUERY_NAME("tenant") ", " QUERY_NAME(                                                         \
	    "team") ","                                                                                                   \
		    " " QUERY_NAME("project") ", " QUERY_NAME(                                                            \
			"key") ","                                                                                        \
			       " " QUERY_NAME("route") ", " QUERY_NAME(                                                   \
				   "deplo"                                                                                \
				   "ymen"                                                                                 \
				   "t") ", " QUERY_NAME("provider") ","                                                   \
								    " " QUERY_NAME(                                       \
									"mod"                                             \
									"el") ", "                                        \
									      "u.config_version, u.price_version, "       \
									      "u.cost, u.source, "                        \
									      "u.http_status, u.streamed, "               \
									      "u.finish_reason, "                         \
									      "u.upstream_request_id, "                   \
									      "u.error_code, "                            \
									      "u.tags, " USAGE_TOKEN_COLUMNS              \
									      ", (extract(epoch FROM "                    \
									      "u.started_at) * 1000000)::bigint, u.tier " \
									      "FROM ("                                    \
									      "SELECT * FROM usage WHERE " where          \
									      " ORDER BY started_at DESC, "               \
									      "batch_id DESC, seq DESC LIMIT $2) "        \
									      "u" QUERY_JOIN("tenant") QUERY_JOIN(        \
										  "team") QUERY_JOIN("project")           \
										  QUERY_JOIN("key") QUERY_JOIN(           \
										      "route")                            \
										      QUERY_JOIN(                         \
											  "deploym"                       \
											  "ent")                          \
											  QUERY_JOIN(                     \
											      "provider")                 \
											      QUERY_JOIN(                 \
												  "model") " ORDER BY "   \
													   "u.started_"   \
													   "at DESC, "    \
													   "u.batch_"     \
													   "id DESC, "    \
													   "u.seq DESC"

enum {
	Q_BATCH,
	Q_SEQ,
	Q_KIND,
	Q_AGENT,
	Q_EPOCH,
	Q_SHARD,
	Q_ATTEMPT,
	Q_REQUEST,
	Q_STARTED,
	Q_DURATION,
	Q_FIRST_BYTE,
	Q_NAMES,
	Q_CONFIG = Q_NAMES + U_COUNT,
	Q_PRICE,
	Q_COST,
	Q_SOURCE,
	Q_STATUS,
	Q_STREAMED,
	Q_FINISH,
	Q_UPSTREAM,
	Q_ERROR,
	Q_TAGS,
	Q_TOKENS,
	Q_STARTED_US = Q_TOKENS + TC_COUNT,
	Q_TIER
};

static void
query_row(const struct db_rows *r, size_t i, struct usage_row *u)
{
	struct str *const names[U_COUNT] = {&u->tenant, &u->team, &u->project,
	    &u->key, &u->route, &u->deployment, &u->provider, &u->model};

	*u = (struct usage_row){
	    .id = db_i64(r, i, Q_BATCH),
	    .kind = (enum usage_kind)db_i64(r, i, Q_KIND),
	    .agent_id = db_str(r, i, Q_AGENT),
	    .boot_epoch = (uint64_t)db_i64(r, i, Q_EPOCH),
	    .seq = (uint64_t)db_i64(r, i, Q_SEQ),
	    .shard = (uint32_t)db_i64(r, i, Q_SHARD),
	    .attempt = (uint32_t)db_i64(r, i, Q_ATTEMPT),
	    .started_at = db_time(r, i, Q_STARTED),
	    .duration_us = db_i64(r, i, Q_DURATION),
	    .first_byte_us = db_i64(r, i, Q_FIRST_BYTE),
	    .config_version = (uint64_t)db_i64(r, i, Q_CONFIG),
	    .price_version = (uint64_t)db_i64(r, i, Q_PRICE),
	    .cost = db_i64(r, i, Q_COST),
	    .source = (int)db_i64(r, i, Q_SOURCE),
	    .http_status = (int)db_i64(r, i, Q_STATUS),
	    .streamed = db_bool(r, i, Q_STREAMED),
	    .finish_reason = db_str(r, i, Q_FINISH),
	    .upstream_request_id = db_str(r, i, Q_UPSTREAM),
	    .error_code = db_str(r, i, Q_ERROR),
	    .tags = db_str(r, i, Q_TAGS),
	    .tier = db_str(r, i, Q_TIER),
	};
	snprintf(u->request_id, sizeof(u->request_id), "%s",
	    db_text(r, i, Q_REQUEST));
	for (int k = 0; k < U_COUNT; k++)
		*names[k] = db_str(r, i, Q_NAMES + k);
	for (int k = 0; k < TC_COUNT; k++)
		u->tokens.n[k] = db_i64(r, i, Q_TOKENS + k);
}

/* "microseconds.batch.seq" of the last row seen. */
static int
query_cursor(struct str s, int64_t at[3], struct error *e)
{
	struct str one;

	for (int i = 0; i < 3; i++) {
		str_cut(s, '.', &one, &s);
		if (str_to_i64(one, &at[i]) != 0)
			return err_set_field(
			    e, ERR_INVALID, "cursor", "bad cursor");
	}
	return s.len == 0
		   ? 0
		   : err_set_field(e, ERR_INVALID, "cursor", "bad cursor");
}

/* Uids of a kind that had the name; '' = any. */
#define QUERY_UIDS(col, kind, arg)                                         \
	" AND (" arg "::text = '' OR " col " = ANY(ARRAY(SELECT uid FROM " \
	"item_name WHERE kind = " kind " AND name = " arg ")))"

static int
query_run(struct db *db, const struct usage_filter *f, struct db_rows **r,
    struct error *e)
{
	static const struct db_stmt by_request = {
	    QUERY_SQL("request_id = $1 AND (started_at, batch_id, seq) < "
		      "(timestamptz 'epoch' + $3 * interval '1 microsecond', "
		      "$4::bigint, $5::bigint)")};
	static const struct db_stmt by_time = {QUERY_SQL(
	    "started_at >= $1 AND started_at < $3 "
	    "AND (started_at, batch_id, seq) < "
	    "(timestamptz 'epoch' + $4 * interval '1 microsecond', "
	    "$5::bigint, $6::bigint)" QUERY_UIDS("tenant_uid", "1", "$7")
		QUERY_UIDS("project_uid", "3", "$8") QUERY_UIDS("key_uid", "4",
		    "$9") " AND ($10::text = '' OR tags->>'user' = $10) "
			  "AND ($11::text = '' OR tags->>$11 = $12::text)")};
	/* the year 9999; from = 1970 */
	int64_t at[3] = {INT64_C(253370764800000000), 0, 0};
	const int64_t last = INT64_C(9223286400) * NS_PER_S;
	int rc = 0;

	if (f->cursor.len > 0)
		rc = query_cursor(f->cursor, at, e);
	if (rc != 0)
		return rc;
	if (f->request_id.len > 0)
		return db_query(db, &by_request,
		    DB_ARGS(DBS(f->request_id), DBI(f->limit), DBI(at[0]),
			DBI(at[1]), DBI(at[2])),
		    r, e);
	return db_query(db, &by_time,
	    DB_ARGS(DBT(f->from), DBI(f->limit), DBT(f->to ? f->to : last),
		DBI(at[0]), DBI(at[1]), DBI(at[2]), DBS(f->tenant),
		DBS(f->project), DBS(f->key), DBS(f->user), DBS(f->tag),
		DBS(f->tag_value)),
	    r, e);
}

int
store_usage_list(struct db *db, const struct usage_filter *f, usage_row_fn *fn,
    void *ctx, char *next_cursor, struct error *e)
{
	struct db_rows *r = NULL;
	struct usage_row u;
	size_t n;
	int rc;

	next_cursor[0] = '\0';
	rc = query_run(db, f, &r, e);
	if (rc != 0)
		return rc;
	n = db_rows_count(r);
	for (size_t i = 0; i < n && rc == 0; i++) {
		query_row(r, i, &u);
		rc = fn(ctx, &u);
	}
	if (rc == 0 && n > 0 && n == (size_t)f->limit)
		snprintf(next_cursor, 64, "%s.%s.%s",
		    db_text(r, n - 1, Q_STARTED_US), db_text(r, n - 1, Q_BATCH),
		    db_text(r, n - 1, Q_SEQ));
	db_rows_free(r);
	return rc;
}

int
store_usage_check(struct db *db, struct usage_check *c, struct error *e)
{
	/* One statement, so one snapshot. */
	static const struct db_stmt st = {
	    "WITH u AS (SELECT tenant_uid, count(*) n, sum(cost) c FROM usage "
	    "GROUP BY 1), l AS (SELECT tenant_uid, count(*) n, sum(amount) c "
	    "FROM ledger GROUP BY 1), h AS (SELECT tenant_uid, sum(cost) c "
	    "FROM usage_hourly GROUP BY 1), d AS (SELECT tenant_uid, "
	    "sum(cost) c FROM usage_daily GROUP BY 1), p AS (SELECT "
	    "sum(amount) FILTER (WHERE account LIKE 'usage:%') debit, "
	    "sum(amount) FILTER (WHERE account LIKE 'provider:%') credit "
	    "FROM ledger_posting), dup AS (SELECT count(*) n FROM (SELECT 1 "
	    "FROM usage WHERE kind = 0 GROUP BY request_id, attempt "
	    "HAVING count(*) > 1) x) "
	    "SELECT coalesce(sum(u.n), 0)::bigint, "
	    "coalesce(sum(l.n), 0)::bigint, "
	    "(SELECT count(*) FROM usage_quarantine), "
	    "coalesce(sum(u.c), 0)::bigint, "
	    "coalesce((SELECT debit FROM p), 0)::bigint, "
	    "coalesce((SELECT -credit FROM p), 0)::bigint, "
	    "coalesce(sum(h.c), 0)::bigint, coalesce(sum(d.c), 0)::bigint, "
	    "count(*) FILTER (WHERE u.c IS DISTINCT FROM l.c OR u.c IS "
	    "DISTINCT FROM h.c OR u.c IS DISTINCT FROM d.c), "
	    "(SELECT n FROM dup) FROM u FULL JOIN l USING (tenant_uid) "
	    "FULL JOIN h USING (tenant_uid) FULL JOIN d USING (tenant_uid)"};
	int64_t *const to[] = {&c->usage_rows, &c->ledger_rows, &c->quarantined,
	    &c->usage_cost, &c->ledger_debit, &c->ledger_credit,
	    &c->hourly_cost, &c->daily_cost, &c->tenants_wrong, &c->duplicates};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query_one(db, &st, DB_ARGS(), &r, e);
	for (int i = 0; rc == 0 && i < (int)(sizeof(to) / sizeof(*to)); i++)
		*to[i] = db_i64(r, 0, i);
	db_rows_free(r);
	return rc;
}
