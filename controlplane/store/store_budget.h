/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets beyond leases: events about thresholds and forecasts, changes of
 * what a period may spend. Money is
 * int64 nano-USD; instants are int64 nanoseconds since 1970.
 */
#ifndef CONTROLPLANE_STORE_STORE_BUDGET_H
#define CONTROLPLANE_STORE_STORE_BUDGET_H

#include "controlplane/store/store.h"

/* Raise the events that are due at wall time `now`; *n = how many. Own
 * transaction. */
int store_budget_raise(
    struct store *s, int64_t now, int64_t *n, struct error *e) MUST_CHECK;

/* Replicas may differ so much about the time that a period ends. */
#define BUDGET_CLOSE_SKEW_NS (INT64_C(30) * 1000000000)
/* So long after its end a period is closed whatever is still out. */
#define BUDGET_CLOSE_WAIT_NS (INT64_C(72) * 3600 * 1000000000)

struct budget_closing {
	int64_t closing, closed; /* periods that became it */
	int64_t carried;	 /* nano-USD, over to open ones */
};
/* Periods that are over at wall time `now` become closing, and closed when
 * nothing is out of them any more; then what they left is carried over. Own
 * transactions, each small; any replica, any time. What was done before an
 * error is in *ret, and stays. */
int store_budget_close(struct store *s, int64_t now, struct budget_closing *ret,
    struct error *e) MUST_CHECK;

struct budget_period_row {
	int64_t start, end; /* end INT64_MAX = never */
	struct str state;   /* open, closing, closed, orphan */
	int64_t limit, base, adjust, settled, held, free, leased;
	/* Usage of closed periods booked here, and of this one elsewhere. */
	int64_t corrections_in, corrections_out;
	int64_t carried_in, carried_out, closed_at; /* 0 = not closed */
};
typedef int budget_period_fn(void *ctx, const struct budget_period_row *p);
/* Newest first, those that began before `before`. */
int store_budget_periods(struct db *db, uint64_t budget_uid, int64_t before,
    int limit, budget_period_fn *fn, void *ctx, struct error *e) MUST_CHECK;

struct budget_event {
	int64_t id, at, period_start, limit, spent;
	int64_t amount;	   /* carried, -1 = none */
	struct str budget; /* name; empty when it was deleted */
	struct str value;  /* of one value's cell; .p NULL = of the budget */
	uint64_t budget_uid;
	struct str kind; /* threshold, forecast, closed, carry, values */
	int percent;
	int64_t forecast; /* by the end of the period, -1 = none */
};
typedef int budget_event_fn(void *ctx, const struct budget_event *ev);
/* Newest first, ids below `before` (0 = all), of one budget (0 = all). */
int store_budget_events(struct db *db, uint64_t budget_uid, int64_t before,
    int limit, budget_event_fn *fn, void *ctx, struct error *e) MUST_CHECK;

/* Who moves money, and why; amount > 0, at wall time `now`. */
struct budget_move {
	uint64_t budget_uid;
	int64_t amount, now;
	struct str author, reason;
};
/* In the caller's transaction: raise the limit of every period until the
 * instant. ERR_INVALID: the budget has no limit. */
int store_budget_increase(struct db *db, const struct budget_move *m,
    int64_t until, struct error *e) MUST_CHECK;
/* In the caller's transaction: from the current period of the budget to that
 * of another one. ERR_CONFLICT: less than that is free (what was granted or
 * spent stays), or one of the periods is closed. ERR_INVALID: one of them has
 * no such period. */
int store_budget_transfer(struct db *db, const struct budget_move *m,
    uint64_t to_uid, struct error *e) MUST_CHECK;

#endif
