/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of /responses: whole items and the response object, which is what a
 * plain answer consists of and what the last frame of a stream repeats. Items
 * that the stream has told are not told again.
 */
#include "agent/dialect/responses_reader.h"

bool
rspr_is(struct json v, const char *word)
{
	return v.p != NULL && v.type == JSON_STRING &&
	       json_key_eq(json_raw_string(v), str_of(word));
}

static bool
rspr_seen(const struct answer_reader *rd, int64_t index)
{
	return (rd->seen[index / 8] & (1u << (index % 8))) != 0;
}

static void
rspr_see(struct answer_reader *rd, int64_t index)
{
	rd->seen[index / 8] |= (unsigned char)(1u << (index % 8));
}

int
rspr_rest(struct answer_reader *rd, int64_t key, enum ir_part_type part,
    struct str text)
{
	const struct emit_slot *slot = emit_slot_find(&rd->slots, key);

	if (slot != NULL && !slot->empty)
		return 0;
	return emit_slot_delta(&rd->em, &rd->slots, key, part, text);
}

int
rspr_call_open(struct answer_reader *rd, int64_t index, struct json item)
{
	static const struct str names[] = {{"call_id", 7}, {"name", 4}};
	struct json v[2];
	struct str id;

	emit_pick(item, names, v, 2);
	id = emit_text(v[0]);
	if (id.len == 0) {
		arena_clear(&rd->em.arena);
		id = ir_make_call_id(
		    &rd->em.arena, "call_", (unsigned)index, emit_text(v[1]));
		if (id.p == NULL)
			return ERR_NOMEM;
	}
	rspr_see(rd, index);
	rd->has_calls = true;
	return emit_slot_open(&rd->em, &rd->slots, RSPR_KEY(index, RSPR_CALL),
	    IR_TOOL_CALL, id, emit_text(v[1]));
}

static int
rspr_call_done(struct answer_reader *rd, int64_t index, struct json item)
{
	int64_t key = RSPR_KEY(index, RSPR_CALL);
	struct json v;
	int rc = 0;

	if (emit_slot_find(&rd->slots, key) == NULL) {
		if (rspr_seen(rd, index))
			return 0;
		rc = rspr_call_open(rd, index, item);
	}
	if (rc == 0 && json_getz(item, "arguments", &v))
		rc = rspr_rest(rd, key, IR_TOOL_CALL, emit_text(v));
	if (rc == 0 &&
	    json_path(item, "extra_content.google.thought_signature", &v))
		rc = emit_slot_signature(
		    &rd->em, &rd->slots, key, IR_TOOL_CALL, emit_text(v));
	return rc != 0 ? rc : emit_slot_stop(&rd->em, &rd->slots, key);
}

/* Texts of a list of {text}: paragraphs of one block. */
static int
rspr_thinking_list(struct answer_reader *rd, int64_t key, struct json list)
{
	struct json_iter it = json_iter(list);
	struct json el, text;
	bool first = emit_slot_find(&rd->slots, key) == NULL;
	int rc = 0;

	while (rc == 0 && json_next_element(&it, &el)) {
		if (!json_getz(el, "text", &text) || emit_text(text).len == 0)
			continue;
		if (!first)
			rc = emit_slot_delta(&rd->em, &rd->slots, key,
			    IR_THINKING, STR("\\n\\n"));
		first = false;
		if (rc == 0)
			rc = emit_slot_delta(&rd->em, &rd->slots, key,
			    IR_THINKING, emit_text(text));
	}
	return rc;
}

static int
rspr_thinking_done(struct answer_reader *rd, int64_t index, struct json item)
{
	static const struct str names[] = {
	    {"summary", 7}, {"content", 7}, {"encrypted_content", 17}};
	int64_t key = RSPR_KEY(index, RSPR_THINKING);
	struct json v[3];
	int rc = 0;

	emit_pick(item, names, v, 3);
	if (!rspr_seen(rd, index)) {
		if (v[0].p != NULL)
			rc = rspr_thinking_list(rd, key, v[0]);
		if (rc == 0 && v[1].p != NULL &&
		    emit_slot_find(&rd->slots, key) == NULL)
			rc = rspr_thinking_list(rd, key, v[1]);
	}
	rspr_see(rd, index);
	if (rc == 0)
		rc = emit_slot_signature(
		    &rd->em, &rd->slots, key, IR_THINKING, emit_text(v[2]));
	return rc != 0 ? rc : emit_slot_stop(&rd->em, &rd->slots, key);
}

static int
rspr_part_whole(
    struct answer_reader *rd, int64_t index, int64_t content, struct json part)
{
	static const struct str names[] = {
	    {"type", 4}, {"text", 4}, {"refusal", 7}, {"logprobs", 8}};
	int64_t key = RSPR_KEY(index, content);
	struct ir_event ev = {.type = IR_EV_LOGPROBS, .part = IR_TEXT};
	struct json v[4], el;
	struct json_iter it;
	bool refusal;
	int rc;

	emit_pick(part, names, v, 4);
	refusal = rspr_is(v[0], "refusal");
	if (!refusal && !rspr_is(v[0], "output_text"))
		return 0;
	rc = emit_slot_open(&rd->em, &rd->slots, key,
	    refusal ? IR_REFUSAL : IR_TEXT, STR_NULL, STR_NULL);
	if (rc == 0)
		rc = emit_slot_delta(&rd->em, &rd->slots, key,
		    refusal ? IR_REFUSAL : IR_TEXT,
		    emit_text(v[refusal ? 2 : 1]));
	if (rc == 0 && v[3].p != NULL && v[3].type == JSON_ARRAY) {
		it = json_iter(v[3]);
		ev.block = emit_slot_find(&rd->slots, key)->block;
		ev.json = str_make(v[3].p, (size_t)(v[3].end - v[3].p));
		if (json_next_element(&it, &el))
			rc = rd->em.fn(rd->em.ctx, &ev);
	}
	return rc != 0 ? rc : emit_slot_stop(&rd->em, &rd->slots, key);
}

/* Close what is open of a message; tell all of it when nothing was told. */
static int
rspr_message_done(struct answer_reader *rd, int64_t index, struct json item)
{
	struct emit_slot *slot;
	struct json_iter it;
	struct json content, part;
	int64_t i = 0;
	unsigned k;
	int rc = 0;

	for (k = 0; rc == 0 && k < rd->slots.n; k++) {
		slot = &rd->slots.at[k];
		if (slot->open && slot->key / 65536 == index)
			rc = emit_slot_stop(&rd->em, &rd->slots, slot->key);
	}
	if (rc != 0 || rspr_seen(rd, index) ||
	    !json_getz(item, "content", &content) || content.type != JSON_ARRAY)
		return rc;
	rspr_see(rd, index);
	it = json_iter(content);
	while (rc == 0 && i < RSPR_CALL && json_next_element(&it, &part))
		rc = rspr_part_whole(rd, index, i++, part);
	return rc;
}

static int
rspr_image_done(struct answer_reader *rd, int64_t index, struct json item)
{
	int64_t key = RSPR_KEY(index, 0);
	struct json v;
	int rc;

	if (rspr_seen(rd, index) || !json_getz(item, "result", &v) ||
	    emit_text(v).len == 0)
		return 0;
	rspr_see(rd, index);
	rc = emit_slot_open(
	    &rd->em, &rd->slots, key, IR_IMAGE, STR_NULL, STR("image/png"));
	if (rc == 0)
		rc = emit_slot_delta(
		    &rd->em, &rd->slots, key, IR_IMAGE, emit_text(v));
	return rc != 0 ? rc : emit_slot_stop(&rd->em, &rd->slots, key);
}

int
rspr_item_done(struct answer_reader *rd, int64_t index, struct json item)
{
	struct json type;

	if (item.p == NULL || !json_getz(item, "type", &type))
		return 0;
	if (rspr_is(type, "message"))
		return rspr_message_done(rd, index, item);
	if (rspr_is(type, "function_call"))
		return rspr_call_done(rd, index, item);
	if (rspr_is(type, "reasoning"))
		return rspr_thinking_done(rd, index, item);
	if (rspr_is(type, "image_generation_call"))
		return rspr_image_done(rd, index, item);
	return 0;
}

/* ---- the response ---- */

static int
rspr_status(struct json code)
{
	static const struct {
		const char *code;
		int status;
	} known[] = {{"rate_limit_exceeded", 429}, {"insufficient_quota", 429},
	    {"server_error", 500}, {"vector_store_timeout", 504},
	    {"overloaded", 503}};
	unsigned i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (rspr_is(code, known[i].code))
			return known[i].status;
	}
	/* invalid_prompt, invalid_image, image_too_large ... */
	if (str_starts(emit_text(code), STR("invalid_")) ||
	    str_starts(emit_text(code), STR("image_")))
		return 400;
	return 500;
}

int
rspr_error(struct answer_reader *rd, struct json code, struct json message)
{
	struct str text = emit_text(message);

	return emit_error(&rd->em, emit_text(code), rspr_status(code),
	    text.len > 0 ? text : STR("the provider failed"));
}

static void
rspr_take_usage(struct answer_reader *rd, struct json usage, struct json tier)
{
	if (usage.p != NULL && usage.type == JSON_OBJECT)
		(void)usage_update(
		    &rd->em.usage, USAGE_OPENAI_RESPONSES, usage, true);
	if (tier.p != NULL)
		usage_tier(&rd->em.usage, tier);
}

static int
rspr_output(struct answer_reader *rd, struct json output)
{
	struct json_iter it = json_iter(output);
	struct json item;
	int64_t i = 0;
	int rc = 0;

	while (rc == 0 && json_next_element(&it, &item)) {
		if (i == RSPR_MAX_ITEMS)
			return ERR_INVALID;
		if (!rspr_seen(rd, i))
			rc = rspr_item_done(rd, i, item);
		i++;
	}
	return rc != 0 ? rc : emit_slot_stop_all(&rd->em, &rd->slots);
}

static enum ir_finish
rspr_how(const struct answer_reader *rd, struct json status,
    struct json details, struct str *native)
{
	struct json reason;

	*native = emit_text(status);
	if (rspr_is(status, "completed") || native->len == 0)
		return rd->has_calls ? IR_FINISH_TOOL_CALLS : IR_FINISH_STOP;
	if (!rspr_is(status, "incomplete") || details.p == NULL ||
	    !json_getz(details, "reason", &reason))
		return IR_FINISH_OTHER; /* cancelled, queued, in_progress */
	*native = emit_text(reason);
	if (rspr_is(reason, "content_filter"))
		return IR_FINISH_CONTENT_FILTER;
	return IR_FINISH_LENGTH;
}

int
rspr_response(struct answer_reader *rd, struct json response)
{
	enum { ID, MODEL, OUTPUT, STATUS, ERROR, DETAILS, USAGE, TIER, N };
	static const struct str names[N] = {[ID] = {"id", 2},
	    [MODEL] = {"model", 5},
	    [OUTPUT] = {"output", 6},
	    [STATUS] = {"status", 6},
	    [ERROR] = {"error", 5},
	    [DETAILS] = {"incomplete_details", 18},
	    [USAGE] = {"usage", 5},
	    [TIER] = {"service_tier", 12}};
	struct json v[N], code = {0}, message = {0};
	struct str native;
	enum ir_finish how;
	int rc;

	emit_pick(response, names, v, N);
	rc = emit_start(&rd->em, emit_text(v[ID]), emit_text(v[MODEL]));
	if (rc == 0 && v[OUTPUT].p != NULL)
		rc = rspr_output(rd, v[OUTPUT]);
	else if (rc == 0)
		rc = emit_slot_stop_all(&rd->em, &rd->slots);
	if (rc != 0)
		return rc;
	rd->terminal = true;
	rspr_take_usage(rd, v[USAGE], v[TIER]);
	if (rspr_is(v[STATUS], "failed")) {
		rc = emit_usage(&rd->em);
		if (v[ERROR].p != NULL) {
			(void)json_getz(v[ERROR], "code", &code);
			(void)json_getz(v[ERROR], "message", &message);
		}
		return rc != 0 ? rc : rspr_error(rd, code, message);
	}
	how = rspr_how(rd, v[STATUS], v[DETAILS], &native);
	rc = emit_finish(&rd->em, 0, how, native, STR_NULL);
	return rc != 0 ? rc : emit_usage(&rd->em);
}
