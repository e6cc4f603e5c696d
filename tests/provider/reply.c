/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and bodies of answers, with the headers that OpenAI's API sends. */
#include "tests/provider/route.h"

static const char *
reply_reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 307:
		return "Temporary Redirect";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 402:
		return "Payment Required";
	case 403:
		return "Forbidden";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 422:
		return "Unprocessable Entity";
	case 424:
		return "Failed Dependency";
	case 502:
		return "Bad Gateway";
	case 504:
		return "Gateway Timeout";
	case 529:
		return "Site is overloaded";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 429:
		return "Too Many Requests";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

/* The headers by which each provider is known. */
static void
reply_own_headers(struct conn *c, int status, const char *hex)
{
	struct buf *out = &c->out;

	switch (c->speaker) {
	case SPEAK_ANTHROPIC:
		buf_addf(out,
		    "\r\nrequest-id: req_011%s\r\n"
		    "anthropic-organization-id: sim-org\r\n",
		    hex);
		if (status == 200)
			buf_addz(out,
			    "anthropic-ratelimit-requests-limit: 4000\r\n"
			    "anthropic-ratelimit-requests-remaining: 3999\r\n"
			    "anthropic-ratelimit-requests-reset: "
			    "2026-01-01T00:00:01Z\r\n"
			    "anthropic-ratelimit-input-tokens-limit: 400000\r\n"
			    "anthropic-ratelimit-input-tokens-remaining: "
			    "399000\r\n"
			    "anthropic-ratelimit-input-tokens-reset: "
			    "2026-01-01T00:00:01Z\r\n");
		return;
	case SPEAK_BEDROCK:
		buf_addf(out, "\r\nx-amzn-requestid: %s\r\n", hex);
		return;
	case SPEAK_GEMINI:
	case SPEAK_VERTEX:
		buf_addz(out, "\r\nserver: scaffolding on HTTPServer2\r\n"
			      "vary: Origin\r\n");
		return;
	case SPEAK_AZURE:
		buf_addf(out,
		    "\r\napim-request-id: %s\r\nx-ms-region: East US 2\r\n"
		    "x-ms-rai-invoked: true\r\n"
		    "x-ratelimit-remaining-requests: 99\r\n"
		    "x-ratelimit-remaining-tokens: 99840\r\n",
		    hex);
		return;
	case SPEAK_COHERE:
		buf_addf(out, "\r\nx-debug-trace-id: %s\r\n", hex);
		return;
	case SPEAK_OLLAMA:
		buf_addz(out, "\r\n");
		return;
	default:
		break;
	}
	buf_addz(out, "\r\nx-request-id: req_");
	buf_addz(out, hex);
	buf_addz(out, "\r\nopenai-version: 2020-10-01\r\n"
		      "openai-processing-ms: 1\r\n");
	if (status == 200)
		buf_addz(out, "x-ratelimit-limit-requests: 5000\r\n"
			      "x-ratelimit-remaining-requests: 4999\r\n"
			      "x-ratelimit-reset-requests: 12ms\r\n");
}

void
reply_head(struct conn *c, int status, const char *type, const char *headers,
    int64_t len)
{
	struct buf *out = &c->out;
	uint64_t id = atomic_fetch_add_explicit(
	    &c->sim->next_id, 1, memory_order_relaxed);
	char hex[40];

	if (status < 300)
		atomic_fetch_add(&c->sim->n.answers_2xx, 1);
	else if (status < 500)
		atomic_fetch_add(&c->sim->n.answers_4xx, 1);
	else
		atomic_fetch_add(&c->sim->n.answers_5xx, 1);
	buf_addz(out, "HTTP/1.1 ");
	buf_add_i64(out, status);
	buf_addc(out, ' ');
	buf_addz(out, reply_reason(status));
	buf_addz(out, "\r\ncontent-type: ");
	buf_addz(out, type);
	hex_encode(&id, sizeof(id), hex);
	reply_own_headers(c, status, hex);
	buf_addz(out, headers);
	if (len == REPLY_UNTIL_CLOSE) {
		c->close_after = true;
	} else if (len == REPLY_CHUNKED) {
		buf_addz(out, "transfer-encoding: chunked\r\n");
	} else {
		buf_addz(out, "content-length: ");
		buf_add_i64(out, len);
		buf_addz(out, "\r\n");
	}
	buf_addz(out, c->close_after ? "connection: close\r\n\r\n" : "\r\n");
}

void
reply_full(struct conn *c, int status, const char *type, const char *headers,
    struct str body)
{
	reply_head(c, status, type, headers, (int64_t)body.len);
	buf_add_str(&c->out, body);
}
