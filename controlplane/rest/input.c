/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading members of bodies and query parameters, each with one error text
 * that names the field.
 */
#include <sodium.h>
#include <stdio.h>

#include "controlplane/rest/call.h"

static int
input_bad(struct rest_call *c, const char *name, const char *text)
{
	char at[100];

	(void)snprintf(at, sizeof(at), "/%s", name);
	return err_set_field(&c->e, ERR_INVALID, at, "%s %s", name, text);
}

int
body_string(struct rest_call *c, const char *name, size_t max, bool required,
    struct str *ret)
{
	const json_t *v = json_object_get(c->body, name);
	size_t i;

	*ret = STR_NULL;
	if (v == NULL || json_is_null(v))
		return required ? input_bad(c, name, "is required") : 0;
	if (!json_is_string(v))
		return input_bad(c, name, "must be a string");
	*ret = str_make(json_string_value(v), json_string_length(v));
	if (ret->len > max)
		return input_bad(c, name, "is too long");
	if (required && ret->len == 0)
		return input_bad(c, name, "must not be empty");
	for (i = 0; i < ret->len; i++)
		if ((unsigned char)ret->p[i] < 0x20 || ret->p[i] == 0x7f)
			return input_bad(
			    c, name, "must not hold control characters");
	return 0;
}

int
body_bool(struct rest_call *c, const char *name, bool *ret)
{
	const json_t *v = json_object_get(c->body, name);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_boolean(v))
		return input_bad(c, name, "must be true or false");
	*ret = json_is_true(v);
	return 0;
}

int
body_int(struct rest_call *c, const char *name, int64_t min, int64_t max,
    int64_t *ret)
{
	const json_t *v = json_object_get(c->body, name);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min ||
	    json_integer_value(v) > max)
		return input_bad(c, name, "must be a whole number in range");
	*ret = json_integer_value(v);
	return 0;
}

int
body_only(struct rest_call *c, const char *names)
{
	struct str tail, head;
	const char *name;
	json_t *v;
	bool more;

	json_object_foreach (c->body, name, v) {
		tail = str_of(names);
		do {
			more = str_cut(tail, ' ', &head, &tail);
		} while (!str_eqz(head, name) && more);
		if (!str_eqz(head, name)) {
			char z[64];

			(void)snprintf(z, sizeof(z), "%.60s", name);
			return input_bad(c, z, "is not a known field");
		}
	}
	return 0;
}

int
body_labels(struct rest_call *c, const char *name, char *dst, size_t cap)
{
	json_t *v = json_object_get(c->body, name), *x;
	const char *key;
	char *text;
	size_t n;

	(void)snprintf(dst, cap, "{}");
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_object(v) || json_object_size(v) > 32)
		return input_bad(c, name, "must be a small object of strings");
	json_object_foreach (v, key, x) {
		if (!json_is_string(x) || json_string_length(x) > 128 ||
		    strlen(key) > 63 || key[0] == '\0')
			return input_bad(
			    c, name, "must be a small object of strings");
	}
	text = json_dumps(v, JSON_COMPACT);
	n = text ? strlen(text) : cap;
	if (n < cap)
		memcpy(dst, text, n + 1);
	free(text);
	return n < cap ? 0 : input_bad(c, name, "is too long");
}

static int
query_bad(struct rest_call *c, const char *name, const char *text)
{
	return err_set_field(
	    &c->e, ERR_INVALID, name, "query parameter %s %s", name, text);
}

int
query_limit(struct rest_call *c, int *ret)
{
	struct str s = http_param(c->req, "limit");
	int64_t n = 100;

	if (s.p != NULL && (str_to_i64(s, &n) != 0 || n < 1 || n > 1000))
		return query_bad(c, "limit", "must be between 1 and 1000");
	*ret = (int)n;
	return 0;
}

int
parse_time(struct str s, int64_t *ns)
{
	char z[32];

	if (s.len == 10 && s.p[4] == '-') {
		(void)snprintf(z, sizeof(z), "%.10sT00:00:00Z", s.p);
		s = str_of(z);
	}
	return time_parse(s, ns);
}

int
query_time(struct rest_call *c, const char *name, int64_t *ret)
{
	struct str s = http_param(c->req, name);

	*ret = 0;
	if (s.p == NULL)
		return 0;
	if (parse_time(s, ret) != 0 || *ret <= 0)
		return query_bad(c, name,
		    "must be an instant such as 2026-01-31T00:00:00Z or a "
		    "date");
	return 0;
}

int
parse_u64(struct rest_call *c, struct str s, const char *what, uint64_t *ret)
{
	if (s.len == 0 || s.len > 18 || str_to_u64(s, ret) != 0)
		return err_set_field(&c->e, ERR_INVALID, what,
		    "%s must be a whole number", what);
	return 0;
}

int
parse_duration(struct str s, int64_t *ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {
	    {'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	uint64_t n;
	size_t i;

	if (s.len < 2 || s.len > 9 ||
	    str_to_u64(str_make(s.p, s.len - 1), &n) != 0)
		return ERR_INVALID;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (s.p[s.len - 1] == units[i].unit) {
			*ms = (int64_t)n * units[i].ms;
			return 0;
		}
	return ERR_INVALID;
}

/* ---- cursors ----------------------------------------------------------------
 */

#define CURSOR_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

int
cursor_read(struct rest_call *c, char tag, char *dst, size_t cap)
{
	struct str s = http_param(c->req, "cursor");
	unsigned char raw[400];
	size_t n = 0;

	dst[0] = '\0';
	if (s.len == 0)
		return 0;
	if (base64_decode(s, CURSOR_VARIANT, NULL, raw, sizeof(raw), &n) != 0 ||
	    n < 2 || raw[0] != (unsigned char)tag ||
	    str_copy(str_make((char *)raw + 1, n - 1), dst, cap) != 0 ||
	    !str_is_utf8(str_of(dst)))
		return query_bad(c, "cursor", "is not one of ours");
	return 0;
}

json_t *
cursor_json(char tag, struct str pos)
{
	unsigned char raw[400];
	char text[600];

	if (pos.len == 0 || pos.len >= sizeof(raw))
		return json_null();
	raw[0] = (unsigned char)tag;
	memcpy(raw + 1, pos.p, pos.len);
	(void)sodium_bin2base64(
	    text, sizeof(text), raw, pos.len + 1, CURSOR_VARIANT);
	return json_string(text);
}
