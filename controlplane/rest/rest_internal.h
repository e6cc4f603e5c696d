/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST server's own state, shared by its dispatcher (rest.c), the
 * transaction around writes (write.c) and the health handlers.
 */
#ifndef CONTROLPLANE_REST_REST_INTERNAL_H
#define CONTROLPLANE_REST_REST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "controlplane/rest/auth.h"
#include "controlplane/rest/call.h"
#include "controlplane/rest/server.h"

struct rest {
	struct rest_options o;
	struct server *server;
	struct auth *auth;
	struct store_listener *listener; /* revoked tokens */
	struct buf openapi;
	atomic_bool draining;
	/* Requests in the database: fewer than the pool has connections, so
	 * that the other parts of the process always get one. */
	pthread_mutex_t lock;
	pthread_cond_t left;
	unsigned n_busy, max_busy;
};

/* Take a place in the database: waits a little, then ERR_AGAIN. */
int rest_enter(struct rest *r, struct error *e) MUST_CHECK;
void rest_leave(struct rest *r);

/* Parse and check the body of a call; c->body is set. */
int rest_read_body(struct rest_call *c) MUST_CHECK;
/* Run a writing handler: transaction, idempotency, audit row. */
int rest_write(struct rest_call *c) MUST_CHECK;
/* One audit row of its own for a call that was refused for its role. */
void rest_audit_refused(struct rest_call *c);

#endif
