/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas of items, from the table of kinds.
 */
#include <stdio.h>

#include "controlplane/rest/openapi.h"

static json_t *
items_string(const char *help)
{
	return json_pack("{s:s, s:s}", "type", "string", "description", help);
}

static json_t *
items_values(const char *const *values)
{
	json_t *out = json_array();

	for (; *values != NULL; values++)
		(void)json_array_append_new(out, json_string(*values));
	return out;
}

static void
items_bounds(
    json_t *o, const char *lo, const char *hi, const struct field_def *f)
{
	if (f->min > 0)
		(void)json_object_set_new(o, lo, json_integer(f->min));
	if (f->max > 0 && f->max < INT64_C(1) << 53)
		(void)json_object_set_new(o, hi, json_integer(f->max));
}

static json_t *items_fields(
    const struct field_def *f, size_t n, enum openapi_use use);

static json_t *
items_list(const struct field_def *f, enum openapi_use use)
{
	json_t *o = json_pack("{s:s}", "type", "array"), *of;

	if (f->type == FT_OBJECTS)
		of = items_fields(f->sub, f->n_sub, use);
	else if (f->type == FT_ENUMS)
		of = json_pack("{s:s, s:o}", "type", "string", "enum",
		    items_values(f->values));
	else if (f->type == FT_PERCENTS)
		of = json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum",
		    1, "maximum", 1000);
	else
		of = json_pack("{s:s}", "type", "string");
	(void)json_object_set_new(o, "items", of);
	if (f->type != FT_OBJECTS)
		(void)json_object_set_new(o, "uniqueItems", json_true());
	items_bounds(o, "minItems", "maxItems", f);
	return o;
}

static json_t *
items_type(const struct field_def *f, enum openapi_use use)
{
	json_t *o;

	switch (f->type) {
	case FT_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case FT_INT:
		o = json_pack("{s:s, s:s, s:I}", "type", "integer", "format",
		    "int64", "minimum", (json_int_t)f->min);
		if (f->max < INT64_C(1) << 53)
			(void)json_object_set_new(
			    o, "maximum", json_integer(f->max));
		return o;
	case FT_ENUM:
		return json_pack("{s:s, s:o}", "type", "string", "enum",
		    items_values(f->values));
	case FT_MONEY:
		return json_pack("{s:s, s:s}", "type", "string", "pattern",
		    "^[0-9]+(\\.[0-9]{1,9})?$");
	case FT_TIME:
		return json_pack(
		    "{s:s, s:s}", "type", "string", "format", "date-time");
	case FT_URL:
		return json_pack(
		    "{s:s, s:s}", "type", "string", "format", "uri");
	case FT_SECRET:
		return json_pack("{s:[s,s]}", "type", "string", "object");
	case FT_CLOCK:
		return json_pack("{s:s, s:s}", "type", "string", "pattern",
		    "^([01][0-9]|2[0-3]):[0-5][0-9]$");
	case FT_MAP:
	case FT_TAGS:
		return json_pack("{s:s, s:{s:s}}", "type", "object",
		    "additionalProperties", "type", "string");
	case FT_PERCENTS:
	case FT_STRINGS:
	case FT_ENUMS:
	case FT_REFS:
	case FT_OBJECTS:
		return items_list(f, use);
	case FT_STRING:
	case FT_PEM:
	case FT_ZONE:
	case FT_USER:
	case FT_TOKENS:
	case FT_REF:
	case FT_SCOPE:
		break;
	}
	o = json_pack("{s:s}", "type", "string");
	if (f->type == FT_STRING || f->type == FT_PEM)
		items_bounds(o, "minLength", "maxLength", f);
	return o;
}

static json_t *
items_field(const struct field_def *f, enum openapi_use use)
{
	json_t *o = items_type(f, use);

	(void)json_object_set_new(o, "description", json_string(f->help));
	if (f->def != NULL)
		(void)json_object_set_new(
		    o, "default", json_loads(f->def, JSON_DECODE_ANY, NULL));
	if (f->flags & FF_WRITE_ONLY)
		(void)json_object_set_new(o, "writeOnly", json_true());
	if (f->flags & FF_READ_ONLY)
		(void)json_object_set_new(o, "readOnly", json_true());
	if (f->example != NULL)
		(void)json_object_set_new(o, "examples",
		    json_pack(
			"[o]", json_loads(f->example, JSON_DECODE_ANY, NULL)));
	return o;
}

/* Is the field part of the schema, and always there? */
static bool
items_has(const struct field_def *f, enum openapi_use use, bool *required)
{
	if (f->flags & FF_INTERNAL)
		return false;
	*required = use == OPENAPI_READ
			? (f->flags & FF_REQUIRED) || f->def != NULL
			: use == OPENAPI_WRITE && (f->flags & FF_REQUIRED);
	return !(
	    f->flags & (use == OPENAPI_READ ? FF_WRITE_ONLY : FF_READ_ONLY));
}

static void
items_add(json_t *schema, const char *name, json_t *v, bool required)
{
	json_t *props = json_object_get(schema, "properties");
	json_t *req = json_object_get(schema, "required");

	(void)json_object_set_new(props, name, v);
	if (!required)
		return;
	if (req == NULL) {
		req = json_array();
		(void)json_object_set_new(schema, "required", req);
	}
	(void)json_array_append_new(req, json_string(name));
}

static json_t *
items_object(void)
{
	return json_pack(
	    "{s:s, s:o}", "type", "object", "properties", json_object());
}

static json_t *
items_fields(const struct field_def *f, size_t n, enum openapi_use use)
{
	json_t *o = items_object();
	bool required;
	size_t i;

	for (i = 0; i < n; i++)
		if (items_has(&f[i], use, &required))
			items_add(
			    o, f[i].name, items_field(&f[i], use), required);
	return o;
}

static json_t *
items_name(const struct kind_def *k)
{
	json_t *o = items_string("Name of the item; it never changes.");

	(void)json_object_set_new(o, "maxLength", json_integer(KIND_NAME_MAX));
	(void)json_object_set_new(
	    o, "examples", json_pack("[s]", k->example_name));
	return o;
}

static json_t *
items_read(const struct kind_def *k)
{
	json_t *o = items_object();
	json_t *fields = items_fields(k->fields, k->n_fields, OPENAPI_READ);
	json_t *req = json_object_get(fields, "required"), *v;
	const char *name;
	size_t i;

	items_add(o, "kind",
	    json_pack("{s:s, s:s}", "type", "string", "const", k->name), true);
	items_add(o, "name", items_name(k), true);
	items_add(o, "uid",
	    items_string("Identity of the item; never used again."), true);
	items_add(o, "version",
	    json_pack("{s:s, s:s, s:s}", "type", "integer", "format", "int64",
		"description", "Version that changed it last; its ETag."),
	    true);
	items_add(o, "created_at",
	    json_pack("{s:s, s:s}", "type", "string", "format", "date-time"),
	    true);
	items_add(o, "updated_at",
	    json_pack("{s:s, s:s}", "type", "string", "format", "date-time"),
	    true);
	json_object_foreach (json_object_get(fields, "properties"), name, v)
		items_add(o, name, json_incref(v), false);
	json_array_foreach (req, i, v)
		(void)json_array_append(json_object_get(o, "required"), v);
	json_decref(fields);
	(void)json_object_set_new(o, "description", json_string(k->help));
	return o;
}

static void
items_put(
    json_t *schemas, const struct kind_def *k, const char *suffix, json_t *v)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s%s", k->title, suffix);
	(void)json_object_set_new(schemas, name, v);
}

static json_t *
items_page(const struct kind_def *k)
{
	char ref[80];

	(void)snprintf(ref, sizeof(ref), "#/components/schemas/%s", k->title);
	return json_pack("{s:s, s:[s,s], s:{s:{s:s, s:{s:s}}, s:{s:[s,s]}}}",
	    "type", "object", "required", "items", "next_cursor", "properties",
	    "items", "type", "array", "items", "$ref", ref, "next_cursor",
	    "type", "string", "null");
}

void
openapi_add_items(json_t *schemas)
{
	int n;

	for (n = KIND_TENANT; n < KIND_END; n++) {
		const struct kind_def *k = kind_get((enum kind)n);
		json_t *create =
		    items_fields(k->fields, k->n_fields, OPENAPI_WRITE);

		items_add(create, "name", items_name(k), true);
		items_put(schemas, k, "", items_read(k));
		items_put(schemas, k, "List", items_page(k));
		items_put(schemas, k, "Create", create);
		items_put(schemas, k, "Update",
		    items_fields(k->fields, k->n_fields, OPENAPI_WRITE));
		items_put(schemas, k, "Patch",
		    items_fields(k->fields, k->n_fields, OPENAPI_PATCH));
	}
	(void)json_object_set_new(schemas, "KeyCreated",
	    json_pack("{s:[{s:s}, {s:s, s:{s:{s:s, s:s}}}]}", "allOf", "$ref",
		"#/components/schemas/Key", "type", "object", "properties",
		"secret", "type", "string", "description",
		"The key itself, unless its value was given; shown once."));
}
