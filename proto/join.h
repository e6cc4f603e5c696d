/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join token: the one text an operator hands to a new agent. It carries where
 * the control plane is, how to recognise it (CA certificate and Ed25519 key)
 * and a secret that entitles to enrol. "hgj1." + base64url (no padding) of a
 * packed hg.JoinToken. The control plane stores only the secret's digest.
 */
#ifndef PROTO_JOIN_H
#define PROTO_JOIN_H

#include <stdint.h>

#include "common/buf.h"
#include "proto/channel.h"
#include "proto/envelope.h"

#define JOIN_PREFIX	"hgj1."
#define JOIN_TEXT_MAX	((size_t)32 << 10)
#define JOIN_SECRET_LEN 32

struct join_token {
	unsigned n_addresses, n_publish;
	char *addresses[CHANNEL_MAX_ADDRESSES]; /* "tls+tcp://host:7401" */
	char *publish[CHANNEL_MAX_ADDRESSES];	/* "tls+tcp://host:7402" */
	char *server_name;			/* name in the certificate */
	char *ca_pem;
	uint8_t control_key[SIGN_PUBLIC_LEN];
	char *token_id;
	uint8_t secret[JOIN_SECRET_LEN];
	char *group, *region;
};

/* Append the text of the token to `out`. The strings stay the caller's. */
int join_token_format(const struct join_token *t, struct buf *out) MUST_CHECK;
/* Parse (surrounding white space is ignored). The strings of *ret are
 * allocated: join_token_release(). ERR_INVALID with a text that does not
 * repeat the token. */
int join_token_parse(
    struct str text, struct join_token *ret, struct error *e) MUST_CHECK;
/* Frees the strings and wipes the secret. */
void join_token_release(struct join_token *t);

/* Hex of the secret as EnrolRequest.token_secret carries it. */
void join_secret_text(
    const uint8_t secret[JOIN_SECRET_LEN], char dst[2 * JOIN_SECRET_LEN + 1]);

#endif
