/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the libcurl engine: shared by upcurl.c and upcurl_easy.c only. */
#ifndef AGENT_UPSTREAM_UPCURL_PRIV_H
#define AGENT_UPSTREAM_UPCURL_PRIV_H

#include <curl/curl.h>

#include "agent/upstream/engine.h"
#include "common/pool.h"

#define UPCURL_MAX_SPARE 16		  /* easy handles kept by a pool */
#define UPCURL_POOL_AGE	 (600 * NS_PER_S) /* without a call */
#define UPCURL_LINE_MAX	 8448		  /* bytes of a header line */

struct upcurl_pool;

struct upcurl_socket {
	struct loop_source src; /* first */
	struct loop_deferred deferred;
	struct upcurl *engine;	  /* outlives the pool */
	struct upcurl_pool *pool; /* while the socket is watched */
	uint32_t events;
};

struct upcurl_call {
	struct up_call base; /* first */
	struct loop_deferred deferred;
	struct upcurl *engine;
	struct upcurl_pool *pool;
	struct upcurl_call *next, *prev; /* of those in flight */
	CURL *easy;
	struct curl_slist *fields;
	struct str parts[UP_MAX_PARTS];
	unsigned n_parts, part;
	size_t part_at;
	int file; /* body after the parts */
	int64_t file_at, file_left;
	uint64_t body_len, sent;
	struct timer timer;
	int64_t deadline;
	uint32_t connect_ms, first_byte_ms, idle_ms;
	struct up_head head;
	bool head_ready, head_done, timed_out, cancelled;
	bool resume; /* the body may go on, when libcurl can be told */
	struct up_result res;
};

/* Connections, easy handles and TLS sessions of one provider as it is
 * configured: nothing of it is used for another one. */
struct upcurl_pool {
	struct upcurl_pool *next;
	struct upcurl *engine;
	uint8_t id[16]; /* b_provider.pool_id */
	CURLM *multi;
	struct timer timer;
	CURL *spare[UPCURL_MAX_SPARE];
	unsigned n_spare, n_calls; /* calls: until they are freed */
	int64_t used_at;	   /* mono ns */
};

struct upcurl {
	struct loop *loop;
	struct up_limits lim;
	struct pool calls, sockets;
	struct upcurl_pool *pools;
	struct upcurl_call *in_flight;
	unsigned n_in_flight;
	int64_t next_sweep;
	uint64_t n_connects;
	int depth; /* inside upcurl_multi_* */
	bool look; /* messages may wait */
};

/* Time is counted from now on. */
void upcurl_deadline(struct upcurl_call *c, uint32_t ms);

/* Callbacks of libcurl that belong to a call, given to it as ctx. */
size_t upcurl_on_field(char *p, size_t size, size_t n, void *ctx);
size_t upcurl_on_data(char *p, size_t size, size_t n, void *ctx);
int upcurl_on_prereq(void *ctx, char *peer, char *local, int pport, int lport);
int upcurl_on_close(void *ctx, curl_socket_t fd);

/* Make c->easy the request. ERR_TOO_LARGE, ERR_NOMEM. */
int upcurl_easy_set(
    struct upcurl_call *c, const struct up_request *rq) MUST_CHECK;

#endif
