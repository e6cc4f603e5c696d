/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making of the OpenAPI document, shared by its two files. Errors of memory
 * leave members out; openapi_render() checks the result as a whole.
 */
#ifndef CONTROLPLANE_REST_OPENAPI_H
#define CONTROLPLANE_REST_OPENAPI_H

#include <jansson.h>

#include "controlplane/config/kinds.h"

enum openapi_use { OPENAPI_READ, OPENAPI_WRITE, OPENAPI_PATCH };

/* Add the schemas of all kinds of items. */
void openapi_add_items(json_t *schemas);

#endif
