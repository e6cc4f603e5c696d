/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of responses, between its two files: the frames of a stream, and
 * the response object with its items.
 */
#ifndef AGENT_DIALECT_RESPONSES_WRITER_H
#define AGENT_DIALECT_RESPONSES_WRITER_H

#include "agent/dialect/answer_acc.h"
#include "agent/dialect/responses_client.h"

enum rspc_status {
	RSPC_IN_PROGRESS,
	RSPC_COMPLETED,
	RSPC_INCOMPLETE,
	RSPC_FAILED
};

/* Every block is an item of its own: blocks[].index is its output_index. */
struct answer_writer {
	struct answer_opts o;
	struct buf *out;
	struct acc acc;
	struct buf model; /* esc */
	struct ir_usage usage;
	bool has_usage;
	bool started; /* response.created is out */
	bool done;
	unsigned n_items;
	int64_t sequence;
	enum ir_finish finish;
	/* The error of a failed response, or NULL. */
	const struct ir_event *error;
};

/* The id of the item of a block. */
void rspc_write_id(
    struct answer_writer *w, struct buf *out, const struct acc_block *b);
/* The item of a block, as it begins or as it is done. */
void rspc_write_item(struct answer_writer *w, struct buf *out,
    const struct acc_block *b, bool done);
/* The only content part of a message. */
void rspc_write_part(struct buf *out, const struct acc_block *b, bool done);
/* [..] or [] */
void rspc_write_logprobs(struct buf *out, struct str elements);
const char *rspc_error_code(const struct ir_event *ev);
/* The whole response object. */
void rspc_write_response(
    struct answer_writer *w, struct buf *out, enum rspc_status status);

#endif
