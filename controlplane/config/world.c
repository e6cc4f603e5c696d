/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References between items. Which fields refer to what comes from the table
 * of kinds; the walk over them is used twice, to fetch and to check.
 */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/config/world.h"
#include "controlplane/store/store_rest.h"

#define WORLD_KEY_MAX (KIND_NAME_MAX + 8)

static void
world_key(enum kind kind, struct str name, char key[WORLD_KEY_MAX])
{
	(void)snprintf(key, WORLD_KEY_MAX, "%d %.*s", (int)kind, STR_ARG(name));
}

int
world_init(struct world *w, struct db *db)
{
	w->db = db;
	w->items = json_object();
	w->zones = json_object();
	return w->items && w->zones ? 0 : ERR_NOMEM;
}

void
world_release(struct world *w)
{
	json_decref(w->items);
	json_decref(w->zones);
	w->items = NULL;
	w->zones = NULL;
}

int
world_put(struct world *w, enum kind kind, struct str name, json_t *spec)
{
	char key[WORLD_KEY_MAX];

	world_key(kind, name, key);
	if (json_object_set(w->items, key, spec ? spec : json_null()) != 0)
		return ERR_NOMEM;
	return 0;
}

struct world_load {
	struct world *w;
	enum kind kind;
};

static int
world_on_item(void *ctx, const struct store_item *it)
{
	struct world_load *l = ctx;
	json_t *spec = json_loadb(it->spec.p, it->spec.len, 0, NULL);
	int rc;

	if (spec == NULL)
		return ERR_CORRUPT;
	rc = world_put(l->w, l->kind, it->name, spec);
	json_decref(spec);
	return rc;
}

/* Load names (object: name -> anything) of one kind that are not known. */
static int
world_load(struct world *w, enum kind kind, json_t *names, struct error *e)
{
	struct world_load l = {w, kind};
	struct str *v = calloc(json_object_size(names) + 1, sizeof(*v));
	char key[WORLD_KEY_MAX];
	const char *name;
	json_t *x;
	size_t n = 0, i;
	int rc = 0;

	if (v == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	json_object_foreach (names, name, x) {
		world_key(kind, str_of(name), key);
		if (json_object_get(w->items, key) == NULL)
			v[n++] = str_of(name);
	}
	/* Unknown until the database says otherwise. */
	for (i = 0; i < n && rc == 0; i++)
		rc = world_put(w, kind, v[i], NULL);
	if (rc == 0 && n > 0 && w->db != NULL)
		rc = store_config_get_many(
		    w->db, (int)kind, v, n, world_on_item, &l, e);
	free(v);
	return rc;
}

int
world_get(struct world *w, enum kind kind, struct str name, const json_t **spec,
    struct error *e)
{
	char key[WORLD_KEY_MAX];
	json_t *one, *v;
	int rc;

	*spec = NULL;
	world_key(kind, name, key);
	v = json_object_get(w->items, key);
	if (v == NULL) {
		one = json_object();
		(void)json_object_setn_new(one, name.p, name.len, json_null());
		rc = one ? world_load(w, kind, one, e) : ERR_NOMEM;
		json_decref(one);
		if (rc != 0)
			return rc;
		v = json_object_get(w->items, key);
	}
	if (v != NULL && !json_is_null(v))
		*spec = v;
	return 0;
}

int
world_has_zone(struct world *w, struct str zone, bool *yes, struct error *e)
{
	const json_t *v = json_object_getn(w->zones, zone.p, zone.len);
	int rc;

	if (v != NULL || w->db == NULL) {
		*yes = v == NULL || json_is_true(v);
		return 0;
	}
	rc = store_zone_exists(w->db, zone, yes, e);
	if (rc == 0)
		(void)json_object_setn_new(
		    w->zones, zone.p, zone.len, json_boolean(*yes));
	return rc;
}

/* ---- walk over references ------------------------------------------------ */

typedef int world_ref_fn(
    void *ctx, enum kind kind, struct str name, const char *at);

static struct str
world_str(const json_t *v)
{
	return str_make(json_string_value(v), json_string_length(v));
}

static int
world_walk_list(const struct field_def *f, const json_t *list, const char *at,
    world_ref_fn *fn, void *ctx)
{
	char here[320];
	size_t i, s;
	int rc = 0;

	for (i = 0; i < json_array_size(list) && rc == 0; i++) {
		const json_t *x = json_array_get(list, i);

		if (f->type == FT_REFS) {
			(void)snprintf(
			    here, sizeof(here), "%s/%s/%zu", at, f->name, i);
			rc = fn(ctx, f->ref, world_str(x), here);
			continue;
		}
		for (s = 0; s < f->n_sub && rc == 0; s++) {
			const json_t *y = json_object_get(x, f->sub[s].name);

			if (f->sub[s].type != FT_REF || y == NULL)
				continue;
			(void)snprintf(here, sizeof(here), "%s/%s/%zu/%s", at,
			    f->name, i, f->sub[s].name);
			rc = fn(ctx, f->sub[s].ref, world_str(y), here);
		}
	}
	return rc;
}

static int
world_walk(const struct kind_def *k, struct str name, const json_t *spec,
    const char *at, const char *at_name, world_ref_fn *fn, void *ctx)
{
	char here[320];
	size_t i;
	int rc = 0;

	if (k->parent != KIND_NONE)
		rc = fn(ctx, k->parent,
		    k->form == NAME_SCOPED ? name_root(name)
					   : name_parent(name),
		    at_name);
	for (i = 0; i < k->n_fields && rc == 0; i++) {
		const struct field_def *f = &k->fields[i];
		const json_t *v = json_object_get(spec, f->name);

		if (v == NULL)
			continue;
		(void)snprintf(here, sizeof(here), "%s/%s", at, f->name);
		if (f->type == FT_REF)
			rc = fn(ctx, f->ref, world_str(v), here);
		else if (f->type == FT_SCOPE)
			rc = fn(ctx, kind_of_scope(world_str(v)), world_str(v),
			    here);
		else if (f->type == FT_REFS || f->type == FT_OBJECTS)
			rc = world_walk_list(f, v, at, fn, ctx);
	}
	return rc;
}

static int
world_on_want(void *ctx, enum kind kind, struct str name, const char *at)
{
	json_t *wanted = ctx, *names;
	char z[8];

	(void)at;
	(void)snprintf(z, sizeof(z), "%d", (int)kind);
	names = json_object_get(wanted, z);
	if (names == NULL) {
		names = json_object();
		if (json_object_set_new(wanted, z, names) != 0)
			return ERR_NOMEM;
	}
	if (json_object_setn_new(names, name.p, name.len, json_null()) != 0)
		return ERR_NOMEM;
	return 0;
}

int
world_want(struct world *w, const struct kind_def *k, struct str name,
    const json_t *spec, json_t *wanted)
{
	int rc = world_walk(k, name, spec, "", "", world_on_want, wanted);
	struct str up = name_parent(name);

	(void)w;
	/* Route lists are compared with those of all ancestors. */
	while (rc == 0 && k->form == NAME_PATH && up.len > 0) {
		rc = world_on_want(wanted, kind_of_scope(up), up, "");
		up = name_parent(up);
	}
	return rc;
}

int
world_fetch(struct world *w, json_t *wanted, struct error *e)
{
	const char *z;
	json_t *names;
	int rc;

	json_object_foreach (wanted, z, names) {
		int64_t kind = 0;

		rc = str_to_i64(str_of(z), &kind);
		if (rc == 0)
			rc = world_load(w, (enum kind)kind, names, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* ---- checks ---------------------------------------------------------------
 */

struct world_checking {
	struct world *w;
	struct problems *p;
	struct error *e;
};

static int
world_on_check(void *ctx, enum kind kind, struct str name, const char *at)
{
	struct world_checking *c = ctx;
	const json_t *spec;
	int rc = world_get(c->w, kind, name, &spec, c->e);

	if (rc != 0 || spec != NULL)
		return rc;
	(void)problems_add(c->p, ERR_INVALID, at, "%s %.*s does not exist",
	    kind_get(kind)->name, STR_ARG(name));
	return 0;
}

static bool
world_list_has(const json_t *list, const json_t *v)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
		if (json_equal(json_array_get(list, i), v))
			return true;
	return false;
}

/* A child may not be given a route that an ancestor does not have. */
static int
world_check_routes(struct world *w, struct str name, const json_t *spec,
    const char *at, struct problems *p, struct error *e)
{
	const json_t *mine = json_object_get(spec, "routes"), *up_spec, *theirs;
	struct str up = name_parent(name);
	char here[320];
	size_t i;
	int rc;

	while (mine != NULL && up.len > 0) {
		rc = world_get(w, kind_of_scope(up), up, &up_spec, e);
		if (rc != 0)
			return rc;
		theirs = json_object_get(up_spec, "routes");
		for (i = 0; theirs && i < json_array_size(mine); i++) {
			if (world_list_has(theirs, json_array_get(mine, i)))
				continue;
			(void)snprintf(
			    here, sizeof(here), "%s/routes/%zu", at, i);
			(void)problems_add(p, ERR_INVALID, here,
			    "route %s is not allowed to %.*s",
			    json_string_value(json_array_get(mine, i)),
			    STR_ARG(up));
		}
		up = name_parent(up);
	}
	return 0;
}

int
world_check(struct world *w, const struct kind_def *k, struct str name,
    const json_t *spec, const char *at, const char *at_name, struct problems *p,
    struct error *e)
{
	struct world_checking c = {w, p, e};
	const json_t *v;
	char here[320];
	bool yes = true;
	int rc;

	rc = world_walk(k, name, spec, at, at_name, world_on_check, &c);
	if (rc == 0 && k->form == NAME_PATH)
		rc = world_check_routes(w, name, spec, at, p, e);
	v = json_object_get(spec, "scope");
	if (rc == 0 && k->form == NAME_SCOPED && v != NULL &&
	    !str_eq(name_root(world_str(v)), name_root(name))) {
		(void)snprintf(here, sizeof(here), "%s/scope", at);
		(void)problems_add(p, ERR_INVALID, here,
		    "must belong to tenant %.*s, as the name does",
		    STR_ARG(name_root(name)));
	}
	v = json_object_get(spec, "time_zone");
	if (rc == 0 && v != NULL)
		rc = world_has_zone(w, world_str(v), &yes, e);
	if (rc == 0 && !yes) {
		(void)snprintf(here, sizeof(here), "%s/time_zone", at);
		(void)problems_add(p, ERR_INVALID, here,
		    "time zone %s is not known", json_string_value(v));
	}
	return rc;
}
