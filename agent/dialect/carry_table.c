/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what can be carried where. A column per provider dialect:
 *
 *   Y        carried as it is          N(x)  refused; x says why
 *   NEAR(x)  carried as x says         DROP(x) left out and listed
 *
 * A row's names are what the client called it, for error texts.
 */
#include <stddef.h>

#include "agent/dialect/carry.h"
#include "agent/dialect/ir.h"

/* clang-format off */
#define Y	{CARRY_YES, NULL}
#define N	{CARRY_NO, NULL}
#define NX(x)	{CARRY_NO, x}
#define NEAR(x)	{CARRY_NEAR, x}
#define DROP(x)	{CARRY_DROP, x}
/* clang-format on */

static bool
carry_not_empty(struct str s)
{
	return s.len > 0;
}

/* A number that is there and not zero. */
static bool
carry_not_zero(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] >= '1' && s.p[i] <= '9')
			return true;
		if (s.p[i] == 'e' || s.p[i] == 'E')
			break;
	}
	return false;
}

#define CARRY_ASKS(name, condition)                         \
	static bool carry_asks_##name(                      \
	    const struct ir_request *r, const char **field) \
	{                                                   \
		(void)field;                                \
		return condition;                           \
	}

CARRY_ASKS(stream, r->stream)
CARRY_ASKS(max_output, r->max_output >= 0)
CARRY_ASKS(temperature, carry_not_empty(r->temperature))
CARRY_ASKS(top_p, carry_not_empty(r->top_p))
CARRY_ASKS(top_k, carry_not_empty(r->top_k))
CARRY_ASKS(frequency, carry_not_zero(r->frequency_penalty))
CARRY_ASKS(presence, carry_not_zero(r->presence_penalty))
CARRY_ASKS(seed, carry_not_empty(r->seed))
CARRY_ASKS(stops, r->n_stops > 0)
CARRY_ASKS(n, r->n > 1)
CARRY_ASKS(logprobs, r->logprobs)
CARRY_ASKS(top_logprobs, r->logprobs && r->top_logprobs > 0)
CARRY_ASKS(json, r->format == IR_FORMAT_JSON)
CARRY_ASKS(schema, r->format == IR_FORMAT_SCHEMA)
CARRY_ASKS(tools, r->n_tools > 0)
CARRY_ASKS(choice_none, r->n_tools > 0 && r->choice == IR_CHOICE_NONE)
CARRY_ASKS(choice_any, r->choice == IR_CHOICE_ANY)
CARRY_ASKS(choice_tool, r->choice == IR_CHOICE_TOOL)
CARRY_ASKS(one_call, r->n_tools > 0 && r->parallel == 0)
CARRY_ASKS(effort, r->effort != IR_EFFORT_UNSET)
CARRY_ASKS(budget, r->thinking_budget >= 0)
CARRY_ASKS(user, carry_not_empty(r->user))
CARRY_ASKS(metadata, r->metadata.len > 2)
CARRY_ASKS(tier, carry_not_empty(r->service_tier) &&
		     !str_eqz(r->service_tier, "auto") &&
		     !str_eqz(r->service_tier, "default") &&
		     !str_eqz(r->service_tier, "standard") &&
		     !str_eqz(r->service_tier, "standard_only"))
CARRY_ASKS(verbosity,
    carry_not_empty(r->verbosity) && !str_eqz(r->verbosity, "medium"))
CARRY_ASKS(safety, r->safety.len > 2)
CARRY_ASKS(logit_bias, r->logit_bias.len > 2)

static bool
carry_asks_strict(const struct ir_request *r, const char **field)
{
	const struct ir_tool *t;

	(void)field;
	for (t = r->tools; t != NULL; t = t->next) {
		if (t->strict == 1)
			return true;
	}
	return false;
}

static bool
carry_asks_tool_cache(const struct ir_request *r, const char **field)
{
	const struct ir_tool *t;

	(void)field;
	for (t = r->tools; t != NULL; t = t->next) {
		if (t->cache != IR_CACHE_NONE)
			return true;
	}
	return false;
}

static bool
carry_asks_eager(const struct ir_request *r, const char **field)
{
	const struct ir_tool *t;

	(void)field;
	for (t = r->tools; t != NULL; t = t->next) {
		if (t->eager)
			return true;
	}
	return false;
}

#define TOP	NEAR("all of it at the top of the prompt")
#define AS_SYS	NEAR("as system text")
#define AS_TEXT NEAR("as text")
#define OWN_ID	NEAR("the id must be one of that provider's")
#define NO_URL	NX("it takes no URLs, and the agent fetches nothing")
#define UNSAID	NEAR("its text says so")
#define PROOF	NEAR("left out: only its maker can use it")
#define AUTO	DROP("left out")

/* clang-format off */
const struct carry_row carry_rows[] = {
/* feature, {chat, responses, Anthropic, Gemini},
 * {OpenAI, Anthropic, Gemini, Bedrock, Cohere, Ollama}, asks */
[CARRY_SYSTEM] = {"system text",
    {"messages[].role", "instructions", "system", "systemInstruction"},
    {Y, TOP, TOP, TOP, Y, Y}, NULL},
[CARRY_DEVELOPER] = {"developer text",
    {"messages[].role", "input[].role", NULL, NULL},
    {NEAR("role developer; system where the provider knows no other"),
	AS_SYS, AS_SYS, AS_SYS, AS_SYS, AS_SYS}, NULL},
[CARRY_NAME] = {"names of speakers",
    {"messages[].name", NULL, NULL, NULL},
    {Y, N, N, N, N, N}, NULL},
[CARRY_IMAGE_DATA] = {"images, base64",
    {"messages[].content[].image_url", "input[].content[].image_url",
	"messages[].content[].source", "contents[].parts[].inlineData"},
    {Y, Y, Y, Y, Y, Y}, NULL},
[CARRY_IMAGE_URL] = {"images, URL",
    {"messages[].content[].image_url", "input[].content[].image_url",
	"messages[].content[].source", "contents[].parts[].fileData"},
    {Y, Y, NEAR("fileData; the provider fetches it"), NO_URL, Y, NO_URL},
    NULL},
[CARRY_IMAGE_FILE] = {"images, file id",
    {NULL, "input[].content[].file_id", "messages[].content[].source", NULL},
    {N, OWN_ID, N, N, N, N}, NULL},
[CARRY_IMAGE_DETAIL] = {"image detail low or high",
    {"messages[].content[].image_url.detail", "input[].content[].detail",
	NULL, NULL},
    {Y, AUTO, AUTO, AUTO, Y, AUTO}, NULL},
[CARRY_DOCUMENT_DATA] = {"documents, base64",
    {"messages[].content[].file", "input[].content[].file_data",
	"messages[].content[].source", "contents[].parts[].inlineData"},
    {Y, Y, Y, Y, N, N}, NULL},
[CARRY_DOCUMENT_URL] = {"documents, URL",
    {NULL, "input[].content[].file_url", "messages[].content[].source",
	"contents[].parts[].fileData"},
    {NO_URL, Y, NEAR("fileData; the provider fetches it"), NO_URL, NO_URL,
	NO_URL}, NULL},
[CARRY_DOCUMENT_FILE] = {"documents, file id",
    {"messages[].content[].file.file_id", "input[].content[].file_id",
	"messages[].content[].source", NULL},
    {OWN_ID, OWN_ID, N, N, N, N}, NULL},
[CARRY_AUDIO] = {"audio input",
    {"messages[].content[].input_audio", "input[].content[].input_audio",
	NULL, "contents[].parts[].inlineData"},
    {NEAR("wav and mp3"), N, Y, Y, N, N}, NULL},
[CARRY_VIDEO] = {"video input",
    {NULL, NULL, NULL, "contents[].parts[].inlineData"},
    {N, N, Y, NEAR("base64 only"), N, N}, NULL},
[CARRY_TOOL_CALL] = {"tool calls",
    {"messages[].tool_calls", "input[].call_id", "messages[].content[].id",
	"contents[].parts[].functionCall"},
    {Y, Y, Y, Y, Y, Y}, NULL},
[CARRY_TOOL_RESULT] = {"tool results",
    {"messages[].tool_call_id", "input[].output",
	"messages[].content[].tool_use_id",
	"contents[].parts[].functionResponse"},
    {Y, Y, Y, Y, Y, Y}, NULL},
[CARRY_RESULT_IMAGE] = {"images in tool results",
    {NULL, "input[].output", "messages[].content[].content",
	"contents[].parts[].functionResponse.parts"},
    {NEAR("in a user message behind the results"), Y,
	NEAR("behind the result"), Y, N,
	NEAR("in a user message behind the results")}, NULL},
[CARRY_RESULT_DOCUMENT] = {"documents in tool results",
    {NULL, "input[].output", "messages[].content[].content",
	"contents[].parts[].functionResponse.parts"},
    {NEAR("in a user message behind the results"), Y,
	NEAR("behind the result"), Y, N, N}, NULL},
[CARRY_RESULT_ERROR] = {"tool results that are errors",
    {NULL, NULL, "messages[].content[].is_error", NULL},
    {UNSAID, Y, NEAR("response.error"), Y, UNSAID, UNSAID}, NULL},
[CARRY_RESULT_JSON] = {"tool results as JSON objects",
    {NULL, NULL, NULL, "contents[].parts[].functionResponse.response"},
    {AS_TEXT, AS_TEXT, Y, Y, AS_TEXT, AS_TEXT}, NULL},
[CARRY_THINKING] = {"earlier thinking",
    {"messages[].reasoning_content", "input[].encrypted_content",
	"messages[].content[].thinking", "contents[].parts[].thought"},
    {NEAR("left out, but for providers that want reasoning_content"),
	NEAR("with its signature; left out without one"),
	NEAR("with its signature; left out without one"),
	NEAR("with its signature; left out without one"),
	NEAR("left out"), Y}, NULL},
[CARRY_REDACTED] = {"earlier thinking, encrypted",
    {NULL, "input[].encrypted_content", "messages[].content[].data", NULL},
    {PROOF, Y, PROOF, Y, PROOF, PROOF}, NULL},
[CARRY_SIGNATURE] = {"signatures of calls and text",
    {"messages[].tool_calls[].extra_content", NULL, NULL,
	"contents[].parts[].thoughtSignature"},
    {PROOF, PROOF, Y, PROOF, PROOF, PROOF}, NULL},
[CARRY_REFUSAL] = {"earlier refusals",
    {"messages[].refusal", "input[].content[].refusal", NULL, NULL},
    {Y, AS_TEXT, AS_TEXT, AS_TEXT, AS_TEXT, AS_TEXT}, NULL},
[CARRY_CACHE] = {"cache break points in messages",
    {"messages[].content[].prompt_cache_breakpoint",
	"input[].content[].prompt_cache_breakpoint",
	"messages[].content[].cache_control", NULL},
    {AUTO, Y, AUTO, Y, AUTO, AUTO}, NULL},
{"cache break points in tools", {NULL, NULL, "tools[].cache_control", NULL},
    {AUTO, Y, AUTO, Y, AUTO, AUTO}, carry_asks_tool_cache},
{"streaming", {"stream", "stream", "stream", "streamGenerateContent"},
    {Y, Y, Y, Y, Y, Y}, carry_asks_stream},
{"output cap",
    {"max_completion_tokens", "max_output_tokens", "max_tokens",
	"generationConfig.maxOutputTokens"},
    {NEAR("max_completion_tokens, or max_tokens where only that is known"),
	NEAR("always sent; without one in the request the model's cap"),
	Y, Y, Y, Y}, carry_asks_max_output},
{"temperature",
    {"temperature", "temperature", "temperature",
	"generationConfig.temperature"},
    {Y, NEAR("0 to 1; above is refused; not together with thinking"), Y,
	Y, Y, Y}, carry_asks_temperature},
{"top_p", {"top_p", "top_p", "top_p", "generationConfig.topP"},
    {Y, NEAR("not together with thinking"), Y, Y, Y, Y}, carry_asks_top_p},
{"top_k", {NULL, NULL, "top_k", "generationConfig.topK"},
    {N, NEAR("not together with thinking"), Y,
	NEAR("additionalModelRequestFields.top_k"), Y, Y}, carry_asks_top_k},
{"frequency penalty",
    {"frequency_penalty", NULL, NULL, "generationConfig.frequencyPenalty"},
    {Y, N, Y, N, Y, Y}, carry_asks_frequency},
{"presence penalty",
    {"presence_penalty", NULL, NULL, "generationConfig.presencePenalty"},
    {Y, N, Y, N, Y, Y}, carry_asks_presence},
{"seed", {"seed", NULL, NULL, "generationConfig.seed"},
    {Y, N, Y, N, Y, Y}, carry_asks_seed},
{"stop sequences",
    {"stop", NULL, "stop_sequences", "generationConfig.stopSequences"},
    {NEAR("at most 4"), Y, NEAR("at most 5"), Y, NEAR("at most 5"), Y},
    carry_asks_stops},
{"several choices", {"n", NULL, NULL, "generationConfig.candidateCount"},
    {Y, N, Y, N, N, N}, carry_asks_n},
{"log probabilities",
    {"logprobs", "include", NULL, "generationConfig.responseLogprobs"},
    {Y, N, Y, N, NEAR("a chunk's text stands with the first of its tokens"), N},
    carry_asks_logprobs},
{"top log probabilities",
    {"top_logprobs", "top_logprobs", NULL, "generationConfig.logprobs"},
    {Y, N, Y, N, N, N}, carry_asks_top_logprobs},
{"JSON output",
    {"response_format", "text.format", NULL,
	"generationConfig.responseMimeType"},
    {Y, NEAR("asked for in the system text"), Y,
	NEAR("asked for in the system text"), Y, Y}, carry_asks_json},
{"JSON schema output",
    {"response_format", "text.format", "output_config.format",
	"generationConfig.responseJsonSchema"},
    {Y, NEAR("without the schema's name and description"),
	NEAR("without the schema's name and description"),
	NEAR("without the schema's description"),
	NEAR("without the schema's name and description"),
	NEAR("without the schema's name and description")},
    carry_asks_schema},
{"tools", {"tools", "tools", "tools", "tools"},
    {Y, Y, Y, Y, Y, Y}, carry_asks_tools},
{"strict tools",
    {"tools[].function.strict", "tools[].strict", "tools[].strict", NULL},
    {Y, Y, NEAR("the schema is shown, not enforced"), Y,
	NEAR("strict_tools, for all tools"),
	NEAR("the schema is shown, not enforced")}, carry_asks_strict},
{"eager tool arguments",
    {NULL, NULL, "tools[].eager_input_streaming", NULL},
    {AUTO, Y, AUTO, AUTO, AUTO, AUTO}, carry_asks_eager},
{"tool choice: none",
    {"tool_choice", "tool_choice", "tool_choice",
	"toolConfig.functionCallingConfig.mode"},
    {Y, Y, Y, NEAR("the tools are left out"), Y,
	NEAR("the tools are left out")}, carry_asks_choice_none},
{"tool choice: any",
    {"tool_choice", "tool_choice", "tool_choice",
	"toolConfig.functionCallingConfig.mode"},
    {Y, NEAR("not together with thinking"), Y, Y, Y, N},
    carry_asks_choice_any},
{"tool choice: one tool",
    {"tool_choice", "tool_choice", "tool_choice",
	"toolConfig.functionCallingConfig.allowedFunctionNames"},
    {Y, NEAR("not together with thinking"), Y, Y,
	NEAR("only that tool is offered"), N}, carry_asks_choice_tool},
{"one tool call at a time",
    {"parallel_tool_calls", "parallel_tool_calls",
	"tool_choice.disable_parallel_tool_use", NULL},
    {Y, Y, N, N, N, N}, carry_asks_one_call},
{"reasoning effort",
    {"reasoning_effort", "reasoning.effort", "output_config.effort",
	"generationConfig.thinkingConfig.thinkingLevel"},
    {Y, NEAR("adaptive thinking with an effort, or a thinking budget"),
	NEAR("thinkingLevel or thinkingBudget"), NEAR("a thinking budget"),
	NEAR("a thinking budget"), NEAR("think")}, carry_asks_effort},
{"thinking budget",
    {NULL, NULL, "thinking.budget_tokens",
	"generationConfig.thinkingConfig.thinkingBudget"},
    {NEAR("the nearest reasoning_effort"),
	NEAR("at least 1024 and below the output cap; as an effort where the "
	     "model takes no budget"), Y, Y, Y, NEAR("think")},
    carry_asks_budget},
{"thinking in the answer",
    {"reasoning_content", "reasoning.summary", "thinking",
	"generationConfig.thinkingConfig.includeThoughts"},
    {NEAR("where the provider sends reasoning_content"), Y, Y, Y, Y, Y},
    NULL},
{"end user",
    {"user", "user", "metadata.user_id", NULL},
    {Y, Y, AUTO, NEAR("requestMetadata.user"), AUTO, AUTO},
    carry_asks_user},
{"metadata", {"metadata", "metadata", NULL, "labels"},
    {Y, AUTO, AUTO, NEAR("requestMetadata"), AUTO, AUTO},
    carry_asks_metadata},
{"service tier other than the default",
    {"service_tier", "service_tier", "service_tier", "serviceTier"},
    {Y, N, NEAR("flex and priority"), NEAR("flex and priority"), N, N},
    carry_asks_tier},
{"verbosity", {"verbosity", "text.verbosity", NULL, NULL},
    {Y, N, N, N, N, N}, carry_asks_verbosity},
{"safety settings", {NULL, NULL, NULL, "safetySettings"},
    {N, N, Y, N, N, N}, carry_asks_safety},
{"logit bias", {"logit_bias", NULL, NULL, NULL},
    {Y, N, N, N, N, N}, carry_asks_logit_bias},
};
/* clang-format on */

const unsigned carry_n_rows = sizeof(carry_rows) / sizeof(carry_rows[0]);
