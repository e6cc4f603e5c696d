/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the chat completions dialect towards clients share.
 */
#ifndef AGENT_DIALECT_OPENAI_CHAT_CLIENT_H
#define AGENT_DIALECT_OPENAI_CHAT_CLIENT_H

#include "agent/dialect/codec.h"
#include "agent/dialect/openai_read.h"

/* The value of "messages" into rd->r. 0 or ERR_*. */
int oaichat_messages(struct oaird *rd, struct json v) MUST_CHECK;

/* The answer writer, as in struct codec_client. */
struct answer_writer *oaichat_begin(
    const struct answer_opts *o, struct buf *out);
int oaichat_event(struct answer_writer *w, const struct ir_event *ev);
void oaichat_free(struct answer_writer *w);

#endif
