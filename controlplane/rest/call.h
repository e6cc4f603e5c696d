/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One REST request on its way: what handlers get, and the helpers that they
 * share. Owned by one thread.
 */
#ifndef CONTROLPLANE_REST_CALL_H
#define CONTROLPLANE_REST_CALL_H

#include <jansson.h>

#include "controlplane/config/commit.h"
#include "controlplane/rest/rest.h"
#include "controlplane/rest/router.h"
#include "controlplane/store/store.h"

struct rest_call {
	struct rest *rest;
	const struct rest_options *o;
	const struct rest_route *route;
	struct http_request *req;
	struct http_response *res;
	struct str params[ROUTE_PARAMS_MAX];
	char request_id[37];
	struct admin_token who; /* id 0: public route */
	json_t *body;		/* parsed object, NULL without one */
	struct db *db;		/* in a transaction on writing routes */
	struct error e;
	struct problems problems;
	bool replayed;	     /* answered from the idempotency table */
	bool tokens_changed; /* forget cached admin tokens after the commit */
	/* What the audit row says; set by handlers of writing routes. */
	char target[320];
	const char *action; /* static; NULL = from the method */
	uint64_t version;   /* config version that was made */
	json_t *audit;	    /* detail, without secrets */
};

/* ---- answers ---------------------------------------------------------------
 */

/* Answer with v (takes it; NULL is ERR_NOMEM). */
int rest_json(struct rest_call *c, int status, json_t *v) MUST_CHECK;
/* Answer without a body. */
int rest_empty(struct rest_call *c, int status) MUST_CHECK;
/* Fill res with the problem in c->e, c->problems. */
void rest_problem(struct rest_call *c, int code);
/* The same for a request that has no call. */
void problem_write(struct http_response *res, const struct error *e,
    const struct problems *p, const char *request_id);

/* ---- input ------------------------------------------------------------------
 */

/* A string member of the body; STR_NULL when absent. ERR_INVALID naming the
 * field when it is no string, too long, or missing though required. */
int body_string(struct rest_call *c, const char *name, size_t max,
    bool required, struct str *ret) MUST_CHECK;
int body_bool(struct rest_call *c, const char *name, bool *ret) MUST_CHECK;
int body_int(struct rest_call *c, const char *name, int64_t min, int64_t max,
    int64_t *ret) MUST_CHECK; /* *ret stays when absent */
/* Refuse members other than those listed (by spaces). */
int body_only(struct rest_call *c, const char *names) MUST_CHECK;
/* An object of strings, as JSON text into dst ("{}" when absent). */
int body_labels(
    struct rest_call *c, const char *name, char *dst, size_t cap) MUST_CHECK;

/* ?limit= (default 100, at most 1000). */
int query_limit(struct rest_call *c, int *ret) MUST_CHECK;
/* An instant or date; 0 when absent. */
int query_time(struct rest_call *c, const char *name, int64_t *ret) MUST_CHECK;
/* A path parameter or query value as number. */
int parse_u64(struct rest_call *c, struct str s, const char *what,
    uint64_t *ret) MUST_CHECK;
/* Instant (RFC 3339) or date (first instant, UTC). */
int parse_time(struct str s, int64_t *ns) MUST_CHECK;
/* "90s", "15m", "1h", "7d" to milliseconds. */
int parse_duration(struct str s, int64_t *ms) MUST_CHECK;

/* Cursors are opaque: base64url of a tag and the position. */
int cursor_read(struct rest_call *c, char tag, char *dst,
    size_t cap) MUST_CHECK; /* dst "" when absent */
/* A new JSON string, or null when pos is empty. */
json_t *cursor_json(char tag, struct str pos);

/* ---- JSON pieces
 * -------------------------------------------------------------- */

json_t *json_strn(struct str s);  /* never NULL but for lack of memory */
json_t *json_instant(int64_t ns); /* RFC 3339 with ms, null for 0 */
json_t *json_u64(uint64_t v);	  /* as a string */
json_t *json_text(struct str s);  /* parsed JSON, {} when empty */
json_t *json_usd(int64_t nano);

/* ---- audit
 * ---------------------------------------------------------------------- */

/* Takes detail (may be NULL). */
void rest_audit(struct rest_call *c, const char *action, json_t *detail,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
