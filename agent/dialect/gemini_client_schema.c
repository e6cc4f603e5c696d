/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemini's Schema (a part of OpenAPI 3.0, as protocol buffers say it) into
 * JSON schema: "STRING" is "string", nullable is one more type, counts may be
 * strings. What is JSON schema already stays as it is.
 */
#include <string.h>

#include "agent/dialect/gemini_client.h"
#include "agent/dialect/jw.h"

enum gemc_kind {
	GS_COPY,
	GS_TYPE,
	GS_NULLABLE, /* goes into the type */
	GS_DROP,     /* says nothing about values */
	GS_FORMAT,   /* dropped when "enum": the API's own hint */
	GS_COUNT,    /* an int64: may be a string */
	GS_ONE,	     /* a schema */
	GS_LIST,     /* schemas in an array */
	GS_MAP,	     /* schemas in an object */
	GS_ENUM,
	GS_EXAMPLE
};

static const struct gemc_word {
	const char *camel, *snake; /* snake NULL: the same */
	enum gemc_kind kind;
} gemc_words[] = {
    {"type", NULL, GS_TYPE},
    {"nullable", NULL, GS_NULLABLE},
    {"propertyOrdering", "property_ordering", GS_DROP},
    {"format", NULL, GS_FORMAT},
    {"minItems", "min_items", GS_COUNT},
    {"maxItems", "max_items", GS_COUNT},
    {"minLength", "min_length", GS_COUNT},
    {"maxLength", "max_length", GS_COUNT},
    {"minProperties", "min_properties", GS_COUNT},
    {"maxProperties", "max_properties", GS_COUNT},
    {"items", NULL, GS_ONE},
    {"additionalProperties", "additional_properties", GS_ONE},
    {"anyOf", "any_of", GS_LIST},
    {"oneOf", "one_of", GS_LIST},
    {"allOf", "all_of", GS_LIST},
    {"prefixItems", "prefix_items", GS_LIST},
    {"properties", NULL, GS_MAP},
    {"$defs", "defs", GS_MAP},
    {"$ref", "ref", GS_COPY},
    {"enum", NULL, GS_ENUM},
    {"example", NULL, GS_EXAMPLE},
};

static void gemc_schema_value(struct jw *j, struct json v);

static const struct gemc_word *
gemc_word_find(struct str key)
{
	size_t i;

	for (i = 0; i < sizeof(gemc_words) / sizeof(gemc_words[0]); i++) {
		if (json_key_eq(key, str_of(gemc_words[i].camel)) ||
		    (gemc_words[i].snake != NULL &&
			json_key_eq(key, str_of(gemc_words[i].snake))))
			return &gemc_words[i];
	}
	return NULL;
}

/* A type's name in lower case; "" for none. */
static struct str
gemc_type(struct json v, char *dst, size_t cap)
{
	size_t i;

	if (v.type != JSON_STRING || json_copy_string(v, dst, cap) != 0)
		return STR_NULL;
	for (i = 0; dst[i] != '\0'; i++) {
		if (dst[i] >= 'A' && dst[i] <= 'Z')
			dst[i] = (char)(dst[i] - 'A' + 'a');
	}
	return strcmp(dst, "type_unspecified") == 0 ? STR_NULL : str_of(dst);
}

static void
gemc_schema_type(struct jw *j, struct json v, bool nullable)
{
	struct json_iter it;
	struct json item;
	struct str word;
	char name[40];

	if (v.type == JSON_ARRAY) { /* JSON schema already */
		jw_name_open(j, "type", '[');
		it = json_iter(v);
		while (json_next_element(&it, &item)) {
			word = gemc_type(item, name, sizeof(name));
			if (word.len > 0 &&
			    !(nullable && str_eqz(word, "null")))
				jw_plain(j, word);
		}
		if (nullable)
			jw_plain(j, STR("null"));
		jw_close(j, ']');
		return;
	}
	word = gemc_type(v, name, sizeof(name));
	if (word.len == 0)
		return;
	jw_name(j, "type");
	if (!nullable || str_eqz(word, "null")) {
		jw_plain(j, word);
		return;
	}
	jw_open(j, '[');
	jw_plain(j, word);
	jw_plain(j, STR("null"));
	jw_close(j, ']');
}

static void
gemc_schema_list(struct jw *j, struct json v, bool nullable)
{
	struct json_iter it = json_iter(v);
	struct json item;

	jw_open(j, '[');
	while (json_next_element(&it, &item))
		gemc_schema_value(j, item);
	if (nullable)
		jw_raw(j, STR("{\"type\":\"null\"}"));
	jw_close(j, ']');
}

static void
gemc_schema_map(struct jw *j, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item;
	struct str key;

	jw_open(j, '{');
	while (json_next_member(&it, &key, &item)) {
		jw_esc(j, key);
		(void)buf_addc(j->b, ':');
		j->comma = false;
		gemc_schema_value(j, item);
	}
	jw_close(j, '}');
}

static void
gemc_schema_enum(struct jw *j, struct json v, bool nullable)
{
	struct json_iter it = json_iter(v);
	struct json item;
	bool has_null = false;

	jw_open(j, '[');
	while (json_next_element(&it, &item)) {
		has_null = has_null || item.type == JSON_NULL;
		jw_raw(j, crd_span(item));
	}
	if (nullable && !has_null)
		jw_raw(j, STR("null"));
	jw_close(j, ']');
}

static void
gemc_schema_count(struct jw *j, const char *name, struct json v)
{
	char text[24];
	int64_t n;

	if (v.type == JSON_STRING &&
	    json_copy_string(v, text, sizeof(text)) == 0 &&
	    str_to_i64(str_of(text), &n) == 0)
		jw_name_i64(j, name, n);
	else
		jw_name_raw(j, name, crd_span(v));
}

static void
gemc_schema_member(struct jw *j, const struct gemc_word *w, struct json v,
    bool nullable, bool any_of)
{
	switch (w->kind) {
	case GS_TYPE:
		gemc_schema_type(j, v, nullable);
		return;
	case GS_NULLABLE:
	case GS_DROP:
		return;
	case GS_FORMAT:
		if (crd_is(v, "enum"))
			return;
		break;
	case GS_COUNT:
		gemc_schema_count(j, w->camel, v);
		return;
	case GS_ONE:
		jw_name(j, w->camel);
		gemc_schema_value(j, v);
		return;
	case GS_EXAMPLE:
		jw_name_open(j, "examples", '[');
		jw_raw(j, crd_span(v));
		jw_close(j, ']');
		return;
	case GS_LIST:
		if (v.type != JSON_ARRAY)
			break;
		jw_name(j, w->camel);
		gemc_schema_list(
		    j, v, any_of && strcmp(w->camel, "anyOf") == 0);
		return;
	case GS_MAP:
		if (v.type != JSON_OBJECT)
			break;
		jw_name(j, w->camel);
		gemc_schema_map(j, v);
		return;
	case GS_ENUM:
		if (v.type != JSON_ARRAY)
			break;
		jw_name(j, w->camel);
		gemc_schema_enum(j, v, nullable);
		return;
	default:
		break;
	}
	jw_name_raw(j, w->camel, crd_span(v));
}

/* A schema; what is no object (true, false) stays. */
static void
gemc_schema_value(struct jw *j, struct json v)
{
	const struct gemc_word *w;
	struct json m, type;
	struct json_iter it;
	struct str key;
	bool nullable;

	if (v.type != JSON_OBJECT) {
		jw_raw(j, crd_span(v));
		return;
	}
	nullable = json_getz(v, "nullable", &m) && json_is_true(m);
	jw_open(j, '{');
	it = json_iter(v);
	while (json_next_member(&it, &key, &m)) {
		w = gemc_word_find(key);
		if (m.type == JSON_NULL && w != NULL)
			continue;
		if (w != NULL) {
			/* null is one more alternative where no type says it */
			gemc_schema_member(j, w, m, nullable,
			    nullable && !json_getz(v, "type", &type));
			continue;
		}
		jw_esc(j, key);
		(void)buf_addc(j->b, ':');
		j->comma = false;
		jw_raw(j, crd_span(m));
	}
	jw_close(j, '}');
}

struct str
gemc_schema(struct arena *a, struct json schema)
{
	struct str s = STR_NULL;
	struct jw j;
	struct buf b;

	buf_init(&b, (size_t)64 << 20);
	j = (struct jw){&b, false};
	gemc_schema_value(&j, schema);
	if (buf_error(&b) == 0) {
		s.p = arena_strdup(a, buf_str(&b));
		s.len = s.p != NULL ? b.len : 0;
	}
	buf_release(&b);
	return s;
}
