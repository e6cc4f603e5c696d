/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch of usage records, exactly once. Everything is in one
 * transaction: the watermark is locked first and moved last, so a repeated
 * batch finds its records booked and a lost commit leaves nothing behind.
 */
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "controlplane/store/store_internal.h"
#include "controlplane/store/usage_internal.h"

#define INGEST_ARENA (256 << 20) /* limit; a batch is at most 4 MiB packed */
/* Of one batch together; no sum of its rows can overflow. */
#define INGEST_MAX_COST	  (10 * USAGE_MAX_COST)
#define INGEST_MAX_TOKENS INT64_C(1000000000000000)

struct ingest {
	struct str agent_text;
	struct uuid agent;
	const Hg__UsageBatch *b;
	int64_t now;
	struct arena arena;
	struct usage_values values;
	/* found in the transaction */
	size_t from, to; /* records[from..to) are new */
	struct usage_entry *entries;
	size_t n;
	/* rejected, but their money counts as consumed: an agent whose clock
	 * is wrong must not spend without end */
	struct usage_entry *held;
	size_t n_held;
	const char **why; /* for records[from..to): NULL or reason */
	bool overflows;	  /* some sum in the database cannot hold this */
	struct usage_result r;
};

static int
ingest_lock(struct db *db, struct ingest *in, struct error *e)
{
	static const struct db_stmt get = {
	    "SELECT seq FROM usage_watermark WHERE agent_id = $1 AND "
	    "boot_epoch = $2 AND shard = $3 FOR UPDATE"};
	static const struct db_stmt add = {
	    "INSERT INTO usage_watermark (agent_id, boot_epoch, shard, seq) "
	    "VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING"};
	struct db_rows *r = NULL;
	int rc;

	for (int i = 0; i < 2; i++) {
		rc = db_query_one(db, &get,
		    DB_ARGS(DBS(in->agent_text), DBI(in->b->boot_epoch),
			DBI(in->b->shard)),
		    &r, e);
		if (rc == 0) {
			in->r.watermark = (uint64_t)db_i64(r, 0, 0);
			db_rows_free(r);
		}
		if (rc != ERR_NOT_FOUND)
			return rc;
		rc = db_exec(db, &add,
		    DB_ARGS(DBS(in->agent_text), DBI(in->b->boot_epoch),
			DBI(in->b->shard)),
		    NULL, e);
		if (rc != 0)
			return rc;
	}
	return err_set(e, ERR_AGAIN, "the watermark went away");
}

/* The run of records that follows the watermark without a hole. */
static void
ingest_select(struct ingest *in)
{
	uint64_t next = in->r.watermark + 1;
	size_t i = 0, n = in->b->n_records;

	in->r.repeated = 0;
	in->r.gap = false;
	while (i < n && in->b->records[i]->seq < next)
		i++;
	in->r.repeated = i;
	in->from = in->to = i;
	while (i < n && in->b->records[i]->seq == next) {
		next++;
		in->to = ++i;
	}
	in->r.gap = i < n;
}

static int
ingest_compare(const void *pa, const void *pb)
{
	int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;

	return a < b ? -1 : a > b;
}

/* Sort and drop repetitions. */
static size_t
ingest_unique(int64_t *v, size_t n)
{
	size_t m = 0;

	qsort(v, n, sizeof(*v), ingest_compare);
	for (size_t i = 0; i < n; i++)
		if (m == 0 || v[m - 1] != v[i])
			v[m++] = v[i];
	return m;
}

/* Is it an item of this kind? v holds uid * 8 + kind. */
static bool
ingest_has(const int64_t *v, size_t n, uint64_t uid, int kind)
{
	int64_t x = (int64_t)uid * 8 + kind;

	return uid < INT64_MAX / 16 &&
	       bsearch(&x, v, n, sizeof(*v), ingest_compare) != NULL;
}

/* Which of the batch's tenants and keys exist or did exist? known[] gets
 * them sorted. */
static int
ingest_known(struct db *db, struct ingest *in, int64_t **known, size_t *n_known,
    struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT n.uid * 8 + n.kind FROM unnest($1::bigint[]) x "
	    "JOIN item_name n ON n.uid = x WHERE n.kind IN (1, 4)"};
	struct db_rows *r = NULL;
	int64_t *v;
	size_t n = 0;
	int rc;

	v = arena_alloc(&in->arena, (in->to - in->from) * 2 * sizeof(*v) + 1);
	if (v == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	for (size_t i = in->from; i < in->to; i++) {
		if (in->why[i - in->from] != NULL)
			continue;
		v[n++] = (int64_t)in->b->records[i]->tenant_uid;
		v[n++] = (int64_t)in->b->records[i]->key_uid;
	}
	n = ingest_unique(v, n);
	rc = db_query(db, &st, DB_ARGS(DBIA(v, n)), &r, e);
	if (rc != 0)
		return rc;
	n = db_rows_count(r);
	for (size_t i = 0; i < n; i++)
		v[i] = db_i64(r, i, 0);
	db_rows_free(r);
	qsort(v, n, sizeof(*v), ingest_compare);
	*known = v;
	*n_known = n;
	return 0;
}

/* What a record takes from budgets is added to the sum of those before it, if
 * that is still a sum one can believe. */
static bool
ingest_takes(const Hg__UsageRecord *r, int64_t *taken)
{
	int64_t takes = r->cost + usage_record_held(r);

	if (takes > INGEST_MAX_COST - *taken)
		return false;
	*taken += takes;
	return true;
}

/* May a record be added to the sums of those before it? */
static bool
ingest_fits(const Hg__UsageRecord *r, struct tokens *sum, int64_t *taken)
{
	if (!ingest_takes(r, taken))
		return false;
	for (size_t i = 0; i < r->n_tokens && i < TC_COUNT; i++)
		if (sum->n[i] + r->tokens[i] > INGEST_MAX_TOKENS)
			return false;
	for (size_t i = 0; i < r->n_tokens && i < TC_COUNT; i++)
		sum->n[i] += r->tokens[i];
	return true;
}

/* Absurd numbers that pass one by one must not spoil sums either. */
static void
ingest_limit(struct ingest *in)
{
	struct tokens sum = {{0}};
	int64_t taken = 0;

	for (size_t i = 0; i < in->to - in->from; i++) {
		if (in->why[i] != NULL)
			continue;
		if (in->overflows)
			in->why[i] = "a sum would overflow";
		else if (!ingest_fits(
			     in->b->records[in->from + i], &sum, &taken))
			in->why[i] = "the batch holds too much";
	}
}

static int
ingest_entry(struct ingest *in, const Hg__UsageRecord *r,
    struct usage_entry *en, struct error *e)
{
	int rc = usage_record_entry(r, in->agent.b, in->b, &in->arena, en, e);

	if (rc == 0)
		usage_values_apply(&in->values, r, en);
	return rc;
}

static int
ingest_check(struct db *db, struct ingest *in, struct error *e)
{
	size_t n = in->to - in->from, n_known = 0;
	int64_t *known = NULL, taken = 0;
	int rc;

	in->why = arena_alloc(&in->arena, n * sizeof(*in->why) + 1);
	in->entries = arena_alloc(&in->arena, n * sizeof(*in->entries) + 1);
	in->held = arena_alloc(&in->arena, n * sizeof(*in->held) + 1);
	if (in->why == NULL || in->entries == NULL || in->held == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	for (size_t i = 0; i < n; i++)
		in->why[i] =
		    usage_record_reject(in->b->records[in->from + i], in->now);
	ingest_limit(in);
	rc = ingest_known(db, in, &known, &n_known, e);
	in->n = in->n_held = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		const Hg__UsageRecord *r = in->b->records[in->from + i];

		if (in->why[i] == NULL &&
		    !(ingest_has(known, n_known, r->tenant_uid, 1) &&
			ingest_has(known, n_known, r->key_uid, 4)))
			in->why[i] = "unknown tenant or key";
		if (in->why[i] == NULL)
			rc = ingest_entry(in, r, &in->entries[in->n++], e);
		else if (!in->overflows && usage_record_charges(r) &&
			 ingest_takes(r, &taken)) {
			rc = ingest_entry(in, r, &in->held[in->n_held], e);
			in->held[in->n_held++].started_at = in->now;
		}
	}
	return rc;
}

static void
ingest_rejected(struct usage_result *r, const char *why, uint64_t seq)
{
	r->quarantined++;
	for (int i = 0; i < USAGE_REJECTS; i++) {
		if (r->rejects[i].reason == NULL) {
			r->rejects[i].reason = why;
			r->rejects[i].first_seq = seq;
		}
		if (r->rejects[i].reason == why) {
			r->rejects[i].n++;
			return;
		}
	}
}

static int
ingest_quarantine(struct db *db, struct ingest *in, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO usage_quarantine (agent_id, boot_epoch, shard, seq, "
	    "reason, record, cost, held, charges, at) "
	    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
	    "ON CONFLICT DO NOTHING"};
	size_t held = 0;
	int rc = 0;

	in->r.quarantined = 0;
	for (size_t i = 0; i < in->to - in->from && rc == 0; i++) {
		const Hg__UsageRecord *r = in->b->records[in->from + i];
		struct usage_entry charged = {0};
		uint8_t *packed;

		if (in->why[i] == NULL)
			continue;
		if (held < in->n_held && (uint64_t)in->held[held].seq == r->seq)
			charged = in->held[held++];
		packed = arena_alloc(
		    &in->arena, hg__usage_record__get_packed_size(r) + 1);
		if (packed == NULL)
			return err_set(e, ERR_NOMEM, "no memory");
		rc = db_exec(db, &st,
		    DB_ARGS(DBS(in->agent_text), DBI(in->b->boot_epoch),
			DBI(in->b->shard), DBI(r->seq), DBZ(in->why[i]),
			DBX(packed, hg__usage_record__pack(r, packed)),
			DBI(charged.cost), DBI(charged.held),
			DBIA(charged.charges,
			    charged.n_charges * USAGE_CHARGE_INTS),
			DBT(in->now)),
		    NULL, e);
		ingest_rejected(&in->r, in->why[i], r->seq);
	}
	return rc;
}

static int
ingest_batch_row(struct db *db, struct ingest *in, int64_t *id, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO usage_batch (agent_id, boot_epoch, shard, first_seq, "
	    "last_seq, records, cost) VALUES ($1, $2, $3, $4, $5, $6, $7) "
	    "RETURNING id"};
	struct db_rows *r = NULL;
	int rc;

	in->r.cost = 0;
	for (size_t i = 0; i < in->n; i++)
		in->r.cost += in->entries[i].cost;
	in->r.accepted = in->n;
	rc = db_query_one(db, &st,
	    DB_ARGS(DBS(in->agent_text), DBI(in->b->boot_epoch),
		DBI(in->b->shard), DBI(in->b->records[in->from]->seq),
		DBI(in->b->records[in->to - 1]->seq), DBI(in->n),
		DBI(in->r.cost)),
	    &r, e);
	if (rc == 0)
		*id = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

static int
ingest_book(struct db *db, struct ingest *in, struct error *e)
{
	int64_t id = 0;
	int rc;

	rc = ingest_check(db, in, e);
	if (rc == 0)
		rc = ingest_quarantine(db, in, e);
	if (rc == 0)
		rc = ingest_batch_row(db, in, &id, e);
	if (rc == 0)
		rc = usage_copy(db, id, in->entries, in->n, e);
	if (rc == 0)
		rc = usage_sums(db, id, in->entries, in->n, &in->arena, e);
	/* Last: others of the same budget wait from here to the commit. */
	if (rc == 0)
		rc = usage_charge(db, in->agent_text, false, in->entries, in->n,
		    &in->arena, e);
	if (rc == 0)
		rc = usage_charge(db, in->agent_text, false, in->held,
		    in->n_held, &in->arena, e);
	return rc;
}

static int
ingest_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt move = {
	    "UPDATE usage_watermark SET seq = $4, closed = closed OR $5, "
	    "may_lack = may_lack OR $6, updated_at = now() WHERE agent_id = $1 "
	    "AND boot_epoch = $2 "
	    "AND shard = $3"};
	struct ingest *in = ctx;
	bool closes;
	int rc;

	arena_clear(&in->arena);
	in->r = (struct usage_result){0};
	rc = ingest_lock(db, in, e);
	if (rc != 0)
		return rc;
	ingest_select(in);
	if (in->to > in->from) {
		rc = ingest_book(db, in, e);
		if (rc != 0)
			return rc;
		in->r.watermark = in->b->records[in->to - 1]->seq;
	}
	closes = in->b->last && !in->r.gap;
	if (in->to == in->from && !closes)
		return 0;
	return db_exec(db, &move,
	    DB_ARGS(DBS(in->agent_text), DBI(in->b->boot_epoch),
		DBI(in->b->shard), DBI(in->r.watermark), DBB(closes),
		DBB(closes && in->b->may_lack)),
	    NULL, e);
}

/* The days of the batch's plausible records must have their partitions
 * before the transaction. */
static int
ingest_days(struct store *s, struct ingest *in, struct error *e)
{
	int64_t *days;
	size_t n = 0;

	days = arena_alloc(&in->arena, in->b->n_records * sizeof(*days) + 1);
	if (days == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	for (size_t i = 0; i < in->b->n_records; i++) {
		const Hg__UsageRecord *r = in->b->records[i];
		int64_t day = usage_day(r->started_at);

		if ((n == 0 || days[n - 1] != day) &&
		    usage_record_reject(r, in->now) == NULL)
			days[n++] = day;
	}
	n = ingest_unique(days, n);
	return usage_make_days(s, days, n, e);
}

int
store_usage_ingest(struct store *s, struct str agent_id,
    const Hg__UsageBatch *b, int64_t wall_now, struct usage_result *r,
    struct error *e)
{
	struct ingest in = {.agent_text = agent_id, .b = b, .now = wall_now};
	int rc;

	if (uuid_parse(agent_id.p, agent_id.len, &in.agent) != 0)
		return err_set(e, ERR_INVALID, "bad agent id");
	if (b->boot_epoch > INT64_MAX || b->shard > INT32_MAX)
		return err_set(e, ERR_INVALID, "bad boot epoch or shard");
	for (size_t i = 0; i < b->n_records; i++)
		if (b->records[i]->seq == 0 || b->records[i]->seq > INT64_MAX)
			return err_set(e, ERR_INVALID, "bad record number");
	arena_init(&in.arena, 1 << 20, INGEST_ARENA);
	for (int i = 0; i < 3; i++) {
		usage_values_free(&in.values);
		rc = usage_values_find(&in.values, s, b, wall_now, e);
		if (rc == 0)
			rc = ingest_days(s, &in, e);
		if (rc == 0)
			rc = store_tx(s, 0, ingest_tx, &in, e);
		/* Only a sum that cannot hold more is left: what would never
		 * be booked must not stop the shard for ever. */
		if (rc == ERR_INVALID && !in.overflows) {
			in.overflows = true;
			continue;
		}
		/* A day that we believed to exist was dropped. */
		if (rc != ERR_NOT_FOUND)
			break;
		for (size_t k = 0; k < STORE_DAY_SLOTS; k++)
			s->days[k] = 0;
	}
	arena_release(&in.arena);
	usage_values_free(&in.values);
	if (rc == 0)
		*r = in.r;
	return rc;
}

int
store_usage_watermarks(struct db *db, struct str agent_id,
    usage_watermark_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT agent_id, boot_epoch, shard, seq, closed, updated_at "
	    "FROM usage_watermark WHERE $1::text = '' OR agent_id::text = $1 "
	    "ORDER BY agent_id, boot_epoch, shard"};
	struct usage_watermark w;
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBS(agent_id)), &r, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < db_rows_count(r) && rc == 0; i++) {
		w.agent_id = db_str(r, i, 0);
		w.boot_epoch = (uint64_t)db_i64(r, i, 1);
		w.shard = (uint32_t)db_i64(r, i, 2);
		w.seq = (uint64_t)db_i64(r, i, 3);
		w.closed = db_bool(r, i, 4);
		w.updated_at = db_time(r, i, 5);
		rc = fn(ctx, &w);
	}
	db_rows_free(r);
	return rc;
}
