/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an answer to a client.
 */
#ifndef AGENT_FRONT_REPLY_H
#define AGENT_FRONT_REPLY_H

#include "agent/front/request.h"

struct reply_form {
	bool keep;	/* the connection stays */
	bool chunked;	/* else: a length, or until the connection closes */
	int64_t length; /* < 0 = unknown */
	const char *date;
};

/* Write the head of r's answer; returns its length. Everything in it is ours
 * or was checked, and fits: MUST otherwise. cap >= REPLY_MAX. */
#define REPLY_MAX 4096
size_t reply_head(
    const struct request *r, const struct reply_form *f, char *dst, size_t cap);

#endif
