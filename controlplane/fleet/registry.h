/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents that this replica has heard of: key, boot epoch, replay window,
 * and what their last heartbeat said. A cache of table agent; an entry is
 * loaded on first use and again when it does not fit what the agent sends.
 *
 * Any thread; one lock. Entries are copied out, never pointed to.
 */
#ifndef CONTROLPLANE_FLEET_REGISTRY_H
#define CONTROLPLANE_FLEET_REGISTRY_H

#include "controlplane/store/store_fleet.h"

#define WINDOW_BITS 1024

struct registry;

/* Seen sequence numbers of one boot epoch. */
struct window {
	uint64_t top;			 /* highest seen */
	uint64_t bits[WINDOW_BITS / 64]; /* bit seq % WINDOW_BITS */
};
/* False when seq was seen or is too old to tell. */
bool window_accept(struct window *w, uint64_t seq);

struct agent_entry {
	char id[AGENT_ID_CAP];
	char group[64];
	char instance_id[64];
	uint8_t public_key[32];
	uint64_t boot_epoch;
	bool revoked;
};

struct registry *registry_new(void);
void registry_free(struct registry *r);

/* ERR_NOT_FOUND when the entry is not loaded (or was forgotten). */
int registry_get(
    struct registry *r, struct str id, struct agent_entry *ret) MUST_CHECK;
/* Insert or replace what is known; the replay window starts anew when the
 * boot epoch rises. */
int registry_put(struct registry *r, const struct agent_entry *a) MUST_CHECK;
/* The database changed: load it again on next use. */
void registry_forget(struct registry *r, struct str id);
void registry_forget_all(struct registry *r);

/* Replay check of (agent, boot epoch, seq): false = refuse. Epochs other than
 * the current one are not tracked: true. */
bool registry_accept(
    struct registry *r, struct str id, uint64_t boot_epoch, uint64_t seq);

/* What a heartbeat said. */
struct agent_beat {
	uint64_t active_version, unshipped;
	int64_t at, oldest_unshipped, requests_total; /* at: wall ns */
	char state[16];
};
void registry_beat(
    struct registry *r, struct str id, const struct agent_beat *b);
/* Take the entries that beat since the last call: fills ids[i], beats[i], at
 * most cap; returns how many. */
size_t registry_take_dirty(struct registry *r, char (*ids)[AGENT_ID_CAP],
    struct agent_beat *beats, size_t cap);
/* Agents that beat at or after `since`; *lagging: of those, not on version. */
unsigned registry_count(
    struct registry *r, int64_t since, uint64_t version, unsigned *lagging);

#endif
