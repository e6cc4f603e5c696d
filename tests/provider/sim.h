/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all threads of the simulator share: options (constant), the oracle
 * bill, counters, and the ring of recent requests.
 */
#ifndef TESTS_PROVIDER_SIM_H
#define TESTS_PROVIDER_SIM_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/provider/bill.h"
#include "tests/provider/catalog.h"
#include "tests/provider/http.h"
#include "tests/provider/options.h"

/* X(member, help): counters of /sim/stats. */
#define SIM_COUNTER_TABLE(X)                                 \
	X(requests, "requests read, without /sim/")          \
	X(chats, "chat completions")                         \
	X(streams, "of them streamed")                       \
	X(embeddings, "embeddings")                          \
	X(others, "every other operation")                   \
	X(count_tokens, "tokens counted")                    \
	X(tokens_issued, "OAuth tokens issued")              \
	X(answers_2xx, "")                                   \
	X(answers_4xx, "")                                   \
	X(answers_5xx, "")                                   \
	X(faults, "faults played")                           \
	X(events, "content events sent")                     \
	X(disconnects, "clients that left during an answer") \
	X(auth_failures, "wrong or missing credentials")     \
	X(forbidden, "forbidden strings met: must stay 0")   \
	X(missing, "required strings not met: must stay 0")  \
	X(bad_requests, "connections closed for bad HTTP")   \
	X(connections, "connections accepted")               \
	X(tls_connections, "of them with TLS")               \
	X(open_connections, "connections now")               \
	X(active, "answers under way")

struct sim_counters {
#define X(member, help) _Atomic int64_t member;
	SIM_COUNTER_TABLE(X)
#undef X
};

#define SIM_MAX_LIST 16

/* A request as it came, for tests that look at what arrived. */
struct sim_seen {
	char *head, *body;
	size_t head_len, body_len;
};

struct scenario;
struct store;
struct tls_server;

struct sim {
	struct catalog catalog;
	struct options options;	   /* of the models file */
	struct scenario *scenario; /* NULL = none */
	struct store *store;	   /* stored responses */
	struct bill *bill;
	struct tls_server *tls; /* NULL = no TLS */
	const char *api_keys[SIM_MAX_LIST];
	int n_api_keys;
	const char *canaries[SIM_MAX_LIST];
	int n_canaries;
	uint64_t seed;
	struct sim_counters n;
	_Atomic int stop;
	_Atomic uint64_t next_id;
	int keep_last; /* requests kept for /sim/last */
	pthread_mutex_t seen_lock;
	struct sim_seen *seen; /* ring of keep_last */
	uint64_t n_seen;
	char forbidden_sample[128]; /* first place where one was met */
};

void sim_keep(struct sim *s, const struct http_request *r);
void sim_render_last(struct sim *s, struct buf *out);
void sim_render_stats(struct sim *s, struct buf *out);
/* Is what the request must (not) hold, by x-sim-forbid, x-sim-require and the
 * canaries, as it should be? Counts what is not, and says what. A header value
 * of the two is a text that must (not) occur anywhere in head or body, or
 * "header:NAME" for a header, "header:NAME=TEXT" for one with TEXT in it,
 * "body:TEXT" for the body alone. Both may occur many times. */
bool sim_asserts(
    struct sim *s, const struct http_request *r, char *why, size_t cap);
void sim_reset(struct sim *s);
int64_t sim_wall_ms(void);

#endif
