/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who and what a request is for, as its caller says: the end user (tag "user")
 * and cost-allocation tags. Budgets filter by them and usage records carry
 * them. The caller is not trusted with them: their number, length and bytes
 * are bounded, no control characters are let in, and they never become labels
 * of metrics.
 *
 * Held in the form in which the journal writes them: for each tag the length
 * of its name (1 byte), the name, the length of its value (1 byte), the value.
 * Pure functions, any thread.
 */
#ifndef COMMON_TAGS_H
#define COMMON_TAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/str.h"

#define TAGS_MAX       8   /* and the user */
#define TAGS_FIELD_MAX 256 /* bytes of x-headgate-tags */
#define TAGS_NAME_MAX  32
#define TAGS_VALUE_MAX 64
#define TAGS_USER_MAX  128
#define TAGS_USER      "user" /* name of the user's tag */
/* What a field of tags and a user can come to. */
#define TAGS_BYTES (TAGS_FIELD_MAX + 2 + 6 + TAGS_USER_MAX)

struct tags {
	uint16_t len; /* of bytes */
	uint8_t n;
	char bytes[TAGS_BYTES];
};

/* 1 to TAGS_NAME_MAX of a-z 0-9 . _ -, beginning with a letter or digit. */
bool tags_name_is_valid(struct str s);
/* 1 to TAGS_VALUE_MAX bytes of UTF-8 without control characters and commas. */
bool tags_value_is_valid(struct str s);
/* 1 to TAGS_USER_MAX bytes of UTF-8 without control characters. */
bool tags_user_is_valid(struct str s);

static inline void
tags_clear(struct tags *t)
{
	t->len = 0;
	t->n = 0;
}
/* Add one tag that is valid. ERR_EXISTS: the name is there already;
 * ERR_TOO_LARGE: no room. */
int tags_add(struct tags *t, struct str name, struct str value) MUST_CHECK;
/* Add "name=value,name=value" as a header field has it; spaces around names
 * and values do not count. NULL, or why it is refused (a static text; some
 * tags may have been added). */
const char *tags_read(struct tags *t, struct str field);
/* Add the user when there is none yet: one that is not valid by the SHA-256
 * of its bytes ("sha256:..."), so that it is one and the same user every time
 * and cannot slip through. Empty: nobody. */
void tags_add_user(struct tags *t, struct str user);
/* The next tag; *at begins at 0. False at the end. */
bool tags_next(
    const struct tags *t, size_t *at, struct str *name, struct str *value);
/* The value of a tag; false when it is not there. */
bool tags_get(const struct tags *t, struct str name, struct str *value);
/* Has t every tag of `wanted`, with its value? */
bool tags_have(const struct tags *t, const struct tags *wanted);
/* Read what a journal holds. ERR_CORRUPT. */
int tags_decode(struct tags *t, struct str bytes) MUST_CHECK;

#endif
