/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table of the control plane's metrics.
 */
#include "controlplane/metrics.h"

static const double seconds[] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

#define BUCKETS(a) .buckets = (a), .n_buckets = sizeof(a) / sizeof((a)[0])

const struct metric_def control_metrics[CM_COUNT] = {
    [CM_BUILD_INFO] = {.name = "headgate_build_info",
	.type = METRIC_GAUGE,
	.help = "Always 1; the labels say what runs.",
	.labels = "program",
	.max_series = 1},
    [CM_REST_REQUESTS] = {.name = "headgate_rest_requests_total",
	.type = METRIC_COUNTER,
	.help = "REST requests by operation and HTTP status.",
	.labels = "operation,status",
	.max_series = 1000},
    [CM_REST_DURATION] = {.name = "headgate_rest_request_duration_seconds",
	.type = METRIC_HISTOGRAM,
	.help = "Time to answer a REST request.",
	.labels = "",
	.max_series = 1,
	BUCKETS(seconds)},
    [CM_REST_IN_FLIGHT] = {.name = "headgate_rest_in_flight",
	.type = METRIC_GAUGE,
	.help = "REST requests being answered with the database.",
	.labels = "",
	.max_series = 1},
    [CM_REST_AUTH_FAILURES] = {.name = "headgate_rest_auth_failures_total",
	.type = METRIC_COUNTER,
	.help = "REST requests refused for their token or role.",
	.labels = "reason",
	.max_series = 4},
    [CM_CONFIG_COMMITS] = {.name = "headgate_config_commits_total",
	.type = METRIC_COUNTER,
	.help = "Configuration versions made through this process.",
	.labels = "",
	.max_series = 1},
    [CM_CONFIG_VERSION] = {.name = "headgate_config_version",
	.type = METRIC_GAUGE,
	.help = "Latest configuration version made through this process.",
	.labels = "",
	.max_series = 1},
    [CM_STORE_CONNECTIONS] = {.name = "headgate_store_connections",
	.type = METRIC_GAUGE,
	.help = "Open connections to PostgreSQL.",
	.labels = "",
	.max_series = 1},
    [CM_STORE_WAITING] = {.name = "headgate_store_waiting",
	.type = METRIC_GAUGE,
	.help = "Threads waiting for a connection.",
	.labels = "",
	.max_series = 1},
    [CM_STORE_FAILURES] = {.name = "headgate_store_failures_total",
	.type = METRIC_COUNTER,
	.help = "Connections to PostgreSQL that failed.",
	.labels = "",
	.max_series = 1},
    [CM_FLEET_CONNECTIONS] = {.name = "headgate_agent_connections",
	.type = METRIC_GAUGE,
	.help = "Connections of agents to this process.",
	.labels = "",
	.max_series = 1},
    [CM_FLEET_AGENTS] = {.name = "headgate_agents",
	.type = METRIC_GAUGE,
	.help = "Agents that this process heard of within 5 seconds.",
	.labels = "",
	.max_series = 1},
    [CM_FLEET_LAGGING] = {.name = "headgate_agents_lagging",
	.type = METRIC_GAUGE,
	.help = "Of those, the ones that do not run the latest configuration.",
	.labels = "",
	.max_series = 1},
    [CM_FLEET_REQUESTS] = {.name = "headgate_channel_requests_total",
	.type = METRIC_COUNTER,
	.help = "Requests of agents on the channel.",
	.labels = "",
	.max_series = 1},
    [CM_FLEET_REFUSED] = {.name = "headgate_channel_refused_total",
	.type = METRIC_COUNTER,
	.help = "Of those, the refused ones.",
	.labels = "",
	.max_series = 1},
    [CM_USAGE_RECORDS] = {.name = "headgate_usage_records_total",
	.type = METRIC_COUNTER,
	.help = "Usage records booked.",
	.labels = "",
	.max_series = 1},
    [CM_USAGE_SLOWED] = {.name = "headgate_usage_slowed_total",
	.type = METRIC_COUNTER,
	.help = "Usage batches that were told to come again later.",
	.labels = "",
	.max_series = 1},
    [CM_USAGE_REJECTED] = {.name = "headgate_usage_rejected_total",
	.type = METRIC_COUNTER,
	.help = "Usage records put in quarantine by this process, by agent and "
		"reason.",
	.labels = "agent,reason",
	.max_series = 1000},
    [CM_LEASE_GRANTS] = {.name = "headgate_lease_grants_total",
	.type = METRIC_COUNTER,
	.help = "Leases given or enlarged.",
	.labels = "",
	.max_series = 1},
    [CM_LEASE_GRANTED_NANOUSD] = {.name =
				      "headgate_lease_granted_nanousd_total",
	.type = METRIC_COUNTER,
	.help = "Money granted to leases, in nano-USD.",
	.labels = "",
	.max_series = 1},
    [CM_AUDIT_DIFFERENCES] = {.name = "headgate_money_audit_differences",
	.type = METRIC_GAUGE,
	.help = "Differences that the latest reconciliation of money found; "
		"must be 0.",
	.labels = "",
	.max_series = 1},
    [CM_AUDIT_LAST_RUN] = {.name = "headgate_money_audit_last_run_seconds",
	.type = METRIC_GAUGE,
	.help = "When the latest reconciliation began, in seconds since 1970.",
	.labels = "",
	.max_series = 1},
    [CM_BUDGET_DOUBTFUL] = {.name = "headgate_budget_doubtful_nanousd",
	.type = METRIC_GAUGE,
	.help = "Money on leases of agents that have vanished, at the latest "
		"reconciliation.",
	.labels = "",
	.max_series = 1},
    [CM_BUDGET_HELD] = {.name = "headgate_budget_held_nanousd",
	.type = METRIC_GAUGE,
	.help = "Money held behind estimates, at the latest reconciliation.",
	.labels = "",
	.max_series = 1},
    [CM_USAGE_QUARANTINED] = {.name = "headgate_usage_quarantined",
	.type = METRIC_GAUGE,
	.help = "Usage records in quarantine, at the latest reconciliation.",
	.labels = "",
	.max_series = 1},
    [CM_DOUBT_RELEASED] = {.name = "headgate_doubt_released_nanousd_total",
	.type = METRIC_COUNTER,
	.help = "Rights of vanished agents on bounded budgets that time gave "
		"back, in nano-USD.",
	.labels = "",
	.max_series = 1},
    [CM_BUDGET_EVENTS] = {.name = "headgate_budget_threshold_events_total",
	.type = METRIC_COUNTER,
	.help = "Events about thresholds and forecasts of budgets that this "
		"process raised.",
	.labels = "",
	.max_series = 1},
};

struct metric_set *
control_metrics_new(void)
{
	struct metric_set *s = metric_set_new(control_metrics, CM_COUNT);

	if (s != NULL) {
		struct str program = STR("headgate-control");

		metric_gauge_set(
		    metric_series(s, CM_BUILD_INFO, &program, 1), 1);
	}
	return s;
}
