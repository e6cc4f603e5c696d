/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriber: a SUB socket and a thread that hands on what arrives. */
#include "proto/channel.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdlib.h>

#include "proto/channel_priv.h"

#define SUB_QUEUE 256

struct channel_sub {
	nng_socket sub;
	bool has_sub, has_thread;
	nng_tls_config *tls;
	struct channel_pipes pipes;
	struct channel_op op;
	atomic_bool stop;
	pthread_t thread;
	size_t topic_len; /* with its NUL */
	void (*on_message)(void *ctx, struct str message);
	void *ctx;
};

static void *
sub_main(void *arg)
{
	struct channel_sub *s = arg;

	while (!atomic_load(&s->stop)) {
		nng_msg *msg;
		int rv;

		channel_op_start(&s->op);
		nng_recv_aio(s->sub, s->op.aio);
		(void)channel_op_wait(&s->op, -1, NULL);
		rv = nng_aio_result(s->op.aio);
		if (rv == NNG_ECLOSED)
			break;
		if (rv != 0)
			continue;
		msg = nng_aio_get_msg(s->op.aio);
		if (nng_msg_len(msg) >= s->topic_len && !atomic_load(&s->stop))
			s->on_message(s->ctx,
			    str_make(
				(const char *)nng_msg_body(msg) + s->topic_len,
				nng_msg_len(msg) - s->topic_len));
		nng_msg_free(msg);
	}
	return NULL;
}

static int
sub_open(struct channel_sub *s, const struct channel_sub_options *opt,
    struct error *e)
{
	int rc, rv;

	rc = channel_tls_client(opt->ca_pem, opt->server_name, &s->tls, e);
	if (rc == 0)
		rc = channel_op_init(&s->op, e);
	if (rc != 0)
		return rc;
	rv = nng_sub0_open(&s->sub);
	if (rv != 0)
		return channel_fail(e, rv, "SUB socket");
	s->has_sub = true;
	rv = nng_socket_set(
	    s->sub, NNG_OPT_SUB_SUBSCRIBE, opt->topic, s->topic_len);
	if (rv == 0)
		rv = nng_socket_set_size(
		    s->sub, NNG_OPT_RECVMAXSZ, CHANNEL_RECV_MAX);
	if (rv == 0)
		rv = nng_socket_set_int(s->sub, NNG_OPT_RECVBUF, SUB_QUEUE);
	if (rv != 0)
		return channel_fail(e, rv, "socket options");
	rc = channel_pipes_watch(&s->pipes, s->sub, e);
	if (rc == 0)
		rc = channel_dial(
		    s->sub, opt->addresses, opt->n_addresses, s->tls, e);
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
	s->topic_len = strlen(opt->topic) + 1;
	channel_pipes_init(&s->pipes);
	rc = sub_open(s, opt, e);
	if (rc != 0) {
		channel_sub_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

bool
channel_sub_connected(const struct channel_sub *s)
{
	return atomic_load(&s->pipes.n) > 0;
}

void
channel_sub_free(struct channel_sub *s)
{
	if (s == NULL)
		return;
	atomic_store(&s->stop, true);
	if (s->has_sub && !channel_close(s->sub))
		return; /* nng hangs: leak rather than crash */
	if (s->has_thread)
		pthread_join(s->thread, NULL);
	channel_op_release(&s->op);
	if (s->tls != NULL)
		nng_tls_config_free(s->tls);
	channel_pipes_release(&s->pipes);
	free(s);
}
