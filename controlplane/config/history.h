/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences between specs and between versions, and the way back: a
 * rollback is a new version whose content is that of an old one.
 */
#ifndef CONTROLPLANE_CONFIG_HISTORY_H
#define CONTROLPLANE_CONFIG_HISTORY_H

#include "controlplane/config/commit.h"

/* A new array of {path, old, new}: JSON pointers into the shown spec. Either
 * side may be NULL (created, deleted). What is secret shows as "(secret)".
 * NULL without memory. */
json_t *config_diff(
    const struct kind_def *k, const json_t *old_spec, const json_t *new_spec);
/* The changes as a new array of {op, kind, name, diff}. */
json_t *config_changes_json(const struct config_result *r);

/* What leads from version `from` to version `to` (in either direction), one
 * entry an item. Version 0 is the empty configuration. ERR_NOT_FOUND when
 * one of them does not exist. */
int config_version_diff(struct db *db, uint64_t from, uint64_t to,
    struct config_result *r, struct error *e) MUST_CHECK;

/* Make the content of version `to` the newest version. r->version is 0 when
 * nothing differs. Inside a transaction. Items that come back keep their uid,
 * so that budgets keep what was spent. */
int config_rollback(struct db *db, uint64_t to, struct str author,
    struct str message, struct config_result *r, struct error *e) MUST_CHECK;

#endif
