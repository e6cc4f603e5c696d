/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4 (header form) over libsodium. libcurl's own signer
 * signs the path as it is and so cannot be used for Bedrock's model ids: all
 * services but S3 want the path encoded once more. Pure, any thread.
 */
#ifndef AGENT_PROVIDER_SIGV4_H
#define AGENT_PROVIDER_SIGV4_H

#include <stdint.h>

#include "common/cloud_key.h"

struct sigv4_request {
	const char *method;
	struct str host;  /* as in the Host field */
	struct str path;  /* as sent: percent-encoded, begins with '/' */
	struct str query; /* in canonical form already, "" = none */
	struct str region, service;
	const struct aws_keys *keys;
	const struct str *parts; /* the body */
	unsigned n_parts;
	bool unsigned_body; /* body of unknown content */
	bool no_body_field; /* leave x-amz-content-sha256 out */
	int64_t wall_ns;
};

/* Append the header lines, each ended by CRLF: x-amz-date,
 * x-amz-content-sha256, x-amz-security-token, Authorization. dst is
 * NUL-ended. ERR_TOO_LARGE. */
int sigv4_sign(const struct sigv4_request *r, char *dst, size_t cap,
    size_t *len) MUST_CHECK;

#endif
