/* SPDX-License-Identifier: Apache-2.0 */
/* Limit cells, see registry.h. */
#include "agent/config/registry.h"

#include <stdlib.h>

#include "agent/policy/queue.h"

struct limit_node {
	struct limit_node *next; /* in its chain */
	struct limit_node *all;	 /* every node, for freeing */
	struct limit_cell *cell;
};

struct limit_registry {
	struct limit_node **heads;
	struct limit_node *all;
	size_t n_heads, n;
	struct rate_table *rates;
};

struct limit_registry *
limit_registry_new(void)
{
	struct limit_registry *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->n_heads = 256;
	r->heads = calloc(r->n_heads, sizeof(*r->heads));
	if (r->heads == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

static void
limit_node_free(struct limit_node *n)
{
	if (n == NULL)
		return;
	if (n->cell != NULL) {
		queue_detach(n->cell);
		free((void *)(uintptr_t)n->cell->name.p);
		free((void *)(uintptr_t)n->cell->scope.p);
	}
	free(n->cell);
	free(n);
}

void
limit_registry_free(struct limit_registry *r)
{
	if (r == NULL)
		return;
	while (r->all != NULL) {
		struct limit_node *n = r->all;

		r->all = n->all;
		limit_node_free(n);
	}
	free(r->heads);
	free(r);
}

void
limit_registry_rates(struct limit_registry *r, struct rate_table *t)
{
	r->rates = t;
}

static struct limit_node **
registry_head(const struct limit_registry *r, uint64_t uid)
{
	uint64_t h = uid * UINT64_C(0x9e3779b97f4a7c15);

	return &r->heads[(h >> 32) & (r->n_heads - 1)];
}

static void
registry_grow(struct limit_registry *r)
{
	size_t n = r->n_heads * 4;
	struct limit_node **heads = calloc(n, sizeof(struct limit_node *));

	if (heads == NULL)
		return; /* longer chains, nothing worse */
	free(r->heads);
	r->heads = heads;
	r->n_heads = n;
	/* Oldest first, so that the newest of a uid comes first in its chain:
	 * `all` is newest first, hence appending at the end of the chain. */
	for (struct limit_node *node = r->all; node != NULL; node = node->all) {
		struct limit_node **at = registry_head(r, node->cell->uid);

		while (*at != NULL)
			at = &(*at)->next;
		node->next = NULL;
		*at = node;
	}
}

struct limit_cell *
limit_registry_cell(
    struct limit_registry *r, uint64_t uid, struct str name, struct str scope)
{
	struct limit_node **head = registry_head(r, uid), *n;

	for (n = *head; n != NULL; n = n->next)
		if (n->cell->uid == uid && str_eq(n->cell->scope, scope))
			return n->cell;
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return NULL;
	n->cell = calloc(1, sizeof(*n->cell));
	if (n->cell == NULL) {
		free(n);
		return NULL;
	}
	n->cell->uid = uid;
	n->cell->table = r->rates;
	n->cell->name = str_make(str_dup(name), name.len);
	n->cell->scope = str_make(str_dup(scope), scope.len);
	if (n->cell->name.p == NULL || n->cell->scope.p == NULL) {
		limit_node_free(n);
		return NULL;
	}
	n->next = *head;
	*head = n;
	n->all = r->all;
	r->all = n;
	if (++r->n > r->n_heads)
		registry_grow(r);
	return n->cell;
}

void
limit_settings_apply(const struct limit_setting *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		limit_set(v[i].cell, &v[i].v);
}
