/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors between dialects: what a provider's error means, whatever its shape,
 * and how an error looks in the dialect of a client, as a body and as an event
 * in a stream. Mapping goes by the provider's type first, then by status.
 *
 * Pure; no allocation but in the buffers given.
 */
#ifndef AGENT_DIALECT_ERRORS_H
#define AGENT_DIALECT_ERRORS_H

#include "agent/config/bundle.h"
#include "agent/dialect/surface.h"
#include "common/json.h"

enum error_kind {
	ERROR_INVALID,	  /* the request is at fault */
	ERROR_FILTERED,	  /* refused for its content */
	ERROR_AUTH,	  /* the credential */
	ERROR_PERMISSION, /* what it may do */
	ERROR_NOT_FOUND,
	ERROR_TOO_LARGE,
	ERROR_RATE,  /* too many now: repeating helps */
	ERROR_QUOTA, /* used up: repeating does not help */
	ERROR_OVERLOADED,
	ERROR_TIMEOUT,
	ERROR_SERVER,
	ERROR_N_KINDS
};

/* One error, in nobody's words but with them. Texts are NUL-ended, plain. */
struct dialect_error {
	enum error_kind kind;
	int status;	  /* HTTP status for the client; dialects refine it */
	int64_t retry_ms; /* < 0 = not told */
	bool billed;	  /* the provider charges the prompt all the same */
	char type[64];	  /* provider's word, "" = none */
	char code[64];	  /* finer word: "rate_limit_exceeded", "" = none */
	char param[128];  /* field at fault in the client's words, "" */
	char message[600];
};

/* Of an error of ours. */
void errors_of_code(
    int code, const char *param, struct str message, struct dialect_error *ret);
/* Read what a provider answered with an error status. amzn_type: the
 * x-amzn-errortype field or "". False when the body has no shape that is
 * known; ret then holds what the status alone tells. */
bool errors_parse(enum provider_dialect d, int status, struct str amzn_type,
    struct str body, const struct json_limits *lim, struct dialect_error *ret);
/* Of an error event in a stream: the provider's type and what status it
 * amounts to, message as content of a JSON string. */
void errors_of_event(struct str type, int status, struct str message_esc,
    struct dialect_error *ret);

/* HTTP status for a client of the dialect. */
int errors_status(enum client_dialect c, const struct dialect_error *e);
/* Append the whole body. request_id: ours. extra: ready JSON members with a
 * leading comma (about budgets), or NULL. */
void errors_write(struct buf *out, enum client_dialect c,
    const struct dialect_error *e, const char *request_id, const char *extra);

/* How a stream to a client is framed. */
enum error_frame {
	ERROR_FRAME_CHAT,      /* data: {...} */
	ERROR_FRAME_RESPONSES, /* event: error */
	ERROR_FRAME_ANTHROPIC, /* event: error */
	ERROR_FRAME_GEMINI,    /* data: {...} */
	ERROR_FRAME_ARRAY      /* an element of Gemini's JSON array */
};
/* Append the event that ends a broken stream. n_events: events (elements)
 * that the client got before. */
void errors_write_event(struct buf *out, enum error_frame f,
    const struct dialect_error *e, const char *request_id, uint64_t n_events);

#endif
