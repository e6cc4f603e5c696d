/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the Gemini dialect into the neutral form: everything but
 * contents (gemini_client_parts.c) and tools (gemini_client_tools.c). Names
 * are taken in camelCase and in snake_case, as the API takes them; errors and
 * notes say them in camelCase.
 */
#include "agent/dialect/gemini_client.h"

#define GEMC_MAX_TOKENS (INT64_C(1) << 31)
#define GEMC_MAX_N	8

static const struct crd_words gemc_words = {
    .required = "is required",
    .string = "must be a string",
    .boolean = "must be a boolean",
    .integer = "must be an integer",
    .number = "must be a number",
    .array = "must be an array",
    .object = "must be an object",
    .range = "is out of range",
};

/* ---- generationConfig ---- */

enum gemc_config {
	GC_TEMPERATURE,
	GC_TOP_P,
	GC_TOP_K,
	GC_N,
	GC_MAX,
	GC_STOPS,
	GC_MIME,
	GC_SCHEMA,
	GC_JSON_SCHEMA,
	GC_JSON_SCHEMA_OLD,
	GC_MODALITIES,
	GC_SEED,
	GC_PRESENCE,
	GC_FREQUENCY,
	GC_LOGPROBS,
	GC_TOP_LOGPROBS,
	GC_THINKING,
	GC_MEDIA,
	GC_COUNT
};
static const char *const gemc_config_names[GC_COUNT] = {"temperature", "topP",
    "topK", "candidateCount", "maxOutputTokens", "stopSequences",
    "responseMimeType", "responseSchema", "responseJsonSchema",
    "_responseJsonSchema", "responseModalities", "seed", "presencePenalty",
    "frequencyPenalty", "responseLogprobs", "logprobs", "thinkingConfig",
    "mediaResolution"};

static const char gemc_config[] = "generationConfig";

static int
gemc_read_level(struct crd *rd, struct json v, const char *base)
{
	static const struct {
		const char *upper, *lower;
		enum ir_effort effort;
	} levels[] = {
	    {"MINIMAL", "minimal", IR_EFFORT_MINIMAL},
	    {"LOW", "low", IR_EFFORT_LOW},
	    {"MEDIUM", "medium", IR_EFFORT_MEDIUM},
	    {"HIGH", "high", IR_EFFORT_HIGH},
	    {"THINKING_LEVEL_UNSPECIFIED", "", IR_EFFORT_UNSET},
	};
	size_t i;

	if (v.type == JSON_NULL)
		return 0;
	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (crd_is(v, levels[i].upper) || crd_is(v, levels[i].lower)) {
			rd->r->effort = levels[i].effort;
			return 0;
		}
	}
	return crd_bad(
	    rd, base, "thinkingLevel", "must be MINIMAL, LOW, MEDIUM or HIGH");
}

static int
gemc_read_thinking(struct crd *rd, struct json v)
{
	static const char *const names[] = {
	    "includeThoughts", "thinkingBudget", "thinkingLevel"};
	static const char base[] = "generationConfig.thinkingConfig";
	struct ir_request *r = rd->r;
	struct json vals[3];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, base, v, names, vals, 3);
	if (rc == 0)
		rc = crd_bool(
		    rd, vals[0], base, "includeThoughts", &r->show_thinking);
	if (rc == 0) /* -1: as much as the model likes, as when not told */
		rc = crd_int(rd, vals[1], base, "thinkingBudget", -1,
		    GEMC_MAX_TOKENS, &r->thinking_budget);
	return rc != 0 ? rc : gemc_read_level(rd, vals[2], base);
}

static int
gemc_read_format(struct crd *rd, const struct json *v)
{
	struct json own = v[GC_SCHEMA];
	struct json std = v[GC_JSON_SCHEMA].type != JSON_NULL
			      ? v[GC_JSON_SCHEMA]
			      : v[GC_JSON_SCHEMA_OLD];
	struct ir_request *r = rd->r;
	struct str span = STR_NULL;
	int rc;

	rc = crd_object(rd, own, gemc_config, "responseSchema", &span);
	if (rc == 0)
		rc = crd_object(rd, std, gemc_config, "responseJsonSchema",
		    &r->format_schema);
	if (rc != 0)
		return rc;
	if (span.len > 0 && r->format_schema.len > 0)
		return crd_bad(rd, gemc_config, "responseJsonSchema",
		    "cannot be there together with responseSchema");
	if (span.len > 0) {
		r->format_schema = gemc_schema(r->arena, own);
		if (r->format_schema.p == NULL)
			return crd_full(rd);
	}
	if (crd_is(v[GC_MIME], "application/json"))
		r->format = IR_FORMAT_JSON;
	else if (crd_is(v[GC_MIME], "text/plain"))
		r->format = IR_FORMAT_TEXT;
	else if (v[GC_MIME].type != JSON_NULL && v[GC_MIME].type != JSON_STRING)
		return crd_bad(
		    rd, gemc_config, "responseMimeType", rd->words->string);
	else
		rc = crd_other(
		    rd, gemc_config, STR("responseMimeType"), v[GC_MIME]);
	if (r->format_schema.len > 0 && r->format == IR_FORMAT_TEXT)
		return crd_bad(rd, gemc_config, "responseMimeType",
		    "must be application/json where a schema is given");
	if (r->format_schema.len > 0)
		r->format = IR_FORMAT_SCHEMA;
	return rc;
}

/* Text is what all give; anything else has no place. */
static int
gemc_read_modalities(struct crd *rd, struct json v)
{
	static const char name[] = "responseModalities";
	struct json_iter it;
	struct json item;
	int rc;

	rc = crd_array(rd, v, gemc_config, name);
	if (rc != 0 || v.type == JSON_NULL)
		return rc;
	it = json_iter(v);
	while (json_next_element(&it, &item)) {
		if (item.type != JSON_STRING)
			return crd_bad(
			    rd, gemc_config, name, rd->words->string);
		if (!str_ieq(json_raw_string(item), STR("TEXT")))
			return crd_other(rd, gemc_config, str_of(name), v);
	}
	return 0;
}

static int
gemc_read_numbers(struct crd *rd, const struct json *v)
{
	struct ir_request *r = rd->r;
	const struct {
		enum gemc_config at;
		struct str *to;
	} numbers[] = {
	    {GC_TEMPERATURE, &r->temperature},
	    {GC_TOP_P, &r->top_p},
	    {GC_TOP_K, &r->top_k},
	    {GC_SEED, &r->seed},
	    {GC_PRESENCE, &r->presence_penalty},
	    {GC_FREQUENCY, &r->frequency_penalty},
	};
	size_t i;
	int rc;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		rc = crd_number(rd, v[numbers[i].at], gemc_config,
		    gemc_config_names[numbers[i].at], numbers[i].to);
		if (rc != 0)
			return rc;
	}
	rc = crd_int(
	    rd, v[GC_N], gemc_config, "candidateCount", 1, GEMC_MAX_N, &r->n);
	if (rc == 0)
		rc = crd_int(rd, v[GC_MAX], gemc_config, "maxOutputTokens", 1,
		    GEMC_MAX_TOKENS, &r->max_output);
	if (rc == 0)
		rc = crd_int(rd, v[GC_TOP_LOGPROBS], gemc_config, "logprobs", 0,
		    20, &r->top_logprobs);
	if (rc == 0)
		rc = crd_bool(rd, v[GC_LOGPROBS], gemc_config,
		    "responseLogprobs", &r->logprobs);
	return rc;
}

static int
gemc_read_config(struct crd *rd, struct json v)
{
	struct json vals[GC_COUNT];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	rc = crd_pick(rd, gemc_config, v, gemc_config_names, vals, GC_COUNT);
	if (rc == 0)
		rc = gemc_read_numbers(rd, vals);
	if (rc == 0)
		rc =
		    crd_stops(rd, vals[GC_STOPS], gemc_config, "stopSequences");
	if (rc == 0)
		rc = gemc_read_format(rd, vals);
	if (rc == 0)
		rc = gemc_read_modalities(rd, vals[GC_MODALITIES]);
	if (rc == 0)
		rc = gemc_read_thinking(rd, vals[GC_THINKING]);
	if (rc == 0 && !crd_is(vals[GC_MEDIA], "MEDIA_RESOLUTION_UNSPECIFIED"))
		rc = crd_other(
		    rd, gemc_config, STR("mediaResolution"), vals[GC_MEDIA]);
	return rc;
}

/* ---- the body ---- */

enum gemc_top {
	GT_MODEL,
	GT_CONTENTS,
	GT_SYSTEM,
	GT_TOOLS,
	GT_TOOL_CONFIG,
	GT_CONFIG,
	GT_SAFETY,
	GT_LABELS,
	GT_TIER,
	GT_COUNT
};
static const char *const gemc_top_names[GT_COUNT] = {"model", "contents",
    "systemInstruction", "tools", "toolConfig", "generationConfig",
    "safetySettings", "labels", "serviceTier"};

/* "models/x" and "publishers/google/models/x" are x. */
static struct str
gemc_bare_model(struct str s)
{
	struct str head, tail;

	if (str_starts(s, STR("publishers/"))) {
		(void)str_cut(s, '/', &head, &tail);
		(void)str_cut(tail, '/', &head, &tail);
		s = tail;
	}
	if (str_starts(s, STR("models/")))
		return str_make(s.p + 7, s.len - 7);
	return s;
}

/* The path names the model; the body may repeat it. */
static int
gemc_read_model(struct crd *rd, struct json v, struct str path_model)
{
	struct str name = STR_NULL;
	int rc;

	rd->r->model = ir_escape(rd->r->arena, path_model);
	if (rd->r->model.p == NULL)
		return crd_full(rd);
	rc = crd_string(rd, v, "", "model", &name);
	if (rc == 0 && name.len > 0 &&
	    !json_key_eq(gemc_bare_model(name), gemc_bare_model(path_model)))
		return crd_bad(rd, "model", "", "is not the model of the path");
	return rc;
}

static int
gemc_read_rest(struct crd *rd, const struct json *v)
{
	struct ir_request *r = rd->r;
	struct json_iter it;
	struct json item;
	int rc;

	rc = crd_array(rd, v[GT_SAFETY], "safetySettings", "");
	if (rc == 0 && v[GT_SAFETY].type == JSON_ARRAY) {
		it = json_iter(v[GT_SAFETY]);
		if (json_next_element(&it, &item))
			r->safety = crd_span(v[GT_SAFETY]);
	}
	if (rc == 0)
		rc = crd_object(rd, v[GT_LABELS], "", "labels", &r->metadata);
	if (rc == 0 && !crd_is(v[GT_TIER], "SERVICE_TIER_UNSPECIFIED") &&
	    !crd_is(v[GT_TIER], "unspecified"))
		rc = crd_string(
		    rd, v[GT_TIER], "", "serviceTier", &r->service_tier);
	return rc;
}

int
gemc_read(struct str body, struct str path_model, bool path_stream,
    struct ir_request *r, struct error *e)
{
	struct crd rd = {.r = r, .e = e, .words = &gemc_words, .camel = true};
	struct json v[GT_COUNT];
	int rc;

	r->stream = path_stream;
	r->include_usage = true;
	rc = crd_pick(&rd, "", json_root(body), gemc_top_names, v, GT_COUNT);
	if (rc == 0)
		rc = gemc_read_model(&rd, v[GT_MODEL], path_model);
	if (rc == 0)
		rc = gemc_read_system(&rd, v[GT_SYSTEM]);
	if (rc == 0)
		rc = gemc_read_contents(&rd, v[GT_CONTENTS]);
	if (rc == 0)
		rc = gemc_read_config(&rd, v[GT_CONFIG]);
	if (rc == 0)
		rc = gemc_read_tools(&rd, v[GT_TOOLS]);
	if (rc == 0)
		rc = gemc_read_tool_config(&rd, v[GT_TOOL_CONFIG]);
	if (rc == 0)
		rc = gemc_read_rest(&rd, v);
	return rc;
}

const struct codec_client codec_gemini_client = {
    .name = "gemini",
    .read = gemc_read,
    .begin = gemc_begin,
    .event = gemc_event,
    .free = gemc_free,
};
