/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table behind agent/metrics.h.
 */
#include "agent/metrics.h"

static const double metrics_seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300};

static const double metrics_shares[] = {
    0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 0.9, 1};

#define BUCKETS_SHARES	metrics_shares
#define N_SHARES	(sizeof(metrics_shares) / sizeof(metrics_shares[0]))
#define BUCKETS_NONE	NULL
#define N_NONE		0
#define BUCKETS_SECONDS metrics_seconds
#define N_SECONDS	(sizeof(metrics_seconds) / sizeof(metrics_seconds[0]))
#define TYPE_C		METRIC_COUNTER
#define TYPE_G		METRIC_GAUGE
#define TYPE_H		METRIC_HISTOGRAM

const struct metric_def agent_metric_defs[AM_COUNT] = {
#define X(e, metric, kind, label_names, max, bounds, text) \
	[e] = {.name = metric,                             \
	    .type = TYPE_##kind,                           \
	    .help = text,                                  \
	    .labels = label_names,                         \
	    .max_series = max,                             \
	    .buckets = BUCKETS_##bounds,                   \
	    .n_buckets = N_##bounds},
    AGENT_METRIC_TABLE(X)
#undef X
};
