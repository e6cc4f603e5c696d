/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by derive.c (items, groups) and derive_spec.c (spec to message). */
#ifndef CONTROLPLANE_FLEET_DERIVE_INTERNAL_H
#define CONTROLPLANE_FLEET_DERIVE_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "controlplane/fleet/derive.h"
#include "proto/headgate.pb-c.h"

struct world_item {
	uint32_t kind;
	uint64_t uid, version;
	char *name;
	json_t *spec;
	char *secrets[2]; /* provider, clear, by enum credential; NULL = none */
	size_t secrets_len[2];
};

struct derive_world {
	struct world_item *items;
	size_t n, cap;
	bool sorted;
	json_t *index; /* "kind name" -> uid */
};

/* uid of an item by name; 0 when there is none. */
uint64_t world_uid(
    const struct derive_world *w, uint32_t kind, const char *name);
const struct world_item *world_find(
    const struct derive_world *w, uint32_t kind, uint64_t uid);
/* May agents of the group use the deployment? */
bool deployment_in_group(const struct world_item *d, const char *group);
/* Does any deployment of the group use the provider? */
bool provider_in_group(const struct derive_world *w, const struct world_item *p,
    const char *group);

/* Fill the message of one item, memory from a. ERR_CORRUPT names the item. */
int derive_message(const struct derive_world *w, const struct world_item *it,
    const char *group, struct arena *a, Hg__Item *m,
    struct error *e) MUST_CHECK;

#endif
