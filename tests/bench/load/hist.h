/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of durations in nanoseconds: 64 linear steps for each power of
 * two, so that every quantile is within 1.6 % of the truth.
 */
#ifndef TESTS_BENCH_LOAD_HIST_H
#define TESTS_BENCH_LOAD_HIST_H

#include <stdint.h>

#define HIST_SUB     64
#define HIST_BUCKETS (HIST_SUB * 40)

struct hist {
	uint64_t count[HIST_BUCKETS];
	uint64_t n;
	int64_t sum, min, max;
};

void hist_add(struct hist *h, int64_t ns);
/* q in 0..1; 0 when empty. */
int64_t hist_quantile(const struct hist *h, double q);

#endif
