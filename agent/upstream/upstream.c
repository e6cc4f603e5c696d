/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the engine of a call, and what the engines have in common.
 */
#include "agent/upstream/upstream.h"

#include <stdlib.h>

#include "agent/upstream/engine.h"
#include "agent/upstream/token.h"

struct upstream {
	struct h1 *h1;
	struct upcurl *curl;
};

struct upstream *
upstream_new(struct loop *l, const struct up_limits *lim, struct error *e)
{
	struct upstream *u = calloc(1, sizeof(*u));

	token_set_ca_file(lim->ca_file);
	if (u != NULL) {
		u->h1 = h1_new(l, lim);
		u->curl = upcurl_new(l, lim);
	}
	if (u == NULL || u->h1 == NULL || u->curl == NULL) {
		upstream_free(u);
		(void)err_set(e, ERR_NOMEM, "upstream: out of memory");
		return NULL;
	}
	return u;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	token_stop(); /* another worker that needs it starts it again */
	h1_free(u->h1);
	upcurl_free(u->curl);
	free(u);
}

int
up_start(struct upstream *u, const struct up_request *rq,
    const struct up_events *ev, void *ctx, struct up_call **ret)
{
	if (h1_can(rq->provider))
		return h1_start(u->h1, rq, ev, ctx, ret);
	return upcurl_start(u->curl, rq, ev, ctx, ret);
}

void
up_cancel(struct up_call *c)
{
	c->ops->cancel(c);
}

void
up_body_ready(struct up_call *c)
{
	c->ops->body_ready(c);
}

void
up_pause(struct up_call *c, bool paused)
{
	c->ops->pause(c, paused);
}

bool
upstream_turn(struct upstream *u)
{
	bool more = h1_turn(u->h1);

	return upcurl_turn(u->curl) || more;
}

uint64_t
upstream_connects(const struct upstream *u)
{
	return h1_connects(u->h1) + upcurl_connects(u->curl);
}

unsigned
upstream_in_flight(const struct upstream *u)
{
	return h1_in_flight(u->h1) + upcurl_in_flight(u->curl);
}

/* Printable ASCII only: these texts go into our own heads and records. */
static void
up_copy(char *dst, size_t cap, struct str value)
{
	size_t i, n = value.len < cap - 1 ? value.len : cap - 1;

	for (i = 0; i < n; i++)
		dst[i] =
		    value.p[i] >= ' ' && value.p[i] < 0x7f ? value.p[i] : '?';
	dst[n] = '\0';
}

static void
up_content_type(struct up_head *h, struct str value)
{
	struct str type, rest;

	(void)str_cut(value, ';', &type, &rest);
	type = str_trim(type);
	h->event_stream = str_ieq(type, STR("text/event-stream"));
	h->amz_stream =
	    str_ieq(type, STR("application/vnd.amazon.eventstream"));
	h->ndjson = str_ieq(type, STR("application/x-ndjson")) ||
		    str_ieq(type, STR("application/ndjson")) ||
		    str_ieq(type, STR("application/jsonl"));
	up_copy(h->content_type, sizeof(h->content_type), value);
}

#define UP_MAX_TOLD 100000000 /* tokens; more is not believed */

/* "ThrottlingException:http://internal.amazon.com/..." */
static void
up_errortype(struct up_head *h, struct str value)
{
	struct str name, rest;

	(void)str_cut(value, ':', &name, &rest);
	up_copy(h->amzn_errortype, sizeof(h->amzn_errortype), str_trim(name));
}

void
up_head_field(struct up_head *h, struct str name, struct str value)
{
	int64_t n;

	switch (name.len) {
	case 10:
		if (str_ieq(name, STR("request-id")) &&
		    h->request_id[0] == '\0')
			up_copy(h->request_id, sizeof(h->request_id), value);
		break;
	case 11:
		if (str_ieq(name, STR("retry-after")))
			up_copy(h->retry_after, sizeof(h->retry_after), value);
		break;
	case 12:
		if (str_ieq(name, STR("content-type")))
			up_content_type(h, value);
		else if (str_ieq(name, STR("x-request-id")))
			up_copy(h->request_id, sizeof(h->request_id), value);
		break;
	case 14:
		if (str_ieq(name, STR("retry-after-ms")))
			up_copy(h->retry_after_ms, sizeof(h->retry_after_ms),
			    value);
		else if (str_ieq(name, STR("x-should-retry")))
			up_copy(
			    h->should_retry, sizeof(h->should_retry), value);
		break;
	case 16:
		if (str_ieq(name, STR("content-encoding")))
			h->encoded = !str_ieq(value, STR("identity"));
		else if (str_ieq(name, STR("x-amzn-errortype")))
			up_errortype(h, value);
		else if (str_ieq(name, STR("x-amzn-requestid")) &&
			 h->request_id[0] == '\0')
			up_copy(h->request_id, sizeof(h->request_id), value);
		break;
	case 20:
		if (str_ieq(name, STR("openai-processing-ms")))
			up_copy(
			    h->processing_ms, sizeof(h->processing_ms), value);
		break;
	case 32:
		if (str_ieq(name, STR("x-amzn-bedrock-input-token-count")) &&
		    str_to_i64(value, &n) == 0 && n >= 0 && n < UP_MAX_TOLD)
			h->told_input = n + 1;
		break;
	default:
		break;
	}
}
