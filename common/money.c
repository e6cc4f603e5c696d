/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prices and amounts in nano-USD. A token class without a price of its own
 * takes that of its base class (input or output), and one whose base has none
 * either takes the dearest of its side: what was not priced is never free
 * while the model has any price on that side. Units other than tokens have no
 * base class: what a search costs says nothing of what an image costs.
 */
#include <stdio.h>

#include "common/money.h"

#define NANO_PER_USD	INT64_C(1000000000)
#define TOKENS_PER_UNIT 1000000

static const char *const token_class_names[TC_COUNT] = {
#define X(e, num, name, text) [num] = name,
    TOKEN_CLASS_TABLE(X)
#undef X
};

const char *
token_class_name(enum token_class c)
{
	return (unsigned)c < TC_COUNT ? token_class_names[c] : "unknown";
}

int
token_class_parse(struct str s, enum token_class *ret)
{
	int i;

	for (i = 0; i < TC_COUNT; i++)
		if (str_eqz(s, token_class_names[i])) {
			*ret = (enum token_class)i;
			return 0;
		}
	return ERR_NOT_FOUND;
}

enum side { SIDE_INPUT, SIDE_OUTPUT, SIDE_UNIT };

static const uint8_t token_class_side[TC_COUNT] = {
    [TC_OUTPUT] = SIDE_OUTPUT,
    [TC_REASONING] = SIDE_OUTPUT,
    [TC_AUDIO_OUT] = SIDE_OUTPUT,
    [TC_IMAGE_OUT] = SIDE_OUTPUT,
    [TC_WEB_SEARCH] = SIDE_UNIT,
    [TC_AUDIO_SECONDS] = SIDE_UNIT,
    [TC_CHARACTERS] = SIDE_UNIT,
    [TC_IMAGES] = SIDE_UNIT,
    [TC_SEARCH_UNITS] = SIDE_UNIT,
};

bool
token_class_is_unit(enum token_class c)
{
	return (unsigned)c < TC_COUNT && token_class_side[c] == SIDE_UNIT;
}

int64_t
tokens_input(const struct tokens *t)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < TC_COUNT; i++)
		if (token_class_side[i] == SIDE_INPUT &&
		    __builtin_add_overflow(sum, t->n[i], &sum))
			return INT64_MAX;
	return sum;
}

static int64_t
price_worst(const struct price *p, enum side side)
{
	int64_t worst = 0;
	int i;

	for (i = 0; i < TC_COUNT; i++)
		if (token_class_side[i] == side && p->per_mtok[i] > worst)
			worst = p->per_mtok[i];
	return worst;
}

int64_t
price_worst_input(const struct price *p)
{
	return price_worst(p, SIDE_INPUT);
}

int64_t
price_worst_output(const struct price *p)
{
	return price_worst(p, SIDE_OUTPUT);
}

int64_t
price_effective(const struct price *p, enum token_class c)
{
	enum side side = (enum side)token_class_side[c];

	if (p->per_mtok[c] >= 0)
		return p->per_mtok[c];
	if (side == SIDE_UNIT)
		return 0;
	if (c == TC_AUDIO_CACHE_READ && p->per_mtok[TC_CACHE_READ] >= 0)
		return p->per_mtok[TC_CACHE_READ];
	c = side == SIDE_OUTPUT ? TC_OUTPUT : TC_INPUT;
	return p->per_mtok[c] >= 0 ? p->per_mtok[c] : price_worst(p, side);
}

int
money_cost(const struct tokens *t, const struct price *p, int64_t *cost)
{
	__int128 sum = 0;
	int i;

	for (i = 0; i < TC_COUNT; i++) {
		if (t->n[i] < 0 || p->per_mtok[i] < -1)
			return ERR_INVALID;
	}
	for (i = 0; i < TC_COUNT; i++) {
		__int128 part;

		if (t->n[i] == 0)
			continue;
		part =
		    (__int128)t->n[i] * price_effective(p, (enum token_class)i);
		if (__builtin_add_overflow(sum, part, &sum))
			return ERR_TOO_LARGE;
	}
	sum = sum / TOKENS_PER_UNIT + (sum % TOKENS_PER_UNIT != 0);
	if (sum > INT64_MAX)
		return ERR_TOO_LARGE;
	*cost = (int64_t)sum;
	return 0;
}

int
money_parse(struct str s, int64_t *nano)
{
	struct str whole, frac;
	bool dot = str_cut(s, '.', &whole, &frac);
	int64_t v = 0, scale = NANO_PER_USD;
	size_t i;

	if (whole.len == 0 || (dot && frac.len == 0) || frac.len > 9)
		return ERR_INVALID;
	for (i = 0; i < s.len; i++)
		if ((s.p[i] < '0' || s.p[i] > '9') && i != whole.len)
			return ERR_INVALID;
	for (i = 0; i < whole.len; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, whole.p[i] - '0', &v))
			return ERR_TOO_LARGE;
	if (__builtin_mul_overflow(v, NANO_PER_USD, &v))
		return ERR_TOO_LARGE;
	for (i = 0; i < frac.len; i++) {
		scale /= 10;
		if (__builtin_add_overflow(v, scale * (frac.p[i] - '0'), &v))
			return ERR_TOO_LARGE;
	}
	*nano = v;
	return 0;
}

void
money_format(int64_t nano, char dst[32])
{
	uint64_t u = nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano;
	unsigned frac = (unsigned)(u % (uint64_t)NANO_PER_USD);
	int n;

	n = snprintf(dst, 32, "%s%llu.%09u", nano < 0 ? "-" : "",
	    (unsigned long long)(u / (uint64_t)NANO_PER_USD), frac);
	MUST(n > 10);
	/* Nine decimals: up to seven zeros go, two decimals stay. */
	while (frac % 10 == 0 && dst[n - 3] != '.') {
		dst[--n] = '\0';
		frac /= 10;
	}
}
