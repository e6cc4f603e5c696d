/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short words for the events of an answer, for tests of answer writers.
 */
#ifndef TESTS_UNIT_AGENT_ANSWER_SCRIPT_H
#define TESTS_UNIT_AGENT_ANSWER_SCRIPT_H

#include "agent/dialect/codec.h"
#include "tests/unit/support/unit.h"

struct script {
	const struct codec_client *c;
	struct answer_writer *w;
	struct buf out;
	struct ir_usage usage;
};

static inline void
script_begin(
    struct script *s, const struct codec_client *c, const struct answer_opts *o)
{
	memset(s, 0, sizeof(*s));
	s->c = c;
	buf_init(&s->out, (size_t)1 << 26);
	s->w = c->begin(o, &s->out);
	ck_assert_ptr_nonnull(s->w);
	s->usage.input_total = 20;
	s->usage.output_total = 10;
	s->usage.tokens.n[TC_INPUT] = 20;
	s->usage.tokens.n[TC_OUTPUT] = 10;
}

static inline void
script_event(struct script *s, struct ir_event ev)
{
	ck_assert_int_eq(s->c->event(s->w, &ev), 0);
}

#define SAY(s, ...) script_event(s, (struct ir_event){__VA_ARGS__})
#define START(s) \
	SAY(s, .type = IR_EV_START, .id = STR("up"), .model = STR("m-1"))
#define OPEN(s, b, p) SAY(s, .type = IR_EV_BLOCK_START, .block = b, .part = p)
#define CALL(s, b, i, n)                                                    \
	SAY(s, .type = IR_EV_BLOCK_START, .block = b, .part = IR_TOOL_CALL, \
	    .id = STR(i), .name = STR(n))
#define DELTA(s, b, p, t) \
	SAY(s, .type = IR_EV_DELTA, .block = b, .part = p, .text = STR(t))
#define SIGN(s, b, t) \
	SAY(s, .type = IR_EV_SIGNATURE, .block = b, .text = STR(t))
#define STOP(s, b) SAY(s, .type = IR_EV_BLOCK_STOP, .block = b)
#define FINISH(s, f)                                               \
	do {                                                       \
		SAY(s, .type = IR_EV_FINISH, .finish = f);         \
		SAY(s, .type = IR_EV_USAGE, .usage = &(s)->usage); \
		SAY(s, .type = IR_EV_END);                         \
	} while (0)

/* The output is this; everything is released. */
static inline void
script_end(struct script *s, const char *want)
{
	ck_assert_msg(str_eqz(buf_str(&s->out), want), "wrote\n%s\nnot\n%s",
	    buf_cstr(&s->out), want);
	s->c->free(s->w);
	buf_release(&s->out);
}

/* A plain answer must be JSON. */
static inline void
script_is_json(struct script *s)
{
	struct error e = {0};

	ck_assert_msg(json_validate(buf_str(&s->out), NULL, &e) == 0, "%s: %s",
	    e.text, buf_cstr(&s->out));
}

#endif
