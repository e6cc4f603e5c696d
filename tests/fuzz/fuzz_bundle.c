/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration bundle with any contents, as it is after the signature was
 * found good: applied as a snapshot (its own hash put right, so that fuzzing
 * gets past it), compiled, looked up in.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/config/compile.h"
#include "proto/headgate.pb-c.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The items of the input, sorted, with the hash that they have. */
static void
repair(struct str in, struct buf *out)
{
	Hg__Bundle *b = hg__bundle__unpack(NULL, in.len, (const uint8_t *)in.p);
	uint8_t hash[STATE_HASH_LEN];
	struct state_hasher h;
	uint32_t kind = 0;
	uint64_t uid = 0;
	size_t i;

	if (b == NULL)
		return;
	state_hash_init(&h);
	for (i = 0; i < b->n_items; i++) {
		Hg__Item *it = b->items[i];
		uint8_t one[STATE_HASH_LEN];
		struct buf p;

		if ((uint32_t)it->kind < kind ||
		    ((uint32_t)it->kind == kind && it->uid <= uid))
			break;
		kind = (uint32_t)it->kind;
		uid = it->uid;
		buf_init(&p, (size_t)1 << 20);
		if (proto_pack(&it->base, &p) == 0) {
			item_hash(buf_str(&p), one);
			state_hash_add(&h, kind, uid, one);
		}
		buf_release(&p);
	}
	state_hash_final(&h, hash);
	b->base_version = 0;
	if (b->version == 0)
		b->version = 1;
	b->min_schema_minor = 0;
	if (b->state_hash.len != 0)
		free(b->state_hash.data);
	b->state_hash.data = malloc(STATE_HASH_LEN);
	if (b->state_hash.data != NULL) {
		memcpy(b->state_hash.data, hash, STATE_HASH_LEN);
		b->state_hash.len = STATE_HASH_LEN;
		if (proto_pack(&b->base, out) != 0)
			buf_clear(out);
	}
	hg__bundle__free_unpacked(b, NULL);
}

static void
look(const struct bundle *b)
{
	struct price p;

	for (unsigned i = 0; i < b->n_keys; i++) {
		const struct b_key *k = &b->keys[i];

		if (bundle_find_key(b, k->digest) == NULL)
			abort();
		for (unsigned r = 0; r < b->n_routes; r++)
			(void)bundle_key_may(k, &b->routes[r]);
	}
	for (unsigned i = 0; i < b->n_routes; i++) {
		const struct b_route *r = &b->routes[i];

		if (bundle_find_route(b, r->name) == NULL)
			abort();
		for (unsigned t = 0; t < r->n_targets; t++)
			(void)b_model_price(
			    r->targets[t].deployment->model, 5000, &p);
	}
}

static void
run(struct str bytes)
{
	struct lease_table *leases = lease_table_new(NULL);
	struct limit_registry *limits = limit_registry_new();
	struct item_state *s = NULL;
	struct bundle *b = NULL;
	struct reject why;
	struct error e;

	if (leases != NULL && limits != NULL &&
	    items_apply(NULL, bytes, &s, &e) == 0 &&
	    bundle_compile(s, leases, limits, &b, &why, &e) == 0) {
		bundle_take_effect(b, leases);
		look(b);
	}
	bundle_unref(b);
	items_unref(s);
	limit_registry_free(limits);
	lease_table_free(leases);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make((const char *)data, size);
	struct buf b;

	run(in);
	buf_init(&b, (size_t)4 << 20);
	repair(in, &b);
	if (b.len > 0)
		run(buf_str(&b));
	buf_release(&b);
	return 0;
}
