/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the neutral form as OpenAI's chat dialect has them.
 *
 * Results of tools are messages of their own and must follow the calls
 * directly: of consecutive user messages all results come first, then images
 * that were inside results, then the rest. Lists of calls have ids always;
 * where the client's dialect has none they are made from the position.
 */
#include "agent/dialect/openai_chat_provider.h"

#include "agent/dialect/jw.h"
#include "agent/dialect/media.h"

struct oacp_msgs {
	const struct ir_request *r;
	const struct write_opts *o;
	struct error *e;
	struct jw *w;
	unsigned n_calls, n_results; /* without ids so far */
};

static unsigned
oacp_count(const struct ir_part *p, enum ir_part_type t)
{
	unsigned n = 0;

	for (; p != NULL; p = p->next)
		n += p->type == t;
	return n;
}

static void
oacp_text_part(struct jw *w, struct str text)
{
	jw_open(w, '{');
	jw_name_z(w, "type", "text");
	jw_name_esc(w, "text", text);
	jw_close(w, '}');
}

/* "content" of nothing but text: a string, or a list when there are several.
 * False when there is none. */
static bool
oacp_text_content(struct jw *w, const struct ir_part *parts)
{
	unsigned n = oacp_count(parts, IR_TEXT);
	const struct ir_part *p;

	if (n == 0)
		return false;
	jw_name(w, "content");
	if (n > 1)
		jw_open(w, '[');
	for (p = parts; p != NULL; p = p->next) {
		if (p->type != IR_TEXT)
			continue;
		if (n > 1)
			oacp_text_part(w, p->text);
		else
			jw_esc(w, p->text);
	}
	if (n > 1)
		jw_close(w, ']');
	return true;
}

static void
oacp_role(struct oacp_msgs *x, const char *role, struct str name)
{
	jw_open(x->w, '{');
	jw_name_z(x->w, "role", role);
	jw_opt_esc(x->w, "name", name);
}

static int
oacp_system(struct oacp_msgs *x, const struct ir_message *m)
{
	bool developer =
	    m->role == IR_DEVELOPER && !(x->o->quirks & QUIRK_NO_DEVELOPER);

	if (oacp_count(m->parts, IR_TEXT) == 0)
		return 0;
	oacp_role(x, developer ? "developer" : "system", m->name);
	(void)oacp_text_content(x->w, m->parts);
	jw_close(x->w, '}');
	return 0;
}

/* ---- assistant ---- */

static void
oacp_joined(struct jw *w, const char *name, const struct ir_part *p,
    enum ir_part_type t)
{
	if (oacp_count(p, t) == 0)
		return;
	jw_name(w, name);
	(void)buf_addc(w->b, '"');
	for (; p != NULL; p = p->next) {
		if (p->type == t)
			(void)buf_add_str(w->b, p->text);
	}
	(void)buf_addc(w->b, '"');
	w->comma = true;
}

static int
oacp_tool_calls(struct oacp_msgs *x, const struct ir_part *p)
{
	struct jw *w = x->w;
	struct str id;

	if (oacp_count(p, IR_TOOL_CALL) == 0)
		return 0;
	jw_name_open(w, "tool_calls", '[');
	for (; p != NULL; p = p->next) {
		if (p->type != IR_TOOL_CALL)
			continue;
		id = p->id;
		if (id.len == 0)
			id = ir_make_call_id(
			    x->r->arena, "call_", x->n_calls++, p->name);
		if (id.p == NULL)
			return ERR_NOMEM;
		jw_open(w, '{');
		jw_name_esc(w, "id", id);
		jw_name_z(w, "type", "function");
		jw_name_open(w, "function", '{');
		jw_name_esc(w, "name", p->name);
		jw_name(w, "arguments");
		jw_plain(w, p->args.len > 0 ? p->args : STR("{}"));
		jw_close(w, '}');
		jw_close(w, '}');
	}
	jw_close(w, ']');
	return 0;
}

static int
oacp_assistant(struct oacp_msgs *x, const struct ir_message *m)
{
	bool think = (x->o->quirks & QUIRK_REASONING_CONTENT) != 0 &&
		     oacp_count(m->parts, IR_THINKING) > 0;
	bool calls = oacp_count(m->parts, IR_TOOL_CALL) > 0;
	bool refusal = oacp_count(m->parts, IR_REFUSAL) > 0;
	int rc;

	if (!think && !calls && !refusal && oacp_count(m->parts, IR_TEXT) == 0)
		return 0;
	oacp_role(x, "assistant", m->name);
	if (!oacp_text_content(x->w, m->parts) && !calls && !refusal)
		jw_name_z(x->w, "content", "");
	if (refusal)
		oacp_joined(x->w, "refusal", m->parts, IR_REFUSAL);
	if (think)
		oacp_joined(x->w, "reasoning_content", m->parts, IR_THINKING);
	rc = oacp_tool_calls(x, m->parts);
	jw_close(x->w, '}');
	return rc;
}

/* ---- user ---- */

static int
oacp_part_refuse(struct oacp_msgs *x, const struct ir_part *p, const char *what)
{
	return carry_refuse(p->field != NULL ? p->field : "messages", what,
	    x->o->lenient, x->o->lost, x->e);
}

static void
oacp_data_url(struct jw *w, const char *name, struct str mime, struct str data)
{
	jw_name(w, name);
	(void)buf_addz(w->b, "\"data:");
	(void)buf_add_str(w->b, mime);
	(void)buf_addz(w->b, ";base64,");
	(void)buf_add_str(w->b, data);
	(void)buf_addc(w->b, '"');
	w->comma = true;
}

static int
oacp_image(struct oacp_msgs *x, const struct ir_part *p)
{
	struct jw *w = x->w;
	struct str mime = media_mime(x->r->arena, p);

	if (p->url.len == 0 && mime.len == 0)
		return oacp_part_refuse(
		    x, p, "the media type of the image is not known");
	jw_open(w, '{');
	jw_name_z(w, "type", "image_url");
	jw_name_open(w, "image_url", '{');
	if (p->url.len > 0)
		jw_name_esc(w, "url", p->url);
	else
		oacp_data_url(w, "url", mime, p->data);
	jw_opt_esc(w, "detail", p->detail);
	jw_close(w, '}');
	jw_close(w, '}');
	return 0;
}

static int
oacp_document(struct oacp_msgs *x, const struct ir_part *p)
{
	struct str mime = media_mime(x->r->arena, p);
	struct jw *w = x->w;

	jw_open(w, '{');
	jw_name_z(w, "type", "file");
	jw_name_open(w, "file", '{');
	if (p->file_id.len > 0) {
		jw_name_esc(w, "file_id", p->file_id);
	} else {
		jw_name_esc(w, "filename",
		    p->filename.len > 0 ? p->filename : STR("document.pdf"));
		oacp_data_url(w, "file_data",
		    mime.len > 0 ? mime : STR("application/pdf"), p->data);
	}
	jw_close(w, '}');
	jw_close(w, '}');
	return 0;
}

static int
oacp_sound(struct oacp_msgs *x, const struct ir_part *p)
{
	const struct media_type *t = media_of(x->r->arena, p);
	struct jw *w = x->w;

	if (p->data.len == 0 || t == NULL ||
	    (!str_eqz(str_of(t->format), "wav") &&
		!str_eqz(str_of(t->format), "mp3")))
		return oacp_part_refuse(
		    x, p, "only base64 of wav and mp3 is taken");
	jw_open(w, '{');
	jw_name_z(w, "type", "input_audio");
	jw_name_open(w, "input_audio", '{');
	jw_name_esc(w, "data", p->data);
	jw_name_z(w, "format", t->format);
	jw_close(w, '}');
	jw_close(w, '}');
	return 0;
}

static int
oacp_user_part(struct oacp_msgs *x, const struct ir_part *p, bool in_result)
{
	/* Images in results are carried behind them; that is known here. */
	if (!in_result && !carry_takes_part(p, false, CARRY_P_OPENAI))
		return 0;
	switch (p->type) {
	case IR_TEXT:
		oacp_text_part(x->w, p->text);
		return 0;
	case IR_IMAGE:
		return p->url.len > 0 || p->data.len > 0 ? oacp_image(x, p) : 0;
	case IR_DOCUMENT:
		return p->file_id.len > 0 || p->data.len > 0
			   ? oacp_document(x, p)
			   : 0;
	case IR_AUDIO:
		return oacp_sound(x, p);
	default:
		return 0;
	}
}

static bool
oacp_is_media(const struct ir_part *p)
{
	return p->type == IR_IMAGE || p->type == IR_DOCUMENT;
}

static int
oacp_result(struct oacp_msgs *x, const struct ir_part *p)
{
	struct jw *w = x->w;
	struct str id = p->id;

	if (id.len == 0)
		id = ir_make_call_id(
		    x->r->arena, "call_", x->n_results++, p->name);
	if (id.p == NULL)
		return ERR_NOMEM;
	jw_open(w, '{');
	jw_name_z(w, "role", "tool");
	jw_name_esc(w, "tool_call_id", id);
	if (p->result_json.len > 0) { /* its parts are media, if any */
		jw_name(w, "content");
		jw_plain(w, p->result_json);
	} else if (!oacp_text_content(w, p->parts)) {
		jw_name_z(w, "content", "");
	}
	jw_close(w, '}');
	return 0;
}

/* What is left of a user message when its results are out. */
static int
oacp_user_rest(struct oacp_msgs *x, const struct ir_message *m)
{
	const struct ir_part *p, *sub;
	bool only_text = true, any = false;
	int rc = 0;

	for (p = m->parts; p != NULL; p = p->next) {
		any = any || p->type != IR_TOOL_RESULT;
		only_text = only_text && p->type == IR_TEXT;
		for (sub = p->parts; sub != NULL; sub = sub->next)
			any = any || oacp_is_media(sub);
	}
	if (!any)
		return 0;
	oacp_role(x, "user", m->name);
	if (only_text) {
		(void)oacp_text_content(x->w, m->parts);
		jw_close(x->w, '}');
		return 0;
	}
	jw_name_open(x->w, "content", '[');
	for (p = m->parts; p != NULL && rc == 0; p = p->next) {
		for (sub = p->parts; sub != NULL && rc == 0; sub = sub->next) {
			if (oacp_is_media(sub))
				rc = oacp_user_part(x, sub, true);
		}
		if (rc == 0 && p->type != IR_TOOL_RESULT)
			rc = oacp_user_part(x, p, false);
	}
	jw_close(x->w, ']');
	jw_close(x->w, '}');
	return rc;
}

/* A run of user messages. *m: the first; afterwards the last of them. */
static int
oacp_users(struct oacp_msgs *x, const struct ir_message **m)
{
	const struct ir_message *i, *end = (*m)->next;
	const struct ir_part *p;
	int rc = 0;

	while (end != NULL && end->role == IR_USER)
		end = end->next;
	for (i = *m; i != end && rc == 0; i = i->next) {
		for (p = i->parts; p != NULL && rc == 0; p = p->next) {
			if (p->type == IR_TOOL_RESULT)
				rc = oacp_result(x, p);
		}
	}
	for (i = *m; i != end && rc == 0; i = i->next) {
		rc = oacp_user_rest(x, i);
		*m = i;
	}
	return rc;
}

int
oacp_write_messages(const struct ir_request *r, const struct write_opts *o,
    struct jw *w, struct error *e)
{
	struct oacp_msgs x = {r, o, e, w, 0, 0};
	const struct ir_message *m;
	int rc = 0;

	jw_name_open(w, "messages", '[');
	for (m = r->messages; m != NULL && rc == 0; m = m->next) {
		if (m->role == IR_USER)
			rc = oacp_users(&x, &m);
		else if (m->role == IR_ASSISTANT)
			rc = oacp_assistant(&x, m);
		else
			rc = oacp_system(&x, m);
	}
	jw_close(w, ']');
	return rc;
}
