/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes: libsodium's generator, or xoshiro256** seeded through
 * splitmix64 for tests and simulation (never for secrets); and UUIDs.
 */
#include <sodium.h>
#include <string.h>

#include "common/clock.h"
#include "common/rng.h"

static void
rng_system_fill(struct rng *r, void *dst, size_t n)
{
	(void)r;
	if (n > 0)
		randombytes_buf(dst, n);
}

struct rng *
rng_system(void)
{
	static struct rng r = {rng_system_fill};

	MUST(sodium_init() >= 0); /* idempotent and thread-safe */
	return &r;
}

static uint64_t
rng_rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static uint64_t
rng_seeded_next(struct rng_seeded *r)
{
	uint64_t *s = r->s;
	uint64_t result = rng_rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rng_rotl(s[3], 45);
	return result;
}

static void
rng_seeded_fill(struct rng *r, void *dst, size_t n)
{
	struct rng_seeded *rs = (struct rng_seeded *)r;
	unsigned char *p = dst;

	while (n > 0) {
		uint64_t v = rng_seeded_next(rs);
		size_t k = n < sizeof(v) ? n : sizeof(v);

		memcpy(p, &v, k);
		p += k;
		n -= k;
	}
}

void
rng_seeded_init(struct rng_seeded *r, uint64_t seed)
{
	int i;

	r->rng.fill = rng_seeded_fill;
	for (i = 0; i < 4; i++) {
		uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t
rng_u64(struct rng *r)
{
	uint64_t v;

	r->fill(r, &v, sizeof(v));
	return v;
}

uint64_t
rng_below(struct rng *r, uint64_t n)
{
	uint64_t v, floor;

	MUST(n > 0);
	floor = (0 - n) % n; /* 2^64 mod n: below it the draw is biased */
	do
		v = rng_u64(r);
	while (v < floor);
	return v % n;
}

void
uuid_v7(struct uuid *u, struct rng *r, int64_t wall_ns)
{
	uint64_t ms = wall_ns > 0 ? (uint64_t)(wall_ns / NS_PER_MS) : 0;
	int i;

	r->fill(r, u->b + 6, 10);
	for (i = 0; i < 6; i++)
		u->b[i] = (uint8_t)(ms >> (40 - 8 * i));
	u->b[6] = (uint8_t)((u->b[6] & 0x0f) | 0x70);
	u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
}

void
uuid_format(const struct uuid *u, char dst[37])
{
	char hex[33];

	hex_encode(u->b, sizeof(u->b), hex);
	memcpy(dst, hex, 8);
	dst[8] = '-';
	memcpy(dst + 9, hex + 8, 4);
	dst[13] = '-';
	memcpy(dst + 14, hex + 12, 4);
	dst[18] = '-';
	memcpy(dst + 19, hex + 16, 4);
	dst[23] = '-';
	memcpy(dst + 24, hex + 20, 12);
	dst[36] = '\0';
}

int
uuid_parse(const char *s, size_t len, struct uuid *u)
{
	char hex[32];
	size_t i, n = 0;

	if (len != 36)
		return ERR_INVALID;
	for (i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if ((s[i] == '-') != dash)
			return ERR_INVALID;
		if (!dash)
			hex[n++] = s[i];
	}
	return hex_decode(str_make(hex, n), u->b, sizeof(u->b));
}
