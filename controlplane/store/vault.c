/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing with XChaCha20-Poly1305. The key of a label is
 * BLAKE2b(key = master key, "headgate-vault-v1\0" | label).
 */
#include "controlplane/store/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"

#define VAULT_NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define VAULT_TAG   crypto_aead_xchacha20poly1305_ietf_ABYTES

struct vault {
	uint8_t key[32];
};

struct vault *
vault_new(const uint8_t key[32])
{
	struct vault *v = NULL;

	if (sodium_init() >= 0)
		v = sodium_malloc(sizeof(*v));
	if (v == NULL)
		return NULL;
	memcpy(v->key, key, sizeof(v->key));
	sodium_mprotect_readonly(v);
	return v;
}

void
vault_free(struct vault *v)
{
	sodium_free(v);
}

static int
vault_create_file(const char *path, struct error *e)
{
	uint8_t key[32];
	char hex[66];
	int rc;

	randombytes_buf(key, sizeof(key));
	hex_encode(key, sizeof(key), hex);
	hex[64] = '\n';
	rc = io_write_file_atomic(io_system(), path, hex, 65, 0600, e);
	sodium_memzero(key, sizeof(key));
	sodium_memzero(hex, sizeof(hex));
	return rc;
}

static int
vault_parse(struct str text, uint8_t key[32])
{
	size_t n = 0;

	while (text.len > 0 &&
	       (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r'))
		text.len--;
	if (text.len == 64)
		return hex_decode(text, key, 32);
	if (text.len != 44 && text.len != 43)
		return ERR_INVALID;
	if (base64_decode(text,
		text.len == 44 ? sodium_base64_VARIANT_ORIGINAL
			       : sodium_base64_VARIANT_URLSAFE_NO_PADDING,
		NULL, key, 32, &n) != 0 ||
	    n != 32)
		return ERR_INVALID;
	return 0;
}

int
vault_open_file(
    const char *path, bool create, struct vault **ret, struct error *e)
{
	uint8_t key[32];
	struct stat st;
	struct buf b;
	int rc;

	buf_init(&b, 4096);
	if (create && access(path, F_OK) != 0) {
		rc = vault_create_file(path, e);
		if (rc != 0)
			goto out;
	}
	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
		rc = err_set(e, ERR_FORBIDDEN,
		    "master key file %s can be read by others (chmod 600)",
		    path);
		goto out;
	}
	rc = io_read_file(io_system(), path, &b, e);
	if (rc != 0) {
		err_wrap(e, "master key file");
		goto out;
	}
	rc = vault_parse(buf_str(&b), key);
	if (rc != 0) {
		err_set(e, rc,
		    "master key file %s: 64 hexadecimal digits or "
		    "44 base64 characters expected",
		    path);
		goto out;
	}
	*ret = vault_new(key);
	if (*ret == NULL)
		rc = err_set(e, ERR_NOMEM, "no memory");
out:
	sodium_memzero(key, sizeof(key));
	if (b.data != NULL)
		sodium_memzero(b.data, b.cap);
	buf_release(&b);
	return rc;
}

static void
vault_derive(const struct vault *v, const char *label, uint8_t key[32])
{
	static const char prefix[] = "headgate-vault-v1";
	crypto_generichash_state st;

	crypto_generichash_init(&st, v->key, sizeof(v->key), 32);
	crypto_generichash_update(&st, (const uint8_t *)prefix, sizeof(prefix));
	crypto_generichash_update(&st, (const uint8_t *)label, strlen(label));
	crypto_generichash_final(&st, key, 32);
}

int
vault_seal(const struct vault *v, const char *label, struct str bound,
    struct str plain, struct buf *out, struct error *e)
{
	uint8_t key[32], *at;
	int rc;

	rc = buf_reserve(out, plain.len + VAULT_OVERHEAD);
	if (rc != 0)
		return err_set(e, rc, "value too large to seal");
	at = (uint8_t *)out->data + out->len;
	*at = 1;
	randombytes_buf(at + 1, VAULT_NONCE);
	vault_derive(v, label, key);
	crypto_aead_xchacha20poly1305_ietf_encrypt(at + 1 + VAULT_NONCE, NULL,
	    (const uint8_t *)plain.p, plain.len, (const uint8_t *)bound.p,
	    bound.len, NULL, at + 1, key);
	sodium_memzero(key, sizeof(key));
	out->len += plain.len + VAULT_OVERHEAD;
	return 0;
}

int
vault_unseal(const struct vault *v, const char *label, struct str bound,
    struct str sealed, struct buf *out, struct error *e)
{
	const uint8_t *s = (const uint8_t *)sealed.p;
	uint8_t key[32];
	size_t n;
	int rc;

	if (sealed.len < VAULT_OVERHEAD || s[0] != 1)
		return err_set(e, ERR_CORRUPT, "bad sealed value");
	n = sealed.len - VAULT_OVERHEAD;
	rc = buf_reserve(out, n + 1);
	if (rc != 0)
		return err_set(e, rc, "sealed value too large");
	vault_derive(v, label, key);
	rc = crypto_aead_xchacha20poly1305_ietf_decrypt(
	    (uint8_t *)out->data + out->len, NULL, NULL, s + 1 + VAULT_NONCE,
	    n + VAULT_TAG, (const uint8_t *)bound.p, bound.len, s + 1, key);
	sodium_memzero(key, sizeof(key));
	if (rc != 0)
		return err_set(e, ERR_CORRUPT,
		    "a sealed value does not open (wrong master key, or it "
		    "was changed)");
	out->len += n;
	return 0;
}

/* ---- does the key fit the database? ---- */

static int
vault_check_tx(struct db *db, void *ctx, struct error *e)
{
	static const struct db_stmt get = {
	    "SELECT sealed FROM cp_secret WHERE name = 'vault-check'"};
	static const struct db_stmt put = {
	    "INSERT INTO cp_secret (name, sealed) VALUES ('vault-check', $1)"};
	const struct vault *v = ctx;
	struct db_rows *r = NULL;
	uint8_t sealed[128];
	struct buf b;
	long n;
	int rc;

	buf_init(&b, 256);
	rc = db_lock(db, STORE_LOCK_PKI, e);
	if (rc == 0)
		rc = db_query(db, &get, DB_ARGS(), &r, e);
	if (rc != 0)
		goto out;
	if (db_rows_count(r) == 0) {
		rc = vault_seal(
		    v, "check", STR("headgate"), STR("headgate"), &b, e);
		if (rc == 0)
			rc = db_exec(
			    db, &put, DB_ARGS(DBX(b.data, b.len)), NULL, e);
		goto out;
	}
	n = db_bytes(r, 0, 0, sealed, sizeof(sealed));
	if (n < 0 || vault_unseal(v, "check", STR("headgate"),
			 str_make((char *)sealed, (size_t)n), &b, e) != 0)
		rc = err_set(e, ERR_FORBIDDEN,
		    "the master key is not the one this database was made "
		    "with");
out:
	db_rows_free(r);
	buf_release(&b);
	return rc;
}

int
vault_check(struct vault *v, struct store *s, struct error *e)
{
	return store_tx(s, 0, vault_check_tx, v, e);
}
