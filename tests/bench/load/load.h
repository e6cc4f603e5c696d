/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator's parts. One thread, one epoll; a connection belongs to
 * one target and has at most one request under way.
 *
 * Closed loop: every connection sends its next request when the answer to the
 * last one is complete. Open loop (rate > 0): requests are due at fixed
 * times; a request that finds no free connection waits, and its latency
 * counts from when it was due, so that a slow server cannot hide its queue.
 * With two targets they take turns, request by request.
 */
#ifndef TESTS_BENCH_LOAD_LOAD_H
#define TESTS_BENCH_LOAD_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>

#include "common/buf.h"
#include "tests/bench/load/hist.h"

#define LOAD_MAX_TARGETS 2

struct load_target {
	const char *name;
	struct sockaddr_in addr;
	struct buf request; /* head and body, sent as it is */
	struct load_conn *conns;
	struct load_conn *idle; /* free connections (open loop) */
	/* results */
	struct hist latency, first_byte, gap;
	uint64_t requests, errors, events, incomplete, bytes;
	uint64_t connect_errors, closed_early, bad_answers;
	uint64_t by_status[600];
	int64_t *waiting; /* ring of due times without a free connection */
	size_t wait_head, wait_n;
};

struct load_options {
	int connections; /* for each target */
	double rate;	 /* requests a second over all targets; 0: closed */
	double duration, warmup;
	uint64_t max_requests;
	bool sse;
	int64_t timeout_ns;
	int n_targets;
};

enum answer_state {
	ANSWER_HEAD,
	ANSWER_BODY, /* content-length */
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK_DATA,
	ANSWER_CHUNK_END,
	ANSWER_TRAILER,
	ANSWER_UNTIL_CLOSE,
	ANSWER_DONE
};

/* Incremental reader of one answer. */
struct answer {
	enum answer_state state;
	int status;
	bool close;
	uint64_t left;	/* of the body or chunk */
	unsigned line;	/* bytes of the trailer line */
	uint64_t bytes; /* of the body */
	uint64_t events;
	char last;     /* last body byte, for "\n\n" over reads */
	char tail[16]; /* last body bytes, for "[DONE]" */
	size_t tail_len;
	char head[8192];
	size_t head_len;
};

void answer_init(struct answer *a);
/* Take n bytes; returns how many belong to this answer; negative: no HTTP. */
long answer_feed(struct answer *a, const char *p, size_t n);
bool answer_is_done(const struct answer *a);
/* "[DONE]" or "message_stop" at the end. */
bool answer_saw_done_event(const struct answer *a);

struct load_conn {
	struct load_target *target;
	int fd;
	bool busy, connecting;
	size_t sent;
	int64_t due_ns, first_ns, last_event_ns, deadline_ns;
	struct answer answer;
	struct load_conn *next_idle;
};

/* Run; results are in the targets. */
int load_run(struct load_target *targets, const struct load_options *o,
    double *seconds, struct error *e) MUST_CHECK;

#endif
