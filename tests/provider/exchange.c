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
 * - an HTTP error, and a reset before any byte, is not billed; except a
 *   prompt that Azure's filter refuses.
 */
#include <jansson.h>

#include "tests/provider/conn.h"
#include "tests/provider/fault.h"
#include "tests/provider/frame.h"
#include "tests/provider/openai.h"
#include "tests/provider/route.h"
#include "tests/provider/text.h"

#define EXCHANGE_BATCH 32 /* events a step when there is no gap */

static int64_t
min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool
exchange_billable(const struct exchange *x)
{
	enum problem p;

	return !problem_of_fault(x->k.fault, &p) && x->k.fault != FAULT_503 &&
	       x->k.fault != FAULT_REDIRECT &&
	       x->k.fault != FAULT_RESET_BEFORE &&
	       x->k.fault != FAULT_NOT_HTTP && x->k.fault != FAULT_SSE_ERROR;
}

void
exchange_release(struct exchange *x)
{
	buf_release(&x->blob);
	json_decref(x->echo);
	x->echo = NULL;
}

void
exchange_finish(struct conn *c)
{
	c->x.phase = X_IDLE;
	exchange_release(&c->x);
	atomic_fetch_sub(&c->sim->n.active, 1);
}

static void
exchange_bill_tokens(struct exchange *x, int64_t generated)
{
	int64_t *t = x->row.tokens;
	int64_t left = generated;

	t[SIM_INPUT] = x->prompt_tokens - x->cached_tokens -
		       x->cache_write_tokens - x->cache_write_1h_tokens -
		       x->audio_in_tokens - x->image_in_tokens +
		       x->tool_use_tokens;
	t[SIM_CACHE_READ] = x->cached_tokens;
	t[SIM_CACHE_WRITE] = x->cache_write_tokens;
	t[SIM_CACHE_WRITE_1H] = x->cache_write_1h_tokens;
	t[SIM_AUDIO_IN] = x->audio_in_tokens;
	t[SIM_IMAGE_IN] = x->image_in_tokens;
	t[SIM_REASONING] = min_i64(left, x->reasoning_tokens);
	left -= t[SIM_REASONING];
	t[SIM_AUDIO_OUT] = min_i64(left, x->audio_out_tokens);
	left -= t[SIM_AUDIO_OUT];
	t[SIM_IMAGE_OUT] = min_i64(left, x->image_out_tokens);
	t[SIM_OUTPUT] = left - t[SIM_IMAGE_OUT];
	if (!x->tells_reasoning) {
		t[SIM_OUTPUT] += t[SIM_REASONING];
		t[SIM_REASONING] = 0;
	}
}

void
exchange_bill(struct conn *c, int64_t generated, bool disconnected, int status)
{
	struct exchange *x = &c->x;
	int64_t *t = x->row.tokens;

	memcpy(t, x->units, sizeof(x->units));
	if (!x->by_units)
		exchange_bill_tokens(x, generated);
	/* a provider that says 0 charges 0 */
	if (exchange_fault_is(x, FAULT_ZERO_USAGE) &&
	    (!x->by_units || t[SIM_SEARCH_UNITS] > 0))
		memset(t, 0, sizeof(x->row.tokens));
	x->row.disconnected = disconnected;
	x->row.events = (uint32_t)(x->step > 0 ? x->step - 1 : 0);
	x->row.ended_at_ms = sim_wall_ms();
	x->row.status = (uint16_t)status;
	x->row.fault = (uint8_t)knob_or(x->k.fault, 0);
	bill_add(c->sim->bill, &x->row);
	if (x->d->done != NULL && !disconnected && status == 200)
		x->d->done(c);
}

int64_t
exchange_generated(const struct exchange *x)
{
	int64_t content = x->completion_tokens - x->reasoning_tokens;
	int64_t thinking = x->plan.n_thinking * x->n_choices;
	int64_t sent = x->step - 1 - thinking;

	if (!x->stream || exchange_fault_is(x, FAULT_NOT_SSE) ||
	    exchange_fault_is(x, FAULT_BAD_GZIP) || x->final)
		return x->completion_tokens;
	if (x->step == 0)
		return 0;
	if (x->n_events <= thinking)
		return x->completion_tokens;
	if (sent < 0)
		sent = 0;
	return x->reasoning_tokens + content * sent / (x->n_events - thinking);
}

int
exchange_usage_times(const struct exchange *x)
{
	if (exchange_fault_is(x, FAULT_MISSING_USAGE))
		return 0;
	return exchange_fault_is(x, FAULT_USAGE_TWICE) ? 2 : 1;
}

bool
exchange_usage_runs(const struct exchange *x, int64_t at)
{
	if (exchange_fault_is(x, FAULT_MISSING_USAGE))
		return false;
	return x->k.usage == USAGE_RUNNING || x->continuous_usage ||
	       (x->k.usage == USAGE_SPARSE && at % 3 == 0);
}

struct usage
exchange_usage(const struct exchange *x)
{
	struct usage u = {.prompt = x->prompt_tokens,
	    .cached = x->cached_tokens,
	    .write_5m = x->cache_write_tokens,
	    .write_1h = x->cache_write_1h_tokens,
	    .audio_in = x->audio_in_tokens,
	    .image_in = x->image_in_tokens,
	    .completion = exchange_generated(x),
	    .rejected = x->rejected_tokens,
	    .web_search = x->units[SIM_WEB_SEARCH],
	    .tool_use = x->tool_use_tokens};

	u.reasoning = min_i64(u.completion, x->reasoning_tokens);
	u.audio_out = min_i64(u.completion - u.reasoning, x->audio_out_tokens);
	u.image_out = min_i64(
	    u.completion - u.reasoning - u.audio_out, x->image_out_tokens);
	if (exchange_fault_is(x, FAULT_ZERO_USAGE))
		memset(&u, 0, sizeof(u));
	return u;
}

enum finish
exchange_finish_reason(const struct exchange *x)
{
	if (x->k.safety == 2)
		return FINISH_FILTER;
	if (x->k.refusal > 0)
		return FINISH_REFUSAL;
	if (x->plan.n_calls > 0)
		return FINISH_CALLS;
	if (x->capped)
		return FINISH_LENGTH;
	return x->stop[0] != '\0' ? FINISH_SEQUENCE : FINISH_STOP;
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
		exchange_bill(c, exchange_generated(x), client_left, 200);
	exchange_finish(c);
}

/* The answers that are nothing but an error. */
static void
exchange_error(struct conn *c)
{
	struct exchange *x = &c->x;
	struct buf ev;
	enum problem p;

	if (problem_of_fault(x->k.fault, &p)) {
		problem_reply(c, p, NULL, NULL);
	} else if (exchange_fault_is(x, FAULT_503)) {
		problem_reply_html(c);
	} else if (exchange_fault_is(x, FAULT_REDIRECT)) {
		reply_full(c, 307, "text/plain",
		    "location: http://127.0.0.1:1/v1/chat/completions\r\n",
		    STR(""));
	} else if (exchange_fault_is(x, FAULT_NOT_HTTP)) {
		buf_addz(&c->out, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
		c->close_after = true;
	} else {
		buf_init(&ev, 65536);
		x->d->error(x, 500, &ev);
		reply_full(c, 500, x->d->stream_type, "", buf_str(&ev));
		buf_release(&ev);
	}
	exchange_finish(c);
}

/* A plain answer, whole. */
static void
exchange_plain(struct conn *c)
{
	struct exchange *x = &c->x;
	struct buf body;

	exchange_bill(c, x->completion_tokens, false, 200);
	buf_init(&body, 512 * 1024 * 1024);
	for (int64_t i = 0; i < x->k.blank_lines; i++)
		buf_addc(&body, '\n');
	x->d->plain(x, &body);
	fault_plain(c, &body);
	buf_release(&body);
	if (x->phase != X_STALL)
		exchange_finish(c);
}

/* Silence before the first byte: for ever, or for stall_ms. */
static void
exchange_stall(struct conn *c)
{
	struct exchange *x = &c->x;

	x->stalled = true;
	x->phase = X_STALL;
	if (x->k.stall_ms < 0)
		return;
	x->phase = X_WAIT;
	conn_schedule(c, conn_now_ns(c) + x->k.stall_ms * 1000000);
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
	if (exchange_fault_is(x, FAULT_CONTENT_FILTER)) {
		if (x->speaker == SPEAK_AZURE)
			exchange_bill(c, 0, false, 400);
		problem_reply(c, PROBLEM_FILTERED, "prompt", NULL);
		exchange_finish(c);
		return;
	}
	if (!exchange_billable(x)) {
		exchange_error(c);
		return;
	}
	if (fault_is_tls(x->k.fault) && c->tls == NULL) {
		problem_reply(c, PROBLEM_INVALID, NULL,
		    "this x-sim-fault needs a TLS connection");
		exchange_finish(c);
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
	    (!x->stream || x->k.after < 0) && !x->stalled) {
		exchange_stall(c);
		return;
	}
	if (!x->stream || exchange_fault_is(x, FAULT_NOT_SSE) ||
	    exchange_fault_is(x, FAULT_BAD_GZIP)) {
		exchange_plain(c);
		return;
	}
	x->phase = X_STREAM;
	exchange_step(c);
}

/* The stream's end: usage, whatever closes it, last chunk. */
static void
exchange_end_stream(struct conn *c)
{
	struct exchange *x = &c->x;
	struct buf ev;

	x->final = true;
	exchange_bill(c, x->completion_tokens, false, 200);
	buf_init(&ev, 512 * 1024 * 1024);
	x->d->finish(x, &ev);
	frame_events(c, buf_str(&ev), true);
	buf_release(&ev);
	frame_end(c);
	fault_surplus(c);
	exchange_finish(c);
}

static void
exchange_stream_head(struct conn *c)
{
	struct exchange *x = &c->x;
	struct buf headers;

	buf_init(&headers, 4096);
	buf_addz(&headers, "cache-control: no-cache\r\n");
	if (x->d->headers != NULL)
		x->d->headers(x, &headers);
	buf_addc(&headers, '\0');
	reply_head(c, 200, x->d->stream_type, headers.data,
	    x->k.until_close > 0 ? REPLY_UNTIL_CLOSE : REPLY_CHUNKED);
	buf_release(&headers);
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
		exchange_stream_head(c);
		x->step = 1;
		x->d->start(x, &ev);
		x->told = ev.len > 0;
		batch--;
	}
	for (; batch > 0 && x->step <= x->n_events; batch--) {
		size_t from;

		over = x->k.fault > 0 && fault_strike(c, &ev);
		if (over)
			break;
		if (x->k.comments > 0 && x->step % x->k.comments == 0 &&
		    x->d->wire == WIRE_SSE)
			buf_addz(&ev, ": keep-alive\n\n");
		from = ev.len;
		if (x->k.fault > 0)
			fault_aim(x);
		x->d->content(x, x->step - 1, &ev);
		x->told |= ev.len > from;
		if (x->k.fault > 0)
			fault_spoil(x, from, &ev);
		x->step++;
		if (x->k.gap_ms <= 0 || x->k.framing > 0 || ev.len > 4096) {
			frame_events(c, buf_str(&ev), false);
			buf_clear(&ev);
		}
		atomic_fetch_add_explicit(
		    &c->sim->n.events, 1, memory_order_relaxed);
	}
	if (!over)
		frame_events(c, buf_str(&ev), false);
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

/* What the usage of this very answer splits out. */
static unsigned
exchange_tells(const struct exchange *x)
{
	unsigned tells = x->d->tells;

	if (x->speaker == SPEAK_MISTRAL)
		return 0;
	if (x->speaker == SPEAK_DEEPSEEK)
		return tells & (TELLS_CACHED | TELLS_REASONING);
	if (x->k.usage != USAGE_BARE)
		return tells;
	switch (x->speaker) {
	case SPEAK_ANTHROPIC:
		return tells & ~(unsigned)(TELLS_TTL | TELLS_REASONING);
	case SPEAK_GEMINI:
	case SPEAK_VERTEX:
		return tells &
		       (TELLS_CACHED | TELLS_REASONING | TELLS_TOOL_USE);
	default:
		return x->d == &responses_dialect ? tells : 0;
	}
}

/* Forget the details that would not be told. */
static void
exchange_limit(struct exchange *x)
{
	struct knobs *k = &x->k;
	unsigned tells = exchange_tells(x);

	x->tells_reasoning = (tells & TELLS_REASONING) != 0;
	if ((tells & TELLS_CACHED) == 0)
		k->cached_tokens = 0;
	if ((tells & TELLS_WRITES) == 0)
		k->cache_write_tokens = k->cache_write_1h_tokens = 0;
	if ((tells & TELLS_TTL) == 0 && k->cache_write_1h_tokens > 0) {
		k->cache_write_tokens = knob_or(k->cache_write_tokens, 0) +
					k->cache_write_1h_tokens;
		k->cache_write_1h_tokens = 0;
	}
	if ((tells & TELLS_AUDIO) == 0)
		k->audio_in_tokens = k->audio_out_tokens = 0;
	if ((tells & TELLS_IMAGE) == 0)
		k->image_in_tokens = k->image_out_tokens = 0;
	if ((tells & TELLS_SEARCH) == 0)
		k->web_search = 0;
	if ((tells & TELLS_TOOL_USE) == 0)
		k->tool_use_tokens = 0;
}

/* The classes of the prompt, one after the other until it is used up. */
static void
exchange_size_prompt(struct exchange *x, const struct scan *s)
{
	const struct knobs *k = &x->k;
	int64_t left;

	x->prompt_tokens = knob_or(k->prompt_tokens, s->prompt_tokens);
	left = x->prompt_tokens;
	x->cached_tokens = min_i64(left, knob_or(k->cached_tokens, 0));
	left -= x->cached_tokens;
	x->cache_write_tokens =
	    min_i64(left, knob_or(k->cache_write_tokens, 0));
	left -= x->cache_write_tokens;
	x->cache_write_1h_tokens =
	    min_i64(left, knob_or(k->cache_write_1h_tokens, 0));
	left -= x->cache_write_1h_tokens;
	x->audio_in_tokens = min_i64(left, knob_or(k->audio_in_tokens, 0));
	left -= x->audio_in_tokens;
	x->image_in_tokens = min_i64(left, knob_or(k->image_in_tokens, 0));
	x->tool_use_tokens = knob_or(k->tool_use_tokens, 0);
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
	x->blocked = k->safety == 1;
	if (x->blocked || x->d->content == NULL)
		want = 0;
	x->completion_tokens = want * x->n_choices;
	x->reasoning_tokens =
	    min_i64(want, knob_or(k->reasoning_tokens, 0)) * x->n_choices;
	content = x->completion_tokens - x->reasoning_tokens;
	x->audio_out_tokens = min_i64(content, knob_or(k->audio_out_tokens, 0));
	x->image_out_tokens = min_i64(
	    content - x->audio_out_tokens, knob_or(k->image_out_tokens, 0));
	x->rejected_tokens = min_i64(content, knob_or(k->rejected_tokens, 0));
	x->by_units = s->by_units;
	x->units[SIM_WEB_SEARCH] = knob_or(k->web_search, 0);
	x->units[SIM_CHARACTERS] = s->characters;
	x->units[SIM_IMAGES] = s->images;
	x->units[SIM_SEARCH_UNITS] = s->search_units;
	x->units[SIM_AUDIO_SECONDS] = s->by_units ? s->seconds : 0;
	if (x->d->content != NULL && !x->blocked)
		plan_make(x, s, content / x->n_choices);
	x->n_events *= x->n_choices;
	exchange_size_prompt(x, s);
}

static void
exchange_identify(
    struct exchange *x, const struct http_request *r, uint64_t unique)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz";
	uint64_t state = x->seed ^ unique, attempt = 1;
	size_t n = 9;

	memcpy(x->id, "chatcmpl-", 9);
	while (n < 38)
		x->id[n++] = letters[text_next(&state) % 62];
	x->id[n] = '\0';
	if (r->request_id.len == 0 || str_copy(r->request_id, x->row.request_id,
					  sizeof(x->row.request_id)) != 0)
		memcpy(x->row.request_id, x->id, 39);
	if (r->attempt.len > 0)
		(void)!str_to_u64(r->attempt, &attempt);
	x->row.attempt = (uint32_t)attempt;
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

/* The tier of the answer: as told, else as asked for. */
static void
exchange_pick_tier(struct exchange *x, const struct scan *s)
{
	if (x->k.tier < 0) {
		x->k.tier = TIER_STANDARD;
		if (str_ieq(s->tier, STR("fast")))
			x->k.tier = TIER_PRIORITY;
		for (int64_t t = 0; t < TIER_COUNT; t++) {
			if (str_ieq(
				s->tier, str_of(knobs_tier_name((enum tier)t))))
				x->k.tier = t;
		}
	}
	if (!x->d->tiered)
		x->k.tier = TIER_STANDARD;
	if (x->k.tier != TIER_STANDARD)
		(void)!str_copy(str_of(knobs_tier_name((enum tier)x->k.tier)),
		    x->row.tier, sizeof(x->row.tier));
}

static void
exchange_ask(
    struct exchange *x, const struct sim_model *m, const struct scan *s)
{
	x->stream = s->stream && x->d->start != NULL;
	x->row.streamed = x->stream;
	x->include_usage = s->include_usage;
	x->continuous_usage = s->continuous_usage;
	x->obfuscation = x->k.obfuscation >= 0 ? x->k.obfuscation > 0
					       : s->include_obfuscation;
	x->partial_args = s->partial_args || x->k.partial_args > 0;
	x->base64 = s->base64;
	x->type = s->type;
	x->top_logprobs = s->logprobs && s->top_logprobs < 0 ? 0
			  : s->logprobs			     ? s->top_logprobs
							     : -1;
	if (x->k.stop_sequence > 0)
		(void)!str_copy(s->stop, x->stop, sizeof(x->stop));
	x->summaries = s->summaries;
	x->wants_signatures = s->wants_signatures;
	x->show_thinking =
	    x->k.show_thinking >= 0 ? x->k.show_thinking > 0 : s->show_thinking;
	if (x->k.framing < 0 && x->speaker == SPEAK_GEMINI)
		x->k.framing = FRAMING_CRLF; /* as Google does */
	if (s->thinking && x->k.reasoning_tokens < 0)
		x->k.reasoning_tokens = 8;
	x->n_inputs = s->n_inputs;
	x->forms = s->forms;
	x->dimensions = s->dimensions > 0 && s->dimensions <= m->dimensions
			    ? s->dimensions
			    : m->dimensions;
}

void
exchange_start(struct conn *c, const struct dialect *d,
    const struct sim_model *m, const struct scan *s, const struct knobs *k,
    const struct http_request *r, struct json_t *echo)
{
	struct exchange *x = &c->x;
	uint64_t state = s->hash ^ c->sim->seed;

	memset(x, 0, sizeof(*x));
	x->d = d;
	x->speaker = c->speaker;
	x->echo = echo;
	x->k = *k;
	x->seed = k->seed >= 0 ? (uint64_t)k->seed : text_next(&state);
	x->row.model = m;
	x->row.dialect = speaker_name(c->speaker);
	x->row.op = d->op;
	exchange_ask(x, m, s);
	exchange_pick_tier(x, s);
	exchange_limit(x);
	x->row.started_at_ms = sim_wall_ms();
	x->created = k->seed >= 0 ? 1767225600 : x->row.started_at_ms / 1000;
	exchange_size(x, m, s, &x->k);
	exchange_identify(
	    x, r, k->seed >= 0 ? 0 : atomic_load(&c->sim->next_id));
	exchange_pick_fault(x);
	if (x->stream)
		atomic_fetch_add(&c->sim->n.streams, 1);
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
