/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data port of one worker: HTTP server, admission, relaying, settlement.
 * Everything runs on the worker's thread. One turn of the worker is
 *
 *   loop_poll -> front_turn (server, upstream, parked requests)
 *             -> journal_flush once -> rights are given back, calls whose
 *                intent is on disk start, answers whose usage is on disk
 *                complete -> server again
 */
#ifndef AGENT_FRONT_FRONT_H
#define AGENT_FRONT_FRONT_H

#include "agent/agent.h"
#include "agent/front/count.h"
#include "agent/front/meter.h"
#include "agent/front/owed.h"
#include "agent/money/learn.h"
#include "agent/front/request.h"
#include "agent/route/route.h"

struct server;

struct front_limits {
	size_t max_requests, max_connections;
	size_t max_body, max_head, stream_buffer, max_answer, max_event;
	size_t max_bodies;    /* bytes of large bodies, all in flight */
	int64_t lease_wait;   /* ns a request may wait for rights */
	int64_t queue_wait;   /* ns a request may wait for a place */
	int64_t idle_timeout; /* ns a connection may rest, or a head take */
	int64_t body_timeout; /* ns a body may take */
	int64_t send_timeout; /* ns without progress towards the client */
};

/* What the metrics were told last. */
struct front_told {
	int64_t connects, events, streams, calls, connections, in_flight;
};

struct front {
	struct agent *agent;
	unsigned index; /* of the worker */
	struct loop loop;
	struct front_limits lim;
	struct json_limits json, answer_json;
	struct journal_shard *shard;
	struct bundle *bundle; /* current; NULL before the first */
	struct upstream *up;
	struct server *server;
	struct route_health *health;
	struct meter meter;
	struct learn learn; /* shares of reservations that are spent */
	struct rng_seeded rng;
	struct request *free_list;
	size_t n_requests, n_free; /* made, of them free */
	_Atomic unsigned in_flight;
	unsigned n_streams;
	size_t bodies; /* bytes of bodies and forms in flight */
	struct request *start, *finish, *lowering;
	struct owed_list owed;			/* settled, to be given back */
	struct request *waiting, *waiting_last; /* waiting.h */
	int64_t told_others; /* when other workers last heard of free rights */
	bool tell_others;    /* they have not heard of the latest yet */
	struct loop_source wake;
	bool woken, flush_failed;
	int64_t next_second, next_retry;
	int64_t lowered; /* mono ns of the latest in `lowering` */
	uint64_t events; /* relayed */
	struct tokenizer_scratch *scratch; /* from the first estimate on */
	size_t exact_left; /* bytes to count exactly in this turn */
	struct count_ratios ratios;
	struct front_told told;
};

/* Build on a bound, listening, non-blocking socket, which is taken over. */
int front_init(struct front *f, struct agent *a, unsigned index, int listen_fd,
    struct error *e) MUST_CHECK;
void front_release(struct front *f);
/* One turn. max_wait in ns. */
void front_turn(struct front *f, int64_t max_wait);
/* Close the listening socket. */
void front_quiesce(struct front *f);
/* Cancel and settle everything in flight. */
void front_abort(struct front *f);
/* Is anything in flight? */
bool front_is_idle(const struct front *f);

/* admit.c: the body is complete; decide. The request is in REQ_ANSWER
 * afterwards (a refusal or a local answer), or parked. */
void admit_request(struct request *r);
/* The route that r->scan names and the key may use; false: refused. */
bool admit_route(struct request *r);
/* Begin an attempt at the best target left; on failure the request is
 * answered. keep: try the same target again on a fresh connection. */
void admit_attempt(struct request *r, bool keep);
/* The attempt got a place at that target, after waiting. */
void admit_granted(struct request *r, unsigned target);
/* Rights may have come: try again. */
void admit_retry(struct request *r);
/* Wait, from REQ_ADMIT, for rights or for a share of a limit (waiting.h). */
void admit_wait(struct request *r);

/* limits.c: take the rates and places of the key. False: refused, or parked. */
bool limits_admit(struct request *r);
/* They are taken: on to the agent's own places, then to a deployment. */
void limits_begin(struct request *r);
/* A share may have come. late: it waits no longer, and without any word from
 * the control plane the agent's safe share holds from now on. */
void limits_retry(struct request *r, bool late);

/* call.c: the intent is on disk: call the provider. */
void call_start(struct request *r);
/* The client took bytes: let the provider go on. */
void call_drained(struct request *r);
/* The client left, or the server lost it. Safe in every state. */
void call_client_gone(struct request *r);
/* The usage of an answer is on disk: release it. */
void call_release(struct request *r);

/* settle.c: end the current attempt: prices it, gives the reservation back,
 * collects the usage record. res NULL: the gateway gave up by itself.
 * complete: the answer came to its proper end. */
void settle_attempt(
    struct request *r, const struct up_result *res, bool complete);
/* Bytes of text that one turn of a worker counts exactly for estimates: 20 ms;
 * what is more is counted by ratio. */
#define SETTLE_EXACT_MAX ((size_t)1 << 20)
/* The request is over: limits, metrics, explain. */
void settle_request(struct request *r);
/* Worst-case tokens of an attempt at a model with that output cap. */
void settle_worst(const struct scan *q, int64_t max_output, struct tokens *t);

/* refuse.c: make the request's answer an error of ours. The refuse_ functions
 * also move it to REQ_ANSWER and wake its connection. */
void refuse(struct request *r, int code, const char *text);
void refuse_field(
    struct request *r, int code, const char *param, const char *text);
void refuse_head(struct request *r, enum head_reason reason);
void refuse_limit(struct request *r, const struct limit_verdict *v);
/* For want of capacity, with a time to come again. */
void refuse_busy(struct request *r, int64_t retry_ms, const char *text);
void refuse_budget(struct request *r, int code, const struct budget_cell *cell);
/* Only prepare r->out and r->answer. extra as in oai_error_body(). */
void refuse_prepare(struct request *r, int code, const char *param,
    const char *text, const char *extra);
/* The event that ends a broken stream, appended to r->held. */
void refuse_in_stream(struct request *r, int code, const char *text);

/* REQ_END, the server let go and no call is left: account and free it. */
void request_try_end(struct request *r);

/* models.c: lists of models and single ones, in every dialect. */
void models_answer(struct request *r);
/* tokens.c: counts of tokens, answered from here. */
void tokens_answer(struct request *r);

/* server.c: the parked connection of r has something to say. */
void server_resume(struct request *r);
int server_new(struct front *f, int listen_fd, struct server **ret,
    struct error *e) MUST_CHECK;
void server_free(struct server *s);
/* Let the HTTP server work; call after events and after resumes. */
void server_run(struct server *s);
/* Does it want to run without an event (resumed connections, ...)? */
bool server_is_due(const struct server *s);
int64_t server_max_wait(const struct server *s); /* ns */
void server_second(struct server *s);		 /* once a second */
void server_quiesce(struct server *s);
unsigned server_n_connections(const struct server *s);
/* Cancel every request in flight. */
void server_abort_all(struct server *s);
const char *server_date(struct server *s); /* for the Date field */

/* Lists of the turn. */
void front_want_start(struct request *r);
void front_want_finish(struct request *r);

#endif
