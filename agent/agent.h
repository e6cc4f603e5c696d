/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of the agent share: the worker's view of the rest of the
 * program. main.c fills it in before the workers start; all members are
 * constant afterwards, except through the atomics named here.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/config/bundle.h"
#include "agent/journal/journal.h"
#include "agent/policy/queue.h"
#include "agent/tokenizer/tokenizer.h"
#include "common/clock.h"
#include "common/metric.h"
#include "common/rng.h"

#define AGENT_MAX_WORKERS 64

/* Table-driven options of the program (agent/options.c). */
struct agent_options {
	const char *data_listen, *status_listen, *data_dir, *join_token,
	    *log_format, *log_level, *disk_key, *ports_file, *name, *user,
	    *upstream_ca_file, *tokenizer_dir;
	/* sizes in bytes, durations in milliseconds */
	int64_t workers, max_body, max_head, max_connections, max_streams,
	    stream_buffer, drain_timeout, lease_wait, segment_size,
	    journal_reserve, group_commit, idle_return, stale_after, queue_wait,
	    queue_max, max_requests, budget_values;
	bool forward_sim_headers; /* tests only: pass x-sim-* upstream */
};

/* What the agent as a whole has a bounded number of places for. A request takes
 * those it needs in this order and holds them until it is over. The order is
 * part of the promise: who has all of a later kind waits for none of an
 * earlier one, so that no two requests wait for each other; deployments come
 * last. */
enum agent_place {
	AGENT_STREAMS,	/* streamed answers */
	AGENT_REQUESTS, /* all that go to providers */
	AGENT_PLACES
};

/* One worker as the control thread sees it. */
struct worker_link {
	_Atomic(struct bundle *) mailbox; /* newer bundle, owned by slot */
	int wake_fd;			  /* eventfd: look around */
	_Atomic uint64_t turns;		  /* for /livez */
};

struct agent {
	const struct agent_options *opt;
	struct clock *clock;
	struct rng *rng;
	struct metric_set *metrics; /* indices: agent/metrics.h */
	unsigned n_workers;
	struct worker_link links[AGENT_MAX_WORKERS];
	struct journal_shard *shards[AGENT_MAX_WORKERS];
	_Atomic int draining;	   /* no new requests */
	_Atomic int ready;	   /* a bundle is active */
	_Atomic int data_port;	   /* bound by worker 0 */
	_Atomic unsigned n_drains; /* answers read on without a client */
	void *explain;		   /* agent/front/explain.h */
	struct queue_gate *gate; /* for deployments' places; NULL = no queue */
	struct tokenizer_set tokenizers;
	/* The agent's own places; without agent_places_init() no bound. */
	struct limit_cell places[AGENT_PLACES];
	struct queue_gate *places_gate;
};

/* Before the workers start: how many places of each kind the agent has (0 = no
 * bound), and the queue for them. ERR_NOMEM; free it in any case. */
int agent_places_init(struct agent *a, const int64_t max[AGENT_PLACES],
    unsigned queue_max) MUST_CHECK;
void agent_places_free(struct agent *a);
/* "streams", "requests". */
const char *agent_place_name(enum agent_place p);
/* Control thread: hand a compiled bundle to all workers (takes a reference
 * for each) and wake them. */
void agent_publish(struct agent *a, struct bundle *b);
/* Wake all workers so that parked requests retry (after a grant). */
void agent_wake_all(struct agent *a);
/* Wake one; ctx is the agent. Fits queue_gate_new(). */
void agent_wake(void *ctx, unsigned worker);

#endif
