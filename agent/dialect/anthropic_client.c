/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the Anthropic dialect into the neutral form: everything but the
 * content of messages (anthropic_client_blocks.c). Errors name fields as the
 * API does ("messages.0.content.1.source") and in its words.
 */
#include "agent/dialect/anthropic_client.h"

#include <stdio.h>

#define ANTC_MAX_TOKENS (INT64_C(1) << 53)

static const struct crd_words antc_words = {
    .required = "Field required",
    .string = "Input should be a valid string",
    .boolean = "Input should be a valid boolean",
    .integer = "Input should be a valid integer",
    .number = "Input should be a valid number",
    .array = "Input should be a valid list",
    .object = "Input should be an object",
    .range = "Input is out of range",
};

enum antc_top {
	AT_MODEL,
	AT_MAX_TOKENS,
	AT_MESSAGES,
	AT_SYSTEM,
	AT_STOPS,
	AT_STREAM,
	AT_TEMPERATURE,
	AT_TOP_P,
	AT_TOP_K,
	AT_METADATA,
	AT_TIER,
	AT_THINKING,
	AT_OUTPUT,
	AT_FORMAT,
	AT_TOOLS,
	AT_CHOICE,
	AT_CACHE,
	AT_VERSION, /* of the hosted variants; says nothing */
	AT_COUNT
};
static const char *const antc_top_names[AT_COUNT] = {"model", "max_tokens",
    "messages", "system", "stop_sequences", "stream", "temperature", "top_p",
    "top_k", "metadata", "service_tier", "thinking", "output_config",
    "output_format", "tools", "tool_choice", "cache_control",
    "anthropic_version"};

int
antc_read_cache(
    struct crd *rd, struct json v, const char *base, enum ir_cache *ret)
{
	static const char *const names[] = {"type", "ttl"};
	struct json vals[2];
	char path[160];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	(void)snprintf(path, sizeof(path), "%s%scache_control", base,
	    base[0] != '\0' ? "." : "");
	rc = crd_pick(rd, path, v, names, vals, 2);
	if (rc != 0)
		return rc;
	if (!crd_is(vals[0], "ephemeral"))
		return crd_bad(rd, path, "type", "Input should be 'ephemeral'");
	if (vals[1].type == JSON_NULL || crd_is(vals[1], "5m"))
		*ret = IR_CACHE_5M;
	else if (crd_is(vals[1], "1h"))
		*ret = IR_CACHE_1H;
	else
		return crd_bad(rd, path, "ttl", "Input should be '5m' or '1h'");
	return 0;
}

/* ---- messages ---- */

static int
antc_read_system(struct crd *rd, struct json v)
{
	struct ir_message *m;

	if (v.type == JSON_NULL)
		return 0;
	m = ir_add_message(rd->r, IR_SYSTEM);
	if (m == NULL)
		return crd_full(rd);
	return antc_read_content(rd, m, NULL, "system", v);
}

static int
antc_read_role(
    struct crd *rd, struct json v, const char *base, enum ir_role *ret)
{
	if (v.type == JSON_NULL)
		return crd_bad(rd, base, "role", rd->words->required);
	if (crd_is(v, "user"))
		*ret = IR_USER;
	else if (crd_is(v, "assistant"))
		*ret = IR_ASSISTANT;
	else if (crd_is(v, "system"))
		*ret = IR_SYSTEM;
	else
		return crd_bad(rd, base, "role",
		    "Input should be 'user', 'assistant' or 'system'");
	return 0;
}

static int
antc_read_message(struct crd *rd, unsigned i, struct json v, bool last)
{
	static const char *const names[] = {"role", "content"};
	struct ir_message *m;
	struct json vals[2];
	enum ir_role role = IR_USER;
	unsigned before = rd->r->n_others;
	const char *base;
	int rc;

	base = ir_field(rd->r, "messages.%u", i);
	if (base == NULL)
		return crd_full(rd);
	rc = crd_pick(rd, base, v, names, vals, 2);
	if (rc != 0)
		return rc;
	rc = antc_read_role(rd, vals[0], base, &role);
	if (rc != 0)
		return rc;
	if (vals[1].type == JSON_NULL)
		return crd_bad(rd, base, "content", rd->words->required);
	m = ir_add_message(rd->r, role);
	base = ir_field(rd->r, "messages.%u.content", i);
	if (m == NULL || base == NULL)
		return crd_full(rd);
	rc = antc_read_content(rd, m, NULL, base, vals[1]);
	/* Blocks without a place here were noted: it is not empty. */
	if (rc == 0 && m->parts == NULL && !(last && role == IR_ASSISTANT) &&
	    rd->r->n_others == before && before < IR_MAX_OTHERS)
		return crd_bad(rd, base, "",
		    "messages must have non-empty content, but for a last "
		    "one of the assistant");
	return rc;
}

static int
antc_read_messages(struct crd *rd, struct json v)
{
	struct json_iter it, ahead;
	struct json item, next;
	unsigned i;
	int rc;

	if (v.type == JSON_NULL)
		return crd_bad(rd, "messages", "", rd->words->required);
	rc = crd_array(rd, v, "messages", "");
	if (rc != 0)
		return rc;
	it = json_iter(v);
	for (i = 0; json_next_element(&it, &item); i++) {
		ahead = it;
		rc = antc_read_message(
		    rd, i, item, !json_next_element(&ahead, &next));
		if (rc != 0)
			return rc;
	}
	if (i == 0)
		return crd_bad(
		    rd, "messages", "", "at least one message is required");
	return 0;
}

/* cache_control of the whole request: a break point behind the last block. */
static int
antc_read_auto_cache(struct crd *rd, struct json v)
{
	enum ir_cache cache = IR_CACHE_NONE;
	struct ir_part *last = NULL;
	struct ir_message *m;
	struct ir_part *p;
	int rc;

	rc = antc_read_cache(rd, v, "", &cache);
	for (m = rd->r->messages; m != NULL && rc == 0; m = m->next) {
		for (p = m->parts; p != NULL; p = p->next) {
			if (p->type != IR_THINKING && p->type != IR_REDACTED)
				last = p;
		}
	}
	if (rc == 0 && last != NULL && last->cache == IR_CACHE_NONE)
		last->cache = cache;
	return rc;
}

/* ---- tools ---- */

enum antc_tool {
	TL_TYPE,
	TL_NAME,
	TL_DESCRIPTION,
	TL_SCHEMA,
	TL_STRICT,
	TL_CACHE,
	TL_EAGER,
	TL_COUNT
};

static int
antc_read_tool(struct crd *rd, unsigned i, struct json v)
{
	static const char *const names[TL_COUNT] = {"type", "name",
	    "description", "input_schema", "strict", "cache_control",
	    "eager_input_streaming"};
	struct json vals[TL_COUNT], type;
	struct ir_tool *t;
	const char *base;
	bool strict = false;
	int rc;

	base = ir_field(rd->r, "tools.%u", i);
	if (base == NULL)
		return crd_full(rd);
	/* tools that the provider runs itself have a type */
	if (json_getz(v, "type", &type) && type.type == JSON_STRING &&
	    !crd_is(type, "custom"))
		return crd_other(rd, base, json_raw_string(type), type);
	rc = crd_pick(rd, base, v, names, vals, TL_COUNT);
	if (rc != 0)
		return rc;
	if (vals[TL_TYPE].type != JSON_NULL && !crd_is(vals[TL_TYPE], "custom"))
		return crd_bad(rd, base, "type", rd->words->string);
	if (vals[TL_NAME].type == JSON_NULL)
		return crd_bad(rd, base, "name", rd->words->required);
	if (vals[TL_SCHEMA].type == JSON_NULL)
		return crd_bad(rd, base, "input_schema", rd->words->required);
	t = ir_add_tool(rd->r);
	if (t == NULL)
		return crd_full(rd);
	rc = crd_string(rd, vals[TL_NAME], base, "name", &t->name);
	if (rc == 0)
		rc = crd_string(rd, vals[TL_DESCRIPTION], base, "description",
		    &t->description);
	if (rc == 0)
		rc = crd_object(
		    rd, vals[TL_SCHEMA], base, "input_schema", &t->schema);
	if (rc == 0)
		rc = crd_bool(rd, vals[TL_STRICT], base, "strict", &strict);
	if (rc == 0)
		rc = crd_bool(
		    rd, vals[TL_EAGER], base, names[TL_EAGER], &t->eager);
	if (vals[TL_STRICT].type == JSON_BOOL)
		t->strict = strict;
	return rc != 0 ? rc
		       : antc_read_cache(rd, vals[TL_CACHE], base, &t->cache);
}

static int
antc_read_tools(struct crd *rd, struct json v)
{
	struct json_iter it;
	struct json item;
	unsigned i;
	int rc;

	rc = crd_array(rd, v, "tools", "");
	if (rc != 0 || v.type == JSON_NULL)
		return rc;
	it = json_iter(v);
	for (i = 0; json_next_element(&it, &item); i++) {
		rc = antc_read_tool(rd, i, item);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
antc_read_choice(struct crd *rd, struct json v)
{
	static const char *const names[] = {
	    "type", "name", "disable_parallel_tool_use"};
	struct ir_request *r = rd->r;
	struct json vals[3];
	bool serial = false;
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, "tool_choice", v, names, vals, 3);
	if (rc != 0)
		return rc;
	if (crd_is(vals[0], "auto")) {
		r->choice = IR_CHOICE_AUTO;
	} else if (crd_is(vals[0], "any")) {
		r->choice = IR_CHOICE_ANY;
	} else if (crd_is(vals[0], "none")) {
		r->choice = IR_CHOICE_NONE;
	} else if (crd_is(vals[0], "tool")) {
		r->choice = IR_CHOICE_TOOL;
		if (vals[1].type == JSON_NULL)
			return crd_bad(
			    rd, "tool_choice", "name", rd->words->required);
	} else {
		return crd_bad(rd, "tool_choice", "type",
		    "Input should be 'auto', 'any', 'tool' or 'none'");
	}
	if (r->choice == IR_CHOICE_TOOL)
		rc = crd_string(
		    rd, vals[1], "tool_choice", "name", &r->choice_name);
	if (rc == 0)
		rc = crd_bool(rd, vals[2], "tool_choice",
		    "disable_parallel_tool_use", &serial);
	if (serial)
		r->parallel = 0;
	return rc;
}

/* ---- the rest ---- */

static int
antc_read_thinking(struct crd *rd, struct json v)
{
	static const char *const names[] = {"type", "budget_tokens", "display"};
	struct ir_request *r = rd->r;
	struct json vals[3];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, "thinking", v, names, vals, 3);
	if (rc != 0)
		return rc;
	if (crd_is(vals[0], "disabled")) {
		r->thinking_budget = 0;
		return 0;
	}
	if (crd_is(vals[0], "enabled")) {
		if (vals[1].type == JSON_NULL)
			return crd_bad(rd, "thinking", "budget_tokens",
			    rd->words->required);
		rc = crd_int(rd, vals[1], "thinking", "budget_tokens", 1024,
		    ANTC_MAX_TOKENS, &r->thinking_budget);
	} else if (crd_is(vals[0], "adaptive")) {
		/* the API's own default, unless output_config says more */
		if (r->effort == IR_EFFORT_UNSET)
			r->effort = IR_EFFORT_HIGH;
	} else {
		return crd_bad(rd, "thinking", "type",
		    "Input should be 'enabled', 'adaptive' or 'disabled'");
	}
	r->show_thinking = !crd_is(vals[2], "omitted");
	if (rc == 0 && vals[2].type != JSON_NULL && r->show_thinking &&
	    !crd_is(vals[2], "summarized"))
		return crd_bad(rd, "thinking", "display",
		    "Input should be 'summarized' or 'omitted'");
	return rc;
}

static int
antc_read_format(struct crd *rd, struct json v, const char *base)
{
	static const char *const names[] = {"type", "schema"};
	struct json vals[2];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, base, v, names, vals, 2);
	if (rc != 0)
		return rc;
	if (!crd_is(vals[0], "json_schema"))
		return crd_bad(
		    rd, base, "type", "Input should be 'json_schema'");
	if (vals[1].type == JSON_NULL)
		return crd_bad(rd, base, "schema", rd->words->required);
	rd->r->format = IR_FORMAT_SCHEMA;
	return crd_object(rd, vals[1], base, "schema", &rd->r->format_schema);
}

static int
antc_read_output(struct crd *rd, struct json v)
{
	static const char *const names[] = {"effort", "format"};
	struct ir_request *r = rd->r;
	struct json vals[2];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, "output_config", v, names, vals, 2);
	if (rc != 0)
		return rc;
	if (vals[0].type != JSON_NULL &&
	    (vals[0].type != JSON_STRING ||
		!ir_effort_parse(json_raw_string(vals[0]), &r->effort) ||
		r->effort < IR_EFFORT_LOW))
		return crd_bad(rd, "output_config", "effort",
		    "Input should be 'low', 'medium', 'high', 'xhigh' or "
		    "'max'");
	return antc_read_format(rd, vals[1], "output_config.format");
}

static int
antc_read_metadata(struct crd *rd, struct json v)
{
	static const char *const names[] = {"user_id"};
	struct json vals[1];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, "metadata", v, names, vals, 1);
	return rc != 0 ? rc
		       : crd_string(
			     rd, vals[0], "metadata", "user_id", &rd->r->user);
}

static int
antc_read_sampling(struct crd *rd, const struct json *v)
{
	struct ir_request *r = rd->r;
	int64_t k;
	int rc;

	rc = crd_number(
	    rd, v[AT_TEMPERATURE], "", "temperature", &r->temperature);
	if (rc == 0)
		rc = crd_number(rd, v[AT_TOP_P], "", "top_p", &r->top_p);
	if (rc == 0)
		rc = crd_int(
		    rd, v[AT_TOP_K], "", "top_k", 0, INT64_C(1) << 31, &k);
	if (rc == 0 && v[AT_TOP_K].type == JSON_NUMBER)
		r->top_k = crd_span(v[AT_TOP_K]);
	if (rc == 0)
		rc = crd_stops(rd, v[AT_STOPS], "", "stop_sequences");
	if (rc == 0 && !crd_is(v[AT_TIER], "auto"))
		rc = crd_string(
		    rd, v[AT_TIER], "", "service_tier", &r->service_tier);
	return rc;
}

static int
antc_read_head(struct crd *rd, const struct json *v)
{
	struct ir_request *r = rd->r;
	int rc;

	if (v[AT_MODEL].type == JSON_NULL)
		return crd_bad(rd, "model", "", rd->words->required);
	rc = crd_string(rd, v[AT_MODEL], "", "model", &r->model);
	if (rc == 0 && r->model.len == 0)
		return crd_bad(
		    rd, "model", "", "String should have at least 1 character");
	if (rc == 0 && v[AT_MAX_TOKENS].type == JSON_NULL)
		return crd_bad(rd, "max_tokens", "", rd->words->required);
	if (rc == 0)
		rc = crd_int(rd, v[AT_MAX_TOKENS], "", "max_tokens", 1,
		    ANTC_MAX_TOKENS, &r->max_output);
	if (rc == 0)
		rc = crd_bool(rd, v[AT_STREAM], "", "stream", &r->stream);
	return rc;
}

int
antc_read(struct str body, struct str path_model, bool path_stream,
    struct ir_request *r, struct error *e)
{
	struct crd rd = {.r = r, .e = e, .words = &antc_words};
	struct json v[AT_COUNT];
	int rc;

	(void)path_model;
	(void)path_stream;
	r->include_usage = true;
	rc = crd_pick(&rd, "", json_root(body), antc_top_names, v, AT_COUNT);
	if (rc == 0)
		rc = antc_read_head(&rd, v);
	if (rc == 0)
		rc = antc_read_system(&rd, v[AT_SYSTEM]);
	if (rc == 0)
		rc = antc_read_messages(&rd, v[AT_MESSAGES]);
	if (rc == 0)
		rc = antc_read_auto_cache(&rd, v[AT_CACHE]);
	if (rc == 0)
		rc = antc_read_sampling(&rd, v);
	if (rc == 0)
		rc = antc_read_metadata(&rd, v[AT_METADATA]);
	if (rc == 0)
		rc = antc_read_output(&rd, v[AT_OUTPUT]);
	if (rc == 0)
		rc = antc_read_format(&rd, v[AT_FORMAT], "output_format");
	if (rc == 0)
		rc = antc_read_thinking(&rd, v[AT_THINKING]);
	if (rc == 0)
		rc = antc_read_tools(&rd, v[AT_TOOLS]);
	if (rc == 0)
		rc = antc_read_choice(&rd, v[AT_CHOICE]);
	return rc;
}

const struct codec_client codec_anthropic_client = {
    .name = "anthropic",
    .read = antc_read,
    .begin = antc_begin,
    .event = antc_event,
    .free = antc_free,
};
