/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What answers of the OpenAI dialect say about usage: plain answers, and
 * streamed answers while they are relayed.
 */
#include "agent/dialect/openai.h"

#include <string.h>

static void
oai_note_finish(struct oai_answer *a, struct json v)
{
	if (v.type == JSON_STRING &&
	    json_copy_string(v, a->finish, sizeof(a->finish)) != 0)
		memcpy(a->finish, "other", 6);
}

/* Generated text in a message or delta: all strings but its role. Those of a
 * delta are counted too, unless count is NULL. */
static int64_t
oai_generated_bytes(struct json message, struct oai_count *count)
{
	struct json_iter it = json_iter(message);
	struct json v;
	struct str key;
	int64_t n = 0;

	if (message.type != JSON_OBJECT)
		return 0;
	while (json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("role")))
			continue;
		n += (int64_t)json_text_bytes(v);
		if (count != NULL)
			oai_count_delta(count, key, v);
	}
	return n;
}

/* In one pass: members are many and long. */
static void
oai_read_choice(
    struct oai_answer *a, struct oai_count *count, struct json choice)
{
	struct json delta = {NULL, NULL, JSON_NULL}, message = delta,
		    text = delta, v;
	struct json_iter it = json_iter(choice);
	struct str key;

	while (json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("delta")))
			delta = v;
		else if (json_key_eq(key, STR("message")))
			message = v;
		else if (json_key_eq(key, STR("text")))
			text = v;
		else if (json_key_eq(key, STR("finish_reason")))
			oai_note_finish(a, v);
	}
	if (delta.p != NULL) {
		a->text_bytes += oai_generated_bytes(delta, count);
	} else if (message.p != NULL) {
		a->text_bytes += oai_generated_bytes(message, count);
	} else if (text.p != NULL) { /* completions */
		a->text_bytes += (int64_t)json_text_bytes(text);
		if (count != NULL)
			oai_count_delta(count, STR("text"), text);
	}
}

/* Look at the choices; returns their number. count may be NULL. */
static unsigned
oai_read_choices(
    struct oai_answer *a, struct oai_count *count, struct json choices)
{
	struct json_iter it = json_iter(choices);
	struct json c;
	unsigned n = 0;

	if (choices.type != JSON_ARRAY)
		return 0;
	while (json_next_element(&it, &c)) {
		if (c.type != JSON_OBJECT)
			continue;
		n++;
		oai_read_choice(a, count, c);
	}
	a->has_choices = a->has_choices || n > 0;
	return n;
}

enum usage_shape
oai_usage_shape(enum op op)
{
	switch (op) {
	case OP_EMBEDDINGS:
	case OP_MODERATIONS:
	case OP_RERANK:
		return USAGE_OPENAI_EMBED;
	case OP_IMAGES:
	case OP_IMAGE_EDITS:
	case OP_TRANSCRIPTIONS:
	case OP_TRANSLATIONS:
	case OP_SPEECH:
	case OP_RESPONSES:
		return USAGE_OPENAI_RESPONSES;
	default:
		return USAGE_OPENAI_CHAT;
	}
}

int
oai_answer_scan(enum op op, struct str body, const struct json_limits *lim,
    struct oai_answer *a)
{
	struct json_iter it;
	struct json root, v;
	struct str key;
	int rc;

	memset(a, 0, sizeof(*a));
	rc = json_validate(body, lim, NULL);
	if (rc != 0)
		return rc;
	root = json_root(body);
	if (root.type != JSON_OBJECT)
		return ERR_INVALID;
	it = json_iter(root);
	while (json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("choices")))
			(void)oai_read_choices(a, NULL, v);
		else if (json_key_eq(key, STR("usage")))
			(void)usage_update(
			    &a->usage, oai_usage_shape(op), v, true);
		else if (json_key_eq(key, STR("service_tier")))
			usage_tier(&a->usage, v);
	}
	return 0;
}

void
oai_stream_init(struct oai_stream *s, size_t max_event)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->scratch, max_event);
	oai_same_init(&s->same);
}

void
oai_stream_release(struct oai_stream *s)
{
	buf_release(&s->scratch);
	oai_same_release(&s->same);
}

void
oai_stream_begin(struct oai_stream *s, bool wants_usage)
{
	memset(&s->sum, 0, sizeof(s->sum));
	memset(&s->count, 0, offsetof(struct oai_count, raw));
	s->wants_usage = wants_usage;
	s->done = s->ending = s->error = s->finished = s->bad_json = false;
	buf_clear(&s->scratch);
	oai_same_clear(&s->same);
}

/* The member with its comma, given where its key's raw text starts. */
static void
oai_member_span(struct json root, struct str key, struct json v,
    const char **from, const char **to)
{
	const char *p = key.p - 1; /* the quote */

	while (p > root.p + 1 && (p[-1] == ' ' || p[-1] == '\t' ||
				     p[-1] == '\n' || p[-1] == '\r'))
		p--;
	*from = p;
	*to = v.end;
	if (p[-1] == ',') {
		*from = p - 1;
		return;
	}
	p = v.end;
	while (p < root.end - 1 && *p != ',')
		p++;
	if (*p == ',')
		*to = p + 1;
}

static void
oai_add_part(struct str *parts, unsigned *n, const char *from, const char *to)
{
	if (to > from)
		parts[(*n)++] = str_make(from, (size_t)(to - from));
}

/* Line ends in JSON are spaces, so joined lines can be written as one. */
static void
oai_add_flat(struct buf *out, const char *from, const char *to)
{
	size_t i = out->len;

	(void)buf_add(out, from, (size_t)(to - from));
	for (; i < out->len; i++) {
		if (out->data[i] == '\n')
			out->data[i] = ' ';
	}
}

/* The event without bytes [from, to) of its data. */
static unsigned
oai_cut_event(struct oai_stream *s, const struct sse_event *ev,
    const char *from, const char *to, struct str parts[OAI_MAX_PARTS])
{
	const char *end = ev->raw.p + ev->raw.len;
	unsigned n = 0;

	/* Data of one line lies inside raw: cut it out there. */
	if (from >= ev->raw.p && to <= end) {
		oai_add_part(parts, &n, ev->raw.p, from);
		oai_add_part(parts, &n, to, end);
		return n;
	}
	buf_clear(&s->scratch);
	(void)buf_addz(&s->scratch, "data: ");
	oai_add_flat(&s->scratch, ev->data.p, from);
	oai_add_flat(&s->scratch, to, ev->data.p + ev->data.len);
	(void)buf_addz(&s->scratch, "\n\n");
	parts[0] = buf_error(&s->scratch) ? ev->raw : buf_str(&s->scratch);
	return 1;
}

/* Read the members of a chunk. *usage and *usage_key: the usage member, type
 * and key; key empty when there is none. */
static void
oai_read_chunk(struct oai_stream *s, struct json root, struct json *usage,
    struct str *usage_key, unsigned *n_choices)
{
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;

	while (json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("choices"))) {
			*n_choices = oai_read_choices(&s->sum,
			    s->count.counter.exact ? &s->count : NULL, v);
		} else if (json_key_eq(key, STR("usage"))) {
			*usage = v;
			*usage_key = key;
		} else if (json_key_eq(key, STR("service_tier"))) {
			usage_tier(&s->sum.usage, v);
		} else if (json_key_eq(key, STR("error"))) {
			s->error = s->error || v.type != JSON_NULL;
		}
	}
	if (s->sum.finish[0] != '\0')
		s->finished = true;
	/* Running totals: the last one wins, one that says nothing does not
	 * erase. Those of Mistral and others come with the finish. */
	(void)usage_update(&s->sum.usage, USAGE_OPENAI_CHAT, *usage,
	    *n_choices == 0 || s->finished);
}

/* A chunk like the one before: only its text counts. */
static unsigned
oai_like_before(struct oai_stream *s, const struct sse_event *ev,
    const struct oai_same_chunk *c, struct str parts[OAI_MAX_PARTS])
{
	s->sum.text_bytes += (int64_t)json_text_bytes(c->text);
	if (s->count.counter.exact != NULL)
		oai_count_delta(&s->count, c->key, c->text);
	return c->from == NULL ? 1
			       : oai_cut_event(s, ev, c->from, c->to, parts);
}

unsigned
oai_stream_event(struct oai_stream *s, const struct sse_event *ev,
    const struct json_limits *lim, struct str parts[OAI_MAX_PARTS])
{
	struct json root, usage = {NULL, NULL, JSON_NULL};
	struct oai_same_chunk chunk;
	struct str usage_key = STR_NULL;
	const char *from = ev->data.p, *to = from;
	unsigned n_choices = 0;

	parts[0] = ev->raw;
	if (s->done)
		return 0;
	if (!ev->has_data)
		return 1;
	if (str_starts(ev->data, STR("[DONE]"))) {
		s->done = s->ending = true;
		return 1;
	}
	if (oai_same_match(&s->same, ev->data, &chunk))
		return oai_like_before(s, ev, &chunk, parts);
	if (json_validate(ev->data, lim, NULL) != 0) {
		s->bad_json = true;
		s->sum.text_bytes += (int64_t)ev->data.len;
		s->count.n += token_counter_bytes(
		    &s->count.counter, (int64_t)ev->data.len);
		return 1;
	}
	root = json_root(ev->data);
	if (root.type != JSON_OBJECT)
		return 1;
	oai_read_chunk(s, root, &usage, &usage_key, &n_choices);
	if (n_choices == 0 && usage.type == JSON_OBJECT) {
		s->ending = true;
		return s->wants_usage ? 1 : 0;
	}
	if (usage_key.p != NULL && !s->wants_usage)
		oai_member_span(root, usage_key, usage, &from, &to);
	oai_same_learn(&s->same, ev->data, str_make(from, (size_t)(to - from)));
	return to == from ? 1 : oai_cut_event(s, ev, from, to, parts);
}
