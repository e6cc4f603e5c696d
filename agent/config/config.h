/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of the running agent: takes signed bundles from whoever
 * received them (pushed or pulled), applies, compiles, publishes to
 * the workers, keeps the disk cache, and remembers what to acknowledge.
 *
 * The control thread applies; views and acknowledgements are for any thread.
 * Disk writes happen on a thread of their own.
 */
#ifndef AGENT_CONFIG_CONFIG_H
#define AGENT_CONFIG_CONFIG_H

#include "agent/agent.h"
#include "agent/config/cache.h"
#include "agent/config/compile.h"

struct config;

struct config_options {
	struct agent *agent; /* publishes to it */
	struct lease_table *leases;
	struct rate_table *rates; /* NULL: limits are this agent's alone */
	const char *data_dir;
	uint8_t control_key[SIGN_PUBLIC_LEN];
	uint8_t disk_key[DISK_KEY_LEN];
	struct io *io;
};

/* ERR_NOMEM. */
int config_new(const struct config_options *opt, struct config **ret,
    struct error *e) MUST_CHECK;
/* Waits for the last disk write. No worker may run any more. */
void config_free(struct config *c);

/* Publish the newest usable bundle of the disk cache. ERR_NOT_FOUND. */
int config_boot(struct config *c, struct error *e) MUST_CHECK;
/* A SignedBundle arrived. 0: active (or already was). ERR_VERSION: a delta
 * from another base, pull. ERR_INVALID: rejected, last good stays. Others:
 * not usable. */
int config_receive(
    struct config *c, struct str signed_bundle, struct error *e) MUST_CHECK;

struct config_view {
	uint64_t version; /* 0 = none */
	uint8_t state_hash[STATE_HASH_LEN];
	uint64_t rejected; /* newest version that was rejected */
	int64_t created_at, activated_at;
	unsigned n_keys, n_routes, n_deployments;
	bool from_cache; /* not confirmed since start */
};
void config_view(struct config *c, struct config_view *ret);

/* Acknowledgements to be sent, oldest first. They are kept until
 * config_acks_sent() says how many of them arrived. */
#define CONFIG_MAX_ACKS 64
struct config_ack {
	uint64_t version;
	uint32_t level, kind; /* Hg__AckLevel, Hg__ItemKind */
	int64_t at;
	char item[256], reason[512];
};
size_t config_acks(struct config *c, struct config_ack ret[CONFIG_MAX_ACKS]);
void config_acks_sent(struct config *c, size_t n);

#endif
