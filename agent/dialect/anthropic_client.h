/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of codec_anthropic_client: requests and answers of the Messages
 * API towards clients. Private to anthropic_client*.c.
 */
#ifndef AGENT_DIALECT_ANTHROPIC_CLIENT_H
#define AGENT_DIALECT_ANTHROPIC_CLIENT_H

#include "agent/dialect/client_read.h"
#include "agent/dialect/codec.h"

/* A string or an array of blocks, of a message or (result not NULL) of a tool
 * result. base: "messages.3.content". */
int antc_read_content(struct crd *rd, struct ir_message *m,
    struct ir_part *result, const char *base, struct json v) MUST_CHECK;
/* cache_control */
int antc_read_cache(struct crd *rd, struct json v, const char *base,
    enum ir_cache *ret) MUST_CHECK;

int antc_read(struct str body, struct str path_model, bool path_stream,
    struct ir_request *r, struct error *e);
struct answer_writer *antc_begin(const struct answer_opts *o, struct buf *out);
int antc_event(struct answer_writer *w, const struct ir_event *ev);
void antc_free(struct answer_writer *w);

#endif
