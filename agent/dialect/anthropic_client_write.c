/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the Anthropic dialect, streamed and plain, from neutral events.
 *
 * Anthropic's blocks come one after the other, those of the neutral form may
 * be open together: what belongs to a later block waits, up to a limit, until
 * those before it stopped. A plain answer waits altogether. A block is begun
 * with its first content, so that empty ones leave no trace: clients send
 * content back, and empty text is refused there.
 *
 * Beyond the API: the signature of a call (Gemini's thoughtSignature) is the
 * member "signature" of its tool_use block, or a signature_delta when it comes
 * later; that of a text is a signature_delta. Thinking that the client did not
 * ask for is left out unless it is signed: a provider that signs wants it
 * back. Media in answers become blocks as in requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dialect/anthropic_client.h"
#include "agent/dialect/jw.h"

#define ANTC_MAX_HELD	((size_t)64 << 20)
#define ANTC_MAX_BLOCKS 4096 /* open together */

static const char antc_context_full[] = "model_context_window_exceeded";

struct antc_block {
	struct antc_block *next;
	unsigned block;
	enum ir_part_type part;
	bool begun, stopped;
	struct buf id, name; /* esc */
	struct buf text;     /* esc: held back */
	struct buf sig;	     /* esc: held back */
};

struct answer_writer {
	struct answer_opts o;
	struct buf *out;
	struct buf model, id; /* JSON strings */
	struct buf content;   /* plain: finished blocks */
	struct antc_block *head, *tail;
	unsigned n_open, n_written, n_calls;
	size_t held;
	bool has_start, message_begun, done, refused;
	enum ir_finish finish;
	bool context_full; /* the one native reason that has its own word */
	struct buf stop_sequence; /* esc */
	bool has_stop_sequence;
	struct ir_usage usage;
};

struct answer_writer *
antc_begin(const struct answer_opts *o, struct buf *out)
{
	struct answer_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->out = out;
	buf_init(&w->model, 4096);
	buf_init(&w->id, 1024);
	buf_init(&w->content, ANTC_MAX_HELD);
	buf_init(&w->stop_sequence, ANTC_MAX_HELD);
	(void)buf_addz(&w->id, "\"msg_");
	(void)buf_add_escaped(&w->id, o->id);
	(void)buf_addc(&w->id, '"');
	if (buf_error(&w->id) != 0) { /* an answer without id is no JSON */
		antc_free(w);
		return NULL;
	}
	return w;
}

static void
antc_block_free(struct antc_block *b)
{
	buf_release(&b->id);
	buf_release(&b->name);
	buf_release(&b->text);
	buf_release(&b->sig);
	free(b);
}

static void
antc_pop(struct answer_writer *w)
{
	struct antc_block *b = w->head;

	w->head = b->next;
	if (w->head == NULL)
		w->tail = NULL;
	w->n_open--;
	w->held -= b->text.len + b->sig.len;
	antc_block_free(b);
}

void
antc_free(struct answer_writer *w)
{
	if (w == NULL)
		return;
	while (w->head != NULL)
		antc_pop(w);
	buf_release(&w->model);
	buf_release(&w->id);
	buf_release(&w->content);
	buf_release(&w->stop_sequence);
	free(w);
}

/* ---- frames ---- */

static void
antc_frame(struct answer_writer *w, const char *name)
{
	(void)buf_addz(w->out, "event: ");
	(void)buf_addz(w->out, name);
	(void)buf_addz(w->out, "\ndata: {\"type\":\"");
	(void)buf_addz(w->out, name);
	(void)buf_addc(w->out, '"');
}

static void
antc_frame_end(struct answer_writer *w)
{
	(void)buf_add(w->out, "}\n\n", 3);
}

/* The message up to its content's opening bracket. */
static void
antc_message_head(struct answer_writer *w)
{
	(void)buf_addz(w->out, "{\"id\":");
	(void)buf_add_str(w->out, buf_str(&w->id));
	(void)buf_addz(
	    w->out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
	(void)buf_add_str(
	    w->out, w->model.len > 0 ? buf_str(&w->model) : STR("\"\""));
	(void)buf_addz(w->out, ",\"content\":[");
}

static void
antc_message_start(struct answer_writer *w)
{
	if (w->message_begun || !w->o.stream)
		return;
	w->message_begun = true;
	antc_frame(w, "message_start");
	(void)buf_addz(w->out, ",\"message\":");
	antc_message_head(w);
	(void)buf_addz(w->out, "],\"stop_reason\":null,\"stop_sequence\":null,"
			       "\"stop_details\":null,\"usage\":");
	usage_write_anthropic(w->out, &w->usage, true);
	(void)buf_addc(w->out, '}');
	antc_frame_end(w);
}

static void
antc_delta(struct answer_writer *w, const char *type, const char *member,
    struct str esc)
{
	antc_frame(w, "content_block_delta");
	(void)buf_addz(w->out, ",\"index\":");
	(void)buf_add_i64(w->out, w->n_written);
	(void)buf_addz(w->out, ",\"delta\":{\"type\":\"");
	(void)buf_addz(w->out, type);
	(void)buf_addz(w->out, "\",\"");
	(void)buf_addz(w->out, member);
	(void)buf_addz(w->out, "\":\"");
	(void)buf_add_str(w->out, esc);
	(void)buf_addz(w->out, "\"}");
	antc_frame_end(w);
}

static void
antc_text_delta(
    struct answer_writer *w, const struct antc_block *b, struct str esc)
{
	if (b->part == IR_TOOL_CALL)
		antc_delta(w, "input_json_delta", "partial_json", esc);
	else if (b->part == IR_THINKING)
		antc_delta(w, "thinking_delta", "thinking", esc);
	else
		antc_delta(w, "text_delta", "text", esc);
}

/* The id of a call; one of ours where the provider gives none. */
static void
antc_call_id(struct answer_writer *w, struct jw *j, const struct antc_block *b)
{
	char id[32];

	if (b->id.len > 0) {
		jw_name_esc(j, "id", buf_str(&b->id));
		return;
	}
	jw_name(j, "id");
	jw_sep(j);
	(void)buf_addz(j->b, "\"toolu_");
	(void)buf_add_escaped(j->b, w->o.id);
	(void)snprintf(id, sizeof(id), "_%u\"", w->n_calls);
	(void)buf_addz(j->b, id);
}

static void
antc_media(struct jw *j, const struct antc_block *b)
{
	jw_name_z(j, "type", b->part == IR_IMAGE ? "image" : "document");
	jw_name_open(j, "source", '{');
	jw_name_z(j, "type", "base64");
	jw_name_esc(j, "media_type", buf_str(&b->name));
	jw_name_esc(j, "data", buf_str(&b->text));
	jw_close(j, '}');
}

/* The block as an object: with its content (plain), or as a stream begins
 * it. */
static void
antc_object(struct answer_writer *w, struct buf *out,
    const struct antc_block *b, bool full)
{
	struct jw j = {out, false};

	jw_open(&j, '{');
	switch (b->part) {
	case IR_TOOL_CALL:
		jw_name_z(&j, "type", "tool_use");
		antc_call_id(w, &j, b);
		jw_name_esc(&j, "name", buf_str(&b->name));
		jw_name(&j, "input");
		jw_sep(&j);
		client_args_write(out, full ? buf_str(&b->text) : STR_NULL);
		jw_opt_esc(&j, "signature", buf_str(&b->sig));
		break;
	case IR_THINKING:
		jw_name_z(&j, "type", "thinking");
		jw_name_esc(&j, "thinking", full ? buf_str(&b->text) : STR(""));
		jw_name_esc(&j, "signature", full ? buf_str(&b->sig) : STR(""));
		break;
	case IR_REDACTED:
		jw_name_z(&j, "type", "redacted_thinking");
		jw_name_esc(&j, "data", buf_str(&b->sig));
		break;
	case IR_TEXT:
	case IR_REFUSAL:
		jw_name_z(&j, "type", "text");
		jw_name_esc(&j, "text", full ? buf_str(&b->text) : STR(""));
		if (full)
			jw_opt_esc(&j, "signature", buf_str(&b->sig));
		break;
	default:
		antc_media(&j, b);
		break;
	}
	jw_close(&j, '}');
}

/* ---- blocks ---- */

/* Are its pieces passed on as they come? Not those of a block that is one
 * piece, nor thinking that nobody asked for. */
static bool
antc_flows(const struct answer_writer *w, const struct antc_block *b)
{
	switch (b->part) {
	case IR_TEXT:
	case IR_REFUSAL:
	case IR_TOOL_CALL:
		return true;
	case IR_THINKING:
		return w->o.show_thinking;
	default:
		return false;
	}
}

static void
antc_begin_block(struct answer_writer *w, struct antc_block *b)
{
	b->begun = true;
	antc_frame(w, "content_block_start");
	(void)buf_addz(w->out, ",\"index\":");
	(void)buf_add_i64(w->out, w->n_written);
	(void)buf_addz(w->out, ",\"content_block\":");
	antc_object(w, w->out, b, false);
	antc_frame_end(w);
	if (b->part == IR_TOOL_CALL) {
		w->held -= b->sig.len;
		buf_clear(&b->sig);
	}
}

/* Write what was held back of the first block, as far as it flows. */
static void
antc_flush(struct answer_writer *w, struct antc_block *b)
{
	if (!antc_flows(w, b) || b->text.len == 0)
		return;
	if (!b->begun)
		antc_begin_block(w, b);
	antc_text_delta(w, b, buf_str(&b->text));
	w->held -= b->text.len;
	buf_clear(&b->text);
}

static bool
antc_is_empty(const struct answer_writer *w, const struct antc_block *b)
{
	switch (b->part) {
	case IR_TEXT:
	case IR_REFUSAL:
		return b->text.len == 0;
	case IR_THINKING:
		return b->sig.len == 0 &&
		       (b->text.len == 0 || !w->o.show_thinking);
	case IR_TOOL_CALL:
		return false;
	case IR_REDACTED:
		return b->sig.len == 0;
	default:
		return b->text.len == 0;
	}
}

/* The first block stopped, in a stream. */
static void
antc_end_streamed(struct answer_writer *w, struct antc_block *b)
{
	if (!b->begun)
		antc_begin_block(w, b);
	if (b->part == IR_THINKING && b->text.len > 0)
		antc_text_delta(w, b, buf_str(&b->text));
	else
		antc_flush(w, b);
	if (b->part != IR_REDACTED && b->sig.len > 0)
		antc_delta(w, "signature_delta", "signature", buf_str(&b->sig));
	antc_frame(w, "content_block_stop");
	(void)buf_addz(w->out, ",\"index\":");
	(void)buf_add_i64(w->out, w->n_written);
	antc_frame_end(w);
}

/* The first block stopped: write what is left of it, drop it. */
static void
antc_end_block(struct answer_writer *w)
{
	struct antc_block *b = w->head;

	if (b->begun || !antc_is_empty(w, b)) {
		if (w->o.stream) {
			antc_end_streamed(w, b);
		} else {
			if (w->n_written > 0)
				(void)buf_addc(&w->content, ',');
			antc_object(w, &w->content, b, true);
		}
		w->n_written++;
		if (b->part == IR_TOOL_CALL)
			w->n_calls++;
	}
	antc_pop(w);
}

/* Write all that can be written now. */
static void
antc_advance(struct answer_writer *w)
{
	while (w->head != NULL && w->head->stopped)
		antc_end_block(w);
	if (w->head != NULL && w->o.stream)
		antc_flush(w, w->head);
}

static int
antc_on_block(struct answer_writer *w, const struct ir_event *ev)
{
	struct antc_block *b;

	if (w->n_open >= ANTC_MAX_BLOCKS)
		return ERR_TOO_LARGE;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return ERR_NOMEM;
	b->block = ev->block;
	b->part = ev->part;
	buf_init(&b->id, ANTC_MAX_HELD);
	buf_init(&b->name, ANTC_MAX_HELD);
	buf_init(&b->text, ANTC_MAX_HELD);
	buf_init(&b->sig, ANTC_MAX_HELD);
	if (w->tail != NULL)
		w->tail->next = b;
	else
		w->head = b;
	w->tail = b;
	w->n_open++;
	if (ev->part == IR_REFUSAL)
		w->refused = true;
	(void)buf_add_str(&b->id, ev->id);
	(void)buf_add_str(&b->name, ev->name);
	return buf_error(&b->id) != 0 ? buf_error(&b->id) : buf_error(&b->name);
}

static struct antc_block *
antc_find(const struct answer_writer *w, unsigned block)
{
	struct antc_block *b = w->head;

	while (b != NULL && b->block != block)
		b = b->next;
	return b;
}

static int
antc_hold(struct answer_writer *w, struct buf *b, struct str s)
{
	if (s.len > ANTC_MAX_HELD - w->held)
		return ERR_TOO_LARGE;
	w->held += s.len;
	return buf_add_str(b, s);
}

static int
antc_on_delta(struct answer_writer *w, const struct ir_event *ev)
{
	struct antc_block *b = antc_find(w, ev->block);

	if (b == NULL || b->stopped || ev->text.len == 0)
		return 0;
	if (!w->o.stream || b != w->head || !antc_flows(w, b))
		return antc_hold(w, &b->text, ev->text);
	if (!b->begun)
		antc_begin_block(w, b);
	antc_text_delta(w, b, ev->text);
	return 0;
}

static int
antc_on_stop(struct answer_writer *w, const struct ir_event *ev)
{
	struct antc_block *b = antc_find(w, ev->block);

	if (b != NULL)
		b->stopped = true;
	antc_advance(w);
	return 0;
}

/* ---- the end ---- */

static int
antc_on_finish(struct answer_writer *w, const struct ir_event *ev)
{
	w->finish = ev->finish;
	w->context_full = str_eqz(ev->native, antc_context_full);
	if (ev->finish == IR_FINISH_STOP_SEQUENCE && ev->text.p != NULL) {
		w->has_stop_sequence = true;
		buf_clear(&w->stop_sequence);
		(void)buf_add_str(&w->stop_sequence, ev->text);
	}
	return buf_error(&w->stop_sequence);
}

static void
antc_stop_members(struct answer_writer *w, struct buf *out)
{
	enum ir_finish f = w->finish;
	struct jw j = {out, false};

	/* A forced call ends with "stop" at OpenAI. */
	if ((f == IR_FINISH_STOP || f == IR_FINISH_NONE) && w->n_calls > 0)
		f = IR_FINISH_TOOL_CALLS;
	if ((f == IR_FINISH_STOP || f == IR_FINISH_NONE) && w->refused)
		f = IR_FINISH_CONTENT_FILTER;
	jw_name_z(&j, "stop_reason",
	    w->context_full ? antc_context_full : ir_finish_anthropic(f));
	if (w->has_stop_sequence)
		jw_name_esc(&j, "stop_sequence", buf_str(&w->stop_sequence));
	else
		jw_name_raw(&j, "stop_sequence", STR("null"));
	jw_name_raw(&j, "stop_details", STR("null"));
}

static int
antc_on_end(struct answer_writer *w)
{
	while (w->head != NULL) {
		w->head->stopped = true;
		antc_advance(w);
	}
	if (buf_error(&w->content) != 0)
		return buf_error(&w->content);
	if (w->o.stream) {
		antc_frame(w, "message_delta");
		(void)buf_addz(w->out, ",\"delta\":{");
		antc_stop_members(w, w->out);
		(void)buf_addz(w->out, "},\"usage\":");
		usage_write_anthropic(w->out, &w->usage, false);
		antc_frame_end(w);
		antc_frame(w, "message_stop");
		antc_frame_end(w);
		return 0;
	}
	antc_message_head(w);
	(void)buf_add_str(w->out, buf_str(&w->content));
	(void)buf_addz(w->out, "],");
	antc_stop_members(w, w->out);
	(void)buf_addz(w->out, ",\"usage\":");
	usage_write_anthropic(w->out, &w->usage, false);
	(void)buf_addc(w->out, '}');
	return 0;
}

static const char *
antc_error_type(int status)
{
	switch (status) {
	case 400:
		return "invalid_request_error";
	case 401:
		return "authentication_error";
	case 402:
		return "billing_error";
	case 403:
		return "permission_error";
	case 404:
		return "not_found_error";
	case 413:
		return "request_too_large";
	case 429:
		return "rate_limit_error";
	case 408:
	case 504:
		return "timeout_error";
	case 503:
	case 529:
		return "overloaded_error";
	default:
		return status >= 400 && status < 500 ? "invalid_request_error"
						     : "api_error";
	}
}

static void
antc_on_error(struct answer_writer *w, const struct ir_event *ev)
{
	struct jw j = {w->out, true};

	if (w->o.stream)
		antc_frame(w, "error");
	else
		(void)buf_addz(w->out, "{\"type\":\"error\"");
	jw_name_open(&j, "error", '{');
	jw_name_z(&j, "type", antc_error_type(ev->status));
	jw_name_esc(&j, "message",
	    ev->text.len > 0 ? ev->text : STR("The provider failed"));
	jw_close(&j, '}');
	if (w->o.stream)
		antc_frame_end(w);
	else
		jw_close(&j, '}');
}

static int
antc_on_start(struct answer_writer *w, const struct ir_event *ev)
{
	if (w->has_start)
		return 0;
	w->has_start = true;
	if (w->o.model.len > 0) {
		(void)buf_add_json(&w->model, w->o.model);
	} else {
		(void)buf_addc(&w->model, '"');
		(void)buf_add_str(&w->model, ev->model);
		(void)buf_addc(&w->model, '"');
	}
	return buf_error(&w->id) != 0 ? buf_error(&w->id)
				      : buf_error(&w->model);
}

static int
antc_dispatch(struct answer_writer *w, const struct ir_event *ev)
{
	struct antc_block *b;

	switch (ev->type) {
	case IR_EV_START:
		return antc_on_start(w, ev);
	case IR_EV_BLOCK_START:
		return antc_on_block(w, ev);
	case IR_EV_DELTA:
		return antc_on_delta(w, ev);
	case IR_EV_SIGNATURE:
		b = antc_find(w, ev->block);
		return b == NULL ? 0 : antc_hold(w, &b->sig, ev->text);
	case IR_EV_BLOCK_STOP:
		return antc_on_stop(w, ev);
	case IR_EV_FINISH:
		return antc_on_finish(w, ev);
	case IR_EV_USAGE:
		if (ev->usage != NULL)
			w->usage = *ev->usage;
		return 0;
	case IR_EV_ERROR:
		w->done = true;
		antc_on_error(w, ev);
		return 0;
	case IR_EV_END:
		w->done = true;
		return antc_on_end(w);
	default: /* log probabilities: there is no place */
		return 0;
	}
}

int
antc_event(struct answer_writer *w, const struct ir_event *ev)
{
	int rc;

	/* One choice; usage, errors and the end are of all. */
	if (w->done || (ev->choice != 0 && ev->type != IR_EV_USAGE &&
			   ev->type != IR_EV_ERROR && ev->type != IR_EV_END))
		return 0;
	/* Held back until more is known of usage, if that is next. */
	if (ev->type != IR_EV_START && ev->type != IR_EV_USAGE &&
	    ev->type != IR_EV_ERROR)
		antc_message_start(w);
	rc = antc_dispatch(w, ev);
	return rc != 0 ? rc : buf_error(w->out);
}
