/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents, join tokens and rollout acks in the database. Changes that other
 * replicas must hear of at once (a revocation) notify STORE_CHANNEL_FLEET.
 */
#ifndef CONTROLPLANE_STORE_STORE_FLEET_H
#define CONTROLPLANE_STORE_STORE_FLEET_H

#include "controlplane/store/store.h"

#define AGENT_ID_CAP 37 /* UUID text with its NUL */

/* ---- join tokens -------------------------------------------------------- */

struct join_row {
	char id[AGENT_ID_CAP];
	struct str group, region;
	struct str labels; /* JSON object */
	struct str created_by;
	int64_t created_at, expires_at, revoked_at; /* ns, 0 = never / not */
	int64_t max_uses;			    /* 0 = any number */
	int64_t uses;
};
typedef int join_row_fn(void *ctx, const struct join_row *j);

/* Insert j (created_at, revoked_at and uses are ignored) with the SHA-256
 * digest of the secret. Callers normally use fleet_join_token_create(). */
int store_join_create(struct db *db, const struct join_row *j,
    const uint8_t digest[32], struct error *e) MUST_CHECK;
/* Newest first, revoked and expired ones included. */
int store_join_list(
    struct db *db, join_row_fn *fn, void *ctx, struct error *e) MUST_CHECK;
/* ERR_NOT_FOUND. Revoking twice is fine. */
int store_join_revoke(struct db *db, struct str id, struct error *e) MUST_CHECK;

/* ---- agents -------------------------------------------------------------- */

struct agent_row {
	char id[AGENT_ID_CAP];
	struct str hostname, group, region;
	struct str labels; /* JSON object */
	struct str software_version;
	/* "connected" (seen < 5 s ago), "stale" (< 60 s), "gone", "fenced"
	 * (a second process with this identity was refused within the last
	 * 30 s), "revoked" */
	const char *state;
	struct str agent_state; /* its own word: starting, ready, draining */
	uint64_t boot_epoch, active_version;
	struct str instance_id;
	int64_t enrolled_at, last_seen, hello_at, revoked_at, refused_at; /* ns,
						0 = never */
	struct str refused_reason;
	uint64_t unshipped;
	int64_t oldest_unshipped;
	int64_t requests_total;
	uint8_t public_key[32];
};
typedef int agent_row_fn(void *ctx, const struct agent_row *a);

/* Ordered by id; ids above `after` (empty = from the start), at most limit
 * (0 = all). Revoked ones are left out unless `revoked`. wall_now decides
 * about state. */
int store_agent_list(struct db *db, struct str after, int limit, bool revoked,
    int64_t wall_now, agent_row_fn *fn, void *ctx, struct error *e) MUST_CHECK;
/* ERR_NOT_FOUND. fn is called once. */
int store_agent_get(struct db *db, struct str id, int64_t wall_now,
    agent_row_fn *fn, void *ctx, struct error *e) MUST_CHECK;
/* From now on the agent is refused; its leases are doubtful. Notifies the
 * fleet. In a transaction of the caller. ERR_NOT_FOUND. */
int store_agent_revoke(
    struct db *db, struct str id, struct error *e) MUST_CHECK;

struct agent_enrol {
	char id[AGENT_ID_CAP]; /* proposed; replaced when key_known */
	struct str token_id;
	uint8_t digest[32]; /* SHA-256 of the presented secret */
	uint8_t public_key[32];
	struct str hostname, software_version;
	struct str labels; /* JSON object, merged over the token's */
	/* results */
	char group[64], region[64];
	bool key_known; /* this key had enrolled before: nothing was used up */
};
/* Own transaction: check the token, count the use, insert the agent.
 * ERR_UNAUTHENTICATED for unknown, wrong, expired, revoked or used-up tokens
 * alike (e->text says which, for the log). */
int store_agent_enrol(
    struct store *s, struct agent_enrol *a, struct error *e) MUST_CHECK;

struct agent_hello {
	struct str id, instance_id, software_version;
	uint64_t boot_epoch;
	uint32_t n_shards; /* 0 = not told */
};
/* Own transaction: fence by boot epoch. ERR_VERSION when boot_epoch is below
 * the stored one, or equal with another instance_id (the refusal is written
 * to the row); older leases become doubtful. ERR_NOT_FOUND, ERR_FORBIDDEN
 * (revoked). */
int store_agent_hello(
    struct store *s, const struct agent_hello *h, struct error *e) MUST_CHECK;

/* What heartbeats said, for many agents in one statement. */
struct agent_seen {
	struct str id, state;
	uint64_t active_version, unshipped;
	int64_t last_seen, oldest_unshipped, requests_total;
};
int store_agents_seen(struct db *db, const struct agent_seen *a, size_t n,
    struct error *e) MUST_CHECK;

/* How many agents were heard of at wall time `since` or later. */
int store_agents_count(
    struct db *db, int64_t since, int64_t *n, struct error *e) MUST_CHECK;

/* Is this boot epoch one that said hello? For late usage. */
int store_agent_boot_known(struct db *db, struct str id, uint64_t boot_epoch,
    bool *known, struct error *e) MUST_CHECK;
/* All groups that have agents which are not revoked, and how many revoked
 * ones (the generation of the group's key). */
typedef int agent_group_fn(void *ctx, struct str group, int64_t n_revoked);
int store_agent_groups(
    struct db *db, agent_group_fn *fn, void *ctx, struct error *e) MUST_CHECK;

/* ---- rollout acks -------------------------------------------------------- */

struct ack_row {
	struct str agent_id, hostname, group, region;
	uint64_t version;
	int64_t received_at, validated_at, rejected_at, active_at; /* ns, 0 =
								not yet */
	int item_kind;
	struct str item, reason; /* of a rejection */
	uint64_t active_version; /* what the agent runs now */
	int64_t last_seen;
};
typedef int ack_row_fn(void *ctx, const struct ack_row *a);

struct ack_new {
	uint64_t version;
	int level; /* Hg__AckLevel */
	int item_kind;
	struct str item, reason;
	int64_t at; /* the agent's clock, ns */
};
/* First time wins for each level. */
int store_ack_put(struct db *db, struct str agent_id, const struct ack_new *a,
    size_t n, struct error *e) MUST_CHECK;
/* Forget acks of versions more than `keep` behind the latest. */
int store_ack_prune(struct db *db, int64_t keep, struct error *e) MUST_CHECK;
/* One row for every agent that is not revoked, ordered by id; agents that
 * never acked this version have zero times (active_version may be past it). */
int store_ack_rollout(struct db *db, uint64_t version, ack_row_fn *fn,
    void *ctx, struct error *e) MUST_CHECK;

#endif
