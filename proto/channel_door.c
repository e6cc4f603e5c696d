/* SPDX-License-Identifier: Apache-2.0 */
/* See channel_door.h. */
#include "proto/channel_door.h"

#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/str.h"

#define DOOR_BIND_MS 10000 /* for the port to become free */

/* ---- listening ----------------------------------------------------------- */

static int
door_split(struct channel_door *d, const char *listen, struct error *e)
{
	const char *colon = strrchr(listen, ':');
	uint64_t port;

	if (colon == NULL || str_to_u64(str_of(colon + 1), &port) != 0 ||
	    port > UINT16_MAX)
		return err_set(
		    e, ERR_INVALID, "listen on %s: not host:port", listen);
	if ((size_t)(colon - listen) >= sizeof(d->host))
		return err_set(e, ERR_INVALID, "address too long");
	memcpy(d->host, listen, (size_t)(colon - listen));
	d->port = (uint16_t)port;
	return 0;
}

/* nng's error. */
static int
door_listen(struct channel_door *d)
{
	char url[CHANNEL_URL_MAX];
	int rv, bound = 0;

	snprintf(url, sizeof(url), "%s://%s:%u", d->tls ? "tls+tcp" : "tcp",
	    d->host, d->port);
	rv = nng_listener_create(&d->listener, d->sock, url);
	if (rv != 0)
		return rv;
	if (d->tls != NULL)
		rv = nng_listener_set_ptr(
		    d->listener, NNG_OPT_TLS_CONFIG, d->tls);
	if (rv == 0) {
		(void)nng_listener_set_bool(
		    d->listener, NNG_OPT_TCP_NODELAY, true);
		(void)nng_listener_set_bool(
		    d->listener, NNG_OPT_TCP_KEEPALIVE, true);
		rv = nng_listener_start(d->listener, 0);
	}
	if (rv == 0)
		rv = nng_listener_get_int(
		    d->listener, NNG_OPT_TCP_BOUND_PORT, &bound);
	if (rv != 0)
		(void)nng_listener_close(d->listener);
	else if (d->port == 0) /* from then on it is read by others */
		d->port = (uint16_t)bound;
	return rv;
}

/* For the probe, which sends nothing and believes everybody. */
static int
door_open_probe_tls(struct channel_door *d)
{
	int rv;

	if (d->tls == NULL)
		return 0;
	rv = nng_tls_config_alloc(&d->probe_tls, NNG_TLS_MODE_CLIENT);
	if (rv == 0)
		rv = nng_tls_config_version(
		    d->probe_tls, NNG_TLS_1_2, NNG_TLS_1_2);
	if (rv == 0)
		rv = nng_tls_config_auth_mode(
		    d->probe_tls, NNG_TLS_AUTH_MODE_NONE);
	return rv;
}

int
channel_door_open(struct channel_door *d, nng_socket sock, bool publishes,
    const char *listen, nng_tls_config *tls, struct error *e)
{
	int rc, rv;

	d->sock = sock;
	d->publishes = publishes;
	d->tls = tls;
	rc = door_split(d, listen, e);
	if (rc != 0)
		return rc;
	rv = door_open_probe_tls(d);
	if (rv == 0)
		rv = door_listen(d);
	if (rv != 0) {
		char what[CHANNEL_URL_MAX + 16];

		snprintf(what, sizeof(what), "listen on %s", listen);
		return channel_fail(e, rv, what);
	}
	return 0;
}

void
channel_door_came(struct channel_door *d)
{
	atomic_fetch_add(&d->n_came, 1);
}

/* ---- the probe ----------------------------------------------------------- */

static void
door_on_probe(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct channel_door *d = arg;

	(void)pipe;
	(void)ev;
	atomic_store(&d->probe_connected, true);
}

/* Where we call ourselves. */
static void
door_address(const struct channel_door *d, char *url, size_t room)
{
	const char *host = d->host;

	if (host[0] == '\0' || strcmp(host, "*") == 0 ||
	    strcmp(host, "0.0.0.0") == 0)
		host = "127.0.0.1";
	else if (strcmp(host, "[::]") == 0)
		host = "[::1]";
	snprintf(
	    url, room, "%s://%s:%u", d->tls ? "tls+tcp" : "tcp", host, d->port);
}

static bool
door_probe(struct channel_door *d)
{
	char url[CHANNEL_URL_MAX];
	const char *const addresses[] = {url};

	if (!channel_closing_done(d->probe_closing, 0))
		return false;
	channel_closing_free(d->probe_closing);
	d->probe_closing = NULL;
	door_address(d, url, sizeof(url));
	atomic_store(&d->probe_connected, false);
	if ((d->publishes ? nng_sub0_open(&d->probe)
			  : nng_req0_open(&d->probe)) != 0)
		return false;
	if (nng_pipe_notify(d->probe, NNG_PIPE_EV_ADD_POST, door_on_probe, d) ==
		0 &&
	    channel_dial(d->probe, addresses, 1, d->probe_tls, NULL) == 0)
		return true;
	d->probe_closing = channel_closing_start(d->probe);
	return false;
}

/* ---- reopening ----------------------------------------------------------- */

static void *
door_reopen(void *arg)
{
	const struct timespec pause = {0, 50000000};
	struct channel_door *d = arg;
	int64_t until;
	int rv;

	(void)nng_listener_close(d->listener);
	until = channel_now_ms() + DOOR_BIND_MS;
	while ((rv = door_listen(d)) != 0 && !atomic_load(&d->stop)) {
		if (channel_now_ms() > until) {
			until = INT64_MAX;
			log_error("the channel cannot listen again",
			    LFI("port", d->port),
			    LF("error", nng_strerror(rv)));
		}
		nanosleep(&pause, NULL);
	}
	atomic_store(&d->reopened, true);
	return NULL;
}

/* ---- states -------------------------------------------------------------- */

static void
door_enter(struct channel_door *d, enum door_state state)
{
	d->state = state;
	d->steps = 0;
	d->proving = false;
	if (state == DOOR_OPEN)
		d->rest_until_ms = channel_now_ms() + DOOR_REST_MS;
}

static void
door_look(struct channel_door *d, int64_t waiting_ms)
{
	if (waiting_ms < DOOR_WAIT_MS || channel_now_ms() < d->rest_until_ms)
		return;
	d->came_before = atomic_load(&d->n_came);
	door_enter(d, door_probe(d) ? DOOR_PROBING : DOOR_OPEN);
}

static void
door_judge(struct channel_door *d)
{
	bool alive = atomic_load(&d->n_came) != d->came_before;
	int ms;

	if (!d->proving && atomic_load(&d->probe_connected)) {
		d->proving = true;
		d->steps = 0;
	}
	ms = (int)d->steps++ * DOOR_STEP_MS;
	if (!alive && ms < (d->proving ? DOOR_PROOF_MS : DOOR_PROBE_MS))
		return;
	d->probe_closing = channel_closing_start(d->probe);
	if (alive || !d->proving) {
		door_enter(d, DOOR_OPEN);
		return;
	}
	log_warn("a listener of the channel accepts nobody, it is replaced",
	    LFI("port", d->port));
	atomic_fetch_add(&d->n_reopened, 1);
	atomic_store(&d->reopened, false);
	d->has_thread = pthread_create(&d->thread, NULL, door_reopen, d) == 0;
	door_enter(d, d->has_thread ? DOOR_REOPENING : DOOR_OPEN);
}

bool
channel_door_step(struct channel_door *d, int64_t waiting_ms, bool *reopened)
{
	*reopened = false;
	if (d->state == DOOR_OPEN)
		door_look(d, waiting_ms);
	else if (d->state == DOOR_PROBING)
		door_judge(d);
	else if (atomic_load(&d->reopened)) {
		pthread_join(d->thread, NULL);
		d->has_thread = false;
		*reopened = true;
		door_enter(d, DOOR_OPEN);
	}
	return d->state != DOOR_OPEN;
}

/* ---- the end ------------------------------------------------------------- */

bool
channel_door_stop(struct channel_door *d)
{
	int64_t end = channel_now_ms() + CHANNEL_CLOSE_MS;
	const struct timespec pause = {0, 1000000};

	atomic_store(&d->stop, true);
	if (d->state == DOOR_PROBING)
		d->probe_closing = channel_closing_start(d->probe);
	while (d->has_thread && !atomic_load(&d->reopened)) {
		if (channel_now_ms() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	if (d->has_thread)
		pthread_join(d->thread, NULL);
	d->has_thread = false;
	d->state = DOOR_OPEN;
	return channel_closing_done(d->probe_closing, CHANNEL_CLOSE_MS);
}

void
channel_door_release(struct channel_door *d)
{
	channel_closing_free(d->probe_closing);
	if (d->probe_tls != NULL)
		nng_tls_config_free(d->probe_tls);
}
