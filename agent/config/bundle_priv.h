/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a bundle: shared by bundle.c and compile*.c only. */
#ifndef AGENT_CONFIG_BUNDLE_PRIV_H
#define AGENT_CONFIG_BUNDLE_PRIV_H

#include "agent/config/compile.h"
#include "common/arena.h"

struct bundle_priv {
	struct arena arena; /* holds everything, the bundle itself too */
	uint32_t *key_index, *route_index; /* number + 1; powers of two */
	size_t n_key_index, n_route_index;
	struct limit_setting *limits;
	struct budget_setting *budgets;
	size_t n_limits, n_budgets;
	struct b_provider *providers; /* their secrets are wiped */
	size_t n_providers;
};

uint64_t bundle_name_hash(struct str name);
uint64_t bundle_digest_hash(const uint8_t digest[32]);

/* Work of one compilation. */
struct owner {
	uint64_t uid, parent_uid;
	struct str name;
	bool disabled;
	const uint64_t *routes;
	bool has_hard;
	uint8_t class; /* enum queue_class */
	unsigned n_budgets, n_limits;
	struct budget_cell *budgets[BUNDLE_MAX_BUDGETS];
	struct b_filter *filters; /* BUNDLE_MAX_BUDGETS of them, or NULL */
	struct limit_cell *limits[BUNDLE_MAX_LIMITS];
};

struct scope_ref { /* a budget or limit by what it is for */
	uint64_t scope_uid;
	uint32_t scope_kind, at; /* index into priv->budgets or limits */
};

struct kind_range {
	size_t first, n; /* in state->items */
};

struct compile {
	const struct item_state *s;
	struct lease_table *leases;
	struct limit_registry *registry;
	struct bundle *b;
	struct bundle_priv *p;
	struct arena tmp, item; /* this compilation; one decoded item */
	struct kind_range range[16];
	/* in the order of their items */
	struct b_provider *providers;
	struct b_model *models;
	struct b_deployment *deployments;
	struct b_route *routes;
	struct b_route **routes_by_uid;
	struct owner *owners[4]; /* by kind: tenant, team, project */
	struct scope_ref *budget_refs, *limit_refs;
	size_t n_words; /* of a route set */
	uint64_t *all_routes;
	const uint64_t **sets; /* interned, open addressing */
	size_t n_sets, cap_sets;
	struct reject *why;
	struct error *e;
};

struct Hg__Item;

/* Decode item i of the state into c->item (cleared first). */
int compile_decode(
    struct compile *c, size_t i, struct Hg__Item **ret) MUST_CHECK;
/* Number of the item within its kind, -1 when there is none. */
long compile_find(const struct compile *c, uint32_t kind, uint64_t uid);
/* ERR_INVALID naming the item. */
int compile_reject(struct compile *c, const struct Hg__Item *item,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
int compile_nomem(struct compile *c);
/* NUL-ended copy in the bundle's arena; .p NULL without memory. */
struct str compile_str(struct compile *c, const char *z);

/* agent/config/providers.c */
int compile_provider(struct compile *c, const struct Hg__Item *item,
    struct b_provider *p) MUST_CHECK;
/* Wipe the secrets and give back what it refers to. */
void provider_release(struct b_provider *p);

int compile_catalog(struct compile *c) MUST_CHECK; /* providers .. routes */
int compile_scopes(struct compile *c) MUST_CHECK;  /* budgets, limits */
int compile_owners(struct compile *c) MUST_CHECK;
int compile_keys(struct compile *c) MUST_CHECK;

#endif
