/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells of budgets for each value, see schema/0129_budget_each.sql. Money is
 * int64 nano-USD; instants are int64 nanoseconds since 1970.
 */
#ifndef CONTROLPLANE_STORE_STORE_VALUE_H
#define CONTROLPLANE_STORE_STORE_VALUE_H

#include "controlplane/store/store.h"

enum value_state {
	VALUE_OK,
	VALUE_GONE,	/* no budget for each value has this uid */
	VALUE_TOO_MANY, /* the budget has max_values */
	VALUE_TOO_DEAR	/* new, and its whole limit is less than `least` */
};
/* More than there are kinds of periods: one of each may hold an instant, when
 * the budget's was changed that often. */
#define VALUE_LEASES_MAX 8
struct value_lease {
	int64_t period_start, granted, returned;
};
struct value_ask {
	uint64_t budget_uid;
	struct str value;
	int64_t least; /* the smallest amount that somebody waits for */
	/* answer */
	enum value_state state;
	uint64_t cell_uid; /* when OK */
	/* The agent's leases on it in this boot epoch: the latest, and those
	 * of periods that are not over. */
	struct value_lease leases[VALUE_LEASES_MAX];
	size_t n_leases;
	int64_t limit, end_ns; /* when not OK and not GONE */
};
/* The cells of values, made for those that are new. Own transaction; db is
 * idle. The asks are in the order of (budget_uid, value). ERR_TOO_LARGE. */
int store_value_cells(struct db *db, struct str agent_id, uint64_t boot_epoch,
    struct value_ask *v, size_t n, int64_t now, struct error *e) MUST_CHECK;

/* The same in the caller's transaction. */
int store_value_cells_tx(struct db *db, struct str agent_id,
    uint64_t boot_epoch, struct value_ask *v, size_t n, int64_t now,
    struct error *e) MUST_CHECK;

/* The cell takes a place again, if it had given it up, for somebody who waits
 * for `least` or more: so it says GONE, TOO_MANY, or TOO_DEAR. Own transaction;
 * db is idle. */
int store_value_place(struct db *db, uint64_t cell_uid, int64_t least,
    int64_t now, enum value_state *state, struct error *e) MUST_CHECK;
/* Values give up their places that nobody used for idle_ns, of each budget once
 * an hour. n: how many did. Own transactions, as many as it takes. */
int store_value_retire(struct store *s, int64_t now, int64_t idle_ns,
    int64_t *n, struct error *e) MUST_CHECK;

/* The cell of one value, if it was ever seen. ERR_NOT_FOUND. */
int store_value_find(struct db *db, uint64_t budget_uid, struct str value,
    uint64_t *cell_uid, struct error *e) MUST_CHECK;

struct value_row {
	uint64_t cell_uid;
	struct str value;
	int64_t created_at;
	/* Of the current period or window. */
	int64_t limit, free, spent, held, leased;
	int64_t used; /* by this the list is ordered: for the next page */
	int64_t last_used, retired_at; /* 0 = not known; it has a place */
};
typedef int value_fn(void *ctx, const struct value_row *row);
/* The values that spent (or hold) most first, after the row with these figures
 * (used < 0: from the start). */
int store_value_list(struct db *db, uint64_t budget_uid, int64_t now,
    int64_t after_used, uint64_t after_uid, int limit, value_fn *fn, void *ctx,
    struct error *e) MUST_CHECK;

struct value_sum {
	int64_t n, n_retired;	     /* values with a place; without */
	int64_t spent, held, leased; /* in their current periods */
	int64_t start, end; /* of the period now; a window: of its length */
	int64_t limit;	    /* of each value, by the configuration */
};
int store_value_sum(struct db *db, uint64_t budget_uid, int64_t now,
    struct value_sum *ret, struct error *e) MUST_CHECK;

#endif
