/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client side: call slots on a REQ socket with a dialer per control plane,
 * each slot with a context of its own.
 *
 * The resend time of REQ is infinite: a request whose connection breaks ends
 * with NNG_ECONNRESET instead of being sent again behind our back; who calls
 * decides about a retry, with a fresh envelope. A call that has to give up on
 * an operation that nng does not end abandons the slot; it comes back when
 * nng ends it.
 *
 * nng 1.5.2 can lose an operation when a TLS connection breaks: a call waits
 * for ever, a dialer never dials again, or its one thread that takes
 * connections apart waits for ever, and no dialer of the process dials again.
 * A fresh socket still connects. So the socket, its slots and dialers are a
 * "link". It is replaced when it has no connection for longer than its dialers
 * may take, when a call got no answer in time, when a call broke and its
 * connection stays, or when it takes no request. What was replaced is closed
 * and freed when nobody is inside any more; where nng hangs it stays, and the
 * more there are of those, the less readily another is made.
 */
#include "proto/channel.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdlib.h>
#include <time.h>

#include "proto/channel_priv.h"

#define CLIENT_MAX_CALLS 64
#define CLIENT_SEND_MS	 3000 /* connected, yet nng takes no request */
#define CLIENT_DROP_MS	 3000 /* for the call to end after the drop */
#define CLIENT_RESET_MS	 300  /* from a broken call to its connection's end */
#define CLIENT_SLICE_MS	 100  /* between looks at the link while waiting */

struct call_slot {
	struct channel_op op; /* first: the callback gets its address */
	struct link *link;
	nng_ctx ctx;
	bool taken; /* under link->lock */
	bool sending;
};

struct link {
	struct link *older; /* retired before; nng may refer to it still */
	struct channel_client *client;
	unsigned n_users; /* threads inside, under client->lock */
	nng_socket req;
	bool has_req; /* open, nobody closes it yet */
	struct channel_closing *closing;
	struct channel_gate gate; /* of its contexts */
	struct channel_pipes pipes;
	atomic_bool suspect;	  /* took no request, or gave no answer */
	_Atomic int64_t reset_ms; /* a call broke; 0 = not, or dealt with */
	pthread_mutex_t lock;
	unsigned n_slots;
	struct call_slot slots[CLIENT_MAX_CALLS];
};

struct channel_client {
	char *addresses[CHANNEL_MAX_ADDRESSES];
	unsigned n_addresses, max_calls;
	int64_t dial_ms;
	nng_tls_config *tls;
	atomic_bool stop;
	pthread_mutex_t lock; /* of what follows */
	struct link *link;    /* in use; the retired ones behind it */
};

/* ---- links --------------------------------------------------------------- */

static void
slot_put(struct call_slot *slot)
{
	pthread_mutex_lock(&slot->link->lock);
	slot->taken = false;
	pthread_mutex_unlock(&slot->link->lock);
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
link_open_slot(struct link *l, struct call_slot *slot, struct error *e)
{
	int rc, rv;

	slot->link = l;
	rc = channel_op_init(&slot->op, e);
	if (rc != 0)
		return rc;
	slot->op.on_abandoned = slot_on_abandoned;
	rv = nng_ctx_open(&slot->ctx, l->req);
	if (rv == 0)
		rv = nng_ctx_set_ms(
		    slot->ctx, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	return rv == 0 ? 0 : channel_fail(e, rv, "context");
}

static int
link_open(struct link *l, struct error *e)
{
	struct channel_client *c = l->client;
	unsigned i;
	int rc, rv;

	rv = nng_req0_open(&l->req);
	if (rv != 0)
		return channel_fail(e, rv, "REQ socket");
	l->has_req = true;
	rv = nng_socket_set_ms(
	    l->req, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (rv == 0)
		rv = nng_socket_set_size(
		    l->req, NNG_OPT_RECVMAXSZ, CHANNEL_RECV_MAX);
	if (rv != 0)
		return channel_fail(e, rv, "socket options");
	for (i = 0; i < l->n_slots; i++) {
		rc = link_open_slot(l, &l->slots[i], e);
		if (rc != 0)
			return rc;
	}
	rc = channel_pipes_watch(&l->pipes, l->req, e);
	if (rc == 0)
		rc = channel_dial(l->req, (const char *const *)c->addresses,
		    c->n_addresses, c->tls, e);
	return rc;
}

/* Begin to close it unless somebody is inside a call of nng. */
static void
link_close(struct link *l, int64_t wait_ms)
{
	if (!l->has_req || !channel_gate_shut(&l->gate, wait_ms))
		return;
	l->closing = channel_closing_start(l->req);
	l->has_req = l->closing == NULL;
}

/* False: nng is not through with it (so far), everything must stay. */
static bool
link_free(struct link *l, int64_t wait_ms)
{
	int64_t end = channel_now_ms() + wait_ms;
	unsigned i;

	link_close(l, wait_ms);
	if (l->has_req || !channel_closing_done(l->closing, wait_ms))
		return false;
	for (i = 0; i < l->n_slots; i++) {
		struct call_slot *slot = &l->slots[i];

		if (slot->op.aio != NULL &&
		    !channel_op_wait(&slot->op, end, NULL))
			return false;
	}
	for (i = 0; i < l->n_slots; i++)
		channel_op_release(&l->slots[i].op);
	channel_closing_free(l->closing);
	channel_pipes_release(&l->pipes);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return true;
}

static int
link_new(struct channel_client *c, int64_t dial_ms, struct link **ret,
    struct error *e)
{
	struct link *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	l->client = c;
	l->n_slots = c->max_calls;
	pthread_mutex_init(&l->lock, NULL);
	channel_pipes_init(&l->pipes, dial_ms);
	rc = link_open(l, e);
	if (rc != 0) {
		(void)link_free(l, CHANNEL_CLOSE_MS);
		return rc;
	}
	*ret = l;
	return 0;
}

/* A call broke, yet nng has not taken its connection apart (so far). */
static bool
link_is_half_dead(struct link *l)
{
	int64_t reset = atomic_load(&l->reset_ms);

	return reset != 0 &&
	       atomic_load(&l->pipes.gone_ms) < reset - CLIENT_RESET_MS;
}

static bool
link_is_past_hope(struct link *l)
{
	return atomic_load(&l->suspect) || channel_pipes_is_lost(&l->pipes) ||
	       (link_is_half_dead(l) &&
		   channel_now_ms() - atomic_load(&l->reset_ms) >
		       CLIENT_RESET_MS);
}

/* Is nobody inside any more, and no abandoned call to come back? */
static bool
link_is_deserted(struct link *l)
{
	bool taken = l->n_users > 0;
	unsigned i;

	pthread_mutex_lock(&l->lock);
	for (i = 0; i < l->n_slots; i++)
		taken |= l->slots[i].taken;
	pthread_mutex_unlock(&l->lock);
	return !taken;
}

/* Free the retired links that can be; the number of those that cannot. */
static unsigned
client_sweep(struct channel_client *c)
{
	struct link **at = &c->link->older, *l;
	unsigned n = 0;

	while ((l = *at) != NULL) {
		struct link *older = l->older;

		link_close(l, 0); /* ends what waits there */
		if (link_is_deserted(l) && link_free(l, 0)) {
			*at = older;
			continue;
		}
		at = &l->older;
		n++;
	}
	return n;
}

/* The link in use, replaced first when it is past hope. Never NULL; to be given
 * back. */
static struct link *
client_link(struct channel_client *c)
{
	struct link *l, *fresh = NULL;
	unsigned n_old;

	pthread_mutex_lock(&c->lock);
	l = c->link;
	n_old = l->older == NULL ? 0 : client_sweep(c);
	if (!atomic_load(&c->stop) && link_is_past_hope(l) &&
	    channel_pipes_may_renew(&l->pipes, n_old) &&
	    link_new(c, channel_pipes_next(&l->pipes, c->dial_ms), &fresh,
		NULL) == 0) {
		fresh->older = l;
		c->link = fresh;
		link_close(l, 0);
		l = fresh;
	}
	l->n_users++;
	pthread_mutex_unlock(&c->lock);
	return l;
}

static void
client_give(struct channel_client *c, struct link *l)
{
	pthread_mutex_lock(&c->lock);
	l->n_users--;
	pthread_mutex_unlock(&c->lock);
}

static bool
link_is_connected(struct link *l)
{
	return atomic_load(&l->pipes.n) > 0 && !link_is_half_dead(l);
}

/* ---- the client ------------------------------------------------------------
 */

static int
client_addresses(struct channel_client *c,
    const struct channel_client_options *opt, struct error *e)
{
	unsigned i;

	for (i = 0; i < opt->n_addresses; i++) {
		c->addresses[i] = str_dup(str_of(opt->addresses[i]));
		if (c->addresses[i] == NULL)
			return err_set(
			    e, ERR_NOMEM, "no memory for the channel");
		c->n_addresses++;
	}
	return 0;
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
	c->max_calls = opt->max_calls;
	c->dial_ms = opt->dial_ms > 0 ? opt->dial_ms : CHANNEL_DIAL_MS;
	rc = client_addresses(c, opt, e);
	if (rc == 0)
		rc = channel_tls_client(
		    opt->ca_pem, opt->server_name, &c->tls, e);
	if (rc == 0)
		rc = link_new(c, c->dial_ms, &c->link, e);
	if (rc != 0) {
		channel_client_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

bool
channel_client_connected(struct channel_client *c)
{
	struct link *l = client_link(c);
	bool yes = link_is_connected(l);

	client_give(c, l);
	return yes;
}

int
channel_client_wait(struct channel_client *c, int timeout_ms)
{
	int64_t end = channel_now_ms() + timeout_ms;

	while (!atomic_load(&c->stop)) {
		struct link *l = client_link(c);
		int64_t now = channel_now_ms();

		bool yes = link_is_connected(l);

		if (!yes && now < end)
			channel_pipes_wait(
			    &l->pipes, end - now < CLIENT_SLICE_MS
					   ? end
					   : now + CLIENT_SLICE_MS);
		client_give(c, l);
		if (yes)
			return 0;
		if (now >= end)
			return ERR_TIMEOUT;
	}
	return ERR_UNAVAILABLE;
}

/* ---- calls ------------------------------------------------------------------
 */

static struct call_slot *
slot_take(struct link *l)
{
	struct call_slot *slot = NULL;
	unsigned i;

	pthread_mutex_lock(&l->lock);
	for (i = 0; i < l->n_slots && slot == NULL; i++)
		if (!l->slots[i].taken)
			slot = &l->slots[i];
	if (slot != NULL)
		slot->taken = true;
	pthread_mutex_unlock(&l->lock);
	return slot;
}

/* Waits until deadline; then drops the connection, which ends the operation.
 * False: abandoned, the slot is not ours any more. */
static bool
slot_finish(struct call_slot *slot, int64_t deadline, bool *timed_out)
{
	struct link *l = slot->link;
	const atomic_bool *stop = &l->client->stop;

	*timed_out = false;
	if (channel_op_wait(&slot->op, deadline, stop))
		return true;
	if (!atomic_load(stop)) {
		*timed_out = true;
		atomic_store(&l->suspect, true);
		channel_pipes_drop(&l->pipes);
		if (!slot->sending &&
		    channel_op_wait(
			&slot->op, channel_now_ms() + CLIENT_DROP_MS, stop))
			return true;
	}
	return !channel_op_abandon(&slot->op);
}

static int
slot_fail(struct call_slot *slot, bool timed_out, struct error *e)
{
	if (atomic_load(&slot->link->client->stop))
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
	if (!channel_gate_enter(&slot->link->gate)) {
		nng_msg_free(msg);
		return slot_fail(slot, false, e);
	}
	slot->sending = true;
	nng_aio_set_msg(slot->op.aio, msg);
	channel_op_start(&slot->op);
	nng_ctx_send(slot->ctx, slot->op.aio);
	channel_gate_leave(&slot->link->gate);
	*lost =
	    !slot_finish(slot, channel_now_ms() + CLIENT_SEND_MS, &timed_out);
	if (*lost)
		return slot_fail(slot, timed_out, e);
	rv = nng_aio_result(slot->op.aio);
	if (rv == 0)
		return 0;
	nng_msg_free(msg);
	return slot_fail(slot, timed_out, e);
}

static int
slot_recv(struct call_slot *slot, int64_t deadline, struct buf *reply,
    bool *lost, struct error *e)
{
	bool timed_out;
	nng_msg *msg;
	int rc, rv;

	if (!channel_gate_enter(&slot->link->gate))
		return slot_fail(slot, false, e);
	slot->sending = false;
	nng_aio_set_msg(slot->op.aio, NULL);
	channel_op_start(&slot->op);
	nng_ctx_recv(slot->ctx, slot->op.aio);
	channel_gate_leave(&slot->link->gate);
	*lost = !slot_finish(slot, deadline, &timed_out);
	if (*lost)
		return slot_fail(slot, timed_out, e);
	rv = nng_aio_result(slot->op.aio);
	if (rv != 0) {
		atomic_store(&slot->link->reset_ms, channel_now_ms());
		return slot_fail(slot, timed_out, e);
	}
	msg = nng_aio_get_msg(slot->op.aio);
	rc = buf_add(reply, nng_msg_body(msg), nng_msg_len(msg));
	nng_msg_free(msg);
	return rc == 0 ? 0 : err_set(e, rc, "reply does not fit");
}

static int
link_call(struct link *l, struct str request, int64_t deadline,
    struct buf *reply, struct error *e)
{
	struct call_slot *slot;
	bool lost = false;
	int rc;

	if (atomic_load(&l->client->stop) || !link_is_connected(l))
		return err_set(
		    e, ERR_UNAVAILABLE, "no control plane is connected");
	slot = slot_take(l);
	if (slot == NULL)
		return err_set(
		    e, ERR_LIMIT, "%u calls are running already", l->n_slots);
	rc = slot_send(slot, request, &lost, e);
	if (rc == 0)
		rc = slot_recv(slot, deadline, reply, &lost, e);
	if (!lost)
		slot_put(slot);
	return rc;
}

int
channel_call(struct channel_client *c, struct str request, int timeout_ms,
    struct buf *reply, struct error *e)
{
	int64_t deadline = channel_now_ms() + timeout_ms;
	struct link *l;
	int rc;

	if (request.len > CHANNEL_MESSAGE_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "request of %zu bytes", request.len);
	l = client_link(c);
	rc = link_call(l, request, deadline, reply, e);
	client_give(c, l);
	return rc;
}

/* ---- the end
 * ------------------------------------------------------------------ */

void
channel_client_shutdown(struct channel_client *c)
{
	struct link *l;
	unsigned i;

	atomic_store(&c->stop, true);
	pthread_mutex_lock(&c->lock);
	for (l = c->link; l != NULL; l = l->older) {
		for (i = 0; i < l->n_slots; i++)
			channel_op_kick(&l->slots[i].op);
		channel_pipes_kick(&l->pipes);
	}
	pthread_mutex_unlock(&c->lock);
}

void
channel_client_free(struct channel_client *c)
{
	struct link *l;
	unsigned i;

	if (c == NULL)
		return;
	atomic_store(&c->stop, true);
	while ((l = c->link) != NULL) {
		c->link = l->older;
		if (!link_free(l, CHANNEL_CLOSE_MS))
			return; /* nng hangs: leak rather than crash */
	}
	if (c->tls != NULL)
		nng_tls_config_free(c->tls);
	for (i = 0; i < c->n_addresses; i++)
		free(c->addresses[i]);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
