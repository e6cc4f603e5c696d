/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between control plane and agents: nng REQ/REP for everything
 * that matters and PUB/SUB for hints, over TLS 1.2 with the control plane's
 * private CA pinned. Only moves bytes; what they mean is envelope.h.
 *
 * nng 1.5.2 has bugs around cancelling and closing. Therefore no operation is
 * ever cancelled: a call that ran into its timeout drops the connection, which
 * ends the call; what its socket still does is not waited for, a fresh socket
 * takes its place. Sockets are closed once, by a helper thread that is given
 * up on after some seconds. Free channels only when the process (or a test)
 * ends.
 *
 * What holds: once a control plane can be reached again, a client has a
 * connection within CHANNEL_DIAL_MAX_MS (10 s) and the time of a handshake,
 * whatever happened to its bytes, its dialers or nng's threads before (up to
 * 320 s when nng holds on to 32 and more sockets that were given up); within
 * CHANNEL_DIAL_MS (4 s) after an interruption as short as that. What was given
 * up for it is freed as soon as nng let go of it.
 *
 * Addresses: "tls+tcp://host:port" (production) or "tcp://host:port" (tests).
 */
#ifndef PROTO_CHANNEL_H
#define PROTO_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define CHANNEL_MESSAGE_MAX	((size_t)4 << 20)
#define CHANNEL_MAX_ADDRESSES	8
#define CHANNEL_CALL_TIMEOUT_MS 30000

/* ---- server (control plane) ------------------------------------------- */

struct channel_server;

struct channel_server_options {
	const char *listen;	    /* REP, "127.0.0.1:7401"; port 0 = any */
	const char *listen_publish; /* PUB, likewise */
	const char *cert_pem;	    /* chain; NULL = plain TCP (tests) */
	const char *key_pem;
	unsigned n_workers; /* handler threads, 1..64 */
	int handshake_ms;   /* then a caller without one is shut; 0 = usual */
	/* Called on worker thread `worker` (0..n_workers-1) with the bytes of
	 * a request; appends the reply (always one: an empty reply is sent
	 * as such). reply is limited to CHANNEL_MESSAGE_MAX. */
	void (*handle)(
	    void *ctx, unsigned worker, struct str request, struct buf *reply);
	void *ctx;
};

/* Listen and start the workers. ERR_IO (address in use, bad certificate). */
int channel_server_new(const struct channel_server_options *opt,
    struct channel_server **ret, struct error *e) MUST_CHECK;
/* Bound ports, also when 0 was asked for. */
uint16_t channel_server_port(const struct channel_server *s);
uint16_t channel_server_publish_port(const struct channel_server *s);
/* Send to all subscribers of `topic` (no NUL in it). Any thread. Never
 * blocks; may be lost: a hint. ERR_TOO_LARGE, ERR_NOMEM, ERR_IO. */
int channel_publish(
    struct channel_server *s, const char *topic, struct str message) MUST_CHECK;
/* Number of connected callers (REQ) now. */
unsigned channel_server_peers(const struct channel_server *s);
/* Connections that are dead and that nng does not let go of: it will free none
 * before the process ends. */
unsigned channel_server_stuck(const struct channel_server *s);
/* How often a listener that accepted nobody any more was replaced. */
unsigned channel_server_reopened(const struct channel_server *s);
/* Stops accepting, waits for running handlers, closes. NULL is fine. False
 * when nng's close hung: handlers may still run, ctx must stay valid. */
bool channel_server_free(struct channel_server *s);

/* ---- client (agent) ---------------------------------------------------- */

struct channel_client;

struct channel_client_options {
	const char *const *addresses; /* of the control planes */
	unsigned n_addresses;	      /* 1..CHANNEL_MAX_ADDRESSES */
	const char *ca_pem;	      /* the only CA trusted */
	const char *server_name;      /* checked against the certificate */
	unsigned max_calls;	      /* at the same time, 1..64 */
	int dial_ms; /* until a dialer is given up first; 0 = the usual */
};

/* Starts dialling in the background; succeeds with the peer away. */
int channel_client_new(const struct channel_client_options *opt,
    struct channel_client **ret, struct error *e) MUST_CHECK;
/* Is at least one control plane connected? Any thread. */
bool channel_client_connected(struct channel_client *c);
/* Wait until connected; 0 or ERR_TIMEOUT. */
int channel_client_wait(struct channel_client *c, int timeout_ms) MUST_CHECK;

/* One request, one reply; blocking; any number of threads up to max_calls.
 * Appends the reply to `reply`. ERR_UNAVAILABLE at once when no control plane
 * is connected or the connection broke (the request may or may not have been
 * handled: every message is idempotent), ERR_TIMEOUT, ERR_TOO_LARGE,
 * ERR_LIMIT when max_calls are running. timeout_ms should be long
 * (CHANNEL_CALL_TIMEOUT_MS), or as long as the line's silence is borne: a
 * timeout drops the connection and all calls on it. */
int channel_call(struct channel_client *c, struct str request, int timeout_ms,
    struct buf *reply, struct error *e) MUST_CHECK;
/* Makes running and later calls end with ERR_UNAVAILABLE (for shutdown). */
void channel_client_shutdown(struct channel_client *c);
/* No call may be running. NULL is fine. */
void channel_client_free(struct channel_client *c);

/* ---- subscriber (agent) ------------------------------------------------ */

struct channel_sub;

struct channel_sub_options {
	const char *const *addresses; /* publish addresses */
	unsigned n_addresses;
	const char *ca_pem;
	const char *server_name;
	const char *topic; /* whole topic, e.g. the group */
	/* Called on the subscriber's own thread, without the topic. */
	void (*on_message)(void *ctx, struct str message);
	void *ctx;
	int dial_ms; /* as of a client */
};

int channel_sub_new(const struct channel_sub_options *opt,
    struct channel_sub **ret, struct error *e) MUST_CHECK;
bool channel_sub_connected(struct channel_sub *s);
/* Ends the thread (on_message is not called afterwards). NULL is fine. */
void channel_sub_free(struct channel_sub *s);

#endif
