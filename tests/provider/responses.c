/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of OpenAI's Responses API, and the responses that were stored. */
#include <jansson.h>

#include "tests/provider/openai.h"
#include "tests/provider/route.h"
#include "tests/provider/store.h"
#include "tests/provider/text.h"

/* A member of the request, repeated by the answer. */
static void
responses_echo(const struct exchange *x, const char *name, const char *def,
    struct buf *out)
{
	json_t *v = json_object_get(x->echo, name);
	char *text =
	    v == NULL ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

	buf_addf(out, ",\"%s\":", name);
	buf_addz(out, text != NULL ? text : def);
	free(text);
}

static bool
responses_flag(const struct exchange *x, const char *name, bool def)
{
	json_t *v = json_object_get(x->echo, name);

	return json_is_boolean(v) ? json_is_true(v) : def;
}

static void
responses_usage(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);

	buf_addf(out,
	    "{\"input_tokens\":%lld,\"input_tokens_details\":{"
	    "\"cached_tokens\":%lld,\"cache_write_tokens\":%lld},"
	    "\"output_tokens\":%lld,\"output_tokens_details\":{"
	    "\"reasoning_tokens\":%lld},\"total_tokens\":%lld}",
	    (long long)u.prompt, (long long)u.cached,
	    (long long)(u.write_5m + u.write_1h), (long long)u.completion,
	    (long long)u.reasoning, (long long)(u.prompt + u.completion));
}

static void
responses_item_id(
    const struct exchange *x, const struct block *b, struct buf *out)
{
	static const char *const prefix[] = {
	    "rs_", "rs_", "msg_", "msg_", "fc_"};

	buf_addf(out, "%s%.24s%02d", prefix[b->type], x->id + 9,
	    (int)(b - x->plan.blocks));
}

/* The content of a message: its text, or as far as it goes. */
static void
responses_part(const struct exchange *x, const struct block *b, bool whole,
    struct buf *out)
{
	buf_addz(out, b->type == BLOCK_REFUSAL
			  ? "{\"type\":\"refusal\",\"refusal\":\""
			  : "{\"type\":\"output_text\",\"annotations\":[],"
			    "\"logprobs\":[],\"text\":\"");
	if (whole)
		plan_text(x, 0, b, -1, out);
	buf_addz(out, "\"}");
}

static void
responses_item(const struct exchange *x, const struct block *b, bool whole,
    struct buf *out)
{
	buf_addz(out, "{\"id\":\"");
	responses_item_id(x, b, out);
	if (b->type == BLOCK_THINKING || b->type == BLOCK_REDACTED) {
		buf_addz(out, "\",\"type\":\"reasoning\",\"summary\":[");
		if (whole && x->summaries && b->type == BLOCK_THINKING) {
			buf_addz(out, "{\"type\":\"summary_text\",\"text\":\"");
			plan_text(x, 0, b, -1, out);
			buf_addz(out, "\"}");
		}
		buf_addc(out, ']');
		if (x->wants_signatures) {
			buf_addz(out, ",\"encrypted_content\":\"");
			sign_add(
			    out, x->seed + (uint64_t)b->from, 'e', STR(""));
			buf_addc(out, '"');
		}
		buf_addc(out, '}');
		return;
	}
	buf_addf(out, "\",\"type\":\"%s\",\"status\":\"%s\"",
	    b->type == BLOCK_CALL ? "function_call" : "message",
	    whole ? "completed" : "in_progress");
	if (b->type == BLOCK_CALL) {
		buf_addz(out, ",\"arguments\":");
		if (whole)
			buf_add_json(out, plan_args(x, b->call));
		else
			buf_addz(out, "\"\"");
		buf_addz(out, ",\"call_id\":\"");
		plan_call_id(x, "call_", b->call, out);
		buf_addz(out, "\",\"name\":");
		buf_add_json(out, plan_name(x, b->call));
	} else {
		buf_addz(out, ",\"role\":\"assistant\",\"content\":[");
		if (whole)
			responses_part(x, b, true, out);
		buf_addc(out, ']');
	}
	buf_addc(out, '}');
}

static const char *
responses_status(const struct exchange *x)
{
	enum finish f = exchange_finish_reason(x);

	return f == FINISH_LENGTH || f == FINISH_FILTER ? "incomplete"
							: "completed";
}

/* The response object; over: with its output and usage. */
static void
responses_object(
    const struct exchange *x, const char *status, bool over, struct buf *out)
{
	buf_addf(out,
	    "{\"id\":\"resp_%.29s\",\"object\":\"response\",\"created_at\":"
	    "%lld,\"status\":\"%s\",\"error\":",
	    x->id + 9, (long long)x->created, status);
	buf_addz(out, strcmp(status, "failed") == 0
			  ? "{\"code\":\"server_error\",\"message\":\"The "
			    "model failed to generate a response.\"}"
			  : "null");
	buf_addf(out,
	    ",\"incomplete_details\":%s,\"model\":\"%s\","
	    "\"output\":[",
	    strcmp(status, "incomplete") != 0 ? "null"
	    : x->capped ? "{\"reason\":\"max_output_tokens\"}"
			: "{\"reason\":\"content_filter\"}",
	    x->row.model->id);
	for (int i = 0; over && i < x->plan.n_blocks; i++) {
		if (i > 0)
			buf_addc(out, ',');
		responses_item(x, &x->plan.blocks[i], true, out);
	}
	buf_addc(out, ']');
	responses_echo(x, "background", "false", out);
	responses_echo(x, "instructions", "null", out);
	responses_echo(x, "max_output_tokens", "null", out);
	responses_echo(x, "parallel_tool_calls", "true", out);
	responses_echo(x, "previous_response_id", "null", out);
	responses_echo(
	    x, "reasoning", "{\"effort\":null,\"summary\":null}", out);
	buf_addf(out, ",\"service_tier\":\"%s\"",
	    x->k.tier > TIER_STANDARD ? knobs_tier_name((enum tier)x->k.tier)
				      : "default");
	responses_echo(x, "store", "true", out);
	responses_echo(x, "temperature", "1.0", out);
	responses_echo(x, "text", "{\"format\":{\"type\":\"text\"}}", out);
	responses_echo(x, "tool_choice", "\"auto\"", out);
	responses_echo(x, "tools", "[]", out);
	responses_echo(x, "top_p", "1.0", out);
	responses_echo(x, "truncation", "\"disabled\"", out);
	responses_echo(x, "user", "null", out);
	responses_echo(x, "metadata", "{}", out);
	buf_addz(out, ",\"usage\":");
	if (over && exchange_usage_times(x) > 0 &&
	    !exchange_fault_is(x, FAULT_USAGE_NULL))
		responses_usage(x, out);
	else
		buf_addz(out, "null");
	buf_addc(out, '}');
}

static void
responses_plain(const struct exchange *x, struct buf *out)
{
	bool background = responses_flag(x, "background", false);

	responses_object(
	    x, background ? "queued" : responses_status(x), !background, out);
}

/* Begin an event: up to the members of its own. */
static void
responses_open(struct exchange *x, const char *type, struct buf *out)
{
	buf_addf(out,
	    "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%lld", type,
	    type, (long long)x->sequence++);
}

static void
responses_whole(struct exchange *x, const char *type, const char *status,
    bool over, struct buf *out)
{
	responses_open(x, type, out);
	buf_addz(out, ",\"response\":");
	responses_object(x, status, over, out);
	buf_addz(out, "}\n\n");
}

static void
responses_start(struct exchange *x, struct buf *out)
{
	responses_whole(x, "response.created", "in_progress", false, out);
	responses_whole(x, "response.in_progress", "in_progress", false, out);
	if (x->k.unknown_events > 0) {
		responses_open(x, "response.surprise", out);
		buf_addz(out, "}\n\n");
	}
}

static void
responses_item_event(
    struct exchange *x, const struct block *b, bool whole, struct buf *out)
{
	responses_open(x,
	    whole ? "response.output_item.done" : "response.output_item.added",
	    out);
	buf_addf(
	    out, ",\"output_index\":%d,\"item\":", (int)(b - x->plan.blocks));
	responses_item(x, b, whole, out);
	buf_addz(out, "}\n\n");
}

/* Members that say which item is meant. */
static void
responses_where(
    const struct exchange *x, const struct block *b, struct buf *out)
{
	buf_addz(out, ",\"item_id\":\"");
	responses_item_id(x, b, out);
	buf_addf(out, "\",\"output_index\":%d", (int)(b - x->plan.blocks));
	if (b->type == BLOCK_THINKING)
		buf_addz(out, ",\"summary_index\":0");
	else if (b->type != BLOCK_CALL)
		buf_addz(out, ",\"content_index\":0");
}

/* How events and their text member are called, by type of block. */
static const struct {
	const char *name, *text, *part;
} responses_words[] = {
    [BLOCK_THINKING] = {"response.reasoning_summary_text", "text",
	"response.reasoning_summary_part"},
    [BLOCK_REDACTED] = {"", "", ""},
    [BLOCK_TEXT] = {"response.output_text", "text", "response.content_part"},
    [BLOCK_REFUSAL] = {"response.refusal", "refusal", "response.content_part"},
    [BLOCK_CALL] = {"response.function_call_arguments", "arguments", NULL},
};

static void
responses_part_event(
    struct exchange *x, const struct block *b, bool whole, struct buf *out)
{
	char type[64];

	if (responses_words[b->type].part == NULL)
		return;
	(void)snprintf(type, sizeof(type), "%s.%s",
	    responses_words[b->type].part, whole ? "done" : "added");
	responses_open(x, type, out);
	responses_where(x, b, out);
	buf_addz(out, ",\"part\":");
	if (b->type == BLOCK_THINKING) {
		buf_addz(out, "{\"type\":\"summary_text\",\"text\":\"");
		if (whole)
			plan_text(x, 0, b, -1, out);
		buf_addz(out, "\"}");
	} else {
		responses_part(x, b, whole, out);
	}
	buf_addz(out, "}\n\n");
}

static void
responses_delta(
    struct exchange *x, const struct block *b, int64_t i, struct buf *out)
{
	char type[64];

	(void)snprintf(
	    type, sizeof(type), "%s.delta", responses_words[b->type].name);
	responses_open(x, type, out);
	responses_where(x, b, out);
	if (b->type == BLOCK_TEXT)
		buf_addz(out, ",\"logprobs\":[]");
	buf_addz(out, ",\"delta\":\"");
	plan_text(x, 0, b, i, out);
	buf_addc(out, '"');
	if (x->obfuscation) {
		uint64_t state = x->seed + (uint64_t)x->sequence;
		size_t n = text_next(&state) % 15 + 1;

		buf_addz(out, ",\"obfuscation\":\"");
		for (size_t k = 0; k < n; k++)
			buf_addc(out, (char)('A' + text_next(&state) % 26));
		buf_addc(out, '"');
	}
	buf_addz(out, "}\n\n");
}

static void
responses_done_event(struct exchange *x, const struct block *b, struct buf *out)
{
	char type[64];

	(void)snprintf(
	    type, sizeof(type), "%s.done", responses_words[b->type].name);
	responses_open(x, type, out);
	responses_where(x, b, out);
	if (b->type == BLOCK_TEXT)
		buf_addz(out, ",\"logprobs\":[]");
	if (b->type == BLOCK_CALL) {
		buf_addz(out, ",\"name\":");
		buf_add_json(out, plan_name(x, b->call));
	}
	buf_addf(out, ",\"%s\":\"", responses_words[b->type].text);
	plan_text(x, 0, b, -1, out);
	buf_addz(out, "\"}\n\n");
}

static void
responses_content(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i;
	const struct block *b = plan_find(x, at, &i);
	bool silent = b->type == BLOCK_REDACTED ||
		      (b->type == BLOCK_THINKING && !x->summaries);

	if (i == 0) {
		responses_item_event(x, b, false, out);
		if (!silent)
			responses_part_event(x, b, false, out);
	}
	if (!silent)
		responses_delta(x, b, i, out);
	if (i < b->n_ev - 1)
		return;
	if (!silent) {
		responses_done_event(x, b, out);
		responses_part_event(x, b, true, out);
	}
	responses_item_event(x, b, true, out);
}

static void
responses_finish(struct exchange *x, struct buf *out)
{
	const char *status = responses_status(x);
	int times = exchange_usage_times(x) > 1 ? 2 : 1;
	char type[64];

	(void)snprintf(type, sizeof(type), "response.%s", status);
	if (exchange_fault_is(x, FAULT_NO_DONE))
		return;
	for (int i = 0; i < times; i++)
		responses_whole(x, type, status, true, out);
}

/* A server error comes as response.failed, others as an error event. */
static void
responses_error(const struct exchange *x, int status, struct buf *out)
{
	struct exchange *own = (struct exchange *)(uintptr_t)x;

	if (status == 500 && x->step > 0) {
		responses_whole(own, "response.failed", "failed", false, out);
		return;
	}
	responses_open(own, "error", out);
	buf_addf(out, ",\"code\":\"%s\",\"message\":\"%s\",\"param\":null}\n\n",
	    status == 429   ? "rate_limit_exceeded"
	    : status == 529 ? "server_is_overloaded"
			    : "server_error",
	    status == 429 ? "Rate limit reached." : "Something went wrong.");
}

static void
responses_done(struct conn *c)
{
	struct exchange *x = &c->x;
	char id[48];
	char *items;
	struct buf body;

	if (!responses_flag(x, "store", true))
		return;
	buf_init(&body, 256 * 1024 * 1024);
	responses_object(x, responses_status(x), true, &body);
	items = json_dumps(json_object_get(x->echo, "x_items"), JSON_COMPACT);
	(void)snprintf(id, sizeof(id), "resp_%.29s", x->id + 9);
	if (items != NULL)
		store_put(
		    c->sim->store, str_of(id), buf_str(&body), str_of(items));
	free(items);
	buf_release(&body);
}

const struct dialect responses_dialect = {
    .tells = TELLS_CACHED | TELLS_WRITES | TELLS_REASONING,
    .tiered = true,
    .op = "responses",
    .stream_type = "text/event-stream; charset=utf-8",
    .plain = responses_plain,
    .start = responses_start,
    .content = responses_content,
    .finish = responses_finish,
    .error = responses_error,
    .done = responses_done,
};

/* GET, DELETE, .../cancel and .../input_items. */
void
call_stored_response(struct call *q)
{
	struct store *s = q->c->sim->store;
	struct str path = q->r->path, id, what;
	const char *at = memmem(path.p, path.len, "/responses/", 11);
	struct buf body;
	bool found, items;

	(void)str_cut(str_make(at + 11, path.len - (size_t)(at + 11 - path.p)),
	    '/', &id, &what);
	items = str_eqz(what, "input_items");
	buf_init(&body, 256 * 1024 * 1024);
	if (items)
		buf_addz(&body, "{\"object\":\"list\",\"data\":");
	found = (what.len == 0 || items || str_eqz(what, "cancel")) &&
		store_get(s, id, items, &body);
	if (items)
		buf_addz(&body, ",\"first_id\":null,\"last_id\":null,"
				"\"has_more\":false}");
	if (!found) {
		problem_replyf(q->c, PROBLEM_NOT_FOUND, "id",
		    "Response with id '%.*s' not found.",
		    (int)(id.len < 80 ? id.len : 80), id.p);
	} else if (str_eqz(q->r->method, "DELETE")) {
		(void)store_delete(s, id);
		buf_clear(&body);
		buf_addf(&body,
		    "{\"id\":\"%.*s\",\"object\":\"response\",\"deleted\":"
		    "true}",
		    (int)id.len, id.p);
		reply_full(q->c, 200, "application/json", "", buf_str(&body));
	} else {
		reply_full(q->c, 200, "application/json", "", buf_str(&body));
	}
	buf_release(&body);
}
