/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The price that held: from a model's spec as it was in the version that the
 * record names, the lines in force when the request started.
 */
#include <jansson.h>

#include "common/clock.h"
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
price_line(const json_t *line, int64_t at, struct price *p)
{
	const json_t *class = json_object_get(line, "class");
	const json_t *usd = json_object_get(line, "usd_per_mtok");
	enum token_class c;
	int64_t from, to, nano;

	if (!json_is_string(class) || !json_is_string(usd) ||
	    token_class_parse(str_of(json_string_value(class)), &c) != 0 ||
	    money_parse(str_of(json_string_value(usd)), &nano) != 0 ||
	    price_instant(line, "from", INT64_MIN, &from) != 0 ||
	    price_instant(line, "to", INT64_MAX, &to) != 0)
		return ERR_INVALID;
	if (at >= from && at < to)
		p->per_mtok[c] = nano;
	return 0;
}

int
usage_price(struct str spec, int64_t at, struct price *ret, struct error *e)
{
	json_t *root = json_loadb(spec.p, spec.len, 0, NULL), *line;
	struct price p;
	size_t i;
	int rc = 0;

	for (i = 0; i < TC_COUNT; i++)
		p.per_mtok[i] = -1;
	json_array_foreach (json_object_get(root, "prices"), i, line)
		if (rc == 0)
			rc = price_line(line, at, &p);
	if (root == NULL)
		rc = ERR_CORRUPT;
	json_decref(root);
	if (rc != 0)
		return err_set(e, rc, "a model's price lines do not parse");
	*ret = p;
	return 0;
}
