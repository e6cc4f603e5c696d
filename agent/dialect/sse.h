/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events, read incrementally (WHATWG HTML, 9.2): any split of the
 * byte stream; LF, CRLF, CR or a mix as line ends; a byte order mark at the
 * start; several data lines joined by LF; comments. An unfinished event at the
 * end of the stream is delivered too, because providers end streams that way.
 *
 * Each event also comes with its raw bytes, so that a relay can pass on
 * exactly what it read. Bytes are copied only when an event is spread over
 * several feeds or has several data lines.
 */
#ifndef AGENT_DIALECT_SSE_H
#define AGENT_DIALECT_SSE_H

#include <stdbool.h>

#include "common/buf.h"

struct sse_event {
	struct str raw;	 /* all bytes of it, with the blank line if there was */
	struct str data; /* joined data lines */
	struct str name; /* value of the event field */
	bool has_data;	 /* at least one data line; else comments only */
};

/* Non-zero stops the parser; sse_feed() returns it. The slices live until the
 * callback returns. */
typedef int sse_fn(void *ctx, const struct sse_event *ev);

struct sse {
	struct buf raw;	  /* the beginning of an unfinished event */
	struct buf data;  /* joined lines */
	size_t scanned;	  /* bytes of raw that hold no event end */
	size_t line;	  /* start of the current line in raw */
	size_t max_event; /* bytes */
	bool skip_lf;	  /* the event ended in CR: a LF belongs to it */
	bool single;	  /* the last line ended in one character */
	bool started;	  /* past the place of the byte order mark */
};

/* max_event: limit in bytes of one event (raw). */
void sse_init(struct sse *s, size_t max_event);
void sse_clear(struct sse *s); /* for the next stream; keeps memory */
void sse_release(struct sse *s);
/* Feed bytes. 0, the callback's value, ERR_TOO_LARGE (event above the limit)
 * or ERR_NOMEM. */
int sse_feed(
    struct sse *s, const char *p, size_t n, sse_fn *fn, void *ctx) MUST_CHECK;
/* The stream ended: deliver an unfinished event if it has a data line. */
int sse_finish(struct sse *s, sse_fn *fn, void *ctx) MUST_CHECK;

#endif
