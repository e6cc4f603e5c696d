/* SPDX-License-Identifier: Apache-2.0 */
/* Log-linear histogram. */
#include "tests/bench/load/hist.h"

static unsigned
hist_bucket(int64_t ns)
{
	uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
	unsigned shift = 0;

	while (v >= 2 * HIST_SUB) {
		v >>= 1;
		shift++;
	}
	if (shift > 38)
		return HIST_BUCKETS - 1;
	return shift * HIST_SUB + (unsigned)v;
}

static int64_t
hist_value(unsigned bucket)
{
	unsigned shift;

	if (bucket < 2 * HIST_SUB)
		return (int64_t)bucket;
	shift = bucket / HIST_SUB - 1;
	return ((int64_t)(bucket - shift * HIST_SUB) << shift) +
	       ((int64_t)1 << shift) / 2;
}

void
hist_add(struct hist *h, int64_t ns)
{
	h->count[hist_bucket(ns)]++;
	if (h->n == 0 || ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->n++;
	h->sum += ns;
}

int64_t
hist_quantile(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;

	if (h->n == 0)
		return 0;
	if (want >= h->n)
		want = h->n - 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > want)
			return hist_value(i) > h->max ? h->max : hist_value(i);
	}
	return h->max;
}
