/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Google's OAuth token endpoint for service accounts: a JWT signed with RS256
 * is verified and exchanged for a token that expires. Tokens carry their own
 * proof, so that nothing is kept.
 */
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>

#include "tests/provider/auth.h"
#include "tests/provider/tree.h"

#define TOKEN_PREFIX "ya29.sim-"

static const unsigned char token_key[] = "headgate-provider-tokens-key-001";

static void
token_proof(uint64_t expires, uint64_t serial, char hex[33])
{
	uint64_t both[2] = {expires, serial};
	unsigned char hash[16];

	(void)crypto_generichash(hash, sizeof(hash),
	    (const unsigned char *)both, sizeof(both), token_key,
	    sizeof(token_key) - 1);
	hex_encode(hash, sizeof(hash), hex);
}

bool
token_check(const struct sim *s, struct str token)
{
	struct str expires, rest, serial, proof;
	uint64_t at, n;
	char hex[33];

	(void)s;
	if (!str_starts(token, STR(TOKEN_PREFIX)))
		return false;
	rest = str_make(token.p + sizeof(TOKEN_PREFIX) - 1,
	    token.len - (sizeof(TOKEN_PREFIX) - 1));
	if (!str_cut(rest, '-', &expires, &rest) ||
	    !str_cut(rest, '-', &serial, &proof) ||
	    str_to_u64(expires, &at) != 0 || str_to_u64(serial, &n) != 0)
		return false;
	token_proof(at, n, hex);
	return str_eqz(proof, hex) && sim_wall_ms() < (int64_t)at;
}

/* The signature over "header.claims". */
static bool
token_verify(
    const char *pem, struct str text, const unsigned char *sig, size_t sig_len)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key =
	    bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok =
	    key != NULL && ctx != NULL &&
	    EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)text.p,
		text.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok;
}

static size_t
token_base64(struct str text, unsigned char *dst, size_t cap)
{
	size_t n = 0;

	if (sodium_base642bin(dst, cap, text.p, text.len, NULL, &n, NULL,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return 0;
	return n;
}

/* What is wrong with the claims; NULL = nothing. */
static const char *
token_claims(const struct options *o, const json_t *claims, int64_t now)
{
	const char *iss = tree_str(claims, "iss");
	const char *aud = tree_str(claims, "aud");
	const char *scope = tree_str(claims, "scope");
	int64_t iat = tree_int(claims, "iat", 0);
	int64_t exp = tree_int(claims, "exp", 0);

	if (iss == NULL || strcmp(iss, o->google_email) != 0)
		return "Invalid JWT: iss is no known service account.";
	if (aud == NULL || !str_ends(str_of(aud), STR("/token")))
		return "Invalid JWT: Failed audience check.";
	if (scope == NULL || strstr(scope, "cloud-platform") == NULL)
		return "Invalid OAuth scope or ID token audience provided.";
	if (exp - iat > 3600 || exp <= iat)
		return "Invalid JWT: Token must be a short-lived token (60 "
		       "minutes) and in a reasonable timeframe. Check your iat "
		       "and exp values in the JWT claim.";
	if (iat > now + 60 || exp < now)
		return "Invalid JWT: the token is expired or not yet valid.";
	return NULL;
}

static const char *
token_assertion(const struct options *o, struct str jwt, int64_t now)
{
	unsigned char raw[4096], sig[1024];
	struct str head, rest, body, signature;
	const char *bad = "Invalid JWT: bad format.";
	json_t *header = NULL, *claims = NULL;
	size_t n, sig_len;

	if (o->google_key[0] == '\0')
		return NULL;
	if (!str_cut(jwt, '.', &head, &rest) ||
	    !str_cut(rest, '.', &body, &signature))
		return bad;
	n = token_base64(head, raw, sizeof(raw));
	header = json_loadb((const char *)raw, n, 0, NULL);
	n = token_base64(body, raw, sizeof(raw));
	claims = json_loadb((const char *)raw, n, 0, NULL);
	sig_len = token_base64(signature, sig, sizeof(sig));
	if (header == NULL || claims == NULL || sig_len == 0) {
		bad = "Invalid JWT: bad format.";
	} else if (tree_str(header, "alg") == NULL ||
		   strcmp(tree_str(header, "alg"), "RS256") != 0) {
		bad = "Invalid JWT: the algorithm must be RS256.";
	} else if (!token_verify(o->google_key,
		       str_make(jwt.p, head.len + 1 + body.len), sig,
		       sig_len)) {
		bad = "Invalid JWT Signature.";
	} else {
		bad = token_claims(o, claims, now);
	}
	json_decref(header);
	json_decref(claims);
	return bad;
}

static struct str
token_form(struct str form, const char *name)
{
	struct http_request r = {.query = form};

	return http_query(&r, name);
}

void
call_token(struct call *q)
{
	const struct options *o = &q->c->sim->options;
	struct str grant = token_form(q->r->body, "grant_type");
	struct str jwt = token_form(q->r->body, "assertion");
	int64_t now = sim_wall_ms();
	const char *bad = NULL;
	char decoded[8192], hex[33], body[256];
	uint64_t expires, serial;

	if (grant.len == 0 || jwt.len == 0 || jwt.len > sizeof(decoded))
		bad = "Missing required parameter: assertion";
	else
		bad =
		    token_assertion(o, http_unescape(jwt, decoded), now / 1000);
	if (bad != NULL) {
		atomic_fetch_add(&q->c->sim->n.auth_failures, 1);
		(void)snprintf(body, sizeof(body),
		    "{\"error\":\"invalid_grant\",\"error_description\":"
		    "\"%s\"}",
		    bad);
		reply_full(q->c, 400, "application/json", "", str_of(body));
		return;
	}
	expires = (uint64_t)(now + (o->google_token_seconds > 0
					   ? o->google_token_seconds
					   : 3600) *
				       1000);
	serial = (uint64_t)atomic_fetch_add(&q->c->sim->n.tokens_issued, 1);
	token_proof(expires, serial, hex);
	(void)snprintf(body, sizeof(body),
	    "{\"access_token\":\"" TOKEN_PREFIX "%llu-%llu-%s\","
	    "\"expires_in\":%lld,\"token_type\":\"Bearer\"}",
	    (unsigned long long)expires, (unsigned long long)serial, hex,
	    (long long)(((int64_t)expires - now) / 1000));
	reply_full(q->c, 200, "application/json", "", str_of(body));
}
