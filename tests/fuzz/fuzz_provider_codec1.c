/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the provider codecs of OpenAI chat and Anthropic. The first
 * byte: 0x80 Anthropic's, 0x40 a request instead of an answer, 0x20 the other
 * client dialect, the rest how the answer is split.
 *
 * Answers: events keep the promises of ir.h, and events and what the client
 * gets do not depend on the split. Requests: what is written is valid JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/codec.h"
#include "tests/fuzz/splits.h"
#include "tests/unit/agent/codec_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	const struct codec_client *client;
	struct answer_writer *writer;
	struct codec_order order;
	struct buf events, out;
	bool ended;
	int rc;
};

static int
on_event(void *ctx, const struct ir_event *ev)
{
	struct run *run = ctx;
	struct buf *b = &run->events;

	MUST(codec_order_event(&run->order, ev) == NULL);
	(void)buf_addf(b, "%d %u.%u %d %d %d|", (int)ev->type, ev->choice,
	    ev->block, (int)ev->part, (int)ev->finish, ev->status);
	(void)buf_add_str(b, ev->text);
	(void)buf_addc(b, '|');
	(void)buf_add_str(b, ev->id);
	(void)buf_addc(b, '|');
	(void)buf_add_str(b, ev->name);
	(void)buf_addc(b, '|');
	(void)buf_add_str(b, ev->json);
	(void)buf_add_str(b, ev->native);
	if (ev->usage != NULL)
		(void)buf_addf(b, "%lld %lld",
		    (long long)ev->usage->input_total,
		    (long long)ev->usage->output_total);
	(void)buf_addc(b, '\n');
	run->ended = run->ended || ev->type == IR_EV_END;
	return run->client->event(run->writer, ev);
}

static struct run *
run_answer(const struct codec_provider *p, const struct codec_client *c,
    struct str body, const struct split *split)
{
	struct answer_opts o = {.model = STR("m"),
	    .id = STR("id"),
	    .stream = true,
	    .include_usage = true,
	    .show_thinking = true};
	struct run *run = calloc(1, sizeof(*run));
	struct answer_reader *rd = p->begin(true, 1 << 20, 1 << 20);
	size_t at, n;

	MUST(run != NULL && rd != NULL);
	run->client = c;
	buf_init(&run->events, (size_t)1 << 26);
	buf_init(&run->out, (size_t)1 << 28);
	run->writer = c->begin(&o, &run->out);
	MUST(run->writer != NULL);
	for (at = 0; at < body.len && run->rc == 0; at += n) {
		n = split_piece(split, at, body.len);
		run->rc = p->feed(rd, body.p + at, n, on_event, run);
	}
	if (run->rc == 0) {
		run->rc = p->finish(rd, on_event, run);
		MUST(run->rc != 0 || run->ended || run->order.error);
	}
	MUST(run->rc == 0 || !run->ended);
	p->free(rd);
	c->free(run->writer);
	return run;
}

static void
run_free(struct run *run)
{
	buf_release(&run->events);
	buf_release(&run->out);
	free(run);
}

static void
fuzz_answer(const struct codec_provider *p, const struct codec_client *c,
    struct str body, size_t step)
{
	struct split split = SPLIT_WHOLE;
	struct run *whole = run_answer(p, c, body, &split), *cut;
	struct splits it = splits_begin(body.len, step, &split);

	do {
		cut = run_answer(p, c, body, &split);
		MUST(whole->rc == cut->rc);
		MUST(str_eq(buf_str(&whole->events), buf_str(&cut->events)));
		MUST(str_eq(buf_str(&whole->out), buf_str(&cut->out)));
		run_free(cut);
	} while (splits_next(&it, &split));
	run_free(whole);
}

static void
fuzz_request(const struct codec_provider *p, const struct codec_client *c,
    enum carry_client dialect, struct str body, uint64_t quirks)
{
	struct carry_lost lost = {0};
	struct write_opts o = {.client = dialect,
	    .model = STR("claude-opus-4-5"),
	    .max_output = 5000,
	    .quirks = quirks,
	    .lost = &lost};
	struct ir_request r;
	struct arena a;
	struct error e = {0};
	struct buf out;
	int i, rc;

	if (json_validate(body, NULL, &e) != 0)
		return;
	arena_init(&a, 4096, (size_t)64 << 20);
	ir_request_init(&r, &a);
	if (c->read(body, STR(""), false, &r, &e) == 0) {
		for (i = 0; i < 2; i++) {
			o.lenient = i == 1;
			buf_init(&out, (size_t)16 << 20);
			rc = p->write(&r, &o, &out, &e);
			MUST(rc != ERR_INVALID || e.text[0] != '\0');
			MUST(rc != 0 ||
			     json_validate(buf_str(&out), NULL, &e) == 0);
			buf_release(&out);
		}
	}
	arena_release(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct codec_provider *p;
	const struct codec_client *c;
	struct str body;
	bool other;

	if (size < 1 || size > 65536)
		return 0;
	body = str_make((const char *)data + 1, size - 1);
	p = data[0] & 0x80 ? &codec_anthropic_provider
			   : &codec_openai_chat_provider;
	other = (data[0] & 0x20) != 0;
	c = other ? &codec_anthropic_client : &codec_openai_chat_client;
	if (data[0] & 0x40)
		fuzz_request(p, c, other ? CARRY_C_ANTHROPIC : CARRY_C_CHAT,
		    body, data[0] & 1 ? ~UINT64_C(0) : 0);
	else
		fuzz_answer(p, c, body, 1 + (data[0] & 0x1f));
	return 0;
}
