/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's shares of limits that all agents keep together. The control
 * plane divides a limit's rate, burst and places among the agents that use it
 * and lends each a share for a time (unlike money it comes back by itself).
 *
 * What the control plane relies on:
 *   - a share is used no longer than its time, from before it was asked for,
 *     on our monotonic clock;
 *   - what is above a bucket's smaller depth leaves the bucket and is returned
 *     (counted) before the report that says so;
 *   - a released share admits nothing before the release is sent;
 *   - a session's counters only grow; after a release, and after a time on the
 *     safe share, a new session begins. What the bucket holds then was not
 *     lent: it is dropped, a debt stays.
 *
 * So of a limit of R a minute with burst B all agents in contact admit at most
 * R x t + B in any time t (of tokens: and what one request an agent has above
 * its bucket). An agent whose share ended goes on with the smaller of that and
 * an equal part, R/n and B/n: k of n agents without contact add k/n of the
 * bound, at most as much again. One that never had a share uses the equal part
 * too, after its requests waited in vain.
 *
 * Every function takes the table's lock unless it says worker.
 */
#ifndef AGENT_POLICY_RATE_H
#define AGENT_POLICY_RATE_H

#include "agent/policy/limit.h"
#include "common/arena.h"
#include "proto/headgate.pb-c.h"

#define RATE_FEATURE "rate-leases"

struct rate_table;

struct rate_tuning {
	int64_t idle_ns;    /* a share that is not used goes back after this */
	size_t max_reports; /* in one message */
};
extern const struct rate_tuning rate_tuning_default;

/* NULL without memory. */
struct rate_table *rate_table_new(const struct rate_tuning *tuning);
/* Only when no worker runs any more; before the cells go. NULL is fine. */
void rate_table_free(struct rate_table *t);
/* What is called when a share is needed now (any thread; must not block). */
void rate_table_kick(struct rate_table *t, void (*kick)(void *ctx), void *ctx);

/* Worker: the cell needs a share, or more of it. Cheap when it is known. */
void rate_ask(struct limit_cell *c);
/* Worker: the cell's share ended. */
void rate_lapsed(struct limit_cell *c);
/* The limit's configuration changed (or is new, or became the fleet's). */
void rate_limit_changed(struct limit_cell *c);

/* The reports due at mono_now; `urgent`: only what cannot wait. 0, ERR_NOMEM.
 */
int rate_table_report(struct rate_table *t, int64_t mono_now, bool urgent,
    struct arena *a, Hg__RateReport ***reports, size_t *n) MUST_CHECK;
/* The answer to the reports sent at sent_mono. True: wake the workers. */
bool rate_table_reply(struct rate_table *t, int64_t sent_mono, int64_t mono_now,
    Hg__RateShare *const *shares, size_t n);
/* Is there something that must not wait for the next heartbeat? */
bool rate_table_urgent(struct rate_table *t);
/* From now on give everything back. */
void rate_table_drain(struct rate_table *t);
/* Draining: nothing is left to give back. */
bool rate_table_done(struct rate_table *t);

/* For status and metrics. */
struct rate_view {
	uint64_t uid;
	struct str name, scope;
	int64_t rpm, tpm, max_conc;	    /* of the limit */
	int64_t req_rate, tok_rate, places; /* of the share; micro a minute */
	int64_t in_flight, agents;
	bool safe; /* out of contact */
};
void rate_table_each(struct rate_table *t,
    void (*each)(void *ctx, const struct rate_view *v), void *ctx);
void rate_table_counts(
    struct rate_table *t, uint64_t *shares, uint64_t *lapses);

#endif
