/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading request bodies as trees: what all dialects but OpenAI's plain chat
 * are checked with. Every check that fails answers the request with an error
 * in the words of its provider, and sets q->failed.
 */
#ifndef TESTS_PROVIDER_TREE_H
#define TESTS_PROVIDER_TREE_H

#include <jansson.h>

#include "tests/provider/route.h"

/* Parse the body into q->root (released by the caller) and the knobs of
 * "x_sim" into q->s. Fills nothing else. */
bool tree_parse(struct call *q);
/* Every member of an object is in the list of names (separated by blanks);
 * path is what comes before the name in errors ("" at the top). Members of no
 * object are fine. */
bool tree_fields(
    struct call *q, const json_t *obj, const char *path, const char *names);
/* Count messages, tools ...: 4 and one token each begun 4 bytes of text. */
void tree_count(struct scan *s, const json_t *v);
/* Add the texts of a content (a string, or an array of {"text": ...}, or one
 * such object) to the hash. */
void tree_hash(struct scan *s, const json_t *content);
void tree_add_tool(struct scan *s, const char *name, const json_t *schema);
/* Members, with what counts as absent. */
const char *tree_str(const json_t *obj, const char *name); /* or NULL */
int64_t tree_int(const json_t *obj, const char *name, int64_t def);
bool tree_true(const json_t *obj, const char *name);
struct str tree_slice(const json_t *string); /* STR_NULL if it is none */

#endif
