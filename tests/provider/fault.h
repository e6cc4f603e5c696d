/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that strike while an answer is under way: how a plain body is spoilt
 * or cut, what breaks a stream, what becomes of a single event. Faults that
 * are answers by themselves (429, 503 ...) are in exchange.c and problem.c.
 * What was generated until then is billed.
 */
#ifndef TESTS_PROVIDER_FAULT_H
#define TESTS_PROVIDER_FAULT_H

#include "tests/provider/exchange.h"

/* Send a plain answer as its fault and its knobs want it. */
void fault_plain(struct conn *c, struct buf *body);
/* Before content event number `after` (or in the middle). Returns true when
 * the stream is over or silent; ev is what was not sent yet. */
bool fault_strike(struct conn *c, struct buf *ev);
/* Is the event that is about to be written the one to spoil? Sets
 * x->spoiling for fault_payload. */
void fault_aim(struct exchange *x);
/* Spoil the event of a text stream that begins at `from`. */
void fault_spoil(struct exchange *x, size_t from, struct buf *ev);
/* The same for the JSON of a binary frame, before it is framed. */
void fault_payload(const struct exchange *x, struct buf *json);
/* After the end of a streamed answer: what is too much. */
void fault_surplus(struct conn *c);
/* n letters. */
void fault_fill(struct buf *out, int64_t n);
/* Does this fault need a TLS connection? */
bool fault_is_tls(int64_t fault);

#endif
