/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The item store: one immutable, reference-counted state of the configuration
 * as the control plane sent it. Items stay packed (an hg.Item each, the bytes
 * the state hash is made of); states share the bytes of items that did not
 * change. Decoding happens only while a bundle is compiled.
 */
#ifndef AGENT_CONFIG_ITEMS_H
#define AGENT_CONFIG_ITEMS_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/bundle.h"

struct item_blob {
	atomic_int refs;
	uint32_t len;
	uint8_t bytes[];
};

struct item {
	uint32_t kind; /* Hg__ItemKind */
	uint64_t uid;
	uint8_t hash[STATE_HASH_LEN];
	struct item_blob *blob;
};

struct item_state {
	atomic_int refs;
	uint64_t version;
	int64_t created_at; /* wall ns */
	uint8_t hash[STATE_HASH_LEN];
	char *group;
	size_t n;
	struct item *items; /* by kind, uid */
};

/* What a packed hg.Bundle says of itself, before it is applied. */
struct bundle_head {
	uint64_t base_version, version;
	struct str base_hash, state_hash, group; /* slices of the bundle */
	int64_t created_at;
	uint32_t min_schema_minor;
	size_t n_items, n_deletes;
};
int bundle_head_read(
    struct str bundle, struct bundle_head *ret, struct error *e) MUST_CHECK;

/* Apply a packed hg.Bundle. A snapshot (base_version 0) ignores base; a delta
 * needs exactly its base (version and hash), else ERR_VERSION. The resulting
 * state hash must be the one that the bundle announces, else ERR_CORRUPT.
 * base is unchanged and may be NULL. Pure; any thread. */
int items_apply(const struct item_state *base, struct str bundle,
    struct item_state **ret, struct error *e) MUST_CHECK;

struct item_state *items_ref(struct item_state *s);
void items_unref(struct item_state *s); /* NULL is fine; any thread */
/* Append the state as a packed snapshot hg.Bundle. */
int items_pack(const struct item_state *s, struct buf *out) MUST_CHECK;

#endif
