/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of items: provider credentials, sealed in the database and named by
 * (provider, credential_version), and client keys, kept as digests.
 */
#ifndef CONTROLPLANE_CONFIG_CREDENTIAL_H
#define CONTROLPLANE_CONFIG_CREDENTIAL_H

#include "common/buf.h"
#include "common/rng.h"
#include "controlplane/store/store.h"

struct vault;

/* Which secret of a provider. They share one count of versions and cannot
 * stand in for each other. */
enum credential { CREDENTIAL_MAIN, CREDENTIAL_CLIENT_KEY };

#define CREDENTIAL_MAX ((size_t)32 << 10) /* bytes of a clear secret */

/* Seal and store; *version gets its number. Inside a transaction. */
int credential_put(struct db *db, const struct vault *v, uint64_t provider_uid,
    enum credential which, struct str value, uint64_t *version,
    struct error *e) MUST_CHECK;
/* Append the clear secret to out; the caller wipes it. ERR_NOT_FOUND. */
int credential_get(struct db *db, const struct vault *v, uint64_t provider_uid,
    enum credential which, uint64_t version, struct buf *out,
    struct error *e) MUST_CHECK;

#define KEY_TEXT_MAX 208 /* bytes of a key with its NUL */
/* A fresh key "hg-" + 43 characters, NUL-terminated, into dst. */
void key_generate(struct rng *rng, char dst[KEY_TEXT_MAX]);
/* What is stored of a key: lower-case hexadecimal SHA-256 of the whole text
 * and its first 8 characters after "hg-". */
void key_digest(struct str key, char hex[65], char prefix[9]);

#endif
