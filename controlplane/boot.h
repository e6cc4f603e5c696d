/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every sub-command needs: the store (its private server started if it
 * is an embedded one), migrated, and the vault that opens its secrets.
 */
#ifndef CONTROLPLANE_BOOT_H
#define CONTROLPLANE_BOOT_H

#include "controlplane/options.h"
#include "controlplane/store/embedded.h"
#include "controlplane/store/store.h"
#include "controlplane/store/vault.h"

struct boot {
	struct embedded *em; /* NULL: not ours */
	struct store *store;
	struct vault *vault;
};

enum boot_mode {
	BOOT_SERVE, /* owns an embedded store */
	BOOT_TOOL   /* may join a store that a control plane is running */
};

/* Main thread only (see embedded_start). On failure nothing stays. */
int boot_open(const struct control_options *o, enum boot_mode mode,
    struct boot *b, struct error *e) MUST_CHECK;
void boot_close(struct boot *b);

/* Without any owner token: make one, write it to `file` (0600), or to stderr
 * when file is "". *made tells whether. */
int boot_first_token(
    struct store *s, const char *file, bool *made, struct error *e) MUST_CHECK;

/* Sub-command admin-token; verb is create, list or revoke. Prints. */
int boot_admin_token(struct store *s, const struct control_options *o,
    const char *verb, struct error *e) MUST_CHECK;

/* Sub-command check: print the sums of usage, ledger and rollups;
 * ERR_CORRUPT when they disagree. */
int boot_check_books(struct store *s, struct error *e) MUST_CHECK;

/* Become o->user for good, all threads; no-op unless root and user set. */
int boot_drop_user(const struct control_options *o, struct error *e) MUST_CHECK;

#endif
