/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models that the simulator offers, read once from a JSON file:
 *
 *   {"models": [{"id": "sim-large", "kind": "chat", "context_tokens": 128000,
 *     "max_output_tokens": 4096, "dimensions": 1536,
 *     "prices": [{"class": "input", "usd_per_mtok": "2.50",
 *                 "from": "2026-01-01T00:00:00Z", "to": "..."}],
 *     "knobs": {"ttft_ms": 5, "fault": "429"}}]}
 *
 * Only "id" is required. Constant after it was loaded.
 */
#ifndef TESTS_PROVIDER_CATALOG_H
#define TESTS_PROVIDER_CATALOG_H

#include <stdbool.h>

#include "common/err.h"
#include "common/str.h"
#include "tests/provider/knobs.h"
#include "tests/provider/options.h"
#include "tests/provider/price.h"

struct sim_model {
	char id[64];
	size_t id_len;
	bool embeddings;
	int64_t context_tokens, max_output_tokens, dimensions;
	struct sim_prices prices;
	struct knobs knobs;
};

#define CATALOG_MAX 64

struct catalog {
	struct sim_model models[CATALOG_MAX];
	int n_models;
};

/* Three models to play with when no file is given. */
void catalog_default(struct catalog *c);
int catalog_load(struct catalog *c, struct options *o, const char *path,
    struct error *e) MUST_CHECK;
/* NULL when there is none. */
const struct sim_model *catalog_find(const struct catalog *c, struct str id);

#endif
