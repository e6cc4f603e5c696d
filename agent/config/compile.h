/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling an item state into a bundle (bundle.h): resolves references,
 * inherits rights, budgets and limits down the tree, checks what the hot path
 * relies on. A state that fails is rejected as a whole, naming the first item
 * at fault; the bundle in use stays.
 */
#ifndef AGENT_CONFIG_COMPILE_H
#define AGENT_CONFIG_COMPILE_H

#include "agent/config/bundle.h"
#include "agent/config/items.h"
#include "agent/config/registry.h"
#include "agent/money/lease_table.h"

/* Which item made a state unusable. */
struct reject {
	uint32_t kind; /* Hg__ItemKind */
	char item[256];
};

/* One compiling thread at a time. Creates cells in both registries but
 * changes no limits. ERR_INVALID with *why and e filled; ERR_NOMEM. */
int bundle_compile(const struct item_state *s, struct lease_table *leases,
    struct limit_registry *limits, struct bundle **ret, struct reject *why,
    struct error *e) MUST_CHECK;

/* Let the limits and budgets of the bundle take effect: just before it is
 * handed to the workers. */
void bundle_take_effect(const struct bundle *b, struct lease_table *leases);

/* Split "scheme://host[:port][/prefix]"; ERR_INVALID for anything else (user,
 * query, fragment, control characters). Slices of url; prefix without a '/'
 * at its end. */
int base_url_parse(struct str url, struct str *scheme, struct str *host,
    uint16_t *port, struct str *prefix) MUST_CHECK;

#endif
