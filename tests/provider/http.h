/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.1 request read from a connection's input buffer. Slices point
 * into that buffer and live until the request is consumed.
 */
#ifndef TESTS_PROVIDER_HTTP_H
#define TESTS_PROVIDER_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define HTTP_MAX_HEAD (64 * 1024)
#define HTTP_MAX_BODY (64 * 1024 * 1024)

struct http_request {
	struct str method, path, query;
	struct str head; /* request line and headers, without the blank line */
	struct str headers; /* header lines only */
	struct str body;    /* decoded */
	struct str authorization, request_id, attempt;
	bool close;	    /* the connection ends after the answer */
	bool want_continue; /* "Expect: 100-continue" and no body here yet */
	bool has_sim;	    /* there are x-sim- headers */
	bool has_asserts;   /* x-sim-forbid or x-sim-require */
	size_t total;	    /* bytes of the input that belong to it */
};

/* 1: a whole request is there; 0: more bytes are needed (want_continue may
 * be set); negative: no HTTP, close the connection. */
int http_parse(struct buf *in, struct http_request *r) MUST_CHECK;
/* Iterate header lines: false at the end. *rest starts as r->headers. */
bool http_next_header(struct str *rest, struct str *name, struct str *value);
/* The first header of that name (lower case), STR_NULL when absent. */
struct str http_header(const struct http_request *r, const char *name);
/* Resolve %xx; dst has room for s.len bytes. */
struct str http_unescape(struct str s, char *dst);
/* A member of the query, not decoded; STR_NULL when absent. */
struct str http_query(const struct http_request *r, const char *name);

#endif
