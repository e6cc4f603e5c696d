/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Apply: a set of items becomes one version. With prune, items that the set
 * does not name are deleted, but only of the kinds in it and, for names below
 * a tenant, only of the tenants in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/config/history.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/rest/items.h"
#include "controlplane/rest/versions.h"

#define APPLY_MAX	20000
#define APPLY_AUDIT_MAX 200 /* changes listed in the audit row */

struct apply {
	struct rest_call *c;
	struct config_change *v;
	size_t n, cap;
	json_t *named;	 /* "kind name" of the set */
	json_t *tenants; /* first segments of path names of the set */
	bool kinds[KIND_END];
	const struct kind_def *pruning;
	char last[KIND_NAME_MAX + 1];
	size_t got;
};

static struct config_change *
apply_grow(struct apply *a)
{
	if (a->n == a->cap) {
		size_t cap = a->cap ? 2 * a->cap : 64;
		struct config_change *v = realloc(a->v, cap * sizeof(*v));

		if (v == NULL)
			return NULL;
		a->v = v;
		a->cap = cap;
	}
	memset(&a->v[a->n], 0, sizeof(a->v[a->n]));
	return &a->v[a->n++];
}

static int
apply_bad(struct apply *a, size_t i, const char *field, const char *text)
{
	char at[128];

	(void)snprintf(
	    at, sizeof(at), "/items/%zu%s%s", i, field[0] ? "/" : "", field);
	return problems_add(&a->c->problems, ERR_INVALID, at, "%s", text);
}

static void
apply_unknown(struct apply *a, size_t i, json_t *item)
{
	const char *name;
	json_t *v;

	json_object_foreach (item, name, v) {
		char field[64];

		if (strcmp(name, "kind") == 0 || strcmp(name, "name") == 0 ||
		    strcmp(name, "spec") == 0)
			continue;
		(void)snprintf(field, sizeof(field), "%.60s", name);
		(void)apply_bad(a, i, field, "is not a known field");
	}
}

static int
apply_note(struct apply *a, const struct config_change *ch)
{
	char key[KIND_NAME_MAX + 8];
	struct str root = name_root(ch->name);

	(void)snprintf(
	    key, sizeof(key), "%d %.*s", (int)ch->k->kind, STR_ARG(ch->name));
	a->kinds[ch->k->kind] = true;
	if (json_object_set_new(a->named, key, json_null()) != 0)
		return ERR_NOMEM;
	if (ch->k->form != NAME_FLAT && root.len > 0 &&
	    json_object_setn_new(a->tenants, root.p, root.len, json_null()))
		return ERR_NOMEM;
	return 0;
}

static int
apply_item(struct apply *a, size_t i, json_t *item)
{
	const json_t *kind = json_object_get(item, "kind");
	const json_t *name = json_object_get(item, "name");
	struct arena *arena = &a->c->req->arena;
	struct config_change *ch;

	if (!json_is_object(item))
		return (void)apply_bad(a, i, "", "must be an object"), 0;
	apply_unknown(a, i, item);
	if (!json_is_string(kind) ||
	    kind_find(str_of(json_string_value(kind))) == NULL) {
		(void)apply_bad(a, i, "kind",
		    "must be tenant, team, project, key, provider, model, "
		    "deployment, route, budget or limit");
		return 0;
	}
	if (!json_is_string(name) || json_string_length(name) == 0 ||
	    json_string_length(name) > KIND_NAME_MAX) {
		(void)apply_bad(a, i, "name", "must be a name");
		return 0;
	}
	ch = apply_grow(a);
	if (ch == NULL)
		return ERR_NOMEM;
	ch->op = CONFIG_PUT;
	ch->k = kind_find(str_of(json_string_value(kind)));
	ch->name = str_make(json_string_value(name), json_string_length(name));
	ch->spec = json_object_get(item, "spec");
	ch->at = arena_printf(arena, "/items/%zu/spec", i);
	ch->at_name = arena_printf(arena, "/items/%zu/name", i);
	if (ch->at == NULL || ch->at_name == NULL)
		return ERR_NOMEM;
	return apply_note(a, ch);
}

/* ---- prune
 * --------------------------------------------------------------------- */

static int
apply_on_existing(void *ctx, const struct store_item *it)
{
	struct apply *a = ctx;
	char key[KIND_NAME_MAX + 8];
	struct config_change *ch;
	const char *name;

	a->got++;
	if (str_copy(it->name, a->last, sizeof(a->last)) != 0)
		return ERR_CORRUPT;
	(void)snprintf(key, sizeof(key), "%d %s", it->kind, a->last);
	if (json_object_get(a->named, key) != NULL)
		return 0;
	name = arena_strdup(&a->c->req->arena, it->name);
	ch = name ? apply_grow(a) : NULL;
	if (ch == NULL)
		return err_set(
		    &a->c->e, ERR_TOO_LARGE, "too many items to prune at once");
	ch->op = CONFIG_DELETE;
	ch->k = a->pruning;
	ch->name = str_of(name);
	ch->at = "/prune";
	ch->at_name = "/prune";
	return 0;
}

static int
apply_prune_kind(struct apply *a, struct str tenant)
{
	struct store_item_filter f = {
	    .kind = (int)a->pruning->kind, .tenant = tenant, .limit = 1000};
	int rc;

	a->last[0] = '\0';
	do {
		char after[KIND_NAME_MAX + 1];

		memcpy(after, a->last, sizeof(after));
		f.after = str_of(after);
		a->got = 0;
		rc = store_config_list(
		    a->c->db, &f, apply_on_existing, a, &a->c->e);
	} while (rc == 0 && a->got == 1000);
	return rc;
}

static int
apply_prune(struct apply *a)
{
	uint64_t version;
	const char *tenant;
	json_t *v;
	int k, rc;

	/* What is listed must still be so when it is deleted. */
	rc = store_config_lock(a->c->db, &version, &a->c->e);
	for (k = KIND_TENANT; k < KIND_END && rc == 0; k++) {
		a->pruning = kind_get((enum kind)k);
		if (!a->kinds[k])
			continue;
		if (a->pruning->form == NAME_FLAT) {
			rc = apply_prune_kind(a, STR_NULL);
			continue;
		}
		json_object_foreach (a->tenants, tenant, v) {
			rc = apply_prune_kind(a, str_of(tenant));
			if (rc != 0)
				break;
		}
	}
	return rc;
}

/* ---- result
 * -------------------------------------------------------------------- */

/* NULL without memory: a secret is shown now or never. */
static json_t *
apply_secrets(const struct config_result *r)
{
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < r->n && out != NULL; i++) {
		json_t *row;

		if (r->v[i].secret == NULL)
			continue;
		row = json_pack("{s:s, s:s}", "name", r->v[i].name, "secret",
		    r->v[i].secret);
		if (json_array_append_new(out, row) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

int
apply_answer(struct rest_call *c, const struct config_result *r, bool dry_run,
    const char *action)
{
	json_t *changes = config_changes_json(r);
	json_t *detail = json_pack("{s:b, s:I, s:I}", "dry_run", dry_run,
	    "changed", (json_int_t)r->n, "unchanged", (json_int_t)r->unchanged);

	c->version = r->version;
	if (r->version != 0)
		http_set_header(c->res, "X-Headgate-Config-Version", "%llu",
		    (unsigned long long)r->version);
	if (r->n <= APPLY_AUDIT_MAX && detail != NULL)
		(void)json_object_set(detail, "changes", changes);
	rest_audit(c, action, detail, "config");
	return rest_json(c, 200,
	    json_pack("{s:I, s:b, s:o, s:I, s:o}", "version",
		(json_int_t)r->version, "dry_run", dry_run, "changes", changes,
		"unchanged", (json_int_t)r->unchanged, "created_secrets",
		apply_secrets(r)));
}

static int
apply_commit(struct apply *a, struct str message, bool dry_run)
{
	struct rest_call *c = a->c;
	char text[CONFIG_MESSAGE_MAX];
	struct config_commit cc = {.changes = a->v,
	    .n = a->n,
	    .author = str_of(c->who.name),
	    .dry_run = dry_run,
	    .vault = c->o->vault,
	    .rng = c->o->rng};
	struct config_result r;
	int rc;

	rc = config_message(c, message, "apply", STR_NULL, text);
	if (rc != 0)
		return rc;
	cc.message = str_trim(str_of(text));
	rc = config_commit(c->db, &cc, &r, &c->problems, &c->e);
	if (rc == 0)
		rc =
		    apply_answer(c, &r, dry_run, dry_run ? "dry-run" : "apply");
	config_result_release(&r);
	return rc;
}

int
apply_post(struct rest_call *c)
{
	struct apply a = {
	    .c = c, .named = json_object(), .tenants = json_object()};
	json_t *items = json_object_get(c->body, "items");
	bool dry_run = false, prune = false;
	struct str message;
	size_t i;
	int rc;

	rc = body_only(c, "message dry_run prune items");
	if (rc == 0)
		rc = body_string(
		    c, "message", CONFIG_MESSAGE_MAX - 1, false, &message);
	if (rc == 0)
		rc = body_bool(c, "dry_run", &dry_run);
	if (rc == 0)
		rc = body_bool(c, "prune", &prune);
	if (rc == 0 &&
	    (!json_is_array(items) || json_array_size(items) > APPLY_MAX))
		rc = err_set_field(&c->e, ERR_INVALID, "/items",
		    "items must be a list of at most %d items", APPLY_MAX);
	if (rc == 0 && (a.named == NULL || a.tenants == NULL))
		rc = err_set(&c->e, ERR_NOMEM, "out of memory");
	for (i = 0; rc == 0 && i < json_array_size(items); i++)
		rc = apply_item(&a, i, json_array_get(items, i));
	/* Faults of form first; then faults of content, all together. */
	if (rc == 0)
		rc = problems_error(&c->problems, &c->e);
	if (rc == 0 && prune)
		rc = apply_prune(&a);
	if (rc == 0)
		rc = apply_commit(&a, message, dry_run);
	free(a.v);
	json_decref(a.named);
	json_decref(a.tenants);
	return rc;
}
