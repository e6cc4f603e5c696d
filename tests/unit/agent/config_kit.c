/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/agent/config_kit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/money.h"

char *
world_text(struct world *w, const char *z)
{
	char *p = arena_strdup(&w->arena, str_of(z));

	ck_assert_ptr_nonnull(p);
	return p;
}

static void *
take(struct world *w, size_t n)
{
	void *p = arena_zalloc(&w->arena, n);

	ck_assert_ptr_nonnull(p);
	return p;
}

Hg__Item *
world_find(struct world *w, uint32_t kind, uint64_t uid)
{
	for (size_t i = 0; i < w->n; i++)
		if ((uint32_t)w->items[i]->kind == kind &&
		    w->items[i]->uid == uid)
			return w->items[i];
	return NULL;
}

Hg__Item *
world_add(struct world *w, uint32_t kind, uint64_t uid, const char *name)
{
	Hg__Item *item = take(w, sizeof(*item));

	ck_assert_uint_lt(w->n, 512);
	hg__item__init(item);
	item->kind = (Hg__ItemKind)kind;
	item->uid = uid;
	item->name = world_text(w, name);
	item->version = w->version;
	w->items[w->n++] = item;
	return item;
}

void
world_drop(struct world *w, uint32_t kind, uint64_t uid)
{
	for (size_t i = 0; i < w->n; i++)
		if ((uint32_t)w->items[i]->kind == kind &&
		    w->items[i]->uid == uid)
			w->items[i] = w->items[--w->n];
}

void
world_digest(unsigned n, uint8_t digest[32])
{
	crypto_generichash(digest, 32, (const uint8_t *)&n, sizeof(n), NULL, 0);
}

static void
add_owner(struct world *w, uint32_t kind, uint64_t uid, const char *name,
    uint64_t parent)
{
	Hg__Item *item = world_add(w, kind, uid, name);

	item->owner = take(w, sizeof(*item->owner));
	hg__owner__init(item->owner);
	item->owner->parent_uid = parent;
}

Hg__Item *
world_key(struct world *w, uint64_t uid, const char *name, uint64_t project)
{
	Hg__Item *item = world_add(w, HG__ITEM_KIND__ITEM_KEY, uid, name);

	item->key = take(w, sizeof(*item->key));
	hg__key__init(item->key);
	item->key->project_uid = project;
	item->key->digest.data = take(w, 32);
	item->key->digest.len = 32;
	world_digest((unsigned)uid, item->key->digest.data);
	return item;
}

Hg__Item *
world_budget(struct world *w, uint64_t uid, const char *name,
    uint32_t scope_kind, uint64_t scope, bool soft)
{
	Hg__Item *item = world_add(w, HG__ITEM_KIND__ITEM_BUDGET, uid, name);

	item->budget = take(w, sizeof(*item->budget));
	hg__budget__init(item->budget);
	item->budget->scope_kind = scope_kind;
	item->budget->scope_uid = scope;
	item->budget->limit = 5000000000;
	item->budget->mode =
	    soft ? HG__BUDGET_MODE__BUDGET_SOFT : HG__BUDGET_MODE__BUDGET_HARD;
	item->budget->period = world_text(w, "month");
	return item;
}

void
world_tag(
    struct world *w, Hg__Item *budget, const char *name, const char *value)
{
	Hg__Budget *b = budget->budget;
	Hg__Label **v = take(w, (b->n_tags + 1) * sizeof(*v)), *l;

	if (b->n_tags > 0)
		memcpy(v, b->tags, b->n_tags * sizeof(*v));
	l = take(w, sizeof(*l));
	hg__label__init(l);
	l->key = world_text(w, name);
	l->value = world_text(w, value);
	v[b->n_tags++] = l;
	b->tags = v;
}

static void
add_price(struct world *w, Hg__Model *m, unsigned at, unsigned class,
    int64_t per_mtok)
{
	m->prices[at] = take(w, sizeof(Hg__PriceLine));
	hg__price_line__init(m->prices[at]);
	m->prices[at]->token_class = class;
	m->prices[at]->per_mtok = per_mtok;
	m->prices[at]->from = 1000;
}

static void
add_catalog(struct world *w)
{
	Hg__Item *p = world_add(
		     w, HG__ITEM_KIND__ITEM_PROVIDER, W_PROVIDER, "sim"),
		 *m = world_add(w, HG__ITEM_KIND__ITEM_MODEL, W_MODEL, "gpt-m"),
		 *d = world_add(
		     w, HG__ITEM_KIND__ITEM_DEPLOYMENT, W_DEPLOYMENT, "gpt-eu");

	p->provider = take(w, sizeof(*p->provider));
	hg__provider__init(p->provider);
	p->provider->dialect = world_text(w, "openai");
	p->provider->base_url = world_text(w, "https://[::1]:8443/base/");
	p->provider->credential = world_text(w, "sk-canary");
	m->model = take(w, sizeof(*m->model));
	hg__model__init(m->model);
	m->model->max_output_tokens = 4096;
	m->model->prices = take(w, 8 * sizeof(Hg__PriceLine *));
	m->model->n_prices = 3;
	add_price(w, m->model, 0, TC_INPUT, 2500);
	add_price(w, m->model, 1, TC_OUTPUT, 10000);
	add_price(w, m->model, 2, TC_INPUT, 3000);
	m->model->prices[2]->from = 2000;
	d->deployment = take(w, sizeof(*d->deployment));
	hg__deployment__init(d->deployment);
	d->deployment->model_uid = W_MODEL;
	d->deployment->provider_uid = W_PROVIDER;
	d->deployment->upstream_model = world_text(w, "gpt-up");
	d->deployment->max_concurrency = 3;
	for (unsigned i = 0; i < 2; i++) {
		Hg__Item *r = world_add(w, HG__ITEM_KIND__ITEM_ROUTE,
		    W_ROUTE + i, i == 0 ? "gpt" : "another");

		r->route = take(w, sizeof(*r->route));
		hg__route__init(r->route);
		r->route->n_targets = 1;
		r->route->targets = take(w, 4 * sizeof(Hg__RouteTarget *));
		r->route->targets[0] = take(w, sizeof(Hg__RouteTarget));
		hg__route_target__init(r->route->targets[0]);
		r->route->targets[0]->deployment_uid = W_DEPLOYMENT;
		r->route->targets[0]->weight = 1;
	}
}

void
world_init(struct world *w)
{
	Hg__Item *l;

	memset(w, 0, sizeof(*w));
	w->version = 5;
	arena_init(&w->arena, 65536, (size_t)64 << 20);
	add_owner(w, HG__ITEM_KIND__ITEM_TENANT, W_TENANT, "acme", 0);
	add_owner(w, HG__ITEM_KIND__ITEM_TEAM, W_TEAM, "acme.r", W_TENANT);
	add_owner(
	    w, HG__ITEM_KIND__ITEM_PROJECT, W_PROJECT, "acme.r.p", W_TEAM);
	world_key(w, W_KEY, "acme.r.p.ci", W_PROJECT);
	add_catalog(w);
	world_budget(w, W_BUDGET, "acme.monthly", HG__ITEM_KIND__ITEM_TENANT,
	    W_TENANT, false);
	world_budget(
	    w, W_BUDGET_KEY, "acme.ci", HG__ITEM_KIND__ITEM_KEY, W_KEY, true);
	l = world_add(w, HG__ITEM_KIND__ITEM_LIMIT, W_LIMIT, "acme.lim");
	l->limit = take(w, sizeof(*l->limit));
	hg__limit__init(l->limit);
	l->limit->scope_kind = HG__ITEM_KIND__ITEM_PROJECT;
	l->limit->scope_uid = W_PROJECT;
	l->limit->requests_per_minute = 60;
}

void
world_release(struct world *w)
{
	arena_release(&w->arena);
}

static int
by_kind_uid(const void *a, const void *b)
{
	const Hg__Item *x = *(Hg__Item *const *)a, *y = *(Hg__Item *const *)b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void
world_hash(struct world *w, uint8_t hash[STATE_HASH_LEN])
{
	struct state_hasher h;
	struct buf b;

	qsort(w->items, w->n, sizeof(w->items[0]), by_kind_uid);
	state_hash_init(&h);
	buf_init(&b, (size_t)1 << 20);
	for (size_t i = 0; i < w->n; i++) {
		uint8_t one[STATE_HASH_LEN];

		buf_clear(&b);
		ck_assert_int_eq(proto_pack(&w->items[i]->base, &b), 0);
		item_hash(buf_str(&b), one);
		state_hash_add(
		    &h, (uint32_t)w->items[i]->kind, w->items[i]->uid, one);
	}
	state_hash_final(&h, hash);
	buf_release(&b);
}

static void
pack(struct world *w, Hg__Bundle *m, struct buf *out)
{
	static uint8_t hash[STATE_HASH_LEN];

	world_hash(w, hash);
	m->group = world_text(w, "default");
	m->version = w->version;
	m->created_at = 99;
	m->state_hash.data = hash;
	m->state_hash.len = sizeof(hash);
	ck_assert_int_eq(proto_pack(&m->base, out), 0);
}

void
world_snapshot(struct world *w, struct buf *out)
{
	Hg__Bundle m;

	hg__bundle__init(&m);
	m.items = w->items;
	m.n_items = w->n;
	pack(w, &m, out);
}

void
world_delta(struct world *w, const struct item_state *base,
    const Hg__ItemRef *changed, size_t n, struct buf *out)
{
	Hg__Item *items[64];
	Hg__ItemRef *deletes[64], refs[64];
	uint8_t hash[STATE_HASH_LEN];
	Hg__Bundle m;

	ck_assert_uint_le(n, 64);
	hg__bundle__init(&m);
	m.items = items;
	m.deletes = deletes;
	for (size_t i = 0; i < n; i++) {
		Hg__Item *item =
		    world_find(w, (uint32_t)changed[i].kind, changed[i].uid);

		if (item != NULL) {
			items[m.n_items++] = item;
		} else {
			refs[i] = changed[i];
			deletes[m.n_deletes++] = &refs[i];
		}
	}
	m.base_version = base->version;
	memcpy(hash, base->hash, sizeof(hash));
	m.base_hash.data = hash;
	m.base_hash.len = sizeof(hash);
	pack(w, &m, out);
}

struct item_state *
world_state(struct world *w)
{
	struct item_state *s = NULL;
	struct error e;
	struct buf b;
	int rc;

	buf_init(&b, (size_t)64 << 20);
	world_snapshot(w, &b);
	rc = items_apply(NULL, buf_str(&b), &s, &e);
	ck_assert_msg(rc == 0, "%s", rc == 0 ? "" : e.text);
	buf_release(&b);
	return s;
}

void
bench_init(struct bench *x)
{
	memset(x, 0, sizeof(*x));
	x->leases = lease_table_new(NULL);
	x->limits = limit_registry_new();
}

void
bench_release(struct bench *x)
{
	bundle_unref(x->b);
	limit_registry_free(x->limits);
	lease_table_free(x->leases);
}

int
bench_compile(struct bench *x, struct world *w)
{
	struct item_state *s = world_state(w);
	int rc;

	bundle_unref(x->b);
	x->b = NULL;
	rc = bundle_compile(s, x->leases, x->limits, &x->b, &x->why, &x->e);
	items_unref(s);
	return rc;
}
