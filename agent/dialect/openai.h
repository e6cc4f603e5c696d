/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAI dialect, towards clients and towards providers: what a request
 * asks for, how its body is forwarded, what an answer says about usage, and
 * how errors look. Bodies are never rebuilt: what was checked is forwarded
 * byte for byte, except the value of "model" and the switch that makes a
 * streaming provider report usage.
 *
 * Nothing here allocates or knows about sockets. Slices point into the body
 * that was scanned.
 */
#ifndef AGENT_DIALECT_OPENAI_H
#define AGENT_DIALECT_OPENAI_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/dialect/openai_same.h"
#include "agent/dialect/scan.h"
#include "agent/dialect/sse.h"
#include "agent/dialect/usage.h"
#include "agent/tokenizer/tokenizer.h"
#include "common/json.h"
#include "common/money.h"

#define OAI_MAX_N      128	       /* choices */
#define OAI_MAX_PARTS  8	       /* of a rewritten body */
#define OAI_MAX_TOKENS SCAN_MAX_TOKENS /* more is not believed */

/* Check and read the JSON body of one of OpenAI's operations. Errors (e->field
 * = parameter name or ""): ERR_INVALID, ERR_TOO_LARGE. The slices point into
 * body. */
int oai_request_scan(enum op op, struct str body, const struct json_limits *lim,
    struct scan *r, struct error *e) MUST_CHECK;
/* The same where the path may name the model, which then wins. */
int oai_request_scan_path(enum op op, struct str path_model, struct str body,
    const struct json_limits *lim, struct scan *r, struct error *e) MUST_CHECK;

/* The member of an operation's body that holds its prompt. */
const char *oai_prompt_name(enum op op);

/* The body as it goes upstream: at most OAI_MAX_PARTS slices of body,
 * model_json (a JSON string with quotes) and constants. force_usage: make the
 * provider report usage of a stream (chat and completions only). A body
 * without a model gets one. Returns the number of parts. */
unsigned oai_request_rewrite(const struct scan *r, struct str body,
    struct str model_json, bool force_usage, struct str parts[OAI_MAX_PARTS]);

/* What an answer says about itself. */
struct oai_answer {
	struct usage_state usage;
	bool has_choices;
	int64_t text_bytes; /* of generated text */
	char finish[24];    /* provider's word, "" = none */
};

/* How an operation's answers tell usage. */
enum usage_shape oai_usage_shape(enum op op);

/* Read a plain answer. ERR_INVALID when it is not a JSON object. */
int oai_answer_scan(enum op op, struct str body, const struct json_limits *lim,
    struct oai_answer *a) MUST_CHECK;

/* Estimating tokens of text (openai_count.c). Zeroed memory counts by the
 * default ratio. */
struct oai_count {
	struct token_counter counter;
	struct tokenizer_scratch *scratch; /* NULL when counter.exact is */
	size_t
	    left;  /* bytes that may still be counted exactly; then by ratio */
	int64_t n; /* tokens so far, without those of text */
	/* What was counted exactly, as a sample of what is not any more. */
	int64_t seen_bytes, seen_tokens;
	struct token_stream text; /* of deltas */
	/* JSON text of the latest deltas, counted when it is full: in one go
	 * that is twice as fast. */
	uint32_t n_raw;
	char raw[260]; /* with room for quotes at both ends */
};

/* Add the prompt of a request that was scanned: texts of messages or inputs,
 * definitions of tools, 3 tokens a message and 3 for the answer's head, 765 an
 * image or other medium. */
void oai_count_request(
    struct oai_count *c, const struct scan *r, struct str body);
/* Tokens of these that are not text: what oai_count_request() and
 * oai_count_ir() add for messages and the answer's head. */
int64_t oai_count_frame(const struct scan *r);
/* Add the input of Gemini's embedContent or batchEmbedContents: the texts of
 * its contents. */
void oai_count_gemini_embed(struct oai_count *c, struct str body);
/* Add the generated text of a plain answer that was scanned. */
void oai_count_answer(struct oai_count *c, struct str body);
/* Add a member of a delta, unless it is the role. */
void oai_count_delta(struct oai_count *c, struct str key, struct json v);
/* Add text given as content of a JSON string: of a stream, joined with what
 * came before, or a text by itself. */
void oai_count_text(struct oai_count *c, struct str esc);
void oai_count_whole(struct oai_count *c, struct str esc);
/* Add all strings below a JSON value. */
void oai_count_json(struct oai_count *c, struct json v);
/* Add the prompt of a request in neutral form, by the same rules. */
void oai_count_ir(struct oai_count *c, const struct ir_request *r);
/* Tokens so far; more may be added. */
int64_t oai_count_total(const struct oai_count *c);

/* A streamed answer while it is relayed. */
struct oai_stream {
	struct oai_answer sum;
	bool wants_usage;   /* the client asked for usage */
	bool done;	    /* [DONE] was seen: ignore the rest */
	bool ending;	    /* hold back everything from here on */
	bool error;	    /* an error event was relayed */
	bool finished;	    /* a finish reason was seen */
	bool bad_json;	    /* an event was not JSON */
	struct buf scratch; /* an edited event of several data lines */
	struct oai_same same;
	/* Set counter, scratch and left after oai_stream_begin() to have
	 * generated text counted exactly. */
	struct oai_count count;
};

/* max_event: limit in bytes of one event. Uses no memory yet. */
void oai_stream_init(struct oai_stream *s, size_t max_event);
void oai_stream_release(struct oai_stream *s);
/* A new stream begins; keeps memory. */
void oai_stream_begin(struct oai_stream *s, bool wants_usage);
/* Look at one event; what the client gets of it comes back as slices of the
 * event or of s, valid until the next event. Returns their number, 0 =
 * nothing. */
unsigned oai_stream_event(struct oai_stream *s, const struct sse_event *ev,
    const struct json_limits *lim, struct str parts[OAI_MAX_PARTS]);

/* Append {"error":{...}}. type and param may be NULL (type: by code; param:
 * null). extra: ready JSON members after code, with leading comma, or NULL. */
void oai_error_body(struct buf *out, int code, struct str message,
    const char *type, const char *param, const char *extra);
/* True when body is a JSON object with a member "error". */
bool oai_is_error(struct str body, const struct json_limits *lim);
/* error.code (or error.type) of such a body, cut to fit; "" when absent. */
void oai_error_code(struct str body, char *dst, size_t cap);

/* One entry of the model list. */
void oai_model_json(
    struct buf *out, struct str name, struct str owner, int64_t created_s);

#endif
