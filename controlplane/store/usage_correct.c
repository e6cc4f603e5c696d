/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corrections: what was estimated is replaced by what the provider billed, as
 * new rows that hold the difference. Applying the same evidence twice changes
 * nothing.
 */
#include <string.h>

#include "common/rng.h"
#include "controlplane/store/store_config.h"
#include "controlplane/store/usage_internal.h"
#include "proto/held.h"

#define CORRECT_ARENA	    (64 << 20)
#define CORRECT_MAX_CHARGES (64 * USAGE_CHARGE_INTS)

struct correct {
	struct db *db;
	struct arena arena;
	struct usage_entry *entries;
	size_t n;
	struct correction_result *r;
	/* last price looked up */
	int64_t model_uid, price_version, price_at, price_input;
	struct str price_tier;
	struct price price;
};

struct correct_price {
	int64_t at, input;
	struct str tier;
	struct price *ret;
	struct error *e;
};

static int
correct_on_model(void *ctx, const struct store_item *it)
{
	struct correct_price *c = ctx;

	return usage_price(it->spec, c->at, c->tier, c->input, c->ret, c->e);
}

/* As the agent would have priced these tokens. */
static int
correct_find_price(struct correct *c, const struct usage_entry *en,
    const struct tokens *t, struct error *e)
{
	struct correct_price p = {
	    en->started_at, tokens_input(t), en->tier, &c->price, e};
	int rc;

	if (c->model_uid == en->uid[U_MODEL] &&
	    c->price_version == en->price_version &&
	    c->price_at == en->started_at && c->price_input == p.input &&
	    str_eq(c->price_tier, p.tier))
		return 0;
	rc = store_config_spec_at(c->db, (uint64_t)en->uid[U_MODEL],
	    (uint64_t)en->price_version, correct_on_model, &p, e);
	if (rc == 0) {
		c->model_uid = en->uid[U_MODEL];
		c->price_version = en->price_version;
		c->price_at = en->started_at;
		c->price_input = p.input;
		c->price_tier = p.tier;
	}
	return rc;
}

/* Columns of correct_rows. */
enum {
	C_KIND,
	C_SOURCE,
	C_AGENT,
	C_EPOCH,
	C_SHARD,
	C_SEQ,
	C_STARTED,
	C_UIDS,
	C_CONFIG = C_UIDS + U_COUNT,
	C_PRICE,
	C_COST,
	C_STATUS,
	C_STREAMED,
	C_CHARGES,
	C_TAGS,
	C_TIER,
	C_BOOKED,
	C_TOKENS
};

static const struct db_stmt correct_rows = {
    "SELECT kind, source, agent_id, boot_epoch, shard, seq, started_at, "
    "tenant_uid, team_uid, project_uid, key_uid, route_uid, deployment_uid, "
    "provider_uid, model_uid, config_version, price_version, cost, "
    "http_status, streamed, charges, tags, tier, (SELECT b.at "
    "FROM usage_batch b WHERE b.id = batch_id), " USAGE_TOKEN_COLUMNS
    " FROM usage WHERE request_id = $1 AND attempt = $2 "
    "ORDER BY kind, batch_id"};

static int
correct_read(struct correct *c, const struct db_rows *r, struct usage_entry *en,
    struct error *e)
{
	int64_t *charges;
	struct uuid agent;
	struct str tags = db_str(r, 0, C_TAGS), text = db_str(r, 0, C_AGENT);
	struct str tier = db_str(r, 0, C_TIER);
	long n;

	*en = (struct usage_entry){.kind = USAGE_CORRECTION, .source = 1};
	if (uuid_parse(text.p, text.len, &agent) != 0)
		return err_set(e, ERR_CORRUPT, "bad agent id");
	memcpy(en->agent_id, agent.b, 16);
	en->boot_epoch = db_i64(r, 0, C_EPOCH);
	en->shard = (int32_t)db_i64(r, 0, C_SHARD);
	en->seq = db_i64(r, 0, C_SEQ);
	en->started_at = db_time(r, 0, C_STARTED);
	for (int i = 0; i < U_COUNT; i++)
		en->uid[i] = db_i64(r, 0, C_UIDS + i);
	en->config_version = db_i64(r, 0, C_CONFIG);
	en->price_version = db_i64(r, 0, C_PRICE);
	en->http_status = (int16_t)db_i64(r, 0, C_STATUS);
	en->streamed = db_bool(r, 0, C_STREAMED);
	charges =
	    arena_alloc(&c->arena, CORRECT_MAX_CHARGES * sizeof(*charges));
	en->tags.p = arena_strdup(&c->arena, tags);
	en->tags.len = tags.len;
	en->tier.p = arena_strdup(&c->arena, tier);
	en->tier.len = tier.len;
	if (charges == NULL || en->tags.p == NULL || en->tier.p == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	n = db_i64_array(r, 0, C_CHARGES, charges, CORRECT_MAX_CHARGES);
	if (n < 0)
		return err_set(e, ERR_CORRUPT, "too many charges");
	en->charges = charges;
	en->n_charges = (size_t)n / USAGE_CHARGE_INTS;
	return 0;
}

/* What is booked now, by the record and its corrections. */
static void
correct_booked(const struct db_rows *r, struct tokens *t, int64_t *cost)
{
	*t = (struct tokens){{0}};
	*cost = 0;
	for (size_t i = 0; i < db_rows_count(r); i++) {
		*cost += db_i64(r, i, C_COST);
		for (int k = 0; k < TC_COUNT; k++)
			t->n[k] += db_i64(r, i, C_TOKENS + k);
	}
}

static int64_t
correct_reserved(const struct usage_entry *en)
{
	int64_t reserved = en->charges[2];

	return reserved < USAGE_MAX_COST ? reserved : USAGE_MAX_COST;
}

static int
correct_difference(struct correct *c, const struct usage_evidence *ev,
    const struct db_rows *r, struct error *e)
{
	struct usage_entry *en = &c->entries[c->n];
	struct tokens booked, none = {{0}};
	int64_t booked_cost, cost = 0;
	struct uuid id;
	int rc;

	rc = correct_read(c, r, en, e);
	if (rc == 0 && ev->has_tier)
		en->tier = str_of(ev->tier);
	if (rc == 0 && !ev->absent) {
		rc = correct_find_price(c, en, &ev->tokens, e);
		if (rc == 0 && money_cost(&ev->tokens, &c->price, &cost) != 0)
			rc = err_set(e, ERR_INVALID,
			    "request %s: token counts out of range",
			    ev->request_id);
	}
	if (rc != 0)
		return rc;
	rc = uuid_parse(ev->request_id, strlen(ev->request_id), &id);
	MUST(rc == 0);
	memcpy(en->request_id, id.b, 16);
	en->attempt = (int32_t)ev->attempt;
	correct_booked(r, &booked, &booked_cost);
	en->cost = cost - booked_cost;
	for (int k = 0; k < TC_COUNT; k++)
		en->tokens.n[k] =
		    (ev->absent ? 0 : ev->tokens.n[k]) - booked.n[k];
	usage_entry_key(en);
	/* The first correction lets go of what the estimate held. */
	if (db_rows_count(r) == 1 && en->n_charges > 0)
		en->held = -usage_held((uint32_t)db_i64(r, 0, C_SOURCE),
		    correct_reserved(en), booked_cost);
	if (en->held != 0 && !db_is_null(r, 0, C_BOOKED))
		en->booked_at = db_time(r, 0, C_BOOKED);
	if (en->held == 0 && en->cost == 0 &&
	    memcmp(&en->tokens, &none, sizeof(none)) == 0) {
		c->r->unchanged++;
		return 0;
	}
	c->r->corrected++;
	c->r->delta_cost += en->cost;
	c->n++;
	return 0;
}

/* Final counts are the provider's own word; all others may be corrected. */
static bool
correct_may(int64_t source)
{
	return source == HG__USAGE_SOURCE__SOURCE_PROVIDER_PARTIAL ||
	       source == HG__USAGE_SOURCE__SOURCE_ESTIMATED ||
	       source == HG__USAGE_SOURCE__SOURCE_CRASH_ESTIMATED;
}

static int
correct_one(struct correct *c, const struct usage_evidence *ev, struct error *e)
{
	struct db_rows *r = NULL;
	struct uuid id;
	int rc = 0;

	if (uuid_parse(ev->request_id, strlen(ev->request_id), &id) != 0)
		return err_set(e, ERR_INVALID, "bad request id");
	rc = db_query(c->db, &correct_rows,
	    DB_ARGS(DBZ(ev->request_id), DBI(ev->attempt)), &r, e);
	if (rc != 0)
		return rc;
	if (db_rows_count(r) == 0 || db_i64(r, 0, C_KIND) != USAGE_RECORD) {
		c->r->not_found++;
		goto out;
	}
	if (!correct_may(db_i64(r, 0, C_SOURCE))) {
		c->r->refused++;
		goto out;
	}
	rc = correct_difference(c, ev, r, e);
out:
	db_rows_free(r);
	return rc;
}

/* The same (request, attempt) twice in one set would be corrected twice. */
static bool
correct_repeated(const struct usage_evidence *ev, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (ev[k].attempt == ev[i].attempt &&
		    strcmp(ev[k].request_id, ev[i].request_id) == 0)
			return true;
	return false;
}

static int
correct_book(struct correct *c, struct str actor, struct error *e)
{
	static const struct db_stmt add = {
	    "INSERT INTO usage_batch (records, cost, actor) "
	    "VALUES ($1, $2, $3) RETURNING id"};
	struct db_rows *r = NULL;
	int64_t id;
	int rc;

	rc = db_query_one(c->db, &add,
	    DB_ARGS(DBI(c->n), DBI(c->r->delta_cost), DBS(actor)), &r, e);
	if (rc != 0)
		return rc;
	id = db_i64(r, 0, 0);
	db_rows_free(r);
	rc = usage_copy(c->db, id, c->entries, c->n, e);
	if (rc == 0)
		rc = usage_sums(c->db, id, c->entries, c->n, &c->arena, e);
	if (rc == 0)
		rc = usage_charge(
		    c->db, STR(""), true, c->entries, c->n, &c->arena, e);
	return rc;
}

int
store_usage_correct(struct db *db, const struct usage_evidence *ev, size_t n,
    struct str actor, struct correction_result *r, struct error *e)
{
	struct correct c = {.db = db, .r = r};
	int rc;

	MUST(db_in_tx(db));
	*r = (struct correction_result){0};
	arena_init(&c.arena, 1 << 16, CORRECT_ARENA);
	c.entries = arena_alloc(&c.arena, n * sizeof(*c.entries) + 1);
	rc = c.entries == NULL ? err_set(e, ERR_NOMEM, "no memory")
			       : db_lock(db, STORE_LOCK_CORRECTION, e);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (correct_repeated(ev, i))
			rc = err_set(e, ERR_INVALID,
			    "request %s attempt %u is in the list twice",
			    ev[i].request_id, ev[i].attempt);
		else
			rc = correct_one(&c, &ev[i], e);
	}
	if (rc == 0 && c.n > 0)
		rc = correct_book(&c, actor, e);
	arena_release(&c.arena);
	return rc;
}
