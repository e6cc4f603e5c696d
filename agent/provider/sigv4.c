/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical request is hashed as it is made, never stored. Signed are the
 * fields host, x-amz-content-sha256, x-amz-date and x-amz-security-token.
 */
#include "agent/provider/sigv4.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "agent/provider/text.h"
#include "common/clock.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGV4_UNSIGNED	"UNSIGNED-PAYLOAD"

typedef crypto_hash_sha256_state sha;

struct sigv4 {
	const struct sigv4_request *r;
	char date[17];	  /* 20150830T123600Z */
	char body[65];	  /* hash or UNSIGNED-PAYLOAD */
	char scope[160];  /* date/region/service/aws4_request */
	char request[65]; /* hash of the canonical request */
	char signature[65];
	const char *fields; /* signed, in order */
};

static void
sha_add(sha *h, struct str s)
{
	if (s.len > 0)
		(void)crypto_hash_sha256_update(
		    h, (const unsigned char *)s.p, s.len);
}

static void
sha_end(sha *h, char hex[65])
{
	unsigned char d[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256_final(h, d);
	hex_encode(d, sizeof(d), hex);
}

static void
sigv4_body(struct sigv4 *s)
{
	sha h;

	if (s->r->unsigned_body) {
		(void)snprintf(s->body, sizeof(s->body), SIGV4_UNSIGNED);
		return;
	}
	(void)crypto_hash_sha256_init(&h);
	for (unsigned i = 0; i < s->r->n_parts; i++)
		sha_add(&h, s->r->parts[i]);
	sha_end(&h, s->body);
}

/* Each segment of the path encoded once more. */
static void
sigv4_path(sha *h, struct str path)
{
	char out[3];

	if (path.len == 0)
		sha_add(h, STR("/"));
	for (size_t i = 0; i < path.len; i++) {
		if (path.p[i] == '/')
			sha_add(h, STR("/"));
		else
			sha_add(
			    h, str_make(out, text_encode_byte(path.p[i], out)));
	}
}

static void
sigv4_field(sha *h, const char *name, struct str value)
{
	sha_add(h, str_of(name));
	sha_add(h, STR(":"));
	sha_add(h, str_trim(value));
	sha_add(h, STR("\n"));
}

static void
sigv4_canonical(struct sigv4 *s)
{
	const struct sigv4_request *r = s->r;
	sha h;

	(void)crypto_hash_sha256_init(&h);
	sha_add(&h, str_of(r->method));
	sha_add(&h, STR("\n"));
	sigv4_path(&h, r->path);
	sha_add(&h, STR("\n"));
	sha_add(&h, r->query);
	sha_add(&h, STR("\n"));
	sigv4_field(&h, "host", r->host);
	if (!r->no_body_field)
		sigv4_field(&h, "x-amz-content-sha256", str_of(s->body));
	sigv4_field(&h, "x-amz-date", str_of(s->date));
	if (r->keys->session_token.len > 0)
		sigv4_field(&h, "x-amz-security-token", r->keys->session_token);
	sha_add(&h, STR("\n"));
	sha_add(&h, str_of(s->fields));
	sha_add(&h, STR("\n"));
	sha_add(&h, str_of(s->body));
	sha_end(&h, s->request);
}

static void
sigv4_hmac(const unsigned char *key, size_t n, struct str text,
    unsigned char out[crypto_auth_hmacsha256_BYTES])
{
	crypto_auth_hmacsha256_state st;

	(void)crypto_auth_hmacsha256_init(&st, key, n);
	(void)crypto_auth_hmacsha256_update(
	    &st, (const unsigned char *)text.p, text.len);
	(void)crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof(st));
}

/* The key of the day, region and service, then the signature. */
static int
sigv4_signature(struct sigv4 *s)
{
	const struct sigv4_request *r = s->r;
	unsigned char key[crypto_auth_hmacsha256_BYTES], first[512];
	struct str secret = r->keys->secret_access_key;
	char text[512];
	int n;

	if (secret.len + 4 > sizeof(first))
		return ERR_TOO_LARGE;
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret.p, secret.len);
	sigv4_hmac(first, secret.len + 4, str_make(s->date, 8), key);
	sodium_memzero(first, sizeof(first));
	sigv4_hmac(key, sizeof(key), r->region, key);
	sigv4_hmac(key, sizeof(key), r->service, key);
	sigv4_hmac(key, sizeof(key), STR("aws4_request"), key);
	n = snprintf(text, sizeof(text), SIGV4_ALGORITHM "\n%s\n%s\n%s",
	    s->date, s->scope, s->request);
	if (n > 0 && (size_t)n < sizeof(text))
		sigv4_hmac(key, sizeof(key), str_make(text, (size_t)n), key);
	hex_encode(key, sizeof(key), s->signature);
	sodium_memzero(key, sizeof(key));
	return n > 0 && (size_t)n < sizeof(text) ? 0 : ERR_TOO_LARGE;
}

static const char *
sigv4_fields(const struct sigv4_request *r)
{
	bool token = r->keys->session_token.len > 0;

	if (r->no_body_field)
		return token ? "host;x-amz-date;x-amz-security-token"
			     : "host;x-amz-date";
	return token ? "host;x-amz-content-sha256;x-amz-date;"
		       "x-amz-security-token"
		     : "host;x-amz-content-sha256;x-amz-date";
}

static int
sigv4_prepare(struct sigv4 *s)
{
	time_t at = (time_t)(s->r->wall_ns / NS_PER_S);
	struct tm tm;
	int n;

	if (gmtime_r(&at, &tm) == NULL ||
	    strftime(s->date, sizeof(s->date), "%Y%m%dT%H%M%SZ", &tm) != 16)
		return ERR_INVALID;
	n = snprintf(s->scope, sizeof(s->scope), "%.8s/%.*s/%.*s/aws4_request",
	    s->date, STR_ARG(s->r->region), STR_ARG(s->r->service));
	if (n < 0 || (size_t)n >= sizeof(s->scope))
		return ERR_TOO_LARGE;
	s->fields = sigv4_fields(s->r);
	return 0;
}

int
sigv4_sign(const struct sigv4_request *r, char *dst, size_t cap, size_t *len)
{
	struct text out = {dst, *len, cap, false};
	struct sigv4 s = {.r = r};
	int rc = sigv4_prepare(&s);

	if (rc != 0)
		return rc;
	sigv4_body(&s);
	sigv4_canonical(&s);
	rc = sigv4_signature(&s);
	if (rc != 0)
		return rc;
	text_header(&out, "x-amz-date", str_of(s.date));
	if (!r->no_body_field)
		text_header(&out, "x-amz-content-sha256", str_of(s.body));
	if (r->keys->session_token.len > 0)
		text_header(
		    &out, "x-amz-security-token", r->keys->session_token);
	text_addz(&out, "Authorization: " SIGV4_ALGORITHM " Credential=");
	text_add(&out, r->keys->access_key_id);
	text_addz(&out, "/");
	text_addz(&out, s.scope);
	text_addz(&out, ", SignedHeaders=");
	text_addz(&out, s.fields);
	text_addz(&out, ", Signature=");
	text_addz(&out, s.signature);
	text_addz(&out, "\r\n");
	return text_end(&out, len);
}
