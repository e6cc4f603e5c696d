/* SPDX-License-Identifier: Apache-2.0 */
/* The running configuration, see config.h. */
#include "agent/config/config.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/metrics.h"
#include "common/log.h"
#include "proto/headgate.pb-c.h"

struct config {
	struct config_options opt;
	struct limit_registry *limits;
	pthread_mutex_t lock; /* everything up to `acks` */
	struct item_state *state;
	struct bundle *bundle;
	uint64_t rejected;
	int64_t activated_at;
	bool from_cache;
	struct config_ack acks[CONFIG_MAX_ACKS];
	size_t n_acks;
	/* the saver */
	pthread_mutex_t save_lock;
	pthread_cond_t save_wake;
	struct item_state *to_save; /* newest state not on disk yet */
	bool stop, started;
	pthread_t saver;
};

static void
config_count(struct config *c, const char *outcome)
{
	struct str v = str_of(outcome);

	if (c->opt.agent->metrics != NULL)
		metric_add(metric_series(
			       c->opt.agent->metrics, AM_CONFIG_APPLIES, &v, 1),
		    1);
}

/* ---- saving
 * ------------------------------------------------------------------- */

static void *
config_saver(void *arg)
{
	struct config *c = arg;

	pthread_setname_np(pthread_self(), "hg-cache");
	pthread_mutex_lock(&c->save_lock);
	for (;;) {
		struct item_state *s = c->to_save;
		struct error e;

		if (s == NULL && c->stop)
			break;
		if (s == NULL) {
			pthread_cond_wait(&c->save_wake, &c->save_lock);
			continue;
		}
		c->to_save = NULL;
		pthread_mutex_unlock(&c->save_lock);
		if (cache_save(c->opt.io, c->opt.data_dir, c->opt.disk_key,
			c->opt.agent->rng, s, &e) != 0)
			log_error("cannot cache the configuration",
			    LFI("version", s->version), LF("error", e.text));
		items_unref(s);
		pthread_mutex_lock(&c->save_lock);
	}
	pthread_mutex_unlock(&c->save_lock);
	return NULL;
}

static void
config_save(struct config *c, struct item_state *s)
{
	pthread_mutex_lock(&c->save_lock);
	items_unref(c->to_save);
	c->to_save = items_ref(s);
	pthread_cond_signal(&c->save_wake);
	pthread_mutex_unlock(&c->save_lock);
}

/* ---- life
 * ----------------------------------------------------------------------- */

int
config_new(
    const struct config_options *opt, struct config **ret, struct error *e)
{
	struct config *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	c->opt = *opt;
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->save_lock, NULL);
	pthread_cond_init(&c->save_wake, NULL);
	c->limits = limit_registry_new();
	if (c->limits != NULL)
		limit_registry_rates(c->limits, opt->rates);
	if (c->limits != NULL &&
	    pthread_create(&c->saver, NULL, config_saver, c) == 0)
		c->started = true;
	if (!c->started) {
		config_free(c);
		return err_set(e, ERR_NOMEM, "cannot start the cache thread");
	}
	*ret = c;
	return 0;
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	if (c->started) {
		pthread_mutex_lock(&c->save_lock);
		c->stop = true;
		pthread_cond_signal(&c->save_wake);
		pthread_mutex_unlock(&c->save_lock);
		pthread_join(c->saver, NULL);
	}
	items_unref(c->to_save);
	items_unref(c->state);
	bundle_unref(c->bundle);
	limit_registry_free(c->limits);
	pthread_cond_destroy(&c->save_wake);
	pthread_mutex_destroy(&c->save_lock);
	pthread_mutex_destroy(&c->lock);
	sodium_memzero(c->opt.disk_key, sizeof(c->opt.disk_key));
	free(c);
}

/* ---- acknowledgements
 * ------------------------------------------------------------- */

static struct config_ack *
config_ack(struct config *c, uint64_t version, Hg__AckLevel level)
{
	struct config_ack *a;

	if (c->n_acks == CONFIG_MAX_ACKS) { /* the oldest tell least */
		memmove(&c->acks[0], &c->acks[1],
		    (CONFIG_MAX_ACKS - 1) * sizeof(c->acks[0]));
		c->n_acks--;
	}
	a = &c->acks[c->n_acks++];
	memset(a, 0, sizeof(*a));
	a->version = version;
	a->level = (uint32_t)level;
	a->at = clock_wall(c->opt.agent->clock);
	return a;
}

size_t
config_acks(struct config *c, struct config_ack ret[CONFIG_MAX_ACKS])
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->n_acks;
	memcpy(ret, c->acks, n * sizeof(ret[0]));
	pthread_mutex_unlock(&c->lock);
	return n;
}

void
config_acks_sent(struct config *c, size_t n)
{
	pthread_mutex_lock(&c->lock);
	if (n > c->n_acks)
		n = c->n_acks;
	memmove(&c->acks[0], &c->acks[n], (c->n_acks - n) * sizeof(c->acks[0]));
	c->n_acks -= n;
	pthread_mutex_unlock(&c->lock);
}

/* ---- applying
 * ---------------------------------------------------------------------- */

/* Compile and hand over to the workers; takes the reference of s. */
static int
config_activate(
    struct config *c, struct item_state *s, struct reject *why, struct error *e)
{
	struct bundle *b = NULL;
	int rc;

	rc = bundle_compile(s, c->opt.leases, c->limits, &b, why, e);
	if (rc != 0) {
		items_unref(s);
		return rc;
	}
	(void)config_ack(c, s->version, HG__ACK_LEVEL__ACK_VALIDATED);
	bundle_take_effect(b, c->opt.leases);
	agent_publish(c->opt.agent, b);
	bundle_unref(c->bundle);
	items_unref(c->state);
	c->bundle = b;
	c->state = s;
	c->activated_at = clock_wall(c->opt.agent->clock);
	if (c->opt.agent->metrics != NULL)
		metric_set_gauge(c->opt.agent->metrics, AM_CONFIG_VERSION,
		    (int64_t)s->version);
	return 0;
}

int
config_boot(struct config *c, struct error *e)
{
	uint64_t below = UINT64_MAX;
	struct item_state *s = NULL;
	struct reject why;
	unsigned bad = 0;
	int rc;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		uint64_t version;

		rc = cache_load(c->opt.io, c->opt.data_dir, c->opt.disk_key,
		    below, &s, &bad);
		if (rc != 0)
			break;
		version = s->version;
		rc = config_activate(c, s, &why, e);
		if (rc == 0)
			break;
		below = version; /* an older one may do */
	}
	if (bad > 0)
		log_warn("cached bundles cannot be read", LFI("files", bad));
	if (rc == 0) {
		c->from_cache = true;
		c->n_acks = 0; /* the control plane did not ask */
		config_count(c, "cache");
	}
	pthread_mutex_unlock(&c->lock);
	return rc == 0 ? 0 : err_set(e, rc, "no usable cached bundle");
}

static void
config_reject(struct config *c, uint64_t version, const struct reject *why,
    const struct error *e)
{
	struct config_ack *a =
	    config_ack(c, version, HG__ACK_LEVEL__ACK_REJECTED);

	a->kind = why->kind;
	snprintf(a->item, sizeof(a->item), "%s", why->item);
	snprintf(a->reason, sizeof(a->reason), "%s", e->text);
	if (version > c->rejected)
		c->rejected = version;
	config_count(c, "rejected");
	log_error("configuration rejected", LFI("version", version),
	    LF("item", why->item), LF("reason", e->text));
}

/* Is this version what runs already, or older? */
static int
config_known(struct config *c, const struct bundle_head *h, struct error *e)
{
	if (c->state == NULL || h->version > c->state->version)
		return 0;
	if (h->version == c->state->version &&
	    memcmp(h->state_hash.p, c->state->hash, STATE_HASH_LEN) == 0) {
		c->from_cache = false;
		return ERR_EXISTS;
	}
	if (h->version == c->state->version)
		return err_set(e, ERR_CONFLICT,
		    "version %" PRIu64 " came with another content",
		    h->version);
	return err_set(e, ERR_CONFLICT,
	    "version %" PRIu64 " is older than %" PRIu64 ", which runs",
	    h->version, c->state->version);
}

static int
config_apply(struct config *c, struct str bundle, struct error *e)
{
	struct reject why = {0, ""};
	struct item_state *s = NULL;
	struct bundle_head h;
	int rc;

	rc = bundle_head_read(bundle, &h, e);
	if (rc == ERR_UNSUPPORTED)
		config_reject(c, h.version, &why, e);
	if (rc == 0)
		rc = config_known(c, &h, e);
	if (rc != 0)
		return rc == ERR_EXISTS ? 0 : rc;
	rc = items_apply(c->state, bundle, &s, e);
	if (rc != 0)
		return rc;
	(void)config_ack(c, h.version, HG__ACK_LEVEL__ACK_RECEIVED);
	rc = config_activate(c, s, &why, e);
	if (rc == ERR_INVALID)
		config_reject(c, h.version, &why, e);
	if (rc != 0)
		return rc;
	(void)config_ack(c, h.version, HG__ACK_LEVEL__ACK_ACTIVE);
	c->from_cache = false;
	config_count(c, h.base_version == 0 ? "snapshot" : "delta");
	log_info("configuration active", LFI("version", h.version),
	    LFI("items", s->n), LFI("changed", h.n_items + h.n_deletes));
	config_save(c, s);
	return 0;
}

int
config_receive(struct config *c, struct str signed_bundle, struct error *e)
{
	struct str bundle;
	int rc;

	rc = bundle_verify(signed_bundle, c->opt.control_key, &bundle, e);
	if (rc != 0) {
		config_count(c, "unverified");
		return rc;
	}
	pthread_mutex_lock(&c->lock);
	rc = config_apply(c, bundle, e);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void
config_view(struct config *c, struct config_view *ret)
{
	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&c->lock);
	ret->rejected = c->rejected;
	ret->from_cache = c->from_cache;
	ret->activated_at = c->activated_at;
	if (c->state != NULL) {
		ret->version = c->state->version;
		ret->created_at = c->state->created_at;
		memcpy(ret->state_hash, c->state->hash, STATE_HASH_LEN);
		ret->n_keys = c->bundle->n_keys;
		ret->n_routes = c->bundle->n_routes;
		ret->n_deployments = c->bundle->n_deployments;
	}
	pthread_mutex_unlock(&c->lock);
}
