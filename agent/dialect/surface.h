/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client can ask for: the dialect it speaks and the operation. One
 * table of paths (surface.c) serves the front, the metrics and the docs.
 */
#ifndef AGENT_DIALECT_SURFACE_H
#define AGENT_DIALECT_SURFACE_H

#include <stdbool.h>

#include "common/str.h"

enum client_dialect { CLIENT_OPENAI, CLIENT_ANTHROPIC, CLIENT_GEMINI };

enum op {
	OP_CHAT,	/* OpenAI chat completions */
	OP_RESPONSES,	/* OpenAI responses */
	OP_MESSAGES,	/* Anthropic messages */
	OP_GENERATE,	/* Gemini generateContent, streamGenerateContent */
	OP_COMPLETIONS, /* OpenAI's old completions */
	OP_EMBEDDINGS,
	OP_GEMINI_EMBED,
	OP_MODERATIONS,
	OP_IMAGES,
	OP_IMAGE_EDITS,
	OP_TRANSCRIPTIONS,
	OP_TRANSLATIONS,
	OP_SPEECH,
	OP_RERANK,
	OP_COUNT_TOKENS,	/* Anthropic */
	OP_GEMINI_COUNT_TOKENS, /* Gemini */
	OP_MODELS,
	OP_MODEL,
	OP_RESPONSE_GET, /* stored responses: by id in the path */
	OP_RESPONSE_DELETE,
	OP_RESPONSE_CANCEL,
	OP_RESPONSE_ITEMS,
	OP_N
};

/* A generation that can be translated between dialects. */
static inline bool
op_is_generation(enum op op)
{
	return op <= OP_GENERATE;
}

const char *op_name(enum op op); /* "chat", "responses" ... for metrics */

#endif
