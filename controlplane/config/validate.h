/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what an admin sent to what is stored: checks a spec against its kind's
 * fields, fills in defaults and brings values into one canonical form, so that
 * equal configurations are equal bytes. Looks at nothing but the spec; whether
 * the items that it names exist is checked by check.h.
 */
#ifndef CONTROLPLANE_CONFIG_VALIDATE_H
#define CONTROLPLANE_CONFIG_VALIDATE_H

#include <jansson.h>

#include "controlplane/config/kinds.h"
#include "controlplane/config/problems.h"

/*
 * in: a JSON object with the fields of k (NULL counts as {}). at: JSON pointer
 * of that object in the request, "" at the top. On success *spec is a new
 * object with the stored fields in the order of the table, *secrets (may be
 * NULL) a new object with the write-only ones that were given. Problems are
 * added to p; then the result is ERR_INVALID (or ERR_NOMEM) and nothing is
 * set. Read-only fields are ignored, so that what was read can be written.
 */
int spec_normalise(const struct kind_def *k, const json_t *in, const char *at,
    json_t **spec, json_t **secrets, struct problems *p) MUST_CHECK;

/* A new object with the fields of spec that callers of REST may see. NULL
 * without memory. */
json_t *spec_public(const struct kind_def *k, const json_t *spec);

/* "https://host[:port][/prefix]" in canonical form (lower-case scheme and
 * host, no '/' at the end), appended to out as a NUL-terminated string. */
int base_url_parse(
    struct str s, char *dst, size_t cap, struct error *e) MUST_CHECK;

/* Has it bytes below 0x20 or DEL? */
bool text_has_control(struct str s);
/* "bytes:3.6": 0.1 to 1000 bytes a token, at most three decimals? */
bool text_is_ratio(struct str s);

/* An object of tags with their values, by the rules of common/tags.h. NULL, or
 * why it is refused (a static text), with the member at fault or NULL in
 * *name. */
const char *tags_check(const json_t *v, const char **name);

#endif
