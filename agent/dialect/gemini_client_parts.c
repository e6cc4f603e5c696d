/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of Gemini requests. Clients keep the pieces of a streamed answer as
 * so many contents of the model: those are joined again, because providers
 * want signed thinking back as one. Calls without an id get one that their
 * results, matched by name in order, get too.
 */
#include <string.h>

#include "agent/dialect/gemini_client.h"

enum gemc_part {
	GP_TEXT,
	GP_INLINE,
	GP_FILE,
	GP_CALL,
	GP_RESPONSE,
	GP_N_DATA,
	GP_THOUGHT = GP_N_DATA,
	GP_SIGNATURE,
	GP_COUNT
};
static const char *const gemc_part_names[GP_COUNT] = {"text", "inlineData",
    "fileData", "functionCall", "functionResponse", "thought",
    "thoughtSignature"};

#define GEMC_MAX_CALLS 1024 /* of one turn without ids */

struct gemc_reader {
	struct crd *rd;
	struct ir_message *m;	/* the open message */
	struct ir_part *result; /* the result whose parts are read, or NULL */
	/* Calls of the last turn that had no id and have no result yet. */
	const struct ir_part *calls[GEMC_MAX_CALLS];
	unsigned n_calls;
};

static struct ir_part *
gemc_add(struct gemc_reader *g, enum ir_part_type t, const char *base)
{
	struct ir_part *p;

	p = g->result != NULL ? ir_add_result_part(g->rd->r, g->result, t)
			      : ir_add_part(g->rd->r, g->m, t);
	if (p != NULL)
		p->field = base;
	return p;
}

/* Base64 in the standard alphabet with its padding: protocol buffers take the
 * URL-safe one too, and SDKs write it. */
static int
gemc_base64(struct crd *rd, struct json v, const char *base, const char *name,
    struct str *ret)
{
	struct str s = STR_NULL;
	size_t i, n = 0;
	char *to;
	int rc;

	rc = crd_string(rd, v, base, name, &s);
	if (rc != 0 || s.len == 0)
		return rc;
	if (s.len % 4 == 0 && memchr(s.p, '-', s.len) == NULL &&
	    memchr(s.p, '_', s.len) == NULL &&
	    memchr(s.p, '\\', s.len) == NULL) {
		*ret = s;
		return 0;
	}
	to = arena_alloc(rd->r->arena, s.len + 4);
	if (to == NULL)
		return crd_full(rd);
	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len && s.p[i + 1] == '/')
			continue;
		if (s.p[i] == '\\')
			return crd_bad(rd, base, name, "is no base64");
		to[n++] = s.p[i] == '-' ? '+' : s.p[i] == '_' ? '/' : s.p[i];
	}
	while (n % 4 != 0)
		to[n++] = '=';
	*ret = str_make(to, n);
	return 0;
}

static bool
gemc_mime_is(struct str mime, const char *prefix)
{
	size_t n = strlen(prefix);

	return mime.len >= n && str_ieq(str_make(mime.p, n), str_of(prefix));
}

static enum ir_part_type
gemc_media_type(struct str mime)
{
	if (gemc_mime_is(mime, "image/"))
		return IR_IMAGE;
	if (gemc_mime_is(mime, "audio/"))
		return IR_AUDIO;
	if (gemc_mime_is(mime, "video/"))
		return IR_VIDEO;
	return IR_DOCUMENT;
}

/* inlineData or fileData (file: of a URL). */
static int
gemc_read_media(struct gemc_reader *g, const char *base, struct json v,
    bool file, struct ir_part **ret)
{
	static const char *const names[] = {
	    "mimeType", "data", "fileUri", "displayName"};
	const char *path = file ? "fileData" : "inlineData";
	struct crd *rd = g->rd;
	struct json vals[4];
	struct ir_part *p;
	struct str mime = STR("");
	int rc;

	path = ir_field(rd->r, "%s.%s", base, path);
	if (path == NULL)
		return crd_full(rd);
	rc = crd_pick(rd, path, v, names, vals, 4);
	if (rc == 0)
		rc = crd_string(rd, vals[0], path, "mimeType", &mime);
	if (rc != 0)
		return rc;
	if (!file && mime.len == 0)
		return crd_bad(rd, path, "mimeType", rd->words->required);
	p = gemc_add(g, gemc_media_type(mime), base);
	if (p == NULL)
		return crd_full(rd);
	*ret = p;
	p->mime = mime;
	rc = file ? crd_string(rd, vals[2], path, "fileUri", &p->url)
		  : gemc_base64(rd, vals[1], path, "data", &p->data);
	if (rc == 0 && p->url.len == 0 && p->data.len == 0)
		rc = crd_bad(
		    rd, path, file ? "fileUri" : "data", rd->words->required);
	if (rc == 0)
		rc = crd_string(rd, vals[3], path, "displayName", &p->filename);
	return rc;
}

/* ---- calls and responses ---- */

static int
gemc_read_call(struct gemc_reader *g, const char *base, struct json v,
    struct ir_part **ret)
{
	static const char *const names[] = {"id", "name", "args"};
	struct crd *rd = g->rd;
	struct json vals[3];
	struct ir_part *p;
	const char *path;
	int rc;

	path = ir_field(rd->r, "%s.functionCall", base);
	if (path == NULL)
		return crd_full(rd);
	rc = crd_pick(rd, path, v, names, vals, 3);
	if (rc != 0)
		return rc;
	p = gemc_add(g, IR_TOOL_CALL, base);
	if (p == NULL)
		return crd_full(rd);
	*ret = p;
	p->args = STR("{}");
	rc = crd_string(rd, vals[0], path, "id", &p->id);
	if (rc == 0)
		rc = crd_string(rd, vals[1], path, "name", &p->name);
	if (rc == 0)
		rc = crd_object(rd, vals[2], path, "args", &p->args);
	if (rc == 0 && p->name.len == 0)
		rc = crd_bad(rd, path, "name", rd->words->required);
	if (rc != 0 || p->id.len > 0)
		return rc;
	p->id = ir_make_call_id(rd->r->arena, "call_", rd->n_calls++, p->name);
	if (p->id.p == NULL)
		return crd_full(rd);
	if (g->n_calls == GEMC_MAX_CALLS)
		return err_set_field(
		    rd->e, ERR_TOO_LARGE, path, "too many calls without an id");
	g->calls[g->n_calls++] = p;
	return 0;
}

/* The id of the first call of this name that waits for its result. */
static int
gemc_match(struct gemc_reader *g, struct ir_part *result)
{
	unsigned i;

	for (i = 0; i < g->n_calls; i++) {
		if (!str_eq(g->calls[i]->name, result->name))
			continue;
		result->id = g->calls[i]->id;
		g->n_calls--;
		memmove(&g->calls[i], &g->calls[i + 1],
		    (g->n_calls - i) * sizeof(g->calls[0]));
		return 0;
	}
	result->id = ir_make_call_id(
	    g->rd->r->arena, "call_", g->rd->n_calls++, result->name);
	return result->id.p != NULL ? 0 : crd_full(g->rd);
}

static int gemc_read_parts(
    struct gemc_reader *g, const char *base, struct json v) MUST_CHECK;

static int
gemc_read_response(struct gemc_reader *g, const char *base, struct json v,
    struct ir_part **ret)
{
	static const char *const names[] = {"id", "name", "response", "parts"};
	struct json vals[4], bad;
	struct crd *rd = g->rd;
	struct ir_part *p;
	const char *path;
	int rc;

	path = ir_field(rd->r, "%s.functionResponse", base);
	if (path == NULL)
		return crd_full(rd);
	rc = crd_pick(rd, path, v, names, vals, 4);
	if (rc != 0)
		return rc;
	p = gemc_add(g, IR_TOOL_RESULT, base);
	if (p == NULL)
		return crd_full(rd);
	*ret = p;
	rc = crd_string(rd, vals[0], path, "id", &p->id);
	if (rc == 0)
		rc = crd_string(rd, vals[1], path, "name", &p->name);
	if (rc == 0 && p->name.len == 0)
		rc = crd_bad(rd, path, "name", rd->words->required);
	if (rc == 0)
		rc = crd_object(rd, vals[2], path, "response", &p->result_json);
	if (rc == 0)
		p->is_error =
		    json_getz(vals[2], "error", &bad) && bad.type != JSON_NULL;
	if (rc == 0 && p->id.len == 0)
		rc = gemc_match(g, p);
	if (rc != 0 || vals[3].type == JSON_NULL)
		return rc;
	path = ir_field(rd->r, "%s.parts", path);
	if (path == NULL)
		return crd_full(rd);
	g->result = p;
	rc = gemc_read_parts(g, path, vals[3]);
	g->result = NULL;
	return rc;
}

/* ---- parts ---- */

static int
gemc_read_text(struct gemc_reader *g, const char *base, struct json v,
    struct ir_part **ret)
{
	struct ir_part *p = gemc_add(g, IR_TEXT, base);

	if (p == NULL)
		return crd_full(g->rd);
	*ret = p;
	return crd_string(g->rd, v, base, "text", &p->text);
}

/* thought and thoughtSignature, of any part. */
static int
gemc_read_proof(struct gemc_reader *g, const char *base, const struct json *v,
    struct ir_part *p)
{
	static const char name[] = "thoughtSignature";
	bool thought = false, redacted;
	int rc;

	rc = crd_bool(g->rd, v[GP_THOUGHT], base, "thought", &thought);
	if (rc == 0)
		rc = crd_string(
		    g->rd, v[GP_SIGNATURE], base, name, &p->signature);
	if (rc != 0)
		return rc;
	rc = gemc_signature_read(g->rd->r->arena, &p->signature, &redacted);
	if (rc != 0)
		return rc == ERR_NOMEM
			   ? crd_full(g->rd)
			   : crd_bad(g->rd, base, name, "is not as it was");
	if (p->type != IR_TEXT || !thought)
		return 0;
	p->type = redacted ? IR_REDACTED : IR_THINKING;
	if (redacted) /* SDKs join it with the thought before it */
		p->text = STR_NULL;
	return 0;
}

static bool
gemc_may_be(const struct gemc_reader *g, unsigned which)
{
	if (g->result != NULL)
		return which == GP_INLINE || which == GP_FILE;
	switch (g->m->role) {
	case IR_USER:
		return which != GP_CALL;
	case IR_ASSISTANT:
		return which != GP_RESPONSE;
	default:
		return which == GP_TEXT;
	}
}

static int
gemc_read_part(struct gemc_reader *g, const char *base, struct json v)
{
	struct json vals[GP_COUNT];
	struct ir_part *p = NULL;
	unsigned i, n = 0, which = GP_TEXT;
	unsigned before = g->rd->r->n_others;
	int rc;

	rc = crd_pick(g->rd, base, v, gemc_part_names, vals, GP_COUNT);
	if (rc != 0)
		return rc;
	for (i = 0; i < GP_N_DATA; i++) {
		if (vals[i].type != JSON_NULL) {
			which = i;
			n++;
		}
	}
	if (n > 1)
		return crd_bad(g->rd, base, gemc_part_names[which],
		    "a part can hold only one kind of data");
	if (n == 0 && g->rd->r->n_others > before)
		return 0; /* of a kind without a place; was noted */
	if (n == 0 && vals[GP_SIGNATURE].type == JSON_NULL)
		return crd_bad(g->rd, base, "", "must hold data");
	if (!gemc_may_be(g, which))
		return crd_bad(g->rd, base, gemc_part_names[which],
		    "cannot be in a content of this role");
	switch (which) {
	case GP_INLINE:
	case GP_FILE:
		rc =
		    gemc_read_media(g, base, vals[which], which == GP_FILE, &p);
		break;
	case GP_CALL:
		rc = gemc_read_call(g, base, vals[which], &p);
		break;
	case GP_RESPONSE:
		rc = gemc_read_response(g, base, vals[which], &p);
		break;
	default:
		rc = gemc_read_text(g, base, vals[which], &p);
		break;
	}
	return rc != 0 ? rc : gemc_read_proof(g, base, vals, p);
}

/* base: "contents[0].parts" */
static int
gemc_read_parts(struct gemc_reader *g, const char *base, struct json v)
{
	struct json_iter it;
	struct json item;
	const char *path;
	unsigned i;
	int rc;

	if (v.type != JSON_ARRAY)
		return crd_bad(g->rd, base, "", g->rd->words->array);
	it = json_iter(v);
	for (i = 0; json_next_element(&it, &item); i++) {
		path = ir_field(g->rd->r, "%s[%u]", base, i);
		if (path == NULL)
			return crd_full(g->rd);
		rc = gemc_read_part(g, path, item);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* ---- joining pieces ---- */

static bool
gemc_joins(const struct ir_part *p)
{
	return p->type == IR_TEXT || p->type == IR_THINKING;
}

/* The run of pieces that begins at p: same type, up to the first signature.
 * Returns the last one; *len is the length of all text. */
static struct ir_part *
gemc_run(struct ir_part *p, size_t *len)
{
	*len = p->text.len;
	while (p->signature.len == 0 && p->next != NULL &&
	       p->next->type == p->type) {
		p = p->next;
		*len += p->text.len;
	}
	return p;
}

/* Join pieces of text and of thinking; drop empty text. */
static int
gemc_join(struct gemc_reader *g, struct ir_message *m)
{
	struct ir_part **link = &m->parts;
	struct ir_part *p, *q, *last;
	size_t len, at;
	char *to;

	m->last_part = NULL;
	while ((p = *link) != NULL) {
		if (gemc_joins(p)) {
			last = gemc_run(p, &len);
			if (last != p) {
				to = arena_alloc(g->rd->r->arena, len + 1);
				if (to == NULL)
					return crd_full(g->rd);
				for (q = p, at = 0;; q = q->next) {
					if (q->text.len > 0)
						memcpy(to + at, q->text.p,
						    q->text.len);
					at += q->text.len;
					if (q == last)
						break;
				}
				p->text = str_make(to, len);
				p->signature = last->signature;
				p->next = last->next;
			}
			if (p->text.len == 0 && p->signature.len == 0) {
				*link = p->next;
				continue;
			}
		}
		m->last_part = p;
		link = &p->next;
	}
	return 0;
}

/* ---- contents ---- */

static int
gemc_read_role(
    struct crd *rd, struct json v, const char *base, enum ir_role *ret)
{
	if (v.type == JSON_NULL || crd_is(v, "user") || crd_is(v, "function") ||
	    crd_is(v, ""))
		*ret = IR_USER;
	else if (crd_is(v, "model"))
		*ret = IR_ASSISTANT;
	else
		return crd_bad(
		    rd, base, "role", "please use a valid role: user, model");
	return 0;
}

static int
gemc_read_content(struct gemc_reader *g, unsigned i, struct json v)
{
	static const char *const names[] = {"role", "parts"};
	struct ir_request *r = g->rd->r;
	struct json vals[2];
	enum ir_role role = IR_USER;
	const char *base;
	int rc;

	base = ir_field(r, "contents[%u]", i);
	if (base == NULL)
		return crd_full(g->rd);
	rc = crd_pick(g->rd, base, v, names, vals, 2);
	if (rc == 0)
		rc = gemc_read_role(g->rd, vals[0], base, &role);
	if (rc != 0)
		return rc;
	if (vals[1].type == JSON_NULL)
		return crd_bad(g->rd, base, "parts", g->rd->words->required);
	if (g->m == NULL || role != IR_ASSISTANT || g->m->role != role) {
		if (g->m != NULL && g->m->role == IR_ASSISTANT &&
		    gemc_join(g, g->m) != 0)
			return crd_full(g->rd);
		g->m = ir_add_message(r, role);
		if (role == IR_ASSISTANT)
			g->n_calls = 0;
	}
	base = ir_field(r, "contents[%u].parts", i);
	if (g->m == NULL || base == NULL)
		return crd_full(g->rd);
	return gemc_read_parts(g, base, vals[1]);
}

int
gemc_read_contents(struct crd *rd, struct json v)
{
	struct gemc_reader g = {.rd = rd};
	struct json_iter it;
	struct json item;
	unsigned i;
	int rc;

	if (v.type == JSON_NULL)
		return crd_bad(rd, "contents", "", "contents are required");
	rc = crd_array(rd, v, "contents", "");
	if (rc != 0)
		return rc;
	it = json_iter(v);
	for (i = 0; json_next_element(&it, &item); i++) {
		rc = gemc_read_content(&g, i, item);
		if (rc != 0)
			return rc;
	}
	if (i == 0)
		return crd_bad(rd, "contents", "", "contents are required");
	if (g.m != NULL && g.m->role == IR_ASSISTANT && gemc_join(&g, g.m) != 0)
		return crd_full(rd);
	return 0;
}

int
gemc_read_system(struct crd *rd, struct json v)
{
	static const char *const names[] = {"role", "parts", "text"};
	static const char base[] = "systemInstruction";
	struct gemc_reader g = {.rd = rd};
	struct ir_part *p = NULL;
	struct json vals[3];
	int rc;

	if (v.type == JSON_NULL)
		return 0;
	g.m = ir_add_message(rd->r, IR_SYSTEM);
	if (g.m == NULL)
		return crd_full(rd);
	if (v.type == JSON_STRING)
		return gemc_read_text(&g, base, v, &p);
	rc = crd_pick(rd, base, v, names, vals, 3);
	if (rc != 0)
		return rc;
	if (vals[2].type != JSON_NULL)
		return gemc_read_text(&g, base, vals[2], &p);
	if (vals[1].type == JSON_NULL)
		return 0;
	return gemc_read_parts(&g, "systemInstruction.parts", vals[1]);
}
