/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to what answers it; and answers that are there at once. */
#ifndef TESTS_PROVIDER_ROUTE_H
#define TESTS_PROVIDER_ROUTE_H

#include "tests/provider/conn.h"

/* Answer a request: appends to c->out or begins c->x. */
void route_request(struct conn *c, const struct http_request *r);

/* Append a complete answer. headers: further lines, each with CRLF. */
void reply_full(struct conn *c, int status, const char *type,
    const char *headers, struct str body);
/* An error in OpenAI's shape; code and param may be NULL (null). */
void reply_error(struct conn *c, int status, const char *type,
    const char *param, const char *code, const char *headers,
    const char *message);
/* Head of an answer whose body of `len` bytes follows; len -1: chunked. */
void reply_head(struct conn *c, int status, const char *type,
    const char *headers, int64_t len);

#endif
