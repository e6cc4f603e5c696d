/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the channel share: TLS configuration, one asynchronous
 * nng operation that a thread waits for with a deadline, closing a socket
 * without trusting that it ends.
 */
#ifndef PROTO_CHANNEL_PRIV_H
#define PROTO_CHANNEL_PRIV_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/err.h"

#define CHANNEL_URL_MAX	 300
#define CHANNEL_CLOSE_MS 5000
/* Room for what frames a message inside nng's size limit. */
#define CHANNEL_RECV_MAX (((size_t)4 << 20) + 4096)

/* nng's error as ours: ERR_NOMEM, ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_IO. */
int channel_fail(struct error *e, int nng_code, const char *what);

/* NULL ca_pem: no TLS. Client: the CA is the only trusted one, the server's
 * name is checked. */
int channel_tls_client(const char *ca_pem, const char *server_name,
    nng_tls_config **ret, struct error *e) MUST_CHECK;
int channel_tls_server(const char *cert_pem, const char *key_pem,
    nng_tls_config **ret, struct error *e) MUST_CHECK;

/* Start dialling each address in the background. */
int channel_dial(nng_socket sock, const char *const *addresses, unsigned n,
    nng_tls_config *tls, struct error *e) MUST_CHECK;

/* Who is inside a call into a context of a socket. nng 1.5.2 takes a context
 * apart in the call that leaves it last, even when the socket was closed
 * meanwhile: it aborts the process, or the close hangs. So the socket is closed
 * when nobody is inside, and nobody enters any more. The calls do not block. */
struct channel_gate {
	atomic_uint inside;
	atomic_bool shut;
};
/* False: it is shut; do not call. */
bool channel_gate_enter(struct channel_gate *g) MUST_CHECK;
void channel_gate_leave(struct channel_gate *g);
/* False: somebody does not leave in time; do not close. May be repeated. */
bool channel_gate_shut(struct channel_gate *g, int64_t wait_ms) MUST_CHECK;

/* Closing in a helper thread, because nng's close can hang. Until it is done
 * everything the socket refers to must stay allocated. */
struct channel_closing;
/* NULL: no memory or no thread, the socket is still open. */
struct channel_closing *channel_closing_start(nng_socket sock);
/* Wait at most so long. True for NULL. */
bool channel_closing_done(struct channel_closing *c, int64_t wait_ms);
/* Forget about it, done or not. NULL is fine. */
void channel_closing_free(struct channel_closing *c);
/* All of it, waiting at most CHANNEL_CLOSE_MS; false: it hangs. */
bool channel_close(nng_socket sock);

/* Published on this topic every CHANNEL_KEEPALIVE_MS, so that a subscriber
 * that hears nothing for CHANNEL_SILENCE_MS knows that it is cut off. */
#define CHANNEL_KEEPALIVE    "\001keepalive"
#define CHANNEL_KEEPALIVE_MS 5000
#define CHANNEL_SILENCE_MS   20000

/* How long a socket's dialers may take to make a connection before it is given
 * up for a fresh one. A dialer that waits for a handshake whose bytes were
 * swallowed, or that nng lost, never ends and never dials again (1.5.2). The
 * time doubles while no connection is made at all, so that a control plane to
 * which a whole fleet comes back is not asked for ever more handshakes. */
#define CHANNEL_DIAL_MS	    4000 /* twice the longest pause of a dialer */
#define CHANNEL_DIAL_MAX_MS 10000

/* The connections of a socket, kept by its pipe callbacks. */
#define CHANNEL_MAX_PIPES 64
struct channel_pipes {
	pthread_mutex_t lock;
	pthread_cond_t change;
	nng_pipe pipes[CHANNEL_MAX_PIPES]; /* the first ones, to drop them */
	unsigned n_known;
	atomic_uint n;		 /* all */
	_Atomic int64_t gone_ms; /* when one went last */
	int64_t lost_ms; /* since when there is none; 0 = there is one */
	int64_t patience_ms, born_ms;
	bool had_one;
};
void channel_pipes_init(struct channel_pipes *p, int64_t patience_ms);
void channel_pipes_release(struct channel_pipes *p);
int channel_pipes_watch(
    struct channel_pipes *p, nng_socket sock, struct error *e) MUST_CHECK;
/* The callback itself, for who watches on its own; arg is the pipes. */
void channel_pipes_on_event(nng_pipe pipe, nng_pipe_ev ev, void *arg);
/* Close all known connections; the dialers make new ones. */
void channel_pipes_drop(struct channel_pipes *p);
/* There is none, and the dialers had their time to make one. */
bool channel_pipes_is_lost(struct channel_pipes *p);
/* The patience of a socket in place of this one: base_ms when this one had a
 * connection, else twice its own, up to 2.5 times base_ms. */
int64_t channel_pipes_next(struct channel_pipes *p, int64_t base_ms);
/* May this socket be replaced, with so many replaced ones that nng has not let
 * go of? nng 1.5.2 has one thread that takes connections apart. When it comes
 * to one whose operation was lost (seen after about one in a thousand servers
 * that were killed with a request under way), it waits for ever, and whatever
 * is closed in this process stays: a thread, descriptors, memory. So from 4 of
 * those on a new socket waits for 5 s, from 32 on longer, up to 320 s. */
bool channel_pipes_may_renew(const struct channel_pipes *p, unsigned n_hanging);
/* Wait for a change until then; channel_pipes_kick() ends it early. */
void channel_pipes_wait(struct channel_pipes *p, int64_t until_ms);
/* Wait until then, or until kicked with stop set. */
void channel_pipes_pause(
    struct channel_pipes *p, int64_t until_ms, const atomic_bool *stop);
void channel_pipes_kick(struct channel_pipes *p);

/* One nng operation at a time. */
struct channel_op {
	nng_aio *aio;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool busy;	/* started, callback has not run */
	bool abandoned; /* nobody waits; the callback tidies up */
	void (*on_abandoned)(struct channel_op *op); /* may be NULL */
};
int channel_op_init(struct channel_op *op, struct error *e) MUST_CHECK;
void channel_op_release(struct channel_op *op); /* MUST not be busy */
/* Mark as started; then call nng_..._send/recv(…, op->aio). */
void channel_op_start(struct channel_op *op);
/* Wait for the callback; true when it ran (nng_aio_result() tells how it
 * went). stop (may be NULL) ends the wait early when set and broadcast. */
bool channel_op_wait(
    struct channel_op *op, int64_t deadline_ms, const atomic_bool *stop);
/* Nobody waits any more. Returns false when the operation ended meanwhile:
 * then it is not abandoned. */
bool channel_op_abandon(struct channel_op *op);
void channel_op_kick(struct channel_op *op); /* re-check stop */

int64_t channel_now_ms(void);		      /* CLOCK_MONOTONIC */
void channel_cond_init(pthread_cond_t *cond); /* waits on CLOCK_MONOTONIC */
struct timespec channel_timespec(int64_t ms);

#endif
