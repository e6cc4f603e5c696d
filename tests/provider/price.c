/* SPDX-License-Identifier: Apache-2.0 */
/* Prices of the oracle bill; see price.h for why this is its own code. */
#include "tests/provider/price.h"

const char *const sim_class_names[SIM_CLASSES] = {
    "input", "cache_read", "cache_write_5m", "output", "reasoning"};

bool
sim_price_parse(const char *usd, int64_t *nano)
{
	int64_t value = 0;
	int digits = 0, decimals = -1;

	for (; *usd != '\0'; usd++) {
		if (*usd == '.' && decimals < 0 && digits > 0) {
			decimals = 0;
			continue;
		}
		if (*usd < '0' || *usd > '9' || decimals == 9 ||
		    value > INT64_MAX / 100)
			return false;
		value = value * 10 + (*usd - '0');
		digits++;
		if (decimals >= 0)
			decimals++;
	}
	if (digits == 0 || decimals == 0)
		return false;
	for (int i = decimals < 0 ? 0 : decimals; i < 9; i++) {
		if (value > INT64_MAX / 10)
			return false;
		value *= 10;
	}
	*nano = value;
	return true;
}

/* The price of a class at a time, or -1. The last line that fits wins. */
static int64_t
sim_price_find(const struct sim_prices *p, enum sim_class class, int64_t at)
{
	int64_t found = -1;

	for (int i = 0; i < p->n_lines; i++) {
		const struct sim_price_line *line = &p->lines[i];

		if (line->class == class && at >= line->from &&
		    (line->to == 0 || at < line->to))
			found = line->per_mtok;
	}
	return found;
}

int64_t
sim_price_cost(
    const struct sim_prices *p, const int64_t tokens[SIM_CLASSES], int64_t at)
{
	unsigned __int128 sum = 0;

	for (int c = 0; c < SIM_CLASSES; c++) {
		int64_t price = sim_price_find(p, (enum sim_class)c, at);

		if (tokens[c] <= 0)
			continue;
		if (price < 0)
			price = sim_price_find(
			    p, c == SIM_REASONING ? SIM_OUTPUT : SIM_INPUT, at);
		if (price > 0)
			sum += (unsigned __int128)price *
			       (unsigned __int128)tokens[c];
	}
	return (int64_t)((sum + 999999) / 1000000);
}
