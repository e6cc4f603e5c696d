/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tokens of Google service accounts: a JWT signed with the account's
 * key (RS256) is exchanged at its token endpoint by a thread of its own; the
 * workers only read the result, without a lock. A token is fetched when it is
 * first asked for and renewed ten minutes before it ends, as long as somebody
 * asks.
 */
#ifndef AGENT_UPSTREAM_TOKEN_H
#define AGENT_UPSTREAM_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

#define TOKEN_MAX 4096 /* bytes of a token with its NUL */

struct token_cell;

struct token_source {
	struct str client_email, private_key, private_key_id, token_uri;
	struct str ca_pem, proxy_url; /* "" = none */
};

/* The cell of the source, one more reference to it: equal sources share one.
 * ERR_INVALID: the private key cannot be used; ERR_NOMEM. Any thread. */
int token_cell_ref(const struct token_source *src, struct token_cell **ret,
    struct error *e) MUST_CHECK;
/* NULL is fine. The key and the token are wiped with the last reference. */
void token_cell_unref(struct token_cell *c);

/* Copy the token, NUL-ended. ERR_AGAIN: it is being fetched, ask again soon;
 * ERR_UPSTREAM: it cannot be had (e: why, no secrets). Any thread. */
int token_read(
    struct token_cell *c, char dst[TOKEN_MAX], struct error *e) MUST_CHECK;

/* Authorities for token endpoints (PEM file), NULL or "" = the system's.
 * Before the first token is asked for. */
void token_set_ca_file(const char *path);
/* End the thread; waits for a fetch in flight. It starts again when it is
 * needed. */
void token_stop(void);

#endif
