/* SPDX-License-Identifier: Apache-2.0 */
/* See ir_text.h. */
#include "tests/unit/agent/ir_text.h"

#include "tests/unit/support/unit.h"

static const char *const text_roles[] = {
    "system", "developer", "user", "assistant"};
static const char *const text_parts[] = {"text", "image", "document", "audio",
    "video", "call", "result", "thinking", "redacted", "refusal"};
static const char *const text_choices[] = {"", "auto", "none", "any", "tool"};
static const char *const text_formats[] = {"", "text", "json", "schema"};

static void
text_word(struct buf *out, const char *name, struct str s)
{
	if (s.len > 0)
		(void)buf_addf(out, " %s=%.*s", name, STR_ARG(s));
}

static void
text_int(struct buf *out, const char *name, int64_t v, int64_t unset)
{
	if (v != unset)
		(void)buf_addf(out, " %s=%lld", name, (long long)v);
}

static void
text_part(struct buf *out, const struct ir_part *p)
{
	const struct ir_part *sub;

	(void)buf_addf(out, " [%s", text_parts[p->type]);
	text_word(out, "text", p->text);
	text_word(out, "id", p->id);
	text_word(out, "name", p->name);
	text_word(out, "args", p->args);
	text_word(out, "sig", p->signature);
	text_word(out, "mime", p->mime);
	text_word(out, "data", p->data);
	text_word(out, "url", p->url);
	text_word(out, "file", p->file_id);
	text_word(out, "filename", p->filename);
	text_word(out, "detail", p->detail);
	text_int(out, "cache", p->cache, IR_CACHE_NONE);
	for (sub = p->parts; sub != NULL; sub = sub->next)
		text_part(out, sub);
	(void)buf_addf(out, " @%s]", p->field);
}

static void
text_fields(struct buf *out, const struct ir_request *r)
{
	unsigned i;

	text_word(out, "model", r->model);
	text_int(out, "stream", r->stream, 0);
	text_int(out, "include_usage", r->include_usage, 0);
	text_word(out, "choice", str_of(text_choices[r->choice]));
	text_word(out, "choice_name", r->choice_name);
	text_int(out, "parallel", r->parallel, -1);
	text_int(out, "max_output", r->max_output, -1);
	text_int(out, "n", r->n, 1);
	text_word(out, "temperature", r->temperature);
	text_word(out, "top_p", r->top_p);
	text_word(out, "top_k", r->top_k);
	text_word(out, "frequency", r->frequency_penalty);
	text_word(out, "presence", r->presence_penalty);
	text_word(out, "seed", r->seed);
	for (i = 0; i < r->n_stops; i++)
		text_word(out, "stop", r->stops[i]);
	text_word(out, "format", str_of(text_formats[r->format]));
	text_word(out, "format_name", r->format_name);
	text_word(out, "format_description", r->format_description);
	text_word(out, "format_schema", r->format_schema);
	text_int(out, "format_strict", r->format_strict, -1);
	text_word(out, "effort", str_of(ir_effort_name(r->effort)));
	text_int(out, "show_thinking", r->show_thinking, 0);
	text_word(out, "summary", r->summary);
	text_int(out, "logprobs", r->logprobs, 0);
	text_int(out, "top_logprobs", r->top_logprobs, -1);
	text_word(out, "user", r->user);
	text_word(out, "metadata", r->metadata);
	text_word(out, "tier", r->service_tier);
	text_word(out, "verbosity", r->verbosity);
	text_word(out, "logit_bias", r->logit_bias);
	(void)buf_addc(out, '\n');
}

void
ir_text(struct buf *out, const struct ir_request *r)
{
	const struct ir_message *m;
	const struct ir_part *p;
	const struct ir_tool *t;
	unsigned i;

	text_fields(out, r);
	for (m = r->messages; m != NULL; m = m->next) {
		(void)buf_addz(out, text_roles[m->role]);
		text_word(out, "name", m->name);
		for (p = m->parts; p != NULL; p = p->next)
			text_part(out, p);
		(void)buf_addc(out, '\n');
	}
	for (t = r->tools; t != NULL; t = t->next) {
		(void)buf_addz(out, "tool");
		text_word(out, "name", t->name);
		text_word(out, "description", t->description);
		text_word(out, "schema", t->schema);
		text_int(out, "strict", t->strict, -1);
		text_int(out, "cache", t->cache, IR_CACHE_NONE);
		(void)buf_addc(out, '\n');
	}
	for (i = 0; i < r->n_others; i++)
		(void)buf_addf(out, "other %s\n", r->others[i]);
}

void
ir_text_expect(const struct codec_client *c, const char *body, const char *want)
{
	struct ir_request r;
	struct error e = {0};
	struct arena a;
	struct buf got;
	int rc;

	arena_init(&a, 4096, (size_t)64 << 20);
	ir_request_init(&r, &a);
	buf_init(&got, (size_t)1 << 24);
	rc = json_validate(str_of(body), NULL, &e);
	ck_assert_msg(rc == 0, "%s in %s", e.text, body);
	rc = c->read(str_of(body), STR_NULL, false, &r, &e);
	ck_assert_msg(rc == 0, "%s: %s", e.field, e.text);
	ir_text(&got, &r);
	ck_assert_msg(str_eqz(buf_str(&got), want), "read\n%s\nnot\n%s",
	    buf_cstr(&got), want);
	buf_release(&got);
	arena_release(&a);
}

void
ir_text_refuse(
    const struct codec_client *c, const char *body, int want, const char *field)
{
	struct ir_request r;
	struct error e = {0};
	struct arena a;
	int rc;

	arena_init(&a, 4096, (size_t)64 << 20);
	ir_request_init(&r, &a);
	rc = json_validate(str_of(body), NULL, &e);
	ck_assert_msg(rc == 0, "%s in %s", e.text, body);
	rc = c->read(str_of(body), STR_NULL, false, &r, &e);
	ck_assert_msg(rc == want, "rc %d for %s", rc, body);
	ck_assert_msg(strcmp(e.field, field) == 0, "\"%s\", not \"%s\" for %s",
	    e.field, field, body);
	ck_assert_str_ne(e.text, "");
	arena_release(&a);
}
