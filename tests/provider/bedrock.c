/* SPDX-License-Identifier: Apache-2.0 */
/* Amazon Bedrock: Converse and ConverseStream. */
#include "tests/provider/fault.h"
#include "tests/provider/frame.h"
#include "tests/provider/tree.h"

/* ---- answers ---- */

static const char *
converse_stop_reason(const struct exchange *x)
{
	static const char *const words[] = {"end_turn", "max_tokens",
	    "tool_use", "content_filtered", "guardrail_intervened",
	    "stop_sequence"};

	return words[exchange_finish_reason(x)];
}

static void
converse_usage(const struct exchange *x, struct buf *out)
{
	struct usage u = exchange_usage(x);
	int64_t writes = u.write_5m + u.write_1h;
	int64_t input = u.prompt - u.cached - writes;

	buf_addf(out,
	    "\"usage\":{\"inputTokens\":%lld,\"outputTokens\":%lld,"
	    "\"totalTokens\":%lld",
	    (long long)input, (long long)u.completion,
	    (long long)(u.prompt + u.completion));
	if (x->k.usage != USAGE_BARE)
		buf_addf(out,
		    ",\"cacheReadInputTokens\":%lld,"
		    "\"cacheWriteInputTokens\":%lld",
		    (long long)u.cached, (long long)writes);
	if (writes > 0 && x->k.usage != USAGE_BARE) {
		buf_addz(out, ",\"cacheDetails\":[");
		if (u.write_5m > 0)
			buf_addf(out, "{\"ttl\":\"5m\",\"inputTokens\":%lld}",
			    (long long)u.write_5m);
		if (u.write_1h > 0)
			buf_addf(out, "%s{\"ttl\":\"1h\",\"inputTokens\":%lld}",
			    u.write_5m > 0 ? "," : "", (long long)u.write_1h);
		buf_addc(out, ']');
	}
	buf_addz(out, "},\"metrics\":{\"latencyMs\":1}");
	if (x->k.tier > TIER_STANDARD)
		buf_addf(out, ",\"serviceTier\":{\"type\":\"%s\"}",
		    knobs_tier_name((enum tier)x->k.tier));
}

static void
converse_block(const struct exchange *x, const struct block *b, struct buf *out)
{
	switch (b->type) {
	case BLOCK_THINKING:
		buf_addz(out, "{\"reasoningContent\":{\"reasoningText\":{"
			      "\"text\":\"");
		plan_text(x, 0, b, -1, out);
		buf_addz(out, "\",\"signature\":\"");
		sign_add_block(x, b, 't', out);
		buf_addz(out, "\"}}}");
		break;
	case BLOCK_REDACTED:
		buf_addz(out, "{\"reasoningContent\":{\"redactedContent\":\"");
		sign_add(out, x->seed + (uint64_t)b->from, 'r', STR(""));
		buf_addz(out, "\"}}");
		break;
	case BLOCK_CALL:
		buf_addz(out, "{\"toolUse\":{\"toolUseId\":\"");
		plan_call_id(x, "tooluse_", b->call, out);
		buf_addz(out, "\",\"name\":");
		buf_add_json(out, plan_name(x, b->call));
		buf_addz(out, ",\"input\":");
		buf_add_str(out, plan_args(x, b->call));
		buf_addz(out, "}}");
		break;
	default:
		buf_addz(out, "{\"text\":\"");
		plan_text(x, 0, b, -1, out);
		buf_addz(out, "\"}");
		break;
	}
}

static void
converse_plain(const struct exchange *x, struct buf *out)
{
	buf_addz(out, "{\"output\":{\"message\":{\"role\":\"assistant\","
		      "\"content\":[");
	for (int i = 0; i < x->plan.n_blocks; i++) {
		if (i > 0)
			buf_addc(out, ',');
		converse_block(x, &x->plan.blocks[i], out);
	}
	buf_addf(out, "]}},\"stopReason\":\"%s\"", converse_stop_reason(x));
	if (exchange_usage_times(x) > 0) {
		buf_addc(out, ',');
		converse_usage(x, out);
	}
	buf_addc(out, '}');
}

/* Close the object of a payload, pad it, and frame it. */
static void
converse_frame(const struct exchange *x, const char *type, struct buf *payload,
    struct buf *out)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	int64_t pad = knob_or(x->k.padding, 1 + x->step % 7);

	if (pad > 0) {
		buf_addz(payload, ",\"p\":\"");
		for (int64_t i = 0; i < pad; i++)
			buf_addc(payload, letters[i % 62]);
		buf_addc(payload, '"');
	}
	buf_addc(payload, '}');
	fault_payload(x, payload);
	frame_binary(out, "event", type, buf_str(payload));
	buf_release(payload);
}

static void
converse_start(struct exchange *x, struct buf *out)
{
	struct buf p;

	buf_init(&p, 65536);
	buf_addz(&p, "{\"role\":\"assistant\"");
	converse_frame(x, "messageStart", &p, out);
}

static void
converse_delta(
    const struct exchange *x, const struct block *b, int64_t i, struct buf *out)
{
	int index = (int)(b - x->plan.blocks);
	struct buf p;

	buf_init(&p, SIZE_MAX / 2);
	buf_addf(&p, "{\"contentBlockIndex\":%d,\"delta\":{", index);
	if (b->type == BLOCK_REDACTED) {
		buf_addz(&p, "\"reasoningContent\":{\"redactedContent\":\"");
		sign_add(&p, x->seed + (uint64_t)b->from, 'r', STR(""));
		buf_addz(&p, "\"}}");
		converse_frame(x, "contentBlockDelta", &p, out);
		return;
	}
	buf_addz(&p, b->type == BLOCK_THINKING
			 ? "\"reasoningContent\":{\"text\":\""
		     : b->type == BLOCK_CALL ? "\"toolUse\":{\"input\":\""
					     : "\"text\":\"");
	plan_text(x, 0, b, i, &p);
	buf_addz(&p, b->type == BLOCK_THINKING || b->type == BLOCK_CALL
			 ? "\"}}"
			 : "\"}");
	converse_frame(x, "contentBlockDelta", &p, out);
	if (b->type != BLOCK_THINKING || i < b->n_ev - 1)
		return;
	buf_addf(&p,
	    "{\"contentBlockIndex\":%d,\"delta\":{\"reasoningContent\":{"
	    "\"signature\":\"",
	    index);
	sign_add_block(x, b, 't', &p);
	buf_addz(&p, "\"}}");
	converse_frame(x, "contentBlockDelta", &p, out);
}

static void
converse_content(struct exchange *x, int64_t at, struct buf *out)
{
	int64_t i;
	const struct block *b = plan_find(x, at, &i);
	int index = (int)(b - x->plan.blocks);
	struct buf p;

	buf_init(&p, SIZE_MAX / 2);
	if (i == 0 && b->type == BLOCK_CALL) {
		buf_addf(&p,
		    "{\"contentBlockIndex\":%d,\"start\":{\"toolUse\":{"
		    "\"toolUseId\":\"",
		    index);
		plan_call_id(x, "tooluse_", b->call, &p);
		buf_addz(&p, "\",\"name\":");
		buf_add_json(&p, plan_name(x, b->call));
		buf_addz(&p, "}}");
		converse_frame(x, "contentBlockStart", &p, out);
	}
	converse_delta(x, b, i, out);
	if (i == b->n_ev - 1) {
		buf_addf(&p, "{\"contentBlockIndex\":%d", index);
		converse_frame(x, "contentBlockStop", &p, out);
	}
}

static void
converse_finish(struct exchange *x, struct buf *out)
{
	struct buf p;

	buf_init(&p, 65536);
	buf_addf(&p, "{\"stopReason\":\"%s\"", converse_stop_reason(x));
	converse_frame(x, "messageStop", &p, out);
	if (exchange_fault_is(x, FAULT_NO_DONE))
		return;
	for (int i = exchange_usage_times(x); i > 0; i--) {
		buf_addc(&p, '{');
		if (exchange_fault_is(x, FAULT_USAGE_NULL))
			buf_addz(&p, "\"usage\":null");
		else
			converse_usage(x, &p);
		converse_frame(x, "metadata", &p, out);
	}
}

static void
converse_error(const struct exchange *x, int status, struct buf *out)
{
	const char *type = status == 429   ? "throttlingException"
			   : status == 529 ? "serviceUnavailableException"
					   : "modelStreamErrorException";

	(void)x;
	frame_binary(out, "exception", type,
	    status == 429
		? STR("{\"message\":\"Too many requests, please wait "
		      "before trying again.\"}")
		: STR("{\"message\":\"The system encountered an "
		      "unexpected error during processing. Try your "
		      "request again.\",\"originalStatusCode\":500}"));
}

static void
converse_bad_json(const struct exchange *x, struct buf *out)
{
	(void)x;
	frame_binary(out, "event", "contentBlockDelta",
	    STR("{\"contentBlockIndex\":0,\"delta\":{\"te"));
}

const struct dialect converse_dialect = {
    .tells = TELLS_CACHED | TELLS_WRITES | TELLS_TTL,
    .tiered = true,
    .op = "converse",
    .stream_type = "application/vnd.amazon.eventstream",
    .wire = WIRE_BINARY,
    .plain = converse_plain,
    .start = converse_start,
    .content = converse_content,
    .finish = converse_finish,
    .error = converse_error,
    .bad_json = converse_bad_json,
};

/* ---- requests ---- */

static bool
converse_bad(struct call *q, const char *message)
{
	if (!q->failed)
		problem_reply(q->c, PROBLEM_INVALID, NULL, message);
	q->failed = true;
	return false;
}

static bool
converse_media(struct call *q, const json_t *media, const char *fields)
{
	const json_t *source = json_object_get(media, "source");
	const char *bytes = tree_str(source, "bytes");

	if (media == NULL)
		return true;
	if (!tree_fields(q, media, "messages/content", fields) ||
	    !tree_fields(q, source, "messages/content/source",
		"bytes s3Location text content"))
		return false;
	if (tree_str(media, "format") == NULL)
		return converse_bad(q,
		    "Malformed input request: #/messages/0/content/0: required "
		    "key [format] not found, please reformat your input and "
		    "try again.");
	if (bytes != NULL && strlen(bytes) % 4 != 0)
		return converse_bad(
		    q, "Could not process image: invalid base64.");
	return json_object_size(source) == 1 ||
	       converse_bad(q, "The source must have exactly one member.");
}

static bool
converse_reasoning(struct call *q, const json_t *r)
{
	const json_t *text = json_object_get(r, "reasoningText");
	struct str redacted = tree_slice(json_object_get(r, "redactedContent"));

	if (r == NULL)
		return true;
	if (text != NULL &&
	    !sign_check(tree_slice(json_object_get(text, "signature")), 't',
		tree_slice(json_object_get(text, "text"))))
		return converse_bad(q,
		    "The model returned the following errors: "
		    "messages.1.content.0: Invalid `signature` in `thinking` "
		    "block");
	if (redacted.p != NULL && !sign_check(redacted, 'r', STR("")))
		return converse_bad(q,
		    "The model returned the following errors: "
		    "messages.1.content.0: Invalid `data` in "
		    "`redacted_thinking` block");
	return true;
}

static bool
converse_part(
    struct call *q, const json_t *b, int *uses, int *results, bool assistant)
{
	const json_t *use = json_object_get(b, "toolUse");
	const json_t *result = json_object_get(b, "toolResult");
	const json_t *text = json_object_get(b, "text");

	if (!tree_fields(q, b, "messages/content",
		"text image document video audio toolUse toolResult "
		"reasoningContent cachePoint guardContent citationsContent "
		"searchResult"))
		return false;
	if (json_object_size(b) != 1)
		return converse_bad(q, "A content block must have exactly one "
				       "member.");
	if (json_is_string(text) && json_string_length(text) == 0)
		return converse_bad(q,
		    "The text field in the ContentBlock object is blank. Add "
		    "text to the text field, and try again.");
	tree_hash(&q->s, text);
	if (use != NULL) {
		(*uses)++;
		if (!assistant || tree_str(use, "toolUseId") == NULL ||
		    tree_str(use, "name") == NULL ||
		    !json_is_object(json_object_get(use, "input")))
			return converse_bad(q,
			    "The format of the value at messages.content."
			    "toolUse.input is invalid. Provide a json "
			    "object for the field and try again.");
	}
	if (result != NULL) {
		(*results)++;
		q->s.has_tool_result = q->s.tools_seen = true;
		if (!tree_fields(q, result, "messages/content/toolResult",
			"toolUseId content status type"))
			return false;
		tree_hash(&q->s, json_object_get(result, "content"));
	}
	return converse_reasoning(q, json_object_get(b, "reasoningContent")) &&
	       converse_media(
		   q, json_object_get(b, "image"), "format source") &&
	       converse_media(q, json_object_get(b, "document"),
		   "format name source context citations");
}

static bool
converse_messages(struct call *q)
{
	const json_t *messages = json_object_get(q->root, "messages"), *m, *b;
	const char *before = NULL;
	int open = 0;
	size_t i, k;

	if (json_array_size(messages) == 0)
		return converse_bad(
		    q, "The messages field is required and must not be empty.");
	json_array_foreach (messages, i, m) {
		const char *role = tree_str(m, "role");
		int uses = 0, results = 0;

		q->s.has_tool_result = false;

		if (!tree_fields(q, m, "messages", "role content"))
			return false;
		if (role == NULL || (strcmp(role, "user") != 0 &&
					strcmp(role, "assistant") != 0))
			return converse_bad(q,
			    "Value at 'messages.member.role' failed to satisfy "
			    "constraint: Member must satisfy enum value set: "
			    "[user, assistant]");
		if (before != NULL ? strcmp(before, role) == 0
				   : strcmp(role, "user") != 0)
			return converse_bad(q,
			    "A conversation must alternate between user and "
			    "assistant roles. Make sure the conversation "
			    "alternates between user and assistant roles and "
			    "try again.");
		before = role;
		if (json_array_size(json_object_get(m, "content")) == 0)
			return converse_bad(q,
			    "The content field in the Message object is empty. "
			    "Add a ContentBlock object to the content field "
			    "and try again.");
		json_array_foreach (json_object_get(m, "content"), k, b) {
			if (!converse_part(q, b, &uses, &results,
				strcmp(role, "assistant") == 0))
				return false;
		}
		if (results != open)
			return converse_bad(q,
			    results > open
				? "The number of toolResult blocks exceeds the "
				  "number of toolUse blocks of previous turn."
				: "Expected toolResult blocks for all toolUse "
				  "blocks of the previous turn.");
		open = uses;
		tree_count(&q->s, m);
	}
	return strcmp(before, "user") == 0 ||
	       converse_bad(q, "A conversation must end with a user message.");
}

static bool
converse_tools(struct call *q)
{
	const json_t *config = json_object_get(q->root, "toolConfig"), *t;
	const json_t *choice = json_object_get(config, "toolChoice");
	size_t i;

	if (!tree_fields(q, config, "toolConfig", "tools toolChoice"))
		return false;
	if (config == NULL)
		return !q->s.tools_seen ||
		       converse_bad(q,
			   "The toolConfig field must be defined when using "
			   "toolUse and toolResult content blocks.");
	if (json_array_size(json_object_get(config, "tools")) == 0)
		return converse_bad(
		    q, "The toolConfig.tools field must not be empty.");
	json_array_foreach (json_object_get(config, "tools"), i, t) {
		const json_t *spec = json_object_get(t, "toolSpec");

		if (!tree_fields(q, t, "toolConfig/tools",
			"toolSpec cachePoint systemTool"))
			return false;
		if (spec == NULL)
			continue;
		if (!tree_fields(q, spec, "toolConfig/tools/toolSpec",
			"name description inputSchema strict"))
			return false;
		if (!json_is_object(json_object_get(
			json_object_get(spec, "inputSchema"), "json")))
			return converse_bad(q,
			    "The value at toolConfig.tools.toolSpec.inputSchema"
			    ".json.type must be one of the following: object.");
		tree_count(&q->s, spec);
		tree_add_tool(&q->s, tree_str(spec, "name"),
		    json_object_get(
			json_object_get(spec, "inputSchema"), "json"));
	}
	if (!tree_fields(q, choice, "toolConfig/toolChoice", "auto any tool"))
		return false;
	if (q->s.has_tool_result)
		return true;
	if (json_object_get(choice, "any") != NULL)
		q->s.choice = CHOICE_ANY;
	if (json_object_get(choice, "tool") != NULL)
		q->s.choice = CHOICE_TOOL;
	q->s.choice_name = tree_str(json_object_get(choice, "tool"), "name");
	return true;
}

static bool
converse_options(struct call *q)
{
	const json_t *config = json_object_get(q->root, "inferenceConfig");
	const json_t *more =
	    json_object_get(q->root, "additionalModelRequestFields");
	const json_t *thinking = json_object_get(more, "thinking");
	const json_t *output = json_object_get(q->root, "outputConfig");
	const json_t *format = json_object_get(output, "textFormat");
	const json_t *inner =
	    json_object_get(json_object_get(format, "structure"), "jsonSchema");
	const char *type = tree_str(thinking, "type");
	const char *schema = tree_str(inner, "schema");

	if (!tree_fields(q, config, "inferenceConfig",
		"maxTokens temperature topP stopSequences"))
		return false;
	q->s.max_tokens = tree_int(config, "maxTokens", -1);
	q->s.stop = tree_slice(
	    json_array_get(json_object_get(config, "stopSequences"), 0));
	q->s.thinking = type != NULL && strcmp(type, "disabled") != 0;
	q->s.show_thinking = q->s.thinking;
	q->s.tier = tree_slice(
	    json_object_get(json_object_get(q->root, "serviceTier"), "type"));
	q->s.json = format != NULL;
	q->s.format = json_object_get(inner, "schema");
	if (schema != NULL) /* it comes as a text */
		json_object_set_new(
		    q->root, "x_schema", json_loads(schema, 0, NULL));
	if (schema != NULL)
		q->s.format = json_object_get(q->root, "x_schema");
	return true;
}

void
call_converse(struct call *q)
{
	const struct sim_model *m;
	const json_t *system;
	size_t i;

	if (!tree_parse(q) ||
	    !tree_fields(q, q->root, "",
		"messages system inferenceConfig toolConfig outputConfig "
		"additionalModelRequestFields additionalModelResponseFieldPaths"
		" guardrailConfig performanceConfig serviceTier "
		"requestMetadata promptVariables"))
		return;
	json_array_foreach (json_object_get(q->root, "system"), i, system) {
		if (!tree_fields(
			q, system, "system", "text guardContent cachePoint"))
			return;
		tree_hash(&q->s, json_object_get(system, "text"));
		tree_count(&q->s, system);
	}
	if (!converse_messages(q) || !converse_tools(q) ||
	    !converse_options(q) || !call_model(q, false, &m))
		return;
	q->s.stream = str_ends(q->r->path, STR("-stream"));
	call_start(q, m, false);
}
