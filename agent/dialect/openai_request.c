/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and rewriting of request bodies of the OpenAI dialect. One pass
 * checks the document; short walks pick out what the gateway decides by.
 */
#include "agent/dialect/openai.h"

#include <string.h>

static int
oai_bad(struct error *e, const char *param, const char *what)
{
	return err_set_field(e, ERR_INVALID, param, "%s", what);
}

static int
oai_read_bool(struct json v, const char *param, bool *ret, struct error *e)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_BOOL)
		return oai_bad(e, param, "must be a boolean");
	*ret = json_is_true(v);
	return 0;
}

static int
oai_read_int(struct json v, const char *param, int64_t min, int64_t max,
    int64_t *ret, struct error *e)
{
	int64_t i;

	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_NUMBER || json_to_i64(v, &i) != 0)
		return oai_bad(e, param, "must be an integer");
	if (i < min || i > max)
		return oai_bad(e, param, "is out of range");
	*ret = i;
	return 0;
}

static int
oai_read_model(struct json v, struct scan *r, struct error *e)
{
	if (v.type != JSON_STRING)
		return oai_bad(e, "model", "must be a string");
	r->model_span = str_make(v.p, (size_t)(v.end - v.p));
	if (json_copy_string(v, r->model, sizeof(r->model)) != 0)
		r->model[0] = '\0'; /* too long: no route has such a name */
	r->model_len = strlen(r->model);
	return 0;
}

static int
oai_read_options(struct json v, struct scan *r, struct error *e)
{
	struct json_iter it;
	struct json inc;
	struct str key;

	r->options_span = str_make(v.p, (size_t)(v.end - v.p));
	if (v.type == JSON_NULL) {
		r->options_null = r->options_empty = true;
		return 0;
	}
	if (v.type != JSON_OBJECT)
		return oai_bad(e, "stream_options", "must be an object");
	it = json_iter(v);
	r->options_empty = !json_next_member(&it, &key, &inc);
	if (!json_getz(v, "include_usage", &inc))
		return 0;
	r->include_span = str_make(inc.p, (size_t)(inc.end - inc.p));
	return oai_read_bool(
	    inc, "stream_options.include_usage", &r->include_usage, e);
}

/* A part that is not text: its tokens have no bound in bytes. */
static bool
oai_is_medium(struct json part)
{
	struct json type;

	return json_getz(part, "type", &type) && type.type == JSON_STRING &&
	       !json_key_eq(json_raw_string(type), STR("text")) &&
	       !json_key_eq(json_raw_string(type), STR("refusal"));
}

static int64_t
oai_count_media(struct json message)
{
	struct json_iter it;
	struct json content, part;
	int64_t n = 0;

	if (!json_getz(message, "content", &content) ||
	    content.type != JSON_ARRAY)
		return 0;
	it = json_iter(content);
	while (json_next_element(&it, &part)) {
		if (part.type == JSON_OBJECT && oai_is_medium(part))
			n++;
	}
	return n;
}

static int
oai_read_messages(struct json v, struct scan *r, struct error *e)
{
	struct json_iter it;
	struct json m;

	if (v.type != JSON_ARRAY)
		return oai_bad(e, "messages", "must be an array");
	it = json_iter(v);
	while (json_next_element(&it, &m)) {
		if (m.type != JSON_OBJECT)
			return oai_bad(
			    e, "messages", "must hold message objects");
		r->n_messages++;
		r->n_media += oai_count_media(m);
	}
	if (r->n_messages == 0)
		return oai_bad(e, "messages", "must not be empty");
	return 0;
}

/* Embedding input: text, texts, tokens or lists of tokens. Numbers count as
 * tokens of at most 4 text bytes each. */
static int64_t
oai_count_numbers(struct json v)
{
	struct json_iter it = json_iter(v);
	struct json item;
	int64_t n = 0;

	while (json_next_element(&it, &item)) {
		if (item.type == JSON_NUMBER)
			n++;
		else if (item.type == JSON_ARRAY)
			n += oai_count_numbers(item);
	}
	return n;
}

/* Characters that escaped text stands for. */
static int64_t
oai_count_chars(struct str esc)
{
	int64_t n = 0;
	size_t i, step;

	for (i = 0; i < esc.len; i += step) {
		step = 1;
		if (esc.p[i] == '\\')
			step = i + 1 < esc.len && esc.p[i + 1] == 'u' ? 6 : 2;
		/* The second half of a pair is no character. */
		if (step == 6 && i + 3 < esc.len &&
		    (esc.p[i + 2] | 0x20) == 'd' &&
		    strchr("cdefCDEF", esc.p[i + 3]) != NULL)
			continue;
		if (((unsigned char)esc.p[i] & 0xc0) != 0x80)
			n++;
	}
	return n;
}

static int
oai_read_input(struct json v, const char *name, struct scan *r, struct error *e)
{
	struct json_iter it;
	struct json item;
	int64_t n_plain = 0;

	if (v.type == JSON_STRING) {
		r->n_messages = 1;
		if (r->op == OP_SPEECH)
			r->n_chars = oai_count_chars(json_raw_string(v));
		return 0;
	}
	if (v.type != JSON_ARRAY)
		return oai_bad(e, name, "must be a string or an array");
	it = json_iter(v);
	while (json_next_element(&it, &item)) {
		r->n_messages++;
		n_plain += item.type == JSON_NUMBER;
		if (item.type == JSON_OBJECT && oai_is_medium(item))
			r->n_media++;
	}
	if (r->n_messages == 0)
		return oai_bad(e, name, "must not be empty");
	r->n_numbers = oai_count_numbers(v);
	r->text_bytes += 4 * r->n_numbers;
	if (r->op == OP_COMPLETIONS && n_plain == r->n_messages)
		r->n_messages = 1; /* one prompt, of tokens */
	return 0;
}

const char *
oai_prompt_name(enum op op)
{
	switch (op) {
	case OP_EMBEDDINGS:
	case OP_MODERATIONS:
	case OP_SPEECH:
		return "input";
	case OP_COMPLETIONS:
	case OP_IMAGES:
		return "prompt";
	case OP_RERANK:
		return "documents";
	default:
		return "messages";
	}
}

/* Members that matter where an answer is generated. */
static int
oai_read_generation(struct str key, struct json v, struct scan *r,
    int64_t cap[2], struct error *e)
{
	int64_t best = 0;
	int rc;

	if (json_key_eq(key, STR("stream")))
		return oai_read_bool(v, "stream", &r->stream, e);
	if (json_key_eq(key, STR("stream_options")))
		return oai_read_options(v, r, e);
	if (json_key_eq(key, STR("n")))
		return oai_read_int(v, "n", 1, OAI_MAX_N, &r->n, e);
	/* Nobody obeys a cap that its operation does not know. */
	if (r->op == OP_CHAT && json_key_eq(key, STR("max_completion_tokens")))
		return oai_read_int(v, "max_completion_tokens", 1,
		    INT64_C(1) << 53, &cap[0], e);
	if ((r->op == OP_CHAT || r->op == OP_COMPLETIONS) &&
	    json_key_eq(key, STR("max_tokens")))
		return oai_read_int(
		    v, "max_tokens", 1, INT64_C(1) << 53, &cap[1], e);
	if (r->op != OP_COMPLETIONS || !json_key_eq(key, STR("best_of")))
		return 0;
	rc = oai_read_int(v, "best_of", 1, OAI_MAX_N, &best, e);
	if (best > r->n)
		r->n = best; /* all of them are charged */
	return rc;
}

/* The newer name has the say. What is no text the provider may judge. */
static void
oai_read_user(struct str key, struct json v, struct scan *r)
{
	if (v.type == JSON_STRING &&
	    (r->user.len == 0 || json_key_eq(key, STR("safety_identifier"))) &&
	    v.end - v.p > 2)
		r->user = json_raw_string(v);
}

/* One member of the root object. */
static int
oai_read_member(struct str key, struct json v, struct scan *r, int64_t cap[2],
    struct error *e)
{
	const char *prompt;

	if (json_key_eq(key, STR("model")))
		return oai_read_model(v, r, e);
	if (json_key_eq(key, STR("user")) ||
	    json_key_eq(key, STR("safety_identifier"))) {
		oai_read_user(key, v, r);
		return 0;
	}
	if (r->op == OP_CHAT && json_key_eq(key, STR("messages")))
		return oai_read_messages(v, r, e);
	prompt = oai_prompt_name(r->op);
	if (r->op != OP_CHAT && json_key_eq(key, str_of(prompt)))
		return oai_read_input(v, prompt, r, e);
	if (r->op == OP_RERANK && json_key_eq(key, STR("query"))) {
		r->n_chars = (int64_t)json_text_bytes(v);
		return 0;
	}
	return scan_bills_output(r->op) ? oai_read_generation(key, v, r, cap, e)
					: 0;
}

/* The model's name where the body has none or the path has the say. */
static int
oai_settle_model(struct scan *r, struct str path_model, struct error *e)
{
	struct str name = path_model;

	if (name.len == 0 && r->model_span.len > 0)
		return 0;
	if (name.len == 0 && r->op == OP_MODERATIONS)
		name = STR("omni-moderation-latest");
	if (name.len == 0)
		return oai_bad(e, "model", "you must provide a model");
	if (str_copy(name, r->model, sizeof(r->model)) != 0)
		r->model[0] = '\0';
	r->model_len = strlen(r->model);
	return 0;
}

int
oai_request_scan_path(enum op op, struct str path_model, struct str body,
    const struct json_limits *lim, struct scan *r, struct error *e)
{
	struct json_iter it;
	struct json root, v;
	struct str key;
	int64_t cap[2] = {-1, -1};
	int rc;

	memset(r, 0, sizeof(*r));
	r->op = op;
	r->n = 1;
	rc = json_validate(body, lim, e);
	if (rc != 0)
		return rc;
	root = json_root(body);
	if (root.type != JSON_OBJECT)
		return oai_bad(e, "", "the body must be a JSON object");
	r->body_start = str_make(root.p, 1);
	r->body_end = str_make(root.end - 1, 1);
	it = json_iter(root);
	while (json_next_member(&it, &key, &v)) {
		rc = oai_read_member(key, v, r, cap, e);
		if (rc != 0)
			return rc;
	}
	rc = oai_settle_model(r, path_model, e);
	if (rc != 0)
		return rc;
	if (r->n_messages == 0 && op != OP_COMPLETIONS)
		return oai_bad(e, oai_prompt_name(op), "is required");
	/* A provider that knows only one of the two obeys that one. */
	r->max_output = cap[0] > cap[1] ? cap[0] : cap[1];
	r->text_bytes += (int64_t)json_text_bytes(root);
	return 0;
}

int
oai_request_scan(enum op op, struct str body, const struct json_limits *lim,
    struct scan *r, struct error *e)
{
	return oai_request_scan_path(op, STR_NULL, body, lim, r, e);
}

static void
oai_part(struct str *parts, unsigned *n, const char *from, const char *to)
{
	if (to > from)
		parts[(*n)++] = str_make(from, (size_t)(to - from));
}

/* A replacement of a span of the body; an insertion has an empty span. */
struct oai_edit {
	const char *from, *to;
	struct str text;
};

/* The edit that makes the provider report usage; false when there is none to
 * do. */
static bool
oai_usage_edit(const struct scan *r, struct oai_edit *ed)
{
	if (r->options_span.len == 0) {
		ed->from = ed->to = r->body_end.p;
		ed->text = STR(",\"stream_options\":{\"include_usage\":true}");
	} else if (r->options_null) {
		ed->from = r->options_span.p;
		ed->to = ed->from + r->options_span.len;
		ed->text = STR("{\"include_usage\":true}");
	} else if (r->include_span.len == 0) {
		ed->from = ed->to = r->options_span.p + 1;
		ed->text = r->options_empty ? STR("\"include_usage\":true")
					    : STR("\"include_usage\":true,");
	} else if (!r->include_usage) {
		ed->from = r->include_span.p;
		ed->to = ed->from + r->include_span.len;
		ed->text = STR("true");
	} else {
		return false;
	}
	return true;
}

/* A model where the body has none: "model":X, behind the opening brace. */
static unsigned
oai_insert_model(const struct scan *r, struct str model_json, struct str *parts)
{
	unsigned n = 0;

	parts[n++] = r->body_start;
	parts[n++] = STR("\"model\":");
	parts[n++] = model_json;
	parts[n++] = STR(",");
	return n;
}

unsigned
oai_request_rewrite(const struct scan *r, struct str body,
    struct str model_json, bool force_usage, struct str parts[OAI_MAX_PARTS])
{
	struct oai_edit ed[2], swap;
	const char *at = body.p;
	unsigned i, n = 0, n_ed = 0;

	if (r->model_span.len > 0) {
		ed[0].from = r->model_span.p;
		ed[0].to = r->model_span.p + r->model_span.len;
		ed[0].text = model_json;
		n_ed = 1;
	} else if (r->body_start.len > 0 && model_json.len > 0) {
		n = oai_insert_model(r, model_json, parts);
		at = r->body_start.p + 1;
	}
	if (r->swap_span.len > 0) {
		ed[n_ed].from = r->swap_span.p;
		ed[n_ed].to = r->swap_span.p + r->swap_span.len;
		ed[n_ed++].text = r->swap_text;
	} else if (force_usage && r->stream && oai_usage_edit(r, &ed[n_ed])) {
		n_ed++;
	}
	if (n_ed == 2 && ed[1].from < ed[0].from) {
		swap = ed[0];
		ed[0] = ed[1];
		ed[1] = swap;
	}
	for (i = 0; i < n_ed; i++) {
		oai_part(parts, &n, at, ed[i].from);
		if (ed[i].text.len > 0)
			parts[n++] = ed[i].text;
		at = ed[i].to;
	}
	oai_part(parts, &n, at, body.p + body.len);
	return n;
}
