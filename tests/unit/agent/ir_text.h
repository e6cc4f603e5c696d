/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neutral form of a request as text, for tests of request readers: what is
 * not told is left out.
 */
#ifndef TESTS_UNIT_AGENT_IR_TEXT_H
#define TESTS_UNIT_AGENT_IR_TEXT_H

#include "agent/dialect/codec.h"

/* One line for the fields that are set, one a message with its parts, one a
 * tool, one for the others. */
void ir_text(struct buf *out, const struct ir_request *r);
/* Read body with c and compare with want. */
void ir_text_expect(
    const struct codec_client *c, const char *body, const char *want);
/* Reading body fails with rc and names the field. */
void ir_text_refuse(
    const struct codec_client *c, const char *body, int rc, const char *field);

#endif
