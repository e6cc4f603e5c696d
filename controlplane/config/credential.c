/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed credential is bound to its provider, so that a row moved to another
 * provider in the database does not open.
 */
#include <sodium.h>
#include <stdio.h>

#include "controlplane/config/credential.h"
#include "controlplane/store/store_config.h"
#include "controlplane/store/vault.h"

#define CREDENTIAL_SEALED_MAX (CREDENTIAL_MAX + VAULT_OVERHEAD)

static struct str
credential_bound(uint64_t uid, enum credential which, char dst[64])
{
	int n = snprintf(dst, 64, "provider:%llu%s", (unsigned long long)uid,
	    which == CREDENTIAL_CLIENT_KEY ? ":client_key" : "");

	return str_make(dst, (size_t)n);
}

int
credential_put(struct db *db, const struct vault *v, uint64_t provider_uid,
    enum credential which, struct str value, uint64_t *version, struct error *e)
{
	char bound[64];
	struct buf sealed;
	int rc;

	buf_init(&sealed, CREDENTIAL_SEALED_MAX);
	rc = vault_seal(v, VAULT_PROVIDER_CREDENTIAL,
	    credential_bound(provider_uid, which, bound), value, &sealed, e);
	if (rc == 0)
		rc = store_secret_put(
		    db, provider_uid, sealed.data, sealed.len, version, e);
	buf_release(&sealed);
	return rc;
}

int
credential_get(struct db *db, const struct vault *v, uint64_t provider_uid,
    enum credential which, uint64_t version, struct buf *out, struct error *e)
{
	char bound[64], sealed[CREDENTIAL_SEALED_MAX];
	size_t n = 0;
	int rc;

	rc = store_secret_get(
	    db, provider_uid, version, sealed, sizeof(sealed), &n, e);
	if (rc != 0)
		return rc;
	return vault_unseal(v, VAULT_PROVIDER_CREDENTIAL,
	    credential_bound(provider_uid, which, bound), str_make(sealed, n),
	    out, e);
}

void
key_generate(struct rng *rng, char dst[KEY_TEXT_MAX])
{
	unsigned char raw[32];

	rng->fill(rng, raw, sizeof(raw));
	memcpy(dst, "hg-", 3);
	(void)sodium_bin2base64(dst + 3, KEY_TEXT_MAX - 3, raw, sizeof(raw),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(raw, sizeof(raw));
}

void
key_digest(struct str key, char hex[65], char prefix[9])
{
	unsigned char d[crypto_hash_sha256_BYTES];
	size_t n = key.len > 3 ? key.len - 3 : 0;

	(void)crypto_hash_sha256(d, (const unsigned char *)key.p, key.len);
	hex_encode(d, sizeof(d), hex);
	if (n > 8)
		n = 8;
	memcpy(prefix, key.p + 3, n);
	prefix[n] = '\0';
}
