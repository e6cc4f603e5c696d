/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of codec_gemini_client: requests and answers of generateContent
 * towards clients. Private to gemini_client*.c.
 */
#ifndef AGENT_DIALECT_GEMINI_CLIENT_H
#define AGENT_DIALECT_GEMINI_CLIENT_H

#include "agent/dialect/client_read.h"
#include "agent/dialect/codec.h"

/* ,"thoughtSignature":"..." of a signature (esc) of any provider; nothing for
 * an empty one. redacted: it is encrypted thinking. */
void gemc_signature_write(struct buf *out, struct str sig, bool redacted);
/* The way back, in place. 0, ERR_INVALID, ERR_NOMEM. */
int gemc_signature_read(
    struct arena *a, struct str *sig, bool *redacted) MUST_CHECK;

/* contents */
int gemc_read_contents(struct crd *rd, struct json v) MUST_CHECK;
/* systemInstruction: a string, a part or a content. */
int gemc_read_system(struct crd *rd, struct json v) MUST_CHECK;
/* tools and toolConfig */
int gemc_read_tools(struct crd *rd, struct json v) MUST_CHECK;
int gemc_read_tool_config(struct crd *rd, struct json v) MUST_CHECK;

/* Gemini's Schema to JSON schema: types in lower case, nullable, numbers that
 * were strings. The result is in the arena; p NULL without memory. */
struct str gemc_schema(struct arena *a, struct json schema);

int gemc_read(struct str body, struct str path_model, bool path_stream,
    struct ir_request *r, struct error *e);
struct answer_writer *gemc_begin(const struct answer_opts *o, struct buf *out);
int gemc_event(struct answer_writer *w, const struct ir_event *ev);
void gemc_free(struct answer_writer *w);

#endif
