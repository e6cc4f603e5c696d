/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices: a pointer and a length into memory that somebody else owns. Not
 * terminated by NUL. Parsing helpers are strict: the whole slice must match.
 */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/err.h"

struct str {
	const char *p; /* may be NULL when len is 0 */
	size_t len;
};

#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_NULL ((struct str){NULL, 0})
/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).len, ((s).p ? (s).p : "")

static inline struct str
str_of(const char *z)
{
	return (struct str){z, z ? strlen(z) : 0};
}

static inline struct str
str_make(const char *p, size_t len)
{
	return (struct str){p, len};
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool
str_eqz(struct str a, const char *z)
{
	return str_eq(a, str_of(z));
}

bool str_ieq(struct str a, struct str b); /* ASCII case-insensitive */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b); /* bytewise */
struct str str_trim(struct str s);	 /* spaces and tabs, both ends */
/* Cut at the first sep: *head before it (sep dropped), *tail after it.
 * Returns false, head = s, tail empty, when there is no sep. */
bool str_cut(struct str s, char sep, struct str *head, struct str *tail);
/* Index of c or -1. */
long str_find(struct str s, char c);

/* Whole-slice decimal numbers, no sign for u64, overflow is ERR_INVALID. */
int str_to_u64(struct str s, uint64_t *ret) MUST_CHECK;
int str_to_i64(struct str s, int64_t *ret) MUST_CHECK;

/* Copy into a NUL-terminated buffer of cap bytes; ERR_TOO_LARGE if it does
 * not fit (dst is then ""). Embedded NUL is ERR_INVALID. */
int str_copy(struct str s, char *dst, size_t cap) MUST_CHECK;
/* malloc'ed NUL-terminated copy or NULL. */
char *str_dup(struct str s);
bool str_is_utf8(struct str s); /* strict: no surrogates, no overlongs */

/* Lower-case hex. dst has 2*n+1 bytes. */
void hex_encode(const void *src, size_t n, char *dst);
int hex_decode(struct str s, void *dst, size_t n) MUST_CHECK;
/* Base64 of one of libsodium's variants, all of s but the characters of
 * `ignore` (NULL = none). ERR_INVALID: it is none, or has more than cap bytes.
 * Use this and not sodium_base642bin(), which reads bytes above 0x7f as '/' or
 * '_', and ignores NUL with the others. */
int base64_decode(struct str s, int variant, const char *ignore, void *dst,
    size_t cap, size_t *len) MUST_CHECK;

/*
 * Names (DESIGN: tenant > team > project > key): dot-separated segments of
 * [a-z0-9]([a-z0-9-]*[a-z0-9])?, at most 63 bytes a segment.
 */
bool name_is_valid(struct str s, int n_segments); /* 0 = any number 1..4 */
int name_segments(struct str s);
struct str name_parent(struct str s); /* empty at top */
struct str name_root(struct str s);   /* the tenant */

#endif
