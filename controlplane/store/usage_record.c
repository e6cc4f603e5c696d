/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a record on the wire to a row: sanity checks and cleaning. A record
 * that no statement could store would stop its shard for ever, so texts are
 * made storable and numbers are checked here.
 */
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "controlplane/store/usage_internal.h"
#include "proto/held.h"

#define USAGE_MAX_TOKENS  INT64_C(1000000000000)
#define USAGE_MAX_AHEAD	  (300 * NS_PER_S)
#define USAGE_MAX_AGE	  (400 * 86400 * NS_PER_S)
#define USAGE_MAX_CHARGES 64
#define USAGE_MAX_TAGS	  64
#define USAGE_MAX_TEXT	  256

static const char *
usage_reject_uids(const Hg__UsageRecord *r)
{
	const uint64_t all[] = {r->tenant_uid, r->team_uid, r->project_uid,
	    r->key_uid, r->route_uid, r->deployment_uid, r->provider_uid,
	    r->model_uid, r->config_version, r->price_version};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i] > INT64_MAX)
			return "an id is too large";
	if (r->tenant_uid == 0 || r->key_uid == 0)
		return "no tenant or key";
	return NULL;
}

static const char *
usage_reject_tokens(const Hg__UsageRecord *r)
{
	for (size_t i = 0; i < r->n_tokens; i++) {
		if (r->tokens[i] < 0)
			return "negative tokens";
		if (r->tokens[i] > USAGE_MAX_TOKENS)
			return "too many tokens";
		if (i >= TC_COUNT && r->tokens[i] != 0)
			return "unknown token class";
	}
	return NULL;
}

bool
usage_record_charges(const Hg__UsageRecord *r)
{
	if (r->request_id.len != 16 || r->cost <= 0 ||
	    r->cost > USAGE_MAX_COST || r->n_charges > USAGE_MAX_CHARGES)
		return false;
	for (size_t i = 0; i < r->n_charges; i++)
		if (r->charges[i]->budget_uid > INT64_MAX ||
		    r->charges[i]->boot_epoch > INT64_MAX)
			return false;
	return r->n_charges > 0;
}

const char *
usage_record_reject(const Hg__UsageRecord *r, int64_t now)
{
	const char *why;

	if (r->request_id.len != 16)
		return "bad request id";
	if (r->cost < 0)
		return "negative cost";
	if (r->cost > USAGE_MAX_COST)
		return "cost above 1000000 USD";
	if (r->started_at > now + USAGE_MAX_AHEAD)
		return "started in the future";
	if (r->started_at < now - USAGE_MAX_AGE)
		return "older than 400 days";
	if (r->n_charges > USAGE_MAX_CHARGES)
		return "too many charges";
	for (size_t i = 0; i < r->n_charges; i++)
		if (r->charges[i]->budget_uid > INT64_MAX ||
		    r->charges[i]->boot_epoch > INT64_MAX)
			return "bad charge";
	if (r->n_tags > USAGE_MAX_TAGS)
		return "too many tags";
	why = usage_reject_uids(r);
	return why ? why : usage_reject_tokens(r);
}

/* A storable text: at most USAGE_MAX_TEXT bytes, else what is not printable
 * ASCII becomes '?'. "" stays empty. */
static int
usage_text(struct arena *a, const char *z, struct str *ret, struct error *e)
{
	struct str s = str_of(z);
	char *copy;

	*ret = s;
	if (s.len <= USAGE_MAX_TEXT && str_is_utf8(s))
		return 0;
	if (s.len > USAGE_MAX_TEXT)
		s.len = USAGE_MAX_TEXT;
	copy = arena_alloc(a, s.len);
	if (copy == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	for (size_t i = 0; i < s.len; i++)
		copy[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
	*ret = str_make(copy, s.len);
	return 0;
}

static int
usage_tags(
    const Hg__UsageRecord *r, struct arena *a, struct str *ret, struct error *e)
{
	struct buf b;
	char *copy;
	int rc = 0;

	*ret = STR_NULL;
	if (r->n_tags == 0)
		return 0;
	buf_init(&b, 65536);
	for (size_t i = 0; i < r->n_tags; i++) {
		struct str k, v;

		rc = usage_text(a, r->tags[i]->key, &k, e);
		if (rc == 0)
			rc = usage_text(a, r->tags[i]->value, &v, e);
		if (rc != 0)
			break;
		buf_addc(&b, i == 0 ? '{' : ',');
		buf_add_json(&b, k);
		buf_addc(&b, ':');
		buf_add_json(&b, v);
	}
	buf_addc(&b, '}');
	if (rc == 0 && buf_error(&b) == 0) {
		copy = arena_alloc(a, b.len);
		if (copy != NULL) {
			memcpy(copy, b.data, b.len);
			*ret = str_make(copy, b.len);
		} else {
			rc = err_set(e, ERR_NOMEM, "no memory");
		}
	}
	buf_release(&b);
	return rc;
}

static int
usage_charges(const Hg__UsageRecord *r, uint64_t boot_epoch, struct arena *a,
    struct usage_entry *en, struct error *e)
{
	int64_t *c;

	en->n_charges = r->n_charges;
	if (r->n_charges == 0)
		return 0;
	c = arena_alloc(a, r->n_charges * USAGE_CHARGE_INTS * sizeof(*c));
	if (c == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	en->charges = c;
	for (size_t i = 0; i < r->n_charges; i++) {
		const Hg__Charge *from = r->charges[i];

		*c++ = (int64_t)from->budget_uid;
		*c++ = from->period_start;
		*c++ = from->reserved;
		*c++ =
		    (int64_t)(from->boot_epoch ? from->boot_epoch : boot_epoch);
	}
	return 0;
}

/* What an agent says that it reserved, within what a record may cost. */
static int64_t
usage_sane(int64_t reserved)
{
	return reserved < USAGE_MAX_COST ? reserved : USAGE_MAX_COST;
}

int64_t
usage_record_held(const Hg__UsageRecord *r)
{
	if (r->n_charges == 0)
		return 0;
	return usage_held(
	    (uint32_t)r->source, usage_sane(r->charges[0]->reserved), r->cost);
}

static int64_t
usage_positive(int64_t v)
{
	return v > 0 ? v : 0;
}

int64_t
usage_day(int64_t ns)
{
	int64_t day = ns / (86400 * NS_PER_S);

	return ns % (86400 * NS_PER_S) < 0 ? day - 1 : day;
}

void
usage_entry_key(struct usage_entry *e)
{
	int64_t hour = e->started_at / (3600 * NS_PER_S);

	if (e->started_at % (3600 * NS_PER_S) < 0)
		hour--;
	e->key[K_DAY] = usage_day(e->started_at);
	e->key[K_TENANT] = e->uid[U_TENANT];
	e->key[K_TEAM] = e->uid[U_TEAM];
	e->key[K_PROJECT] = e->uid[U_PROJECT];
	e->key[K_KEY] = e->uid[U_KEY];
	e->key[K_MODEL] = e->uid[U_MODEL];
	e->key[K_ROUTE] = e->uid[U_ROUTE];
	e->key[K_DEPLOYMENT] = e->uid[U_DEPLOYMENT];
	e->key[K_HOUR] = hour;
	e->key[K_PROVIDER] = e->uid[U_PROVIDER];
	e->key[K_PRICE] = e->price_version;
}

int
usage_record_entry(const Hg__UsageRecord *r, const uint8_t agent_id[16],
    const Hg__UsageBatch *b, struct arena *a, struct usage_entry *en,
    struct error *e)
{
	int rc;

	*en = (struct usage_entry){
	    .uid = {(int64_t)r->tenant_uid, (int64_t)r->team_uid,
		(int64_t)r->project_uid, (int64_t)r->key_uid,
		(int64_t)r->route_uid, (int64_t)r->deployment_uid,
		(int64_t)r->provider_uid, (int64_t)r->model_uid},
	    .seq = (int64_t)r->seq,
	    .boot_epoch = (int64_t)b->boot_epoch,
	    .started_at = r->started_at,
	    .duration_us = usage_positive(r->duration_us),
	    .first_byte_us = usage_positive(r->first_byte_us),
	    .config_version = (int64_t)r->config_version,
	    .price_version = (int64_t)r->price_version,
	    .cost = r->cost,
	    .shard = (int32_t)b->shard,
	    .attempt = r->attempt > INT32_MAX ? INT32_MAX : (int32_t)r->attempt,
	    .kind = USAGE_RECORD,
	    .source = (int16_t)(r->source & 0x7fff),
	    .http_status = (int16_t)(r->http_status & 0x7fff),
	    .streamed = r->streamed,
	};
	for (size_t i = 0; i < r->n_tokens && i < TC_COUNT; i++)
		en->tokens.n[i] = r->tokens[i];
	memcpy(en->agent_id, agent_id, 16);
	memcpy(en->request_id, r->request_id.data, 16);
	usage_entry_key(en);
	rc = usage_text(a, r->finish_reason, &en->finish_reason, e);
	if (rc == 0)
		rc = usage_text(
		    a, r->upstream_request_id, &en->upstream_request_id, e);
	if (rc == 0)
		rc = usage_text(a, r->error_code, &en->error_code, e);
	if (rc == 0)
		rc = usage_text(a, r->tier, &en->tier, e);
	if (rc == 0)
		rc = usage_tags(r, a, &en->tags, e);
	if (rc == 0)
		rc = usage_charges(r, b->boot_epoch, a, en, e);
	if (rc == 0)
		en->held = usage_record_held(r);
	return rc;
}
