/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets for each value: the cells of the values that were seen here.
 *
 * A budget with `each` has no lease of its own; (budget, value) has a cell in
 * the control plane, whose uid is told to who asks by value. Until then the
 * cell here has uid 0; afterwards it is a cell like any other. Invariants:
 *
 *   V1 A request of value v reserves on, and is charged to, the cell of v of
 *      that budget and no other: a cell changes its value only while nobody
 *      uses it (V3), and a cell without a uid has no lease.
 *   V2 There are never more than tuning.max_values cells. They are not freed
 *      but used again.
 *   V3 A cell is used again only when nobody waits for it, nothing is reserved
 *      on it, the control plane knows all there is to tell of its leases, no
 *      question about it is open, and no worker looked it up for a time that
 *      is far longer than from there to its reservation. No money hangs on
 *      that time: who reserved looks once more (lease_path_holds()), and
 *      what is reserved keeps the cell.
 *   V4 With the uid comes what was granted (G) and returned (R) on this
 *      process's lease of the cell before: as nothing was left of it when it
 *      was forgotten, and asks grant nothing, S = G - R, and rights are only
 *      what is granted beyond G.
 *      So it is told of the latest lease and of each whose period is not
 *      over, which may be the current one again (an answer for each).
 *   V5 A cell that the control plane gave no place to has no rights there, nor
 *      here; it keeps its uid, and asks for rights as ever when somebody waits.
 *   V6 A value that nobody waits for is not asked for, and between two full
 *      reports at most LEASE_VALUE_ASKS are.
 *
 * W = any worker, C = control thread under the table's lock.
 */
#ifndef AGENT_MONEY_LEASE_VALUE_H
#define AGENT_MONEY_LEASE_VALUE_H

#include "agent/money/lease_table.h"
#include "common/tags.h"

#define LEASE_VALUE_ASKS 1000

/* One value's cell. */
struct lease_value {
	struct budget_cell cell; /* first: it is freed and found by this */
	/* The budget; NULL: spare. Workers set it while C looks. */
	struct budget_cell *_Atomic of;
	struct lease_value *next; /* in its bucket, or of the spare ones */
	uint64_t hash;
	size_t at;	      /* its number in the table; C only */
	_Atomic int64_t used; /* mono, of the last look-up, to a second */
	_Atomic int refused;  /* Hg__ValueAnswer of the last answer */
	size_t len;
	char text[TAGS_USER_MAX + 1];
};

struct lease_values;

/* NULL without memory. max: of cells. */
struct lease_values *lease_values_new(size_t max);
/* Frees the cells that no table adopted, too. NULL is fine. */
void lease_values_free(struct lease_values *v);

/* W. The cell of the value (at most TAGS_USER_MAX bytes; empty: requests
 * without one) of a budget with `each`, made when it is new. NULL: there is no
 * room, or no memory. */
struct budget_cell *lease_value_cell(struct budget_cell *of, struct str value);
/* W. The same, only looked for; NULL when it is not there. */
struct budget_cell *lease_value_find(struct budget_cell *of, struct str value);
/* W, C. The value of a cell, NUL-ended; .p NULL when it has none. */
struct str lease_value_text(const struct budget_cell *c);
/* W. Did the last answer say that the budget counts no more values? */
bool lease_value_is_refused(const struct budget_cell *c);

/* C. Cells that workers made become part of the table; then, once a second
 * while there is little room, cells that are not used are made spare. */
void lease_values_upkeep(struct lease_table *t, int64_t now);
/* C. A full report begins: values may be asked for again. */
void lease_values_allow(struct lease_table *t);
/* C. May it be reported on? Not before somebody waits for it while its uid is
 * unknown, and never a budget with `each` itself. */
bool lease_value_may_ask(const struct budget_cell *c);
/* C. Say in its report which value it is, if the uid is not known. */
void lease_value_ask(struct budget_cell *c, Hg__LeaseReport *r);
/* C. What is said of a value: its uid, or that it gets none. True: somebody
 * who waits for it may give up. */
bool lease_value_answer(
    struct lease_table *t, const Hg__LeaseGrant *g, int64_t now);
/* C. What is said of a cell whose uid is known: that its value gave up its
 * place and there is none now, or not (it may have taken one again). True:
 * that, and g says nothing else. */
bool lease_value_is_full(struct budget_cell *c, const Hg__LeaseGrant *g);
/* C. It has the limit of its budget, and goes with it. */
void lease_value_follow(struct budget_cell *c);

/* Any. Cells that stand for a value now; requests that found no room here or
 * in the control plane so far. */
void lease_value_counts(
    const struct lease_table *t, uint64_t *cells, uint64_t *refused);

#endif
