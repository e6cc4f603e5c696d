/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Newline-delimited JSON, read incrementally: one value a line, lines end in
 * LF or CRLF, blank lines are skipped, the last line may lack its end. A line
 * that came whole in one feed is not copied. The JSON is not looked at.
 */
#ifndef AGENT_DIALECT_NDJSON_H
#define AGENT_DIALECT_NDJSON_H

#include "common/buf.h"

/* Non-zero stops the reader; ndjson_feed() returns it. The slice lives until
 * the callback returns. */
typedef int ndjson_fn(void *ctx, struct str line);

struct ndjson {
	struct buf raw; /* the beginning of an unfinished line */
	size_t max_line;
};

/* max_line: limit in bytes of one line. */
void ndjson_init(struct ndjson *s, size_t max_line);
void ndjson_release(struct ndjson *s);
/* 0, the callback's value, ERR_TOO_LARGE or ERR_NOMEM. */
int ndjson_feed(struct ndjson *s, const char *p, size_t n, ndjson_fn *fn,
    void *ctx) MUST_CHECK;
/* The stream ended: deliver an unfinished line. */
int ndjson_finish(struct ndjson *s, ndjson_fn *fn, void *ctx) MUST_CHECK;

#endif
