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

#endif
