/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses towards clients: the sequence of frames of a stream. Each block of
 * the answer becomes one item; its text is kept, because the frames that close
 * it, and the last frame of the stream, tell it again.
 */
#include <stdlib.h>

#include "agent/dialect/responses_writer.h"

struct answer_writer *
rspc_begin(const struct answer_opts *o, struct buf *out)
{
	struct answer_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->out = out;
	acc_init(&w->acc, ACC_MAX_BYTES);
	buf_init(&w->model, 1 << 15);
	if (buf_add_escaped(&w->model, o->model) != 0) {
		rspc_free(w);
		return NULL;
	}
	return w;
}

void
rspc_free(struct answer_writer *w)
{
	if (w == NULL)
		return;
	acc_release(&w->acc);
	buf_release(&w->model);
	free(w);
}

/* ---- frames ---- */

static void
rspc_frame(struct answer_writer *w, const char *type)
{
	(void)buf_addz(w->out, "event: ");
	(void)buf_addz(w->out, type);
	(void)buf_addz(w->out, "\ndata: {\"type\":\"");
	(void)buf_addz(w->out, type);
	(void)buf_addz(w->out, "\",\"sequence_number\":");
	(void)buf_add_i64(w->out, w->sequence++);
}

static void
rspc_frame_end(struct answer_writer *w)
{
	(void)buf_addz(w->out, "}\n\n");
}

/* A frame about the item of a block, up to where its own members go. */
static void
rspc_item_frame(
    struct answer_writer *w, const char *type, const struct acc_block *b)
{
	rspc_frame(w, type);
	(void)buf_addz(w->out, ",\"item_id\":\"");
	rspc_write_id(w, w->out, b);
	(void)buf_addz(w->out, "\",\"output_index\":");
	(void)buf_add_i64(w->out, b->index);
}

/* ,"name":"text" */
static void
rspc_member(struct answer_writer *w, const char *name, struct str text)
{
	(void)buf_addz(w->out, ",\"");
	(void)buf_addz(w->out, name);
	(void)buf_addz(w->out, "\":\"");
	(void)buf_add_str(w->out, text);
	(void)buf_addc(w->out, '"');
}

static void
rspc_response_frame(
    struct answer_writer *w, const char *type, enum rspc_status status)
{
	rspc_frame(w, type);
	(void)buf_addz(w->out, ",\"response\":");
	rspc_write_response(w, w->out, status);
	rspc_frame_end(w);
}

static void
rspc_part_frame(struct answer_writer *w, const struct acc_block *b, bool done)
{
	rspc_item_frame(w,
	    done ? "response.content_part.done" : "response.content_part.added",
	    b);
	(void)buf_addz(w->out, ",\"content_index\":0,\"part\":");
	rspc_write_part(w->out, b, done);
	rspc_frame_end(w);
}

static void
rspc_summary_frame(
    struct answer_writer *w, const struct acc_block *b, bool done)
{
	rspc_item_frame(w,
	    done ? "response.reasoning_summary_part.done"
		 : "response.reasoning_summary_part.added",
	    b);
	(void)buf_addz(w->out, ",\"summary_index\":0,\"part\":"
			       "{\"type\":\"summary_text\",\"text\":\"");
	if (done)
		(void)buf_add_str(w->out, buf_str(&b->text));
	(void)buf_addz(w->out, "\"}");
	rspc_frame_end(w);
}

static void
rspc_added_frame(struct answer_writer *w, const struct acc_block *b, bool done)
{
	rspc_frame(w,
	    done ? "response.output_item.done" : "response.output_item.added");
	(void)buf_addz(w->out, ",\"output_index\":");
	(void)buf_add_i64(w->out, b->index);
	(void)buf_addz(w->out, ",\"item\":");
	rspc_write_item(w, w->out, b, done);
	rspc_frame_end(w);
}

/* ---- blocks of a stream ---- */

static void
rspc_stream_start(struct answer_writer *w, struct acc_block *b)
{
	rspc_added_frame(w, b, false);
	if (b->part == IR_TEXT || b->part == IR_REFUSAL)
		rspc_part_frame(w, b, false);
}

static void
rspc_stream_delta(struct answer_writer *w, struct acc_block *b, struct str text)
{
	switch (b->part) {
	case IR_TEXT:
		rspc_item_frame(w, "response.output_text.delta", b);
		(void)buf_addz(w->out, ",\"content_index\":0,\"logprobs\":[]");
		break;
	case IR_REFUSAL:
		rspc_item_frame(w, "response.refusal.delta", b);
		(void)buf_addz(w->out, ",\"content_index\":0");
		break;
	case IR_TOOL_CALL:
		rspc_item_frame(w, "response.function_call_arguments.delta", b);
		break;
	case IR_THINKING:
		if (!b->any)
			rspc_summary_frame(w, b, false);
		b->any = true;
		rspc_item_frame(w, "response.reasoning_summary_text.delta", b);
		(void)buf_addz(w->out, ",\"summary_index\":0");
		break;
	default:
		return;
	}
	rspc_member(w, "delta", text);
	rspc_frame_end(w);
}

static void
rspc_stream_logprobs(
    struct answer_writer *w, struct acc_block *b, struct str json)
{
	if (b->part != IR_TEXT || acc_elements(json).len == 0)
		return;
	rspc_item_frame(w, "response.output_text.delta", b);
	(void)buf_addz(
	    w->out, ",\"content_index\":0,\"delta\":\"\",\"logprobs\":");
	rspc_write_logprobs(w->out, acc_elements(json));
	rspc_frame_end(w);
}

static void
rspc_stream_stop(struct answer_writer *w, struct acc_block *b)
{
	struct str text = buf_str(&b->text);

	switch (b->part) {
	case IR_TEXT:
		rspc_item_frame(w, "response.output_text.done", b);
		(void)buf_addz(w->out, ",\"content_index\":0,\"logprobs\":");
		rspc_write_logprobs(w->out, buf_str(&b->logprobs));
		rspc_member(w, "text", text);
		rspc_frame_end(w);
		rspc_part_frame(w, b, true);
		break;
	case IR_REFUSAL:
		rspc_item_frame(w, "response.refusal.done", b);
		(void)buf_addz(w->out, ",\"content_index\":0");
		rspc_member(w, "refusal", text);
		rspc_frame_end(w);
		rspc_part_frame(w, b, true);
		break;
	case IR_TOOL_CALL:
		rspc_item_frame(w, "response.function_call_arguments.done", b);
		rspc_member(w, "arguments", text);
		rspc_member(w, "name", buf_str(&b->name));
		rspc_frame_end(w);
		break;
	case IR_THINKING:
		if (!b->any)
			break;
		rspc_item_frame(w, "response.reasoning_summary_text.done", b);
		(void)buf_addz(w->out, ",\"summary_index\":0");
		rspc_member(w, "text", text);
		rspc_frame_end(w);
		rspc_summary_frame(w, b, true);
		break;
	default:
		break;
	}
	rspc_added_frame(w, b, true);
}

/* ---- events ---- */

static void
rspc_start(struct answer_writer *w)
{
	if (w->started || !w->o.stream)
		return;
	w->started = true;
	rspc_response_frame(w, "response.created", RSPC_IN_PROGRESS);
	rspc_response_frame(w, "response.in_progress", RSPC_IN_PROGRESS);
}

static int
rspc_block_start(struct answer_writer *w, const struct ir_event *ev)
{
	struct acc_block *b;
	int rc;

	rspc_start(w);
	rc = acc_open(&w->acc, ev, &b);
	if (rc != 0)
		return rc;
	/* The dialect has one choice, and no audio. */
	b->hidden = ev->choice != 0 || b->part == IR_AUDIO ||
		    ((b->part == IR_THINKING || b->part == IR_REDACTED) &&
			!w->o.show_thinking);
	if (b->hidden)
		return 0;
	b->index = w->n_items++;
	if (w->o.stream)
		rspc_stream_start(w, b);
	return 0;
}

static int
rspc_delta(struct answer_writer *w, struct acc_block *b, struct str text)
{
	int rc;

	if (text.len == 0)
		return 0;
	rc = acc_add(&w->acc, &b->text, text);
	if (rc == 0 && w->o.stream)
		rspc_stream_delta(w, b, text);
	return rc;
}

static int
rspc_stop(struct answer_writer *w, struct acc_block *b)
{
	int rc = 0;

	b->open = false;
	if (b->part == IR_TOOL_CALL && b->text.len == 0)
		rc = rspc_delta(w, b, STR("{}"));
	if (rc == 0 && w->o.stream)
		rspc_stream_stop(w, b);
	return rc;
}

static int
rspc_block_event(struct answer_writer *w, const struct ir_event *ev)
{
	struct acc_block *b = acc_find(&w->acc, ev->choice, ev->block);
	int rc = 0;

	if (b == NULL || !b->open)
		return ERR_INTERNAL;
	if (b->hidden) {
		b->open = ev->type != IR_EV_BLOCK_STOP;
		return 0;
	}
	switch (ev->type) {
	case IR_EV_DELTA:
		return rspc_delta(w, b, ev->text);
	case IR_EV_SIGNATURE:
		return acc_add(&w->acc, &b->signature, ev->text);
	case IR_EV_LOGPROBS:
		rc = acc_add_logprobs(&w->acc, b, ev->json);
		if (rc == 0 && w->o.stream)
			rspc_stream_logprobs(w, b, ev->json);
		return rc;
	default:
		return rspc_stop(w, b);
	}
}

static int
rspc_close_all(struct answer_writer *w)
{
	unsigned i;
	int rc = 0;

	for (i = 0; rc == 0 && i < w->acc.n_blocks; i++) {
		struct acc_block *b = w->acc.blocks[i];

		if (b->open && !b->hidden)
			rc = rspc_stop(w, b);
	}
	return rc;
}

static int
rspc_end(struct answer_writer *w)
{
	bool cut = w->finish == IR_FINISH_LENGTH ||
		   w->finish == IR_FINISH_CONTENT_FILTER;
	enum rspc_status status = cut ? RSPC_INCOMPLETE : RSPC_COMPLETED;
	int rc;

	rspc_start(w);
	rc = rspc_close_all(w);
	if (rc != 0)
		return rc;
	if (w->o.stream)
		rspc_response_frame(w,
		    cut ? "response.incomplete" : "response.completed", status);
	else
		rspc_write_response(w, w->out, status);
	return 0;
}

static void
rspc_error_members(struct answer_writer *w, const struct ir_event *ev)
{
	(void)buf_addf(w->out, "\"code\":\"%s\"", rspc_error_code(ev));
	rspc_member(w, "message", ev->text);
	(void)buf_addz(w->out, ",\"param\":null");
}

/* SDKs raise on the frame "error"; those that read on find the response
 * failed. */
static void
rspc_error(struct answer_writer *w, const struct ir_event *ev)
{
	if (!w->o.stream) {
		(void)buf_addz(w->out, "{\"error\":{");
		rspc_error_members(w, ev);
		(void)buf_addz(
		    w->out, ev->status >= 400 && ev->status < 500
				? ",\"type\":\"invalid_request_error\"}}"
				: ",\"type\":\"server_error\"}}");
		return;
	}
	rspc_start(w);
	rspc_frame(w, "error");
	(void)buf_addc(w->out, ',');
	rspc_error_members(w, ev);
	rspc_frame_end(w);
	w->error = ev;
	rspc_response_frame(w, "response.failed", RSPC_FAILED);
	w->error = NULL;
}

int
rspc_event(struct answer_writer *w, const struct ir_event *ev)
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
		if (rc == 0)
			rspc_start(w);
		break;
	case IR_EV_BLOCK_START:
		rc = rspc_block_start(w, ev);
		break;
	case IR_EV_DELTA:
	case IR_EV_SIGNATURE:
	case IR_EV_BLOCK_STOP:
	case IR_EV_LOGPROBS:
		rc = rspc_block_event(w, ev);
		break;
	case IR_EV_FINISH:
		if (ev->choice == 0)
			w->finish = ev->finish;
		break;
	case IR_EV_USAGE:
		w->usage = *ev->usage;
		w->has_usage = true;
		break;
	case IR_EV_ERROR:
		w->done = true;
		rspc_error(w, ev);
		break;
	case IR_EV_END:
		w->done = true;
		rc = rspc_end(w);
		break;
	}
	return rc != 0 ? rc : buf_error(w->out);
}
