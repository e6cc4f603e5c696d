/* SPDX-License-Identifier: Apache-2.0 */
/* See jwt.h. */
#include "agent/upstream/jwt.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>

#include "common/tls_check.h"

#define JWT_LIFETIME_S 3600
#define JWT_MAX	       16384

int
jwt_key_read(struct str pem, struct evp_pkey_st **ret, struct error *e)
{
	return rsa_key_read(pem, ret, e);
}

void
jwt_key_free(struct evp_pkey_st *key)
{
	EVP_PKEY_free(key);
}

static int
jwt_add_base64(struct buf *out, const void *p, size_t n)
{
	size_t len = sodium_base64_encoded_len(
	    n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	int rc = buf_reserve(out, len);

	if (rc != 0)
		return rc;
	(void)sodium_bin2base64(out->data + out->len, len, p, n,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->len += len - 1;
	return 0;
}

static int
jwt_body(const struct jwt_claims *c, struct buf *out)
{
	struct buf json;
	int rc;

	buf_init(&json, JWT_MAX);
	buf_addz(&json, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
	if (c->key_id[0] != '\0') {
		buf_addz(&json, ",\"kid\":");
		buf_add_json(&json, str_of(c->key_id));
	}
	buf_addz(&json, "}");
	rc = buf_error(&json);
	if (rc == 0)
		rc = jwt_add_base64(out, json.data, json.len);
	buf_clear(&json);
	buf_addz(&json, "{\"iss\":");
	buf_add_json(&json, str_of(c->issuer));
	buf_addz(&json, ",\"scope\":");
	buf_add_json(&json, str_of(c->scope));
	buf_addz(&json, ",\"aud\":");
	buf_add_json(&json, str_of(c->audience));
	buf_addf(&json, ",\"iat\":%lld,\"exp\":%lld}", (long long)c->now_s,
	    (long long)c->now_s + JWT_LIFETIME_S);
	if (rc == 0)
		rc = buf_error(&json);
	buf_addc(out, '.');
	if (rc == 0)
		rc = jwt_add_base64(out, json.data, json.len);
	buf_release(&json);
	return rc != 0 ? rc : buf_error(out);
}

int
jwt_sign(struct evp_pkey_st *key, const struct jwt_claims *c, struct buf *out,
    struct error *e)
{
	EVP_MD_CTX *ctx = NULL;
	unsigned char sig[1024]; /* keys up to 8192 bits */
	size_t from = out->len, n = sizeof(sig);
	int rc = jwt_body(c, out);

	if (rc != 0)
		return err_set(e, rc, "the assertion is too large");
	ctx = EVP_MD_CTX_new();
	if (ctx == NULL ||
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, sig, &n, (unsigned char *)out->data + from,
		out->len - from) != 1)
		rc = err_set(e, ERR_INTERNAL, "the assertion cannot be signed");
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	buf_addc(out, '.');
	if (rc == 0 &&
	    (jwt_add_base64(out, sig, n) != 0 || buf_error(out) != 0))
		rc = err_set(e, ERR_NOMEM, "out of memory");
	return rc;
}
