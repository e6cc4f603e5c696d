/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes behind a pointer: the system's generator (libsodium) or a
 * seeded one for tests and simulation.
 */
#ifndef COMMON_RNG_H
#define COMMON_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	void (*fill)(struct rng *r, void *dst, size_t n);
};
struct rng_seeded {
	struct rng rng;
	uint64_t s[4];
};

struct rng *rng_system(void);
void rng_seeded_init(struct rng_seeded *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* n > 0 */

/* UUIDv7 (RFC 9562), sortable by time; text is 36 characters + NUL. */
struct uuid {
	uint8_t b[16];
};
void uuid_v7(struct uuid *u, struct rng *r, int64_t wall_ns);
void uuid_format(const struct uuid *u, char dst[37]);
int uuid_parse(const char *s, size_t len, struct uuid *u);

#endif
