/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What upstream.c and its engines share. An engine makes calls whose first
 * member is struct up_call.
 */
#ifndef AGENT_UPSTREAM_ENGINE_H
#define AGENT_UPSTREAM_ENGINE_H

#include "agent/upstream/upstream.h"

struct up_engine_ops {
	void (*cancel)(struct up_call *c);
	void (*pause)(struct up_call *c, bool paused);
	void (*body_ready)(struct up_call *c);
};

struct up_call {
	const struct up_engine_ops *ops;
	const struct up_events *ev;
	void *ctx;
	bool paused;
	bool over; /* done was reported or it was cancelled */
};

struct h1;
struct h1 *h1_new(struct loop *l, const struct up_limits *lim);
void h1_free(struct h1 *h);
/* Can this engine reach the provider? */
bool h1_can(const struct b_provider *p);
int h1_start(struct h1 *h, const struct up_request *rq,
    const struct up_events *ev, void *ctx, struct up_call **ret) MUST_CHECK;
bool h1_turn(struct h1 *h);
uint64_t h1_connects(const struct h1 *h);
unsigned h1_in_flight(const struct h1 *h);

struct upcurl;
struct upcurl *upcurl_new(struct loop *l, const struct up_limits *lim);
void upcurl_free(struct upcurl *c);
int upcurl_start(struct upcurl *c, const struct up_request *rq,
    const struct up_events *ev, void *ctx, struct up_call **ret) MUST_CHECK;
bool upcurl_turn(struct upcurl *c);
uint64_t upcurl_connects(const struct upcurl *c);
unsigned upcurl_in_flight(const struct upcurl *c);

/* Take one header field of an answer into h (names without regard to case). */
void up_head_field(struct up_head *h, struct str name, struct str value);

#endif
