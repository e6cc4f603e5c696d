/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of the control plane, in one table. The enum names the rows;
 * add to both.
 */
#ifndef CONTROLPLANE_METRICS_H
#define CONTROLPLANE_METRICS_H

#include "common/metric.h"

enum control_metric {
	CM_BUILD_INFO,
	CM_REST_REQUESTS,
	CM_REST_DURATION,
	CM_REST_IN_FLIGHT,
	CM_REST_AUTH_FAILURES,
	CM_CONFIG_COMMITS,
	CM_CONFIG_VERSION,
	CM_STORE_CONNECTIONS,
	CM_STORE_WAITING,
	CM_STORE_FAILURES,
	CM_FLEET_CONNECTIONS,
	CM_FLEET_STUCK,
	CM_FLEET_REOPENED,
	CM_FLEET_AGENTS,
	CM_FLEET_LAGGING,
	CM_FLEET_REQUESTS,
	CM_FLEET_REFUSED,
	CM_USAGE_RECORDS,
	CM_USAGE_SLOWED,
	CM_USAGE_REJECTED,
	CM_LEASE_GRANTS,
	CM_LEASE_GRANTED_NANOUSD,
	CM_AUDIT_DIFFERENCES,
	CM_AUDIT_LAST_RUN,
	CM_BUDGET_DOUBTFUL,
	CM_BUDGET_HELD,
	CM_USAGE_QUARANTINED,
	CM_DOUBT_RELEASED,
	CM_BUDGET_EVENTS,
	CM_PERIODS_CLOSED,
	CM_CARRIED,
	CM_COUNT
};

extern const struct metric_def control_metrics[CM_COUNT];

/* A set with all metrics; NULL without memory. metric_set_free() it. */
struct metric_set *control_metrics_new(void);

#endif
