/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests cost, as a share of what was reserved for them, learned by
 * (model, key): a histogram each in a table of fixed size. One worker owns a
 * table, so nothing is locked. An update is a few instructions; old requests
 * fade, as all counts of a row are halved when there are many; the row with
 * the fewest goes when there is no place.
 *
 * It estimates, it never decides what is safe: reservations stay worst cases.
 */
#ifndef AGENT_MONEY_LEARN_H
#define AGENT_MONEY_LEARN_H

#include <stdint.h>

#define LEARN_BUCKETS 14
#define LEARN_ROWS    512 /* a power of 2 */
#define LEARN_WAYS    4	  /* places of a pair */
#define LEARN_MIN     32  /* requests before a row says anything */
#define LEARN_MOST    1024

struct learn_row {
	uint64_t model, key; /* uids; model 0 = free */
	uint32_t n;
	uint16_t count[LEARN_BUCKETS];
};

struct learn {
	struct learn_row rows[LEARN_ROWS];
};

/* A request that reserved `worst` was settled at `cost`. Nothing is learned
 * of worst <= 0 or model 0. */
void learn_settled(
    struct learn *l, uint64_t model, uint64_t key, int64_t cost, int64_t worst);
/* The share of the reservation, per mille, that at least `part` per mille of
 * the requests did not exceed (rounded up to a bucket's upper end; `low`: not
 * above its lower end). -1: too little is known. */
int learn_share(const struct learn *l, uint64_t model, uint64_t key,
    unsigned part, int low);

#endif
