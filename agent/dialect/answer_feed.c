/* SPDX-License-Identifier: Apache-2.0 */
/* See answer_feed.h. */
#include "agent/dialect/answer_feed.h"

void
answer_feed_init(struct answer_feed *f, size_t max_event, size_t max_plain)
{
	sse_init(&f->sse, max_event);
	buf_init(&f->plain, max_plain);
	f->mode = ANSWER_UNKNOWN;
}

void
answer_feed_release(struct answer_feed *f)
{
	sse_release(&f->sse);
	buf_release(&f->plain);
}

int
answer_feed_bytes(
    struct answer_feed *f, const char *p, size_t n, sse_fn *fn, void *ctx)
{
	while (f->mode == ANSWER_UNKNOWN && n > 0) {
		if (*p == '{' || *p == '[') {
			f->mode = ANSWER_PLAIN;
		} else if (*p != ' ' && *p != '\t' && *p != '\r' &&
			   *p != '\n') {
			f->mode = ANSWER_SSE;
		} else {
			p++;
			n--;
		}
	}
	if (n == 0)
		return 0;
	if (f->mode == ANSWER_SSE)
		return sse_feed(&f->sse, p, n, fn, ctx);
	return buf_add(&f->plain, p, n);
}

int
answer_feed_end(struct answer_feed *f, sse_fn *fn, void *ctx)
{
	return f->mode == ANSWER_SSE ? sse_finish(&f->sse, fn, ctx) : 0;
}
