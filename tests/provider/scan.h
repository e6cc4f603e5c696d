/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the simulator needs to know of a request, in whatever dialect it came.
 * OpenAI's chat and embeddings are read here in one pass and without a tree
 * (benchmarks measure against it); the other dialects fill the same struct
 * from a tree (tree.h). Own code, so that the agent's JSON scanner is never
 * checked against itself.
 *
 * Token counting rule (documented for tests): 3 a request, 4 a message or
 * tool, and one for each begun 4 bytes of text in its string values (escapes
 * resolved; "role" and "type" are not text).
 */
#ifndef TESTS_PROVIDER_SCAN_H
#define TESTS_PROVIDER_SCAN_H

#include <stdbool.h>

#include "common/str.h"
#include "tests/provider/knobs.h"

struct json_t;

#define SCAN_MAX_TOOLS 16

enum scan_choice { CHOICE_AUTO, CHOICE_NONE, CHOICE_ANY, CHOICE_TOOL };

/* Slices live as long as the body or the tree. */
struct scan {
	struct str model;
	bool stream, include_usage, include_obfuscation, base64, has_tools;
	bool continuous_usage; /* stream_options.continuous_usage_stats */
	bool has_messages, has_input,
	    has_tool_result;  /* ... is what comes last */
	bool tools_seen;      /* Bedrock: tool blocks anywhere */
	bool has_arrays;      /* messages whose content is an array */
	struct str tool_name; /* of the first tool */
	int64_t max_tokens;   /* smaller of both caps, -1 = none */
	bool logprobs;
	int64_t top_logprobs; /* -1 = no log probabilities */
	struct str stop;      /* the first stop sequence */
	int64_t n;	      /* choices, 1 when absent */
	int64_t dimensions;   /* -1 when absent */
	int64_t prompt_tokens;
	int64_t n_inputs; /* of an embeddings request */
	unsigned forms;	  /* Cohere: bits of enum embed_form */
	uint64_t hash;	  /* of the prompt's text: the same in each dialect */
	struct str raw_tools, raw_format, raw_choice; /* chat: JSON, or "" */
	struct str tier;    /* service_tier asked for */
	struct str unknown; /* chat: the first member that OpenAI has not */
	struct knobs knobs; /* from "x_sim" */
	const char *bad;    /* what is wrong; NULL = nothing */
	/* Filled from trees only. */
	struct {
		const char *name;
		const struct json_t *schema; /* may be NULL */
	} tools[SCAN_MAX_TOOLS];
	int n_tools;
	enum scan_choice choice;
	const char *choice_name;
	bool serial;		     /* no parallel tool calls */
	bool json;		     /* the answer must be a JSON object ... */
	const struct json_t *format; /* ... of this schema, may be NULL */
	bool thinking;		     /* thinking was switched on */
	bool show_thinking;	     /* its text is wanted */
	bool summaries;		     /* Responses: so are summaries */
	bool wants_signatures;	     /* encrypted reasoning is wanted */
	bool partial_args;	     /* Gemini: arguments in pieces */
	/* What is paid for beside tokens, or (by_units) instead of them. */
	int64_t seconds, characters, images, search_units;
	bool by_units;
	const char *type; /* of the answer, NULL = the dialect's */
};

void scan_init(struct scan *s);
/* False when body is no JSON object; s->bad then says why. */
bool scan_body(struct str body, struct scan *s);
/* Add a text of the prompt to the hash. */
void scan_hash(struct scan *s, struct str text);

#endif
