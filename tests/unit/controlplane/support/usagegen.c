/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See usagegen.h.
 */
#include "tests/unit/controlplane/support/usagegen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "controlplane/store/store_config.h"

#define GEN_MAX_CHANGES (USAGEGEN_MAX_KEYS + 4 * 64 + 64)

struct gen_commit {
	struct db *db;
	struct store_change *changes;
	char (*names)[64];
	size_t n;
};

static void
gen_must(int rc, const struct error *e)
{
	if (rc == 0)
		return;
	fprintf(stderr, "usagegen: %s\n", e->text);
	_exit(99);
}

static uint64_t
gen_item(struct gen_commit *c, int kind, const char *spec, const char *name)
{
	struct store_change *ch = &c->changes[c->n];
	struct error e;

	snprintf(c->names[c->n], sizeof(*c->names), "%s", name);
	ch->op = STORE_OP_CREATE;
	ch->kind = kind;
	ch->name = str_of(c->names[c->n]);
	ch->new_spec = str_of(spec);
	gen_must(store_config_new_uid(c->db, &ch->uid, &e), &e);
	c->n++;
	return ch->uid;
}

static void
gen_keys(struct usagegen *g, struct gen_commit *c)
{
	uint64_t tenants[64] = {0}, teams[64] = {0}, projects[64] = {0};
	char name[64];

	for (unsigned k = 0; k < g->n_keys; k++) {
		unsigned t = k % g->n_tenants;

		if (tenants[t] == 0) {
			snprintf(name, sizeof(name), "t%u", t);
			tenants[t] = gen_item(c, 1, "{}", name);
			snprintf(name, sizeof(name), "t%u.team", t);
			teams[t] = gen_item(c, 2, "{}", name);
			snprintf(name, sizeof(name), "t%u.team.p", t);
			projects[t] = gen_item(c, 3, "{}", name);
		}
		snprintf(name, sizeof(name), "t%u.team.p.k%u", t, k);
		g->tenant[k] = tenants[t];
		g->team[k] = teams[t];
		g->project[k] = projects[t];
		g->key[k] = gen_item(c, 4, "{}", name);
	}
}

void
usagegen_world(struct usagegen *g, struct store *s, unsigned n_tenants,
    unsigned n_keys, unsigned n_models, bool budget)
{
	static const char model[] =
	    "{\"prices\":[{\"class\":\"input\",\"usd_per_mtok\":\"1\"},"
	    "{\"class\":\"output\",\"usd_per_mtok\":\"2\"},"
	    "{\"class\":\"output\",\"usd_per_mtok\":\"5\",\"tier\":"
	    "\"priority\"},{\"class\":\"input\",\"usd_per_mtok\":\"3\","
	    "\"above_tokens\":1000}]}";
	struct gen_commit c = {0};
	char name[64];
	struct error e;
	uint64_t v;

	memset(g, 0, sizeof(*g));
	g->n_tenants = n_tenants;
	g->n_keys = n_keys;
	g->n_models = n_models;
	MUST(n_tenants <= 64 && n_keys <= USAGEGEN_MAX_KEYS && n_models <= 16);
	c.changes = calloc(GEN_MAX_CHANGES, sizeof(*c.changes));
	c.names = calloc(GEN_MAX_CHANGES, sizeof(*c.names));
	gen_must(store_take(s, &c.db, &e), &e);
	gen_must(db_begin(c.db, &e), &e);
	gen_must(store_config_lock(c.db, &v, &e), &e);
	gen_keys(g, &c);
	g->provider = gen_item(&c, 5, "{}", "sim");
	for (unsigned m = 0; m < n_models; m++) {
		snprintf(name, sizeof(name), "m%u", m);
		g->model[m] = gen_item(&c, 6, model, name);
		g->deployment[m] = gen_item(&c, 7, "{}", name);
		g->route[m] = gen_item(&c, 8, "{}", name);
	}
	if (budget)
		g->budget = gen_item(&c, 9,
		    "{\"scope\":\"t0\",\"limit_usd\":\"1000000.00\","
		    "\"mode\":\"hard\",\"period\":\"month\","
		    "\"time_zone\":\"UTC\"}",
		    "t0.monthly");
	gen_must(store_config_commit(c.db, c.changes, c.n, STR("test"),
		     STR("world"), 0, &g->version, &e),
	    &e);
	gen_must(db_commit(c.db, &e), &e);
	store_give(c.db);
	free(c.changes);
	free(c.names);
}

static uint64_t
gen_mix(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 32;
}

/* Rank k has weight 1/(k+1): the continuous inverse, exact enough. */
static void
gen_skew(const struct usagegen *g, uint64_t h, uint64_t *k, uint64_t *m)
{
	double u = (double)(h >> 11) / 9007199254740992.0;

	*k = (uint64_t)(pow((double)g->n_keys + 1, u) - 1);
	if (*k >= g->n_keys)
		*k = g->n_keys - 1;
	*m = gen_mix(*k) + (gen_mix(h) % 10 < 8 ? 0 : 1);
	*m %= g->n_models;
}

static Hg__UsageRecord *
gen_record(struct usagegen *g, uint64_t epoch, uint32_t shard, uint64_t seq,
    int64_t at)
{
	Hg__UsageRecord *r = malloc(sizeof(*r));
	uint64_t h = gen_mix(epoch * 1000003 + shard * 7919 + seq);
	uint64_t k = h % g->n_keys, m = (h >> 20) % g->n_models;
	int64_t in = (int64_t)(h >> 8 & 1023), out = (int64_t)(h >> 30 & 255);
	uint64_t ms = (uint64_t)(at / NS_PER_MS);

	if (g->zipf)
		gen_skew(g, h, &k, &m);
	hg__usage_record__init(r);
	r->seq = seq;
	r->request_id.len = 16;
	r->request_id.data = malloc(16);
	for (int i = 0; i < 6; i++)
		r->request_id.data[i] = (uint8_t)(ms >> (40 - 8 * i));
	r->request_id.data[6] = 0x70 | (epoch & 15);
	r->request_id.data[7] = (uint8_t)shard;
	memcpy(r->request_id.data + 8, &seq, 8);
	r->request_id.data[8] = 0x80 | (seq & 63);
	r->attempt = 1;
	r->started_at = at;
	r->duration_us = 250000 + in;
	r->first_byte_us = 80000;
	r->tenant_uid = g->tenant[k];
	r->team_uid = g->team[k];
	r->project_uid = g->project[k];
	r->key_uid = g->key[k];
	r->route_uid = g->route[m];
	r->deployment_uid = g->deployment[m];
	r->provider_uid = g->provider;
	r->model_uid = g->model[m];
	r->config_version = r->price_version = g->version;
	r->n_tokens = 5;
	r->tokens = calloc(5, sizeof(*r->tokens));
	r->tokens[0] = in;
	r->tokens[4] = out;
	r->cost = in * 1000 + out * 2000;
	r->source = HG__USAGE_SOURCE__SOURCE_PROVIDER_FINAL;
	r->http_status = 200;
	r->streamed = seq % 2 == 0;
	r->finish_reason = strdup("stop");
	r->upstream_request_id = strdup("req_0123456789abcdef");
	if (g->budget != 0) {
		r->n_charges = 1;
		r->charges = calloc(1, sizeof(*r->charges));
		r->charges[0] = malloc(sizeof(**r->charges));
		hg__charge__init(r->charges[0]);
		r->charges[0]->budget_uid = g->budget;
		r->charges[0]->reserved = r->cost * 2;
		r->charges[0]->boot_epoch = epoch;
	}
	return r;
}

Hg__UsageBatch *
usagegen_batch(struct usagegen *g, uint64_t epoch, uint32_t shard,
    uint64_t first_seq, size_t n, int64_t at)
{
	Hg__UsageBatch *b = malloc(sizeof(*b));

	hg__usage_batch__init(b);
	b->boot_epoch = epoch;
	b->shard = shard;
	b->first_seq = first_seq;
	b->n_records = n;
	b->records = calloc(n + 1, sizeof(*b->records));
	for (size_t i = 0; i < n; i++)
		b->records[i] = gen_record(g, epoch, shard, first_seq + i,
		    at + (int64_t)(first_seq + i) * NS_PER_MS);
	return b;
}

void
usagegen_free(Hg__UsageBatch *b)
{
	hg__usage_batch__free_unpacked(b, NULL);
}
