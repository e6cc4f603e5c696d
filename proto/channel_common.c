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
#define LOST_MS		 4000 /* twice the longest pause of a dialer */

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
channel_listen(nng_socket sock, const char *listen, nng_tls_config *tls,
    uint16_t *port, struct error *e)
{
	char url[CHANNEL_URL_MAX];
	nng_listener l;
	int rv, bound = 0;

	if (snprintf(url, sizeof(url), "%s://%s", tls ? "tls+tcp" : "tcp",
		listen) >= (int)sizeof(url))
		return err_set(e, ERR_INVALID, "address too long");
	rv = nng_listener_create(&l, sock, url);
	if (rv == 0 && tls != NULL)
		rv = nng_listener_set_ptr(l, NNG_OPT_TLS_CONFIG, tls);
	if (rv == 0) {
		(void)nng_listener_set_bool(l, NNG_OPT_TCP_NODELAY, true);
		(void)nng_listener_set_bool(l, NNG_OPT_TCP_KEEPALIVE, true);
		rv = nng_listener_start(l, 0);
	}
	if (rv == 0)
		rv = nng_listener_get_int(l, NNG_OPT_TCP_BOUND_PORT, &bound);
	if (rv != 0) {
		char what[CHANNEL_URL_MAX + 16];

		snprintf(what, sizeof(what), "listen on %s", listen);
		return channel_fail(e, rv, what);
	}
	*port = (uint16_t)bound;
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

/* ---- closing ------------------------------------------------------------ */

struct closer {
	nng_socket sock;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool done;
	atomic_int refs;
};

static void
closer_unref(struct closer *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	pthread_cond_destroy(&c->done_cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void *
closer_main(void *arg)
{
	struct closer *c = arg;

	(void)nng_close(c->sock);
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->done_cond);
	pthread_mutex_unlock(&c->lock);
	closer_unref(c);
	return NULL;
}

static void
cond_init_monotonic(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static struct timespec
timespec_of_ms(int64_t ms)
{
	return (struct timespec){ms / 1000, ms % 1000 * 1000000};
}

/* Started with two references: the thread's and the caller's. */
static struct closer *
closer_start(nng_socket sock)
{
	struct closer *c = calloc(1, sizeof(*c));
	pthread_t thread;

	if (c == NULL)
		return NULL;
	c->sock = sock;
	pthread_mutex_init(&c->lock, NULL);
	cond_init_monotonic(&c->done_cond);
	atomic_init(&c->refs, 2);
	if (pthread_create(&thread, NULL, closer_main, c) != 0) {
		atomic_store(&c->refs, 1);
		closer_unref(c);
		return NULL;
	}
	pthread_detach(thread);
	return c;
}

bool
channel_close(nng_socket sock)
{
	struct timespec until =
	    timespec_of_ms(channel_now_ms() + CHANNEL_CLOSE_MS);
	struct closer *c = closer_start(sock);
	bool done;

	if (c == NULL)
		return false;
	pthread_mutex_lock(&c->lock);
	while (!c->done && pthread_cond_timedwait(
			       &c->done_cond, &c->lock, &until) != ETIMEDOUT)
		;
	done = c->done;
	pthread_mutex_unlock(&c->lock);
	closer_unref(c);
	return done;
}

void
channel_close_later(nng_socket sock)
{
	struct closer *c = closer_start(sock);

	if (c != NULL)
		closer_unref(c);
}

bool
channel_gate_enter(struct channel_gate *g)
{
	atomic_fetch_add(&g->inside, 1);
	if (!atomic_load(&g->shut))
		return true;
	channel_gate_leave(g);
	return false;
}

void
channel_gate_leave(struct channel_gate *g)
{
	atomic_fetch_sub(&g->inside, 1);
}

bool
channel_gate_shut(struct channel_gate *g, int64_t wait_ms)
{
	int64_t end = channel_now_ms() + wait_ms;
	const struct timespec pause = {0, 1000000};

	atomic_store(&g->shut, true);
	while (atomic_load(&g->inside) > 0) {
		if (channel_now_ms() >= end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* ---- connections -------------------------------------------------------- */

void
channel_pipes_init(struct channel_pipes *p)
{
	pthread_mutex_init(&p->lock, NULL);
	cond_init_monotonic(&p->change);
	p->n_known = 0;
	p->lost_ms = 0;
	atomic_init(&p->gone_ms, 0);
	atomic_init(&p->n, 0);
}

void
channel_pipes_release(struct channel_pipes *p)
{
	pthread_cond_destroy(&p->change);
	pthread_mutex_destroy(&p->lock);
}

static void
pipes_on_event(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct channel_pipes *p = arg;
	unsigned i;

	pthread_mutex_lock(&p->lock);
	if (ev == NNG_PIPE_EV_ADD_POST) {
		atomic_fetch_add(&p->n, 1);
		p->lost_ms = 0;
		if (p->n_known < CHANNEL_MAX_PIPES)
			p->pipes[p->n_known++] = pipe;
	} else {
		for (i = 0; i < p->n_known; i++)
			if (nng_pipe_id(p->pipes[i]) == nng_pipe_id(pipe))
				break;
		if (i < p->n_known)
			p->pipes[i] = p->pipes[--p->n_known];
		atomic_store(&p->gone_ms, channel_now_ms());
		if (atomic_load(&p->n) > 0 && atomic_fetch_sub(&p->n, 1) == 1)
			p->lost_ms = channel_now_ms();
	}
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
}

int
channel_pipes_watch(struct channel_pipes *p, nng_socket sock, struct error *e)
{
	int rv;

	rv = nng_pipe_notify(sock, NNG_PIPE_EV_ADD_POST, pipes_on_event, p);
	if (rv == 0)
		rv = nng_pipe_notify(
		    sock, NNG_PIPE_EV_REM_POST, pipes_on_event, p);
	return rv == 0 ? 0 : channel_fail(e, rv, "pipe notification");
}

void
channel_pipes_drop(struct channel_pipes *p)
{
	nng_pipe copy[CHANNEL_MAX_PIPES];
	unsigned i, n;

	pthread_mutex_lock(&p->lock);
	n = p->n_known;
	memcpy(copy, p->pipes, n * sizeof(copy[0]));
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < n; i++)
		(void)nng_pipe_close(copy[i]);
}

bool
channel_pipes_is_lost(struct channel_pipes *p)
{
	bool lost;

	pthread_mutex_lock(&p->lock);
	lost = p->lost_ms != 0 && channel_now_ms() - p->lost_ms > LOST_MS;
	pthread_mutex_unlock(&p->lock);
	return lost;
}

void
channel_pipes_wait(struct channel_pipes *p, int64_t until_ms)
{
	struct timespec until = timespec_of_ms(until_ms);

	pthread_mutex_lock(&p->lock);
	if (atomic_load(&p->n) == 0)
		(void)pthread_cond_timedwait(&p->change, &p->lock, &until);
	pthread_mutex_unlock(&p->lock);
}

void
channel_pipes_pause(
    struct channel_pipes *p, int64_t until_ms, const atomic_bool *stop)
{
	struct timespec until = timespec_of_ms(until_ms);

	pthread_mutex_lock(&p->lock);
	while (!atomic_load(stop) && pthread_cond_timedwait(&p->change,
					 &p->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&p->lock);
}

void
channel_pipes_kick(struct channel_pipes *p)
{
	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->lock);
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
	cond_init_monotonic(&op->done_cond);
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
	struct timespec until = timespec_of_ms(deadline_ms);
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
