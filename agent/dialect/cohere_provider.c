/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of Cohere v2 chat: server-sent events or one object.
 *
 * What is odd: text beside calls is a tool_plan outside the numbered blocks;
 * content and calls are numbered apart; a failure in the middle is a
 * message-end whose finish_reason is an error.
 */
#include "agent/dialect/codec.h"
#include "agent/dialect/cohere_provider.h"
#include "agent/dialect/emit.h"
#include "agent/dialect/provider_write.h"
#include "agent/dialect/sse.h"

#include <stdlib.h>

/* Keys of slots: content blocks have their index. */
#define COHERE_PLAN	 (-1)
#define COHERE_CALLS	 ((int64_t)1 << 32)
#define COHERE_MAX_INDEX ((int64_t)1 << 31)

struct answer_reader {
	struct emit em;
	struct sse sse;
	struct emit_slots slots;
	struct buf body; /* plain */
	bool stream;
	bool ended; /* message-end was seen */
};

static struct answer_reader *
cohere_begin(bool stream, size_t max_event, size_t max_plain)
{
	struct answer_reader *rd = calloc(1, sizeof(*rd));

	if (rd == NULL)
		return NULL;
	rd->stream = stream;
	emit_init(&rd->em, stream ? max_event : max_plain);
	sse_init(&rd->sse, max_event);
	buf_init(&rd->body, max_plain);
	return rd;
}

static void
cohere_free(struct answer_reader *rd)
{
	if (rd == NULL)
		return;
	emit_release(&rd->em);
	sse_release(&rd->sse);
	buf_release(&rd->body);
	free(rd);
}

static const struct usage_state *
cohere_usage(const struct answer_reader *rd)
{
	return &rd->em.usage;
}

/* The end of an answer: finish and usage, or an error. */
static int
cohere_end(struct answer_reader *rd, struct str reason, struct json usage,
    struct str message)
{
	static const struct {
		const char *word;
		enum ir_finish finish;
	} words[] = {
	    {"COMPLETE", IR_FINISH_STOP},
	    {"STOP_SEQUENCE", IR_FINISH_STOP_SEQUENCE},
	    {"MAX_TOKENS", IR_FINISH_LENGTH},
	    {"TOOL_CALL", IR_FINISH_TOOL_CALLS},
	    {"ERROR_LIMIT", IR_FINISH_LENGTH},
	    {"ERROR_TOXIC", IR_FINISH_CONTENT_FILTER},
	};
	size_t i;
	int rc;

	if (usage.p != NULL)
		(void)usage_update(&rd->em.usage, USAGE_COHERE, usage, true);
	if (str_eqz(reason, "ERROR") || str_eqz(reason, "TIMEOUT")) {
		rc = emit_usage(&rd->em);
		return rc != 0 ? rc
			       : emit_error(&rd->em, reason,
				     reason.len == 5 ? 500 : 504, message);
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eqz(reason, words[i].word))
			break;
	rc = emit_finish(&rd->em, 0,
	    i < sizeof(words) / sizeof(words[0]) ? words[i].finish
						 : IR_FINISH_OTHER,
	    reason, STR(""));
	return rc != 0 ? rc : emit_usage(&rd->em);
}

/* Of a block of text; skip as in cohere_logprobs_write(). */
static int
cohere_logprobs(
    struct answer_reader *rd, unsigned block, struct json chunks, size_t skip)
{
	struct ir_event ev = {
	    .type = IR_EV_LOGPROBS, .block = block, .part = IR_TEXT};
	int rc;

	buf_clear(&rd->em.scratch);
	rc = cohere_logprobs_write(&rd->em.scratch, chunks, skip);
	if (rc != 0 || rd->em.scratch.len <= 2)
		return rc;
	ev.json = buf_str(&rd->em.scratch);
	return rd->em.fn(rd->em.ctx, &ev);
}

/* ---- streams ---- */

enum cohere_event {
	COHERE_MESSAGE_START,
	COHERE_CONTENT_START,
	COHERE_CONTENT_DELTA,
	COHERE_CONTENT_END,
	COHERE_PLAN_DELTA,
	COHERE_CALL_START,
	COHERE_CALL_DELTA,
	COHERE_CALL_END,
	COHERE_MESSAGE_END,
	COHERE_UNKNOWN /* citations, debug */
};

static enum cohere_event
cohere_event_of(struct str word)
{
	static const struct str words[] = {STR("message-start"),
	    STR("content-start"), STR("content-delta"), STR("content-end"),
	    STR("tool-plan-delta"), STR("tool-call-start"),
	    STR("tool-call-delta"), STR("tool-call-end"), STR("message-end")};
	unsigned i;

	for (i = 0; i < COHERE_UNKNOWN; i++)
		if (str_eq(word, words[i]))
			break;
	return (enum cohere_event)i;
}

static int
cohere_content(
    struct answer_reader *rd, int64_t index, bool start, struct json content)
{
	static const struct str names[] = {
	    STR("text"), STR("thinking"), STR("type")};
	bool thinking;
	struct json v[3];
	int rc = 0;

	emit_pick(content, names, v, 3);
	thinking = v[1].p != NULL || str_eqz(emit_text(v[2]), "thinking");
	if (start) {
		rc = emit_slot_stop(&rd->em, &rd->slots, COHERE_PLAN);
		if (rc == 0)
			rc = emit_slot_open(&rd->em, &rd->slots, index,
			    thinking ? IR_THINKING : IR_TEXT, STR(""), STR(""));
	}
	if (rc == 0)
		rc = emit_slot_delta(
		    &rd->em, &rd->slots, index, IR_TEXT, emit_text(v[0]));
	if (rc == 0)
		rc = emit_slot_delta(
		    &rd->em, &rd->slots, index, IR_THINKING, emit_text(v[1]));
	return rc;
}

static int
cohere_call(struct answer_reader *rd, int64_t key, bool start, struct json call)
{
	static const struct str names[] = {STR("id"), STR("function")};
	static const struct str members[] = {STR("name"), STR("arguments")};
	struct emit_slot *slot;
	struct json_iter it;
	struct json v[2], f[2];
	int rc;

	if (call.p != NULL && call.type == JSON_ARRAY) {
		it = json_iter(call);
		if (!json_next_element(&it, &call))
			return 0;
	}
	emit_pick(call, names, v, 2);
	emit_pick(v[1], members, f, 2);
	if (start) {
		rc = emit_slot_stop(&rd->em, &rd->slots, COHERE_PLAN);
		if (rc == 0)
			rc = emit_slot_open(&rd->em, &rd->slots, key,
			    IR_TOOL_CALL, emit_text(v[0]), emit_text(f[0]));
		if (rc != 0)
			return rc;
	}
	slot = emit_slot_find(&rd->slots, key);
	if (slot == NULL)
		return ERR_INVALID; /* a call without a name */
	return emit_slot_delta(
	    &rd->em, &rd->slots, key, IR_TOOL_CALL, emit_text(f[1]));
}

static int
cohere_stream_end(struct answer_reader *rd, struct json delta)
{
	static const struct str names[] = {
	    STR("finish_reason"), STR("usage"), STR("error")};
	struct json v[3];
	int rc;

	emit_pick(delta, names, v, 3);
	rd->ended = true;
	rc = emit_slot_stop_all(&rd->em, &rd->slots);
	return rc != 0 ? rc
		       : cohere_end(rd, emit_text(v[0]), v[1], emit_text(v[2]));
}

static int
cohere_stream_event(struct answer_reader *rd, enum cohere_event type,
    int64_t index, struct json delta)
{
	static const struct str names[] = {STR("message")};
	static const struct str members[] = {
	    STR("content"), STR("tool_calls"), STR("tool_plan")};
	struct json message, v[3];
	int64_t call = COHERE_CALLS + index;

	if (type == COHERE_MESSAGE_END)
		return cohere_stream_end(rd, delta);
	emit_pick(delta, names, &message, 1);
	emit_pick(message, members, v, 3);
	switch (type) {
	case COHERE_CONTENT_START:
	case COHERE_CONTENT_DELTA:
		return cohere_content(
		    rd, index, type == COHERE_CONTENT_START, v[0]);
	case COHERE_CONTENT_END:
		return emit_slot_stop(&rd->em, &rd->slots, index);
	case COHERE_PLAN_DELTA:
		return emit_slot_delta(
		    &rd->em, &rd->slots, COHERE_PLAN, IR_TEXT, emit_text(v[2]));
	case COHERE_CALL_START:
	case COHERE_CALL_DELTA:
		return cohere_call(rd, call, type == COHERE_CALL_START, v[1]);
	default:
		return emit_slot_stop(&rd->em, &rd->slots, call);
	}
}

static int
cohere_event(void *ctx, const struct sse_event *ev)
{
	static const struct str names[] = {STR("type"), STR("index"),
	    STR("delta"), STR("id"), STR("logprobs")};
	struct answer_reader *rd = ctx;
	const struct emit_slot *slot;
	enum cohere_event type;
	struct json root, v[5];
	int64_t index = 0;
	int rc;

	if (!ev->has_data || ev->data.len == 0 || rd->ended ||
	    str_starts(ev->data, STR("[DONE]")))
		return 0;
	rc = emit_parse(ev->data, rd->em.max_event, &root);
	if (rc != 0)
		return rc;
	emit_pick(root, names, v, 5);
	type = cohere_event_of(emit_text(v[0]));
	if (type == COHERE_UNKNOWN)
		return 0;
	if (v[1].p != NULL && (json_to_i64(v[1], &index) != 0 || index < 0 ||
				  index >= COHERE_MAX_INDEX))
		return ERR_INVALID;
	rc = emit_start(&rd->em, emit_text(v[3]), STR(""));
	if (rc != 0 || type == COHERE_MESSAGE_START)
		return rc;
	rc = cohere_stream_event(rd, type, index, v[2]);
	if (rc != 0 || type != COHERE_CONTENT_DELTA || v[4].p == NULL)
		return rc;
	slot = emit_slot_find(&rd->slots, index);
	return slot != NULL && slot->part == IR_TEXT
		   ? cohere_logprobs(rd, slot->block, v[4], 0)
		   : 0;
}

/* ---- plain answers ---- */

static int
cohere_plain_content(
    struct answer_reader *rd, struct emit_lane *l, struct json content)
{
	static const struct str names[] = {STR("text"), STR("thinking")};
	struct json_iter it;
	struct json el, v[2];
	int rc = 0;

	if (content.p == NULL || content.type != JSON_ARRAY)
		return emit_lane_delta(&rd->em, l, IR_TEXT, emit_text(content));
	it = json_iter(content);
	while (rc == 0 && json_next_element(&it, &el)) {
		emit_pick(el, names, v, 2);
		rc = emit_lane_stop(&rd->em, l);
		if (rc == 0)
			rc = emit_lane_delta(
			    &rd->em, l, IR_TEXT, emit_text(v[0]));
		if (rc == 0)
			rc = emit_lane_delta(
			    &rd->em, l, IR_THINKING, emit_text(v[1]));
	}
	return rc;
}

/* Of all that was generated, thinking too: it comes before the text. */
static int
cohere_plain_logprobs(struct answer_reader *rd, const struct emit_lane *l,
    struct json content, struct json chunks)
{
	static const struct str names[] = {STR("text"), STR("thinking")};
	size_t all = cohere_logprobs_bytes(chunks), text = 0;
	struct json_iter it;
	struct json el, v[2];
	bool thought = false;

	if (all == 0 || !l->open || l->part != IR_TEXT)
		return 0;
	if (content.type == JSON_ARRAY) {
		it = json_iter(content);
		while (json_next_element(&it, &el)) {
			emit_pick(el, names, v, 2);
			text += emit_text(v[0]).len;
			thought = thought || v[1].p != NULL;
		}
	}
	return cohere_logprobs(
	    rd, l->next, chunks, thought && all > text ? all - text : 0);
}

static int
cohere_plain_calls(
    struct answer_reader *rd, struct emit_lane *l, struct json calls)
{
	static const struct str names[] = {STR("id"), STR("function")};
	static const struct str members[] = {STR("name"), STR("arguments")};
	struct json_iter it = json_iter(calls);
	struct json el, v[2], f[2];
	int rc = 0;

	while (rc == 0 && json_next_element(&it, &el)) {
		emit_pick(el, names, v, 2);
		emit_pick(v[1], members, f, 2);
		rc = emit_lane_open(
		    &rd->em, l, IR_TOOL_CALL, emit_text(v[0]), emit_text(f[0]));
		if (rc == 0)
			rc = emit_lane_delta(
			    &rd->em, l, IR_TOOL_CALL, emit_text(f[1]));
	}
	return rc;
}

static int
cohere_plain_answer(struct answer_reader *rd)
{
	static const struct str names[] = {STR("id"), STR("finish_reason"),
	    STR("message"), STR("usage"), STR("error"), STR("logprobs")};
	static const struct str members[] = {
	    STR("content"), STR("tool_plan"), STR("tool_calls")};
	struct emit_lane lane = {0};
	struct json root, v[6], m[3];
	int rc;

	rc = emit_parse(buf_str(&rd->body), rd->body.len, &root);
	if (rc != 0)
		return rc;
	emit_pick(root, names, v, 6);
	if (v[2].p == NULL || v[2].type != JSON_OBJECT)
		return ERR_INVALID;
	emit_pick(v[2], members, m, 3);
	rc = emit_start(&rd->em, emit_text(v[0]), STR(""));
	if (rc == 0)
		rc = cohere_plain_content(rd, &lane, m[0]);
	if (rc == 0 && v[5].p != NULL)
		rc = cohere_plain_logprobs(rd, &lane, m[0], v[5]);
	if (rc == 0)
		rc = emit_lane_stop(&rd->em, &lane);
	if (rc == 0)
		rc = emit_lane_delta(&rd->em, &lane, IR_TEXT, emit_text(m[1]));
	if (rc == 0 && m[2].p != NULL && m[2].type == JSON_ARRAY)
		rc = cohere_plain_calls(rd, &lane, m[2]);
	if (rc == 0)
		rc = emit_lane_stop(&rd->em, &lane);
	if (rc == 0)
		rc = cohere_end(rd, emit_text(v[1]), v[3], emit_text(v[4]));
	return rc != 0 ? rc : emit_end(&rd->em);
}

/* ---- */

static int
cohere_feed(struct answer_reader *rd, const char *p, size_t n, ir_event_fn *fn,
    void *ctx)
{
	if (!rd->stream)
		return buf_add(&rd->body, p, n);
	if (rd->em.failed)
		return 0;
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	return emit_result(sse_feed(&rd->sse, p, n, cohere_event, rd));
}

static int
cohere_finish(struct answer_reader *rd, ir_event_fn *fn, void *ctx)
{
	int rc;

	rd->em.fn = fn;
	rd->em.ctx = ctx;
	if (!rd->stream)
		return emit_result(cohere_plain_answer(rd));
	if (rd->em.failed)
		return 0;
	rc = sse_finish(&rd->sse, cohere_event, rd);
	if (rc != 0)
		return emit_result(rc);
	return rd->ended ? emit_end(&rd->em) : ERR_INVALID;
}

const struct codec_provider codec_cohere_provider = {
    .name = "cohere",
    .write = cohere_write,
    .begin = cohere_begin,
    .feed = cohere_feed,
    .finish = cohere_finish,
    .usage = cohere_usage,
    .free = cohere_free,
};
