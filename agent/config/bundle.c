/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in a compiled bundle, see bundle.h. Hot path. */
#include "agent/config/bundle.h"

#include <sodium.h>

#include "agent/config/bundle_priv.h"

void
bundle_ref(struct bundle *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void
bundle_unref(struct bundle *b)
{
	struct bundle_priv *p;
	struct arena arena;

	if (b == NULL ||
	    atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	p = b->priv;
	for (size_t i = 0; i < p->n_providers; i++)
		provider_release(&p->providers[i]);
	arena = p->arena; /* b and p live in it */
	arena_release(&arena);
}

uint64_t
bundle_name_hash(struct str name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (uint8_t)name.p[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

uint64_t
bundle_digest_hash(const uint8_t digest[32])
{
	uint64_t h;

	memcpy(&h, digest, sizeof(h)); /* SHA-256: any bytes will do */
	return h;
}

const struct b_key *
bundle_find_key(const struct bundle *b, const uint8_t digest[32])
{
	const struct bundle_priv *p = b->priv;
	uint64_t h = bundle_digest_hash(digest);

	for (uint64_t i = h;; i++) {
		uint32_t at = p->key_index[i & (p->n_key_index - 1)];
		const struct b_key *k;

		if (at == 0)
			return NULL;
		k = &b->keys[at - 1];
		if (sodium_memcmp(k->digest, digest, 32) == 0)
			return k;
	}
}

const struct b_route *
bundle_find_route(const struct bundle *b, struct str name)
{
	const struct bundle_priv *p = b->priv;

	for (uint64_t i = bundle_name_hash(name);; i++) {
		uint32_t at = p->route_index[i & (p->n_route_index - 1)];

		if (at == 0)
			return NULL;
		if (str_eq(b->routes[at - 1].name, name))
			return &b->routes[at - 1];
	}
}

bool
b_model_price(const struct b_model *m, int64_t at, struct price *ret)
{
	return b_model_price_for(m, at, STR(""), 0, ret);
}

bool
b_model_price_for(const struct b_model *m, int64_t at, struct str tier,
    int64_t input_total, struct price *ret)
{
	return price_at(
	    m->prices, m->n_prices, at, tier, input_total, m->can_chat, ret);
}

bool
b_model_price_worst(const struct b_model *m, int64_t at, struct price *ret)
{
	return b_model_price_bound(m, at, STR("*"), INT64_MAX, ret);
}

bool
b_model_price_bound(const struct b_model *m, int64_t at, struct str tier,
    int64_t max_input, struct price *ret)
{
	return price_bound(
	    m->prices, m->n_prices, at, tier, max_input, m->can_chat, ret);
}

void
bundle_take_effect(const struct bundle *b, struct lease_table *leases)
{
	const struct bundle_priv *p = b->priv;

	limit_settings_apply(p->limits, p->n_limits);
	lease_table_publish(leases, p->budgets, p->n_budgets);
}
