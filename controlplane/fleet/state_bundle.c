/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles of a group. The items are already packed, so a bundle is its head
 * plus the items' bytes as repeated field 7; protobuf allows fields in any
 * order and in pieces.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/fleet/state_internal.h"
#include "proto/headgate.pb-c.h"

#define BUNDLE_ITEM_TAG ((7 << 3) | 2)

void
state_bundle_unref(struct state_bundle *b)
{
	if (b == NULL || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	sodium_memzero(b->data, b->len); /* credentials */
	free(b->data);
	free(b);
}

/* ---- what changed
 * ------------------------------------------------------------
 */

/* Index of the step that starts at version; -1 when it is forgotten. */
static long
group_step_from(const struct group *g, uint64_t version)
{
	size_t i = g->n_steps > STATE_HISTORY ? g->n_steps - STATE_HISTORY : 0;

	for (; i < g->n_steps; i++)
		if (g->steps[i % STATE_HISTORY].from == version)
			return (long)i;
	return -1;
}

static int
step_item_sort(const void *a, const void *b)
{
	const struct step_item *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Items touched since step i, each once; malloc'ed. */
static struct step_item *
group_touched(const struct group *g, size_t i, size_t *n_ret)
{
	struct step_item *items;
	size_t n = 0, j, m = 0;

	for (j = i; j < g->n_steps; j++)
		n += g->steps[j % STATE_HISTORY].n;
	items = calloc(n + 1, sizeof(*items));
	if (items == NULL)
		return NULL;
	n = 0;
	for (j = i; j < g->n_steps; j++) {
		const struct step *st = &g->steps[j % STATE_HISTORY];

		if (st->n != 0)
			memcpy(items + n, st->items, st->n * sizeof(*items));
		n += st->n;
	}
	qsort(items, n, sizeof(*items), step_item_sort);
	for (j = 0; j < n; j++)
		if (m == 0 || step_item_sort(&items[m - 1], &items[j]) != 0)
			items[m++] = items[j];
	*n_ret = m;
	return items;
}

/* ---- packing ----------------------------------------------------------------
 */

static void
bundle_add_item(struct buf *b, struct str packed)
{
	uint8_t head[11];
	size_t n = 0;
	uint64_t len = packed.len;

	head[n++] = BUNDLE_ITEM_TAG;
	for (; len >= 0x80; len >>= 7)
		head[n++] = (uint8_t)(len | 0x80);
	head[n++] = (uint8_t)len;
	buf_add(b, head, n);
	buf_add_str(b, packed);
}

/* The head with deletes. */
static int
bundle_head(const struct state *s, struct group *g, const struct step *base,
    const struct step_item *touched, size_t n, struct buf *b)
{
	Hg__ItemRef *refs = calloc(n + 1, sizeof(*refs));
	Hg__ItemRef **list = calloc(n + 1, sizeof(*list));
	Hg__Bundle m;
	size_t i;
	int rc = ERR_NOMEM;

	hg__bundle__init(&m);
	m.group = g->name;
	m.version = g->version;
	m.created_at = clock_wall(s->clock);
	/* Of all that the agent has then, a delta's base included. */
	m.min_schema_minor = g->now.min_minor;
	m.state_hash.data = g->now.state_hash;
	m.state_hash.len = STATE_HASH_LEN;
	if (refs == NULL || list == NULL)
		goto out;
	if (base != NULL) {
		m.base_version = base->from;
		m.base_hash.data = (uint8_t *)(uintptr_t)base->hash;
		m.base_hash.len = STATE_HASH_LEN;
		m.deletes = list;
	}
	for (i = 0; i < n; i++) {
		if (derived_find(&g->now, touched[i].kind, touched[i].uid))
			continue;
		hg__item_ref__init(&refs[m.n_deletes]);
		refs[m.n_deletes].kind = (Hg__ItemKind)touched[i].kind;
		refs[m.n_deletes].uid = touched[i].uid;
		list[m.n_deletes] = &refs[m.n_deletes];
		m.n_deletes++;
	}
	rc = proto_pack(&m.base, b);
out:
	free(refs);
	free(list);
	return rc;
}

static int
bundle_pack(const struct state *s, struct group *g, const struct step *base,
    const struct step_item *touched, size_t n, struct buf *b)
{
	size_t i, reserve = 0;
	int rc = bundle_head(s, g, base, touched, n, b);

	if (rc != 0)
		return rc;
	for (i = 0; base == NULL && i < g->now.n; i++)
		reserve += g->now.items[i].packed.len + 11;
	if (buf_reserve(b, reserve) != 0)
		return buf_error(b);
	for (i = 0; base == NULL && i < g->now.n; i++)
		bundle_add_item(b, g->now.items[i].packed);
	for (i = 0; base != NULL && i < n; i++) {
		const struct derived_item *it =
		    derived_find(&g->now, touched[i].kind, touched[i].uid);

		if (it != NULL)
			bundle_add_item(b, it->packed);
	}
	return buf_error(b);
}

static int
bundle_make(struct state *s, struct group *g, long step,
    struct state_bundle **ret, struct error *e)
{
	const struct step *base =
	    step < 0 ? NULL : &g->steps[(size_t)step % STATE_HISTORY];
	struct state_bundle *out = calloc(1, sizeof(*out));
	struct step_item *touched = NULL;
	struct buf b, sig;
	size_t n = 0;
	int rc = ERR_NOMEM;

	buf_init(&b, BUNDLE_MAX - 4096);
	buf_init(&sig, BUNDLE_MAX);
	if (base != NULL)
		touched = group_touched(g, (size_t)step, &n);
	if (out != NULL && (base == NULL || touched != NULL))
		rc = bundle_pack(s, g, base, touched, n, &b);
	if (rc == 0)
		rc = bundle_sign(buf_str(&b), s->sign_sk, &sig);
	if (rc == 0) {
		atomic_init(&out->refs, 1);
		out->base = base != NULL ? base->from : 0;
		out->version = g->version;
		out->data = buf_take(&sig, &out->len);
		*ret = out;
	} else {
		free(out);
		rc = err_set(
		    e, rc, "bundle of group %s: %s", g->name, err_text(rc));
	}
	if (b.data != NULL)
		sodium_memzero(b.data, b.len);
	free(touched);
	buf_release(&b);
	buf_release(&sig);
	return rc;
}

/* ---- serving
 * -----------------------------------------------------------------
 */

static struct state_bundle *
bundle_ref(struct state_bundle *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

static struct state_bundle *
group_cached(const struct group *g, uint64_t base, uint64_t version)
{
	size_t i;

	for (i = 0; i < STATE_BUNDLES; i++) {
		struct state_bundle *b = g->bundles[i];

		if (b != NULL && b->base == base && b->version == version)
			return b;
	}
	return NULL;
}

static int
group_bundle(struct state *s, struct group *g, uint64_t have_version,
    struct str have_hash, uint64_t want, struct state_bundle **ret,
    struct error *e)
{
	struct state_bundle *b;
	long step = -1;
	uint64_t base;
	int rc;

	if (want != 0 && want != g->version) {
		b = group_cached(g, have_version, want);
		if (b == NULL)
			b = group_cached(g, 0, want);
		if (b != NULL) {
			*ret = bundle_ref(b);
			return 0;
		}
	}
	if (have_version == g->version && have_hash.len == STATE_HASH_LEN &&
	    memcmp(have_hash.p, g->now.state_hash, STATE_HASH_LEN) == 0)
		return 0;
	if (have_version != 0 && have_hash.len == STATE_HASH_LEN)
		step = group_step_from(g, have_version);
	if (step >= 0 &&
	    memcmp(have_hash.p, g->steps[(size_t)step % STATE_HISTORY].hash,
		STATE_HASH_LEN) != 0)
		step = -1;
	base = step >= 0 ? have_version : 0;
	b = group_cached(g, base, g->version);
	if (b == NULL) {
		struct state_bundle **slot =
		    &g->bundles[g->n_bundles % STATE_BUNDLES];

		rc = bundle_make(s, g, step, &b, e);
		if (rc != 0)
			return rc;
		state_bundle_unref(*slot);
		*slot = b;
		g->n_bundles++;
	}
	*ret = bundle_ref(b);
	return 0;
}

int
state_bundle(struct state *s, const char *group, uint64_t have_version,
    struct str have_hash, uint64_t want, struct state_bundle **ret,
    struct error *e)
{
	struct group *g;
	int rc;

	*ret = NULL;
	rc = state_add_group(s, group, e);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	g = state_find_group(s, group);
	if (g->version != 0)
		rc = group_bundle(s, g, have_version, have_hash, want, ret, e);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
state_delta_from(struct state *s, const char *group, uint64_t from,
    struct state_bundle **ret, struct error *e)
{
	uint8_t hash[STATE_HASH_LEN];
	struct group *g;
	long step = -1;
	int rc = 0;

	*ret = NULL;
	pthread_mutex_lock(&s->lock);
	g = state_find_group(s, group);
	if (g != NULL && from != 0)
		step = group_step_from(g, from);
	if (step >= 0) {
		memcpy(hash, g->steps[(size_t)step % STATE_HISTORY].hash,
		    sizeof(hash));
		rc = group_bundle(s, g, from,
		    str_make((const char *)hash, sizeof(hash)), 0, ret, e);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
