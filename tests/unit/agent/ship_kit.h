/* SPDX-License-Identifier: Apache-2.0 */
/* A journal with metrics whose shipper talks to a line that a test scripts. */
#ifndef TESTS_UNIT_AGENT_SHIP_KIT_H
#define TESTS_UNIT_AGENT_SHIP_KIT_H

#include "tests/unit/agent/journal_kit.h"

/* The control plane's side: the last batch as it went over the line, and what
 * is answered. */
struct ship_line {
	unsigned n, of_shard[4]; /* batches */
	Hg__UsageBatch *got;
	int rc;
	int32_t code;
	uint32_t retry_ms;
	int fail_shard;	   /* only this one fails; -1: all */
	uint64_t mark;	   /* answered, 0: all of the batch */
	uint64_t next_seq; /* that must come next, 0: not looked at */
};
extern struct kit sk;
extern struct ship_line line;

/* ship_link.send */
int ship_line_send(void *ctx, const Hg__UsageBatch *b, Hg__UsageAck *ack);

void ship_begin(void); /* folder, metrics, a line that takes all */
void ship_end(void);
/* The next boot of sk, and a shipper on the line. Each back-off has 37 ms on
 * top of its half. */
void ship_boot(void);
void ship_connect(void); /* another shipper in its place */
struct ship_stats ship_now(void);

#endif
