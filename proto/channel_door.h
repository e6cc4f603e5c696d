/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address at which the channel listens, and goes on listening.
 *
 * nng 1.5.2 has one operation that waits for the next connection of a listener.
 * When a handshake fails, its error ends that operation, and after NNG_ECLOSED
 * no other is begun (core/listener.c, listener_accept_cb). From then on callers
 * connect, shake hands and believe that they are connected, but nobody reads
 * what they ask. channel_errno.h keeps away what is known to lead there; the
 * door notices when it happened all the same:
 *
 *   OPEN       --(a caller waits for DOOR_WAIT_MS)--> PROBING: we call
 * ourselves PROBING    --(a connection came, anybody's)-->    OPEN
 *              --(ours believes it is connected, yet none came for
 *                 DOOR_PROOF_MS)-->                   REOPENING
 *              --(ours does not get through)-->       OPEN, nothing was learnt
 *   REOPENING  --(done)-->                            OPEN
 *
 * Reopening closes the listener, with it all of its connections (their dialers
 * are back within 2 s), and listens at the same port again.
 *
 * What holds: a listener that accepts nobody while somebody calls is replaced
 * within DOOR_WAIT_MS + DOOR_PROOF_MS, two looks of the server and a handshake,
 * 5 s; one that works never is.
 *
 * One thread (the server's keeper) but for channel_door_came().
 */
#ifndef PROTO_CHANNEL_DOOR_H
#define PROTO_CHANNEL_DOOR_H

#include "proto/channel_priv.h"

#define DOOR_WAIT_MS  400
#define DOOR_PROOF_MS 2000
#define DOOR_PROBE_MS 4000 /* for our own handshake */
#define DOOR_REST_MS  5000 /* between two probes */
#define DOOR_STEP_MS  100  /* between looks while it is not OPEN */

enum door_state { DOOR_OPEN, DOOR_PROBING, DOOR_REOPENING };

struct channel_door {
	nng_socket sock; /* the server's, which outlives the door */
	bool publishes;
	nng_tls_config *tls; /* the server's */
	nng_listener listener;
	char host[CHANNEL_URL_MAX - 32]; /* as given, without port */
	uint16_t port;
	atomic_uint n_came; /* connections so far */
	atomic_uint n_reopened;

	enum door_state state;
	unsigned came_before;
	unsigned steps; /* in this state; a process may be stopped meanwhile */
	int64_t rest_until_ms;
	bool proving; /* our call believes it is connected */

	nng_tls_config *probe_tls;
	nng_socket probe;
	atomic_bool probe_connected;
	struct channel_closing *probe_closing; /* of the one before */

	pthread_t thread; /* reopens */
	bool has_thread;
	atomic_bool reopened, stop;
};

/* Listen at "host:port"; port 0 = any. ERR_IO, ERR_INVALID. */
int channel_door_open(struct channel_door *d, nng_socket sock, bool publishes,
    const char *listen, nng_tls_config *tls, struct error *e) MUST_CHECK;
/* A connection came in by it. nng's threads. */
void channel_door_came(struct channel_door *d);
/* Go on. waiting_ms: for how long a caller has been connected without becoming
 * a connection; 0 = none is. *reopened: it listens afresh just now. True: come
 * back in DOOR_STEP_MS. */
bool channel_door_step(
    struct channel_door *d, int64_t waiting_ms, bool *reopened);
/* Before the socket is closed. False: nng hangs, all must stay. Of a door that
 * never opened too. */
bool channel_door_stop(struct channel_door *d);
/* After the socket was closed. */
void channel_door_release(struct channel_door *d);

#endif
