/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codecs: for every dialect, how to read and write requests and answers in
 * the neutral form (ir.h). All are pure: bytes in, events or bytes out; any
 * split of the input gives the same output; memory is bounded by limits given
 * at the start.
 *
 *   client request  --codec_client.read-->    ir_request
 *   ir_request      --codec_provider.write--> provider request
 *   provider answer --codec_provider.reader-> ir_event ...
 *   ir_event ...    --codec_client.writer-->  client answer
 */
#ifndef AGENT_DIALECT_CODEC_H
#define AGENT_DIALECT_CODEC_H

#include "agent/dialect/carry.h"
#include "agent/dialect/ir.h"
#include "agent/dialect/usage.h"
#include "common/json.h"

/* ---- towards clients ---- */

/* What an answer writer may say. */
struct answer_opts {
	struct str model; /* plain: name that the client used */
	struct str id;	  /* plain: our request id, for ids we make up */
	int64_t created_s;
	bool stream, include_usage, show_thinking;
	bool json_array; /* Gemini: stream as a JSON array, not as SSE */
	/* Responses: the request is echoed in the answer. Lives as long as the
	 * writer. */
	const struct ir_request *request;
};

struct answer_writer; /* made by begin(), freed by free() */

struct codec_client {
	const char *name; /* "openai_chat" ... */
	/* Body (validated JSON) to neutral form. path_model: the model when it
	 * is in the path (Gemini), else "". Errors carry e->field in the
	 * client's words. ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. */
	int (*read)(struct str body, struct str path_model, bool path_stream,
	    struct ir_request *r, struct error *e);
	/* NULL without memory. out: where answer bytes are appended; the
	 * caller may drain it between calls. */
	struct answer_writer *(*begin)(
	    const struct answer_opts *o, struct buf *out);
	/* Take one event. Streams: frames are appended to out at once. Plain
	 * answers: the whole body is appended at IR_EV_END. 0 or ERR_*
	 * (ERR_TOO_LARGE: a plain answer above 64 MiB). */
	int (*event)(struct answer_writer *w, const struct ir_event *ev);
	void (*free)(struct answer_writer *w);
};
extern const struct codec_client codec_openai_chat_client;
extern const struct codec_client codec_responses_client;
extern const struct codec_client codec_anthropic_client;
extern const struct codec_client codec_gemini_client;

/* ---- towards providers ---- */

struct write_opts {
	enum carry_client client; /* whose words errors use */
	struct str model;	  /* plain: the provider's name of the model */
	int64_t max_output;	  /* cap that was reserved for; > 0 where the
				   * dialect must have one (Anthropic) */
	uint64_t quirks;	  /* QUIRK_*: what this provider rejects */
	bool lenient; /* drop what cannot be carried, do not refuse */
	struct carry_lost *lost; /* fields that were dropped are added here */
};

/* What an OpenAI-compatible provider does not take. */
#define QUIRK_NO_STREAM_OPTIONS	  (UINT64_C(1) << 0)
#define QUIRK_MAX_TOKENS	  (UINT64_C(1) << 1) /* not max_completion_tokens */
#define QUIRK_NO_DEVELOPER	  (UINT64_C(1) << 2) /* role system instead */
#define QUIRK_NO_PARALLEL	  (UINT64_C(1) << 3) /* parallel_tool_calls */
#define QUIRK_NO_JSON_SCHEMA	  (UINT64_C(1) << 4)
#define QUIRK_NO_SEED		  (UINT64_C(1) << 5)
#define QUIRK_NO_LOGPROBS	  (UINT64_C(1) << 6)
#define QUIRK_NO_REASONING_EFFORT (UINT64_C(1) << 7)
#define QUIRK_NO_SERVICE_TIER	  (UINT64_C(1) << 8)
#define QUIRK_NO_STRICT		  (UINT64_C(1) << 9)
#define QUIRK_NO_USER		  (UINT64_C(1) << 10)
#define QUIRK_NO_RESPONSES	  (UINT64_C(1) << 11) /* no /responses */
#define QUIRK_RANDOM_SEED	  (UINT64_C(1) << 12) /* Mistral's name of it */
/* Takes earlier thinking back as reasoning_content (DeepSeek, vLLM ...); OpenAI
 * itself refuses members that it does not know. */
#define QUIRK_REASONING_CONTENT (UINT64_C(1) << 13)

struct answer_reader; /* made by begin(), freed by free() */

struct codec_provider {
	const char *name; /* "openai_chat", "anthropic" ... */
	/* Neutral form to the provider's body, appended to out. ERR_INVALID
	 * with e->field (the client's words, ir_part.field or the carry
	 * table's) when something cannot be carried; ERR_NOMEM, ERR_TOO_LARGE
	 * from out. */
	int (*write)(const struct ir_request *r, const struct write_opts *o,
	    struct buf *out, struct error *e);
	/* max_event: bytes of one frame. NULL without memory. */
	struct answer_reader *(*begin)(
	    bool stream, size_t max_event, size_t max_plain);
	/* Raw bytes of a 2xx answer's body as they came. 0, the callback's
	 * value, ERR_INVALID (cannot be read), ERR_TOO_LARGE, ERR_NOMEM. A
	 * mid-stream error of the provider is an IR_EV_ERROR, not a return
	 * value. */
	int (*feed)(struct answer_reader *rd, const char *p, size_t n,
	    ir_event_fn *fn, void *ctx);
	/* The body ended. IR_EV_END is only sent when the answer was whole
	 * (terminal event, finish reason or usage seen); else ERR_INVALID.
	 * After an IR_EV_ERROR, which nothing but usage follows: 0, no END. */
	int (*finish)(struct answer_reader *rd, ir_event_fn *fn, void *ctx);
	/* Usage so far, for settlement at any moment. */
	const struct usage_state *(*usage)(const struct answer_reader *rd);
	void (*free)(struct answer_reader *rd);
};
extern const struct codec_provider codec_openai_chat_provider;
extern const struct codec_provider codec_anthropic_provider;
extern const struct codec_provider codec_gemini_provider;
extern const struct codec_provider codec_bedrock_provider;
extern const struct codec_provider codec_cohere_provider;
extern const struct codec_provider codec_ollama_provider;
/* Reads answers only (write is NULL): /responses goes to a provider either
 * unchanged or translated into one of the above. */
extern const struct codec_provider codec_responses_provider;

#endif
