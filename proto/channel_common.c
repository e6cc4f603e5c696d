/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the server, the client and the subscriber. See channel_priv.h. */
#include "proto/channel_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/str.h"

#define RECONNECT_MIN_MS 50
#define RECONNECT_MAX_MS 2000

int64_t
channel_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int
channel_fail(struct error *e, int nng_code, const char *what)
{
	int code = ERR_IO;

	if (nng_code == NNG_ENOMEM)
		code = ERR_NOMEM;
	else if (nng_code == NNG_ETIMEDOUT)
		code = ERR_TIMEOUT;
	else if (nng_code == NNG_ECONNRESET || nng_code == NNG_ECLOSED ||
		 nng_code == NNG_ECONNREFUSED || nng_code == NNG_ECANCELED ||
		 nng_code == NNG_ECONNSHUT)
		code = ERR_UNAVAILABLE;
	return err_set(e, code, "%s: %s", what, nng_strerror(nng_code));
}

int
channel_tls_client(const char *ca_pem, const char *server_name,
    nng_tls_config **ret, struct error *e)
{
	nng_tls_config *tls = NULL;
	int rv;

	*ret = NULL;
	if (ca_pem == NULL)
		return 0;
	rv = nng_tls_config_alloc(&tls, NNG_TLS_MODE_CLIENT);
	if (rv == 0)
		rv = nng_tls_config_version(tls, NNG_TLS_1_2, NNG_TLS_1_2);
	if (rv == 0)
		rv = nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_REQUIRED);
	if (rv == 0)
		rv = nng_tls_config_ca_chain(tls, ca_pem, NULL);
	if (rv == 0)
		rv = nng_tls_config_server_name(tls, server_name);
	if (rv != 0) {
		if (tls != NULL)
			nng_tls_config_free(tls);
		return channel_fail(e, rv, "TLS with the given CA");
	}
	*ret = tls;
	return 0;
}

int
channel_tls_server(const char *cert_pem, const char *key_pem,
    nng_tls_config **ret, struct error *e)
{
	nng_tls_config *tls = NULL;
	int rv;

	*ret = NULL;
	if (cert_pem == NULL)
		return 0;
	rv = nng_tls_config_alloc(&tls, NNG_TLS_MODE_SERVER);
	if (rv == 0)
		rv = nng_tls_config_version(tls, NNG_TLS_1_2, NNG_TLS_1_2);
	if (rv == 0)
		rv = nng_tls_config_auth_mode(tls, NNG_TLS_AUTH_MODE_NONE);
	if (rv == 0)
		rv = nng_tls_config_own_cert(tls, cert_pem, key_pem, NULL);
	if (rv != 0) {
		if (tls != NULL)
			nng_tls_config_free(tls);
		return channel_fail(e, rv, "TLS with the given certificate");
	}
	*ret = tls;
	return 0;
}

int
channel_dial(nng_socket sock, const char *const *addresses, unsigned n,
    nng_tls_config *tls, struct error *e)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		bool is_tls = str_starts(str_of(addresses[i]), STR("tls+"));
		nng_dialer d;
		int rv;

		if (is_tls != (tls != NULL))
			return err_set(e, ERR_INVALID,
			    "%s: the address must be tls+tcp:// with a CA, "
			    "tcp:// without",
			    addresses[i]);
		rv = nng_dialer_create(&d, sock, addresses[i]);
		if (rv == 0 && tls != NULL)
			rv = nng_dialer_set_ptr(d, NNG_OPT_TLS_CONFIG, tls);
		if (rv == 0) {
			(void)nng_dialer_set_bool(d, NNG_OPT_TCP_NODELAY, true);
			(void)nng_dialer_set_bool(
			    d, NNG_OPT_TCP_KEEPALIVE, true);
			(void)nng_dialer_set_ms(
			    d, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
			(void)nng_dialer_set_ms(
			    d, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
			rv = nng_dialer_start(d, NNG_FLAG_NONBLOCK);
		}
		if (rv != 0)
			return channel_fail(e, rv, addresses[i]);
	}
	return 0;
}

void
channel_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct timespec
channel_timespec(int64_t ms)
{
	return (struct timespec){ms / 1000, ms % 1000 * 1000000};
}

/* ---- operations --------------------------------------------------------- */

static void
op_on_done(void *arg)
{
	struct channel_op *op = arg;
	bool abandoned;

	pthread_mutex_lock(&op->lock);
	op->busy = false;
	abandoned = op->abandoned;
	op->abandoned = false;
	pthread_cond_broadcast(&op->done_cond);
	pthread_mutex_unlock(&op->lock);
	if (abandoned && op->on_abandoned != NULL)
		op->on_abandoned(op);
}

int
channel_op_init(struct channel_op *op, struct error *e)
{
	int rv;

	memset(op, 0, sizeof(*op));
	rv = nng_aio_alloc(&op->aio, op_on_done, op);
	if (rv != 0)
		return channel_fail(e, rv, "aio");
	nng_aio_set_timeout(op->aio, NNG_DURATION_INFINITE);
	pthread_mutex_init(&op->lock, NULL);
	channel_cond_init(&op->done_cond);
	return 0;
}

void
channel_op_release(struct channel_op *op)
{
	if (op->aio == NULL)
		return;
	MUST(!op->busy);
	nng_aio_free(op->aio);
	pthread_cond_destroy(&op->done_cond);
	pthread_mutex_destroy(&op->lock);
	op->aio = NULL;
}

void
channel_op_start(struct channel_op *op)
{
	pthread_mutex_lock(&op->lock);
	MUST(!op->busy);
	op->busy = true;
	pthread_mutex_unlock(&op->lock);
}

bool
channel_op_wait(
    struct channel_op *op, int64_t deadline_ms, const atomic_bool *stop)
{
	struct timespec until = channel_timespec(deadline_ms);
	bool done;

	pthread_mutex_lock(&op->lock);
	while (op->busy && (stop == NULL || !atomic_load(stop))) {
		if (deadline_ms < 0)
			pthread_cond_wait(&op->done_cond, &op->lock);
		else if (pthread_cond_timedwait(
			     &op->done_cond, &op->lock, &until) == ETIMEDOUT)
			break;
	}
	done = !op->busy;
	pthread_mutex_unlock(&op->lock);
	return done;
}

bool
channel_op_abandon(struct channel_op *op)
{
	bool abandoned;

	pthread_mutex_lock(&op->lock);
	op->abandoned = abandoned = op->busy;
	pthread_mutex_unlock(&op->lock);
	return abandoned;
}

void
channel_op_kick(struct channel_op *op)
{
	pthread_mutex_lock(&op->lock);
	pthread_cond_broadcast(&op->done_cond);
	pthread_mutex_unlock(&op->lock);
}
