/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent/upstream/token, jwt, tls_check: assertions are signed as RFC 7523
 * wants, tokens are fetched once, renewed, and failures are told without
 * secrets.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/upstream/jwt.h"
#include "common/tls_check.h"
#include "agent/upstream/token_fetch.h"
#include "common/clock.h"
#include "common/json.h"
#include "tests/unit/agent/http_kit.h"
#include "tests/unit/support/unit.h"

static EVP_PKEY *key;
static char pem[8192];

static void
make_key(int bits, char *dst, size_t cap)
{
	BIO *out = BIO_new(BIO_s_mem());
	int n;

	EVP_PKEY_free(key);
	key = EVP_RSA_gen((unsigned)bits);
	ck_assert_ptr_nonnull(key);
	ck_assert_int_eq(
	    PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL),
	    1);
	n = BIO_read(out, dst, (int)cap - 1);
	ck_assert_int_gt(n, 0);
	dst[n] = '\0';
	BIO_free(out);
}

static size_t
unbase64(struct str s, unsigned char *dst, size_t cap)
{
	size_t n = 0;

	ck_assert_int_eq(sodium_base642bin(dst, cap, s.p, s.len, NULL, &n, NULL,
			     sodium_base64_VARIANT_URLSAFE_NO_PADDING),
	    0);
	return n;
}

static void
check_assertion(struct str jwt, const char *audience)
{
	unsigned char raw[4096], sig[1024];
	struct str head, claims, rest;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n;

	ck_assert(str_cut(jwt, '.', &head, &rest));
	ck_assert(str_cut(rest, '.', &claims, &rest));
	n = unbase64(rest, sig, sizeof(sig));
	ck_assert_int_eq(
	    EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	ck_assert_int_eq(
	    EVP_DigestVerify(ctx, sig, n, (const unsigned char *)jwt.p,
		head.len + 1 + claims.len),
	    1);
	EVP_MD_CTX_free(ctx);
	n = unbase64(head, raw, sizeof(raw) - 1);
	raw[n] = '\0';
	ck_assert_str_eq(
	    (char *)raw, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}");
	n = unbase64(claims, raw, sizeof(raw) - 1);
	raw[n] = '\0';
	ck_assert_ptr_nonnull(strstr((char *)raw, audience));
	ck_assert_ptr_nonnull(strstr((char *)raw, "\"iss\":\"sa@acme\""));
	ck_assert_ptr_nonnull(strstr((char *)raw, "auth/cloud-platform"));
}

START_TEST(test_jwt)
{
	struct jwt_claims c = {.issuer = "sa@acme",
	    .key_id = "k1",
	    .scope = "https://www.googleapis.com/auth/cloud-platform",
	    .audience = "https://t/token",
	    .now_s = 1000};
	struct evp_pkey_st *k = NULL;
	struct error e = {0};
	struct buf out;
	char small[8192];

	make_key(2048, pem, sizeof(pem));
	buf_init(&out, 8192);
	ck_assert_int_eq(jwt_key_read(str_of(pem), &k, &e), 0);
	ck_assert_int_eq(jwt_sign(k, &c, &out, &e), 0);
	check_assertion(buf_str(&out), "https://t/token");
	jwt_key_free(k);
	buf_release(&out);
	ck_assert_int_eq(jwt_key_read(STR("canary"), &k, &e), ERR_INVALID);
	ck_assert_ptr_null(strstr(e.text, "canary"));
	make_key(1024, small, sizeof(small));
	ck_assert_int_eq(jwt_key_read(str_of(small), &k, &e), ERR_INVALID);
}
END_TEST

START_TEST(test_answers)
{
	static const struct {
		int status;
		const char *body, *text; /* NULL: good */
	} rows[] = {
	    {200, "{\"access_token\":\"t\",\"expires_in\":60}", NULL},
	    {200, "{\"access_token\":\"t\"}", NULL},
	    {200, "{\"access_token\":\"a b\"}", "no usable token"},
	    {200, "{\"access_token\":\"\"}", "no usable token"},
	    {200, "{\"access_token\":1}", "no usable token"},
	    {200, "{\"access_token\":\"t\",\"expires_in\":0}", "expires_in"},
	    {200, "{\"access_token\":\"t\",\"expires_in\":1.5}", "expires_in"},
	    {200, "[]", "no usable token"},
	    {200, "", "no usable token"},
	    {400,
		"{\"error\":\"invalid_grant\",\"error_description\":"
		"\"canary\"}",
		"answered 400: invalid_grant"},
	    {503, "<html>canary", "answered 503"},
	    {400, "{\"error\":{\"a\":\"canary\"}}", "answered 400"},
	};
	struct token_answer a;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error e = {0};
		int rc = token_answer_parse(
		    rows[i].status, str_of(rows[i].body), &a, &e);

		ck_assert_int_eq(rc, rows[i].text ? ERR_UPSTREAM : 0);
		if (rc == 0)
			continue;
		ck_assert_msg(
		    strstr(e.text, rows[i].text) != NULL, "%s", e.text);
		ck_assert_ptr_null(strstr(e.text, "canary"));
	}
}
END_TEST

static atomic_uint failing;

static const char *
answer(void *ctx, unsigned n, const char *request)
{
	static char text[4][256];
	char body[128];

	(void)ctx;
	(void)request;
	if (atomic_load(&failing))
		return "HTTP/1.1 400 Bad\r\ncontent-length: 25\r\n\r\n"
		       "{\"error\":\"invalid_grant\"}";
	/* The first is used for one second: no longer than half its life. */
	(void)snprintf(body, sizeof(body),
	    "{\"access_token\":\"token-%u\",\"expires_in\":%d}", n,
	    n == 0 ? 2 : 3600);
	(void)snprintf(text[n % 4], sizeof(text[0]),
	    "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s", strlen(body),
	    body);
	return text[n % 4];
}

/* Ask until it is there (or refused), as a worker does. */
static int
ask(struct token_cell *c, char dst[TOKEN_MAX], struct error *e)
{
	int64_t end = clock_mono(clock_system()) + 20 * NS_PER_S;
	int rc;

	do {
		rc = token_read(c, dst, e);
		if (rc == ERR_AGAIN)
			(void)usleep(1000);
	} while (rc == ERR_AGAIN && clock_mono(clock_system()) < end);
	return rc;
}

static struct str
assertion(const char *request)
{
	const char *at = strstr(request, "&assertion=");

	ck_assert_ptr_nonnull(at);
	return str_of(at + 11);
}

START_TEST(test_cells)
{
	struct token_cell *a = NULL, *b = NULL, *c = NULL;
	char uri[64], got[TOKEN_MAX];
	struct token_source src;
	struct http_kit kit;
	struct error e = {0};

	make_key(2048, pem, sizeof(pem));
	http_kit_start(&kit, answer, NULL);
	(void)snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/token", kit.port);
	src = (struct token_source){STR("sa@acme"), str_of(pem), STR("k1"),
	    str_of(uri), STR(""), STR("")};
	ck_assert_int_eq(token_cell_ref(&src, &a, &e), 0);
	ck_assert_int_eq(token_cell_ref(&src, &b, &e), 0);
	ck_assert_ptr_eq(a, b);
	src.client_email = STR("other@acme");
	ck_assert_int_eq(token_cell_ref(&src, &c, &e), 0);
	ck_assert_ptr_ne(a, c);
	/* Nothing is fetched that nobody asked for. */
	ck_assert_uint_eq(atomic_load(&kit.n_requests), 0);
	ck_assert_int_eq(token_read(a, got, &e), ERR_AGAIN);
	ck_assert_msg(ask(a, got, &e) == 0, "%s", e.text);
	ck_assert_ptr_nonnull(strstr(got, "token-"));
	token_cell_unref(b);
	/* After one second the next one must come. */
	while (strcmp(got, "token-1") != 0)
		ck_assert_int_eq(ask(a, got, &e), 0);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(token_read(a, got, &e), 0);
	ck_assert_uint_eq(atomic_load(&kit.n_requests), 2);
	atomic_store(&failing, 1);
	ck_assert_int_eq(ask(c, got, &e), ERR_UPSTREAM);
	ck_assert_ptr_nonnull(strstr(e.text, "invalid_grant"));
	ck_assert_int_eq(token_read(c, got, &e), ERR_UPSTREAM);
	token_cell_unref(a);
	token_cell_unref(c);
	token_stop();
	http_kit_stop(&kit);
	ck_assert_ptr_nonnull(
	    strstr(kit.requests[0], "POST /token HTTP/1.1\r\n"));
	check_assertion(assertion(kit.requests[0]), uri);
	http_kit_release(&kit);
}
END_TEST

#define GOOD "{\"access_token\":\"t\",\"expires_in\":3600}"

static char huge[1 << 20];

static const char *
hostile(void *ctx, unsigned n, const char *request)
{
	const int *kind = ctx;

	(void)n;
	(void)request;
	switch (*kind) {
	case 0: /* to a place that would answer well */
		return "HTTP/1.1 307 Temporary Redirect\r\nlocation: /good\r\n"
		       "content-length: 38\r\n\r\n" GOOD;
	case 1:
		return huge;
	case 2: /* begins and stalls */
		return "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
	default:
		return "token t"; /* not HTTP */
	}
}

/* Redirects are not followed, answers are bounded, and a stall holds up
 * nobody who wants to end. */
START_TEST(test_hostile_endpoint)
{
	struct token_source src = {
	    STR("sa@acme"), STR_NULL, STR("k1"), STR_NULL, STR(""), STR("")};
	static const char *const why[] = {
	    "answered 307", "cannot be asked", "", "cannot be asked"};
	char uri[64], got[TOKEN_MAX];
	struct token_cell *c;
	struct http_kit kit;
	int64_t began;
	int kind, n;

	make_key(2048, pem, sizeof(pem));
	src.private_key = str_of(pem);
	n = snprintf(huge, sizeof(huge),
	    "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n{\"x\":\"",
	    sizeof(huge));
	memset(huge + n, 'a', sizeof(huge) - (size_t)n - 1);
	for (kind = 0; kind < 4; kind++) {
		struct error e = {0};

		http_kit_start(&kit, hostile, &kind);
		(void)snprintf(
		    uri, sizeof(uri), "http://127.0.0.1:%u/t", kit.port);
		src.token_uri = str_of(uri);
		ck_assert_int_eq(token_cell_ref(&src, &c, &e), 0);
		if (kind == 2) {
			while (atomic_load(&kit.n_requests) == 0)
				ck_assert_int_eq(
				    token_read(c, got, &e), ERR_AGAIN);
		} else {
			ck_assert_int_eq(ask(c, got, &e), ERR_UPSTREAM);
			ck_assert_msg(
			    strstr(e.text, why[kind]) != NULL, "%s", e.text);
		}
		token_cell_unref(c);
		began = clock_mono(clock_system());
		token_stop();
		ck_assert_int_lt(
		    clock_mono(clock_system()) - began, 5 * NS_PER_S);
		ck_assert_uint_eq(atomic_load(&kit.n_requests), 1);
		http_kit_stop(&kit);
		http_kit_release(&kit);
	}
}
END_TEST

START_TEST(test_unreachable)
{
	struct token_source src = {STR("a"), STR_NULL, STR(""),
	    STR("http://127.0.0.1:1/"), STR(""), STR("")};
	struct token_cell *c = NULL;
	char got[TOKEN_MAX];
	struct error e = {0};

	make_key(2048, pem, sizeof(pem));
	src.private_key = str_of(pem);
	ck_assert_int_eq(token_cell_ref(&src, &c, &e), 0);
	ck_assert_int_eq(ask(c, got, &e), ERR_UPSTREAM);
	ck_assert_ptr_nonnull(strstr(e.text, "cannot be asked"));
	token_cell_unref(c);
	token_stop();
}
END_TEST

/* A certificate of the key of make_key(). */
static void
make_cert(char *dst, size_t cap)
{
	X509 *x = X509_new();
	BIO *out = BIO_new(BIO_s_mem());
	int n;

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_bio_X509(out, x), 1);
	n = BIO_read(out, dst, (int)cap - 1);
	ck_assert_int_gt(n, 0);
	dst[n] = '\0';
	BIO_free(out);
	X509_free(x);
}

START_TEST(test_tls_check)
{
	static char cert[8192], other[8192], both[16384];
	struct str c, k, none = STR("");
	struct error e = {0};

	make_key(2048, other, sizeof(other));
	make_key(2048, pem, sizeof(pem));
	make_cert(cert, sizeof(cert));
	c = str_of(cert);
	k = str_of(pem);
	ck_assert_int_eq(tls_check(none, none, none, &e), 0);
	ck_assert_int_eq(tls_check(c, c, k, &e), 0);
	ck_assert_int_eq(tls_check(none, c, none, &e), ERR_INVALID);
	ck_assert_int_eq(tls_check(none, none, k, &e), ERR_INVALID);
	ck_assert_int_eq(tls_check(none, c, str_of(other), &e), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(e.text, "does not belong"));
	ck_assert_int_eq(tls_check(k, none, none, &e), ERR_INVALID);
	/* A bad block behind a good one counts too. */
	(void)snprintf(both, sizeof(both),
	    "%s-----BEGIN CERTIFICATE-----\nMIIBszCC\n"
	    "-----END CERTIFICATE-----\n",
	    cert);
	ck_assert_int_eq(tls_check(str_of(both), none, none, &e), ERR_INVALID);
	(void)snprintf(both, sizeof(both), "%s%s", cert, cert);
	ck_assert_int_eq(tls_check(str_of(both), none, none, &e), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/token");
	int rc;

	UNIT_ADD(s, test_jwt);
	UNIT_ADD(s, test_tls_check);
	UNIT_ADD(s, test_answers);
	UNIT_ADD(s, test_cells);
	UNIT_ADD(s, test_unreachable);
	UNIT_ADD(s, test_hostile_endpoint);
	rc = unit_run(s);
	EVP_PKEY_free(key);
	return rc;
}
