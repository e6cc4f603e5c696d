/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of budgets for each value. An agent that does not know the uid of a
 * value's cell reports with the budget and the value instead. It is told the
 * uid, the cell being made when the value is new, and then leases it like any
 * budget.
 *
 * Invariants: a pair (budget, value) has one cell, whoever asks and when; a
 * cell is made only when its limit pays for somebody who waits; a budget has
 * at most max_values of them; who asks for more is told so. An ask grants
 * nothing: an agent that forgot a cell (it held nothing of it and had said so)
 * learns with the uid what was granted and returned on its lease, so that it
 * goes on from there; had a lost answer granted something, that could not be
 * told apart from what was spent before.
 */
#ifndef CONTROLPLANE_MONEY_VALUE_H
#define CONTROLPLANE_MONEY_VALUE_H

#include "controlplane/money/exchange.h"

/* As exchange_run(), also of reports by value. Values that are none (too long,
 * not UTF-8) are not answered: agents have the same rules. */
int value_exchange(struct exchange *x, struct db *db,
    Hg__LeaseReport *const *reports, size_t n, struct arena *a,
    struct error *e) MUST_CHECK;

#endif
