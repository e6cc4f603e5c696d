/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as it will be when a commit is done: the items of the
 * database with the changes of the commit laid over them. References are
 * checked against it. Lives as long as one transaction, in one thread.
 */
#ifndef CONTROLPLANE_CONFIG_WORLD_H
#define CONTROLPLANE_CONFIG_WORLD_H

#include <jansson.h>

#include "controlplane/config/kinds.h"
#include "controlplane/config/problems.h"

struct db;

struct world {
	struct db *db; /* NULL: nothing lies below the changes (tests) */
	json_t *items; /* "kind name" -> spec, or null = does not exist */
	json_t *zones; /* zone -> bool */
};

int world_init(struct world *w, struct db *db) MUST_CHECK;
void world_release(struct world *w);
/* Lay an item over the database; spec NULL: it is deleted. Keeps a
 * reference. */
int world_put(
    struct world *w, enum kind kind, struct str name, json_t *spec) MUST_CHECK;
/* *spec is borrowed; NULL when the item does not exist. */
int world_get(struct world *w, enum kind kind, struct str name,
    const json_t **spec, struct error *e) MUST_CHECK;
int world_has_zone(
    struct world *w, struct str zone, bool *yes, struct error *e) MUST_CHECK;

/* Fetch what the item's references need in few queries: call it for all items
 * of a commit, then world_fetch() once. wanted: a new json object. */
int world_want(struct world *w, const struct kind_def *k, struct str name,
    const json_t *spec, json_t *wanted) MUST_CHECK;
int world_fetch(struct world *w, json_t *wanted, struct error *e) MUST_CHECK;

/* Check parent, references, scope, route lists and time zone of an item that
 * was normalised. at: JSON pointer of its spec; at_name: of its name. Adds to
 * p; the result is about the database only. */
int world_check(struct world *w, const struct kind_def *k, struct str name,
    const json_t *spec, const char *at, const char *at_name, struct problems *p,
    struct error *e) MUST_CHECK;

#endif
