/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes to a provider. Of the client's head nothing is passed on but the
 * versions and betas of its dialect, where the provider speaks it too.
 */
#include "agent/front/forward.h"

#include <stdio.h>

#include "agent/dialect/cap.h"
#include "agent/dialect/embed.h"
#include "agent/front/front.h"
#include "agent/front/spool.h"
#include "agent/front/stored.h"
#include "agent/provider/access.h"
#include "common/version.h"

#define FORWARD_ARENA_CHUNK 16384
/* Parts and messages of a request are bounded, and so is what they need. */
#define FORWARD_ARENA_MAX ((size_t)16 << 20)

int
forward_read(struct request *r, struct error *e)
{
	const struct codec_client *c = codec_client_of(r->target.s.op);
	struct str body = buf_str(&r->body);

	if (r->ir != NULL)
		return 0;
	if (c == NULL)
		return err_set(e, ERR_UNSUPPORTED,
		    "this operation is not served by this agent");
	arena_init(
	    &r->arena, FORWARD_ARENA_CHUNK, FORWARD_ARENA_MAX + 2 * body.len);
	r->ir = arena_zalloc(&r->arena, sizeof(*r->ir));
	if (r->ir == NULL)
		return ERR_NOMEM;
	ir_request_init(r->ir, &r->arena);
	return c->read(
	    body, str_of(r->target.s.model), r->target.s.path_stream, r->ir, e);
}

/* A deployment's word on stream_options counts as a quirk of its provider. */
static uint64_t
forward_quirks(const struct b_deployment *d)
{
	return d->provider->quirks |
	       (d->no_stream_options ? QUIRK_NO_STREAM_OPTIONS : 0);
}

static int
forward_plan(const struct request *r, const struct b_deployment *d,
    struct codec_plan *ret)
{
	uint64_t quirks = forward_quirks(d);
	bool quirky = r->scan.op == OP_CHAT && quirks != 0 &&
		      codec_uses_quirk(buf_str(&r->body), quirks);

	if (r->scan.op == OP_EMBEDDINGS)
		quirky =
		    embed_is_quirky(d->provider->dialect, buf_str(&r->body));

	return codec_plan(d->provider, r->scan.op, quirky, ret);
}

bool
forward_can(const struct request *r, const struct b_deployment *d)
{
	struct codec_plan plan;

	return codec_plan(d->provider, r->scan.op, false, &plan) == 0 &&
	       (op_is_generation(r->scan.op) ||
		   access_can(d->provider, plan.op));
}

static struct str
forward_model(const struct request *r)
{
	struct str name = r->att.dep->upstream_model;

	return name.len > 0 ? name : str_make(r->scan.model, r->scan.model_len);
}

static int
forward_translate(struct request *r, struct error *e)
{
	const struct b_deployment *d = r->att.dep;
	struct write_opts o;
	int64_t n = r->scan.n > 0 ? r->scan.n : 1, told;
	int rc = forward_read(r, e);

	if (rc != 0)
		return rc;
	memset(&o, 0, sizeof(o));
	o.client = codec_carry_of(r->scan.op);
	o.model = forward_model(r);
	o.max_output = r->worst.n[TC_OUTPUT] / n;
	told = r->ir->max_output;
	if (r->shrunk > 0)
		r->ir->max_output = r->shrunk;
	o.quirks = forward_quirks(d);
	o.lenient = r->route->lenient;
	o.lost = &r->lost;
	buf_clear(&r->up_body);
	rc = r->plan.from->write(r->ir, &o, &r->up_body, e);
	r->ir->max_output = told;
	if (rc == 0)
		rc = buf_error(&r->up_body);
	return rc;
}

static unsigned forward_rewrite(
    struct request *r, struct str parts[UP_MAX_PARTS]);

/* The whole body with a lower cap, in r->up_body. */
static int
forward_shrink(struct request *r, struct error *e)
{
	const struct b_provider *p = r->att.dep->provider;
	bool old_name = p->dialect == PROVIDER_MISTRAL ||
			(p->quirks & QUIRK_MAX_TOKENS) != 0;
	struct str parts[UP_MAX_PARTS];
	unsigned i, n = forward_rewrite(r, parts);
	struct buf b;
	int rc;

	buf_init(&b, r->up_body.max);
	for (i = 0; i < n; i++)
		(void)buf_add_str(&b, parts[i]);
	rc = buf_error(&b);
	buf_clear(&r->up_body);
	if (rc == 0)
		rc = cap_write(r->scan.op, json_root(buf_str(&b)), old_name,
		    r->shrunk, &r->up_body);
	buf_release(&b);
	return rc == 0 ? 0 : err_set(e, rc, "%s", err_text(rc));
}

/* Gemini names the model inside of embeddings once more, and it must be that
 * of the path. */
static int
forward_rename(struct request *r)
{
	buf_clear(&r->up_body);
	return scan_embed_rename(
	    buf_str(&r->body), forward_model(r), &r->up_body);
}

/* Embeddings in the words of another dialect. */
static int
forward_embed(struct request *r, struct error *e)
{
	struct embed_opts o = {.to = r->att.dep->provider->dialect,
	    .model = forward_model(r),
	    .lenient = r->route->lenient,
	    .lost = &r->lost};
	struct embed q;
	int rc =
	    embed_read(r->scan.op, r->target.s.batch, buf_str(&r->body), &q, e);

	buf_clear(&r->up_body);
	if (rc == 0)
		rc = embed_write(&q, &o, &r->up_body, e);
	r->embed = (struct embed_reply){.from = o.to,
	    .op = r->scan.op,
	    .batch = q.batch,
	    .base64 = q.base64,
	    .n = q.n};
	return rc;
}

int
forward_prepare(struct request *r, struct error *e)
{
	int rc = forward_plan(r, r->att.dep, &r->plan);

	r->lost.n = 0;
	r->lost.text[0] = '\0';
	if (rc != 0)
		return err_set(e, rc, "the provider has no such operation");
	if (r->plan.mode == RELAY_TRANSLATE)
		return forward_translate(r, e);
	if (r->plan.mode == RELAY_EMBED)
		return forward_embed(r, e);
	if (r->scan.op == OP_GEMINI_EMBED)
		return forward_rename(r);
	return r->shrunk > 0 ? forward_shrink(r, e) : 0;
}

/* A name that needs no escapes, with quotes; 0: it does, or does not fit. */
static size_t
forward_quote(struct str name, char *dst, size_t cap)
{
	size_t i;

	if (name.len == 0 || name.len + 2 > cap)
		return 0;
	for (i = 0; i < name.len; i++) {
		if (name.p[i] < ' ' || name.p[i] > '~' || name.p[i] == '"' ||
		    name.p[i] == '\\')
			return 0;
		dst[i + 1] = name.p[i];
	}
	dst[0] = dst[name.len + 1] = '"';
	return name.len + 2;
}

/* "model-name" with quotes, in r->model_json; empty: leave it as it is. */
static struct str
forward_model_json(struct request *r)
{
	struct buf b;
	size_t n;

	if (r->att.dep->upstream_model.len == 0 && r->scan.model_span.len > 0)
		return r->scan.model_span;
	if (r->scan.op == OP_GENERATE || r->scan.op == OP_GEMINI_EMBED)
		return STR_NULL;
	n = forward_quote(
	    forward_model(r), r->model_json, sizeof(r->model_json));
	if (n > 0)
		return str_make(r->model_json, n);
	buf_init(&b, sizeof(r->model_json));
	(void)buf_add_json(&b, forward_model(r));
	n = b.len;
	if (buf_error(&b) == 0)
		memcpy(r->model_json, b.data, n);
	else
		n = 0;
	buf_release(&b);
	return n > 0 ? str_make(r->model_json, n) : r->scan.model_span;
}

/* A form: the model in a part of its own, then the rest as it was kept. */
static unsigned
forward_form(struct request *r, struct up_request *rq)
{
	buf_clear(&r->up_body);
	spool_model_part(r->spool, forward_model(r), &r->up_body);
	rq->parts[0] = buf_str(&r->up_body);
	rq->parts[1] = spool_memory(r->spool);
	rq->body_fd = spool_file(r->spool, &rq->body_fd_len);
	return rq->body_fd >= 0 ? 1 : 2;
}

/* The body as it came, with what must change in it. */
static unsigned
forward_rewrite(struct request *r, struct str parts[UP_MAX_PARTS])
{
	bool usage;

	usage = r->plan.mode == RELAY_CHAT &&
		(forward_quirks(r->att.dep) & QUIRK_NO_STREAM_OPTIONS) == 0;
	return oai_request_rewrite(
	    &r->scan, buf_str(&r->body), forward_model_json(r), usage, parts);
}

static unsigned
forward_body(struct request *r, struct str parts[UP_MAX_PARTS])
{
	if (op_has_no_body(r->scan.op))
		return 0;
	if (r->plan.mode != RELAY_TRANSLATE && r->plan.mode != RELAY_EMBED &&
	    r->shrunk == 0 && r->scan.op != OP_GEMINI_EMBED)
		return forward_rewrite(r, parts);
	parts[0] = buf_str(&r->up_body);
	return 1;
}

static const char *
forward_accept(const struct request *r)
{
	switch (r->att.dep->provider->dialect) {
	case PROVIDER_BEDROCK:
		return "application/vnd.amazon.eventstream";
	case PROVIDER_OLLAMA:
		return "application/x-ndjson";
	default:
		return "text/event-stream";
	}
}

/* The header lines of ours, behind the path in r->up_head. */
static void
forward_lines(struct request *r, struct str lines)
{
	enum provider_dialect d = r->att.dep->provider->dialect;
	enum client_dialect c = r->target.s.client;
	struct buf *b = &r->up_head;

	if (r->spool != NULL) {
		(void)buf_addz(
		    b, "Content-Type: multipart/form-data; boundary=");
		(void)buf_addz(b, spool_boundary(r->spool));
		(void)buf_addz(b, "\r\n");
	} else if (!op_has_no_body(r->scan.op)) {
		(void)buf_addz(b, "Content-Type: application/json\r\n");
	}
	(void)buf_addz(b, "Accept: ");
	(void)buf_addz(
	    b, r->scan.stream ? forward_accept(r) : "application/json");
	(void)buf_addz(b,
	    "\r\nUser-Agent: headgate/" HEADGATE_VERSION "\r\nx-request-id: ");
	(void)buf_addz(b, r->id_text);
	(void)buf_addz(b, "\r\nx-headgate-attempt: ");
	(void)buf_add_i64(b, r->att.number);
	(void)buf_addz(b, "\r\nx-headgate-hops: ");
	(void)buf_add_i64(b, (int64_t)r->head.hops + 1);
	(void)buf_addz(b, "\r\n");
	if (r->fields.len > 0 && r->plan.mode != RELAY_TRANSLATE &&
	    (c == CLIENT_ANTHROPIC
		    ? d == PROVIDER_ANTHROPIC
		    : d == PROVIDER_OPENAI || d == PROVIDER_AZURE))
		(void)buf_add(b, r->fields.data, r->fields.len);
	(void)buf_add_str(b, lines);
	(void)buf_addz(b, r->sim);
}

int
forward_call(struct request *r, struct up_request *rq, struct error *e)
{
	const struct b_deployment *d = r->att.dep;
	struct access_call ac;
	struct access a;
	int rc;

	memset(rq, 0, sizeof(*rq));
	rq->n_parts =
	    r->spool != NULL ? forward_form(r, rq) : forward_body(r, rq->parts);
	memset(&ac, 0, sizeof(ac));
	ac.provider = d->provider;
	ac.op = r->plan.op;
	if (r->target.s.batch) /* Gemini's path of it */
		ac.op = OP_EMBEDDINGS;
	ac.model = forward_model(r);
	if (r->scan.op >= OP_RESPONSE_GET)
		ac.id = str_make(r->stored + 1, r->stored_len - 1);
	ac.stream = r->scan.stream;
	ac.parts = rq->parts;
	ac.n_parts = rq->n_parts;
	ac.unsigned_body = rq->body_fd_len > 0;
	ac.version = str_of(r->version);
	ac.wall_ns = r->f->loop.wall;
	rc = access_prepare(&ac, &a, e);
	if (rc != 0)
		return rc;
	buf_clear(&r->up_head);
	(void)buf_add(&r->up_head, a.path, a.path_len);
	forward_lines(r, str_make(a.headers, a.headers_len));
	rc = buf_error(&r->up_head);
	rq->method = a.method;
	rq->provider = d->provider;
	rq->path = str_make(r->up_head.data, a.path_len);
	rq->headers =
	    str_make(r->up_head.data + a.path_len, r->up_head.len - a.path_len);
	rq->connect_timeout_ms = d->connect_timeout_ms;
	rq->first_byte_timeout_ms = d->first_byte_timeout_ms;
	rq->idle_timeout_ms = d->idle_timeout_ms;
	rq->fresh = r->att.retry;
	return rc;
}

/* Tokens that an answer's client is told where its provider told none. */
static int64_t
forward_estimate(void *ctx)
{
	struct request *r = ctx;

	r->answer.estimated = true;
	return count_prompt(r, r->att.dep->model, SETTLE_EXACT_MAX);
}

void
forward_relay(struct request *r, bool stream, struct relay_opts *ret)
{
	struct front *f = r->f;

	memset(ret, 0, sizeof(*ret));
	ret->mode = r->plan.mode;
	ret->op = r->scan.op;
	ret->stream = stream;
	ret->array = stream && r->scan.op == OP_GENERATE && !r->target.s.sse;
	ret->n_choices = r->scan.n;
	ret->from = r->plan.from;
	ret->to = r->plan.to;
	ret->answer.model = str_make(r->scan.model, r->scan.model_len);
	ret->answer.id = str_of(r->id_text);
	ret->answer.created_s = f->loop.wall / NS_PER_S;
	ret->answer.stream = stream;
	ret->answer.include_usage = r->scan.include_usage;
	ret->answer.show_thinking = r->ir == NULL || r->ir->show_thinking;
	ret->answer.json_array = ret->array;
	ret->answer.request = r->ir;
	if (r->plan.mode == RELAY_EMBED) {
		ret->embed = r->embed;
		ret->embed.told = r->att.head.told_input;
		ret->embed.estimate = forward_estimate;
		ret->embed.ctx = r;
	}
	if (r->keeps_id && r->plan.mode != RELAY_TRANSLATE) {
		ret->own_id = stored_seal_answer;
		ret->own_ctx = r;
		if (r->stored_len > 0) {
			ret->other_id =
			    str_make(r->stored + 1, r->stored_len - 1);
			ret->other_own = str_of(r->stored_own);
		}
	}
	ret->out = &r->out;
	ret->held = &r->held;
	ret->max_event = f->lim.max_event;
	ret->max_plain = f->lim.max_answer;
	ret->event_json = &f->json;
	ret->plain_json = &f->answer_json;
}

static void
forward_keep(struct request *r, const char *name, struct str value)
{
	if (value.len == 0 || value.len > 1024)
		return;
	(void)buf_addz(&r->fields, name);
	(void)buf_add_str(&r->fields, value);
	(void)buf_addz(&r->fields, "\r\n");
}

void
forward_keep_head(struct request *r)
{
	const struct head *h = &r->head;

	if (h->anthropic_version.len > 0 &&
	    str_copy(h->anthropic_version, r->version, sizeof(r->version)) != 0)
		r->version[0] = '\0';
	if (r->target.s.client == CLIENT_ANTHROPIC)
		forward_keep(r, "anthropic-beta: ", h->anthropic_beta);
	else if (r->target.s.client == CLIENT_OPENAI)
		forward_keep(r, "openai-beta: ", h->openai_beta);
	if (buf_error(&r->fields) != 0)
		buf_clear(&r->fields);
}
