/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What answer readers of providers have in common: sending events in the
 * order that ir.h promises, numbering blocks, parsing one frame, and finding
 * several members of an object in one pass.
 *
 * Two ways to keep blocks: a lane, for dialects that tell one part after the
 * other (Gemini, Ollama, plain answers), and slots, for dialects that number
 * their blocks and may have several open (Bedrock, Cohere).
 */
#ifndef AGENT_DIALECT_EMIT_H
#define AGENT_DIALECT_EMIT_H

#include "agent/dialect/ir.h"
#include "agent/dialect/usage.h"
#include "common/json.h"

struct emit {
	ir_event_fn *fn; /* of the present feed */
	void *ctx;
	struct usage_state usage;
	struct buf scratch; /* escaped text of one event */
	struct arena arena; /* ids that are made up; of one event */
	size_t max_event;
	bool started;
	bool failed; /* an error was sent: nothing else follows */
};

struct emit_lane {
	unsigned choice;
	unsigned next; /* number of the next block */
	bool open, empty;
	enum ir_part_type part; /* of the open block */
};

#define EMIT_MAX_OPEN 64
struct emit_slot {
	int64_t key; /* the provider's */
	unsigned block;
	enum ir_part_type part;
	bool open, empty;
};
struct emit_slots {
	struct emit_slot at[EMIT_MAX_OPEN]; /* of choice 0 */
	unsigned n;			    /* used, some are closed */
	unsigned next;			    /* number of the next block */
};

/* max_event: limit of a frame and of text that is made from one. */
void emit_init(struct emit *em, size_t max_event);
void emit_release(struct emit *em);

/* One frame: valid JSON and an object, else ERR_INVALID; ERR_TOO_LARGE. */
int emit_parse(
    struct str frame, size_t max_bytes, struct json *root) MUST_CHECK;
/* Members of obj by their plain names in one pass; p is NULL where a member
 * is absent or null, or obj is no object. */
void emit_pick(
    struct json obj, const struct str *names, struct json *vals, unsigned n);
/* Content of a string, "" if v is none (or p NULL). */
struct str emit_text(struct json v);

/* The id of a call that has none, good until the next one is made. salt:
 * something that other answers do not have, so that a conversation has no two
 * calls of one id. p NULL without memory. */
struct str emit_call_id(
    struct emit *em, struct str salt, unsigned position, struct str name);

/* All return 0 or what the callback returned (or ERR_NOMEM, ERR_TOO_LARGE
 * where text is made). */

/* Once; later calls do nothing. */
int emit_start(struct emit *em, struct str id, struct str model) MUST_CHECK;
int emit_finish(struct emit *em, unsigned choice, enum ir_finish f,
    struct str native, struct str stop) MUST_CHECK;
/* If usage is known. */
int emit_usage(struct emit *em) MUST_CHECK;
/* EMIT_STOP when the callback was content: the rest of the answer is not
 * looked at, whatever it is. */
#define EMIT_STOP (-1000)
int emit_error(
    struct emit *em, struct str native, int status, struct str text) MUST_CHECK;
/* What feed() and finish() return for it. */
static inline int
emit_result(int rc)
{
	return rc == EMIT_STOP ? 0 : rc;
}
int emit_end(struct emit *em) MUST_CHECK;

/* Open a block, closing the one that is open. */
int emit_lane_open(struct emit *em, struct emit_lane *l, enum ir_part_type part,
    struct str id, struct str name) MUST_CHECK;
/* Text of a part; opens a block where none of this type is. Empty: nothing. */
int emit_lane_delta(struct emit *em, struct emit_lane *l,
    enum ir_part_type part, struct str text) MUST_CHECK;
/* Of the open block. */
int emit_lane_signature(
    struct emit *em, struct emit_lane *l, struct str text) MUST_CHECK;
int emit_lane_stop(struct emit *em, struct emit_lane *l) MUST_CHECK;
/* A whole call; args: a JSON object, or p NULL for none. */
int emit_lane_call(struct emit *em, struct emit_lane *l, struct str id,
    struct str name, struct str signature, struct json args) MUST_CHECK;

/* The open block of this key or NULL. */
struct emit_slot *emit_slot_find(struct emit_slots *s, int64_t key);
/* Open a block; one of the same key is closed. ERR_INVALID: too many. */
int emit_slot_open(struct emit *em, struct emit_slots *s, int64_t key,
    enum ir_part_type part, struct str id, struct str name) MUST_CHECK;
/* Text of the block of this key; opens one where none of this type is. */
int emit_slot_delta(struct emit *em, struct emit_slots *s, int64_t key,
    enum ir_part_type part, struct str text) MUST_CHECK;
int emit_slot_signature(struct emit *em, struct emit_slots *s, int64_t key,
    enum ir_part_type part, struct str text) MUST_CHECK;
int emit_slot_stop(
    struct emit *em, struct emit_slots *s, int64_t key) MUST_CHECK;
int emit_slot_stop_all(struct emit *em, struct emit_slots *s) MUST_CHECK;

#endif
