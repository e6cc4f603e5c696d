/* SPDX-License-Identifier: Apache-2.0 */
/* Responses that were stored, by their id. Bounded: the oldest go. Any thread
 * may call. */
#ifndef TESTS_PROVIDER_STORE_H
#define TESTS_PROVIDER_STORE_H

#include <stdbool.h>

#include "common/buf.h"

#define STORE_MAX 4096

struct store;

struct store *store_new(void);
void store_free(struct store *s);
/* Keep a response (JSON text) and its input items; copies. */
void store_put(
    struct store *s, struct str id, struct str response, struct str items);
/* Append what is kept; false: there is none. out may be NULL. */
bool store_get(struct store *s, struct str id, bool items, struct buf *out);
bool store_delete(struct store *s, struct str id);
void store_clear(struct store *s);

#endif
