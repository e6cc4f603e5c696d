/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The price that held: from a model's spec as it was in the version that the
 * record names, the lines in force when the request started.
 */
#include <jansson.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/price.h"
#include "controlplane/store/usage_internal.h"

/* RFC 3339, or a date alone; absent = `none`. */
static int
price_instant(const json_t *line, const char *key, int64_t none, int64_t *ret)
{
	const json_t *v = json_object_get(line, key);
	char full[32];
	struct str s;

	*ret = none;
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return ERR_INVALID;
	s = str_make(json_string_value(v), json_string_length(v));
	if (s.len == 0)
		return 0;
	if (s.len == 10) {
		if (str_copy(s, full, sizeof(full)) != 0)
			return ERR_INVALID;
		for (int i = 0; i < 11; i++)
			full[10 + i] = "T00:00:00Z"[i];
		s = str_of(full);
	}
	return time_parse(s, ret);
}

static int
price_read(const json_t *line, struct price_line *l)
{
	const json_t *class = json_object_get(line, "class");
	const json_t *usd = json_object_get(line, "usd_per_mtok");
	const json_t *tier = json_object_get(line, "tier");

	*l = (struct price_line){.tier = STR("")};
	if (!json_is_string(class) || !json_is_string(usd) ||
	    token_class_parse(str_of(json_string_value(class)), &l->cls) != 0 ||
	    money_parse(str_of(json_string_value(usd)), &l->per_mtok) != 0 ||
	    price_instant(line, "from", INT64_MIN, &l->from) != 0 ||
	    price_instant(line, "to", INT64_MAX, &l->to) != 0)
		return ERR_INVALID;
	if (json_is_string(tier))
		l->tier =
		    str_make(json_string_value(tier), json_string_length(tier));
	l->above_tokens =
	    json_integer_value(json_object_get(line, "above_tokens"));
	return 0;
}

int
usage_price(struct str spec, int64_t at, struct str tier, int64_t input,
    struct price *ret, struct error *e)
{
	json_t *root = json_loadb(spec.p, spec.len, 0, NULL), *line;
	const json_t *lines = json_object_get(root, "prices");
	struct price_line *v;
	size_t i, n = json_array_size(lines);
	int rc = root == NULL ? ERR_CORRUPT : 0;

	v = calloc(n + 1, sizeof(*v));
	if (v == NULL)
		rc = ERR_NOMEM;
	for (i = 0; i < n && rc == 0; i++) {
		line = json_array_get(lines, i);
		rc = price_read(line, &v[i]);
	}
	if (rc == 0)
		(void)price_at(v, n, at, tier, input, false, ret);
	free(v);
	json_decref(root);
	if (rc != 0)
		return err_set(e, rc, "a model's price lines do not parse");
	return 0;
}
