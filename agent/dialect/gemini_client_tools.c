/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tools of Gemini requests. Where only some functions may be called, the
 * others are not offered: that is the same to the model.
 */
#include <stdio.h>

#include "agent/dialect/gemini_client.h"

enum gemc_fn {
	GF_NAME,
	GF_DESCRIPTION,
	GF_PARAMETERS,
	GF_JSON_SCHEMA,
	GF_BEHAVIOR,
	GF_COUNT
};

static int
gemc_read_function(struct crd *rd, const char *base, struct json v)
{
	static const char *const names[GF_COUNT] = {"name", "description",
	    "parameters", "parametersJsonSchema", "behavior"};
	struct json vals[GF_COUNT];
	struct ir_tool *t;
	struct str schema = STR_NULL;
	int rc;

	rc = crd_pick(rd, base, v, names, vals, GF_COUNT);
	if (rc != 0)
		return rc;
	if (vals[GF_PARAMETERS].type != JSON_NULL &&
	    vals[GF_JSON_SCHEMA].type != JSON_NULL)
		return crd_bad(rd, base, "parametersJsonSchema",
		    "cannot be there together with parameters");
	t = ir_add_tool(rd->r);
	if (t == NULL)
		return crd_full(rd);
	rc = crd_string(rd, vals[GF_NAME], base, "name", &t->name);
	if (rc == 0 && t->name.len == 0)
		rc = crd_bad(rd, base, "name", rd->words->required);
	if (rc == 0)
		rc = crd_string(rd, vals[GF_DESCRIPTION], base, "description",
		    &t->description);
	if (rc == 0)
		rc = crd_object(
		    rd, vals[GF_PARAMETERS], base, "parameters", &schema);
	if (rc == 0)
		rc = crd_object(rd, vals[GF_JSON_SCHEMA], base,
		    "parametersJsonSchema", &t->schema);
	if (rc == 0 && schema.len > 0) {
		t->schema = gemc_schema(rd->r->arena, vals[GF_PARAMETERS]);
		if (t->schema.p == NULL)
			return crd_full(rd);
	}
	if (rc != 0 || crd_is(vals[GF_BEHAVIOR], "BLOCKING") ||
	    crd_is(vals[GF_BEHAVIOR], "UNSPECIFIED"))
		return rc;
	return crd_other(rd, base, STR("behavior"), vals[GF_BEHAVIOR]);
}

static int
gemc_read_functions(struct crd *rd, unsigned tool, struct json v)
{
	struct json_iter it;
	struct json item;
	const char *path;
	unsigned i;
	int rc;

	path = ir_field(rd->r, "tools[%u].functionDeclarations", tool);
	if (path == NULL)
		return crd_full(rd);
	rc = crd_array(rd, v, path, "");
	if (rc != 0 || v.type == JSON_NULL)
		return rc;
	it = json_iter(v);
	for (i = 0; json_next_element(&it, &item); i++) {
		path = ir_field(
		    rd->r, "tools[%u].functionDeclarations[%u]", tool, i);
		if (path == NULL)
			return crd_full(rd);
		rc = gemc_read_function(rd, path, item);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
gemc_read_tools(struct crd *rd, struct json v)
{
	struct json_iter it, in;
	struct json item, m;
	struct str key;
	char base[40];
	unsigned i;
	int rc;

	rc = crd_array(rd, v, "tools", "");
	if (rc != 0 || v.type == JSON_NULL)
		return rc;
	it = json_iter(v);
	for (i = 0; json_next_element(&it, &item); i++) {
		(void)snprintf(base, sizeof(base), "tools[%u]", i);
		if (item.type != JSON_OBJECT)
			return crd_bad(rd, base, "", rd->words->object);
		in = json_iter(item);
		while (json_next_member(&in, &key, &m)) {
			if (json_key_eq(key, STR("functionDeclarations")) ||
			    json_key_eq(key, STR("function_declarations")))
				rc = gemc_read_functions(rd, i, m);
			else if (m.type != JSON_NULL) /* {} asks for it too */
				rc = ir_note_other(rd->r, "%s.%.*s", base,
				    (int)(key.len < 64 ? key.len : 64), key.p);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

/* Is the tool's name among the allowed ones? */
static bool
gemc_allowed(const struct ir_tool *t, struct json allowed)
{
	struct json_iter it = json_iter(allowed);
	struct json item;

	while (json_next_element(&it, &item)) {
		if (item.type == JSON_STRING &&
		    str_eq(json_raw_string(item), t->name))
			return true;
	}
	return false;
}

#define GEMC_MAX_ALLOWED 128

static int
gemc_read_allowed(struct crd *rd, struct json v, const char *base)
{
	static const char name[] = "allowedFunctionNames";
	struct ir_request *r = rd->r;
	struct ir_tool **link = &r->tools;
	struct json_iter it;
	struct json item;
	unsigned n = 0;
	int rc;

	rc = crd_array(rd, v, base, name);
	if (rc != 0 || v.type == JSON_NULL)
		return rc;
	it = json_iter(v);
	while (json_next_element(&it, &item)) {
		if (item.type != JSON_STRING)
			return crd_bad(rd, base, name, rd->words->string);
		if (++n > GEMC_MAX_ALLOWED)
			return crd_bad(rd, base, name, "holds too many names");
	}
	if (n == 0)
		return 0;
	if (r->choice != IR_CHOICE_ANY && r->choice != IR_CHOICE_AUTO)
		return crd_bad(rd, base, name, "needs mode ANY or VALIDATED");
	r->last_tool = NULL;
	while (*link != NULL) {
		if (gemc_allowed(*link, v)) {
			r->last_tool = *link;
			link = &(*link)->next;
		} else {
			*link = (*link)->next;
			r->n_tools--;
		}
	}
	if (r->tools == NULL)
		return crd_bad(rd, base, name, "names no declared function");
	if (r->n_tools == 1 && r->choice == IR_CHOICE_ANY) {
		r->choice = IR_CHOICE_TOOL;
		r->choice_name = r->tools->name;
	}
	return 0;
}

int
gemc_read_tool_config(struct crd *rd, struct json v)
{
	static const char *const names[] = {"functionCallingConfig"};
	static const char *const members[] = {"mode", "allowedFunctionNames"};
	static const char base[] = "toolConfig.functionCallingConfig";
	struct ir_request *r = rd->r;
	struct json vals[2];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, "toolConfig", v, names, vals, 1);
	if (rc != 0 || vals[0].type == JSON_NULL)
		return rc;
	rc = crd_pick(rd, base, vals[0], members, vals, 2);
	if (rc != 0)
		return rc;
	if (crd_is(vals[0], "AUTO")) {
		r->choice = IR_CHOICE_AUTO;
	} else if (crd_is(vals[0], "ANY")) {
		r->choice = IR_CHOICE_ANY;
	} else if (crd_is(vals[0], "NONE")) {
		r->choice = IR_CHOICE_NONE;
	} else if (crd_is(vals[0], "VALIDATED")) {
		/* that calls keep to their schema is more than AUTO says */
		r->choice = IR_CHOICE_AUTO;
		rc = crd_other(rd, base, STR("mode"), vals[0]);
	} else if (vals[0].type != JSON_NULL &&
		   !crd_is(vals[0], "MODE_UNSPECIFIED")) {
		return crd_bad(
		    rd, base, "mode", "must be AUTO, ANY, NONE or VALIDATED");
	}
	return rc != 0 ? rc : gemc_read_allowed(rd, vals[1], base);
}
