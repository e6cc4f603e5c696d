/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider's side of a request: the call, its answer, failover, and the
 * relaying of streams. Until the client got its first byte a failure may be
 * answered by another deployment; afterwards it becomes an error event in the
 * stream and an unclean end.
 */
#include <stdio.h>
#include <string.h>

#include "agent/front/front.h"
#include "common/version.h"

#define CALL_MAX_ERROR 262144	/* bytes of a provider's error body */
#define CALL_LINGER    NS_PER_S /* for the end of a finished stream */

static void call_on_head(void *ctx, const struct up_head *h);
static void call_on_data(void *ctx, const char *p, size_t n);
static void call_on_done(void *ctx, const struct up_result *res);

static const struct up_events call_events = {
    call_on_head, call_on_data, call_on_done};

/* The header lines that go upstream. Nothing of the client's head does. */
static struct str
call_write_head(struct request *r)
{
	size_t n, cap = sizeof(r->up_head);
	int k;

	k = snprintf(r->up_head, cap,
	    "Content-Type: application/json\r\nAccept: %s\r\n"
	    "User-Agent: headgate/%s\r\nx-request-id: %s\r\n"
	    "x-headgate-attempt: %u\r\nx-headgate-hops: %u\r\n",
	    r->scan.stream ? "text/event-stream" : "application/json",
	    HEADGATE_VERSION, r->id_text, r->att.number,
	    (unsigned)r->head.hops + 1);
	n = (size_t)k;
	MUST(k > 0 && n < cap);
	k = snprintf(r->up_head + n, cap - n, "%s", r->sim);
	MUST(k >= 0 && (size_t)k < cap - n);
	return str_make(r->up_head, n + (size_t)k);
}

/* "model-name" with quotes, in r->model_json. */
static struct str
call_write_model(struct request *r)
{
	struct str name = r->att.dep->upstream_model;
	struct buf b;
	size_t n;

	if (name.len == 0)
		return r->scan.model_span;
	buf_init(&b, sizeof(r->model_json));
	(void)buf_add_json(&b, name);
	n = b.len;
	if (buf_error(&b) == 0)
		memcpy(r->model_json, b.data, n);
	else
		n = 0;
	buf_release(&b);
	return n > 0 ? str_make(r->model_json, n) : r->scan.model_span;
}

/* As for the SDKs, a base URL ends in "/v1"; one without a path means that. */
static struct str
call_path(const struct b_provider *p, enum op ep)
{
	if (p->path_prefix.len > 0)
		return ep == OP_CHAT ? STR("/chat/completions")
				      : STR("/embeddings");
	return ep == OP_CHAT ? STR("/v1/chat/completions")
			      : STR("/v1/embeddings");
}

static void call_failed(struct request *r, const struct up_result *res);

void
call_start(struct request *r)
{
	const struct b_deployment *d = r->att.dep;
	struct up_request rq;
	struct up_result res;
	int rc;

	memset(&rq, 0, sizeof(rq));
	request_move(r, REQ_CALL);
	r->att.state = ATT_CALLED;
	r->att.started = r->f->loop.mono;
	r->n_calls++;
	buf_clear(&r->out);
	buf_clear(&r->held);
	oai_stream_begin(&r->stream, r->scan.include_usage);
	if (r->scan.stream)
		settle_counter(r, &r->stream.count);
	rq.provider = d->provider;
	rq.path = call_path(d->provider, r->scan.op);
	rq.headers = call_write_head(r);
	rq.n_parts = oai_request_rewrite(&r->scan, buf_str(&r->body),
	    call_write_model(r), !d->no_stream_options, rq.parts);
	rq.connect_timeout_ms = d->connect_timeout_ms;
	rq.first_byte_timeout_ms = d->first_byte_timeout_ms;
	rq.idle_timeout_ms = d->idle_timeout_ms;
	rq.fresh = r->att.retry;
	rc = up_start(r->f->up, &rq, &call_events, r, &r->att.call);
	if (rc == 0)
		return;
	r->att.call = NULL;
	memset(&res, 0, sizeof(res));
	res.error = rc == ERR_NOMEM ? ERR_OVERLOADED : rc;
	(void)snprintf(res.text, sizeof(res.text), "%s", err_text(rc));
	call_failed(r, &res);
}

static void
call_on_head(void *ctx, const struct up_head *h)
{
	struct request *r = ctx;
	struct attempt *att = &r->att;

	if (att->state != ATT_CALLED)
		return;
	att->head = *h;
	att->have_head = true;
	att->first_byte = r->f->loop.mono;
	if (h->status >= 200 && h->status < 300 && h->event_stream &&
	    r->scan.stream && !h->encoded) {
		att->streamed = true;
		sse_clear(&r->sse);
	}
}

static void
call_pause(struct request *r)
{
	if (!r->paused && r->att.call != NULL &&
	    r->out.len - r->out_pos > r->f->lim.stream_buffer) {
		r->paused = true;
		up_pause(r->att.call, true);
		metric_inc(r->f->agent->metrics, AM_UP_PAUSES, 1);
	}
}

void
call_drained(struct request *r)
{
	if (r->paused && r->att.call != NULL &&
	    r->out.len - r->out_pos <= r->f->lim.stream_buffer / 2) {
		r->paused = false;
		up_pause(r->att.call, false);
	}
}

/* An earlier attempt failed, this one did not: forget what it prepared. */
static void
call_clear_failure(struct request *r)
{
	r->answer.retry_ms = r->answer.should_retry = -1;
	r->answer.retry_after[0] = '\0';
	r->error = 0;
	r->error_code[0] = r->reason[0] = '\0';
}

/* Nothing fails any more for this target as far as we can see. */
static void
call_worked(struct request *r)
{
	route_worked(r->f->health, r->att.dep->uid);
}

/* A target that could be tried next, or the same one on a fresh connection. */
static bool
call_fail_over(struct request *r, const struct up_result *res)
{
	struct front *f = r->f;
	bool keep = false;

	if (atomic_load_explicit(&f->agent->draining, memory_order_relaxed) > 1)
		return false;
	if (res != NULL && res->error == ERR_UPSTREAM && res->reused &&
	    !res->got_any && !r->retried_fresh) {
		/* A kept-alive connection that the provider had closed. */
		r->retried_fresh = keep = true;
	} else {
		r->tried |= UINT64_C(1) << r->att.target;
		if (route_pick(r->route, r->tried, f->health, &f->rng.rng,
			f->loop.mono, NULL, NULL) < 0)
			return false;
	}
	metric_inc(f->agent->metrics, AM_UP_RETRIES, 1);
	r->fallback = true;
	request_move(r, REQ_ADMIT);
	admit_attempt(r, keep);
	return true;
}

static void
call_finish(struct request *r)
{
	request_move(r, REQ_USAGE);
	front_want_finish(r);
}

/* The call failed and the client got nothing yet. */
static void
call_failed(struct request *r, const struct up_result *res)
{
	char text[160];
	int code =
	    res->error == ERR_UPSTREAM_TIMEOUT || res->error == ERR_OVERLOADED
		? res->error
		: ERR_UPSTREAM;

	if (!(res->reused && !res->got_any) &&
	    route_failed(r->f->health, r->att.dep->uid, r->f->loop.mono)) {
		struct str name = r->att.dep->name;

		metric_add(metric_series(
			       r->f->agent->metrics, AM_CIRCUIT_OPEN, &name, 1),
		    1);
	}
	settle_attempt(r, res, false);
	(void)snprintf(
	    text, sizeof(text), "the provider failed: %s", res->text);
	refuse_prepare(r, code, NULL, text, NULL);
	if (!call_fail_over(r, res))
		call_finish(r);
}

/* What the provider says about repeating, passed on. */
static void
call_pass_advice(struct request *r)
{
	const struct up_head *h = &r->att.head;
	struct answer *a = &r->answer;
	uint64_t ms;

	memcpy(a->retry_after, h->retry_after, sizeof(a->retry_after));
	if (str_to_u64(str_of(h->retry_after_ms), &ms) == 0 && ms < 86400000)
		a->retry_ms = (int64_t)ms;
	if (strcmp(h->should_retry, "true") == 0)
		a->should_retry = 1;
	else if (strcmp(h->should_retry, "false") == 0)
		a->should_retry = 0;
}

/* Does the provider's error text hold our credential, or its end behind
 * stars, as providers show keys? */
static bool
call_echoes_secret(const struct request *r)
{
	struct str auth = r->att.dep->provider->auth_header, name, value, tail;
	char end[6] = "*";

	if (!str_cut(auth, ':', &name, &value))
		return false;
	value = str_trim(value);
	if (str_cut(value, ' ', &name, &tail))
		value = str_trim(tail);
	if (value.len < 8 || r->out.len == 0)
		return false;
	memcpy(end + 1, value.p + value.len - 4, 4);
	return memmem(r->out.data, r->out.len, value.p, value.len) != NULL ||
	       memmem(r->out.data, r->out.len, end, 5) != NULL;
}

/* The provider answered with an error status: build the client's answer. */
static void
call_map_refusal(struct request *r)
{
	int status = r->att.head.status;
	char text[120], code[32];
	bool own =
	    status == 401 || status == 403 || status == 404 || status < 400;

	if (!own && oai_is_error(buf_str(&r->out), &r->f->json) &&
	    !call_echoes_secret(r)) {
		oai_error_code(buf_str(&r->out), code, sizeof(code));
		r->answer.status = status == 529 ? 503 : status;
		r->answer.is_json = true;
		r->error = ERR_UPSTREAM;
		memcpy(r->error_code, code, sizeof(code));
		(void)snprintf(r->reason, sizeof(r->reason),
		    "the provider answered %d", status);
		call_pass_advice(r);
		return;
	}
	(void)snprintf(
	    text, sizeof(text), "the provider answered with status %d", status);
	if (own)
		(void)snprintf(text, sizeof(text),
		    "the provider refused the gateway's request");
	refuse_prepare(r, ERR_UPSTREAM, NULL, text, NULL);
	if (!own)
		r->answer.status = status == 529 ? 503 : status;
	call_pass_advice(r);
}

static void
call_refused(struct request *r, const struct up_result *res)
{
	int status = r->att.head.status;
	bool again = status == 408 || status == 429 || status >= 500 ||
		     status == 401 || status == 403 || status == 404;

	if (again && status != 404 && status != 408) {
		if (route_failed(
			r->f->health, r->att.dep->uid, r->f->loop.mono))
			(void)0;
	} else {
		call_worked(r);
	}
	call_map_refusal(r);
	settle_attempt(r, res, false);
	if (!again || !call_fail_over(r, NULL))
		call_finish(r);
}

/* A whole answer of status 2xx. */
static void
call_plain_done(struct request *r, const struct up_result *res)
{
	struct up_result bad = *res;

	if (r->att.head.encoded || buf_error(&r->out) != 0 ||
	    oai_answer_scan(r->scan.op, buf_str(&r->out),
		&r->f->answer_json, &r->stream.sum) != 0) {
		r->stream.sum.text_bytes = (int64_t)r->out.len;
		bad.error = ERR_UPSTREAM;
		(void)snprintf(bad.text, sizeof(bad.text), "%s",
		    "its answer cannot be read");
		call_failed(r, &bad);
		return;
	}
	call_worked(r);
	settle_attempt(r, res, true);
	call_clear_failure(r);
	r->answer.status = r->att.head.status;
	r->answer.is_json = true;
	r->answer.cost = r->cost;
	memcpy(r->answer.processing_ms, r->att.head.processing_ms,
	    sizeof(r->answer.processing_ms));
	call_finish(r);
}

/* ---- streams ---- */

static int
call_on_event(void *ctx, const struct sse_event *ev)
{
	struct request *r = ctx;
	struct str parts[OAI_MAX_PARTS];
	unsigned i, n;
	struct buf *to;

	r->f->events++;
	n = oai_stream_event(&r->stream, ev, &r->f->json, parts);
	to = r->stream.ending ? &r->held : &r->out;
	for (i = 0; i < n; i++)
		(void)buf_add_str(to, parts[i]);
	if (n > 0 && to == &r->out && !r->stream_started) {
		r->stream_started = true;
		call_clear_failure(r);
		r->answer.status = 200;
		request_move(r, REQ_RELAY);
	}
	if (buf_error(to) != 0)
		return ERR_TOO_LARGE;
	return r->stream.done ? 1 : 0;
}

/* The stream came to its proper end. */
static void
call_stream_end(struct request *r, const struct up_result *res)
{
	if (!r->stream_started) {
		r->stream_started = true;
		call_clear_failure(r);
		r->answer.status = 200;
	}
	if (r->paused && r->att.call != NULL) {
		r->paused = false; /* its last bytes may come */
		up_pause(r->att.call, false);
	}
	call_worked(r);
	if (r->stream.sum.finish[0] == '\0' && r->stream.error)
		r->error = ERR_UPSTREAM;
	settle_attempt(r, res, !r->stream.error || r->stream.sum.has_usage);
	call_finish(r);
}

/* It broke. */
static void
call_stream_broke(struct request *r, const struct up_result *res)
{
	int code =
	    res->error == ERR_UPSTREAM_TIMEOUT ? res->error : ERR_UPSTREAM;
	char text[160];

	if (!r->stream_started) {
		call_failed(r, res);
		return;
	}
	(void)route_failed(r->f->health, r->att.dep->uid, r->f->loop.mono);
	settle_attempt(r, res, false);
	(void)snprintf(text, sizeof(text), "the stream broke: %s", res->text);
	if (!r->stream.error)
		refuse_in_stream(r, code, text);
	else
		r->error = code;
	r->stream_abort = true;
	call_finish(r);
}

static void
call_stream_data(struct request *r, const char *p, size_t n)
{
	struct up_result res;
	int rc = sse_feed(&r->sse, p, n, call_on_event, r);

	if (rc == 1) {
		call_stream_end(r, NULL);
		return;
	}
	if (rc != 0) {
		up_cancel(r->att.call);
		r->att.call = NULL;
		memset(&res, 0, sizeof(res));
		res.error = ERR_UPSTREAM;
		res.connected = res.sent_all = res.got_any = true;
		(void)snprintf(
		    res.text, sizeof(res.text), "an event is too large");
		call_stream_broke(r, &res);
		return;
	}
	call_pause(r);
	if (r->out.len > r->out_pos)
		server_resume(r);
}

static void
call_stream_done(struct request *r, const struct up_result *res)
{
	struct up_result bad = *res;
	int rc = 0;

	if (res->error == 0)
		rc = sse_finish(&r->sse, call_on_event, r);
	if (res->error == 0 && rc >= 0 &&
	    (r->stream.done || r->stream.finished || r->stream.sum.has_usage)) {
		call_stream_end(r, res);
		return;
	}
	if (bad.error == 0) {
		bad.error = ERR_UPSTREAM;
		(void)snprintf(bad.text, sizeof(bad.text), "%s",
		    r->stream.error ? "the provider reported an error"
				    : "it ended early");
	}
	call_stream_broke(r, &bad);
}

/* ---- events of the call ---- */

static void
call_on_data(void *ctx, const char *p, size_t n)
{
	struct request *r = ctx;
	int status = r->att.head.status;

	if (r->att.state != ATT_CALLED) /* after [DONE] */
		return;
	if (r->att.streamed) {
		call_stream_data(r, p, n);
		return;
	}
	if (status >= 200 && status < 300)
		(void)buf_add(&r->out, p, n);
	else if (r->out.len + n <= CALL_MAX_ERROR)
		(void)buf_add(&r->out, p, n);
}

static void
call_on_done(void *ctx, const struct up_result *res)
{
	struct request *r = ctx;
	int status = r->att.head.status;

	r->att.call = NULL;
	if (r->att.state != ATT_CALLED) { /* settled at [DONE] */
		request_try_end(r);
		return;
	}
	if (r->att.streamed)
		call_stream_done(r, res);
	else if (res->error != 0)
		call_failed(r, res);
	else if (status >= 200 && status < 300)
		call_plain_done(r, res);
	else
		call_refused(r, res);
}

/* ---- the end ---- */

void
call_release(struct request *r)
{
	if (r->gone) {
		request_move(r, REQ_END);
		server_resume(r);
		request_try_end(r);
		return;
	}
	if (r->stream_started) {
		(void)buf_add(&r->out, r->held.data, r->held.len);
		r->stream_end = true;
	}
	request_move(r, REQ_ANSWER);
	server_resume(r);
}

static void
call_drop(struct request *r)
{
	if (r->att.call != NULL)
		up_cancel(r->att.call);
	r->att.call = NULL;
}

void
call_client_gone(struct request *r)
{
	if (r->gone)
		return;
	switch (r->state) {
	case REQ_WAIT:
		r->gone = true;
		admit_unpark(r);
		if (r->att.place != NULL)
			limit_done(&r->att.place, 1, 0, r->f->loop.mono);
		r->att.place = NULL;
		request_move(r, REQ_END);
		meter_count(&r->f->meter, AM_DISCONNECTS, "waiting");
		server_resume(r);
		break;
	case REQ_INTENT:
	case REQ_CALL:
	case REQ_RELAY:
		r->gone = true;
		meter_count(&r->f->meter, AM_DISCONNECTS,
		    r->state == REQ_RELAY ? "relaying" : "calling");
		call_drop(r);
		settle_attempt(r, NULL, false);
		call_finish(r);
		break;
	case REQ_USAGE:
		r->gone = true;
		break;
	case REQ_HEAD:
	case REQ_BODY:
	case REQ_ADMIT:
	case REQ_ANSWER:
	case REQ_END:
	case REQ_N_STATES:
		break;
	}
}

static void
call_linger_over(struct timer *t, int64_t now)
{
	struct request *r =
	    (struct request *)(void *)((char *)t -
				       offsetof(struct request, timer));

	(void)now;
	call_drop(r);
	request_try_end(r);
}

void
request_try_end(struct request *r)
{
	if (r->state != REQ_END || r->conn != NULL)
		return;
	settle_request(r);
	if (r->att.call != NULL) {
		/* The stream is done, its last bytes on the connection are
		 * not: wait a little, so that it can be used again. */
		if (!timer_armed(&r->timer))
			timer_set(&r->f->loop.timers, &r->timer,
			    r->f->loop.mono + CALL_LINGER, call_linger_over);
		return;
	}
	request_free(r);
}
