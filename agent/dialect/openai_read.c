/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that both of OpenAI's request dialects know: scalars, tools, schemas
 * and cache break points. Media and arguments are in openai_read_media.c.
 */
#include "agent/dialect/openai_read.h"

#include <stdio.h>

int
oaird_bad(
    struct oaird *rd, const char *base, const char *name, const char *what)
{
	char field[128];
	int n;

	n = snprintf(field, sizeof(field), "%s%s%s", base,
	    base[0] != '\0' && name[0] != '\0' ? "." : "", name);
	(void)n; /* a field's name that is cut still says where */
	return err_set_field(rd->e, ERR_INVALID, field, "%s", what);
}

int
oaird_full(struct oaird *rd)
{
	const struct ir_request *r = rd->r;

	if (r->n_messages >= IR_MAX_MESSAGES || r->n_parts >= IR_MAX_PARTS ||
	    r->n_tools >= IR_MAX_TOOLS)
		return err_set(rd->e, ERR_TOO_LARGE,
		    "the request has too many messages, parts or tools");
	return err_set(rd->e, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

static bool
oaird_asks_nothing(struct json v)
{
	struct json_iter it = json_iter(v);
	struct json val;
	struct str key;

	switch (v.type) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return !json_is_true(v);
	case JSON_STRING:
		return json_raw_string(v).len == 0;
	case JSON_ARRAY:
		return !json_next_element(&it, &val);
	case JSON_OBJECT:
		return !json_next_member(&it, &key, &val);
	case JSON_NUMBER:
	default:
		return false;
	}
}

int
oaird_other(struct oaird *rd, const char *base, struct str key, struct json v)
{
	int rc;

	/* {} switches web search on; of others it is no more than absence */
	if (oaird_asks_nothing(v) &&
	    (v.type != JSON_OBJECT || !str_eqz(key, "web_search_options")))
		return 0;
	if (key.len > 64)
		key.len = 64;
	rc = ir_note_other(rd->r, "%s%s%.*s", base,
	    base[0] != '\0' && key.len > 0 ? "." : "", STR_ARG(key));
	return rc == 0 ? 0 : err_set(rd->e, rc, "%s", err_text(rc));
}

int
oaird_string(struct oaird *rd, struct json v, const char *base,
    const char *name, struct str *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_STRING)
		return oaird_bad(rd, base, name, "must be a string");
	*ret = json_raw_string(v);
	return 0;
}

int
oaird_bool(struct oaird *rd, struct json v, const char *base, const char *name,
    bool *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_BOOL)
		return oaird_bad(rd, base, name, "must be a boolean");
	*ret = json_is_true(v);
	return 0;
}

int
oaird_switch(struct oaird *rd, struct json v, const char *base,
    const char *name, int *ret)
{
	bool on = false;
	int rc = oaird_bool(rd, v, base, name, &on);

	if (rc == 0 && v.type == JSON_BOOL)
		*ret = on ? 1 : 0;
	return rc;
}

int
oaird_int(struct oaird *rd, struct json v, const char *base, const char *name,
    int64_t min, int64_t max, int64_t *ret)
{
	int64_t i;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_NUMBER || json_to_i64(v, &i) != 0)
		return oaird_bad(rd, base, name, "must be an integer");
	if (i < min || i > max)
		return oaird_bad(rd, base, name, "is out of range");
	*ret = i;
	return 0;
}

int
oaird_number(struct oaird *rd, struct json v, const char *base,
    const char *name, struct str *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_NUMBER)
		return oaird_bad(rd, base, name, "must be a number");
	*ret = str_make(v.p, (size_t)(v.end - v.p));
	return 0;
}

int
oaird_object(struct oaird *rd, struct json v, const char *base,
    const char *name, struct str *ret)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_bad(rd, base, name, "must be an object");
	if (!oaird_asks_nothing(v))
		*ret = str_make(v.p, (size_t)(v.end - v.p));
	return 0;
}

int
oaird_effort(
    struct oaird *rd, struct json v, const char *base, const char *name)
{
	struct str word = STR_NULL;
	int rc = oaird_string(rd, v, base, name, &word);

	if (rc != 0 || v.type == JSON_NULL)
		return rc;
	if (!ir_effort_parse(word, &rd->r->effort))
		return oaird_bad(rd, base, name, "is not a known effort");
	if (rd->r->effort > IR_EFFORT_NONE)
		rd->r->show_thinking = true;
	return 0;
}

int
oaird_choice(struct oaird *rd, struct json v, const char *name)
{
	if (oaird_is(v, "auto"))
		rd->r->choice = IR_CHOICE_AUTO;
	else if (oaird_is(v, "none"))
		rd->r->choice = IR_CHOICE_NONE;
	else if (oaird_is(v, "required"))
		rd->r->choice = IR_CHOICE_ANY;
	else
		return oaird_bad(rd, "", name,
		    "must be none, auto, required or the choice of a tool");
	return 0;
}

bool
oaird_is(struct json v, const char *word)
{
	return v.type == JSON_STRING &&
	       json_key_eq(json_raw_string(v), str_of(word));
}

struct str
oaird_member(struct json obj, const char *name)
{
	struct json v;

	return json_getz(obj, name, &v) ? json_raw_string(v) : STR_NULL;
}

bool
oaird_is_cache_key(struct str key)
{
	return json_key_eq(key, STR("cache_control")) ||
	       json_key_eq(key, STR("prompt_cache_breakpoint"));
}

int
oaird_cache(
    struct oaird *rd, struct json obj, const char *base, enum ir_cache *ret)
{
	struct json v, ttl;

	if (json_getz(obj, "prompt_cache_breakpoint", &v) &&
	    v.type != JSON_NULL) {
		if (v.type != JSON_OBJECT)
			return oaird_bad(rd, base, "prompt_cache_breakpoint",
			    "must be an object");
		*ret = IR_CACHE_5M;
	}
	if (json_getz(obj, "cache_control", &v) && v.type != JSON_NULL) {
		if (v.type != JSON_OBJECT)
			return oaird_bad(
			    rd, base, "cache_control", "must be an object");
		*ret = json_getz(v, "ttl", &ttl) && oaird_is(ttl, "1h")
			   ? IR_CACHE_1H
			   : IR_CACHE_5M;
	}
	return 0;
}

struct str
oaird_signature(struct json obj)
{
	struct json v;

	if (json_path(obj, "extra_content.google.thought_signature", &v))
		return json_raw_string(v);
	return STR_NULL;
}

/* One member of a function's definition. */
static int
oaird_tool_member(struct oaird *rd, struct str key, struct json v,
    const char *base, struct ir_tool *t)
{
	if (json_key_eq(key, STR("name")))
		return oaird_string(rd, v, base, "name", &t->name);
	if (json_key_eq(key, STR("description")))
		return oaird_string(
		    rd, v, base, "description", &t->description);
	if (json_key_eq(key, STR("parameters")))
		return oaird_object(rd, v, base, "parameters", &t->schema);
	if (json_key_eq(key, STR("strict")))
		return oaird_switch(rd, v, base, "strict", &t->strict);
	if (json_key_eq(key, STR("type")) || oaird_is_cache_key(key))
		return 0;
	return oaird_other(rd, base, key, v);
}

int
oaird_tool(
    struct oaird *rd, struct json fn, const char *base, struct ir_tool *t)
{
	struct json_iter it = json_iter(fn);
	struct json v;
	struct str key;
	int rc;

	if (fn.type != JSON_OBJECT)
		return oaird_bad(rd, base, "", "must be an object");
	while (json_next_member(&it, &key, &v)) {
		rc = oaird_tool_member(rd, key, v, base, t);
		if (rc != 0)
			return rc;
	}
	if (t->name.len == 0)
		return oaird_bad(rd, base, "name", "is required");
	return oaird_cache(rd, fn, base, &t->cache);
}

int
oaird_schema(struct oaird *rd, struct json obj, const char *base)
{
	struct ir_request *r = rd->r;
	struct json_iter it = json_iter(obj);
	struct json v;
	struct str key;
	int rc = 0;

	if (obj.type != JSON_OBJECT)
		return oaird_bad(rd, base, "", "must be an object");
	r->format = IR_FORMAT_SCHEMA;
	while (rc == 0 && json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("name")))
			rc = oaird_string(rd, v, base, "name", &r->format_name);
		else if (json_key_eq(key, STR("description")))
			rc = oaird_string(
			    rd, v, base, "description", &r->format_description);
		else if (json_key_eq(key, STR("schema")))
			rc = oaird_object(
			    rd, v, base, "schema", &r->format_schema);
		else if (json_key_eq(key, STR("strict")))
			rc = oaird_switch(
			    rd, v, base, "strict", &r->format_strict);
		else if (!json_key_eq(key, STR("type")))
			rc = oaird_other(rd, base, key, v);
	}
	if (rc == 0 && r->format_schema.len == 0) {
		/* {} allows everything: that is an object of any kind */
		if (!json_getz(obj, "schema", &v) || v.type != JSON_OBJECT)
			return oaird_bad(rd, base, "schema", "is required");
		r->format_schema = STR("{}");
	}
	return rc;
}

struct ir_part *
oaird_part(struct oaird *rd, struct ir_message *m, enum ir_part_type t,
    const char *field)
{
	struct ir_part *p = ir_add_part(rd->r, m, t);

	if (p != NULL)
		p->field = field;
	return p;
}

struct ir_part *
oaird_add(struct oaird *rd, struct ir_message *m, struct ir_part *result,
    enum ir_part_type t, const char *field)
{
	struct ir_part *p;

	if (result == NULL)
		return oaird_part(rd, m, t, field);
	p = ir_add_result_part(rd->r, result, t);
	if (p != NULL)
		p->field = field;
	return p;
}

int
oaird_user(struct oaird *rd, struct json v, const char *name, bool newer)
{
	struct str user = STR_NULL;
	int rc = oaird_string(rd, v, "", name, &user);

	if (rc == 0 && user.len > 0 && (newer || rd->r->user.len == 0))
		rd->r->user = user;
	return rc;
}

int
oaird_tier(struct oaird *rd, struct json v)
{
	int rc = oaird_string(rd, v, "", "service_tier", &rd->r->service_tier);

	if (rc == 0 && str_eqz(rd->r->service_tier, "auto"))
		rd->r->service_tier = STR_NULL;
	return rc;
}
