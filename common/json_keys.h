/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to json: the keys of the open objects of a document, to find
 * duplicates. See json.c for the method.
 */
#ifndef COMMON_JSON_KEYS_H
#define COMMON_JSON_KEYS_H

#include "common/str.h"

#define JSON_FEW	   16  /* keys compared one by one */
#define JSON_KEYS_ON_STACK 256 /* entries without allocation */
#define JSON_KEYS_DOC_MAX  ((size_t)INT32_MAX)

struct json_key {
	uint32_t off; /* of the raw text in the document */
	uint32_t len; /* raw bytes; top bit: holds escapes */
	uint32_t hash;
};

struct json_keys {
	const char *doc;
	struct json_key *at; /* few[], or malloc'ed */
	uint32_t n, cap;
	struct json_key few[JSON_KEYS_ON_STACK];
};

void json_keys_init(struct json_keys *k, const char *doc);
void json_keys_release(struct json_keys *k);
/* Add a key to the object whose first entry has index first. ERR_INVALID if
 * it is a duplicate (and that is known already), ERR_NOMEM. */
int json_keys_add(struct json_keys *k, uint32_t first, struct str raw,
    bool escaped) MUST_CHECK;
/* Drop the object's entries. Returns the raw text of a duplicate or NULL. */
const char *json_keys_close(struct json_keys *k, uint32_t first);

#endif
