/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REST client of the CLI (libcurl). One call at a time, on the calling thread.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

#include "cli/cli.h"

/* Once, before the first and after the last call. */
void client_start(void);
void client_stop(void);
/*
 * Send method to server + path (already encoded) with an optional JSON body
 * (borrowed). On a 2xx answer *reply is the parsed JSON (new reference, NULL
 * for an empty body). On a problem+json answer c->err holds its detail and
 * code, and *problem, if asked for, the whole object (new reference).
 * Returns 0 or ERR_*.
 */
int client_call(struct cli *c, const char *method, const char *path,
    const json_t *body, json_t **reply, json_t **problem) MUST_CHECK;
/* As client_call for GET, and the answer is kept as text (CSV). */
int client_get_text(
    struct cli *c, const char *path, struct buf *out) MUST_CHECK;
/* GET every page of a listing: follows next_cursor, returns one array. */
int client_get_all(struct cli *c, const char *path, json_t **items) MUST_CHECK;
/* Percent-encode one path segment or query value onto b. */
void client_encode(struct buf *b, const char *s);
/* Start a path: prefix, name percent-encoded (NULL for none), tail. The caller
 * releases it. */
void client_path(
    struct buf *path, const char *prefix, const char *name, const char *tail);
/* Add "?name=value" or "&name=value" when value is not NULL. */
void client_query(struct buf *path, const char *name, const char *value);

#endif
