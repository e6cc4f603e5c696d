/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS in front of a connection, with the ways in which it can fail: in the
 * handshake (ordered by POST /sim/tls, since no request has come by then) and
 * at the end of a connection (enum conn_end, steered by a request's fault).
 * A struct tls belongs to the thread of its connection.
 */
#ifndef TESTS_PROVIDER_TLS_H
#define TESTS_PROVIDER_TLS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/str.h"
#include "tests/provider/conn_end.h"

/* What becomes of a handshake. X(enum, name) */
#define TLS_FAULT_TABLE(X)                                             \
	X(TLS_FAULT_NONE, "none")                                      \
	X(TLS_FAULT_ALERT, "alert") /* fatal handshake_failure */      \
	X(TLS_FAULT_CLOSE, "close") /* closed after the first bytes */ \
	X(TLS_FAULT_PLAIN, "plain") /* an answer that is no TLS */     \
	X(TLS_FAULT_STALL, "stall") /* silence */

enum tls_fault {
#define X(e, name) e,
	TLS_FAULT_TABLE(X)
#undef X
	    TLS_FAULT_COUNT
};

struct tls;
struct tls_server;

/* cert and key: PEM files; client_ca: those of clients that must show a
 * certificate, or NULL. */
int tls_server_new(const char *cert, const char *key, const char *client_ca,
    struct tls_server **ret, struct error *e) MUST_CHECK;
void tls_server_free(struct tls_server *s); /* NULL is fine */
/* The next `times` handshakes fail so. ERR_INVALID for an unknown name. Any
 * thread. */
int tls_server_order(
    struct tls_server *s, struct str fault, uint64_t times) MUST_CHECK;

/* Serve a connection that was accepted; NULL: no memory. The socket stays the
 * caller's. */
struct tls *tls_new(struct tls_server *s, int fd) MUST_CHECK;
void tls_free(struct tls *t); /* NULL is fine */
/* As recv and send of a socket that does not block: -1 with errno EAGAIN when
 * there is nothing to do, 0 at the end. */
ssize_t tls_recv(struct tls *t, void *p, size_t n) MUST_CHECK;
ssize_t tls_send(struct tls *t, const void *p, size_t n) MUST_CHECK;
/* Say goodbye, or not; before the socket is closed. */
void tls_end(struct tls *t, enum conn_end how);

#endif
