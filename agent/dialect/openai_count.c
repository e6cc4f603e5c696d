/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Estimating tokens where the provider reported none: of requests, of plain
 * answers, and of streamed answers while they are relayed. Documents were
 * validated before.
 */
#include "agent/dialect/openai.h"

#include <string.h>

#define COUNT_PER_MESSAGE 3   /* of the chat format */
#define COUNT_REPLY	  3   /* the head of the answer */
#define COUNT_PER_MEDIA	  765 /* an image of 1024x1024 in full detail */
#define COUNT_RAW	  (sizeof(((struct oai_count *)0)->raw) - 2)
#define COUNT_STEP	  65536 /* bytes of text */
#define COUNT_SAMPLE	  4096	/* bytes: fewer say little of the rest */

/* How what is not counted exactly is counted: as what was, if that was much. */
static struct token_counter
count_ratio(const struct oai_count *c)
{
	struct token_counter ratio = {NULL, c->counter.milli};

	if (c->seen_bytes >= COUNT_SAMPLE && c->seen_tokens > 0)
		ratio.milli = c->seen_bytes * 1000 / c->seen_tokens;
	if (ratio.milli <= 0)
		ratio.milli = TOKENIZER_DEFAULT_MILLI;
	return ratio;
}

static void
count_by_ratio(struct oai_count *c, int64_t bytes)
{
	struct token_counter ratio = count_ratio(c);

	c->n += token_counter_bytes(&ratio, bytes);
}

/* All strings below v, exactly as far as c->left goes. */
static void
count_walk(struct oai_count *c, struct json v)
{
	struct token_counter ratio;
	struct token_walk w;
	int64_t before;
	bool done = false;

	token_walk_init(&w, v);
	while (!done && c->counter.exact != NULL && c->left > 0) {
		before = w.bytes;
		done = token_walk_step(&w, &c->counter, c->scratch,
		    c->left < COUNT_STEP ? c->left : COUNT_STEP);
		before = w.bytes - before + 8; /* empty strings cost too */
		c->left -= (size_t)before < c->left ? (size_t)before : c->left;
	}
	c->n += w.n;
	c->seen_tokens += w.n;
	c->seen_bytes += w.bytes;
	w.n = w.bytes = 0;
	ratio = count_ratio(c);
	while (!done)
		done = token_walk_step(&w, &ratio, NULL, COUNT_STEP);
	c->n += w.n;
}

/* Count what was gathered of deltas. */
static void
count_gathered(struct oai_count *c)
{
	struct json v = {c->raw, c->raw + c->n_raw + 2, JSON_STRING};

	token_stream_add_json(&c->text, &c->counter, c->scratch, v);
	c->n_raw = 0;
}

/* A part of a delta: joined with the text before it. */
static void
count_piece(struct oai_count *c, struct json v)
{
	size_t len = (size_t)(v.end - v.p);

	if (v.type != JSON_STRING || len > c->left) {
		count_by_ratio(c, (int64_t)json_text_bytes(v));
		return;
	}
	c->left -= len;
	len -= 2; /* the quotes */
	if (len > COUNT_RAW - c->n_raw)
		count_gathered(c);
	if (len > COUNT_RAW) {
		token_stream_add_json(&c->text, &c->counter, c->scratch, v);
		return;
	}
	memcpy(c->raw + 1 + c->n_raw, v.p + 1, len);
	c->n_raw += (uint32_t)len;
}

static void
count_value(struct oai_count *c, bool delta, struct json v)
{
	if (delta)
		count_piece(c, v);
	else
		count_walk(c, v);
}

static void
count_call(struct oai_count *c, bool delta, struct json call)
{
	struct json v;

	if (json_getz(call, "name", &v))
		count_value(c, delta, v);
	if (json_getz(call, "arguments", &v) || json_getz(call, "input", &v))
		count_value(c, delta, v);
}

static void
count_calls(struct oai_count *c, bool delta, struct json calls)
{
	struct json_iter it = json_iter(calls);
	struct json call, v;

	while (json_next_element(&it, &call)) {
		if (json_getz(call, "function", &v) ||
		    json_getz(call, "custom", &v))
			count_call(c, delta, v);
	}
}

/* Content in parts. */
static void
count_parts(struct oai_count *c, bool delta, struct json parts)
{
	struct json_iter it = json_iter(parts);
	struct json part, v;

	while (json_next_element(&it, &part)) {
		if (part.type == JSON_STRING)
			count_value(c, delta, part);
		else if (json_getz(part, "text", &v) ||
			 json_getz(part, "refusal", &v))
			count_value(c, delta, v);
		else
			c->n += COUNT_PER_MEDIA;
	}
}

/* A member of a message or of a delta; not its role. */
static void
count_member(struct oai_count *c, bool delta, struct str key, struct json v)
{
	if (v.type == JSON_NULL || json_key_eq(key, STR("tool_call_id")))
		return;
	if (v.type == JSON_STRING)
		count_value(c, delta, v);
	else if (json_key_eq(key, STR("tool_calls")) && v.type == JSON_ARRAY)
		count_calls(c, delta, v);
	else if (json_key_eq(key, STR("function_call")) &&
		 v.type == JSON_OBJECT)
		count_call(c, delta, v);
	else if (json_key_eq(key, STR("content")) && v.type == JSON_ARRAY)
		count_parts(c, delta, v);
	else
		count_by_ratio(c, (int64_t)json_text_bytes(v));
}

void
oai_count_delta(struct oai_count *c, struct str key, struct json v)
{
	if (v.type == JSON_STRING)
		count_piece(c, v);
	else
		count_member(c, true, key, v);
}

static void
count_message(struct oai_count *c, struct json message)
{
	struct json_iter it = json_iter(message);
	struct json v;
	struct str key;

	if (message.type != JSON_OBJECT)
		return;
	while (json_next_member(&it, &key, &v)) {
		if (!json_key_eq(key, STR("role")))
			count_member(c, false, key, v);
	}
}

void
oai_count_answer(struct oai_count *c, struct str body)
{
	struct json_iter it;
	struct json choices, choice, m;

	if (!json_getz(json_root(body), "choices", &choices) ||
	    choices.type != JSON_ARRAY)
		return;
	it = json_iter(choices);
	while (json_next_element(&it, &choice)) {
		if (json_getz(choice, "message", &m) ||
		    json_getz(choice, "delta", &m))
			count_message(c, m);
		else if (json_getz(choice, "text", &m)) /* completions */
			count_walk(c, m);
	}
}

static void
count_messages(struct oai_count *c, struct json messages)
{
	struct json_iter it = json_iter(messages);
	struct json m;

	while (json_next_element(&it, &m)) {
		c->n += COUNT_PER_MESSAGE;
		count_message(c, m);
	}
}

int64_t
oai_count_frame(const struct scan *r)
{
	return op_is_generation(r->op)
		   ? COUNT_REPLY + COUNT_PER_MESSAGE * r->n_messages
		   : 0;
}

static void
count_gemini_content(struct oai_count *c, struct json one)
{
	struct json_iter it;
	struct json content, parts, part, text;

	if (one.type != JSON_OBJECT || !json_getz(one, "content", &content) ||
	    content.type != JSON_OBJECT ||
	    !json_getz(content, "parts", &parts) || parts.type != JSON_ARRAY)
		return;
	it = json_iter(parts);
	while (json_next_element(&it, &part)) {
		if (part.type == JSON_OBJECT && json_getz(part, "text", &text))
			count_walk(c, text);
		else
			c->n += COUNT_PER_MEDIA;
	}
}

void
oai_count_gemini_embed(struct oai_count *c, struct str body)
{
	struct json root = json_root(body), list, one;
	struct json_iter it;

	if (root.type != JSON_OBJECT)
		return;
	if (!json_getz(root, "requests", &list) || list.type != JSON_ARRAY) {
		count_gemini_content(c, root);
		return;
	}
	it = json_iter(list);
	while (json_next_element(&it, &one))
		count_gemini_content(c, one);
}

void
oai_count_request(struct oai_count *c, const struct scan *r, struct str body)
{
	struct json_iter it = json_iter(json_root(body));
	struct json v;
	struct str key;

	if (r->op == OP_CHAT)
		c->n += COUNT_REPLY;
	c->n += r->n_numbers;
	while (json_next_member(&it, &key, &v)) {
		if (r->op != OP_CHAT) {
			if (json_key_eq(key, str_of(oai_prompt_name(r->op))) ||
			    json_key_eq(key, STR("query")))
				count_walk(c, v);
		} else if (json_key_eq(key, STR("messages"))) {
			count_messages(c, v);
		} else if (json_key_eq(key, STR("tools")) ||
			   json_key_eq(key, STR("functions")) ||
			   json_key_eq(key, STR("response_format"))) {
			count_walk(c, v);
		}
	}
}

/* Where to cut escaped text of more than max bytes: not inside an escape, a
 * pair of surrogates or a character. */
static size_t
count_cut(struct str s, size_t max)
{
	size_t i = 0, step;

	while (i < max) {
		step = 1;
		if (s.p[i] == '\\') {
			step = i + 1 < s.len && s.p[i + 1] == 'u' ? 6 : 2;
			if (step == 6 && i + 3 < s.len &&
			    (s.p[i + 2] | 0x20) == 'd' && s.p[i + 3] > '7')
				step = 12;
		}
		if (i + step > max)
			break;
		i += step;
	}
	while (i > 0 && ((unsigned char)s.p[i] & 0xc0) == 0x80)
		i--;
	return i > 0 ? i : max;
}

/* Escaped text into a stream of text. */
static void
count_escaped(struct oai_count *c, struct token_stream *st, struct str esc)
{
	char raw[1026];
	size_t n;

	while (esc.len > 0) {
		struct json v = {raw, raw, JSON_STRING};

		n = esc.len <= sizeof(raw) - 2
			? esc.len
			: count_cut(esc, sizeof(raw) - 2);
		raw[0] = raw[n + 1] = '"';
		memcpy(raw + 1, esc.p, n);
		v.end = raw + n + 2;
		token_stream_add_json(st, &c->counter, c->scratch, v);
		esc.p += n;
		esc.len -= n;
	}
}

void
oai_count_text(struct oai_count *c, struct str esc)
{
	if (c->counter.exact == NULL || esc.len > c->left) {
		count_by_ratio(c, (int64_t)esc.len);
		return;
	}
	c->left -= esc.len;
	if (esc.len > COUNT_RAW - c->n_raw)
		count_gathered(c);
	if (esc.len > COUNT_RAW) {
		count_escaped(c, &c->text, esc);
		return;
	}
	memcpy(c->raw + 1 + c->n_raw, esc.p, esc.len);
	c->n_raw += (uint32_t)esc.len;
}

static void
count_whole(struct oai_count *c, struct str esc)
{
	struct token_stream st;
	int64_t n;

	memset(&st, 0, sizeof(st));
	count_escaped(c, &st, esc);
	n = token_stream_total(&st, &c->counter, c->scratch);
	c->n += n;
	c->seen_tokens += n;
	c->seen_bytes += (int64_t)esc.len;
}

/* A text that is longer than what may still be counted exactly. */
static void
count_rest(struct oai_count *c, struct str esc)
{
	size_t n = c->left > COUNT_SAMPLE ? count_cut(esc, c->left) : 0;

	c->left = 0;
	if (n > 0 && n < esc.len)
		count_whole(c, str_make(esc.p, n));
	else
		n = 0;
	count_by_ratio(c, (int64_t)(esc.len - n));
}

void
oai_count_whole(struct oai_count *c, struct str esc)
{
	if (esc.len == 0)
		return;
	if (c->counter.exact == NULL) {
		count_by_ratio(c, (int64_t)esc.len);
		return;
	}
	if (esc.len + 8 > c->left) {
		count_rest(c, esc);
		return;
	}
	c->left -= esc.len + 8;
	count_whole(c, esc);
}

void
oai_count_json(struct oai_count *c, struct json v)
{
	count_walk(c, v);
}

static void
count_span(struct oai_count *c, struct str json)
{
	if (json.len > 0)
		count_walk(c, json_root(json));
}

static void
count_ir_parts(struct oai_count *c, const struct ir_part *p)
{
	for (; p != NULL; p = p->next) {
		switch (p->type) {
		case IR_TEXT:
		case IR_REFUSAL:
		case IR_THINKING:
			oai_count_whole(c, p->text);
			break;
		case IR_TOOL_CALL:
			oai_count_whole(c, p->name);
			count_span(c, p->args);
			break;
		case IR_TOOL_RESULT:
			count_span(c, p->result_json);
			count_ir_parts(c, p->parts);
			break;
		case IR_REDACTED:
			count_by_ratio(c, (int64_t)p->signature.len);
			break;
		case IR_IMAGE:
		case IR_DOCUMENT:
		case IR_AUDIO:
		case IR_VIDEO:
			c->n += COUNT_PER_MEDIA;
			break;
		}
	}
}

void
oai_count_ir(struct oai_count *c, const struct ir_request *r)
{
	const struct ir_message *m;
	const struct ir_tool *t;

	c->n += COUNT_REPLY;
	for (m = r->messages; m != NULL; m = m->next) {
		c->n += COUNT_PER_MESSAGE;
		oai_count_whole(c, m->name);
		count_ir_parts(c, m->parts);
	}
	for (t = r->tools; t != NULL; t = t->next) {
		oai_count_whole(c, t->name);
		oai_count_whole(c, t->description);
		count_span(c, t->schema);
	}
	count_span(c, r->format_schema);
}

int64_t
oai_count_total(const struct oai_count *c)
{
	struct oai_count all = *c;

	count_gathered(&all);
	return all.n + token_stream_total(&all.text, &all.counter, all.scratch);
}
