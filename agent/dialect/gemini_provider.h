/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the reader of Gemini answers: a JSON array that comes piece by
 * piece, taken apart into its elements, and log probabilities.
 */
#ifndef AGENT_DIALECT_GEMINI_PROVIDER_H
#define AGENT_DIALECT_GEMINI_PROVIDER_H

#include <stdbool.h>

#include "common/json.h"

/* Non-zero stops the reader, which returns it. */
typedef int gemini_array_fn(void *ctx, struct str element);

struct gemini_array {
	struct buf element; /* the one that is open */
	unsigned depth;	    /* brackets open, the outer one among them */
	bool in_string, escaped;
	bool closed; /* the outer bracket */
};

/* max_element: limit in bytes. */
void gemini_array_init(struct gemini_array *a, size_t max_element);
void gemini_array_release(struct gemini_array *a);
/* Bytes from the opening bracket on. Elements are objects; they are not
 * checked. 0, the callback's value, ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. */
int gemini_array_feed(struct gemini_array *a, const char *p, size_t n,
    gemini_array_fn *fn, void *ctx) MUST_CHECK;
/* ERR_INVALID when the array is not closed. */
int gemini_array_finish(const struct gemini_array *a) MUST_CHECK;

/* logprobsResult in OpenAI's shape, appended. */
int gemini_logprobs_write(struct buf *out, struct json result) MUST_CHECK;

#endif
