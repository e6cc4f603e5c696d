/* SPDX-License-Identifier: Apache-2.0 */
/* Ollama's own API: chat in lines of JSON, and embeddings. */
#include "tests/provider/openai.h"
#include "tests/provider/tree.h"

static void
ollama_open(const struct exchange *x, struct buf *out)
{
	buf_addf(out,
	    "{\"model\":\"%s\",\"created_at\":\"2026-01-01T00:00:00.000Z\","
	    "\"message\":{\"role\":\"assistant\",\"content\":\"",
	    x->row.model->id);
}

static void
ollama_call(const struct exchange *x, int call, struct buf *out)
{
	buf_addz(out, "{\"function\":{\"name\":");
	buf_add_json(out, plan_name(x, call));
	buf_addz(out, ",\"arguments\":");
	buf_add_str(out, plan_args(x, call));
	buf_addz(out, "}}");
}

/* ,"done":true and the counts. */
static void
ollama_done(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	buf_addf(out, ",\"done\":true,\"done_reason\":\"%s\"",
	    exchange_finish_reason(x) == FINISH_LENGTH ? "length" : "stop");
	if (exchange_usage_times(x) == 0) {
		buf_addc(out, '}');
		return;
	}
	buf_addf(out, ",\"total_duration\":1000000,\"load_duration\":1000");
	if (x->k.usage != USAGE_SPARSE) /* the prompt was cached */
		buf_addf(
		    out, ",\"prompt_eval_count\":%lld", (long long)u.prompt);
	buf_addf(out,
	    ",\"prompt_eval_duration\":1000,\"eval_count\":%lld,"
	    "\"eval_duration\":1000}",
	    (long long)u.completion);
}

static void
ollama_plain(const struct exchange *x, struct buf *out)
{
	ollama_open(x, out);
	for (int i = 0; i < x->plan.n_blocks; i++) {
		const struct block *b = &x->plan.blocks[i];

		if (b->type == BLOCK_TEXT || b->type == BLOCK_REFUSAL)
			plan_text(x, 0, b, -1, out);
	}
	buf_addc(out, '"');
	for (int i = 0; i < x->plan.n_blocks; i++) {
		if (x->plan.blocks[i].type != BLOCK_THINKING)
			continue;
		buf_addz(out, ",\"thinking\":\"");
		plan_text(x, 0, &x->plan.blocks[i], -1, out);
		buf_addc(out, '"');
	}
	for (int i = 0; i < x->plan.n_calls; i++) {
		buf_addz(out, i == 0 ? ",\"tool_calls\":[" : ",");
		ollama_call(x, i, out);
	}
	buf_addz(out, x->plan.n_calls > 0 ? "]}" : "}");
	ollama_done(x, out);
}

static void
ollama_start(struct exchange *x, struct buf *out)
{
	(void)x;
	(void)out;
}

static void
ollama_content(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i;
	const struct block *b = plan_find(x, at, &i);

	if (b->type == BLOCK_REDACTED ||
	    (b->type == BLOCK_CALL && i < b->n_ev - 1))
		return;
	ollama_open(x, out);
	if (b->type == BLOCK_CALL) {
		buf_addz(out, "\",\"tool_calls\":[");
		ollama_call(x, b->call, out);
		buf_addc(out, ']');
	} else {
		if (b->type == BLOCK_THINKING)
			buf_addz(out, "\",\"thinking\":\"");
		plan_text(x, 0, b, i, out);
		buf_addc(out, '"');
	}
	buf_addz(out, "},\"done\":false}\n");
}

static void
ollama_finish(struct exchange *x, struct buf *out)
{
	int times = exchange_usage_times(x);

	if (exchange_fault_is(x, FAULT_NO_DONE))
		return;
	for (int i = 0; i < (times > 1 ? 2 : 1); i++) {
		ollama_open(x, out);
		buf_addz(out, "\"}");
		ollama_done(x, out);
		buf_addc(out, '\n');
	}
}

static void
ollama_error(const struct exchange *x, int status, struct buf *out)
{
	(void)x;
	(void)status;
	buf_addz(out, "{\"error\":\"an error was encountered while running "
		      "the model\"}\n");
}

const struct dialect ollama_dialect = {
    .op = "chat",
    .stream_type = "application/x-ndjson",
    .wire = WIRE_NDJSON,
    .plain = ollama_plain,
    .start = ollama_start,
    .content = ollama_content,
    .finish = ollama_finish,
    .error = ollama_error,
};

/* Ollama ignores what it does not know. */
void
call_ollama(struct call *q)
{
	const struct sim_model *m;
	const json_t *t, *format, *think;
	size_t i;

	if (!tree_parse(q))
		return;
	json_array_foreach (json_object_get(q->root, "messages"), i, t) {
		const char *role = tree_str(t, "role");

		q->s.has_tool_result =
		    role != NULL && strcmp(role, "tool") == 0;
		tree_hash(&q->s, json_object_get(t, "content"));
		tree_count(&q->s, t);
		if (json_object_get(t, "content") != NULL &&
		    !json_is_string(json_object_get(t, "content"))) {
			problem_reply(q->c, PROBLEM_INVALID, NULL,
			    "json: cannot unmarshal array into Go struct field "
			    "ChatRequest.messages.content of type string");
			return;
		}
	}
	json_array_foreach (json_object_get(q->root, "tools"), i, t) {
		const json_t *f = json_object_get(t, "function");

		tree_count(&q->s, t);
		tree_add_tool(&q->s, tree_str(f, "name"),
		    json_object_get(f, "parameters"));
	}
	format = json_object_get(q->root, "format");
	q->s.json = format != NULL;
	q->s.format = json_is_object(format) ? format : NULL;
	think = json_object_get(q->root, "think");
	q->s.thinking = json_is_true(think) || json_is_string(think);
	q->s.show_thinking = q->s.thinking;
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	q->s.max_tokens =
	    tree_int(json_object_get(q->root, "options"), "num_predict", -1);
	q->s.stream = !json_is_false(json_object_get(q->root, "stream"));
	if (call_model(q, false, &m))
		call_start(q, m, false);
}

static void
ollama_embed_plain(const struct exchange *x, struct buf *out)
{
	buf_addf(out, "{\"model\":\"%s\",\"embeddings\":[", x->row.model->id);
	for (int64_t i = 0; i < x->n_inputs; i++) {
		if (i > 0)
			buf_addc(out, ',');
		embed_vector(x, i, EMBED_FLOAT, out);
	}
	buf_addz(out, "],\"total_duration\":1000000,\"load_duration\":1000");
	if (exchange_usage_times(x) > 0)
		buf_addf(out, ",\"prompt_eval_count\":%lld",
		    (long long)exchange_usage(x).prompt);
	buf_addc(out, '}');
}

const struct dialect ollama_embed_dialect = {
    .op = "embeddings",
    .stream_type = "application/json",
    .plain = ollama_embed_plain,
    .error = ollama_error,
};

/* One text to embed; cut to what the model holds, unless told otherwise. */
static bool
ollama_embed_one(struct call *q, const json_t *one, const struct sim_model *m)
{
	int64_t before = q->s.prompt_tokens;

	if (!json_is_string(one)) {
		problem_reply(
		    q->c, PROBLEM_INVALID, "input", "invalid input type");
		return false;
	}
	tree_hash(&q->s, one);
	tree_count(&q->s, one);
	q->s.n_inputs++;
	if (q->s.prompt_tokens - before <= m->context_tokens)
		return true;
	if (json_is_false(json_object_get(q->root, "truncate"))) {
		problem_reply(q->c, PROBLEM_INVALID, "input",
		    "the input length exceeds the context length");
		return false;
	}
	q->s.prompt_tokens = before + m->context_tokens;
	return true;
}

void
call_ollama_embed(struct call *q)
{
	const struct sim_model *m;
	const json_t *input, *one;
	size_t i;

	if (!tree_parse(q))
		return;
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (!call_model(q, true, &m))
		return;
	input = json_object_get(q->root, "input");
	if (!json_is_array(input) && !ollama_embed_one(q, input, m))
		return;
	json_array_foreach (input, i, one) {
		if (!ollama_embed_one(q, one, m))
			return;
	}
	q->s.dimensions = tree_int(q->root, "dimensions", -1);
	if (call_dimensions(q, m))
		call_start(q, m, false);
}
