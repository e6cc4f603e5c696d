/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roll of the server's connections, by the address of the other end. It
 * tells sockets that are connections from those that are not (channel_guard.h),
 * and finds connections that have no socket any more.
 *
 * There are such, because nng 1.5.2 loses the error of a TLS connection that
 * breaks at an instant when no operation waits on it (supplemental/tls,
 * tls_tcp_error with empty queues): what is begun later waits for ever, and its
 * descriptor is never closed. Seen after one in ten callers that were killed
 * while they sent a large message. Such a connection is closed.
 *
 * Closing one while a callback of it is under way can make nng's one thread
 * that takes connections apart wait for ever (sp/transport/tls,
 * tlstran_pipe_send_cb after tlstran_pipe_close); seen after some hundred such
 * callers. Nothing cures that but a new process; what is closed from then on is
 * counted as stuck.
 */
#ifndef PROTO_CHANNEL_ROLL_H
#define PROTO_CHANNEL_ROLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/channel_priv.h"

/* Of a connection; unused bytes are zero. */
struct roll_peer {
	uint8_t address[16];
	uint16_t port; /* network byte order */
	uint16_t here; /* the port it was accepted at */
};

struct channel_roll;

/* NULL: no memory. */
struct channel_roll *channel_roll_new(void);
void channel_roll_free(struct channel_roll *r); /* NULL is fine */
/* A connection came, or went. nng's threads. One that broke
 * before it could be asked for its address is closed. */
void channel_roll_add(struct channel_roll *r, nng_pipe pipe);
void channel_roll_remove(struct channel_roll *r, nng_pipe pipe);
/* Is it a connection now? Any thread; slow. */
bool channel_roll_has(struct channel_roll *r, const struct roll_peer *p);

/* One thread: call the roll as it is now, tell each socket that there is, and
 * close the connections that had none in this call and the one before; their
 * number. */
void channel_roll_call(struct channel_roll *r);
bool channel_roll_see(struct channel_roll *r, const struct roll_peer *p);
unsigned channel_roll_end(struct channel_roll *r);
/* How many were closed and nng does not let go of, as of the last call. Any
 * thread. */
unsigned channel_roll_stuck(const struct channel_roll *r);

#endif
