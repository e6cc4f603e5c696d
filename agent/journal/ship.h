/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shipping: usage records go to the control plane in order per stream (boot
 * epoch and shard), in batches, each acknowledged by the watermark up to which
 * everything is committed there. What is acknowledged is noted durably in the
 * file "acks" before segments are deleted, from the front of a stream. Only
 * durable records are shipped: after a power cut the control plane never
 * knows a number that this disk has forgotten.
 *
 * A stream of an earlier boot ends with a batch that says `last`; when that is
 * acknowledged its files go.
 */
#ifndef AGENT_JOURNAL_SHIP_H
#define AGENT_JOURNAL_SHIP_H

#include "agent/journal/store.h"
#include "common/rng.h"
#include "proto/headgate.pb-c.h"

#define SHIP_MAX_RECORDS 2000
#define SHIP_MAX_BYTES	 ((size_t)1 << 20)

struct ship_link {
	/* Send one batch and wait for the answer; 0 with *ack filled, or
	 * ERR_* when there was none. Shipper's thread. */
	int (*send)(void *ctx, const Hg__UsageBatch *batch, Hg__UsageAck *ack);
	void *ctx;
};

struct shipper;

/* Loads DIR/acks. ERR_NOMEM. The journal must outlive it. */
int shipper_new(struct journal *j, const struct ship_link *link,
    struct rng *rng, struct shipper **ret, struct error *e) MUST_CHECK;
void shipper_free(struct shipper *s); /* stops the thread; NULL is fine */
/* One round over all streams: at most one batch each. Returns how many ms to
 * wait before the next round: 0 = more is there; -1 = until records come. */
int shipper_turn(struct shipper *s);
/* The thread: rounds when records became durable, back-off after errors. */
int shipper_start(struct shipper *s, struct error *e) MUST_CHECK;
void shipper_stop(struct shipper *s);
/* Look now (any thread), e.g. the control plane is back. */
void shipper_kick(struct shipper *s);
/* Is everything flushed so far acknowledged, and every old stream ended? */
bool shipper_done(struct shipper *s);

struct ship_stats {
	uint64_t batches, records, errors, unshipped;
	int64_t oldest_at; /* wall ns of the oldest known unshipped record */
	bool connected;	   /* the last exchange worked */
};
void shipper_stats(struct shipper *s, struct ship_stats *ret);

#endif
