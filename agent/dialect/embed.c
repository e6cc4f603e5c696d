/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests for embeddings, see embed.h. One reader for each client dialect, one
 * writer for each provider; input_type, which Cohere's own clients and several
 * gateways have, is read in OpenAI's requests too.
 */
#include "agent/dialect/embed.h"

#include <stdio.h>

#define EMBED_MAX_DIMENSIONS 65536

static const struct {
	const char *gemini, *cohere; /* NULL: it has no such word */
} embed_tasks[EMBED_N_TASKS] = {
    [EMBED_ANY] = {"TASK_TYPE_UNSPECIFIED", NULL},
    [EMBED_QUERY] = {"RETRIEVAL_QUERY", "search_query"},
    [EMBED_DOCUMENT] = {"RETRIEVAL_DOCUMENT", "search_document"},
    [EMBED_CLASSIFICATION] = {"CLASSIFICATION", "classification"},
    [EMBED_CLUSTERING] = {"CLUSTERING", "clustering"},
    [EMBED_SIMILARITY] = {"SEMANTIC_SIMILARITY", NULL},
    [EMBED_QUESTION] = {"QUESTION_ANSWERING", NULL},
    [EMBED_FACT] = {"FACT_VERIFICATION", NULL},
    [EMBED_CODE] = {"CODE_RETRIEVAL_QUERY", NULL},
};

static int
embed_bad(struct error *e, const char *field, const char *what)
{
	return err_set_field(e, ERR_INVALID, field, "%s", what);
}

static bool
embed_task_read(struct json v, bool gemini, enum embed_task *ret)
{
	const char *word;

	if (v.type != JSON_STRING)
		return false;
	for (int i = 0; i < EMBED_N_TASKS; i++) {
		word = gemini ? embed_tasks[i].gemini : embed_tasks[i].cohere;
		if (word != NULL &&
		    json_key_eq(json_raw_string(v), str_of(word))) {
			*ret = (enum embed_task)i;
			return true;
		}
	}
	return false;
}

static int
embed_dimensions(
    struct json v, const char *field, struct embed *q, struct error *e)
{
	if (v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_NUMBER || json_to_i64(v, &q->dimensions) != 0 ||
	    q->dimensions < 1 || q->dimensions > EMBED_MAX_DIMENSIONS)
		return embed_bad(e, field, "must be a positive integer");
	return 0;
}

static void
embed_note(struct embed *q, struct str key, struct json v)
{
	if (v.type != JSON_NULL && q->other[0] == '\0')
		(void)snprintf(q->other, sizeof(q->other), "%.*s",
		    (int)(key.len < 90 ? key.len : 90), key.p);
}

/* ---- OpenAI ---- */

static int
embed_read_input(struct json v, struct embed *q, struct error *e)
{
	struct json_iter it = json_iter(v);
	struct json one;
	char field[40];

	q->list = v;
	q->n = v.type == JSON_STRING;
	if (v.type == JSON_STRING)
		return 0;
	if (v.type != JSON_ARRAY)
		return embed_bad(e, "input", "must be a string or an array");
	while (json_next_element(&it, &one)) {
		if (one.type != JSON_STRING) {
			(void)snprintf(field, sizeof(field), "input[%lld]",
			    (long long)q->n);
			return embed_bad(e, field,
			    "must be a string: the provider of this model "
			    "takes text, no tokens");
		}
		q->n++;
	}
	return q->n > 0 ? 0 : embed_bad(e, "input", "must not be empty");
}

static int
embed_read_format(struct json v, struct embed *q, struct error *e)
{
	struct str word = json_raw_string(v);

	if (v.type == JSON_NULL)
		return 0;
	q->base64 = v.type == JSON_STRING && json_key_eq(word, STR("base64"));
	if (q->base64 ||
	    (v.type == JSON_STRING && json_key_eq(word, STR("float"))))
		return 0;
	return embed_bad(e, "encoding_format", "must be float or base64");
}

static int
embed_read_openai(struct json root, struct embed *q, struct error *e)
{
	struct json_iter it = json_iter(root);
	struct json v;
	struct str key;
	int rc = 0;

	while (rc == 0 && json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("input"))) {
			rc = embed_read_input(v, q, e);
		} else if (json_key_eq(key, STR("encoding_format"))) {
			rc = embed_read_format(v, q, e);
		} else if (json_key_eq(key, STR("dimensions"))) {
			rc = embed_dimensions(v, "dimensions", q, e);
		} else if (json_key_eq(key, STR("user"))) {
			q->has_user = v.type != JSON_NULL;
		} else if (json_key_eq(key, STR("input_type"))) {
			if (v.type != JSON_NULL &&
			    !embed_task_read(v, false, &q->task))
				rc = embed_bad(e, "input_type",
				    "must be search_query, search_document, "
				    "classification or clustering");
		} else if (!json_key_eq(key, STR("model"))) {
			embed_note(q, key, v);
		}
	}
	if (rc == 0 && q->n == 0)
		rc = embed_bad(e, "input", "is required");
	return rc;
}

/* ---- Gemini ---- */

static bool
embed_key(struct str key, const char *camel, const char *snake)
{
	return json_key_eq(key, str_of(camel)) ||
	       json_key_eq(key, str_of(snake));
}

/* What one request of a batch says beside its text. */
struct embed_how {
	int64_t dimensions;
	enum embed_task task;
	struct str title;
};

static int
embed_read_parts(struct json content, const char *base, struct error *e)
{
	struct json_iter it;
	struct json parts, part, v;
	struct str key;
	char field[96];
	int n = 0;

	if (content.type != JSON_OBJECT ||
	    !json_getz(content, "parts", &parts) || parts.type != JSON_ARRAY) {
		(void)snprintf(field, sizeof(field), "%scontent.parts", base);
		return embed_bad(e, field, "is required");
	}
	it = json_iter(parts);
	for (; json_next_element(&it, &part); n++) {
		struct json_iter members = json_iter(part);

		(void)snprintf(
		    field, sizeof(field), "%scontent.parts[%d]", base, n);
		if (part.type != JSON_OBJECT)
			return embed_bad(e, field, "must be an object");
		while (json_next_member(&members, &key, &v)) {
			if (v.type == JSON_STRING &&
			    json_key_eq(key, STR("text")))
				continue;
			return embed_bad(e, field,
			    "must be text: the provider of this model takes "
			    "nothing else");
		}
	}
	return 0;
}

/* A member of one of Gemini's requests, or of its embedContentConfig. */
static int
embed_gemini_member(struct str key, struct json v, const char *base,
    struct embed *q, struct embed_how *how, struct error *e)
{
	char field[96];
	int rc;

	(void)snprintf(field, sizeof(field), "%s%.*s", base,
	    (int)(key.len < 40 ? key.len : 40), key.p);
	if (v.type == JSON_NULL)
		return 0;
	if (embed_key(key, "taskType", "task_type")) {
		if (embed_task_read(v, true, &how->task))
			return 0;
		return embed_bad(e, field, "is not a known task type");
	}
	if (embed_key(key, "outputDimensionality", "output_dimensionality")) {
		rc = embed_dimensions(v, field, q, e);
		how->dimensions = q->dimensions;
		return rc;
	}
	if (json_key_eq(key, STR("title")) && v.type == JSON_STRING) {
		how->title = json_raw_string(v);
		return 0;
	}
	if (json_key_eq(key, STR("model")))
		return 0;
	embed_note(q, str_of(field), v);
	return 0;
}

static int
embed_read_request(struct json one, const char *base, struct embed *q,
    struct embed_how *how, struct error *e)
{
	struct json_iter it = json_iter(one), inner;
	struct json v, w;
	struct str key, name;
	char deep[64], field[96];
	bool any = false;
	int rc = 0;

	if (one.type != JSON_OBJECT)
		return embed_bad(e, "requests", "must hold objects");
	*how = (struct embed_how){.dimensions = -1};
	(void)snprintf(deep, sizeof(deep), "%sembedContentConfig.", base);
	while (rc == 0 && json_next_member(&it, &key, &v)) {
		if (json_key_eq(key, STR("content"))) {
			any = true;
			rc = embed_read_parts(v, base, e);
		} else if (embed_key(key, "embedContentConfig",
			       "embed_content_config") &&
			   v.type == JSON_OBJECT) {
			inner = json_iter(v);
			while (rc == 0 && json_next_member(&inner, &name, &w))
				rc = embed_gemini_member(
				    name, w, deep, q, how, e);
		} else {
			rc = embed_gemini_member(key, v, base, q, how, e);
		}
	}
	if (rc != 0 || any)
		return rc;
	(void)snprintf(field, sizeof(field), "%scontent", base);
	return embed_bad(e, field, "is required");
}

/* The others take one set of options for all. */
static int
embed_read_batch(struct json list, struct embed *q, struct error *e)
{
	struct json_iter it = json_iter(list);
	struct embed_how first = {.dimensions = -1}, how;
	struct json one;
	char base[40];
	int rc;

	for (; json_next_element(&it, &one); q->n++) {
		(void)snprintf(
		    base, sizeof(base), "requests[%lld].", (long long)q->n);
		rc = embed_read_request(one, base, q, &how, e);
		if (rc != 0)
			return rc;
		if (q->n == 0)
			first = how;
		base[strlen(base) - 1] = '\0';
		if (how.dimensions != first.dimensions ||
		    how.task != first.task || !str_eq(how.title, first.title))
			return embed_bad(e, base,
			    "must ask for the same as the first: the provider "
			    "of this model takes one taskType, title and "
			    "outputDimensionality for all");
	}
	q->dimensions = first.dimensions;
	q->task = first.task;
	q->title = first.title;
	return q->n > 0 ? 0 : embed_bad(e, "requests", "must not be empty");
}

static int
embed_read_gemini(struct json root, struct embed *q, struct error *e)
{
	struct embed_how how;
	int rc;

	if (q->batch) {
		if (!json_getz(root, "requests", &q->list) ||
		    q->list.type != JSON_ARRAY)
			return embed_bad(e, "requests", "is required");
		return embed_read_batch(q->list, q, e);
	}
	q->list = root;
	q->n = 1;
	rc = embed_read_request(root, "", q, &how, e);
	q->task = how.task;
	q->title = how.title;
	return rc;
}

int
embed_read(
    enum op op, bool batch, struct str body, struct embed *ret, struct error *e)
{
	struct json root = json_root(body);

	memset(ret, 0, sizeof(*ret));
	ret->op = op;
	ret->batch = batch;
	ret->dimensions = -1;
	if (root.type != JSON_OBJECT)
		return embed_bad(e, "", "the body must be a JSON object");
	return op == OP_EMBEDDINGS ? embed_read_openai(root, ret, e)
				   : embed_read_gemini(root, ret, e);
}

/* ---- writing ---- */

/* The text of an input: a string, or the parts of a content joined. */
static void
embed_text(struct buf *out, struct json one)
{
	struct json content, parts, part, v;
	struct json_iter it;

	(void)buf_addc(out, '"');
	if (one.type == JSON_STRING) {
		(void)buf_add_str(out, json_raw_string(one));
	} else if (json_getz(one, "content", &content) &&
		   json_getz(content, "parts", &parts)) {
		it = json_iter(parts);
		while (json_next_element(&it, &part))
			if (json_getz(part, "text", &v))
				(void)buf_add_str(out, json_raw_string(v));
	}
	(void)buf_addc(out, '"');
}

/* All inputs, each between before and after, with commas. */
static void
embed_texts(
    struct buf *out, const struct embed *q, struct str before, struct str after)
{
	struct json_iter it = json_iter(q->list);
	struct json one = q->list;
	bool list = q->list.type == JSON_ARRAY;

	for (int64_t i = 0; i < q->n; i++) {
		if (list && !json_next_element(&it, &one))
			break;
		(void)buf_addz(out, i > 0 ? "," : "");
		(void)buf_add_str(out, before);
		embed_text(out, one);
		(void)buf_add_str(out, after);
	}
}

static void
embed_number(struct buf *out, const char *name, int64_t n)
{
	if (n >= 0)
		(void)buf_addf(out, ",\"%s\":%lld", name, (long long)n);
}

static void
embed_write_openai(
    const struct embed *q, const struct embed_opts *o, struct buf *out)
{
	bool mistral = o->to == PROVIDER_MISTRAL;

	(void)buf_addz(out, "{\"model\":");
	(void)buf_add_json(out, o->model);
	(void)buf_addz(out, ",\"input\":[");
	embed_texts(out, q, STR(""), STR(""));
	(void)buf_addz(out, "]");
	if (!mistral)
		(void)buf_addz(out, ",\"encoding_format\":\"float\"");
	embed_number(
	    out, mistral ? "output_dimension" : "dimensions", q->dimensions);
	(void)buf_addc(out, '}');
}

/* What stands behind the text of each of Gemini's requests. */
static void
embed_gemini_how(
    const struct embed *q, const char *task, const char *title, struct buf *b)
{
	if (q->task != EMBED_ANY)
		(void)buf_addf(
		    b, ",\"%s\":\"%s\"", task, embed_tasks[q->task].gemini);
	if (q->title.len == 0)
		return;
	(void)buf_addf(b, ",\"%s\":\"", title);
	(void)buf_add_str(b, q->title);
	(void)buf_addc(b, '"');
}

static int
embed_write_gemini(
    const struct embed *q, const struct embed_opts *o, struct buf *out)
{
	struct str name = o->model;
	struct buf before, after;
	int rc;

	if (str_starts(name, STR("models/")))
		name = str_make(name.p + 7, name.len - 7);
	buf_init(&before, 4096);
	buf_init(&after, q->title.len + 4096);
	(void)buf_addz(&before, "{\"model\":\"models/");
	(void)buf_add_escaped(&before, name);
	(void)buf_addz(&before, "\",\"content\":{\"parts\":[{\"text\":");
	(void)buf_addz(&after, "}]}");
	embed_gemini_how(q, "taskType", "title", &after);
	embed_number(&after, "outputDimensionality", q->dimensions);
	(void)buf_addc(&after, '}');
	rc = buf_error(&before) != 0 ? buf_error(&before) : buf_error(&after);
	if (rc == 0) {
		(void)buf_addz(out, "{\"requests\":[");
		embed_texts(out, q, buf_str(&before), buf_str(&after));
		(void)buf_addz(out, "]}");
	}
	buf_release(&before);
	buf_release(&after);
	return rc;
}

static int
embed_write_vertex(const struct embed *q, struct buf *out)
{
	struct buf after;
	int rc;

	buf_init(&after, q->title.len + 4096);
	embed_gemini_how(q, "task_type", "title", &after);
	(void)buf_addc(&after, '}');
	rc = buf_error(&after);
	if (rc == 0) {
		(void)buf_addz(out, "{\"instances\":[");
		embed_texts(out, q, STR("{\"content\":"), buf_str(&after));
		(void)buf_addc(out, ']');
		if (q->dimensions >= 0)
			(void)buf_addf(out,
			    ",\"parameters\":{\"outputDimensionality\":%lld}",
			    (long long)q->dimensions);
		(void)buf_addc(out, '}');
	}
	buf_release(&after);
	return rc;
}

/* Cohere's, with the model beside it or (Bedrock) not. */
static void
embed_write_cohere(
    const struct embed *q, const struct embed_opts *o, struct buf *out)
{
	const char *type = embed_tasks[q->task].cohere;

	(void)buf_addc(out, '{');
	if (o->to == PROVIDER_COHERE) {
		(void)buf_addz(out, "\"model\":");
		(void)buf_add_json(out, o->model);
		(void)buf_addc(out, ',');
	}
	(void)buf_addz(out, "\"texts\":[");
	embed_texts(out, q, STR(""), STR(""));
	(void)buf_addf(out,
	    "],\"input_type\":\"%s\",\"embedding_types\":[\"float\"]",
	    type != NULL ? type : "search_document");
	embed_number(out, "output_dimension", q->dimensions);
	(void)buf_addc(out, '}');
}

static void
embed_write_ollama(
    const struct embed *q, const struct embed_opts *o, struct buf *out)
{
	(void)buf_addz(out, "{\"model\":");
	(void)buf_add_json(out, o->model);
	(void)buf_addz(out, ",\"input\":[");
	embed_texts(out, q, STR(""), STR(""));
	(void)buf_addc(out, ']');
	embed_number(out, "dimensions", q->dimensions);
	(void)buf_addc(out, '}');
}

/* Bedrock has a body of its own for each maker of models. */
static bool
embed_has_name(struct str model, struct str part)
{
	return model.len >= part.len &&
	       memmem(model.p, model.len, part.p, part.len) != NULL;
}

static int
embed_write_bedrock(const struct embed *q, const struct embed_opts *o,
    struct buf *out, struct error *e)
{
	if (embed_has_name(o->model, STR("cohere.embed"))) {
		embed_write_cohere(q, o, out);
		return 0;
	}
	if (!embed_has_name(o->model, STR("amazon.titan-embed-text")))
		return embed_bad(e, "model",
		    "of Bedrock's embedding models only "
		    "amazon.titan-embed-text and cohere.embed are served");
	if (q->n != 1)
		return embed_bad(e,
		    q->op == OP_EMBEDDINGS ? "input" : "requests",
		    "must be a single text: the provider's model takes one "
		    "at a time");
	(void)buf_addz(out, "{\"inputText\":");
	embed_texts(out, q, STR(""), STR(""));
	embed_number(out, "dimensions", q->dimensions);
	(void)buf_addc(out, '}');
	return 0;
}

/* ---- what cannot be carried ---- */

static bool
embed_is_google(enum provider_dialect d)
{
	return d == PROVIDER_GEMINI || d == PROVIDER_VERTEX;
}

static bool
embed_takes_task(const struct embed_opts *o, enum embed_task task)
{
	if (task == EMBED_ANY || embed_is_google(o->to))
		return true;
	return embed_tasks[task].cohere != NULL &&
	       (o->to == PROVIDER_COHERE ||
		   (o->to == PROVIDER_BEDROCK &&
		       embed_has_name(o->model, STR("cohere.embed"))));
}

/* Refuses, or drops: then *q without it. */
static int
embed_carry(struct embed *q, const struct embed_opts *o, struct error *e)
{
	bool openai = q->op == OP_EMBEDDINGS;
	const char *base = q->batch ? "requests[0]." : "";
	char field[64];
	int rc = 0;

	if (q->has_user)
		carry_lost_add(o->lost, "user");
	if (q->other[0] != '\0')
		rc = carry_refuse(
		    q->other, "it has no such member", o->lenient, o->lost, e);
	if (rc == 0 && !embed_takes_task(o, q->task)) {
		(void)snprintf(field, sizeof(field), "%s%s", base,
		    openai ? "input_type" : "taskType");
		rc = carry_refuse(field, "its vectors are for no such task",
		    o->lenient, o->lost, e);
		q->task = EMBED_ANY;
	}
	if (rc == 0 && q->title.len > 0 && !embed_is_google(o->to)) {
		(void)snprintf(field, sizeof(field), "%stitle", base);
		rc = carry_refuse(
		    field, "it has no titles", o->lenient, o->lost, e);
		q->title = STR_NULL;
	}
	return rc;
}

bool
embed_can(enum provider_dialect to)
{
	return to != PROVIDER_ANTHROPIC && to < PROVIDER_N_DIALECTS;
}

bool
embed_is_quirky(enum provider_dialect to, struct str body)
{
	struct json v;

	return to == PROVIDER_MISTRAL &&
	       json_getz(json_root(body), "dimensions", &v) &&
	       v.type != JSON_NULL;
}

int
embed_write(const struct embed *asked, const struct embed_opts *o,
    struct buf *out, struct error *e)
{
	struct embed q = *asked;
	int rc = embed_carry(&q, o, e);

	if (rc != 0)
		return rc;
	switch (o->to) {
	case PROVIDER_OPENAI:
	case PROVIDER_AZURE:
	case PROVIDER_MISTRAL:
		embed_write_openai(&q, o, out);
		break;
	case PROVIDER_GEMINI:
		rc = embed_write_gemini(&q, o, out);
		break;
	case PROVIDER_VERTEX:
		rc = embed_write_vertex(&q, out);
		break;
	case PROVIDER_BEDROCK:
		rc = embed_write_bedrock(&q, o, out, e);
		break;
	case PROVIDER_COHERE:
		embed_write_cohere(&q, o, out);
		break;
	case PROVIDER_OLLAMA:
		embed_write_ollama(&q, o, out);
		break;
	case PROVIDER_ANTHROPIC:
	case PROVIDER_N_DIALECTS:
		rc = ERR_UNSUPPORTED;
		break;
	}
	return rc != 0 ? rc : buf_error(out);
}
