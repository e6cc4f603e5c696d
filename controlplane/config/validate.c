/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function per field type, chosen by a table; each takes the given value
 * and returns the canonical one, or adds a problem and returns NULL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/money.h"
#include "common/tags.h"
#include "controlplane/config/provider.h"
#include "controlplane/config/rules.h"
#include "controlplane/config/validate.h"

struct spec_ctx {
	struct problems *p;
	char at[256]; /* JSON pointer of the value in hand */
};

typedef json_t *spec_fn(
    struct spec_ctx *c, const struct field_def *f, const json_t *v);

static json_t *spec_field(
    struct spec_ctx *c, const struct field_def *f, const json_t *v);

#define BAD(c, ...) \
	((void)problems_add((c)->p, ERR_INVALID, (c)->at, __VA_ARGS__), NULL)

static struct str
spec_str(const json_t *v)
{
	return str_make(json_string_value(v), json_string_length(v));
}

/* Append "/segment" to the pointer; returns the old length. */
static size_t
spec_push(struct spec_ctx *c, struct str segment)
{
	size_t old = strlen(c->at), n = old, i;

	if (n + 1 < sizeof(c->at))
		c->at[n++] = '/';
	for (i = 0; i < segment.len && i < 80 && n + 3 < sizeof(c->at); i++) {
		if (segment.p[i] == '~' || segment.p[i] == '/') {
			c->at[n++] = '~';
			c->at[n++] = segment.p[i] == '~' ? '0' : '1';
		} else {
			c->at[n++] = segment.p[i];
		}
	}
	c->at[n] = '\0';
	return old;
}

static size_t
spec_push_index(struct spec_ctx *c, size_t i)
{
	char z[24];
	int n = snprintf(z, sizeof(z), "%zu", i);

	return spec_push(c, str_make(z, (size_t)n));
}

static void
spec_pop(struct spec_ctx *c, size_t old)
{
	c->at[old] = '\0';
}

static bool
spec_is_printable(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return true;
}

static json_t *
spec_string(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	struct str s;

	if (!json_is_string(v))
		return BAD(c, "must be a string");
	s = spec_str(v);
	if ((int64_t)s.len < f->min)
		return BAD(
		    c, "must have at least %lld characters", (long long)f->min);
	if ((int64_t)s.len > f->max)
		return BAD(
		    c, "must have at most %lld characters", (long long)f->max);
	if (text_has_control(s))
		return BAD(c, "must not hold control characters");
	return json_stringn(s.p, s.len);
}

static json_t *
spec_bool(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	(void)f;
	if (!json_is_boolean(v))
		return BAD(c, "must be true or false");
	return json_boolean(json_is_true(v));
}

static json_t *
spec_int(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	json_int_t i;

	if (!json_is_integer(v))
		return BAD(c, "must be a whole number");
	i = json_integer_value(v);
	if (i < f->min || i > f->max)
		return BAD(c, "must be between %lld and %lld",
		    (long long)f->min, (long long)f->max);
	return json_integer(i);
}

static json_t *
spec_enum(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	char all[200] = "";
	size_t i, n = 0;

	for (i = 0; f->values[i] != NULL; i++) {
		if (json_is_string(v) && str_eqz(spec_str(v), f->values[i]))
			return json_string(f->values[i]);
		if (n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
			    i ? ", " : "", f->values[i]);
	}
	return BAD(c, "must be one of %s", all);
}

static json_t *
spec_money(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	int64_t nano;
	char z[32];

	/* A bare whole number is exact in JSON; a fraction would not be. */
	if (json_is_integer(v))
		(void)snprintf(
		    z, sizeof(z), "%lld", (long long)json_integer_value(v));
	else if (!json_is_string(v))
		return BAD(c, "must be a decimal number in a string, as "
			      "\"12.50\"");
	if (money_parse(json_is_integer(v) ? str_of(z) : spec_str(v), &nano) !=
	    0)
		return BAD(c, "must be a decimal number without sign, with at "
			      "most 9 decimals");
	if (nano > f->max)
		return BAD(c, "is too large");
	money_format(nano, z);
	return json_string(z);
}

/* An instant in nanoseconds; a date means its first instant in UTC. */
static int
spec_parse_time(struct str s, int64_t *ns)
{
	char z[32];

	if (s.len == 10 && s.p[4] == '-') {
		(void)snprintf(z, sizeof(z), "%.10sT00:00:00Z", s.p);
		s = str_of(z);
	}
	return time_parse(s, ns);
}

static json_t *
spec_time(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	int64_t ns;
	char z[32];

	(void)f;
	if (!json_is_string(v) || spec_parse_time(spec_str(v), &ns) != 0)
		return BAD(c, "must be an instant such as "
			      "\"2026-01-31T00:00:00Z\" or a date");
	if (ns <= 0)
		return BAD(c, "must be later than 1970");
	if (ns % NS_PER_S != 0)
		return BAD(c, "must be a whole second");
	time_format(ns, 0, z);
	return json_string(z);
}

static json_t *
spec_url(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	struct error e;
	char z[1024];

	if (!json_is_string(v))
		return BAD(c, "must be a string");
	if ((int64_t)json_string_length(v) > f->max)
		return BAD(
		    c, "must have at most %lld characters", (long long)f->max);
	if (base_url_parse(spec_str(v), z, sizeof(z), &e) != 0)
		return BAD(c, "%s", e.text);
	return json_string(z);
}

static json_t *
spec_pem(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	bool bad;
	json_t *x;

	if (!json_is_string(v))
		return BAD(c, "must be a string");
	if ((int64_t)json_string_length(v) > f->max)
		return BAD(
		    c, "must have at most %lld characters", (long long)f->max);
	x = pem_normalise(spec_str(v), &bad);
	return bad ? BAD(c, "must be PEM blocks") : x;
}

/* Secrets that are JSON may hold line ends between their members. */
static json_t *
spec_secret(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	bool bad;
	json_t *x = secret_normalise(v, &bad);

	if (bad)
		return BAD(c, "must be printable ASCII, or JSON");
	if (x == NULL || ((int64_t)json_string_length(x) >= f->min &&
			     (int64_t)json_string_length(x) <= f->max))
		return x;
	json_decref(x);
	return BAD(c, "must have %lld to %lld characters", (long long)f->min,
	    (long long)f->max);
}

static json_t *
spec_zone(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	struct str s;
	size_t i;

	if (!json_is_string(v))
		return BAD(c, "must be a string");
	s = spec_str(v);
	for (i = 0; i < s.len; i++)
		if (!strchr("/_+-", s.p[i]) &&
		    !(((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z') ||
			(s.p[i] >= '0' && s.p[i] <= '9')))
			break;
	if (s.len == 0 || (int64_t)s.len > f->max || i < s.len)
		return BAD(c, "must be an IANA time zone such as "
			      "\"Europe/Berlin\"");
	return json_stringn(s.p, s.len);
}

static json_t *
spec_clock(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	struct str s = json_is_string(v) ? spec_str(v) : STR_NULL;

	(void)f;
	if (s.len != 5 || s.p[0] < '0' || s.p[0] > '2' || s.p[1] < '0' ||
	    s.p[1] > (s.p[0] == '2' ? '3' : '9') || s.p[2] != ':' ||
	    s.p[3] < '0' || s.p[3] > '5' || s.p[4] < '0' || s.p[4] > '9')
		return BAD(c, "must be a time of day such as \"06:00\"");
	return json_stringn(s.p, s.len);
}

static json_t *
spec_tokens(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	struct str s = json_is_string(v) ? spec_str(v) : STR_NULL;

	(void)f;
	if (!str_eqz(s, "o200k") && !str_eqz(s, "cl100k") && !text_is_ratio(s))
		return BAD(c, "must be \"o200k\", \"cl100k\" or a ratio such "
			      "as \"bytes:3.6\"");
	return json_stringn(s.p, s.len);
}

static json_t *
spec_ref(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	const struct kind_def *k = kind_get(f->ref);
	struct error e;

	if (!json_is_string(v))
		return BAD(c, "must be the name of a %s", k->name);
	if (kind_check_name(k, spec_str(v), &e) != 0)
		return BAD(c, "%s", e.text);
	return json_stringn(json_string_value(v), json_string_length(v));
}

static json_t *
spec_scope(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	(void)f;
	if (!json_is_string(v) || !name_is_valid(spec_str(v), 0))
		return BAD(c, "must be the name of a tenant, team, project or "
			      "key");
	return json_stringn(json_string_value(v), json_string_length(v));
}

static json_t *
spec_word(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	static const struct field_def word = {.min = 1, .max = 64};

	(void)f;
	if (json_is_string(v) && !spec_is_printable(spec_str(v)))
		return BAD(c, "must be printable ASCII");
	return spec_string(c, &word, v);
}

static json_t *spec_object(
    struct spec_ctx *c, const struct field_def *f, const json_t *v);

static bool
spec_list_has(const json_t *list, const json_t *v)
{
	size_t i;
	json_t *x;

	json_array_foreach (list, i, x)
		if (json_equal(x, v))
			return true;
	return false;
}

static json_t *
spec_list(struct spec_ctx *c, const struct field_def *f, const json_t *v,
    spec_fn *one)
{
	bool unique = f->type != FT_OBJECTS, bad = false;
	json_t *out, *x;
	size_t i, old;

	if (!json_is_array(v))
		return BAD(c, "must be a list");
	if ((int64_t)json_array_size(v) < f->min)
		return BAD(c, "must have at least %lld member%s",
		    (long long)f->min, f->min == 1 ? "" : "s");
	if ((int64_t)json_array_size(v) > f->max)
		return BAD(
		    c, "must have at most %lld members", (long long)f->max);
	out = json_array();
	for (i = 0; i < json_array_size(v) && out != NULL; i++) {
		old = spec_push_index(c, i);
		x = one(c, f, json_array_get(v, i));
		if (x != NULL && unique && spec_list_has(out, x)) {
			json_decref(x);
			x = BAD(c, "is there twice");
		}
		spec_pop(c, old);
		if (x == NULL || json_array_append_new(out, x) != 0)
			bad = true;
	}
	if (!bad)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *
spec_percent(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	static const struct field_def percent = {.min = 1, .max = 1000};

	(void)f;
	return spec_int(c, &percent, v);
}

static json_t *
spec_percents(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	return spec_list(c, f, v, spec_percent);
}

static json_t *
spec_strings(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	return spec_list(c, f, v, spec_word);
}

static json_t *
spec_enums(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	return spec_list(c, f, v, spec_enum);
}

static json_t *
spec_refs(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	return spec_list(c, f, v, spec_ref);
}

static json_t *
spec_objects(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	return spec_list(c, f, v, spec_object);
}

/* Headers that the agent sets itself or that would carry a second secret. */
static bool
spec_header_is_ours(struct str name)
{
	static const char *const ours[] = {"authorization", "api-key",
	    "x-api-key", "x-goog-api-key", "cookie", "host", "content-length",
	    "content-type", "transfer-encoding", "connection", "keep-alive",
	    "te", "trailer", "upgrade", "expect", "proxy-authorization",
	    "accept-encoding", "x-request-id"};
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_ieq(name, str_of(ours[i])))
			return true;
	return name.len >= 11 &&
	       str_ieq(str_make(name.p, 11), STR("x-headgate-"));
}

static bool
spec_is_token(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!(((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z') ||
			(s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-' ||
			s.p[i] == '_'))
			return false;
	return s.len > 0 && s.len <= 64;
}

static json_t *
spec_map(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	json_t *out = json_object(), *x;
	const char *name;
	bool bad = false;
	size_t old, i;

	if (!json_is_object(v) || (int64_t)json_object_size(v) > f->max) {
		json_decref(out);
		return BAD(c, "must be an object with at most %lld members",
		    (long long)f->max);
	}
	json_object_foreach ((json_t *)(uintptr_t)v, name, x) {
		char low[65] = "";

		old = spec_push(c, str_of(name));
		for (i = 0; name[i] != '\0' && i < sizeof(low) - 1; i++)
			low[i] = (char)(name[i] >= 'A' && name[i] <= 'Z'
					    ? name[i] | 32
					    : name[i]);
		if (!spec_is_token(str_of(name)) ||
		    spec_header_is_ours(str_of(name)))
			bad = !BAD(c, "is not a header that may be set");
		else if (!json_is_string(x) || json_string_length(x) > 4096 ||
			 !spec_is_printable(spec_str(x)))
			bad = !BAD(c, "must be printable ASCII");
		else if (json_object_get(out, low) != NULL)
			bad = !BAD(c, "is there twice");
		else if (json_object_set(out, low, x) != 0)
			bad = true;
		spec_pop(c, old);
	}
	if (!bad)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *
spec_user(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	(void)f;
	if (!json_is_string(v) || !tags_user_is_valid(spec_str(v)))
		return BAD(c, "must have 1 to %d bytes, no control characters",
		    TAGS_USER_MAX);
	return json_stringn(json_string_value(v), json_string_length(v));
}

static json_t *
spec_tags(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	const char *name, *why = tags_check(v, &name);
	size_t old;

	(void)f;
	if (why == NULL)
		return json_deep_copy(v);
	old = name != NULL ? spec_push(c, str_of(name)) : strlen(c->at);
	(void)BAD(c, "%s", why);
	spec_pop(c, old);
	return NULL;
}

static spec_fn *const spec_fns[] = {[FT_STRING] = spec_string,
    [FT_BOOL] = spec_bool,
    [FT_INT] = spec_int,
    [FT_ENUM] = spec_enum,
    [FT_MONEY] = spec_money,
    [FT_TIME] = spec_time,
    [FT_URL] = spec_url,
    [FT_PEM] = spec_pem,
    [FT_SECRET] = spec_secret,
    [FT_ZONE] = spec_zone,
    [FT_CLOCK] = spec_clock,
    [FT_TOKENS] = spec_tokens,
    [FT_REF] = spec_ref,
    [FT_SCOPE] = spec_scope,
    [FT_PERCENTS] = spec_percents,
    [FT_STRINGS] = spec_strings,
    [FT_ENUMS] = spec_enums,
    [FT_REFS] = spec_refs,
    [FT_MAP] = spec_map,
    [FT_USER] = spec_user,
    [FT_TAGS] = spec_tags,
    [FT_OBJECTS] = spec_objects};

static json_t *
spec_field(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	return spec_fns[f->type](c, f, v);
}

static const struct field_def *
spec_find(const struct field_def *fs, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(fs[i].name, name) == 0)
			return fs[i].flags & FF_INTERNAL ? NULL : &fs[i];
	return NULL;
}

static void
spec_refuse_unknown(
    struct spec_ctx *c, const struct field_def *fs, size_t n, const json_t *in)
{
	const char *name;
	json_t *v;
	size_t old;

	json_object_foreach ((json_t *)(uintptr_t)in, name, v) {
		if (spec_find(fs, n, name) != NULL)
			continue;
		old = spec_push(c, str_of(name));
		(void)BAD(c, "is not a known field");
		spec_pop(c, old);
	}
}

/* Take field f of in (or its default) into out; write-only ones go to hidden.
 * Returns false when something is wrong. */
static bool
spec_take(struct spec_ctx *c, const struct field_def *f, const json_t *in,
    json_t *out, json_t *hidden)
{
	json_t *v = json_object_get(in, f->name), *x = NULL;
	size_t old;

	if (f->flags & (FF_READ_ONLY | FF_INTERNAL))
		return true;
	if (v == NULL || json_is_null(v)) {
		if (f->def != NULL) {
			x = json_loads(f->def, JSON_DECODE_ANY, NULL);
			return json_object_set_new(out, f->name, x) == 0;
		}
		if (!(f->flags & FF_REQUIRED))
			return true;
		old = spec_push(c, str_of(f->name));
		(void)BAD(c, "is required");
		spec_pop(c, old);
		return false;
	}
	old = spec_push(c, str_of(f->name));
	x = spec_field(c, f, v);
	spec_pop(c, old);
	if (x == NULL)
		return false;
	return json_object_set_new(
		   f->flags & FF_WRITE_ONLY ? hidden : out, f->name, x) == 0;
}

static json_t *
spec_fields(struct spec_ctx *c, const struct field_def *fs, size_t n,
    const json_t *in, json_t *hidden)
{
	json_t *out = json_object();
	size_t i, before = c->p->total;
	bool ok = out != NULL;

	spec_refuse_unknown(c, fs, n, in);
	for (i = 0; i < n; i++)
		if (!spec_take(c, &fs[i], in, out, hidden))
			ok = false;
	if (ok && c->p->total == before)
		return out;
	json_decref(out);
	return NULL;
}

static json_t *
spec_object(struct spec_ctx *c, const struct field_def *f, const json_t *v)
{
	if (!json_is_object(v))
		return BAD(c, "must be an object");
	return spec_fields(c, f->sub, f->n_sub, v, NULL);
}

int
spec_normalise(const struct kind_def *k, const json_t *in, const char *at,
    json_t **spec, json_t **secrets, struct problems *p)
{
	struct spec_ctx c = {.p = p};
	size_t before = p->total;
	json_t *empty = json_object(), *hidden = json_object(), *out = NULL;
	int rc = ERR_NOMEM;

	(void)snprintf(c.at, sizeof(c.at), "%s", at);
	if (empty == NULL || hidden == NULL)
		goto out;
	if (in != NULL && !json_is_object(in)) {
		rc = problems_add(p, ERR_INVALID, at, "must be an object");
		goto out;
	}
	out = spec_fields(&c, k->fields, k->n_fields, in ? in : empty, hidden);
	if (rules_check(k, out, hidden, at, p) != 0)
		goto out;
	if (p->total != before) {
		rc = ERR_INVALID;
		goto out;
	}
	if (out == NULL)
		goto out;
	*spec = out;
	out = NULL;
	if (secrets != NULL) {
		*secrets = hidden;
		hidden = NULL;
	}
	rc = 0;
out:
	json_decref(empty);
	json_decref(hidden);
	json_decref(out);
	return rc;
}

json_t *
spec_public(const struct kind_def *k, const json_t *spec)
{
	json_t *out = json_object(), *v;
	size_t i;

	for (i = 0; i < k->n_fields && out != NULL; i++) {
		if (k->fields[i].flags & (FF_INTERNAL | FF_WRITE_ONLY))
			continue;
		v = json_object_get(spec, k->fields[i].name);
		if (v != NULL &&
		    json_object_set(out, k->fields[i].name, v) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}
