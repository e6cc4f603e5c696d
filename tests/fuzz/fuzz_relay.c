/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: answers on their way from any provider to any client. First
 * byte: the provider's dialect; second: the client's operation; third: 0x80 a
 * stream, 0x40 the client wants an array (Gemini), 0x20 ids of stored responses
 * are ours, the rest how the answer is cut. Bedrock's streams are given as
 * lines, see es_bedrock_lines().
 *
 * What the client gets and what the books get does not depend on the cuts;
 * what is translated whole is what its dialect says; an answer that is broken
 * off ends in something that the client can read.
 */
#include <stdint.h>
#include <string.h>

#include "agent/dialect/relay.h"
#include "tests/fuzz/splits.h"
#include "tests/unit/agent/eventstream_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rig {
	struct codec_plan plan;
	struct ir_request ir;
	struct arena arena;
	struct relay_opts opts;
};

struct seen {
	struct relay relay;
	struct buf out, held;
	int fed, finished; /* what these said */
	struct usage_state usage;
};

/* As long as ours; never the same as the provider's. */
static bool
own_id(void *ctx, struct str upstream, char *dst)
{
	size_t i;

	(void)ctx;
	if (upstream.len < 4 || upstream.len > 80)
		return false;
	(void)!str_copy(STR("resp_hg_"), dst, RELAY_ID_MAX);
	for (i = 0; i < upstream.len; i++)
		dst[8 + i] = (char)('a' + (upstream.p[i] & 15));
	dst[8 + i] = '\0';
	return true;
}

static bool
rig_init(struct rig *g, const uint8_t *data)
{
	static const char ask[] =
	    "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}";
	struct b_provider p = {
	    .dialect = (enum provider_dialect)(data[0] % PROVIDER_N_DIALECTS)};
	enum op op = (enum op)(data[1] % OP_MODELS);
	struct relay_opts *o = &g->opts;
	struct error e;

	memset(g, 0, sizeof(*g));
	if (codec_plan(&p, op, (data[0] & 0x80) != 0, &g->plan) != 0)
		return false;
	arena_init(&g->arena, 4096, 1 << 20);
	ir_request_init(&g->ir, &g->arena);
	if (op == OP_RESPONSES)
		MUST(codec_responses_client.read(
			 str_of(ask), STR_NULL, false, &g->ir, &e) == 0);
	o->mode = g->plan.mode;
	o->op = op;
	o->stream = (data[2] & 0x80) != 0;
	o->array = o->stream && op == OP_GENERATE && (data[2] & 0x40) != 0;
	o->n_choices = 1;
	o->from = g->plan.from;
	o->to = g->plan.to;
	o->answer = (struct answer_opts){.model = STR("m"),
	    .id = STR("req-1"),
	    .created_s = 1,
	    .stream = o->stream,
	    .include_usage = (data[2] & 1) != 0,
	    .show_thinking = true,
	    .json_array = o->array,
	    .request = &g->ir};
	if ((data[2] & 0x20) != 0 && o->mode != RELAY_TRANSLATE) {
		o->own_id = own_id;
		o->other_id = STR("resp_before");
		o->other_own = STR("resp_hg_before");
	}
	o->max_event = 16384;
	o->max_plain = 65536;
	o->event_json = o->plain_json = &json_default_limits;
	return true;
}

static void
run(const struct rig *g, struct str body, const struct split *split,
    struct seen *s)
{
	struct relay_opts o = g->opts;
	size_t at, n;

	memset(s, 0, sizeof(*s));
	buf_init(&s->out, (size_t)8 << 20);
	buf_init(&s->held, (size_t)8 << 20);
	relay_init(&s->relay, o.max_event);
	o.out = &s->out;
	o.held = &s->held;
	MUST(relay_begin(&s->relay, &o) == 0);
	for (at = 0; at < body.len && s->fed == 0; at += n) {
		n = split_piece(split, at, body.len);
		s->fed = relay_feed(&s->relay, body.p + at, n);
		MUST(s->fed <= 1);
	}
	if (s->fed == 0)
		s->finished = relay_finish(&s->relay);
	s->usage = *relay_usage(&s->relay);
}

static void
seen_release(struct seen *s)
{
	relay_release(&s->relay);
	buf_release(&s->out);
	buf_release(&s->held);
}

/* Where comments of a stream that passes are cut depends on the pieces, and
 * so does whether they are held; all of it together does not. */
static void
same(const struct seen *a, const struct seen *b)
{
	size_t n = a->out.len + a->held.len, i;
	bool all = a->relay.o.mode == RELAY_TRANSLATE;
	char x, y;

	MUST(a->fed == b->fed && a->finished == b->finished);
	MUST(a->relay.done == b->relay.done);
	MUST(a->relay.error == b->relay.error);
	MUST(a->relay.finished == b->relay.finished);
	MUST(strcmp(a->relay.finish, b->relay.finish) == 0);
	MUST(strcmp(a->relay.error_text, b->relay.error_text) == 0);
	MUST(a->relay.text_bytes == b->relay.text_bytes);
	MUST(a->relay.n_finished == b->relay.n_finished);
	MUST(a->usage.known == b->usage.known);
	MUST(memcmp(&a->usage.usage, &b->usage.usage, sizeof(a->usage.usage)) ==
	     0);
	if (all) {
		MUST(str_eq(buf_str(&a->out), buf_str(&b->out)));
		MUST(str_eq(buf_str(&a->held), buf_str(&b->held)));
	} else if (a->fed >= 0 && a->finished >= 0) {
		MUST(n == b->out.len + b->held.len);
		for (i = 0; i < n; i++) {
			x = i < a->out.len ? a->out.data[i]
					   : a->held.data[i - a->out.len];
			y = i < b->out.len ? b->out.data[i]
					   : b->held.data[i - b->out.len];
			MUST(x == y);
		}
	}
}

static int
on_frame(void *ctx, const struct sse_event *ev)
{
	unsigned *n = ctx;

	MUST(ev->has_data || ev->name.len == 0);
	if (ev->has_data && !str_eqz(ev->data, "[DONE]")) {
		MUST(json_validate(ev->data, NULL, NULL) == 0);
		MUST(json_root(ev->data).type == JSON_OBJECT);
	}
	(*n)++;
	return 0;
}

/* All that the client got, as its dialect frames it. */
static void
readable(const struct seen *s)
{
	const struct relay_opts *o = &s->relay.o;
	struct buf all;
	struct sse sse;
	unsigned n = 0;

	buf_init(&all, (size_t)16 << 20);
	(void)buf_add_str(&all, buf_str(&s->out));
	(void)buf_add_str(&all, buf_str(&s->held));
	if (o->array || !o->stream) {
		MUST(json_validate(buf_str(&all), NULL, NULL) == 0);
		MUST(json_root(buf_str(&all)).type ==
		     (o->array ? JSON_ARRAY : JSON_OBJECT));
	} else {
		sse_init(&sse, (size_t)1 << 20);
		MUST(sse_feed(&sse, all.data, all.len, on_frame, &n) == 0);
		MUST(sse_finish(&sse, on_frame, &n) == 0);
		MUST(n > 0);
		sse_release(&sse);
	}
	buf_release(&all);
}

static void
check_ends(struct seen *s)
{
	const struct relay_opts *o = &s->relay.o;
	bool whole = s->fed >= 0 && s->finished == 0;
	struct dialect_error e;

	MUST(relay_generated(&s->relay, whole) >= 0);
	if (o->mode != RELAY_TRANSLATE)
		return;
	if (whole) {
		MUST(s->relay.done && (!o->stream || s->held.len > 0));
		readable(s);
	} else if (o->stream) {
		/* where the provider told of an error, the client has it */
		errors_of_code(ERR_UPSTREAM, NULL, STR("broke"), &e);
		if (!s->relay.error)
			relay_break(&s->relay, &e, "req-1");
		if (s->relay.n_sent > 0 || !s->relay.error)
			readable(s);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct split split = SPLIT_WHOLE;
	struct seen whole, cut;
	struct splits it;
	struct buf framed;
	struct str body;
	struct rig g;

	if (size < 3 || size > 65536 || !rig_init(&g, data))
		return 0;
	body = str_make((const char *)data + 3, size - 3);
	buf_init(&framed, (size_t)8 << 20);
	if (g.opts.from == &codec_bedrock_provider && g.opts.stream) {
		es_bedrock_lines(body, &framed);
		body = buf_str(&framed);
	}
	run(&g, body, &split, &whole);
	it = splits_begin(body.len, 1 + (data[2] & 0x1f), &split);
	do {
		run(&g, body, &split, &cut);
		same(&whole, &cut);
		seen_release(&cut);
	} while (splits_next(&it, &split));
	check_ends(&whole);
	seen_release(&whole);
	buf_release(&framed);
	arena_release(&g.arena);
	return 0;
}
