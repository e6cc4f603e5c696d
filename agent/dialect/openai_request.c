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
oai_read_model(struct json v, struct oai_request *r, struct error *e)
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
oai_read_options(struct json v, struct oai_request *r, struct error *e)
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

/* Message parts that are not text: their tokens have no bound in bytes. */
static int64_t
oai_count_media(struct json message)
{
	struct json_iter it;
	struct json content, part, type;
	int64_t n = 0;

	if (!json_getz(message, "content", &content) ||
	    content.type != JSON_ARRAY)
		return 0;
	it = json_iter(content);
	while (json_next_element(&it, &part)) {
		if (part.type == JSON_OBJECT &&
		    json_getz(part, "type", &type) &&
		    type.type == JSON_STRING &&
		    !json_key_eq(json_raw_string(type), STR("text")) &&
		    !json_key_eq(json_raw_string(type), STR("refusal")))
			n++;
	}
	return n;
}

static int
oai_read_messages(struct json v, struct oai_request *r, struct error *e)
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

static int
oai_read_input(struct json v, struct oai_request *r, struct error *e)
{
	struct json_iter it;
	struct json item;

	if (v.type == JSON_STRING) {
		r->n_messages = 1;
		return 0;
	}
	if (v.type != JSON_ARRAY)
		return oai_bad(e, "input", "must be a string or an array");
	it = json_iter(v);
	while (json_next_element(&it, &item))
		r->n_messages++;
	if (r->n_messages == 0)
		return oai_bad(e, "input", "must not be empty");
	r->n_numbers = oai_count_numbers(v);
	r->text_bytes += 4 * r->n_numbers;
	return 0;
}

/* One member of the root object. */
static int
oai_read_member(struct str key, struct json v, struct oai_request *r,
    int64_t cap[2], struct error *e)
{
	bool chat = r->endpoint == OAI_CHAT;

	if (json_key_eq(key, STR("model")))
		return oai_read_model(v, r, e);
	if (!chat)
		return json_key_eq(key, STR("input")) ? oai_read_input(v, r, e)
						      : 0;
	if (json_key_eq(key, STR("messages")))
		return oai_read_messages(v, r, e);
	if (json_key_eq(key, STR("stream")))
		return oai_read_bool(v, "stream", &r->stream, e);
	if (json_key_eq(key, STR("stream_options")))
		return oai_read_options(v, r, e);
	if (json_key_eq(key, STR("n")))
		return oai_read_int(v, "n", 1, OAI_MAX_N, &r->n, e);
	if (json_key_eq(key, STR("max_completion_tokens")))
		return oai_read_int(v, "max_completion_tokens", 1,
		    INT64_C(1) << 53, &cap[0], e);
	if (json_key_eq(key, STR("max_tokens")))
		return oai_read_int(
		    v, "max_tokens", 1, INT64_C(1) << 53, &cap[1], e);
	return 0;
}

int
oai_request_scan(enum oai_endpoint endpoint, struct str body,
    const struct json_limits *lim, struct oai_request *r, struct error *e)
{
	struct json_iter it;
	struct json root, v;
	struct str key;
	int64_t cap[2] = {-1, -1};
	int rc;

	memset(r, 0, sizeof(*r));
	r->endpoint = endpoint;
	r->n = 1;
	rc = json_validate(body, lim, e);
	if (rc != 0)
		return rc;
	root = json_root(body);
	if (root.type != JSON_OBJECT)
		return oai_bad(e, "", "the body must be a JSON object");
	r->body_end = str_make(root.end - 1, 1);
	it = json_iter(root);
	while (json_next_member(&it, &key, &v)) {
		rc = oai_read_member(key, v, r, cap, e);
		if (rc != 0)
			return rc;
	}
	if (r->model_span.len == 0)
		return oai_bad(e, "model", "you must provide a model");
	if (r->n_messages == 0)
		return endpoint == OAI_CHAT
			   ? oai_bad(e, "messages", "is required")
			   : oai_bad(e, "input", "is required");
	/* A provider that knows only one of the two obeys that one. */
	r->max_output = cap[0] > cap[1] ? cap[0] : cap[1];
	r->text_bytes += (int64_t)json_text_bytes(root);
	return 0;
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
oai_usage_edit(const struct oai_request *r, struct oai_edit *ed)
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

unsigned
oai_request_rewrite(const struct oai_request *r, struct str body,
    struct str model_json, bool force_usage, struct str parts[OAI_MAX_PARTS])
{
	struct oai_edit ed[2], swap;
	const char *at = body.p;
	unsigned i, n = 0, n_ed = 1;

	ed[0].from = r->model_span.p;
	ed[0].to = r->model_span.p + r->model_span.len;
	ed[0].text = model_json;
	if (force_usage && r->stream && oai_usage_edit(r, &ed[1]))
		n_ed = 2;
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
