/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to Anthropic's Messages API: checked as strictly as it does. */
#include <ctype.h>
#include <stdarg.h>

#include "tests/provider/tree.h"

#define MESSAGES_FIELDS                                                       \
	"model max_tokens messages system stop_sequences stream temperature " \
	"top_p top_k metadata service_tier inference_geo thinking "           \
	"output_config tools tool_choice cache_control container "            \
	"context_management mcp_servers"
#define COUNT_FIELDS \
	"model messages system thinking tools tool_choice output_config"
/* In the body of Bedrock's InvokeModel: the path says which model, and
 * whether it is streamed. */
#define INVOKE_FIELDS                                                  \
	"anthropic_version anthropic_beta max_tokens messages system " \
	"stop_sequences temperature top_p top_k metadata thinking "    \
	"output_config tools tool_choice context_management"

static bool messages_bad(struct call *q, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
messages_bad(struct call *q, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!q->failed)
		problem_reply(q->c, PROBLEM_INVALID, NULL, text);
	q->failed = true;
	return false;
}

/* Members of each block type, checked exactly. */
static const struct {
	const char *type, *fields;
	bool user, assistant;
} messages_blocks[] = {
    {"text", "type text cache_control citations", true, true},
    {"image", "type source cache_control", true, false},
    {"document", "type source title context citations cache_control", true,
	false},
    {"tool_use", "type id name input cache_control caller", false, true},
    {"tool_result", "type tool_use_id content is_error cache_control", true,
	false},
    {"thinking", "type thinking signature", false, true},
    {"redacted_thinking", "type data", false, true},
    {"server_tool_use", "type id name input cache_control", false, true},
    {"web_search_tool_result", "type tool_use_id content cache_control", false,
	true},
};

static bool
messages_source(struct call *q, const json_t *source, const char *path)
{
	const char *type = tree_str(source, "type");

	if (type == NULL)
		return messages_bad(q, "%s.source.type: Field required", path);
	if (strcmp(type, "base64") == 0) {
		const char *data = tree_str(source, "data");

		if (tree_str(source, "media_type") == NULL)
			return messages_bad(q,
			    "%s.source.base64.media_type: Field required",
			    path);
		if (data == NULL || data[0] == '\0')
			return messages_bad(
			    q, "%s.source.base64.data: Field required", path);
		if (strlen(data) % 4 != 0)
			return messages_bad(q,
			    "%s.source.base64.data: invalid base64 data", path);
		return tree_fields(q, source, path, "type media_type data");
	}
	if (strcmp(type, "url") == 0 && q->d != &invoke_dialect)
		return tree_str(source, "url") != NULL ||
		       messages_bad(q, "%s.source.url: Field required", path);
	if (strcmp(type, "file") == 0 || strcmp(type, "text") == 0)
		return true;
	return messages_bad(q,
	    "%s.source: Input tag '%s' found using 'type' does not match any "
	    "of the expected tags: 'base64', 'url', 'file'",
	    path, type);
}

static bool
messages_thinking(
    struct call *q, const json_t *b, const char *type, const char *path)
{
	struct str sig = tree_slice(json_object_get(b, "signature"));

	if (strcmp(type, "redacted_thinking") == 0) {
		if (sign_check(
			tree_slice(json_object_get(b, "data")), 'r', STR("")))
			return true;
		return messages_bad(
		    q, "%s: Invalid `data` in `redacted_thinking` block", path);
	}
	if (sig.p == NULL)
		return messages_bad(
		    q, "%s.thinking.signature: Field required", path);
	if (sign_check(sig, 't', tree_slice(json_object_get(b, "thinking"))))
		return true;
	return messages_bad(
	    q, "%s: Invalid `signature` in `thinking` block", path);
}

static bool messages_content(
    struct call *q, const json_t *content, const char *path, bool assistant);

static bool
messages_id_ok(const char *id)
{
	size_t n = 0;

	for (; id[n] != '\0'; n++) {
		if (!isalnum((unsigned char)id[n]) && id[n] != '_' &&
		    id[n] != '-')
			return false;
	}
	return n > 0;
}

static bool
messages_tool_block(
    struct call *q, const json_t *b, const char *type, const char *path)
{
	const char *id;

	if (strcmp(type, "tool_use") == 0) {
		id = tree_str(b, "id");
		if (id == NULL || !messages_id_ok(id))
			return messages_bad(q,
			    "%s.tool_use.id: String should match pattern "
			    "'^[a-zA-Z0-9_-]+$'",
			    path);
		if (!json_is_object(json_object_get(b, "input")))
			return messages_bad(q,
			    "%s.tool_use.input: Input should be a valid "
			    "dictionary",
			    path);
		return tree_str(b, "name") != NULL ||
		       messages_bad(
			   q, "%s.tool_use.name: Field required", path);
	}
	q->s.has_tool_result = true;
	if (tree_str(b, "tool_use_id") == NULL)
		return messages_bad(
		    q, "%s.tool_result.tool_use_id: Field required", path);
	return json_object_get(b, "content") == NULL ||
	       messages_content(q, json_object_get(b, "content"), path, false);
}

static bool
messages_block(
    struct call *q, const json_t *b, const char *path, bool assistant)
{
	const char *type = tree_str(b, "type");
	size_t n = sizeof(messages_blocks) / sizeof(*messages_blocks), i = 0;

	if (type == NULL)
		return messages_bad(q, "%s.type: Field required", path);
	while (i < n && strcmp(messages_blocks[i].type, type) != 0)
		i++;
	if (i == n || (assistant ? !messages_blocks[i].assistant
				 : !messages_blocks[i].user))
		return messages_bad(q,
		    "%s: Input tag '%s' found using 'type' does not match any "
		    "of the expected tags",
		    path, type);
	if (!tree_fields(q, b, path, messages_blocks[i].fields))
		return false;
	if (strcmp(type, "text") == 0) {
		struct str text = tree_slice(json_object_get(b, "text"));

		if (text.p == NULL)
			return messages_bad(
			    q, "%s.text.text: Field required", path);
		if (text.len == 0)
			return messages_bad(q,
			    "messages: text content blocks must be non-empty");
		scan_hash(&q->s, text);
		return true;
	}
	if (strstr(type, "thinking") != NULL)
		return messages_thinking(q, b, type, path);
	if (strcmp(type, "tool_use") == 0 || strcmp(type, "tool_result") == 0)
		return messages_tool_block(q, b, type, path);
	if (json_object_get(b, "source") != NULL)
		return messages_source(q, json_object_get(b, "source"), path);
	return true;
}

static bool
messages_content(
    struct call *q, const json_t *content, const char *path, bool assistant)
{
	char one[160];
	const json_t *b;
	size_t i;

	if (json_is_string(content)) {
		scan_hash(&q->s, tree_slice(content));
		return true;
	}
	if (!json_is_array(content))
		return messages_bad(q, "%s.content: Field required", path);
	json_array_foreach (content, i, b) {
		(void)snprintf(one, sizeof(one), "%.120s.content.%zu", path, i);
		if (!messages_block(q, b, one, assistant))
			return false;
	}
	return true;
}

static const json_t *
messages_find_result(const json_t *message, const char *id)
{
	const json_t *content = json_object_get(message, "content"), *b;
	size_t i;

	json_array_foreach (content, i, b) {
		const char *of = tree_str(b, "tool_use_id");

		if (of != NULL && strcmp(of, id) == 0)
			return b;
	}
	return NULL;
}

/* Every call is answered in the next message, every answer had a call. */
static bool
messages_pairs(struct call *q, const json_t *messages, size_t at)
{
	const json_t *content =
	    json_object_get(json_array_get(messages, at), "content");
	const json_t *next = json_array_get(messages, at + 1), *b;
	size_t i;

	json_array_foreach (content, i, b) {
		const char *type = tree_str(b, "type");

		if (type != NULL && strcmp(type, "tool_use") == 0 &&
		    next != NULL &&
		    messages_find_result(next, tree_str(b, "id")) == NULL)
			return messages_bad(q,
			    "messages.%zu: `tool_use` ids were found without "
			    "`tool_result` blocks immediately after: %s. Each "
			    "`tool_use` block must have a corresponding "
			    "`tool_result` block in the next message.",
			    at, tree_str(b, "id"));
		if (type != NULL && strcmp(type, "tool_result") == 0) {
			const json_t *before =
			    at == 0 ? NULL
				    : json_object_get(
					  json_array_get(messages, at - 1),
					  "content");
			const json_t *use;
			size_t k;
			bool found = false;

			json_array_foreach (before, k, use) {
				const char *id = tree_str(use, "id");

				found |=
				    id != NULL &&
				    strcmp(id, tree_str(b, "tool_use_id")) == 0;
			}
			if (!found)
				return messages_bad(q,
				    "messages.%zu.content.%zu: unexpected "
				    "`tool_use_id` found in `tool_result` "
				    "blocks: %s. Each `tool_result` block must "
				    "have a corresponding `tool_use` block in "
				    "the previous message.",
				    at, i, tree_str(b, "tool_use_id"));
		}
	}
	return true;
}

static bool
messages_list(struct call *q)
{
	const json_t *messages = json_object_get(q->root, "messages"), *m;
	char path[64];
	size_t i;

	if (!json_is_array(messages))
		return messages_bad(q, "messages: Field required");
	if (json_array_size(messages) == 0)
		return messages_bad(
		    q, "messages: at least one message is required");
	json_array_foreach (messages, i, m) {
		const char *role = tree_str(m, "role");
		bool assistant = role != NULL && strcmp(role, "assistant") == 0;

		(void)snprintf(path, sizeof(path), "messages.%zu", i);
		q->s.has_tool_result = false;
		if (!tree_fields(q, m, path, "role content"))
			return false;
		if (!assistant && (role == NULL || strcmp(role, "user") != 0))
			return messages_bad(q,
			    "messages: Unexpected role \"%s\". The Messages "
			    "API accepts a top-level `system` parameter, not "
			    "\"system\" as an input message role.",
			    role == NULL ? "" : role);
		if (i == 0 && assistant)
			return messages_bad(q,
			    "messages: first message must use the \"user\" "
			    "role");
		if (json_array_size(json_object_get(m, "content")) == 0 &&
		    !json_is_string(json_object_get(m, "content")))
			return messages_bad(q,
			    "%s: all messages must have non-empty content "
			    "except for the optional final assistant message",
			    path);
		if (!messages_content(
			q, json_object_get(m, "content"), path, assistant) ||
		    !messages_pairs(q, messages, i))
			return false;
		tree_count(&q->s, m);
	}
	return true;
}

static bool
messages_tools(struct call *q)
{
	const json_t *tools = json_object_get(q->root, "tools"), *t;
	const json_t *choice = json_object_get(q->root, "tool_choice");
	const char *type = tree_str(choice, "type");
	char path[64];
	size_t i;

	json_array_foreach (tools, i, t) {
		const char *kind = tree_str(t, "type");

		(void)snprintf(path, sizeof(path), "tools.%zu", i);
		tree_count(&q->s, t);
		if (kind != NULL && strcmp(kind, "custom") != 0)
			continue; /* a server tool */
		if (!tree_fields(q, t, path,
			"type name description input_schema cache_control "
			"strict eager_input_streaming input_examples "
			"defer_loading allowed_callers"))
			return false;
		if (tree_str(t, "name") == NULL)
			return messages_bad(
			    q, "%s.custom.name: Field required", path);
		if (!json_is_object(json_object_get(t, "input_schema")))
			return messages_bad(
			    q, "%s.custom.input_schema: Field required", path);
		if (tree_str(json_object_get(t, "input_schema"), "type") ==
		    NULL)
			return messages_bad(q,
			    "%s.custom.input_schema.type: Field required",
			    path);
		tree_add_tool(&q->s, tree_str(t, "name"),
		    json_object_get(t, "input_schema"));
	}
	if (!tree_fields(q, choice, "tool_choice",
		"type name disable_parallel_tool_use"))
		return false;
	if (choice != NULL && type == NULL)
		return messages_bad(q, "tool_choice.type: Field required");
	if (choice != NULL && json_array_size(tools) == 0)
		return messages_bad(q,
		    "tool_choice: `tool_choice` may only be specified while "
		    "providing `tools`");
	q->s.serial = tree_true(choice, "disable_parallel_tool_use");
	if (type != NULL && strcmp(type, "none") == 0)
		q->s.choice = CHOICE_NONE;
	else if (type != NULL && !q->s.has_tool_result &&
		 strcmp(type, "auto") != 0)
		q->s.choice =
		    strcmp(type, "any") == 0 ? CHOICE_ANY : CHOICE_TOOL;
	q->s.choice_name = tree_str(choice, "name");
	return true;
}

/* With thinking on, the last assistant turn of a tool loop begins with it. */
static bool
messages_thinking_kept(struct call *q)
{
	const json_t *messages = json_object_get(q->root, "messages");
	const json_t *last, *content;
	const char *type;
	size_t n = json_array_size(messages);

	if (n < 2 || !q->s.has_tool_result)
		return true;
	last = json_array_get(messages, n - 2);
	content = json_object_get(last, "content");
	type = tree_str(json_array_get(content, 0), "type");
	if (type == NULL || strcmp(tree_str(last, "role"), "assistant") != 0 ||
	    strstr(type, "thinking") != NULL)
		return true;
	return messages_bad(q,
	    "messages.%zu.content.0.type: Expected `thinking` or "
	    "`redacted_thinking`, but found `%s`. When `thinking` is enabled, "
	    "a final `assistant` message must start with a thinking block "
	    "(preceeding the lastmost set of `tool_use` and `tool_result` "
	    "blocks).",
	    n - 2, type);
}

static bool
messages_thinking_option(struct call *q)
{
	const json_t *thinking = json_object_get(q->root, "thinking");
	const char *type = tree_str(thinking, "type");
	const char *display = tree_str(thinking, "display");
	int64_t budget = tree_int(thinking, "budget_tokens", -1);

	if (thinking == NULL || (type != NULL && strcmp(type, "disabled") == 0))
		return true;
	if (!tree_fields(q, thinking, "thinking", "type budget_tokens display"))
		return false;
	if (type == NULL)
		return messages_bad(q, "thinking.type: Field required");
	q->s.thinking = true;
	q->s.show_thinking = display == NULL || strcmp(display, "omitted") != 0;
	if (strcmp(type, "enabled") == 0 && budget < 1024)
		return messages_bad(q,
		    "thinking.enabled.budget_tokens: Input should be greater "
		    "than or equal to 1024");
	if (budget >= 0 && budget >= q->s.max_tokens)
		return messages_bad(q,
		    "`max_tokens` must be greater than `thinking.budget_"
		    "tokens`. Please consult our documentation at "
		    "https://docs.claude.com/en/docs/build-with-claude/"
		    "extended-thinking#max-tokens-and-context-window-size");
	if (q->s.choice == CHOICE_ANY || q->s.choice == CHOICE_TOOL)
		return messages_bad(q,
		    "Thinking may not be enabled when tool_choice forces tool "
		    "use.");
	return messages_thinking_kept(q);
}

static bool
messages_options(struct call *q)
{
	const json_t *output = json_object_get(q->root, "output_config");
	const json_t *format = json_object_get(output, "format");
	const json_t *v = json_object_get(q->root, "temperature");
	const char *type = tree_str(format, "type");

	if (json_number_value(v) < 0 || json_number_value(v) > 1)
		return messages_bad(q, "temperature: range: 0..1");
	if (!tree_fields(q, output, "output_config", "effort format"))
		return false;
	if (format != NULL &&
	    (type == NULL || strcmp(type, "json_schema") != 0 ||
		!json_is_object(json_object_get(format, "schema"))))
		return messages_bad(
		    q, "output_config.format.schema: Field required");
	q->s.json = format != NULL;
	q->s.format = json_object_get(format, "schema");
	q->s.stream = tree_true(q->root, "stream");
	q->s.stop = tree_slice(
	    json_array_get(json_object_get(q->root, "stop_sequences"), 0));
	v = json_object_get(q->root, "service_tier");
	if (v != NULL && !str_eqz(tree_slice(v), "auto") &&
	    !str_eqz(tree_slice(v), "standard_only"))
		return messages_bad(q,
		    "service_tier: Input should be 'auto' or "
		    "'standard_only'");
	return messages_thinking_option(q);
}

static bool
messages_read(struct call *q, const char *fields, bool count)
{
	const json_t *system;

	if (!tree_parse(q) || !tree_fields(q, q->root, "", fields))
		return false;
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	q->s.max_tokens = tree_int(q->root, "max_tokens", -1);
	if (!count && q->s.max_tokens < 0)
		return messages_bad(q, "max_tokens: Field required");
	if (!count && q->s.max_tokens < 1)
		return messages_bad(q,
		    "max_tokens: Input should be greater than or equal to 1");
	system = json_object_get(q->root, "system");
	if (system != NULL) {
		tree_count(&q->s, system);
		if (!messages_content(q, system, "system", false))
			return false;
	}
	return messages_list(q) && messages_tools(q) &&
	       (count || messages_options(q));
}

void
call_messages(struct call *q)
{
	const struct sim_model *m;

	if (messages_read(q, MESSAGES_FIELDS, false) &&
	    call_model(q, false, &m))
		call_start(q, m, false);
}

/* Bedrock takes one version of the format, and reads its tier from a header. */
static bool
messages_invoke_version(struct call *q)
{
	struct str version =
	    tree_slice(json_object_get(q->root, "anthropic_version"));

	if (version.p == NULL)
		return messages_bad(q, "anthropic_version: Field required");
	return str_eqz(version, "bedrock-2023-05-31") ||
	       messages_bad(q,
		   "anthropic_version: Input should be 'bedrock-2023-05-31'");
}

void
call_invoke(struct call *q)
{
	struct str type = http_header(q->r, "content-type");
	const struct sim_model *m = catalog_find(&q->c->sim->catalog, q->model);

	if (m != NULL && m->embeddings) {
		call_invoke_embed(q);
		return;
	}
	if (type.len > 0 && !str_starts(type, STR("application/json"))) {
		(void)messages_bad(q,
		    "Invalid content type. Only application/json is "
		    "supported.");
		return;
	}
	if (!messages_read(q, INVOKE_FIELDS, false) ||
	    !messages_invoke_version(q) || !call_model(q, false, &m))
		return;
	q->s.tier = http_header(q->r, "x-amzn-bedrock-service-tier");
	q->s.stream = str_ends(q->r->path, STR("-stream"));
	call_start(q, m, false);
}

void
call_count_tokens(struct call *q)
{
	const struct sim_model *m;
	char body[64];

	if (!messages_read(q, COUNT_FIELDS, true) || !call_model(q, false, &m))
		return;
	atomic_fetch_add(&q->c->sim->n.count_tokens, 1);
	(void)snprintf(body, sizeof(body), "{\"input_tokens\":%lld}",
	    (long long)(q->s.knobs.prompt_tokens >= 0 ? q->s.knobs.prompt_tokens
						      : q->s.prompt_tokens));
	reply_full(q->c, 200, "application/json", "", str_of(body));
}
