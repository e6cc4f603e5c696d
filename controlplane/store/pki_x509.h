/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making certificates; pki.c alone uses OpenSSL, pki_store.c keeps what it
 * makes.
 */
#ifndef CONTROLPLANE_STORE_PKI_X509_H
#define CONTROLPLANE_STORE_PKI_X509_H

#include <stdint.h>

#include "common/err.h"

/* A new ECDSA P-256 CA certificate (self-signed) and its key, PEM, malloc'ed.
 * Valid for 20 years from one day before wall_now. */
int pki_make_ca(int64_t wall_now, char **cert_pem, char **key_pem,
    struct error *e) MUST_CHECK;
/* A server certificate of that CA for names (comma separated DNS names and IP
 * addresses), valid for 397 days from one day before wall_now. */
int pki_make_server(const char *ca_pem, const char *ca_key_pem,
    const char *names, int64_t wall_now, char **cert_pem, char **key_pem,
    struct error *e) MUST_CHECK;
/* notAfter of a certificate, ns since 1970. */
int pki_expiry(
    const char *cert_pem, int64_t *wall_ns, struct error *e) MUST_CHECK;

#endif
