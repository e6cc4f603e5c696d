/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of budgets that no single field shows: which fields go with which
 * period and mode.
 */
#ifndef CONTROLPLANE_CONFIG_BUDGET_H
#define CONTROLPLANE_CONFIG_BUDGET_H

#include <jansson.h>

#include "controlplane/config/problems.h"

/* spec: normalised; at: JSON pointer of it. Adds what is wrong to p; the
 * result is ERR_NOMEM or 0. */
int budget_check(
    const json_t *spec, const char *at, struct problems *p) MUST_CHECK;
/* Rules of a change from `old` (NULL when the budget is new). Likewise. */
int budget_check_change(const json_t *old, const json_t *spec, const char *at,
    struct problems *p) MUST_CHECK;

/* The tag whose every value has the limit for itself ("user" for end users),
 * NUL-ended, part of the spec; empty when all requests share the limit. */
struct str budget_each(const json_t *spec);

#endif
