/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forward-only schema migrations: each runs once, in its own transaction,
 * under an advisory lock so that several control planes may start together.
 * A migration that was applied with another text is refused, and so is a
 * database that is newer than this program.
 */
#ifndef CONTROLPLANE_STORE_MIGRATE_H
#define CONTROLPLANE_STORE_MIGRATE_H

#include "controlplane/store/migrations.h"
#include "controlplane/store/store.h"

/* Apply what is missing of m[n] (normally schema_migrations); *applied = how
 * many. ERR_VERSION: checksum differs or database is newer. */
int migrate_run(struct store *s, const struct migration *m, size_t n,
    int *applied, struct error *e) MUST_CHECK;
/* Highest applied version, 0 = empty database. */
int migrate_version(struct store *s, int *version, struct error *e) MUST_CHECK;

#endif
