/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of routes. Dispatch, roles, the OpenAPI document and the
 * tests that walk over all routes come from it.
 */
#ifndef CONTROLPLANE_REST_ROUTER_H
#define CONTROLPLANE_REST_ROUTER_H

#include "controlplane/config/kinds.h"
#include "controlplane/rest/http.h"
#include "controlplane/store/store_admin.h"

struct rest_call;

/* Answers a request: 0 with c->res filled, or ERR_* with c->e (and perhaps
 * c->problems) set. Handlers of writing routes run in a transaction and may
 * be run again after a conflict. */
typedef int rest_handler(struct rest_call *c);

enum {
	RR_PUBLIC = 1,	    /* no token needed */
	RR_NO_DB = 2,	    /* does not touch the database */
	RR_WRITE = 4,	    /* one transaction, audited */
	RR_BODY = 8,	    /* needs a JSON object as body */
	RR_BODY_OPT = 16,   /* may have one */
	RR_MERGE = 32,	    /* body may be application/merge-patch+json */
	RR_IDEMPOTENT = 64, /* honours Idempotency-Key */
	RR_IF_MATCH = 128,  /* honours If-Match */
	RR_ETAG = 256,	    /* answers with an ETag */
	RR_CSV = 512,	    /* may answer text/csv */
	RR_TEXT = 1024,	    /* answers text/plain */
	RR_SECRET = 2048,   /* the answer holds a secret shown once */
	RR_MAY_LACK = 4096  /* 404 while there is nothing yet */
};

struct rest_route {
	const char *method;  /* "GET"; it serves HEAD as well */
	const char *pattern; /* "/v1/tenants/{name}" */
	const char *id;	     /* operationId */
	const char *tag;
	const char *summary;
	rest_handler *fn;
	enum admin_role role; /* least role; of no meaning when public */
	unsigned flags;	      /* RR_* */
	const char *query;    /* names of query parameters, by spaces */
	const char *request;  /* schema of the body, NULL = none */
	const char *response; /* schema of the answer, NULL = none */
	int status;	      /* of success */
	enum kind kind;	      /* of item routes */
};

extern const struct rest_route rest_routes[];
extern const size_t n_rest_routes;

#define ROUTE_PARAMS_MAX 2

/* Find the route of a parsed request. params gets the values of the
 * {placeholders}. ERR_NOT_FOUND; ERR_METHOD with the methods of the path in
 * allow[cap]. */
int router_match(const struct http_request *r, const struct rest_route **ret,
    struct str params[ROUTE_PARAMS_MAX], char *allow, size_t cap,
    struct error *e) MUST_CHECK;
/* Is the query parameter one of the route's? */
bool router_has_param(const struct rest_route *r, struct str name);

#endif
