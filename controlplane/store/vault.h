/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption at rest: a 32-byte master key, from which one key per label is
 * derived (BLAKE2b); values are sealed with XChaCha20-Poly1305 under a random
 * nonce. `bound` (for example "provider:17") is authenticated with the value,
 * so that a sealed value cannot be moved to another row.
 * Sealed bytes: version 1 | nonce 24 | ciphertext + tag 16.
 */
#ifndef CONTROLPLANE_STORE_VAULT_H
#define CONTROLPLANE_STORE_VAULT_H

#include "common/buf.h"
#include "controlplane/store/store.h"

struct vault; /* immutable after opening; any thread */

#define VAULT_OVERHEAD 41 /* sealed length - plain length */
/* Labels in use. */
#define VAULT_PROVIDER_CREDENTIAL "provider-credential"
#define VAULT_PKI		  "pki"
#define VAULT_GROUP_KEY		  "group-key"
#define VAULT_IDEMPOTENCY	  "idempotency"

/* From 32 raw bytes. NULL without memory. */
struct vault *vault_new(const uint8_t key[32]);
/* From a file of 64 hex digits or 44 base64 characters (plus newline), not
 * readable by others. create: make it (0600) when missing. */
int vault_open_file(const char *path, bool create, struct vault **ret,
    struct error *e) MUST_CHECK;
void vault_free(struct vault *v);
/* Does the database belong to this master key? The first caller leaves a
 * sealed check value; a wrong key is ERR_FORBIDDEN with a clear text. */
int vault_check(struct vault *v, struct store *s, struct error *e) MUST_CHECK;

/* Append the sealed form of plain to out. */
int vault_seal(const struct vault *v, const char *label, struct str bound,
    struct str plain, struct buf *out, struct error *e) MUST_CHECK;
/* Append the plain text to out; ERR_CORRUPT when anything does not fit.
 * Callers wipe what they got (sodium_memzero). */
int vault_unseal(const struct vault *v, const char *label, struct str bound,
    struct str sealed, struct buf *out, struct error *e) MUST_CHECK;

#endif
