/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses that a provider keeps. Their ids go to clients in a form of ours
 *
 *   resp_hg<base64url(deployment uid, MAC)>_<the provider's id without resp_>
 *
 * The MAC covers tenant, deployment and id, with a key made of the provider's
 * credential: every agent that can reach the deployment can check it, none
 * needs a table, and what another tenant got hold of is of no use to it. When
 * the credential changes, ids from before are not found any more.
 */
#ifndef AGENT_FRONT_STORED_H
#define AGENT_FRONT_STORED_H

#include "agent/front/request.h"

#define STORED_ID_MAX 192

/* The form for clients, NUL-ended. False: the id is too odd to be kept. */
bool stored_seal(const struct b_deployment *d, uint64_t tenant_uid,
    struct str upstream, char dst[STORED_ID_MAX]);
/* Back; the deployment that holds it, NULL when it is not the tenant's (or no
 * such deployment is there any more). */
const struct b_deployment *stored_open(const struct bundle *b,
    uint64_t tenant_uid, struct str id, char upstream[STORED_ID_MAX]);

/* Look at a request for /responses: previous_response_id is opened, and pins
 * the request to its deployment. False: refused. */
bool stored_read(struct request *r);
/* The operations on one stored response: route, deployment and r->scan. False:
 * refused. */
bool stored_find(struct request *r);
/* For relay_opts: seal an id of the attempt's answer. */
bool stored_seal_answer(
    void *ctx, struct str upstream, char dst[STORED_ID_MAX]);

#endif
