/* SPDX-License-Identifier: Apache-2.0 */
/* Prices of the oracle bill; see price.h for why this is its own code. */
#include <string.h>

#include "tests/provider/price.h"

enum sim_kind { SIM_IS_INPUT, SIM_IS_OUTPUT, SIM_IS_UNIT };

const char *const sim_class_names[SIM_CLASSES] = {
#define X(e, name, kind) name,
    SIM_CLASS_TABLE(X)
#undef X
};

static const enum sim_kind sim_kinds[SIM_CLASSES] = {
#define X(e, name, kind) kind,
    SIM_CLASS_TABLE(X)
#undef X
};

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

/* What a request is judged by. */
struct sim_case {
	const char *tier;
	int64_t at, input;
};

/* Of two lines that fit: one for the tier beats one for all, then the higher
 * threshold, then the later in the list. */
static bool
sim_price_beats(const struct sim_price_line *a, const struct sim_price_line *b)
{
	if (b == NULL)
		return true;
	if ((a->tier[0] != '\0') != (b->tier[0] != '\0'))
		return a->tier[0] != '\0';
	return a->above_tokens >= b->above_tokens;
}

/* The price of a class, or -1. */
static int64_t
sim_price_find(
    const struct sim_prices *p, enum sim_class class, const struct sim_case *q)
{
	const struct sim_price_line *found = NULL;

	for (int i = 0; i < p->n_lines; i++) {
		const struct sim_price_line *line = &p->lines[i];

		if (line->class != class || q->at < line->from ||
		    (line->to != 0 && q->at >= line->to))
			continue;
		if (line->tier[0] != '\0' && strcmp(line->tier, q->tier) != 0)
			continue;
		if (line->above_tokens > 0 && q->input <= line->above_tokens)
			continue;
		if (sim_price_beats(line, found))
			found = line;
	}
	return found == NULL ? -1 : found->per_mtok;
}

/* As sim_price_find, after the fall-backs. */
static int64_t
sim_price_of(
    const struct sim_prices *p, enum sim_class class, const struct sim_case *q)
{
	int64_t price = sim_price_find(p, class, q);

	if (price < 0 && class == SIM_AUDIO_CACHE_READ)
		price = sim_price_find(p, SIM_CACHE_READ, q);
	if (price < 0 && sim_kinds[class] == SIM_IS_INPUT)
		price = sim_price_find(p, SIM_INPUT, q);
	if (price < 0 && sim_kinds[class] == SIM_IS_OUTPUT)
		price = sim_price_find(p, SIM_OUTPUT, q);
	return price;
}

int64_t
sim_price_cost(const struct sim_prices *p, const int64_t tokens[SIM_CLASSES],
    const char *tier, int64_t at)
{
	struct sim_case q = {tier, at, 0};
	unsigned __int128 sum = 0;

	for (int c = 0; c < SIM_CLASSES; c++) {
		if (sim_kinds[c] == SIM_IS_INPUT)
			q.input += tokens[c];
	}
	for (int c = 0; c < SIM_CLASSES; c++) {
		int64_t price;

		if (tokens[c] <= 0)
			continue;
		price = sim_price_of(p, (enum sim_class)c, &q);
		if (price > 0)
			sum += (unsigned __int128)price *
			       (unsigned __int128)tokens[c];
	}
	return (int64_t)((sum + 999999) / 1000000);
}
