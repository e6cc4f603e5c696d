/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices: comparison, cutting, strict numbers, UTF-8, hex and the names of
 * tenants, teams, projects and keys. Nothing here depends on the locale.
 */
#include <sodium.h>
#include <stdlib.h>

#include "common/str.h"
#include "common/utf8.h"

#define NAME_SEGMENT_MAX  63
#define NAME_SEGMENTS_MAX 4

static unsigned char
str_lower(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool
str_ieq(struct str a, struct str b)
{
	size_t i;

	if (a.len != b.len)
		return false;
	for (i = 0; i < a.len; i++)
		if (str_lower(a.p[i]) != str_lower(b.p[i]))
			return false;
	return true;
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_make(s.p, prefix.len), prefix);
}

bool
str_ends(struct str s, struct str suffix)
{
	if (suffix.len == 0)
		return true;
	return s.len >= suffix.len &&
	       memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) == 0;
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n ? memcmp(a.p, b.p, n) : 0;

	if (d != 0)
		return d < 0 ? -1 : 1;
	return (a.len > b.len) - (a.len < b.len);
}

struct str
str_trim(struct str s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

long
str_find(struct str s, char c)
{
	const char *at = s.len ? memchr(s.p, c, s.len) : NULL;

	return at ? (long)(at - s.p) : -1;
}

bool
str_cut(struct str s, char sep, struct str *head, struct str *tail)
{
	long at = str_find(s, sep);

	if (at < 0) {
		*head = s;
		*tail = STR_NULL;
		return false;
	}
	*head = str_make(s.p, (size_t)at);
	*tail = str_make(s.p + at + 1, s.len - (size_t)at - 1);
	return true;
}

int
str_to_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i;

	if (s.len == 0)
		return ERR_INVALID;
	for (i = 0; i < s.len; i++) {
		unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

		if (d > 9 || __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, d, &v))
			return ERR_INVALID;
	}
	*ret = v;
	return 0;
}

int
str_to_i64(struct str s, int64_t *ret)
{
	bool minus = s.len > 0 && s.p[0] == '-';
	uint64_t v;

	if (minus)
		s = str_make(s.p + 1, s.len - 1);
	if (str_to_u64(s, &v) != 0 || v > (uint64_t)INT64_MAX + minus)
		return ERR_INVALID;
	*ret = minus ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int
str_copy(struct str s, char *dst, size_t cap)
{
	if (cap > 0)
		dst[0] = '\0';
	if (s.len >= cap)
		return ERR_TOO_LARGE;
	if (str_find(s, '\0') >= 0)
		return ERR_INVALID;
	if (s.len > 0)
		memcpy(dst, s.p, s.len);
	dst[s.len] = '\0';
	return 0;
}

char *
str_dup(struct str s)
{
	char *z;

	if (s.len == SIZE_MAX)
		return NULL;
	z = malloc(s.len + 1);
	if (z == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(z, s.p, s.len);
	z[s.len] = '\0';
	return z;
}

bool
str_is_utf8(struct str s)
{
	const char *p = s.p;
	const char *end = s.len ? s.p + s.len : s.p;

	while (p < end) {
		unsigned n;
		uint64_t w;

		if (end - p >= 8) {
			memcpy(&w, p, 8);
			if ((w & UINT64_C(0x8080808080808080)) == 0) {
				p += 8;
				continue;
			}
		}
		n = utf8_char_len(p, end);
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

void
hex_encode(const void *src, size_t n, char *dst)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = src;
	size_t i;

	for (i = 0; i < n; i++) {
		dst[2 * i] = digits[b[i] >> 4];
		dst[2 * i + 1] = digits[b[i] & 15];
	}
	dst[2 * n] = '\0';
}

static int
hex_digit(char c)
{
	unsigned char l = str_lower(c);

	if (c >= '0' && c <= '9')
		return c - '0';
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

int
hex_decode(struct str s, void *dst, size_t n)
{
	unsigned char *out = dst;
	size_t i;

	if (s.len / 2 != n || s.len % 2 != 0)
		return ERR_INVALID;
	for (i = 0; i < n; i++) {
		int hi = hex_digit(s.p[2 * i]);
		int lo = hex_digit(s.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return ERR_INVALID;
		out[i] = (unsigned char)(hi << 4 | lo);
	}
	return 0;
}

int
base64_decode(struct str s, int variant, const char *ignore, void *dst,
    size_t cap, size_t *len)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '\0' || (unsigned char)s.p[i] > 0x7f)
			return ERR_INVALID;
	}
	return sodium_base642bin(dst, cap, s.len > 0 ? s.p : "", s.len, ignore,
		   len, NULL, variant) == 0
		   ? 0
		   : ERR_INVALID;
}

static bool
name_segment_ok(struct str s)
{
	size_t i;

	if (s.len == 0 || s.len > NAME_SEGMENT_MAX || s.p[0] == '-' ||
	    s.p[s.len - 1] == '-')
		return false;
	for (i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-')
			return false;
	}
	return true;
}

bool
name_is_valid(struct str s, int n_segments)
{
	int n = 0;
	bool more = true;

	while (more) {
		struct str head;

		more = str_cut(s, '.', &head, &s);
		n++;
		if (n > NAME_SEGMENTS_MAX || !name_segment_ok(head))
			return false;
	}
	return n_segments == 0 || n == n_segments;
}

int
name_segments(struct str s)
{
	int n = s.len > 0;
	size_t i;

	for (i = 0; i < s.len; i++)
		n += s.p[i] == '.';
	return n;
}

struct str
name_parent(struct str s)
{
	size_t i;

	for (i = s.len; i > 0; i--)
		if (s.p[i - 1] == '.')
			return str_make(s.p, i - 1);
	return STR_NULL;
}

struct str
name_root(struct str s)
{
	struct str head, tail;

	(void)str_cut(s, '.', &head, &tail);
	return head;
}
