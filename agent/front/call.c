/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider's side of a request: the call, its answer, failover, and the
 * relaying of streams. Until the client got its first byte a failure may be
 * answered by another deployment; afterwards it becomes an error event in the
 * stream and an unclean end.
 */
#include <stdio.h>
#include <string.h>

#include "agent/front/call.h"
#include "agent/front/forward.h"
#include "agent/front/lower.h"
#include "agent/front/places.h"
#include "agent/front/waiting.h"

#define CALL_MAX_ERROR	262144	 /* bytes of a provider's error body */
#define CALL_LINGER	NS_PER_S /* for the end of a finished stream */
#define CALL_TOKEN_POLL (20 * NS_PER_MS)

static void call_begin(struct request *r);
static void call_on_head(void *ctx, const struct up_head *h);
static void call_on_data(void *ctx, const char *p, size_t n);
static void call_on_done(void *ctx, const struct up_result *res);

static const struct up_events call_events = {
    call_on_head, call_on_data, call_on_done};

static void call_failed(struct request *r, const struct up_result *res);

static void
call_try_again(struct timer *t, int64_t now)
{
	struct request *r =
	    (struct request *)(void *)((char *)t -
				       offsetof(struct request, timer));

	(void)now;
	call_begin(r);
}

/* It never came to a call. */
static void
call_not_begun(struct request *r, int rc, const char *text)
{
	struct up_result res;

	r->att.call = NULL;
	memset(&res, 0, sizeof(res));
	res.error = rc == ERR_NOMEM ? ERR_OVERLOADED : rc;
	(void)snprintf(res.text, sizeof(res.text), "%s",
	    text[0] != '\0' ? text : err_text(rc));
	call_failed(r, &res);
}

/* Address and authorise the call; a token that is being fetched is waited for
 * as long as a connection would be. */
static void
call_begin(struct request *r)
{
	struct front *f = r->f;
	struct up_request rq;
	struct error e = {0};
	int64_t wait = (int64_t)r->att.dep->connect_timeout_ms * NS_PER_MS;
	int rc = forward_call(r, &rq, &e);

	if (rc == ERR_AGAIN && f->loop.mono - r->att.started < wait) {
		timer_set(&f->loop.timers, &r->timer,
		    f->loop.mono + CALL_TOKEN_POLL, call_try_again);
		return;
	}
	if (rc != 0) {
		call_not_begun(r,
		    rc == ERR_AGAIN ? ERR_UPSTREAM_TIMEOUT : ERR_UPSTREAM,
		    e.text);
		return;
	}
	r->att.state = ATT_CALLED;
	rc = up_start(f->up, &rq, &call_events, r, &r->att.call);
	if (rc != 0)
		call_not_begun(r, rc, "");
}

void
call_start(struct request *r)
{
	request_move(r, REQ_CALL);
	r->att.started = r->f->loop.mono;
	r->n_calls++;
	buf_clear(&r->out);
	buf_clear(&r->held);
	if (r->att.number > 1)
		relay_clear(&r->relay);
	call_begin(r);
}

/* Begin to relay what follows. */
static void
call_relay(struct request *r, bool stream)
{
	struct relay_opts o;

	forward_relay(r, stream, &o);
	r->att.streamed = stream;
	r->relay_error = relay_begin(&r->relay, &o);
	if (stream || r->plan.mode == RELAY_TRANSLATE)
		count_init(r->f, r->att.dep->model, SETTLE_EXACT_MAX,
		    &r->relay.chat.count);
}

static bool
call_is_stream(const struct up_head *h)
{
	return h->event_stream || h->amz_stream || h->ndjson;
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
	if (h->status >= 200 && h->status < 300 && !h->encoded)
		call_relay(r, r->plan.mode == RELAY_RAW ||
				  (r->scan.stream && call_is_stream(h)));
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

	if (r->gone ||
	    atomic_load_explicit(&f->agent->draining, memory_order_relaxed) > 1)
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
call_drop(struct request *r)
{
	if (r->att.call != NULL)
		up_cancel(r->att.call);
	r->att.call = NULL;
}

static void
call_finish(struct request *r)
{
	drain_end(r);
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

static void
call_refused(struct request *r, const struct up_result *res)
{
	struct dialect_error de;
	bool again;

	call_error_read(r, &de);
	again = call_error_may_repeat(&de);
	if (again && de.kind != ERROR_NOT_FOUND && r->att.head.status != 408)
		(void)route_failed(
		    r->f->health, r->att.dep->uid, r->f->loop.mono);
	else
		call_worked(r);
	r->att.billed = de.billed;
	call_error_answer(r, &de);
	settle_attempt(r, res, false);
	if (!again || !call_fail_over(r, NULL))
		call_finish(r);
}

/* A 2xx answer that is nothing but an error (Bedrock, streams): the client got
 * nothing yet. */
static void
call_refused_inside(struct request *r, const struct up_result *res)
{
	struct dialect_error de;
	bool again;

	call_drop(r);
	errors_of_event(str_of(r->relay.error_type), r->relay.error_status,
	    str_of(r->relay.error_text), &de);
	r->att.refused = true;
	r->att.billed = de.kind == ERROR_SERVER || de.kind == ERROR_TIMEOUT;
	again = call_error_may_repeat(&de);
	if (again)
		(void)route_failed(
		    r->f->health, r->att.dep->uid, r->f->loop.mono);
	buf_clear(&r->out);
	buf_clear(&r->held);
	call_error_answer(r, &de);
	settle_attempt(r, res, false);
	if (!again || !call_fail_over(r, NULL))
		call_finish(r);
}

/* The answer is no answer. */
static void
call_unreadable(struct request *r, const struct up_result *res)
{
	struct up_result bad = *res;

	if (r->relay.error && r->relay.n_sent == 0 &&
	    r->plan.mode != RELAY_CHAT) {
		call_refused_inside(r, res);
		return;
	}
	call_drop(r);
	r->relay.text_bytes = r->relay.chat.sum.text_bytes =
	    (int64_t)r->out.len;
	bad.error = ERR_UPSTREAM;
	(void)snprintf(
	    bad.text, sizeof(bad.text), "%s", "its answer cannot be read");
	call_failed(r, &bad);
}

/* A whole answer of status 2xx. */
static void
call_plain_done(struct request *r, const struct up_result *res)
{
	if (r->att.head.encoded || r->relay_error != 0 ||
	    relay_finish(&r->relay) != 0) {
		call_unreadable(r, res);
		return;
	}
	call_worked(r);
	settle_attempt(r, res, true);
	call_clear_failure(r);
	r->answer.status = r->att.head.status;
	r->answer.is_json = !op_is_multipart(r->scan.op);
	r->answer.cost = r->cost;
	memcpy(r->answer.processing_ms, r->att.head.processing_ms,
	    sizeof(r->answer.processing_ms));
	call_finish(r);
}

/* ---- streams ---- */

/* The first bytes for the client: no other provider can answer now. */
static void
call_stream_begins(struct request *r)
{
	r->stream_started = true;
	call_clear_failure(r);
	r->answer.status = 200;
}

/* The stream came to its proper end. */
static void
call_stream_end(struct request *r, const struct up_result *res)
{
	if (!r->stream_started)
		call_stream_begins(r);
	if (r->paused && r->att.call != NULL) {
		r->paused = false; /* its last bytes may come */
		up_pause(r->att.call, false);
	}
	call_worked(r);
	if (r->relay.finish[0] == '\0' && r->relay.error)
		r->error = ERR_UPSTREAM;
	settle_attempt(
	    r, res, !r->relay.error || relay_usage(&r->relay)->known);
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
	if (!r->relay.error)
		refuse_in_stream(r, code, text);
	else
		r->error = code;
	r->stream_abort = true;
	call_finish(r);
}

/* It broke by what came, not by its transport. */
static void
call_stream_bad(struct request *r, const char *text)
{
	struct up_result res;

	memset(&res, 0, sizeof(res));
	res.error = ERR_UPSTREAM;
	res.connected = res.sent_all = res.got_any = true;
	(void)snprintf(res.text, sizeof(res.text), "%s", text);
	call_drop(r);
	if (r->relay.error && !r->stream_started && r->plan.mode != RELAY_CHAT)
		call_refused_inside(r, &res);
	else
		call_stream_broke(r, &res);
}

static void
call_stream_data(struct request *r, const char *p, size_t n)
{
	uint64_t before = r->relay.n_events;
	int rc = r->relay_error;

	if (rc == 0)
		rc = relay_feed(&r->relay, p, n);
	r->f->events += r->relay.n_events - before;
	if (r->out.len > r->out_pos && !r->stream_started && !r->gone) {
		call_stream_begins(r);
		request_move(r, REQ_RELAY);
	}
	if (rc == 0)
		lower_look(r);
	if (rc == 1) {
		call_stream_end(r, NULL);
		return;
	}
	if (rc != 0) {
		call_stream_bad(r, rc == ERR_TOO_LARGE ? "an event is too large"
						       : "it cannot be read");
		return;
	}
	if (r->gone) {
		drain_more(r);
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
	int rc = res->error != 0 ? ERR_UPSTREAM : r->relay_error;

	if (rc == 0)
		rc = relay_finish(&r->relay);
	if (rc == 0) {
		call_stream_end(r, res);
		return;
	}
	if (bad.error == 0) {
		bad.error = ERR_UPSTREAM;
		(void)snprintf(bad.text, sizeof(bad.text), "%s",
		    r->relay.error ? "the provider reported an error"
				   : "it ended early");
		if (r->relay.error && !r->stream_started &&
		    r->plan.mode != RELAY_CHAT) {
			call_refused_inside(r, &bad);
			return;
		}
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
	if (r->relay.begun) {
		if (r->relay_error == 0)
			r->relay_error = relay_feed(&r->relay, p, n);
	} else if (status >= 200 && status < 300)
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

void
call_abandon(struct request *r)
{
	timer_cancel(&r->f->loop.timers, &r->timer);
	call_drop(r);
	settle_attempt(r, NULL, false);
	call_finish(r);
}

void
call_client_gone(struct request *r)
{
	if (r->gone)
		return;
	switch (r->state) {
	case REQ_WAIT:
		r->gone = true;
		waiting_leave(r);
		places_give(r);
		request_move(r, REQ_END);
		meter_count(&r->f->meter, AM_DISCONNECTS, "waiting");
		server_resume(r);
		break;
	case REQ_QUEUE:
		r->gone = true;
		places_leave(r);
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
		if (!drain_begin(r))
			call_abandon(r);
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
