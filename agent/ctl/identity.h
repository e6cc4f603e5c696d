/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this agent is: DATA/identity (mode 0600), written once when it enrols
 * with a join token, and DATA/epoch, the boot epoch, raised durably at every
 * start. Text files of "name = value" lines, binary values in hex.
 */
#ifndef AGENT_CTL_IDENTITY_H
#define AGENT_CTL_IDENTITY_H

#include "common/io.h"
#include "common/rng.h"
#include "proto/channel.h"
#include "proto/envelope.h"
#include "proto/join.h"

struct identity {
	char agent_id[37]; /* UUID text; "" = not enrolled */
	uint8_t agent_uuid[16];
	uint8_t public_key[SIGN_PUBLIC_LEN], secret[SIGN_SECRET_LEN];
	uint8_t control_key[SIGN_PUBLIC_LEN];
	char *group, *region, *server_name, *ca_pem;
	char *addresses[CHANNEL_MAX_ADDRESSES], *publish[CHANNEL_MAX_ADDRESSES];
	unsigned n_addresses, n_publish;
};

/* Read DATA/identity. ERR_NOT_FOUND when there is none; ERR_CORRUPT. */
int identity_load(struct io *io, const char *data_dir, struct identity *ret,
    struct error *e) MUST_CHECK;
/* What a join token says, with a fresh key pair; agent_id is still "". */
int identity_from_token(const struct join_token *t, struct identity *ret,
    struct error *e) MUST_CHECK;
/* The control plane accepted: take id, group and region from it. */
int identity_enrolled(struct identity *id, const char *agent_id,
    const char *group, const char *region, struct error *e) MUST_CHECK;
int identity_save(struct io *io, const char *data_dir,
    const struct identity *id, struct error *e) MUST_CHECK;
/* Frees the strings, wipes the keys. */
void identity_release(struct identity *id);

/* Raise the boot epoch in DATA/epoch durably; the result is used by nobody
 * before. A damaged file is ERR_CORRUPT: guessing could reuse an epoch. */
int epoch_next(struct io *io, const char *data_dir, uint64_t *epoch,
    struct error *e) MUST_CHECK;

#endif
