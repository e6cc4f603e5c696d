/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a call to a provider is addressed and authorised: the path below its
 * base URL, and header lines beyond the static ones of struct b_provider.
 * Hosts never depend on anything that a client sent.
 *
 * Pure but for the token cache of Vertex AI; any worker thread.
 */
#ifndef AGENT_PROVIDER_ACCESS_H
#define AGENT_PROVIDER_ACCESS_H

#include "agent/config/bundle.h"
#include "agent/dialect/surface.h"

#define ACCESS_PATH_MAX	  2048
#define ACCESS_HEADER_MAX 8192

struct access_call {
	const struct b_provider *provider;
	enum op op;	  /* in the provider's own dialect */
	struct str model; /* upstream model or deployment name, plain */
	struct str id;	  /* of a stored response, else "" */
	bool stream;
	const struct str *parts; /* the body, for signatures */
	unsigned n_parts;
	/* Body of unknown content (streamed upload): not signed. */
	bool unsigned_body;
	/* anthropic-version that the client named; "" = ours. The front must
	 * not send that header itself. */
	struct str version;
	int64_t wall_ns;
};

struct access {
	char path[ACCESS_PATH_MAX];	 /* with query, NUL-ended */
	char headers[ACCESS_HEADER_MAX]; /* "Name: value\r\n"..., NUL-ended */
	size_t path_len, headers_len;
	const char *method; /* "POST", "GET" or "DELETE" */
};

/* Does the provider have the operation at all? */
bool access_can(const struct b_provider *p, enum op op);

/* Generations (op_is_generation) of any dialect become the provider's own;
 * OP_RESPONSES stays where the provider has it. OP_EMBEDDINGS of Gemini is
 * batchEmbedContents, OP_GEMINI_EMBED embedContent; of Vertex both predict.
 *
 * 0; ERR_UNSUPPORTED: this provider has no such operation; ERR_AGAIN: its
 * token is being fetched, ask again soon; ERR_UPSTREAM: it cannot be had (e
 * says why, without secrets); ERR_TOO_LARGE. */
int access_prepare(const struct access_call *c, struct access *ret,
    struct error *e) MUST_CHECK;

#endif
