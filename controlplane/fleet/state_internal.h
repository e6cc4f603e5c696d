/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by state.c (loading, steps) and state_bundle.c (bundles). */
#ifndef CONTROLPLANE_FLEET_STATE_INTERNAL_H
#define CONTROLPLANE_FLEET_STATE_INTERNAL_H

#include <pthread.h>

#include "controlplane/fleet/derive.h"
#include "controlplane/fleet/state.h"

#define STATE_HISTORY	 64 /* versions back that deltas can start from */
#define STATE_BUNDLES	 8  /* kept per group */
#define STATE_MAX_GROUPS 256
#define STATE_GROUP_CAP	 64

struct step_item {
	uint32_t kind;
	uint64_t uid;
};

/* From one loaded version to the next: what changed, and the state hash that
 * the old version had. */
struct step {
	uint64_t from;
	uint8_t hash[STATE_HASH_LEN];
	struct step_item *items;
	size_t n;
};

struct group {
	struct group *next;
	char name[STATE_GROUP_CAP];
	uint64_t version;
	struct derived now;
	struct step steps[STATE_HISTORY]; /* ring; the last one leads to now */
	size_t n_steps;
	struct state_bundle *bundles[STATE_BUNDLES]; /* ring */
	size_t n_bundles;
};

struct state {
	pthread_mutex_t lock;	    /* everything below but version */
	pthread_mutex_t refreshing; /* one refresh at a time */
	const struct vault *vault;
	struct clock *clock;
	uint8_t sign_sk[SIGN_SECRET_LEN];
	/* Written by a refresh only, under lock; so a refresh may read them
	 * without. */
	struct derive_world *world;
	bool world_good; /* complete, of world_version */
	uint64_t world_version;
	struct group *groups;
	size_t n_groups;
	_Atomic uint64_t version;
};

struct group *state_find_group(struct state *s, const char *name);

#endif
