/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading, and which versions changed what; the bundles: state_bundle.c.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/config/credential.h"
#include "controlplane/fleet/state_internal.h"

struct state *
state_new(const struct vault *vault, struct clock *clock,
    const uint8_t sign_sk[SIGN_SECRET_LEN])
{
	struct state *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->refreshing, NULL);
	s->vault = vault;
	s->clock = clock;
	memcpy(s->sign_sk, sign_sk, sizeof(s->sign_sk));
	return s;
}

static void
group_free(struct group *g)
{
	size_t i;

	derive_free(&g->now);
	for (i = 0; i < STATE_HISTORY; i++)
		free(g->steps[i].items);
	for (i = 0; i < STATE_BUNDLES; i++)
		state_bundle_unref(g->bundles[i]);
	free(g);
}

void
state_free(struct state *s)
{
	struct group *g;

	if (s == NULL)
		return;
	while ((g = s->groups) != NULL) {
		s->groups = g->next;
		group_free(g);
	}
	derive_world_free(s->world);
	sodium_memzero(s->sign_sk, sizeof(s->sign_sk));
	pthread_mutex_destroy(&s->refreshing);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

uint64_t
state_version(const struct state *s)
{
	return atomic_load(&s->version);
}

/* ---- loading --------------------------------------------------------------
 */

struct loading {
	struct derive_world *world;
	struct db *db;
	const struct vault *vault;
	struct error *e;
};

static int
load_item(void *ctx, const struct store_item *it)
{
	struct loading *l = ctx;

	return derive_world_add(l->world, it, l->e);
}

static int
load_credential(void *ctx, uint64_t provider_uid, enum credential which,
    uint64_t version, struct buf *out, struct error *e)
{
	struct loading *l = ctx;

	return credential_get(
	    l->db, l->vault, provider_uid, which, version, out, e);
}

static int
load_change(void *ctx, uint64_t version, const struct store_change *c)
{
	struct loading *l = ctx;
	struct store_item it = {.kind = c->kind,
	    .uid = c->uid,
	    .name = c->name,
	    .version = version,
	    .spec = c->new_spec};

	if (c->op == STORE_OP_DELETE) {
		derive_world_remove(l->world, (uint32_t)c->kind, c->uid);
		return 0;
	}
	return derive_world_put(l->world, &it, l->e);
}

/* Everything, into a fresh world. */
static int
state_load_all(struct state *s, struct loading *l, uint64_t *version)
{
	struct derive_world *world = derive_world_new();
	int rc;

	if (world == NULL)
		return err_set(l->e, ERR_NOMEM, "no memory for the state");
	l->world = world;
	rc = store_config_snapshot(l->db, 0, version, load_item, l, l->e);
	if (rc == 0)
		rc = derive_world_credentials(world, load_credential, l, l->e);
	if (rc != 0) {
		derive_world_free(world);
		return rc;
	}
	pthread_mutex_lock(&s->lock);
	derive_world_free(s->world);
	s->world = world;
	s->world_version = *version;
	s->world_good = true;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* What changed since, into the world there is. The lock is held, because a
 * new group may be derived from it at any time. */
static int
state_load_changes(struct state *s, struct loading *l, uint64_t version)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	l->world = s->world;
	s->world_good = false; /* until all of it is there */
	rc = store_config_changes(
	    l->db, s->world_version, version, load_change, l, l->e);
	if (rc == 0)
		rc = derive_world_credentials(
		    l->world, load_credential, l, l->e);
	if (rc == 0) {
		s->world_good = true;
		s->world_version = version;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Bring s->world to the latest version; *version is it. */
static int
state_load(
    struct state *s, struct store *store, uint64_t *version, struct error *e)
{
	struct loading l = {.vault = s->vault, .e = e};
	int rc;

	rc = store_take(store, &l.db, e);
	if (rc == 0)
		rc = store_config_version(l.db, version, e);
	if (rc == 0) {
		if (!s->world_good || s->world_version == 0 ||
		    *version < s->world_version)
			rc = state_load_all(s, &l, version);
		else if (*version > s->world_version)
			rc = state_load_changes(s, &l, *version);
	}
	store_give(l.db);
	return rc;
}

/* ---- steps ----------------------------------------------------------------
 */

static int
step_order(const struct derived_item *a, const struct derived_item *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	return 0;
}

/* The items in which two derivations differ, gone ones too. items has room
 * for all of both; returns how many. */
static size_t
step_diff(
    const struct derived *a, const struct derived *b, struct step_item *items)
{
	size_t i = 0, j = 0, n = 0;

	while (i < a->n || j < b->n) {
		int order = i == a->n ? 1
			    : j == b->n
				? -1
				: step_order(&a->items[i], &b->items[j]);
		const struct derived_item *x =
		    order <= 0 ? &a->items[i] : &b->items[j];

		if (order != 0 || memcmp(a->items[i].hash, b->items[j].hash,
				      STATE_HASH_LEN) != 0)
			items[n++] = (struct step_item){x->kind, x->uid};
		i += order <= 0;
		j += order >= 0;
	}
	return n;
}

static int
group_step(struct group *g, struct derived *next, uint64_t version)
{
	struct step *st = &g->steps[g->n_steps % STATE_HISTORY];
	struct step_item *items =
	    calloc(g->now.n + next->n + 1, sizeof(*items));
	void *smaller;

	if (items == NULL)
		return ERR_NOMEM;
	free(st->items);
	st->n = step_diff(&g->now, next, items);
	smaller = realloc(items, (st->n + 1) * sizeof(*items));
	st->items = smaller != NULL ? smaller : items;
	st->from = g->version;
	memcpy(st->hash, g->now.state_hash, STATE_HASH_LEN);
	g->n_steps++;
	derive_free(&g->now);
	g->now = *next;
	g->version = version;
	return 0;
}

/* ---- refresh ---------------------------------------------------------------
 */

/* Move every group to the world's version, or none. */
static int
state_move(struct state *s, uint64_t version, struct error *e)
{
	struct derived next[STATE_MAX_GROUPS];
	struct group *g;
	size_t i = 0, n = 0;
	int rc = 0;

	for (g = s->groups; g != NULL && rc == 0; g = g->next) {
		rc = derive_group(s->world, g->name, &next[n], e);
		n += rc == 0;
	}
	for (g = s->groups; g != NULL && rc == 0; g = g->next) {
		rc = group_step(g, &next[i], version);
		i += rc == 0;
	}
	for (; rc != 0 && i < n; i++)
		derive_free(&next[i]);
	return rc;
}

int
state_refresh(struct state *s, struct store *store, uint64_t *from,
    uint64_t *to, struct error *e)
{
	uint64_t version = 0;
	int rc;

	/* two threads must not load and step in turns */
	pthread_mutex_lock(&s->refreshing);
	*from = *to = atomic_load(&s->version);
	rc = state_load(s, store, &version, e);
	if (rc == 0 && version != *from) {
		pthread_mutex_lock(&s->lock);
		rc = state_move(s, version, e);
		if (rc == 0) {
			atomic_store(&s->version, version);
			*to = version;
		} else {
			s->world_good = false; /* load all next time */
		}
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&s->refreshing);
	return rc;
}

/* ---- groups ----------------------------------------------------------------
 */

struct group *
state_find_group(struct state *s, const char *name)
{
	struct group *g = s->groups;

	while (g != NULL && strcmp(g->name, name) != 0)
		g = g->next;
	return g;
}

static int
state_load_group(struct state *s, const char *name, struct error *e)
{
	struct group *g;
	int rc;

	if (state_find_group(s, name) != NULL)
		return 0;
	if (s->n_groups == STATE_MAX_GROUPS)
		return err_set(e, ERR_LIMIT, "more than %d agent groups",
		    STATE_MAX_GROUPS);
	if (!s->world_good)
		return err_set(
		    e, ERR_AGAIN, "the configuration is not loaded yet");
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return err_set(e, ERR_NOMEM, "no memory for a group");
	rc = str_copy(str_of(name), g->name, sizeof(g->name));
	if (rc == 0)
		rc = derive_group(s->world, name, &g->now, e);
	if (rc != 0) {
		free(g);
		return rc;
	}
	g->version = s->world_version;
	g->next = s->groups;
	s->groups = g;
	s->n_groups++;
	return 0;
}

int
state_add_group(struct state *s, const char *group, struct error *e)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = state_load_group(s, group, e);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

bool
state_hash(struct state *s, const char *group, uint8_t hash[STATE_HASH_LEN])
{
	const struct group *g;

	pthread_mutex_lock(&s->lock);
	g = state_find_group(s, group);
	if (g != NULL)
		memcpy(hash, g->now.state_hash, STATE_HASH_LEN);
	pthread_mutex_unlock(&s->lock);
	return g != NULL;
}

void
state_groups(struct state *s, state_group_fn *fn, void *ctx)
{
	char names[STATE_MAX_GROUPS][STATE_GROUP_CAP];
	const struct group *g;
	size_t i, n = 0;

	pthread_mutex_lock(&s->lock);
	for (g = s->groups; g != NULL; g = g->next)
		memcpy(names[n++], g->name, STATE_GROUP_CAP);
	pthread_mutex_unlock(&s->lock);
	for (i = 0; i < n; i++)
		fn(ctx, names[i]);
}
