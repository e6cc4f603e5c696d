/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange of an assertion for a token; blocks. See token.h. */
#ifndef AGENT_UPSTREAM_TOKEN_FETCH_H
#define AGENT_UPSTREAM_TOKEN_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "agent/upstream/token.h"

struct evp_pkey_st;

struct token_fetch {
	struct evp_pkey_st *key;
	char *email, *key_id, *uri, *ca_pem, *proxy; /* "" = absent */
};

struct token_answer {
	int64_t asked_at; /* mono ns, set by the caller */
	int64_t lifetime_s;
	char token[TOKEN_MAX];
};

/* *stop ends it early. ERR_UPSTREAM: e says why, without secrets. */
int token_fetch(const struct token_fetch *f, const char *ca_file,
    const atomic_bool *stop, struct token_answer *ret,
    struct error *e) MUST_CHECK;
/* What a token endpoint answered. */
int token_answer_parse(int status, struct str body, struct token_answer *ret,
    struct error *e) MUST_CHECK;

#endif
