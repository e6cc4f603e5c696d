/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budget periods and leases in the database. What to grant is decided by
 * controlplane/money/grant.c; here is the SQL that reads what the decision
 * needs and writes what it decided, under the row lock of the budget_period.
 *
 * Money is int64 nano-USD; instants are int64 nanoseconds since 1970.
 */
#ifndef CONTROLPLANE_STORE_STORE_LEASE_H
#define CONTROLPLANE_STORE_STORE_LEASE_H

#include "controlplane/store/store.h"
#include "controlplane/store/store_usage.h"

/* ---- periods ------------------------------------------------------------- */

/* The window of a budget's spec (JSON text) that holds `at`; *lim = what it
 * may spend in it by the spec. end INT64_MAX = never. ERR_INVALID when the
 * database does not know the zone. */
int store_period_bounds(struct db *db, struct str spec, int64_t at,
    int64_t *start, int64_t *end, int64_t *lim, struct error *e) MUST_CHECK;

/* ---- budget status (REST) ------------------------------------------------ */

struct budget_status {
	uint64_t budget_uid;
	int64_t period_start, period_end; /* end INT64_MAX = never */
	int64_t span;  /* of a rolling window, whose last bucket the period
			  is; the figures are of the window; else 0 */
	int64_t limit; /* base + adjust */
	int64_t base, adjust;
	int64_t free; /* below 0: overspent, or the limit was lowered */
	int64_t settled;
	int64_t leased;	  /* granted - settled - returned of live leases */
	int64_t doubtful; /* the same of superseded or fenced ones */
	int64_t held;	  /* behind estimates, see proto/held.h */
	int64_t released; /* doubt that time gave back, of bounded budgets */
};
struct lease_status {
	struct str agent_id;
	uint64_t boot_epoch;
	int64_t granted, settled, returned;
	bool doubtful;
	int64_t updated_at, period_start;
};
typedef int lease_status_fn(void *ctx, const struct lease_status *l);
/* The period at `at` (normally now); fn (may be NULL) gets the leases. A
 * period in which nothing happened yet is computed, not stored.
 * ERR_NOT_FOUND: no such budget. */
int store_budget_status(struct db *db, uint64_t budget_uid, int64_t at,
    struct budget_status *ret, lease_status_fn *fn, void *ctx,
    struct error *e) MUST_CHECK;

/* A person's decision about the rest of one doubtful lease, or (agent_id
 * empty) about what is held behind estimates. */
struct doubt_decision {
	uint64_t budget_uid;
	int64_t period_start;
	struct str agent_id;
	uint64_t boot_epoch;
	bool release; /* to free; else it counts as spent */
	struct str author, reason;
};
/* Own transaction. *amount = nano-USD decided about. ERR_NOT_FOUND: no such
 * lease, or it is not in doubt. */
int store_doubt_decide(struct db *db, const struct doubt_decision *d,
    int64_t *amount, struct error *e) MUST_CHECK;

/* ---- charging: called by the ingest -------------------------------------- */

/* In the caller's transaction; c sorted by (budget_uid, period_start,
 * boot_epoch). Charges on budgets that never existed are dropped. */
int store_lease_charge(struct db *db, struct str agent_id,
    const struct lease_charge *c, size_t n, struct error *e) MUST_CHECK;

/* ---- grants: called by the fleet ----------------------------------------- */

/* What a decision about one lease needs. */
struct lease_view {
	uint64_t budget_uid;
	bool found; /* the budget (or this old period of it) exists */
	bool soft;
	bool is_current; /* the period holds `now` */
	bool stale;	 /* its row is missing or the budget changed: lock */
	bool moved;  /* its limit is not what the row says, or a window rolls */
	bool exists; /* this agent has a lease of the period */
	/* The cell of a value that has no place (hg_value_place()): it is
	 * granted nothing. */
	bool retired;
	int64_t period_start, period_end, limit, free, spent;
	/* this agent's lease; zeros when there is none yet */
	int64_t granted, settled, returned, high_water, report_at, fence_at;
	int64_t r_settled, r_in_use;
	bool recall;
	int64_t version;   /* of the configuration that the row is from */
	int64_t recall_at; /* somebody asked for what others hold, 0 = never */
	/* The others on this period. Active: with a recent report, or not
	 * expected to report yet (quiet_until) and holding rights. */
	bool counted;	    /* else nobody was: see lease_key.plenty */
	int64_t n_active;   /* active agents, this one not */
	int64_t recallable; /* their idle rights */
	int64_t busy;	    /* reserved there by requests in flight */
};

/* One asked-for lease: budget and period_start (0 = current). */
struct lease_key {
	uint64_t budget_uid;
	int64_t period_start;
	/* With this much free, who else holds rights makes no difference:
	 * n_active and recallable are 0 then and nobody is counted, which takes
	 * most of the time where there are many agents. 0: always count. */
	int64_t plenty;
};

/* Read without locks; view[i] for key[i]. `recent`: reports at or after this
 * instant count as active. */
int store_lease_read(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_key *keys, size_t n, int64_t now, int64_t recent,
    struct lease_view *view, struct error *e) MUST_CHECK;
/* The same for one key in the caller's transaction, creating the period row
 * if needed, with its row locked until the end of the transaction. */
int store_lease_lock(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct lease_key key, int64_t now, int64_t recent, struct lease_view *view,
    struct error *e) MUST_CHECK;

/* What was decided; all counters are absolute and cumulative. */
struct lease_write {
	uint64_t budget_uid;
	int64_t period_start;
	int64_t grant;	  /* added to granted, taken from free; >= 0 */
	int64_t returned; /* new cumulative value (merged by maximum); free
			     rises by the difference */
	int64_t high_water, r_settled, r_in_use, report_at, fence_at;
	/* The agent need not report before; merged by maximum. 0: it reports
	 * with each heartbeat. */
	int64_t quiet_until;
	bool recall;	    /* keep or clear this lease's recall mark */
	bool recall_others; /* ask the others to give back */
	/* Only store_lease_write_some(): money moves when at least `floor` is
	 * free, the row is of `version`, and the lease holds what was seen
	 * (seen_granted -1: there was none). floor 0: no money moves. */
	int64_t floor, version, seen_granted, seen_returned;
};
/* After store_lease_lock(), same transaction. ERR_CONFLICT when free is less
 * than the grant (cannot happen under the lock). ERR_VERSION: a grant for a
 * boot epoch that another one has superseded. */
int store_lease_write(struct db *db, struct str agent_id, uint64_t boot_epoch,
    const struct lease_write *w, struct error *e) MUST_CHECK;
/* Many leases at once, in a transaction of its own: moves of money where the
 * conditions in lease_write hold, and reports (floor 0) of leases that exist.
 * written[i] tells which were; nothing of the others was. The recall marks stay
 * as they are. w[0].report_at is that of all. Without moves of money it does
 * not wait for the disk. ERR_AGAIN: nothing was written. */
int store_lease_write_some(struct db *db, struct str agent_id,
    uint64_t boot_epoch, const struct lease_write *w, size_t n, bool *written,
    struct error *e) MUST_CHECK;

/* Give the rest of leases of epochs below `boot_epoch` back to free where the
 * journal of that epoch is complete (every shard closed): the evidence.
 * Own transaction. *released = nano-USD. */
int store_lease_release(struct store *s, struct str agent_id,
    uint64_t boot_epoch, int64_t *released, struct error *e) MUST_CHECK;

/* Rights of vanished agents on bounded budgets that are due at wall time
 * `now`, `grace` ns after their fence. Own transaction; *released = nano-USD.
 */
int store_doubt_timer(struct store *s, int64_t now, int64_t grace,
    int64_t *released, struct error *e) MUST_CHECK;

/* Audit: number of (budget, period) where conservation does not hold. */
int store_lease_check(
    struct db *db, int64_t *n_wrong, struct error *e) MUST_CHECK;

#endif
