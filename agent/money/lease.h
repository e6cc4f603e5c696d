/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases in the agent: rights to spend part of a budget, taken without locks
 * by workers and refilled by the control thread.
 *
 * Per (budget, period) one lease with cumulative, never-decreasing counters:
 *   G granted by the control plane, S settled, R returned, I in use
 *   rights left = G - S - R - I     (invariant: never below 0 by reservation)
 * `left` is kept as one atomic so that a reservation is one CAS. Settlement
 * with a cost above the reservation (a provider that ignored the cap) may
 * take `left` below 0: that is counted (overrun) and blocks admission.
 *
 * Money is int64 nano-USD. Thread column: W = any worker, C = control thread.
 */
#ifndef AGENT_MONEY_LEASE_H
#define AGENT_MONEY_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/config/bundle.h"
#include "common/clock.h"

/* An answer that takes longer does not come soon; where requests may wait for
 * long, half of that, see lease_tuning. */
#define LEASE_SILENT_NS NS_PER_S

struct lease {
	struct budget_cell *cell;
	int64_t period_start, period_end; /* wall ns */
	_Atomic int64_t left;		  /* G - S - R - I */
	_Atomic int64_t settled;	  /* S */
	_Atomic int64_t in_use;		  /* I */
	int64_t granted, returned;	  /* G, R: C only */
	_Atomic int64_t fence_mono;	  /* no admission at or after */
	_Atomic int64_t end_mono;	  /* period end on our clock */
	struct lease *next;		  /* older periods, C only */
	/* C only: what the last answered report said of a superseded lease,
	 * to know when nothing is left to tell. */
	int64_t retired_mono; /* 0 while current */
	/* Until then its period may be the current one again (the calendar of
	 * the budget is changed, and back): what was granted must be known. */
	int64_t over_mono;
	int64_t sent_returned, sent_settled;
	bool sent_idle; /* the report in flight said in_use 0 */
	bool told;	/* such a report was answered: may be recycled */
	bool pool;	/* waiters got nothing: what is left goes back */
	bool tail;	/* control plane asks to give rests back at once */
};

struct lease_value;
struct lease_values;

struct budget_cell {
	uint64_t uid;	 /* 0 = not known yet, of a value */
	struct str name; /* owned by the registry, lives for ever */
	_Atomic int64_t limit;
	_Atomic bool soft;    /* never blocks */
	_Atomic bool deleted; /* no bundle names it any more */
	_Atomic(struct lease *) current;
	/* Whose amount is left over by those after it, until when (mono ns);
	 * 0 = nobody's. See lease_claim.h. */
	_Atomic uint64_t claim;
	_Atomic int64_t claim_amount, claim_until;
	/* Last word of the control plane, for refusals and explain. */
	_Atomic int64_t spent, reset_at;
	_Atomic int64_t told_limit; /* effective; holds once reply_gen > 0 */
	_Atomic bool exhausted;	    /* free + recallable < want at last reply */
	_Atomic int64_t free;	    /* that nobody had at last reply */
	/* At last reply: free and idle at others; reserved there by requests
	 * in flight. */
	_Atomic int64_t avail, busy;
	_Atomic uint64_t reply_gen; /* counts replies that named this budget */
	/* Waiting reservations: the largest, at most; all together. */
	_Atomic int64_t want_min, want_total;
	/* The smallest and the largest that were noted since the last report,
	 * 0 = none. */
	_Atomic int64_t want_least, want_most;
	/* Given back, and in no answer's `avail` yet. */
	_Atomic int64_t going;
	_Atomic int64_t spent_rate_acc; /* settled since last report */
	_Atomic int64_t w_max;		/* largest reservation lately */
	_Atomic bool touched;	   /* reserved or wanted since last report */
	_Atomic bool in_flight;	   /* a report of it awaits its reply */
	_Atomic int64_t peak;	   /* most in use lately */
	_Atomic int64_t low_water; /* set by C: below it, ask for more */
	/* Set by C: report when more than this was spent since the last one. */
	_Atomic int64_t spend_mark;
	_Atomic bool refill; /* asked for since the last report */
	/* A request of this amount had its rights here and waits for a later
	 * budget of its path: they are kept until then, also in the tail and
	 * when they are recalled. Paths have one order everywhere, so nobody
	 * who holds waits for an earlier budget, and no two agents can take
	 * each other's part for ever. */
	_Atomic int64_t hold_until, hold_amount;
	/* Since when its table asks and hears nothing, 0 = it hears. */
	const _Atomic int64_t *silent_since;
	int64_t silent_ns;    /* what counts as silence */
	_Atomic bool blocked; /* somebody was short of it since last report */
	/* C only */
	int64_t idle_since_mono, rate_mono, rate_per_s;
	/* The highest rate lately and when that was: for who comes back. */
	int64_t past_rate, past_mono;
	/* The mean rate of the last minute, or of steady_ns while that is
	 * less. */
	int64_t steady_rate, steady_ns;
	/* Rights are for this long; then it need not be reported on before
	 * rest_until. rest_from: when that was asked for. 0 = none. */
	int64_t horizon_ns, rest_from, rest_until;
	bool hinted; /* somebody else may need what it holds: report */
	/* want_least and want_most of the report before, 0 = none */
	int64_t least_before, most_before;
	bool sent_demand;  /* a report of it is on its way */
	bool sent_silent;  /* it gave back, and did not ask for anything */
	bool unanswered;   /* the last report of it got no reply */
	int64_t sent_mono; /* when it was built */
	/* One that was not answered may still arrive: report until an answer
	 * to one built at or after this; 0 = no need. */
	int64_t ask_until;
	struct lease *old;   /* superseded periods */
	uint64_t generation; /* of the last bundle that named it */
	/* Budgets for each value, see lease_value.h. */
	struct lease_values *values;
	struct lease_value *value; /* it is the cell of this one; or NULL */
	struct lease_value *fresh; /* the next one that no table has yet */
	_Atomic bool each;	   /* counts by value: has no lease itself */
};

/* Any. The limit of the current period, with all that was added to it, as the
 * control plane told; until then the configured one. */
static inline int64_t
budget_limit(const struct budget_cell *c)
{
	return atomic_load_explicit(&c->reply_gen, memory_order_acquire) > 0
		   ? atomic_load_explicit(&c->told_limit, memory_order_relaxed)
		   : atomic_load_explicit(&c->limit, memory_order_relaxed);
}

/* A reservation over every budget of a key's path: held by one request. */
struct reservation {
	unsigned n;
	int64_t amount;				  /* reserved on each */
	struct lease *leases[BUNDLE_MAX_BUDGETS]; /* soft budgets: lease may be
						     NULL, charge still named */
	struct budget_cell *cells[BUNDLE_MAX_BUDGETS];
};

/* W. Reserve amount on all budgets of the key, all or nothing.
 * 0: done. ERR_AGAIN: rights are missing on *short_of; call lease_wait().
 * A key without budgets succeeds with n = 0. */
int lease_reserve(const struct b_key *key, int64_t amount, int64_t mono_now,
    struct reservation *r, struct budget_cell **short_of);
/* W. The key's budgets that count a request like `what`, in their order, into
 * path[BUNDLE_MAX_BUDGETS]; returns their number. */
unsigned lease_path(const struct b_key *key, const struct b_filter *what,
    struct budget_cell **path);
/* W. After a reservation on all of the path: is each cell still the one of the
 * request's value? Whoever stood still for long between the two may have
 * reserved on a cell that was used again; it cancels and looks anew. Rights
 * that are reserved keep a cell what it is, so true holds until they are
 * settled. Costs nothing without budgets for each value. */
bool lease_path_holds(const struct b_key *key, const struct b_filter *what,
    struct budget_cell *const *path, unsigned n);
/* W. As lease_reserve() on the budgets of a path. */
int lease_reserve_path(struct budget_cell *const *path, unsigned n,
    int64_t amount, int64_t mono_now, struct reservation *r,
    struct budget_cell **short_of);
/* W. Real cost known: S += cost, I -= amount, rest back to left. Exactly once
 * for each reservation. */
void lease_settle(struct reservation *r, int64_t cost);
/* W. The request can cost no more than `amount` any more (<= r->amount): the
 * rest goes back to left. Call it only when that is durable in the journal
 * (journal_lowered()), or a crash bills more than is held. */
void lease_lower(struct reservation *r, int64_t amount);
/* W. The request did not reach the provider: as settle with cost 0. */
static inline void
lease_cancel(struct reservation *r)
{
	lease_settle(r, 0);
}

/* W. Register / unregister that a request of `amount` waits for rights on
 * cell; lease_verdict() says again how much it is. After lease_wait the control
 * thread is kicked (leases_set_kick). The worker retries lease_reserve when its
 * wake-up fires and gives up when lease_verdict() says so, or at its deadline
 * (ERR_BUDGET_BUSY). */
uint64_t lease_wait(struct budget_cell *cell, int64_t amount);
void lease_wait_done(struct budget_cell *cell, int64_t amount);
/* What to tell a request that waits on cell for `amount` since lease_wait()
 * returned `gen`. */
enum lease_verdict {
	LEASE_WAIT,	/* it may still come */
	LEASE_BUSY,	/* it will not come soon: it is used by others */
	LEASE_EXHAUSTED /* it will not come */
};
/* W. Exhausted is only told when all that is here, free, or anywhere in the
 * rights of agents is less than `amount`, what requests in flight reserve
 * included, since they may cost nothing. Busy: not even what they give back
 * when they cost `share` per mille of that (learn.h; 0 = not known). */
enum lease_verdict lease_verdict(
    struct budget_cell *cell, int64_t amount, uint64_t gen, int share);
/* W. Has the control plane left a question unanswered for its silent_ns? Who
 * is short of rights then need not wait: none will come soon. */
bool lease_silent(const struct budget_cell *cell, int64_t mono_now);
/* Start of the program: what lease_wait calls (any thread; must not block).
 * NULL = nothing. */
void leases_set_kick(void (*kick)(void *ctx), void *ctx);
/* a + b, INT64_MAX at the most. */
int64_t lease_add_cap(int64_t a, int64_t b);
/* C. Take `amount` out of the rights left, as far as they reach; returns how
 * much was taken (0..amount). The caller owns it: it counts it as returned. */
int64_t lease_take(struct lease *l, int64_t amount);
/* Any. Settlements above their reservation so far (a provider ignored the
 * cap, or a price table is wrong) and by how much in total. */
uint64_t lease_overruns(int64_t *total_nano);
/* Tests, drain: does left + in_use + settled + returned = granted hold? Only
 * meaningful while no worker is in the middle of a call. */
bool lease_balanced(const struct lease *l);

#endif
