/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriber: a SUB socket and a thread that hands on what arrives. The
 * server publishes a keep-alive every few seconds; a socket on which nothing
 * arrives for long, or whose dialers make no connection in time, is replaced
 * (why: channel_client.c).
 */
#include "proto/channel.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdlib.h>

#include "proto/channel_priv.h"

#define SUB_QUEUE    256
#define SUB_SLICE_MS 1000 /* between looks at the socket */

/* A socket with its receive operation; a replaced one stays until nng is
 * through with it. */
struct feed {
	struct feed *older;
	nng_socket sub;
	bool has_sub; /* open, nobody closes it yet */
	struct channel_closing *closing;
	struct channel_pipes pipes;
	struct channel_op op;
	int64_t heard_ms; /* thread only */
};

struct channel_sub {
	char *addresses[CHANNEL_MAX_ADDRESSES];
	unsigned n_addresses;
	int64_t dial_ms;
	char *topic;
	nng_tls_config *tls;
	atomic_bool stop;
	pthread_mutex_t lock; /* of feed */
	struct feed *feed;
	bool has_thread;
	pthread_t thread;
	void (*on_message)(void *ctx, struct str message);
	void *ctx;
};

static int
feed_open(struct channel_sub *s, struct feed *f, struct error *e)
{
	int rc, rv;

	rc = channel_op_init(&f->op, e);
	if (rc != 0)
		return rc;
	rv = nng_sub0_open(&f->sub);
	if (rv != 0)
		return channel_fail(e, rv, "SUB socket");
	f->has_sub = true;
	rv = nng_socket_set(
	    f->sub, NNG_OPT_SUB_SUBSCRIBE, s->topic, strlen(s->topic) + 1);
	if (rv == 0)
		rv = nng_socket_set(f->sub, NNG_OPT_SUB_SUBSCRIBE,
		    CHANNEL_KEEPALIVE, sizeof(CHANNEL_KEEPALIVE));
	if (rv == 0)
		rv = nng_socket_set_size(
		    f->sub, NNG_OPT_RECVMAXSZ, CHANNEL_RECV_MAX);
	if (rv == 0)
		rv = nng_socket_set_int(f->sub, NNG_OPT_RECVBUF, SUB_QUEUE);
	if (rv != 0)
		return channel_fail(e, rv, "socket options");
	rc = channel_pipes_watch(&f->pipes, f->sub, e);
	if (rc == 0)
		rc = channel_dial(f->sub, (const char *const *)s->addresses,
		    s->n_addresses, s->tls, e);
	return rc;
}

/* False: nng is not through with it (so far), everything must stay. */
static bool
feed_free(struct feed *f, int64_t wait_ms)
{
	if (f->has_sub) {
		f->closing = channel_closing_start(f->sub);
		f->has_sub = f->closing == NULL;
	}
	if (f->has_sub || !channel_closing_done(f->closing, wait_ms) ||
	    (f->op.aio != NULL &&
		!channel_op_wait(&f->op, channel_now_ms() + wait_ms, NULL)))
		return false;
	if (f->op.aio != NULL && nng_aio_get_msg(f->op.aio) != NULL)
		nng_msg_free(nng_aio_get_msg(f->op.aio)); /* came too late */
	channel_op_release(&f->op);
	channel_closing_free(f->closing);
	channel_pipes_release(&f->pipes);
	free(f);
	return true;
}

static int
feed_new(
    struct channel_sub *s, int64_t dial_ms, struct feed **ret, struct error *e)
{
	struct feed *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	channel_pipes_init(&f->pipes, dial_ms);
	f->heard_ms = channel_now_ms();
	rc = feed_open(s, f, e);
	if (rc != 0) {
		(void)feed_free(f, CHANNEL_CLOSE_MS);
		return rc;
	}
	*ret = f;
	return 0;
}

/* ---- the thread ------------------------------------------------------------
 */

static void
sub_take(struct channel_sub *s, struct feed *f)
{
	nng_msg *msg = nng_aio_get_msg(f->op.aio);
	size_t skip = strlen(s->topic) + 1, len = nng_msg_len(msg);
	const char *body = nng_msg_body(msg);

	f->heard_ms = channel_now_ms();
	if (len >= skip && memcmp(body, s->topic, skip) == 0 &&
	    !atomic_load(&s->stop))
		s->on_message(s->ctx, str_make(body + skip, len - skip));
	nng_msg_free(msg);
}

static bool
feed_is_lost(struct feed *f)
{
	if (channel_pipes_is_lost(&f->pipes))
		return true;
	return atomic_load(&f->pipes.n) > 0 &&
	       channel_now_ms() - f->heard_ms > CHANNEL_SILENCE_MS;
}

/* Free the retired feeds that can be; the number of those that cannot. The
 * thread only. */
static unsigned
sub_sweep(struct channel_sub *s)
{
	struct feed **at = &s->feed->older, *f;
	unsigned n = 0;

	while ((f = *at) != NULL) {
		struct feed *older = f->older;

		if (feed_free(f, 0)) {
			*at = older;
			continue;
		}
		at = &f->older;
		n++;
	}
	return n;
}

/* Replaces the feed; keeps the old one when there is no memory. */
static struct feed *
sub_renew(struct channel_sub *s, struct feed *old)
{
	struct feed *fresh = NULL;

	if (feed_new(s, channel_pipes_next(&old->pipes, s->dial_ms), &fresh,
		NULL) != 0) {
		old->heard_ms = channel_now_ms();
		return old;
	}
	pthread_mutex_lock(&s->lock);
	fresh->older = old;
	s->feed = fresh;
	pthread_mutex_unlock(&s->lock);
	return fresh;
}

static void *
sub_main(void *arg)
{
	struct channel_sub *s = arg;
	struct feed *f = s->feed;
	unsigned n_hanging;
	bool waiting = false;

	while (!atomic_load(&s->stop)) {
		int rv;

		if (!waiting) {
			channel_op_start(&f->op);
			nng_recv_aio(f->sub, f->op.aio);
		}
		waiting = !channel_op_wait(
		    &f->op, channel_now_ms() + SUB_SLICE_MS, &s->stop);
		n_hanging = sub_sweep(s);
		if (waiting && feed_is_lost(f) &&
		    channel_pipes_may_renew(&f->pipes, n_hanging)) {
			f = sub_renew(s, f);
			waiting = f->op.busy;
		}
		if (waiting || atomic_load(&s->stop))
			continue;
		rv = nng_aio_result(f->op.aio);
		if (rv == NNG_ECLOSED)
			break;
		if (rv == 0 && nng_aio_get_msg(f->op.aio) != NULL)
			sub_take(s, f);
		nng_aio_set_msg(f->op.aio, NULL);
	}
	return NULL;
}

/* ---- making and ending
 * ------------------------------------------------------- */

static int
sub_open(struct channel_sub *s, const struct channel_sub_options *opt,
    struct error *e)
{
	unsigned i;
	int rc;

	s->topic = str_dup(str_of(opt->topic));
	for (i = 0; i < opt->n_addresses; i++) {
		s->addresses[i] = str_dup(str_of(opt->addresses[i]));
		s->n_addresses++;
		if (s->addresses[i] == NULL)
			s->topic = NULL;
	}
	if (s->topic == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	s->dial_ms = opt->dial_ms > 0 ? opt->dial_ms : CHANNEL_DIAL_MS;
	rc = channel_tls_client(opt->ca_pem, opt->server_name, &s->tls, e);
	if (rc == 0)
		rc = feed_new(s, s->dial_ms, &s->feed, e);
	if (rc != 0)
		return rc;
	if (pthread_create(&s->thread, NULL, sub_main, s) != 0)
		return err_set(e, ERR_NOMEM, "cannot start a thread");
	s->has_thread = true;
	return 0;
}

int
channel_sub_new(const struct channel_sub_options *opt, struct channel_sub **ret,
    struct error *e)
{
	struct channel_sub *s;
	int rc;

	if (opt->n_addresses < 1 || opt->n_addresses > CHANNEL_MAX_ADDRESSES)
		return err_set(e, ERR_INVALID, "need 1 to %d addresses",
		    CHANNEL_MAX_ADDRESSES);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the channel");
	s->on_message = opt->on_message;
	s->ctx = opt->ctx;
	pthread_mutex_init(&s->lock, NULL);
	rc = sub_open(s, opt, e);
	if (rc != 0) {
		channel_sub_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

bool
channel_sub_connected(struct channel_sub *s)
{
	bool yes;

	pthread_mutex_lock(&s->lock);
	yes = atomic_load(&s->feed->pipes.n) > 0;
	pthread_mutex_unlock(&s->lock);
	return yes;
}

void
channel_sub_free(struct channel_sub *s)
{
	struct feed *f;
	unsigned i;

	if (s == NULL)
		return;
	atomic_store(&s->stop, true);
	if (s->has_thread) {
		pthread_mutex_lock(&s->lock);
		channel_op_kick(&s->feed->op);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	while ((f = s->feed) != NULL) {
		s->feed = f->older;
		if (!feed_free(f, CHANNEL_CLOSE_MS))
			return; /* nng hangs: leak rather than crash */
	}
	if (s->tls != NULL)
		nng_tls_config_free(s->tls);
	for (i = 0; i < s->n_addresses; i++)
		free(s->addresses[i]);
	free(s->topic);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
