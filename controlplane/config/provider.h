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

/* PEM text with LF line ends and nothing outside its blocks, as a new JSON
 * string. NULL when it is not PEM. */
json_t *pem_normalise(struct str text);
/* Is every block of that kind, "CERTIFICATE" or "PRIVATE KEY" (also with a
 * word before it, but not encrypted)? text is normalised. */
bool pem_is_all(struct str text, const char *label);

/* A secret as a new JSON string: JSON objects (as a value or as text) in
 * compact ASCII form, anything else must be printable ASCII. NULL when it
 * cannot be. */
json_t *secret_normalise(const json_t *v);

#endif
