/* SPDX-License-Identifier: Apache-2.0 */
/* See cap.h. */
#include "agent/dialect/cap.h"

#include <stdlib.h>

static bool
cap_one_of(struct str key, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (json_key_eq(key, str_of(names[i])))
			return true;
	}
	return false;
}

/* null, [] and {} ask for nothing. */
static bool
cap_asks(struct json v)
{
	struct json_iter it;
	struct json item;
	struct str key;

	switch (v.type) {
	case JSON_NULL:
		return false;
	case JSON_ARRAY:
		it = json_iter(v);
		return json_next_element(&it, &item);
	case JSON_OBJECT:
		it = json_iter(v);
		return json_next_member(&it, &key, &item);
	default:
		return true;
	}
}

static bool
cap_is_text_format(struct json v)
{
	struct json type;

	return v.type == JSON_OBJECT && json_getz(v, "type", &type) &&
	       type.type == JSON_STRING &&
	       json_key_eq(json_raw_string(type), STR("text"));
}

bool
cap_may_shrink(enum op op, struct json root, const struct ir_request *ir)
{
	static const char *const never[] = {"tools", "functions",
	    "reasoning_effort", "reasoning", "thinking", "output_config",
	    "output_format", "web_search_options", "prediction", "plugins",
	    "mcp_servers", "guided_json", "guided_grammar", "audio",
	    "background", "prompt"};
	size_t n = sizeof(never) / sizeof(never[0]);
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;

	if (op == OP_COMPLETIONS) /* whose text is in "prompt" */
		n--;
	while (json_next_member(&it, &key, &v)) {
		if (cap_asks(v) && cap_one_of(key, never, n))
			return false;
		if (cap_asks(v) && json_key_eq(key, STR("response_format")) &&
		    !cap_is_text_format(v))
			return false;
	}
	if (ir == NULL)
		return op == OP_CHAT || op == OP_COMPLETIONS;
	return ir->n_tools == 0 && ir->thinking_budget <= 0 &&
	       (ir->format == IR_FORMAT_UNSET ||
		   ir->format == IR_FORMAT_TEXT) &&
	       (ir->effort == IR_EFFORT_UNSET || ir->effort == IR_EFFORT_NONE);
}

static void
cap_copy(struct buf *out, const char *from, const char *to)
{
	(void)buf_add(out, from, (size_t)(to - from));
}

static void
cap_name(struct buf *out, const char *name, int64_t n)
{
	(void)buf_addc(out, '"');
	(void)buf_addz(out, name);
	(void)buf_addz(out, "\":");
	(void)buf_add_i64(out, n);
}

/* A number of n or less, whatever way it is written. */
static bool
cap_is_low(struct json v, int64_t n)
{
	char text[64];
	int64_t i;

	if (v.type != JSON_NUMBER)
		return false;
	if (json_to_i64(v, &i) == 0)
		return i <= n;
	return str_copy(str_make(v.p, (size_t)(v.end - v.p)), text,
		   sizeof(text)) == 0 &&
	       strtod(text, NULL) <= (double)n;
}

/* An object whose members of these names, which are numbers, are lowered to
 * n; the first name is added where there is none of them. */
static void
cap_object(struct json obj, const char *const *names, size_t n_names, int64_t n,
    struct buf *out)
{
	struct json_iter it = json_iter(obj);
	const char *at = obj.p;
	bool found = false, empty = true;
	struct json v;
	struct str key;

	while (json_next_member(&it, &key, &v)) {
		empty = false;
		if (!cap_one_of(key, names, n_names))
			continue;
		if (v.type == JSON_NULL && !json_key_eq(key, str_of(names[0])))
			continue;
		found = true;
		if (cap_is_low(v, n))
			continue;
		cap_copy(out, at, v.p);
		(void)buf_add_i64(out, n);
		at = v.end;
	}
	cap_copy(out, at, obj.end - 1);
	if (!found) {
		if (!empty)
			(void)buf_addc(out, ',');
		cap_name(out, names[0], n);
	}
	(void)buf_addc(out, '}');
}

static void
cap_gemini(struct json root, int64_t n, struct buf *out)
{
	static const char *const places[] = {
	    "generationConfig", "generation_config"};
	static const char *const names[] = {
	    "maxOutputTokens", "max_output_tokens"};
	struct json_iter it = json_iter(root);
	const char *at = root.p;
	bool found = false, empty = true;
	struct json v, none = {root.end - 1, root.end - 1, JSON_NULL};
	struct str key;

	while (json_next_member(&it, &key, &v)) {
		empty = false;
		if (!cap_one_of(key, places, 2))
			continue;
		if (v.type != JSON_OBJECT) { /* null: the place for one */
			none = v;
			continue;
		}
		found = true;
		cap_copy(out, at, v.p);
		cap_object(v, names, 2, n, out);
		at = v.end;
	}
	if (!found) {
		cap_copy(out, at, none.p);
		at = none.end;
		if (none.p == root.end - 1)
			(void)buf_addz(out, empty ? "\"generationConfig\":"
						  : ",\"generationConfig\":");
		(void)buf_addc(out, '{');
		cap_name(out, names[0], n);
		(void)buf_addc(out, '}');
	}
	cap_copy(out, at, root.end);
}

int
cap_write(
    enum op op, struct json root, bool old_name, int64_t n, struct buf *out)
{
	static const char *const newer[] = {
	    "max_completion_tokens", "max_tokens"};
	static const char *const older[] = {
	    "max_tokens", "max_completion_tokens"};
	static const char *const responses[] = {"max_output_tokens"};

	if (root.type != JSON_OBJECT)
		return ERR_UNSUPPORTED;
	switch (op) {
	case OP_CHAT:
		cap_object(root, old_name ? older : newer, 2, n, out);
		break;
	case OP_COMPLETIONS:
	case OP_MESSAGES:
		cap_object(root, older, 1, n, out);
		break;
	case OP_RESPONSES:
		cap_object(root, responses, 1, n, out);
		break;
	case OP_GENERATE:
		cap_gemini(root, n, out);
		break;
	default:
		return ERR_UNSUPPORTED;
	}
	return buf_error(out);
}
