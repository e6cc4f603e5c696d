/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: each program declares one table of struct metric_def and passes it
 * to metric_set_new(). Values are atomics (relaxed), so any thread may count.
 * Output is the Prometheus text format 0.0.4. Label sets are bounded: series
 * beyond max_series of a metric are counted on the series "other".
 */
#ifndef COMMON_METRIC_H
#define COMMON_METRIC_H

#include <stdint.h>

#include "common/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_def {
	const char *name; /* "headgate_requests_total" */
	enum metric_type type;
	const char *help;   /* one sentence */
	const char *labels; /* "route,code" or "" */
	unsigned max_series;
	const double *buckets; /* histogram upper bounds, ascending */
	unsigned n_buckets;
};

struct metric_set;
struct metric_series; /* a metric with its label values bound */

struct metric_set *metric_set_new(const struct metric_def *defs, size_t n);
void metric_set_free(struct metric_set *s);
/* Find or make the series for label values in the order of def.labels; takes
 * a lock, so hot paths keep the pointer. Never NULL (falls back to "other").
 * Valid as long as the set. index = position in defs. */
struct metric_series *metric_series(struct metric_set *s, size_t index,
    const struct str *values, size_t n_values);
void metric_add(struct metric_series *m, int64_t v); /* counter, gauge */
void metric_gauge_set(struct metric_series *m, int64_t v);
void metric_observe(struct metric_series *m, double v); /* histogram */
int64_t metric_value(struct metric_series *m);
/* Sum over all series of a metric, 0 without a set; takes the lock, not for
 * hot paths. */
int64_t metric_sum(struct metric_set *s, size_t index);
/* Shorthand for metrics without labels. */
void metric_inc(struct metric_set *s, size_t index, int64_t v);
void metric_set_gauge(struct metric_set *s, size_t index, int64_t v);
int metric_render(struct metric_set *s, struct buf *out);
/* Markdown table of the definitions (docs/METRICS.md). */
int metric_markdown(const struct metric_def *defs, size_t n, struct buf *out);

#endif
