/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compilation, the frame: decoding items, finding them, rejecting, the tree of
 * owners and keys, index tables. See compile.h.
 */
#include "agent/config/compile.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/config/bundle_priv.h"
#include "agent/policy/queue.h"
#include "proto/headgate.pb-c.h"

#define BUNDLE_ARENA_MAX ((size_t)4 << 30)
#define ITEM_ARENA_MAX	 ((size_t)64 << 20)
#define ARENA_CHUNK	 ((size_t)256 << 10)

int
compile_nomem(struct compile *c)
{
	return err_set(c->e, ERR_NOMEM, "no memory to compile a bundle");
}

int
compile_reject(
    struct compile *c, const struct Hg__Item *item, const char *fmt, ...)
{
	const ProtobufCEnumValue *kind = protobuf_c_enum_descriptor_get_value(
	    &hg__item_kind__descriptor, (int)item->kind);
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->why->kind = item->kind;
	snprintf(c->why->item, sizeof(c->why->item), "%.200s", item->name);
	return err_set(c->e, ERR_INVALID, "%s %.200s: %s",
	    kind == NULL ? "item" : kind->name, item->name, text);
}

int
compile_decode(struct compile *c, size_t i, struct Hg__Item **ret)
{
	const struct item *it = &c->s->items[i];
	struct str bytes =
	    str_make((const char *)it->blob->bytes, it->blob->len);

	arena_clear(&c->item);
	*ret = proto_unpack(&hg__item__descriptor, bytes, &c->item);
	if (*ret == NULL && c->item.failed)
		return compile_nomem(c);
	if (*ret == NULL || (uint32_t)(*ret)->kind != it->kind ||
	    (*ret)->uid != it->uid) {
		c->why->kind = it->kind;
		snprintf(c->why->item, sizeof(c->why->item), "uid %llu",
		    (unsigned long long)it->uid);
		return err_set(
		    c->e, ERR_INVALID, "item %s is malformed", c->why->item);
	}
	return 0;
}

long
compile_find(const struct compile *c, uint32_t kind, uint64_t uid)
{
	const struct kind_range *r;
	size_t lo = 0, hi;

	MUST(kind < sizeof(c->range) / sizeof(c->range[0]));
	r = &c->range[kind];
	hi = r->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		uint64_t at = c->s->items[r->first + mid].uid;

		if (at == uid)
			return (long)mid;
		if (at < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

struct str
compile_str(struct compile *c, const char *z)
{
	struct str s = str_of(z);

	s.p = arena_strdup(&c->p->arena, s);
	return s;
}

/* ---- route sets -------------------------------------------------------------
 */

static int
sets_grow(struct compile *c)
{
	size_t cap = c->cap_sets == 0 ? 64 : c->cap_sets * 2;
	const uint64_t **sets =
	    arena_zalloc(&c->tmp, cap * sizeof(const uint64_t *));

	if (sets == NULL)
		return compile_nomem(c);
	for (size_t i = 0; i < c->cap_sets; i++) {
		const uint64_t *set = c->sets[i];
		uint64_t h;

		if (set == NULL)
			continue;
		h = bundle_name_hash(
		    str_make((const char *)set, c->n_words * 8));
		while (sets[h & (cap - 1)] != NULL)
			h++;
		sets[h & (cap - 1)] = set;
	}
	c->sets = sets;
	c->cap_sets = cap;
	return 0;
}

/* The one copy of a set in the bundle; NULL without memory. */
static const uint64_t *
sets_intern(struct compile *c, const uint64_t *set)
{
	size_t bytes = c->n_words * 8;
	uint64_t h = bundle_name_hash(str_make((const char *)set, bytes));
	uint64_t *copy;

	if (2 * (c->n_sets + 1) > c->cap_sets && sets_grow(c) != 0)
		return NULL;
	for (; c->sets[h & (c->cap_sets - 1)] != NULL; h++)
		if (memcmp(c->sets[h & (c->cap_sets - 1)], set, bytes) == 0)
			return c->sets[h & (c->cap_sets - 1)];
	copy = arena_alloc(&c->p->arena, bytes);
	if (copy == NULL)
		return NULL;
	memcpy(copy, set, bytes);
	c->sets[h & (c->cap_sets - 1)] = copy;
	c->n_sets++;
	return copy;
}

/* parent AND the allow-list; an unknown name allows nothing. */
static const uint64_t *
routes_narrow(
    struct compile *c, const uint64_t *parent, char *const *names, size_t n)
{
	uint64_t *set;
	const uint64_t *ret;

	if (n == 0)
		return parent;
	set = calloc(c->n_words, sizeof(*set));
	if (set == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const struct b_route *r =
		    bundle_find_route(c->b, str_of(names[i]));

		if (r != NULL)
			set[r->index / 64] |= (uint64_t)1 << (r->index % 64);
	}
	for (size_t i = 0; i < c->n_words; i++)
		set[i] &= parent[i];
	ret = sets_intern(c, set);
	free(set);
	return ret;
}

/* ---- budgets and limits of an owner ---------------------------------------
 */

static size_t
scope_first(const struct scope_ref *v, size_t n, uint32_t kind, uint64_t uid)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (v[mid].scope_uid < uid ||
		    (v[mid].scope_uid == uid && v[mid].scope_kind < kind))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool
scope_is(
    const struct scope_ref *v, size_t n, size_t i, uint32_t kind, uint64_t uid)
{
	return i < n && v[i].scope_uid == uid && v[i].scope_kind == kind;
}

/* The filter of the owner's next budget. Its own list of them is made when
 * the first one that filters comes; a child has its parent's until then. */
static int
owner_add_filter(
    struct compile *c, struct owner *o, const struct budget_setting *s)
{
	const struct b_filter *f = &s->filter;
	struct b_filter *own;

	if (o->filters == NULL && f->route_uid == 0 && f->provider_uid == 0 &&
	    f->model_uid == 0 && f->tags == NULL && f->each.len == 0)
		return 0;
	own = arena_zalloc(
	    &c->p->arena, BUNDLE_MAX_BUDGETS * sizeof(struct b_filter));
	if (own == NULL)
		return compile_nomem(c);
	if (o->filters != NULL)
		memcpy(own, o->filters, o->n_budgets * sizeof(*own));
	own[o->n_budgets] = *f;
	o->filters = own;
	return 0;
}

static int
owner_add_scopes(struct compile *c, const Hg__Item *item, struct owner *o)
{
	size_t nb = c->p->n_budgets, nl = c->range[HG__ITEM_KIND__ITEM_LIMIT].n;
	uint32_t kind = (uint32_t)item->kind;
	size_t i = scope_first(c->budget_refs, nb, kind, item->uid);

	for (; scope_is(c->budget_refs, nb, i, kind, item->uid); i++) {
		const struct budget_setting *s =
		    &c->p->budgets[c->budget_refs[i].at];

		if (o->n_budgets == BUNDLE_MAX_BUDGETS)
			return compile_reject(c, item,
			    "more than %d budgets on its path",
			    BUNDLE_MAX_BUDGETS);
		if (owner_add_filter(c, o, s) != 0)
			return ERR_NOMEM;
		o->budgets[o->n_budgets++] = s->cell;
		o->has_hard = o->has_hard || !s->soft;
	}
	i = scope_first(c->limit_refs, nl, kind, item->uid);
	for (; scope_is(c->limit_refs, nl, i, kind, item->uid); i++) {
		if (o->n_limits == BUNDLE_MAX_LIMITS)
			return compile_reject(c, item,
			    "more than %d limits on its path",
			    BUNDLE_MAX_LIMITS);
		o->limits[o->n_limits++] =
		    c->p->limits[c->limit_refs[i].at].cell;
	}
	return 0;
}

/* ---- owners
 * ------------------------------------------------------------------- */

/* What an owner or key says of its class, if it says anything. */
static void
owner_class(uint8_t *class, Hg__Priority says)
{
	switch (says) {
	case HG__PRIORITY__PRIORITY_CRITICAL:
		*class = QUEUE_CRITICAL;
		break;
	case HG__PRIORITY__PRIORITY_STANDARD:
		*class = QUEUE_STANDARD;
		break;
	case HG__PRIORITY__PRIORITY_BATCH:
		*class = QUEUE_BATCH;
		break;
	default: /* nothing, or what a newer one knows */
		break;
	}
}

static int
compile_owner(struct compile *c, const Hg__Item *item, struct owner *o,
    const struct owner *parent)
{
	const Hg__Owner *body = item->owner;

	if (body == NULL)
		return compile_reject(c, item, "has no body");
	if (parent != NULL)
		*o = *parent; /* inherit, then narrow */
	else {
		o->routes = c->all_routes;
		o->class = QUEUE_STANDARD;
	}
	owner_class(&o->class, body->priority);
	o->uid = item->uid;
	o->parent_uid = body->parent_uid;
	o->disabled = o->disabled || body->disabled;
	o->name = compile_str(c, item->name);
	o->routes = routes_narrow(c, o->routes, body->routes, body->n_routes);
	if (o->name.p == NULL || o->routes == NULL)
		return compile_nomem(c);
	return owner_add_scopes(c, item, o);
}

static int
compile_owner_kind(struct compile *c, uint32_t kind)
{
	const struct kind_range *r = &c->range[kind];
	Hg__Item *item;
	int rc;

	c->owners[kind] =
	    arena_zalloc(&c->tmp, (r->n + 1) * sizeof(struct owner));
	if (c->owners[kind] == NULL)
		return compile_nomem(c);
	for (size_t i = 0; i < r->n; i++) {
		const struct owner *parent = NULL;

		rc = compile_decode(c, r->first + i, &item);
		if (rc != 0)
			return rc;
		if (kind != HG__ITEM_KIND__ITEM_TENANT) {
			long at = item->owner == NULL
				      ? -1
				      : compile_find(c, kind - 1,
					    item->owner->parent_uid);

			if (at < 0)
				return compile_reject(
				    c, item, "its parent does not exist");
			parent = &c->owners[kind - 1][at];
		}
		rc = compile_owner(c, item, &c->owners[kind][i], parent);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
compile_owners(struct compile *c)
{
	int rc = compile_owner_kind(c, HG__ITEM_KIND__ITEM_TENANT);

	if (rc == 0)
		rc = compile_owner_kind(c, HG__ITEM_KIND__ITEM_TEAM);
	if (rc == 0)
		rc = compile_owner_kind(c, HG__ITEM_KIND__ITEM_PROJECT);
	return rc;
}

/* ---- keys
 * ----------------------------------------------------------------------- */

static int
compile_key(struct compile *c, const Hg__Item *item, struct b_key *k)
{
	const Hg__Key *body = item->key;
	const struct owner *project, *team;
	struct owner o;
	long at, up;
	int rc;

	if (body == NULL || body->digest.len != 32)
		return compile_reject(c, item, "has no digest");
	at = compile_find(c, HG__ITEM_KIND__ITEM_PROJECT, body->project_uid);
	if (at < 0)
		return compile_reject(c, item, "its project does not exist");
	project = &c->owners[HG__ITEM_KIND__ITEM_PROJECT][at];
	up = compile_find(c, HG__ITEM_KIND__ITEM_TEAM, project->parent_uid);
	MUST(up >= 0); /* compile_owner_kind() saw to it */
	team = &c->owners[HG__ITEM_KIND__ITEM_TEAM][up];
	o = *project;
	rc = owner_add_scopes(c, item, &o);
	if (rc != 0)
		return rc;
	memcpy(k->digest, body->digest.data, 32);
	k->uid = item->uid;
	k->project_uid = project->uid;
	k->team_uid = team->uid;
	k->tenant_uid = team->parent_uid;
	k->expires_at = body->expires_at;
	k->disabled = o.disabled || body->disabled;
	k->has_hard_budget = o.has_hard;
	k->class = o.class;
	owner_class(&k->class, body->priority);
	k->n_budgets = o.n_budgets;
	k->n_limits = o.n_limits;
	memcpy(k->budgets, o.budgets, sizeof(k->budgets));
	k->filters = o.filters;
	memcpy(k->limits, o.limits, sizeof(k->limits));
	k->name = compile_str(c, item->name);
	k->routes = routes_narrow(c, o.routes, body->routes, body->n_routes);
	return k->name.p == NULL || k->routes == NULL ? compile_nomem(c) : 0;
}

static size_t
index_size(size_t n)
{
	size_t size = 16;

	while (size < 2 * n)
		size *= 2;
	return size;
}

static int
compile_key_index(
    struct compile *c, const Hg__Item *item, size_t i, const struct b_key *keys)
{
	struct bundle_priv *p = c->p;
	uint64_t h = bundle_digest_hash(keys[i].digest);
	uint32_t *at;

	for (;; h++) {
		at = &p->key_index[h & (p->n_key_index - 1)];
		if (*at == 0)
			break;
		if (memcmp(keys[*at - 1].digest, keys[i].digest, 32) == 0)
			return compile_reject(c, item,
			    "has the same digest as %.150s",
			    keys[*at - 1].name.p);
	}
	*at = (uint32_t)i + 1;
	return 0;
}

int
compile_keys(struct compile *c)
{
	const struct kind_range *r = &c->range[HG__ITEM_KIND__ITEM_KEY];
	struct b_key *keys =
	    arena_zalloc(&c->p->arena, (r->n + 1) * sizeof(*keys));
	Hg__Item *item;
	int rc;

	c->p->n_key_index = index_size(r->n);
	c->p->key_index =
	    arena_zalloc(&c->p->arena, c->p->n_key_index * sizeof(uint32_t));
	if (keys == NULL || c->p->key_index == NULL)
		return compile_nomem(c);
	for (size_t i = 0; i < r->n; i++) {
		rc = compile_decode(c, r->first + i, &item);
		if (rc == 0)
			rc = compile_key(c, item, &keys[i]);
		if (rc == 0)
			rc = compile_key_index(c, item, i, keys);
		if (rc != 0)
			return rc;
	}
	c->b->keys = keys;
	c->b->n_keys = (unsigned)r->n;
	return 0;
}

/* ---- the whole
 * ------------------------------------------------------------------ */

static int
compile_begin(struct compile *c)
{
	struct arena arena;
	size_t n_routes;

	arena_init(&arena, ARENA_CHUNK, BUNDLE_ARENA_MAX);
	c->b = arena_zalloc(&arena, sizeof(*c->b));
	c->p = arena_zalloc(&arena, sizeof(*c->p));
	if (c->b == NULL || c->p == NULL) {
		arena_release(&arena);
		c->b = NULL;
		return compile_nomem(c);
	}
	c->p->arena = arena;
	c->b->priv = c->p;
	atomic_init(&c->b->refs, 1);
	c->b->version = c->s->version;
	c->b->created_at = c->s->created_at;
	memcpy(c->b->state_hash, c->s->hash, 32);
	c->b->group = compile_str(c, c->s->group);
	for (size_t i = 0; i < c->s->n; i++) {
		uint32_t kind = c->s->items[i].kind;

		if (kind >= sizeof(c->range) / sizeof(c->range[0]))
			continue; /* of a newer control plane */
		if (c->range[kind].n++ == 0)
			c->range[kind].first = i;
	}
	n_routes = c->range[HG__ITEM_KIND__ITEM_ROUTE].n;
	c->n_words = n_routes / 64 + 1;
	c->all_routes = arena_alloc(&c->p->arena, c->n_words * 8);
	c->p->n_route_index = index_size(n_routes);
	c->p->route_index =
	    arena_zalloc(&c->p->arena, c->p->n_route_index * sizeof(uint32_t));
	if (c->b->group.p == NULL || c->all_routes == NULL ||
	    c->p->route_index == NULL)
		return compile_nomem(c);
	memset(c->all_routes, 0xff, c->n_words * 8);
	return 0;
}

int
bundle_compile(const struct item_state *s, struct lease_table *leases,
    struct limit_registry *limits, struct bundle **ret, struct reject *why,
    struct error *e)
{
	struct compile c = {
	    .s = s, .leases = leases, .registry = limits, .why = why, .e = e};
	int rc;

	memset(why, 0, sizeof(*why));
	arena_init(&c.tmp, ARENA_CHUNK, BUNDLE_ARENA_MAX);
	arena_init(&c.item, ARENA_CHUNK / 16, ITEM_ARENA_MAX);
	rc = compile_begin(&c);
	if (rc == 0)
		rc = compile_catalog(&c);
	if (rc == 0)
		rc = compile_scopes(&c);
	if (rc == 0)
		rc = compile_owners(&c);
	if (rc == 0)
		rc = compile_keys(&c);
	arena_release(&c.tmp);
	arena_release(&c.item);
	if (rc != 0)
		bundle_unref(c.b);
	else
		*ret = c.b;
	return rc;
}
