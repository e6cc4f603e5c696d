/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the reader of Cohere's answers: log probabilities. Cohere tells
 * them for chunks of text: {"text","token_ids":[..],"logprobs":[..]}, one for
 * each token of the chunk, without saying which part of the text is whose.
 */
#ifndef AGENT_DIALECT_COHERE_PROVIDER_H
#define AGENT_DIALECT_COHERE_PROVIDER_H

#include "common/buf.h"
#include "common/json.h"

/* A chunk, or a list of them, in OpenAI's shape, appended: an entry a token, of
 * which the first of a chunk has its text and the others none. skip: raw bytes
 * of text at the start of a list that are left out; "[]" when no chunk begins
 * there. 0 or buf_error(out). */
int cohere_logprobs_write(
    struct buf *out, struct json chunks, size_t skip) MUST_CHECK;
/* Raw bytes of the texts of a list. */
size_t cohere_logprobs_bytes(struct json chunks);

#endif
