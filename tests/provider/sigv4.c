/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifies AWS signature version 4 as Bedrock does: own code on libsodium,
 * strict about what must be signed. The path of the request is taken as it
 * came; its segments are encoded once more for the canonical request.
 */
#include <sodium.h>
#include <time.h>

#include "tests/provider/auth.h"

#define SIGV4_SIGNED 64

struct sigv4 {
	const struct options *o;
	const struct http_request *r;
	struct str access_key, date, region, service, signed_headers, signature;
	struct str stamp; /* x-amz-date */
};

static void
sigv4_sha256(struct str s, char hex[65])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256(hash, (const unsigned char *)s.p, s.len);
	hex_encode(hash, sizeof(hash), hex);
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
}

/* The value of NAME= in the Authorization header. */
static struct str
sigv4_field(struct str header, const char *name)
{
	struct str one, key, value;

	(void)str_cut(header, ' ', &one, &header);
	while (header.len > 0) {
		(void)str_cut(header, ',', &one, &header);
		if (str_cut(str_trim(one), '=', &key, &value) &&
		    str_eqz(key, name))
			return value;
	}
	return STR_NULL;
}

static void
sigv4_encode(struct buf *out, struct str s, const char *keep)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		    c == '.' || c == '~' || strchr(keep, c) != NULL)
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

/* name=value pairs, sorted. The values came encoded. */
static void
sigv4_query(struct buf *out, struct str query)
{
	struct str pairs[32], one;
	int n = 0;

	while (query.len > 0 && n < 32) {
		(void)str_cut(query, '&', &one, &query);
		pairs[n++] = one;
	}
	for (int i = 1; i < n; i++) {
		for (int j = i; j > 0 && str_cmp(pairs[j], pairs[j - 1]) < 0;
		     j--) {
			one = pairs[j];
			pairs[j] = pairs[j - 1];
			pairs[j - 1] = one;
		}
	}
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, '&');
		buf_add_str(out, pairs[i]);
		if (str_find(pairs[i], '=') < 0)
			buf_addc(out, '=');
	}
}

/* Blanks within a value count once. */
static void
sigv4_value(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] != ' ' || i == 0 || value.p[i - 1] != ' ')
			buf_addc(out, value.p[i]);
	}
}

static const char *
sigv4_canonical(const struct sigv4 *v, struct buf *out)
{
	struct str rest = v->signed_headers, name, value;
	char key[128], hash[65];

	buf_add_str(out, v->r->method);
	buf_addc(out, '\n');
	sigv4_encode(out, v->r->path, "/");
	buf_addc(out, '\n');
	sigv4_query(out, v->r->query);
	buf_addc(out, '\n');
	while (rest.len > 0) {
		(void)str_cut(rest, ';', &name, &rest);
		if (str_copy(name, key, sizeof(key)) != 0)
			return "a signed header's name is too long";
		value = http_header(v->r, key);
		if (value.p == NULL)
			return "a signed header is missing";
		buf_add_str(out, name);
		buf_addc(out, ':');
		sigv4_value(out, value);
		buf_addc(out, '\n');
	}
	buf_addc(out, '\n');
	buf_add_str(out, v->signed_headers);
	buf_addc(out, '\n');
	value = http_header(v->r, "x-amz-content-sha256");
	sigv4_sha256(v->r->body, hash);
	if (value.len > 0 && !str_eqz(value, hash))
		return "The provided 'x-amz-content-sha256' header does not "
		       "match what was computed.";
	buf_addz(out, hash);
	return NULL;
}

static void
sigv4_sign(const struct sigv4 *v, struct str canonical, char hex[65])
{
	unsigned char key[crypto_auth_hmacsha256_BYTES];
	char first[160], hash[65];
	struct buf text;

	(void)snprintf(first, sizeof(first), "AWS4%s", v->o->aws_secret_key);
	sigv4_hmac((const unsigned char *)first, strlen(first), v->date, key);
	sigv4_hmac(key, sizeof(key), v->region, key);
	sigv4_hmac(key, sizeof(key), v->service, key);
	sigv4_hmac(key, sizeof(key), STR("aws4_request"), key);
	sigv4_sha256(canonical, hash);
	buf_init(&text, 65536);
	buf_addz(&text, "AWS4-HMAC-SHA256\n");
	buf_add_str(&text, v->stamp);
	buf_addc(&text, '\n');
	buf_add_str(&text, v->date);
	buf_addc(&text, '/');
	buf_add_str(&text, v->region);
	buf_addc(&text, '/');
	buf_add_str(&text, v->service);
	buf_addz(&text, "/aws4_request\n");
	buf_addz(&text, hash);
	sigv4_hmac(key, sizeof(key), buf_str(&text), key);
	buf_release(&text);
	hex_encode(key, sizeof(key), hex);
}

static bool
sigv4_signs(const struct sigv4 *v, const char *name)
{
	struct str rest = v->signed_headers, one;

	while (rest.len > 0) {
		(void)str_cut(rest, ';', &one, &rest);
		if (str_eqz(one, name))
			return true;
	}
	return false;
}

/* Seconds since 1970 of 20260101T000000Z, -1 when malformed. */
static int64_t
sigv4_time(struct str stamp)
{
	struct tm tm = {0};
	char text[32];
	const char *end;

	if (str_copy(stamp, text, sizeof(text)) != 0)
		return -1;
	end = strptime(text, "%Y%m%dT%H%M%SZ", &tm);
	return end == NULL || *end != '\0' ? -1 : (int64_t)timegm(&tm);
}

static const char *
sigv4_read(struct sigv4 *v, const char **type)
{
	struct str header = v->r->authorization, rest, end, credential;

	*type = "MissingAuthenticationTokenException";
	if (header.len == 0)
		return "Missing Authentication Token";
	*type = "IncompleteSignatureException";
	if (!str_starts(header, STR("AWS4-HMAC-SHA256 ")))
		return "Authorization header requires 'Credential' parameter.";
	credential = sigv4_field(header, "Credential");
	v->signed_headers = sigv4_field(header, "SignedHeaders");
	v->signature = sigv4_field(header, "Signature");
	v->stamp = http_header(v->r, "x-amz-date");
	if (v->signature.len == 0 || v->signed_headers.len == 0 ||
	    v->stamp.len == 0)
		return "Authorization header requires 'Credential', "
		       "'Signature', 'SignedHeaders' and existence of either a "
		       "'X-Amz-Date' or a 'Date' header.";
	if (!str_cut(credential, '/', &v->access_key, &rest) ||
	    !str_cut(rest, '/', &v->date, &rest) ||
	    !str_cut(rest, '/', &v->region, &rest) ||
	    !str_cut(rest, '/', &v->service, &end) ||
	    !str_eqz(end, "aws4_request"))
		return "Credential must have exactly 5 slash-delimited "
		       "elements, e.g. keyid/date/region/service/term.";
	return NULL;
}

/* Who, where, when, and that what matters is signed. */
static const char *
sigv4_scope(const struct sigv4 *v, int64_t now, const char **type)
{
	int64_t at = sigv4_time(v->stamp);
	struct str token = http_header(v->r, "x-amz-security-token");

	*type = "UnrecognizedClientException";
	if (!str_eqz(v->access_key, v->o->aws_access_key))
		return "The security token included in the request is "
		       "invalid.";
	if (!str_eqz(token, v->o->aws_session_token))
		return "The security token included in the request is "
		       "invalid.";
	*type = "InvalidSignatureException";
	if (!str_eqz(v->service, "bedrock"))
		return "Credential should be scoped to correct service: "
		       "'bedrock'.";
	if (v->o->aws_region[0] != '\0' &&
	    !str_eqz(v->region, v->o->aws_region))
		return "Credential should be scoped to a valid region.";
	if (at < 0 || !str_starts(v->stamp, v->date))
		return "Date in Credential scope does not match YYYYMMDD from "
		       "ISO-8601 version of date from HTTP.";
	if (at < now - 300)
		return "Signature expired.";
	if (at > now + 300)
		return "Signature not yet current.";
	if (!sigv4_signs(v, "host") || !sigv4_signs(v, "x-amz-date") ||
	    (token.len > 0 && !sigv4_signs(v, "x-amz-security-token")))
		return "'Host' or 'x-amz-date' must be a 'SignedHeader' in "
		       "the AWS Authorization.";
	return NULL;
}

const char *
sigv4_check(const struct options *o, const struct http_request *r, int64_t now,
    const char **type)
{
	struct sigv4 v = {.o = o, .r = r};
	const char *bad = sigv4_read(&v, type);
	struct buf canonical;
	char hex[65];

	if (bad == NULL)
		bad = sigv4_scope(&v, now, type);
	if (bad != NULL)
		return bad;
	buf_init(&canonical, 1024 * 1024);
	bad = sigv4_canonical(&v, &canonical);
	sigv4_sign(&v, buf_str(&canonical), hex);
	buf_release(&canonical);
	if (bad == NULL && !str_eqz(v.signature, hex))
		bad = "The request signature we calculated does not match the "
		      "signature you provided. Check your AWS Secret Access "
		      "Key and signing method. Consult the service "
		      "documentation for details.";
	return bad;
}
