/* SPDX-License-Identifier: Apache-2.0 */
/* Are certificates and keys of a provider usable? Asked before a
 * configuration is accepted. Any thread. */
#ifndef AGENT_UPSTREAM_TLS_CHECK_H
#define AGENT_UPSTREAM_TLS_CHECK_H

#include "common/str.h"

/* Each may be empty. ERR_INVALID: e says what is wrong (no secrets): not a
 * certificate, key without certificate or the other way round, key of another
 * certificate. */
int tls_check(struct str ca_pem, struct str cert_pem, struct str key_pem,
    struct error *e) MUST_CHECK;

#endif
