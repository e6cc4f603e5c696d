/* SPDX-License-Identifier: Apache-2.0 */
/* Chat completions as api.openai.com writes them, plain and streamed. */
#include "tests/provider/exchange.h"
#include "tests/provider/text.h"

/* Tokens of one choice that are text. */
static int64_t
chat_content_tokens(const struct exchange *x)
{
	return (x->completion_tokens - x->reasoning_tokens) / x->n_choices;
}

static const char *
chat_finish_reason(const struct exchange *x)
{
	if (x->tool_calls > 0)
		return "tool_calls";
	return x->capped ? "length" : "stop";
}

static void
chat_field(struct buf *out, const char *name, int64_t v)
{
	buf_addz(out, name);
	buf_add_i64(out, v);
}

static void
chat_usage(const struct exchange *x, struct buf *out)
{
	bool zero = x->k.fault == FAULT_ZERO_USAGE;
	int64_t prompt = zero ? 0 : x->prompt_tokens;
	int64_t completion = zero ? 0 : x->completion_tokens;

	chat_field(out, "{\"prompt_tokens\":", prompt);
	chat_field(out, ",\"completion_tokens\":", completion);
	chat_field(out, ",\"total_tokens\":", prompt + completion);
	chat_field(out, ",\"prompt_tokens_details\":{\"cached_tokens\":",
	    zero ? 0 : x->cached_tokens);
	if (x->cache_write_tokens > 0 && !zero)
		chat_field(
		    out, ",\"cache_write_tokens\":", x->cache_write_tokens);
	chat_field(out,
	    ",\"audio_tokens\":0},"
	    "\"completion_tokens_details\":{\"reasoning_tokens\":",
	    zero ? 0 : x->reasoning_tokens);
	buf_addz(out, ",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
		      "\"rejected_prediction_tokens\":0}}");
}

/* Arguments of tool call i, as the inside of a JSON string. */
static void
chat_arguments(const struct exchange *x, int64_t from, int64_t to, bool first,
    bool last, struct buf *out)
{
	if (first)
		buf_addz(out, "{\\\"query\\\":\\\"");
	text_add(out, x->seed, from, to - from);
	if (last)
		buf_addz(out, "\\\"}");
}

static void
chat_message(const struct exchange *x, int64_t choice, struct buf *out)
{
	int64_t tokens = chat_content_tokens(x);

	buf_addz(out, "{\"role\":\"assistant\",\"content\":");
	if (x->tool_calls == 0) {
		buf_addc(out, '"');
		text_add(out, x->seed + (uint64_t)choice, 0, tokens);
		if (x->k.fault == FAULT_HUGE_FRAME) {
			int64_t n = x->k.huge_bytes >= 0 ? x->k.huge_bytes
							 : 16 * 1024 * 1024;

			for (int64_t i = 0; i < n; i++)
				buf_addc(out, 'x');
		}
		buf_addz(out, "\",\"refusal\":null,\"annotations\":[]}");
		return;
	}
	buf_addz(out, "null,\"tool_calls\":[");
	for (int64_t i = 0; i < x->tool_calls; i++) {
		buf_addf(out,
		    "%s{\"id\":\"call_%.16s%lld\",\"type\":\"function\","
		    "\"function\":{\"name\":\"%s\",\"arguments\":\"",
		    i > 0 ? "," : "", x->id + 9, (long long)i, x->tool_name);
		chat_arguments(x, tokens * i / x->tool_calls,
		    tokens * (i + 1) / x->tool_calls, true, true, out);
		buf_addz(out, "\"}}");
	}
	buf_addz(out, "],\"refusal\":null,\"annotations\":[]}");
}

void
chat_plain_body(const struct exchange *x, struct buf *out)
{
	buf_addz(out, "{\"id\":\"");
	buf_addz(out, x->id);
	buf_addz(out, "\",\"object\":\"chat.completion\",\"created\":");
	buf_add_i64(out, x->created);
	buf_addz(out, ",\"model\":\"");
	buf_addz(out, x->row.model->id);
	buf_addz(out, "\",\"choices\":[");
	for (int64_t i = 0; i < x->n_choices; i++) {
		chat_field(out, i > 0 ? ",{\"index\":" : "{\"index\":", i);
		buf_addz(out, ",\"message\":");
		chat_message(x, i, out);
		buf_addz(out, ",\"logprobs\":null,\"finish_reason\":\"");
		buf_addz(out, chat_finish_reason(x));
		buf_addz(out, "\"}");
	}
	buf_addc(out, ']');
	if (x->k.fault != FAULT_MISSING_USAGE) {
		buf_addz(out, ",\"usage\":");
		chat_usage(x, out);
	}
	buf_addz(out, ",\"service_tier\":\"default\","
		      "\"system_fingerprint\":\"fp_simulator\"}");
}

void
chat_prepare(struct exchange *x)
{
	x->prefix_len = (size_t)snprintf(x->prefix, sizeof(x->prefix),
	    "data: {\"id\":\"%s\",\"object\":\"chat.completion.chunk\","
	    "\"created\":%lld,\"model\":\"%s\",\"service_tier\":\"default\","
	    "\"system_fingerprint\":null,\"choices\":[",
	    x->id, (long long)x->created, x->row.model->id);
}

/* Begin the event of one choice, up to its delta. */
static void
chat_open(const struct exchange *x, int64_t choice, struct buf *out)
{
	buf_add(out, x->prefix, x->prefix_len);
	chat_field(out, "{\"index\":", choice);
	buf_addz(out, ",\"delta\":");
}

static void
chat_close(const struct exchange *x, struct buf *out)
{
	if (x->include_usage)
		buf_addz(out, ",\"usage\":null");
	if (x->obfuscation) {
		uint64_t state = x->seed + out->len;
		size_t n = text_next(&state) % 15 + 1;

		buf_addz(out, ",\"obfuscation\":\"");
		for (size_t i = 0; i < n; i++)
			buf_addc(out, (char)('A' + text_next(&state) % 26));
		buf_addc(out, '"');
	}
	buf_add(out, "}\n\n", 3);
}

static void
chat_close_delta(const struct exchange *x, const char *finish, struct buf *out)
{
	if (finish == NULL) {
		buf_addz(out, ",\"logprobs\":null,\"finish_reason\":null}]");
	} else {
		buf_addz(out, ",\"logprobs\":null,\"finish_reason\":\"");
		buf_addz(out, finish);
		buf_addz(out, "\"}]");
	}
	chat_close(x, out);
}

void
chat_role_event(const struct exchange *x, struct buf *out)
{
	for (int64_t i = 0; i < x->n_choices; i++) {
		chat_open(x, i, out);
		if (x->tool_calls == 0) {
			buf_addz(out, "{\"role\":\"assistant\","
				      "\"content\":\"\",\"refusal\":null}");
			chat_close_delta(x, NULL, out);
			continue;
		}
		for (int64_t t = 0; t < x->tool_calls; t++) {
			if (t > 0)
				chat_open(x, i, out);
			buf_addf(out,
			    "{%s\"tool_calls\":[{\"index\":%lld,\"id\":"
			    "\"call_%.16s%lld\",\"type\":\"function\","
			    "\"function\":{\"name\":\"%s\",\"arguments\":"
			    "\"\"}}]}",
			    t == 0 ? "\"role\":\"assistant\",\"content\":null,"
				   : "",
			    (long long)t, x->id + 9, (long long)t,
			    x->tool_name);
			chat_close_delta(x, NULL, out);
		}
	}
}

void
chat_content_event(const struct exchange *x, int64_t event, struct buf *out)
{
	int64_t per_choice = x->n_events / x->n_choices;
	int64_t choice = event % x->n_choices;
	int64_t at = event / x->n_choices;
	int64_t tokens = chat_content_tokens(x);
	int64_t from = tokens * at / per_choice;
	int64_t to = tokens * (at + 1) / per_choice;

	chat_open(x, choice, out);
	if (x->tool_calls == 0) {
		buf_addz(out, "{\"content\":\"");
		text_add(out, x->seed + (uint64_t)choice, from, to - from);
		buf_addz(out, "\"}");
	} else {
		/* all events of a call in turn, calls one after the other */
		int64_t call = at * x->tool_calls / per_choice;
		int64_t before = (at - 1) * x->tool_calls / per_choice;
		int64_t after = (at + 1) * x->tool_calls / per_choice;

		chat_field(out, "{\"tool_calls\":[{\"index\":", call);
		buf_addz(out, ",\"function\":{\"arguments\":\"");
		chat_arguments(
		    x, from, to, at == 0 || before != call, after != call, out);
		buf_addz(out, "\"}}]}");
	}
	chat_close_delta(x, NULL, out);
}

void
chat_huge_event(const struct exchange *x, int64_t n, struct buf *out)
{
	chat_open(x, 0, out);
	buf_addz(out, "{\"content\":\"");
	for (int64_t i = 0; i < n; i++)
		buf_addc(out, 'x');
	buf_addz(out, "\"}");
	chat_close_delta(x, NULL, out);
}

void
chat_finish_events(const struct exchange *x, struct buf *out)
{
	for (int64_t i = 0; i < x->n_choices; i++) {
		chat_open(x, i, out);
		buf_addz(out, "{}");
		chat_close_delta(x, chat_finish_reason(x), out);
	}
}

void
chat_usage_event(const struct exchange *x, struct buf *out)
{
	buf_add(out, x->prefix, x->prefix_len);
	buf_addz(out, "],\"usage\":");
	chat_usage(x, out);
	buf_addz(out, "}\n\n");
}
