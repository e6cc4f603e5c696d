/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Span JSON scanner: reads a document once, without a tree and without
 * allocation, and reports where things are. Strict RFC 8259: UTF-8 checked,
 * duplicate keys refused (after unescaping), lone surrogates refused, limits
 * on depth and size, no trailing bytes. What was checked is byte for byte
 * what may be forwarded.
 *
 * Two passes for the hot path: json_validate() checks the whole document;
 * after that the cursor functions walk a document known to be valid and so
 * need no error paths of their own.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

struct json_limits {
	size_t max_bytes;
	unsigned max_depth;   /* <= 128 */
	unsigned max_members; /* keys of one object, <= 65536 */
};
extern const struct json_limits json_default_limits; /* 16 MiB, 64, 16384 */

/* Check all of s (lim NULL = the defaults). On error e->text says what and at
 * which byte offset: ERR_INVALID (syntax, UTF-8, duplicate key), ERR_TOO_LARGE
 * (limits). */
int json_validate(
    struct str s, const struct json_limits *lim, struct error *e) MUST_CHECK;

/* A value inside a validated document. */
struct json {
	const char *p;	 /* first byte of the value */
	const char *end; /* one past its last byte (exact span) */
	enum json_type type;
};

/* The root value of a validated document. */
struct json json_root(struct str valid);

/* Iterate members / elements: it.p starts at container; call until false. */
struct json_iter {
	const char *p, *end;
};
struct json_iter json_iter(struct json container);
/* key is the raw span between the quotes (may hold escapes). */
bool json_next_member(struct json_iter *it, struct str *key, struct json *val);
bool json_next_element(struct json_iter *it, struct json *val);

/* Member by its plain (unescaped) name; false when absent or no object. */
bool json_get(struct json obj, struct str name, struct json *ret);
static inline bool
json_getz(struct json obj, const char *name, struct json *ret)
{
	return json_get(obj, str_of(name), ret);
}
/* Path of member names separated by '.', e.g. "usage.prompt_tokens". */
bool json_path(struct json obj, const char *path, struct json *ret);

/* json_key_eq() of a key with an escape in it. */
bool json_key_eq_slow(struct str raw_key, struct str name);
/* True if the key's raw span means name, escapes resolved. */
static inline bool
json_key_eq(struct str raw_key, struct str name)
{
	size_t i = 0;

	/* Escapes only make text longer. */
	if (raw_key.len < name.len)
		return false;
	while (i < name.len && raw_key.p[i] == name.p[i] && name.p[i] != '\\')
		i++;
	if (i == raw_key.len)
		return true;
	return raw_key.p[i] == '\\' && json_key_eq_slow(raw_key, name);
}
/* p is behind the opening quote of a string that was not checked: its closing
 * quote, or NULL when what comes before end is no valid string. */
const char *json_check_string(const char *p, const char *end);
/* Raw content between the quotes, escapes not resolved. */
struct str json_raw_string(struct json v);
/* Bytes of such content when it is unescaped. */
size_t json_raw_len(struct str raw);
/* Unescape into out (appended); may hold NUL. ERR_INVALID if v is no string,
 * else buf_error(out). */
int json_unescape(struct json v, struct buf *out);
/* Unescape into a NUL-terminated array. ERR_TOO_LARGE if it does not fit,
 * ERR_INVALID if v is no string or holds NUL; dst is then "". */
int json_copy_string(struct json v, char *dst, size_t cap) MUST_CHECK;
/* Integral numbers only ("12", not "12.0" or "1e3"). */
int json_to_i64(struct json v, int64_t *ret) MUST_CHECK;
bool json_is_true(struct json v);
/* Number of text bytes in all strings below v, keys included (unescaped
 * length; keys, because tool schemas are part of the prompt): the safe
 * upper bound of prompt tokens of byte-level tokenizers. */
size_t json_text_bytes(struct json v);

#endif
