/* SPDX-License-Identifier: Apache-2.0 */
/* Tags that a budget filters by: the rules that callers' tags obey too. */
#include "common/tags.h"

#include "controlplane/config/validate.h"

static const char *
tags_check_one(struct tags *all, struct str name, const json_t *v)
{
	struct str value =
	    str_make(json_string_value(v), json_string_length(v));

	if (!tags_name_is_valid(name) || str_eqz(name, TAGS_USER))
		return "is no name of a tag: 1 to 32 of a-z 0-9 . _ -, and "
		       "not \"user\"";
	if (!json_is_string(v) || !tags_value_is_valid(value))
		return "must have 1 to 64 bytes, no comma, no control "
		       "characters";
	if (tags_add(all, name, value) != 0 || all->len > TAGS_FIELD_MAX + 1)
		return "makes the tags longer than the 256 bytes of their "
		       "header";
	return NULL;
}

const char *
tags_check(const json_t *v, const char **name)
{
	struct tags all = {.len = 0};
	const char *why = NULL;
	json_t *x;

	*name = NULL;
	if (!json_is_object(v) || json_object_size(v) == 0 ||
	    json_object_size(v) > TAGS_MAX)
		return "must be an object with 1 to 8 members";
	json_object_foreach ((json_t *)(uintptr_t)v, *name, x) {
		why = tags_check_one(&all, str_of(*name), x);
		if (why != NULL)
			break;
	}
	return why;
}
