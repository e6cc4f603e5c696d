/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/openapi.json, embedded by the build (mk/embed-text.sh). Empty when
 * the file did not exist at build time.
 */
#ifndef CONTROLPLANE_REST_OPENAPI_EMBEDDED_H
#define CONTROLPLANE_REST_OPENAPI_EMBEDDED_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_len; /* bytes, without the NUL */

#endif
