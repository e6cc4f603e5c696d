/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world of tenants, keys and models in the database, and generated
 * usage batches over it: for tests and for the ingest benchmark.
 */
#ifndef TESTS_UNIT_CONTROLPLANE_SUPPORT_USAGEGEN_H
#define TESTS_UNIT_CONTROLPLANE_SUPPORT_USAGEGEN_H

#include "controlplane/store/store_usage.h"

#define USAGEGEN_MAX_KEYS 4096

struct usagegen {
	unsigned n_tenants, n_keys, n_models;
	uint64_t tenant[USAGEGEN_MAX_KEYS], team[USAGEGEN_MAX_KEYS],
	    project[USAGEGEN_MAX_KEYS], key[USAGEGEN_MAX_KEYS]; /* per key */
	uint64_t model[16], route[16], deployment[16], provider;
	uint64_t version; /* of the models */
	uint64_t budget;  /* charged by every record; 0 = none */
	bool zipf;	  /* keys by Zipf's law, mostly one model a key */
};

/* Commit the items ("t0", "t0.team", "t0.team.p", "t0.team.p.k17", models
 * "m0"...; each input token costs 1, each output token 2 micro-USD). Aborts on
 * failure. budget: also a budget "t0.monthly" of 1000000 USD. */
void usagegen_world(struct usagegen *g, struct store *s, unsigned n_tenants,
    unsigned n_keys, unsigned n_models, bool budget);

/* A batch with records first_seq .. first_seq + n - 1 that started at `at`
 * plus a millisecond each; the cost is right for the tokens. Deterministic
 * for (epoch, shard, seq): repeated generation gives equal records. */
Hg__UsageBatch *usagegen_batch(struct usagegen *g, uint64_t epoch,
    uint32_t shard, uint64_t first_seq, size_t n, int64_t at);
void usagegen_free(Hg__UsageBatch *b);

#endif
