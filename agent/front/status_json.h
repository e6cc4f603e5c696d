/* SPDX-License-Identifier: Apache-2.0 */
/* JSON texts of the status port; pure functions over a buffer. */
#ifndef AGENT_FRONT_STATUS_JSON_H
#define AGENT_FRONT_STATUS_JSON_H

#include "agent/front/explain.h"
#include "agent/front/status.h"

/* The entry, with the leases of its budgets as they are now. */
void status_json_explain(struct buf *b, const struct explain_entry *x,
    const struct status_options *opt);
void status_json_status(struct buf *b, const struct status_options *opt);

#endif
