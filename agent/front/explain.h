/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decided a request, kept for the last few thousand requests: key, route,
 * deployment, budgets, leases, config version, outcome. Workers write when a
 * request ends; the status daemon reads. One ring per worker; every slot is
 * guarded by a sequence counter (seqlock), so writers never wait. Never holds
 * secrets, prompts or answers.
 */
#ifndef AGENT_FRONT_EXPLAIN_H
#define AGENT_FRONT_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config/bundle.h"
#include "common/money.h"

#define EXPLAIN_NAME	     96
#define EXPLAIN_MAX_ATTEMPTS 4

/* One budget of the key's path as the request saw it. */
struct explain_budget {
	uint64_t uid;
	int64_t limit, spent;	 /* nano-USD, at the decision */
	int64_t left;		 /* rights in the local lease after it */
	int64_t period_start;	 /* wall ns; 0 = no lease */
	char name[EXPLAIN_NAME]; /* NUL-ended, cut to fit */
	bool soft;
};

/* One try at a provider. */
struct explain_attempt {
	uint64_t deployment_uid;
	int http_status; /* of the provider, 0 = none came */
	int error;	 /* ERR_* or 0 */
	int64_t duration_us;
	char deployment[EXPLAIN_NAME];
	char region[32];
};

struct explain_entry {
	char request_id[40];			       /* UUID text */
	int64_t started_at;			       /* wall ns */
	int64_t duration_us, first_byte_us, waited_us; /* waited: for rights */
	uint64_t config_version, price_version;
	uint64_t tenant_uid, team_uid, project_uid, key_uid, route_uid,
	    model_uid, provider_uid;
	char key[EXPLAIN_NAME], route[EXPLAIN_NAME], model[EXPLAIN_NAME],
	    provider[EXPLAIN_NAME];
	unsigned worker;
	bool streamed;
	int http_status; /* what the client got; 499 = it left */
	int error;	 /* ERR_* that refused or ended it, 0 = fine */
	char error_code[32];
	char reason[160];	       /* one line for people */
	char refused_by[EXPLAIN_NAME]; /* budget or limit that refused */
	char finish_reason[24];
	struct tokens worst, tokens;
	/* nano-USD; released: let go of while it ran (lower.h) */
	int64_t reserved, released, cost;
	uint32_t source; /* Hg__UsageSource */
	/* Taken of the key's token rates at admission, and in the end. */
	int64_t limit_tokens, limit_settled;
	/* How text of the model is counted when the request ends: thousandths
	 * of a byte a token, 0 = exactly. */
	int64_t prompt_milli;
	char tokenizer[24]; /* that the model declares, "" = none */
	unsigned n_budgets, n_attempts;
	struct explain_budget budgets[BUNDLE_MAX_BUDGETS];
	struct explain_attempt attempts[EXPLAIN_MAX_ATTEMPTS];
};

struct explain_table;

/* n_workers rings of per_worker entries (about 2.5 KiB each; touched only when
 * used). NULL without memory. */
struct explain_table *explain_new(unsigned n_workers, unsigned per_worker);
void explain_free(struct explain_table *t); /* NULL is fine */
/* Copy e into the ring of the worker. Only that worker's thread. */
void explain_put(
    struct explain_table *t, unsigned worker, const struct explain_entry *e);
/* Latest entry with that request id (UUID text). False when it is not there
 * (any more). Any thread. */
bool explain_find(
    struct explain_table *t, const char *request_id, struct explain_entry *out);

#endif
