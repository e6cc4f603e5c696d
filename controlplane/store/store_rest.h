/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries that the configuration and REST modules need beside those of
 * store_config.h: look-ups in bulk, who refers to what, time zones.
 */
#ifndef CONTROLPLANE_STORE_STORE_REST_H
#define CONTROLPLANE_STORE_STORE_REST_H

#include "controlplane/store/store_config.h"

/* The items of kind that have one of the names; in no order, absent ones are
 * left out. */
int store_config_get_many(struct db *db, int kind, const struct str *names,
    size_t n, store_item_fn *fn, void *ctx, struct error *e) MUST_CHECK;

/* it refers to the item of the asked kind called target: as a child, by its
 * scope or by a reference in its spec. */
typedef int store_referrer_fn(
    void *ctx, struct str target, int kind, struct str name);
/* At most limit referrers of the items of kind with these names. */
int store_config_referrers(struct db *db, int kind, const struct str *names,
    size_t n, int limit, store_referrer_fn *fn, void *ctx,
    struct error *e) MUST_CHECK;

/* n fresh uids, at most 20,000, into dst: one round trip. */
int store_config_new_uids(
    struct db *db, uint64_t *dst, size_t n, struct error *e) MUST_CHECK;

/* Name of the key that has this digest (hexadecimal) into name[256]; "" when
 * there is none. */
int store_key_by_digest(
    struct db *db, const char *hex, char *name, struct error *e) MUST_CHECK;

/* Does the database know this IANA time zone? */
int store_zone_exists(
    struct db *db, struct str zone, bool *yes, struct error *e) MUST_CHECK;

#endif
