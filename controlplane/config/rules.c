/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of models, routes and keys; those of budgets and providers have files
 * of their own. See rules.h.
 */
#include "controlplane/config/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "controlplane/config/budget.h"
#include "controlplane/config/provider.h"

struct rules {
	struct problems *p;
	const char *at;
};

static struct str
rules_str(const json_t *v)
{
	return str_make(json_string_value(v), json_string_length(v));
}

/* A problem at member i of a list. */
static void rules_bad(const struct rules *r, const char *list, size_t i,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

static void
rules_bad(
    const struct rules *r, const char *list, size_t i, const char *fmt, ...)
{
	char here[320], text[128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(here, sizeof(here), "%s/%s/%zu", r->at, list, i);
	(void)problems_add(r->p, ERR_INVALID, here, "%s", text);
}

/* ---- models ---------------------------------------------------------------
 */

static int64_t
rules_instant(const json_t *line, const char *name, int64_t absent)
{
	const json_t *v = json_object_get(line, name);
	int64_t ns;

	if (v == NULL || time_parse(rules_str(v), &ns) != 0)
		return absent;
	return ns;
}

/* Are both lines for the same class, tier and size? */
static bool
rules_same_price(const json_t *a, const json_t *b)
{
	const json_t *ta = json_object_get(a, "tier");
	const json_t *tb = json_object_get(b, "tier");

	return json_equal(
		   json_object_get(a, "class"), json_object_get(b, "class")) &&
	       str_eq(ta == NULL ? STR("") : rules_str(ta),
		   tb == NULL ? STR("") : rules_str(tb)) &&
	       json_integer_value(json_object_get(a, "above_tokens")) ==
		   json_integer_value(json_object_get(b, "above_tokens"));
}

/* Lines for the same must not overlap, and each must last some time. */
static void
rules_prices(const struct rules *r, const json_t *spec)
{
	const json_t *lines = json_object_get(spec, "prices"), *a, *b;
	size_t i, j;

	for (i = 0; i < json_array_size(lines); i++) {
		int64_t from, to;

		a = json_array_get(lines, i);
		from = rules_instant(a, "from", INT64_MIN);
		to = rules_instant(a, "to", INT64_MAX);
		if (from >= to)
			rules_bad(r, "prices", i, "must end after it begins");
		for (j = 0; j < i; j++) {
			b = json_array_get(lines, j);
			if (!rules_same_price(a, b) ||
			    from >= rules_instant(b, "to", INT64_MAX) ||
			    rules_instant(b, "from", INT64_MIN) >= to)
				continue;
			rules_bad(r, "prices", i,
			    "overlaps line %zu of the same class", j);
			break;
		}
	}
}

/* Is there a line of the class that holds whatever the tier and the size? */
static bool
rules_has_standard(const json_t *lines, const char *class)
{
	size_t i;

	for (i = 0; i < json_array_size(lines); i++) {
		const json_t *l = json_array_get(lines, i);

		if (str_eqz(rules_str(json_object_get(l, "class")), class) &&
		    json_object_get(l, "tier") == NULL &&
		    json_integer_value(json_object_get(l, "above_tokens")) == 0)
			return true;
	}
	return false;
}

/* A list without members means chat, as its default does. */
static bool
rules_chats(const json_t *spec)
{
	const json_t *can = json_object_get(spec, "capabilities");
	size_t i;

	for (i = 0; i < json_array_size(can); i++)
		if (str_eqz(rules_str(json_array_get(can, i)), "chat"))
			return true;
	return json_array_size(can) == 0;
}

/* Without these a request cannot be paid for, so agents refuse it. */
static void
rules_priced(const struct rules *r, const json_t *spec)
{
	const json_t *lines = json_object_get(spec, "prices");
	bool input = rules_has_standard(lines, "input");
	bool output = !rules_chats(spec) || rules_has_standard(lines, "output");
	char here[320];

	(void)snprintf(here, sizeof(here), "%s/prices", r->at);
	if (!input)
		(void)problems_add(r->p, ERR_INVALID, here,
		    "has no standard price for input (no tier, no "
		    "above_tokens); every model needs one, 0 is a price");
	if (!output)
		(void)problems_add(r->p, ERR_INVALID, here,
		    "has no standard price for output (no tier, no "
		    "above_tokens); a model that chats needs one, 0 is a "
		    "price");
}

/* ---- routes and keys ------------------------------------------------------
 */

static void
rules_targets(const struct rules *r, const json_t *spec)
{
	const json_t *ts = json_object_get(spec, "targets");
	size_t i, j;

	for (i = 0; i < json_array_size(ts); i++)
		for (j = 0; j < i; j++) {
			const json_t *a = json_array_get(ts, i);
			const json_t *b = json_array_get(ts, j);

			if (!json_equal(json_object_get(a, "deployment"),
				json_object_get(b, "deployment")))
				continue;
			rules_bad(r, "targets", i,
			    "names the deployment of target %zu", j);
			break;
		}
}

static bool
rules_is_key(struct str s)
{
	size_t i;

	for (i = 3; i < s.len; i++)
		if (!((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z') &&
		    !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' &&
		    s.p[i] != '_')
			return false;
	return str_starts(s, STR("hg-"));
}

static void
rules_key(const struct rules *r, const json_t *hidden)
{
	const json_t *v = json_object_get(hidden, "value");
	char here[320];

	if (v == NULL || rules_is_key(rules_str(v)))
		return;
	(void)snprintf(here, sizeof(here), "%s/value", r->at);
	(void)problems_add(
	    r->p, ERR_INVALID, here, "must be hg- and letters, digits, - or _");
}

int
rules_check(const struct kind_def *k, json_t *spec, const json_t *hidden,
    const char *at, struct problems *p)
{
	const struct rules r = {p, at};

	if (k->kind == KIND_KEY)
		rules_key(&r, hidden);
	if (spec == NULL)
		return 0;
	switch (k->kind) {
	case KIND_MODEL:
		rules_prices(&r, spec);
		return 0;
	case KIND_ROUTE:
		rules_targets(&r, spec);
		return 0;
	case KIND_BUDGET:
		return budget_check(spec, at, p);
	case KIND_PROVIDER:
		return provider_check(spec, hidden, at, p);
	default:
		return 0;
	}
}

int
rules_check_change(const struct kind_def *k, const json_t *old,
    const json_t *spec, const json_t *hidden, const char *at,
    struct problems *p)
{
	const struct rules r = {p, at};

	if (k->kind == KIND_BUDGET)
		return budget_check_change(old, spec, at, p);
	if (k->kind == KIND_MODEL)
		rules_priced(&r, spec);
	if (k->kind == KIND_PROVIDER)
		return provider_check_change(spec, hidden, at, p);
	return 0;
}
