/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persistence of configuration items, their changes and versions, and of
 * sealed provider credentials. Knows nothing about what a spec means; the
 * config module validates before it commits.
 *
 * Tables: config_item (current), config_change (every old and new value, for
 * ever), config_version (commits), item_name (uid -> kind, name, for ever, so
 * that reports can name what was deleted), secret.
 */
#ifndef CONTROLPLANE_STORE_STORE_CONFIG_H
#define CONTROLPLANE_STORE_STORE_CONFIG_H

#include "controlplane/store/store.h"

/* kind = enum ItemKind of proto/headgate.proto (1..10). */
struct store_item {
	int kind;
	uint64_t uid;
	struct str name;
	uint64_t version; /* config version that last changed it */
	int64_t created_at, updated_at; /* ns since 1970 */
	struct str spec; /* JSON object, as committed (not normalised) */
};
/* Slices are valid during the call. Non-zero stops and is returned. */
typedef int store_item_fn(void *ctx, const struct store_item *it);

/* All items (kind 0) or those of one kind, ordered by (kind, uid), and the
 * config version they belong to, in one snapshot. *version is set before the
 * first call of fn. */
int store_config_snapshot(struct db *db, int kind, uint64_t *version,
    store_item_fn *fn, void *ctx, struct error *e) MUST_CHECK;

struct store_item_filter {
	int kind;
	struct str prefix; /* of the name; empty = any */
	struct str
	    tenant;	  /* the name is it or starts with "it."; empty = any */
	struct str after; /* cursor: names above it; empty = from the start */
	int limit;	  /* > 0 */
};
/* Ordered by name. */
int store_config_list(struct db *db, const struct store_item_filter *f,
    store_item_fn *fn, void *ctx, struct error *e) MUST_CHECK;
/* ERR_NOT_FOUND (with kind-free text "NAME does not exist"). fn is called
 * once. */
int store_config_get(struct db *db, int kind, struct str name,
    store_item_fn *fn, void *ctx, struct error *e) MUST_CHECK;
int store_config_get_uid(struct db *db, uint64_t uid, store_item_fn *fn,
    void *ctx, struct error *e) MUST_CHECK;
/* Latest version number; 0 = no commit yet. */
int store_config_version(
    struct db *db, uint64_t *version, struct error *e) MUST_CHECK;

/* ---- writing: inside a transaction ---- */

/* Become the only writer until the transaction ends; returns the latest
 * version, the coming commit will be version + 1. */
int store_config_lock(
    struct db *db, uint64_t *version, struct error *e) MUST_CHECK;
int store_config_new_uid(
    struct db *db, uint64_t *uid, struct error *e) MUST_CHECK;

enum store_op { STORE_OP_CREATE = 1, STORE_OP_UPDATE, STORE_OP_DELETE };
const char *store_op_name(enum store_op op); /* "create" ... */

struct store_change {
	enum store_op op;
	int kind;
	uint64_t uid; /* create: from store_config_new_uid(), or an old uid that
			 a rollback brings back */
	struct str name;
	struct str old_spec; /* empty for create */
	struct str new_spec; /* empty for delete */
};
/* Write changes (at least one) as version latest + 1 and notify
 * STORE_CHANNEL_CONFIG. Needs store_config_lock() in this transaction. */
int store_config_commit(struct db *db, const struct store_change *c, size_t n,
    struct str author, struct str message, uint64_t rollback_of,
    uint64_t *version, struct error *e) MUST_CHECK;

/* ---- history ---- */

struct store_version {
	uint64_t version;
	struct str author, message;
	int64_t at;
	uint64_t rollback_of; /* 0 = none */
	int64_t n_changes;
};
typedef int store_version_fn(void *ctx, const struct store_version *v);
/* Newest first, versions below `before` (0 = from the newest). */
int store_version_list(struct db *db, uint64_t before, int limit,
    store_version_fn *fn, void *ctx, struct error *e) MUST_CHECK;
int store_version_get(struct db *db, uint64_t version, store_version_fn *fn,
    void *ctx, struct error *e) MUST_CHECK;

typedef int store_change_fn(
    void *ctx, uint64_t version, const struct store_change *c);
/* Every change with from < version <= to, in commit order. */
int store_config_changes(struct db *db, uint64_t from, uint64_t to,
    store_change_fn *fn, void *ctx, struct error *e) MUST_CHECK;
/* The items as they were at `version`, ordered by (kind, uid); item.version =
 * the version that last changed it then; created_at is that of the commit. */
int store_config_at(struct db *db, uint64_t version, store_item_fn *fn,
    void *ctx, struct error *e) MUST_CHECK;
/* The spec of one item as of `version`; ERR_NOT_FOUND if it did not exist. */
int store_config_spec_at(struct db *db, uint64_t uid, uint64_t version,
    store_item_fn *fn, void *ctx, struct error *e) MUST_CHECK;

/* ---- provider credentials ---- */

/* Store a sealed credential; *secret_version counts from 1 per provider. */
int store_secret_put(struct db *db, uint64_t provider_uid, const void *sealed,
    size_t n, uint64_t *secret_version, struct error *e) MUST_CHECK;
/* Copies into dst[cap]; *n gets the length. ERR_NOT_FOUND. */
int store_secret_get(struct db *db, uint64_t provider_uid,
    uint64_t secret_version, void *dst, size_t cap, size_t *n,
    struct error *e) MUST_CHECK;

#endif
