/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's metrics: one table gives name, type, labels and help; the enum
 * gives the index for metric_set_new(agent_metric_defs, AM_COUNT). Labels are
 * names of routes, models and codes only: never keys, users or content.
 */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include "common/metric.h"

/*
 * X(enum, name, type, labels, max_series, buckets, help)
 * C counter, G gauge, H histogram; buckets names a table in metrics.c.
 */
#define AGENT_METRIC_TABLE(X)                                                  \
	/* requests */                                                         \
	X(AM_REQUESTS, "headgate_requests_total", C,                           \
	    "route,provider,model,code", 4096, NONE,                           \
	    "Requests answered, by HTTP status (499 = client left).")          \
	X(AM_IN_FLIGHT, "headgate_requests_in_flight", G, "", 1, NONE,         \
	    "Requests being worked on.")                                       \
	X(AM_STREAMS, "headgate_streams_open", G, "", 1, NONE,                 \
	    "Streamed answers being relayed.")                                 \
	X(AM_CONNECTIONS, "headgate_client_connections", G, "", 1, NONE,       \
	    "Open client connections.")                                        \
	X(AM_DURATION, "headgate_request_duration_seconds", H, "route", 1024,  \
	    SECONDS, "Time from request head to the end of the answer.")       \
	X(AM_FIRST_BYTE, "headgate_first_byte_seconds", H, "route", 1024,      \
	    SECONDS, "Time from request head to the provider's first byte.")   \
	X(AM_REFUSED, "headgate_refused_total", C, "code", 64, NONE,           \
	    "Requests refused by the gateway, by error code.")                 \
	X(AM_BUDGET_REJECT, "headgate_budget_rejections_total", C,             \
	    "reason,short", 16, NONE,                                          \
	    "Requests refused by a budget: short of its limit (spent), of "    \
	    "rights that others hold, or of a lease (control plane away).")    \
	X(AM_SHARE, "headgate_settled_to_reserved_ratio", H, "", 1, SHARES,    \
	    "What a request cost, as a share of what was reserved for it.")    \
	X(AM_COUNTED, "headgate_prompts_counted_total", C, "", 1, NONE,        \
	    "Requests whose text was counted, since its bound by bytes did "   \
	    "not fit into the rest of a budget.")                              \
	X(AM_LOWERED, "headgate_reservations_lowered_total", C, "", 1, NONE,   \
	    "Reservations that fell while the answer streamed.")               \
	X(AM_LOWERED_COST, "headgate_reservations_lowered_nanousd_total", C,   \
	    "", 1, NONE, "What they fell by, in nano-USD.")                    \
	X(AM_LOWER_WRONG, "headgate_reservations_lowered_too_far_total", C,    \
	    "", 1, NONE,                                                       \
	    "Lowered reservations whose provider told more input later.")      \
	X(AM_SHRUNK, "headgate_output_caps_lowered_total", C, "", 1, NONE,     \
	    "Requests whose output cap was lowered to what a budget had "      \
	    "left.")                                                           \
	X(AM_LIMIT_REJECT, "headgate_limit_rejections_total", C, "reason", 16, \
	    NONE, "Requests refused by a rate or concurrency limit.")          \
	X(AM_LIMIT_WAITS, "headgate_limit_waits_total", C, "outcome", 8, NONE, \
	    "Requests that waited for this agent's share of a limit.")         \
	X(AM_LIMIT_SHARES, "headgate_limit_shares_total", C, "", 1, NONE,      \
	    "Shares of limits that the control plane lent or renewed.")        \
	X(AM_LIMIT_LAPSES, "headgate_limit_share_lapses_total", C, "", 1,      \
	    NONE, "Shares that ended before they were renewed.")               \
	X(AM_QUEUED, "headgate_queued_total", C, "class,at,outcome", 64, NONE, \
	    "Requests that found no place at a deployment or of the agent "    \
	    "(streams, requests; bodies: large ones, no room): served, "       \
	    "refused, timeout, displaced or left.")                            \
	X(AM_QUEUE_WAIT, "headgate_queue_wait_seconds", H, "class,at", 16,     \
	    SECONDS, "Time in the queue for a place, by class.")               \
	X(AM_QUEUE_LENGTH, "headgate_queue_length", G, "class,at", 16, NONE,   \
	    "Requests that wait for a place, by class.")                       \
	X(AM_BAD_HEAD, "headgate_bad_requests_total", C, "reason", 32, NONE,   \
	    "Requests with a malformed or smuggling head.")                    \
	X(AM_DISCONNECTS, "headgate_client_disconnects_total", C, "phase", 8,  \
	    NONE, "Clients that left before their answer was complete.")       \
	/* metering */                                                         \
	X(AM_TOKENS, "headgate_tokens_total", C,                               \
	    "tenant,provider,model,class", 4096, NONE,                         \
	    "Tokens metered, by class.")                                       \
	X(AM_COST, "headgate_cost_nanousd_total", C, "tenant,provider,model",  \
	    4096, NONE, "Cost metered, in nano-USD.")                          \
	X(AM_USAGE_SOURCE, "headgate_usage_source_total", C, "source", 8,      \
	    NONE, "Usage records by where their token counts came from.")      \
	X(AM_USAGE_CLAMPED, "headgate_usage_clamped_total", C, "", 1, NONE,    \
	    "Provider usage reports with inconsistent counts.")                \
	X(AM_OVERRUN, "headgate_reservation_overruns_total", C, "", 1, NONE,   \
	    "Requests that cost more than was reserved for them.")             \
	X(AM_UNKNOWN_FINISH, "headgate_unknown_finish_reason_total", C, "", 1, \
	    NONE, "Answers with a finish reason that is not known.")           \
	/* upstream */                                                         \
	X(AM_UP_ATTEMPTS, "headgate_upstream_attempts_total", C,               \
	    "deployment,code", 4096, NONE,                                     \
	    "Calls to providers, by HTTP status (0 = none came).")             \
	X(AM_UP_RETRIES, "headgate_upstream_retries_total", C, "", 1, NONE,    \
	    "Calls repeated on a fresh connection or another deployment.")     \
	X(AM_UP_CONNECTS, "headgate_upstream_connects_total", C, "", 1, NONE,  \
	    "Connections opened to providers.")                                \
	X(AM_UP_IN_FLIGHT, "headgate_upstream_in_flight", G, "", 1, NONE,      \
	    "Calls to providers in flight.")                                   \
	X(AM_UP_PAUSES, "headgate_upstream_pauses_total", C, "", 1, NONE,      \
	    "Times that a provider was held back for a slow client.")          \
	X(AM_CIRCUIT_OPEN, "headgate_circuit_open_total", C, "deployment",     \
	    1024, NONE,                                                        \
	    "Times that a deployment was set aside after failures.")           \
	X(AM_EVENTS, "headgate_stream_events_total", C, "", 1, NONE,           \
	    "Server-sent events relayed.")                                     \
	/* the loop */                                                         \
	X(AM_LOOP_TURNS, "headgate_loop_turns_total", C, "worker", 64, NONE,   \
	    "Turns of the workers' event loops.")                              \
	X(AM_LEASE_WAITS, "headgate_lease_waits_total", C, "outcome", 8, NONE, \
	    "Requests that waited for budget rights.")                         \
	/* journal and shipping (written by agent/journal and agent/ctl) */    \
	X(AM_SPOOL_RECORDS, "headgate_spool_records", G, "state", 8, NONE,     \
	    "Usage records in the journal, by state.")                         \
	X(AM_SPOOL_BYTES, "headgate_spool_bytes", G, "", 1, NONE,              \
	    "Size of the journal on disk.")                                    \
	X(AM_SPOOL_OLDEST, "headgate_spool_oldest_seconds", G, "", 1, NONE,    \
	    "Age of the oldest usage record that is not acknowledged.")        \
	X(AM_SPOOL_DROPPED, "headgate_spool_dropped_total", C, "", 1, NONE,    \
	    "Usage records lost; must stay 0.")                                \
	X(AM_JOURNAL_WRITES, "headgate_journal_writes_total", C, "", 1, NONE,  \
	    "Writes to the journal (one a loop turn).")                        \
	X(AM_JOURNAL_FSYNCS, "headgate_journal_fsyncs_total", C, "", 1, NONE,  \
	    "Group commits of the journal.")                                   \
	X(AM_JOURNAL_ERRORS, "headgate_journal_errors_total", C, "op", 8,      \
	    NONE, "Failed journal operations.")                                \
	X(AM_USAGE_SHIPPED, "headgate_usage_shipped_total", C, "", 1, NONE,    \
	    "Usage records acknowledged by the control plane.")                \
	X(AM_REPLAYED, "headgate_journal_replayed_total", C, "kind", 8, NONE,  \
	    "Records found in the journal at start.")                          \
	/* control channel, configuration, leases (agent/ctl) */               \
	X(AM_CONFIG_VERSION, "headgate_config_version", G, "", 1, NONE,        \
	    "Active configuration version.")                                   \
	X(AM_CONFIG_APPLIES, "headgate_config_applies_total", C, "outcome", 8, \
	    NONE, "Configuration bundles handled, by outcome.")                \
	X(AM_CONFIG_PUSHES, "headgate_config_pushes_total", C, "outcome", 8,   \
	    NONE, "Configuration changes pushed to this agent, by outcome.")   \
	X(AM_CTL_REQUESTS, "headgate_control_requests_total", C,               \
	    "type,outcome", 64, NONE, "Requests to the control plane.")        \
	X(AM_CTL_CONNECTED, "headgate_control_connected", G, "", 1, NONE,      \
	    "1 while the control plane answers.")                              \
	X(AM_LEASE_GRANTS, "headgate_lease_grants_total", C, "", 1, NONE,      \
	    "Grants of budget rights received.")                               \
	X(AM_LEASE_LEFT, "headgate_lease_left_nanousd", G, "budget", 1024,     \
	    NONE, "Rights left in the local lease, in nano-USD.")              \
	X(AM_LEASE_RECALLS, "headgate_lease_recalls_total", C, "", 1, NONE,    \
	    "Recalls of budget rights obeyed.")                                \
	X(AM_BUDGET_VALUES, "headgate_budget_values", G, "", 1, NONE,          \
	    "Values that budgets for each value count here.")                  \
	X(AM_VALUES_REFUSED, "headgate_budget_values_refused_total", C, "", 1, \
	    NONE, "Values that no budget had room for, here or at all.")       \
	X(AM_BUILD_INFO, "headgate_build_info", G, "version", 4, NONE,         \
	    "Always 1; the label names the version.")

enum agent_metric {
#define X(e, name, type, labels, max, buckets, help) e,
	AGENT_METRIC_TABLE(X)
#undef X
	    AM_COUNT
};

extern const struct metric_def agent_metric_defs[AM_COUNT];

#endif
