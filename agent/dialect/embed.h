/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Embeddings between dialects: OpenAI's and Gemini's requests to the embedding
 * calls of every provider that has one, and their answers back. Generations
 * have a neutral form; a vector needs none: the request is read once, its texts
 * go from document to document as they are escaped, and so do the numbers.
 *
 * Numbers become base64 (32-bit floats, little-endian, as OpenAI packs them)
 * correctly rounded: the same bytes as of any exact reader of the same text.
 *
 * Invariants: what asks for other vectors than the provider would make is
 * refused or, where the route is lenient, dropped and listed; an answer that
 * does not hold exactly one vector for each input is no answer.
 *
 * No allocation but in out; any thread. Bodies are validated JSON.
 */
#ifndef AGENT_DIALECT_EMBED_H
#define AGENT_DIALECT_EMBED_H

#include "agent/config/bundle.h"
#include "agent/dialect/carry.h"
#include "agent/dialect/surface.h"
#include "agent/dialect/usage.h"
#include "common/buf.h"
#include "common/json.h"

/* What the vectors are for; the order is that of the table in embed.c. */
enum embed_task {
	EMBED_ANY,
	EMBED_QUERY,
	EMBED_DOCUMENT,
	EMBED_CLASSIFICATION,
	EMBED_CLUSTERING,
	EMBED_SIMILARITY,
	EMBED_QUESTION,
	EMBED_FACT,
	EMBED_CODE,
	EMBED_N_TASKS
};

/* A request, as slices of its body. */
struct embed {
	enum op op;	    /* OP_EMBEDDINGS or OP_GEMINI_EMBED */
	bool batch;	    /* Gemini: several requests in one */
	struct json list;   /* of inputs; a single one is no array */
	int64_t n;	    /* inputs, at least 1 */
	bool base64;	    /* OpenAI: the client wants vectors packed */
	bool has_user;	    /* OpenAI: a user, which nobody else takes */
	int64_t dimensions; /* -1 = as the model makes them */
	enum embed_task task;
	struct str title; /* esc; Gemini */
	char other[96];	  /* a member that is not known here, or "" */
};

/* op and batch: as the path says. ERR_INVALID with the client's field. */
int embed_read(enum op op, bool batch, struct str body, struct embed *ret,
    struct error *e) MUST_CHECK;

struct embed_opts {
	enum provider_dialect to;
	struct str model; /* plain: the provider's name of it */
	bool lenient;
	struct carry_lost *lost; /* what was dropped */
};

/* Can the provider be asked for vectors in another dialect than its own? */
bool embed_can(enum provider_dialect to);
/* Has OpenAI's request a member that a provider of its dialect has another name
 * for? Mistral's is output_dimension. */
bool embed_is_quirky(enum provider_dialect to, struct str body);
/* The provider's request, appended to out. ERR_INVALID with the client's field:
 * it cannot be carried; else buf_error(out). */
int embed_write(const struct embed *q, const struct embed_opts *o,
    struct buf *out, struct error *e) MUST_CHECK;

/* How an answer is to be read and written. */
struct embed_reply {
	enum provider_dialect from;
	enum op op;
	bool batch, base64;
	int64_t n;    /* vectors that must come */
	int64_t told; /* 1 + tokens that the answer's head told, or 0 */
	/* Tokens that the client is told when the provider tells none; NULL:
	 * 0. Called once at most, when the answer is known to be whole. */
	int64_t (*estimate)(void *ctx);
	void *ctx;
};

/* A whole answer (not validated yet; lim NULL = the defaults) into the client's
 * form, appended to out; its usage into u. model: plain, as the client named
 * it. ERR_INVALID: it cannot be read; ERR_TOO_LARGE, else buf_error(out). */
int embed_answer(const struct embed_reply *q, struct str model, struct str body,
    const struct json_limits *lim, struct usage_state *u,
    struct buf *out) MUST_CHECK;

#endif
