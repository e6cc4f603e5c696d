/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to json and agent/tokenizer: byte scanning shared by the validator,
 * the cursor and the counting of prompts.
 * Strings are searched eight bytes at a time (sixteen with SSE2).
 */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_ONES  UINT64_C(0x0101010101010101)
#define JSON_HIGHS UINT64_C(0x8080808080808080)

static inline uint64_t
json_load8(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	return w;
}

/* High bit of the lowest byte of w that equals c; bits above it are noise. */
static inline uint64_t
json_has(uint64_t w, unsigned char c)
{
	uint64_t x = w ^ (JSON_ONES * c);

	return (x - JSON_ONES) & ~x & JSON_HIGHS;
}

/* First byte at or after p that is a quote, a backslash, below 0x20 or above
 * 0x7f; end if there is none. */
static inline const char *
json_skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	while (end - p >= 16) {
		__m128i w = _mm_loadu_si128((const __m128i_u *)p);
		/* Signed comparison: 0x80.. are negative, so below 0x20. */
		__m128i odd =
		    _mm_or_si128(_mm_cmplt_epi8(w, _mm_set1_epi8(0x20)),
			_mm_or_si128(_mm_cmpeq_epi8(w, _mm_set1_epi8('"')),
			    _mm_cmpeq_epi8(w, _mm_set1_epi8('\\'))));
		int m = _mm_movemask_epi8(odd);

		if (m != 0)
			return p + __builtin_ctz((unsigned)m);
		p += 16;
	}
#endif
	while (end - p >= 8) {
		uint64_t w = json_load8(p);
		uint64_t m = (w & JSON_HIGHS) | json_has(w, '"') |
			     json_has(w, '\\') |
			     ((w - JSON_ONES * 0x20) & ~w & JSON_HIGHS);

		if (m != 0)
			return p + (__builtin_ctzll(m) >> 3);
		p += 8;
	}
	while (p < end && (unsigned char)*p >= 0x20 &&
	       (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* p is behind the opening quote of a valid string; the closing quote. */
static inline const char *
json_string_end(const char *p, const char *end)
{
	for (;;) {
#ifdef __SSE2__
		while (end - p >= 16) {
			__m128i w = _mm_loadu_si128((const __m128i_u *)p);
			__m128i hit =
			    _mm_or_si128(_mm_cmpeq_epi8(w, _mm_set1_epi8('"')),
				_mm_cmpeq_epi8(w, _mm_set1_epi8('\\')));
			int m = _mm_movemask_epi8(hit);

			if (m != 0) {
				p += __builtin_ctz((unsigned)m);
				break;
			}
			p += 16;
		}
#endif
		while (p < end && *p != '"' && *p != '\\')
			p++;
		if (p < end && *p == '"')
			return p;
		if (end - p < 2)
			return end;
		p += 2; /* a backslash and what it escapes */
	}
}

static inline bool
json_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *
json_skip_space(const char *p, const char *end)
{
	while (p < end && json_is_space(*p))
		p++;
	return p;
}

static inline int
json_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hexadecimal digits at p, or -1. */
static inline int
json_hex4(const char *p)
{
	int v = 0;
	int i;

	for (i = 0; i < 4; i++) {
		int d = json_hex_digit(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* Decode the checked escape sequence at *p (a backslash) into dst, moving *p
 * behind it; returns the bytes written (1 to 4). */
unsigned json_decode_escape(const char **p, char dst[4]);

#endif
