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
#define FAULT_TABLE(X)                              \
	X(FAULT_NONE, "none")                       \
	X(FAULT_429, "429")                         \
	X(FAULT_429_QUOTA, "429-quota")             \
	X(FAULT_400, "400")                         \
	X(FAULT_401, "401")                         \
	X(FAULT_500, "500")                         \
	X(FAULT_503, "503")                         \
	X(FAULT_RESET_BEFORE, "reset-before-bytes") \
	X(FAULT_RESET_AFTER, "reset-after-bytes")   \
	X(FAULT_STALL, "stall")                     \
	X(FAULT_MISSING_USAGE, "missing-usage")     \
	X(FAULT_ZERO_USAGE, "zero-usage")           \
	X(FAULT_USAGE_TWICE, "usage-twice")         \
	X(FAULT_ERROR_EVENT, "error-event")         \
	X(FAULT_BAD_JSON, "bad-json")               \
	X(FAULT_HUGE_FRAME, "huge-frame")           \
	X(FAULT_SLOW_DRIP, "slow-drip")             \
	X(FAULT_CUT, "cut")                         \
	X(FAULT_WRONG_LENGTH, "wrong-length")       \
	X(FAULT_NOT_SSE, "not-sse")                 \
	X(FAULT_NO_DONE, "no-done")                 \
	X(FAULT_REDIRECT, "redirect")

enum fault {
#define X(e, name) e,
	FAULT_TABLE(X)
#undef X
	    FAULT_COUNT
};
const char *fault_name(enum fault f);

enum framing { FRAMING_LF, FRAMING_CRLF, FRAMING_CR };

/* X(member, name in headers and JSON) */
#define KNOB_TABLE(X)                               \
	X(ttft_ms, "ttft_ms")                       \
	X(gap_ms, "gap_ms")                         \
	X(events, "events")                         \
	X(tokens, "tokens")                         \
	X(tokens, "completion_tokens")              \
	X(prompt_tokens, "prompt_tokens")           \
	X(cached_tokens, "cached_tokens")           \
	X(cache_write_tokens, "cache_write_tokens") \
	X(reasoning_tokens, "reasoning_tokens")     \
	X(after, "after")                           \
	X(retry_after_ms, "retry_after_ms")         \
	X(huge_bytes, "huge_bytes")                 \
	X(tool_calls, "tool_calls")                 \
	X(split, "split")                           \
	X(comments, "comments")                     \
	X(seed, "seed")                             \
	X(fault_percent, "fault_percent")           \
	X(ignore_cap, "ignore_cap")

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
};

void knobs_init(struct knobs *k);
/* Set one knob by its name, '-' and '_' alike, letters in either case.
 * "fault" takes NAME or NAME=K, which sets `after` as well. ERR_NOT_FOUND for
 * an unknown name, ERR_INVALID for a bad value. */
int knobs_set(struct knobs *k, struct str name, struct str value) MUST_CHECK;

#endif
