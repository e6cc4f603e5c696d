/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials that are more than one word, as the control plane stores them:
 * AWS access keys and Google service accounts, both JSON. It asks here whether
 * they can be read when they are given, agents read them. Pure.
 */
#ifndef COMMON_CLOUD_KEY_H
#define COMMON_CLOUD_KEY_H

#include <stdbool.h>

#include "common/arena.h"
#include "common/str.h"

/* All texts NUL-ended, "" = absent, without control characters. */
struct aws_keys {
	struct str access_key_id, secret_access_key, session_token;
};

struct service_account {
	struct str client_email, private_key_id, token_uri;
	struct str private_key; /* PEM: holds line feeds */
};

/* Texts are copies in a. ERR_INVALID: e says which member is wrong, without
 * its value; ERR_NOMEM. */
int aws_keys_parse(struct str json, struct arena *a, struct aws_keys *ret,
    struct error *e) MUST_CHECK;
/* plain_http: the token endpoint may be http (the provider's address is). */
int service_account_parse(struct str json, bool plain_http, struct arena *a,
    struct service_account *ret, struct error *e) MUST_CHECK;

#endif
