/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to providers. A narrow interface over two engines: our own HTTP/1.1
 * client for plain http to numeric hosts (upstream/h1.c: no allocation and no
 * epoll_ctl per call) and libcurl for https, host names and proxies
 * (upstream/upcurl.c). Connections are kept per b_provider.pool_id. One struct
 * upstream per worker; everything here is for that thread only.
 *
 * A call reports head -> data* -> done, or done alone. Callbacks come from the
 * loop, never from within up_start(). In a callback the call may be paused,
 * cancelled or another one started.
 */
#ifndef AGENT_UPSTREAM_UPSTREAM_H
#define AGENT_UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config/bundle.h"
#include "agent/loop/loop.h"

#define UP_MAX_PARTS 8

struct upstream;
struct up_call;

struct up_limits {
	size_t max_calls;     /* in flight */
	size_t max_idle;      /* kept-alive connections per origin */
	size_t max_head;      /* bytes of an answer's head */
	int64_t max_idle_age; /* ns a connection may rest */
	const char *ca_file;  /* PEM, for https; NULL or "" = the system's */
};

/* All slices must live until done or up_cancel(). */
struct up_request {
	const struct b_provider *provider;
	const char *method; /* NULL = "POST"; "GET" and "DELETE": no body */
	struct str path;    /* below the provider's base, "/chat/completions" */
	struct str headers; /* ready lines, each ended by CRLF; no framing, no
			     * Host, no credential */
	struct str parts[UP_MAX_PARTS]; /* the body */
	unsigned n_parts;
	/* After the parts: body_fd_len bytes of the file from body_fd_offset
	 * on (0 = none; the descriptor is not looked at then). The file may
	 * still grow: at its end the call waits for up_body_ready(). Not
	 * closed by us; must be open until done or up_cancel(). */
	int body_fd;
	int64_t body_fd_offset, body_fd_len;
	uint32_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms;
	bool fresh; /* do not use a kept-alive connection */
};

/* What the gateway wants to know of an answer's head. Texts are "" when
 * absent, cut to fit. */
struct up_head {
	int status;
	int64_t content_length; /* -1 = not given */
	int64_t told_input;	/* 1 + Bedrock's count of input tokens, or 0 */
	bool event_stream;	/* content-type is text/event-stream */
	bool amz_stream;	/* ... application/vnd.amazon.eventstream */
	bool ndjson;		/* ... application/x-ndjson or jsonl */
	bool encoded;		/* a content-encoding other than identity */
	char request_id[64], retry_after[64], retry_after_ms[24],
	    should_retry[8], processing_ms[24];
	char content_type[64];	 /* with its parameters */
	char amzn_errortype[64]; /* name of an AWS exception */
};

struct up_result {
	int error; /* 0, ERR_UPSTREAM, ERR_UPSTREAM_TIMEOUT, ERR_TOO_LARGE */
	bool connected; /* a connection was there */
	bool reused;	/* it was a kept-alive one */
	bool sent_all;	/* the whole request was handed to the kernel */
	bool got_any;	/* a byte of the answer came */
	char text[96];	/* for people, no secrets */
};

struct up_events {
	void (*head)(void *ctx, const struct up_head *h);
	void (*data)(void *ctx, const char *p, size_t n);
	/* The call is over and gone. */
	void (*done)(void *ctx, const struct up_result *r);
};

/* NULL and e set without memory. */
struct upstream *upstream_new(
    struct loop *l, const struct up_limits *lim, struct error *e);
/* No call may be in flight. */
void upstream_free(struct upstream *u);
/* Start a call; *ret is valid until done or up_cancel(). ERR_OVERLOADED at the
 * limit, ERR_NOMEM. */
int up_start(struct upstream *u, const struct up_request *rq,
    const struct up_events *ev, void *ctx, struct up_call **ret) MUST_CHECK;
/* Give up: the connection is closed and no callback comes any more. */
void up_cancel(struct up_call *c);
/* More of body_fd can be read than before. Callbacks do not come from within.
 */
void up_body_ready(struct up_call *c);
/* Hold back data (true) or let it flow again. Data that is already read may
 * still arrive. Pausing stops the idle time-out. */
void up_pause(struct up_call *c, bool paused);
/* Once a turn, after events were delivered: what the engines put off. Returns
 * true when there is more to do at once. */
bool upstream_turn(struct upstream *u);
/* Connections opened so far, calls in flight. */
uint64_t upstream_connects(const struct upstream *u);
unsigned upstream_in_flight(const struct upstream *u);

#endif
