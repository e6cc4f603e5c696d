/* SPDX-License-Identifier: Apache-2.0 */
/* Errors in the words of each provider. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "tests/provider/route.h"

static const char *const speaker_names[SPEAK_COUNT] = {"openai", "azure",
    "mistral", "vllm", "deepseek", "anthropic", "gemini", "vertex", "bedrock",
    "cohere", "ollama"};

const char *
speaker_name(enum speaker s)
{
	return s < SPEAK_COUNT ? speaker_names[s] : "?";
}

/* What each problem is called, in the order of enum problem. */
static const struct {
	int status, bedrock_status;
	const char *openai_type, *openai_code, *anthropic, *google, *bedrock;
	const char *message;
} problems[PROBLEM_COUNT] = {
    [PROBLEM_INVALID] = {400, 400, "invalid_request_error", NULL,
	"invalid_request_error", "INVALID_ARGUMENT", "ValidationException",
	"Unsupported value: 'temperature' does not support 9."},
    [PROBLEM_UNKNOWN_FIELD] = {400, 400, "invalid_request_error",
	"unknown_parameter", "invalid_request_error", "INVALID_ARGUMENT",
	"ValidationException", "Unknown field."},
    [PROBLEM_MISSING] = {400, 400, "invalid_request_error",
	"missing_required_parameter", "invalid_request_error",
	"INVALID_ARGUMENT", "ValidationException", "A field is missing."},
    [PROBLEM_CONTEXT] = {400, 400, "invalid_request_error",
	"context_length_exceeded", "invalid_request_error", "INVALID_ARGUMENT",
	"ValidationException",
	"This model's maximum context length was exceeded."},
    [PROBLEM_UNSUPPORTED] = {400, 400, "invalid_request_error",
	"unsupported_value", "invalid_request_error", "INVALID_ARGUMENT",
	"ValidationException",
	"Unsupported value: 'temperature' does not support 9."},
    [PROBLEM_NO_KEY] = {401, 403, "invalid_request_error", NULL,
	"authentication_error", "UNAUTHENTICATED",
	"MissingAuthenticationTokenException", "No API key was given."},
    [PROBLEM_BAD_KEY] = {401, 403, "invalid_request_error", "invalid_api_key",
	"authentication_error", "UNAUTHENTICATED",
	"UnrecognizedClientException", "Incorrect API key provided: sk-***"},
    [PROBLEM_FORBIDDEN] = {403, 403, "invalid_request_error",
	"unsupported_country_region_territory", "permission_error",
	"PERMISSION_DENIED", "AccessDeniedException",
	"You don't have access to the model with the specified model ID."},
    [PROBLEM_NO_MODEL] = {404, 404, "invalid_request_error", "model_not_found",
	"not_found_error", "NOT_FOUND", "ResourceNotFoundException",
	"The model does not exist."},
    [PROBLEM_NOT_FOUND] = {404, 404, "invalid_request_error", NULL,
	"not_found_error", "NOT_FOUND", "ResourceNotFoundException",
	"Not found."},
    [PROBLEM_TIMEOUT] = {408, 408, "server_error", NULL, "timeout_error",
	"DEADLINE_EXCEEDED", "ModelTimeoutException",
	"The request took too long to process."},
    [PROBLEM_TOO_LARGE] = {413, 413, "invalid_request_error", NULL,
	"request_too_large", "INVALID_ARGUMENT", "ValidationException",
	"Request exceeds the maximum allowed number of bytes."},
    [PROBLEM_RATE] = {429, 429, "requests", "rate_limit_exceeded",
	"rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException",
	"Rate limit reached for requests. Please try again later."},
    [PROBLEM_QUOTA] = {429, 400, "insufficient_quota", "insufficient_quota",
	"billing_error", "RESOURCE_EXHAUSTED", "ServiceQuotaExceededException",
	"You exceeded your current quota, please check your plan and "
	"billing details."},
    [PROBLEM_SERVER] = {500, 500, "server_error", NULL, "api_error", "INTERNAL",
	"InternalServerException",
	"The server had an error while processing your request. Sorry "
	"about that!"},
    [PROBLEM_BAD_GATEWAY] = {502, 424, "server_error", NULL, "api_error",
	"UNAVAILABLE", "ModelErrorException", "The model returned an error."},
    [PROBLEM_UNAVAILABLE] = {503, 503, "server_error", "service_unavailable",
	"overloaded_error", "UNAVAILABLE", "ServiceUnavailableException",
	"The service is unavailable."},
    [PROBLEM_GATEWAY_TIMEOUT] = {504, 424, "server_error", NULL,
	"timeout_error", "DEADLINE_EXCEEDED", "ModelErrorException",
	"The upstream model timed out."},
    [PROBLEM_OVERLOADED] = {503, 429, "server_error", "overloaded",
	"overloaded_error", "UNAVAILABLE", "ModelNotReadyException",
	"Overloaded"},
    [PROBLEM_FILTERED] = {400, 400, "invalid_request_error", "content_filter",
	"invalid_request_error", "INVALID_ARGUMENT", "ValidationException",
	"The response was filtered due to the prompt triggering Azure "
	"OpenAI's content management policy. Please modify your prompt "
	"and retry."},
};

bool
problem_of_fault(int64_t fault, enum problem *ret)
{
	static const struct {
		enum fault fault;
		enum problem problem;
	} table[] = {{FAULT_400, PROBLEM_UNSUPPORTED},
	    {FAULT_401, PROBLEM_BAD_KEY}, {FAULT_403, PROBLEM_FORBIDDEN},
	    {FAULT_404, PROBLEM_NO_MODEL}, {FAULT_408, PROBLEM_TIMEOUT},
	    {FAULT_413, PROBLEM_TOO_LARGE}, {FAULT_429, PROBLEM_RATE},
	    {FAULT_429_QUOTA, PROBLEM_QUOTA}, {FAULT_500, PROBLEM_SERVER},
	    {FAULT_502, PROBLEM_BAD_GATEWAY},
	    {FAULT_504, PROBLEM_GATEWAY_TIMEOUT},
	    {FAULT_OVERLOADED, PROBLEM_OVERLOADED},
	    {FAULT_CONTENT_FILTER, PROBLEM_FILTERED}};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if ((int64_t)table[i].fault == fault) {
			*ret = table[i].problem;
			return true;
		}
	}
	return false;
}

/* Headers that say when to come again. */
static void
problem_retry(const struct conn *c, bool ms_form, char *out, size_t cap)
{
	int64_t ms = knob_or(c->x.k.retry_after_ms, 1000);
	int64_t form = knob_or(c->x.k.retry, RETRY_BOTH);
	time_t at = (time_t)(sim_wall_ms() / 1000 + (ms + 999) / 1000);
	char date[64];
	struct tm tm;

	(void)gmtime_r(&at, &tm);
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	out[0] = '\0';
	if (form == RETRY_NEVER)
		(void)snprintf(out, cap, "x-should-retry: false\r\n");
	else if (form == RETRY_DATE)
		(void)snprintf(out, cap, "retry-after: %s\r\n", date);
	else if (form == RETRY_MS)
		(void)snprintf(
		    out, cap, "retry-after-ms: %lld\r\n", (long long)ms);
	else if (form == RETRY_SECONDS || (form == RETRY_BOTH && !ms_form))
		(void)snprintf(out, cap, "retry-after: %lld\r\n",
		    (long long)((ms + 999) / 1000));
	else if (form == RETRY_BOTH)
		(void)snprintf(out, cap,
		    "retry-after-ms: %lld\r\nretry-after: %lld\r\n",
		    (long long)ms, (long long)((ms + 999) / 1000));
}

static void
problem_field(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "\"%s\":", name);
	if (value == NULL)
		buf_addz(b, "null");
	else
		buf_add_json(b, str_of(value));
}

static void
problem_openai(
    struct buf *b, enum problem p, const char *param, const char *message)
{
	buf_addz(b, "{\n  \"error\": {\n    ");
	problem_field(b, "message", message);
	buf_addz(b, ",\n    ");
	problem_field(b, "type", problems[p].openai_type);
	buf_addz(b, ",\n    ");
	problem_field(b, "param", param);
	buf_addz(b, ",\n    ");
	problem_field(b, "code",
	    strncmp(message, "Unsupported parameter", 21) == 0
		? "unsupported_parameter"
		: problems[p].openai_code);
	buf_addz(b, "\n  }\n}\n");
}

static void
problem_azure(struct buf *b, enum problem p, int status, const char *param,
    const char *message)
{
	char code[16];

	if (p == PROBLEM_FILTERED) {
		buf_addz(b, "{\"error\":{");
		problem_field(b, "message", message);
		buf_addz(b,
		    ",\"type\":null,\"param\":\"prompt\",\"code\":"
		    "\"content_filter\",\"status\":400,\"innererror\":{"
		    "\"code\":\"ResponsibleAIPolicyViolation\","
		    "\"content_filter_result\":{\"hate\":{\"filtered\":true,"
		    "\"severity\":\"high\"},\"jailbreak\":{\"filtered\":"
		    "false,\"detected\":false},\"self_harm\":{\"filtered\":"
		    "false,\"severity\":\"safe\"},\"sexual\":{\"filtered\":"
		    "false,\"severity\":\"safe\"},\"violence\":{\"filtered\":"
		    "false,\"severity\":\"safe\"}}}}}");
		return;
	}
	if (status == 400) {
		problem_openai(b, p, param, message);
		return;
	}
	(void)snprintf(code, sizeof(code), "%d", status);
	buf_addz(b, "{\"error\":{");
	problem_field(
	    b, "code", p == PROBLEM_NO_MODEL ? "DeploymentNotFound" : code);
	buf_addc(b, ',');
	problem_field(b, "message", message);
	buf_addz(b, "}}");
}

static void
problem_vllm(struct buf *b, int status, const char *message)
{
	buf_addz(b, "{\"object\":\"error\",");
	problem_field(b, "message", message);
	buf_addf(b, ",\"type\":\"%s\",\"param\":null,\"code\":%d}",
	    status == 404  ? "NotFoundError"
	    : status < 500 ? "BadRequestError"
			   : "InternalServerError",
	    status);
}

static void
problem_mistral(struct buf *b, enum problem p, int status, const char *param,
    const char *message)
{
	if (status == 422) {
		buf_addz(b, "{\"detail\":[{\"type\":");
		buf_addz(b, p == PROBLEM_MISSING ? "\"missing\""
						 : "\"extra_forbidden\"");
		buf_addz(b, ",\"loc\":[\"body\",");
		buf_add_json(b, str_of(param == NULL ? "" : param));
		buf_addz(b, "],\"msg\":");
		buf_add_json(b, str_of(p == PROBLEM_MISSING
					   ? "Field required"
					   : "Extra inputs are not permitted"));
		buf_addz(b, ",\"input\":null}]}");
		return;
	}
	buf_addz(b, "{\"object\":\"error\",");
	problem_field(b, "message", message);
	buf_addf(b, ",\"type\":\"%s\",\"param\":null,\"code\":\"%d\"}",
	    problems[p].openai_type, 1000 + status);
}

static void
problem_google(struct conn *c, struct buf *b, enum problem p, int status,
    const char *message)
{
	int64_t ms = knob_or(c->x.k.retry_after_ms, 1000);
	bool array =
	    c->x.d != NULL && c->x.d->wire == WIRE_ARRAY && c->x.stream;

	buf_addf(b, "%s{\n  \"error\": {\n    \"code\": %d,\n    \"message\": ",
	    array ? "[" : "", status);
	buf_add_json(b, str_of(message));
	buf_addf(b, ",\n    \"status\": \"%s\"",
	    status == 400 ? "INVALID_ARGUMENT" : problems[p].google);
	if (p == PROBLEM_BAD_KEY && status == 400)
		buf_addz(b,
		    ",\n    \"details\": [{\"@type\": \"type.googleapis.com/"
		    "google.rpc.ErrorInfo\", \"reason\": \"API_KEY_INVALID\","
		    " \"domain\": \"googleapis.com\"}]");
	if (p == PROBLEM_RATE || p == PROBLEM_QUOTA)
		buf_addf(b,
		    ",\n    \"details\": [{\"@type\": \"type.googleapis.com/"
		    "google.rpc.QuotaFailure\", \"violations\": "
		    "[{\"quotaMetric\": \"generativelanguage.googleapis.com/"
		    "generate_content_free_tier_requests\", \"quotaId\": "
		    "\"GenerateRequestsPer%sPerProjectPerModel-FreeTier\"}]},"
		    " {\"@type\": \"type.googleapis.com/google.rpc.RetryInfo\","
		    " \"retryDelay\": \"%lld.%03llds\"}]",
		    p == PROBLEM_QUOTA ? "Day" : "Minute",
		    (long long)(ms / 1000), (long long)(ms % 1000));
	buf_addf(b, "\n  }\n}%s\n", array ? "]" : "");
}

static int
problem_status(const struct conn *c, enum problem p)
{
	int status = problems[p].status;

	switch (c->speaker) {
	case SPEAK_BEDROCK:
		return problems[p].bedrock_status;
	case SPEAK_ANTHROPIC:
		return p == PROBLEM_OVERLOADED || p == PROBLEM_UNAVAILABLE ? 529
		       : p == PROBLEM_QUOTA				   ? 402
					    : status;
	case SPEAK_GEMINI:
		return p == PROBLEM_BAD_KEY  ? 400
		       : p == PROBLEM_NO_KEY ? 403
					     : status;
	case SPEAK_MISTRAL:
		return p == PROBLEM_UNKNOWN_FIELD || p == PROBLEM_MISSING
			   ? 422
			   : status;
	default:
		return status;
	}
}

static void
problem_body(struct conn *c, struct buf *b, enum problem p, int status,
    const char *param, const char *message)
{
	switch (c->speaker) {
	case SPEAK_ANTHROPIC:
		buf_addz(b, "{\"type\":\"error\",\"error\":{");
		problem_field(b, "type", problems[p].anthropic);
		buf_addc(b, ',');
		problem_field(b, "message", message);
		buf_addf(b, "},\"request_id\":\"req_011%016llx\"}",
		    (unsigned long long)atomic_load(&c->sim->next_id));
		break;
	case SPEAK_GEMINI:
	case SPEAK_VERTEX:
		problem_google(c, b, p, status, message);
		break;
	case SPEAK_BEDROCK:
	case SPEAK_COHERE:
		buf_addc(b, '{');
		problem_field(b, "message", message);
		buf_addc(b, '}');
		break;
	case SPEAK_OLLAMA:
		buf_addc(b, '{');
		problem_field(b, "error", message);
		buf_addc(b, '}');
		break;
	case SPEAK_MISTRAL:
		problem_mistral(b, p, status, param, message);
		break;
	case SPEAK_VLLM:
		problem_vllm(b, status, message);
		break;
	case SPEAK_AZURE:
		problem_azure(b, p, status, param, message);
		break;
	default:
		problem_openai(b, p, param, message);
		break;
	}
}

void
problem_reply(
    struct conn *c, enum problem p, const char *param, const char *message)
{
	int status = problem_status(c, p);
	char headers[256] = "";
	struct buf body;

	if (message == NULL)
		message = problems[p].message;
	if (p == PROBLEM_RATE || p == PROBLEM_UNAVAILABLE ||
	    p == PROBLEM_OVERLOADED) {
		if (c->speaker != SPEAK_BEDROCK && c->speaker != SPEAK_GEMINI &&
		    c->speaker != SPEAK_VERTEX)
			problem_retry(c, c->speaker <= SPEAK_AZURE, headers,
			    sizeof(headers));
	}
	if (c->speaker == SPEAK_BEDROCK)
		(void)snprintf(headers, sizeof(headers),
		    "x-amzn-errortype: %s:http://internal.amazon.com/coral/"
		    "com.amazon.bedrock/\r\n",
		    problems[p].bedrock);
	if (p == PROBLEM_NO_KEY || p == PROBLEM_BAD_KEY)
		atomic_fetch_add(&c->sim->n.auth_failures, 1);
	buf_init(&body, 1024 * 1024);
	problem_body(c, &body, p, status, param, message);
	reply_full(c, status, "application/json", headers, buf_str(&body));
	buf_release(&body);
}

void
problem_replyf(
    struct conn *c, enum problem p, const char *param, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	problem_reply(c, p, param, message);
}

void
problem_reply_html(struct conn *c)
{
	char headers[256];

	problem_retry(c, true, headers, sizeof(headers));
	reply_full(c, 503, "text/html", headers,
	    STR("<html>\r\n<head><title>503 Service Temporarily "
		"Unavailable</title></head>\r\n<body>\r\n<center><h1>"
		"503 Service Temporarily Unavailable</h1></center>\r\n"
		"<hr><center>cloudflare</center>\r\n</body>\r\n"
		"</html>\r\n"));
}
