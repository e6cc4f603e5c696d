/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane's own keys: a CA and a server certificate for the agent
 * channel (ECDSA P-256), the Ed25519 key that signs envelopes and bundles, and
 * one symmetric key per agent group. Made once, sealed by the vault, kept in
 * table cp_secret, so that all replicas share them.
 */
#ifndef CONTROLPLANE_STORE_PKI_H
#define CONTROLPLANE_STORE_PKI_H

#include "controlplane/store/store.h"
#include "controlplane/store/vault.h"

struct pki {
	char *ca_pem;	/* CA certificate, goes into join tokens */
	char *cert_pem; /* server certificate */
	char *key_pem;	/* server private key (PKCS#8) */
	uint8_t sign_pk[32];
	uint8_t sign_sk[64]; /* libsodium secret key */
};

/* Load, or make on first use (one replica does, under a lock). names: comma
 * separated DNS names and IP addresses of the server certificate; it is made
 * anew when they changed or when less than 30 days are left. */
int pki_load(struct store *s, const struct vault *v, const char *names,
    int64_t wall_now, struct pki **ret, struct error *e) MUST_CHECK;
void pki_free(struct pki *p); /* wipes */

/* The group's key; made on first use. Thread-safe, one query. */
int pki_group_key(struct store *s, const struct vault *v, struct str group,
    uint8_t key[32], struct error *e) MUST_CHECK;

#endif
