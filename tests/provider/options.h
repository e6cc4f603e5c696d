/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the models file says beside models: credentials that the simulator
 * verifies. All may be absent; then it takes anybody.
 *
 *   {"models": [...],
 *    "aws": {"access_key": "AKIA...", "secret_key": "...",
 *            "session_token": "...", "bearer": "...", "region": "..."},
 *    "google": {"client_email": "...", "public_key": "-----BEGIN ...",
 *               "token_seconds": 3600, "project": "..."}}
 */
#ifndef TESTS_PROVIDER_OPTIONS_H
#define TESTS_PROVIDER_OPTIONS_H

#include <stdint.h>

struct options {
	char aws_access_key[64], aws_secret_key[128], aws_session_token[512],
	    aws_bearer[256], aws_region[64];
	char google_email[256], google_key[4096];
	int64_t google_token_seconds;
};

#endif
