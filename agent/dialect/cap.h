/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lowering the cap on the output in a request body that is otherwise passed
 * on as it came. Pure, any thread.
 */
#ifndef AGENT_DIALECT_CAP_H
#define AGENT_DIALECT_CAP_H

#include "agent/dialect/ir.h"
#include "agent/dialect/surface.h"
#include "common/json.h"

/* Is an answer that was cut short still of use? Not where calls of tools or
 * JSON of some shape are asked for, nor where thinking may take it all. root:
 * of the validated body; ir: what was read from it, or NULL. */
bool cap_may_shrink(enum op op, struct json root, const struct ir_request *ir);

/* Append the body to out with its cap lowered to n (> 0), in the dialect's own
 * member; one is added where there is none. old_name: a chat provider that
 * knows max_tokens only. ERR_UNSUPPORTED for other operations than
 * generations and completions, ERR_NOMEM, ERR_TOO_LARGE. */
int cap_write(enum op op, struct json root, bool old_name, int64_t n,
    struct buf *out) MUST_CHECK;

#endif
