/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread's side of the leases: the registry of budget cells, what
 * is reported to the control plane, what its grants change.
 *
 * A report is cumulative and so is a grant: both may be lost, repeated or
 * overtaken without harm. Rights that are given back leave `left` before the
 * report that says so is built. Fences are measured from the moment the
 * request was sent, on the monotonic clock.
 *
 * Cells and leases are never freed while the program runs: workers hold bare
 * pointers. A lease is used again for a later period when its own is over, not
 * before: the budget's calendar may be changed and changed back, and what was
 * granted in the period must be known when it is the current one again, or all
 * of it would be taken for new rights.
 *
 * While plenty is free the control plane gives rights for a longer time (a
 * horizon) and the cell rests: nothing is reported before half of it, unless
 * somebody waits, rights run low or go back, the budget's limit changes, a
 * report was not answered, or somebody else needs them (lease_table_hint()).
 * What rests is reported on in rounds: when one cell is due, all go along that
 * reported not lately, so that an agent has one exchange for all its leases.
 *
 * Every function takes the table's own lock, so any thread but a worker may
 * call it; reports and replies must alternate (one control thread).
 */
#ifndef AGENT_MONEY_LEASE_TABLE_H
#define AGENT_MONEY_LEASE_TABLE_H

#include "agent/money/lease.h"
#include "common/arena.h"
#include "proto/headgate.pb-c.h"

struct lease_tuning {
	int64_t idle_return_ns; /* give all back after this without use */
	int64_t horizon_ns;	/* keep what this much time will use */
	int64_t recycle_ns; /* a told old lease is reused after this, when its
			     * period is over */
	int64_t silent_ns;  /* no answer for that long: none comes soon */
	size_t max_reports; /* in one message */
	size_t max_values;  /* of budgets for each value, see lease_value.h */
};
extern const struct lease_tuning lease_tuning_default;

struct lease_table;

/* NULL without memory. */
struct lease_table *lease_table_new(const struct lease_tuning *tuning);
/* Frees all cells: only when no worker runs any more. NULL is fine. */
void lease_table_free(struct lease_table *t);

/* The cell of a budget, made when it is new; NULL without memory. */
struct budget_cell *lease_table_cell(
    struct lease_table *t, uint64_t uid, struct str name) MUST_CHECK;
struct budget_cell *lease_table_find(struct lease_table *t, uint64_t uid);

/* The budgets of a bundle that takes effect now; a cell that is not named is
 * deleted (it stays for requests in flight, and gives its rights back). */
struct budget_setting {
	struct budget_cell *cell;
	int64_t limit;
	bool soft;
	struct b_filter filter;
};
void lease_table_publish(
    struct lease_table *t, const struct budget_setting *v, size_t n);

/* Build the reports due at mono_now into the arena. `urgent` = only cells that
 * wait, run low or owe rights back (between heartbeats). Gives rights back
 * first. 0 or ERR_NOMEM. */
int lease_table_report(struct lease_table *t, int64_t mono_now, bool urgent,
    struct arena *a, Hg__LeaseReport ***reports, size_t *n) MUST_CHECK;
/* The reply to the last report, which was sent at sent_mono. Returns true when
 * a waiting worker may go on or give up: wake them. */
bool lease_table_reply(struct lease_table *t, int64_t sent_mono,
    int64_t mono_now, Hg__LeaseGrant *const *grants, size_t n);
/* The control plane is asked (any message) at mono_now: until the next reply
 * to a report, silence counts from the first such call. Building a report does
 * this by itself. Any thread. */
void lease_table_asked(struct lease_table *t, int64_t mono_now);
/* The last report got no reply. */
void lease_table_no_reply(struct lease_table *t);
/* Another agent may wait for rights on the budget (a published hint): report on
 * it now if its cell would not be reported on for a while. True when so; then
 * kick the control thread. Any thread but a worker. */
bool lease_table_hint(struct lease_table *t, uint64_t uid);
/* Is something urgent to be reported (waiters, low, returns)? */
bool lease_table_urgent(struct lease_table *t);
/* End all admission until the next grant: this process was told to stop. */
void lease_table_fence(struct lease_table *t);
/* From now on keep nothing: everything left goes back with each report. */
void lease_table_drain(struct lease_table *t);
/* Draining: all rights are back and the control plane was told so. */
bool lease_table_done(struct lease_table *t);

/* What status and explain show of one lease. */
struct lease_shown {
	uint64_t uid;
	struct str name; /* lives as long as the table */
	int64_t limit, spent, period_start, period_end, granted, settled,
	    returned, in_use, left, rate_per_s, want_total;
	bool soft, deleted, exhausted, old, fenced;
	bool of_value; /* the cell of a value: many have this name */
};
/* Calls each for every cell (period 0 when it has no lease) and old lease. */
void lease_table_each(struct lease_table *t, int64_t mono_now,
    void (*each)(void *ctx, const struct lease_shown *v), void *ctx);
/* Counters for metrics: grants that brought rights, recalls obeyed. */
void lease_table_counts(
    struct lease_table *t, uint64_t *grants, uint64_t *recalls);

#endif
