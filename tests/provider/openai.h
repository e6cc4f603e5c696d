/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of OpenAI's dialect and its kin share. */
#ifndef TESTS_PROVIDER_OPENAI_H
#define TESTS_PROVIDER_OPENAI_H

#include "tests/provider/exchange.h"

/* chat.c */
void chat_huge_event(const struct exchange *x, int64_t n, struct buf *out);
void chat_error(const struct exchange *x, int status, struct buf *out);
/* azure.c: members and frames of the content filter. */
void azure_choice(const struct exchange *x, struct buf *out);
void azure_prompt(struct buf *out);
void azure_start(const struct exchange *x, struct buf *out);
void azure_content(const struct exchange *x, int64_t event, struct buf *out);
void azure_finish(const struct exchange *x, struct buf *out);
/* logprobs.c: are they wanted of piece i of a block (-1: of all)? Then the
 * tokens that it holds. */
bool logprobs_range(const struct exchange *x, const struct block *b, int64_t i,
    int64_t *from, int64_t *n);
void logprobs_openai(const struct exchange *x, int64_t choice, int64_t from,
    int64_t n, struct buf *out);
void logprobs_gemini(const struct exchange *x, int64_t choice, int64_t from,
    int64_t n, struct buf *out);
/* A chunk of text with all of its tokens. */
void logprobs_cohere(
    const struct exchange *x, int64_t from, int64_t n, struct buf *out);
/* cohere.c */
void cohere_error(const struct exchange *x, int status, struct buf *out);
/* embed.c: the same vector in each form; base64 is that of 32-bit floats. */
enum embed_form {
	EMBED_FLOAT,
	EMBED_INT8,
	EMBED_UINT8,
	EMBED_BINARY,
	EMBED_UBINARY,
	EMBED_BASE64,
	EMBED_FORMS
};
extern const char *const embed_form_names[EMBED_FORMS];
/* Append bytes in base64. */
void embed_base64(struct buf *out, const unsigned char *p, size_t n);
/* Vector number `index` as JSON. */
void embed_vector(const struct exchange *x, int64_t index, enum embed_form f,
    struct buf *out);

#endif
