/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests and responses as the handlers see them, without the library
 * underneath. One exchange belongs to one thread at a time and lives until
 * its answer was sent.
 */
#ifndef CONTROLPLANE_REST_HTTP_H
#define CONTROLPLANE_REST_HTTP_H

#include "common/arena.h"
#include "common/buf.h"

#define HTTP_QUERY_MAX	 32
#define HTTP_HEADERS_MAX 64
#define HTTP_SEGMENTS	 8

struct http_pair {
	struct str name, value;
};

struct http_request {
	struct str method; /* "GET" */
	struct str path;   /* as sent, before '?' */
	struct str query;  /* as sent, after '?' */
	struct http_pair headers[HTTP_HEADERS_MAX];
	size_t n_headers;
	/* From http_parse_target(): decoded, in the arena, NUL-terminated. */
	struct str segments[HTTP_SEGMENTS];
	size_t n_segments;
	struct http_pair params[HTTP_QUERY_MAX];
	size_t n_params;
	struct str body;
	char peer[64]; /* address of the client */
	struct arena arena;
};

struct http_header {
	const char *name; /* static */
	char value[512];
};

struct http_response {
	int status;
	const char *content_type; /* static; NULL = no body */
	struct http_header headers[10];
	size_t n_headers;
	struct buf body;
};

/* Value of a header, STR_NULL when absent. Name in any case. */
struct str http_header(const struct http_request *r, const char *name);
size_t http_header_count(const struct http_request *r, const char *name);
/* Value of a query parameter, STR_NULL when absent. */
struct str http_param(const struct http_request *r, const char *name);

/* Split and decode path and query. ERR_INVALID for what could be read in two
 * ways: bad percent codes, encoded slashes, dot and empty segments, control
 * characters, a parameter given twice. */
int http_parse_target(struct http_request *r, struct error *e) MUST_CHECK;
/* Refuse the forms of requests that proxies and servers read differently:
 * Transfer-Encoding with Content-Length or other than chunked, several or
 * malformed Content-Length or Host, several Authorization headers. */
int http_check_head(const struct http_request *r, struct error *e) MUST_CHECK;

/* Add a header to the response; the value is cut at 511 bytes. Control
 * characters become spaces. */
void http_set_header(struct http_response *r, const char *name, const char *fmt,
    ...) PRINTF_LIKE(3, 4);
/* Forget what was written, for another attempt. */
void http_response_reset(struct http_response *r);

#endif
