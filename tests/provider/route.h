/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to what answers it; and answers that are there at once. */
#ifndef TESTS_PROVIDER_ROUTE_H
#define TESTS_PROVIDER_ROUTE_H

#include "tests/provider/conn.h"

/* Answer a request: appends to c->out or begins c->x. */
void route_request(struct conn *c, const struct http_request *r);

/* What a handler needs of the request that it answers. */
struct call {
	struct conn *c;
	const struct http_request *r;
	const struct dialect *d;
	struct str model;  /* from the path, decoded; "" = in the body */
	struct str action; /* from the path: "generateContent" ... */
	struct json_t *root;
	struct scan s;
	bool failed; /* an error was answered */
};

/* Find the model; false: the error was answered. embeddings: of that kind. */
bool call_model(struct call *q, bool embeddings, const struct sim_model **ret);
/* Embeddings: does the model have so many dimensions? False: refused. */
bool call_dimensions(struct call *q, const struct sim_model *m);
/* Refuse in Cohere's words. Returns false. */
bool cohere_bad(struct call *q, const char *param, const char *message);
/* Begin the answer to what q->s asks of the model. Takes q->root as echo when
 * echo is set. */
void call_start(struct call *q, const struct sim_model *m, bool echo);

/* The handlers, one a family of paths. */
void call_ollama_embed(struct call *q);
void call_chat(struct call *q);
/* Messages that hold more than text; false: refused. */
bool chat_check(struct call *q);
void call_embeddings(struct call *q);
void call_messages(struct call *q);
void call_count_tokens(struct call *q);
void call_gemini(struct call *q);
void call_converse(struct call *q);
void call_invoke(struct call *q);
void call_invoke_embed(struct call *q);
void call_responses(struct call *q);
void call_stored_response(struct call *q);
void call_cohere_chat(struct call *q);
void call_cohere_embed(struct call *q);
void call_rerank(struct call *q);
void call_ollama(struct call *q);
void call_completions(struct call *q);
void call_moderations(struct call *q);
void call_images(struct call *q);
void call_form(struct call *q);
void call_speech(struct call *q);
void call_token(struct call *q);

/* Credentials; false: refused, in the dialect's words. */
bool auth_check(struct conn *c, const struct http_request *r);

/* Append a complete answer. headers: further lines, each with CRLF. */
void reply_full(struct conn *c, int status, const char *type,
    const char *headers, struct str body);
/* Head of an answer whose body of `len` bytes follows, or REPLY_CHUNKED, or
 * REPLY_UNTIL_CLOSE: the body ends with the connection. */
#define REPLY_CHUNKED	  (-1)
#define REPLY_UNTIL_CLOSE (-2)
void reply_head(struct conn *c, int status, const char *type,
    const char *headers, int64_t len);

#endif
