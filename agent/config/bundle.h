/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled bundle: an immutable, reference-counted snapshot of what this
 * agent group may do, laid out for the hot path (hash look-ups, resolved
 * pointers, no strings to parse). The control thread compiles it from the
 * item store and publishes it to the workers' mailboxes; each worker holds one
 * reference and each request in flight another.
 *
 * Mutable state that outlives a bundle (lease counters, limit counters) is
 * reached through pointers to cells owned by registries that never free a
 * cell while the process lives.
 */
#ifndef AGENT_CONFIG_BUNDLE_H
#define AGENT_CONFIG_BUNDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cloud_key.h"
#include "common/price.h"
#include "common/str.h"
#include "proto/bundle.h"

struct budget_cell; /* agent/money/lease.h */
struct limit_cell;  /* agent/policy/limit.h */
struct token_cell;  /* agent/upstream/token.h */

/* On one key's path; more is rejected. */
#define BUNDLE_MAX_BUDGETS PROTO_PATH_BUDGETS
#define BUNDLE_MAX_LIMITS  PROTO_PATH_LIMITS

struct b_tenant {
	uint64_t uid;
	struct str name;
};

/* What a budget counts, or what a request is; 0 or NULL = any. A request has
 * to have all of a budget's tags. */
struct b_filter {
	uint64_t route_uid, provider_uid, model_uid;
	const struct tags *tags; /* common/tags.h */
	/* Of a budget for each value: the tag whose values they are; else
	 * empty. */
	struct str each;
};

struct b_key {
	uint8_t digest[32];
	uint64_t uid, project_uid, team_uid, tenant_uid;
	struct str name;    /* full path, acme.research.chat.ci */
	int64_t expires_at; /* wall ns, 0 = never */
	bool disabled;	    /* the key or anything above it */
	bool has_hard_budget;
	uint8_t class; /* enum queue_class */
	unsigned n_budgets, n_limits;
	struct budget_cell *budgets[BUNDLE_MAX_BUDGETS];
	struct limit_cell *limits[BUNDLE_MAX_LIMITS];
	/* One for each budget; NULL: every budget counts every request. */
	const struct b_filter *filters;
	/* May the key use the route (index in bundle->routes)? Bit set of
	 * n_routes bits, shared between keys with equal rights. */
	const uint64_t *routes;
};

enum provider_dialect {
	PROVIDER_OPENAI,
	PROVIDER_AZURE,
	PROVIDER_ANTHROPIC,
	PROVIDER_GEMINI,
	PROVIDER_VERTEX,
	PROVIDER_BEDROCK,
	PROVIDER_MISTRAL,
	PROVIDER_COHERE,
	PROVIDER_OLLAMA,
	PROVIDER_N_DIALECTS
};

struct b_provider {
	uint64_t uid;
	enum provider_dialect dialect;
	uint64_t quirks; /* QUIRK_* of agent/dialect/codec.h */
	struct str name;
	struct str base_url;	 /* as configured */
	struct str scheme, host; /* parsed; host without brackets */
	uint16_t port;
	struct str path_prefix;	   /* "" or "/v1-style" prefix, no '/' at end */
	struct str auth_header;	   /* "Authorization: Bearer ..." NUL-ended */
	const struct str *headers; /* extra "Name: value", NUL-ended */
	unsigned n_headers;
	/* All NUL-ended, "" = not set. */
	struct str credential; /* as stored: access keys, service account */
	struct str region, project, api_version;
	bool auth_bearer; /* bedrock, azure: a bearer token, not the default */
	struct str ca_pem, client_cert_pem, client_key, proxy_url;
	uint32_t max_connections; /* kept by one worker, 0 = default */
	/* Made of the credential: */
	struct aws_keys aws;	  /* bedrock; texts "" when unused */
	struct token_cell *token; /* vertex; NULL when unused */
	/* Hash of address, credentials and TLS settings: connections are
	 * shared between calls with an equal one only. */
	uint8_t pool_id[16];
};

/* What a model can do, bits of b_model.can. */
enum capability {
	CAP_CHAT,
	CAP_EMBEDDINGS,
	CAP_TOOLS,
	CAP_JSON_SCHEMA,
	CAP_VISION,
	CAP_COMPLETIONS,
	CAP_MODERATIONS,
	CAP_IMAGES,
	CAP_AUDIO, /* speech, transcriptions, translations */
	CAP_RERANK,
	CAP_RESPONSES,
	CAP_DOCUMENTS,
	CAP_REASONING,
	CAP_AUDIO_INPUT,
	CAP_N
};

struct b_model {
	uint64_t uid, version; /* version of the item: the price version */
	struct str name;
	struct str tokenizer; /* agent/tokenizer; empty = default ratio */
	int64_t context_tokens, max_output_tokens;
	int64_t max_request; /* nano-USD, of requests without a bound; or 0 */
	unsigned n_prices;
	const struct price_line *prices;
	bool can_chat, can_embed;
	uint32_t can; /* 1 << enum capability */
};

struct b_deployment {
	uint64_t uid;
	struct str name, upstream_model, region;
	const struct b_model *model;
	const struct b_provider *provider;
	uint32_t max_concurrency, connect_timeout_ms, first_byte_timeout_ms,
	    idle_timeout_ms;
	bool no_stream_options;
	struct limit_cell *concurrency; /* NULL when unlimited */
};

struct b_target {
	const struct b_deployment *deployment;
	uint32_t priority, weight; /* lower priority first */
};

struct b_route {
	uint64_t uid;
	struct str name, owned_by;
	unsigned index;	    /* bit in b_key.routes */
	unsigned n_targets; /* sorted by priority */
	const struct b_target *targets;
	bool lenient; /* drop what a translation cannot carry */
	bool drain;   /* read on when the client left, within these: */
	uint32_t drain_max_ms, drain_max_tokens, drain_max_concurrent;
};

struct bundle {
	atomic_int refs;
	uint64_t version;
	uint8_t state_hash[32];
	int64_t created_at;
	struct str group;
	unsigned n_keys, n_routes, n_deployments;
	const struct b_key *keys;
	const struct b_route *routes; /* in name order */
	const struct b_deployment *deployments;
	/* private to bundle.c follows: index tables, arena */
	void *priv;
};

void bundle_ref(struct bundle *b);
void bundle_unref(struct bundle *b); /* NULL is fine; frees at 0 */

/* Key by the SHA-256 of what the client presented; the digest is compared in
 * constant time. NULL when unknown. Disabled and expired keys are returned:
 * the caller answers them exactly as unknown ones. */
const struct b_key *bundle_find_key(
    const struct bundle *b, const uint8_t digest[32]);
const struct b_route *bundle_find_route(
    const struct bundle *b, struct str name);
static inline bool
bundle_key_may(const struct b_key *k, const struct b_route *r)
{
	return (k->routes[r->index / 64] >> (r->index % 64)) & 1;
}
/* Unit prices of the model in force at wall time `at`. False when the model
 * has no input price then: such a model is refused (fail closed). */
bool b_model_price(const struct b_model *m, int64_t at, struct price *ret);
/* The same for the tier that an answer named and its whole input, which is
 * tokens_input() of what is booked: price_at(). */
bool b_model_price_for(const struct b_model *m, int64_t at, struct str tier,
    int64_t input_total, struct price *ret);
/* The dearest of all tiers and sizes, class by class: for reservations. */
bool b_model_price_worst(
    const struct b_model *m, int64_t at, struct price *ret);
/* The same for what a request can come to: tier as it asks (usage_tier()'s
 * words, "" = none) and an input of at most max_input tokens: price_bound().
 */
bool b_model_price_bound(const struct b_model *m, int64_t at, struct str tier,
    int64_t max_input, struct price *ret);

#endif
