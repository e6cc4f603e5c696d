/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat completions whose messages are more than plain text: checked on a
 * tree, as strictly as OpenAI does. Plain ones never come here (benchmarks).
 */
#include "tests/provider/tree.h"

static bool
chat_bad(struct call *q, const char *param, const char *message)
{
	if (!q->failed)
		problem_reply(q->c, PROBLEM_INVALID, param, message);
	q->failed = true;
	return false;
}

static const struct {
	const char *type, *member, *role; /* role NULL = any */
} chat_parts[] = {
    {"text", "text", NULL},
    {"image_url", "image_url", "user"},
    {"input_audio", "input_audio", "user"},
    {"file", "file", "user"},
    {"refusal", "refusal", "assistant"},
};

static bool
chat_part(
    struct call *q, const json_t *part, const char *role, const char *path)
{
	const char *type = tree_str(part, "type");
	size_t n = sizeof(chat_parts) / sizeof(*chat_parts), i = 0;
	const json_t *v;

	while (i < n && (type == NULL || strcmp(type, chat_parts[i].type) != 0))
		i++;
	if (i == n || (chat_parts[i].role != NULL &&
			  strcmp(chat_parts[i].role, role) != 0))
		return chat_bad(q, path,
		    "Invalid value. Supported values are: 'text', 'image_url', "
		    "'input_audio', 'refusal', 'audio', and 'file'.");
	v = json_object_get(part, chat_parts[i].member);
	if (v == NULL)
		return chat_bad(q, path, "Missing required parameter.");
	if (strcmp(type, "image_url") == 0) {
		const char *url = tree_str(v, "url");

		if (!tree_fields(q, v, path, "url detail"))
			return false;
		if (url == NULL || (strncmp(url, "data:", 5) != 0 &&
				       strncmp(url, "http", 4) != 0))
			return chat_bad(q, path,
			    "Invalid MIME type. Only image types are "
			    "supported.");
	}
	return tree_fields(q, part, path,
	    "type text image_url input_audio file refusal "
	    "prompt_cache_breakpoint");
}

static bool
chat_calls(struct call *q, const json_t *calls, const char *path)
{
	const json_t *one;
	size_t i;

	if (calls != NULL && json_array_size(calls) == 0)
		return chat_bad(q, path,
		    "Invalid 'tool_calls': empty array. Expected an array with "
		    "minimum length 1, but got an empty array instead.");
	json_array_foreach (calls, i, one) {
		const json_t *f = json_object_get(one, "function");

		if (tree_str(one, "id") == NULL ||
		    tree_str(one, "type") == NULL)
			return chat_bad(q, path,
			    "Missing required parameter: "
			    "'messages[1].tool_calls[0].id'.");
		if (f != NULL &&
		    (tree_str(f, "name") == NULL ||
			!json_is_string(json_object_get(f, "arguments"))))
			return chat_bad(q, path,
			    "Invalid type for 'messages[1].tool_calls[0]."
			    "function.arguments': expected a string.");
		if (!tree_fields(q, one, path,
			"id type function custom "
			"index extra_content") ||
		    !tree_fields(q, f, path, "name arguments"))
			return false;
	}
	return true;
}

/* Does the message call `id`? */
static bool
chat_has_call(const json_t *message, const char *id)
{
	const json_t *one;
	size_t i;

	json_array_foreach (json_object_get(message, "tool_calls"), i, one) {
		const char *of = tree_str(one, "id");

		if (of != NULL && id != NULL && strcmp(of, id) == 0)
			return true;
	}
	return false;
}

struct chat_turn {
	const json_t *caller; /* the last assistant message with calls */
	size_t open;	      /* its calls without a result */
};

static bool
chat_turns(
    struct call *q, const json_t *m, const char *role, struct chat_turn *t)
{
	if (strcmp(role, "tool") == 0) {
		if (t->caller == NULL ||
		    !chat_has_call(t->caller, tree_str(m, "tool_call_id")))
			return chat_bad(q, "messages",
			    "Invalid parameter: messages with role 'tool' must "
			    "be a response to a preceeding message with "
			    "'tool_calls'.");
		if (t->open > 0)
			t->open--;
		return true;
	}
	if (t->open > 0)
		return chat_bad(q, "messages",
		    "An assistant message with 'tool_calls' must be followed "
		    "by tool messages responding to each 'tool_call_id'.");
	t->caller = NULL;
	if (strcmp(role, "assistant") == 0 &&
	    json_object_get(m, "tool_calls") != NULL) {
		t->caller = m;
		t->open = json_array_size(json_object_get(m, "tool_calls"));
	}
	return true;
}

static bool
chat_message(
    struct call *q, const json_t *m, const char *path, struct chat_turn *t)
{
	static const char roles[] =
	    " system developer user assistant tool function ";
	const char *role = tree_str(m, "role");
	const json_t *content = json_object_get(m, "content"), *part;
	char word[32];
	size_t i;

	(void)snprintf(word, sizeof(word), " %s ", role == NULL ? "?" : role);
	if (role == NULL || strstr(roles, word) == NULL)
		return chat_bad(q, path,
		    "Invalid value. Supported values are: 'system', "
		    "'assistant', 'user', 'function', 'tool', and "
		    "'developer'.");
	if (!tree_fields(q, m, path,
		"role content name tool_calls tool_call_id refusal audio "
		"function_call annotations reasoning_content "
		"reasoning_signature reasoning prefix"))
		return false;
	json_array_foreach (content, i, part) {
		if (!chat_part(q, part, role, path))
			return false;
	}
	if ((content == NULL || json_is_null(content)) &&
	    strcmp(role, "assistant") != 0)
		return chat_bad(q, path,
		    "Invalid value for 'content': expected a string, got "
		    "null.");
	return chat_calls(q, json_object_get(m, "tool_calls"), path) &&
	       chat_turns(q, m, role, t);
}

bool
chat_check(struct call *q)
{
	struct str body = q->r->body;
	const json_t *messages, *m;
	struct chat_turn t = {0};
	char path[64];
	size_t i;

	json_decref(q->root);
	q->root = json_loadb(body.p, body.len, JSON_REJECT_DUPLICATES, NULL);
	if (q->root == NULL)
		return chat_bad(q, NULL,
		    "We could not parse the JSON body of your request.");
	messages = json_object_get(q->root, "messages");
	if (json_array_size(messages) == 0)
		return chat_bad(q, "messages",
		    "Invalid 'messages': empty array. Expected an array with "
		    "minimum length 1, but got an empty array instead.");
	json_array_foreach (messages, i, m) {
		(void)snprintf(path, sizeof(path), "messages[%zu]", i);
		if (!chat_message(q, m, path, &t))
			return false;
		q->s.has_tool_result = strcmp(tree_str(m, "role"), "tool") == 0;
	}
	return t.open == 0 ||
	       chat_bad(q, "messages",
		   "An assistant message with 'tool_calls' must be followed by "
		   "tool messages responding to each 'tool_call_id'.");
}
