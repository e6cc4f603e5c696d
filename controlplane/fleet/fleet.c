/* SPDX-License-Identifier: Apache-2.0 */
/* The object, its threads, its figures. See fleet.h. */
#include "controlplane/fleet/fleet.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "controlplane/fleet/fleet_internal.h"
#include "controlplane/money/grant.h"

#define FLUSH_MS      500
#define FLUSH_MAX     512
#define CONNECTED_NS  (5 * NS_PER_S)
#define COUNTED_NS    (3600 * NS_PER_S) /* may come back any time */
#define KEEP_ACKS     500		/* versions */
#define PRUNE_FLUSHES 7200		/* once an hour */
#define POLL_FLUSHES  10		/* look for missed commits every 5 s */

/* ---- writing what heartbeats said -------------------------------------------
 */

struct flush {
	char ids[FLUSH_MAX][AGENT_ID_CAP];
	struct agent_beat beats[FLUSH_MAX];
	struct agent_seen seen[FLUSH_MAX];
};

static int
flush_some(struct fleet *f, struct flush *x, size_t *n, struct error *e)
{
	struct db *db = NULL;
	size_t i;
	int rc;

	*n = registry_take_dirty(f->registry, x->ids, x->beats, FLUSH_MAX);
	if (*n == 0)
		return 0;
	for (i = 0; i < *n; i++)
		x->seen[i] = (struct agent_seen){.id = str_of(x->ids[i]),
		    .state = str_of(x->beats[i].state),
		    .active_version = x->beats[i].active_version,
		    .unshipped = x->beats[i].unshipped,
		    .last_seen = x->beats[i].at,
		    .oldest_unshipped = x->beats[i].oldest_unshipped,
		    .requests_total = x->beats[i].requests_total};
	rc = store_take(f->o.store, &db, e);
	if (rc == 0)
		rc = store_agents_seen(db, x->seen, *n, e);
	store_give(db);
	return rc;
}

static void
flush_prune(struct fleet *f)
{
	struct error e = {0};
	struct db *db = NULL;
	int rc;

	rc = store_take(f->o.store, &db, &e);
	if (rc == 0)
		rc = store_ack_prune(db, KEEP_ACKS, &e);
	store_give(db);
	if (rc != 0)
		log_warn("cannot forget old acks", LF("error", e.text));
}

/* How many agents there may be, for the sizes of grants. */
static int
flush_count(struct fleet *f, struct error *e)
{
	int64_t since = clock_wall(f->clock) - COUNTED_NS, n = 0;
	struct db *db = NULL;
	int rc;

	rc = store_take(f->o.store, &db, e);
	if (rc == 0)
		rc = store_agents_count(db, since, &n, e);
	store_give(db);
	if (rc == 0)
		atomic_store(&f->agents_most, grant_agents_most(n));
	return rc;
}

/* False when it is time to stop. */
static bool
flush_pause(struct fleet *f)
{
	struct timespec until;
	bool go;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += FLUSH_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&f->keys_lock);
	if (!f->stop)
		(void)pthread_cond_timedwait(&f->wake, &f->keys_lock, &until);
	go = !f->stop;
	pthread_mutex_unlock(&f->keys_lock);
	return go;
}

static void *
flusher_main(void *arg)
{
	struct fleet *f = arg;
	struct flush *x = calloc(1, sizeof(*x));
	struct error e;
	unsigned round;
	size_t n;

	for (round = 0; x != NULL && flush_pause(f); round++) {
		do {
			e = (struct error){0};
			n = 0;
			if (flush_some(f, x, &n, &e) != 0) {
				log_warn("cannot write agents' states",
				    LF("error", e.text));
				break;
			}
		} while (n == FLUSH_MAX);
		/* a notification may have been lost with its connection */
		if (round % POLL_FLUSHES == 0 && fleet_catch_up(f, &e) != 0)
			log_warn("cannot look for new versions",
			    LF("error", e.text));
		if (round % POLL_FLUSHES == 0 && flush_count(f, &e) != 0)
			log_warn(
			    "cannot count the agents", LF("error", e.text));
		if (round % PRUNE_FLUSHES == PRUNE_FLUSHES - 1)
			flush_prune(f);
	}
	free(x);
	return NULL;
}

/* ---- making
 * ------------------------------------------------------------------- */

static int
fleet_strings(struct fleet *f, const struct fleet_options *o)
{
	struct str name, rest;

	(void)str_cut(
	    str_of(o->tls_name ? o->tls_name : "localhost"), ',', &name, &rest);
	f->tls_name = str_dup(str_trim(name));
	f->advertise = str_dup(str_of(o->advertise ? o->advertise : ""));
	f->advertise_publish =
	    str_dup(str_of(o->advertise_publish ? o->advertise_publish : ""));
	return f->tls_name && f->advertise && f->advertise_publish ? 0
								   : ERR_NOMEM;
}

static int
fleet_objects(struct fleet *f)
{
	pthread_condattr_t attr;
	unsigned i;

	pthread_mutex_init(&f->keys_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	f->arenas = calloc(f->o.n_workers, sizeof(*f->arenas));
	f->registry = registry_new();
	f->state = state_new(f->o.vault, f->clock, f->o.pki->sign_sk);
	if (f->arenas == NULL || f->registry == NULL || f->state == NULL)
		return ERR_NOMEM;
	for (i = 0; i < f->o.n_workers; i++)
		arena_init(&f->arenas[i], 64 << 10, FLEET_UNPACK_MAX);
	return 0;
}

static int
fleet_start(struct fleet *f, const struct fleet_options *o, struct error *e)
{
	static const char *const channels[] = {
	    STORE_CHANNEL_CONFIG, STORE_CHANNEL_FLEET, STORE_CHANNEL_RECALL};
	struct channel_server_options c = {.listen = o->listen,
	    .listen_publish = o->listen_publish,
	    .cert_pem = o->pki->cert_pem,
	    .key_pem = o->pki->key_pem,
	    .n_workers = f->o.n_workers,
	    .handle = fleet_handle,
	    .ctx = f};
	int rc;

	rc = fleet_load_keys(f, e);
	if (rc == 0)
		rc = fleet_catch_up(f, e);
	if (rc == 0)
		rc = channel_server_new(&c, &f->channel, e);
	if (rc == 0)
		rc = store_listen(f->o.store, channels, 3, fleet_notified, f,
		    &f->listener, e);
	if (rc != 0)
		return rc;
	if (pthread_create(&f->flusher, NULL, flusher_main, f) != 0)
		return err_set(e, ERR_NOMEM, "cannot start a thread");
	f->has_flusher = true;
	return 0;
}

int
fleet_new(const struct fleet_options *o, struct fleet **ret, struct error *e)
{
	struct fleet *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the fleet");
	f->o = *o;
	f->clock = o->clock ? o->clock : clock_system();
	atomic_init(&f->agents_most, GRANT_AGENTS_MAX);
	f->rng = o->rng ? o->rng : rng_system();
	if (f->o.n_workers == 0)
		f->o.n_workers = 8;
	if (f->o.n_workers > FLEET_MAX_WORKERS)
		f->o.n_workers = FLEET_MAX_WORKERS;
	if (f->o.heartbeat_ms == 0)
		f->o.heartbeat_ms = FLEET_HEARTBEAT_MS;
	f->max_ingests = f->o.n_workers > 2 ? f->o.n_workers / 2 : 1;
	rc = fleet_objects(f);
	if (rc == 0)
		rc = fleet_strings(f, o);
	if (rc != 0)
		rc = err_set(e, rc, "no memory for the fleet");
	else
		rc = fleet_start(f, o, e);
	if (rc != 0) {
		fleet_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void
fleet_free(struct fleet *f)
{
	struct group_key *k;
	unsigned i;

	if (f == NULL)
		return;
	store_unlisten(f->listener);
	pthread_mutex_lock(&f->keys_lock);
	f->stop = true;
	pthread_cond_broadcast(&f->wake);
	pthread_mutex_unlock(&f->keys_lock);
	if (f->has_flusher)
		pthread_join(f->flusher, NULL);
	if (f->channel != NULL && !channel_server_free(f->channel))
		return; /* its workers may still run: the process ends */
	while ((k = f->keys) != NULL) {
		f->keys = k->next;
		sodium_memzero(k->key, sizeof(k->key));
		free(k);
	}
	for (i = 0; f->arenas != NULL && i < f->o.n_workers; i++)
		arena_release(&f->arenas[i]);
	free(f->arenas);
	registry_free(f->registry);
	state_free(f->state);
	free(f->tls_name);
	free(f->advertise);
	free(f->advertise_publish);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->keys_lock);
	free(f);
}

/* ---- figures
 * -------------------------------------------------------------------- */

uint16_t
fleet_port(const struct fleet *f)
{
	return channel_server_port(f->channel);
}

uint16_t
fleet_publish_port(const struct fleet *f)
{
	return channel_server_publish_port(f->channel);
}

uint64_t
fleet_version(const struct fleet *f)
{
	return state_version(f->state);
}

void
fleet_stats(struct fleet *f, struct fleet_stats *ret)
{
	*ret = (struct fleet_stats){.version = state_version(f->state),
	    .connections = channel_server_peers(f->channel),
	    .stuck = channel_server_stuck(f->channel),
	    .reopened = channel_server_reopened(f->channel),
	    .requests = atomic_load(&f->requests),
	    .refused = atomic_load(&f->refused),
	    .enrolled = atomic_load(&f->enrolled),
	    .published = atomic_load(&f->published),
	    .snapshots = atomic_load(&f->snapshots),
	    .deltas = atomic_load(&f->deltas),
	    .usage_batches = atomic_load(&f->usage_batches),
	    .usage_records = atomic_load(&f->usage_records),
	    .usage_slowed = atomic_load(&f->usage_slowed),
	    .grants = atomic_load(&f->grants),
	    .granted = atomic_load(&f->granted)};
	ret->agents = registry_count(f->registry,
	    clock_wall(f->clock) - CONNECTED_NS, ret->version, &ret->lagging);
}
