/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to change the configuration: a set of changes becomes a new
 * version, all or nothing. Runs inside a transaction of the caller, which it
 * makes the only writer; so what was checked is what is committed.
 */
#ifndef CONTROLPLANE_CONFIG_COMMIT_H
#define CONTROLPLANE_CONFIG_COMMIT_H

#include <jansson.h>

#include "common/rng.h"
#include "controlplane/config/kinds.h"
#include "controlplane/config/problems.h"
#include "controlplane/store/store_config.h"

struct vault;

enum config_op {
	CONFIG_CREATE,	/* refused when it exists */
	CONFIG_REPLACE, /* refused when it does not exist */
	CONFIG_PUT,	/* either */
	CONFIG_PATCH,	/* spec is a JSON merge patch of the shown fields */
	CONFIG_DELETE
};

struct config_change {
	enum config_op op;
	const struct kind_def *k;
	struct str name;
	const json_t *spec;  /* fields as the admin gave them */
	const char *at;	     /* JSON pointer of spec in the request */
	const char *at_name; /* JSON pointer of the name */
	uint64_t if_version; /* the item must have it; 0 = any */
};

struct config_commit {
	const struct config_change *changes;
	size_t n;
	struct str author, message;
	bool dry_run;
	const struct vault *vault; /* NULL: credentials are refused */
	struct rng *rng;
};

/* What was done to one item. */
struct config_done {
	enum store_op op;
	const struct kind_def *k;
	char *name;
	uint64_t uid;
	json_t *old_spec, *new_spec; /* as stored, with internal fields; NULL */
	char *secret; /* a generated key, shown once; NULL. Wiped on release */
};

struct config_result {
	uint64_t version; /* 0: nothing changed, or dry run */
	struct config_done *v;
	size_t n;
	size_t unchanged;
};

/* Validate and commit. On ERR_INVALID, ERR_EXISTS, ERR_NOT_FOUND,
 * ERR_PRECONDITION and ERR_CONFLICT p says what is wrong with which field;
 * other errors are in e. r is set on success; config_result_release() it in
 * any case. */
int config_commit(struct db *db, const struct config_commit *c,
    struct config_result *r, struct problems *p, struct error *e) MUST_CHECK;

void config_result_init(struct config_result *r);
void config_result_release(struct config_result *r);

/* Write what r lists as one version (deletions first). For commit and
 * rollback, under store_config_lock(). */
int config_write(struct db *db, const struct config_result *r,
    struct str author, struct str message, uint64_t rollback_of,
    uint64_t *version, struct error *e) MUST_CHECK;

/* RFC 7396: a new object, target with patch applied; shares values with both.
 * NULL without memory. */
json_t *config_merge_patch(const json_t *target, const json_t *patch);

#endif
