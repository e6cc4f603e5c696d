/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of Gemini whose arguments come in pieces. */
#ifndef TESTS_PROVIDER_GEMINI_CALL_H
#define TESTS_PROVIDER_GEMINI_CALL_H

#include "common/buf.h"

typedef void gemini_piece_fn(void *ctx, struct str part);

/* Give fn each part of a message that follows the one with the call's name:
 * the leaves of args (a JSON object), and the end. */
void gemini_call_pieces(struct str args, gemini_piece_fn *fn, void *ctx);

#endif
