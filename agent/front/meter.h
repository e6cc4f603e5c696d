/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metric series by the request's names, kept per worker, because finding a
 * series takes a lock and string work.
 */
#ifndef AGENT_FRONT_METER_H
#define AGENT_FRONT_METER_H

#include <stdint.h>

#include "agent/config/bundle.h"
#include "agent/metrics.h"
#include "common/money.h"

#define METER_ROWS  512
#define METER_CODES 8

struct meter_code {
	int code; /* HTTP status, 0 = free */
	struct metric_series *requests, *attempts;
};

/* Series of one (tenant, route, deployment). */
struct meter_row {
	uint64_t tenant, route, deployment; /* uids; tenant 0 = free */
	struct metric_series *duration, *first_byte, *cost, *tokens[TC_COUNT];
	struct meter_code codes[METER_CODES];
};

struct meter {
	struct metric_set *set;
	struct metric_series *sources[8];
	struct metric_series *share;
	struct meter_row rows[METER_ROWS];
};

void meter_init(struct meter *m, struct metric_set *set);
/* What one request or attempt adds. Names may be empty. */
struct meter_names {
	uint64_t tenant_uid, route_uid, deployment_uid;
	struct str tenant, route, deployment, provider, model;
};
/* The client got `code`. duration and first_byte in seconds, first_byte < 0 =
 * none. */
void meter_request(struct meter *m, const struct meter_names *n, int code,
    double duration, double first_byte);
/* A provider answered `code` (0 = nothing came). */
void meter_attempt(struct meter *m, const struct meter_names *n, int code);
void meter_usage(struct meter *m, const struct meter_names *n,
    const struct tokens *t, int64_t cost, uint32_t source);
/* A request that reserved `reserved` was settled at `cost`, nano-USD. */
void meter_reserved(struct meter *m, int64_t cost, int64_t reserved);
/* A counter with one label. */
void meter_count(struct meter *m, enum agent_metric metric, const char *label);

#endif
