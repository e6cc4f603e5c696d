/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relaying: the fast path of OpenAI's chat, passing with a reader looking on,
 * translating, and answers that are of interest for their usage only.
 *
 * Streams that pass are cut into events first: what a reader learns from an
 * event decides whether its bytes may go out at once.
 */
#include "agent/dialect/relay.h"

void
relay_init(struct relay *r, size_t max_event)
{
	memset(r, 0, sizeof(*r));
	sse_init(&r->sse, max_event);
	oai_stream_init(&r->chat, max_event + 1024);
	buf_init(&r->swapped, 2 * max_event + 1024);
	r->clean = true;
}

static void
relay_drop(struct relay *r)
{
	if (r->reader != NULL)
		r->o.from->free(r->reader);
	if (r->writer != NULL)
		r->o.to->free(r->writer);
	r->reader = NULL;
	r->writer = NULL;
}

void
relay_release(struct relay *r)
{
	relay_drop(r);
	sse_release(&r->sse);
	oai_stream_release(&r->chat);
	buf_release(&r->swapped);
}

void
relay_clear(struct relay *r)
{
	relay_drop(r);
	oai_stream_begin(&r->chat, false);
	buf_release(&r->swapped);
	memset(&r->o, 0, sizeof(r->o));
	memset(r->finish, 0,
	    offsetof(struct relay, id) - offsetof(struct relay, finish));
	r->id[0] = r->own[0] = r->error_type[0] = r->error_text[0] = '\0';
	sse_clear(&r->sse);
	r->clean = true;
}

static void
relay_trim_one(struct buf *b, size_t keep)
{
	if (b->cap > keep)
		buf_release(b);
}

void
relay_trim(struct relay *r, size_t keep)
{
	relay_trim_one(&r->sse.raw, keep);
	relay_trim_one(&r->sse.data, keep);
	relay_trim_one(&r->chat.scratch, keep);
}

int
relay_begin(struct relay *r, const struct relay_opts *o)
{
	struct answer_opts a = o->answer;

	if (!r->clean)
		relay_clear(r);
	r->clean = false;
	r->o = *o;
	r->begun = true;
	r->chat.wants_usage = o->answer.include_usage;
	r->count_text = o->stream;
	if (o->mode != RELAY_PASS && o->mode != RELAY_TRANSLATE)
		return 0;
	r->reader = o->from->begin(o->stream, o->max_event, o->max_plain);
	if (r->reader == NULL)
		return ERR_NOMEM;
	if (o->mode == RELAY_PASS)
		return 0;
	a.stream = o->stream;
	a.json_array = o->array;
	r->writer = o->to->begin(&a, o->out);
	return r->writer != NULL ? 0 : ERR_NOMEM;
}

/* ---- what events tell ---- */

static void
relay_copy(char *dst, size_t cap, struct str s)
{
	size_t n = s.len < cap - 1 ? s.len : cap - 1;

	if (n > 0)
		memcpy(dst, s.p, n);
	dst[n] = '\0';
}

static void
relay_note_error(struct relay *r, const struct ir_event *ev)
{
	r->error = true;
	r->error_status = ev->status;
	relay_copy(r->error_type, sizeof(r->error_type), ev->native);
	relay_copy(r->error_text, sizeof(r->error_text), ev->text);
}

static void
relay_note_text(struct relay *r, struct str esc)
{
	r->text_bytes += (int64_t)esc.len;
	if (r->count_text && r->chat.count.counter.exact != NULL)
		oai_count_text(&r->chat.count, esc);
}

/* Thinking that a plain answer's client does not see is counted as it comes:
 * it cannot be counted in the answer. */
static void
relay_note_delta(struct relay *r, const struct ir_event *ev)
{
	bool counts = r->count_text;

	if (r->o.mode == RELAY_TRANSLATE && ev->part == IR_THINKING &&
	    !r->o.answer.show_thinking)
		r->count_text = true;
	relay_note_text(r, ev->text);
	r->count_text = counts;
}

static void
relay_note(struct relay *r, const struct ir_event *ev)
{
	switch (ev->type) {
	case IR_EV_BLOCK_START:
		if (ev->part == IR_TOOL_CALL)
			relay_note_text(r, ev->name);
		break;
	case IR_EV_DELTA:
		if (ev->part != IR_IMAGE && ev->part != IR_AUDIO)
			relay_note_delta(r, ev);
		break;
	case IR_EV_FINISH:
		r->n_finished++;
		r->finished = true;
		relay_copy(r->finish, sizeof(r->finish), ev->native);
		break;
	case IR_EV_ERROR:
		relay_note_error(r, ev);
		break;
	case IR_EV_END:
		r->done = true;
		break;
	case IR_EV_START:
	case IR_EV_SIGNATURE:
	case IR_EV_BLOCK_STOP:
	case IR_EV_LOGPROBS:
	case IR_EV_USAGE:
		break;
	}
}

static int
relay_observe(void *ctx, const struct ir_event *ev)
{
	relay_note(ctx, ev);
	return 0;
}

/* ---- translating ---- */

static int
relay_translate(void *ctx, const struct ir_event *ev)
{
	struct relay *r = ctx;
	struct buf *out = r->o.out;
	size_t before = out->len;
	int rc;

	r->n_events++;
	relay_note(r, ev);
	/* An error before anything else: another provider may do better. */
	if (ev->type == IR_EV_ERROR && r->n_sent == 0)
		return ERR_INVALID;
	rc = r->o.to->event(r->writer, ev);
	if (rc != 0)
		return rc;
	if (buf_error(out) != 0)
		return ERR_TOO_LARGE;
	if (out->len > before)
		r->n_sent++;
	if (ev->type != IR_EV_END || !r->o.stream)
		return 0;
	r->ending = true;
	(void)buf_add(r->o.held, out->data + before, out->len - before);
	out->len = before;
	return buf_error(r->o.held) != 0 ? ERR_TOO_LARGE : 0;
}

/* ---- ids of stored responses ---- */

/* Every place of id in r->swapped. */
static void
relay_swap_one(struct relay *r, struct str id, struct str own)
{
	struct buf *b = &r->swapped;
	size_t at = 0, tail;
	char *p;

	while (id.len > 0 && buf_error(b) == 0 &&
	       (p = memmem(b->data + at, b->len - at, id.p, id.len)) != NULL) {
		at = (size_t)(p - b->data);
		tail = b->len - at - id.len;
		if (own.len > id.len && buf_reserve(b, own.len - id.len) != 0) {
			b->error = ERR_TOO_LARGE;
			return;
		}
		memmove(b->data + at + own.len, b->data + at + id.len, tail);
		memcpy(b->data + at, own.p, own.len);
		b->len = at + own.len + tail;
		at += own.len;
	}
}

/* Learn the answer's id from a document: its own, or its response's. */
static void
relay_learn_id(struct relay *r, struct str doc)
{
	struct json v;

	if (r->id[0] != '\0' || json_validate(doc, r->o.plain_json, NULL) != 0)
		return;
	if (!json_path(json_root(doc), "response.id", &v) &&
	    !json_getz(json_root(doc), "id", &v))
		return;
	if (json_copy_string(v, r->id, sizeof(r->id)) != 0 ||
	    !r->o.own_id(r->o.own_ctx, str_of(r->id), r->own))
		r->id[0] = '\0';
}

/* The bytes with our ids in them, in r->swapped. */
static struct str
relay_swap_ids(struct relay *r, struct str raw, struct str doc)
{
	if (r->o.own_id == NULL || raw.len == 0)
		return raw;
	relay_learn_id(r, doc);
	if ((r->id[0] == '\0' ||
		memmem(raw.p, raw.len, r->id, strlen(r->id)) == NULL) &&
	    (r->o.other_id.len == 0 || memmem(raw.p, raw.len, r->o.other_id.p,
					   r->o.other_id.len) == NULL))
		return raw;
	buf_clear(&r->swapped);
	r->swapped.max = 2 * raw.len + 65536;
	(void)buf_add_str(&r->swapped, raw);
	relay_swap_one(r, str_of(r->id), str_of(r->own));
	relay_swap_one(r, r->o.other_id, r->o.other_own);
	return buf_error(&r->swapped) == 0 ? buf_str(&r->swapped) : raw;
}

/* A plain answer in o.out. */
static void
relay_swap_plain(struct relay *r)
{
	struct str body = buf_str(r->o.out), got;

	got = relay_swap_ids(r, body, body);
	if (got.p == body.p)
		return;
	buf_clear(r->o.out);
	(void)buf_add_str(r->o.out, got);
}

/* ---- passing ---- */

/* One event as an element of a JSON array. */
static void
relay_array_element(struct relay *r, struct buf *to, const struct sse_event *ev)
{
	if (!ev->has_data)
		return;
	(void)buf_addz(to, r->n_sent == 0 ? "[" : ",\r\n");
	(void)buf_add_str(to, ev->data);
	r->n_sent++;
}

static int
relay_send(struct relay *r, const struct sse_event *ev)
{
	struct buf *to = r->ending ? r->o.held : r->o.out;

	if (r->o.array) {
		relay_array_element(r, to, ev);
	} else {
		(void)buf_add_str(to, relay_swap_ids(r, ev->raw, ev->data));
		r->n_sent += ev->has_data;
	}
	return buf_error(to) != 0 ? ERR_TOO_LARGE : 0;
}

/* Gemini's reader tells of the finish when it knows that no usage follows; the
 * event with the reason has to wait all the same. */
static bool
relay_is_last(struct relay *r, const struct sse_event *ev)
{
	static const char word[] = "\"finishReason\"";
	struct json list, c, v;
	struct json_iter it;

	if (r->o.op != OP_GENERATE || ev->data.len == 0 ||
	    memmem(ev->data.p, ev->data.len, word, sizeof(word) - 1) == NULL ||
	    json_validate(ev->data, r->o.event_json, NULL) != 0 ||
	    !json_getz(json_root(ev->data), "candidates", &list) ||
	    list.type != JSON_ARRAY)
		return false;
	it = json_iter(list);
	while (json_next_element(&it, &c)) {
		if (c.type == JSON_OBJECT && json_getz(c, "finishReason", &v) &&
		    v.type == JSON_STRING)
			r->n_finished++;
	}
	return r->n_finished >= r->o.n_choices;
}

static int
relay_pass_event(void *ctx, const struct sse_event *ev)
{
	struct relay *r = ctx;
	int rc;

	r->n_events++;
	if (!r->unreadable) {
		rc = r->o.from->feed(
		    r->reader, ev->raw.p, ev->raw.len, relay_observe, r);
		if (rc != 0)
			r->unreadable = true;
	}
	if (r->error && r->n_sent == 0)
		return ERR_INVALID;
	if (r->done || r->n_finished >= r->o.n_choices || relay_is_last(r, ev))
		r->ending = true;
	rc = relay_send(r, ev);
	if (rc != 0)
		return rc;
	return r->done ? 1 : 0;
}

/* Sound is told in text too, where the client asked for that. */
static bool
relay_may_be_text(enum op op)
{
	return op == OP_TRANSCRIPTIONS || op == OP_TRANSLATIONS;
}

/* Operations with usage in some event of theirs. */
static int
relay_json_event(void *ctx, const struct sse_event *ev)
{
	struct relay *r = ctx;
	struct json root, v;

	r->n_events++;
	if (ev->has_data &&
	    json_validate(ev->data, r->o.event_json, NULL) == 0) {
		root = json_root(ev->data);
		if (root.type == JSON_OBJECT && json_getz(root, "usage", &v) &&
		    usage_update(
			&r->chat.sum.usage, oai_usage_shape(r->o.op), v, true))
			r->ending = true;
		if (root.type == JSON_OBJECT && json_getz(root, "error", &v) &&
		    v.type != JSON_NULL)
			r->error = true;
		if (root.type == JSON_OBJECT && relay_may_be_text(r->o.op) &&
		    json_getz(root, "delta", &v) && v.type == JSON_STRING)
			relay_note_text(r, json_raw_string(v));
	}
	return relay_send(r, ev);
}

/* ---- the fast path ---- */

static int
relay_chat_event(void *ctx, const struct sse_event *ev)
{
	struct relay *r = ctx;
	struct str parts[OAI_MAX_PARTS];
	unsigned i, n;
	struct buf *to;

	r->n_events++;
	n = oai_stream_event(&r->chat, ev, r->o.event_json, parts);
	to = r->chat.ending ? r->o.held : r->o.out;
	for (i = 0; i < n; i++)
		(void)buf_add_str(to, parts[i]);
	r->n_sent += n > 0;
	if (buf_error(to) != 0)
		return ERR_TOO_LARGE;
	return r->chat.done ? 1 : 0;
}

static void
relay_chat_noted(struct relay *r)
{
	r->ending = r->chat.ending;
	r->done = r->chat.done;
	r->error = r->chat.error;
	r->finished = r->chat.finished;
	if (r->finished)
		memcpy(r->finish, r->chat.sum.finish, sizeof(r->finish));
}

/* ---- bytes ---- */

static int
relay_feed_stream(struct relay *r, const char *p, size_t n)
{
	int rc;

	switch (r->o.mode) {
	case RELAY_CHAT:
		rc = sse_feed(&r->sse, p, n, relay_chat_event, r);
		relay_chat_noted(r);
		return rc;
	case RELAY_PASS:
		return sse_feed(&r->sse, p, n, relay_pass_event, r);
	case RELAY_TRANSLATE:
		rc = r->o.from->feed(r->reader, p, n, relay_translate, r);
		return rc == 0 && r->done ? 1 : rc;
	case RELAY_JSON:
		return sse_feed(&r->sse, p, n, relay_json_event, r);
	case RELAY_EMBED:
	case RELAY_RAW:
		break;
	}
	(void)buf_add(r->o.out, p, n);
	r->n_sent++;
	return buf_error(r->o.out) != 0 ? ERR_TOO_LARGE : 0;
}

int
relay_feed(struct relay *r, const char *p, size_t n)
{
	if (r->done)
		return 1;
	if (r->o.stream)
		return relay_feed_stream(r, p, n);
	if (r->o.mode == RELAY_TRANSLATE)
		return r->o.from->feed(r->reader, p, n, relay_translate, r);
	(void)buf_add(r->o.out, p, n);
	return 0; /* a limit shows at the end */
}

/* ---- ends ---- */

static int
relay_finish_stream(struct relay *r)
{
	int rc = 0;

	switch (r->o.mode) {
	case RELAY_CHAT:
		rc = sse_finish(&r->sse, relay_chat_event, r);
		relay_chat_noted(r);
		if (rc >= 0 &&
		    (r->done || r->finished || r->chat.sum.usage.known))
			return 0;
		return ERR_INVALID;
	case RELAY_PASS:
		rc = sse_finish(&r->sse, relay_pass_event, r);
		if (rc < 0)
			return rc;
		if (!r->unreadable)
			rc = r->o.from->finish(r->reader, relay_observe, r);
		if (r->o.array)
			(void)buf_addz(r->o.held, r->n_sent > 0 ? "]" : "[]");
		return rc >= 0 && (r->done || r->unreadable) && !r->error
			   ? 0
			   : ERR_INVALID;
	case RELAY_TRANSLATE:
		rc = r->o.from->finish(r->reader, relay_translate, r);
		return rc == 0 && r->done && !r->error ? 0 : ERR_INVALID;
	case RELAY_JSON:
		rc = sse_finish(&r->sse, relay_json_event, r);
		return rc < 0 || r->error ? ERR_INVALID : 0;
	case RELAY_EMBED: /* is never a stream */
	case RELAY_RAW:
		break;
	}
	return 0;
}

static int
relay_finish_json(struct relay *r)
{
	int rc = oai_answer_scan(
	    r->o.op, buf_str(r->o.out), r->o.plain_json, &r->chat.sum);
	struct json meta;

	if (rc != 0 && relay_may_be_text(r->o.op)) {
		r->chat.sum.text_bytes = (int64_t)r->o.out->len;
		rc = 0;
	}
	if (rc == 0 && r->o.op == OP_RERANK &&
	    json_getz(json_root(buf_str(r->o.out)), "meta", &meta))
		(void)usage_update(
		    &r->chat.sum.usage, USAGE_COHERE, meta, true);
	else if (rc == 0 && r->o.op == OP_GEMINI_EMBED &&
		 json_getz(
		     json_root(buf_str(r->o.out)), "usageMetadata", &meta))
		(void)usage_update(
		    &r->chat.sum.usage, USAGE_GEMINI_EMBED, meta, true);
	memcpy(r->finish, r->chat.sum.finish, sizeof(r->finish));
	r->text_bytes = r->chat.sum.text_bytes;
	return rc;
}

/* The provider's vectors in o.out become the client's. */
static int
relay_finish_embed(struct relay *r)
{
	struct buf *b = &r->swapped;
	int rc;

	buf_clear(b);
	/* base64 of "0," takes 5.4 bytes, an object around each 60 */
	b->max = 3 * r->o.out->len + 128 * (size_t)r->o.embed.n + 4096;
	rc = embed_answer(&r->o.embed, r->o.answer.model, buf_str(r->o.out),
	    r->o.plain_json, &r->chat.sum.usage, b);
	if (rc != 0)
		return rc;
	buf_clear(r->o.out);
	return buf_add(r->o.out, b->data, b->len);
}

/* Let the reader look at a plain answer that is all in o.out. */
static int
relay_look(struct relay *r)
{
	int rc = r->o.from->feed(
	    r->reader, r->o.out->data, r->o.out->len, relay_observe, r);

	if (rc == 0)
		rc = r->o.from->finish(r->reader, relay_observe, r);
	return rc == 0 && !r->error ? 0 : ERR_INVALID;
}

int
relay_finish(struct relay *r)
{
	int rc;

	if (r->o.stream)
		return relay_finish_stream(r);
	if (buf_error(r->o.out) != 0)
		return ERR_TOO_LARGE;
	switch (r->o.mode) {
	case RELAY_CHAT:
	case RELAY_JSON:
		rc = relay_finish_json(r);
		relay_swap_plain(r);
		return rc;
	case RELAY_PASS:
		rc = relay_look(r);
		if (rc == 0)
			relay_swap_plain(r);
		return rc;
	case RELAY_TRANSLATE:
		rc = r->o.from->finish(r->reader, relay_translate, r);
		return rc == 0 && r->done && buf_error(r->o.out) == 0
			   ? 0
			   : ERR_INVALID;
	case RELAY_EMBED:
		return relay_finish_embed(r);
	case RELAY_RAW:
		break;
	}
	return 0;
}

const struct usage_state *
relay_usage(const struct relay *r)
{
	const struct usage_state *u = NULL;

	if (r->reader != NULL)
		u = r->o.from->usage(r->reader);
	return u != NULL ? u : &r->chat.sum.usage;
}

/* Reads an answer that is all in o.out, as the client gets it. */
static const struct codec_provider *
relay_out_reader(const struct relay *r)
{
	if (r->o.mode == RELAY_PASS)
		return r->o.from;
	if (r->o.mode != RELAY_TRANSLATE)
		return NULL;
	switch (r->o.op) {
	case OP_CHAT:
		return &codec_openai_chat_provider;
	case OP_RESPONSES:
		return &codec_responses_provider;
	case OP_MESSAGES:
		return &codec_anthropic_provider;
	case OP_GENERATE:
		return &codec_gemini_provider;
	default:
		return NULL;
	}
}

static int
relay_count_event(void *ctx, const struct ir_event *ev)
{
	struct relay *r = ctx;

	if (ev->type == IR_EV_BLOCK_START && ev->part == IR_TOOL_CALL)
		relay_note_text(r, ev->name);
	else if (ev->type == IR_EV_DELTA && ev->part != IR_IMAGE &&
		 ev->part != IR_AUDIO)
		relay_note_text(r, ev->text);
	return 0;
}

/* A plain answer says nothing of its usage: read it once more, counting. What
 * a translation hid from the client was counted as it came. */
static bool
relay_count_again(struct relay *r)
{
	const struct codec_provider *c = relay_out_reader(r);
	struct answer_reader *rd;
	int rc;

	if (c == NULL)
		return false;
	rd = c->begin(false, r->o.max_event, r->o.max_plain);
	if (rd == NULL)
		return false;
	r->count_text = true;
	rc = c->feed(rd, r->o.out->data, r->o.out->len, relay_count_event, r);
	if (rc == 0)
		(void)c->finish(rd, relay_count_event, r);
	c->free(rd);
	return true;
}

/* The text of a transcription, as JSON or as it is. */
static void
relay_count_heard(struct relay *r)
{
	struct oai_count *c = &r->chat.count;
	struct str body = buf_str(r->o.out);
	struct json v;

	if (json_validate(body, r->o.plain_json, NULL) != 0) {
		while (body.len > 0 && body.p[body.len - 1] == '\n')
			body.len--; /* not of the model's */
		c->n +=
		    body.len <= c->left
			? token_counter_count(&c->counter, c->scratch, body)
			: token_counter_bytes(&c->counter, (int64_t)body.len);
		c->left -= body.len < c->left ? body.len : c->left;
	} else if (json_getz(json_root(body), "text", &v)) {
		oai_count_json(c, v);
	}
}

int64_t
relay_generated(struct relay *r, bool complete)
{
	struct oai_count *c = &r->chat.count;

	if (!r->begun)
		return 0;
	if (r->o.mode == RELAY_CHAT ||
	    (r->o.mode == RELAY_JSON && !r->o.stream))
		r->text_bytes = r->chat.sum.text_bytes;
	if (!r->o.stream && complete && r->o.mode == RELAY_JSON &&
	    relay_may_be_text(r->o.op)) {
		relay_count_heard(r);
		return oai_count_total(c);
	}
	if (c->counter.exact == NULL)
		return token_counter_bytes(&c->counter, r->text_bytes);
	if (!r->o.stream && complete && r->o.mode == RELAY_CHAT)
		oai_count_answer(c, buf_str(r->o.out));
	else if (!r->o.stream && !(complete && relay_count_again(r)))
		return token_counter_bytes(&c->counter, r->text_bytes);
	return oai_count_total(c);
}

static enum error_frame
relay_frame(const struct relay *r)
{
	switch (r->o.op) {
	case OP_RESPONSES:
		return ERROR_FRAME_RESPONSES;
	case OP_MESSAGES:
		return ERROR_FRAME_ANTHROPIC;
	case OP_GENERATE:
		return r->o.array ? ERROR_FRAME_ARRAY : ERROR_FRAME_GEMINI;
	default:
		return ERROR_FRAME_CHAT;
	}
}

void
relay_break(
    struct relay *r, const struct dialect_error *e, const char *request_id)
{
	buf_clear(r->o.held);
	if (r->o.mode == RELAY_RAW)
		return; /* an unclean end is all that can be told */
	errors_write_event(r->o.held, relay_frame(r), e, request_id, r->n_sent);
}
