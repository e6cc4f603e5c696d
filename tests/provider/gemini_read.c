/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to Gemini, at AI Studio's and at Vertex' paths. */
#include "tests/provider/tree.h"

#define GENERATE_FIELDS                                                  \
	"contents systemInstruction tools toolConfig safetySettings "    \
	"cachedContent labels generationConfig serviceTier store model " \
	"modelArmorConfig"
#define CONFIG_FIELDS                                                       \
	"temperature topP topK candidateCount maxOutputTokens "             \
	"stopSequences responseMimeType responseSchema responseJsonSchema " \
	"responseModalities seed responseLogprobs logprobs "                \
	"presencePenalty frequencyPenalty thinkingConfig mediaResolution "  \
	"speechConfig audioTimestamp enableEnhancedCivicAnswers "           \
	"routingConfig imageConfig"
#define PART_FIELDS                                                    \
	"text inlineData fileData functionCall functionResponse "      \
	"executableCode codeExecutionResult thought thoughtSignature " \
	"videoMetadata mediaResolution partMetadata"

static bool
gemini_bad(struct call *q, const char *field, const char *message)
{
	if (!q->failed)
		problem_reply(q->c, PROBLEM_INVALID, field, message);
	q->failed = true;
	return false;
}

/* A member by its camelCase or snake_case name. */
static json_t *
gemini_get(const json_t *obj, const char *name)
{
	json_t *v = json_object_get(obj, name);
	char snake[64];
	size_t n = 0;

	if (v != NULL)
		return v;
	for (; *name != '\0' && n < sizeof(snake) - 2; name++) {
		if (*name >= 'A' && *name <= 'Z')
			snake[n++] = '_';
		snake[n++] =
		    (char)(*name >= 'A' && *name <= 'Z' ? *name | 32 : *name);
	}
	snake[n] = '\0';
	return json_object_get(obj, snake);
}

static const char *
gemini_str(const json_t *obj, const char *name)
{
	return json_string_value(gemini_get(obj, name));
}

/* What a function answered: text goes into the hash. */
static void
gemini_hash_response(struct call *q, const json_t *response)
{
	const json_t *v;
	const char *name;

	json_object_foreach ((json_t *)(uintptr_t)response, name, v)
		tree_hash(&q->s, v);
}

static bool
gemini_signature(struct call *q, const json_t *part)
{
	struct str sig = tree_slice(gemini_get(part, "thoughtSignature"));
	const json_t *call = gemini_get(part, "functionCall");

	if (sig.len == 0 || str_eqz(sig, "skip_thought_signature_validator") ||
	    str_eqz(sig, "context_engineering_is_the_way_to_go"))
		return true;
	if (sign_check(sig, 'g', tree_slice(gemini_get(call, "name"))))
		return true;
	return gemini_bad(
	    q, "thoughtSignature", "Thought signature is not valid.");
}

struct gemini_turn {
	int n_calls, n_responses;
};

static bool
gemini_blob(struct call *q, const json_t *part, const char *path)
{
	const json_t *data = gemini_get(part, "inlineData");
	const json_t *file = gemini_get(part, "fileData");

	if (data != NULL && (gemini_str(data, "mimeType") == NULL ||
				gemini_str(data, "data") == NULL))
		return gemini_bad(q, path,
		    "Unable to process input image: inline_data needs a "
		    "mime_type and data.");
	return tree_fields(q, data, path, "mimeType data displayName") &&
	       tree_fields(q, file, path, "mimeType fileUri displayName");
}

static bool
gemini_part(struct call *q, const json_t *part, const char *path, bool model,
    struct gemini_turn *turn)
{
	static const char *const kinds[] = {"text", "inlineData", "fileData",
	    "functionCall", "functionResponse", "executableCode",
	    "codeExecutionResult"};
	const json_t *call = gemini_get(part, "functionCall");
	const json_t *response = gemini_get(part, "functionResponse");
	const json_t *text = gemini_get(part, "text");
	int n = 0;

	if (!tree_fields(q, part, path, PART_FIELDS) ||
	    !tree_fields(
		q, call, path, "id name args partialArgs willContinue") ||
	    !tree_fields(q, response, path,
		"id name response willContinue scheduling parts"))
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		n += gemini_get(part, kinds[i]) != NULL;
	if (n != 1)
		return gemini_bad(q, path,
		    "* GenerateContentRequest.contents.parts.data: required "
		    "oneof field 'data' must have one initialized field\n");
	if (call != NULL) {
		turn->n_calls++;
		if (!model || gemini_str(call, "name") == NULL)
			return gemini_bad(q, path,
			    "* GenerateContentRequest.contents.parts."
			    "function_call.name: Name cannot be empty.\n");
	}
	if (response != NULL) {
		turn->n_responses++;
		q->s.has_tool_result = true;
		if (gemini_str(response, "name") == NULL ||
		    !json_is_object(gemini_get(response, "response")))
			return gemini_bad(q, path,
			    "* GenerateContentRequest.contents.parts."
			    "function_response.name: Name cannot be empty.\n");
		gemini_hash_response(q, gemini_get(response, "response"));
	}
	if (text != NULL && !json_is_true(gemini_get(part, "thought")))
		tree_hash(&q->s, text);
	return gemini_blob(q, part, path) && gemini_signature(q, part);
}

static bool
gemini_content(struct call *q, const json_t *content, const char *path,
    struct gemini_turn *turn)
{
	const json_t *parts = gemini_get(content, "parts"), *part;
	const char *role = gemini_str(content, "role");
	bool model = role != NULL && strcmp(role, "model") == 0;
	char at[96];
	size_t i;

	if (!tree_fields(q, content, path, "role parts"))
		return false;
	if (role != NULL && !model && strcmp(role, "user") != 0 &&
	    strcmp(role, "function") != 0 && strcmp(path, "contents") == 0)
		return gemini_bad(
		    q, path, "Please use a valid role: user, model.");
	if (json_array_size(parts) == 0)
		return gemini_bad(q, path,
		    "* GenerateContentRequest.contents.parts: contents.parts "
		    "must not be empty.\n");
	json_array_foreach (parts, i, part) {
		(void)snprintf(at, sizeof(at), "%.40s.parts[%zu]", path, i);
		if (!gemini_part(q, part, at, model, turn))
			return false;
	}
	tree_count(&q->s, content);
	return true;
}

static bool
gemini_contents(struct call *q, const json_t *root)
{
	const json_t *contents = gemini_get(root, "contents"), *one;
	const json_t *system = gemini_get(root, "systemInstruction");
	struct gemini_turn before = {0}, turn;
	size_t i;

	if (json_array_size(contents) == 0)
		return gemini_bad(q, "contents",
		    "* GenerateContentRequest.contents: contents is not "
		    "specified\n");
	if (system != NULL &&
	    !gemini_content(q, system, "system_instruction", &before))
		return false;
	json_array_foreach (contents, i, one) {
		turn = (struct gemini_turn){0};
		q->s.has_tool_result = false;
		if (!gemini_content(q, one, "contents", &turn))
			return false;
		if (turn.n_responses > 0 && before.n_calls == 0)
			return gemini_bad(q, "contents",
			    "Please ensure that function response turn comes "
			    "immediately after a function call turn.");
		if (turn.n_responses != before.n_calls)
			return gemini_bad(q, "contents",
			    "Please ensure that the number of function "
			    "response parts is equal to the number of function "
			    "call parts of the function call turn.");
		before = turn;
	}
	return true;
}

static bool
gemini_tools(struct call *q)
{
	const json_t *tools = gemini_get(q->root, "tools"), *tool, *f;
	const json_t *config = gemini_get(q->root, "toolConfig");
	const json_t *calling = gemini_get(config, "functionCallingConfig");
	const json_t *allowed = gemini_get(calling, "allowedFunctionNames");
	const char *mode = gemini_str(calling, "mode");
	size_t i, k;

	json_array_foreach (tools, i, tool) {
		if (!tree_fields(q, tool, "tools",
			"functionDeclarations googleSearch "
			"googleSearchRetrieval "
			"codeExecution urlContext computerUse fileSearch "
			"googleMaps retrieval enterpriseWebSearch"))
			return false;
		json_array_foreach (
		    gemini_get(tool, "functionDeclarations"), k, f) {
			const json_t *schema = gemini_get(f, "parameters");

			if (!tree_fields(q, f,
				"tools[0].function_declarations[0]",
				"name description parameters "
				"parametersJsonSchema response "
				"responseJsonSchema behavior"))
				return false;
			if (gemini_str(f, "name") == NULL)
				return gemini_bad(q, "tools",
				    "* GenerateContentRequest.tools[0].function"
				    "_declarations[0].name: Invalid function "
				    "name. Must start with a letter or an "
				    "underscore.\n");
			tree_count(&q->s, f);
			tree_add_tool(&q->s, gemini_str(f, "name"),
			    schema != NULL
				? schema
				: gemini_get(f, "parametersJsonSchema"));
		}
	}
	if (!tree_fields(q, config, "tool_config",
		"functionCallingConfig retrievalConfig "
		"includeServerSideToolInvocations") ||
	    !tree_fields(q, calling, "tool_config.function_calling_config",
		"mode allowedFunctionNames streamFunctionCallArguments"))
		return false;
	q->s.partial_args =
	    json_is_true(gemini_get(calling, "streamFunctionCallArguments"));
	if (mode != NULL && strcmp(mode, "NONE") == 0)
		q->s.choice = CHOICE_NONE;
	if (mode != NULL && strcmp(mode, "ANY") == 0 && !q->s.has_tool_result)
		q->s.choice =
		    json_array_size(allowed) == 1 ? CHOICE_TOOL : CHOICE_ANY;
	q->s.choice_name = json_string_value(json_array_get(allowed, 0));
	return true;
}

static bool
gemini_config(struct call *q)
{
	const json_t *config = gemini_get(q->root, "generationConfig");
	const json_t *thinking = gemini_get(config, "thinkingConfig");
	const char *mime = gemini_str(config, "responseMimeType");
	json_t *v;

	if (!tree_fields(q, config, "generation_config", CONFIG_FIELDS) ||
	    !tree_fields(q, thinking, "generation_config.thinking_config",
		"includeThoughts thinkingBudget thinkingLevel"))
		return false;
	v = gemini_get(config, "maxOutputTokens");
	if (v != NULL)
		q->s.max_tokens = json_integer_value(v);
	v = gemini_get(config, "candidateCount");
	if (v != NULL)
		q->s.n = json_integer_value(v);
	if (q->s.n < 1 || q->s.n > 8)
		return gemini_bad(q, "candidateCount",
		    "Only 1 to 8 candidates can be specified");
	v = gemini_get(config, "temperature");
	if (json_number_value(v) < 0 || json_number_value(v) > 2)
		return gemini_bad(q, "temperature",
		    "* GenerateContentRequest.generation_config.temperature: "
		    "temperature must be in the range [0.0, 2.0].\n");
	q->s.json = mime != NULL && strcmp(mime, "application/json") == 0;
	q->s.format = gemini_get(config, "responseSchema");
	if (q->s.format == NULL)
		q->s.format = gemini_get(config, "responseJsonSchema");
	if (q->s.format != NULL && !q->s.json)
		return gemini_bad(q, "responseSchema",
		    "* GenerateContentRequest.generation_config.response_"
		    "schema: only allowed for application/json\n");
	q->s.show_thinking =
	    json_is_true(gemini_get(thinking, "includeThoughts"));
	v = gemini_get(thinking, "thinkingBudget");
	q->s.thinking =
	    v != NULL ? json_integer_value(v) != 0 : thinking != NULL;
	q->s.stop =
	    tree_slice(json_array_get(gemini_get(config, "stopSequences"), 0));
	q->s.logprobs = json_is_true(gemini_get(config, "responseLogprobs"));
	v = gemini_get(config, "logprobs");
	if (v != NULL)
		q->s.top_logprobs = json_integer_value(v);
	q->s.tier = tree_slice(gemini_get(q->root, "serviceTier"));
	return true;
}

static void
gemini_generate(struct call *q, bool stream)
{
	const struct sim_model *m;

	if (!tree_fields(q, q->root, "", GENERATE_FIELDS) ||
	    !gemini_contents(q, q->root) || !gemini_tools(q) ||
	    !gemini_config(q) || !call_model(q, false, &m))
		return;
	q->s.stream = stream;
	if (stream && !str_eqz(http_query(q->r, "alt"), "sse"))
		q->d = &generate_array_dialect;
	call_start(q, m, false);
}

static void
gemini_count(struct call *q)
{
	const json_t *inner = gemini_get(q->root, "generateContentRequest");
	const struct sim_model *m;
	char body[160];

	if (!tree_fields(q, q->root, "",
		"contents generateContentRequest systemInstruction tools "
		"generationConfig model instances") ||
	    !gemini_contents(q, inner != NULL ? inner : q->root) ||
	    !call_model(q, false, &m))
		return;
	atomic_fetch_add(&q->c->sim->n.count_tokens, 1);
	(void)snprintf(body, sizeof(body),
	    "{\"totalTokens\":%lld,\"promptTokensDetails\":[{\"modality\":"
	    "\"TEXT\",\"tokenCount\":%lld}]}",
	    (long long)q->s.prompt_tokens, (long long)q->s.prompt_tokens);
	reply_full(q->c, 200, "application/json", "", str_of(body));
}

static bool
gemini_embed_one(struct call *q, const json_t *one)
{
	const json_t *content = gemini_get(one, "content");
	json_t *v = gemini_get(one, "outputDimensionality");
	struct gemini_turn turn = {0};

	if (content == NULL)
		return gemini_bad(q, "content",
		    "* EmbedContentRequest.content: contents is not "
		    "specified\n");
	if (json_is_integer(v))
		q->s.dimensions = json_integer_value(v);
	q->s.n_inputs++;
	if (json_is_string(content)) { /* Vertex' instances */
		tree_hash(&q->s, content);
		tree_count(&q->s, content);
		return true;
	}
	return tree_fields(q, one, "",
		   "model content taskType title outputDimensionality "
		   "task_type autoTruncate embedContentConfig") &&
	       gemini_content(q, content, "content", &turn);
}

/* Each request of a batch names the model that the path names. */
static bool
gemini_embed_models(struct call *q, const char *list)
{
	const json_t *one;
	size_t i;

	if (list == NULL || strcmp(list, "requests") != 0)
		return true;
	json_array_foreach (json_object_get(q->root, list), i, one) {
		struct str name = tree_slice(gemini_get(one, "model"));

		if (str_starts(name, STR("models/")))
			name = str_make(name.p + 7, name.len - 7);
		else
			name = STR_NULL;
		if (str_eq(name, q->model))
			continue;
		problem_replyf(q->c, PROBLEM_INVALID, "requests",
		    "* BatchEmbedContentsRequest.requests[%zu].model: %s\n", i,
		    name.len == 0 ? "unexpected model name format"
				  : "all requests must be for the same model "
				    "as the batch");
		return false;
	}
	return true;
}

static void
gemini_embed(struct call *q, const char *list, const struct dialect *d)
{
	const struct sim_model *m;
	const json_t *one;
	size_t i;

	if (list == NULL) {
		if (!gemini_embed_one(q, q->root))
			return;
	} else {
		const json_t *parameters =
		    json_object_get(q->root, "parameters");
		const json_t *all = json_object_get(q->root, list);

		if (json_array_size(all) == 0) {
			(void)gemini_bad(q, list,
			    "* BatchEmbedContentsRequest.requests: "
			    "requests is not specified\n");
			return;
		}
		json_array_foreach (all, i, one) {
			if (!gemini_embed_one(q, one))
				return;
		}
		q->s.dimensions = tree_int(
		    parameters, "outputDimensionality", q->s.dimensions);
	}
	if (!call_model(q, true, &m) || !call_dimensions(q, m) ||
	    !gemini_embed_models(q, list))
		return;
	q->d = d;
	q->s.base64 = list != NULL; /* the answer is a list */
	call_start(q, m, false);
}

void
call_gemini(struct call *q)
{
	if (!tree_parse(q))
		return;
	if (str_eqz(q->action, "generateContent"))
		gemini_generate(q, false);
	else if (str_eqz(q->action, "streamGenerateContent"))
		gemini_generate(q, true);
	else if (str_eqz(q->action, "countTokens"))
		gemini_count(q);
	else if (str_eqz(q->action, "embedContent"))
		gemini_embed(q, NULL, &gemini_embed_dialect);
	else if (str_eqz(q->action, "batchEmbedContents"))
		gemini_embed(q, "requests", &gemini_embed_dialect);
	else if (str_eqz(q->action, "predict") && q->c->speaker == SPEAK_VERTEX)
		gemini_embed(q, "instances", &vertex_predict_dialect);
	else
		problem_reply(q->c, PROBLEM_NOT_FOUND, NULL,
		    "The requested URL was not found on this server.");
}
