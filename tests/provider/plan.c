/* SPDX-License-Identifier: Apache-2.0 */
/* Planning an answer; see plan.h. */
#include <jansson.h>

#include "tests/provider/exchange.h"
#include "tests/provider/plan.h"
#include "tests/provider/text.h"

#define PLAN_BLOB  (64 * 1024 * 1024)
#define PLAN_DEPTH 12

/* Making a JSON value that fits a schema. */
struct maker {
	struct exchange *x;
	const json_t *root;
	uint64_t state;
	int64_t words; /* for the next string */
	int depth;
};

static void maker_value(struct maker *m, const json_t *schema);

static void
maker_string(struct maker *m, const json_t *schema)
{
	const char *format =
	    json_string_value(json_object_get(schema, "format"));
	struct buf *out = &m->x->blob;

	if (format != NULL && strcmp(format, "date") == 0) {
		buf_addz(out, "\"2026-03-01\"");
		return;
	}
	if (format != NULL && strcmp(format, "date-time") == 0) {
		buf_addz(out, "\"2026-03-01T12:00:00Z\"");
		return;
	}
	buf_addc(out, '"');
	text_add(out, m->x->seed + text_next(&m->state) % 97, 0,
	    m->words > 0 ? m->words : 1);
	buf_addc(out, '"');
}

static void
maker_object(struct maker *m, const json_t *schema)
{
	json_t *properties = json_object_get(schema, "properties"), *v;
	struct buf *out = &m->x->blob;
	const char *name;
	bool first = true;
	size_t n = json_object_size(properties);

	if (n > 1)
		m->words = m->words / (int64_t)n;
	buf_addc(out, '{');
	json_object_foreach (properties, name, v) {
		if (!first)
			buf_addc(out, ',');
		first = false;
		buf_add_json(out, str_of(name));
		buf_addc(out, ':');
		maker_value(m, v);
	}
	buf_addc(out, '}');
}

static const json_t *
maker_resolve(struct maker *m, const json_t *schema)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref"));
	const json_t *at = m->root;
	struct str rest, one;

	if (ref == NULL)
		return schema;
	rest = str_of(ref);
	(void)str_cut(rest, '/', &one, &rest);
	while (rest.len > 0) {
		(void)str_cut(rest, '/', &one, &rest);
		at = json_object_getn(at, one.p, one.len);
	}
	return at;
}

/* The word for the type, lower case whatever the dialect. */
static char
maker_type(const json_t *schema)
{
	const json_t *type = json_object_get(schema, "type");
	const char *word = json_string_value(
	    json_is_array(type) ? json_array_get(type, 0) : type);

	if (word == NULL)
		return json_object_get(schema, "properties") != NULL ? 'o'
								     : 's';
	if ((word[0] | 32) == 'n' && (word[2] | 32) == 'l')
		return '0'; /* null */
	return (char)(word[0] | 32);
}

static bool
maker_choice(struct maker *m, const json_t *schema)
{
	static const char *const of[] = {"anyOf", "oneOf", "allOf"};
	const json_t *one = json_object_get(schema, "enum");
	char *text;

	for (size_t i = 0; i < 3; i++) {
		const json_t *v = json_object_get(schema, of[i]);

		if (json_array_size(v) > 0) {
			maker_value(m, json_array_get(v, 0));
			return true;
		}
	}
	if (json_array_size(one) > 0)
		one = json_array_get(
		    one, text_next(&m->state) % json_array_size(one));
	else
		one = json_object_get(schema, "const");
	if (one == NULL)
		return false;
	text = json_dumps(one, JSON_ENCODE_ANY | JSON_COMPACT);
	buf_addz(&m->x->blob, text);
	free(text);
	return true;
}

static void
maker_value(struct maker *m, const json_t *schema)
{
	struct buf *out = &m->x->blob;
	int64_t n;

	schema = maker_resolve(m, schema);
	if (++m->depth > PLAN_DEPTH || schema == NULL) {
		buf_addz(out, "null");
	} else if (!maker_choice(m, schema)) {
		switch (maker_type(schema)) {
		case 'o':
			maker_object(m, schema);
			break;
		case 'a':
			buf_addc(out, '[');
			maker_value(m, json_object_get(schema, "items"));
			buf_addc(out, ']');
			break;
		case 'i':
		case 'n':
			n = json_integer_value(
			    json_object_get(schema, "minimum"));
			buf_add_i64(
			    out, n + (int64_t)(text_next(&m->state) % 10));
			break;
		case 'b':
			buf_addz(
			    out, text_next(&m->state) & 1 ? "true" : "false");
			break;
		case '0':
			buf_addz(out, "null");
			break;
		default:
			maker_string(m, schema);
			break;
		}
	}
	m->depth--;
}

/* A JSON object for a schema, or {"fallback": "words"}. */
static struct plan_slice
plan_object(struct exchange *x, const json_t *schema, const char *fallback,
    int64_t words, uint64_t salt)
{
	struct maker m = {x, schema, x->seed + salt, words, 0};
	struct plan_slice s = {.at = (uint32_t)x->blob.len};

	if (maker_type(schema) == 'o' &&
	    (json_object_size(json_object_get(schema, "properties")) > 0 ||
		json_object_get(schema, "$ref") != NULL)) {
		maker_value(&m, schema);
	} else {
		buf_addf(&x->blob, "{\"%s\":\"", fallback);
		text_add(&x->blob, x->seed + salt, 0, words > 0 ? words : 1);
		buf_addz(&x->blob, "\"}");
	}
	s.len = (uint32_t)x->blob.len - s.at;
	return s;
}

static struct block *
plan_add(struct exchange *x, enum block_type type, int64_t from, int64_t tokens)
{
	struct block *b = &x->plan.blocks[x->plan.n_blocks++];

	memset(b, 0, sizeof(*b));
	b->type = type;
	b->from = from;
	b->tokens = tokens;
	return b;
}

static void
plan_calls(struct exchange *x, const struct scan *s, int n, int64_t from,
    int64_t content)
{
	x->plan.n_calls = n;
	for (int i = 0; i < n; i++) {
		int64_t at = content * i / n, to = content * (i + 1) / n;
		struct block *b = plan_add(x, BLOCK_CALL, from + at, to - at);
		int tool = s->n_tools > 0 ? i % s->n_tools : -1;
		const char *name = tool < 0 ? "lookup" : s->tools[tool].name;
		struct plan_slice *slot = &x->plan.calls[i].name;

		for (int t = 0; s->choice == CHOICE_TOOL && t < s->n_tools;
		     t++) {
			if (s->choice_name != NULL &&
			    strcmp(s->tools[t].name, s->choice_name) == 0)
				name = s->tools[tool = t].name;
		}
		b->call = i;
		slot->at = (uint32_t)x->blob.len;
		slot->len = (uint32_t)strlen(name);
		buf_addz(&x->blob, name);
		x->plan.calls[i].args =
		    plan_object(x, tool < 0 ? NULL : s->tools[tool].schema,
			"query", to - at, (uint64_t)(i + 1) * 31);
	}
}

/* Share events out among the blocks that have a say, one each at least. */
static void
plan_events(struct exchange *x, int64_t events, int64_t content)
{
	struct plan *p = &x->plan;
	int64_t at = 0, seen = 0, begun = 0;

	for (int i = 0; i < p->n_blocks; i++) {
		struct block *b = &p->blocks[i];

		b->ev = at;
		if (b->type == BLOCK_THINKING) {
			b->n_ev = b->tokens < 8 ? b->tokens : 8;
		} else if (b->type == BLOCK_REDACTED) {
			b->n_ev = 1;
		} else {
			seen += b->tokens;
			b->n_ev =
			    content > 0 ? events * seen / content - begun : 0;
			begun += b->n_ev;
		}
		if (b->n_ev < 1)
			b->n_ev = 1;
		at += b->n_ev;
		if (b->type == BLOCK_THINKING || b->type == BLOCK_REDACTED)
			p->n_thinking = at;
	}
	x->n_events = at;
}

static int
plan_count_calls(const struct exchange *x, const struct scan *s)
{
	int64_t n = s->has_tools && !s->has_tool_result ? 1 : 0;

	if (s->choice == CHOICE_ANY || s->choice == CHOICE_TOOL)
		n = 1;
	if (s->choice == CHOICE_NONE)
		return 0;
	n = knob_or(x->k.tool_calls, n);
	if (s->serial && n > 1)
		n = 1;
	return (int)(n > PLAN_MAX_CALLS ? PLAN_MAX_CALLS : n);
}

void
plan_make(struct exchange *x, const struct scan *s, int64_t content)
{
	int64_t thinking = x->reasoning_tokens / x->n_choices;
	int64_t text = content;
	int calls = plan_count_calls(x, s);

	if (x->show_thinking && thinking > 0)
		(void)plan_add(x, BLOCK_THINKING, 1000, thinking);
	for (int64_t i = 0; i < knob_or(x->k.redacted, 0) && i < 4; i++)
		(void)plan_add(x, BLOCK_REDACTED, i, 0);
	if (calls > 0 || s->json)
		buf_init(&x->blob, PLAN_BLOB);
	if (x->k.refusal > 0) {
		(void)plan_add(x, BLOCK_REFUSAL, 0, content);
	} else if (calls > 0) {
		text = knob_or(x->k.preamble, 0);
		text = text > content ? content : text;
		if (text > 0)
			(void)plan_add(x, BLOCK_TEXT, 0, text);
		plan_calls(x, s, calls, text, content - text);
	} else if (content > 0) {
		(void)plan_add(x, BLOCK_TEXT, 0, content);
		x->plan.json = s->json;
		if (s->json)
			x->plan.answer =
			    plan_object(x, s->format, "answer", content, 7);
	}
	plan_events(x, knob_or(x->k.events, content), content);
	if (x->n_events > 1000000)
		x->n_events = 1000000;
}

const struct block *
plan_find(const struct exchange *x, int64_t at, int64_t *i)
{
	const struct plan *p = &x->plan;
	const struct block *b = p->blocks;

	while (b + 1 < p->blocks + p->n_blocks && at >= b->ev + b->n_ev)
		b++;
	*i = at - b->ev;
	return b;
}

/* A slice of UTF-8 text, cut between characters. */
static void
plan_slice_text(struct str all, int64_t i, int64_t n, struct buf *out)
{
	int64_t from = (int64_t)all.len * i / n;
	int64_t to = (int64_t)all.len * (i + 1) / n;

	while (from > 0 && from < (int64_t)all.len &&
	       ((unsigned char)all.p[from] & 0xc0) == 0x80)
		from++;
	while (
	    to < (int64_t)all.len && ((unsigned char)all.p[to] & 0xc0) == 0x80)
		to++;
	if (to > from)
		buf_add_escaped(
		    out, str_make(all.p + from, (size_t)(to - from)));
}

void
plan_text(const struct exchange *x, int64_t choice, const struct block *b,
    int64_t i, struct buf *out)
{
	int64_t n = i < 0 ? 1 : b->n_ev;
	int64_t at = i < 0 ? 0 : i;
	int64_t from = b->tokens * at / n, to = b->tokens * (at + 1) / n;

	if (b->type == BLOCK_CALL) {
		plan_slice_text(plan_args(x, b->call), at, n, out);
	} else if (b->type == BLOCK_TEXT && x->plan.json) {
		plan_slice_text(str_make(x->blob.data + x->plan.answer.at,
				    x->plan.answer.len),
		    at, n, out);
	} else {
		text_add(
		    out, x->seed + (uint64_t)choice, b->from + from, to - from);
	}
}

struct str
plan_args(const struct exchange *x, int call)
{
	struct plan_slice s = x->plan.calls[call].args;

	return str_make(x->blob.data + s.at, s.len);
}

struct str
plan_name(const struct exchange *x, int call)
{
	struct plan_slice s = x->plan.calls[call].name;

	return str_make(x->blob.data + s.at, s.len);
}

void
plan_call_id(
    const struct exchange *x, const char *prefix, int call, struct buf *out)
{
	buf_addf(out, "%s%.16s%d", prefix, x->id + 9, call);
}
