/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments of a call that come leaf by leaf: Gemini's partialArgs, each a
 * JSON path, a value, and for strings whether more of it follows. They become
 * the text of one JSON object, handed out as it grows.
 *
 * What is told twice, out of order, or below what already is a value cannot
 * become JSON that means the same: it is refused, never guessed at.
 */
#ifndef AGENT_DIALECT_GEMINI_PARTIAL_H
#define AGENT_DIALECT_GEMINI_PARTIAL_H

#include <stdbool.h>

#include "common/json.h"

#define GEMINI_PARTIAL_DEPTH 32
#define GEMINI_PARTIAL_PATHS (64 * 1024) /* bytes of all paths of a call */

struct gemini_partial {
	bool open;	  /* a call has begun and is not over */
	bool in_string;	  /* the last leaf is a string that goes on */
	struct buf paths; /* all so far: "kNAME\1i0\1\n" each */
	size_t last;	  /* where the last one begins in paths */
	unsigned n_last;  /* its steps; 0 = none yet */
};

/* Of zeros; frees what gemini_partial_add took. */
void gemini_partial_release(struct gemini_partial *p);
/* A call begins; what was before is forgotten. */
void gemini_partial_begin(struct gemini_partial *p);
/* Append to out the JSON text that one element of partialArgs adds.
 * ERR_INVALID (a path or an order that makes no JSON), ERR_TOO_LARGE,
 * ERR_NOMEM. */
int gemini_partial_add(
    struct gemini_partial *p, struct json leaf, struct buf *out) MUST_CHECK;
/* The call is over: append what closes its object. */
int gemini_partial_end(struct gemini_partial *p, struct buf *out) MUST_CHECK;

#endif
