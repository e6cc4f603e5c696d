/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks on a request's head before anything acts on it: message framing that
 * two parsers could read differently, authority tricks, paths that are not
 * exactly ours, more than one credential. The path is matched on its raw
 * bytes, once; nothing is decoded or normalised, so nothing can be smuggled
 * past the match.
 */
#ifndef AGENT_FRONT_HEAD_H
#define AGENT_FRONT_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/dialect/surface.h"
#include "common/tags.h"

#define HEAD_MAX_SIM 8

/* Why a head was refused; also the label of the metric. */
enum head_reason {
	HEAD_OK,
	HEAD_BAD_FIELD,
	HEAD_BAD_HOST,
	HEAD_BAD_LENGTH,
	HEAD_BAD_CODING,
	HEAD_SMUGGLING,
	HEAD_BAD_VERSION,
	HEAD_BAD_TARGET,
	HEAD_NOT_FOUND,
	HEAD_BAD_METHOD,
	HEAD_ENCODED_BODY,
	HEAD_TOO_LARGE,
	HEAD_TWO_CREDENTIALS,
	HEAD_LOOP,
	HEAD_FIELDS_TOO_LARGE,
	HEAD_N_REASONS
};
const char *head_reason_name(enum head_reason r);
/* ERR_* code and text for the client. */
int head_reason_code(enum head_reason r);
const char *head_reason_text(enum head_reason r);

/* The target of the request line, looked at before the server touches it. */
struct head_target {
	enum head_reason reason;
	struct surface s;
};
void head_target_parse(struct str raw, struct head_target *t);

/* Fields that matter, collected one by one. Slices are the server's. */
struct head {
	unsigned n_host, n_length, n_coding, n_authorization, n_bad, n_fields;
	bool has_body, loop, wants_close, expects_continue;
	uint64_t hops; /* gateways passed so far */
	struct str host, length, coding, content_encoding, authorization,
	    api_key, x_api_key, goog_key, user_agent, content_type, accept,
	    anthropic_version, anthropic_beta, openai_beta;
	unsigned n_api_key, n_x_api_key, n_goog_key;
	unsigned n_user, n_tags; /* x-headgate-user, x-headgate-tags */
	struct str user, tags;
	size_t bytes;			 /* of all fields */
	int64_t content_length;		 /* -1 = none; set by head_check */
	struct str sim[HEAD_MAX_SIM][2]; /* x-sim-* fields: name, value */
	unsigned n_sim;
};
void head_field(struct head *h, struct str name, struct str value);
/* version: "HTTP/1.1". Sets h->content_length; the fields may tell more about
 * the surface than its path. */
enum head_reason head_check(struct head *h, struct head_target *t,
    struct str method, struct str version, size_t max_body);
/* What x-headgate-user and x-headgate-tags say. NULL, or why they are refused
 * (a static text). */
const char *head_tags(const struct head *h, struct tags *t);
/* SHA-256 of a presented credential. */
void head_digest(struct str secret, uint8_t digest[32]);
/* The one credential presented, in a field or in the query; empty when there
 * is none. */
enum head_reason head_credential(
    const struct head *h, const struct surface *s, struct str *secret);

#endif
