/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content blocks of Anthropic requests. A document of plain text, or one made
 * of blocks, becomes text, with its title and context before it: every
 * provider takes that.
 */
#include "agent/dialect/anthropic_client.h"

/* Where a block goes. */
struct antc_place {
	struct ir_message *m;
	struct ir_part *result; /* or NULL: into the message */
	const char *base;	/* "messages.0.content.1", in the arena */
};

enum antc_key {
	BK_TYPE,
	BK_CACHE,
	BK_TEXT, /* also thinking */
	BK_SIGNATURE,
	BK_SOURCE,
	BK_TITLE,
	BK_CONTEXT,
	BK_ID,
	BK_NAME,
	BK_INPUT,
	BK_CONTENT,
	BK_IS_ERROR,
	BK_DATA,
	BK_COUNT
};

/* The members that a type of block has, in the order of enum antc_key. */
#define ANTC_NONE "\xff" /* no key of a document is this */
struct antc_type {
	const char *word;
	const char *names[BK_COUNT];
	bool user, assistant, system, nested; /* where it may be */
	int (*read)(
	    struct crd *rd, const struct antc_place *at, const struct json *v);
};

static struct ir_part *
antc_add(struct crd *rd, const struct antc_place *at, enum ir_part_type t)
{
	struct ir_part *p;

	p = at->result != NULL ? ir_add_result_part(rd->r, at->result, t)
			       : ir_add_part(rd->r, at->m, t);
	if (p != NULL)
		p->field = at->base;
	return p;
}

static int
antc_need(struct crd *rd, const char *base, const char *name, struct json v,
    struct str *ret)
{
	if (v.type == JSON_NULL)
		return crd_bad(rd, base, name, rd->words->required);
	return crd_string(rd, v, base, name, ret);
}

static int
antc_add_text(struct crd *rd, const struct antc_place *at, const char *name,
    struct json v, struct ir_part **ret)
{
	struct ir_part *p;

	if (v.type == JSON_NULL)
		return 0;
	p = antc_add(rd, at, IR_TEXT);
	if (p == NULL)
		return crd_full(rd);
	*ret = p;
	return crd_string(rd, v, at->base, name, &p->text);
}

static int
antc_read_text(
    struct crd *rd, const struct antc_place *at, const struct json *v)
{
	struct ir_part *p = NULL;
	int rc;

	if (v[BK_TEXT].type == JSON_NULL)
		return crd_bad(rd, at->base, "text", rd->words->required);
	rc = antc_add_text(rd, at, "text", v[BK_TEXT], &p);
	if (rc == 0)
		rc = crd_string(
		    rd, v[BK_SIGNATURE], at->base, "signature", &p->signature);
	return rc != 0 ? rc
		       : antc_read_cache(rd, v[BK_CACHE], at->base, &p->cache);
}

/* ---- media ---- */

enum antc_source {
	SR_TYPE,
	SR_MIME,
	SR_DATA,
	SR_URL,
	SR_FILE,
	SR_CONTENT,
	SR_COUNT
};

static int
antc_source_pick(struct crd *rd, const char *base, struct json v,
    struct json vals[SR_COUNT], const char **path)
{
	static const char *const names[SR_COUNT] = {
	    "type", "media_type", "data", "url", "file_id", "content"};

	if (v.type == JSON_NULL)
		return crd_bad(rd, base, "source", rd->words->required);
	*path = ir_field(rd->r, "%s.source", base);
	if (*path == NULL)
		return crd_full(rd);
	return crd_pick(rd, *path, v, names, vals, SR_COUNT);
}

/* base64, url or file. */
static int
antc_read_source(struct crd *rd, const char *path, const struct json *v,
    const char *words, struct ir_part *p)
{
	int rc;

	if (crd_is(v[SR_TYPE], "base64")) {
		rc = antc_need(rd, path, "media_type", v[SR_MIME], &p->mime);
		if (rc == 0)
			rc = antc_need(rd, path, "data", v[SR_DATA], &p->data);
		if (rc == 0 && p->data.len == 0)
			rc = crd_bad(rd, path, "data", "data cannot be empty");
		return rc;
	}
	if (crd_is(v[SR_TYPE], "url")) {
		rc = antc_need(rd, path, "url", v[SR_URL], &p->url);
		if (rc == 0 && p->url.len == 0)
			rc = crd_bad(rd, path, "url", "url cannot be empty");
		return rc;
	}
	if (crd_is(v[SR_TYPE], "file")) {
		rc = antc_need(rd, path, "file_id", v[SR_FILE], &p->file_id);
		if (rc == 0 && p->file_id.len == 0)
			rc = crd_bad(
			    rd, path, "file_id", "file_id cannot be empty");
		return rc;
	}
	return crd_bad(rd, path, "type", words);
}

static int
antc_read_image(
    struct crd *rd, const struct antc_place *at, const struct json *v)
{
	struct json src[SR_COUNT];
	const char *path = "";
	struct ir_part *p;
	int rc;

	rc = antc_source_pick(rd, at->base, v[BK_SOURCE], src, &path);
	if (rc != 0)
		return rc;
	p = antc_add(rd, at, IR_IMAGE);
	if (p == NULL)
		return crd_full(rd);
	rc = antc_read_source(
	    rd, path, src, "Input should be 'base64', 'url' or 'file'", p);
	return rc != 0 ? rc
		       : antc_read_cache(rd, v[BK_CACHE], at->base, &p->cache);
}

/* Text and images of a document that is made of blocks. */
static int
antc_read_inner(struct crd *rd, const struct antc_place *at, const char *path,
    struct json content, struct ir_part **last)
{
	const char *base = ir_field(rd->r, "%s.content", path);
	struct ir_part *p, *head;
	int rc;

	if (base == NULL)
		return crd_full(rd);
	p = at->result != NULL ? at->result->last_part : at->m->last_part;
	rc = antc_read_content(rd, at->m, at->result, base, content);
	head = p != NULL	    ? p->next
	       : at->result != NULL ? at->result->parts
				    : at->m->parts;
	for (; head != NULL && rc == 0; head = head->next) {
		if (head->type != IR_TEXT && head->type != IR_IMAGE)
			rc = crd_bad(
			    rd, base, "", "Input should be text or images");
		*last = head;
	}
	return rc;
}

static int
antc_read_document(
    struct crd *rd, const struct antc_place *at, const struct json *v)
{
	struct json src[SR_COUNT];
	struct ir_part *p = NULL;
	const char *path = "";
	bool text, inner;
	int rc;

	rc = antc_source_pick(rd, at->base, v[BK_SOURCE], src, &path);
	if (rc != 0)
		return rc;
	text = crd_is(src[SR_TYPE], "text");
	inner = crd_is(src[SR_TYPE], "content");
	if (text || inner)
		rc = antc_add_text(rd, at, "title", v[BK_TITLE], &p);
	if (rc == 0)
		rc = antc_add_text(rd, at, "context", v[BK_CONTEXT], &p);
	if (rc == 0 && text) {
		if (src[SR_DATA].type == JSON_NULL)
			return crd_bad(rd, path, "data", rd->words->required);
		rc = antc_add_text(rd, at, "source.data", src[SR_DATA], &p);
	} else if (rc == 0 && inner) {
		rc = antc_read_inner(rd, at, path, src[SR_CONTENT], &p);
	} else if (rc == 0) {
		p = antc_add(rd, at, IR_DOCUMENT);
		if (p == NULL)
			return crd_full(rd);
		rc = crd_string(
		    rd, v[BK_TITLE], at->base, "title", &p->filename);
		if (rc == 0)
			rc = antc_read_source(rd, path, src,
			    "Input should be 'base64', 'text', 'content', "
			    "'url' or 'file'",
			    p);
	}
	if (rc != 0 || p == NULL)
		return rc;
	return antc_read_cache(rd, v[BK_CACHE], at->base, &p->cache);
}

/* ---- tools and thinking ---- */

static int
antc_read_tool_use(
    struct crd *rd, const struct antc_place *at, const struct json *v)
{
	struct ir_part *p = antc_add(rd, at, IR_TOOL_CALL);
	int rc;

	if (p == NULL)
		return crd_full(rd);
	rc = antc_need(rd, at->base, "id", v[BK_ID], &p->id);
	if (rc == 0)
		rc = antc_need(rd, at->base, "name", v[BK_NAME], &p->name);
	if (rc == 0 && v[BK_INPUT].type == JSON_NULL)
		rc = crd_bad(rd, at->base, "input", rd->words->required);
	if (rc == 0)
		rc = crd_object(rd, v[BK_INPUT], at->base, "input", &p->args);
	if (rc == 0)
		rc = crd_string(
		    rd, v[BK_SIGNATURE], at->base, "signature", &p->signature);
	return rc != 0 ? rc
		       : antc_read_cache(rd, v[BK_CACHE], at->base, &p->cache);
}

static int
antc_read_tool_result(
    struct crd *rd, const struct antc_place *at, const struct json *v)
{
	struct ir_part *p = antc_add(rd, at, IR_TOOL_RESULT);
	const char *base;
	int rc;

	if (p == NULL)
		return crd_full(rd);
	rc = antc_need(rd, at->base, "tool_use_id", v[BK_ID], &p->id);
	if (rc == 0)
		rc = crd_bool(
		    rd, v[BK_IS_ERROR], at->base, "is_error", &p->is_error);
	if (rc == 0)
		rc = antc_read_cache(rd, v[BK_CACHE], at->base, &p->cache);
	if (rc != 0 || v[BK_CONTENT].type == JSON_NULL)
		return rc;
	base = ir_field(rd->r, "%s.content", at->base);
	if (base == NULL)
		return crd_full(rd);
	return antc_read_content(rd, at->m, p, base, v[BK_CONTENT]);
}

static int
antc_read_thinking_block(
    struct crd *rd, const struct antc_place *at, const struct json *v)
{
	struct ir_part *p = antc_add(rd, at, IR_THINKING);
	int rc;

	if (p == NULL)
		return crd_full(rd);
	rc = antc_need(rd, at->base, "thinking", v[BK_TEXT], &p->text);
	if (rc == 0)
		rc = antc_need(
		    rd, at->base, "signature", v[BK_SIGNATURE], &p->signature);
	return rc;
}

static int
antc_read_redacted(
    struct crd *rd, const struct antc_place *at, const struct json *v)
{
	struct ir_part *p = antc_add(rd, at, IR_REDACTED);

	if (p == NULL)
		return crd_full(rd);
	return antc_need(rd, at->base, "data", v[BK_DATA], &p->signature);
}

/* ---- blocks ---- */

static const struct antc_type antc_types[] = {
    {"text",
	{[BK_CACHE] = "cache_control",
	    [BK_TEXT] = "text",
	    [BK_SIGNATURE] = "signature"},
	true, true, true, true, antc_read_text},
    {"image", {[BK_CACHE] = "cache_control", [BK_SOURCE] = "source"}, true,
	false, false, true, antc_read_image},
    {"document",
	{[BK_CACHE] = "cache_control",
	    [BK_SOURCE] = "source",
	    [BK_TITLE] = "title",
	    [BK_CONTEXT] = "context"},
	true, false, false, true, antc_read_document},
    {"tool_use",
	{[BK_CACHE] = "cache_control",
	    [BK_SIGNATURE] = "signature",
	    [BK_ID] = "id",
	    [BK_NAME] = "name",
	    [BK_INPUT] = "input"},
	false, true, false, false, antc_read_tool_use},
    {"tool_result",
	{[BK_CACHE] = "cache_control",
	    [BK_ID] = "tool_use_id",
	    [BK_CONTENT] = "content",
	    [BK_IS_ERROR] = "is_error"},
	true, false, false, false, antc_read_tool_result},
    {"thinking", {[BK_TEXT] = "thinking", [BK_SIGNATURE] = "signature"}, false,
	true, false, false, antc_read_thinking_block},
    {"redacted_thinking", {[BK_DATA] = "data"}, false, true, false, false,
	antc_read_redacted},
};

static const struct antc_type *
antc_type_find(struct json type)
{
	size_t i;

	for (i = 0; i < sizeof(antc_types) / sizeof(antc_types[0]); i++) {
		if (crd_is(type, antc_types[i].word))
			return &antc_types[i];
	}
	return NULL;
}

static bool
antc_may_be(const struct antc_type *t, const struct antc_place *at)
{
	if (at->result != NULL)
		return t->nested;
	switch (at->m->role) {
	case IR_ASSISTANT:
		return t->assistant;
	case IR_USER:
		return t->user;
	default:
		return t->system;
	}
}

/* citations: {"enabled":false} of a document, an empty list of a text. What
 * else there is, is noted. */
static int
antc_read_citations(struct crd *rd, const struct antc_place *at, struct json v)
{
	struct json on;

	if (json_getz(v, "enabled", &on) && !json_is_true(on))
		return 0;
	return crd_other(rd, at->base, STR("citations"), v);
}

/* caller: {"type":"direct"} says nothing. */
static int
antc_read_caller(struct crd *rd, const struct antc_place *at, struct json v)
{
	struct json type;

	if (json_getz(v, "type", &type) && crd_is(type, "direct"))
		return 0;
	return crd_other(rd, at->base, STR("caller"), v);
}

static int
antc_read_block(struct crd *rd, const struct antc_place *at, struct json v)
{
	const char *names[BK_COUNT + 2];
	struct json vals[BK_COUNT + 2], type;
	const struct antc_type *t;
	unsigned i;
	int rc;

	if (v.type != JSON_OBJECT)
		return crd_bad(rd, at->base, "", rd->words->object);
	if (!json_getz(v, "type", &type) || type.type == JSON_NULL)
		return crd_bad(rd, at->base, "type", rd->words->required);
	if (type.type != JSON_STRING)
		return crd_bad(rd, at->base, "type", rd->words->string);
	t = antc_type_find(type);
	if (t == NULL)
		return crd_other(rd, at->base, json_raw_string(type), type);
	if (!antc_may_be(t, at))
		return crd_bad(
		    rd, at->base, "type", "blocks of this type cannot be here");
	for (i = 0; i < BK_COUNT; i++)
		names[i] = t->names[i] != NULL ? t->names[i] : ANTC_NONE;
	names[BK_TYPE] = "type";
	names[BK_COUNT] = "citations";
	names[BK_COUNT + 1] = "caller";
	rc = crd_pick(rd, at->base, v, names, vals, BK_COUNT + 2);
	if (rc == 0)
		rc = antc_read_citations(rd, at, vals[BK_COUNT]);
	if (rc == 0)
		rc = antc_read_caller(rd, at, vals[BK_COUNT + 1]);
	return rc != 0 ? rc : t->read(rd, at, vals);
}

int
antc_read_content(struct crd *rd, struct ir_message *m, struct ir_part *result,
    const char *base, struct json v)
{
	struct antc_place at = {m, result, base};
	struct json_iter it;
	struct json item;
	struct ir_part *p = NULL;
	unsigned i;
	int rc;

	if (v.type == JSON_STRING) {
		if (json_raw_string(v).len == 0)
			return 0;
		return antc_add_text(rd, &at, "", v, &p);
	}
	if (v.type != JSON_ARRAY)
		return crd_bad(rd, base, "", rd->words->array);
	it = json_iter(v);
	for (i = 0; json_next_element(&it, &item); i++) {
		at.base = ir_field(rd->r, "%s.%u", base, i);
		if (at.base == NULL)
			return crd_full(rd);
		rc = antc_read_block(rd, &at, item);
		if (rc != 0)
			return rc;
	}
	return 0;
}
