/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tools are told by what is known to be run by the client; whatever else
 * stands among them is the provider's.
 */
#include "agent/dialect/bound.h"

#include <stdio.h>
#include <string.h>

static bool
bound_says(struct json v, const char *word)
{
	return v.type == JSON_STRING &&
	       json_key_eq(json_raw_string(v), str_of(word));
}

static bool
bound_is_one_of(struct json v, const char *const *words, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (bound_says(v, words[i]))
			return true;
	}
	return false;
}
#define BOUND_ONE_OF(v, words) \
	bound_is_one_of(v, words, sizeof(words) / sizeof((words)[0]))

/* Versions hang on the names: "web_search_20250305". */
static bool
bound_begins(struct json v, const char *const *words, size_t n)
{
	char text[64];
	size_t i;

	if (json_copy_string(v, text, sizeof(text)) != 0)
		return false;
	for (i = 0; i < n; i++) {
		if (str_starts(str_of(text), str_of(words[i])))
			return true;
	}
	return false;
}
#define BOUND_BEGINS(v, words) \
	bound_begins(v, words, sizeof(words) / sizeof((words)[0]))

static void
bound_say(char dst[BOUND_FIELD], const char *field)
{
	if (dst[0] == '\0')
		(void)snprintf(dst, BOUND_FIELD, "%s", field);
}

static bool
bound_asks(struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item;
	struct str key;

	if (v.type == JSON_ARRAY)
		return json_next_element(&it, &item);
	if (v.type == JSON_OBJECT)
		return json_next_member(&it, &key, &item);
	return v.type == JSON_STRING && json_raw_string(v).len > 0;
}

/* ---- tools ---- */

static bool
bound_cap(struct json at, const char *name, struct bound *b)
{
	struct json v;
	int64_t n;

	if (!json_getz(at, name, &v) || v.type != JSON_NUMBER ||
	    json_to_i64(v, &n) != 0 || n < 0 || n > BOUND_MAX_CALLS ||
	    b->calls + n > BOUND_MAX_CALLS)
		return false;
	b->calls += n;
	return true;
}

static void
bound_chat_tool(struct json type, const char *field, struct bound *b)
{
	static const char *const own[] = {"function", "custom"};

	if (!BOUND_ONE_OF(type, own))
		bound_say(b->tool, field);
}

/* *capped: some tool lives by the request's max_tool_calls. */
static void
bound_responses_tool(
    struct json type, const char *field, bool *capped, struct bound *b)
{
	static const char *const own[] = {"function", "custom", "local_shell",
	    "apply_patch", "computer", "computer_use_preview"};
	static const char *const searches[] = {
	    "web_search", "file_search", "mcp"};

	if (BOUND_ONE_OF(type, own))
		return;
	if (BOUND_BEGINS(type, searches))
		*capped = true;
	else
		bound_say(b->tool, field);
}

static void
bound_anthropic_tool(
    struct json tool, struct json type, const char *field, struct bound *b)
{
	static const char *const own[] = {
	    "bash_", "text_editor_", "computer_", "memory_"};
	static const char *const searches[] = {"web_search_", "web_fetch_"};

	if (type.type == JSON_NULL || bound_says(type, "custom") ||
	    BOUND_BEGINS(type, own))
		return;
	if (!BOUND_BEGINS(type, searches) || !bound_cap(tool, "max_uses", b))
		bound_say(b->tool, field);
}

static void
bound_gemini_tool(struct json tool, const char *field, struct bound *b)
{
	struct json_iter it = json_iter(tool);
	struct json v;
	struct str key;

	while (json_next_member(&it, &key, &v)) {
		if (v.type != JSON_NULL &&
		    !json_key_eq(key, STR("functionDeclarations")) &&
		    !json_key_eq(key, STR("function_declarations")) &&
		    !json_key_eq(key, STR("computerUse")) &&
		    !json_key_eq(key, STR("computer_use")))
			bound_say(b->tool, field);
	}
}

static void
bound_tools(enum op op, struct json root, struct json v, struct bound *b)
{
	struct json_iter it = json_iter(v);
	struct json tool, type;
	char field[BOUND_FIELD];
	bool capped = false;
	unsigned i;

	if (v.type != JSON_ARRAY)
		return;
	for (i = 0; json_next_element(&it, &tool); i++) {
		(void)snprintf(field, sizeof(field), "tools[%u]", i);
		type = (struct json){NULL, NULL, JSON_NULL};
		if (tool.type != JSON_OBJECT)
			continue; /* the provider refuses it */
		(void)json_getz(tool, "type", &type);
		if (op == OP_CHAT)
			bound_chat_tool(type, field, b);
		else if (op == OP_RESPONSES)
			bound_responses_tool(type, field, &capped, b);
		else if (op == OP_MESSAGES)
			bound_anthropic_tool(tool, type, field, b);
		else
			bound_gemini_tool(tool, field, b);
	}
	if (capped && !bound_cap(root, "max_tool_calls", b))
		bound_say(b->tool, "max_tool_calls");
}

/* ---- input ---- */

static void
bound_parts(const struct ir_part *p, struct bound *b)
{
	for (; p != NULL; p = p->next) {
		if (p->type == IR_DOCUMENT || p->type == IR_AUDIO ||
		    p->type == IR_VIDEO || p->file_id.len > 0)
			bound_say(
			    b->input, p->field != NULL ? p->field : "media");
		bound_parts(p->parts, b);
	}
}

/* Blocks that the neutral form does not know. */
static void
bound_others(const struct ir_request *ir, struct bound *b)
{
	static const char *const places[] = {
	    "input", "messages", "contents", "system"};
	unsigned i, k;

	if (ir->n_others >= IR_MAX_OTHERS) /* more of them were not noted */
		bound_say(b->input, "input");
	for (i = 0; i < ir->n_others; i++) {
		for (k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			if (str_starts(
				str_of(ir->others[i]), str_of(places[k])))
				bound_say(b->input, places[k]);
		}
	}
}

static bool
bound_chat_part(struct json part)
{
	static const char *const known[] = {"text", "refusal", "image_url"};
	struct json type;

	return part.type == JSON_OBJECT &&
	       (!json_getz(part, "type", &type) || !BOUND_ONE_OF(type, known));
}

static bool
bound_chat_message(struct json m)
{
	struct json_iter it = json_iter(m), parts;
	struct json v, part;
	struct str key;

	if (m.type != JSON_OBJECT)
		return false;
	while (json_next_member(&it, &key, &v)) {
		/* an earlier answer's, by its id */
		if (json_key_eq(key, STR("audio")) && bound_asks(v))
			return true;
		if (v.type != JSON_ARRAY || !json_key_eq(key, STR("content")))
			continue;
		parts = json_iter(v);
		while (json_next_element(&parts, &part)) {
			if (bound_chat_part(part))
				return true;
		}
	}
	return false;
}

static void
bound_chat_input(struct json messages, struct bound *b)
{
	struct json_iter it = json_iter(messages);
	struct json m;
	unsigned i;

	if (messages.type != JSON_ARRAY || b->input[0] != '\0')
		return;
	for (i = 0; json_next_element(&it, &m); i++) {
		if (bound_chat_message(m)) {
			(void)snprintf(
			    b->input, sizeof(b->input), "messages[%u]", i);
			return;
		}
	}
}

/* Members of the root that matter, in the order in which they are named. */
static const struct str bound_names[] = {
#define NAME(z)                  \
	{                        \
		z, sizeof(z) - 1 \
	}
    NAME("web_search_options"), NAME("mcp_servers"), NAME("plugins"),
#define BOUND_KEPT 3 /* what the provider keeps begins here */
    NAME("previous_response_id"), NAME("prompt"), NAME("container"),
    NAME("cachedContent"), NAME("cached_content"),
#define BOUND_TOOLS 8
    NAME("tools"), NAME("messages")};
#define BOUND_N_NAMES (sizeof(bound_names) / sizeof(bound_names[0]))

/* All of them in one pass: the root's members are many and long. */
static void
bound_members(struct json root, struct json at[BOUND_N_NAMES])
{
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;
	size_t i;

	for (i = 0; i < BOUND_N_NAMES; i++)
		at[i] = (struct json){NULL, NULL, JSON_NULL};
	if (root.type != JSON_OBJECT)
		return;
	while (json_next_member(&it, &key, &v)) {
		for (i = 0; i < BOUND_N_NAMES; i++) {
			if (json_key_eq(key, bound_names[i])) {
				at[i] = v;
				break;
			}
		}
	}
}

void
bound_read(
    enum op op, struct json root, const struct ir_request *ir, struct bound *b)
{
	struct json at[BOUND_N_NAMES];
	const struct ir_message *m;
	size_t i;

	memset(b, 0, sizeof(*b));
	bound_members(root, at);
	bound_tools(op, root, at[BOUND_TOOLS], b);
	for (i = 0; i < BOUND_KEPT; i++) {
		if (bound_asks(at[i]) || at[i].type == JSON_OBJECT)
			bound_say(b->tool, bound_names[i].p);
	}
	for (; i < BOUND_TOOLS; i++) {
		if (bound_asks(at[i]))
			bound_say(b->input, bound_names[i].p);
	}
	if (op == OP_CHAT)
		bound_chat_input(at[BOUND_TOOLS + 1], b);
	if (op == OP_CHAT || ir == NULL)
		return;
	for (m = ir->messages; m != NULL; m = m->next)
		bound_parts(m->parts, b);
	bound_others(ir, b);
}
