/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which codec serves which operation and provider, and whether an answer goes
 * through unchanged or is translated.
 */
#ifndef AGENT_DIALECT_CODECS_H
#define AGENT_DIALECT_CODECS_H

#include "agent/config/bundle.h"
#include "agent/dialect/codec.h"
#include "agent/dialect/surface.h"

/* How an answer comes to the client (agent/dialect/relay.h). */
enum relay_mode {
	RELAY_CHAT, /* OpenAI chat and completions: unchanged but for usage */
	RELAY_PASS, /* another dialect's generation, unchanged; its codec
		     * looks on */
	RELAY_TRANSLATE,
	RELAY_JSON,  /* another operation of OpenAI's: unchanged */
	RELAY_EMBED, /* embeddings in another dialect (embed.h) */
	RELAY_RAW    /* bytes that tell nothing (sound) */
};

/* NULL: no generation. */
const struct codec_client *codec_client_of(enum op op);
enum carry_client codec_carry_of(enum op op);
/* Of the provider's own generations. */
const struct codec_provider *codec_provider_of(enum provider_dialect d);

/* What is done for an operation at a provider. */
struct codec_plan {
	enum relay_mode mode;
	enum op op; /* at the provider */
	/* Reads the answer: PASS and TRANSLATE. */
	const struct codec_provider *from;
	/* Reads the request and writes the answer: TRANSLATE. */
	const struct codec_client *to;
};

/* quirky: an OpenAI chat request uses a field that the provider does not take
 * (codec_uses_quirk), or one for embeddings (embed_is_quirky). ERR_UNSUPPORTED:
 * the provider has no such operation, and nothing to translate it into. */
int codec_plan(const struct b_provider *p, enum op op, bool quirky,
    struct codec_plan *ret) MUST_CHECK;
/* Does this body of an OpenAI chat request use what the quirks reject? */
bool codec_uses_quirk(struct str body, uint64_t quirks);

#endif
