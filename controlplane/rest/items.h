/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items as JSON, and the message of a version: shared by items.c and apply.c.
 */
#ifndef CONTROLPLANE_REST_ITEMS_H
#define CONTROLPLANE_REST_ITEMS_H

#include "controlplane/rest/call.h"

#define CONFIG_MESSAGE_MAX 500

/* What REST shows of an item: a new object, NULL without memory. */
json_t *item_json(const struct store_item *it);
/* The message that was given, or "WHAT NAME". */
int config_message(struct rest_call *c, struct str given, const char *what,
    struct str name, char dst[CONFIG_MESSAGE_MAX]) MUST_CHECK;

#endif
