/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lease part of a heartbeat: reports in, grants out. Reads without locks
 * and decides (grant.h). Reports, and moves of money where so much is free that
 * nobody else makes a difference, are written in one transaction, each under
 * conditions that make it what the single path would decide. Where money moves
 * otherwise, or a condition did not hold, one budget after the other: take the
 * period's row lock, read again, decide again, a transaction each.
 */
#ifndef CONTROLPLANE_MONEY_EXCHANGE_H
#define CONTROLPLANE_MONEY_EXCHANGE_H

#include "common/arena.h"
#include "controlplane/money/grant.h"
#include "proto/envelope.h"

#define EXCHANGE_MAX_REPORTS PROTO_LEASE_REPORTS_MAX

struct exchange {
	struct str agent_id;
	uint64_t boot_epoch;
	int64_t now;	 /* wall, ns */
	bool lease_only; /* sent because somebody waits: skip the reports */
	const struct grant_config *cfg;
	/* results */
	Hg__LeaseGrant **grants; /* in the arena */
	size_t n_grants;
	uint64_t n_given;
	int64_t given; /* nano-USD */
};

/* db is idle (no transaction). What was granted is committed on return, also
 * on failure: the counters are cumulative, the next heartbeat gets it. */
int exchange_run(struct exchange *x, struct db *db,
    Hg__LeaseReport *const *reports, size_t n, struct arena *a,
    struct error *e) MUST_CHECK;

#endif
