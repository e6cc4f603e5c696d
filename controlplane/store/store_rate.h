/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of limits in the database. What to lend is decided by
 * controlplane/fleet/share.h; here is what it decides on, under the row lock
 * of the limit's rate_pool, and the writing of it.
 */
#ifndef CONTROLPLANE_STORE_STORE_RATE_H
#define CONTROLPLANE_STORE_STORE_RATE_H

#include "controlplane/fleet/share.h"
#include "controlplane/store/store.h"

/* One limit of an exchange. */
struct rate_view {
	uint64_t limit_uid;
	bool found; /* it exists and is the fleet's */
	struct share_limit limit;
	struct share_pool pool;
	struct share_row *rows; /* malloc; rows[me] is the asking agent's */
	size_t n, me;
};

/* In the caller's transaction: lock the limits' pools (in the order of uid),
 * read all shares of each. v[i].limit_uid is given, the rest is filled. The
 * caller frees with store_rate_free(). */
int store_rate_lock(struct db *db, struct str agent_id, struct rate_view *v,
    size_t n, struct error *e) MUST_CHECK;
void store_rate_free(struct rate_view *v, size_t n);
/* Write the pools and the asking agent's rows, forget shares that ended
 * before `now` and have nothing to tell. */
int store_rate_write(struct db *db, struct str agent_id,
    const struct rate_view *v, size_t n, int64_t now,
    struct error *e) MUST_CHECK;

#endif
