/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status port: health, metrics and explanations for operators, on an own
 * HTTP server with an own thread. Answers GET only, tells no secrets, and is
 * bound to loopback unless configured.
 *
 *   /livez                      200 while the workers turn
 *   /readyz[?verbose]           200 when requests can be served, else 503
 *   /metrics                    Prometheus text
 *   /v1/explain/{request-id}    what decided a request
 *   /v1/status                  configuration, leases, limits, journal, contact
 */
#ifndef AGENT_FRONT_STATUS_H
#define AGENT_FRONT_STATUS_H

#include "agent/agent.h"
#include "agent/ctl/ctl.h"

struct status;

struct status_options {
	struct agent *agent;
	struct config *config;
	struct lease_table *leases;
	struct rate_table *rates; /* may be NULL */
	struct journal *journal;
	struct shipper *shipper;
	struct ctl *ctl;
	const char *agent_id, *group, *region;
};

/* Listen on agent->opt->status_listen; *port is the bound one. ERR_INVALID,
 * ERR_IO. Main thread. */
int status_start(const struct status_options *opt, struct status **ret,
    uint16_t *port, struct error *e) MUST_CHECK;
/* Before anything in the options goes. NULL is fine. */
void status_stop(struct status *s);

#endif
