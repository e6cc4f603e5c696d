/* SPDX-License-Identifier: Apache-2.0 */
/* Chat completions as api.openai.com writes them, plain and streamed. */
#include "tests/provider/exchange.h"
#include "tests/provider/fault.h"
#include "tests/provider/openai.h"
#include "tests/provider/text.h"

static const char *
chat_finish_reason(const struct exchange *x)
{
	static const char *const words[] = {
	    "stop", "length", "tool_calls", "stop", "content_filter", "stop"};

	return words[exchange_finish_reason(x)];
}

static void
chat_field(struct buf *out, const char *name, int64_t v)
{
	buf_addz(out, name);
	buf_add_i64(out, v);
}

/* What DeepSeek and Mistral tell instead of details. */
static bool
chat_usage_own(const struct exchange *x, const struct usage *u, struct buf *out)
{
	if (x->speaker == SPEAK_DEEPSEEK) {
		chat_field(out, ",\"prompt_cache_hit_tokens\":", u->cached);
		chat_field(out,
		    ",\"prompt_cache_miss_tokens\":", u->prompt - u->cached);
		chat_field(out,
		    ",\"completion_tokens_details\":{\"reasoning_tokens\":",
		    u->reasoning);
		buf_addz(out, "}}");
		return true;
	}
	if (x->speaker == SPEAK_MISTRAL || x->k.usage == USAGE_BARE) {
		buf_addc(out, '}');
		return true;
	}
	return false;
}

static void
chat_usage(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	if (exchange_fault_is(x, FAULT_USAGE_NULL)) {
		buf_addz(out, "null");
		return;
	}
	chat_field(out, "{\"prompt_tokens\":", u.prompt);
	chat_field(out, ",\"completion_tokens\":", u.completion);
	chat_field(out, ",\"total_tokens\":", u.prompt + u.completion);
	if (chat_usage_own(x, &u, out))
		return;
	chat_field(
	    out, ",\"prompt_tokens_details\":{\"cached_tokens\":", u.cached);
	if (u.write_5m + u.write_1h > 0)
		chat_field(
		    out, ",\"cache_write_tokens\":", u.write_5m + u.write_1h);
	chat_field(out, ",\"audio_tokens\":", u.audio_in);
	chat_field(out,
	    "},\"completion_tokens_details\":{\"reasoning_tokens\":",
	    u.reasoning);
	chat_field(out, ",\"audio_tokens\":", u.audio_out);
	chat_field(out,
	    ",\"accepted_prediction_tokens\":0,"
	    "\"rejected_prediction_tokens\":",
	    u.rejected);
	buf_addz(out, "}}");
}

static void
chat_call(const struct exchange *x, int call, bool whole, struct buf *out)
{
	struct str name = plan_name(x, call);

	buf_addz(out, "\"id\":\"");
	plan_call_id(x, "call_", call, out);
	buf_addz(out, "\",\"type\":\"function\",\"function\":{\"name\":");
	buf_add_json(out, name);
	buf_addz(out, ",\"arguments\":");
	if (whole)
		buf_add_json(out, plan_args(x, call));
	else
		buf_addz(out, "\"\"");
	buf_addc(out, '}');
}

/* The text of all blocks of a type as a member; false: there is none. */
static bool
chat_member(const struct exchange *x, int64_t choice, enum block_type type,
    const char *name, struct buf *out)
{
	for (int i = 0; i < x->plan.n_blocks; i++) {
		const struct block *b = &x->plan.blocks[i];

		if (b->type != type)
			continue;
		buf_addf(out, "\"%s\":\"", name);
		plan_text(x, choice, b, -1, out);
		buf_addz(out, "\",");
		return true;
	}
	return false;
}

static void
chat_message(const struct exchange *x, int64_t choice, struct buf *out)
{
	buf_addz(out, "{\"role\":\"assistant\",");
	if (!chat_member(x, choice, BLOCK_TEXT, "content", out)) {
		bool empty = x->plan.n_calls == 0 && x->k.refusal <= 0;

		buf_addz(
		    out, empty ? "\"content\":\"\"," : "\"content\":null,");
	}
	(void)chat_member(x, choice, BLOCK_THINKING, "reasoning_content", out);
	for (int i = 0; i < x->plan.n_calls; i++) {
		buf_addz(out, i == 0 ? "\"tool_calls\":[{" : ",{");
		chat_call(x, i, true, out);
		buf_addc(out, '}');
	}
	if (x->plan.n_calls > 0)
		buf_addz(out, "],");
	if (!chat_member(x, choice, BLOCK_REFUSAL, "refusal", out))
		buf_addz(out, "\"refusal\":null,");
	buf_addz(out, "\"annotations\":[]}");
}

static const char *
chat_tier(const struct exchange *x)
{
	return x->k.tier > TIER_STANDARD ? knobs_tier_name((enum tier)x->k.tier)
					 : "default";
}

static void
chat_logprobs(const struct exchange *x, int64_t choice, struct buf *out)
{
	int64_t from, n;

	buf_addz(out, ",\"logprobs\":");
	for (int i = 0; i < x->plan.n_blocks; i++) {
		if (logprobs_range(x, &x->plan.blocks[i], -1, &from, &n)) {
			logprobs_openai(x, choice, from, n, out);
			return;
		}
	}
	buf_addz(out, "null");
}

static void
chat_plain(const struct exchange *x, struct buf *out)
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
		chat_logprobs(x, i, out);
		buf_addz(out, ",\"finish_reason\":\"");
		buf_addz(out, chat_finish_reason(x));
		buf_addc(out, '"');
		if (x->speaker == SPEAK_AZURE)
			azure_choice(x, out);
		buf_addc(out, '}');
	}
	buf_addc(out, ']');
	if (x->speaker == SPEAK_AZURE)
		azure_prompt(out);
	if (x->k.fault != FAULT_MISSING_USAGE) {
		buf_addz(out, ",\"usage\":");
		chat_usage(x, out);
	}
	buf_addf(out,
	    ",\"service_tier\":\"%s\","
	    "\"system_fingerprint\":\"fp_simulator\"}",
	    chat_tier(x));
}

static void
chat_prepare(struct exchange *x)
{
	x->prefix_len = (size_t)snprintf(x->prefix, sizeof(x->prefix),
	    "data: {\"id\":\"%s\",\"object\":\"chat.completion.chunk\","
	    "\"created\":%lld,\"model\":\"%s\",\"service_tier\":\"%s\","
	    "\"system_fingerprint\":null,\"choices\":[",
	    x->id, (long long)x->created, x->row.model->id, chat_tier(x));
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
	if (exchange_usage_runs(x, x->step - 1)) {
		buf_addz(out, ",\"usage\":");
		chat_usage(x, out);
	} else if (x->include_usage && x->speaker != SPEAK_MISTRAL) {
		buf_addz(out, ",\"usage\":null");
	}
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

static void
chat_start(struct exchange *x, struct buf *out)
{
	chat_prepare(x);
	if (x->speaker == SPEAK_AZURE)
		azure_start(x, out);
	for (int64_t i = 0; i < x->n_choices; i++) {
		bool calls =
		    x->plan.n_calls > 0 && knob_or(x->k.preamble, 0) == 0;

		chat_open(x, i, out);
		if (!calls) {
			buf_addz(out, "{\"role\":\"assistant\","
				      "\"content\":\"\",\"refusal\":null}");
			chat_close_delta(x, NULL, out);
		}
		for (int t = 0; t < x->plan.n_calls; t++) {
			if (!calls || t > 0)
				chat_open(x, i, out);
			buf_addf(out, "{%s\"tool_calls\":[{\"index\":%d,",
			    calls && t == 0
				? "\"role\":\"assistant\",\"content\":null,"
				: "",
			    t);
			chat_call(x, t, false, out);
			buf_addz(out, "}]}");
			chat_close_delta(x, NULL, out);
		}
	}
}

static void
chat_content(struct exchange *x, int64_t event, struct buf *out)
{
	int64_t choice = event % x->n_choices, i, from, n;
	const struct block *b = plan_find(x, event / x->n_choices, &i);

	if (b->type == BLOCK_REDACTED)
		return;
	chat_open(x, choice, out);
	if (b->type == BLOCK_CALL) {
		chat_field(out, "{\"tool_calls\":[{\"index\":", b->call);
		buf_addz(out, ",\"function\":{\"arguments\":\"");
		plan_text(x, choice, b, i, out);
		buf_addz(out, "\"}}]}");
	} else {
		buf_addz(out, b->type == BLOCK_TEXT ? "{\"content\":\""
			      : b->type == BLOCK_REFUSAL
				  ? "{\"refusal\":\""
				  : "{\"reasoning_content\":\"");
		plan_text(x, choice, b, i, out);
		buf_addz(out, "\"}");
	}
	if (logprobs_range(x, b, i, &from, &n)) {
		buf_addz(out, ",\"logprobs\":");
		logprobs_openai(x, choice, from, n, out);
		buf_addz(out, ",\"finish_reason\":null}]");
		chat_close(x, out);
	} else {
		chat_close_delta(x, NULL, out);
	}
	if (x->speaker == SPEAK_AZURE)
		azure_content(x, event, out);
}

void
chat_huge_event(const struct exchange *x, int64_t n, struct buf *out)
{
	chat_open(x, 0, out);
	buf_addz(out, "{\"content\":\"");
	fault_fill(out, n);
	buf_addz(out, "\"}");
	chat_close_delta(x, NULL, out);
}

static void
chat_usage_event(const struct exchange *x, struct buf *out)
{
	buf_add(out, x->prefix, x->prefix_len);
	buf_addz(out, "],\"usage\":");
	chat_usage(x, out);
	buf_addz(out, "}\n\n");
}

static void
chat_finish(struct exchange *x, struct buf *out)
{
	int times = exchange_usage_times(x);

	for (int64_t i = 0; i < x->n_choices; i++) {
		chat_open(x, i, out);
		buf_addz(out, "{}");
		if (x->speaker == SPEAK_MISTRAL && times > 0 &&
		    i + 1 == x->n_choices) {
			/* usage comes with the last chunk, asked for or not */
			buf_addf(out, ",\"finish_reason\":\"%s\"}],\"usage\":",
			    chat_finish_reason(x));
			chat_usage(x, out);
			buf_addz(out, "}\n\n");
			continue;
		}
		chat_close_delta(x, chat_finish_reason(x), out);
	}
	if (x->speaker == SPEAK_AZURE)
		azure_finish(x, out);
	if (x->speaker != SPEAK_MISTRAL && x->include_usage) {
		for (; times > 0; times--)
			chat_usage_event(x, out);
	}
	if (!exchange_fault_is(x, FAULT_NO_DONE))
		buf_addz(out, "data: [DONE]\n\n");
}

void
chat_error(const struct exchange *x, int status, struct buf *out)
{
	(void)x;
	if (status == 429)
		buf_addz(out,
		    "data: {\"error\":{\"message\":\"Rate limit reached\","
		    "\"type\":\"tokens\",\"param\":null,\"code\":"
		    "\"rate_limit_exceeded\"}}\n\n");
	else
		buf_addf(out,
		    "data: {\"error\":{\"message\":\"The server had an error "
		    "while processing your request. Sorry about that!\","
		    "\"type\":\"server_error\",\"param\":null,\"code\":%s}}"
		    "\n\n",
		    status == 529 ? "\"overloaded\"" : "null");
}

const struct dialect chat_dialect = {
    .tells = TELLS_CACHED | TELLS_WRITES | TELLS_AUDIO | TELLS_REASONING,
    .tiered = true,
    .op = "chat",
    .stream_type = "text/event-stream; charset=utf-8",
    .plain = chat_plain,
    .start = chat_start,
    .content = chat_content,
    .finish = chat_finish,
    .error = chat_error,
};
