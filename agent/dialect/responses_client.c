/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses from clients: the fields of a request other than its input. State
 * that a provider would keep (previous_response_id, conversation, background)
 * has no place in the neutral form: nobody behind a translation holds it.
 */
#include "agent/dialect/responses_client.h"

static int
rspc_instructions(struct oaird *rd, struct json root)
{
	struct ir_message *m;
	struct ir_part *p;
	struct json v;

	if (!json_getz(root, "instructions", &v) || v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_STRING)
		return oaird_bad(rd, "", "instructions", "must be a string");
	if (json_raw_string(v).len == 0)
		return 0;
	m = ir_add_message(rd->r, IR_SYSTEM);
	if (m == NULL)
		return oaird_full(rd);
	p = oaird_part(rd, m, IR_TEXT, RSPC_INSTRUCTIONS);
	if (p == NULL)
		return oaird_full(rd);
	p->text = json_raw_string(v);
	return 0;
}

static int
rspc_reasoning(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json val;
	struct str key;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_bad(rd, "", "reasoning", "must be an object");
	while (rc == 0 && json_next_member(&it, &key, &val)) {
		if (json_key_eq(key, STR("effort")))
			rc = oaird_effort(rd, val, "reasoning", "effort");
		else if (json_key_eq(key, STR("summary")))
			rc = oaird_string(
			    rd, val, "reasoning", "summary", &rd->r->summary);
		else if (json_key_eq(key, STR("generate_summary")))
			rc = oaird_string(rd, val, "reasoning",
			    "generate_summary", &rd->r->summary);
		else
			rc = oaird_other(rd, "reasoning", key, val);
	}
	if (rd->r->summary.len > 0)
		rd->r->show_thinking = true;
	return rc;
}

static int
rspc_format(struct oaird *rd, struct json v)
{
	struct json type;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT || !json_getz(v, "type", &type))
		return oaird_bad(rd, "text.format", "type", "is required");
	if (oaird_is(type, "text"))
		rd->r->format = IR_FORMAT_TEXT;
	else if (oaird_is(type, "json_object"))
		rd->r->format = IR_FORMAT_JSON;
	else if (oaird_is(type, "json_schema"))
		return oaird_schema(rd, v, "text.format");
	else
		return oaird_bad(rd, "text.format", "type",
		    "must be text, json_object or json_schema");
	return 0;
}

static int
rspc_text(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json val;
	struct str key;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_bad(rd, "", "text", "must be an object");
	while (rc == 0 && json_next_member(&it, &key, &val)) {
		if (json_key_eq(key, STR("format")))
			rc = rspc_format(rd, val);
		else if (json_key_eq(key, STR("verbosity")))
			rc = oaird_string(
			    rd, val, "text", "verbosity", &rd->r->verbosity);
		else
			rc = oaird_other(rd, "text", key, val);
	}
	return rc;
}

static int
rspc_tools(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item, type;
	struct ir_tool *t;
	const char *base;
	unsigned i;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_ARRAY)
		return oaird_bad(rd, "", "tools", "must be an array");
	for (i = 0; rc == 0 && json_next_element(&it, &item); i++) {
		base = ir_field(rd->r, "tools[%u]", i);
		if (base == NULL)
			return oaird_full(rd);
		if (!json_getz(item, "type", &type) || type.type != JSON_STRING)
			return oaird_bad(rd, base, "type", "is required");
		if (!oaird_is(type, "function")) {
			rc = oaird_other(rd, base, STR(""), item);
			continue;
		}
		t = ir_add_tool(rd->r);
		if (t == NULL)
			return oaird_full(rd);
		rc = oaird_tool(rd, item, base, t);
	}
	return rc;
}

static int
rspc_choice(struct oaird *rd, struct json v)
{
	struct json type;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_choice(rd, v, "tool_choice");
	if (!json_getz(v, "type", &type) || type.type != JSON_STRING)
		return oaird_bad(rd, "tool_choice", "type", "is required");
	if (!oaird_is(type, "function"))
		return oaird_other(rd, "", STR("tool_choice"), v);
	rd->r->choice_name = oaird_member(v, "name");
	if (rd->r->choice_name.len == 0)
		return oaird_bad(rd, "tool_choice", "name", "is required");
	rd->r->choice = IR_CHOICE_TOOL;
	return 0;
}

static int
rspc_include(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item;
	const char *base;
	unsigned i;
	int rc = 0;

	if (v.type != JSON_NULL && v.type != JSON_ARRAY)
		return oaird_bad(rd, "", "include", "must be an array");
	for (i = 0; rc == 0 && json_next_element(&it, &item); i++) {
		if (oaird_is(item, "reasoning.encrypted_content")) {
			rd->r->show_thinking = true;
		} else if (oaird_is(item, "message.output_text.logprobs")) {
			rd->r->logprobs = true;
		} else {
			base = ir_field(rd->r, "include[%u]", i);
			if (base == NULL)
				return oaird_full(rd);
			rc = oaird_other(rd, base, STR(""), item);
		}
	}
	return rc;
}

/* Words of which one says what happens anyway. */
static int
rspc_word(
    struct oaird *rd, const char *name, struct json v, const char *as_always)
{
	return oaird_is(v, as_always) ? 0
				      : oaird_other(rd, "", str_of(name), v);
}

static int
rspc_stream_options(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json val;
	struct str key;
	int rc = 0;

	if (v.type != JSON_NULL && v.type != JSON_OBJECT)
		return oaird_bad(rd, "", "stream_options", "must be an object");
	while (rc == 0 && json_next_member(&it, &key, &val)) {
		if (!json_key_eq(key, STR("include_obfuscation")))
			rc = oaird_other(rd, "stream_options", key, val);
	}
	return rc;
}

/* Plain values. */
static int
rspc_scalar(struct oaird *rd, struct str key, struct json v)
{
	struct ir_request *r = rd->r;

	if (json_key_eq(key, STR("max_output_tokens")))
		return oaird_int(rd, v, "", "max_output_tokens", 1,
		    INT64_C(1) << 53, &r->max_output);
	if (json_key_eq(key, STR("temperature")))
		return oaird_number(rd, v, "", "temperature", &r->temperature);
	if (json_key_eq(key, STR("top_p")))
		return oaird_number(rd, v, "", "top_p", &r->top_p);
	if (json_key_eq(key, STR("top_logprobs")))
		return oaird_int(
		    rd, v, "", "top_logprobs", 0, 20, &r->top_logprobs);
	if (json_key_eq(key, STR("parallel_tool_calls")))
		return oaird_switch(
		    rd, v, "", "parallel_tool_calls", &r->parallel);
	if (json_key_eq(key, STR("metadata")))
		return oaird_object(rd, v, "", "metadata", &r->metadata);
	if (json_key_eq(key, STR("user")))
		return oaird_user(rd, v, "user", false);
	if (json_key_eq(key, STR("safety_identifier")))
		return oaird_user(rd, v, "safety_identifier", true);
	if (json_key_eq(key, STR("service_tier")))
		return oaird_tier(rd, v);
	if (json_key_eq(key, STR("truncation")))
		return rspc_word(rd, "truncation", v, "disabled");
	return oaird_other(rd, "", key, v);
}

static int
rspc_member(struct oaird *rd, struct str key, struct json v)
{
	if (json_key_eq(key, STR("model")))
		return oaird_string(rd, v, "", "model", &rd->r->model);
	if (json_key_eq(key, STR("input")))
		return rspc_input(rd, v);
	if (json_key_eq(key, STR("instructions")))
		return 0; /* was first */
	if (json_key_eq(key, STR("stream")))
		return oaird_bool(rd, v, "", "stream", &rd->r->stream);
	if (json_key_eq(key, STR("stream_options")))
		return rspc_stream_options(rd, v);
	if (json_key_eq(key, STR("reasoning")))
		return rspc_reasoning(rd, v);
	if (json_key_eq(key, STR("text")))
		return rspc_text(rd, v);
	if (json_key_eq(key, STR("tools")))
		return rspc_tools(rd, v);
	if (json_key_eq(key, STR("tool_choice")))
		return rspc_choice(rd, v);
	if (json_key_eq(key, STR("include")))
		return rspc_include(rd, v);
	return rspc_scalar(rd, key, v);
}

static int
rspc_read(struct str body, struct str path_model, bool path_stream,
    struct ir_request *r, struct error *e)
{
	struct oaird rd = {.r = r, .e = e};
	struct json root = json_root(body);
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;
	int rc;

	(void)path_stream;
	if (root.type != JSON_OBJECT)
		return oaird_bad(&rd, "", "", "the body must be a JSON object");
	rc = rspc_instructions(&rd, root);
	while (rc == 0 && json_next_member(&it, &key, &v))
		rc = rspc_member(&rd, key, v);
	if (rc != 0)
		return rc;
	if (r->model.len == 0) /* Azure: in the path */
		r->model = path_model;
	if (r->model.len == 0)
		return oaird_bad(&rd, "", "model", "you must provide a model");
	if (!json_getz(root, "input", &v) || v.type == JSON_NULL)
		return oaird_bad(&rd, "", "input", "is required");
	if (r->top_logprobs > 0)
		r->logprobs = true;
	r->include_usage = true; /* always told in this dialect */
	return 0;
}

const struct codec_client codec_responses_client = {
    .name = "responses",
    .read = rspc_read,
    .begin = rspc_begin,
    .event = rspc_event,
    .free = rspc_free,
};
