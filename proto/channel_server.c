/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server side: worker threads, each with a context of its own on one REP
 * socket, and a PUB socket.
 */
#include "proto/channel.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdlib.h>

#include "proto/channel_door.h"
#include "proto/channel_errno.h"
#include "proto/channel_guard.h"
#include "proto/channel_priv.h"

#define SERVER_MAX_WORKERS 64
#define SERVER_SEND_MS	   20000 /* then the caller's connection is dropped */
#define SERVER_DROP_MS	   5000	 /* for the operation to end after that */
#define SERVER_PUB_QUEUE   256
#define SERVER_SWEEP_MS	   2000 /* between looks at who is connected */
#define SERVER_GLANCE_MS   500	/* while somebody is who does not belong */

struct server_worker {
	struct channel_server *server;
	unsigned index;
	nng_ctx ctx;
	bool has_thread;
	struct channel_op *op;
	pthread_t thread;
	struct buf reply;
};

struct channel_server {
	nng_socket rep, pub;
	bool has_rep, has_pub;
	nng_tls_config *tls;
	struct channel_door door, publish_door;
	struct channel_pipes pipes; /* of rep */
	struct channel_roll *roll;
	struct channel_guard *guard;
	struct channel_gate gate; /* of rep's contexts */
	atomic_bool stop;
	void (*handle)(
	    void *ctx, unsigned worker, struct str request, struct buf *reply);
	void *ctx;
	pthread_t keeper;
	bool has_keeper;
	int64_t sweep_ms;
	unsigned n_workers;
	struct server_worker workers[SERVER_MAX_WORKERS];
};

/* A context and an operation for the worker. */
static int
worker_open(struct server_worker *w, struct error *e)
{
	struct channel_op *op = calloc(1, sizeof(*op));
	int rc, rv;

	if (op == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	rc = channel_op_init(op, e);
	if (rc != 0) {
		free(op);
		return rc;
	}
	rv = nng_ctx_open(&w->ctx, w->server->rep);
	if (rv != 0) {
		channel_op_release(op);
		free(op);
		return channel_fail(e, rv, "context");
	}
	w->op = op;
	return 0;
}

/* nng lost the operation: leave it behind and go on with a fresh one. */
static bool
worker_renew(struct server_worker *w)
{
	w->op = NULL;
	return worker_open(w, NULL) == 0;
}

/* Give the reply to nng; a caller that does not read is disconnected. False:
 * the worker cannot go on. */
static bool
worker_send(struct server_worker *w, nng_pipe caller)
{
	nng_msg *msg = NULL;

	if (nng_msg_alloc(&msg, 0) != 0)
		return true;
	if (w->reply.len != 0 &&
	    nng_msg_append(msg, w->reply.data, w->reply.len) != 0) {
		nng_msg_free(msg);
		return true;
	}
	if (!channel_gate_enter(&w->server->gate)) {
		nng_msg_free(msg);
		return false;
	}
	nng_aio_set_msg(w->op->aio, msg);
	channel_op_start(w->op);
	nng_ctx_send(w->ctx, w->op->aio);
	channel_gate_leave(&w->server->gate);
	if (!channel_op_wait(w->op, channel_now_ms() + SERVER_SEND_MS, NULL)) {
		(void)nng_pipe_close(caller);
		if (!channel_op_wait(
			w->op, channel_now_ms() + SERVER_DROP_MS, NULL) &&
		    channel_op_abandon(w->op))
			return worker_renew(w);
	}
	if (nng_aio_result(w->op->aio) != 0) /* it is still ours */
		nng_msg_free(msg);
	return true;
}

static void *
worker_main(void *arg)
{
	struct server_worker *w = arg;

	while (!atomic_load(&w->server->stop)) {
		nng_pipe caller;
		nng_msg *msg;
		int rv;

		if (!channel_gate_enter(&w->server->gate))
			break;
		channel_op_start(w->op);
		nng_ctx_recv(w->ctx, w->op->aio);
		channel_gate_leave(&w->server->gate);
		(void)channel_op_wait(w->op, -1, NULL);
		rv = nng_aio_result(w->op->aio);
		if (rv == NNG_ECLOSED)
			break;
		if (rv != 0)
			continue;
		msg = nng_aio_get_msg(w->op->aio);
		caller = nng_msg_get_pipe(msg);
		buf_clear(&w->reply);
		w->server->handle(w->server->ctx, w->index,
		    str_make(nng_msg_body(msg), nng_msg_len(msg)), &w->reply);
		nng_msg_free(msg);
		if (buf_error(&w->reply) != 0)
			buf_clear(&w->reply);
		if (!worker_send(w, caller))
			break;
	}
	return NULL;
}

/* True: somebody waits there, or it is being seen to. */
static bool
server_watch_door(struct channel_server *s, struct channel_door *d, bool *busy)
{
	bool reopened, waits;
	int64_t ms;

	waits = channel_guard_waits(s->guard, d->port, &ms);
	*busy |= channel_door_step(d, ms, &reopened);
	if (reopened)
		channel_guard_port(s->guard, d->port);
	return waits;
}

/* Subscribers that hear nothing replace their connection; connections that
 * come to nothing are ended; a listener that died is replaced. */
static void *
keeper_main(void *arg)
{
	struct channel_server *s = arg;
	int64_t say = channel_now_ms(), sweep = say;

	while (!atomic_load(&s->stop)) {
		int64_t now = channel_now_ms(), next;
		bool busy = false, waits;

		if (now >= say) {
			say = now + CHANNEL_KEEPALIVE_MS;
			(void)!channel_publish(s, CHANNEL_KEEPALIVE, STR_NULL);
		}
		if (now >= sweep)
			(void)channel_guard_sweep(s->guard);
		waits = server_watch_door(s, &s->door, &busy);
		waits |= server_watch_door(s, &s->publish_door, &busy);
		if (now >= sweep)
			sweep = now + (waits && s->sweep_ms > SERVER_GLANCE_MS
					      ? SERVER_GLANCE_MS
					      : s->sweep_ms);
		next = busy ? now + DOOR_STEP_MS : sweep;
		channel_pipes_pause(
		    &s->pipes, next < say ? next : say, &s->stop);
	}
	return NULL;
}

static int
server_start_worker(struct channel_server *s, unsigned i, struct error *e)
{
	struct server_worker *w = &s->workers[i];
	int rc;

	w->server = s;
	w->index = i;
	buf_init(&w->reply, CHANNEL_MESSAGE_MAX);
	rc = worker_open(w, e);
	if (rc != 0)
		return rc;
	if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
		return err_set(e, ERR_NOMEM, "cannot start a thread");
	w->has_thread = true;
	return 0;
}

static void
server_on_pipe(struct channel_server *s, struct channel_door *d, nng_pipe pipe,
    nng_pipe_ev ev)
{
	if (ev == NNG_PIPE_EV_ADD_POST) {
		channel_roll_add(s->roll, pipe);
		channel_door_came(d);
	} else {
		channel_roll_remove(s->roll, pipe);
	}
}

static void
server_on_subscriber(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct channel_server *s = arg;

	server_on_pipe(s, &s->publish_door, pipe, ev);
}

static void
server_on_caller(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct channel_server *s = arg;

	server_on_pipe(s, &s->door, pipe, ev);
	channel_pipes_on_event(pipe, ev, &s->pipes);
}

static int
server_watch(nng_socket sock, nng_pipe_cb on_event, struct channel_server *s,
    struct error *e)
{
	int rv = nng_pipe_notify(sock, NNG_PIPE_EV_ADD_POST, on_event, s);

	if (rv == 0)
		rv = nng_pipe_notify(sock, NNG_PIPE_EV_REM_POST, on_event, s);
	return rv == 0 ? 0 : channel_fail(e, rv, "pipe notification");
}

static int
server_open(struct channel_server *s, const struct channel_server_options *opt,
    struct error *e)
{
	int rc, rv;

	rc = channel_tls_server(opt->cert_pem, opt->key_pem, &s->tls, e);
	s->roll = channel_roll_new();
	if (rc == 0 && s->roll == NULL)
		rc = err_set(e, ERR_NOMEM, "no memory for the channel");
	if (rc == 0)
		rc =
		    channel_guard_new(opt->handshake_ms, s->roll, &s->guard, e);
	if (rc != 0)
		return rc;
	rv = nng_rep0_open(&s->rep);
	if (rv != 0)
		return channel_fail(e, rv, "REP socket");
	s->has_rep = true;
	rv = nng_pub0_open(&s->pub);
	if (rv != 0)
		return channel_fail(e, rv, "PUB socket");
	s->has_pub = true;
	rv = nng_socket_set_size(s->rep, NNG_OPT_RECVMAXSZ, CHANNEL_RECV_MAX);
	if (rv == 0)
		rv = nng_socket_set_size(s->pub, NNG_OPT_RECVMAXSZ, 4096);
	if (rv == 0)
		rv = nng_socket_set_int(
		    s->pub, NNG_OPT_SENDBUF, SERVER_PUB_QUEUE);
	if (rv != 0)
		return channel_fail(e, rv, "socket options");
	rc = server_watch(s->rep, server_on_caller, s, e);
	if (rc == 0)
		rc = server_watch(s->pub, server_on_subscriber, s, e);
	if (rc == 0)
		rc = channel_door_open(
		    &s->door, s->rep, false, opt->listen, s->tls, e);
	if (rc == 0)
		rc = channel_door_open(&s->publish_door, s->pub, true,
		    opt->listen_publish, s->tls, e);
	if (rc != 0)
		return rc;
	channel_guard_port(s->guard, s->door.port);
	channel_guard_port(s->guard, s->publish_door.port);
	return 0;
}

int
channel_server_new(const struct channel_server_options *opt,
    struct channel_server **ret, struct error *e)
{
	struct channel_server *s;
	unsigned i;
	int rc;

	MUST(opt->n_workers >= 1 && opt->n_workers <= SERVER_MAX_WORKERS);
	(void)channel_errno_mended();
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	s->handle = opt->handle;
	s->ctx = opt->ctx;
	s->n_workers = opt->n_workers;
	s->sweep_ms = SERVER_SWEEP_MS;
	if (opt->handshake_ms > 0 && opt->handshake_ms < s->sweep_ms)
		s->sweep_ms = opt->handshake_ms;
	channel_pipes_init(&s->pipes, CHANNEL_DIAL_MS);
	rc = server_open(s, opt, e);
	for (i = 0; rc == 0 && i < s->n_workers; i++)
		rc = server_start_worker(s, i, e);
	if (rc == 0) {
		s->has_keeper =
		    pthread_create(&s->keeper, NULL, keeper_main, s) == 0;
		if (!s->has_keeper)
			rc = err_set(e, ERR_NOMEM, "cannot start a thread");
	}
	if (rc != 0) {
		(void)channel_server_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

uint16_t
channel_server_port(const struct channel_server *s)
{
	return s->door.port;
}

uint16_t
channel_server_publish_port(const struct channel_server *s)
{
	return s->publish_door.port;
}

unsigned
channel_server_reopened(const struct channel_server *s)
{
	return atomic_load(&s->door.n_reopened) +
	       atomic_load(&s->publish_door.n_reopened);
}

unsigned
channel_server_stuck(const struct channel_server *s)
{
	return channel_roll_stuck(s->roll);
}

unsigned
channel_server_peers(const struct channel_server *s)
{
	return atomic_load(&s->pipes.n);
}

int
channel_publish(struct channel_server *s, const char *topic, struct str message)
{
	nng_msg *msg = NULL;
	int rv;

	if (message.len > CHANNEL_MESSAGE_MAX)
		return ERR_TOO_LARGE;
	rv = nng_msg_alloc(&msg, 0);
	if (rv == 0)
		rv = nng_msg_append(msg, topic, strlen(topic) + 1);
	if (rv == 0 && message.len != 0)
		rv = nng_msg_append(msg, message.p, message.len);
	if (rv == 0) /* PUB never blocks: it drops */
		rv = nng_sendmsg(s->pub, msg, 0);
	if (rv != 0 && msg != NULL)
		nng_msg_free(msg);
	return rv == 0 ? 0 : channel_fail(NULL, rv, "publish");
}

bool
channel_server_free(struct channel_server *s)
{
	bool closed = true;
	unsigned i;

	if (s == NULL)
		return true;
	atomic_store(&s->stop, true);
	channel_pipes_kick(&s->pipes);
	if (s->has_keeper)
		pthread_join(s->keeper, NULL);
	closed = channel_door_stop(&s->door);
	closed = channel_door_stop(&s->publish_door) && closed;
	if (s->has_rep)
		closed = channel_gate_shut(&s->gate, CHANNEL_CLOSE_MS) &&
			 channel_close(s->rep) && closed;
	if (s->has_pub)
		closed = channel_close(s->pub) && closed;
	if (!closed) /* nng hangs: the process is about to end anyway */
		return false;
	for (i = 0; i < s->n_workers; i++) {
		if (s->workers[i].has_thread)
			pthread_join(s->workers[i].thread, NULL);
		if (s->workers[i].op != NULL)
			channel_op_release(s->workers[i].op);
		free(s->workers[i].op);
		buf_release(&s->workers[i].reply);
	}
	channel_door_release(&s->door);
	channel_door_release(&s->publish_door);
	if (s->tls != NULL)
		nng_tls_config_free(s->tls);
	channel_guard_free(s->guard);
	channel_roll_free(s->roll);
	channel_pipes_release(&s->pipes);
	free(s);
	return true;
}
