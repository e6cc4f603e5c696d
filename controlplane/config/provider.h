/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of providers that concern several fields at once, defaults that depend
 * on the dialect, and the canonical form of secrets and certificates.
 */
#ifndef CONTROLPLANE_CONFIG_PROVIDER_H
#define CONTROLPLANE_CONFIG_PROVIDER_H

#include <jansson.h>

#include "common/str.h"
#include "controlplane/config/problems.h"

/* Check a provider's spec (fields are valid each for itself) with the secrets
 * that came along, fill in base_url. at: JSON pointer of the spec. Problems go
 * to p. 0 or ERR_NOMEM. */
int provider_check(json_t *spec, const json_t *secrets, const char *at,
    struct problems *p) MUST_CHECK;

/* What agents would refuse the whole configuration for: authorities that are
 * no certificates, a credential of vertex or bedrock that they cannot use. For
 * providers that are new or change. Problems go to p. 0 or ERR_NOMEM. */
int provider_check_change(const json_t *spec, const json_t *secrets,
    const char *at, struct problems *p) MUST_CHECK;

/* PEM text with LF line ends and nothing outside its blocks, as a new JSON
 * string. NULL and *bad when it is not PEM, NULL alone without memory. */
json_t *pem_normalise(struct str text, bool *bad);
/* Is every block of that kind, "CERTIFICATE" or "PRIVATE KEY" (also with a
 * word before it, but not encrypted)? text is normalised. */
bool pem_is_all(struct str text, const char *label);

/* A secret as a new JSON string: JSON objects (as a value or as text) in
 * compact ASCII form, anything else must be printable ASCII. NULL and *bad
 * when it cannot be, NULL alone without memory. */
json_t *secret_normalise(const json_t *v, bool *bad);

#endif
