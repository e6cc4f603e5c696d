/* SPDX-License-Identifier: Apache-2.0 */
/* Enrolment: turns a join token into an identity, once. */
#ifndef AGENT_CTL_ENROL_H
#define AGENT_CTL_ENROL_H

#include "agent/ctl/identity.h"

struct enrol_options {
	const char *join_token; /* text */
	const char *data_dir;
	const char *name; /* shown to admins; "" = the host's name */
	struct io *io;
	int timeout_ms; /* to reach the control plane */
};

/* Ask the control plane to accept this agent and save the identity.
 * ERR_INVALID (token), ERR_UNAVAILABLE / ERR_TIMEOUT (nobody there),
 * ERR_UNAUTHENTICATED (token refused). Blocks; main thread. */
int enrol(const struct enrol_options *opt, struct identity *ret,
    struct error *e) MUST_CHECK;

/* Client over the addresses of the identity; ERR_*. */
int identity_channel(const struct identity *id, struct channel_client **ret,
    struct error *e) MUST_CHECK;

#endif
