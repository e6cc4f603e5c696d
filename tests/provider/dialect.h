/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dialect of the simulator: how an answer that was planned (plan.h) is
 * written, plain and streamed, and in which words it refuses. How a stream
 * goes, what is billed and which fault strikes when is the same for all
 * (exchange.c).
 */
#ifndef TESTS_PROVIDER_DIALECT_H
#define TESTS_PROVIDER_DIALECT_H

#include "common/buf.h"
#include "common/str.h"

struct conn;
struct exchange;

enum speaker {
	SPEAK_OPENAI,
	SPEAK_AZURE,
	SPEAK_MISTRAL,
	SPEAK_VLLM,
	SPEAK_DEEPSEEK,
	SPEAK_ANTHROPIC,
	SPEAK_GEMINI,
	SPEAK_VERTEX,
	SPEAK_BEDROCK,
	SPEAK_COHERE,
	SPEAK_OLLAMA,
	SPEAK_COUNT
};
const char *speaker_name(enum speaker s); /* "openai", "anthropic" ... */

enum wire {
	WIRE_SSE,
	WIRE_NDJSON,
	WIRE_ARRAY, /* a JSON array, one element an event */
	WIRE_BINARY /* AWS event-stream frames */
};

/* Details of usage. What an answer does not tell is not billed apart either:
 * the caller could not know. */
enum {
	TELLS_CACHED = 1,
	TELLS_WRITES = 2,
	TELLS_TTL = 4, /* cache writes of 5 minutes and 1 hour apart */
	TELLS_REASONING = 8,
	TELLS_AUDIO = 16,
	TELLS_IMAGE = 32,
	TELLS_SEARCH = 64,
	TELLS_TOOL_USE = 128
};

/* Functions that write a piece of an answer append to out. SSE events end in
 * "\n\n", NDJSON and array elements in "\n"; frame.c does the rest. */
struct dialect {
	const char *op;		 /* of the bill: "chat", "messages" ... */
	const char *stream_type; /* content type of a stream */
	const char *plain_type;	 /* NULL = application/json */
	enum wire wire;
	bool tiered;	/* its answers name a service tier */
	unsigned tells; /* TELLS_*: what its usage splits out */
	void (*plain)(const struct exchange *x, struct buf *out);
	/* What comes before the content events. */
	void (*start)(struct exchange *x, struct buf *out);
	/* Content event number `at` of n_events. */
	void (*content)(struct exchange *x, int64_t at, struct buf *out);
	/* What comes after them: finish, usage, end. */
	void (*finish)(struct exchange *x, struct buf *out);
	/* A failure in mid-stream: server error, overloaded, throttled. */
	void (*error)(const struct exchange *x, int status, struct buf *out);
	/* May be NULL: further header lines of an answer. */
	void (*headers)(const struct exchange *x, struct buf *out);
	/* May be NULL: an event whose JSON ends too early. */
	void (*bad_json)(const struct exchange *x, struct buf *out);
	/* May be NULL: the answer is over and was billed. */
	void (*done)(struct conn *c);
};

extern const struct dialect chat_dialect, embed_dialect, completions_dialect,
    messages_dialect, generate_dialect, generate_array_dialect,
    gemini_embed_dialect, vertex_predict_dialect, converse_dialect,
    invoke_dialect, titan_dialect, invoke_cohere_dialect, responses_dialect,
    cohere_chat_dialect, cohere_embed_dialect, rerank_dialect, ollama_dialect,
    ollama_embed_dialect, moderations_dialect, images_dialect, edits_dialect,
    transcriptions_dialect, translations_dialect, speech_dialect;

enum problem {
	PROBLEM_INVALID,
	PROBLEM_UNKNOWN_FIELD,
	PROBLEM_MISSING,
	PROBLEM_CONTEXT,
	PROBLEM_UNSUPPORTED, /* a value that the model does not take */
	PROBLEM_NO_KEY,
	PROBLEM_BAD_KEY,
	PROBLEM_FORBIDDEN,
	PROBLEM_NO_MODEL,
	PROBLEM_NOT_FOUND,
	PROBLEM_TIMEOUT, /* 408 */
	PROBLEM_TOO_LARGE,
	PROBLEM_RATE,
	PROBLEM_QUOTA,
	PROBLEM_SERVER,
	PROBLEM_BAD_GATEWAY,
	PROBLEM_UNAVAILABLE,
	PROBLEM_GATEWAY_TIMEOUT,
	PROBLEM_OVERLOADED,
	PROBLEM_FILTERED, /* Azure: the prompt was filtered */
	PROBLEM_COUNT
};

/* Answer with an error in the words of the connection's dialect. param: the
 * field that is meant, or NULL; message NULL: that provider's usual text. */
void problem_reply(
    struct conn *c, enum problem p, const char *param, const char *message);
/* The error that a fault stands for; false: it is another kind of fault. */
bool problem_of_fault(int64_t fault, enum problem *ret);
/* 503 as an HTML page of something in front of the provider. */
void problem_reply_html(struct conn *c);
/* The same with a text that is put together. */
void problem_replyf(struct conn *c, enum problem p, const char *param,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
