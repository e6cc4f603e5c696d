/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A REST server inside the test process on a fresh database, and a client
 * that sends exactly the bytes it is told to.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_SUPPORT_RESTTEST_H
#define TESTS_UNIT_CONTROLPLANE_SUPPORT_RESTTEST_H

#include <jansson.h>

#include "controlplane/rest/rest.h"
#include "controlplane/store/store_admin.h"

struct resttest {
	struct store *store;
	struct vault *vault;
	struct metric_set *metrics;
	struct rest *rest;
	unsigned port;
	char tokens[ROLE_OWNER + 1][ADMIN_TOKEN_TEXT]; /* one of each role */
};

/* Abort on failure. */
void resttest_open(struct resttest *t);
void resttest_close(struct resttest *t);

struct reply {
	int status; /* 0: the connection closed without an answer */
	char *head; /* NUL-terminated */
	char *body; /* NUL-terminated */
	size_t len;
	json_t *json; /* parsed body, NULL if it is none */
};

/* Send n bytes, read one answer. */
void reply_raw(unsigned port, const char *bytes, size_t n, struct reply *r);
/* One request; headers: "Name: value\r\n..." or ""; body may be NULL. */
void reply_get(struct resttest *t, enum admin_role role, const char *method,
    const char *path, const char *headers, const char *body, struct reply *r);
/* The same with another token text ("" = none). */
void reply_as(struct resttest *t, const char *token, const char *method,
    const char *path, const char *headers, const char *body, struct reply *r);
/* Value of a header into dst; "" when absent. */
void reply_header(
    const struct reply *r, const char *name, char *dst, size_t cap);
void reply_free(struct reply *r);

/* Secrets that resttest_seed() puts in. */
/* What a model that chats must have. */
#define RESTTEST_PRICES                                  \
	"[{\"class\":\"input\",\"usd_per_mtok\":\"1\"}," \
	"{\"class\":\"output\",\"usd_per_mtok\":\"2\"}]"
#define RESTTEST_PRICED	    "{\"prices\":" RESTTEST_PRICES "}"
#define RESTTEST_CREDENTIAL "sk-canary-4f2a9c"
#define RESTTEST_KEY	    "hg-prefix00-zzqqxxyyvv-012345678901234567890123"

/* One request as owner; fails the test unless it has that status. r is freed
 * first and holds the answer then. */
void reply_expect(struct resttest *t, struct reply *r, const char *method,
    const char *path, const char *body, int status);
/* A string member of the answer, "" when absent. */
const char *reply_text(const struct reply *r, const char *name);
/* A small configuration, one item of each kind and a second key. */
void resttest_seed(struct resttest *t, struct reply *r);
/* Open and zero r; free r and close. */
void resttest_start(struct resttest *t, struct reply *r);
void resttest_finish(struct resttest *t, struct reply *r);

#endif
