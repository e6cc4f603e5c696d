/* SPDX-License-Identifier: Apache-2.0 */
/* See tls_check.h. */
#include "common/tls_check.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define RSA_MIN_BITS 2048

/* No pass phrase is asked for at the terminal. */
static int
tls_no_phrase(char *buf, int size, int rw, void *ctx)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)ctx;
	return -1;
}

/* All certificates must parse; *first (may be NULL) gets the first one. */
static int
tls_certs(struct str pem, const char *what, X509 **first, struct error *e)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.len);
	unsigned n = 0;
	X509 *x;

	if (in == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	while ((x = PEM_read_bio_X509(in, NULL, tls_no_phrase, NULL)) != NULL) {
		if (n++ == 0 && first != NULL)
			*first = x;
		else
			X509_free(x);
	}
	/* "no start line" ends the list; anything else is a bad block. */
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		n = 0;
	ERR_clear_error();
	BIO_free(in);
	return n > 0 ? 0
		     : err_set(e, ERR_INVALID,
			   "%s does not hold valid certificates", what);
}

int
tls_check(
    struct str ca_pem, struct str cert_pem, struct str key_pem, struct error *e)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	BIO *in;
	int rc = 0;

	if (ca_pem.len > 0)
		rc = tls_certs(ca_pem, "ca_pem", NULL, e);
	if (rc != 0 || (cert_pem.len == 0 && key_pem.len == 0))
		return rc;
	if (cert_pem.len == 0 || key_pem.len == 0)
		return err_set(e, ERR_INVALID,
		    "client_cert_pem and client_key need each other");
	rc = tls_certs(cert_pem, "client_cert_pem", &cert, e);
	if (rc != 0)
		goto out;
	in = BIO_new_mem_buf(key_pem.p, (int)key_pem.len);
	key = in != NULL
		  ? PEM_read_bio_PrivateKey(in, NULL, tls_no_phrase, NULL)
		  : NULL;
	BIO_free(in);
	if (key == NULL)
		rc = err_set(e, ERR_INVALID, "client_key cannot be read");
	else if (X509_check_private_key(cert, key) != 1)
		rc = err_set(e, ERR_INVALID,
		    "client_key does not belong to client_cert_pem");
	ERR_clear_error();
out:
	EVP_PKEY_free(key);
	X509_free(cert);
	return rc;
}

int
rsa_key_read(struct str pem, struct evp_pkey_st **ret, struct error *e)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.len);
	EVP_PKEY *key;

	if (in == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	key = PEM_read_bio_PrivateKey(in, NULL, tls_no_phrase, NULL);
	BIO_free(in);
	ERR_clear_error();
	if (key == NULL)
		return err_set(e, ERR_INVALID,
		    "the credential's private_key cannot be read");
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
	    EVP_PKEY_get_bits(key) < RSA_MIN_BITS) {
		EVP_PKEY_free(key);
		return err_set(e, ERR_INVALID,
		    "the credential's private_key is not RSA of 2048 bits "
		    "or more");
	}
	*ret = key;
	return 0;
}

int
rsa_key_check(struct str pem, struct error *e)
{
	EVP_PKEY *key = NULL;
	int rc = rsa_key_read(pem, &key, e);

	EVP_PKEY_free(key);
	return rc;
}
