/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of single kinds that no field shows by itself. Invariant: whatever
 * makes an agent refuse a whole configuration version (agent/config: every
 * compile_reject()) is refused here, at the commit that would bring it, with
 * the field that is at fault.
 */
#ifndef CONTROLPLANE_CONFIG_RULES_H
#define CONTROLPLANE_CONFIG_RULES_H

#include <jansson.h>

#include "controlplane/config/kinds.h"
#include "controlplane/config/problems.h"

/* spec: normalised, NULL when a field is wrong already (then what can be
 * checked without it is); hidden: the write-only fields that were given. at:
 * JSON pointer of the spec. Fills in defaults that depend on other fields.
 * Problems go to p. 0 or ERR_NOMEM. */
int rules_check(const struct kind_def *k, json_t *spec, const json_t *hidden,
    const char *at, struct problems *p) MUST_CHECK;

/* More rules, for items that are new or change: a store of an older version
 * may hold items that break them, which must not stand in the way of a commit
 * that leaves them as they are. old: NULL when the item is new. Problems go to
 * p. 0 or ERR_NOMEM. */
int rules_check_change(const struct kind_def *k, const json_t *old,
    const json_t *spec, const json_t *hidden, const char *at,
    struct problems *p) MUST_CHECK;

#endif
