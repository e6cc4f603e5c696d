/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as this replica serves it: all items of the latest
 * version and, for each agent group, the packed items with their hashes, the
 * state hash, which versions changed what, and the bundles made of them.
 *
 * Items of most kinds are the same for every group and kept once; deployments
 * and routes are kept per group. Thread-safe behind one lock; what takes long
 * (a snapshot of 100,000 keys: about 50 ms) happens once per group and
 * version, the bytes are shared by reference.
 */
#ifndef CONTROLPLANE_FLEET_STATE_H
#define CONTROLPLANE_FLEET_STATE_H

#include <stdatomic.h>

#include "common/clock.h"
#include "controlplane/store/pki.h"
#include "controlplane/store/store.h"
#include "controlplane/store/vault.h"
#include "proto/bundle.h"

struct state;

/* A SignedBundle; immutable. */
struct state_bundle {
	atomic_int refs;
	uint64_t base, version; /* base 0 = snapshot */
	char *data;
	size_t len;
};
void state_bundle_unref(struct state_bundle *b); /* NULL is fine */

/* A new state is empty at version 0: state_refresh() before use. */
struct state *state_new(const struct vault *vault, struct clock *clock,
    const uint8_t sign_sk[SIGN_SECRET_LEN]);
void state_free(struct state *s); /* NULL is fine */

uint64_t state_version(const struct state *s);

/* Catch up with the store: reads the changes since the loaded version, or
 * everything. *from and *to (may be equal) are the versions before and
 * after. On failure the old state stays. */
int state_refresh(struct state *s, struct store *store, uint64_t *from,
    uint64_t *to, struct error *e) MUST_CHECK;

/* What an agent of the group that has (have_version, have_hash) needs, by
 * reference: a delta when its base is known to be right, else a snapshot.
 * *ret NULL: nothing newer. want != 0 asks for exactly that version if it is
 * still here (an agent in the middle of a pull). */
int state_bundle(struct state *s, const char *group, uint64_t have_version,
    struct str have_hash, uint64_t want, struct state_bundle **ret,
    struct error *e) MUST_CHECK;

/* The delta from the loaded version `from` to the latest, for publication;
 * *ret NULL or a snapshot (base 0) when there is none. */
int state_delta_from(struct state *s, const char *group, uint64_t from,
    struct state_bundle **ret, struct error *e) MUST_CHECK;

/* Hash of the group's state at the latest version; false if the group is not
 * loaded. */
bool state_hash(
    struct state *s, const char *group, uint8_t hash[STATE_HASH_LEN]);
/* Names of the groups in use so far (each: NUL-ended, at most 63 bytes). */
typedef void state_group_fn(void *ctx, const char *group);
void state_groups(struct state *s, state_group_fn *fn, void *ctx);
/* Make sure that the group is loaded. */
int state_add_group(
    struct state *s, const char *group, struct error *e) MUST_CHECK;

#endif
