/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet over a fresh database, and agents that are only keys and a
 * channel: for tests of the control plane's side of the protocol.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_SUPPORT_FLEETLAB_H
#define TESTS_UNIT_CONTROLPLANE_SUPPORT_FLEETLAB_H

#include "controlplane/fleet/fleet.h"
#include "proto/bundle.h"
#include "proto/channel.h"
#include "proto/envelope.h"
#include "proto/headgate.pb-c.h"
#include "proto/join.h"
#include "tests/unit/controlplane/support/pgtest.h"
#include "tests/unit/support/unit.h"

struct lab {
	struct store *store;
	struct vault *vault;
	struct pki *pki;
	struct fleet *fleet;
	struct channel_client *client;
};

/* pgtest_open(), vault, keys, fleet, one connected client. Aborts. */
void lab_open(struct lab *l);
/* Ends the client and the fleet (or leaves what hangs in nng). */
void lab_close(struct lab *l);
/* Only store, vault and keys. */
void lab_open_store(struct lab *l);

/* Commit one item: create or update by name. Returns the version. */
uint64_t lab_put(struct lab *l, int kind, const char *name, const char *spec);
uint64_t lab_delete(struct lab *l, int kind, const char *name);
uint64_t lab_uid(struct lab *l, int kind, const char *name);
/* n keys acme.r.c.x1 ... in one version. */
uint64_t lab_put_keys(struct lab *l, unsigned n);
/* tenant acme, team acme.r, project acme.r.c, key acme.r.c.k, provider p,
 * model m, deployments d (all) and d-eu (group eu), route m over both. */
void lab_config(struct lab *l);
/* Wait until the fleet serves this version. */
void lab_wait_version(struct lab *l, uint64_t version);

/* Make a join token; text is malloc'ed. */
char *lab_token(
    struct lab *l, const char *group, int64_t max_uses, int64_t expires_at);

struct lab_agent {
	struct lab *l;
	uint8_t pk[SIGN_PUBLIC_LEN], sk[SIGN_SECRET_LEN];
	char id[AGENT_ID_CAP], group[64];
	uint64_t boot_epoch, seq;
	const char *instance;
	int64_t estimated; /* != 0: usage is estimated, this was reserved */
	bool may_lack;	   /* its journals may: goes with every last batch */
	uint8_t group_key[GROUP_KEY_LEN];
	uint32_t group_key_id;
	struct arena arena; /* of the last reply */
	struct error e;
};

/* A fresh key pair, enrolled by the token. ERR_* */
int lab_enrol(struct lab *l, const char *token, struct lab_agent *a);
/* Enrolled in the group, hello said in boot epoch 1. Aborts. */
void lab_agent(struct lab *l, const char *group, struct lab_agent *a);
int lab_hello(struct lab_agent *a, uint32_t n_shards);
/* One signed exchange; *reply lives until the next call. */
int lab_call(struct lab_agent *a, Hg__MessageType type,
    const ProtobufCMessage *m, const ProtobufCMessageDescriptor *reply_type,
    void *reply);
/* Heartbeat with one lease report (r may be NULL); grant is copied out, all
 * zero when there was none. */
int lab_beat(struct lab_agent *a, Hg__LeaseReport *r, Hg__LeaseGrant *grant);
/* A usage batch of n records from first_seq, each of `cost` on one budget. */
int lab_usage(struct lab_agent *a, uint64_t boot_epoch, uint32_t shard,
    uint64_t first_seq, unsigned n, int64_t cost, uint64_t budget_uid,
    int64_t period_start, bool last, Hg__UsageAck *ack);
void lab_agent_free(struct lab_agent *a);

#endif
