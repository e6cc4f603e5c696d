/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above
 * U+10FFFF. The length function is inline because the JSON scanner runs it
 * once per non-ASCII character of a prompt.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool
utf8_is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of the well-formed character at p (p < end), 0 if it is not one. */
static inline unsigned
utf8_char_len(const char *p, const char *end)
{
	unsigned char u[4] = {0, 0, 0, 0};
	ptrdiff_t left = end - p;
	unsigned i;

	u[0] = (unsigned char)p[0];
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	for (i = 1; i < 4 && (ptrdiff_t)i < left; i++)
		u[i] = (unsigned char)p[i];
	if (!utf8_is_tail(u[1]))
		return 0;
	if (u[0] < 0xe0)
		return 2;
	if (!utf8_is_tail(u[2]))
		return 0;
	if (u[0] < 0xf0) {
		if (u[0] == 0xe0 && u[1] < 0xa0)
			return 0;
		return u[0] == 0xed && u[1] > 0x9f ? 0 : 3;
	}
	if (!utf8_is_tail(u[3]) || (u[0] == 0xf0 && u[1] < 0x90))
		return 0;
	return u[0] == 0xf4 && u[1] > 0x8f ? 0 : 4;
}

/* Write cp (a scalar value) to dst; returns 1 to 4, the bytes written. */
static inline unsigned
utf8_encode(uint32_t cp, char dst[4])
{
	if (cp < 0x80) {
		dst[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		dst[0] = (char)(0xc0 | cp >> 6);
		dst[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		dst[0] = (char)(0xe0 | cp >> 12);
		dst[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | cp >> 18);
	dst[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

#endif
