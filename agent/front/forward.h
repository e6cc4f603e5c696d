/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes to a provider for a request: read into the neutral form where that
 * is needed, translated where the dialects differ, otherwise as it came but
 * for the model's name; with the provider's path and header lines.
 */
#ifndef AGENT_FRONT_FORWARD_H
#define AGENT_FRONT_FORWARD_H

#include "agent/front/request.h"

/* Read the body (validated JSON of a generation) into r->ir, once. Errors of
 * codec_client.read(). */
int forward_read(struct request *r, struct error *e) MUST_CHECK;
/* Can the deployment's provider serve the operation at all? */
bool forward_can(const struct request *r, const struct b_deployment *d);
/* For the attempt's deployment: choose the way and translate the body if need
 * be. ERR_INVALID with the field: it cannot be carried there. */
int forward_prepare(struct request *r, struct error *e) MUST_CHECK;
/* Fill the call for up_start(): path, header lines, body. ERR_AGAIN: a token
 * is being fetched; ERR_UPSTREAM, ERR_UNSUPPORTED, ERR_TOO_LARGE, ERR_NOMEM. */
int forward_call(
    struct request *r, struct up_request *rq, struct error *e) MUST_CHECK;
/* How the answer to the attempt is to be relayed. */
void forward_relay(struct request *r, bool stream, struct relay_opts *ret);
/* Keep what of the client's head goes upstream; its slices end soon. */
void forward_keep_head(struct request *r);

#endif
