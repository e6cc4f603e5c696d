/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway decides by, whatever dialect a request came in: the model,
 * how much it may cost, whether the answer is a stream. OpenAI's bodies are
 * scanned directly (openai_request.c); other generations are read into the
 * neutral form first (scan.c).
 */
#ifndef AGENT_DIALECT_SCAN_H
#define AGENT_DIALECT_SCAN_H

#include "agent/dialect/ir.h"
#include "agent/dialect/surface.h"
#include "common/json.h"

#define SCAN_MAX_TOKENS 100000000 /* of one class; more is not believed */

struct scan {
	enum op op;
	char model[SURFACE_MODEL_MAX + 1]; /* unescaped, NUL-ended */
	size_t model_len;
	bool stream;
	bool include_usage; /* OpenAI chat: the client asked for usage */
	int64_t max_output; /* token cap in the request, -1 = none */
	int64_t n;	    /* choices, at least 1 */
	int64_t n_messages; /* or inputs */
	int64_t n_media;    /* images, audio, files */
	int64_t n_numbers;  /* embedding inputs that are tokens already */
	int64_t text_bytes; /* in all strings of the body */
	int64_t n_chars;    /* speech: characters to be spoken; rerank: bytes
			     * of the query */
	int64_t n_seconds;  /* transcriptions: of sound, at the most */
	bool endless;	    /* no: that is not bounded (sound.h) */
	struct str user;    /* the end user as the body names it, escaped */
	/* Places in the body that may be changed on the way upstream. */
	struct str model_span; /* value of "model", with quotes; "" = no such
				* member or no place in the body */
	struct str body_start; /* the root's opening brace, or empty */
	struct str body_end;   /* its closing brace */
	struct str swap_span;  /* one more value that changes, or empty */
	struct str swap_text;  /* what it becomes */
	/* OpenAI chat: */
	struct str options_span; /* value of stream_options, or empty */
	struct str include_span; /* value of include_usage in it, or empty */
	bool options_empty;	 /* stream_options is {} or null */
	bool options_null;
};

/* Does the operation generate tokens that are billed as output? */
bool scan_bills_output(enum op op);
/* From a generation that was read; body: where it was read from. */
void scan_generation(
    enum op op, struct str body, const struct ir_request *ir, struct scan *ret);
/* Gemini's embedContent and batchEmbedContents: body validated. ERR_INVALID
 * with the field. */
int scan_gemini_embed(struct str body, struct str model, struct scan *ret,
    struct error *e) MUST_CHECK;
/* The same body with every name of a model in it, also in each of a batch's
 * requests, replaced by "models/" and name; appended to out. 0 or
 * buf_error(out). */
int scan_embed_rename(
    struct str body, struct str name, struct buf *out) MUST_CHECK;

#endif
