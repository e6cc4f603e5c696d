/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration built item by item, as the control plane would pack it. */
#ifndef TESTS_UNIT_AGENT_CONFIG_KIT_H
#define TESTS_UNIT_AGENT_CONFIG_KIT_H

#include "agent/config/compile.h"
#include "common/arena.h"
#include "proto/headgate.pb-c.h"

/* Uids of the world of kit_world(). */
enum {
	W_TENANT = 1,
	W_TEAM,
	W_PROJECT,
	W_KEY,
	W_PROVIDER,
	W_MODEL,
	W_DEPLOYMENT,
	W_ROUTE,
	W_ROUTE2,
	W_BUDGET,
	W_BUDGET_KEY,
	W_LIMIT,
	W_FREE = 100
};

struct world {
	Hg__Item *items[512];
	size_t n;
	uint64_t version;
	struct arena arena;
};

/* acme > acme.r > acme.r.p > acme.r.p.ci; gpt at sim; routes gpt, other; a
 * hard budget of the tenant, a soft one of the key; a limit of the project. */
void world_init(struct world *w);
void world_release(struct world *w);
/* The item, to be changed; NULL when it does not exist. */
Hg__Item *world_find(struct world *w, uint32_t kind, uint64_t uid);
Hg__Item *world_add(
    struct world *w, uint32_t kind, uint64_t uid, const char *name);
void world_drop(struct world *w, uint32_t kind, uint64_t uid);
/* Text that lives with the world. */
char *world_text(struct world *w, const char *z);
/* SHA-256-like digest of key number n. */
void world_digest(unsigned n, uint8_t digest[32]);
Hg__Item *world_key(
    struct world *w, uint64_t uid, const char *name, uint64_t project);
Hg__Item *world_budget(struct world *w, uint64_t uid, const char *name,
    uint32_t scope_kind, uint64_t scope, bool soft);

/* Add to the tags that the budget filters by. */
void world_tag(
    struct world *w, Hg__Item *budget, const char *name, const char *value);

/* Packed snapshot with the right hash. */
void world_snapshot(struct world *w, struct buf *out);
/* Packed delta from `base` to the world; every item of changed[] is sent. */
void world_delta(struct world *w, const struct item_state *base,
    const Hg__ItemRef *changed, size_t n, struct buf *out);
/* Through items_apply. */
struct item_state *world_state(struct world *w);

#define KIND(k) HG__ITEM_KIND__ITEM_##k

/* Where a world is compiled, and what came of it. */
struct bench {
	struct lease_table *leases;
	struct limit_registry *limits;
	struct bundle *b;
	struct reject why;
	struct error e;
};
void bench_init(struct bench *x);
void bench_release(struct bench *x);
/* Compile into x->b, dropping the last one; what bundle_compile() says. */
int bench_compile(struct bench *x, struct world *w);

#endif
