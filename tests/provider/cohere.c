/* SPDX-License-Identifier: Apache-2.0 */
/* Cohere v2: chat, rerank; and the rerank of OpenAI-like servers. */
#include "tests/provider/openai.h"
#include "tests/provider/tree.h"

/* ---- answers ---- */

static const char *
cohere_finish_reason(const struct exchange *x)
{
	static const char *const words[] = {"COMPLETE", "MAX_TOKENS",
	    "TOOL_CALL", "COMPLETE", "ERROR", "STOP_SEQUENCE"};

	return words[exchange_finish_reason(x)];
}

static void
cohere_usage(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	if (exchange_fault_is(x, FAULT_USAGE_NULL)) {
		buf_addz(out, "null");
		return;
	}
	buf_addf(out,
	    "{\"billed_units\":{\"input_tokens\":%lld,\"output_tokens\":%lld},"
	    "\"tokens\":{\"input_tokens\":%lld,\"output_tokens\":%lld}}",
	    (long long)u.prompt, (long long)u.completion, (long long)u.prompt,
	    (long long)u.completion);
}

static void
cohere_call(const struct exchange *x, int call, bool whole, struct buf *out)
{
	buf_addz(out, "{\"id\":\"");
	plan_call_id(x, "call_", call, out);
	buf_addz(out, "\",\"type\":\"function\",\"function\":{\"name\":");
	buf_add_json(out, plan_name(x, call));
	buf_addz(out, ",\"arguments\":");
	if (whole)
		buf_add_json(out, plan_args(x, call));
	else
		buf_addz(out, "\"\"");
	buf_addz(out, "}}");
}

/* Of a plain answer, in chunks of three tokens. */
static void
cohere_logprobs(const struct exchange *x, struct buf *out)
{
	int64_t from, n;
	bool first = true;

	for (int i = 0; i < x->plan.n_blocks; i++) {
		if (!logprobs_range(x, &x->plan.blocks[i], -1, &from, &n))
			continue;
		for (; n > 0; from += 3, n -= n < 3 ? n : 3) {
			buf_addz(out, first ? ",\"logprobs\":[" : ",");
			first = false;
			logprobs_cohere(x, from, n < 3 ? n : 3, out);
		}
	}
	if (!first)
		buf_addc(out, ']');
}

static void
cohere_plain(const struct exchange *x, struct buf *out)
{
	bool plan = x->plan.n_calls > 0, first = true;

	buf_addf(out,
	    "{\"id\":\"%.29s\",\"finish_reason\":\"%s\",\"message\":{"
	    "\"role\":\"assistant\"",
	    x->id + 9, cohere_finish_reason(x));
	for (int i = 0; i < x->plan.n_blocks; i++) {
		const struct block *b = &x->plan.blocks[i];
		bool thinking = b->type == BLOCK_THINKING;

		if (b->type == BLOCK_CALL || b->type == BLOCK_REDACTED)
			continue;
		if (plan && !thinking)
			continue;
		buf_addf(out, "%s{\"type\":\"%s\",\"%s\":\"",
		    first ? ",\"content\":[" : ",",
		    thinking ? "thinking" : "text",
		    thinking ? "thinking" : "text");
		first = false;
		plan_text(x, 0, b, -1, out);
		buf_addz(out, "\"}");
	}
	if (!first)
		buf_addc(out, ']');
	for (int i = 0; plan && i < x->plan.n_blocks; i++) {
		if (x->plan.blocks[i].type != BLOCK_TEXT)
			continue;
		buf_addz(out, ",\"tool_plan\":\"");
		plan_text(x, 0, &x->plan.blocks[i], -1, out);
		buf_addc(out, '"');
	}
	for (int i = 0; i < x->plan.n_calls; i++) {
		buf_addz(out, i == 0 ? ",\"tool_calls\":[" : ",");
		cohere_call(x, i, true, out);
	}
	buf_addz(out, plan ? "]}" : "}");
	if (!plan)
		cohere_logprobs(x, out);
	if (exchange_usage_times(x) > 0) {
		buf_addz(out, ",\"usage\":");
		cohere_usage(x, out);
	}
	buf_addc(out, '}');
}

static void
cohere_event(struct buf *out, const char *type, int index)
{
	buf_addf(out, "event: %s\ndata: {\"type\":\"%s\"", type, type);
	if (index >= 0)
		buf_addf(out, ",\"index\":%d", index);
}

static void
cohere_start(struct exchange *x, struct buf *out)
{
	buf_addf(out,
	    "event: message-start\ndata: {\"id\":\"%.29s\",\"type\":"
	    "\"message-start\",\"delta\":{\"message\":{\"role\":\"assistant\","
	    "\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],"
	    "\"citations\":[]}}}\n\n",
	    x->id + 9);
}

static void
cohere_call_event(
    const struct exchange *x, const struct block *b, int64_t i, struct buf *out)
{
	if (i == 0) {
		cohere_event(out, "tool-call-start", b->call);
		buf_addz(out, ",\"delta\":{\"message\":{\"tool_calls\":");
		cohere_call(x, b->call, false, out);
		buf_addz(out, "}}}\n\n");
	}
	cohere_event(out, "tool-call-delta", b->call);
	buf_addz(out, ",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{"
		      "\"arguments\":\"");
	plan_text(x, 0, b, i, out);
	buf_addz(out, "\"}}}}}\n\n");
	if (i == b->n_ev - 1) {
		cohere_event(out, "tool-call-end", b->call);
		buf_addz(out, "}\n\n");
	}
}

static void
cohere_content(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i, from, n;
	const struct block *b = plan_find(x, at, &i);
	int index = (int)(b - x->plan.blocks);
	const char *kind = b->type == BLOCK_THINKING ? "thinking" : "text";

	if (b->type == BLOCK_CALL) {
		cohere_call_event(x, b, i, out);
		return;
	}
	if (b->type == BLOCK_REDACTED)
		return;
	if (x->plan.n_calls > 0 && b->type == BLOCK_TEXT) {
		cohere_event(out, "tool-plan-delta", -1);
		buf_addz(out, ",\"delta\":{\"message\":{\"tool_plan\":\"");
		plan_text(x, 0, b, i, out);
		buf_addz(out, "\"}}}\n\n");
		return;
	}
	if (i == 0) {
		cohere_event(out, "content-start", index);
		buf_addf(out,
		    ",\"delta\":{\"message\":{\"content\":{\"type\":\"%s\","
		    "\"%s\":\"\"}}}}\n\n",
		    kind, kind);
	}
	cohere_event(out, "content-delta", index);
	buf_addf(out, ",\"delta\":{\"message\":{\"content\":{\"%s\":\"", kind);
	plan_text(x, 0, b, i, out);
	buf_addz(out, "\"}}}");
	if (logprobs_range(x, b, i, &from, &n)) {
		buf_addz(out, ",\"logprobs\":");
		logprobs_cohere(x, from, n, out);
	}
	buf_addz(out, "}\n\n");
	if (i == b->n_ev - 1) {
		cohere_event(out, "content-end", index);
		buf_addz(out, "}\n\n");
	}
}

static void
cohere_finish(struct exchange *x, struct buf *out)
{
	int times = exchange_usage_times(x);

	if (exchange_fault_is(x, FAULT_NO_DONE))
		return;
	for (int i = 0; i < (times > 1 ? 2 : 1); i++) {
		cohere_event(out, "message-end", -1);
		buf_addf(out, ",\"delta\":{\"finish_reason\":\"%s\"",
		    cohere_finish_reason(x));
		if (times > 0) {
			buf_addz(out, ",\"usage\":");
			cohere_usage(x, out);
		}
		buf_addz(out, "}}\n\n");
	}
}

/* Cohere tells of errors in the last event. */
void
cohere_error(const struct exchange *x, int status, struct buf *out)
{
	(void)x;
	(void)status;
	cohere_event(out, "message-end", -1);
	buf_addz(out, ",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":"
		      "\"internal server error\"}}\n\n");
}

const struct dialect cohere_chat_dialect = {
    .op = "chat",
    .stream_type = "text/event-stream",
    .plain = cohere_plain,
    .start = cohere_start,
    .content = cohere_content,
    .finish = cohere_finish,
    .error = cohere_error,
};

static void
rerank_plain(const struct exchange *x, struct buf *out)
{
	bool cohere = x->speaker == SPEAK_COHERE;
	int64_t n = x->dimensions < x->n_inputs ? x->dimensions : x->n_inputs;

	buf_addf(out, "{\"id\":\"%.29s\",\"results\":[", x->id + 9);
	for (int64_t i = 0; i < n; i++)
		buf_addf(out, "%s{\"index\":%lld,\"relevance_score\":0.%03lld}",
		    i > 0 ? "," : "",
		    (long long)((i + (int64_t)(x->seed % 97)) % x->n_inputs),
		    (long long)(900 - i * 700 / x->n_inputs));
	buf_addc(out, ']');
	if (exchange_usage_times(x) == 0)
		buf_addc(out, '}');
	else if (cohere)
		buf_addf(out,
		    ",\"meta\":{\"api_version\":{\"version\":\"2\"},"
		    "\"billed_units\":{\"search_units\":%lld}}}",
		    exchange_fault_is(x, FAULT_ZERO_USAGE)
			? 0LL
			: (long long)x->units[SIM_SEARCH_UNITS]);
	else
		buf_addf(out,
		    ",\"model\":\"%s\",\"usage\":{\"prompt_tokens\":%lld,"
		    "\"total_tokens\":%lld}}",
		    x->row.model->id, (long long)exchange_usage(x).prompt,
		    (long long)exchange_usage(x).prompt);
}

const struct dialect rerank_dialect = {
    .op = "rerank",
    .stream_type = "application/json",
    .plain = rerank_plain,
    .error = chat_error,
};

/* ---- requests ---- */

bool
cohere_bad(struct call *q, const char *param, const char *message)
{
	if (!q->failed)
		problem_reply(q->c, PROBLEM_INVALID, param, message);
	q->failed = true;
	return false;
}

static bool
cohere_messages(struct call *q)
{
	const json_t *messages = json_object_get(q->root, "messages"), *m;
	size_t i;

	if (json_array_size(messages) == 0)
		return cohere_bad(q, "messages",
		    "invalid request: messages must be at least 1 long or "
		    "message must be specified.");
	json_array_foreach (messages, i, m) {
		const char *role = tree_str(m, "role");
		bool tool = role != NULL && strcmp(role, "tool") == 0;

		if (!tree_fields(q, m, "messages",
			"role content tool_calls tool_call_id tool_plan "
			"citations"))
			return false;
		if (role == NULL || (!tool && strcmp(role, "user") != 0 &&
					strcmp(role, "system") != 0 &&
					strcmp(role, "assistant") != 0))
			return cohere_bad(q, "messages",
			    "invalid request: message role must be one of "
			    "user, assistant, system, tool.");
		if (tool && tree_str(m, "tool_call_id") == NULL)
			return cohere_bad(q, "messages",
			    "invalid request: tool messages must have a "
			    "tool_call_id.");
		q->s.has_tool_result = tool;
		tree_hash(&q->s, json_object_get(m, "content"));
		tree_count(&q->s, m);
	}
	return true;
}

void
call_cohere_chat(struct call *q)
{
	const struct sim_model *m;
	const json_t *t, *format;
	const char *word;
	size_t i;

	if (!tree_parse(q) ||
	    !tree_fields(q, q->root, "",
		"model messages tools documents citation_options "
		"response_format safety_mode max_tokens stop_sequences "
		"temperature seed frequency_penalty presence_penalty k p "
		"logprobs tool_choice strict_tools thinking stream "
		"raw_prompting priority") ||
	    !cohere_messages(q))
		return;
	json_array_foreach (json_object_get(q->root, "tools"), i, t) {
		const json_t *f = json_object_get(t, "function");

		tree_count(&q->s, t);
		tree_add_tool(&q->s, tree_str(f, "name"),
		    json_object_get(f, "parameters"));
	}
	word = tree_str(q->root, "tool_choice");
	if (word != NULL && strcmp(word, "NONE") == 0)
		q->s.choice = CHOICE_NONE;
	else if (word != NULL && !q->s.has_tool_result)
		q->s.choice = CHOICE_ANY;
	format = json_object_get(q->root, "response_format");
	word = tree_str(format, "type");
	q->s.json = word != NULL && strcmp(word, "json_object") == 0;
	q->s.format = json_object_get(format, "json_schema");
	word = tree_str(json_object_get(q->root, "thinking"), "type");
	q->s.thinking = word != NULL && strcmp(word, "enabled") == 0;
	q->s.show_thinking = q->s.thinking;
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	q->s.max_tokens = tree_int(q->root, "max_tokens", -1);
	q->s.stop = tree_slice(
	    json_array_get(json_object_get(q->root, "stop_sequences"), 0));
	q->s.stream = tree_true(q->root, "stream");
	q->s.logprobs = tree_true(q->root, "logprobs");
	if (call_model(q, false, &m))
		call_start(q, m, false);
}

void
call_rerank(struct call *q)
{
	const struct sim_model *m;
	const json_t *documents, *one;
	size_t i;

	if (!tree_parse(q) ||
	    !tree_fields(q, q->root, "",
		"model query documents top_n max_tokens_per_doc "
		"return_documents priority user"))
		return;
	documents = json_object_get(q->root, "documents");
	if (tree_str(q->root, "query") == NULL ||
	    json_array_size(documents) == 0) {
		(void)cohere_bad(q, "documents",
		    "invalid request: query and documents are required.");
		return;
	}
	tree_hash(&q->s, json_object_get(q->root, "query"));
	tree_count(&q->s, json_object_get(q->root, "query"));
	json_array_foreach (documents, i, one) {
		tree_hash(&q->s, one);
		tree_count(&q->s, one);
		q->s.n_inputs++;
	}
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (!call_model(q, false, &m))
		return;
	q->s.dimensions = tree_int(q->root, "top_n", m->dimensions);
	if (q->c->speaker == SPEAK_COHERE) {
		q->s.search_units = (q->s.n_inputs + 99) / 100;
		q->s.by_units = true;
	}
	call_start(q, m, false);
}
