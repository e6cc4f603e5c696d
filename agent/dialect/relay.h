/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer on its way from a provider to a client: takes the provider's
 * bytes, makes the client's, and knows what must be known of it for the books
 * (usage, finish reason, generated text), whether it is whole, and which last
 * bytes have to wait until its usage is on disk.
 *
 * Any split of the input gives the same output. Memory is bounded by max_event
 * and max_plain. No sockets, no clocks; one thread.
 */
#ifndef AGENT_DIALECT_RELAY_H
#define AGENT_DIALECT_RELAY_H

#include "agent/dialect/codecs.h"
#include "agent/dialect/embed.h"
#include "agent/dialect/errors.h"
#include "agent/dialect/openai.h"

/* All but the pointers out, held and the limits is per answer. */
struct relay_opts {
	enum relay_mode mode;
	enum op op;  /* of the client */
	bool stream; /* the provider answers with a stream */
	bool array;  /* Gemini: the client wants a JSON array */
	int64_t n_choices;
	const struct codec_provider *from;
	const struct codec_client *to;
	struct answer_opts answer;
	struct embed_reply embed; /* RELAY_EMBED */
	/* Responses that are stored: makes the client's form of the
	 * provider's id (at most RELAY_ID_MAX bytes with its NUL); NULL: ids
	 * stay. Another id that is known before: its two forms, or empty. */
	bool (*own_id)(void *ctx, struct str upstream, char *dst);
	void *own_ctx;
	struct str other_id, other_own;
	/* Where bytes for the client go: now, and once usage is on disk. */
	struct buf *out, *held;
	size_t max_event, max_plain;
	const struct json_limits *event_json, *plain_json;
};

#define RELAY_ID_MAX 192

struct relay {
	struct relay_opts o;
	struct sse sse;
	/* Chat; its counter serves all modes. */
	struct oai_stream chat;
	struct answer_reader *reader;
	struct answer_writer *writer;
	struct buf swapped; /* an event with our ids */
	char finish[24];    /* provider's word, "" = none */
	int error_status;
	int64_t text_bytes; /* generated */
	int64_t n_finished; /* choices */
	uint64_t n_events;  /* that came */
	uint64_t n_sent;    /* that went to the client */
	bool count_text;    /* of events, with chat.count */
	bool begun;
	bool ending;	 /* all from here on is held */
	bool done;	 /* the provider said that it is complete */
	bool finished;	 /* a finish reason was seen */
	bool error;	 /* the provider reported an error in the answer */
	bool unreadable; /* the reader gave up (PASS) */
	bool clean;	 /* relay_clear() has nothing to do */
	/* Only the first bytes are cleared of what follows. */
	char id[RELAY_ID_MAX], own[RELAY_ID_MAX]; /* of the answer */
	char error_type[48], error_text[160];
};

/* Uses no memory yet. */
void relay_init(struct relay *r, size_t max_event);
void relay_release(struct relay *r);
/* Between answers: keeps small memory. */
void relay_clear(struct relay *r);
/* Give buffers above that size back; after relay_clear(). */
void relay_trim(struct relay *r, size_t keep);
/* Forget what came and expect an answer. Set chat.count afterwards. ERR_NOMEM.
 */
int relay_begin(struct relay *r, const struct relay_opts *o) MUST_CHECK;
/* Bytes of a 2xx answer. 0; 1 = the answer is complete, what follows is of no
 * interest; ERR_TOO_LARGE, ERR_INVALID, ERR_NOMEM: it broke. */
int relay_feed(struct relay *r, const char *p, size_t n) MUST_CHECK;
/* The provider closed the answer properly. 0 = it is whole; ERR_INVALID. */
int relay_finish(struct relay *r) MUST_CHECK;
/* What the provider told of its usage so far. */
const struct usage_state *relay_usage(const struct relay *r);
/* Tokens of the generated text by the counter; complete: a plain answer that
 * is all in o.out. Spends chat.count.left. */
int64_t relay_generated(struct relay *r, bool complete);
/* An error of ours that ends a stream that has begun, appended to held (what
 * was held is dropped). */
void relay_break(
    struct relay *r, const struct dialect_error *e, const char *request_id);

#endif
