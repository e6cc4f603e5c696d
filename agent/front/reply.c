/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building answer heads: status, framing, retry advice, rate limits.
 */
#include "agent/front/reply.h"

#include <string.h>

#include "agent/front/front.h"
#include "agent/front/http.h"

struct reply_text {
	char *p;
	size_t n, cap;
};

static inline void
reply_add(struct reply_text *t, const char *z, size_t len)
{
	MUST(len <= t->cap - t->n);
	memcpy(t->p + t->n, z, len);
	t->n += len;
}

#define REPLY_LIT(t, lit) reply_add((t), "" lit, sizeof(lit) - 1)

static inline void
reply_addz(struct reply_text *t, const char *z)
{
	reply_add(t, z, strlen(z));
}

static void
reply_add_i64(struct reply_text *t, int64_t v)
{
	static const char pairs[] = "0001020304050607080910111213141516171819"
				    "2021222324252627282930313233343536373839"
				    "4041424344454647484950515253545556575859"
				    "6061626364656667686970717273747576777879"
				    "8081828384858687888990919293949596979899";
	char digits[24];
	size_t i = sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	for (; u >= 100; u /= 100)
		memcpy(digits + (i -= 2), pairs + 2 * (u % 100), 2);
	if (u >= 10)
		memcpy(digits + (i -= 2), pairs + 2 * u, 2);
	else
		digits[--i] = (char)('0' + u);
	if (v < 0)
		digits[--i] = '-';
	reply_add(t, digits + i, sizeof(digits) - i);
}

/* Inlined, so that the lengths of literal names are known. */
static inline void
reply_field(struct reply_text *t, const char *name, const char *value)
{
	reply_addz(t, name);
	REPLY_LIT(t, ": ");
	reply_addz(t, value);
	REPLY_LIT(t, "\r\n");
}

static inline void
reply_number(struct reply_text *t, const char *name, int64_t value)
{
	reply_addz(t, name);
	REPLY_LIT(t, ": ");
	reply_add_i64(t, value);
	REPLY_LIT(t, "\r\n");
}

/* As Go prints durations, which OpenAI's headers use. */
static void
reply_duration(struct reply_text *t, const char *name, int64_t ms)
{
	int64_t s = (ms + 999) / 1000;

	reply_addz(t, name);
	REPLY_LIT(t, ": ");
	if (ms < 1000) {
		reply_add_i64(t, ms);
		REPLY_LIT(t, "ms\r\n");
		return;
	}
	if (s >= 60) {
		reply_add_i64(t, s / 60);
		REPLY_LIT(t, "m");
	}
	reply_add_i64(t, s % 60);
	REPLY_LIT(t, "s\r\n");
}

struct reply_quota {
	int64_t limit, left, reset_ms;
};

static void
reply_tighter(
    struct reply_quota *q, int64_t limit, int64_t left, int64_t reset_ms)
{
	if (limit <= 0 || (q->limit > 0 && q->left <= left))
		return;
	q->limit = limit;
	q->left = left;
	q->reset_ms = reset_ms;
}

static void
reply_openai_limits(struct reply_text *t, const struct reply_quota *req,
    const struct reply_quota *tok)
{
	if (req->limit > 0) {
		reply_number(t, "x-ratelimit-limit-requests", req->limit);
		reply_number(t, "x-ratelimit-remaining-requests", req->left);
		reply_duration(t, "x-ratelimit-reset-requests", req->reset_ms);
	}
	if (tok->limit > 0) {
		reply_number(t, "x-ratelimit-limit-tokens", tok->limit);
		reply_number(t, "x-ratelimit-remaining-tokens", tok->left);
		reply_duration(t, "x-ratelimit-reset-tokens", tok->reset_ms);
	}
}

static void
reply_anthropic_quota(struct reply_text *t, const char *what,
    const struct reply_quota *q, int64_t wall)
{
	char at[40];

	if (q->limit <= 0)
		return;
	time_format(wall + q->reset_ms * NS_PER_MS, 0, at);
	reply_addz(t, what);
	reply_number(t, "-limit", q->limit);
	reply_addz(t, what);
	reply_number(t, "-remaining", q->left);
	reply_addz(t, what);
	reply_field(t, "-reset", at);
}

/* The fields of the IETF's draft. */
static void
reply_draft_limits(struct reply_text *t, const struct reply_quota *req,
    const struct reply_quota *tok)
{
	if (req->limit <= 0 && tok->limit <= 0)
		return;
	REPLY_LIT(t, "ratelimit-policy: ");
	if (req->limit > 0) {
		REPLY_LIT(t, "\"rpm\";q=");
		reply_add_i64(t, req->limit);
		REPLY_LIT(t, ";w=60");
	}
	if (tok->limit > 0) {
		if (req->limit > 0)
			REPLY_LIT(t, ", ");
		REPLY_LIT(t, "\"tpm\";q=");
		reply_add_i64(t, tok->limit);
		REPLY_LIT(t, ";w=60;qu=\"tokens\"");
	}
	REPLY_LIT(t, "\r\nratelimit: ");
	if (req->limit > 0) {
		REPLY_LIT(t, "\"rpm\";r=");
		reply_add_i64(t, req->left);
		REPLY_LIT(t, ";t=");
		reply_add_i64(t, (req->reset_ms + 999) / 1000);
	}
	if (tok->limit > 0) {
		if (req->limit > 0)
			REPLY_LIT(t, ", ");
		REPLY_LIT(t, "\"tpm\";r=");
		reply_add_i64(t, tok->left);
		REPLY_LIT(t, ";t=");
		reply_add_i64(t, (tok->reset_ms + 999) / 1000);
	}
	REPLY_LIT(t, "\r\n");
}

/* The tightest of the key's limits, in the words of the client's dialect. */
static void
reply_limits(struct reply_text *t, const struct request *r)
{
	struct reply_quota req = {0}, tok = {0};
	int64_t rl, tl, rr, tr, wall = r->f->loop.wall;
	unsigned i;

	for (i = 0; r->key != NULL && i < r->key->n_limits; i++) {
		struct limit_cell *c = r->key->limits[i];

		limit_remaining(c, r->f->loop.mono, &rl, &tl, &rr, &tr);
		reply_tighter(&req,
		    atomic_load_explicit(&c->rpm, memory_order_relaxed), rl,
		    rr);
		reply_tighter(&tok,
		    atomic_load_explicit(&c->tpm, memory_order_relaxed), tl,
		    tr);
	}
	switch (r->target.s.client) {
	case CLIENT_OPENAI:
		reply_openai_limits(t, &req, &tok);
		break;
	case CLIENT_ANTHROPIC:
		reply_anthropic_quota(
		    t, "anthropic-ratelimit-requests", &req, wall);
		reply_anthropic_quota(
		    t, "anthropic-ratelimit-tokens", &tok, wall);
		break;
	case CLIENT_GEMINI:
		break;
	}
	reply_draft_limits(t, &req, &tok);
}

/* Names of fields are the client's own bytes: only harmless ones go out. */
static void
reply_dropped(struct reply_text *t, const struct carry_lost *lost)
{
	const char *p;

	if (lost->n == 0)
		return;
	REPLY_LIT(t, "x-headgate-dropped: ");
	for (p = lost->text; *p != '\0'; p++)
		reply_add(t, *p >= ' ' && *p < 0x7f ? p : "?", 1);
	REPLY_LIT(t, "\r\n");
}

static void
reply_type(struct reply_text *t, const struct request *r)
{
	const char *type = r->att.head.content_type;

	if (r->stream_started && r->relay.o.mode == RELAY_RAW)
		reply_field(t, "content-type",
		    type[0] != '\0' ? type : "application/octet-stream");
	else if (r->stream_started && r->relay.o.array)
		REPLY_LIT(t, "content-type: application/json\r\n");
	else if (r->stream_started)
		REPLY_LIT(t, "content-type: text/event-stream; charset=utf-8"
			     "\r\ncache-control: no-cache\r\n");
	else if (!r->answer.is_json && type[0] != '\0')
		reply_field(t, "content-type", type);
	else
		REPLY_LIT(t, "content-type: application/json\r\n");
}

static void
reply_advice(struct reply_text *t, const struct answer *a)
{
	if (a->retry_ms >= 0)
		reply_number(t, "retry-after-ms", a->retry_ms);
	if (a->retry_after[0] != '\0')
		reply_field(t, "retry-after", a->retry_after);
	else if (a->retry_ms >= 0)
		reply_number(t, "retry-after", (a->retry_ms + 999) / 1000);
	if (a->should_retry >= 0)
		reply_field(t, "x-should-retry",
		    a->should_retry != 0 ? "true" : "false");
}

static void
reply_framing(struct reply_text *t, const struct reply_form *f)
{
	if (f->chunked)
		REPLY_LIT(t, "transfer-encoding: chunked\r\n");
	else if (f->length >= 0)
		reply_number(t, "content-length", f->length);
	if (!f->keep)
		REPLY_LIT(t, "connection: close\r\n");
}

size_t
reply_head(
    const struct request *r, const struct reply_form *f, char *dst, size_t cap)
{
	struct reply_text t = {dst, 0, cap};
	const struct answer *a = &r->answer;

	REPLY_LIT(&t, "HTTP/1.1 ");
	reply_add_i64(&t, a->status);
	REPLY_LIT(&t, " ");
	reply_addz(&t, http_reason(a->status));
	REPLY_LIT(&t, "\r\n");
	reply_field(&t, "date", f->date);
	reply_type(&t, r);
	reply_framing(&t, f);
	reply_field(&t, "x-request-id", r->id_text);
	if (r->target.s.client == CLIENT_ANTHROPIC)
		reply_field(&t, "request-id", r->id_text);
	if (a->estimated)
		REPLY_LIT(&t, "x-headgate-estimated: true\r\n");
	if (a->status < 300)
		reply_dropped(&t, &r->lost);
	if (a->status < 300 && r->shrunk > 0) {
		reply_number(&t, "x-headgate-max-output-tokens", r->shrunk);
		REPLY_LIT(&t, "x-headgate-max-output-reason: budget\r\n");
	}
	if (a->cost >= 0)
		reply_number(&t, "x-headgate-cost-nanousd", a->cost);
	if (a->processing_ms[0] != '\0')
		reply_field(&t, "openai-processing-ms", a->processing_ms);
	if (a->status == 401)
		reply_field(&t, "www-authenticate", "Bearer");
	if (a->status == 405)
		reply_field(&t, "allow", surface_allow(&r->target.s));
	reply_advice(&t, a);
	reply_limits(&t, r);
	REPLY_LIT(&t, "\r\n");
	return t.n;
}
