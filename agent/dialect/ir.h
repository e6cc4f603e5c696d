/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neutral form between dialects: what a request for a generation asks
 * for, and the events that an answer consists of. A reader of one dialect
 * makes it, a writer of another one consumes it; no reader knows a writer.
 *
 * Text is kept as the CONTENT OF A JSON STRING (escaped, without its quotes):
 * every dialect is JSON, so text goes from one document to the other without
 * being unescaped and escaped again. Such members are marked "esc". Members
 * marked "json" are complete JSON values. Numbers that are only passed on are
 * kept as their JSON text, so that 0.1 stays 0.1. All slices point into the
 * body that was read, into constants, or into the arena.
 *
 * Nothing here knows about sockets, keys or money. Single-threaded.
 */
#ifndef AGENT_DIALECT_IR_H
#define AGENT_DIALECT_IR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/money.h"

#define IR_MAX_MESSAGES 4096
#define IR_MAX_PARTS	16384 /* of one request */
#define IR_MAX_TOOLS	1024
#define IR_MAX_STOPS	64
#define IR_MAX_OTHERS	1024 /* more are not noted */

/* ---- requests ---- */

enum ir_role { IR_SYSTEM, IR_DEVELOPER, IR_USER, IR_ASSISTANT };

enum ir_part_type {
	IR_TEXT,	/* text */
	IR_IMAGE,	/* media */
	IR_DOCUMENT,	/* media */
	IR_AUDIO,	/* media */
	IR_VIDEO,	/* media */
	IR_TOOL_CALL,	/* assistant: id, name, args */
	IR_TOOL_RESULT, /* user: id, name, parts, is_error */
	IR_THINKING,	/* assistant: text, signature */
	IR_REDACTED,	/* assistant: signature = opaque data */
	IR_REFUSAL	/* assistant: text */
};

enum ir_cache { IR_CACHE_NONE, IR_CACHE_5M, IR_CACHE_1H };

struct ir_part {
	struct ir_part *next;
	enum ir_part_type type;
	enum ir_cache cache; /* a cache break point behind this part */
	struct str text;     /* esc */
	/* esc: proof that belongs to the part, opaque. Anthropic: of thinking;
	 * Gemini: thoughtSignature of any part; Bedrock: as Anthropic. */
	struct str signature;
	struct str id;	 /* esc: of the call, "" = the dialect has none */
	struct str name; /* esc: of the called tool; of a result if known */
	struct str args; /* json: an object */
	bool is_error;	 /* result */
	struct ir_part *parts; /* of a result: TEXT, IMAGE, DOCUMENT */
	/* Result content that is a JSON object (Gemini): json, else "". */
	struct str result_json;
	/* Media: exactly one of data, url, file_id. */
	struct str mime;     /* esc, "image/png"; "" = not told */
	struct str data;     /* esc: base64, standard alphabet */
	struct str url;	     /* esc */
	struct str file_id;  /* esc: a file kept by the provider */
	struct str filename; /* esc, or "" */
	struct str detail;   /* esc: "low", "high", "auto" or "" */
	/* Where it came from, for error texts: "messages[3].content[0]".
	 * NUL-ended in the arena, or NULL. */
	const char *field;
	struct ir_part *last_part; /* ir.c: the tail of parts */
};

struct ir_message {
	struct ir_message *next;
	enum ir_role role;
	struct ir_part *parts;
	struct str name;	   /* esc: of the speaker, or "" */
	struct ir_part *last_part; /* ir.c: the tail of parts */
};

struct ir_tool {
	struct ir_tool *next;
	struct str name;	/* esc */
	struct str description; /* esc, or "" */
	struct str schema; /* json: JSON schema object, "" = no arguments */
	int strict;	   /* 1, 0, -1 = not told */
	bool eager;	   /* stream arguments before they are checked */
	enum ir_cache cache;
};

enum ir_choice {
	IR_CHOICE_UNSET,
	IR_CHOICE_AUTO,
	IR_CHOICE_NONE,
	IR_CHOICE_ANY,
	IR_CHOICE_TOOL
};
enum ir_format {
	IR_FORMAT_UNSET,
	IR_FORMAT_TEXT,
	IR_FORMAT_JSON,
	IR_FORMAT_SCHEMA
};
/* Order matters: more is more. */
enum ir_effort {
	IR_EFFORT_UNSET,
	IR_EFFORT_NONE,
	IR_EFFORT_MINIMAL,
	IR_EFFORT_LOW,
	IR_EFFORT_MEDIUM,
	IR_EFFORT_HIGH,
	IR_EFFORT_XHIGH,
	IR_EFFORT_MAX
};

struct ir_request {
	struct arena *arena;
	struct str model; /* esc: as the client named it */
	bool stream;
	bool include_usage; /* OpenAI chat: the client wants the usage chunk */
	/* System and developer text in the order of the conversation; most
	 * dialects have one place for both (ir_first_system() helps). */
	struct ir_message *messages;
	unsigned n_messages, n_parts;
	struct ir_tool *tools;
	unsigned n_tools;
	enum ir_choice choice;
	struct str choice_name; /* esc: of IR_CHOICE_TOOL */
	int parallel;		/* parallel tool calls: 1, 0, -1 = not told */
	int64_t max_output;	/* -1 = not told */
	int64_t n;		/* choices, 1 */
	/* JSON numbers, "" = not told. */
	struct str temperature, top_p, top_k, frequency_penalty,
	    presence_penalty, seed;
	struct str stops[IR_MAX_STOPS]; /* esc */
	unsigned n_stops;
	enum ir_format format;
	struct str format_name, format_description; /* esc */
	struct str format_schema;		    /* json */
	int format_strict;			    /* 1, 0, -1 */
	enum ir_effort effort;
	int64_t thinking_budget; /* tokens; -1 = not told, 0 = off */
	bool show_thinking;	 /* the client wants thinking in the answer */
	struct str summary;	 /* esc: reasoning.summary of Responses */
	bool logprobs;
	int64_t top_logprobs;	 /* -1 = not told */
	struct str user;	 /* esc: the caller's end-user id */
	struct str metadata;	 /* json object, OpenAI */
	struct str service_tier; /* esc, the client dialect's word */
	struct str verbosity;	 /* esc, OpenAI */
	struct str safety;	 /* json: Gemini safetySettings */
	struct str logit_bias;	 /* json: OpenAI */
	/* Fields of the client's request that the neutral form has no place
	 * for, in order: names as the client wrote them ("store",
	 * "generationConfig.speechConfig"). NUL-ended. Only what asks for
	 * something: null, and values equal to the default, do not count. */
	const char *const *others;
	unsigned n_others;
	/* ir.c: tails, room in others, calls by id. */
	struct ir_message *last_message;
	struct ir_tool *last_tool;
	const char **other_slots;
	unsigned n_other_slots;
	struct ir_calls *calls;
};

/* ---- answers ---- */

enum ir_finish {
	IR_FINISH_NONE,
	IR_FINISH_STOP,
	IR_FINISH_STOP_SEQUENCE,
	IR_FINISH_LENGTH,
	IR_FINISH_TOOL_CALLS,
	IR_FINISH_CONTENT_FILTER, /* refusal, safety, guardrail */
	IR_FINISH_PAUSE,	  /* pause_turn */
	IR_FINISH_OTHER		  /* malformed call, recitation ...: as stop */
};

enum ir_event_type {
	IR_EV_START,	   /* id, model: once, first */
	IR_EV_BLOCK_START, /* choice, block, part; id and name of a call */
	IR_EV_DELTA,	   /* choice, block, part, text */
	IR_EV_SIGNATURE,   /* choice, block, text: of the open block */
	IR_EV_BLOCK_STOP,  /* choice, block */
	IR_EV_LOGPROBS,	   /* choice, block, json */
	IR_EV_FINISH,	   /* choice, finish, native, text = stop sequence */
	IR_EV_USAGE,	   /* usage: cumulative, the last one wins */
	IR_EV_ERROR,	   /* error_type, text = message, in mid-stream */
	IR_EV_END	   /* once, last: the answer is complete */
};

/* Order in every choice: (BLOCK_START (DELTA|SIGNATURE|LOGPROBS)* BLOCK_STOP)*
 * FINISH. Blocks are numbered from 0 within a choice in order of their start.
 * Blocks of one choice may be open together (OpenAI interleaves parallel
 * calls). DELTA of IR_TEXT, IR_THINKING, IR_REFUSAL: text is content of a JSON
 * string. DELTA of IR_TOOL_CALL: text is a piece of the arguments' JSON text,
 * itself as content of a JSON string (so OpenAI's and Anthropic's words pass
 * through unchanged). IR_REDACTED: the data comes as SIGNATURE. IR_IMAGE and
 * IR_AUDIO (Gemini answers): mime in `name`, base64 in DELTA. */
struct ir_usage;
struct ir_event {
	enum ir_event_type type;
	unsigned choice, block;
	enum ir_part_type part;
	struct str text;  /* esc */
	struct str id;	  /* esc: of the answer or of the call */
	struct str model; /* esc: as the provider named it */
	struct str name;  /* esc: of the tool */
	struct str json;  /* OpenAI shape: [{"token","logprob",...}] */
	enum ir_finish finish;
	struct str native; /* plain: the provider's finish word or error type */
	int status;	   /* of an error: HTTP status that it amounts to */
	const struct ir_usage *usage;
};

/* Tokens in disjoint classes and what else decides the price
 * (agent/dialect/usage.h fills it). */
#define IR_TIER_MAX 24
struct ir_usage {
	struct tokens tokens;
	/* As the provider counted, for answers to the client: input includes
	 * cache reads and writes, output includes reasoning. */
	int64_t input_total, output_total;
	char tier[IR_TIER_MAX]; /* "", "priority", "flex", "batch" ... : the
				 * price tier, standard = "" */
	bool inconsistent;	/* sub-counts did not fit: were clamped */
};

/* Non-zero stops the reader, which returns it. Slices live until the callback
 * returns. */
typedef int ir_event_fn(void *ctx, const struct ir_event *ev);

/* ---- helpers (ir.c) ---- */

void ir_request_init(struct ir_request *r, struct arena *a);
/* Append; NULL without memory or at IR_MAX_*. */
struct ir_message *ir_add_message(struct ir_request *r, enum ir_role role);
struct ir_part *ir_add_part(
    struct ir_request *r, struct ir_message *m, enum ir_part_type t);
/* Append to a result's parts. */
struct ir_part *ir_add_result_part(
    struct ir_request *r, struct ir_part *result, enum ir_part_type t);
struct ir_tool *ir_add_tool(struct ir_request *r);
/* Note a field without a place; ERR_NOMEM. */
int ir_note_other(struct ir_request *r, const char *fmt, ...)
    PRINTF_LIKE(2, 3) MUST_CHECK;
/* "messages[3].content" in the arena. NULL without memory. */
const char *ir_field(struct ir_request *r, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* Escaped content of a string <-> what it means, in the arena; p NULL without
 * memory (or, ir_plain, when it holds NUL). */
struct str ir_escape(struct arena *a, struct str plain);
struct str ir_plain(struct arena *a, struct str esc);
/* The name of the tool whose call has this id, "" when unknown: Gemini wants
 * names in results. */
struct str ir_tool_of_call(const struct ir_request *r, struct str id);
/* A stable id for a call that has none: the same for the same position and
 * name. prefix "call_", "toolu_"; result in the arena. */
struct str ir_make_call_id(
    struct arena *a, const char *prefix, unsigned position, struct str name);
/* Thinking tokens that an effort stands for, and the other way round (the
 * table is in ir.c and in docs/API.md). */
int64_t ir_effort_budget(enum ir_effort e);
enum ir_effort ir_budget_effort(int64_t tokens);
const char *ir_effort_name(enum ir_effort e); /* OpenAI's words */
bool ir_effort_parse(struct str s, enum ir_effort *ret);
const char *ir_finish_openai(enum ir_finish f);	   /* "stop" */
const char *ir_finish_anthropic(enum ir_finish f); /* "end_turn" */
const char *ir_finish_gemini(enum ir_finish f);	   /* "STOP" */

#endif
