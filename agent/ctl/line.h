/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question to the control plane and its answer: packs and signs the
 * envelope, moves the bytes, checks that the reply is the control plane's and
 * answers this question. The transport is behind a pointer, so that tests and
 * the simulation answer by hand. Any thread.
 *
 * How long an answer is waited for: bytes can vanish without the connection
 * noticing, and then only the end of the wait gives the line up for a fresh
 * one. So the control thread's own messages, which are answered in milliseconds
 * and come every second, wait LINE_PATIENCE_MIN_MS. Where answers are truly
 * that slow the patience doubles with each wait in vain, up to that of all
 * other messages, and falls back slowly. Every message may be sent again: usage
 * is told apart by its sequence numbers, reports of leases are totals, HELLO
 * names the instance, PULL says where to go on.
 */
#ifndef AGENT_CTL_LINE_H
#define AGENT_CTL_LINE_H

#include <stdatomic.h>

#include "agent/ctl/identity.h"
#include "common/arena.h"
#include "common/metric.h"
#include "proto/headgate.pb-c.h"

#define LINE_PATIENCE_MIN_MS 5000

struct line_transport {
	/* As channel_call(). */
	int (*call)(void *ctx, struct str request, int timeout_ms,
	    struct buf *reply, struct error *e);
	bool (*connected)(void *ctx);
	void *ctx;
};

struct line {
	const struct identity *identity;
	uint64_t boot_epoch;
	_Atomic uint64_t seq;
	_Atomic int patience_ms; /* 0 = LINE_PATIENCE_MIN_MS */
	struct line_transport transport;
	struct metric_set *metrics; /* may be NULL */
};

/* Send `request`; the reply, unpacked into the arena, must be of the same
 * message type. *reply lives as long as the arena's contents. ERR_* of the
 * transport, of the envelope, or what an ErrorReply says. */
int line_call(struct line *l, Hg__MessageType type,
    const ProtobufCMessage *request,
    const ProtobufCMessageDescriptor *reply_type, struct arena *a, void **reply,
    struct error *e) MUST_CHECK;

/* Transport over a channel_client (ctx). */
struct line_transport line_over_channel(struct channel_client *c);

#endif
