/* SPDX-License-Identifier: Apache-2.0 */
/* Text built in a fixed array, for paths and header lines; what does not fit
 * is remembered until text_end. */
#ifndef AGENT_PROVIDER_TEXT_H
#define AGENT_PROVIDER_TEXT_H

#include "common/str.h"

struct text {
	char *p;
	size_t len, cap;
	bool bad;
};

static inline void
text_add(struct text *t, struct str s)
{
	if (t->bad || s.len >= t->cap - t->len) {
		t->bad = true;
		return;
	}
	if (s.len > 0)
		memcpy(t->p + t->len, s.p, s.len);
	t->len += s.len;
}

static inline void
text_addz(struct text *t, const char *z)
{
	text_add(t, str_of(z));
}

/* "Name: value\r\n"; a value with control characters is bad. */
static inline void
text_header(struct text *t, const char *name, struct str value)
{
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
			t->bad = true;
	text_addz(t, name);
	text_addz(t, ": ");
	text_add(t, value);
	text_addz(t, "\r\n");
}

/* Percent-encode all but letters, digits and - . _ ~ (RFC 3986 unreserved).
 * Returns the length, 1 or 3. */
static inline size_t
text_encode_byte(char c, char out[3])
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char u = (unsigned char)c;

	out[0] = c;
	if ((u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
	    (u >= '0' && u <= '9') || u == '-' || u == '.' || u == '_' ||
	    u == '~')
		return 1;
	out[0] = '%';
	out[1] = hex[u >> 4];
	out[2] = hex[u & 15];
	return 3;
}

/* One segment of a path: neither empty nor a dot segment. */
static inline void
text_segment(struct text *t, struct str s)
{
	char out[3];

	if (s.len == 0 || str_eqz(s, ".") || str_eqz(s, ".."))
		t->bad = true;
	for (size_t i = 0; i < s.len; i++)
		text_add(t, str_make(out, text_encode_byte(s.p[i], out)));
}

/* Terminate by NUL, tell the length. ERR_TOO_LARGE when something did not
 * fit or was bad. */
static inline int
text_end(struct text *t, size_t *len)
{
	if (t->bad)
		return ERR_TOO_LARGE;
	t->p[t->len] = '\0';
	*len = t->len;
	return 0;
}

#endif
