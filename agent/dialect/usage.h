/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The normaliser: one provider usage object into disjoint token classes.
 * Every place that learns of usage (relays, translators, plain answers)
 * calls this and nothing else. Inclusive and exclusive cache counts, running
 * totals, explicit zeros, service tiers and tool fees are dealt with here.
 * An explicit zero is a value; null and absence mean that nothing was said.
 *
 * No allocation; any thread.
 */
#ifndef AGENT_DIALECT_USAGE_H
#define AGENT_DIALECT_USAGE_H

#include "agent/dialect/ir.h"
#include "common/json.h"

enum usage_shape {
	USAGE_OPENAI_CHAT,	/* chat, completions; also vLLM, DeepSeek ... */
	USAGE_OPENAI_EMBED,	/* embeddings, moderations, rerank */
	USAGE_OPENAI_RESPONSES, /* also images and audio: input_tokens ... */
	USAGE_ANTHROPIC,	/* message.usage and message_delta.usage */
	USAGE_GEMINI,		/* usageMetadata */
	USAGE_BEDROCK,		/* metadata.usage */
	USAGE_COHERE,		/* usage */
	USAGE_OLLAMA,		/* the final object itself */
	USAGE_GEMINI_EMBED,	/* usageMetadata of embeddings: no output */
	USAGE_OLLAMA_EMBED	/* the answer itself: no output */
};

/* Counts above this are not believed. */
#define USAGE_MAX_TOKENS 100000000

/* What is known of one answer's usage so far. Zeroed memory knows nothing. */
#define USAGE_N_RAW 32
struct usage_state {
	struct ir_usage usage; /* derived from raw after every update */
	bool known;	       /* a believable count of input and output */
	bool final; /* the provider's last word (not a running total) */
	/* Last value of each raw counter, stored + 1; 0 = never told. */
	int64_t raw[USAGE_N_RAW];
	char tier[IR_TIER_MAX]; /* service tier, normalised */
	char geo[8];		/* place that has a price of its own: "us" */
};

/* Merge one usage object: fields that are absent or null keep their value,
 * others replace it (cumulative, never summed). False when it held no counts
 * that can be believed. Where only one side was told (Ollama without
 * prompt_eval_count) it is in usage.tokens, but known stays false: estimate
 * the other one. service_tier, serviceTier, trafficType inside the object are
 * read too. final: the provider says no more afterwards. */
bool usage_update(struct usage_state *s, enum usage_shape shape,
    struct json usage, bool final);
/* service_tier / trafficType / serviceTier beside or inside the usage object,
 * as the ANSWER says (a string, or Bedrock's {"type":...}): normalised into
 * usage.tier ("" standard, "priority", "flex", "batch", "provisioned").
 * Unknown words are kept in lower case, so that a price line may name them.
 * Null changes nothing. */
void usage_tier(struct usage_state *s, struct json word);
/* What a request asks for, in the words of usage.tier, from the members
 * service_tier, serviceTier and speed of its body (any dialect); "" = nothing,
 * "*" = two spellings at once.
 * For b_model_price_bound(): what must be asked for is not reserved for
 * otherwise. */
void usage_tier_asked(struct json body, char dst[IR_TIER_MAX]);
/* Add n units to a class that is not counted in tokens or that the usage
 * object does not tell: searches of fee-bearing server tools, images made,
 * characters spoken. Values out of [0, USAGE_MAX_TOKENS] are clamped. */
void usage_add(struct usage_state *s, enum token_class cls, int64_t n);

/* Usage in a client dialect's own shape (a complete JSON object). */
void usage_write_openai(struct buf *out, const struct ir_usage *u);
void usage_write_responses(struct buf *out, const struct ir_usage *u);
/* start: as message_start has it (with a placeholder for output). */
void usage_write_anthropic(
    struct buf *out, const struct ir_usage *u, bool start);
void usage_write_gemini(struct buf *out, const struct ir_usage *u);

#endif
