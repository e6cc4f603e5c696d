/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The periodic reconciliation: a thread that lets the store audit itself, on
 * one replica at a time, and keeps the metrics of the latest run, whichever
 * replica made it.
 */
#ifndef CONTROLPLANE_MONEY_RECONCILE_H
#define CONTROLPLANE_MONEY_RECONCILE_H

#include "controlplane/store/store.h"

struct metric_set;
struct reconcile;

struct reconcile_options {
	struct store *store;
	struct metric_set *metrics; /* of controlplane/metrics.h; NULL ok */
	int64_t interval_ms;	    /* 0 = never */
	int64_t retention_days;	    /* of usage rows; 0 = for ever */
	int64_t audit_days;	    /* of the audit log; 0 = for ever */
};

/* Start the thread. Caller: reconcile_stop(). */
int reconcile_start(const struct reconcile_options *o, struct reconcile **ret,
    struct error *e) MUST_CHECK;
/* Ends between two days of a run, and waits for that. NULL is fine. */
void reconcile_stop(struct reconcile *r);

#endif
