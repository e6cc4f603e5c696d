/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System text and messages of the neutral form as Anthropic has them.
 *
 * All system and developer text goes to the top. Roles must alternate, so
 * neighbours of one role become one message; in it the results of tools come
 * first, as the API demands. Text of nothing but white space is refused there
 * and therefore left out.
 */
#include "agent/dialect/anthropic_provider.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/media.h"

#define ANTP_JSON_NOTE                                                      \
	"Answer with a single valid JSON object and nothing else: no text " \
	"before or after it, no code fence."

/* Is there anything to read in it? */
static bool
antp_is_blank(struct str esc)
{
	size_t i;

	for (i = 0; i < esc.len; i++) {
		if (esc.p[i] == ' ')
			continue;
		if (esc.p[i] != '\\' || i + 1 == esc.len ||
		    strchr("ntr", esc.p[i + 1]) == NULL)
			return false;
		i++;
	}
	return true;
}

bool
antp_is_proven(const struct ir_part *p)
{
	return (p->type == IR_THINKING || p->type == IR_REDACTED) &&
	       p->signature.len > 0;
}

static void
antp_text(struct jw *w, struct str text, enum ir_cache cache)
{
	jw_open(w, '{');
	jw_name_z(w, "type", "text");
	jw_name_esc(w, "text", text);
	antp_write_cache(w, cache);
	jw_close(w, '}');
}

static void
antp_system(struct pw *pw, bool json_note)
{
	const struct ir_part *p, *only = NULL;
	const struct ir_message *m;
	struct jw *w = &pw->w;
	unsigned n = json_note;
	bool cache = false;

	for (m = pw->r->messages; m != NULL; m = m->next) {
		for (p = m->parts; p != NULL && pw_is_system(m); p = p->next) {
			if (p->type != IR_TEXT || antp_is_blank(p->text))
				continue;
			n++;
			only = p;
			cache = cache || p->cache != IR_CACHE_NONE;
		}
	}
	if (n == 0)
		return;
	if (n == 1 && !cache) {
		jw_name_esc(w, "system",
		    only != NULL ? only->text : STR(ANTP_JSON_NOTE));
		return;
	}
	jw_name_open(w, "system", '[');
	for (m = pw->r->messages; m != NULL; m = m->next) {
		for (p = m->parts; p != NULL && pw_is_system(m); p = p->next) {
			if (p->type == IR_TEXT && !antp_is_blank(p->text))
				antp_text(w, p->text, p->cache);
		}
	}
	if (json_note)
		antp_text(w, STR(ANTP_JSON_NOTE), IR_CACHE_NONE);
	jw_close(w, ']');
}

/* ---- media ---- */

/* Base64 of text as the text that it is. */
static int
antp_plain_source(struct pw *pw, const struct ir_part *p)
{
	struct str data = media_plain(pw->r->arena, p->data);
	struct jw *w = &pw->w;
	unsigned char *raw;
	size_t n = 0;
	int rc = 0;

	raw = malloc(data.len + 1);
	if (raw == NULL)
		return ERR_NOMEM;
	if (base64_decode(data, sodium_base64_VARIANT_ORIGINAL, "\r\n", raw,
		data.len + 1, &n) != 0)
		rc = err_set_field(pw->e, ERR_INVALID,
		    p->field != NULL ? p->field : "messages",
		    "the data is not valid base64");
	jw_name_z(w, "type", "text");
	jw_name_z(w, "media_type", "text/plain");
	jw_name(w, "data");
	jw_plain(w, str_make((const char *)raw, rc == 0 ? n : 0));
	free(raw);
	return rc;
}

static bool
antp_is_text(struct str mime)
{
	return str_starts(mime, STR("text/")) ||
	       str_starts(mime, STR("application/json"));
}

/* "source" of an image or document. */
static int
antp_source(struct pw *pw, const struct ir_part *p, struct str mime)
{
	struct jw *w = &pw->w;
	int rc = 0;

	jw_name_open(w, "source", '{');
	if (p->url.len > 0) {
		jw_name_z(w, "type", "url");
		jw_name_esc(w, "url", p->url);
	} else if (p->file_id.len > 0) {
		jw_name_z(w, "type", "file");
		jw_name_esc(w, "file_id", p->file_id);
	} else if (p->type == IR_DOCUMENT && antp_is_text(mime)) {
		rc = antp_plain_source(pw, p);
	} else {
		jw_name_z(w, "type", "base64");
		jw_name_esc(w, "media_type", mime);
		jw_name_esc(w, "data", p->data);
	}
	jw_close(w, '}');
	return rc;
}

static int
antp_media(struct pw *pw, const struct ir_part *p)
{
	struct str mime = media_mime(pw->r->arena, p);
	struct jw *w = &pw->w;
	int rc;

	if (str_eqz(mime, "image/jpg"))
		mime = STR("image/jpeg");
	if (p->data.len > 0 && p->type == IR_IMAGE && mime.len == 0)
		return pw_refuse_part(
		    pw, p, "the media type of the image is not known");
	if (p->data.len > 0 && p->type == IR_DOCUMENT && mime.len == 0)
		mime = STR("application/pdf");
	if (p->data.len > 0 && p->type == IR_DOCUMENT &&
	    !str_eqz(mime, "application/pdf") && !antp_is_text(mime))
		return pw_refuse_part(
		    pw, p, "only PDF and text documents are taken");
	jw_open(w, '{');
	jw_name_z(w, "type", p->type == IR_IMAGE ? "image" : "document");
	rc = antp_source(pw, p, mime);
	if (p->type == IR_DOCUMENT)
		jw_opt_esc(w, "title", p->filename);
	antp_write_cache(w, p->cache);
	jw_close(w, '}');
	return rc;
}

/* ---- blocks ---- */

static int
antp_result_content(struct pw *pw, const struct ir_part *result)
{
	const struct ir_part *p = result->parts;
	struct jw *w = &pw->w;
	int rc = 0;

	if (p == NULL || (p->next == NULL && p->type == IR_TEXT)) {
		if (p == NULL && result->result_json.len == 0)
			return 0;
		jw_name(w, "content");
		(void)buf_addc(w->b, '"');
		pw_result_text(pw, result);
		(void)buf_addc(w->b, '"');
		w->comma = true;
		return 0;
	}
	jw_name_open(w, "content", '[');
	if (result->result_json.len > 0) {
		jw_open(w, '{');
		jw_name_z(w, "type", "text");
		jw_name(w, "text");
		jw_plain(w, result->result_json);
		jw_close(w, '}');
	}
	for (; p != NULL && rc == 0; p = p->next) {
		if (p->type == IR_TEXT && !antp_is_blank(p->text))
			antp_text(w, p->text, p->cache);
		else if (p->type == IR_IMAGE || p->type == IR_DOCUMENT)
			rc = antp_media(pw, p);
	}
	jw_close(w, ']');
	return rc;
}

static int
antp_result(struct pw *pw, const struct ir_part *p)
{
	struct str id = pw_call_id(pw, p, "toolu_", true);
	struct jw *w = &pw->w;
	int rc;

	if (id.p == NULL)
		return ERR_NOMEM;
	jw_open(w, '{');
	jw_name_z(w, "type", "tool_result");
	jw_name_esc(w, "tool_use_id", id);
	rc = antp_result_content(pw, p);
	if (p->is_error)
		jw_name_bool(w, "is_error", true);
	antp_write_cache(w, p->cache);
	jw_close(w, '}');
	return rc;
}

static int
antp_call(struct pw *pw, const struct ir_part *p)
{
	struct str id = pw_call_id(pw, p, "toolu_", true);
	struct jw *w = &pw->w;

	if (id.p == NULL)
		return ERR_NOMEM;
	jw_open(w, '{');
	jw_name_z(w, "type", "tool_use");
	jw_name_esc(w, "id", id);
	jw_name_esc(w, "name", p->name);
	jw_name_raw(w, "input", p->args.len > 0 ? p->args : STR("{}"));
	antp_write_cache(w, p->cache);
	jw_close(w, '}');
	return 0;
}

static void
antp_thought(struct pw *pw, const struct ir_part *p)
{
	struct jw *w = &pw->w;

	jw_open(w, '{');
	if (p->type == IR_THINKING) {
		jw_name_z(w, "type", "thinking");
		jw_name_esc(w, "thinking", p->text);
		jw_name_esc(w, "signature", p->signature);
	} else {
		jw_name_z(w, "type", "redacted_thinking");
		jw_name_esc(w, "data", p->signature);
	}
	jw_close(w, '}');
}

static bool
antp_is_written(const struct pw *pw, const struct ir_part *p)
{
	switch (p->type) {
	case IR_TEXT:
	case IR_REFUSAL:
		return !antp_is_blank(p->text);
	case IR_THINKING:
	case IR_REDACTED:
		return antp_is_proven(p);
	default:
		return carry_takes_part(p, false, pw->provider);
	}
}

static int
antp_block(struct pw *pw, const struct ir_part *p)
{
	switch (p->type) {
	case IR_TEXT:
	case IR_REFUSAL:
		antp_text(&pw->w, p->text, p->cache);
		return 0;
	case IR_IMAGE:
	case IR_DOCUMENT:
		return antp_media(pw, p);
	case IR_TOOL_CALL:
		return antp_call(pw, p);
	case IR_TOOL_RESULT:
		return antp_result(pw, p);
	case IR_THINKING:
	case IR_REDACTED:
		antp_thought(pw, p);
		return 0;
	default:
		return 0;
	}
}

/* ---- messages ---- */

/* The message that is being written. */
struct antp_turn {
	struct pw *pw;
	bool open;
	enum ir_role role;
};

static void
antp_turn_close(struct antp_turn *t)
{
	if (!t->open)
		return;
	jw_close(&t->pw->w, ']');
	jw_close(&t->pw->w, '}');
	t->open = false;
}

static void
antp_turn_open(struct antp_turn *t, enum ir_role role)
{
	if (t->open && t->role == role)
		return;
	antp_turn_close(t);
	jw_open(&t->pw->w, '{');
	jw_name_z(&t->pw->w, "role", role == IR_USER ? "user" : "assistant");
	jw_name_open(&t->pw->w, "content", '[');
	t->open = true;
	t->role = role;
}

enum antp_which { ANTP_ALL, ANTP_RESULTS, ANTP_OTHERS };

static int
antp_parts(
    struct antp_turn *t, const struct ir_message *m, enum antp_which which)
{
	const struct ir_part *p;
	int rc = 0;

	for (p = m->parts; p != NULL && rc == 0; p = p->next) {
		if (which != ANTP_ALL &&
		    (p->type == IR_TOOL_RESULT) != (which == ANTP_RESULTS))
			continue;
		if (!antp_is_written(t->pw, p))
			continue;
		antp_turn_open(t, m->role);
		rc = antp_block(t->pw, p);
	}
	return rc;
}

static bool
antp_is_empty(const struct pw *pw, const struct ir_message *m)
{
	const struct ir_part *p;

	for (p = m->parts; p != NULL; p = p->next) {
		if (antp_is_written(pw, p))
			return false;
	}
	return true;
}

/* User messages up to the next thing that the assistant said: all results,
 * then the rest. Returns where they end. */
static const struct ir_message *
antp_users(struct antp_turn *t, const struct ir_message *m, int *rc)
{
	const struct ir_message *i, *end = m;

	while (end != NULL &&
	       (end->role != IR_ASSISTANT || antp_is_empty(t->pw, end)))
		end = end->next;
	for (i = m; i != end && *rc == 0; i = i->next) {
		if (i->role == IR_USER)
			*rc = antp_parts(t, i, ANTP_RESULTS);
	}
	for (i = m; i != end && *rc == 0; i = i->next) {
		if (i->role == IR_USER)
			*rc = antp_parts(t, i, ANTP_OTHERS);
	}
	return end;
}

int
antp_write_messages(struct pw *pw, bool json_note)
{
	struct antp_turn t = {.pw = pw};
	const struct ir_message *m = pw->r->messages;
	int rc = 0;

	antp_system(pw, json_note);
	jw_name_open(&pw->w, "messages", '[');
	while (m != NULL && rc == 0) {
		if (m->role == IR_USER) {
			m = antp_users(&t, m, &rc);
			continue;
		}
		if (m->role == IR_ASSISTANT)
			rc = antp_parts(&t, m, ANTP_ALL);
		m = m->next;
	}
	antp_turn_close(&t);
	jw_close(&pw->w, ']');
	return rc;
}
