/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may make a request dearer than its own bytes and caps tell: context
 * that the provider keeps, media of unknown length, tools that the provider
 * runs itself, in rounds that each read the whole conversation again. Needed
 * for ceilings only. Pure, any thread.
 */
#ifndef AGENT_DIALECT_BOUND_H
#define AGENT_DIALECT_BOUND_H

#include "agent/dialect/ir.h"
#include "agent/dialect/surface.h"
#include "common/json.h"

#define BOUND_FIELD	64
#define BOUND_MAX_CALLS 1000

struct bound {
	/* The input is bounded by the model's context only: why, or "". */
	char input[BOUND_FIELD];
	/* A tool of the provider without a bound on its calls, or "". */
	char tool[BOUND_FIELD];
	int64_t calls; /* of the provider's own tools, at the most */
};

/* root: of the validated body; ir: what was read from it, NULL for OP_CHAT.
 * Other operations than generations have bounds of their own. */
void bound_read(enum op op, struct json root, const struct ir_request *ir,
    struct bound *ret);

#endif
