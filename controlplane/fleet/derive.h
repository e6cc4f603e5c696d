/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundle derivation: configuration items (spec JSON) to the hg.Item messages
 * that one agent group gets. Two steps: everything is loaded once for a
 * config version (struct derive_world), then each group takes its part of it.
 *
 * What a group gets: all items, but not deployments whose agent_groups leave
 * the group out, nor route targets that point to those, nor credentials of
 * providers that none of the group's deployments uses.
 *
 * Not thread-safe; the packed bytes hold credentials in clear: derive_free()
 * wipes them.
 */
#ifndef CONTROLPLANE_FLEET_DERIVE_H
#define CONTROLPLANE_FLEET_DERIVE_H

#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "controlplane/config/credential.h"
#include "controlplane/store/store_config.h"

/* Append the clear secret of (provider, which, its version) to out. */
typedef int derive_credential_fn(void *ctx, uint64_t provider_uid,
    enum credential which, uint64_t version, struct buf *out, struct error *e);

struct derive_world;

/* NULL without memory. */
struct derive_world *derive_world_new(void);
void derive_world_free(struct derive_world *w); /* wipes; NULL is fine */
/* Add one item as stored; copies. ERR_CORRUPT when the spec is not JSON. */
int derive_world_add(struct derive_world *w, const struct store_item *it,
    struct error *e) MUST_CHECK;
/* Add or replace one item, or take it out, in a world that is complete (and
 * so sorted). After a failure the world is to be loaded anew. */
int derive_world_put(struct derive_world *w, const struct store_item *it,
    struct error *e) MUST_CHECK;
void derive_world_remove(struct derive_world *w, uint32_t kind, uint64_t uid);
/* Fetch the credentials of all providers that have come since the last time. */
int derive_world_credentials(struct derive_world *w, derive_credential_fn *fn,
    void *ctx, struct error *e) MUST_CHECK;

struct derived_item {
	uint32_t kind;
	uint64_t uid;
	struct str packed; /* hg.Item */
	uint8_t hash[32];
};
struct derived {
	struct arena arena;	    /* owns the items */
	struct derived_item *items; /* by (kind, uid) */
	size_t n;
	uint8_t state_hash[32];
	uint32_t min_minor; /* of the schema, to understand all of them */
};
/* What the group gets. On error nothing is left to free. */
int derive_group(const struct derive_world *w, const char *group,
    struct derived *d, struct error *e) MUST_CHECK;
void derive_free(struct derived *d); /* wipes; a zeroed d is fine */
const struct derived_item *derived_find(
    const struct derived *d, uint32_t kind, uint64_t uid);

#endif
