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
	buf_addz(out, "\r\nx-request-id: req_");
	buf_addz(out, hex);
	buf_addz(out, "\r\nopenai-version: 2020-10-01\r\n"
		      "openai-processing-ms: 1\r\n");
	if (status == 200)
		buf_addz(out, "x-ratelimit-limit-requests: 5000\r\n"
			      "x-ratelimit-remaining-requests: 4999\r\n"
			      "x-ratelimit-reset-requests: 12ms\r\n");
	buf_addz(out, headers);
	if (len < 0) {
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

void
reply_error(struct conn *c, int status, const char *type, const char *param,
    const char *code, const char *headers, const char *message)
{
	struct buf body;

	buf_init(&body, 65536);
	buf_addz(&body, "{\n    \"error\": {\n        \"message\": ");
	buf_add_json(&body, str_of(message));
	buf_addz(&body, ",\n        \"type\": ");
	buf_add_json(&body, str_of(type));
	buf_addz(&body, ",\n        \"param\": ");
	if (param != NULL)
		buf_add_json(&body, str_of(param));
	else
		buf_addz(&body, "null");
	buf_addz(&body, ",\n        \"code\": ");
	if (code != NULL)
		buf_add_json(&body, str_of(code));
	else
		buf_addz(&body, "null");
	buf_addz(&body, "\n    }\n}\n");
	reply_full(c, status, "application/json", headers, buf_str(&body));
	buf_release(&body);
}
