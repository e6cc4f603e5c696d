/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread: keeps the agent in touch with the control plane. A state
 * machine with one exchange a step:
 *
 *   HELLO    introduce ourselves (after start and after each lost line)
 *   RUN      heartbeats: acks, lease reports, grants; urgent ones in between
 *   PULL     fetch a bundle part by part, heartbeats go on in between
 *   FENCED   the control plane refuses this process (a newer one has our
 *            identity, or it was revoked): no rights, readyz fails, asks again
 *   DRAIN    return all rights, wait for the last usage to be shipped
 *   STOPPED
 *
 * Bundles also come in by push: the subscriber's thread opens them and hands
 * them to this one, which applies and acknowledges them (push.c). Only this
 * thread changes the configuration.
 */
#ifndef AGENT_CTL_CTL_H
#define AGENT_CTL_CTL_H

#include "agent/agent.h"
#include "agent/config/config.h"
#include "agent/ctl/line.h"
#include "agent/journal/ship.h"
#include "agent/money/lease_table.h"
#include "agent/policy/rate.h"

#define CTL_STATES(X)           \
	X(CTL_HELLO, "hello")   \
	X(CTL_RUN, "run")       \
	X(CTL_PULL, "pull")     \
	X(CTL_FENCED, "fenced") \
	X(CTL_DRAIN, "drain")   \
	X(CTL_STOPPED, "stopped")

enum ctl_state {
#define X(e, name) e,
	CTL_STATES(X)
#undef X
	    CTL_N_STATES
};

struct ctl;

struct ctl_options {
	struct agent *agent;
	const struct identity *identity;
	uint64_t boot_epoch;
	char instance_id[33]; /* random hex, per process */
	struct line *line;
	struct config *config;
	struct lease_table *leases;
	struct rate_table *rates; /* NULL: none */
	/* Called after the first HELLO: subscribe to pushes (may be NULL).
	 * Control thread. */
	int (*subscribe)(void *ctx, struct error *e);
	void *subscribe_ctx;
	/* Called once when the boot epoch is taken by a process that is gone:
	 * this one must start over with a newer epoch. Control thread. */
	void (*restart)(void *ctx);
	void *restart_ctx;
	int64_t stale_after_ms; /* without contact, stop serving; 0 = never */
};

int ctl_new(const struct ctl_options *opt, struct ctl **ret,
    struct error *e) MUST_CHECK;
void ctl_free(struct ctl *c); /* stops the thread; NULL is fine */
/* The journal's shipper, once it exists (it sends over ctl_ship). */
void ctl_set_shipper(struct ctl *c, struct shipper *s);

/* One step at the clock's time; returns how many ms to wait at most before
 * the next. The thread does nothing else. */
int ctl_step(struct ctl *c);
int ctl_start(struct ctl *c, struct error *e) MUST_CHECK;
/* Any thread, cheap: look now (somebody waits for rights). */
void ctl_kick(void *ctl);
/* A message was published: a delta or a recall. Subscriber's thread. */
void ctl_pushed(void *ctl, struct str message);
/* struct ship_link.send; ctx is the ctl. Shipper's thread. */
int ctl_ship(void *ctl, const Hg__UsageBatch *batch, Hg__UsageAck *ack);
/* No request runs any more: return everything, ship everything. Waits until
 * done or timeout; true when done. Main thread. */
bool ctl_drain(struct ctl *c, int64_t timeout_ms);

struct ctl_view {
	enum ctl_state state;
	uint64_t boot_epoch, latest_version;
	int64_t last_contact; /* mono, 0 = never */
	bool connected, fenced, stale;
	bool settled; /* the first contact was made, refused, or not in time */
	char last_error[512];
};
void ctl_view(struct ctl *c, struct ctl_view *ret);
const char *ctl_state_name(enum ctl_state s);

#endif
