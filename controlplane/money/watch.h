/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control plane does about budgets as time goes by. Every replica
 * does it; each step is one transaction that can be done twice.
 */
#ifndef CONTROLPLANE_MONEY_WATCH_H
#define CONTROLPLANE_MONEY_WATCH_H

#include <stdint.h>

#include "common/err.h"

struct store;

#define WATCH_EVERY_MS 10000

/* After its fence an agent's rights on bounded budgets wait this long. */
#define WATCH_DOUBT_GRACE_NS (INT64_C(60) * 1000000000)

struct watch_result {
	int64_t released; /* nano-USD of doubt, bounded budgets */
	int64_t events;	  /* raised: thresholds, forecasts */
	int64_t closed;	  /* periods */
	int64_t carried;  /* nano-USD, over to later periods */
	int64_t retired;  /* values that gave up their places */
};

/* One round at wall time `now`. Values of budgets for each value that nobody
 * used for value_idle_ns give up their places; 0: none does. Results count also
 * when it fails midway. */
int watch_budgets(struct store *s, int64_t now, int64_t value_idle_ns,
    struct watch_result *ret, struct error *e) MUST_CHECK;

#endif
