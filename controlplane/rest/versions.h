/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer of apply and rollback.
 */
#ifndef CONTROLPLANE_REST_VERSIONS_H
#define CONTROLPLANE_REST_VERSIONS_H

#include "controlplane/rest/call.h"

/* Answer with the changes, set version header and audit row. */
int apply_answer(struct rest_call *c, const struct config_result *r,
    bool dry_run, const char *action) MUST_CHECK;

#endif
