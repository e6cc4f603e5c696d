/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration on the wire: the state hash that both sides compute, signed
 * bundles and sealed deltas.
 *
 * State hash: BLAKE2b-256 over, for all items in the order of (kind, uid):
 *   kind u32 LE | uid u64 LE | BLAKE2b-256(packed hg.Item)
 * so the empty state hashes to BLAKE2b-256(""). Packing by protobuf-c is
 * deterministic and an Item is re-packed to the same bytes as long as no
 * unknown field is dropped (protobuf-c keeps them).
 *
 * Signed bundle: Ed25519 over "headgate-bundle-v1\0" | bytes of hg.Bundle.
 * Sealed delta: XChaCha20-Poly1305 of a SignedBundle under the group's key,
 * associated data "headgate-delta-v1\0" | group.
 *
 * Pure functions; any thread.
 */
#ifndef PROTO_BUNDLE_H
#define PROTO_BUNDLE_H

#include <sodium.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/rng.h"
#include "proto/envelope.h"
#include "proto/headgate.pb-c.h"

#define STATE_HASH_LEN 32
#define GROUP_KEY_LEN  32
#define BUNDLE_MAX     ((size_t)256 << 20) /* bytes of a SignedBundle */
#define BUNDLE_PART    ((size_t)1 << 20)   /* data in one PullReply */
/* An agent has room for so many on the path of a key. */
#define PROTO_PATH_BUDGETS 8
#define PROTO_PATH_LIMITS  8
#define DELTA_MAX	   ((size_t)1 << 20) /* larger: hint without items */

/* BLAKE2b-256 of a packed item. */
void item_hash(struct str packed, uint8_t hash[STATE_HASH_LEN]);

/* The least schema minor that reads the item as it is meant: an agent below it
 * would charge other prices, or other budgets. What an older agent does not
 * know and may leave out safely does not count. */
uint32_t item_schema_minor(const Hg__Item *m);

struct state_hasher {
	crypto_generichash_state state;
	uint32_t last_kind;
	uint64_t last_uid;
	bool any;
};
void state_hash_init(struct state_hasher *h);
/* Items must come in strictly rising (kind, uid): MUST() otherwise. */
void state_hash_add(struct state_hasher *h, uint32_t kind, uint64_t uid,
    const uint8_t item[STATE_HASH_LEN]);
void state_hash_final(struct state_hasher *h, uint8_t hash[STATE_HASH_LEN]);

/* Append the packed SignedBundle of the packed hg.Bundle to `out`. */
int bundle_sign(struct str bundle, const uint8_t secret[SIGN_SECRET_LEN],
    struct buf *out) MUST_CHECK;
/* Verify a SignedBundle; *bundle is the packed hg.Bundle, a slice of
 * `signed_bundle`. ERR_CORRUPT or ERR_SIGNATURE. */
int bundle_verify(struct str signed_bundle,
    const uint8_t control_key[SIGN_PUBLIC_LEN], struct str *bundle,
    struct error *e) MUST_CHECK;

/* Append a packed SealedDelta of `signed_bundle` to `out`. */
int delta_seal(const char *group, uint32_t key_id,
    const uint8_t key[GROUP_KEY_LEN], struct rng *rng, struct str signed_bundle,
    struct buf *out) MUST_CHECK;
/* Open a SealedDelta into `out` (the SignedBundle; still to be verified).
 * ERR_CORRUPT; ERR_SIGNATURE when group or key do not match. */
int delta_open(struct str sealed_delta, const char *group,
    const uint8_t key[GROUP_KEY_LEN], struct buf *out,
    struct error *e) MUST_CHECK;

/* What is published to a group: a signed envelope around a SealedDelta. */
struct delta_publication {
	const char *group;
	uint32_t key_id;
	const uint8_t *key; /* GROUP_KEY_LEN bytes */
	uint64_t version;
	struct str signed_bundle;
};
/* Append the wire bytes to `out`. ERR_TOO_LARGE, ERR_NOMEM. */
int delta_publish(const struct delta_publication *p,
    const uint8_t secret[SIGN_SECRET_LEN], struct rng *rng,
    struct buf *out) MUST_CHECK;

#endif
