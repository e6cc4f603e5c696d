/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to the control plane that come to nothing. nng 1.5.2 waits for
 * ever for a TLS handshake that does not go on, and sees no peer that is gone
 * before the kernel's keep-alive of two hours. Each holds a descriptor, and
 * anybody who can reach the ports can make them. So the guard
 *
 *   - has the kernel look after peers within a minute: accepted sockets inherit
 *     the options of the listening one;
 *   - shuts sockets that have not become a connection of ours in time, which
 *     ends nng's wait; when there are many of them, sooner;
 *   - has connections closed that have no socket any more (channel_roll.h).
 *
 * What holds: no socket is without a connection for longer than the time for
 * a handshake and the server's time between two sweeps; connections are never
 * touched.
 */
#ifndef PROTO_CHANNEL_GUARD_H
#define PROTO_CHANNEL_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/channel_roll.h"

#define GUARD_HANDSHAKE_MS 15000
#define GUARD_CROWD	   64 /* from here on a third of the time */

struct channel_guard;

/* The roll outlives it. handshake_ms 0 = GUARD_HANDSHAKE_MS. ERR_NOMEM, ERR_IO.
 */
int channel_guard_new(int handshake_ms, struct channel_roll *roll,
    struct channel_guard **ret, struct error *e) MUST_CHECK;
/* NULL is fine. No callback may come any more. */
void channel_guard_free(struct channel_guard *g);
/* Look after sockets accepted at this port from now on; at most two ports.
 * Again when another socket listens at it. The sweeping thread, or before it.
 */
void channel_guard_port(struct channel_guard *g, uint16_t port);
/* Shut what took too long; the number of those. Calls the roll, so that
 * connections without a socket are closed. One thread. */
unsigned channel_guard_sweep(struct channel_guard *g);
/* Is anybody connected at this port who is no connection of ours, as of the
 * last sweep, and how long the first of them has been. The same thread. */
bool channel_guard_waits(
    const struct channel_guard *g, uint16_t port, int64_t *ms) MUST_CHECK;

#endif
