/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider codec of Anthropic messages: reading answers, plain and
 * streamed. The writer is in anthropic_provider_write.c.
 *
 * Usage in a stream is cumulative. Blocks of server tools are not shown to
 * clients of other dialects; what they cost is in the usage. Unknown events,
 * blocks and deltas are skipped, because the API adds new ones at any time.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/anthropic_provider.h"
#include "agent/dialect/answer_feed.h"
#include "agent/dialect/emit.h"

struct answer_reader {
	struct emit em;
	struct answer_feed feed;
	struct emit_slots slots;
	size_t max_plain;
	bool finished; /* a stop reason was seen */
	bool done;     /* message_stop, or a plain answer */
	bool ending;   /* finish() is at work */
};

#define IS(s, lit) \
	((s).len == sizeof(lit) - 1 && memcmp((s).p, lit, sizeof(lit) - 1) == 0)

static enum ir_finish
antp_finish_word(struct str w)
{
	static const struct {
		const char *word;
		enum ir_finish finish;
	} words[] = {{"end_turn", IR_FINISH_STOP},
	    {"stop_sequence", IR_FINISH_STOP_SEQUENCE},
	    {"max_tokens", IR_FINISH_LENGTH},
	    {"model_context_window_exceeded", IR_FINISH_LENGTH},
	    {"tool_use", IR_FINISH_TOOL_CALLS}, {"pause_turn", IR_FINISH_PAUSE},
	    {"refusal", IR_FINISH_CONTENT_FILTER}, {"", IR_FINISH_STOP}};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eqz(w, words[i].word))
			return words[i].finish;
	}
	return IR_FINISH_OTHER;
}

static int
antp_finish(struct answer_reader *rd, struct str reason, struct str stop)
{
	int rc;

	if (rd->finished)
		return 0;
	rc = emit_slot_stop_all(&rd->em, &rd->slots);
	if (rc != 0)
		return rc;
	rd->finished = true;
	return emit_finish(&rd->em, 0, antp_finish_word(reason), reason, stop);
}

static int
antp_usage(struct answer_reader *rd, struct json usage, bool final)
{
	if (usage.p == NULL || usage.type != JSON_OBJECT)
		return 0;
	if (!usage_update(&rd->em.usage, USAGE_ANTHROPIC, usage, final))
		return 0;
	return emit_usage(&rd->em);
}

static int
antp_error(struct answer_reader *rd, struct json err)
{
	static const struct {
		const char *type;
		int status;
	} types[] = {{"invalid_request_error", 400},
	    {"authentication_error", 401}, {"billing_error", 402},
	    {"permission_error", 403}, {"not_found_error", 404},
	    {"request_too_large", 413}, {"rate_limit_error", 429},
	    {"api_error", 500}, {"timeout_error", 504},
	    {"overloaded_error", 529}};
	static const struct str names[] = {{"type", 4}, {"message", 7}};
	struct json v[2];
	struct str type, text;
	int status = 500;
	size_t i;

	emit_pick(err, names, v, 2);
	type = emit_text(v[0]);
	text = emit_text(v[1]);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (str_eqz(type, types[i].type))
			status = types[i].status;
	}
	return emit_error(&rd->em, type, status,
	    text.len > 0 ? text : STR("the provider reported an error"));
}

/* ---- blocks ---- */

static int
antp_call(struct answer_reader *rd, int64_t index, struct str id,
    struct str name, struct json input)
{
	struct json_iter it;
	struct json v;
	struct str key;
	int rc;

	if (id.len == 0) {
		arena_clear(&rd->em.arena);
		id = ir_make_call_id(
		    &rd->em.arena, "toolu_", (unsigned)(index & 0xffff), name);
		if (id.p == NULL)
			return ERR_NOMEM;
	}
	rc = emit_slot_open(&rd->em, &rd->slots, index, IR_TOOL_CALL, id, name);
	if (rc != 0 || input.p == NULL || input.type != JSON_OBJECT)
		return rc;
	it = json_iter(input);
	if (!json_next_member(&it, &key, &v))
		return 0; /* {}: pieces follow, or there are no arguments */
	buf_clear(&rd->em.scratch);
	rc = buf_add_escaped(
	    &rd->em.scratch, str_make(input.p, (size_t)(input.end - input.p)));
	return rc != 0 ? rc
		       : emit_slot_delta(&rd->em, &rd->slots, index,
			     IR_TOOL_CALL, buf_str(&rd->em.scratch));
}

/* A block begins, or is whole in a plain answer. */
static int
antp_block(struct answer_reader *rd, int64_t index, struct json block)
{
	static const struct str names[] = {{"type", 4}, {"text", 4},
	    {"thinking", 8}, {"signature", 9}, {"data", 4}, {"id", 2},
	    {"name", 4}, {"input", 5}};
	struct emit_slots *s = &rd->slots;
	struct emit *em = &rd->em;
	struct json v[8];
	struct str type;
	int rc;

	emit_pick(block, names, v, 8);
	type = emit_text(v[0]);
	if (IS(type, "text")) {
		rc = emit_slot_open(em, s, index, IR_TEXT, STR_NULL, STR_NULL);
		return rc != 0 ? rc
			       : emit_slot_delta(
				     em, s, index, IR_TEXT, emit_text(v[1]));
	}
	if (IS(type, "thinking")) {
		rc = emit_slot_open(
		    em, s, index, IR_THINKING, STR_NULL, STR_NULL);
		if (rc == 0)
			rc = emit_slot_delta(
			    em, s, index, IR_THINKING, emit_text(v[2]));
		return rc != 0 ? rc
			       : emit_slot_signature(em, s, index, IR_THINKING,
				     emit_text(v[3]));
	}
	if (IS(type, "redacted_thinking")) {
		rc = emit_slot_open(
		    em, s, index, IR_REDACTED, STR_NULL, STR_NULL);
		return rc != 0 ? rc
			       : emit_slot_signature(em, s, index, IR_REDACTED,
				     emit_text(v[4]));
	}
	if (IS(type, "tool_use"))
		return antp_call(
		    rd, index, emit_text(v[5]), emit_text(v[6]), v[7]);
	return 0;
}

static int
antp_delta(struct answer_reader *rd, int64_t index, struct json delta)
{
	static const struct str names[] = {{"type", 4}, {"text", 4},
	    {"partial_json", 12}, {"thinking", 8}, {"signature", 9}};
	struct emit_slots *s = &rd->slots;
	struct emit_slot *slot;
	struct json v[5];
	struct str type;

	emit_pick(delta, names, v, 5);
	type = emit_text(v[0]);
	if (IS(type, "text_delta"))
		return emit_slot_delta(
		    &rd->em, s, index, IR_TEXT, emit_text(v[1]));
	if (IS(type, "thinking_delta"))
		return emit_slot_delta(
		    &rd->em, s, index, IR_THINKING, emit_text(v[3]));
	slot = emit_slot_find(s, index);
	if (slot == NULL)
		return 0; /* of a server tool */
	if (IS(type, "input_json_delta") && slot->part == IR_TOOL_CALL)
		return emit_slot_delta(
		    &rd->em, s, index, IR_TOOL_CALL, emit_text(v[2]));
	if (IS(type, "signature_delta"))
		return emit_slot_signature(
		    &rd->em, s, index, slot->part, emit_text(v[4]));
	return 0;
}

/* ---- events ---- */

static int
antp_start(struct answer_reader *rd, struct json message)
{
	static const struct str names[] = {
	    {"id", 2}, {"model", 5}, {"usage", 5}};
	struct json v[3];
	int rc;

	if (rd->em.started)
		return 0;
	emit_pick(message, names, v, 3);
	rc = emit_start(&rd->em, emit_text(v[0]), emit_text(v[1]));
	return rc != 0 ? rc : antp_usage(rd, v[2], false);
}

static int
antp_message_delta(
    struct answer_reader *rd, struct json delta, struct json usage)
{
	static const struct str names[] = {
	    {"stop_reason", 11}, {"stop_sequence", 13}};
	struct json v[2];
	int rc = 0;

	emit_pick(delta, names, v, 2);
	if (v[0].p != NULL)
		rc = antp_finish(rd, emit_text(v[0]), emit_text(v[1]));
	return rc != 0 ? rc : antp_usage(rd, usage, rd->finished);
}

/* A whole message: a plain answer. */
static int
antp_message(struct answer_reader *rd, struct json root)
{
	static const struct str names[] = {{"id", 2}, {"model", 5},
	    {"content", 7}, {"stop_reason", 11}, {"stop_sequence", 13},
	    {"usage", 5}};
	struct json_iter it;
	struct json v[6], block;
	int64_t i = 0;
	int rc;

	emit_pick(root, names, v, 6);
	if (v[2].p == NULL || v[2].type != JSON_ARRAY)
		return ERR_INVALID;
	rc = emit_start(&rd->em, emit_text(v[0]), emit_text(v[1]));
	it = json_iter(v[2]);
	while (rc == 0 && json_next_element(&it, &block)) {
		rc = antp_block(rd, i, block);
		if (rc == 0)
			rc = emit_slot_stop(&rd->em, &rd->slots, i);
		i++;
	}
	if (rc == 0)
		rc = antp_finish(rd, emit_text(v[3]), emit_text(v[4]));
	rd->done = true;
	return rc != 0 ? rc : antp_usage(rd, v[5], true);
}

enum {
	ROOT_TYPE,
	ROOT_INDEX,
	ROOT_DELTA,
	ROOT_BLOCK,
	ROOT_USAGE,
	ROOT_MESSAGE,
	ROOT_ERROR,
	ROOT_N
};

static int
antp_event(struct answer_reader *rd, struct json root, struct str name)
{
	static const struct str names[ROOT_N] = {{"type", 4}, {"index", 5},
	    {"delta", 5}, {"content_block", 13}, {"usage", 5}, {"message", 7},
	    {"error", 5}};
	struct json v[ROOT_N];
	int64_t index = 0;
	struct str type;
	bool block;

	emit_pick(root, names, v, ROOT_N);
	type = v[ROOT_TYPE].p != NULL ? emit_text(v[ROOT_TYPE]) : name;
	if (IS(type, "error") || v[ROOT_ERROR].p != NULL)
		return antp_error(rd, v[ROOT_ERROR]);
	if (IS(type, "message_start"))
		return antp_start(rd, v[ROOT_MESSAGE]);
	if (IS(type, "message"))
		return antp_message(rd, root);
	block = str_starts(type, STR("content_block_"));
	if (!rd->em.started)
		return block || str_starts(type, STR("message_")) ? ERR_INVALID
								  : 0;
	if (IS(type, "message_delta"))
		return antp_message_delta(rd, v[ROOT_DELTA], v[ROOT_USAGE]);
	if (IS(type, "message_stop")) {
		rd->done = true;
		return 0;
	}
	if (!block || rd->finished)
		return 0;
	if (v[ROOT_INDEX].p == NULL || json_to_i64(v[ROOT_INDEX], &index) != 0)
		return ERR_INVALID;
	if (IS(type, "content_block_delta"))
		return antp_delta(rd, index, v[ROOT_DELTA]);
	if (IS(type, "content_block_start"))
		return antp_block(rd, index, v[ROOT_BLOCK]);
	if (IS(type, "content_block_stop"))
		return emit_slot_stop(&rd->em, &rd->slots, index);
	return 0;
}

static int
antp_on_event(void *ctx, const struct sse_event *ev)
{
	struct answer_reader *rd = ctx;
	struct json root;
	int rc;

	if (!ev->has_data || ev->data.len == 0 || rd->done)
		return 0;
	rc = emit_parse(ev->data, ev->data.len, &root);
	if (rc != 0)
		return rd->ending && rd->finished ? 0 : rc;
	return antp_event(rd, root, ev->name);
}

/* ---- the codec ---- */

static struct answer_reader *
antp_begin(bool stream, size_t max_event, size_t max_plain)
{
	struct answer_reader *rd = calloc(1, sizeof(*rd));

	(void)stream; /* the answer says it itself */
	if (rd == NULL)
		return NULL;
	emit_init(&rd->em, max_event > max_plain ? max_event : max_plain);
	answer_feed_init(&rd->feed, max_event, max_plain);
	rd->max_plain = max_plain;
	return rd;
}

static int
antp_feed(struct answer_reader *rd, const char *p, size_t n, ir_event_fn *fn,
    void *ctx)
{
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	if (rd->em.failed || rd->done)
		return 0;
	return emit_result(
	    answer_feed_bytes(&rd->feed, p, n, antp_on_event, rd));
}

static int
antp_end(struct answer_reader *rd, ir_event_fn *fn, void *ctx)
{
	struct json root;
	int rc;

	rd->em.fn = fn;
	rd->em.ctx = ctx;
	rd->ending = true;
	if (rd->em.failed)
		return 0;
	rc = rd->done ? 0 : answer_feed_end(&rd->feed, antp_on_event, rd);
	if (rc == 0 && rd->feed.mode == ANSWER_PLAIN) {
		rc = emit_parse(buf_str(&rd->feed.plain), rd->max_plain, &root);
		if (rc == 0)
			rc = antp_event(rd, root, STR("message"));
	}
	if (rc != 0)
		return emit_result(rc);
	if (!rd->em.started || (!rd->done && !rd->finished))
		return ERR_INVALID;
	rc = antp_finish(rd, STR_NULL, STR_NULL);
	return rc != 0 ? rc : emit_end(&rd->em);
}

static const struct usage_state *
antp_usage_get(const struct answer_reader *rd)
{
	return &rd->em.usage;
}

static void
antp_free(struct answer_reader *rd)
{
	if (rd == NULL)
		return;
	answer_feed_release(&rd->feed);
	emit_release(&rd->em);
	free(rd);
}

const struct codec_provider codec_anthropic_provider = {
    .name = "anthropic",
    .write = anthropic_provider_write,
    .begin = antp_begin,
    .feed = antp_feed,
    .finish = antp_end,
    .usage = antp_usage_get,
    .free = antp_free,
};
