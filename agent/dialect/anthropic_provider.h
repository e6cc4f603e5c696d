/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the Anthropic provider codec. */
#ifndef AGENT_DIALECT_ANTHROPIC_PROVIDER_H
#define AGENT_DIALECT_ANTHROPIC_PROVIDER_H

#include "agent/dialect/provider_write.h"

int anthropic_provider_write(const struct ir_request *r,
    const struct write_opts *o, struct buf *out, struct error *e) MUST_CHECK;

/* "system" and "messages" of the request. json_note: ask for JSON there. */
int antp_write_messages(struct pw *pw, bool json_note) MUST_CHECK;
/* ,"cache_control":{...} if there is a break point. */
void antp_write_cache(struct jw *w, enum ir_cache cache);
/* Thinking that can be given back. */
bool antp_is_proven(const struct ir_part *p);

/* How a model thinks: which of the API's two ways it takes. */
enum antp_way {
	ANTP_BUDGET, /* thinking.budget_tokens only */
	ANTP_BOTH,   /* adaptive with an effort, budgets still taken */
	ANTP_EFFORT  /* adaptive with an effort only */
};
/* By the model's name: budgets up to 4.5, efforts only from 4.7 on. Names
 * that are not of Anthropic: ANTP_BUDGET. */
enum antp_way antp_way_of(struct str model);

struct antp_think {
	bool on;
	int64_t budget;	    /* 0 = adaptive */
	const char *effort; /* or NULL */
};
/* How to think, also with Bedrock. Left out and listed where it cannot be;
 * ERR_INVALID. cap: output tokens. */
int antp_decide(struct pw *pw, int64_t cap, struct antp_think *t) MUST_CHECK;

#endif
