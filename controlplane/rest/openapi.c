/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAPI 3.1 document, built from the tables of routes, kinds, schemas
 * and parameters; docs/openapi.json is its output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/rest/openapi.h"
#include "controlplane/rest/openapi_schemas.h"
#include "controlplane/rest/rest.h"
#include "controlplane/rest/router.h"

static json_t *
openapi_ref(const char *section, struct str name)
{
	char z[120];

	(void)snprintf(
	    z, sizeof(z), "#/components/%s/%.*s", section, STR_ARG(name));
	return json_pack("{s:s}", "$ref", z);
}

/* ---- types
 * -------------------------------------------------------------------- */

static json_t *
openapi_words(struct str t)
{
	json_t *words = json_array();
	struct str head;
	bool more;

	do {
		more = str_cut(t, '|', &head, &t);
		(void)json_array_append_new(
		    words, json_stringn(head.p, head.len));
	} while (more);
	return json_pack("{s:s, s:o}", "type", "string", "enum", words);
}

static json_t *
openapi_plain(struct str t)
{
	static const struct {
		const char *name, *json;
	} plain[] = {{"string", "{\"type\":\"string\"}"},
	    {"int", "{\"type\":\"integer\",\"format\":\"int64\"}"},
	    {"nano", "{\"type\":\"integer\",\"format\":\"int64\"}"},
	    {"bool", "{\"type\":\"boolean\"}"},
	    {"time", "{\"type\":\"string\",\"format\":\"date-time\"}"},
	    {"uuid", "{\"type\":\"string\",\"format\":\"uuid\"}"},
	    {"usd", "{\"type\":\"string\"}"}, {"any", "{}"},
	    {"object", "{\"type\":\"object\"}"},
	    {"labels", "{\"type\":\"object\",\"additionalProperties\":"
		       "{\"type\":\"string\"}}"},
	    {"tokens", "{\"type\":\"object\",\"additionalProperties\":"
		       "{\"type\":\"integer\",\"format\":\"int64\"}}"}};
	size_t i;

	for (i = 0; !str_eqz(t, plain[i].name); i++)
		MUST(i + 1 < sizeof(plain) / sizeof(plain[0])); /* unknown */
	return json_loads(plain[i].json, 0, NULL);
}

static json_t *
openapi_type(struct str t)
{
	json_t *o, *one;

	if (t.p[0] == '-')
		t = str_make(t.p + 1, t.len - 1);
	if (t.p[t.len - 1] == '?') {
		o = openapi_type(str_make(t.p, t.len - 1));
		one = json_incref(json_object_get(o, "type"));
		(void)json_object_set_new(
		    o, "type", json_pack("[o, s]", one, "null"));
		return o;
	}
	if (t.p[0] == '[')
		return json_pack("{s:s, s:o}", "type", "array", "items",
		    openapi_type(str_make(t.p + 1, t.len - 2)));
	if (t.p[0] == '@')
		return openapi_ref("schemas", str_make(t.p + 1, t.len - 1));
	if (str_find(t, '|') >= 0)
		return openapi_words(t);
	return openapi_plain(t);
}

static void
openapi_add_rows(json_t *schemas)
{
	size_t i;

	for (i = 0; i < n_schema_rows; i++) {
		const struct schema_row *r = &schema_rows[i];
		json_t *s = json_object_get(schemas, r->schema);
		json_t *v = openapi_type(str_of(r->type)), *req;

		if (json_object_get(v, "$ref") == NULL)
			(void)json_object_set_new(
			    v, "description", json_string(r->help));
		if (r->name == NULL) {
			(void)json_object_set_new(schemas, r->schema, v);
			continue;
		}
		if (s == NULL) {
			s = json_pack("{s:s, s:o}", "type", "object",
			    "properties", json_object());
			(void)json_object_set_new(schemas, r->schema, s);
		}
		(void)json_object_set_new(
		    json_object_get(s, "properties"), r->name, v);
		if (r->type[0] == '-')
			continue;
		req = json_object_get(s, "required");
		if (req == NULL) {
			req = json_array();
			(void)json_object_set_new(s, "required", req);
		}
		(void)json_array_append_new(req, json_string(r->name));
	}
}

/* ---- operations
 * ------------------------------------------------------------------ */

static json_t *
openapi_param(const struct rest_route *r, struct str name, const char *in)
{
	const struct param_row *found = NULL;
	size_t i;

	for (i = 0; i < n_param_rows; i++)
		if (str_eqz(name, param_rows[i].name) &&
		    (param_rows[i].operation == NULL ||
			strcmp(param_rows[i].operation, r->id) == 0)) {
			found = &param_rows[i];
			break;
		}
	MUST(found != NULL);
	return json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", found->name, "in",
	    in, "required", strcmp(in, "path") == 0, "description", found->help,
	    "schema", openapi_type(str_of(found->type)));
}

static json_t *
openapi_params(const struct rest_route *r)
{
	json_t *out = json_array();
	struct str tail = str_of(r->pattern), head;
	bool more;

	do {
		more = str_cut(tail, '/', &head, &tail);
		if (head.len > 2 && head.p[0] == '{')
			(void)json_array_append_new(out,
			    openapi_param(
				r, str_make(head.p + 1, head.len - 2), "path"));
	} while (more);
	tail = str_of(r->query);
	do {
		more = str_cut(tail, ' ', &head, &tail);
		if (head.len > 0)
			(void)json_array_append_new(
			    out, openapi_param(r, head, "query"));
	} while (more);
	if (r->flags & RR_IDEMPOTENT)
		(void)json_array_append_new(
		    out, openapi_ref("parameters", STR("IdempotencyKey")));
	if (r->flags & RR_IF_MATCH)
		(void)json_array_append_new(
		    out, openapi_ref("parameters", STR("IfMatch")));
	return out;
}

static json_t *
openapi_body(const struct rest_route *r)
{
	const char *type = r->flags & RR_MERGE ? "application/merge-patch+json"
					       : "application/json";
	json_t *content = json_object();

	(void)json_object_set_new(content, type,
	    json_pack(
		"{s:o}", "schema", openapi_ref("schemas", str_of(r->request))));
	return json_pack("{s:b, s:o}", "required", (r->flags & RR_BODY) != 0,
	    "content", content);
}

static json_t *
openapi_success(const struct rest_route *r)
{
	json_t *o = json_pack("{s:s}", "description",
	    r->status == 201   ? "Made."
	    : r->status == 204 ? "Done."
			       : "The answer.");
	json_t *content = json_object(), *headers = json_object();

	if (r->flags & RR_TEXT)
		(void)json_object_set_new(content, "text/plain",
		    json_pack("{s:{s:s}}", "schema", "type", "string"));
	if (r->response != NULL)
		(void)json_object_set_new(content, "application/json",
		    json_pack("{s:o}", "schema",
			openapi_ref("schemas", str_of(r->response))));
	if (r->flags & RR_CSV)
		(void)json_object_set_new(content, "text/csv",
		    json_pack("{s:{s:s}}", "schema", "type", "string"));
	if (json_object_size(content) > 0)
		(void)json_object_set(o, "content", content);
	if (r->flags & RR_ETAG)
		(void)json_object_set_new(
		    headers, "ETag", openapi_ref("headers", STR("ETag")));
	if (r->status == 201)
		(void)json_object_set_new(headers, "Location",
		    openapi_ref("headers", STR("Location")));
	if (json_object_size(headers) > 0)
		(void)json_object_set(o, "headers", headers);
	json_decref(content);
	json_decref(headers);
	return o;
}

static json_t *
openapi_responses(const struct rest_route *r)
{
	json_t *o = json_object();
	char z[8];

	(void)snprintf(z, sizeof(z), "%d", r->status);
	(void)json_object_set_new(o, z, openapi_success(r));
#define PROBLEM(when, code)                                            \
	do {                                                           \
		if (when)                                              \
			(void)json_object_set_new(o, code,             \
			    openapi_ref("responses", STR("Problem"))); \
	} while (0)
	PROBLEM(true, "400");
	PROBLEM(!(r->flags & RR_PUBLIC), "401");
	PROBLEM(!(r->flags & RR_PUBLIC), "403");
	PROBLEM(
	    strchr(r->pattern, '{') != NULL || (r->flags & RR_MAY_LACK), "404");
	PROBLEM(r->flags & RR_WRITE, "409");
	PROBLEM(r->flags & RR_IF_MATCH, "412");
	PROBLEM(r->flags & (RR_BODY | RR_BODY_OPT), "413");
	PROBLEM(r->flags & (RR_BODY | RR_BODY_OPT), "415");
	PROBLEM(!(r->flags & RR_NO_DB), "503");
#undef PROBLEM
	return o;
}

static json_t *
openapi_operation(const struct rest_route *r)
{
	bool public = r->flags & RR_PUBLIC;
	json_t *params = openapi_params(r), *o;
	char text[200];

	if (public)
		(void)snprintf(text, sizeof(text), "Needs no token.");
	else
		(void)snprintf(text, sizeof(text), "Needs role %s or higher.%s",
		    admin_role_name(r->role),
		    r->flags & RR_SECRET
			? " The answer may hold a secret that is shown once."
			: "");
	o = json_pack("{s:s, s:[s], s:s, s:s, s:s}", "operationId", r->id,
	    "tags", r->tag, "summary", r->summary, "description", text,
	    "x-headgate-role", public ? "none" : admin_role_name(r->role));
	if (public)
		(void)json_object_set_new(o, "security", json_array());
	if (json_array_size(params) > 0)
		(void)json_object_set(o, "parameters", params);
	json_decref(params);
	if (r->request != NULL)
		(void)json_object_set_new(o, "requestBody", openapi_body(r));
	(void)json_object_set_new(o, "responses", openapi_responses(r));
	return o;
}

static json_t *
openapi_paths(void)
{
	json_t *paths = json_object(), *path;
	char method[8];
	size_t i, k;

	for (i = 0; i < n_rest_routes; i++) {
		const struct rest_route *r = &rest_routes[i];

		path = json_object_get(paths, r->pattern);
		if (path == NULL) {
			path = json_object();
			(void)json_object_set_new(paths, r->pattern, path);
		}
		for (k = 0; r->method[k] != '\0' && k < sizeof(method) - 1; k++)
			method[k] = (char)(r->method[k] | 32);
		method[k] = '\0';
		(void)json_object_set_new(path, method, openapi_operation(r));
	}
	return paths;
}

/* ---- the document
 * ------------------------------------------------------------------ */

static const char openapi_frame[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Headgate control plane\","
    "\"version\":\"1.0.0\",\"summary\":\"Budgets, keys, routes and usage of AI "
    "traffic.\",\"description\":\"Every write makes a configuration version. "
    "Errors are application/problem+json. See docs/API.md.\","
    "\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},"
    "\"servers\":[{\"url\":\"http://127.0.0.1:7400\","
    "\"description\":\"Default address of headgate-control\"}],"
    "\"security\":[{\"adminToken\":[]}],"
    "\"tags\":["
    "{\"name\":\"Items\",\"description\":\"What is configured.\"},"
    "{\"name\":\"Configuration\",\"description\":\"Versions of all items.\"},"
    "{\"name\":\"Agents\",\"description\":\"Agents and how they join.\"},"
    "{\"name\":\"Money\",\"description\":\"Usage, budgets, reports.\"},"
    "{\"name\":\"Access\",\"description\":\"Admin tokens, audit log.\"},"
    "{\"name\":\"Health\",\"description\":\"Health, metrics, this file.\"}]}";

static const char openapi_shared[] =
    "{\"securitySchemes\":{\"adminToken\":{\"type\":\"http\","
    "\"scheme\":\"bearer\",\"description\":\"Admin token, hga-...\"}},"
    "\"parameters\":{\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\","
    "\"required\":false,\"description\":\"ETag that the item must have.\","
    "\"schema\":{\"type\":\"string\"}},"
    "\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\","
    "\"required\":false,\"description\":\"Repeats within 24 hours get the "
    "first answer again.\",\"schema\":{\"type\":\"string\","
    "\"minLength\":1,\"maxLength\":255}}},"
    "\"headers\":{\"ETag\":{\"description\":\"Version of the item.\","
    "\"schema\":{\"type\":\"string\"}},\"Location\":{\"description\":"
    "\"Path of what was made.\",\"schema\":{\"type\":\"string\"}}},"
    "\"responses\":{\"Problem\":{\"description\":\"The request was refused or "
    "failed.\",\"content\":{\"application/problem+json\":{\"schema\":"
    "{\"$ref\":\"#/components/schemas/Problem\"}}}}}}";

static int
openapi_write(const char *p, size_t n, void *ctx)
{
	return buf_add(ctx, p, n) == 0 ? 0 : -1;
}

int
openapi_render(struct buf *out)
{
	json_t *doc = json_loads(openapi_frame, 0, NULL);
	json_t *components = json_loads(openapi_shared, 0, NULL);
	json_t *schemas = json_object();
	int rc = 0;

	openapi_add_rows(schemas);
	openapi_add_items(schemas);
	(void)json_object_set_new(components, "schemas", schemas);
	(void)json_object_set_new(doc, "paths", openapi_paths());
	(void)json_object_set_new(doc, "components", components);
	if (doc == NULL ||
	    json_dump_callback(doc, openapi_write, out, JSON_INDENT(1)) != 0 ||
	    buf_addc(out, '\n') != 0)
		rc = buf_error(out) ? buf_error(out) : ERR_NOMEM;
	json_decref(doc);
	return rc;
}
