/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The validator: one pass over the document with a stack of open containers.
 *
 * Duplicate keys are found without a tree. Each key leaves an entry (place,
 * length, hash of the unescaped text) on a stack that the nested objects
 * share. While an object is small a new key is compared with its siblings by
 * hash, then by text; once it has more than JSON_FEW keys the search is put
 * off to its closing brace, where the entries are sorted. Sorting by hash,
 * then text, keeps the worst case at n log n also for keys made to collide.
 * 256 open keys fit on the C stack; only larger documents allocate.
 */
#include <stdlib.h>

#include "common/json.h"
#include "common/json_keys.h"
#include "common/json_scan.h"
#include "common/utf8.h"

const struct json_limits json_default_limits = {
    .max_bytes = (size_t)16 << 20,
    .max_depth = 64,
    .max_members = 16384,
};

#define JSON_DEPTH_CAP	 128
#define JSON_MEMBERS_CAP 65536

/* Where the scan is in the grammar. */
enum json_state {
	JS_VALUE,	 /* a value must come */
	JS_FIRST_KEY,	 /* behind '{' */
	JS_KEY,		 /* behind ',' in an object */
	JS_FIRST_ELEMENT /* behind '[' */
};

struct json_frame {
	uint32_t first_key; /* index of the object's first entry */
	bool object;
};

struct json_scan {
	const char *begin, *p, *end;
	unsigned max_depth, max_members;
	unsigned depth;
	struct error *e;
	struct json_keys keys;
	struct json_frame frames[JSON_DEPTH_CAP];
};

static int __attribute__((cold, noinline))
json_fail(struct json_scan *s, int code, const char *at, const char *what)
{
	return err_set(s->e, code, "invalid JSON at byte %zu: %s",
	    (size_t)(at - s->begin), at < s->end ? what : "unexpected end");
}

static int
json_bad(struct json_scan *s, const char *what)
{
	return json_fail(s, ERR_INVALID, s->p, what);
}

/* s->p is at a backslash in a string. */
static int
json_scan_escape(struct json_scan *s)
{
	const char *p = s->p;
	int hi, lo;

	if (s->end - p < 2)
		return json_fail(s, ERR_INVALID, s->end, "");
	if (p[1] != 'u') {
		if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL)
			return json_bad(s, "unknown escape sequence");
		s->p += 2;
		return 0;
	}
	hi = s->end - p >= 6 ? json_hex4(p + 2) : -1;
	if (hi < 0)
		return json_bad(s, "expected four hexadecimal digits");
	s->p += 6;
	if (hi < 0xd800 || hi > 0xdfff)
		return 0;
	p = s->p;
	lo = s->end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? json_hex4(p + 2)
							    : -1;
	if (hi > 0xdbff || lo < 0xdc00 || lo > 0xdfff) {
		s->p -= 6;
		return json_bad(s, "lone surrogate");
	}
	s->p += 6;
	return 0;
}

/* s->p is behind the opening quote; afterwards behind the closing one. */
static inline int
json_scan_string(struct json_scan *s, bool *escaped)
{
	*escaped = false;
	for (;;) {
		const char *p = json_skip_plain(s->p, s->end);
		unsigned n;

		s->p = p;
		if (__builtin_expect(p >= s->end, 0))
			return json_bad(s, "");
		if (__builtin_expect(*p == '"', 1)) {
			s->p = p + 1;
			return 0;
		}
		if (*p == '\\') {
			*escaped = true;
			if (json_scan_escape(s) != 0)
				return ERR_INVALID;
			continue;
		}
		if ((unsigned char)*p < 0x20)
			return json_bad(s, "control character in a string");
		do {
			n = utf8_char_len(p, s->end);
			if (n == 0) {
				s->p = p;
				return json_bad(s, "invalid UTF-8");
			}
			p += n;
		} while (p < s->end && (unsigned char)*p >= 0x80);
		s->p = p;
	}
}

const char *
json_check_string(const char *p, const char *end)
{
	struct json_scan s;
	bool escaped;

	s.begin = s.p = p;
	s.end = end;
	s.e = NULL;
	return json_scan_string(&s, &escaped) == 0 ? s.p - 1 : NULL;
}

static inline const char *
json_skip_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static int
json_scan_number(struct json_scan *s)
{
	const char *end = s->end;
	const char *p = s->p;
	const char *q;

	if (*p == '-')
		p++;
	q = json_skip_digits(p, end);
	if (q == p || (*p == '0' && q - p > 1))
		goto bad;
	p = q;
	if (p < end && *p == '.') {
		q = json_skip_digits(++p, end);
		if (q == p)
			goto bad;
		p = q;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		q = json_skip_digits(p, end);
		if (q == p)
			goto bad;
		p = q;
	}
	s->p = p;
	return 0;
bad:
	return json_fail(s, ERR_INVALID, p, "malformed number");
}

static int
json_scan_word(struct json_scan *s, const char *word, size_t n)
{
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return json_bad(s, "unknown word");
	s->p += n;
	return 0;
}

/* "key" : up to the value. s->p is at what should be the quote. */
static int
json_scan_key(struct json_scan *s)
{
	uint32_t first = s->frames[s->depth - 1].first_key;
	struct str key;
	bool escaped;
	int rc;

	if (s->p >= s->end || *s->p != '"')
		return json_bad(s, "expected a key in quotes");
	key.p = ++s->p;
	rc = json_scan_string(s, &escaped);
	if (rc != 0)
		return rc;
	key.len = (size_t)(s->p - 1 - key.p);
	if (s->keys.n - first >= s->max_members)
		return json_fail(s, ERR_TOO_LARGE, key.p - 1,
		    "too many members in one object");
	rc = json_keys_add(&s->keys, first, key, escaped);
	if (rc == ERR_NOMEM)
		return json_fail(s, rc, key.p - 1, "out of memory");
	if (rc != 0)
		return json_fail(s, rc, key.p - 1, "duplicate key");
	s->p = json_skip_space(s->p, s->end);
	if (s->p >= s->end || *s->p != ':')
		return json_bad(s, "expected ':'");
	s->p++;
	return 0;
}

static int
json_open(struct json_scan *s, bool object)
{
	if (s->depth >= s->max_depth)
		return json_fail(s, ERR_TOO_LARGE, s->p, "nested too deeply");
	s->frames[s->depth++] = (struct json_frame){s->keys.n, object};
	s->p++;
	return 0;
}

static int
json_close(struct json_scan *s)
{
	struct json_frame *f = &s->frames[--s->depth];
	const char *dup = NULL;

	s->p++;
	if (!f->object)
		return 0;
	dup = json_keys_close(&s->keys, f->first_key);
	if (dup != NULL)
		return json_fail(s, ERR_INVALID, dup - 1, "duplicate key");
	return 0;
}

/* A value that is no container, or the opening of one (*next then says what
 * may follow it). */
static inline int
json_scan_value(struct json_scan *s, enum json_state *next)
{
	bool escaped;

	switch (*s->p) {
	case '"':
		s->p++;
		return json_scan_string(s, &escaped);
	case '{':
		*next = JS_FIRST_KEY;
		return json_open(s, true);
	case '[':
		*next = JS_FIRST_ELEMENT;
		return json_open(s, false);
	case 't':
		return json_scan_word(s, "true", 4);
	case 'f':
		return json_scan_word(s, "false", 5);
	case 'n':
		return json_scan_word(s, "null", 4);
	case '-':
	case '0' ... '9':
		return json_scan_number(s);
	default:
		return json_bad(s, "expected a value");
	}
}

/* Behind a value: closing brackets, then a comma (*state says what comes) or
 * the end of the root (depth 0). */
static inline int
json_after_value(struct json_scan *s, enum json_state *state)
{
	while (s->depth > 0) {
		bool object = s->frames[s->depth - 1].object;
		int rc;

		s->p = json_skip_space(s->p, s->end);
		if (s->p >= s->end)
			return json_bad(s, "");
		if (*s->p == ',') {
			s->p++;
			*state = object ? JS_KEY : JS_VALUE;
			return 0;
		}
		if (*s->p != (object ? '}' : ']'))
			return json_bad(s, object ? "expected ',' or '}'"
						  : "expected ',' or ']'");
		rc = json_close(s);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
json_scan(struct json_scan *s)
{
	enum json_state state = JS_VALUE;
	int rc = 0;

	for (;;) {
		enum json_state next = JS_VALUE;

		s->p = json_skip_space(s->p, s->end);
		if (s->p >= s->end)
			return json_bad(s, "");
		if ((state == JS_FIRST_KEY && *s->p == '}') ||
		    (state == JS_FIRST_ELEMENT && *s->p == ']')) {
			rc = json_close(s);
		} else {
			if (state == JS_FIRST_KEY || state == JS_KEY) {
				rc = json_scan_key(s);
				if (rc != 0)
					return rc;
				s->p = json_skip_space(s->p, s->end);
				if (s->p >= s->end)
					return json_bad(s, "");
			}
			rc = json_scan_value(s, &next);
		}
		if (rc != 0)
			return rc;
		if (next != JS_VALUE) {
			state = next;
			continue;
		}
		rc = json_after_value(s, &state);
		if (rc != 0 || s->depth == 0)
			return rc;
	}
}

int
json_validate(struct str doc, const struct json_limits *lim, struct error *e)
{
	struct json_scan s;
	int rc;

	if (lim == NULL)
		lim = &json_default_limits;
	if (doc.len > lim->max_bytes || doc.len > JSON_KEYS_DOC_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "JSON of %zu bytes; at most %zu are allowed", doc.len,
		    lim->max_bytes);
	if (doc.len == 0)
		return err_set(e, ERR_INVALID, "empty instead of JSON");
	if (doc.len >= 3 && memcmp(doc.p, "\xef\xbb\xbf", 3) == 0)
		return err_set(
		    e, ERR_INVALID, "invalid JSON at byte 0: byte order mark");
	s.begin = s.p = doc.p;
	s.end = doc.p + doc.len;
	s.max_depth =
	    lim->max_depth < JSON_DEPTH_CAP ? lim->max_depth : JSON_DEPTH_CAP;
	s.max_members = lim->max_members < JSON_MEMBERS_CAP ? lim->max_members
							    : JSON_MEMBERS_CAP;
	s.depth = 0;
	s.e = e;
	json_keys_init(&s.keys, doc.p);
	rc = json_scan(&s);
	if (rc == 0) {
		s.p = json_skip_space(s.p, s.end);
		if (s.p < s.end)
			rc = json_bad(&s, "unexpected byte after the value");
	}
	json_keys_release(&s.keys);
	return rc;
}
