/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading HTTP/1.1 answers (RFC 9112), strictly: one status line, token names,
 * no folded lines, no conflicting framing. Anything doubtful is an error, and
 * the connection that brought it is closed.
 */
#ifndef AGENT_UPSTREAM_H1_PARSE_H
#define AGENT_UPSTREAM_H1_PARSE_H

#include "agent/upstream/engine.h"

enum h1_framing { H1_NONE, H1_LENGTH, H1_CHUNKED, H1_CLOSE };

struct h1_head {
	struct up_head up;
	enum h1_framing framing;
	bool keep_alive;
};

/* Length of the head in p[0..n) including the empty line, 0 = not complete. */
size_t h1_head_len(const char *p, size_t n);
/* Parse a complete head. ERR_INVALID. */
int h1_head_parse(struct str raw, struct h1_head *h) MUST_CHECK;

enum h1_chunk_state {
	H1_CHUNK_SIZE,
	H1_CHUNK_EXT,
	H1_CHUNK_SIZE_LF,
	H1_CHUNK_DATA,
	H1_CHUNK_DATA_CR,
	H1_CHUNK_DATA_LF,
	H1_CHUNK_TRAILER,      /* at the start of a trailer line */
	H1_CHUNK_TRAILER_LINE, /* within one */
	H1_CHUNK_LAST_LF,
	H1_CHUNK_DONE
};

struct h1_chunked {
	enum h1_chunk_state state;
	uint64_t left;	   /* of the size or data */
	unsigned n_digits; /* of the size */
	unsigned n_extra;  /* bytes of extensions and trailers, limited */
};

/* Take bytes from p[0..n): *used of them were consumed; *data and *len give a
 * run of body bytes among them (may be empty). Call again until all is used or
 * state is H1_CHUNK_DONE. ERR_INVALID. */
int h1_chunked_next(struct h1_chunked *c, const char *p, size_t n, size_t *used,
    const char **data, size_t *len) MUST_CHECK;

#endif
