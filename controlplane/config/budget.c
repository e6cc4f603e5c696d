/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See budget.h. One table says which field needs which period; what it does
 * not say is compared by hand.
 */
#include "controlplane/config/budget.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/tags.h"

enum period {
	P_DAY = 1,
	P_WEEK = 2,
	P_MONTH = 4,
	P_QUARTER = 8,
	P_YEAR = 16,
	P_ROLLING = 32,
	P_ONCE = 64,
	P_UNLIMITED = 128,
	P_CALENDAR = P_DAY | P_WEEK | P_MONTH | P_QUARTER | P_YEAR
};

static const struct {
	const char *name;
	unsigned allowed, required; /* bits of enum period */
} rules[] = {
    {"limit_usd", P_CALENDAR | P_ROLLING | P_ONCE,
	P_CALENDAR | P_ROLLING | P_ONCE},
    {"anchor_day", P_WEEK | P_MONTH | P_QUARTER | P_YEAR, 0},
    {"anchor_month", P_QUARTER | P_YEAR, 0},
    {"anchor_time", P_CALENDAR, 0},
    {"carry_over_usd", P_CALENDAR, 0},
    {"carry_over_percent", P_CALENDAR, 0},
    {"carry_over_days", P_CALENDAR, 0},
    {"thresholds", P_CALENDAR | P_ROLLING | P_ONCE, 0},
    {"rolling_hours", P_ROLLING, P_ROLLING},
    {"from", P_ONCE, 0},
    {"to", P_ONCE, 0},
};

static unsigned
period_bit(const char *name)
{
	static const char *const names[] = {"day", "week", "month", "quarter",
	    "year", "rolling", "once", "unlimited"};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return 1U << i;
	return 0;
}

static int
bad(struct problems *p, const char *at, const char *field, const char *text)
{
	char here[320];
	int rc;

	(void)snprintf(here, sizeof(here), "%s/%s", at, field);
	rc = problems_add(p, ERR_INVALID, here, "%s", text);
	return rc == ERR_INVALID ? 0 : rc;
}

static int64_t
instant(const json_t *spec, const char *name, int64_t absent)
{
	const char *z = json_string_value(json_object_get(spec, name));
	int64_t ns;

	return z == NULL || time_parse(str_of(z), &ns) != 0 ? absent : ns;
}

static int
check_mode(const json_t *spec, const char *at, struct problems *p)
{
	const char *mode = json_string_value(json_object_get(spec, "mode"));
	bool bounded = mode != NULL && strcmp(mode, "bounded") == 0;

	if ((json_object_get(spec, "overspend_usd") != NULL) == bounded)
		return 0;
	return bad(p, at, "overspend_usd",
	    bounded ? "is required when the mode is bounded"
		    : "has no meaning unless the mode is bounded");
}

static bool
is_text(const json_t *spec, const char *field, const char *text)
{
	const char *z = json_string_value(json_object_get(spec, field));

	return z != NULL && strcmp(z, text) == 0;
}

/* Which values have the limit for themselves. */
static int
check_each(const json_t *spec, const char *at, struct problems *p)
{
	struct str each = budget_each(spec);

	if (json_object_get(spec, "each") == NULL)
		return json_object_get(spec, "max_values") == NULL
			   ? 0
			   : bad(p, at, "max_values",
				 "has no meaning without each");
	if (each.len == 0)
		return bad(p, at, "each",
		    "must be user or tag:NAME, a name of 1 to 32 of a-z 0-9 . "
		    "_ -");
	if (json_object_get(json_object_get(spec, "tags"), each.p) != NULL ||
	    (str_eqz(each, TAGS_USER) && json_object_get(spec, "user") != NULL))
		return bad(p, at, "each",
		    "has no meaning when only one value of it counts");
	if (is_text(spec, "period", "unlimited"))
		return bad(p, at, "each",
		    "needs a limit, the period must not be unlimited: reports "
		    "tell what each user and tag cost");
	return 0;
}

struct str
budget_each(const json_t *spec)
{
	struct str each =
	    str_of(json_is_string(json_object_get(spec, "each"))
		       ? json_string_value(json_object_get(spec, "each"))
		       : "");

	if (str_eqz(each, TAGS_USER))
		return each;
	if (!str_starts(each, STR("tag:")))
		return STR("");
	each = str_make(each.p + 4, each.len - 4);
	return tags_name_is_valid(each) && !str_eqz(each, TAGS_USER) ? each
								     : STR("");
}

int
budget_check_change(
    const json_t *old, const json_t *spec, const char *at, struct problems *p)
{
	const json_t *a = json_object_get(old, "each");
	const json_t *b = json_object_get(spec, "each");

	if (old == NULL || (a == NULL && b == NULL) || json_equal(a, b))
		return 0;
	return bad(p, at, "each",
	    "cannot be changed: make another budget, what was spent counts for "
	    "the values of this one");
}

int
budget_check(const json_t *spec, const char *at, struct problems *p)
{
	const char *period = json_string_value(json_object_get(spec, "period"));
	unsigned bit = period_bit(period);
	char text[80];
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < sizeof(rules) / sizeof(rules[0]); i++) {
		bool there = json_object_get(spec, rules[i].name) != NULL;
		bool wrong =
		    there ? !(rules[i].allowed & bit) : rules[i].required & bit;

		if (!wrong)
			continue;
		(void)snprintf(text, sizeof(text),
		    there ? "has no meaning when the period is %s"
			  : "is required when the period is %s",
		    period);
		rc = bad(p, at, rules[i].name, text);
	}
	if (rc == 0 && bit == P_WEEK &&
	    json_integer_value(json_object_get(spec, "anchor_day")) > 7)
		rc = bad(
		    p, at, "anchor_day", "must be between 1 (Monday) and 7");
	if (rc == 0 &&
	    instant(spec, "from", INT64_MIN) >= instant(spec, "to", INT64_MAX))
		rc = bad(p, at, "to", "must be later than from");
	if (rc == 0)
		rc = check_mode(spec, at, p);
	if (rc == 0)
		rc = check_each(spec, at, p);
	if (rc == 0 && json_object_get(spec, "carry_over_days") != NULL &&
	    json_object_get(spec, "carry_over_usd") == NULL &&
	    json_object_get(spec, "carry_over_percent") == NULL)
		rc = bad(p, at, "carry_over_days",
		    "has no meaning without carry_over_usd or "
		    "carry_over_percent");
	return rc;
}
