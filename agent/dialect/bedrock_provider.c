/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of Bedrock: ConverseStream's event stream and Converse's plain
 * body.
 *
 * What is odd: errors come as exceptions within a 200 answer; text blocks
 * come without contentBlockStart; a stream may end without metadata (then the
 * answer is whole but its usage is not known); events carry padding.
 */
#include "agent/dialect/codec.h"
#include "agent/dialect/emit.h"
#include "agent/dialect/eventstream.h"
#include "agent/dialect/provider_write.h"

#include <stdlib.h>

struct answer_reader {
	struct emit em;
	struct eventstream es;
	struct emit_slots slots;
	struct buf body; /* plain */
	bool stream;
	bool stopped; /* messageStop was seen */
};

static struct answer_reader *
bedrock_begin(bool stream, size_t max_event, size_t max_plain)
{
	struct answer_reader *rd = calloc(1, sizeof(*rd));

	if (rd == NULL)
		return NULL;
	rd->stream = stream;
	emit_init(&rd->em, stream ? max_event : max_plain);
	eventstream_init(&rd->es, max_event);
	buf_init(&rd->body, max_plain);
	return rd;
}

static void
bedrock_free(struct answer_reader *rd)
{
	if (rd == NULL)
		return;
	emit_release(&rd->em);
	eventstream_release(&rd->es);
	buf_release(&rd->body);
	free(rd);
}

static const struct usage_state *
bedrock_usage(const struct answer_reader *rd)
{
	return &rd->em.usage;
}

static enum ir_finish
bedrock_finish_reason(struct str word)
{
	static const struct {
		const char *word;
		enum ir_finish finish;
	} words[] = {
	    {"end_turn", IR_FINISH_STOP},
	    {"tool_use", IR_FINISH_TOOL_CALLS},
	    {"max_tokens", IR_FINISH_LENGTH},
	    {"stop_sequence", IR_FINISH_STOP_SEQUENCE},
	    {"guardrail_intervened", IR_FINISH_CONTENT_FILTER},
	    {"content_filtered", IR_FINISH_CONTENT_FILTER},
	    {"model_context_window_exceeded", IR_FINISH_LENGTH},
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eqz(word, words[i].word))
			return words[i].finish;
	return IR_FINISH_OTHER;
}

/* HTTP status that an exception in mid-stream amounts to. */
static int
bedrock_status(struct str type)
{
	static const struct {
		const char *type;
		int status;
	} types[] = {
	    {"throttling", 429},
	    {"validation", 400},
	    {"accessDenied", 403},
	    {"resourceNotFound", 404},
	    {"serviceQuotaExceeded", 400},
	    {"modelTimeout", 408},
	    {"modelStreamError", 424},
	    {"modelError", 424},
	    {"modelNotReady", 429},
	    {"serviceUnavailable", 503},
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct str t = str_of(types[i].type);

		if (type.len >= t.len && str_ieq(str_make(type.p, t.len), t))
			return types[i].status;
	}
	return 500;
}

/* ---- parts of both ---- */

/* usage, serviceTier and trace of metadata and of a plain answer. */
static void
bedrock_take_usage(
    struct answer_reader *rd, struct json usage, struct json tier)
{
	if (usage.p != NULL)
		(void)usage_update(&rd->em.usage, USAGE_BEDROCK, usage, true);
	if (tier.p != NULL)
		usage_tier(&rd->em.usage, tier);
}

/* ---- streams ---- */

static int
bedrock_block_start(struct answer_reader *rd, int64_t index, struct json start)
{
	static const struct str names[] = {STR("toolUse")};
	static const struct str members[] = {STR("toolUseId"), STR("name")};
	struct json use, v[2];

	emit_pick(start, names, &use, 1);
	if (use.p == NULL)
		return 0; /* its kind is told by its deltas */
	emit_pick(use, members, v, 2);
	return emit_slot_open(&rd->em, &rd->slots, index, IR_TOOL_CALL,
	    emit_text(v[0]), emit_text(v[1]));
}

static int
bedrock_reasoning(struct answer_reader *rd, int64_t index, struct json r)
{
	static const struct str names[] = {
	    STR("text"), STR("signature"), STR("redactedContent")};
	struct json v[3];
	int rc;

	emit_pick(r, names, v, 3);
	rc = emit_slot_delta(
	    &rd->em, &rd->slots, index, IR_THINKING, emit_text(v[0]));
	if (rc == 0)
		rc = emit_slot_signature(
		    &rd->em, &rd->slots, index, IR_THINKING, emit_text(v[1]));
	if (rc == 0)
		rc = emit_slot_signature(
		    &rd->em, &rd->slots, index, IR_REDACTED, emit_text(v[2]));
	return rc;
}

static int
bedrock_delta(struct answer_reader *rd, int64_t index, struct json delta)
{
	static const struct str names[] = {
	    STR("text"), STR("toolUse"), STR("reasoningContent")};
	static const struct str members[] = {STR("input")};
	struct emit_slot *slot;
	struct json v[3], input;

	emit_pick(delta, names, v, 3);
	if (v[0].p != NULL)
		return emit_slot_delta(
		    &rd->em, &rd->slots, index, IR_TEXT, emit_text(v[0]));
	if (v[2].p != NULL)
		return bedrock_reasoning(rd, index, v[2]);
	if (v[1].p == NULL)
		return 0; /* citations and what else there may be */
	slot = emit_slot_find(&rd->slots, index);
	if (slot == NULL || slot->part != IR_TOOL_CALL)
		return ERR_INVALID; /* a call without a name */
	emit_pick(v[1], members, &input, 1);
	return emit_slot_delta(
	    &rd->em, &rd->slots, index, IR_TOOL_CALL, emit_text(input));
}

enum bedrock_event {
	BEDROCK_MESSAGE_START,
	BEDROCK_BLOCK_START,
	BEDROCK_BLOCK_DELTA,
	BEDROCK_BLOCK_STOP,
	BEDROCK_MESSAGE_STOP,
	BEDROCK_METADATA,
	BEDROCK_UNKNOWN
};

static enum bedrock_event
bedrock_event_of(struct str word)
{
	static const struct str words[] = {STR("messageStart"),
	    STR("contentBlockStart"), STR("contentBlockDelta"),
	    STR("contentBlockStop"), STR("messageStop"), STR("metadata")};
	unsigned i;

	for (i = 0; i < BEDROCK_UNKNOWN; i++)
		if (str_eq(word, words[i]))
			break;
	return (enum bedrock_event)i;
}

static int
bedrock_stop(struct answer_reader *rd, struct str word)
{
	int rc;

	rd->stopped = true;
	rc = emit_slot_stop_all(&rd->em, &rd->slots);
	if (rc == 0)
		rc = emit_finish(
		    &rd->em, 0, bedrock_finish_reason(word), word, STR(""));
	return rc;
}

static int
bedrock_event(
    struct answer_reader *rd, enum bedrock_event type, struct json root)
{
	static const struct str names[] = {STR("contentBlockIndex"),
	    STR("delta"), STR("start"), STR("stopReason"), STR("usage"),
	    STR("serviceTier")};
	struct json v[6];
	int64_t index = 0;
	int rc;

	emit_pick(root, names, v, 6);
	if (v[0].p != NULL && json_to_i64(v[0], &index) != 0)
		return ERR_INVALID;
	rc = emit_start(&rd->em, STR(""), STR(""));
	if (rc != 0 || type == BEDROCK_MESSAGE_START)
		return rc;
	if (type == BEDROCK_METADATA) {
		bedrock_take_usage(rd, v[4], v[5]);
		return emit_usage(&rd->em);
	}
	if (rd->stopped)
		return 0;
	switch (type) {
	case BEDROCK_BLOCK_DELTA:
		return bedrock_delta(rd, index, v[1]);
	case BEDROCK_BLOCK_START:
		return bedrock_block_start(rd, index, v[2]);
	case BEDROCK_BLOCK_STOP:
		return emit_slot_stop(&rd->em, &rd->slots, index);
	default:
		return bedrock_stop(rd, emit_text(v[3]));
	}
}

/* An exception with a JSON payload, or an error told by headers. */
static int
bedrock_exception(struct answer_reader *rd, const struct eventstream_message *m)
{
	static const struct str names[] = {
	    STR("message"), STR("Message"), STR("originalMessage")};
	struct str type, plain, text = STR("");
	struct json root, v[3];
	size_t i;
	int rc;

	type = eventstream_string(m, STR(":exception-type"));
	if (type.len == 0)
		type = eventstream_string(m, STR(":error-code"));
	rc = emit_parse(m->payload, m->payload.len, &root);
	if (rc == ERR_NOMEM)
		return rc;
	for (i = 0; rc == 0 && i < 3 && text.len == 0; i++) {
		emit_pick(root, names, v, 3);
		text = emit_text(v[i]);
	}
	if (text.len == 0) {
		plain = eventstream_string(m, STR(":error-message"));
		buf_clear(&rd->em.scratch);
		(void)buf_add_escaped(&rd->em.scratch, plain);
		text = buf_str(&rd->em.scratch);
	}
	return emit_error(&rd->em, type, bedrock_status(type), text);
}

static int
bedrock_message(void *ctx, const struct eventstream_message *m)
{
	struct answer_reader *rd = ctx;
	enum bedrock_event type;
	struct json root;
	int rc;

	if (!str_eqz(eventstream_string(m, STR(":message-type")), "event"))
		return bedrock_exception(rd, m);
	type = bedrock_event_of(eventstream_string(m, STR(":event-type")));
	if (type == BEDROCK_UNKNOWN)
		return 0;
	rc = emit_parse(m->payload, rd->em.max_event, &root);
	return rc != 0 ? rc : bedrock_event(rd, type, root);
}

/* ---- plain answers ---- */

static int
bedrock_plain_reasoning(
    struct answer_reader *rd, struct emit_lane *l, struct json r)
{
	static const struct str names[] = {
	    STR("reasoningText"), STR("redactedContent")};
	static const struct str members[] = {STR("text"), STR("signature")};
	struct json v[2], t[2];
	int rc;

	emit_pick(r, names, v, 2);
	if (v[0].p != NULL) {
		emit_pick(v[0], members, t, 2);
		rc = emit_lane_open(&rd->em, l, IR_THINKING, STR(""), STR(""));
		if (rc == 0)
			rc = emit_lane_delta(
			    &rd->em, l, IR_THINKING, emit_text(t[0]));
		if (rc == 0)
			rc = emit_lane_signature(&rd->em, l, emit_text(t[1]));
		return rc;
	}
	if (v[1].p == NULL)
		return 0;
	rc = emit_lane_open(&rd->em, l, IR_REDACTED, STR(""), STR(""));
	return rc != 0 ? rc : emit_lane_signature(&rd->em, l, emit_text(v[1]));
}

static int
bedrock_plain_block(
    struct answer_reader *rd, struct emit_lane *l, struct json block)
{
	static const struct str names[] = {
	    STR("text"), STR("toolUse"), STR("reasoningContent")};
	static const struct str members[] = {
	    STR("toolUseId"), STR("name"), STR("input")};
	struct json v[3], t[3];
	int rc;

	emit_pick(block, names, v, 3);
	if (v[0].p != NULL) {
		rc = emit_lane_stop(&rd->em, l);
		return rc != 0 ? rc
			       : emit_lane_delta(
				     &rd->em, l, IR_TEXT, emit_text(v[0]));
	}
	if (v[2].p != NULL)
		return bedrock_plain_reasoning(rd, l, v[2]);
	if (v[1].p == NULL)
		return 0;
	emit_pick(v[1], members, t, 3);
	return emit_lane_call(
	    &rd->em, l, emit_text(t[0]), emit_text(t[1]), STR(""), t[2]);
}

static int
bedrock_plain_answer(struct answer_reader *rd)
{
	static const struct str names[] = {
	    STR("output"), STR("stopReason"), STR("usage"), STR("serviceTier")};
	struct emit_lane lane = {0};
	struct json root, v[4], content, block;
	struct json_iter it;
	int rc;

	rc = emit_parse(buf_str(&rd->body), rd->body.len, &root);
	if (rc != 0)
		return rc;
	emit_pick(root, names, v, 4);
	if (v[0].p == NULL || !json_path(v[0], "message.content", &content) ||
	    content.type != JSON_ARRAY)
		return ERR_INVALID;
	rc = emit_start(&rd->em, STR(""), STR(""));
	it = json_iter(content);
	while (rc == 0 && json_next_element(&it, &block))
		rc = bedrock_plain_block(rd, &lane, block);
	if (rc == 0)
		rc = emit_lane_stop(&rd->em, &lane);
	if (rc == 0)
		rc = emit_finish(&rd->em, 0,
		    bedrock_finish_reason(emit_text(v[1])), emit_text(v[1]),
		    STR(""));
	bedrock_take_usage(rd, v[2], v[3]);
	if (rc == 0)
		rc = emit_usage(&rd->em);
	return rc != 0 ? rc : emit_end(&rd->em);
}

/* ---- */

static int
bedrock_feed(struct answer_reader *rd, const char *p, size_t n, ir_event_fn *fn,
    void *ctx)
{
	int rc;

	if (!rd->stream)
		return buf_add(&rd->body, p, n);
	if (rd->em.failed)
		return 0;
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	rc = eventstream_feed(&rd->es, p, n, bedrock_message, rd);
	return rc == ERR_CORRUPT ? ERR_INVALID : emit_result(rc);
}

static int
bedrock_finish(struct answer_reader *rd, ir_event_fn *fn, void *ctx)
{
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	if (!rd->stream)
		return bedrock_plain_answer(rd);
	if (rd->em.failed)
		return 0;
	if (eventstream_finish(&rd->es) != 0 || !rd->stopped)
		return ERR_INVALID;
	return emit_end(&rd->em);
}

const struct codec_provider codec_bedrock_provider = {
    .name = "bedrock",
    .write = bedrock_write,
    .begin = bedrock_begin,
    .feed = bedrock_feed,
    .finish = bedrock_finish,
    .usage = bedrock_usage,
    .free = bedrock_free,
};
