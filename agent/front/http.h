/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading request heads (RFC 9112), strictly: lines end in CRLF, no folded
 * lines, no space before a colon, one space between the parts of the request
 * line. What another parser might read differently is refused.
 */
#ifndef AGENT_FRONT_HTTP_H
#define AGENT_FRONT_HTTP_H

#include "agent/front/head.h"

/* Find the end of the head in p[0..n). *scanned: where the search stands, 0
 * at first. 0 with *len (including the empty line), ERR_AGAIN when more bytes
 * are needed, ERR_INVALID when no more bytes can make it a head. */
int http_head_scan(
    const char *p, size_t n, size_t *scanned, size_t *len) MUST_CHECK;

struct http_line {
	struct str method, target, version;
};
/* Take a complete head apart into the request line and h. ERR_INVALID. */
int http_head_parse(
    struct str raw, struct http_line *line, struct head *h) MUST_CHECK;

/* Reason phrase of a status, "Status" when unknown. */
const char *http_reason(int status);

#endif
