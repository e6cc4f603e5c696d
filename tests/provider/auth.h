/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials as the clouds check them. */
#ifndef TESTS_PROVIDER_AUTH_H
#define TESTS_PROVIDER_AUTH_H

#include "tests/provider/conn.h"

/* AWS signature version 4 of a request; NULL = fine, else what is wrong, in
 * AWS's words, with the exception's name in *type. */
const char *sigv4_check(const struct options *o, const struct http_request *r,
    int64_t now, const char **type);
/* Is this a bearer token that /token issued and that has not expired? */
bool token_check(const struct sim *s, struct str token);

#endif
