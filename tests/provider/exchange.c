/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an answer goes: wait, headers, events, end; or one of the faults. What
 * is billed, and when, is decided here:
 *
 * - a plain answer is billed whole, before it is sent, also when its client
 *   has left meanwhile;
 * - a streamed one is billed before its last event leaves; when the client
 *   left or a fault cut it, for what was generated until then: the prompt,
 *   all reasoning, and the content events so far;
 * - an HTTP error, and a reset before any byte, is not billed.
 */
#include "tests/provider/conn.h"
#include "tests/provider/route.h"
#include "tests/provider/text.h"

#define EXCHANGE_BATCH 32 /* events a step when there is no gap */
#define EXCHANGE_HUGE  (16 * 1024 * 1024)

static int64_t
knob_or(int64_t knob, int64_t def)
{
	return knob >= 0 ? knob : def;
}

static int64_t
min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool
exchange_fault_is(const struct exchange *x, enum fault f)
{
	return x->k.fault == (int64_t)f;
}

static bool
exchange_billable(const struct exchange *x)
{
	switch (x->k.fault) {
	case FAULT_429:
	case FAULT_429_QUOTA:
	case FAULT_400:
	case FAULT_401:
	case FAULT_500:
	case FAULT_503:
	case FAULT_RESET_BEFORE:
	case FAULT_REDIRECT:
		return false;
	default:
		return true;
	}
}

static void
exchange_finish(struct conn *c)
{
	c->x.phase = X_IDLE;
	atomic_fetch_sub(&c->sim->n.active, 1);
}

/* Take the row down with `generated` completion tokens. */
static void
exchange_bill(struct conn *c, int64_t generated, bool disconnected)
{
	struct exchange *x = &c->x;
	int64_t reasoning = min_i64(generated, x->reasoning_tokens);

	x->row.tokens[SIM_INPUT] =
	    x->prompt_tokens - x->cached_tokens - x->cache_write_tokens;
	x->row.tokens[SIM_CACHE_READ] = x->cached_tokens;
	x->row.tokens[SIM_CACHE_WRITE] = x->cache_write_tokens;
	x->row.tokens[SIM_OUTPUT] = generated - reasoning;
	x->row.tokens[SIM_REASONING] = reasoning;
	/* a provider that says 0 charges 0 */
	if (exchange_fault_is(x, FAULT_ZERO_USAGE))
		memset(x->row.tokens, 0, sizeof(x->row.tokens));
	x->row.disconnected = disconnected;
	x->row.events = (uint32_t)(x->step > 0 ? x->step - 1 : 0);
	x->row.ended_at_ms = sim_wall_ms();
	x->row.status = 200;
	x->row.fault = (uint8_t)knob_or(x->k.fault, 0);
	bill_add(c->sim->bill, &x->row);
}

/* Completion tokens generated when the stream stands at its step. */
static int64_t
exchange_generated(const struct exchange *x)
{
	int64_t content = x->completion_tokens - x->reasoning_tokens;
	int64_t sent = x->step - 1;

	if (!x->stream || exchange_fault_is(x, FAULT_NOT_SSE))
		return x->completion_tokens;
	if (x->step == 0)
		return 0;
	if (x->n_events == 0)
		return x->completion_tokens;
	return x->reasoning_tokens + content * sent / x->n_events;
}

void
exchange_abort(struct conn *c, bool client_left)
{
	struct exchange *x = &c->x;

	if (x->phase == X_IDLE)
		return;
	if (client_left)
		atomic_fetch_add(&c->sim->n.disconnects, 1);
	if (exchange_billable(x))
		exchange_bill(c, exchange_generated(x), client_left);
	exchange_finish(c);
}

/* The answers that are nothing but an error. */
static void
exchange_error(struct conn *c)
{
	int64_t ms = knob_or(c->x.k.retry_after_ms, 1000);
	char retry[96];

	(void)snprintf(retry, sizeof(retry),
	    "retry-after-ms: %lld\r\nretry-after: %lld\r\n", (long long)ms,
	    (long long)((ms + 999) / 1000));
	switch (c->x.k.fault) {
	case FAULT_429:
		reply_error(c, 429, "requests", NULL, "rate_limit_exceeded",
		    retry,
		    "Rate limit reached for requests. Please try again "
		    "later.");
		break;
	case FAULT_429_QUOTA:
		reply_error(c, 429, "insufficient_quota", NULL,
		    "insufficient_quota", "",
		    "You exceeded your current quota, please check your plan "
		    "and billing details.");
		break;
	case FAULT_400:
		reply_error(c, 400, "invalid_request_error", "temperature",
		    "unsupported_value", "",
		    "Unsupported value: 'temperature' does not support 9.");
		break;
	case FAULT_401:
		reply_error(c, 401, "invalid_request_error", NULL,
		    "invalid_api_key", "",
		    "Incorrect API key provided: sk-***");
		break;
	case FAULT_503:
		reply_full(c, 503, "text/html", retry,
		    STR("<html>\r\n<head><title>503 Service Temporarily "
			"Unavailable</title></head>\r\n<body>\r\n<center><h1>"
			"503 Service Temporarily Unavailable</h1></center>\r\n"
			"<hr><center>cloudflare</center>\r\n</body>\r\n"
			"</html>\r\n"));
		break;
	case FAULT_REDIRECT:
		reply_full(c, 307, "text/plain",
		    "location: http://127.0.0.1:1/v1/chat/completions\r\n",
		    STR(""));
		break;
	default:
		reply_error(c, 500, "server_error", NULL, NULL, "",
		    "The server had an error while processing your request. "
		    "Sorry about that!");
		break;
	}
	exchange_finish(c);
}

/* A plain answer, whole. */
static void
exchange_plain(struct conn *c)
{
	struct exchange *x = &c->x;
	struct buf body;

	exchange_bill(c, x->completion_tokens, false);
	buf_init(&body, 512 * 1024 * 1024);
	if (x->kind == X_EMBED)
		embed_body(x, &body);
	else
		chat_plain_body(x, &body);
	if (exchange_fault_is(x, FAULT_BAD_JSON) && body.len > 20)
		body.len -= 20;
	if (exchange_fault_is(x, FAULT_CUT) ||
	    exchange_fault_is(x, FAULT_WRONG_LENGTH)) {
		reply_head(
		    c, 200, "application/json", "", (int64_t)body.len + 100);
		buf_add(&c->out, body.data,
		    exchange_fault_is(x, FAULT_CUT) ? body.len / 2 : body.len);
		c->close_after = true;
	} else {
		reply_full(c, 200, "application/json", "", buf_str(&body));
	}
	buf_release(&body);
	exchange_finish(c);
}

static void
exchange_begin(struct conn *c)
{
	struct exchange *x = &c->x;

	if (exchange_fault_is(x, FAULT_RESET_BEFORE)) {
		exchange_finish(c);
		conn_close(c, true);
		return;
	}
	if (!exchange_billable(x)) {
		exchange_error(c);
		return;
	}
	if (exchange_fault_is(x, FAULT_RESET_AFTER))
		c->reset_at = knob_or(x->k.after, 200);
	if (exchange_fault_is(x, FAULT_SLOW_DRIP)) {
		c->split = (size_t)knob_or(x->k.split, 7);
		c->drip_ns = knob_or(x->k.gap_ms, 2) * 1000000;
		x->k.gap_ms = 0;
	} else if (x->k.split > 0) {
		c->split = (size_t)x->k.split;
	}
	if (exchange_fault_is(x, FAULT_STALL) &&
	    (!x->stream || x->k.after < 0)) {
		x->phase = X_STALL;
		return;
	}
	if (!x->stream || exchange_fault_is(x, FAULT_NOT_SSE)) {
		exchange_plain(c);
		return;
	}
	x->phase = X_STREAM;
	exchange_step(c);
}

/* Put events ("data: ..\n\n") out as one chunk, line ends as configured. */
static void
exchange_chunk(struct conn *c, struct str events)
{
	static const char digits[] = "0123456789abcdef";
	char hex[20];
	size_t extra = 0, at = sizeof(hex), n;
	bool crlf = c->x.k.framing == FRAMING_CRLF;

	if (events.len == 0)
		return;
	for (size_t i = 0; crlf && i < events.len; i++)
		extra += events.p[i] == '\n';
	n = events.len + extra;
	for (size_t v = n; v > 0; v /= 16)
		hex[--at] = digits[v % 16];
	buf_add(&c->out, hex + at, sizeof(hex) - at);
	buf_add(&c->out, "\r\n", 2);
	if (c->x.k.framing <= FRAMING_LF) {
		buf_add(&c->out, events.p, events.len);
	} else {
		for (size_t i = 0; i < events.len; i++) {
			if (events.p[i] != '\n')
				buf_addc(&c->out, events.p[i]);
			else
				buf_add(&c->out, "\r\n", crlf ? 2 : 1);
		}
	}
	buf_add(&c->out, "\r\n", 2);
}

/* The stream's end: usage, [DONE], last chunk. */
static void
exchange_end_stream(struct conn *c)
{
	struct exchange *x = &c->x;
	struct buf ev;

	exchange_bill(c, x->completion_tokens, false);
	buf_init(&ev, 1024 * 1024);
	chat_finish_events(x, &ev);
	if (x->include_usage && !exchange_fault_is(x, FAULT_MISSING_USAGE)) {
		chat_usage_event(x, &ev);
		if (exchange_fault_is(x, FAULT_USAGE_TWICE))
			chat_usage_event(x, &ev);
	}
	if (!exchange_fault_is(x, FAULT_NO_DONE))
		buf_addz(&ev, "data: [DONE]\n\n");
	exchange_chunk(c, buf_str(&ev));
	buf_release(&ev);
	buf_addz(&c->out, "0\r\n\r\n");
	exchange_finish(c);
}

/* A fault that strikes before content event number `after` (or in the
 * middle). Returns true when the stream is over or silent. */
static bool
exchange_strike(struct conn *c, struct buf *ev)
{
	struct exchange *x = &c->x;

	if (x->step - 1 != knob_or(x->k.after, x->n_events / 2))
		return false;
	switch (x->k.fault) {
	case FAULT_CUT:
	case FAULT_WRONG_LENGTH:
		exchange_bill(c, exchange_generated(x), false);
		c->close_after = true;
		exchange_finish(c);
		return true;
	case FAULT_ERROR_EVENT:
		exchange_bill(c, exchange_generated(x), false);
		buf_addz(ev,
		    "data: {\"error\":{\"message\":\"The server had an error "
		    "while processing your request. Sorry about that!\","
		    "\"type\":\"server_error\",\"param\":null,\"code\":null}}"
		    "\n\n");
		exchange_chunk(c, buf_str(ev));
		buf_clear(ev);
		buf_addz(&c->out, "0\r\n\r\n");
		exchange_finish(c);
		return true;
	case FAULT_STALL:
		x->phase = X_STALL;
		return true;
	case FAULT_BAD_JSON:
		buf_addz(ev, "data: {\"id\":\"chatcmpl-broken\",\"choices\":"
			     "[{\"index\":0,\"delta\":{\"cont\n\n");
		return false;
	case FAULT_HUGE_FRAME:
		chat_huge_event(x, knob_or(x->k.huge_bytes, EXCHANGE_HUGE), ev);
		return false;
	default:
		return false;
	}
}

static void
exchange_stream_step(struct conn *c)
{
	struct exchange *x = &c->x;
	int64_t batch = x->k.gap_ms > 0 ? 1 : EXCHANGE_BATCH;
	struct buf ev;
	bool over = false;

	buf_init(&ev, 512 * 1024 * 1024);
	if (x->step == 0) {
		reply_head(c, 200, "text/event-stream; charset=utf-8",
		    "cache-control: no-cache\r\n", -1);
		chat_role_event(x, &ev);
		x->step = 1;
		batch--;
	}
	for (; batch > 0 && x->step <= x->n_events; batch--) {
		over = x->k.fault > 0 && exchange_strike(c, &ev);
		if (over)
			break;
		if (x->k.comments > 0 && x->step % x->k.comments == 0)
			buf_addz(&ev, ": keep-alive\n\n");
		chat_content_event(x, x->step - 1, &ev);
		if (x->k.gap_ms <= 0 || x->k.framing > 0 || ev.len > 4096) {
			exchange_chunk(c, buf_str(&ev));
			buf_clear(&ev);
		}
		x->step++;
		atomic_fetch_add_explicit(
		    &c->sim->n.events, 1, memory_order_relaxed);
	}
	exchange_chunk(c, buf_str(&ev));
	buf_release(&ev);
	if (over)
		return;
	if (x->step > x->n_events && batch > 0)
		exchange_end_stream(c);
	else if (x->k.gap_ms > 0)
		conn_schedule(c, conn_now_ns(c) + x->k.gap_ms * 1000000);
}

void
exchange_step(struct conn *c)
{
	if (c->x.phase == X_WAIT) {
		c->x.phase = X_IDLE;
		exchange_begin(c);
	} else if (c->x.phase == X_STREAM) {
		exchange_stream_step(c);
	}
}

/* How many tokens the model will say. */
static void
exchange_size(struct exchange *x, const struct sim_model *m,
    const struct scan *s, const struct knobs *k)
{
	int64_t cap = m->max_output_tokens;
	int64_t want = knob_or(k->tokens, 16 + (int64_t)(x->seed % 113));
	int64_t content;

	if (s->max_tokens >= 0)
		cap = min_i64(cap, s->max_tokens);
	x->capped = want > cap && k->ignore_cap <= 0;
	if (x->capped)
		want = cap;
	x->n_choices = s->n < 1 || s->n > 128 ? 1 : s->n;
	if (x->kind == X_EMBED)
		want = 0;
	x->completion_tokens = want * x->n_choices;
	x->reasoning_tokens =
	    min_i64(want, knob_or(k->reasoning_tokens, 0)) * x->n_choices;
	content = (x->completion_tokens - x->reasoning_tokens) / x->n_choices;
	x->tool_calls =
	    knob_or(k->tool_calls, s->has_tools && !s->has_tool_result ? 1 : 0);
	x->n_events = min_i64(knob_or(k->events, content), 1000000);
	if (x->n_events < x->tool_calls)
		x->n_events = x->tool_calls;
	if (content == 0 && x->tool_calls == 0)
		x->n_events = 0;
	x->n_events *= x->n_choices;
	x->prompt_tokens = knob_or(k->prompt_tokens, s->prompt_tokens);
	x->cached_tokens =
	    min_i64(x->prompt_tokens, knob_or(k->cached_tokens, 0));
	x->cache_write_tokens = min_i64(x->prompt_tokens - x->cached_tokens,
	    knob_or(k->cache_write_tokens, 0));
}

static void
exchange_identify(struct exchange *x, struct str request_id, uint32_t attempt,
    uint64_t unique)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz";
	uint64_t state = x->seed ^ unique;
	size_t n = 9;

	memcpy(x->id, "chatcmpl-", 9);
	while (n < 38)
		x->id[n++] = letters[text_next(&state) % 62];
	x->id[n] = '\0';
	if (request_id.len == 0 || str_copy(request_id, x->row.request_id,
				       sizeof(x->row.request_id)) != 0)
		memcpy(x->row.request_id, x->id, 39);
	x->row.attempt = attempt;
}

static void
exchange_pick_fault(struct exchange *x)
{
	struct str id = str_of(x->row.request_id);

	if (x->k.fault < 0)
		x->k.fault = FAULT_NONE;
	if (x->k.fault_percent >= 0 && (int64_t)(text_hash(id, x->row.attempt) %
						 100) >= x->k.fault_percent)
		x->k.fault = FAULT_NONE;
}

void
exchange_start(struct conn *c, enum x_kind kind, const struct sim_model *m,
    const struct scan *s, const struct knobs *k, struct str request_id,
    uint32_t attempt, uint64_t seed)
{
	struct exchange *x = &c->x;
	size_t name_len = s->tool_name.len < 64 ? s->tool_name.len : 64;

	memset(x, 0, sizeof(*x));
	x->kind = kind;
	x->k = *k;
	x->seed = k->seed >= 0 ? (uint64_t)k->seed : seed;
	x->row.model = m;
	x->stream = s->stream && kind == X_CHAT;
	x->row.streamed = x->stream;
	x->include_usage = s->include_usage;
	x->obfuscation = s->include_obfuscation;
	x->base64 = s->base64;
	x->n_inputs = s->n_inputs;
	x->dimensions = s->dimensions > 0 && s->dimensions <= m->dimensions
			    ? s->dimensions
			    : m->dimensions;
	if (name_len > 0)
		memcpy(x->tool_name, s->tool_name.p, name_len);
	else
		memcpy(x->tool_name, "lookup", 6);
	x->row.started_at_ms = sim_wall_ms();
	x->created = x->row.started_at_ms / 1000;
	exchange_size(x, m, s, k);
	exchange_identify(
	    x, request_id, attempt, (uint64_t)atomic_load(&c->sim->next_id));
	exchange_pick_fault(x);
	if (x->stream) {
		atomic_fetch_add(&c->sim->n.streams, 1);
		chat_prepare(x);
	}
	atomic_fetch_add(&c->sim->n.active, 1);
	if (x->k.fault > 0)
		atomic_fetch_add(&c->sim->n.faults, 1);
	if (x->k.ttft_ms > 0) {
		x->phase = X_WAIT;
		conn_schedule(c, conn_now_ns(c) + x->k.ttft_ms * 1000000);
	} else {
		exchange_begin(c);
	}
}
