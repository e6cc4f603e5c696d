/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Knobs: what steers one answer of the provider simulator. Each may be given
 * by the models file ("knobs" of a model), by a request header (x-sim-NAME,
 * with '-' for '_') or by the request body's member "x_sim"; the later wins.
 * A knob that nobody gave is -1.
 */
#ifndef TESTS_PROVIDER_KNOBS_H
#define TESTS_PROVIDER_KNOBS_H

#include <stdint.h>

#include "common/str.h"

/* X(enum, name) */
#define FAULT_TABLE(X)                                \
	X(FAULT_NONE, "none")                         \
	X(FAULT_429, "429")                           \
	X(FAULT_429_QUOTA, "429-quota")               \
	X(FAULT_400, "400")                           \
	X(FAULT_401, "401")                           \
	X(FAULT_500, "500")                           \
	X(FAULT_503, "503")                           \
	X(FAULT_RESET_BEFORE, "reset-before-bytes")   \
	X(FAULT_RESET_AFTER, "reset-after-bytes")     \
	X(FAULT_STALL, "stall")                       \
	X(FAULT_MISSING_USAGE, "missing-usage")       \
	X(FAULT_ZERO_USAGE, "zero-usage")             \
	X(FAULT_USAGE_TWICE, "usage-twice")           \
	X(FAULT_ERROR_EVENT, "error-event")           \
	X(FAULT_BAD_JSON, "bad-json")                 \
	X(FAULT_HUGE_FRAME, "huge-frame")             \
	X(FAULT_SLOW_DRIP, "slow-drip")               \
	X(FAULT_CUT, "cut")                           \
	X(FAULT_WRONG_LENGTH, "wrong-length")         \
	X(FAULT_NOT_SSE, "not-sse")                   \
	X(FAULT_NO_DONE, "no-done")                   \
	X(FAULT_REDIRECT, "redirect")                 \
	X(FAULT_403, "403")                           \
	X(FAULT_404, "404")                           \
	X(FAULT_408, "408")                           \
	X(FAULT_413, "413")                           \
	X(FAULT_502, "502")                           \
	X(FAULT_504, "504")                           \
	X(FAULT_OVERLOADED, "529")                    \
	X(FAULT_CONTENT_FILTER, "content-filter")     \
	X(FAULT_ERROR_OVERLOADED, "error-overloaded") \
	X(FAULT_ERROR_THROTTLED, "error-throttled")   \
	X(FAULT_HALF_CLOSE, "half-close")             \
	X(FAULT_BAD_CHUNK, "bad-chunk")               \
	X(FAULT_BAD_GZIP, "truncated-gzip")           \
	X(FAULT_BAD_UTF8, "invalid-utf8")             \
	X(FAULT_BAD_CRC, "bad-crc")                   \
	X(FAULT_USAGE_NULL, "usage-null")             \
	X(FAULT_NOT_HTTP, "not-http")                 \
	X(FAULT_SSE_ERROR, "sse-error")               \
	X(FAULT_SHORT_LENGTH, "short-length")         \
	X(FAULT_HUGE_LENGTH, "huge-length")           \
	X(FAULT_SURPLUS, "surplus")                   \
	X(FAULT_TLS_ALERT, "tls-alert")               \
	X(FAULT_TLS_CORRUPT, "tls-corrupt")           \
	X(FAULT_NO_NOTIFY, "no-close-notify")

enum fault {
#define X(e, name) e,
	FAULT_TABLE(X)
#undef X
	    FAULT_COUNT
};
const char *fault_name(enum fault f);

enum framing { FRAMING_LF, FRAMING_CRLF, FRAMING_CR, FRAMING_MIXED };

/* Where a stream tells its usage, and in which form. */
enum usage_form {
	USAGE_DEFAULT,
	USAGE_RUNNING,	/* running totals on every event */
	USAGE_SPARSE,	/* on every third event only */
	USAGE_INSIDE,	/* Gemini: thoughts inside candidates */
	USAGE_BARE,	/* without details */
	USAGE_DURATION, /* audio: seconds instead of tokens */
	USAGE_DELTA	/* Anthropic: all fields again in message_delta */
};

/* The tier that the answer names. */
enum tier {
	TIER_STANDARD,
	TIER_PRIORITY,
	TIER_FLEX,
	TIER_BATCH,
	TIER_SCALE,
	TIER_PROVISIONED,
	TIER_COUNT
};

/* Whose way of OpenAI's API. */
enum flavor {
	FLAVOR_OPENAI,
	FLAVOR_AZURE,
	FLAVOR_MISTRAL,
	FLAVOR_VLLM,
	FLAVOR_DEEPSEEK
};

/* How a 429 or 503 tells when to come again. */
enum retry_form {
	RETRY_BOTH,
	RETRY_MS,
	RETRY_SECONDS,
	RETRY_DATE,
	RETRY_NONE,
	RETRY_NEVER /* x-should-retry: false */
};

/* X(member, name in headers and JSON) */
#define KNOB_TABLE(X)                                     \
	X(ttft_ms, "ttft_ms")                             \
	X(gap_ms, "gap_ms")                               \
	X(events, "events")                               \
	X(tokens, "tokens")                               \
	X(tokens, "completion_tokens")                    \
	X(prompt_tokens, "prompt_tokens")                 \
	X(cached_tokens, "cached_tokens")                 \
	X(cache_write_tokens, "cache_write_tokens")       \
	X(reasoning_tokens, "reasoning_tokens")           \
	X(after, "after")                                 \
	X(retry_after_ms, "retry_after_ms")               \
	X(huge_bytes, "huge_bytes")                       \
	X(tool_calls, "tool_calls")                       \
	X(split, "split")                                 \
	X(comments, "comments")                           \
	X(seed, "seed")                                   \
	X(fault_percent, "fault_percent")                 \
	X(ignore_cap, "ignore_cap")                       \
	X(cache_write_tokens, "cache_write_5m_tokens")    \
	X(cache_write_1h_tokens, "cache_write_1h_tokens") \
	X(reasoning_tokens, "thinking_tokens")            \
	X(show_thinking, "show_thinking")                 \
	X(redacted, "redacted")                           \
	X(preamble, "preamble")                           \
	X(refusal, "refusal")                             \
	X(safety, "safety")                               \
	X(padding, "padding")                             \
	X(multiline, "multiline")                         \
	X(bom, "bom")                                     \
	X(nospace, "nospace")                             \
	X(ids, "ids")                                     \
	X(no_final_blank, "no_final_blank")               \
	X(ping, "ping")                                   \
	X(blank_lines, "blank_lines")                     \
	X(web_search, "web_search")                       \
	X(audio_in_tokens, "audio_in_tokens")             \
	X(audio_out_tokens, "audio_out_tokens")           \
	X(image_in_tokens, "image_in_tokens")             \
	X(image_out_tokens, "image_out_tokens")           \
	X(rejected_tokens, "rejected_tokens")             \
	X(seconds, "seconds")                             \
	X(filters, "filters")                             \
	X(unknown_events, "unknown_events")               \
	X(stop_sequence, "stop_sequence")                 \
	X(stall_ms, "stall_ms")                           \
	X(until_close, "until_close")                     \
	X(tool_use_tokens, "tool_use_tokens")             \
	X(partial_args, "partial_args")                   \
	X(obfuscation, "obfuscation")

struct knobs {
	int64_t ttft_ms;	    /* until the first byte of the body */
	int64_t gap_ms;		    /* between two events */
	int64_t events;		    /* content events of a stream */
	int64_t tokens;		    /* completion tokens with reasoning */
	int64_t prompt_tokens;	    /* instead of the counting rule */
	int64_t cached_tokens;	    /* of the prompt */
	int64_t cache_write_tokens; /* of the prompt */
	int64_t reasoning_tokens;   /* of the completion */
	int64_t after;		    /* faults: after so many events (bytes) */
	int64_t retry_after_ms;	    /* of a 429 or 503 */
	int64_t huge_bytes;	    /* of a huge frame */
	int64_t tool_calls;	    /* calls to answer with */
	int64_t split;		    /* bytes a send */
	int64_t comments;	    /* SSE comment before every n-th event */
	int64_t seed;
	int64_t fault_percent; /* of requests that get the fault; -1: all */
	int64_t ignore_cap;    /* 1: generates more than max_tokens */
	int64_t fault;	       /* enum fault */
	int64_t framing;       /* enum framing */
	int64_t usage;	       /* enum usage_form */
	int64_t tier;	       /* enum tier */
	int64_t flavor;	       /* enum flavor */
	int64_t rejects;       /* what the model does not take */
	int64_t retry;	       /* enum retry_form */
	int64_t cache_write_1h_tokens; /* of the prompt */
	int64_t show_thinking;	       /* 1, 0: thinking in the answer or not */
	int64_t redacted;	       /* redacted thinking blocks */
	int64_t preamble;	       /* tokens of text before tool calls */
	int64_t refusal;	       /* 1: the model refuses */
	int64_t safety;		  /* 1: prompt blocked; 2: answer blocked */
	int64_t padding;	  /* blanks in a frame; Bedrock: letters in p */
	int64_t multiline;	  /* data lines a frame, at most */
	int64_t bom;		  /* 1: a byte order mark comes first */
	int64_t nospace;	  /* 1: "data:{" */
	int64_t ids;		  /* 1: id: and retry: lines */
	int64_t no_final_blank;	  /* 1: the last frame ends at the end */
	int64_t ping;		  /* a ping before every n-th event */
	int64_t blank_lines;	  /* before a plain JSON answer */
	int64_t web_search;	  /* searches that the provider did */
	int64_t audio_in_tokens;  /* of the prompt */
	int64_t audio_out_tokens; /* of the completion */
	int64_t image_in_tokens;  /* of the prompt */
	int64_t image_out_tokens; /* of the completion */
	int64_t rejected_tokens;  /* of the completion: prediction */
	int64_t seconds;	  /* of audio */
	int64_t filters;	  /* 0, 1: Azure's filter frames */
	int64_t unknown_events;	  /* 1: events that no reader knows */
	int64_t stop_sequence;	  /* 1: ends by the first one asked for */
	int64_t stall_ms;	  /* of the fault stall; -1: for ever */
	int64_t until_close;	  /* 1: the body ends with the connection */
	int64_t tool_use_tokens;  /* Gemini: of what tools of its own said */
	int64_t partial_args;	  /* Gemini: 1: arguments in pieces */
	int64_t obfuscation;	  /* 0, 1: members of random length */
};
/* The member (or role) that knob `rejects` names; NULL = none. */
const char *knobs_rejected(int64_t rejects);
const char *knobs_tier_name(enum tier t); /* "standard", "priority" ... */

void knobs_init(struct knobs *k);
/* Set one knob by its name, '-' and '_' alike, letters in either case.
 * "fault" takes NAME or NAME=K, which sets `after` as well. ERR_NOT_FOUND for
 * an unknown name, ERR_INVALID for a bad value. */
int knobs_set(struct knobs *k, struct str name, struct str value) MUST_CHECK;

#endif
