/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer under way on a connection: which dialect, model and knobs, how
 * far it got, and the bill row that it will become.
 */
#ifndef TESTS_PROVIDER_EXCHANGE_H
#define TESTS_PROVIDER_EXCHANGE_H

#include "tests/provider/bill.h"
#include "tests/provider/dialect.h"
#include "tests/provider/knobs.h"
#include "tests/provider/plan.h"
#include "tests/provider/scan.h"

struct conn;
struct http_request;

enum x_phase {
	X_IDLE,	  /* no answer under way */
	X_WAIT,	  /* until the time to first token is over */
	X_STREAM, /* events are being sent */
	X_STALL	  /* silent until the client leaves */
};

struct exchange {
	enum x_phase phase;
	const struct dialect *d;
	enum speaker speaker;
	struct knobs k;
	struct bill_row row;
	bool stream, include_usage, obfuscation, base64, capped;
	bool continuous_usage, blocked, show_thinking, wants_signatures,
	    summaries, partial_args;
	bool tells_reasoning;
	bool by_units;	  /* paid by units, not by tokens */
	const char *type; /* of a plain answer, NULL = the dialect's */
	bool final;	  /* usage being written is the last one */
	bool told;	  /* events with something in them were written */
	bool spoiling;	  /* the event being written is to be spoilt */
	bool stalled;	  /* the stall of the fault is over, or on */
	int64_t n_choices, n_inputs, dimensions;
	unsigned forms; /* of embeddings: bits of enum embed_form */
	int64_t prompt_tokens, cached_tokens, cache_write_tokens,
	    cache_write_1h_tokens, audio_in_tokens, image_in_tokens,
	    tool_use_tokens;	   /* beside the prompt, billed as input */
	int64_t completion_tokens; /* of all choices, with reasoning */
	int64_t reasoning_tokens;  /* of all choices */
	int64_t audio_out_tokens, image_out_tokens, rejected_tokens;
	int64_t units[SIM_CLASSES]; /* web_search, images ... */
	int64_t n_events;	    /* content events of the stream */
	int64_t step;		    /* 0 = nothing sent yet */
	int64_t sequence;	    /* Responses: of the next event */
	int64_t top_logprobs;	    /* -1 = no log probabilities */
	int64_t n_frames;	    /* events that were framed */
	uint64_t seed;
	int64_t created;
	char stop[32]; /* sequence that ends it, or "" */
	char id[40];
	struct plan plan;
	struct buf blob;     /* what the plan's slices point into */
	struct json_t *echo; /* what the answer repeats of the request */
	char prefix[256];    /* what every event of the stream begins with */
	size_t prefix_len;
};

/* The request has been read: begin its answer. The tier may be NULL. s and
 * echo are used until the call returns; echo (may be NULL) is then owned. */
void exchange_start(struct conn *c, const struct dialect *d,
    const struct sim_model *m, const struct scan *s, const struct knobs *k,
    const struct http_request *r, struct json_t *echo);
/* The timer fired, or `out` is empty and the answer is not over. */
void exchange_step(struct conn *c);
/* The connection ends while the answer is under way (the client left, or a
 * fault cut it): bill what was generated. */
void exchange_abort(struct conn *c, bool client_left);
void exchange_release(struct exchange *x);
/* For fault.c: take the row down with `generated` completion tokens; and the
 * answer is over. */
void exchange_bill(
    struct conn *c, int64_t generated, bool disconnected, int status);
void exchange_finish(struct conn *c);

/* For the dialects. */
/* How often the usage is told at the end: 0, 1 or 2. */
int exchange_usage_times(const struct exchange *x);
/* Running totals are told with content event `at`. */
bool exchange_usage_runs(const struct exchange *x, int64_t at);
/* Counts as an answer tells them: 0 where the fault says so; `generated` so
 * far for running totals. */
struct usage {
	int64_t prompt, cached, write_5m, write_1h, audio_in, image_in;
	int64_t completion, reasoning, audio_out, image_out, rejected;
	int64_t web_search, tool_use;
};
struct usage exchange_usage(const struct exchange *x);
int64_t exchange_generated(const struct exchange *x);
static inline bool
exchange_fault_is(const struct exchange *x, enum fault f)
{
	return x->k.fault == (int64_t)f;
}
static inline int64_t
knob_or(int64_t knob, int64_t def)
{
	return knob >= 0 ? knob : def;
}
/* The finish reason, before a dialect words it. */
enum finish {
	FINISH_STOP,
	FINISH_LENGTH,
	FINISH_CALLS,
	FINISH_REFUSAL,
	FINISH_FILTER,
	FINISH_SEQUENCE
};
enum finish exchange_finish_reason(const struct exchange *x);

#endif
