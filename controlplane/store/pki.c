/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X.509 for the agent channel: a CA of our own and a server certificate.
 * ECDSA P-256 with SHA-256, which every TLS library speaks.
 */
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "controlplane/store/pki_x509.h"

static int
pki_fail(const char *what, struct error *e)
{
	unsigned long code = ERR_get_error();
	char text[160];

	ERR_error_string_n(code, text, sizeof(text));
	ERR_clear_error();
	return err_set(e, ERR_INTERNAL, "%s: %s", what, text);
}

static char *
pki_bio_text(BIO *bio)
{
	char *data;
	long n = BIO_get_mem_data(bio, &data);

	return n > 0 ? str_dup(str_make(data, (size_t)n)) : NULL;
}

static char *
pki_cert_text(X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	if (bio != NULL && PEM_write_bio_X509(bio, x) == 1)
		text = pki_bio_text(bio);
	BIO_free(bio);
	return text;
}

static char *
pki_key_text(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;

	if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(
			       bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		text = pki_bio_text(bio);
	BIO_free(bio);
	return text;
}

static X509 *
pki_read_cert(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return x;
}

static EVP_PKEY *
pki_read_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *k =
	    bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return k;
}

static bool
pki_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	bool ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	return ok;
}

static bool
pki_set_serial(X509 *x)
{
	BIGNUM *n = BN_new();
	bool ok = n != NULL &&
		  BN_rand(n, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		  BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;

	BN_free(n);
	return ok;
}

static bool
pki_set_times(X509 *x, int64_t wall_now, int days)
{
	time_t from = (time_t)(wall_now / NS_PER_S) - 86400;

	return ASN1_TIME_set(X509_getm_notBefore(x), from) != NULL &&
	       ASN1_TIME_adj(X509_getm_notAfter(x), from, days + 1, 0) != NULL;
}

static bool
pki_set_name(X509 *x, const char *common_name)
{
	X509_NAME *n = X509_get_subject_name(x);

	return X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8,
		   (const unsigned char *)"Headgate", -1, -1, 0) == 1 &&
	       X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
		   (const unsigned char *)common_name, -1, -1, 0) == 1;
}

/* A certificate for key with everything but extensions and signature. */
static X509 *
pki_blank(EVP_PKEY *key, const char *cn, int64_t wall_now, int days)
{
	X509 *x = X509_new();

	if (x != NULL && X509_set_version(x, 2) == 1 && pki_set_serial(x) &&
	    pki_set_times(x, wall_now, days) && pki_set_name(x, cn) &&
	    X509_set_pubkey(x, key) == 1)
		return x;
	X509_free(x);
	return NULL;
}

int
pki_make_ca(int64_t wall_now, char **cert_pem, char **key_pem, struct error *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = NULL;
	X509V3_CTX ctx;
	int rc = 0;

	if (key != NULL)
		x = pki_blank(
		    key, "Headgate agent channel CA", wall_now, 20 * 365);
	if (x == NULL) {
		rc = pki_fail("cannot make the CA", e);
		goto out;
	}
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	if (X509_set_issuer_name(x, X509_get_subject_name(x)) != 1 ||
	    !pki_extension(
		x, &ctx, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !pki_extension(
		x, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !pki_extension(x, &ctx, NID_subject_key_identifier, "hash") ||
	    X509_sign(x, key, EVP_sha256()) == 0) {
		rc = pki_fail("cannot sign the CA", e);
		goto out;
	}
	*cert_pem = pki_cert_text(x);
	*key_pem = pki_key_text(key);
	if (*cert_pem == NULL || *key_pem == NULL)
		rc = err_set(e, ERR_NOMEM, "no memory");
out:
	X509_free(x);
	EVP_PKEY_free(key);
	return rc;
}

/* "a.example,10.0.0.1" -> "DNS:a.example,IP:10.0.0.1"; cn gets the first. */
static int
pki_alt_names(const char *names, char cn[65], struct buf *out, struct error *e)
{
	struct str rest = str_of(names), one;
	struct in6_addr addr;
	char name[256];

	while (rest.len > 0) {
		str_cut(rest, ',', &one, &rest);
		one = str_trim(one);
		if (one.len == 0)
			continue;
		if (str_copy(one, name, sizeof(name)) != 0 ||
		    strspn(name, "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789.:-*_") != one.len)
			return err_set(e, ERR_INVALID,
			    "%.*s is no host name or address", STR_ARG(one));
		if (out->len == 0)
			snprintf(cn, 65, "%.64s", name);
		buf_addf(out, "%s%s:%s", out->len > 0 ? "," : "",
		    inet_pton(AF_INET, name, &addr) == 1 ||
			    inet_pton(AF_INET6, name, &addr) == 1
			? "IP"
			: "DNS",
		    name);
	}
	if (out->len == 0)
		return err_set(e, ERR_INVALID, "no name for the certificate");
	return buf_error(out) ? err_set(e, buf_error(out), "too many names")
			      : 0;
}

static int
pki_sign_server(
    X509 *x, X509 *ca, EVP_PKEY *ca_key, const char *alt, struct error *e)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, ca, x, NULL, NULL, 0);
	if (X509_set_issuer_name(x, X509_get_subject_name(ca)) != 1 ||
	    !pki_extension(
		x, &ctx, NID_basic_constraints, "critical,CA:FALSE") ||
	    !pki_extension(
		x, &ctx, NID_key_usage, "critical,digitalSignature") ||
	    !pki_extension(x, &ctx, NID_ext_key_usage, "serverAuth") ||
	    !pki_extension(x, &ctx, NID_subject_key_identifier, "hash") ||
	    !pki_extension(
		x, &ctx, NID_authority_key_identifier, "keyid:always") ||
	    !pki_extension(x, &ctx, NID_subject_alt_name, alt) ||
	    X509_sign(x, ca_key, EVP_sha256()) == 0)
		return pki_fail("cannot sign the server certificate", e);
	return 0;
}

int
pki_make_server(const char *ca_pem, const char *ca_key_pem, const char *names,
    int64_t wall_now, char **cert_pem, char **key_pem, struct error *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *ca_key = pki_read_key(ca_key_pem);
	X509 *ca = pki_read_cert(ca_pem), *x = NULL;
	struct buf alt;
	char cn[65];
	int rc;

	buf_init(&alt, 16384);
	rc = pki_alt_names(names, cn, &alt, e);
	if (rc != 0)
		goto out;
	if (key != NULL && ca_key != NULL && ca != NULL)
		x = pki_blank(key, cn, wall_now, 397);
	if (x == NULL) {
		rc = pki_fail("cannot make the server certificate", e);
		goto out;
	}
	rc = pki_sign_server(x, ca, ca_key, buf_cstr(&alt), e);
	if (rc != 0)
		goto out;
	*cert_pem = pki_cert_text(x);
	*key_pem = pki_key_text(key);
	if (*cert_pem == NULL || *key_pem == NULL)
		rc = err_set(e, ERR_NOMEM, "no memory");
out:
	buf_release(&alt);
	X509_free(x);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	return rc;
}

int
pki_expiry(const char *cert_pem, int64_t *wall_ns, struct error *e)
{
	X509 *x = pki_read_cert(cert_pem);
	struct tm tm;
	int rc = 0;

	if (x == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
		rc = pki_fail("cannot read the certificate", e);
	else
		*wall_ns = (int64_t)timegm(&tm) * NS_PER_S;
	X509_free(x);
	return rc;
}
