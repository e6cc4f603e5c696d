/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the responses provider codec: the state of its reader. */
#ifndef AGENT_DIALECT_RESPONSES_READER_H
#define AGENT_DIALECT_RESPONSES_READER_H

#include "agent/dialect/answer_feed.h"
#include "agent/dialect/codec.h"
#include "agent/dialect/emit.h"

/* Items of one response; more are ERR_INVALID. */
#define RSPR_MAX_ITEMS 4096

struct answer_reader {
	struct emit em;
	struct answer_feed feed;
	struct emit_slots slots;
	size_t max_plain;
	bool terminal; /* the response is complete: ignore the rest */
	bool has_calls;
	unsigned char seen[RSPR_MAX_ITEMS / 8]; /* items that were told */
};

/* A whole response object: items that were not told yet, usage, and how it
 * ended. */
int rspr_response(struct answer_reader *rd, struct json response) MUST_CHECK;
/* An item is done: what of it was not told yet. */
int rspr_item_done(
    struct answer_reader *rd, int64_t index, struct json item) MUST_CHECK;
/* A call begins. */
int rspr_call_open(
    struct answer_reader *rd, int64_t index, struct json item) MUST_CHECK;
/* An error of the provider: {code, message}. */
int rspr_error(
    struct answer_reader *rd, struct json code, struct json message) MUST_CHECK;
bool rspr_is(struct json v, const char *word);
/* Keys of an item's blocks: one a content part, one for its thinking, one for
 * a call. */
#define RSPR_KEY(item, content) ((item)*65536 + (content))
#define RSPR_THINKING		65535
#define RSPR_CALL		65534
/* The text of a block unless it was told in deltas. */
int rspr_rest(struct answer_reader *rd, int64_t key, enum ir_part_type part,
    struct str text) MUST_CHECK;

#endif
