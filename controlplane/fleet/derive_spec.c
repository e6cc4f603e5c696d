/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a validated spec (JSON, controlplane/config/kinds.c) to the message
 * that agents get. Specs were checked when they were committed, so what does
 * not fit here is corruption and named as such.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/money.h"
#include "common/tags.h"
#include "controlplane/config/budget.h"
#include "controlplane/fleet/derive_internal.h"

/* Everything one conversion needs. */
struct spec {
	const struct derive_world *w;
	const struct world_item *it;
	const char *group;
	struct arena *a;
	struct error *e;
};

static int
spec_bad(const struct spec *s, const char *field)
{
	return err_set(
	    s->e, ERR_CORRUPT, "stored item %s: field %s", s->it->name, field);
}

static int
spec_nomem(const struct spec *s)
{
	return err_set(s->e, ERR_NOMEM, "out of memory");
}

/* protobuf-c wants char *; the spec outlives the message. */
static char *
spec_text(const json_t *obj, const char *field)
{
	const char *z = json_string_value(json_object_get(obj, field));

	return (char *)(uintptr_t)(z != NULL ? z : "");
}

static int64_t
spec_int(const json_t *obj, const char *field, int64_t def)
{
	json_t *v = json_object_get(obj, field);

	return json_is_integer(v) ? json_integer_value(v) : def;
}

static bool
spec_bool(const json_t *obj, const char *field)
{
	return json_is_true(json_object_get(obj, field));
}

static int
spec_time(const struct spec *s, const json_t *obj, const char *field,
    int64_t def, int64_t *ret)
{
	const char *z = json_string_value(json_object_get(obj, field));

	*ret = def;
	if (z == NULL)
		return 0;
	return time_parse(str_of(z), ret) == 0 ? 0 : spec_bad(s, field);
}

static int
spec_strings(const struct spec *s, const char *field, char ***ret, size_t *n)
{
	json_t *arr = json_object_get(s->it->spec, field), *one;
	size_t i;

	*n = 0;
	*ret = NULL;
	if (json_array_size(arr) == 0)
		return 0;
	*ret = arena_alloc(s->a, json_array_size(arr) * sizeof(char *));
	if (*ret == NULL)
		return spec_nomem(s);
	json_array_foreach (arr, i, one) {
		if (!json_is_string(one))
			return spec_bad(s, field);
		(*ret)[(*n)++] = (char *)(uintptr_t)json_string_value(one);
	}
	return 0;
}

/* uid of the item's parent by its name. */
static uint64_t
spec_parent(const struct spec *s, uint32_t parent_kind)
{
	struct str parent = name_parent(str_of(s->it->name));
	char name[512];

	if (parent.len == 0 || str_copy(parent, name, sizeof(name)) != 0)
		return 0;
	return world_uid(s->w, parent_kind, name);
}

static Hg__Priority
spec_priority(const json_t *spec)
{
	const char *text = spec_text(spec, "priority");

	if (strcmp(text, "critical") == 0)
		return HG__PRIORITY__PRIORITY_CRITICAL;
	if (strcmp(text, "standard") == 0)
		return HG__PRIORITY__PRIORITY_STANDARD;
	if (strcmp(text, "batch") == 0)
		return HG__PRIORITY__PRIORITY_BATCH;
	return HG__PRIORITY__PRIORITY_NONE;
}

static int
spec_owner(const struct spec *s, Hg__Item *m)
{
	Hg__Owner *o = arena_alloc(s->a, sizeof(*o));

	if (o == NULL)
		return spec_nomem(s);
	hg__owner__init(o);
	if (s->it->kind != HG__ITEM_KIND__ITEM_TENANT) {
		o->parent_uid = spec_parent(s, s->it->kind - 1);
		if (o->parent_uid == 0)
			return spec_bad(s, "name: its parent is missing");
	}
	o->disabled = spec_bool(s->it->spec, "disabled");
	o->priority = spec_priority(s->it->spec);
	m->owner = o;
	return spec_strings(s, "routes", &o->routes, &o->n_routes);
}

static int
spec_key(const struct spec *s, Hg__Item *m)
{
	Hg__Key *k = arena_alloc(s->a, sizeof(*k));
	uint8_t *digest = arena_alloc(s->a, 32);
	int rc;

	if (k == NULL || digest == NULL)
		return spec_nomem(s);
	hg__key__init(k);
	m->key = k;
	k->project_uid = spec_parent(s, HG__ITEM_KIND__ITEM_PROJECT);
	if (k->project_uid == 0)
		return spec_bad(s, "name: its project is missing");
	if (hex_decode(str_of(spec_text(s->it->spec, "digest")), digest, 32) !=
	    0)
		return spec_bad(s, "digest");
	k->digest.data = digest;
	k->digest.len = 32;
	k->disabled = spec_bool(s->it->spec, "disabled");
	k->priority = spec_priority(s->it->spec);
	rc = spec_time(s, s->it->spec, "expires_at", 0, &k->expires_at);
	if (rc != 0)
		return rc;
	return spec_strings(s, "routes", &k->routes, &k->n_routes);
}

static int
spec_headers(const struct spec *s, Hg__Provider *p)
{
	json_t *map = json_object_get(s->it->spec, "headers"), *v;
	const char *name;

	if (json_object_size(map) == 0)
		return 0;
	p->headers =
	    arena_alloc(s->a, json_object_size(map) * sizeof(*p->headers));
	if (p->headers == NULL)
		return spec_nomem(s);
	json_object_foreach (map, name, v) {
		Hg__Header *h = arena_alloc(s->a, sizeof(*h));

		if (h == NULL)
			return spec_nomem(s);
		if (!json_is_string(v))
			return spec_bad(s, "headers");
		hg__header__init(h);
		h->name = (char *)(uintptr_t)name;
		h->value = (char *)(uintptr_t)json_string_value(v);
		p->headers[p->n_headers++] = h;
	}
	return 0;
}

static int
spec_provider(const struct spec *s, Hg__Item *m)
{
	Hg__Provider *p = arena_alloc(s->a, sizeof(*p));

	const json_t *spec = s->it->spec;
	int rc;

	if (p == NULL)
		return spec_nomem(s);
	hg__provider__init(p);
	m->provider = p;
	p->dialect = spec_text(spec, "dialect");
	p->base_url = spec_text(spec, "base_url");
	p->region = spec_text(spec, "region");
	p->project = spec_text(spec, "project");
	p->api_version = spec_text(spec, "api_version");
	p->auth = spec_text(spec, "auth");
	p->ca_pem = spec_text(spec, "ca_pem");
	p->client_cert_pem = spec_text(spec, "client_cert_pem");
	p->proxy_url = spec_text(spec, "proxy_url");
	p->max_connections = (uint32_t)spec_int(spec, "max_connections", 0);
	if (provider_in_group(s->w, s->it, s->group)) {
		if (s->it->secrets[CREDENTIAL_MAIN] != NULL)
			p->credential = s->it->secrets[CREDENTIAL_MAIN];
		if (s->it->secrets[CREDENTIAL_CLIENT_KEY] != NULL)
			p->client_key = s->it->secrets[CREDENTIAL_CLIENT_KEY];
	}
	rc = spec_strings(s, "rejects", &p->rejects, &p->n_rejects);
	return rc ? rc : spec_headers(s, p);
}

static int
spec_price(const struct spec *s, const json_t *src, Hg__PriceLine *line)
{
	enum token_class cls;
	int rc;

	hg__price_line__init(line);
	if (token_class_parse(str_of(spec_text(src, "class")), &cls) != 0)
		return spec_bad(s, "prices/class");
	line->token_class = (uint32_t)cls;
	if (money_parse(
		str_of(spec_text(src, "usd_per_mtok")), &line->per_mtok) != 0)
		return spec_bad(s, "prices/usd_per_mtok");
	line->tier = spec_text(src, "tier");
	line->above_tokens = spec_int(src, "above_tokens", 0);
	rc = spec_time(s, src, "from", 0, &line->from);
	if (rc != 0)
		return rc;
	return spec_time(s, src, "to", 0, &line->to);
}

static int
spec_model(const struct spec *s, Hg__Item *m)
{
	json_t *prices = json_object_get(s->it->spec, "prices"), *one;
	Hg__Model *model = arena_alloc(s->a, sizeof(*model));
	size_t i, n = json_array_size(prices);
	int rc;

	if (model == NULL)
		return spec_nomem(s);
	hg__model__init(model);
	m->model = model;
	model->context_tokens = spec_int(s->it->spec, "context_tokens", 0);
	model->max_output_tokens =
	    spec_int(s->it->spec, "max_output_tokens", 0);
	model->tokenizer = spec_text(s->it->spec, "tokenizer");
	if (spec_text(s->it->spec, "max_request_usd")[0] != '\0' &&
	    money_parse(str_of(spec_text(s->it->spec, "max_request_usd")),
		&model->max_request) != 0)
		return spec_bad(s, "max_request_usd");
	rc = spec_strings(
	    s, "capabilities", &model->capabilities, &model->n_capabilities);
	if (rc != 0 || n == 0)
		return rc;
	model->prices = arena_alloc(s->a, n * sizeof(*model->prices));
	if (model->prices == NULL)
		return spec_nomem(s);
	json_array_foreach (prices, i, one) {
		Hg__PriceLine *line = arena_alloc(s->a, sizeof(*line));

		if (line == NULL)
			return spec_nomem(s);
		rc = spec_price(s, one, line);
		if (rc != 0)
			return rc;
		model->prices[model->n_prices++] = line;
	}
	return 0;
}

static int
spec_deployment(const struct spec *s, Hg__Item *m)
{
	const json_t *spec = s->it->spec;
	Hg__Deployment *d = arena_alloc(s->a, sizeof(*d));

	if (d == NULL)
		return spec_nomem(s);
	hg__deployment__init(d);
	m->deployment = d;
	d->model_uid = world_uid(
	    s->w, HG__ITEM_KIND__ITEM_MODEL, spec_text(spec, "model"));
	d->provider_uid = world_uid(
	    s->w, HG__ITEM_KIND__ITEM_PROVIDER, spec_text(spec, "provider"));
	if (d->model_uid == 0 || d->provider_uid == 0)
		return spec_bad(s, "model or provider: it is missing");
	d->upstream_model = spec_text(spec, "upstream_model");
	d->region = spec_text(spec, "region");
	d->max_concurrency = (uint32_t)spec_int(spec, "max_concurrency", 0);
	d->connect_timeout_ms =
	    (uint32_t)spec_int(spec, "connect_timeout_ms", 5000);
	d->first_byte_timeout_ms =
	    (uint32_t)spec_int(spec, "first_byte_timeout_ms", 120000);
	d->idle_timeout_ms = (uint32_t)spec_int(spec, "idle_timeout_ms", 60000);
	d->no_stream_options = spec_bool(spec, "no_stream_options");
	return 0;
}

static int
spec_target(const struct spec *s, const json_t *src, Hg__Route *r)
{
	uint64_t uid = world_uid(
	    s->w, HG__ITEM_KIND__ITEM_DEPLOYMENT, spec_text(src, "deployment"));
	const struct world_item *d =
	    world_find(s->w, HG__ITEM_KIND__ITEM_DEPLOYMENT, uid);
	Hg__RouteTarget *t;

	if (d == NULL)
		return spec_bad(s, "targets/deployment: it is missing");
	if (!deployment_in_group(d, s->group))
		return 0;
	t = arena_alloc(s->a, sizeof(*t));
	if (t == NULL)
		return spec_nomem(s);
	hg__route_target__init(t);
	t->deployment_uid = uid;
	t->priority = (uint32_t)spec_int(src, "priority", 0);
	t->weight = (uint32_t)spec_int(src, "weight", 1);
	r->targets[r->n_targets++] = t;
	return 0;
}

/* What is to be done when a client leaves; the defaults of kinds.c. */
static void
spec_drain(const json_t *spec, Hg__Route *r)
{
	r->lenient = spec_bool(spec, "lenient");
	r->on_disconnect = spec_text(spec, "on_disconnect");
	if (strcmp(r->on_disconnect, "drain") != 0)
		return;
	r->drain_max_ms = (uint32_t)spec_int(spec, "drain_max_ms", 30000);
	r->drain_max_tokens = (uint32_t)spec_int(spec, "drain_max_tokens", 0);
	r->drain_max_concurrent =
	    (uint32_t)spec_int(spec, "drain_max_concurrent", 64);
}

static int
spec_route(const struct spec *s, Hg__Item *m)
{
	json_t *targets = json_object_get(s->it->spec, "targets"), *one;
	Hg__Route *r = arena_alloc(s->a, sizeof(*r));
	size_t i;
	int rc;

	if (r == NULL)
		return spec_nomem(s);
	hg__route__init(r);
	m->route = r;
	r->owned_by = spec_text(s->it->spec, "owned_by");
	spec_drain(s->it->spec, r);
	r->targets = arena_alloc(
	    s->a, (json_array_size(targets) + 1) * sizeof(*r->targets));
	if (r->targets == NULL)
		return spec_nomem(s);
	json_array_foreach (targets, i, one) {
		rc = spec_target(s, one, r);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* "acme.research" is the team of that name: the number of segments says
 * which kind (tenant 1, team 2, project 3, key 4, as ItemKind). */
static int
spec_scope(const struct spec *s, uint64_t *uid, uint32_t *kind)
{
	const char *scope = spec_text(s->it->spec, "scope");

	*kind = (uint32_t)name_segments(str_of(scope));
	*uid = world_uid(s->w, *kind, scope);
	return *uid != 0 ? 0 : spec_bad(s, "scope: it is missing");
}

/* Uid of the item that an optional field names, 0 = absent. */
static int
spec_only(const struct spec *s, const char *field, uint32_t kind, uint64_t *uid)
{
	const char *name = spec_text(s->it->spec, field);

	if (name == NULL || name[0] == '\0')
		return 0;
	*uid = world_uid(s->w, kind, name);
	return *uid != 0 ? 0 : spec_bad(s, "filter: it is missing");
}

/* user and tags of a budget. */
static int
spec_tags(const struct spec *s, Hg__Budget *b)
{
	json_t *tags = json_object_get(s->it->spec, "tags"), *v;
	const char *name, *user = spec_text(s->it->spec, "user");
	size_t n = json_object_size(tags) + 1;
	Hg__Label *l = arena_alloc(s->a, n * sizeof(*l));

	b->tags = arena_alloc(s->a, n * sizeof(Hg__Label *));
	if (l == NULL || b->tags == NULL)
		return spec_nomem(s);
	if (user[0] != '\0') {
		hg__label__init(l);
		l->key = (char *)(uintptr_t)TAGS_USER;
		l->value = (char *)(uintptr_t)user;
		b->tags[b->n_tags++] = l++;
	}
	json_object_foreach (tags, name, v) {
		hg__label__init(l);
		l->key = (char *)(uintptr_t)name;
		l->value = (char *)(uintptr_t)json_string_value(v);
		b->tags[b->n_tags++] = l++;
	}
	return 0;
}

static int
spec_budget(const struct spec *s, Hg__Item *m)
{
	const json_t *spec = s->it->spec;
	Hg__Budget *b = arena_alloc(s->a, sizeof(*b));
	bool unlimited;
	int rc;

	if (b == NULL)
		return spec_nomem(s);
	hg__budget__init(b);
	m->budget = b;
	b->period = spec_text(spec, "period");
	unlimited = strcmp(b->period, "unlimited") == 0;
	if (!unlimited &&
	    money_parse(str_of(spec_text(spec, "limit_usd")), &b->limit) != 0)
		return spec_bad(s, "limit_usd");
	if (unlimited || strcmp(spec_text(spec, "mode"), "soft") == 0)
		b->mode = HG__BUDGET_MODE__BUDGET_SOFT;
	else if (strcmp(spec_text(spec, "mode"), "bounded") == 0)
		b->mode = HG__BUDGET_MODE__BUDGET_BOUNDED;
	rc = spec_only(s, "model", HG__ITEM_KIND__ITEM_MODEL, &b->model_uid);
	if (rc == 0)
		rc = spec_only(s, "provider", HG__ITEM_KIND__ITEM_PROVIDER,
		    &b->provider_uid);
	if (rc == 0)
		rc = spec_only(
		    s, "route", HG__ITEM_KIND__ITEM_ROUTE, &b->route_uid);
	if (rc == 0)
		rc = spec_tags(s, b);
	if (rc != 0)
		return rc;
	b->each = (char *)(uintptr_t)budget_each(spec).p;
	return spec_scope(s, &b->scope_uid, &b->scope_kind);
}

static int
spec_limit(const struct spec *s, Hg__Item *m)
{
	const json_t *spec = s->it->spec;
	Hg__Limit *l = arena_alloc(s->a, sizeof(*l));

	if (l == NULL)
		return spec_nomem(s);
	hg__limit__init(l);
	m->limit = l;
	l->requests_per_minute = spec_int(spec, "requests_per_minute", 0);
	l->tokens_per_minute = spec_int(spec, "tokens_per_minute", 0);
	l->concurrency = spec_int(spec, "concurrency", 0);
	l->requests_burst = spec_int(spec, "requests_burst", 0);
	l->tokens_burst = spec_int(spec, "tokens_burst", 0);
	l->fleet = strcmp(spec_text(spec, "across"), "agent") != 0;
	return spec_scope(s, &l->scope_uid, &l->scope_kind);
}

int
derive_message(const struct derive_world *w, const struct world_item *it,
    const char *group, struct arena *a, Hg__Item *m, struct error *e)
{
	static int (*const by_kind[])(const struct spec *, Hg__Item *) = {
	    [HG__ITEM_KIND__ITEM_TENANT] = spec_owner,
	    [HG__ITEM_KIND__ITEM_TEAM] = spec_owner,
	    [HG__ITEM_KIND__ITEM_PROJECT] = spec_owner,
	    [HG__ITEM_KIND__ITEM_KEY] = spec_key,
	    [HG__ITEM_KIND__ITEM_PROVIDER] = spec_provider,
	    [HG__ITEM_KIND__ITEM_MODEL] = spec_model,
	    [HG__ITEM_KIND__ITEM_DEPLOYMENT] = spec_deployment,
	    [HG__ITEM_KIND__ITEM_ROUTE] = spec_route,
	    [HG__ITEM_KIND__ITEM_BUDGET] = spec_budget,
	    [HG__ITEM_KIND__ITEM_LIMIT] = spec_limit,
	};
	struct spec s = {.w = w, .it = it, .group = group, .a = a, .e = e};

	if (it->kind == 0 || it->kind >= sizeof(by_kind) / sizeof(by_kind[0]))
		return spec_bad(&s, "kind");
	m->kind = (Hg__ItemKind)it->kind;
	m->uid = it->uid;
	m->name = it->name;
	m->version = it->version;
	return by_kind[it->kind](&s, m);
}
