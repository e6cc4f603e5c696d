/* SPDX-License-Identifier: Apache-2.0 */
/* SQL of agents and acks; join tokens and enrolment: store_join.c. */
#include "controlplane/store/store_fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "proto/headgate.pb-c.h"

#define CONNECTED_NS (5 * NS_PER_S)
#define STALE_NS     (60 * NS_PER_S)
#define FENCED_NS    (30 * NS_PER_S)

/* ---- agents -------------------------------------------------------------- */

#define AGENT_COLUMNS                                                         \
	"id, hostname, agent_group, region, labels::text, software_version, " \
	"boot_epoch, instance_id, enrolled_at, last_seen, hello_at, "         \
	"revoked_at, refused_at, refused_reason, state, active_version, "     \
	"unshipped, oldest_unshipped, requests_total, public_key"

static const char *
agent_state(const struct agent_row *a, int64_t now)
{
	int64_t seen = a->last_seen > a->hello_at ? a->last_seen : a->hello_at;

	if (a->revoked_at != 0)
		return "revoked";
	if (a->refused_at != 0 && now - a->refused_at < FENCED_NS)
		return "fenced";
	if (seen != 0 && now - seen < CONNECTED_NS)
		return "connected";
	if (seen != 0 && now - seen < STALE_NS)
		return "stale";
	return "gone";
}

static void
agent_read(const struct db_rows *r, size_t i, int64_t now, struct agent_row *a)
{
	memset(a, 0, sizeof(*a));
	snprintf(a->id, sizeof(a->id), "%s", db_text(r, i, 0));
	a->hostname = db_str(r, i, 1);
	a->group = db_str(r, i, 2);
	a->region = db_str(r, i, 3);
	a->labels = db_str(r, i, 4);
	a->software_version = db_str(r, i, 5);
	a->boot_epoch = (uint64_t)db_i64(r, i, 6);
	a->instance_id = db_str(r, i, 7);
	a->enrolled_at = db_time(r, i, 8);
	a->last_seen = db_time(r, i, 9);
	a->hello_at = db_time(r, i, 10);
	a->revoked_at = db_time(r, i, 11);
	a->refused_at = db_time(r, i, 12);
	a->refused_reason = db_str(r, i, 13);
	a->agent_state = db_str(r, i, 14);
	a->active_version = (uint64_t)db_i64(r, i, 15);
	a->unshipped = (uint64_t)db_i64(r, i, 16);
	a->oldest_unshipped = db_time(r, i, 17);
	a->requests_total = db_i64(r, i, 18);
	if (db_bytes(r, i, 19, a->public_key, sizeof(a->public_key)) !=
	    (long)sizeof(a->public_key))
		memset(a->public_key, 0, sizeof(a->public_key));
	a->state = agent_state(a, now);
}

int
store_agent_list(struct db *db, struct str after, int limit, bool revoked,
    int64_t wall_now, agent_row_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT " AGENT_COLUMNS " FROM agent WHERE id > $1 AND "
	    "($2 OR revoked_at IS NULL) "
	    "ORDER BY id LIMIT nullif($3, 0)"};
	struct db_rows *r = NULL;
	struct agent_row a;
	size_t i;
	int rc;

	rc = db_query(
	    db, &st, DB_ARGS(DBS(after), DBB(revoked), DBI(limit)), &r, e);
	for (i = 0; rc == 0 && i < db_rows_count(r); i++) {
		agent_read(r, i, wall_now, &a);
		rc = fn(ctx, &a);
	}
	db_rows_free(r);
	return rc;
}

int
store_agent_get(struct db *db, struct str id, int64_t wall_now,
    agent_row_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT " AGENT_COLUMNS " FROM agent WHERE id = $1"};
	struct db_rows *r = NULL;
	struct agent_row a;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBS(id)), &r, e);
	if (rc == 0 && db_rows_count(r) == 0)
		rc = err_set(
		    e, ERR_NOT_FOUND, "agent %.*s does not exist", STR_ARG(id));
	if (rc == 0) {
		agent_read(r, 0, wall_now, &a);
		rc = fn(ctx, &a);
	}
	db_rows_free(r);
	return rc;
}

int
store_agent_revoke(struct db *db, struct str id, struct error *e)
{
	static const struct db_stmt st = {
	    "UPDATE agent SET revoked_at = coalesce(revoked_at, now()) "
	    "WHERE id = $1"};
	static const struct db_stmt doubt = {
	    "UPDATE lease SET doubtful = true WHERE agent_id = $1"};
	char name[AGENT_ID_CAP];
	int64_t n = 0;
	int rc;

	rc = db_exec(db, &st, DB_ARGS(DBS(id)), &n, e);
	if (rc == 0 && (n == 0 || str_copy(id, name, sizeof(name)) != 0))
		rc = err_set(
		    e, ERR_NOT_FOUND, "agent %.*s does not exist", STR_ARG(id));
	if (rc == 0)
		rc = db_exec(db, &doubt, DB_ARGS(DBS(id)), NULL, e);
	if (rc == 0)
		rc = db_notify(db, STORE_CHANNEL_FLEET, name, e);
	return rc;
}

/* ---- hello --------------------------------------------------------------- */

struct hello {
	const struct agent_hello *h;
	char refused[200]; /* why; "" = accepted */
	int code;	   /* of a refusal */
};

static int
hello_accept(struct db *db, const struct agent_hello *h, struct error *e)
{
	static const struct db_stmt agent = {
	    "UPDATE agent SET boot_epoch = $2, instance_id = $3, "
	    "software_version = $4, hello_at = now(), last_seen = now(), "
	    "state = 'starting' WHERE id = $1"};
	static const struct db_stmt boot = {
	    "INSERT INTO agent_boot (agent_id, boot_epoch, instance_id, "
	    "n_shards) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"};
	static const struct db_stmt doubt = {
	    "UPDATE lease SET doubtful = true WHERE agent_id = $1 "
	    "AND boot_epoch < $2 AND NOT doubtful "
	    "AND granted > settled + returned"};
	int rc;

	rc = db_exec(db, &agent,
	    DB_ARGS(DBS(h->id), DBI(h->boot_epoch), DBS(h->instance_id),
		DBS(h->software_version)),
	    NULL, e);
	if (rc == 0)
		rc = db_exec(db, &boot,
		    DB_ARGS(DBS(h->id), DBI(h->boot_epoch), DBS(h->instance_id),
			DBI(h->n_shards)),
		    NULL, e);
	if (rc == 0)
		rc = db_exec(db, &doubt,
		    DB_ARGS(DBS(h->id), DBI(h->boot_epoch)), NULL, e);
	return rc;
}

static int
hello_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt get = {
	    "SELECT boot_epoch, instance_id, revoked_at IS NOT NULL, "
	    "coalesce(last_seen < now() - interval '10 seconds', true) "
	    "FROM agent WHERE id = $1 FOR UPDATE"};
	static const struct db_stmt refuse = {
	    "UPDATE agent SET refused_at = now(), refused_reason = $2 "
	    "WHERE id = $1"};
	struct hello *x = ctx;
	const struct agent_hello *h = x->h;
	struct db_rows *r = NULL;
	uint64_t epoch;
	bool same;
	int rc;

	x->refused[0] = '\0';
	rc = db_query(db, &get, DB_ARGS(DBS(h->id)), &r, e);
	if (rc != 0)
		return rc;
	if (db_rows_count(r) == 0) {
		db_rows_free(r);
		return err_set(e, ERR_NOT_FOUND, "unknown agent");
	}
	epoch = (uint64_t)db_i64(r, 0, 0);
	same = str_eq(db_str(r, 0, 1), h->instance_id);
	rc = db_bool(r, 0, 2) ? ERR_FORBIDDEN : 0;
	/* A holder that fell silent: the agent may take a newer epoch. */
	x->code = db_bool(r, 0, 3) ? ERR_EXISTS : ERR_VERSION;
	db_rows_free(r);
	if (rc != 0)
		return err_set(e, rc, "this agent was revoked");
	if (h->boot_epoch > epoch || (h->boot_epoch == epoch && same))
		return hello_accept(db, h, e);
	snprintf(x->refused, sizeof(x->refused),
	    h->boot_epoch < epoch
		? "boot epoch %llu is older than %llu: another process "
		  "runs with this identity"
		: "boot epoch %llu (now %llu) is held by another process "
		  "with this identity",
	    (unsigned long long)h->boot_epoch, (unsigned long long)epoch);
	return db_exec(
	    db, &refuse, DB_ARGS(DBS(h->id), DBZ(x->refused)), NULL, e);
}

int
store_agent_hello(struct store *s, const struct agent_hello *h, struct error *e)
{
	struct hello x = {.h = h};
	int rc = store_tx(s, 0, hello_tx, &x, e);

	if (rc == 0 && x.refused[0] != '\0')
		rc = err_set(e, x.code, "%s", x.refused);
	return rc;
}

/* ---- heartbeats ---------------------------------------------------------- */

int
store_agents_seen(
    struct db *db, const struct agent_seen *a, size_t n, struct error *e)
{
	static const struct db_stmt st = {
	    "UPDATE agent x SET last_seen = greatest(x.last_seen, "
	    "hg_instant(t.seen)), state = t.state, active_version = t.active, "
	    "unshipped = t.unshipped, oldest_unshipped = CASE WHEN t.oldest "
	    "> 0 THEN hg_instant(t.oldest) END, requests_total = t.requests "
	    "FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], "
	    "$5::bigint[], $6::bigint[], $7::bigint[]) AS t(id, state, seen, "
	    "active, unshipped, oldest, requests) WHERE x.id = t.id"};
	struct str *s = calloc(2 * n, sizeof(*s));
	int64_t *v = calloc(5 * n, sizeof(*v));
	int rc = ERR_NOMEM;
	size_t i;

	if (s == NULL || v == NULL)
		goto out;
	for (i = 0; i < n; i++) {
		s[i] = a[i].id;
		s[n + i] = a[i].state;
		v[i] = a[i].last_seen;
		v[n + i] = (int64_t)a[i].active_version;
		v[2 * n + i] = (int64_t)a[i].unshipped;
		v[3 * n + i] = a[i].oldest_unshipped;
		v[4 * n + i] = a[i].requests_total;
	}
	rc = db_exec(db, &st,
	    DB_ARGS(DBSA(s, n), DBSA(s + n, n), DBIA(v, n), DBIA(v + n, n),
		DBIA(v + 2 * n, n), DBIA(v + 3 * n, n), DBIA(v + 4 * n, n)),
	    NULL, e);
out:
	free(s);
	free(v);
	return rc;
}

int
store_agents_count(struct db *db, int64_t since, int64_t *n, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT count(*) FROM agent WHERE last_seen >= hg_instant($1)"};
	struct db_rows *r = NULL;
	int rc = db_query_one(db, &st, DB_ARGS(DBI(since)), &r, e);

	if (rc == 0)
		*n = db_i64(r, 0, 0);
	db_rows_free(r);
	return rc;
}

int
store_agent_boot_known(struct db *db, struct str id, uint64_t boot_epoch,
    bool *known, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT 1 FROM agent_boot WHERE agent_id = $1 "
	    "AND boot_epoch = $2"};
	struct db_rows *r = NULL;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBS(id), DBI(boot_epoch)), &r, e);
	if (rc == 0)
		*known = db_rows_count(r) > 0;
	db_rows_free(r);
	return rc;
}

int
store_agent_groups(
    struct db *db, agent_group_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT agent_group, count(*) FILTER (WHERE revoked_at IS NOT "
	    "NULL) FROM agent GROUP BY 1 ORDER BY 1"};
	struct db_rows *r = NULL;
	size_t i;
	int rc;

	rc = db_query(db, &st, DB_ARGS(), &r, e);
	for (i = 0; rc == 0 && i < db_rows_count(r); i++)
		rc = fn(ctx, db_str(r, i, 0), db_i64(r, i, 1));
	db_rows_free(r);
	return rc;
}

/* ---- acks ---------------------------------------------------------------- */

int
store_ack_put(struct db *db, struct str agent_id, const struct ack_new *a,
    size_t n, struct error *e)
{
	static const struct db_stmt st = {
	    "INSERT INTO config_ack AS x (version, agent_id, received_at, "
	    "validated_at, rejected_at, active_at, item_kind, item, reason) "
	    "VALUES ($1, $2, $3, CASE WHEN $4 = 2 THEN $3::timestamptz END, "
	    "CASE WHEN $4 = 3 THEN $3::timestamptz END, "
	    "CASE WHEN $4 = 4 THEN $3::timestamptz END, $5, $6, $7) "
	    "ON CONFLICT (version, agent_id) DO UPDATE SET "
	    "received_at = least(x.received_at, excluded.received_at), "
	    "validated_at = coalesce(x.validated_at, excluded.validated_at), "
	    "rejected_at = coalesce(x.rejected_at, excluded.rejected_at), "
	    "active_at = coalesce(x.active_at, excluded.active_at), "
	    "item_kind = greatest(x.item_kind, excluded.item_kind), "
	    "item = CASE WHEN excluded.item <> '' THEN excluded.item "
	    "ELSE x.item END, reason = CASE WHEN excluded.reason <> '' "
	    "THEN excluded.reason ELSE x.reason END"};
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < n; i++)
		rc = db_exec(db, &st,
		    DB_ARGS(DBI(a[i].version), DBS(agent_id), DBT(a[i].at),
			DBI(a[i].level), DBI(a[i].item_kind), DBS(a[i].item),
			DBS(a[i].reason)),
		    NULL, e);
	return rc;
}

int
store_ack_prune(struct db *db, int64_t keep, struct error *e)
{
	static const struct db_stmt st = {
	    "DELETE FROM config_ack WHERE version < (SELECT max(version) "
	    "FROM config_version) - $1"};

	return db_exec(db, &st, DB_ARGS(DBI(keep)), NULL, e);
}

int
store_ack_rollout(
    struct db *db, uint64_t version, ack_row_fn *fn, void *ctx, struct error *e)
{
	static const struct db_stmt st = {
	    "SELECT a.id, a.hostname, a.agent_group, a.region, x.received_at, "
	    "x.validated_at, x.rejected_at, x.active_at, "
	    "coalesce(x.item_kind, 0), coalesce(x.item, ''), "
	    "coalesce(x.reason, ''), a.active_version, a.last_seen "
	    "FROM agent a LEFT JOIN config_ack x ON x.agent_id = a.id "
	    "AND x.version = $1 WHERE a.revoked_at IS NULL ORDER BY a.id"};
	struct db_rows *r = NULL;
	size_t i;
	int rc;

	rc = db_query(db, &st, DB_ARGS(DBI(version)), &r, e);
	for (i = 0; rc == 0 && i < db_rows_count(r); i++) {
		struct ack_row a = {.agent_id = db_str(r, i, 0),
		    .hostname = db_str(r, i, 1),
		    .group = db_str(r, i, 2),
		    .region = db_str(r, i, 3),
		    .version = version,
		    .received_at = db_time(r, i, 4),
		    .validated_at = db_time(r, i, 5),
		    .rejected_at = db_time(r, i, 6),
		    .active_at = db_time(r, i, 7),
		    .item_kind = (int)db_i64(r, i, 8),
		    .item = db_str(r, i, 9),
		    .reason = db_str(r, i, 10),
		    .active_version = (uint64_t)db_i64(r, i, 11),
		    .last_seen = db_time(r, i, 12)};

		rc = fn(ctx, &a);
	}
	db_rows_free(r);
	return rc;
}
