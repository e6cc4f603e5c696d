/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer under way on a connection: which model, which knobs, how far it
 * got, and the bill row that it will become.
 */
#ifndef TESTS_PROVIDER_EXCHANGE_H
#define TESTS_PROVIDER_EXCHANGE_H

#include "tests/provider/bill.h"
#include "tests/provider/knobs.h"
#include "tests/provider/scan.h"

struct conn;

enum x_phase {
	X_IDLE,	  /* no answer under way */
	X_WAIT,	  /* until the time to first token is over */
	X_STREAM, /* events are being sent */
	X_STALL	  /* silent until the client leaves */
};

enum x_kind { X_CHAT, X_EMBED };

struct exchange {
	enum x_phase phase;
	enum x_kind kind;
	struct knobs k;
	struct bill_row row;
	bool stream, include_usage, obfuscation, base64, capped;
	int64_t n_choices, n_inputs, dimensions, tool_calls;
	int64_t prompt_tokens, cached_tokens, cache_write_tokens;
	int64_t completion_tokens; /* of all choices, with reasoning */
	int64_t reasoning_tokens;  /* of all choices */
	int64_t n_events;	   /* content events of the stream */
	int64_t step;		   /* 0 = nothing sent yet */
	uint64_t seed;
	int64_t created;
	char id[40];
	char tool_name[72];
	char prefix[256]; /* what every event of the stream begins with */
	size_t prefix_len;
};

/* The request has been read: begin its answer. */
void exchange_start(struct conn *c, enum x_kind kind, const struct sim_model *m,
    const struct scan *s, const struct knobs *k, struct str request_id,
    uint32_t attempt, uint64_t seed);
/* The timer fired, or `out` is empty and the answer is not over. */
void exchange_step(struct conn *c);
/* The connection ends while the answer is under way (the client left, or a
 * fault cut it): bill what was generated. */
void exchange_abort(struct conn *c, bool client_left);

/* chat.c, embed.c: the body of a plain answer, and the events of a stream
 * ("data: ...\n\n", whatever the framing knob says). */
void chat_prepare(struct exchange *x); /* fills prefix */
void chat_plain_body(const struct exchange *x, struct buf *out);
void chat_role_event(const struct exchange *x, struct buf *out);
void chat_content_event(
    const struct exchange *x, int64_t event, struct buf *out);
void chat_huge_event(const struct exchange *x, int64_t n, struct buf *out);
void chat_finish_events(const struct exchange *x, struct buf *out);
void chat_usage_event(const struct exchange *x, struct buf *out);
void embed_body(const struct exchange *x, struct buf *out);

#endif
