/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the fleet share. fleet.c owns the object and its threads,
 * service.c opens and answers envelopes, msg_*.c handle one message each,
 * push.c follows commits.
 */
#ifndef CONTROLPLANE_FLEET_FLEET_INTERNAL_H
#define CONTROLPLANE_FLEET_FLEET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/arena.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/fleet/registry.h"
#include "controlplane/fleet/state.h"
#include "proto/channel.h"
#include "proto/envelope.h"
#include "proto/headgate.pb-c.h"

#define FLEET_MAX_WORKERS  64
#define FLEET_HEARTBEAT_MS 1000
#define FLEET_UNPACK_MAX   ((size_t)48 << 20) /* memory of one request */
#define FLEET_ALERTS	   1024

struct fleet {
	struct fleet_options o; /* strings are not kept */
	struct clock *clock;
	struct rng *rng;
	struct state *state;
	struct registry *registry;
	struct channel_server *channel;
	struct store_listener *listener;
	struct arena *arenas; /* one a worker */
	char *advertise, *advertise_publish, *tls_name;
	/* generation of each group's key: number of revoked agents */
	pthread_mutex_t keys_lock;
	struct group_key *keys;
	/* writer thread */
	pthread_t flusher;
	bool has_flusher, stop; /* stop under keys_lock, with wake */
	pthread_cond_t wake;
	/* where leases do not count agents; GRANT_AGENTS_MAX until known */
	atomic_llong agents_most;
	/* pressure.c */
	unsigned max_ingests;
	atomic_uint n_ingests;
	atomic_llong ingests_full_since; /* mono ns; 0 = a place came free */
	atomic_llong ingest_took;	 /* the last one, ns */
	atomic_ullong alerts[FLEET_ALERTS];
	atomic_ullong requests, refused, enrolled, published, snapshots, deltas,
	    usage_batches, usage_records, usage_slowed, grants;
	atomic_llong granted;
};

struct group_key {
	struct group_key *next;
	char group[64];
	uint32_t id;
	uint8_t key[GROUP_KEY_LEN];
};

/* One request being handled. */
struct request {
	struct fleet *f;
	struct arena *a; /* cleared afterwards */
	struct envelope env;
	struct agent_entry agent; /* not for enrolment */
	struct buf *reply;	  /* wire bytes go here */
	struct error e;
};

/* Handlers: unpack, do, answer by request_answer(). A non-zero result is
 * answered as an ErrorReply made of rq->e. */
int msg_enrol(struct request *rq) MUST_CHECK;
int msg_hello(struct request *rq) MUST_CHECK;
int msg_pull(struct request *rq) MUST_CHECK;
int msg_heartbeat(struct request *rq) MUST_CHECK;
int msg_usage(struct request *rq) MUST_CHECK;

/* ERR_CONFLICT when this request came before. */
int request_once(struct request *rq) MUST_CHECK;
/* Unpack the payload; NULL with rq->e set. */
void *request_unpack(
    struct request *rq, const ProtobufCMessageDescriptor *type);
/* Sign and append the reply. */
int request_answer(struct request *rq, const ProtobufCMessage *m) MUST_CHECK;

/* Divide the limits that the heartbeat reports on; fills reply->rates. */
void rates_exchange(struct request *rq, const Hg__Heartbeat *m, int64_t now,
    Hg__HeartbeatReply *reply);

/* channel_server's handler; ctx = struct fleet. */
void fleet_handle(
    void *fleet, unsigned worker, struct str bytes, struct buf *reply);

/* Take a place among those that book usage; false: all are taken, tell the
 * agent to come again after *retry_ms, which grows the longer that lasts. */
bool ingest_enter(struct fleet *f, uint32_t *retry_ms);
/* Give it back; began: clock_mono() of ingest_enter(). */
void ingest_leave(struct fleet *f, int64_t began);
/* How long to wait after a failure. */
uint32_t ingest_retry_ms(struct fleet *f);
/* Metric, and one log record for each agent and reason. */
struct usage_result;
void ingest_rejects(struct fleet *f, struct str agent, const Hg__UsageBatch *b,
    const struct usage_result *r);

/* Load the agent from the database into the registry and *ret. */
int fleet_load_agent(struct fleet *f, struct str id, struct agent_entry *ret,
    struct error *e) MUST_CHECK;

/* Current key of the group and its generation. */
int fleet_group_key(struct fleet *f, const char *group,
    uint8_t key[GROUP_KEY_LEN], uint32_t *id, struct error *e) MUST_CHECK;
/* Read the generations again. */
int fleet_load_keys(struct fleet *f, struct error *e) MUST_CHECK;

/* store_notify_fn: commits and revocations; ctx = struct fleet. */
void fleet_notified(void *fleet, const char *channel, const char *payload);
/* Load new versions and publish them. */
int fleet_catch_up(struct fleet *f, struct error *e) MUST_CHECK;

/* protobuf-c's structs have no const. */
static inline char *
fleet_text(const char *z)
{
	return (char *)(uintptr_t)z;
}

#endif
