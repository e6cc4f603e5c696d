/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client side: one REQ socket with a dialer per control plane, and a fixed
 * number of call slots, each with a context of its own.
 *
 * The resend time of REQ is infinite: a request whose connection breaks ends
 * with NNG_ECONNRESET instead of being sent again behind our back; who calls
 * decides about a retry, with a fresh envelope. A call that has to give up on
 * an operation that nng does not end abandons the slot; it comes back when
 * nng ends it.
 */
#include "proto/channel.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdlib.h>
#include <time.h>

#include "proto/channel_priv.h"

#define CLIENT_MAX_CALLS 64
#define CLIENT_SEND_MS	 3000 /* connected, yet nng takes no request */
#define CLIENT_DROP_MS	 3000 /* for the call to end after the drop */

struct call_slot {
	struct channel_op op; /* first: the callback gets its address */
	struct channel_client *client;
	nng_ctx ctx;
	bool has_ctx;
	bool taken; /* under client->lock */
	bool sending;
};

struct channel_client {
	nng_socket req;
	bool has_req;
	nng_tls_config *tls;
	struct channel_pipes pipes;
	atomic_bool stop;
	pthread_mutex_t lock;
	unsigned n_slots;
	struct call_slot slots[CLIENT_MAX_CALLS];
};

static void
slot_put(struct call_slot *slot)
{
	pthread_mutex_lock(&slot->client->lock);
	slot->taken = false;
	pthread_mutex_unlock(&slot->client->lock);
}

/* An operation nobody waits for ended: drop its message, free the slot. */
static void
slot_on_abandoned(struct channel_op *op)
{
	struct call_slot *slot = (struct call_slot *)(void *)op;
	bool failed = nng_aio_result(op->aio) != 0;

	if (slot->sending == failed) { /* unsent request, or a reply */
		nng_msg *msg = nng_aio_get_msg(op->aio);

		if (msg != NULL)
			nng_msg_free(msg);
	}
	slot_put(slot);
}

static int
client_open(struct channel_client *c, const struct channel_client_options *opt,
    struct error *e)
{
	unsigned i;
	int rc, rv;

	rc = channel_tls_client(opt->ca_pem, opt->server_name, &c->tls, e);
	if (rc != 0)
		return rc;
	rv = nng_req0_open(&c->req);
	if (rv != 0)
		return channel_fail(e, rv, "REQ socket");
	c->has_req = true;
	rv = nng_socket_set_ms(
	    c->req, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (rv == 0)
		rv = nng_socket_set_size(
		    c->req, NNG_OPT_RECVMAXSZ, CHANNEL_RECV_MAX);
	if (rv != 0)
		return channel_fail(e, rv, "socket options");
	for (i = 0; i < c->n_slots; i++) {
		struct call_slot *slot = &c->slots[i];

		slot->client = c;
		rc = channel_op_init(&slot->op, e);
		if (rc != 0)
			return rc;
		slot->op.on_abandoned = slot_on_abandoned;
		rv = nng_ctx_open(&slot->ctx, c->req);
		if (rv == 0) {
			slot->has_ctx = true;
			rv = nng_ctx_set_ms(slot->ctx, NNG_OPT_REQ_RESENDTIME,
			    NNG_DURATION_INFINITE);
		}
		if (rv != 0)
			return channel_fail(e, rv, "context");
	}
	rc = channel_pipes_watch(&c->pipes, c->req, e);
	if (rc == 0)
		rc = channel_dial(
		    c->req, opt->addresses, opt->n_addresses, c->tls, e);
	return rc;
}

int
channel_client_new(const struct channel_client_options *opt,
    struct channel_client **ret, struct error *e)
{
	struct channel_client *c;
	int rc;

	if (opt->n_addresses < 1 || opt->n_addresses > CHANNEL_MAX_ADDRESSES)
		return err_set(e, ERR_INVALID,
		    "need 1 to %d control plane addresses",
		    CHANNEL_MAX_ADDRESSES);
	MUST(opt->max_calls >= 1 && opt->max_calls <= CLIENT_MAX_CALLS);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	pthread_mutex_init(&c->lock, NULL);
	channel_pipes_init(&c->pipes);
	c->n_slots = opt->max_calls;
	rc = client_open(c, opt, e);
	if (rc != 0) {
		channel_client_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

bool
channel_client_connected(const struct channel_client *c)
{
	return atomic_load(&c->pipes.n) > 0;
}

int
channel_client_wait(struct channel_client *c, int timeout_ms)
{
	int64_t end = channel_now_ms() + timeout_ms;
	struct timespec until = {end / 1000, end % 1000 * 1000000};
	int rc = 0;

	pthread_mutex_lock(&c->pipes.lock);
	while (atomic_load(&c->pipes.n) == 0 && rc == 0) {
		if (atomic_load(&c->stop))
			rc = ERR_UNAVAILABLE;
		else if (pthread_cond_timedwait(&c->pipes.change,
			     &c->pipes.lock, &until) == ETIMEDOUT)
			rc = ERR_TIMEOUT;
	}
	if (atomic_load(&c->pipes.n) > 0)
		rc = 0;
	pthread_mutex_unlock(&c->pipes.lock);
	return rc;
}

static struct call_slot *
slot_take(struct channel_client *c)
{
	struct call_slot *slot = NULL;
	unsigned i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->n_slots && slot == NULL; i++)
		if (!c->slots[i].taken)
			slot = &c->slots[i];
	if (slot != NULL)
		slot->taken = true;
	pthread_mutex_unlock(&c->lock);
	return slot;
}

/* Waits until deadline; then drops the connection, which ends the operation.
 * False: abandoned, the slot is not ours any more. */
static bool
slot_finish(struct call_slot *slot, int64_t deadline, bool *timed_out)
{
	struct channel_client *c = slot->client;

	*timed_out = false;
	if (channel_op_wait(&slot->op, deadline, &c->stop))
		return true;
	if (!atomic_load(&c->stop)) {
		*timed_out = true;
		channel_pipes_drop(&c->pipes);
		if (channel_op_wait(
			&slot->op, channel_now_ms() + CLIENT_DROP_MS, &c->stop))
			return true;
	}
	return !channel_op_abandon(&slot->op);
}

static int
slot_fail(struct channel_client *c, bool timed_out, struct error *e)
{
	if (atomic_load(&c->stop))
		return err_set(
		    e, ERR_UNAVAILABLE, "the channel is shutting down");
	if (timed_out)
		return err_set(
		    e, ERR_TIMEOUT, "the control plane did not answer");
	return err_set(
	    e, ERR_UNAVAILABLE, "the connection to the control plane broke");
}

/* Hand the request to nng. 0: sent; otherwise *lost says that the slot is
 * gone. */
static int
slot_send(
    struct call_slot *slot, struct str request, bool *lost, struct error *e)
{
	nng_msg *msg = NULL;
	bool timed_out;
	int rv;

	rv = nng_msg_alloc(&msg, 0);
	if (rv == 0 && request.len != 0)
		rv = nng_msg_append(msg, request.p, request.len);
	if (rv != 0) {
		if (msg != NULL)
			nng_msg_free(msg);
		return channel_fail(e, rv, "request");
	}
	slot->sending = true;
	nng_aio_set_msg(slot->op.aio, msg);
	channel_op_start(&slot->op);
	nng_ctx_send(slot->ctx, slot->op.aio);
	*lost =
	    !slot_finish(slot, channel_now_ms() + CLIENT_SEND_MS, &timed_out);
	if (*lost)
		return slot_fail(slot->client, timed_out, e);
	rv = nng_aio_result(slot->op.aio);
	if (rv == 0)
		return 0;
	nng_msg_free(msg);
	return slot_fail(slot->client, timed_out, e);
}

static int
slot_recv(struct call_slot *slot, int64_t deadline, struct buf *reply,
    bool *lost, struct error *e)
{
	bool timed_out;
	nng_msg *msg;
	int rc, rv;

	slot->sending = false;
	nng_aio_set_msg(slot->op.aio, NULL);
	channel_op_start(&slot->op);
	nng_ctx_recv(slot->ctx, slot->op.aio);
	*lost = !slot_finish(slot, deadline, &timed_out);
	if (*lost)
		return slot_fail(slot->client, timed_out, e);
	rv = nng_aio_result(slot->op.aio);
	if (rv != 0)
		return slot_fail(slot->client, timed_out, e);
	msg = nng_aio_get_msg(slot->op.aio);
	rc = buf_add(reply, nng_msg_body(msg), nng_msg_len(msg));
	nng_msg_free(msg);
	return rc == 0 ? 0 : err_set(e, rc, "reply does not fit");
}

int
channel_call(struct channel_client *c, struct str request, int timeout_ms,
    struct buf *reply, struct error *e)
{
	int64_t deadline = channel_now_ms() + timeout_ms;
	struct call_slot *slot;
	bool lost = false;
	int rc;

	if (request.len > CHANNEL_MESSAGE_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "request of %zu bytes", request.len);
	if (atomic_load(&c->stop) || !channel_client_connected(c))
		return err_set(
		    e, ERR_UNAVAILABLE, "no control plane is connected");
	slot = slot_take(c);
	if (slot == NULL)
		return err_set(
		    e, ERR_LIMIT, "%u calls are running already", c->n_slots);
	rc = slot_send(slot, request, &lost, e);
	if (rc == 0)
		rc = slot_recv(slot, deadline, reply, &lost, e);
	if (!lost)
		slot_put(slot);
	return rc;
}

void
channel_client_shutdown(struct channel_client *c)
{
	unsigned i;

	atomic_store(&c->stop, true);
	for (i = 0; i < c->n_slots; i++)
		channel_op_kick(&c->slots[i].op);
	pthread_mutex_lock(&c->pipes.lock);
	pthread_cond_broadcast(&c->pipes.change);
	pthread_mutex_unlock(&c->pipes.lock);
}

void
channel_client_free(struct channel_client *c)
{
	bool busy = false;
	unsigned i;

	if (c == NULL)
		return;
	atomic_store(&c->stop, true);
	if (c->has_req && !channel_close(c->req))
		return; /* nng hangs: leak rather than crash */
	for (i = 0; i < c->n_slots; i++) {
		struct call_slot *slot = &c->slots[i];

		if (slot->op.aio == NULL)
			continue;
		if (!channel_op_wait(
			&slot->op, channel_now_ms() + CLIENT_DROP_MS, NULL))
			busy = true;
		else
			channel_op_release(&slot->op);
	}
	if (busy)
		return;
	if (c->tls != NULL)
		nng_tls_config_free(c->tls);
	channel_pipes_release(&c->pipes);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
