/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server under REST: owner of libmicrohttpd. Each connection has a
 * thread of its own; the application's functions run on it and may block.
 * Limits on head, body, connections and time are arguments.
 */
#ifndef CONTROLPLANE_REST_SERVER_H
#define CONTROLPLANE_REST_SERVER_H

#include <stdint.h>

#include "controlplane/rest/http.h"

struct server;

struct exchange {
	struct http_request req;
	struct http_response res;
	void *user;	 /* the application's */
	int64_t started; /* monotonic ns */
};

/* Called on the server's threads, several at a time. */
struct server_app {
	void *ctx;
	/* The head was read. True: res is the answer (the body is not read);
	 * false: read the body, then call answer. */
	bool (*head)(void *ctx, struct exchange *x);
	void (*answer)(void *ctx, struct exchange *x);
	/* The answer was sent or the client is gone; release x->user. */
	void (*done)(void *ctx, struct exchange *x);
	/* A request that the server itself refuses: fill res. */
	void (*refuse)(void *ctx, struct exchange *x, const struct error *e);
};

struct server_options {
	const char *listen;	    /* "127.0.0.1:7400", "[::1]:0" */
	unsigned max_connections;   /* 0 = 1000 */
	unsigned idle_timeout_s;    /* 0 = 30 */
	unsigned request_timeout_s; /* to send a whole body; 0 = 120 */
	size_t max_body;	    /* bytes; 0 = 8 MiB */
	size_t max_response;	    /* bytes; 0 = 256 MiB */
};

int server_start(const struct server_options *o, const struct server_app *app,
    struct server **ret, struct error *e) MUST_CHECK;
/* Port that was bound. */
unsigned server_port(const struct server *s);
/* Waits for running handlers; NULL is ok. */
void server_stop(struct server *s);

#endif
