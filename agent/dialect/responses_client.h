/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the responses dialect towards clients share.
 */
#ifndef AGENT_DIALECT_RESPONSES_CLIENT_H
#define AGENT_DIALECT_RESPONSES_CLIENT_H

#include "agent/dialect/codec.h"
#include "agent/dialect/openai_read.h"

/* The field of the message that instructions become. */
#define RSPC_INSTRUCTIONS "instructions"
/* Ids of reasoning items whose content is opaque (IR_REDACTED). */
#define RSPC_OPAQUE "rs_redacted_"

/* The value of "input" into rd->r. 0 or ERR_*. */
int rspc_input(struct oaird *rd, struct json v) MUST_CHECK;

/* The answer writer, as in struct codec_client. */
struct answer_writer *rspc_begin(const struct answer_opts *o, struct buf *out);
int rspc_event(struct answer_writer *w, const struct ir_event *ev);
void rspc_free(struct answer_writer *w);

#endif
