/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is calling: admin tokens, looked up by the SHA-256 of the whole token
 * through the store, with a short cache so that a busy client costs no query
 * a request. A change made here empties it; one made by another replica is
 * seen within AUTH_CACHE_MS.
 */
#ifndef CONTROLPLANE_REST_AUTH_H
#define CONTROLPLANE_REST_AUTH_H

#include "controlplane/rest/http.h"
#include "controlplane/store/store_admin.h"

#define AUTH_CACHE_MS 2000

struct auth;

struct auth *auth_new(void); /* NULL without memory */
void auth_free(struct auth *a);
/* Thread-safe. now: monotonic ns; wall: ns since 1970. ERR_UNAUTHENTICATED
 * with one text for every kind of wrong; other errors are of the store. */
int auth_check(struct auth *a, struct store *s, const struct http_request *r,
    int64_t now, int64_t wall, struct admin_token *ret,
    struct error *e) MUST_CHECK;
/* Forget all that is cached; call it after a change of tokens committed. */
void auth_forget(struct auth *a);

#endif
