/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing errors in the dialects of clients.
 */
#include "agent/dialect/errors.h"

#include <ctype.h>
#include <stdio.h>

/* What each kind is called by each dialect, and its usual status. */
static const struct {
	int status;
	const char *openai, *code, *anthropic, *gemini;
} errors_kinds[ERROR_N_KINDS] = {
    [ERROR_INVALID] = {400, "invalid_request_error", "invalid_request",
	"invalid_request_error", "INVALID_ARGUMENT"},
    [ERROR_FILTERED] = {400, "invalid_request_error", "content_filter",
	"invalid_request_error", "INVALID_ARGUMENT"},
    [ERROR_AUTH] = {401, "invalid_request_error", "invalid_api_key",
	"authentication_error", "UNAUTHENTICATED"},
    [ERROR_PERMISSION] = {403, "invalid_request_error", "forbidden",
	"permission_error", "PERMISSION_DENIED"},
    [ERROR_NOT_FOUND] = {404, "invalid_request_error", "not_found",
	"not_found_error", "NOT_FOUND"},
    [ERROR_TOO_LARGE] = {413, "invalid_request_error", "too_large",
	"request_too_large", "INVALID_ARGUMENT"},
    [ERROR_RATE] = {429, "rate_limit_error", "rate_limit_exceeded",
	"rate_limit_error", "RESOURCE_EXHAUSTED"},
    [ERROR_QUOTA] = {429, "insufficient_quota", "insufficient_quota",
	"billing_error", "RESOURCE_EXHAUSTED"},
    [ERROR_OVERLOADED] = {503, "server_error", "overloaded", "overloaded_error",
	"UNAVAILABLE"},
    [ERROR_TIMEOUT] = {504, "upstream_error", "upstream_timeout",
	"timeout_error", "DEADLINE_EXCEEDED"},
    [ERROR_SERVER] = {500, "server_error", "server_error", "api_error",
	"INTERNAL"},
};

static enum error_kind
errors_kind_of_code(int code)
{
	switch (code) {
	case ERR_UNAUTHENTICATED:
		return ERROR_AUTH;
	case ERR_FORBIDDEN:
		return ERROR_PERMISSION;
	case ERR_NOT_FOUND:
	case ERR_MODEL_NOT_FOUND:
		return ERROR_NOT_FOUND;
	case ERR_TOO_LARGE:
		return ERROR_TOO_LARGE;
	case ERR_RATE_LIMITED:
	case ERR_LIMIT:
	case ERR_BUDGET_BUSY:
		return ERROR_RATE;
	case ERR_BUDGET_EXHAUSTED:
		return ERROR_QUOTA;
	case ERR_OVERLOADED:
	case ERR_UNAVAILABLE:
	case ERR_NOT_READY:
	case ERR_NOMEM:
	case ERR_JOURNAL_FULL:
	case ERR_AGAIN:
		return ERROR_OVERLOADED;
	case ERR_UPSTREAM_TIMEOUT:
	case ERR_TIMEOUT:
		return ERROR_TIMEOUT;
	default:
		return err_http_status(code) >= 500 ? ERROR_SERVER
						    : ERROR_INVALID;
	}
}

/* The type that OpenAI's SDKs read. */
static const char *
errors_openai_type(int code)
{
	switch (code) {
	case ERR_UPSTREAM:
	case ERR_UPSTREAM_TIMEOUT:
		return "upstream_error";
	case ERR_BUDGET_EXHAUSTED:
		return "insufficient_quota";
	default:
		break;
	}
	switch (errors_kind_of_code(code)) {
	case ERROR_RATE:
		return "rate_limit_error";
	default:
		return err_http_status(code) >= 500 ? "server_error"
						    : "invalid_request_error";
	}
}

void
errors_of_code(
    int code, const char *param, struct str message, struct dialect_error *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->kind = errors_kind_of_code(code);
	ret->status = err_http_status(code);
	ret->retry_ms = -1;
	(void)snprintf(
	    ret->type, sizeof(ret->type), "%s", errors_openai_type(code));
	(void)snprintf(ret->code, sizeof(ret->code), "%s", err_name(code));
	(void)snprintf(
	    ret->param, sizeof(ret->param), "%s", param != NULL ? param : "");
	(void)snprintf(
	    ret->message, sizeof(ret->message), "%.*s", STR_ARG(message));
}

int
errors_status(enum client_dialect c, const struct dialect_error *e)
{
	if (e->kind == ERROR_OVERLOADED)
		return c == CLIENT_ANTHROPIC ? 529 : 503;
	return e->status >= 400 && e->status < 600
		   ? e->status
		   : errors_kinds[e->kind].status;
}

static void
errors_add(struct buf *out, const char *member, const char *value)
{
	(void)buf_addz(out, member);
	(void)buf_add_json(out, str_of(value));
}

static void
errors_write_openai(
    struct buf *out, const struct dialect_error *e, const char *extra)
{
	const char *type =
	    e->type[0] != '\0' ? e->type : errors_kinds[e->kind].openai;

	errors_add(out, "{\"error\":{\"message\":", e->message);
	errors_add(out, ",\"type\":", type);
	(void)buf_addz(out, ",\"param\":");
	if (e->param[0] != '\0')
		(void)buf_add_json(out, str_of(e->param));
	else
		(void)buf_addz(out, "null");
	errors_add(out, ",\"code\":",
	    e->code[0] != '\0' ? e->code : errors_kinds[e->kind].code);
	if (extra != NULL)
		(void)buf_addz(out, extra);
	(void)buf_addz(out, "}}");
}

static void
errors_write_anthropic(struct buf *out, const struct dialect_error *e,
    const char *request_id, const char *extra)
{
	errors_add(out, "{\"type\":\"error\",\"error\":{\"type\":",
	    e->status == 402 ? "billing_error"
			     : errors_kinds[e->kind].anthropic);
	if (e->param[0] != '\0') {
		(void)buf_addz(out, ",\"message\":\"");
		(void)buf_add_escaped(out, str_of(e->param));
		(void)buf_addz(out, ": ");
		(void)buf_add_escaped(out, str_of(e->message));
		(void)buf_addz(out, "\"");
	} else {
		errors_add(out, ",\"message\":", e->message);
	}
	if (e->code[0] != '\0')
		errors_add(out, ",\"code\":", e->code);
	if (extra != NULL)
		(void)buf_addz(out, extra);
	errors_add(out, "},\"request_id\":", request_id);
	(void)buf_addz(out, "}");
}

static const char *
errors_gemini_status(const struct dialect_error *e)
{
	switch (e->status) {
	case 405:
	case 501:
		return "UNIMPLEMENTED";
	case 409:
		return "ABORTED";
	case 402:
		return "RESOURCE_EXHAUSTED";
	case 502:
		return "UNAVAILABLE";
	default:
		return errors_kinds[e->kind].gemini;
	}
}

static void
errors_write_details(
    struct buf *out, const struct dialect_error *e, const char *request_id)
{
	const char *p;

	(void)buf_addz(out, ",\"details\":[{\"@type\":\"type.googleapis.com/"
			    "google.rpc.ErrorInfo\",\"reason\":\"");
	for (p = e->code[0] != '\0' ? e->code : errors_kinds[e->kind].code;
	     *p != '\0'; p++)
		(void)buf_addc(out, isalnum((unsigned char)*p)
					? (char)toupper((unsigned char)*p)
					: '_');
	(void)buf_addz(out, "\",\"domain\":\"headgate\",\"metadata\":{");
	errors_add(out, "\"request_id\":", request_id);
	if (e->param[0] != '\0')
		errors_add(out, ",\"field\":", e->param);
	(void)buf_addz(out, "}}");
	if (e->retry_ms >= 0)
		(void)buf_addf(out,
		    ",{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
		    "\"retryDelay\":\"%lld.%03llds\"}",
		    (long long)(e->retry_ms / 1000),
		    (long long)(e->retry_ms % 1000));
	(void)buf_addz(out, "]");
}

static void
errors_write_gemini(struct buf *out, const struct dialect_error *e,
    const char *request_id, const char *extra)
{
	(void)buf_addf(
	    out, "{\"error\":{\"code\":%d", errors_status(CLIENT_GEMINI, e));
	if (e->param[0] != '\0') {
		(void)buf_addz(out, ",\"message\":\"");
		(void)buf_add_escaped(out, str_of(e->param));
		(void)buf_addz(out, ": ");
		(void)buf_add_escaped(out, str_of(e->message));
		(void)buf_addz(out, "\"");
	} else {
		errors_add(out, ",\"message\":", e->message);
	}
	errors_add(out, ",\"status\":", errors_gemini_status(e));
	errors_write_details(out, e, request_id);
	if (extra != NULL)
		(void)buf_addz(out, extra);
	(void)buf_addz(out, "}}");
}

void
errors_write(struct buf *out, enum client_dialect c,
    const struct dialect_error *e, const char *request_id, const char *extra)
{
	switch (c) {
	case CLIENT_OPENAI:
		errors_write_openai(out, e, extra);
		break;
	case CLIENT_ANTHROPIC:
		errors_write_anthropic(out, e, request_id, extra);
		break;
	case CLIENT_GEMINI:
		errors_write_gemini(out, e, request_id, extra);
		break;
	}
}

void
errors_write_event(struct buf *out, enum error_frame f,
    const struct dialect_error *e, const char *request_id, uint64_t n_events)
{
	switch (f) {
	case ERROR_FRAME_CHAT:
		(void)buf_addz(out, "data: ");
		errors_write_openai(out, e, NULL);
		(void)buf_addz(out, "\n\n");
		break;
	case ERROR_FRAME_RESPONSES:
		errors_add(out,
		    "event: error\ndata: {\"type\":\"error\",\"code\":",
		    e->code[0] != '\0' ? e->code : errors_kinds[e->kind].code);
		errors_add(out, ",\"message\":", e->message);
		(void)buf_addf(out,
		    ",\"param\":null,\"sequence_number\":%llu}\n\n",
		    (unsigned long long)n_events);
		break;
	case ERROR_FRAME_ANTHROPIC:
		(void)buf_addz(out, "event: error\ndata: ");
		errors_write_anthropic(out, e, request_id, NULL);
		(void)buf_addz(out, "\n\n");
		break;
	case ERROR_FRAME_GEMINI:
		(void)buf_addz(out, "data: ");
		errors_write_gemini(out, e, request_id, NULL);
		(void)buf_addz(out, "\n\n");
		break;
	case ERROR_FRAME_ARRAY:
		(void)buf_addz(out, n_events > 0 ? ",\n" : "[");
		errors_write_gemini(out, e, request_id, NULL);
		(void)buf_addz(out, "]");
		break;
	}
}
