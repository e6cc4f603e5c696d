/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the members of a request body that the simulator needs, in one pass
 * and without a tree. Own code, so that the agent's JSON scanner is never
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

struct scan {
	struct str model;
	bool stream, include_usage, include_obfuscation, base64, has_tools;
	bool has_messages, has_input, has_tool_result;
	struct str tool_name; /* of the first tool */
	int64_t max_tokens;   /* smaller of both caps, -1 = none */
	int64_t n;	      /* choices, 1 when absent */
	int64_t dimensions;   /* -1 when absent */
	int64_t prompt_tokens;
	int64_t n_inputs;   /* of an embeddings request */
	struct knobs knobs; /* from "x_sim" */
	const char *bad;    /* what is wrong; NULL = nothing */
};

/* False when body is no JSON object; s->bad then says why. */
bool scan_body(struct str body, struct scan *s);

#endif
