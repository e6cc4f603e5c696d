/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many budgets and limits lie on the path of a key: its own, and those of
 * its project, team and tenant. Agents have room for so many (proto/bundle.h)
 * and would refuse the whole configuration; so the commit is refused here.
 */
#include <stdlib.h>
#include <string.h>

#include "controlplane/config/commit_internal.h"
#include "controlplane/store/store_config.h"
#include "proto/bundle.h"

/* Budgets or limits of one tenant as they will be. */
struct paths {
	struct commit *c;
	enum kind kind;
	size_t max;
	json_t *of; /* scope -> array of names */
};

static int
paths_add(struct paths *p, struct str name, const json_t *spec)
{
	struct str scope =
	    str_of(json_string_value(json_object_get(spec, "scope")));
	json_t *names = json_object_getn(p->of, scope.p, scope.len);

	if (scope.len == 0)
		return 0;
	if (names == NULL) {
		names = json_array();
		if (json_object_setn_new(p->of, scope.p, scope.len, names) != 0)
			return ERR_NOMEM;
	}
	return json_array_append_new(names, json_stringn(name.p, name.len)) == 0
		   ? 0
		   : ERR_NOMEM;
}

/* What the commit does not change. */
static int
paths_on_item(void *ctx, const struct store_item *it)
{
	struct paths *p = ctx;
	json_t *spec;
	int rc;

	if (commit_find(p->c, it->kind, it->name) != NULL)
		return 0;
	spec = json_loadb(it->spec.p, it->spec.len, 0, NULL);
	if (spec == NULL)
		return ERR_CORRUPT;
	rc = paths_add(p, it->name, spec);
	json_decref(spec);
	return rc;
}

static int
paths_load(struct paths *p, struct str tenant)
{
	struct store_item_filter f = {
	    .kind = (int)p->kind, .tenant = tenant, .limit = INT32_MAX};
	struct commit *c = p->c;
	int rc;

	json_object_clear(p->of);
	rc = store_config_list(c->db, &f, paths_on_item, p, c->e);
	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		const struct work *w = &c->w[i];

		if (w->ch->k->kind == p->kind && w->spec != NULL &&
		    str_eq(name_root(w->ch->name), tenant))
			rc = paths_add(p, w->ch->name, w->spec);
	}
	return rc;
}

/* On the path of a scope; their names are added to the text. */
static size_t
paths_count(const struct paths *p, struct str scope, struct buf *names)
{
	size_t n = 0, i;
	json_t *v;

	for (; scope.len > 0; scope = name_parent(scope)) {
		const json_t *list =
		    json_object_getn(p->of, scope.p, scope.len);

		json_array_foreach ((json_t *)(uintptr_t)list, i, v) {
			if (names != NULL)
				(void)buf_addf(names, "%s%s",
				    names->len > 0 ? ", " : "",
				    json_string_value(v));
			n++;
		}
	}
	return n;
}

/* Only a scope that has some of its own can be the first with too many. */
static void
paths_check(struct paths *p, const struct work *w)
{
	static const char *const below[] = {"", "every key of tenant ",
	    "every key of team ", "every key of project ", "key "};
	const char *scope;
	struct buf names;
	json_t *v;
	size_t n;

	json_object_foreach (p->of, scope, v) {
		n = paths_count(p, str_of(scope), NULL);
		if (n <= p->max)
			continue;
		buf_init(&names, 4096);
		(void)paths_count(p, str_of(scope), &names);
		(void)problems_add(p->c->p, ERR_INVALID, w->ch->at_name,
		    "%s%s would have %zu %s on its path, agents have room for "
		    "%zu: %s",
		    below[name_segments(str_of(scope))], scope, n,
		    kind_get(p->kind)->plural, p->max, buf_cstr(&names));
		buf_release(&names);
	}
}

/* Has an item before w the same kind and tenant, so that it was done? */
static bool
paths_done(const struct commit *c, const struct work *w)
{
	for (const struct work *x = c->w; x < w; x++)
		if (x->ch->k->kind == w->ch->k->kind && x->spec != NULL &&
		    !x->bad &&
		    str_eq(name_root(x->ch->name), name_root(w->ch->name)))
			return true;
	return false;
}

int
commit_paths(struct commit *c)
{
	static const size_t room[KIND_END] = {
	    [KIND_BUDGET] = PROTO_PATH_BUDGETS,
	    [KIND_LIMIT] = PROTO_PATH_LIMITS};
	struct paths p = {.c = c, .of = json_object()};
	int rc = p.of != NULL ? 0 : err_set(c->e, ERR_NOMEM, "out of memory");

	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		const struct work *w = &c->w[i];

		p.kind = w->ch->k->kind;
		if (room[p.kind] == 0 || w->bad || w->spec == NULL ||
		    paths_done(c, w))
			continue;
		p.max = room[p.kind];
		rc = paths_load(&p, name_root(w->ch->name));
		if (rc == 0)
			paths_check(&p, w);
	}
	json_decref(p.of);
	return rc;
}
