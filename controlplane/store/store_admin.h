/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admin tokens, the audit log and idempotency keys. Tokens are kept as
 * SHA-256 digests; who makes a token shows it once.
 */
#ifndef CONTROLPLANE_STORE_STORE_ADMIN_H
#define CONTROLPLANE_STORE_STORE_ADMIN_H

#include "controlplane/store/store.h"

enum admin_role { ROLE_VIEWER = 1, ROLE_FINANCE, ROLE_ADMIN, ROLE_OWNER };
const char *admin_role_name(enum admin_role r); /* "viewer" ... */
int admin_role_parse(struct str s, enum admin_role *ret) MUST_CHECK;

struct admin_token {
	int64_t id;
	char name[128];
	enum admin_role role;
	char prefix[16]; /* first characters, to recognise it by */
	int64_t created_at, expires_at, last_used_at; /* 0 = never */
	char created_by[128];
};
typedef int admin_token_fn(void *ctx, const struct admin_token *t);

/* Make a token "hga-" + 43 base64url characters; the text goes to
 * secret[ADMIN_TOKEN_TEXT] (the only time), t gets the row. name must be unique
 * among live tokens (ERR_EXISTS). expires_at 0 = never. */
#define ADMIN_TOKEN_TEXT 64
int admin_token_create(struct db *db, struct str name, enum admin_role role,
    int64_t expires_at, struct str created_by, char *secret,
    struct admin_token *t, struct error *e) MUST_CHECK;
/* The live token that presented text means; ERR_UNAUTHENTICATED for unknown,
 * expired and revoked alike. Updates last_used_at at most once a minute. */
int admin_token_check(struct db *db, struct str presented,
    struct admin_token *t, struct error *e) MUST_CHECK;
int admin_token_list(
    struct db *db, admin_token_fn *fn, void *ctx, struct error *e) MUST_CHECK;
/* Revoke by id (decimal) or name; ERR_NOT_FOUND. Refuses the last live owner
 * (ERR_CONFLICT). */
int admin_token_revoke(struct db *db, struct str id_or_name,
    struct admin_token *t, struct error *e) MUST_CHECK;
/* Number of live tokens of at least this role. */
int admin_token_count(struct db *db, enum admin_role at_least, int64_t *n,
    struct error *e) MUST_CHECK;

/* ---- audit ---- */

struct audit_entry {
	int64_t id, at;
	struct str actor; /* token name, "bootstrap", "cli" */
	struct str role;
	struct str action; /* "create", "apply", "rollback", "refused" ... */
	struct str target; /* "budgets/acme.monthly" */
	struct str request_id;
	struct str remote; /* address */
	uint64_t version;  /* config version made, 0 = none */
	int status;	   /* HTTP status, 0 = not by HTTP */
	struct str detail; /* JSON object or empty */
};
typedef int audit_fn(void *ctx, const struct audit_entry *a);
/* id and at are ignored. In the transaction of the write it describes. */
int audit_add(
    struct db *db, const struct audit_entry *a, struct error *e) MUST_CHECK;

struct audit_filter {
	struct str actor, target_prefix; /* empty = any */
	int64_t from, to;		 /* ns, 0 = open */
	int64_t before;			 /* cursor: ids below; 0 = newest */
	int limit;
};
/* Newest first. */
int audit_list(struct db *db, const struct audit_filter *f, audit_fn *fn,
    void *ctx, struct error *e) MUST_CHECK;

/* ---- idempotency keys ---- */

struct idem_reply {
	int status;
	char location[256], etag[64];
	char *body; /* malloc'ed, NULL while empty; caller frees */
	size_t body_len;
};
/* In the transaction of the request. 0 and *found false: the key is new and
 * now ours, finish with idem_finish() in the same transaction. *found true: r
 * holds the stored reply. ERR_CONFLICT: the key was used with another request
 * (hash differs). Concurrent users of one key wait for each other. Keys are
 * per token and live 24 h. */
int idem_begin(struct db *db, int64_t token_id, struct str key,
    const uint8_t request_hash[32], bool *found, struct idem_reply *r,
    struct error *e) MUST_CHECK;
int idem_finish(struct db *db, int64_t token_id, struct str key, int status,
    struct str location, struct str etag, struct str body,
    struct error *e) MUST_CHECK;
/* Periodic: forget old keys. */
int idem_expire(struct db *db, struct error *e) MUST_CHECK;

#endif
