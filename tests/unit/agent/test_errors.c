/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of every provider dialect into every client dialect.
 */
#include <stdio.h>

#include "agent/dialect/errors.h"
#include "tests/unit/support/unit.h"

static struct dialect_error
parse(enum provider_dialect d, int status, const char *amzn, const char *body)
{
	struct dialect_error e;

	(void)errors_parse(
	    d, status, str_of(amzn), str_of(body), &json_default_limits, &e);
	return e;
}

static const struct {
	enum provider_dialect d;
	int status;
	const char *amzn, *body;
	enum error_kind kind;
	int out[3]; /* status for OpenAI, Anthropic, Gemini clients */
} kinds[] = {
    {PROVIDER_OPENAI, 429, "",
	"{\"error\":{\"message\":\"m\",\"type\":\"requests\","
	"\"param\":null,\"code\":\"rate_limit_exceeded\"}}",
	ERROR_RATE, {429, 429, 429}},
    {PROVIDER_OPENAI, 429, "",
	"{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\","
	"\"param\":null,\"code\":\"insufficient_quota\"}}",
	ERROR_QUOTA, {429, 429, 429}},
    {PROVIDER_OPENAI, 400, "",
	"{\"error\":{\"message\":\"m\",\"type\":"
	"\"invalid_request_error\",\"param\":\"x\",\"code\":null}}",
	ERROR_INVALID, {400, 400, 400}},
    {PROVIDER_ANTHROPIC, 529, "",
	"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
	"\"message\":\"Overloaded\"}}",
	ERROR_OVERLOADED, {503, 529, 503}},
    {PROVIDER_ANTHROPIC, 401, "",
	"{\"type\":\"error\",\"error\":{\"type\":"
	"\"authentication_error\",\"message\":\"m\"}}",
	ERROR_AUTH, {401, 401, 401}},
    {PROVIDER_GEMINI, 400, "",
	"{\"error\":{\"code\":400,\"message\":\"API key not valid\","
	"\"status\":\"INVALID_ARGUMENT\",\"details\":[{\"@type\":"
	"\"x\",\"reason\":\"API_KEY_INVALID\"}]}}",
	ERROR_AUTH, {401, 401, 401}},
    {PROVIDER_GEMINI, 503, "",
	"[{\"error\":{\"code\":503,\"message\":\"m\",\"status\":"
	"\"UNAVAILABLE\"}}]",
	ERROR_OVERLOADED, {503, 529, 503}},
    {PROVIDER_BEDROCK, 400, "ThrottlingException:http://x",
	"{\"message\":\"slow\"}", ERROR_RATE, {429, 429, 429}},
    {PROVIDER_BEDROCK, 424, "ModelErrorException", "{\"Message\":\"m\"}",
	ERROR_SERVER, {502, 502, 502}},
    {PROVIDER_BEDROCK, 408, "",
	"{\"__type\":\"com.amazon#ModelTimeoutException\",\"message\":"
	"\"m\"}",
	ERROR_TIMEOUT, {504, 504, 504}},
    {PROVIDER_BEDROCK, 429, "ModelNotReadyException", "{\"message\":\"m\"}",
	ERROR_OVERLOADED, {503, 529, 503}},
    {PROVIDER_AZURE, 429, "",
	"{\"error\":{\"code\":\"429\",\"message\":\"m\"}}", ERROR_RATE,
	{429, 429, 429}},
    {PROVIDER_AZURE, 404, "",
	"{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":"
	"\"m\"}}",
	ERROR_NOT_FOUND, {404, 404, 404}},
    {PROVIDER_MISTRAL, 422, "", "{\"detail\":\"bad\"}", ERROR_INVALID,
	{422, 422, 422}},
    {PROVIDER_MISTRAL, 503, "",
	"{\"object\":\"error\",\"message\":\"m\",\"type\":"
	"\"server_error\",\"param\":null,\"code\":\"1503\"}",
	ERROR_OVERLOADED, {503, 529, 503}},
    {PROVIDER_OLLAMA, 404, "", "{\"error\":\"no model\"}", ERROR_NOT_FOUND,
	{404, 404, 404}},
    {PROVIDER_COHERE, 500, "", "<html>", ERROR_SERVER, {500, 500, 500}},
};

START_TEST(test_kinds)
{
	struct dialect_error e;
	size_t i;
	int c;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		e = parse(
		    kinds[i].d, kinds[i].status, kinds[i].amzn, kinds[i].body);
		ck_assert_msg(e.kind == kinds[i].kind, "row %zu: kind %d", i,
		    (int)e.kind);
		for (c = 0; c < 3; c++)
			ck_assert_msg(errors_status((enum client_dialect)c,
					  &e) == kinds[i].out[c],
			    "row %zu client %d: %d", i, c,
			    errors_status((enum client_dialect)c, &e));
	}
}
END_TEST

START_TEST(test_details)
{
	struct dialect_error e;

	e = parse(PROVIDER_GEMINI, 429, "",
	    "{\"error\":{\"code\":429,\"message\":\"Resource exhausted\","
	    "\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"q\","
	    "\"violations\":[{\"quotaId\":\"PerMinute\"}]},{\"@type\":\"r\","
	    "\"retryDelay\":\"1.5s\"}]}}");
	ck_assert_int_eq(e.kind, ERROR_RATE);
	ck_assert_int_eq(e.retry_ms, 1500);
	e = parse(PROVIDER_GEMINI, 429, "",
	    "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":"
	    "\"RESOURCE_EXHAUSTED\",\"details\":[{\"violations\":[{\"quotaId\":"
	    "\"GenerateRequestsPerDay\"}]}]}}");
	ck_assert_int_eq(e.kind, ERROR_QUOTA);
	e = parse(PROVIDER_AZURE, 400, "",
	    "{\"error\":{\"message\":\"filtered\",\"type\":null,\"param\":"
	    "\"prompt\",\"code\":\"content_filter\",\"status\":400,"
	    "\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\"}}}");
	ck_assert_int_eq(e.kind, ERROR_FILTERED);
	ck_assert(e.billed);
	e = parse(PROVIDER_OPENAI, 400, "",
	    "{\"error\":{\"message\":\"f\",\"code\":\"content_filter\"}}");
	ck_assert(!e.billed);
	e = parse(PROVIDER_MISTRAL, 422, "",
	    "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\","
	    "\"tools\",0,\"x\"],\"msg\":\"Extra inputs\",\"input\":1}]}");
	ck_assert_int_eq(e.kind, ERROR_INVALID);
	ck_assert_str_eq(e.message, "x: Extra inputs");
	e = parse(PROVIDER_MISTRAL, 422, "", "{\"detail\":[{\"loc\":{}}]}");
	ck_assert_int_eq(e.status, 422);
	errors_of_event(
	    STR("throttlingException"), 0, STR("Too \\\"many\\\" \\u00e9"), &e);
	ck_assert_int_eq(e.kind, ERROR_RATE);
	ck_assert_str_eq(e.message, "Too \"many\" \xc3\xa9");
	errors_of_event(STR("x"), 0, STR("broken \\u"), &e);
	ck_assert_int_eq(e.status, 502);
}
END_TEST

static const char *
body(enum client_dialect c, const struct dialect_error *e, const char *extra)
{
	static char text[4096];
	struct buf b;

	buf_init(&b, sizeof(text) - 1);
	errors_write(&b, c, e, "req-1", extra);
	ck_assert_int_eq(json_validate(buf_str(&b), NULL, NULL), 0);
	(void)snprintf(text, sizeof(text), "%s", buf_cstr(&b));
	buf_release(&b);
	return text;
}

START_TEST(test_ours)
{
	struct dialect_error e;

	errors_of_code(ERR_BUDGET_EXHAUSTED, NULL, STR("no \"money\"\n"), &e);
	ck_assert_str_eq(body(CLIENT_OPENAI, &e, ",\"headgate\":{}"),
	    "{\"error\":{\"message\":\"no \\\"money\\\"\\n\",\"type\":"
	    "\"insufficient_quota\",\"param\":null,\"code\":"
	    "\"budget_exhausted\",\"headgate\":{}}}");
	ck_assert_str_eq(body(CLIENT_ANTHROPIC, &e, NULL),
	    "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\","
	    "\"message\":\"no \\\"money\\\"\\n\",\"code\":\"budget_exhausted\"}"
	    ",\"request_id\":\"req-1\"}");
	ck_assert_int_eq(errors_status(CLIENT_ANTHROPIC, &e), 402);
	errors_of_code(ERR_RATE_LIMITED, "model", STR("slow down"), &e);
	e.retry_ms = 1250;
	ck_assert_str_eq(body(CLIENT_GEMINI, &e, NULL),
	    "{\"error\":{\"code\":429,\"message\":\"model: slow down\","
	    "\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":"
	    "\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":"
	    "\"RATE_LIMITED\",\"domain\":\"headgate\",\"metadata\":{"
	    "\"request_id\":\"req-1\",\"field\":\"model\"}},{\"@type\":"
	    "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":"
	    "\"1.250s\"}]}}");
	errors_of_code(ERR_OVERLOADED, NULL, STR("x"), &e);
	ck_assert_int_eq(errors_status(CLIENT_ANTHROPIC, &e), 529);
	ck_assert_int_eq(errors_status(CLIENT_OPENAI, &e), 503);
}
END_TEST

START_TEST(test_events)
{
	struct dialect_error e;
	struct buf b;

	errors_of_code(ERR_UPSTREAM, NULL, STR("it broke"), &e);
	buf_init(&b, 65536);
	errors_write_event(&b, ERROR_FRAME_RESPONSES, &e, "r", 7);
	ck_assert_str_eq(buf_cstr(&b),
	    "event: error\ndata: {\"type\":\"error\",\"code\":"
	    "\"upstream_error\",\"message\":\"it broke\",\"param\":null,"
	    "\"sequence_number\":7}\n\n");
	buf_clear(&b);
	errors_write_event(&b, ERROR_FRAME_ANTHROPIC, &e, "r", 7);
	ck_assert_str_eq(buf_cstr(&b),
	    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
	    "\"api_error\",\"message\":\"it broke\",\"code\":"
	    "\"upstream_error\"},\"request_id\":\"r\"}\n\n");
	buf_clear(&b);
	errors_write_event(&b, ERROR_FRAME_ARRAY, &e, "r", 0);
	ck_assert_int_eq(json_validate(buf_str(&b), NULL, NULL), 0);
	ck_assert_int_eq(b.data[0], '[');
	buf_release(&b);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("errors");

	UNIT_ADD(s, test_kinds);
	UNIT_ADD(s, test_details);
	UNIT_ADD(s, test_ours);
	UNIT_ADD(s, test_events);
	return unit_run(s);
}
