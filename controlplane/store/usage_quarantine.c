/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage records that cannot be right, for those who look after them. They are
 * kept as they came; what can be read of them is told beside the reason.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "controlplane/store/store_usage.h"

#define QUARANTINE_RECORD_MAX (64 << 10)

static int
quarantine_decode(struct db_rows *r, size_t i, struct usage_rejected *q)
{
	uint8_t *raw = malloc(QUARANTINE_RECORD_MAX);
	Hg__UsageRecord *u = NULL;
	struct uuid id;
	long n;

	if (raw == NULL)
		return ERR_NOMEM;
	n = db_bytes(r, i, 8, raw, QUARANTINE_RECORD_MAX);
	if (n >= 0)
		u = hg__usage_record__unpack(NULL, (size_t)n, raw);
	free(raw);
	if (u == NULL)
		return 0;
	if (u->request_id.len == sizeof(id.b)) {
		memcpy(id.b, u->request_id.data, sizeof(id.b));
		uuid_format(&id, q->request_id);
	}
	q->attempt = u->attempt;
	q->started_at = u->started_at;
	q->claimed = u->cost;
	hg__usage_record__free_unpacked(u, NULL);
	return 0;
}

/* A place in the list: "AGENT EPOCH SHARD SEQ". */
static int
quarantine_place(struct str s, struct str *agent, int64_t v[3])
{
	struct str word;

	str_cut(s, ' ', agent, &s);
	for (int i = 0; i < 3; i++) {
		str_cut(s, ' ', &word, &s);
		if (str_to_i64(word, &v[i]) != 0)
			return ERR_INVALID;
	}
	return agent->len == 36 ? 0 : ERR_INVALID;
}

int
store_usage_quarantine(struct db *db, struct str agent_id, struct str cursor,
    int limit, usage_rejected_fn *fn, void *ctx, char next[96], struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT agent_id, boot_epoch, shard, seq, at, reason, cost, held, "
	    "record FROM usage_quarantine WHERE ($1::text = '' OR "
	    "agent_id::text = $1) AND ($2::text = '' OR (agent_id, boot_epoch, "
	    "shard, seq) > (nullif($2, '')::uuid, $3, $4::integer, $5)) "
	    "ORDER BY agent_id, boot_epoch, shard, seq LIMIT $6"};
	struct str after = STR("");
	int64_t v[3] = {0};
	struct db_rows *r = NULL;
	int rc;

	next[0] = '\0';
	if (cursor.len > 0 && quarantine_place(cursor, &after, v) != 0)
		return err_set_field(
		    e, ERR_INVALID, "cursor", "cursor is not one of ours");
	rc = db_query(db, &st,
	    DB_ARGS(DBS(agent_id), DBS(after), DBI(v[0]), DBI(v[1]), DBI(v[2]),
		DBI(limit + 1)),
	    &r, e);
	for (size_t i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct usage_rejected q = {.agent_id = db_str(r, i, 0),
		    .boot_epoch = (uint64_t)db_i64(r, i, 1),
		    .shard = (uint32_t)db_i64(r, i, 2),
		    .seq = (uint64_t)db_i64(r, i, 3),
		    .at = db_time(r, i, 4),
		    .reason = db_str(r, i, 5),
		    .charged = db_i64(r, i, 6),
		    .held = db_i64(r, i, 7)};

		if (i == (size_t)limit)
			break;
		(void)snprintf(next, 96,
		    "%.*s %" PRIu64 " %" PRIu32 " %" PRIu64,
		    (int)q.agent_id.len, q.agent_id.p, q.boot_epoch, q.shard,
		    q.seq);
		rc = quarantine_decode(r, i, &q);
		if (rc == 0)
			rc = fn(ctx, &q);
	}
	if (rc == 0 && db_rows_count(r) <= (size_t)limit)
		next[0] = '\0';
	db_rows_free(r);
	return rc;
}
