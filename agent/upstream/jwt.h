/* SPDX-License-Identifier: Apache-2.0 */
/* Signed assertions for token endpoints (RFC 7523, RS256). Any thread. */
#ifndef AGENT_UPSTREAM_JWT_H
#define AGENT_UPSTREAM_JWT_H

#include <stdint.h>

#include "common/buf.h"

struct evp_pkey_st; /* EVP_PKEY */

/* Read an RSA key of at least 2048 bits; ERR_INVALID, e without secrets. The
 * caller frees it with jwt_key_free. */
int jwt_key_read(
    struct str pem, struct evp_pkey_st **ret, struct error *e) MUST_CHECK;
void jwt_key_free(struct evp_pkey_st *key); /* NULL is fine */

struct jwt_claims {
	const char *issuer, *key_id, *scope, *audience;
	int64_t now_s; /* seconds since 1970; valid for an hour */
};
/* Append header.claims.signature. ERR_INTERNAL when signing fails; errors of
 * out. */
int jwt_sign(struct evp_pkey_st *key, const struct jwt_claims *c,
    struct buf *out, struct error *e) MUST_CHECK;

#endif
