/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of chat completions, between its two files: frames of streams and
 * plain answers.
 */
#ifndef AGENT_DIALECT_OPENAI_CHAT_WRITER_H
#define AGENT_DIALECT_OPENAI_CHAT_WRITER_H

#include "agent/dialect/answer_acc.h"
#include "agent/dialect/openai_chat_client.h"

struct answer_writer {
	struct answer_opts o;
	struct buf *out;
	struct acc acc;	 /* streams: blocks that are open, or signed thinking */
	struct buf head; /* of every chunk, made with the first */
	struct buf model; /* esc */
	struct ir_usage usage;
	bool has_usage;
	bool done; /* ended or failed: nothing more is written */
};

/* {"id":... up to and with "choices":[ */
void oaichat_write_head(
    struct answer_writer *w, struct buf *out, const char *object);
/* The id of a call, made up when the provider has none. */
void oaichat_write_id(
    struct answer_writer *w, struct buf *out, const struct acc_block *b);
/* "extra_content":{...} with a signature of Gemini's. */
void oaichat_write_extra(struct buf *out, struct str signature);
/* "thinking_blocks":[...] of all that were signed so far. */
void oaichat_write_thinking(struct answer_writer *w, unsigned choice);
/* The member of a message for an image or audio. */
void oaichat_write_media(
    struct answer_writer *w, struct buf *out, const struct acc_block *b);
/* ,"service_tier":"..." when it is told. */
void oaichat_write_tier(struct answer_writer *w, struct buf *out);
const char *oaichat_finish_word(const struct acc_choice *c);
/* An error in mid-answer: a frame, or the body. */
void oaichat_write_error(struct answer_writer *w, const struct ir_event *ev);
/* The whole body. */
void oaichat_write_plain(struct answer_writer *w);

#endif
