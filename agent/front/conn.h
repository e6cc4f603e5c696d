/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the HTTP server: connections, and who does what with them.
 * server.c accepts, watches and closes; conn_read.c turns bytes into requests;
 * conn_write.c sends answers.
 */
#ifndef AGENT_FRONT_CONN_H
#define AGENT_FRONT_CONN_H

#include <time.h>

#include "agent/front/front.h"
#include "agent/front/reply.h"
#include "agent/upstream/h1_parse.h"
#include "common/pool.h"

#define SERVER_SCRATCH 65536

enum conn_state {
	CONN_HEAD,   /* reads a head, or rests */
	CONN_BODY,   /* reads a body */
	CONN_BUSY,   /* the request is worked on, its answer sent */
	CONN_LINGER, /* everything is sent; waits for the client to close */
	CONN_CLOSED
};

struct conn {
	struct loop_source src; /* first */
	struct loop_deferred deferred;
	struct server *s;
	struct request *req;
	struct conn *next, *prev;
	struct conn *ready_next;
	enum conn_state state;
	int64_t since;	 /* mono ns: of the state HEAD or LINGER */
	struct buf in;	 /* read, not yet taken */
	size_t scanned;	 /* of `in`, while a head is looked for */
	struct buf pend; /* to be sent before anything else */
	struct h1_chunked chunked;
	uint64_t left; /* of a body with a length */
	bool in_ready;
	bool readable;		   /* the socket may hold more */
	bool keep;		   /* after this answer */
	bool old;		   /* HTTP/1.0 */
	bool head_sent, tail_sent; /* of the answer, or in pend */
};

struct server {
	struct front *f;
	struct loop_source listener; /* first */
	struct pool conns;
	struct conn *list, *ready;
	bool quiet, deaf; /* deaf: not accepting for now */
	time_t date_second;
	char date[40];
	char head[REPLY_MAX];
	char scratch[SERVER_SCRATCH];
};

/* Do conn_work() in the next server_run(). */
void conn_want(struct conn *c);
/* The server is through with the connection's request, if it has one. */
void conn_let_go(struct conn *c);
/* Close now. Memory is freed when the turn ends. */
void conn_close(struct conn *c);
/* Close so that what was sent arrives: the client closes first, or else its
 * unread bytes would make the kernel throw our answer away. */
void conn_linger(struct conn *c);

/* Read while a request is awaited and there is something. */
void conn_read(struct conn *c);
/* An answer, or more of it, may go out. */
void conn_write(struct conn *c);

#endif
