/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for clients from a script of neutral events, a line each, in the
 * words of codec_kit_line() (but part types are always named, and a call
 * without an id has "-" for it):
 *
 *   start <id> <model>            block <choice>.<block> <part>[ <id>[ <name>]]
 *   delta <choice>.<block> <text> sig <choice>.<block> <text>
 *   stop <choice>.<block>         logprobs <choice>.<block> <json>
 *   finish <choice> <finish> <native>[ <stop sequence>]
 *   usage <input_total> <output_total>
 *   error <status> <native> <text>                end
 *
 * A line that is none of these, or whose text is no content of a JSON string,
 * is passed over: fuzzers write scripts too.
 */
#ifndef TESTS_UNIT_AGENT_CLIENT_KIT_H
#define TESTS_UNIT_AGENT_CLIENT_KIT_H

#include <string.h>

#include "agent/dialect/codec.h"
#include "tests/unit/agent/codec_order.h"

static inline struct str
client_kit_word(struct str *rest)
{
	struct str word;

	(void)str_cut(*rest, ' ', &word, rest);
	return word;
}

static inline bool
client_kit_place(struct str *rest, struct ir_event *ev)
{
	struct str word = client_kit_word(rest), choice, block;
	uint64_t c, b;

	if (!str_cut(word, '.', &choice, &block) ||
	    str_to_u64(choice, &c) != 0 || str_to_u64(block, &b) != 0 ||
	    c > 200 || b > 100000)
		return false;
	ev->choice = (unsigned)c;
	ev->block = (unsigned)b;
	return true;
}

static inline int
client_kit_index(struct str word, const char *const *words, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (str_eqz(word, words[i]))
			return i;
	}
	return -1;
}

static inline bool
client_kit_block(struct str *rest, struct ir_event *ev)
{
	static const char *const parts[] = {"text", "image", "document",
	    "audio", "video", "call", "result", "thinking", "redacted",
	    "refusal"};
	int i;

	ev->type = IR_EV_BLOCK_START;
	if (!client_kit_place(rest, ev))
		return false;
	i = client_kit_index(client_kit_word(rest), parts, 10);
	if (i < 0)
		return false;
	ev->part = (enum ir_part_type)i;
	ev->id = client_kit_word(rest);
	if (str_eqz(ev->id, "-"))
		ev->id = STR_NULL;
	ev->name = *rest;
	return true;
}

static inline bool
client_kit_finish(struct str *rest, struct ir_event *ev)
{
	static const char *const words[] = {"none", "stop", "stop_sequence",
	    "length", "tool_calls", "content_filter", "pause", "other"};
	uint64_t c;
	int i;

	ev->type = IR_EV_FINISH;
	if (str_to_u64(client_kit_word(rest), &c) != 0 || c > 200)
		return false;
	ev->choice = (unsigned)c;
	i = client_kit_index(client_kit_word(rest), words, 8);
	if (i < 0)
		return false;
	ev->finish = (enum ir_finish)i;
	ev->native = client_kit_word(rest);
	if (rest->len > 0)
		ev->text = *rest;
	return true;
}

static inline bool
client_kit_usage(struct str *rest, struct ir_usage *u)
{
	uint64_t in, out;

	if (str_to_u64(client_kit_word(rest), &in) != 0 ||
	    str_to_u64(client_kit_word(rest), &out) != 0 ||
	    in > USAGE_MAX_TOKENS || out > USAGE_MAX_TOKENS)
		return false;
	memset(u, 0, sizeof(*u));
	u->input_total = u->tokens.n[TC_INPUT] = (int64_t)in;
	u->output_total = u->tokens.n[TC_OUTPUT] = (int64_t)out;
	return true;
}

static inline bool
client_kit_error(struct str *rest, struct ir_event *ev)
{
	uint64_t status;

	ev->type = IR_EV_ERROR;
	if (str_to_u64(client_kit_word(rest), &status) != 0 || status > 999)
		return false;
	ev->status = (int)status;
	ev->native = client_kit_word(rest);
	ev->text = *rest;
	return true;
}

/* One line; false when it is none. */
static inline bool
client_kit_line(struct str line, struct ir_event *ev, struct ir_usage *u)
{
	struct str word = client_kit_word(&line);

	memset(ev, 0, sizeof(*ev));
	if (str_eqz(word, "start")) {
		ev->type = IR_EV_START;
		ev->id = client_kit_word(&line);
		ev->model = line;
	} else if (str_eqz(word, "block")) {
		return client_kit_block(&line, ev);
	} else if (str_eqz(word, "delta") || str_eqz(word, "sig") ||
		   str_eqz(word, "stop")) {
		ev->type = str_eqz(word, "delta") ? IR_EV_DELTA
			   : str_eqz(word, "sig") ? IR_EV_SIGNATURE
						  : IR_EV_BLOCK_STOP;
		if (!client_kit_place(&line, ev))
			return false;
		ev->text = line;
	} else if (str_eqz(word, "logprobs")) {
		ev->type = IR_EV_LOGPROBS;
		if (!client_kit_place(&line, ev))
			return false;
		ev->json = line;
		return json_validate(line, NULL, NULL) == 0 &&
		       line.p[0] == '[' && line.p[line.len - 1] == ']';
	} else if (str_eqz(word, "finish")) {
		return client_kit_finish(&line, ev);
	} else if (str_eqz(word, "usage")) {
		ev->type = IR_EV_USAGE;
		ev->usage = u;
		return client_kit_usage(&line, u);
	} else if (str_eqz(word, "error")) {
		return client_kit_error(&line, ev);
	} else if (str_eqz(word, "end")) {
		ev->type = IR_EV_END;
	} else {
		return false;
	}
	return true;
}

/* Play a script as it is. Returns the writer's first error or 0. */
static inline int
client_kit_play_good(const struct codec_client *c, const struct answer_opts *o,
    struct str script, struct buf *out)
{
	struct answer_writer *w = c->begin(o, out);
	struct ir_usage usage = {0};
	struct ir_event ev;
	struct str line;
	int rc = 0;

	if (w == NULL)
		return ERR_NOMEM;
	while (script.len > 0 && rc == 0) {
		(void)str_cut(script, '\n', &line, &script);
		if (client_kit_line(line, &ev, &usage))
			rc = c->event(w, &ev);
	}
	c->free(w);
	return rc;
}

/* Play a script, without the lines whose text is none. */
static inline int
client_kit_play(const struct codec_client *c, const struct answer_opts *o,
    struct str script, struct buf *out)
{
	struct ir_usage usage = {0};
	struct ir_event ev;
	struct str rest = script, line;
	struct buf good;
	int rc;

	buf_init(&good, script.len + 1);
	while (rest.len > 0) {
		(void)str_cut(rest, '\n', &line, &rest);
		if (!client_kit_line(line, &ev, &usage) ||
		    !codec_order_is_esc(ev.text) ||
		    !codec_order_is_esc(ev.id) ||
		    !codec_order_is_esc(ev.name) ||
		    !codec_order_is_esc(ev.model))
			continue;
		(void)buf_add_str(&good, line);
		(void)buf_addc(&good, '\n');
	}
	rc = buf_error(&good);
	if (rc == 0)
		rc = client_kit_play_good(c, o, buf_str(&good), out);
	buf_release(&good);
	return rc;
}

#endif
