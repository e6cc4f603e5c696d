/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes: one table for the whole project. Every code has a stable
 * snake_case name (seen by API callers), an HTTP status, a CLI exit code and
 * a default text. Functions return 0 or a negative ERR_* value; where a human
 * will read it, they also fill a struct error.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK	  __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/*
 * X(enum, number, name, HTTP status, CLI exit code, text)
 * Exit codes: 1 general, 2 usage, 3 not found, 4 conflict, 5 refused
 * (authentication or permission), 6 unavailable, 7 invalid input.
 * Numbers never change: agents and control planes exchange them.
 */
#define ERR_TABLE(X)                                                           \
	X(ERR_INTERNAL, -1, "internal", 500, 1, "internal error")              \
	X(ERR_NOMEM, -2, "out_of_memory", 503, 6, "out of memory")             \
	X(ERR_INVALID, -3, "invalid", 400, 7, "invalid input")                 \
	X(ERR_USAGE, -4, "usage", 400, 2, "wrong usage")                       \
	X(ERR_NOT_FOUND, -5, "not_found", 404, 3, "not found")                 \
	X(ERR_EXISTS, -6, "already_exists", 409, 4, "already exists")          \
	X(ERR_CONFLICT, -7, "conflict", 409, 4, "conflict")                    \
	X(ERR_PRECONDITION, -8, "precondition_failed", 412, 4,                 \
	    "the resource changed meanwhile")                                  \
	X(ERR_UNAUTHENTICATED, -9, "invalid_api_key", 401, 5,                  \
	    "missing or wrong credential")                                     \
	X(ERR_FORBIDDEN, -10, "forbidden", 403, 5, "not permitted")            \
	X(ERR_LIMIT, -11, "limit_exceeded", 429, 6, "a limit was reached")     \
	X(ERR_TOO_LARGE, -12, "too_large", 413, 7, "too large")                \
	X(ERR_TIMEOUT, -13, "timeout", 504, 6, "timed out")                    \
	X(ERR_IO, -14, "io_error", 500, 1, "input/output error")               \
	X(ERR_UNAVAILABLE, -15, "unavailable", 503, 6, "unavailable")          \
	X(ERR_CORRUPT, -16, "corrupt", 500, 1, "corrupt data")                 \
	X(ERR_AGAIN, -17, "try_again", 503, 6, "try again")                    \
	X(ERR_SIGNATURE, -18, "bad_signature", 401, 5, "bad signature")        \
	X(ERR_VERSION, -19, "version_mismatch", 409, 1, "version mismatch")    \
	X(ERR_END, -20, "end", 500, 1, "end of data")                          \
	X(ERR_UNSUPPORTED, -21, "unsupported", 400, 7, "not supported")        \
	X(ERR_METHOD, -22, "method_not_allowed", 405, 2, "method not allowed") \
	/* data plane refusals */                                              \
	X(ERR_MODEL_NOT_FOUND, -40, "model_not_found", 404, 3,                 \
	    "the model does not exist or you do not have access to it")        \
	X(ERR_BUDGET_EXHAUSTED, -41, "budget_exhausted", 402, 5,               \
	    "the budget is exhausted")                                         \
	X(ERR_BUDGET_BUSY, -42, "budget_busy", 429, 6,                         \
	    "the budget's remainder is in use; retry")                         \
	X(ERR_RATE_LIMITED, -43, "rate_limited", 429, 6, "rate limit reached") \
	X(ERR_UPSTREAM, -44, "upstream_error", 502, 6,                         \
	    "the provider could not be reached")                               \
	X(ERR_UPSTREAM_TIMEOUT, -45, "upstream_timeout", 504, 6,               \
	    "the provider did not answer in time")                             \
	X(ERR_OVERLOADED, -46, "overloaded", 503, 6,                           \
	    "the agent is overloaded")                                         \
	X(ERR_JOURNAL_FULL, -47, "journal_full", 503, 6,                       \
	    "usage cannot be journaled; requests with budgets are refused")    \
	X(ERR_NOT_READY, -48, "not_ready", 503, 6, "no configuration yet")     \
	X(ERR_CLIENT_GONE, -49, "client_gone", 499, 1, "the client left")

enum err_code {
	ERR_OK = 0,
#define X(e, num, name, http, exit_code, text) e = num,
	ERR_TABLE(X)
#undef X
};

/* A failure for people: code plus one line of text (no newline, no secret). */
struct error {
	int code;	 /* ERR_*, 0 = none */
	char field[128]; /* JSON pointer or option at fault; "" = none */
	char text[512];
};

/* Set e (may be NULL) and return code. Control characters in the result are
 * replaced by '?', so that text from outside cannot forge log lines. */
int err_set(struct error *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As err_set, and names the field at fault. */
int err_set_field(struct error *e, int code, const char *field, const char *fmt,
    ...) PRINTF_LIKE(4, 5);
/* Prefix e->text with "fmt: ". Returns e->code. */
int err_wrap(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

const char *err_name(int code);	     /* "budget_exhausted" */
const char *err_text(int code);	     /* default text */
int err_http_status(int code);	     /* 500 for unknown codes */
int err_exit_code(int code);	     /* 0 for 0 */
int err_from_name(const char *name); /* 0 when unknown */
int err_from_errno(int errnum);

/* Abort with a message and backtrace when our own invariant is broken. Stays
 * on in release builds; never used on input, network, disk or database. */
#define MUST(cond) \
	((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__, __func__))
_Noreturn void must_fail(
    const char *cond, const char *file, int line, const char *func);

#endif
