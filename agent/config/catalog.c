/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compilation of the catalogue: providers, models with their prices,
 * deployments, routes; and of the scopes that budgets and limits have.
 */
#include <stdlib.h>

#include "agent/config/bundle_priv.h"
#include "agent/policy/queue.h"
#include "agent/tokenizer/tokenizer.h"
#include "common/tags.h"
#include "proto/headgate.pb-c.h"

/* ---- models
 * --------------------------------------------------------------------- */

/* Without a standard price for input, and for output where it chats, the model
 * is kept all the same: requests to it are refused for want of a price
 * (b_model_price()), the rest of the version stands. */
static int
compile_prices(struct compile *c, const Hg__Item *item, struct b_model *m)
{
	const Hg__Model *body = item->model;
	struct price_line *v;

	v = arena_zalloc(&c->p->arena, (body->n_prices + 1) * sizeof(*v));
	if (v == NULL)
		return compile_nomem(c);
	for (size_t i = 0; i < body->n_prices; i++) {
		const Hg__PriceLine *l = body->prices[i];

		if (l->token_class >= TC_COUNT || l->per_mtok < 0 ||
		    l->above_tokens < 0 || (l->to != 0 && l->to <= l->from))
			return compile_reject(
			    c, item, "price line %zu is malformed", i);
		v[i] =
		    (struct price_line){.cls = (enum token_class)l->token_class,
			.per_mtok = l->per_mtok,
			.from = l->from,
			.to = l->to == 0 ? INT64_MAX : l->to,
			.tier = compile_str(c, l->tier),
			.above_tokens = l->above_tokens};
		if (v[i].tier.p == NULL)
			return compile_nomem(c);
	}
	m->prices = v;
	m->n_prices = (unsigned)body->n_prices;
	return 0;
}

static const char *const capabilities[CAP_N] = {"chat", "embeddings", "tools",
    "json_schema", "vision", "completions", "moderations", "images", "audio",
    "rerank", "responses", "documents", "reasoning", "audio_input"};

static int
compile_model(struct compile *c, const Hg__Item *item, struct b_model *m)
{
	const Hg__Model *body = item->model;

	if (body == NULL)
		return compile_reject(c, item, "has no body");
	m->uid = item->uid;
	m->version = item->version;
	m->context_tokens = body->context_tokens;
	m->max_output_tokens = body->max_output_tokens;
	m->max_request = body->max_request > 0 ? body->max_request : 0;
	m->can = body->n_capabilities == 0 ? 1u << CAP_CHAT : 0;
	for (size_t i = 0; i < body->n_capabilities; i++)
		for (unsigned k = 0; k < CAP_N; k++)
			if (strcmp(body->capabilities[i], capabilities[k]) == 0)
				m->can |= 1u << k;
	m->can_chat = (m->can & 1u << CAP_CHAT) != 0;
	m->can_embed = (m->can & 1u << CAP_EMBEDDINGS) != 0;
	/* A name that a newer control plane knows and we do not costs accuracy
	 * of estimates, no more. */
	if (tokenizer_name_is_valid(str_of(body->tokenizer))) {
		m->tokenizer = compile_str(c, body->tokenizer);
		if (m->tokenizer.p == NULL)
			return compile_nomem(c);
	}
	m->name = compile_str(c, item->name);
	return m->name.p == NULL ? compile_nomem(c)
				 : compile_prices(c, item, m);
}

/* ---- deployments and routes
 * ----------------------------------------------------- */

static int
compile_concurrency(
    struct compile *c, const Hg__Item *item, struct b_deployment *d)
{
	struct limit_setting *s = &c->p->limits[c->p->n_limits];

	if (d->max_concurrency == 0)
		return 0;
	s->cell = limit_registry_cell(c->registry, item->uid, d->name, d->name);
	if (s->cell == NULL)
		return compile_nomem(c);
	if (queue_attach(s->cell) != 0)
		return compile_nomem(c);
	s->v.max_conc = d->max_concurrency;
	c->p->n_limits++;
	d->concurrency = s->cell;
	return 0;
}

static int
compile_deployment(
    struct compile *c, const Hg__Item *item, struct b_deployment *d)
{
	const Hg__Deployment *body = item->deployment;
	long m, p;

	if (body == NULL)
		return compile_reject(c, item, "has no body");
	m = compile_find(c, HG__ITEM_KIND__ITEM_MODEL, body->model_uid);
	p = compile_find(c, HG__ITEM_KIND__ITEM_PROVIDER, body->provider_uid);
	if (m < 0 || p < 0)
		return compile_reject(c, item, "its %s does not exist",
		    m < 0 ? "model" : "provider");
	d->uid = item->uid;
	d->model = &c->models[m];
	d->provider = &c->providers[p];
	d->max_concurrency = body->max_concurrency;
	d->connect_timeout_ms = body->connect_timeout_ms;
	d->first_byte_timeout_ms = body->first_byte_timeout_ms;
	d->idle_timeout_ms = body->idle_timeout_ms;
	d->no_stream_options = body->no_stream_options;
	d->name = compile_str(c, item->name);
	d->upstream_model = compile_str(c, body->upstream_model);
	d->region = compile_str(c, body->region);
	if (d->name.p == NULL || d->upstream_model.p == NULL ||
	    d->region.p == NULL)
		return compile_nomem(c);
	return compile_concurrency(c, item, d);
}

static int
target_order(const void *a, const void *b)
{
	const struct b_target *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return str_cmp(x->deployment->name, y->deployment->name);
}

static int
compile_route(struct compile *c, const Hg__Item *item, struct b_route *r)
{
	const Hg__Route *body = item->route;
	struct b_target *v;

	if (body == NULL)
		return compile_reject(c, item, "has no body");
	v = arena_zalloc(&c->p->arena, (body->n_targets + 1) * sizeof(*v));
	r->uid = item->uid;
	r->name = compile_str(c, item->name);
	r->owned_by = compile_str(c, body->owned_by);
	if (v == NULL || r->name.p == NULL || r->owned_by.p == NULL)
		return compile_nomem(c);
	for (size_t i = 0; i < body->n_targets; i++) {
		const Hg__RouteTarget *t = body->targets[i];
		long d = compile_find(
		    c, HG__ITEM_KIND__ITEM_DEPLOYMENT, t->deployment_uid);

		if (d < 0)
			return compile_reject(
			    c, item, "target %zu does not exist", i);
		v[i] = (struct b_target){.deployment = &c->deployments[d],
		    .priority = t->priority,
		    .weight = t->weight};
	}
	r->lenient = body->lenient;
	r->drain = strcmp(body->on_disconnect, "drain") == 0;
	r->drain_max_ms = body->drain_max_ms;
	r->drain_max_tokens = body->drain_max_tokens;
	r->drain_max_concurrent = body->drain_max_concurrent;
	qsort(v, body->n_targets, sizeof(*v), target_order);
	r->targets = v;
	r->n_targets = (unsigned)body->n_targets;
	return 0;
}

static int
route_order(const void *a, const void *b)
{
	const struct b_route *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static void
compile_route_index(struct compile *c)
{
	struct bundle_priv *p = c->p;

	for (unsigned i = 0; i < c->b->n_routes; i++) {
		uint64_t h = bundle_name_hash(c->routes[i].name);

		c->routes[i].index = i;
		while (p->route_index[h & (p->n_route_index - 1)] != 0)
			h++;
		p->route_index[h & (p->n_route_index - 1)] = i + 1;
	}
}

static int
catalog_alloc(struct compile *c)
{
	struct arena *a = &c->p->arena;
	size_t np = c->range[HG__ITEM_KIND__ITEM_PROVIDER].n;
	size_t nm = c->range[HG__ITEM_KIND__ITEM_MODEL].n;
	size_t nd = c->range[HG__ITEM_KIND__ITEM_DEPLOYMENT].n;
	size_t nr = c->range[HG__ITEM_KIND__ITEM_ROUTE].n;
	size_t nl = c->range[HG__ITEM_KIND__ITEM_LIMIT].n;

	c->providers = arena_zalloc(a, (np + 1) * sizeof(*c->providers));
	c->models = arena_zalloc(a, (nm + 1) * sizeof(*c->models));
	c->deployments = arena_zalloc(a, (nd + 1) * sizeof(*c->deployments));
	c->routes = arena_zalloc(a, (nr + 1) * sizeof(*c->routes));
	/* Limits first, then the concurrency of deployments. */
	c->p->limits = arena_zalloc(a, (nl + nd + 1) * sizeof(*c->p->limits));
	if (c->providers == NULL || c->models == NULL ||
	    c->deployments == NULL || c->routes == NULL || c->p->limits == NULL)
		return compile_nomem(c);
	c->p->n_limits = nl;
	c->p->providers = c->providers;
	c->p->n_providers = np;
	c->b->deployments = c->deployments;
	c->b->n_deployments = (unsigned)nd;
	c->b->routes = c->routes;
	c->b->n_routes = (unsigned)nr;
	return 0;
}

static int
catalog_item(struct compile *c, uint32_t kind, const Hg__Item *item, size_t i)
{
	switch (kind) {
	case HG__ITEM_KIND__ITEM_PROVIDER:
		return compile_provider(c, item, &c->providers[i]);
	case HG__ITEM_KIND__ITEM_MODEL:
		return compile_model(c, item, &c->models[i]);
	case HG__ITEM_KIND__ITEM_DEPLOYMENT:
		return compile_deployment(c, item, &c->deployments[i]);
	default:
		return compile_route(c, item, &c->routes[i]);
	}
}

int
compile_catalog(struct compile *c)
{
	int rc = catalog_alloc(c);

	for (uint32_t kind = HG__ITEM_KIND__ITEM_PROVIDER;
	     rc == 0 && kind <= HG__ITEM_KIND__ITEM_ROUTE; kind++) {
		const struct kind_range *r = &c->range[kind];

		for (size_t i = 0; rc == 0 && i < r->n; i++) {
			Hg__Item *item;

			rc = compile_decode(c, r->first + i, &item);
			if (rc == 0)
				rc = catalog_item(c, kind, item, i);
		}
	}
	if (rc != 0)
		return rc;
	qsort(c->routes, c->b->n_routes, sizeof(*c->routes), route_order);
	compile_route_index(c);
	return 0;
}

/* ---- scopes
 * ----------------------------------------------------------------------- */

static int
scope_order(const void *a, const void *b)
{
	const struct scope_ref *x = a, *y = b;

	if (x->scope_uid != y->scope_uid)
		return x->scope_uid < y->scope_uid ? -1 : 1;
	if (x->scope_kind != y->scope_kind)
		return x->scope_kind < y->scope_kind ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* The tags that a request must have for the budget to count it. */
static int
compile_budget_tags(
    struct compile *c, const Hg__Item *item, struct b_filter *filter)
{
	const Hg__Budget *body = item->budget;
	struct tags *t;

	if (body->n_tags == 0)
		return 0;
	t = arena_zalloc(&c->p->arena, sizeof(*t));
	if (t == NULL)
		return compile_nomem(c);
	for (size_t i = 0; i < body->n_tags; i++)
		if (tags_add(t, str_of(body->tags[i]->key),
			str_of(body->tags[i]->value)) != 0)
			return compile_reject(c, item, "has too many tags");
	filter->tags = t;
	return 0;
}

static int
compile_budget(struct compile *c, const Hg__Item *item, size_t i)
{
	const Hg__Budget *body = item->budget;
	struct budget_setting *s = &c->p->budgets[i];

	if (body == NULL || body->limit < 0)
		return compile_reject(c, item, "has no limit");
	s->cell = lease_table_cell(c->leases, item->uid, str_of(item->name));
	if (s->cell == NULL)
		return compile_nomem(c);
	s->limit = body->limit;
	s->soft = body->mode == HG__BUDGET_MODE__BUDGET_SOFT;
	s->filter = (struct b_filter){.route_uid = body->route_uid,
	    .provider_uid = body->provider_uid,
	    .model_uid = body->model_uid,
	    .each = compile_str(c, body->each)};
	if (s->filter.each.p == NULL)
		return compile_nomem(c);
	c->budget_refs[i] =
	    (struct scope_ref){body->scope_uid, body->scope_kind, (uint32_t)i};
	return compile_budget_tags(c, item, &s->filter);
}

/* Name of a limit's scope, for messages; "" when it does not exist. */
static struct str
limit_scope(struct compile *c, uint32_t kind, uint64_t uid)
{
	Hg__Item *item;
	long at;

	if (kind == 0 || kind > HG__ITEM_KIND__ITEM_KEY)
		return STR("");
	at = compile_find(c, kind, uid);
	if (at < 0 ||
	    compile_decode(c, c->range[kind].first + (size_t)at, &item) != 0)
		return STR("");
	return str_of(item->name);
}

static int
compile_limit(struct compile *c, const Hg__Item *item, size_t i)
{
	const Hg__Limit *body = item->limit;
	struct limit_setting *s = &c->p->limits[i];
	struct str name;

	if (body == NULL || body->requests_per_minute < 0 ||
	    body->tokens_per_minute < 0 || body->concurrency < 0 ||
	    body->requests_burst < 0 || body->tokens_burst < 0)
		return compile_reject(c, item, "is malformed");
	s->v = (struct limit_values){.rpm = body->requests_per_minute,
	    .tpm = body->tokens_per_minute,
	    .max_conc = body->concurrency,
	    .req_burst = body->requests_burst,
	    .tok_burst = body->tokens_burst,
	    .fleet = body->fleet};
	c->limit_refs[i] =
	    (struct scope_ref){body->scope_uid, body->scope_kind, (uint32_t)i};
	name = str_make(
	    arena_strdup(&c->tmp, str_of(item->name)), strlen(item->name));
	if (name.p == NULL)
		return compile_nomem(c);
	/* From here on item is gone: its arena is used for the scope. */
	s->cell = limit_registry_cell(c->registry,
	    c->s->items[c->range[HG__ITEM_KIND__ITEM_LIMIT].first + i].uid,
	    name,
	    limit_scope(
		c, c->limit_refs[i].scope_kind, c->limit_refs[i].scope_uid));
	return s->cell == NULL ? compile_nomem(c) : 0;
}

int
compile_scopes(struct compile *c)
{
	const struct kind_range *rb = &c->range[HG__ITEM_KIND__ITEM_BUDGET];
	const struct kind_range *rl = &c->range[HG__ITEM_KIND__ITEM_LIMIT];
	Hg__Item *item;
	int rc = 0;

	c->p->budgets =
	    arena_zalloc(&c->p->arena, (rb->n + 1) * sizeof(*c->p->budgets));
	c->budget_refs =
	    arena_zalloc(&c->tmp, (rb->n + 1) * sizeof(*c->budget_refs));
	c->limit_refs =
	    arena_zalloc(&c->tmp, (rl->n + 1) * sizeof(*c->limit_refs));
	if (c->p->budgets == NULL || c->budget_refs == NULL ||
	    c->limit_refs == NULL)
		return compile_nomem(c);
	c->p->n_budgets = rb->n;
	for (size_t i = 0; rc == 0 && i < rb->n; i++) {
		rc = compile_decode(c, rb->first + i, &item);
		if (rc == 0)
			rc = compile_budget(c, item, i);
	}
	for (size_t i = 0; rc == 0 && i < rl->n; i++) {
		rc = compile_decode(c, rl->first + i, &item);
		if (rc == 0)
			rc = compile_limit(c, item, i);
	}
	if (rc != 0)
		return rc;
	qsort(c->budget_refs, rb->n, sizeof(*c->budget_refs), scope_order);
	qsort(c->limit_refs, rl->n, sizeof(*c->limit_refs), scope_order);
	return 0;
}
