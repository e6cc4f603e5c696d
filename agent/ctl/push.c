/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control plane publishes. The subscriber's thread opens it: the
 * envelope must be signed by the control plane and the delta sealed under the
 * group's key. The control thread applies, since everything of the
 * configuration is its own; between them lies a short queue, in the order of
 * publication.
 *
 * A push is a hint, never the truth: what does not follow the version that
 * runs, is sealed under a key that this agent does not have (yet), or finds the
 * queue full is asked for; what was lost the next heartbeat tells of. What does
 * not come from the control plane costs nothing.
 */
#include <sodium.h>
#include <stdlib.h>

#include "agent/ctl/ctl_priv.h"
#include "agent/metrics.h"
#include "common/log.h"

static void
push_count(struct ctl *c, const char *outcome)
{
	struct str v = str_of(outcome);

	if (c->opt.agent->metrics != NULL)
		metric_add(metric_series(
			       c->opt.agent->metrics, AM_CONFIG_PUSHES, &v, 1),
		    1);
}

static void
push_forget(struct buf *bundle)
{
	if (bundle->data != NULL)
		sodium_memzero(bundle->data, bundle->len);
	buf_release(bundle);
}

/* Ask for the configuration instead. */
static void
push_pull(struct ctl *c, const char *outcome)
{
	push_count(c, outcome);
	atomic_store(&c->pull_wanted, true);
	ctl_kick(c);
}

/* ---- subscriber's thread --------------------------------------------------
 */

/* False: the queue is full. Takes the bytes. */
static bool
push_queue(struct ctl *c, struct buf *bundle)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->n_pushes < CTL_PUSHES &&
	       c->push_bytes + bundle->len <= CTL_PUSH_BYTES;
	if (room) {
		c->pushes[c->n_pushes++] = *bundle;
		c->push_bytes += bundle->len;
	}
	pthread_mutex_unlock(&c->lock);
	if (!room)
		push_forget(bundle);
	return room;
}

static void
push_delta(struct ctl *c, struct str sealed)
{
	uint8_t key[GROUP_KEY_LEN];
	struct buf bundle;
	bool known;
	int rc;

	pthread_mutex_lock(&c->lock);
	memcpy(key, c->group_key, sizeof(key));
	known = c->has_group_key;
	pthread_mutex_unlock(&c->lock);
	buf_init(&bundle, ENVELOPE_MAX);
	rc = known ? delta_open(
			 sealed, c->opt.identity->group, key, &bundle, NULL)
		   : ERR_NOT_FOUND;
	sodium_memzero(key, sizeof(key));
	if (rc != 0) {
		push_forget(&bundle);
		push_pull(c, "unreadable");
	} else if (push_queue(c, &bundle)) {
		ctl_kick(c);
	} else {
		push_pull(c, "crowded");
	}
}

void
ctl_pushed(void *ctl, struct str message)
{
	struct ctl *c = ctl;
	struct envelope env;

	if (envelope_open(message, &env, NULL) != 0 ||
	    envelope_verify(&env, c->opt.identity->control_key) != 0 ||
	    !str_eqz(env.sender, ENVELOPE_CONTROL))
		push_count(c, "forged");
	else if (env.type == HG__MESSAGE_TYPE__MSG_RECALL)
		ctl_recall_heard(c, env.payload);
	else if (env.type == HG__MESSAGE_TYPE__MSG_BUNDLE)
		push_delta(c, env.payload);
}

/* ---- control thread -------------------------------------------------------
 */

bool
ctl_has_pushes(struct ctl *c)
{
	bool some;

	pthread_mutex_lock(&c->lock);
	some = c->n_pushes > 0;
	pthread_mutex_unlock(&c->lock);
	return some;
}

/* All that waits; the caller forgets them. */
static unsigned
push_take(struct ctl *c, struct buf taken[CTL_PUSHES])
{
	unsigned n;

	pthread_mutex_lock(&c->lock);
	n = c->n_pushes;
	memcpy(taken, c->pushes, n * sizeof(taken[0]));
	c->n_pushes = 0;
	c->push_bytes = 0;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void
push_apply(struct ctl *c, struct str signed_bundle)
{
	struct config_view before, after;
	struct error e;
	int rc;

	config_view(c->opt.config, &before);
	rc = config_receive(c->opt.config, signed_bundle, &e);
	config_view(c->opt.config, &after);
	if (after.version != before.version) {
		push_count(c, "applied");
		ctl_pull_reset(&c->pull); /* of what is old now */
		c->pull.full = false;
	} else if (rc == 0 || rc == ERR_CONFLICT) {
		push_count(c, "known");
	} else if (rc == ERR_INVALID) {
		push_count(c, "rejected");
	} else {
		/* From another base, or a hint without items: ask. */
		push_pull(c, rc == ERR_VERSION ? "stale" : "unusable");
		return;
	}
	c->hears_pushes = true;
	if (after.version > c->latest_version)
		c->latest_version = after.version;
	atomic_store(&c->acks_wanted, true);
}

void
ctl_apply_pushes(struct ctl *c)
{
	struct buf taken[CTL_PUSHES];
	unsigned n = push_take(c, taken);

	for (unsigned i = 0; i < n; i++) {
		if (c->state != CTL_FENCED) /* then nothing is for us */
			push_apply(c, buf_str(&taken[i]));
		push_forget(&taken[i]);
	}
}

void
ctl_drop_pushes(struct ctl *c)
{
	struct buf taken[CTL_PUSHES];
	unsigned n = push_take(c, taken);

	while (n > 0)
		push_forget(&taken[--n]);
}
