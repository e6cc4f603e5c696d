/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares common/json with jansson on one document: the verdict, and when
 * both accept, every value through the cursor functions. Used by the fuzz
 * target and by the unit test with random documents. Where they disagree on
 * purpose only our own consistency is checked:
 *
 *	- jansson refuses numbers that do not fit int64 or double; we do not
 *	  evaluate numbers while validating;
 *	- jansson refuses NUL in keys, and compares keys only up to it;
 *	- jansson takes a NUL byte between values for the end of the document;
 *	- our limits on depth and members are lower.
 */
#ifndef TESTS_FUZZ_JSON_ORACLE_H
#define TESTS_FUZZ_JSON_ORACLE_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/jansson_beside.h"

#include "common/json.h"

#define ORACLE(cond) ((cond) ? (void)0 : oracle_fail(#cond, __FILE__, __LINE__))

static struct str oracle_doc;

static inline void
oracle_fail(const char *cond, const char *file, int line)
{
	size_t i;

	fprintf(stderr, "%s:%d: %s\ndocument: ", file, line, cond);
	for (i = 0; i < oracle_doc.len && i < 4096; i++) {
		unsigned char c = (unsigned char)oracle_doc.p[i];

		if (c < 0x20 || c >= 0x7f)
			fprintf(stderr, "\\x%02x", (unsigned)c);
		else
			fputc(c, stderr);
	}
	fprintf(stderr, "\n");
	abort();
}

/* Returns the length of the text. */
static inline size_t
oracle_string(struct json v, const char *want, size_t len)
{
	struct buf b;
	char small[64];
	int rc;

	buf_init(&b, 1 << 24);
	rc = json_unescape(v, &b);
	ORACLE(rc == 0);
	ORACLE(str_eq(buf_str(&b), str_make(want, len)));
	ORACLE(json_text_bytes(v) == len);
	rc = json_copy_string(v, small, sizeof(small));
	if (rc == 0)
		ORACLE(str_eqz(buf_str(&b), small));
	else if (rc == ERR_TOO_LARGE)
		ORACLE(len >= sizeof(small) && small[0] == '\0');
	else
		ORACLE(rc == ERR_INVALID && memchr(want, 0, len) != NULL);
	buf_release(&b);
	return len;
}

static inline size_t oracle_compare(struct json v, json_t *j);

static inline size_t
oracle_object(struct json v, json_t *j)
{
	struct json_iter it = json_iter(v);
	struct json item, again;
	struct str key;
	const char *name;
	json_t *value;
	size_t n = 0, text = 0;

	ORACLE(v.type == JSON_OBJECT);
	while (json_next_member(&it, &key, &item))
		n++;
	ORACLE(n == json_object_size(j));
	json_object_foreach (j, name, value) {
		ORACLE(json_getz(v, name, &item));
		ORACLE(json_get(v, str_of(name), &again));
		ORACLE(again.p == item.p && again.end == item.end);
		text += strlen(name) + oracle_compare(item, value);
	}
	return text;
}

static inline size_t
oracle_array(struct json v, json_t *j)
{
	struct json_iter it = json_iter(v);
	struct json item;
	size_t n = 0, text = 0;

	ORACLE(v.type == JSON_ARRAY);
	while (json_next_element(&it, &item)) {
		ORACLE(n < json_array_size(j));
		text += oracle_compare(item, json_array_get(j, n++));
	}
	ORACLE(n == json_array_size(j));
	return text;
}

/* Returns the length of the text below v. */
static inline size_t
oracle_compare(struct json v, json_t *j)
{
	size_t text = 0;
	int64_t i = 0;
	int rc;

	switch ((int)json_typeof(j)) {
	case JANSSON_OBJECT:
		text = oracle_object(v, j);
		break;
	case JANSSON_ARRAY:
		text = oracle_array(v, j);
		break;
	case JANSSON_STRING:
		ORACLE(v.type == JSON_STRING);
		return oracle_string(
		    v, json_string_value(j), json_string_length(j));
	case JANSSON_INTEGER:
		ORACLE(v.type == JSON_NUMBER);
		rc = json_to_i64(v, &i);
		ORACLE(rc == 0 && i == json_integer_value(j));
		break;
	case JANSSON_REAL:
		ORACLE(v.type == JSON_NUMBER);
		rc = json_to_i64(v, &i);
		ORACLE(rc == ERR_INVALID);
		break;
	case JANSSON_NULL:
		ORACLE(v.type == JSON_NULL && v.end - v.p == 4);
		break;
	default:
		ORACLE(v.type == JSON_BOOL);
		ORACLE(
		    json_is_true(v) == (json_typeof(j) == (int)JANSSON_TRUE));
		break;
	}
	ORACLE(json_text_bytes(v) == text);
	return text;
}

/* Walk everything: what was accepted must be walkable within its bounds. */
static inline void
oracle_walk(struct json v, struct json outer)
{
	struct json_iter it = json_iter(v);
	struct json item;
	struct str key;

	ORACLE(v.p >= outer.p && v.end <= outer.end && v.p < v.end);
	if (v.type == JSON_OBJECT)
		while (json_next_member(&it, &key, &item)) {
			ORACLE(key.p > v.p && key.p + key.len < item.p);
			oracle_walk(item, v);
		}
	else if (v.type == JSON_ARRAY)
		while (json_next_element(&it, &item))
			oracle_walk(item, v);
}

/* Returns whether our validator accepts the document. */
static inline bool
oracle_check(struct str doc)
{
	struct error e = {0};
	json_error_t je;
	json_t *j;
	int rc;

	oracle_doc = doc;
	rc = json_validate(doc, NULL, &e);
	ORACLE(rc == json_validate(doc, NULL, NULL));
	ORACLE(rc == 0 || rc == ERR_INVALID || rc == ERR_TOO_LARGE);
	ORACLE(e.code == rc && (rc == 0) == (e.text[0] == '\0'));
	j = json_loadb(doc.p ? doc.p : "", doc.len,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);
	if (rc == 0)
		oracle_walk(json_root(doc),
		    (struct json){doc.p, doc.p + doc.len, JSON_NULL});
	if (rc == 0 && j != NULL)
		(void)oracle_compare(json_root(doc), j);
	else if (rc == 0)
		ORACLE(json_error_code(&je) == json_error_numeric_overflow ||
		       json_error_code(&je) == json_error_null_byte_in_key);
	else if (rc == ERR_INVALID)
		ORACLE(j == NULL || str_find(doc, '\0') >= 0);
	json_decref(j);
	return rc == 0;
}

#endif
