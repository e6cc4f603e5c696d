/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat completions from clients: the fields of a request other than its
 * messages. What the neutral form has no place for is noted by its name, so
 * that it is refused or listed, never lost.
 */
#include "agent/dialect/openai_chat_client.h"

#define OAICHAT_MAX_N 128

static int
oaichat_stop(struct oaird *rd, struct json v)
{
	struct ir_request *r = rd->r;
	struct json_iter it = json_iter(v);
	struct json item;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type == JSON_STRING) {
		r->stops[0] = json_raw_string(v);
		r->n_stops = r->stops[0].len > 0 ? 1 : 0;
		return 0;
	}
	if (v.type != JSON_ARRAY)
		return oaird_bad(rd, "", "stop", "must be a string or strings");
	while (json_next_element(&it, &item)) {
		if (item.type != JSON_STRING)
			return oaird_bad(
			    rd, "", "stop", "must be a string or strings");
		if (json_raw_string(item).len == 0)
			continue;
		if (r->n_stops == IR_MAX_STOPS)
			return oaird_bad(
			    rd, "", "stop", "holds too many strings");
		r->stops[r->n_stops++] = json_raw_string(item);
	}
	return 0;
}

static int
oaichat_tool(struct oaird *rd, struct json v, unsigned i)
{
	struct ir_tool *t;
	struct json fn;
	const char *base = ir_field(rd->r, "tools[%u]", i);
	int rc;

	if (base == NULL)
		return oaird_full(rd);
	if (v.type != JSON_OBJECT)
		return oaird_bad(rd, base, "", "must be an object");
	if (!json_getz(v, "type", &fn) || !oaird_is(fn, "function")) {
		/* a custom tool, or one that OpenAI runs itself */
		if (!json_getz(v, "type", &fn) || fn.type != JSON_STRING)
			return oaird_bad(rd, base, "type", "is required");
		return oaird_other(rd, base, STR(""), v);
	}
	if (!json_getz(v, "function", &fn))
		return oaird_bad(rd, base, "function", "is required");
	t = ir_add_tool(rd->r);
	base = ir_field(rd->r, "tools[%u].function", i);
	if (t == NULL || base == NULL)
		return oaird_full(rd);
	rc = oaird_tool(rd, fn, base, t);
	return rc != 0 ? rc : oaird_cache(rd, v, base, &t->cache);
}

static int
oaichat_tools(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item;
	unsigned i;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_ARRAY)
		return oaird_bad(rd, "", "tools", "must be an array");
	for (i = 0; rc == 0 && json_next_element(&it, &item); i++)
		rc = oaichat_tool(rd, item, i);
	return rc;
}

/* The deprecated form of tools. */
static int
oaichat_functions(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct ir_tool *t;
	struct json item;
	const char *base;
	unsigned i;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_ARRAY)
		return oaird_bad(rd, "", "functions", "must be an array");
	for (i = 0; rc == 0 && json_next_element(&it, &item); i++) {
		base = ir_field(rd->r, "functions[%u]", i);
		t = ir_add_tool(rd->r);
		if (t == NULL || base == NULL)
			return oaird_full(rd);
		rc = oaird_tool(rd, item, base, t);
	}
	return rc;
}

static int
oaichat_choice_named(struct oaird *rd, struct json fn, const char *base)
{
	rd->r->choice_name = oaird_member(fn, "name");
	if (rd->r->choice_name.len == 0)
		return oaird_bad(rd, base, "name", "is required");
	rd->r->choice = IR_CHOICE_TOOL;
	return 0;
}

static int
oaichat_choice(struct oaird *rd, struct json v)
{
	struct json type, fn = {NULL, NULL, JSON_NULL};

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_choice(rd, v, "tool_choice");
	if (!json_getz(v, "type", &type) || type.type != JSON_STRING)
		return oaird_bad(rd, "tool_choice", "type", "is required");
	if (!oaird_is(type, "function"))
		return oaird_other(rd, "", STR("tool_choice"), v);
	(void)json_getz(v, "function", &fn);
	return oaichat_choice_named(rd, fn, "tool_choice.function");
}

static int
oaichat_function_call(struct oaird *rd, struct json v)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_choice(rd, v, "function_call");
	return oaichat_choice_named(rd, v, "function_call");
}

static int
oaichat_format(struct oaird *rd, struct json v)
{
	struct json type, schema;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_bad(
		    rd, "", "response_format", "must be an object");
	if (!json_getz(v, "type", &type))
		return oaird_bad(rd, "response_format", "type", "is required");
	if (oaird_is(type, "text")) {
		rd->r->format = IR_FORMAT_TEXT;
		return 0;
	}
	if (oaird_is(type, "json_object")) {
		rd->r->format = IR_FORMAT_JSON;
		return 0;
	}
	if (!oaird_is(type, "json_schema"))
		return oaird_bad(rd, "response_format", "type",
		    "must be text, json_object or json_schema");
	if (!json_getz(v, "json_schema", &schema))
		return oaird_bad(
		    rd, "response_format", "json_schema", "is required");
	return oaird_schema(rd, schema, "response_format.json_schema");
}

static int
oaichat_stream_options(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json val;
	struct str key;
	int rc = 0;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_OBJECT)
		return oaird_bad(rd, "", "stream_options", "must be an object");
	while (rc == 0 && json_next_member(&it, &key, &val)) {
		if (json_key_eq(key, STR("include_usage")))
			rc = oaird_bool(rd, val, "stream_options",
			    "include_usage", &rd->r->include_usage);
		else if (!json_key_eq(key, STR("include_obfuscation")))
			rc = oaird_other(rd, "stream_options", key, val);
	}
	return rc;
}

/* ["text"] is what everybody gets. */
static int
oaichat_modalities(struct oaird *rd, struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item;

	while (json_next_element(&it, &item)) {
		if (!oaird_is(item, "text"))
			return oaird_other(rd, "", STR("modalities"), v);
	}
	return 0;
}

/* A penalty of zero is none. */
static int
oaichat_penalty(
    struct oaird *rd, struct json v, const char *name, struct str *ret)
{
	int rc = oaird_number(rd, v, "", name, ret);
	size_t i;

	for (i = 0; rc == 0 && i < ret->len; i++) {
		if (ret->p[i] >= '1' && ret->p[i] <= '9')
			return 0;
		if (ret->p[i] == 'e' || ret->p[i] == 'E')
			break;
	}
	if (rc == 0)
		*ret = STR_NULL;
	return rc;
}

static int
oaichat_cap(struct oaird *rd, struct json v, const char *name)
{
	int64_t cap = -1;
	int rc = oaird_int(rd, v, "", name, 1, INT64_C(1) << 53, &cap);

	/* As oai_request_scan(): reserved is for the larger of both. */
	if (rc == 0 && cap > rd->r->max_output)
		rd->r->max_output = cap;
	return rc;
}

enum oaichat_field {
	F_MODEL,
	F_MESSAGES,
	F_STREAM,
	F_STREAM_OPTIONS,
	F_MAX_TOKENS,
	F_MAX_COMPLETION,
	F_TEMPERATURE,
	F_TOP_P,
	F_TOP_K,
	F_N,
	F_STOP,
	F_SEED,
	F_LOGIT_BIAS,
	F_LOGPROBS,
	F_TOP_LOGPROBS,
	F_FREQUENCY,
	F_PRESENCE,
	F_TOOLS,
	F_TOOL_CHOICE,
	F_PARALLEL,
	F_FUNCTIONS,
	F_FUNCTION_CALL,
	F_FORMAT,
	F_EFFORT,
	F_VERBOSITY,
	F_MODALITIES,
	F_TIER,
	F_METADATA,
	F_USER,
	F_SAFETY_ID,
	F_NONE
};

static enum oaichat_field
oaichat_field(struct str key)
{
	static const char *const names[F_NONE] = {[F_MODEL] = "model",
	    [F_MESSAGES] = "messages",
	    [F_STREAM] = "stream",
	    [F_STREAM_OPTIONS] = "stream_options",
	    [F_MAX_TOKENS] = "max_tokens",
	    [F_MAX_COMPLETION] = "max_completion_tokens",
	    [F_TEMPERATURE] = "temperature",
	    [F_TOP_P] = "top_p",
	    [F_TOP_K] = "top_k",
	    [F_N] = "n",
	    [F_STOP] = "stop",
	    [F_SEED] = "seed",
	    [F_LOGIT_BIAS] = "logit_bias",
	    [F_LOGPROBS] = "logprobs",
	    [F_TOP_LOGPROBS] = "top_logprobs",
	    [F_FREQUENCY] = "frequency_penalty",
	    [F_PRESENCE] = "presence_penalty",
	    [F_TOOLS] = "tools",
	    [F_TOOL_CHOICE] = "tool_choice",
	    [F_PARALLEL] = "parallel_tool_calls",
	    [F_FUNCTIONS] = "functions",
	    [F_FUNCTION_CALL] = "function_call",
	    [F_FORMAT] = "response_format",
	    [F_EFFORT] = "reasoning_effort",
	    [F_VERBOSITY] = "verbosity",
	    [F_MODALITIES] = "modalities",
	    [F_TIER] = "service_tier",
	    [F_METADATA] = "metadata",
	    [F_USER] = "user",
	    [F_SAFETY_ID] = "safety_identifier"};
	int i;

	for (i = 0; i < F_NONE; i++) {
		if (json_key_eq(key, str_of(names[i])))
			break;
	}
	return (enum oaichat_field)i;
}

/* Sampling: numbers that are only passed on. */
static int
oaichat_sampling(struct oaird *rd, enum oaichat_field f, struct json v)
{
	struct ir_request *r = rd->r;

	switch (f) {
	case F_TEMPERATURE:
		return oaird_number(rd, v, "", "temperature", &r->temperature);
	case F_TOP_P:
		return oaird_number(rd, v, "", "top_p", &r->top_p);
	case F_TOP_K:
		return oaird_number(rd, v, "", "top_k", &r->top_k);
	case F_SEED:
		return oaird_number(rd, v, "", "seed", &r->seed);
	case F_FREQUENCY:
		return oaichat_penalty(
		    rd, v, "frequency_penalty", &r->frequency_penalty);
	case F_PRESENCE:
		return oaichat_penalty(
		    rd, v, "presence_penalty", &r->presence_penalty);
	case F_LOGIT_BIAS:
		return oaird_object(rd, v, "", "logit_bias", &r->logit_bias);
	case F_LOGPROBS:
		return oaird_bool(rd, v, "", "logprobs", &r->logprobs);
	case F_TOP_LOGPROBS:
		return oaird_int(
		    rd, v, "", "top_logprobs", 0, 20, &r->top_logprobs);
	case F_N:
		return oaird_int(rd, v, "", "n", 1, OAICHAT_MAX_N, &r->n);
	default:
		return oaichat_stop(rd, v);
	}
}

static int
oaichat_member(struct oaird *rd, struct str key, struct json v)
{
	struct ir_request *r = rd->r;
	enum oaichat_field f = oaichat_field(key);

	switch (f) {
	case F_MODEL:
		return oaird_string(rd, v, "", "model", &r->model);
	case F_MESSAGES:
		return oaichat_messages(rd, v);
	case F_STREAM:
		return oaird_bool(rd, v, "", "stream", &r->stream);
	case F_STREAM_OPTIONS:
		return oaichat_stream_options(rd, v);
	case F_MAX_TOKENS:
		return oaichat_cap(rd, v, "max_tokens");
	case F_MAX_COMPLETION:
		return oaichat_cap(rd, v, "max_completion_tokens");
	case F_TOOLS:
		return oaichat_tools(rd, v);
	case F_TOOL_CHOICE:
		return oaichat_choice(rd, v);
	case F_PARALLEL:
		return oaird_switch(
		    rd, v, "", "parallel_tool_calls", &r->parallel);
	case F_FUNCTIONS:
		return oaichat_functions(rd, v);
	case F_FUNCTION_CALL:
		return oaichat_function_call(rd, v);
	case F_FORMAT:
		return oaichat_format(rd, v);
	case F_EFFORT:
		return oaird_effort(rd, v, "", "reasoning_effort");
	case F_VERBOSITY:
		return oaird_string(rd, v, "", "verbosity", &r->verbosity);
	case F_MODALITIES:
		return oaichat_modalities(rd, v);
	case F_TIER:
		return oaird_tier(rd, v);
	case F_METADATA:
		return oaird_object(rd, v, "", "metadata", &r->metadata);
	case F_USER:
		return oaird_user(rd, v, "user", false);
	case F_SAFETY_ID:
		return oaird_user(rd, v, "safety_identifier", true);
	case F_NONE:
		return oaird_other(rd, "", key, v);
	default:
		return oaichat_sampling(rd, f, v);
	}
}

static int
oaichat_read(struct str body, struct str path_model, bool path_stream,
    struct ir_request *r, struct error *e)
{
	struct oaird rd = {.r = r, .e = e};
	struct json root = json_root(body);
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;
	int rc = 0;

	(void)path_stream;
	if (root.type != JSON_OBJECT)
		return oaird_bad(&rd, "", "", "the body must be a JSON object");
	while (rc == 0 && json_next_member(&it, &key, &v))
		rc = oaichat_member(&rd, key, v);
	if (rc != 0)
		return rc;
	if (r->model.len == 0) /* Azure: in the path */
		r->model = path_model;
	if (r->model.len == 0)
		return oaird_bad(&rd, "", "model", "you must provide a model");
	if (r->n_messages == 0)
		return oaird_bad(&rd, "", "messages", "is required");
	return 0;
}

const struct codec_client codec_openai_chat_client = {
    .name = "openai_chat",
    .read = oaichat_read,
    .begin = oaichat_begin,
    .event = oaichat_event,
    .free = oaichat_free,
};
