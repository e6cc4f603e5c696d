/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a body with our own strict scanner before jansson builds a tree:
 * depth, size, UTF-8, duplicate keys. A file of its own because the names of
 * the two libraries collide.
 */
#ifndef CONTROLPLANE_REST_STRICT_H
#define CONTROLPLANE_REST_STRICT_H

#include "common/str.h"

#define STRICT_BODY_MAX ((size_t)8 << 20)

/* ERR_INVALID or ERR_TOO_LARGE with a text that has the byte offset. */
int strict_check(struct str body, struct error *e) MUST_CHECK;

#endif
