/* SPDX-License-Identifier: Apache-2.0 */
/* Checks on trees; see tree.h. */
#include "tests/provider/tree.h"

const char *
tree_str(const json_t *obj, const char *name)
{
	return json_string_value(json_object_get(obj, name));
}

int64_t
tree_int(const json_t *obj, const char *name, int64_t def)
{
	json_t *v = json_object_get(obj, name);

	if (json_is_real(v))
		return (int64_t)json_real_value(v);
	return json_is_integer(v) ? json_integer_value(v) : def;
}

bool
tree_true(const json_t *obj, const char *name)
{
	return json_is_true(json_object_get(obj, name));
}

struct str
tree_slice(const json_t *string)
{
	return str_make(json_string_value(string), json_string_length(string));
}

static bool
tree_knobs(struct call *q, const json_t *knobs)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)knobs, name, v) {
		char number[32];
		struct str text = tree_slice(v);

		if (json_is_integer(v)) {
			(void)snprintf(number, sizeof(number),
			    "%" JSON_INTEGER_FORMAT, json_integer_value(v));
			text = str_of(number);
		}
		if (knobs_set(&q->s.knobs, str_of(name), text) != 0) {
			problem_replyf(q->c, PROBLEM_INVALID, "x_sim",
			    "unknown member or bad value in x_sim: %s", name);
			q->failed = true;
			return false;
		}
	}
	return true;
}

bool
tree_parse(struct call *q)
{
	json_error_t why;

	scan_init(&q->s);
	q->root = json_loadb(q->r->body.p == NULL ? "" : q->r->body.p,
	    q->r->body.len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(q->root)) {
		problem_replyf(q->c, PROBLEM_INVALID, NULL,
		    q->c->speaker == SPEAK_GEMINI
			? "Invalid JSON payload received. %s"
			: "The request body is not valid JSON: %s",
		    q->root == NULL ? why.text : "not an object");
		q->failed = true;
		return false;
	}
	return tree_knobs(q, json_object_get(q->root, "x_sim"));
}

/* Google takes snake_case as well: compare without underscores and case. */
static bool
tree_name_is(struct str want, const char *name, bool google)
{
	size_t i = 0;

	for (; *name != '\0'; name++) {
		char c = *name;
		bool upper = false;

		if (google && c == '_' && name[1] != '\0') {
			c = *++name;
			upper = true;
		}
		if (i == want.len ||
		    (upper ? (want.p[i] | 32) != (c | 32) : want.p[i] != c))
			return false;
		i++;
	}
	return i == want.len;
}

static void
tree_unknown(struct call *q, const char *path, const char *name)
{
	char full[256];

	q->failed = true;
	(void)snprintf(full, sizeof(full), "%s%s%s", path,
	    path[0] != '\0' ? "." : "", name);
	switch (q->c->speaker) {
	case SPEAK_ANTHROPIC:
		problem_replyf(q->c, PROBLEM_UNKNOWN_FIELD, full,
		    "%s: Extra inputs are not permitted", full);
		break;
	case SPEAK_GEMINI:
	case SPEAK_VERTEX:
		problem_replyf(q->c, PROBLEM_UNKNOWN_FIELD, full,
		    "Invalid JSON payload received. Unknown name \"%s\"%s%s%s: "
		    "Cannot find field.",
		    name, path[0] != '\0' ? " at '" : "", path,
		    path[0] != '\0' ? "'" : "");
		break;
	case SPEAK_BEDROCK:
		if (q->d == &invoke_dialect) {
			problem_replyf(q->c, PROBLEM_UNKNOWN_FIELD, full,
			    "%s: Extra inputs are not permitted", full);
			break;
		}
		problem_replyf(q->c, PROBLEM_UNKNOWN_FIELD, full,
		    "Malformed input request: #/%s: extraneous key [%s] is not "
		    "permitted, please reformat your input and try again.",
		    path, name);
		break;
	case SPEAK_COHERE:
		problem_replyf(q->c, PROBLEM_UNKNOWN_FIELD, full,
		    "unknown field: parameter '%s' is not a valid field", full);
		break;
	default:
		problem_replyf(q->c, PROBLEM_UNKNOWN_FIELD, full,
		    "Unknown parameter: '%s'.", full);
		break;
	}
}

bool
tree_fields(
    struct call *q, const json_t *obj, const char *path, const char *names)
{
	bool google =
	    q->c->speaker == SPEAK_GEMINI || q->c->speaker == SPEAK_VERTEX;
	const char *name;
	json_t *v;

	if (q->failed)
		return false;
	json_object_foreach ((json_t *)(uintptr_t)obj, name, v) {
		struct str rest = str_of(names), one;
		bool found = path[0] == '\0' && strcmp(name, "x_sim") == 0;

		while (!found && rest.len > 0) {
			(void)str_cut(rest, ' ', &one, &rest);
			found = tree_name_is(one, name, google);
		}
		if (!found) {
			tree_unknown(q, path, name);
			return false;
		}
	}
	return true;
}

static int64_t
tree_text(const json_t *v)
{
	int64_t n = 0;
	const char *name;
	size_t i;
	json_t *one;

	if (json_is_string(v))
		return (int64_t)json_string_length(v);
	json_object_foreach ((json_t *)(uintptr_t)v, name, one) {
		if (strcmp(name, "role") != 0 && strcmp(name, "type") != 0)
			n += tree_text(one);
	}
	json_array_foreach (v, i, one)
		n += tree_text(one);
	return n;
}

void
tree_count(struct scan *s, const json_t *v)
{
	if (v != NULL)
		s->prompt_tokens += 4 + (tree_text(v) + 3) / 4;
}

void
tree_hash(struct scan *s, const json_t *content)
{
	size_t i;
	json_t *one;

	if (json_is_string(content))
		scan_hash(s, tree_slice(content));
	else if (json_is_object(content))
		tree_hash(s, json_object_get(content, "text"));
	json_array_foreach (content, i, one)
		tree_hash(s, one);
}

void
tree_add_tool(struct scan *s, const char *name, const json_t *schema)
{
	s->has_tools = true;
	if (name == NULL || s->n_tools == SCAN_MAX_TOOLS)
		return;
	s->tools[s->n_tools].name = name;
	s->tools[s->n_tools++].schema = schema;
}
