/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST interface of the control plane: routes, authentication, roles,
 * idempotency, audit, errors as problem+json. See docs/API.md.
 */
#ifndef CONTROLPLANE_REST_REST_H
#define CONTROLPLANE_REST_REST_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/rng.h"

struct db;
struct join_row;
struct metric_set;
struct rest;
struct store;
struct vault;

/* Makes a join token in db's transaction: sets j->id, stores it with a digest
 * of its secret, appends the token's text. */
typedef int rest_join_fn(void *ctx, struct db *db, struct join_row *j,
    struct buf *text, struct error *e);

struct rest_options {
	const char *listen; /* "127.0.0.1:7400"; port 0 takes a free one */
	unsigned threads;   /* requests in the database at once; 0 = 12 */
	size_t max_body;    /* 0 = 8 MiB */
	struct store *store;
	const struct vault *vault; /* NULL: credentials are refused */
	rest_join_fn *join_create; /* NULL: join tokens are refused */
	void *join_ctx;
	struct metric_set *metrics; /* of controlplane/metrics.h; NULL ok */
	struct clock *clock;	    /* NULL = system */
	struct rng *rng;	    /* NULL = system */
};

/* Start serving. All that o points to must outlive the server. */
int rest_start(const struct rest_options *o, struct rest **ret,
    struct error *e) MUST_CHECK;
unsigned rest_port(const struct rest *r);
/* readyz fails from now on; requests are still served. Any thread. */
void rest_drain(struct rest *r);
/* Waits for running requests. NULL is ok. */
void rest_stop(struct rest *r);

/* Append the OpenAPI 3.1 document, JSON with a newline at the end. */
int openapi_render(struct buf *out) MUST_CHECK;
/* Append "METHOD PATH ROLE" lines; the role is "-" for public routes. */
int routes_render(struct buf *out) MUST_CHECK;
/* The same as a table in Markdown. */
int routes_markdown(struct buf *out) MUST_CHECK;

#endif
