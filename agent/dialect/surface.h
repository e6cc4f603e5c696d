/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client can ask for: the dialect it speaks and the operation. One
 * table of paths (surface.c) serves the front, the metrics and the docs.
 *
 * Paths are matched on their raw bytes, once; nothing is decoded or
 * normalised, so nothing can be smuggled past the match.
 */
#ifndef AGENT_DIALECT_SURFACE_H
#define AGENT_DIALECT_SURFACE_H

#include <stdbool.h>

#include "common/str.h"

enum client_dialect { CLIENT_OPENAI, CLIENT_ANTHROPIC, CLIENT_GEMINI };

enum op {
	OP_CHAT,	/* OpenAI chat completions */
	OP_RESPONSES,	/* OpenAI responses */
	OP_MESSAGES,	/* Anthropic messages */
	OP_GENERATE,	/* Gemini generateContent, streamGenerateContent */
	OP_COMPLETIONS, /* OpenAI's old completions */
	OP_EMBEDDINGS,
	OP_GEMINI_EMBED,
	OP_MODERATIONS,
	OP_IMAGES,
	OP_IMAGE_EDITS,
	OP_TRANSCRIPTIONS,
	OP_TRANSLATIONS,
	OP_SPEECH,
	OP_RERANK,
	OP_COUNT_TOKENS,	/* Anthropic */
	OP_GEMINI_COUNT_TOKENS, /* Gemini */
	OP_MODELS,
	OP_MODEL,
	OP_RESPONSE_GET, /* stored responses: by id in the path */
	OP_RESPONSE_DELETE,
	OP_RESPONSE_CANCEL,
	OP_RESPONSE_ITEMS,
	OP_N
};

/* A generation that can be translated between dialects. */
static inline bool
op_is_generation(enum op op)
{
	return op <= OP_GENERATE;
}

/* Asked for by GET or DELETE, without a body. */
static inline bool
op_has_no_body(enum op op)
{
	return op == OP_MODELS || op == OP_MODEL || op >= OP_RESPONSE_GET;
}

/* Forms with files instead of JSON. */
static inline bool
op_is_multipart(enum op op)
{
	return op == OP_IMAGE_EDITS || op == OP_TRANSCRIPTIONS ||
	       op == OP_TRANSLATIONS;
}

const char *op_name(enum op op); /* "chat", "responses" ... for metrics */

#define SURFACE_MODEL_MAX 128 /* bytes of a model name that is looked up */
#define SURFACE_ID_MAX	  191 /* of a stored response's id */

/* What a request line asks for. */
struct surface {
	enum client_dialect client;
	enum op op;
	/* Model or deployment in the path, or id of a stored response;
	 * NUL-ended, "" = none. */
	char model[SURFACE_MODEL_MAX + 1];
	char id[SURFACE_ID_MAX + 1];
	bool path_stream; /* Gemini's :streamGenerateContent */
	bool batch;	  /* Gemini's :batchEmbedContents */
	bool sse;	  /* alt=sse was asked for */
	unsigned n_key;	  /* ?key= fields */
	struct str key;	  /* value of the last one, as it came */
};

/* target: of the request line, path and query, made of printable bytes. 0, or
 * ERR_NOT_FOUND (client is set all the same, for the error's shape). Slices
 * point into target. */
int surface_find(struct str target, struct surface *s) MUST_CHECK;
/* Does the method fit? May move op from RESPONSE_GET to RESPONSE_DELETE. */
bool surface_takes(struct surface *s, struct str method);
/* The methods for the Allow field. */
const char *surface_allow(const struct surface *s);

/* The table, for documentation: row i as "POST", "/v1/chat/completions" and
 * the operation; false when there are no more. */
struct surface_doc {
	const char *method, *path;
	enum client_dialect client;
	enum op op;
};
bool surface_row(unsigned i, struct surface_doc *ret);

#endif
