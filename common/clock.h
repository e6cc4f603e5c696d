/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time behind a pointer. Monotonic nanoseconds for timeouts and fences; wall
 * nanoseconds since 1970 only for what people and bills see. Protocol code
 * takes a struct clock so that tests and the simulation move time by hand.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

#include "common/str.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

struct clock {
	int64_t (*mono_ns)(struct clock *c);
	int64_t (*wall_ns)(struct clock *c);
};

struct clock_fake {
	struct clock clock;
	int64_t mono, wall;
};

struct clock *clock_system(void); /* CLOCK_MONOTONIC, CLOCK_REALTIME */
void clock_fake_init(struct clock_fake *f, int64_t mono, int64_t wall);
void clock_fake_advance(struct clock_fake *f, int64_t ns); /* both */

static inline int64_t
clock_mono(struct clock *c)
{
	return c->mono_ns(c);
}
static inline int64_t
clock_wall(struct clock *c)
{
	return c->wall_ns(c);
}

/* RFC 3339 UTC. Format writes "2026-01-02T03:04:05Z" (or with .mmm when
 * millis); dst has at least 32 bytes. Parse takes 'Z' or a numeric offset and
 * fractional seconds; result in nanoseconds since 1970. */
void time_format(int64_t wall_ns, int millis, char *dst);
int time_parse(struct str s, int64_t *wall_ns) MUST_CHECK;

#endif
