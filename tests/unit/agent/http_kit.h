/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server in a thread of its own, one connection at a time:
 * it keeps what it was sent and answers what the test says.
 */
#ifndef TESTS_UNIT_AGENT_HTTP_KIT_H
#define TESTS_UNIT_AGENT_HTTP_KIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_KIT_MAX 32 /* requests kept */

struct http_kit {
	int fd, wake[2];
	uint16_t port;
	pthread_t thread;
	/* Whole answer to request number n (from 0); NULL: close. */
	const char *(*answer)(void *ctx, unsigned n, const char *request);
	void *ctx;
	atomic_uint n_requests, n_connections;
	char *requests[HTTP_KIT_MAX]; /* head and body, NUL-ended */
};

void http_kit_start(struct http_kit *k,
    const char *(*answer)(void *ctx, unsigned n, const char *request),
    void *ctx);
/* Ends the thread; the requests stay until http_kit_release. */
void http_kit_stop(struct http_kit *k);
void http_kit_release(struct http_kit *k);

#endif
