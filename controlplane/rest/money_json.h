/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token counts as JSON.
 */
#ifndef CONTROLPLANE_REST_MONEY_JSON_H
#define CONTROLPLANE_REST_MONEY_JSON_H

#include <jansson.h>

#include "common/money.h"

/* {class: count}, zeros left out; a new object, NULL without memory. */
json_t *tokens_json(const struct tokens *t);

#endif
