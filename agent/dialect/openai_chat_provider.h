/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the OpenAI chat provider codec: the state of its reader. */
#ifndef AGENT_DIALECT_OPENAI_CHAT_PROVIDER_H
#define AGENT_DIALECT_OPENAI_CHAT_PROVIDER_H

#include "agent/dialect/answer_feed.h"
#include "agent/dialect/codec.h"
#include "agent/dialect/emit.h"

#define OACP_MAX_CHOICES 128
#define OACP_MAX_CALLS	 256 /* of one choice */

/* A block that may be open beside others: a tool call, or sound. */
struct oacp_call {
	int64_t index; /* the provider's; OACP_AUDIO: sound */
	uint64_t id;   /* hash of the call's id, to tell calls that share one */
	unsigned block;
	bool open, empty;
};
#define OACP_AUDIO INT64_C(-1)

struct oacp_choice {
	struct emit_lane lane; /* text, thinking, refusal; next: any block */
	struct oacp_call *calls;
	unsigned n_calls, cap_calls;
	bool seen, finished, has_calls;
};

struct answer_reader {
	struct emit em;
	struct answer_feed feed;
	size_t max_plain;
	struct oacp_choice *choices;
	unsigned n_choices; /* room; those with .seen are there */
	bool done;	    /* [DONE] */
	bool usage_last;    /* a chunk of usage alone */
	bool ending;	    /* finish() is at work */
};

/* One parsed chunk or plain answer. */
int oacp_chunk(struct answer_reader *rd, struct json root) MUST_CHECK;
/* Every choice that began has its finish reason, and there is one. */
bool oacp_all_finished(const struct answer_reader *rd);
/* Finish what has no finish reason. */
int oacp_finish_rest(struct answer_reader *rd) MUST_CHECK;

int openai_chat_provider_write(const struct ir_request *r,
    const struct write_opts *o, struct buf *out, struct error *e) MUST_CHECK;
/* "messages" of the request. */
struct jw;
int oacp_write_messages(const struct ir_request *r, const struct write_opts *o,
    struct jw *w, struct error *e) MUST_CHECK;

#endif
