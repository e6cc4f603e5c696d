/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: OpenAI's dialects towards clients. The first byte says what the
 * rest is: a request of either dialect, or the answer of a /responses server.
 * A request that is accepted becomes a neutral form whose texts are content of
 * JSON strings; an answer gives the same events and the same bytes for chat and
 * responses clients however it is split, and plain answers are JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/codec.h"
#include "tests/fuzz/splits.h"
#include "tests/unit/agent/codec_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_esc(struct str s)
{
	MUST(codec_order_is_esc(s));
}

static void
check_json(struct str s)
{
	MUST(s.len == 0 || json_validate(s, NULL, NULL) == 0);
}

static void
check_part(const struct ir_part *p)
{
	const struct ir_part *sub;

	check_esc(p->text);
	check_esc(p->signature);
	check_esc(p->id);
	check_esc(p->name);
	check_json(p->args);
	check_esc(p->mime);
	check_esc(p->data);
	check_esc(p->url);
	check_esc(p->file_id);
	check_esc(p->filename);
	check_esc(p->detail);
	MUST(p->field != NULL);
	for (sub = p->parts; sub != NULL; sub = sub->next)
		check_part(sub);
}

static void
check_request(const struct ir_request *r)
{
	const struct ir_message *m;
	const struct ir_part *p;
	const struct ir_tool *t;
	unsigned i;

	MUST(r->model.len > 0 && r->n >= 1 && r->n <= 128);
	MUST(r->n_messages <= IR_MAX_MESSAGES && r->n_stops <= IR_MAX_STOPS);
	check_json(r->temperature);
	check_json(r->metadata);
	check_json(r->logit_bias);
	check_json(r->format_schema);
	check_esc(r->format_name);
	check_esc(r->user);
	for (i = 0; i < r->n_stops; i++)
		check_esc(r->stops[i]);
	for (m = r->messages; m != NULL; m = m->next) {
		check_esc(m->name);
		for (p = m->parts; p != NULL; p = p->next)
			check_part(p);
	}
	for (t = r->tools; t != NULL; t = t->next) {
		check_esc(t->name);
		check_esc(t->description);
		check_json(t->schema);
	}
}

/* Answer to this request: what is repeated of it must be JSON. */
static void
check_answer(const struct codec_client *c, const struct ir_request *r)
{
	static const struct ir_event events[] = {{.type = IR_EV_START},
	    {.type = IR_EV_BLOCK_START, .part = IR_TEXT},
	    {.type = IR_EV_DELTA, .part = IR_TEXT, .text = {"x", 1}},
	    {.type = IR_EV_BLOCK_STOP}, {.type = IR_EV_FINISH},
	    {.type = IR_EV_END}};
	struct answer_opts o = {.model = STR("m"), .request = r};
	struct answer_writer *w;
	struct buf out;
	unsigned i;

	buf_init(&out, (size_t)1 << 24);
	w = c->begin(&o, &out);
	MUST(w != NULL);
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		MUST(c->event(w, &events[i]) == 0);
	check_json(buf_str(&out));
	MUST(out.len > 0);
	c->free(w);
	buf_release(&out);
}

static void
run_request(const struct codec_client *c, struct str body)
{
	struct ir_request r;
	struct error e = {0};
	struct arena a;
	int rc;

	if (json_validate(body, NULL, NULL) != 0)
		return;
	arena_init(&a, 4096, (size_t)64 << 20);
	ir_request_init(&r, &a);
	rc = c->read(body, STR_NULL, false, &r, &e);
	MUST(rc == 0 || rc == ERR_INVALID || rc == ERR_TOO_LARGE);
	MUST(rc == 0 || e.text[0] != '\0');
	if (rc == 0) {
		check_request(&r);
		check_answer(c, &r);
	}
	arena_release(&a);
}

/* ---- answers ---- */

static const struct codec_client *const clients[] = {
    &codec_openai_chat_client, &codec_responses_client};

struct seen {
	struct answer_writer *w[4]; /* each client, streamed and plain */
	struct buf out[4];
	struct codec_order *order;
	uint64_t hash; /* of the events */
	bool ended;
};

static int
on_event(void *ctx, const struct ir_event *ev)
{
	struct seen *s = ctx;
	const char *bad = codec_order_event(s->order, ev);
	size_t i;

	MUST(bad == NULL);
	s->ended = s->ended || ev->type == IR_EV_END;
	s->hash = s->hash * 31 + (uint64_t)ev->type + ev->block;
	for (i = 0; i < ev->text.len; i++)
		s->hash = s->hash * 31 + (unsigned char)ev->text.p[i];
	for (i = 0; i < 4; i++)
		MUST(clients[i / 2]->event(s->w[i], ev) == 0);
	return 0;
}

static int
run_answer(struct seen *s, struct str body, const struct split *split)
{
	const struct codec_provider *p = &codec_responses_provider;
	struct answer_opts o = {.model = STR("m"),
	    .id = STR("i"),
	    .include_usage = true,
	    .show_thinking = true};
	struct answer_reader *rd = p->begin(true, 1 << 20, 1 << 20);
	size_t at, n;
	int i, rc = 0;

	memset(s, 0, sizeof(*s));
	s->order = calloc(1, sizeof(*s->order));
	MUST(rd != NULL && s->order != NULL);
	for (i = 0; i < 4; i++) {
		buf_init(&s->out[i], (size_t)1 << 26);
		o.stream = i % 2 == 0;
		s->w[i] = clients[i / 2]->begin(&o, &s->out[i]);
		MUST(s->w[i] != NULL);
	}
	for (at = 0; at < body.len && rc == 0; at += n) {
		n = split_piece(split, at, body.len);
		rc = p->feed(rd, body.p + at, n, on_event, s);
	}
	if (rc == 0)
		rc = p->finish(rd, on_event, s);
	MUST(p->usage(rd) != NULL);
	p->free(rd);
	free(s->order);
	return rc;
}

static void
seen_release(struct seen *s)
{
	int i;

	for (i = 0; i < 4; i++) {
		clients[i / 2]->free(s->w[i]);
		buf_release(&s->out[i]);
	}
}

static void
run_answers(struct str body, size_t step)
{
	struct split split = SPLIT_WHOLE;
	struct seen whole, cut;
	struct splits it;
	int i, rc = run_answer(&whole, body, &split);

	MUST(rc == 0 || !whole.ended);
	for (i = 1; i < 4; i += 2)
		check_json(buf_str(&whole.out[i]));
	it = splits_begin(body.len, step, &split);
	do {
		MUST(run_answer(&cut, body, &split) == rc);
		MUST(whole.hash == cut.hash && whole.ended == cut.ended);
		for (i = 0; i < 4; i++)
			MUST(str_eq(
			    buf_str(&whole.out[i]), buf_str(&cut.out[i])));
		seen_release(&cut);
	} while (splits_next(&it, &split));
	seen_release(&whole);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body;

	if (size < 1 || size > 65536)
		return 0;
	body = str_make((const char *)data + 1, size - 1);
	if (data[0] == 'c')
		run_request(&codec_openai_chat_client, body);
	else if (data[0] == 'r')
		run_request(&codec_responses_client, body);
	else
		run_answers(body, 1 + (data[0] & 0x3f));
	return 0;
}
