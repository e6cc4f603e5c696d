/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat completions towards clients: streams, frame by frame. A choice opens
 * with its role, as OpenAI's does, together with the first thing it says. The
 * head that all chunks share is made once. Plain answers are collected and
 * written by openai_chat_client_plain.c.
 */
#include "agent/dialect/openai_chat_writer.h"

#include <stdlib.h>

/* Signed blocks that are told again; nobody thinks more often in a turn. */
#define OAICHAT_MAX_SIGNED 64

struct answer_writer *
oaichat_begin(const struct answer_opts *o, struct buf *out)
{
	struct answer_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->out = out;
	acc_init(&w->acc, ACC_MAX_BYTES);
	buf_init(&w->head, 1 << 16);
	buf_init(&w->model, 1 << 15);
	if (buf_add_escaped(&w->model, o->model) != 0) {
		oaichat_free(w);
		return NULL;
	}
	return w;
}

void
oaichat_free(struct answer_writer *w)
{
	if (w == NULL)
		return;
	acc_release(&w->acc);
	buf_release(&w->head);
	buf_release(&w->model);
	free(w);
}

void
oaichat_write_head(struct answer_writer *w, struct buf *out, const char *object)
{
	(void)buf_addz(out, "{\"id\":\"chatcmpl-");
	(void)buf_add_escaped(out, w->o.id);
	(void)buf_addz(out, "\",\"object\":\"");
	(void)buf_addz(out, object);
	(void)buf_addz(out, "\",\"created\":");
	(void)buf_add_i64(out, w->o.created_s);
	(void)buf_addz(out, ",\"model\":\"");
	(void)buf_add_str(out, buf_str(&w->model));
	(void)buf_addz(out, "\",\"choices\":[");
}

static void
oaichat_head(struct answer_writer *w)
{
	if (w->head.len == 0) {
		(void)buf_addz(&w->head, "data: ");
		oaichat_write_head(w, &w->head, "chat.completion.chunk");
	}
	(void)buf_add_str(w->out, buf_str(&w->head));
	if (buf_error(&w->head) != 0)
		w->out->error = buf_error(&w->head);
}

/* Up to the place where members of the delta go; chunk_end() is next. */
static void
oaichat_chunk(struct answer_writer *w, unsigned choice)
{
	oaichat_head(w);
	(void)buf_addz(w->out, "{\"index\":");
	(void)buf_add_i64(w->out, choice);
	(void)buf_addz(w->out, ",\"delta\":{");
}

static void
oaichat_chunk_end(
    struct answer_writer *w, struct str logprobs, const char *finish)
{
	(void)buf_addz(w->out, "},\"logprobs\":");
	if (logprobs.len > 0)
		(void)buf_add_str(w->out, logprobs);
	else
		(void)buf_addz(w->out, "null");
	(void)buf_addz(w->out, ",\"finish_reason\":");
	if (finish != NULL)
		(void)buf_addf(w->out, "\"%s\"", finish);
	else
		(void)buf_addz(w->out, "null");
	(void)buf_addz(
	    w->out, w->o.include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

/* A chunk whose delta has one string. */
static void
oaichat_say(
    struct answer_writer *w, unsigned choice, const char *key, struct str text)
{
	oaichat_chunk(w, choice);
	(void)buf_addc(w->out, '"');
	(void)buf_addz(w->out, key);
	(void)buf_addz(w->out, "\":\"");
	(void)buf_add_str(w->out, text);
	(void)buf_addc(w->out, '"');
	oaichat_chunk_end(w, STR_NULL, NULL);
}

/* The role, when it was not told yet: as members of a delta. */
static bool
oaichat_role(struct answer_writer *w, struct acc_choice *c, bool text)
{
	if (c->started)
		return false;
	c->started = true;
	(void)buf_addz(w->out,
	    text ? "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null"
		 : "\"role\":\"assistant\",\"content\":null,\"refusal\":null");
	return true;
}

static void
oaichat_stream_call(
    struct answer_writer *w, struct acc_choice *c, struct acc_block *b)
{
	oaichat_chunk(w, c->choice);
	if (oaichat_role(w, c, false))
		(void)buf_addc(w->out, ',');
	(void)buf_addf(
	    w->out, "\"tool_calls\":[{\"index\":%u,\"id\":\"", b->index);
	oaichat_write_id(w, w->out, b);
	(void)buf_addz(
	    w->out, "\",\"type\":\"function\",\"function\":{\"name\":\"");
	(void)buf_add_str(w->out, buf_str(&b->name));
	(void)buf_addz(w->out, "\",\"arguments\":\"\"}}]");
	oaichat_chunk_end(w, STR_NULL, NULL);
}

static void
oaichat_stream_args(
    struct answer_writer *w, struct acc_block *b, struct str text)
{
	oaichat_chunk(w, b->choice);
	(void)buf_addf(w->out,
	    "\"tool_calls\":[{\"index\":%u,"
	    "\"function\":{\"arguments\":\"",
	    b->index);
	(void)buf_add_str(w->out, text);
	(void)buf_addz(w->out, "\"}}]");
	oaichat_chunk_end(w, STR_NULL, NULL);
}

static void
oaichat_stream_start(
    struct answer_writer *w, struct acc_choice *c, struct acc_block *b)
{
	if (b->hidden)
		return;
	if (b->part == IR_TOOL_CALL) {
		oaichat_stream_call(w, c, b);
	} else if (!c->started) {
		oaichat_chunk(w, c->choice);
		(void)oaichat_role(w, c, true);
		oaichat_chunk_end(w, STR_NULL, NULL);
	}
}

static int
oaichat_stream_delta(
    struct answer_writer *w, struct acc_block *b, struct str text)
{
	if (text.len == 0)
		return 0;
	b->any = true;
	switch (b->part) {
	case IR_TEXT:
		oaichat_say(w, b->choice, "content", text);
		return 0;
	case IR_REFUSAL:
		oaichat_say(w, b->choice, "refusal", text);
		return 0;
	case IR_THINKING:
		oaichat_say(w, b->choice, "reasoning_content", text);
		return acc_add(&w->acc, &b->text, text);
	case IR_TOOL_CALL:
		oaichat_stream_args(w, b, text);
		return 0;
	default: /* media: written whole when the block stops */
		return acc_add(&w->acc, &b->text, text);
	}
}

static int
oaichat_stream_signature(
    struct answer_writer *w, struct acc_block *b, struct str text)
{
	switch (b->part) {
	case IR_THINKING:
		oaichat_say(w, b->choice, "reasoning_signature", text);
		return acc_add(&w->acc, &b->signature, text);
	case IR_TEXT:
		oaichat_chunk(w, b->choice);
		oaichat_write_extra(w->out, text);
		oaichat_chunk_end(w, STR_NULL, NULL);
		return 0;
	case IR_TOOL_CALL:
		oaichat_chunk(w, b->choice);
		(void)buf_addf(
		    w->out, "\"tool_calls\":[{\"index\":%u,", b->index);
		oaichat_write_extra(w->out, text);
		/* Vercel's AI SDK takes no piece of a call without it. */
		(void)buf_addz(w->out, ",\"function\":{\"arguments\":\"\"}}]");
		oaichat_chunk_end(w, STR_NULL, NULL);
		return 0;
	default: /* opaque data: written whole when the block stops */
		return acc_add(&w->acc, &b->signature, text);
	}
}

/* Signed thinking is told once more as a whole, with all that came before:
 * SDKs keep only the last value of members that they do not know, and what is
 * sent back must be exact. Returns true when the block is needed again. */
static bool
oaichat_stream_signed(struct answer_writer *w, const struct acc_block *b)
{
	if ((b->part != IR_THINKING && b->part != IR_REDACTED) || b->hidden ||
	    b->signature.len == 0 || w->acc.n_blocks > OAICHAT_MAX_SIGNED)
		return false;
	oaichat_chunk(w, b->choice);
	oaichat_write_thinking(w, b->choice);
	oaichat_chunk_end(w, STR_NULL, NULL);
	return true;
}

static void
oaichat_stream_stop(struct answer_writer *w, struct acc_block *b)
{
	if (b->part == IR_TOOL_CALL && !b->any)
		oaichat_stream_args(w, b, STR("{}"));
	if (b->part == IR_IMAGE || b->part == IR_AUDIO) {
		oaichat_chunk(w, b->choice);
		oaichat_write_media(w, w->out, b);
		oaichat_chunk_end(w, STR_NULL, NULL);
	}
	if (!oaichat_stream_signed(w, b))
		acc_drop(&w->acc, b);
}

static void
oaichat_stream_logprobs(
    struct answer_writer *w, const struct acc_block *b, struct str json)
{
	oaichat_chunk(w, b->choice);
	(void)buf_addz(
	    w->out, b->part == IR_REFUSAL
			? "},\"logprobs\":{\"content\":null,\"refusal\":"
			: "},\"logprobs\":{\"content\":");
	(void)buf_add_str(w->out, json);
	(void)buf_addz(
	    w->out, b->part == IR_REFUSAL
			? "},\"finish_reason\":null"
			: ",\"refusal\":null},\"finish_reason\":null");
	(void)buf_addz(
	    w->out, w->o.include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n");
}

static void
oaichat_stream_finish(struct answer_writer *w, struct acc_choice *c)
{
	oaichat_chunk(w, c->choice);
	(void)oaichat_role(w, c, true);
	oaichat_chunk_end(w, STR_NULL, oaichat_finish_word(c));
}

static void
oaichat_stream_end(struct answer_writer *w)
{
	if (w->o.include_usage && w->has_usage) {
		oaichat_head(w);
		(void)buf_addz(w->out, "],\"usage\":");
		usage_write_openai(w->out, &w->usage);
		oaichat_write_tier(w, w->out);
		(void)buf_addz(w->out, "}\n\n");
	}
	(void)buf_addz(w->out, "data: [DONE]\n\n");
}

/* ---- events ---- */

static int
oaichat_block_start(struct answer_writer *w, const struct ir_event *ev)
{
	struct acc_choice *c;
	struct acc_block *b;
	int rc = acc_choice(&w->acc, ev->choice, &c);

	if (rc == 0)
		rc = acc_open(&w->acc, ev, &b);
	if (rc != 0)
		return rc;
	b->hidden = (b->part == IR_THINKING || b->part == IR_REDACTED) &&
		    !w->o.show_thinking;
	if (b->part == IR_TOOL_CALL)
		b->index = c->n_calls++;
	if (b->part == IR_TEXT)
		c->has_text = true;
	if (w->o.stream)
		oaichat_stream_start(w, c, b);
	return 0;
}

static int
oaichat_block_event(struct answer_writer *w, const struct ir_event *ev)
{
	struct acc_block *b = acc_find(&w->acc, ev->choice, ev->block);
	bool stream = w->o.stream;

	if (b == NULL || !b->open)
		return ERR_INTERNAL;
	if (ev->type == IR_EV_BLOCK_STOP) {
		b->open = false;
		if (stream)
			oaichat_stream_stop(w, b);
		return 0;
	}
	if (b->hidden)
		return 0;
	switch (ev->type) {
	case IR_EV_DELTA:
		return stream ? oaichat_stream_delta(w, b, ev->text)
			      : acc_add(&w->acc, &b->text, ev->text);
	case IR_EV_SIGNATURE:
		return stream ? oaichat_stream_signature(w, b, ev->text)
			      : acc_add(&w->acc, &b->signature, ev->text);
	default:
		if (!stream)
			return acc_add_logprobs(&w->acc, b, ev->json);
		if (acc_elements(ev->json).len > 0)
			oaichat_stream_logprobs(w, b, ev->json);
		return 0;
	}
}

/* The answer is complete: also for a choice that nobody heard of again. */
static int
oaichat_end(struct answer_writer *w)
{
	struct acc_choice *c;
	unsigned i;
	int rc = 0;

	if (w->acc.n_choices == 0)
		rc = acc_choice(&w->acc, 0, &c);
	if (rc != 0)
		return rc;
	if (!w->o.stream) {
		oaichat_write_plain(w);
		return 0;
	}
	for (i = 0; i < w->acc.n_choices; i++) {
		if (!w->acc.choices[i].finished)
			oaichat_stream_finish(w, &w->acc.choices[i]);
	}
	oaichat_stream_end(w);
	return 0;
}

static int
oaichat_finish(struct answer_writer *w, const struct ir_event *ev)
{
	struct acc_choice *c;
	int rc = acc_choice(&w->acc, ev->choice, &c);

	if (rc != 0 || c->finished)
		return rc;
	c->finish = ev->finish;
	c->finished = true;
	if (w->o.stream)
		oaichat_stream_finish(w, c);
	return 0;
}

int
oaichat_event(struct answer_writer *w, const struct ir_event *ev)
{
	int rc = 0;

	if (w->done)
		return 0;
	switch (ev->type) {
	case IR_EV_START:
		if (ev->model.len > 0) {
			buf_clear(&w->model);
			rc = buf_add_str(&w->model, ev->model);
		}
		break;
	case IR_EV_BLOCK_START:
		rc = oaichat_block_start(w, ev);
		break;
	case IR_EV_DELTA:
	case IR_EV_SIGNATURE:
	case IR_EV_BLOCK_STOP:
	case IR_EV_LOGPROBS:
		rc = oaichat_block_event(w, ev);
		break;
	case IR_EV_FINISH:
		rc = oaichat_finish(w, ev);
		break;
	case IR_EV_USAGE:
		w->usage = *ev->usage;
		w->has_usage = true;
		break;
	case IR_EV_ERROR:
		w->done = true;
		oaichat_write_error(w, ev);
		break;
	case IR_EV_END:
		w->done = true;
		rc = oaichat_end(w);
		break;
	}
	return rc != 0 ? rc : buf_error(w->out);
}
