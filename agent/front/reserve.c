/* SPDX-License-Identifier: Apache-2.0 */
/* See reserve.h. */
#include "agent/front/reserve.h"

#include "agent/dialect/usage.h"

/* Do tiers or sizes matter? Of most models they do not. */
static bool
reserve_is_plain(const struct b_model *m)
{
	for (unsigned i = 0; i < m->n_prices; i++) {
		if (m->prices[i].tier.len > 0 || m->prices[i].above_tokens > 0)
			return false;
	}
	return true;
}

bool
reserve_price(const struct b_model *m, int64_t at, const struct scan *q,
    struct json body, const struct tokens *worst, struct price *ret)
{
	char tier[IR_TIER_MAX] = "*";
	int64_t most = worst->n[TC_INPUT];

	if (reserve_is_plain(m))
		return b_model_price_bound(m, at, STR(""), INT64_MAX, ret);
	if (body.type == JSON_OBJECT)
		usage_tier_asked(body, tier);
	else
		most = INT64_MAX;
	if (q->n_media > 0) /* nobody knows what they come to */
		most = INT64_MAX;
	return b_model_price_bound(m, at, str_of(tier), most, ret);
}

/* Millionths of nano-USD of all but the output. */
static __int128
reserve_rest(const struct tokens *worst, const struct price *p)
{
	__int128 sum = (__int128)worst->n[TC_INPUT] * price_worst_input(p);

	for (int c = 0; c < TC_COUNT; c++) {
		if (token_class_is_unit((enum token_class)c))
			sum += (__int128)worst->n[c] *
			       price_effective(p, (enum token_class)c);
	}
	return sum;
}

/* Millionths of nano-USD to nano-USD. */
static bool
reserve_round(__int128 sum, int64_t *amount)
{
	sum = (sum + 999999) / 1000000;
	if (sum > INT64_MAX / 4)
		return false;
	*amount = (int64_t)sum;
	return true;
}

bool
reserve_amount(
    const struct tokens *worst, const struct price *p, int64_t *amount)
{
	return reserve_round(
	    reserve_rest(worst, p) +
		(__int128)worst->n[TC_OUTPUT] * price_worst_output(p),
	    amount);
}

bool
reserve_told(const struct tokens *input, int64_t unknown, int64_t output,
    const struct price *p, int64_t *amount)
{
	__int128 sum = (__int128)unknown * price_worst_input(p) +
		       (__int128)output * price_worst_output(p);

	for (int c = 0; c < TC_COUNT; c++)
		sum += (__int128)input->n[c] *
		       price_effective(p, (enum token_class)c);
	return reserve_round(sum, amount);
}

int64_t
reserve_fit(const struct tokens *worst, const struct price *p, int64_t amount)
{
	__int128 left = (__int128)amount * 1000000 - reserve_rest(worst, p);
	int64_t out = price_worst_output(p);

	if (left < 0)
		return -1;
	if (out <= 0)
		return INT64_MAX;
	left /= out;
	return left > INT64_MAX ? INT64_MAX : (int64_t)left;
}
