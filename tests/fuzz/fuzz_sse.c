/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: event streams. The first byte says how the input is split; the
 * events and what a client sees of them must not depend on the split. Nothing
 * that the client sees is longer than what came in.
 */
#include <stdint.h>
#include <string.h>

#include "agent/dialect/openai.h"
#include "tests/fuzz/splits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct oai_stream stream;
	struct buf out; /* what the client gets */
	struct buf events;
};

static int
on_event(void *ctx, const struct sse_event *ev)
{
	struct seen *s = ctx;
	struct str parts[OAI_MAX_PARTS];
	unsigned i, n;

	if (ev->has_data) {
		(void)buf_add_str(&s->events, ev->name);
		(void)buf_addc(&s->events, '|');
		(void)buf_add_str(&s->events, ev->data);
	}
	n = oai_stream_event(&s->stream, ev, &json_default_limits, parts);
	MUST(n <= OAI_MAX_PARTS);
	if (!ev->has_data) /* where comments are cut depends on the split */
		return 0;
	for (i = 0; i < n; i++)
		(void)buf_add_str(&s->out, parts[i]);
	return 0;
}

static void
run(struct seen *s, const char *p, size_t n, const struct split *split,
    bool wants)
{
	struct sse sse;
	size_t at, part;
	int rc = 0;

	memset(s, 0, sizeof(*s));
	buf_init(&s->out, (size_t)1 << 24);
	buf_init(&s->events, (size_t)1 << 24);
	sse_init(&sse, (size_t)1 << 20);
	oai_stream_init(&s->stream, (size_t)1 << 20);
	oai_stream_begin(&s->stream, wants);
	for (at = 0; at < n && rc == 0; at += part) {
		part = split_piece(split, at, n);
		rc = sse_feed(&sse, p + at, part, on_event, s);
	}
	if (rc == 0)
		rc = sse_finish(&sse, on_event, s);
	MUST(rc == 0);
	sse_release(&sse);
	oai_stream_release(&s->stream);
}

static void
done(struct seen *s)
{
	buf_release(&s->out);
	buf_release(&s->events);
}

static void
same(const struct seen *a, const struct seen *b)
{
	MUST(str_eq(buf_str(&a->events), buf_str(&b->events)));
	MUST(str_eq(buf_str(&a->out), buf_str(&b->out)));
	MUST(a->stream.done == b->stream.done);
	MUST(a->stream.finished == b->stream.finished);
	MUST(a->stream.sum.text_bytes == b->stream.sum.text_bytes);
	MUST(
	    memcmp(&a->stream.sum.usage.usage.tokens,
		&b->stream.sum.usage.usage.tokens, sizeof(struct tokens)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct split split = SPLIT_WHOLE;
	struct seen whole, cut;
	struct splits it;
	const char *p;
	bool wants;
	int i;

	if (size < 1 || size > 65536)
		return 0;
	p = (const char *)data + 1;
	wants = (data[0] & 0x80) != 0;
	run(&whole, p, size - 1, &split, wants);
	it = splits_begin(size - 1, 1 + (data[0] & 0x7f), &split);
	do {
		run(&cut, p, size - 1, &split, wants);
		same(&whole, &cut);
		done(&cut);
	} while (splits_next(&it, &split));
	for (i = 0; i < TC_COUNT; i++)
		MUST(
		    whole.stream.sum.usage.usage.tokens.n[i] >= 0 &&
		    whole.stream.sum.usage.usage.tokens.n[i] <= OAI_MAX_TOKENS);
	done(&whole);
	return 0;
}
