/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: Bedrock, Gemini, Cohere and Ollama as providers. The first
 * byte says which one and what the input is: an answer (streamed or plain)
 * or a client's request; the second one how an answer is split.
 *
 * Answers: the events keep the promises of ir.h and do not depend on the
 * split. For Bedrock's streams each line "type payload" becomes a message.
 * Requests: what is written for the provider is valid JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/codec.h"
#include "tests/fuzz/splits.h"
#include "tests/unit/agent/codec_order.h"
#include "tests/unit/agent/eventstream_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codec_provider *const providers[] = {
    &codec_bedrock_provider, &codec_gemini_provider, &codec_cohere_provider,
    &codec_ollama_provider};

#define IS_PLAIN   0x04
#define IS_REQUEST 0x08

struct seen {
	struct codec_order order;
	struct buf events;
};

static void
add(struct buf *b, struct str s)
{
	(void)buf_addc(b, ' ');
	(void)buf_add_str(b, s);
}

static int
on_event(void *ctx, const struct ir_event *ev)
{
	struct seen *s = ctx;

	MUST(codec_order_event(&s->order, ev) == NULL);
	(void)buf_addf(&s->events, "%d %u %u %d %d %d", (int)ev->type,
	    ev->choice, ev->block, (int)ev->part, (int)ev->finish, ev->status);
	add(&s->events, ev->text);
	add(&s->events, ev->id);
	add(&s->events, ev->model);
	add(&s->events, ev->name);
	add(&s->events, ev->json);
	add(&s->events, ev->native);
	(void)buf_addc(&s->events, '\n');
	if (ev->json.len > 0)
		MUST(json_validate(ev->json, NULL, NULL) == 0);
	return 0;
}

static int
run(const struct codec_provider *p, bool stream, struct str body,
    const struct split *split, struct seen *s)
{
	struct answer_reader *rd = p->begin(stream, 32768, 65536);
	size_t at, part;
	int rc = 0;

	memset(s, 0, sizeof(*s));
	buf_init(&s->events, (size_t)1 << 26);
	MUST(rd != NULL);
	for (at = 0; at < body.len && rc == 0; at += part) {
		part = split_piece(split, at, body.len);
		rc = p->feed(rd, body.p + at, part, on_event, s);
	}
	if (rc == 0) {
		rc = p->finish(rd, on_event, s);
		MUST(rc != 0 || s->order.ended || s->order.error);
	}
	MUST(rc == 0 || !s->order.ended);
	MUST(p->usage(rd) != NULL);
	p->free(rd);
	return rc;
}

static void
answer(
    const struct codec_provider *p, bool stream, struct str body, size_t step)
{
	static struct seen whole, cut;
	struct split split = SPLIT_WHOLE;
	struct splits it;
	struct buf framed;
	int rc;

	buf_init(&framed, (size_t)1 << 24);
	if (p == &codec_bedrock_provider && stream) {
		es_bedrock_lines(body, &framed);
		body = buf_str(&framed);
	}
	rc = run(p, stream, body, &split, &whole);
	it = splits_begin(body.len, step, &split);
	do {
		MUST(run(p, stream, body, &split, &cut) == rc);
		MUST(str_eq(buf_str(&whole.events), buf_str(&cut.events)));
		buf_release(&cut.events);
	} while (splits_next(&it, &split));
	buf_release(&whole.events);
	buf_release(&framed);
}

static void
request(const struct codec_provider *p, unsigned which, bool lenient,
    struct str body)
{
	static const struct codec_client *const clients[] = {
	    &codec_openai_chat_client, &codec_responses_client,
	    &codec_anthropic_client, &codec_gemini_client};
	struct carry_lost lost = {0};
	struct write_opts o = {.client = (enum carry_client)which,
	    .model = STR("gemini-3-claude-gpt-oss-nova"),
	    .max_output = lenient ? 2000 : 0,
	    .lenient = lenient,
	    .lost = &lost};
	struct ir_request r;
	struct error e = {0};
	struct arena a;
	struct buf out;
	int rc;

	if (json_validate(body, NULL, NULL) != 0)
		return;
	arena_init(&a, 4096, (size_t)16 << 20);
	buf_init(&out, (size_t)16 << 20);
	ir_request_init(&r, &a);
	if (clients[which]->read(body, STR("m"), lenient, &r, &e) == 0) {
		rc = p->write(&r, &o, &out, &e);
		MUST(rc == 0 || e.text[0] != '\0' || rc == ERR_NOMEM);
		if (rc == 0)
			MUST(json_validate(buf_str(&out), NULL, &e) == 0);
	}
	buf_release(&out);
	arena_release(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct codec_provider *p;
	struct str body;

	if (size < 2 || size > 32768)
		return 0;
	p = providers[data[0] & 3];
	body = str_make((const char *)data + 2, size - 2);
	if (data[0] & IS_REQUEST)
		request(p, data[1] & 3, (data[1] & 4) != 0, body);
	else
		answer(p, (data[0] & IS_PLAIN) == 0, body,
		    1 + (size_t)(data[1] & 0x7f));
	return 0;
}
