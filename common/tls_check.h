/* SPDX-License-Identifier: Apache-2.0 */
/* Are certificates and keys of a provider usable? The control plane asks at
 * the commit, agents before they accept a configuration: by the same code, so
 * that what the one takes the other does not refuse. Any thread. */
#ifndef COMMON_TLS_CHECK_H
#define COMMON_TLS_CHECK_H

#include "common/str.h"

/* Each may be empty. ERR_INVALID: e says what is wrong (no secrets): not a
 * certificate, key without certificate or the other way round, key of another
 * certificate. */
int tls_check(struct str ca_pem, struct str cert_pem, struct str key_pem,
    struct error *e) MUST_CHECK;

struct evp_pkey_st;

/* The RSA key of a service account, 2048 bits or more. *ret is released by
 * EVP_PKEY_free(). ERR_INVALID with the reason, or ERR_NOMEM. */
int rsa_key_read(
    struct str pem, struct evp_pkey_st **ret, struct error *e) MUST_CHECK;
/* The same question, without the key. */
int rsa_key_check(struct str pem, struct error *e) MUST_CHECK;

#endif
