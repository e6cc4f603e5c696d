/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guarantees of ir.h about events, as a checker for unit tests and fuzz
 * targets: START first, END last, blocks numbered and closed, nothing but
 * usage after an error, text that is content of a JSON string.
 */
#ifndef TESTS_UNIT_AGENT_CODEC_ORDER_H
#define TESTS_UNIT_AGENT_CODEC_ORDER_H

#include <string.h>

#include "agent/dialect/ir.h"
#include "common/json.h"

#define CODEC_ORDER_CHOICES 130
#define CODEC_ORDER_BLOCKS  4096

/* Zeroed memory is the start of an answer. */
struct codec_order {
	bool started, ended, error;
	struct {
		unsigned n_blocks, n_open;
		bool finished;
	} choices[CODEC_ORDER_CHOICES];
	/* Part type + 1 of the open blocks of the first choices. */
	unsigned char open[8][CODEC_ORDER_BLOCKS];
};

/* Is it content of a JSON string? */
static inline bool
codec_order_is_esc(struct str s)
{
	struct json_limits lim = {s.len + 2, 1, 1};
	struct buf b;
	bool ok;

	if (s.len == 0)
		return true;
	buf_init(&b, s.len + 2);
	(void)buf_addc(&b, '"');
	(void)buf_add_str(&b, s);
	(void)buf_addc(&b, '"');
	ok = buf_error(&b) == 0 && json_validate(buf_str(&b), &lim, NULL) == 0;
	buf_release(&b);
	return ok;
}

static inline const char *
codec_order_block(struct codec_order *o, const struct ir_event *ev)
{
	unsigned char *open = NULL;

	if (ev->choice >= CODEC_ORDER_CHOICES)
		return "choice above the limit";
	if (o->choices[ev->choice].finished)
		return "block event after finish";
	if (ev->choice < 8 && ev->block < CODEC_ORDER_BLOCKS)
		open = &o->open[ev->choice][ev->block];
	if (ev->type == IR_EV_BLOCK_START) {
		if (ev->block != o->choices[ev->choice].n_blocks)
			return "blocks are not numbered in order";
		o->choices[ev->choice].n_blocks++;
		o->choices[ev->choice].n_open++;
		if (open != NULL)
			*open = (unsigned char)(ev->part + 1);
		return NULL;
	}
	if (ev->block >= o->choices[ev->choice].n_blocks)
		return "block was not started";
	if (open != NULL && *open == 0)
		return "block is not open";
	if (open != NULL && ev->type == IR_EV_DELTA &&
	    *open != (unsigned char)(ev->part + 1))
		return "delta of another part type than its block";
	if (ev->type == IR_EV_BLOCK_STOP) {
		o->choices[ev->choice].n_open--;
		if (open != NULL)
			*open = 0;
	}
	return NULL;
}

static inline const char *
codec_order_phase(struct codec_order *o, const struct ir_event *ev)
{
	if (o->ended)
		return "event after END";
	if (o->error && ev->type != IR_EV_USAGE)
		return "event after ERROR";
	if (ev->type == IR_EV_START && o->started)
		return "second START";
	if (ev->type == IR_EV_START)
		o->started = true;
	if (!o->started && ev->type != IR_EV_ERROR)
		return "event before START";
	return NULL;
}

/* NULL, or what is wrong with this event. */
static inline const char *
codec_order_event(struct codec_order *o, const struct ir_event *ev)
{
	const char *bad = codec_order_phase(o, ev);
	unsigned i;

	if (bad != NULL)
		return bad;
	if (!codec_order_is_esc(ev->text) || !codec_order_is_esc(ev->id) ||
	    !codec_order_is_esc(ev->name) || !codec_order_is_esc(ev->model))
		return "text is no content of a JSON string";
	switch (ev->type) {
	case IR_EV_BLOCK_START:
	case IR_EV_DELTA:
	case IR_EV_SIGNATURE:
	case IR_EV_BLOCK_STOP:
	case IR_EV_LOGPROBS:
		return codec_order_block(o, ev);
	case IR_EV_FINISH:
		if (ev->choice >= CODEC_ORDER_CHOICES)
			return "choice above the limit";
		if (o->choices[ev->choice].finished)
			return "second FINISH";
		if (o->choices[ev->choice].n_open != 0)
			return "FINISH with an open block";
		o->choices[ev->choice].finished = true;
		return NULL;
	case IR_EV_USAGE:
		return ev->usage != NULL ? NULL : "USAGE without usage";
	case IR_EV_ERROR:
		o->error = true;
		return ev->status >= 400 ? NULL : "ERROR without a status";
	case IR_EV_END:
		o->ended = true;
		for (i = 0; i < CODEC_ORDER_CHOICES; i++) {
			if (o->choices[i].n_open != 0)
				return "END with an open block";
		}
		return NULL;
	default:
		return NULL;
	}
}

#endif
