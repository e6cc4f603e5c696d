/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which price lines hold. Lines are few (tens), so they are looked through
 * one by one.
 */
#include "common/price.h"

static struct str
tier_base(struct str tier)
{
	struct str base, place;

	(void)str_cut(tier, '+', &base, &place);
	return base;
}

/* 2 = the tier itself, 1 = its base, 0 = standard, -1 = another tier. */
static int
price_rank(const struct price_line *l, struct str tier)
{
	if (str_eq(l->tier, tier))
		return 2;
	if (l->tier.len > 0 && str_eq(l->tier, tier_base(tier)))
		return 1;
	return l->tier.len == 0 ? 0 : -1;
}

static bool
price_in_force(const struct price_line *l, int64_t at)
{
	return at >= l->from && at < l->to;
}

/* Is a better than b for this tier? Both hold. */
static bool
price_better(
    const struct price_line *a, const struct price_line *b, struct str tier)
{
	int ra = price_rank(a, tier), rb = price_rank(b, tier);

	if (ra != rb)
		return ra > rb;
	if (a->above_tokens != b->above_tokens)
		return a->above_tokens > b->above_tokens;
	return a->from >= b->from;
}

static bool
price_is_known(const struct price *p, bool need_output)
{
	return p->per_mtok[TC_INPUT] >= 0 &&
	       (!need_output || p->per_mtok[TC_OUTPUT] >= 0);
}

bool
price_at(const struct price_line *lines, size_t n, int64_t at, struct str tier,
    int64_t input, bool need_output, struct price *ret)
{
	const struct price_line *best[TC_COUNT] = {NULL};

	for (size_t i = 0; i < n; i++) {
		const struct price_line *l = &lines[i];

		if (!price_in_force(l, at) || price_rank(l, tier) < 0 ||
		    (l->above_tokens > 0 && input <= l->above_tokens))
			continue;
		if (best[l->cls] == NULL || price_better(l, best[l->cls], tier))
			best[l->cls] = l;
	}
	for (int c = 0; c < TC_COUNT; c++)
		ret->per_mtok[c] = best[c] == NULL ? -1 : best[c]->per_mtok;
	return price_is_known(ret, need_output);
}

/* May an answer be of the line's tier when `asked` was asked for? */
static bool
price_may_come(const struct price_line *l, struct str asked)
{
	static const char *const unasked_never[] = {
	    "fast", "ultrafast", "flex", "batch"};
	struct str base = tier_base(l->tier);

	if (str_eqz(asked, "*") || str_eq(base, tier_base(asked)))
		return true;
	for (size_t i = 0; i < 4; i++)
		if (str_eqz(base, unasked_never[i]))
			return false;
	return true;
}

bool
price_bound(const struct price_line *lines, size_t n, int64_t at,
    struct str tier, int64_t max_input, bool need_output, struct price *ret)
{
	bool always[TC_COUNT] = {false}; /* every answer finds a line */

	for (int c = 0; c < TC_COUNT; c++)
		ret->per_mtok[c] = -1;
	for (size_t i = 0; i < n; i++) {
		const struct price_line *l = &lines[i];

		if (!price_in_force(l, at) || !price_may_come(l, tier) ||
		    (l->above_tokens > 0 && max_input <= l->above_tokens))
			continue;
		if (l->tier.len == 0 && l->above_tokens == 0)
			always[l->cls] = true;
		if (l->per_mtok > ret->per_mtok[l->cls])
			ret->per_mtok[l->cls] = l->per_mtok;
	}
	/* Where some answers find no line they take the base class's price;
	 * whichever is dearer. Base classes have the lower numbers. */
	for (int c = 0; c < TC_COUNT; c++) {
		struct price without = *ret;
		int64_t other;

		if (ret->per_mtok[c] < 0 || always[c])
			continue;
		without.per_mtok[c] = -1;
		other = price_effective(&without, (enum token_class)c);
		if (other > ret->per_mtok[c])
			ret->per_mtok[c] = other;
	}
	return price_is_known(ret, need_output);
}
