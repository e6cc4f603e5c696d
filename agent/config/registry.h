/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limit cells by uid: counters that outlive bundles. Cells are never freed
 * while workers run. Used by the thread that compiles (one at a time).
 */
#ifndef AGENT_CONFIG_REGISTRY_H
#define AGENT_CONFIG_REGISTRY_H

#include "agent/policy/limit.h"

struct limit_registry;

struct limit_registry *limit_registry_new(void); /* NULL: no memory */
void limit_registry_free(struct limit_registry *r);
/* The cell of a limit or deployment; another scope makes a new cell. Its
 * limits are 0 (none) until limit_registry_set. NULL without memory. */
struct limit_cell *limit_registry_cell(struct limit_registry *r, uint64_t uid,
    struct str name, struct str scope) MUST_CHECK;

/* Where cells of the fleet's limits get their shares; without (NULL, the
 * beginning) each limit is this agent's alone. Before the first cell. */
void limit_registry_rates(struct limit_registry *r, struct rate_table *t);

/* Values that take effect when a bundle is published. */
struct limit_setting {
	struct limit_cell *cell;
	struct limit_values v;
};
void limit_settings_apply(const struct limit_setting *v, size_t n);

#endif
