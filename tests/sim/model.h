/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of the database model (model.c, model_usage.c), run by db.c. Each
 * is what one SQL statement of the store does; args[1] is $1.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include "controlplane/store/store.h"
#include "controlplane/store/usage_internal.h"
#include "tests/sim/sim.h"

#define M_NULL INT64_MIN

struct db_rows {
	size_t n;
	unsigned cols;
	int64_t v[]; /* row after row; M_NULL */
};

typedef int m_statement(
    struct sim *s, const struct db_val *args, struct db_rows **ret);

m_statement m_lease_read, m_lock_current, m_lock_old, m_charge, m_lease_write,
    m_lease_write_some, m_release, m_mark_get, m_mark_add, m_mark_move, m_known,
    m_no_values, m_quarantine, m_batch, m_ledger, m_hourly, m_daily;

/* Zeroed rows; freed by db_rows_free(). */
struct db_rows *m_rows(size_t n, unsigned cols);
/* The agent that a UUID text of an argument names. */
unsigned m_agent_of(const struct db_val *v);
void m_usage_add(struct sim *s, const struct usage_entry *en);
bool m_epoch_lacks(const struct sim *s, unsigned agent, uint64_t boot);
bool m_epoch_complete(const struct sim *s, unsigned agent, uint64_t boot);

#endif
