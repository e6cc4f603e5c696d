/* SPDX-License-Identifier: Apache-2.0 */
/* Timers of one loop: a binary heap of connections, one timer each. */
#ifndef TESTS_PROVIDER_TIMERS_H
#define TESTS_PROVIDER_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct conn;

struct timers {
	struct conn **heap; /* 1-based */
	size_t n, cap;
};

void timers_set(struct timers *t, struct conn *c, int64_t due_ns);
void timers_remove(struct timers *t, struct conn *c);
/* A connection whose timer is due, its timer removed; NULL = none. */
struct conn *timers_take_due(struct timers *t, int64_t now_ns);
int64_t timers_next(const struct timers *t); /* INT64_MAX when empty */
void timers_release(struct timers *t);

#endif
