/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outer layer of an answer that is either a stream of server-sent events
 * or one JSON document. Which of both is told by its first byte, because
 * providers answer with the other one at times (`stream` ignored; a stream
 * nobody asked for). Blank lines before a document are skipped.
 */
#ifndef AGENT_DIALECT_ANSWER_FEED_H
#define AGENT_DIALECT_ANSWER_FEED_H

#include "agent/dialect/sse.h"

struct answer_feed {
	struct sse sse;
	struct buf plain;
	enum { ANSWER_UNKNOWN, ANSWER_SSE, ANSWER_PLAIN } mode;
};

/* max_event, max_plain: bytes of one event, of a document. */
void answer_feed_init(
    struct answer_feed *f, size_t max_event, size_t max_plain);
void answer_feed_release(struct answer_feed *f);
/* Bytes of the body: events go to fn, a document is kept. 0, fn's value,
 * ERR_TOO_LARGE or ERR_NOMEM. */
int answer_feed_bytes(struct answer_feed *f, const char *p, size_t n,
    sse_fn *fn, void *ctx) MUST_CHECK;
/* The body ended: an unfinished event goes to fn. Afterwards f->plain holds
 * the document if mode is ANSWER_PLAIN. */
int answer_feed_end(struct answer_feed *f, sse_fn *fn, void *ctx) MUST_CHECK;

#endif
