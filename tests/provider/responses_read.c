/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to OpenAI's Responses API. */
#include "tests/provider/store.h"
#include "tests/provider/tree.h"

#define RESPONSES_FIELDS                                                  \
	"background context_management conversation include input "       \
	"instructions max_output_tokens max_tool_calls metadata model "   \
	"moderation parallel_tool_calls previous_response_id prompt "     \
	"prompt_cache_key prompt_cache_options prompt_cache_retention "   \
	"reasoning safety_identifier service_tier store stream "          \
	"stream_options temperature text tool_choice tools top_logprobs " \
	"top_p truncation user"

static bool
responses_bad(struct call *q, const char *param, const char *message)
{
	if (!q->failed)
		problem_reply(q->c, PROBLEM_INVALID, param, message);
	q->failed = true;
	return false;
}

static bool
responses_is(const json_t *item, const char *type)
{
	const char *word = tree_str(item, "type");

	return word != NULL && strcmp(word, type) == 0;
}

/* Is there a call with this id among the items? */
static bool
responses_has_call(const json_t *items, const char *id)
{
	const json_t *one;
	size_t i;

	json_array_foreach (items, i, one) {
		const char *of = tree_str(one, "call_id");

		if (responses_is(one, "function_call") && of != NULL &&
		    strcmp(of, id) == 0)
			return true;
	}
	return false;
}

static bool
responses_content(struct call *q, const json_t *item)
{
	const json_t *content = json_object_get(item, "content"), *part;
	const char *role = tree_str(item, "role");
	bool assistant = role != NULL && strcmp(role, "assistant") == 0;
	size_t i;

	if (role == NULL ||
	    (!assistant && strcmp(role, "user") != 0 &&
		strcmp(role, "system") != 0 && strcmp(role, "developer") != 0))
		return responses_bad(q, "input",
		    "Invalid value. Supported values are: 'assistant', "
		    "'system', 'developer', and 'user'.");
	json_array_foreach (content, i, part) {
		const char *type = tree_str(part, "type");

		if (type == NULL ||
		    (assistant ? strcmp(type, "output_text") != 0 &&
				     strcmp(type, "refusal") != 0
			       : strncmp(type, "input_", 6) != 0))
			return responses_bad(q, "input[0].content[0]",
			    assistant ? "Invalid value. Supported values are: "
					"'output_text' and 'refusal'."
				      : "Invalid value. Supported values are: "
					"'input_text', 'input_image', and "
					"'input_file'.");
		if (!tree_fields(q, part, "input[0].content[0]",
			"type text image_url file_id detail filename file_data "
			"file_url input_audio annotations logprobs refusal "
			"prompt_cache_breakpoint"))
			return false;
	}
	tree_hash(&q->s, content);
	return true;
}

static bool
responses_call_output(struct call *q, const json_t *item, const json_t *items)
{
	const char *id = tree_str(item, "call_id");
	char text[256];

	q->s.has_tool_result = true;
	tree_hash(&q->s, json_object_get(item, "output"));
	if (id != NULL && responses_has_call(items, id))
		return true;
	(void)snprintf(text, sizeof(text),
	    "No tool call found for function call output with call_id %s.",
	    id == NULL ? "" : id);
	return responses_bad(q, "input", text);
}

static bool
responses_item(struct call *q, const json_t *item, const json_t *items)
{
	struct str sig;

	if (!json_is_object(item))
		return responses_bad(q, "input", "Invalid type for 'input'.");
	tree_count(&q->s, item);
	if (tree_str(item, "type") == NULL || responses_is(item, "message"))
		return tree_fields(q, item, "input[0]",
			   "type role content status id phase") &&
		       responses_content(q, item);
	if (responses_is(item, "function_call"))
		return tree_fields(q, item, "input[0]",
			   "type id call_id name arguments status namespace") &&
		       (tree_str(item, "arguments") != NULL ||
			   responses_bad(q, "input[0].arguments",
			       "Missing required parameter: "
			       "'input[0].arguments'."));
	if (responses_is(item, "function_call_output"))
		return tree_fields(q, item, "input[0]",
			   "type id call_id output status") &&
		       responses_call_output(q, item, items);
	if (!responses_is(item, "reasoning"))
		return true;
	sig = tree_slice(json_object_get(item, "encrypted_content"));
	if (sig.p != NULL && !sign_check(sig, 'e', STR("")))
		return responses_bad(q, "input",
		    "The encrypted content for the item could not be "
		    "verified.");
	return tree_fields(q, item, "input[0]",
	    "type id summary encrypted_content content status");
}

/* The conversation so far: what was stored, then this input. */
static json_t *
responses_collect(struct call *q)
{
	const char *before = tree_str(q->root, "previous_response_id");
	json_t *items = json_array(), *v, *response = NULL;
	json_t *input = json_object_get(q->root, "input");
	struct store *s = q->c->sim->store;
	struct buf text;

	buf_init(&text, 256 * 1024 * 1024);
	if (before != NULL && store_get(s, str_of(before), true, &text)) {
		v = json_loadb(text.data, text.len, 0, NULL);
		(void)json_array_extend(items, v);
		json_decref(v);
		buf_clear(&text);
		(void)store_get(s, str_of(before), false, &text);
		response = json_loadb(text.data, text.len, 0, NULL);
		(void)json_array_extend(
		    items, json_object_get(response, "output"));
		json_decref(response);
	} else if (before != NULL) {
		problem_replyf(q->c, PROBLEM_INVALID, "previous_response_id",
		    "Previous response with id '%.80s' not found.", before);
		q->failed = true;
	}
	buf_release(&text);
	if (json_is_string(input))
		(void)json_array_append_new(
		    items, json_pack("{s:s,s:s,s:[{s:s,s:O}]}", "type",
			       "message", "role", "user", "content", "type",
			       "input_text", "text", input));
	else
		(void)json_array_extend(items, input);
	return items;
}

static bool
responses_input(struct call *q)
{
	const json_t *input = json_object_get(q->root, "input"), *one;
	json_t *items;
	size_t i;

	if (!json_is_string(input) && !json_is_array(input))
		return responses_bad(
		    q, "input", "Missing required parameter: 'input'.");
	tree_hash(&q->s, json_object_get(q->root, "instructions"));
	tree_count(&q->s, json_object_get(q->root, "instructions"));
	items = responses_collect(q);
	(void)json_object_set_new(q->root, "x_items", items);
	json_array_foreach (items, i, one) {
		if (q->failed || !responses_item(q, one, items))
			return false;
	}
	/* a result of an earlier turn is no reason to call nothing now */
	one = json_array_get(items, json_array_size(items) - 1);
	q->s.has_tool_result = responses_is(one, "function_call_output");
	return true;
}

static bool
responses_tools(struct call *q)
{
	const json_t *tools = json_object_get(q->root, "tools"), *t;
	const json_t *choice = json_object_get(q->root, "tool_choice");
	const char *word = json_string_value(choice);
	size_t i;

	json_array_foreach (tools, i, t) {
		tree_count(&q->s, t);
		if (!responses_is(t, "function"))
			continue;
		if (!tree_fields(q, t, "tools[0]",
			"type name description parameters strict "
			"defer_loading"))
			return false;
		if (tree_str(t, "name") == NULL)
			return responses_bad(q, "tools[0].name",
			    "Missing required parameter: 'tools[0].name'.");
		tree_add_tool(&q->s, tree_str(t, "name"),
		    json_object_get(t, "parameters"));
	}
	q->s.serial =
	    json_is_false(json_object_get(q->root, "parallel_tool_calls"));
	if (word != NULL && strcmp(word, "none") == 0)
		q->s.choice = CHOICE_NONE;
	if (q->s.has_tool_result)
		return true;
	if (word != NULL && strcmp(word, "required") == 0)
		q->s.choice = CHOICE_ANY;
	if (responses_is(choice, "function"))
		q->s.choice = CHOICE_TOOL;
	q->s.choice_name = tree_str(choice, "name");
	return true;
}

static bool
responses_options(struct call *q)
{
	const json_t *reasoning = json_object_get(q->root, "reasoning");
	const json_t *text = json_object_get(q->root, "text");
	const json_t *format = json_object_get(text, "format"), *one;
	const json_t *include = json_object_get(q->root, "include");
	const char *effort = tree_str(reasoning, "effort");
	size_t i;

	if (!tree_fields(q, reasoning, "reasoning",
		"effort summary generate_summary context mode") ||
	    !tree_fields(q, text, "text", "format verbosity") ||
	    !tree_fields(q, format, "text.format",
		"type name schema strict description"))
		return false;
	q->s.thinking = json_object_size(reasoning) > 0 &&
			(effort == NULL || strcmp(effort, "none") != 0);
	q->s.show_thinking = true;
	q->s.summaries = tree_str(reasoning, "summary") != NULL;
	json_array_foreach (include, i, one)
		q->s.wants_signatures |=
		    str_eqz(tree_slice(one), "reasoning.encrypted_content");
	q->s.json = responses_is(format, "json_schema") ||
		    responses_is(format, "json_object");
	q->s.format = json_object_get(format, "schema");
	q->s.stream = tree_true(q->root, "stream");
	q->s.include_obfuscation = !json_is_false(json_object_get(
	    json_object_get(q->root, "stream_options"), "include_obfuscation"));
	q->s.max_tokens = tree_int(q->root, "max_output_tokens", -1);
	q->s.tier = tree_slice(json_object_get(q->root, "service_tier"));
	q->s.model = tree_slice(json_object_get(q->root, "model"));
	if (q->s.max_tokens >= 0 && q->s.max_tokens < 16)
		return responses_bad(q, "max_output_tokens",
		    "Invalid 'max_output_tokens': integer below minimum value. "
		    "Expected a value >= 16.");
	return true;
}

void
call_responses(struct call *q)
{
	const struct sim_model *m;

	if (!tree_parse(q) || !tree_fields(q, q->root, "", RESPONSES_FIELDS) ||
	    !responses_input(q) || !responses_tools(q) ||
	    !responses_options(q) || !call_model(q, false, &m))
		return;
	call_start(q, m, true);
}
