/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of Gemini and Vertex AI: server-sent events, a JSON array sent
 * piece by piece (what comes without alt=sse), or one object.
 *
 * What is odd: calls come whole (or leaf by leaf, see gemini_partial.h),
 * often without an id, and end with STOP like text does; finishReason may come
 * before the last content or with every chunk, so finishes are told when the
 * body has ended; a blocked prompt is a 200 answer without candidates; usage
 * may come with every chunk or not at all; thoughtSignature belongs to its part
 * and may come in one without text.
 */
#include "agent/dialect/codec.h"
#include "agent/dialect/emit.h"
#include "agent/dialect/gemini_partial.h"
#include "agent/dialect/gemini_provider.h"
#include "agent/dialect/provider_write.h"
#include "agent/dialect/sse.h"

#include <stdlib.h>
#include <string.h>

#define GEMINI_MAX_CHOICES 32
#define GEMINI_MAX_WORD	   40 /* bytes of a finish reason that is kept */

enum gemini_framing { GEMINI_UNKNOWN, GEMINI_SSE, GEMINI_ARRAY, GEMINI_OBJECT };

struct gemini_choice {
	struct emit_lane lane;
	bool seen, called;
	struct gemini_partial partial;
	char reason[GEMINI_MAX_WORD]; /* "" = not finished */
};

struct answer_reader {
	struct emit em;
	struct sse sse;
	struct gemini_array array;
	struct buf body; /* one object */
	enum gemini_framing framing;
	bool stream;
	bool usage_sent;
	bool any; /* an answer was seen: candidates, usage or a block */
	char blocked[GEMINI_MAX_WORD]; /* reason of a blocked prompt, or "" */
	struct gemini_choice choices[GEMINI_MAX_CHOICES];
};

static struct answer_reader *
gemini_begin(bool stream, size_t max_event, size_t max_plain)
{
	struct answer_reader *rd = calloc(1, sizeof(*rd));
	unsigned i;

	if (rd == NULL)
		return NULL;
	rd->stream = stream;
	emit_init(&rd->em, stream ? max_event : max_plain);
	sse_init(&rd->sse, max_event);
	gemini_array_init(&rd->array, rd->em.max_event);
	buf_init(&rd->body, rd->em.max_event);
	for (i = 0; i < GEMINI_MAX_CHOICES; i++)
		rd->choices[i].lane.choice = i;
	return rd;
}

static void
gemini_free(struct answer_reader *rd)
{
	if (rd == NULL)
		return;
	for (unsigned i = 0; i < GEMINI_MAX_CHOICES; i++)
		gemini_partial_release(&rd->choices[i].partial);
	emit_release(&rd->em);
	sse_release(&rd->sse);
	gemini_array_release(&rd->array);
	buf_release(&rd->body);
	free(rd);
}

static const struct usage_state *
gemini_usage(const struct answer_reader *rd)
{
	return &rd->em.usage;
}

/* Keep a word; what is too long is cut. */
static void
gemini_keep(char dst[GEMINI_MAX_WORD], struct str word)
{
	if (word.len >= GEMINI_MAX_WORD)
		word.len = GEMINI_MAX_WORD - 1;
	if (word.len > 0)
		memcpy(dst, word.p, word.len);
	dst[word.len] = '\0';
}

static enum ir_finish
gemini_finish_reason(const struct gemini_choice *c)
{
	static const struct {
		const char *word;
		enum ir_finish finish;
	} words[] = {
	    {"STOP", IR_FINISH_STOP},
	    {"FINISH_REASON_UNSPECIFIED", IR_FINISH_STOP},
	    {"MAX_TOKENS", IR_FINISH_LENGTH},
	    {"SAFETY", IR_FINISH_CONTENT_FILTER},
	    {"BLOCKLIST", IR_FINISH_CONTENT_FILTER},
	    {"PROHIBITED_CONTENT", IR_FINISH_CONTENT_FILTER},
	    {"SPII", IR_FINISH_CONTENT_FILTER},
	    {"IMAGE_SAFETY", IR_FINISH_CONTENT_FILTER},
	    {"IMAGE_PROHIBITED_CONTENT", IR_FINISH_CONTENT_FILTER},
	    {"MODEL_ARMOR", IR_FINISH_CONTENT_FILTER},
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(c->reason, words[i].word) == 0)
			break;
	if (i == sizeof(words) / sizeof(words[0]))
		return IR_FINISH_OTHER;
	if (words[i].finish == IR_FINISH_STOP && c->called)
		return IR_FINISH_TOOL_CALLS;
	return words[i].finish;
}

/* ---- parts ---- */

/* JSON text of arguments, as a delta of the call that is open. */
static int
gemini_partial_text(
    struct answer_reader *rd, struct gemini_choice *c, const struct buf *json)
{
	int rc;

	buf_clear(&rd->em.scratch);
	rc = buf_add_escaped(&rd->em.scratch, buf_str(json));
	return rc != 0 ? rc
		       : emit_lane_delta(&rd->em, &c->lane, IR_TOOL_CALL,
			     buf_str(&rd->em.scratch));
}

/* The arguments are complete. */
static int
gemini_partial_stop(struct answer_reader *rd, struct gemini_choice *c)
{
	struct buf json;
	int rc;

	if (!c->partial.open)
		return 0;
	buf_init(&json, rd->em.max_event);
	rc = gemini_partial_end(&c->partial, &json);
	if (rc == 0)
		rc = gemini_partial_text(rd, c, &json);
	buf_release(&json);
	return rc != 0 ? rc : emit_lane_stop(&rd->em, &c->lane);
}

/* More of the arguments; the last piece says nothing of more to come. */
static int
gemini_partial_more(struct answer_reader *rd, struct gemini_choice *c,
    struct json leaves, bool goes_on)
{
	struct json_iter it;
	struct json leaf;
	struct buf json;
	int rc = 0;

	buf_init(&json, rd->em.max_event);
	if (leaves.p != NULL && leaves.type == JSON_ARRAY) {
		it = json_iter(leaves);
		while (rc == 0 && json_next_element(&it, &leaf))
			rc = gemini_partial_add(&c->partial, leaf, &json);
	}
	if (rc == 0)
		rc = gemini_partial_text(rd, c, &json);
	buf_release(&json);
	return rc != 0 || goes_on ? rc : gemini_partial_stop(rd, c);
}

/* A call whole, or the first, a further or the last piece of one. */
static int
gemini_call(struct answer_reader *rd, struct gemini_choice *c, struct json call,
    struct str signature, struct str answer_id)
{
	static const struct str names[] = {STR("id"), STR("name"), STR("args"),
	    STR("partialArgs"), STR("willContinue")};
	struct json v[5];
	struct str id;
	bool goes_on;
	int rc;

	emit_pick(call, names, v, 5);
	c->called = true;
	goes_on = v[4].p != NULL && json_is_true(v[4]);
	if (c->partial.open && emit_text(v[1]).len == 0)
		return gemini_partial_more(rd, c, v[3], goes_on);
	rc = gemini_partial_stop(rd, c);
	if (rc != 0)
		return rc;
	id = emit_text(v[0]);
	if (id.len == 0)
		id = emit_call_id(&rd->em, answer_id,
		    (c->lane.choice << 16) + c->lane.next + c->lane.open,
		    emit_text(v[1]));
	if (id.p == NULL)
		return ERR_NOMEM;
	if (goes_on || v[3].p != NULL) {
		gemini_partial_begin(&c->partial);
		rc = emit_lane_open(
		    &rd->em, &c->lane, IR_TOOL_CALL, id, emit_text(v[1]));
		if (rc == 0)
			rc = emit_lane_signature(&rd->em, &c->lane, signature);
		return rc != 0 ? rc : gemini_partial_more(rd, c, v[3], goes_on);
	}
	return emit_lane_call(
	    &rd->em, &c->lane, id, emit_text(v[1]), signature, v[2]);
}

/* Images and sound that the model made. */
static int
gemini_data(struct answer_reader *rd, struct gemini_choice *c,
    struct json inline_data, struct str signature)
{
	static const struct str names[] = {STR("mimeType"), STR("data")};
	enum ir_part_type type;
	struct json v[2];
	int rc;

	emit_pick(inline_data, names, v, 2);
	type = str_starts(emit_text(v[0]), STR("audio/")) ? IR_AUDIO : IR_IMAGE;
	rc = emit_lane_open(&rd->em, &c->lane, type, STR(""), emit_text(v[0]));
	if (rc == 0)
		rc = emit_lane_delta(&rd->em, &c->lane, type, emit_text(v[1]));
	if (rc == 0)
		rc = emit_lane_signature(&rd->em, &c->lane, signature);
	return rc != 0 ? rc : emit_lane_stop(&rd->em, &c->lane);
}

/* A signature belongs to the text before it and ends its block. */
static int
gemini_text(struct answer_reader *rd, struct gemini_choice *c,
    enum ir_part_type type, struct str text, struct str signature)
{
	int rc;

	rc = emit_lane_delta(&rd->em, &c->lane, type, text);
	if (rc != 0 || signature.len == 0)
		return rc;
	if (!c->lane.open || c->lane.part != type)
		rc = emit_lane_open(&rd->em, &c->lane, type, STR(""), STR(""));
	if (rc == 0)
		rc = emit_lane_signature(&rd->em, &c->lane, signature);
	return rc != 0 ? rc : emit_lane_stop(&rd->em, &c->lane);
}

static int
gemini_part(struct answer_reader *rd, struct gemini_choice *c, struct json part,
    struct str answer_id)
{
	static const struct str names[] = {STR("text"), STR("thought"),
	    STR("thoughtSignature"), STR("functionCall"), STR("inlineData")};
	struct json v[5];
	bool thought;
	int rc;

	emit_pick(part, names, v, 5);
	if (v[3].p != NULL)
		return gemini_call(rd, c, v[3], emit_text(v[2]), answer_id);
	if (emit_text(v[0]).len + emit_text(v[2]).len > 0 || v[4].p != NULL) {
		rc = gemini_partial_stop(rd, c); /* the call is over */
		if (rc != 0)
			return rc;
	}
	if (v[4].p != NULL)
		return gemini_data(rd, c, v[4], emit_text(v[2]));
	thought = v[1].p != NULL && json_is_true(v[1]);
	return gemini_text(rd, c, thought ? IR_THINKING : IR_TEXT,
	    emit_text(v[0]), emit_text(v[2]));
}

static int
gemini_logprobs(
    struct answer_reader *rd, struct gemini_choice *c, struct json result)
{
	struct ir_event ev = {.type = IR_EV_LOGPROBS, .choice = c->lane.choice};
	int rc;

	buf_clear(&rd->em.scratch);
	rc = gemini_logprobs_write(&rd->em.scratch, result);
	if (rc != 0 || rd->em.scratch.len <= 2)
		return rc;
	if (!c->lane.open || c->lane.part != IR_TEXT) {
		rc = emit_lane_open(
		    &rd->em, &c->lane, IR_TEXT, STR(""), STR(""));
		if (rc != 0)
			return rc;
	}
	ev.block = c->lane.next;
	ev.part = IR_TEXT;
	ev.json = buf_str(&rd->em.scratch);
	return rd->em.fn(rd->em.ctx, &ev);
}

/* ---- chunks ---- */

static int
gemini_candidate(
    struct answer_reader *rd, struct json candidate, struct str answer_id)
{
	static const struct str names[] = {STR("index"), STR("content"),
	    STR("finishReason"), STR("logprobsResult")};
	struct json v[4], parts, part;
	struct gemini_choice *c;
	struct json_iter it;
	int64_t index = 0;
	int rc = 0;

	emit_pick(candidate, names, v, 4);
	if (v[0].p != NULL && (json_to_i64(v[0], &index) != 0 || index < 0 ||
				  index >= GEMINI_MAX_CHOICES))
		return ERR_INVALID;
	c = &rd->choices[index];
	c->seen = rd->any = true;
	if (v[1].p != NULL && json_getz(v[1], "parts", &parts) &&
	    parts.type == JSON_ARRAY) {
		it = json_iter(parts);
		while (rc == 0 && json_next_element(&it, &part))
			rc = gemini_part(rd, c, part, answer_id);
	}
	if (rc == 0 && v[3].p != NULL)
		rc = gemini_logprobs(rd, c, v[3]);
	if (emit_text(v[2]).len > 0)
		gemini_keep(c->reason, emit_text(v[2]));
	return rc;
}

static int
gemini_error(struct answer_reader *rd, struct json error)
{
	static const struct str names[] = {
	    STR("code"), STR("message"), STR("status")};
	struct json v[3];
	int64_t code = 500;

	emit_pick(error, names, v, 3);
	if (v[0].p == NULL || json_to_i64(v[0], &code) != 0 || code < 400 ||
	    code > 599)
		code = 500;
	return emit_error(&rd->em, emit_text(v[2]), (int)code, emit_text(v[1]));
}

static int
gemini_take_usage(struct answer_reader *rd, struct json usage)
{
	rd->any = true;
	if (!usage_update(&rd->em.usage, USAGE_GEMINI, usage, false))
		return 0;
	if (rd->usage_sent)
		return 0; /* the last one is sent at the end */
	rd->usage_sent = true;
	return emit_usage(&rd->em);
}

/* One GenerateContentResponse. */
static int
gemini_chunk(struct answer_reader *rd, struct str frame)
{
	static const struct str names[] = {STR("candidates"),
	    STR("usageMetadata"), STR("responseId"), STR("modelVersion"),
	    STR("promptFeedback"), STR("error")};
	struct json root, v[6], el;
	struct json_iter it;
	int rc;

	rc = emit_parse(frame, rd->em.max_event, &root);
	if (rc != 0)
		return rc;
	emit_pick(root, names, v, 6);
	if (v[5].p != NULL)
		return gemini_error(rd, v[5]);
	rc = emit_start(&rd->em, emit_text(v[2]), emit_text(v[3]));
	if (rc == 0 && v[1].p != NULL)
		rc = gemini_take_usage(rd, v[1]);
	if (rc == 0 && v[0].p != NULL && v[0].type == JSON_ARRAY) {
		it = json_iter(v[0]);
		while (rc == 0 && json_next_element(&it, &el))
			rc = gemini_candidate(rd, el, emit_text(v[2]));
	}
	if (rc == 0 && v[4].p != NULL && json_getz(v[4], "blockReason", &el) &&
	    emit_text(el).len > 0) {
		gemini_keep(rd->blocked, emit_text(el));
		rd->any = true;
	}
	return rc;
}

static int
gemini_event(void *ctx, const struct sse_event *ev)
{
	if (!ev->has_data || ev->data.len == 0 ||
	    str_starts(ev->data, STR("[DONE]")))
		return 0;
	return gemini_chunk(ctx, ev->data);
}

static int
gemini_element(void *ctx, struct str element)
{
	return gemini_chunk(ctx, element);
}

/* ---- */

/* What the body is, by its first byte that is no white space. */
static enum gemini_framing
gemini_sniff(const struct answer_reader *rd, char c)
{
	if (c == '[')
		return GEMINI_ARRAY;
	if (c == '{' || !rd->stream)
		return GEMINI_OBJECT;
	return GEMINI_SSE;
}

static int
gemini_feed(struct answer_reader *rd, const char *p, size_t n, ir_event_fn *fn,
    void *ctx)
{
	int rc;

	if (rd->em.failed)
		return 0;
	rd->em.fn = fn;
	rd->em.ctx = ctx;
	while (rd->framing == GEMINI_UNKNOWN && n > 0) {
		if (strchr(" \t\r\n", *p) == NULL || *p == '\0') {
			rd->framing = gemini_sniff(rd, *p);
		} else {
			p++;
			n--;
		}
	}
	if (n == 0)
		return 0;
	if (rd->framing == GEMINI_OBJECT)
		return buf_add(&rd->body, p, n);
	rc = rd->framing == GEMINI_SSE
		 ? sse_feed(&rd->sse, p, n, gemini_event, rd)
		 : gemini_array_feed(&rd->array, p, n, gemini_element, rd);
	return emit_result(rc);
}

/* Whether every choice that was begun has also finished. */
static bool
gemini_is_whole(const struct answer_reader *rd)
{
	bool any = rd->blocked[0] != '\0';
	unsigned i;

	for (i = 0; i < GEMINI_MAX_CHOICES; i++) {
		if (!rd->choices[i].seen)
			continue;
		if (rd->choices[i].reason[0] == '\0')
			return false;
		any = true;
	}
	return any;
}

static int
gemini_finishes(struct answer_reader *rd)
{
	struct gemini_choice *c;
	bool any = false;
	unsigned i;
	int rc = 0;

	for (i = 0; i < GEMINI_MAX_CHOICES && rc == 0; i++) {
		c = &rd->choices[i];
		if (!c->seen)
			continue;
		any = true;
		if (c->reason[0] == '\0') /* only of a plain answer */
			gemini_keep(c->reason, STR("STOP"));
		rc = emit_lane_stop(&rd->em, &c->lane);
		if (rc == 0)
			rc = emit_finish(&rd->em, i, gemini_finish_reason(c),
			    str_of(c->reason), STR(""));
	}
	if (rc == 0 && !any)
		rc = emit_finish(&rd->em, 0,
		    rd->blocked[0] != '\0' ? IR_FINISH_CONTENT_FILTER
					   : IR_FINISH_OTHER,
		    str_of(rd->blocked), STR(""));
	return rc;
}

static int
gemini_finish(struct answer_reader *rd, ir_event_fn *fn, void *ctx)
{
	int rc = 0;

	rd->em.fn = fn;
	rd->em.ctx = ctx;
	if (rd->em.failed)
		return 0;
	if (rd->framing == GEMINI_SSE)
		rc = sse_finish(&rd->sse, gemini_event, rd);
	else if (rd->framing == GEMINI_ARRAY)
		rc = gemini_array_finish(&rd->array);
	else if (rd->framing == GEMINI_OBJECT)
		rc = gemini_chunk(rd, buf_str(&rd->body));
	if (rc != 0)
		return emit_result(rc);
	if (rd->framing == GEMINI_OBJECT ? !rd->any : !gemini_is_whole(rd))
		return ERR_INVALID;
	rc = gemini_finishes(rd);
	rd->em.usage.final = rd->em.usage.known;
	if (rc == 0)
		rc = emit_usage(&rd->em);
	return rc != 0 ? rc : emit_end(&rd->em);
}

const struct codec_provider codec_gemini_provider = {
    .name = "gemini",
    .write = gemini_write,
    .begin = gemini_begin,
    .feed = gemini_feed,
    .finish = gemini_finish,
    .usage = gemini_usage,
    .free = gemini_free,
};
