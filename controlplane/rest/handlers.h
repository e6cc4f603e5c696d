/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers that the table of routes names, by file.
 */
#ifndef CONTROLPLANE_REST_HANDLERS_H
#define CONTROLPLANE_REST_HANDLERS_H

#include "controlplane/rest/router.h"

/* items.c */
rest_handler items_list, items_create, items_get, items_replace, items_patch,
    items_delete;
/* apply.c */
rest_handler apply_post;
/* versions.c */
rest_handler versions_list, versions_get, versions_diff, versions_rollback,
    versions_rollout;
/* agents.c */
rest_handler agents_list, agents_get, agents_revoke, join_list, join_create,
    join_revoke;
/* usage.c */
rest_handler usage_list, usage_correct, usage_watermarks, usage_quarantine,
    budget_status, budget_doubt;
/* values.c */
rest_handler budget_values;
/* budget_moves.c */
rest_handler budget_increase, budget_transfer;
/* events.c */
rest_handler budget_events, events_list;
/* periods.c */
rest_handler budget_periods;
/* reports.c */
rest_handler report_chargeback;
/* tokens.c */
rest_handler tokens_list, tokens_create, tokens_revoke, whoami_get;
/* audit.c */
rest_handler audit_get;
/* money.c */
rest_handler money_audit_latest, money_audit_post;
/* health.c */
rest_handler health_live, health_ready, health_metrics, openapi_get;

#endif
