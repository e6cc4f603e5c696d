/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following commits: the store's listener says that there is a new version;
 * load it and publish a sealed, signed delta to every group. A delta that is
 * too large becomes a hint whose base nobody has, so that agents pull. Lost
 * publications are repaired by heartbeats.
 */
#include <sodium.h>
#include <stdlib.h>

#include "common/log.h"
#include "controlplane/fleet/fleet_internal.h"

/* ---- group keys -------------------------------------------------------------
 */

/* The key in use is derived from the group's root key and the number of
 * agents that were revoked: who was turned away cannot read what follows. */
static void
group_key_derive(
    const uint8_t root[GROUP_KEY_LEN], uint32_t id, uint8_t key[GROUP_KEY_LEN])
{
	uint8_t label[4] = {(uint8_t)id, (uint8_t)(id >> 8),
	    (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

	crypto_generichash(
	    key, GROUP_KEY_LEN, label, sizeof(label), root, GROUP_KEY_LEN);
}

static struct group_key *
find_key(struct fleet *f, const char *group)
{
	struct group_key *k = f->keys;

	while (k != NULL && strcmp(k->group, group) != 0)
		k = k->next;
	return k;
}

static int
put_key(struct fleet *f, const char *group, uint32_t id, struct error *e)
{
	uint8_t root[GROUP_KEY_LEN];
	struct group_key *k;
	int rc;

	rc = pki_group_key(f->o.store, f->o.vault, str_of(group), root, e);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&f->keys_lock);
	k = find_key(f, group);
	if (k == NULL) {
		k = calloc(1, sizeof(*k));
		rc = k == NULL ? ERR_NOMEM : 0;
		if (rc == 0)
			rc =
			    str_copy(str_of(group), k->group, sizeof(k->group));
		if (rc == 0) {
			k->next = f->keys;
			f->keys = k;
		} else {
			free(k);
		}
	}
	if (rc == 0) {
		k->id = id;
		group_key_derive(root, id, k->key);
	}
	pthread_mutex_unlock(&f->keys_lock);
	sodium_memzero(root, sizeof(root));
	return rc == 0 ? 0 : err_set(e, rc, "group key: %s", err_text(rc));
}

struct generation {
	char group[64];
	uint32_t id;
};
struct generations {
	struct generation v[256];
	size_t n;
};

static int
generation_row(void *ctx, struct str group, int64_t n_revoked)
{
	struct generations *g = ctx;
	struct generation *v = &g->v[g->n];

	if (g->n == sizeof(g->v) / sizeof(g->v[0]) ||
	    str_copy(group, v->group, sizeof(v->group)) != 0)
		return 0;
	v->id = (uint32_t)n_revoked + 1;
	g->n++;
	return 0;
}

int
fleet_load_keys(struct fleet *f, struct error *e)
{
	struct generations *g = calloc(1, sizeof(*g));
	struct db *db = NULL;
	size_t i;
	int rc;

	if (g == NULL)
		return err_set(e, ERR_NOMEM, "no memory for group keys");
	rc = store_take(f->o.store, &db, e);
	if (rc == 0)
		rc = store_agent_groups(db, generation_row, g, e);
	store_give(db);
	for (i = 0; rc == 0 && i < g->n; i++)
		rc = put_key(f, g->v[i].group, g->v[i].id, e);
	free(g);
	return rc;
}

int
fleet_group_key(struct fleet *f, const char *group, uint8_t key[GROUP_KEY_LEN],
    uint32_t *id, struct error *e)
{
	const struct group_key *k;
	int tries, rc;

	for (tries = 0; tries < 2; tries++) {
		pthread_mutex_lock(&f->keys_lock);
		k = find_key(f, group);
		if (k != NULL) {
			memcpy(key, k->key, GROUP_KEY_LEN);
			*id = k->id;
		}
		pthread_mutex_unlock(&f->keys_lock);
		if (k != NULL)
			return 0;
		rc = fleet_load_keys(f, e); /* a new group */
		if (rc != 0)
			return rc;
	}
	return err_set(e, ERR_NOT_FOUND, "no key of group %s", group);
}

/* ---- publishing
 * --------------------------------------------------------------- */

struct push {
	struct fleet *f;
	uint64_t from;
	int rc;
};

/* A signed bundle whose base no agent has. */
static int
push_hint(struct fleet *f, const char *group, uint64_t version, struct buf *out)
{
	Hg__Bundle m;
	struct buf b;
	int rc;

	hg__bundle__init(&m);
	m.group = fleet_text(group);
	m.base_version = UINT64_MAX;
	m.version = version;
	buf_init(&b, 4096);
	rc = proto_pack(&m.base, &b);
	if (rc == 0)
		rc = bundle_sign(buf_str(&b), f->o.pki->sign_sk, out);
	buf_release(&b);
	return rc;
}

static int
push_send(struct fleet *f, const char *group, uint64_t version,
    struct str signed_bundle)
{
	uint8_t key[GROUP_KEY_LEN];
	struct delta_publication p = {.group = group,
	    .key = key,
	    .version = version,
	    .signed_bundle = signed_bundle};
	struct buf wire;
	int rc;

	buf_init(&wire, ENVELOPE_MAX);
	rc = fleet_group_key(f, group, key, &p.key_id, NULL);
	if (rc == 0)
		rc = delta_publish(&p, f->o.pki->sign_sk, f->rng, &wire);
	if (rc == 0)
		rc = channel_publish(f->channel, group, buf_str(&wire));
	if (rc == 0)
		atomic_fetch_add(&f->published, 1);
	sodium_memzero(key, sizeof(key));
	buf_release(&wire);
	return rc;
}

static void
push_group(void *ctx, const char *group)
{
	struct push *p = ctx;
	struct state_bundle *b = NULL;
	struct error e = {0};
	struct buf hint;
	int rc;

	rc = state_delta_from(p->f->state, group, p->from, &b, &e);
	if (rc == 0 && b != NULL && b->base != 0 && b->len <= DELTA_MAX) {
		rc = push_send(
		    p->f, group, b->version, str_make(b->data, b->len));
	} else if (rc == 0) {
		uint64_t version = state_version(p->f->state);

		buf_init(&hint, 8192);
		rc = push_hint(p->f, group, version, &hint);
		if (rc == 0)
			rc = push_send(p->f, group, version, buf_str(&hint));
		buf_release(&hint);
	}
	state_bundle_unref(b);
	if (rc != 0)
		log_warn("cannot publish a delta", LF("group", group),
		    LF("error", e.text[0] ? e.text : err_text(rc)));
}

int
fleet_catch_up(struct fleet *f, struct error *e)
{
	struct push p = {.f = f};
	uint64_t to = 0;
	int rc;

	rc = state_refresh(f->state, f->o.store, &p.from, &to, e);
	if (rc != 0 || to == p.from)
		return rc;
	if (f->channel != NULL)
		state_groups(f->state, push_group, &p);
	log_info(
	    "configuration loaded", LFI("version", to), LFI("from", p.from));
	return 0;
}

/* ---- recalls --------------------------------------------------------------
 */

struct push_recall {
	struct fleet *f;
	struct str wire;
};

static void
push_recall_group(void *ctx, const char *group)
{
	const struct push_recall *p = ctx;

	if (channel_publish(p->f->channel, group, p->wire) != 0)
		log_warn("cannot publish a recall", LF("group", group));
}

/* Somebody waits for rights on the budget that agents which rest may hold. */
static void
push_recall(struct fleet *f, const char *payload)
{
	struct envelope env = {.type = HG__MESSAGE_TYPE__MSG_RECALL,
	    .sender = STR(ENVELOPE_CONTROL)};
	uint64_t uid = strtoull(payload, NULL, 10);
	Hg__LeaseRecall m = HG__LEASE_RECALL__INIT;
	struct push_recall p = {.f = f};
	struct buf wire;

	m.n_budget_uid = 1;
	m.budget_uid = &uid;
	buf_init(&wire, 4096);
	if (uid != 0 && f->channel != NULL &&
	    envelope_pack_message(&env, &m.base, f->o.pki->sign_sk, &wire) ==
		0) {
		p.wire = buf_str(&wire);
		state_groups(f->state, push_recall_group, &p);
	}
	buf_release(&wire);
}

void
fleet_notified(void *fleet, const char *channel, const char *payload)
{
	struct fleet *f = fleet;
	struct error e = {0};
	int rc = 0;

	if (payload != NULL && strcmp(channel, STORE_CHANNEL_RECALL) == 0) {
		push_recall(f, payload);
		return;
	}
	if (payload == NULL) /* (re)connected: anything may have happened */
		registry_forget_all(f->registry);
	if (payload == NULL || strcmp(channel, STORE_CHANNEL_FLEET) == 0) {
		if (payload != NULL)
			registry_forget(f->registry, str_of(payload));
		rc = fleet_load_keys(f, &e);
	}
	if (rc == 0 &&
	    (payload == NULL || strcmp(channel, STORE_CHANNEL_CONFIG) == 0))
		rc = fleet_catch_up(f, &e);
	if (rc != 0)
		log_error(
		    "cannot follow the configuration", LF("error", e.text));
}
