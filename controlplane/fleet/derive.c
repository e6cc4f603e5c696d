/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundle derivation: the world of one config version, and what one group
 * gets of it. Items are kept sorted by (kind, uid), the order of the state
 * hash.
 */
#include "controlplane/fleet/derive.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/fleet/derive_internal.h"
#include "proto/bundle.h"

#define DERIVE_CHUNK ((size_t)256 << 10)

struct derive_world *
derive_world_new(void)
{
	struct derive_world *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->index = json_object();
	if (w->index == NULL) {
		free(w);
		return NULL;
	}
	return w;
}

static void
world_item_release(struct world_item *it)
{
	for (unsigned i = 0; i < 2; i++) {
		if (it->secrets[i] != NULL)
			sodium_memzero(it->secrets[i], it->secrets_len[i]);
		free(it->secrets[i]);
	}
	free(it->name);
	json_decref(it->spec);
}

void
derive_world_free(struct derive_world *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->n; i++)
		world_item_release(&w->items[i]);
	free(w->items);
	json_decref(w->index);
	free(w);
}

static int
world_index(struct derive_world *w, const struct world_item *it)
{
	char key[512];

	(void)snprintf(key, sizeof(key), "%u %s", it->kind, it->name);
	return json_object_set_new_nocheck(
		   w->index, key, json_integer((json_int_t)it->uid)) == 0
		   ? 0
		   : ERR_NOMEM;
}

int
derive_world_add(
    struct derive_world *w, const struct store_item *src, struct error *e)
{
	struct world_item *it;
	json_error_t je;

	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 256;
		struct world_item *items =
		    realloc(w->items, cap * sizeof(*items));

		if (items == NULL)
			return err_set(e, ERR_NOMEM, "out of memory");
		w->items = items;
		w->cap = cap;
	}
	it = &w->items[w->n];
	memset(it, 0, sizeof(*it));
	it->kind = (uint32_t)src->kind;
	it->uid = src->uid;
	it->version = src->version;
	it->name = str_dup(src->name);
	it->spec = json_loadb(src->spec.p, src->spec.len, 0, &je);
	if (it->name == NULL || it->spec == NULL) {
		free(it->name);
		json_decref(it->spec);
		return err_set(e, ERR_CORRUPT, "stored spec of %.*s: %s",
		    STR_ARG(src->name), je.text);
	}
	w->n++;
	w->sorted = w->n == 1 ||
		    (w->sorted &&
			(it[-1].kind < it->kind ||
			    (it[-1].kind == it->kind && it[-1].uid < it->uid)));
	if (world_index(w, it) != 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	return 0;
}

uint64_t
world_uid(const struct derive_world *w, uint32_t kind, const char *name)
{
	char key[512];

	(void)snprintf(key, sizeof(key), "%u %s", kind, name ? name : "");
	return (uint64_t)json_integer_value(json_object_get(w->index, key));
}

/* Index of the item, or where it belongs. */
static size_t
world_place(const struct derive_world *w, uint32_t kind, uint64_t uid)
{
	size_t lo = 0, hi = w->n;

	MUST(w->sorted || w->n == 0);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct world_item *it = &w->items[mid];

		if (it->kind < kind || (it->kind == kind && it->uid < uid))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct world_item *
world_find(const struct derive_world *w, uint32_t kind, uint64_t uid)
{
	size_t i = world_place(w, kind, uid);

	if (i == w->n || w->items[i].kind != kind || w->items[i].uid != uid)
		return NULL;
	return &w->items[i];
}

int
derive_world_put(
    struct derive_world *w, const struct store_item *src, struct error *e)
{
	struct world_item fresh;
	size_t at;
	int rc;

	derive_world_remove(w, (uint32_t)src->kind, src->uid);
	at = world_place(w, (uint32_t)src->kind, src->uid);
	rc = derive_world_add(w, src, e); /* at the end */
	if (rc != 0)
		return rc;
	fresh = w->items[w->n - 1];
	memmove(&w->items[at + 1], &w->items[at],
	    (w->n - 1 - at) * sizeof(w->items[0]));
	w->items[at] = fresh;
	w->sorted = true;
	return 0;
}

void
derive_world_remove(struct derive_world *w, uint32_t kind, uint64_t uid)
{
	size_t at = world_place(w, kind, uid);
	struct world_item *it = &w->items[at];
	char key[512];

	if (at == w->n || it->kind != kind || it->uid != uid)
		return;
	(void)snprintf(key, sizeof(key), "%u %s", kind, it->name);
	if (world_uid(w, kind, it->name) == uid)
		(void)json_object_del(w->index, key);
	world_item_release(it);
	w->n--;
	memmove(it, it + 1, (w->n - at) * sizeof(*it));
}

static int
world_secret(struct world_item *it, enum credential which,
    derive_credential_fn *fn, void *ctx, struct error *e)
{
	static const char *const fields[] = {
	    "credential_version", "client_key_version"};
	json_int_t version =
	    json_integer_value(json_object_get(it->spec, fields[which]));
	struct buf clear;
	int rc;

	if (it->secrets[which] != NULL || version <= 0)
		return 0;
	buf_init(&clear, CREDENTIAL_MAX + 1);
	rc = fn(ctx, it->uid, which, (uint64_t)version, &clear, e);
	if (rc != 0) {
		buf_release(&clear);
		return rc;
	}
	(void)buf_cstr(&clear);
	it->secrets[which] = buf_take(&clear, &it->secrets_len[which]);
	return 0;
}

int
derive_world_credentials(struct derive_world *w, derive_credential_fn *fn,
    void *ctx, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && rc == 0; i++) {
		struct world_item *it = &w->items[i];

		if (it->kind != HG__ITEM_KIND__ITEM_PROVIDER)
			continue;
		rc = world_secret(it, CREDENTIAL_MAIN, fn, ctx, e);
		if (rc == 0)
			rc =
			    world_secret(it, CREDENTIAL_CLIENT_KEY, fn, ctx, e);
	}
	return rc;
}

bool
deployment_in_group(const struct world_item *d, const char *group)
{
	json_t *groups = json_object_get(d->spec, "agent_groups"), *one;
	size_t i;

	if (!json_is_array(groups))
		return true;
	json_array_foreach (groups, i, one)
		if (json_is_string(one) &&
		    strcmp(json_string_value(one), group) == 0)
			return true;
	return false;
}

bool
provider_in_group(
    const struct derive_world *w, const struct world_item *p, const char *group)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct world_item *d = &w->items[i];
		const char *name;

		if (d->kind != HG__ITEM_KIND__ITEM_DEPLOYMENT)
			continue;
		name = json_string_value(json_object_get(d->spec, "provider"));
		if (name != NULL && strcmp(name, p->name) == 0 &&
		    deployment_in_group(d, group))
			return true;
	}
	return false;
}

static int
derive_item(const struct derive_world *w, const struct world_item *it,
    const char *group, struct derived *d, struct arena *scratch,
    struct error *e)
{
	struct derived_item *out = &d->items[d->n];
	Hg__Item m = HG__ITEM__INIT;
	uint8_t *bytes;
	size_t len;
	int rc = derive_message(w, it, group, scratch, &m, e);

	if (rc != 0)
		return rc;
	len = hg__item__get_packed_size(&m);
	bytes = arena_alloc(&d->arena, len > 0 ? len : 1);
	if (bytes == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	hg__item__pack(&m, bytes);
	out->kind = it->kind;
	out->uid = it->uid;
	out->packed = str_make((const char *)bytes, len);
	item_hash(out->packed, out->hash);
	if (item_schema_minor(&m) > d->min_minor)
		d->min_minor = item_schema_minor(&m);
	d->n++;
	return 0;
}

static void
derive_state_hash(struct derived *d)
{
	struct state_hasher h;

	state_hash_init(&h);
	for (size_t i = 0; i < d->n; i++)
		state_hash_add(
		    &h, d->items[i].kind, d->items[i].uid, d->items[i].hash);
	state_hash_final(&h, d->state_hash);
}

int
derive_group(const struct derive_world *w, const char *group, struct derived *d,
    struct error *e)
{
	struct arena scratch;
	int rc = 0;

	MUST(w->sorted || w->n == 0);
	memset(d, 0, sizeof(*d));
	arena_init(&d->arena, DERIVE_CHUNK, BUNDLE_MAX);
	arena_init(&scratch, 16384, (size_t)16 << 20);
	d->items = calloc(w->n + 1, sizeof(*d->items));
	if (d->items == NULL)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < w->n && rc == 0; i++) {
		const struct world_item *it = &w->items[i];

		if (it->kind == HG__ITEM_KIND__ITEM_DEPLOYMENT &&
		    !deployment_in_group(it, group))
			continue;
		arena_clear(&scratch);
		rc = derive_item(w, it, group, d, &scratch, e);
	}
	arena_release(&scratch);
	if (rc == 0)
		derive_state_hash(d);
	else
		derive_free(d);
	return rc;
}

void
derive_free(struct derived *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].kind == HG__ITEM_KIND__ITEM_PROVIDER)
			sodium_memzero((void *)(uintptr_t)d->items[i].packed.p,
			    d->items[i].packed.len);
	free(d->items);
	if (d->arena.max != 0)
		arena_release(&d->arena);
	memset(d, 0, sizeof(*d));
}

const struct derived_item *
derived_find(const struct derived *d, uint32_t kind, uint64_t uid)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct derived_item *it = &d->items[mid];

		if (it->kind == kind && it->uid == uid)
			return it;
		if (it->kind < kind || (it->kind == kind && it->uid < uid))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
