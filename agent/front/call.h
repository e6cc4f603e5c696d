/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the provider's side of a request: call.c makes calls and relays
 * answers, call_error.c deals with errors of providers, drain.c with answers
 * that nobody waits for any more.
 */
#ifndef AGENT_FRONT_CALL_H
#define AGENT_FRONT_CALL_H

#include "agent/front/front.h"

/* What the error body in r->out means. */
void call_error_read(struct request *r, struct dialect_error *ret);
/* Can another deployment, or the same one later, do better? */
bool call_error_may_repeat(const struct dialect_error *de);
/* Build the client's answer from it, in r->out and r->answer. */
void call_error_answer(struct request *r, struct dialect_error *de);

/* End what an attempt has become, without an answer: its usage is collected
 * and the request goes on to REQ_USAGE. */
void call_abandon(struct request *r);

/* The client of a request in REQ_CALL or REQ_RELAY left: read the provider on
 * if the route says so. False: abort. */
bool drain_begin(struct request *r);
/* More of a drained answer came; may end it. */
void drain_more(struct request *r);
/* The drained request is over. */
void drain_end(struct request *r);

#endif
