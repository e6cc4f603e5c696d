/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the HTTP/1.1 engine: opening, keeping alive, reuse (last used
 * first), closing. A connection is registered in epoll once, edge-triggered,
 * and stays so across calls.
 */
#ifndef AGENT_UPSTREAM_H1_CONN_H
#define AGENT_UPSTREAM_H1_CONN_H

#include <sys/socket.h>

#include "agent/upstream/h1_parse.h"
#include "common/buf.h"
#include "common/pool.h"

struct h1_call;
struct h1_conn;

/* A host and port that we talk to with one set of credentials. Lives as long
 * as the engine. */
struct h1_origin {
	struct h1_origin *next;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	char host[64];	    /* as configured, without brackets */
	char authority[80]; /* for the Host field */
	uint16_t port;
	uint8_t pool_id[16]; /* of the provider */
	size_t n_idle, max_idle, n_conns;
	int64_t used_at;      /* mono ns */
	struct h1_conn *idle; /* last used first */
};

struct h1_conn {
	struct loop_source src; /* first */
	struct loop_deferred deferred;
	struct h1_conns *pool;
	struct h1_origin *origin;
	struct h1_call *call;	     /* NULL while idle */
	struct h1_conn *next, *prev; /* idle list */
	struct h1_conn *more_next;   /* see h1_conns.more */
	int64_t idle_since;
	struct buf head; /* beginning of an answer's head */
	bool connecting, in_more, closed, eof_seen;
};

struct h1_conns {
	struct loop *loop;
	struct up_limits lim;
	struct pool pool;
	struct h1_origin *origins;
	struct h1_conn *more; /* to be read again next turn */
	int64_t next_sweep;
	uint64_t n_connects;
	void (*ready)(struct h1_conn *c, uint32_t events);
};

void h1_conns_init(struct h1_conns *p, struct loop *l,
    const struct up_limits *lim,
    void (*ready)(struct h1_conn *c, uint32_t events));
/* Closes idle connections; no call may be in flight. */
void h1_conns_release(struct h1_conns *p);
/* Origin of a provider; NULL when its host is not numeric or no memory. */
struct h1_origin *h1_origin_find(
    struct h1_conns *p, const struct b_provider *provider);
bool h1_host_is_numeric(struct str host);
/* An idle connection, or NULL. */
struct h1_conn *h1_conn_reuse(struct h1_conns *p, struct h1_origin *o);
/* Begin to connect. ERR_UPSTREAM (refused at once), ERR_OVERLOADED, ERR_NOMEM.
 */
int h1_conn_open(
    struct h1_conns *p, struct h1_origin *o, struct h1_conn **ret) MUST_CHECK;
/* Keep for reuse (closes it when there are enough). */
void h1_conn_rest(struct h1_conn *c);
/* Close now; memory is freed when the turn ends. */
void h1_conn_close(struct h1_conn *c);
/* Read it again in the next h1_turn. */
void h1_conn_more(struct h1_conn *c);
/* Close what rested too long; does something once a second at most. */
void h1_conns_sweep(struct h1_conns *p);

#endif
