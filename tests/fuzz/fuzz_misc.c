/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the small parsers of common. The first byte picks one; each
 * is held against what it must give back when printed again, or against a
 * slow reference.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/money.h"
#include "common/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_misc: %s\n", what);
	abort();
}

static void
fuzz_time(struct str s)
{
	int64_t ns, back, second;
	char z[32];

	if (time_parse(s, &ns) != 0)
		return;
	time_format(ns, 0, z);
	second = ns / NS_PER_S - (ns % NS_PER_S < 0);
	if (second == INT64_MIN / NS_PER_S - 1)
		return; /* the first second of the range has no start in it */
	require(time_parse(str_of(z), &back) == 0, "time does not parse back");
	require(back == second * NS_PER_S, "time differs");
}

static void
fuzz_money(struct str s)
{
	int64_t nano, back;
	char z[32];

	if (money_parse(s, &nano) != 0)
		return;
	require(nano >= 0, "negative amount");
	money_format(nano, z);
	require(
	    money_parse(str_of(z), &back) == 0, "money does not parse back");
	require(back == nano, "money differs");
}

static bool
slow_name(struct str s)
{
	size_t run = 0, i;
	int segments = 1;

	for (i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool edge = i == 0 || s.p[i - 1] == '.' || i + 1 == s.len ||
			    s.p[i + 1] == '.';

		if (c == '.') {
			if (run == 0)
				return false;
			segments++;
			run = 0;
			continue;
		}
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-", c) ==
			NULL ||
		    c == '\0' || (c == '-' && edge) || ++run > 63)
			return false;
	}
	return run > 0 && segments <= 4;
}

static void
fuzz_name(struct str s)
{
	bool ok = name_is_valid(s, 0);
	struct str parent = name_parent(s);

	require(ok == slow_name(s), "name differs from the reference");
	if (!ok)
		return;
	require(name_is_valid(s, name_segments(s)), "number of segments");
	require(name_segments(parent) == name_segments(s) - 1, "parent");
	require(str_starts(s, name_root(s)), "root");
}

static bool
slow_utf8(const unsigned char *p, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t i = 0;

	while (i < n) {
		unsigned len = p[i] < 0x80	       ? 1
			       : (p[i] & 0xe0) == 0xc0 ? 2
			       : (p[i] & 0xf0) == 0xe0 ? 3
			       : (p[i] & 0xf8) == 0xf0 ? 4
						       : 0;
		uint32_t cp;
		unsigned k;

		if (len == 0 || len > n - i)
			return false;
		cp = len == 1 ? p[i] : p[i] & (0x7fu >> len);
		for (k = 1; k < len; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
			cp = cp << 6 | (p[i + k] & 0x3f);
		}
		if (cp < least[len] || cp > 0x10ffff ||
		    (cp >= 0xd800 && cp <= 0xdfff))
			return false;
		i += len;
	}
	return true;
}

static void
fuzz_text(struct str s)
{
	bool utf8 = str_is_utf8(s);
	struct error e = {0};
	struct buf lit, back;

	require(utf8 == slow_utf8((const unsigned char *)s.p, s.len), "UTF-8");
	buf_init(&lit, 1 << 24);
	buf_init(&back, 1 << 24);
	require(buf_add_json(&lit, s) == 0, "literal");
	require(json_validate(buf_str(&lit), NULL, &e) == 0, e.text);
	require(json_unescape(json_root(buf_str(&lit)), &back) == 0, "back");
	require(!utf8 || str_eq(buf_str(&back), s), "text differs");
	err_set(&e, ERR_INVALID, "%.*s", STR_ARG(s));
	require(str_is_utf8(str_of(e.text)), "error text is no UTF-8");
	require(strpbrk(e.text, "\n\r\x1b") == NULL, "error text not clean");
	buf_release(&lit);
	buf_release(&back);
}

static void
fuzz_numbers(struct str s)
{
	unsigned char raw[8];
	struct uuid u, v;
	struct str up;
	uint64_t n;
	int64_t i;
	char z[37];

	if (str_to_u64(s, &n) == 0 && n <= INT64_MAX) {
		require(str_to_i64(s, &i) == 0, "u64 but not i64");
		require(i == (int64_t)n, "u64 and i64 differ");
	}
	if (hex_decode(s, raw, sizeof(raw)) == 0) {
		hex_encode(raw, sizeof(raw), z);
		require(str_ieq(s, str_of(z)), "hex differs");
	}
	if (uuid_parse(s.p, s.len, &u) == 0) {
		uuid_format(&u, z);
		up = str_of(z);
		require(str_ieq(s, up), "uuid differs");
		require(uuid_parse(z, 36, &v) == 0, "uuid does not parse back");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(struct str s) = {
	    fuzz_time, fuzz_money, fuzz_name, fuzz_text, fuzz_numbers};
	size_t n = sizeof(parsers) / sizeof(parsers[0]);

	if (size > 0)
		parsers[data[0] % n](
		    str_make((const char *)data + 1, size - 1));
	return 0;
}
