/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of a commit: lock; load the items named; normalise each spec; carry
 * over or make what the control plane keeps itself (digests, credential
 * versions); drop what changes nothing; check references in the world as it
 * will be; refuse deletions that leave something dangling; write.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/config/commit.h"
#include "controlplane/config/commit_internal.h"
#include "controlplane/config/rules.h"
#include "controlplane/store/store_rest.h"

void
config_result_init(struct config_result *r)
{
	memset(r, 0, sizeof(*r));
}

static void
config_done_release(struct config_done *d)
{
	free(d->name);
	json_decref(d->old_spec);
	json_decref(d->new_spec);
	if (d->secret != NULL) {
		sodium_memzero(d->secret, strlen(d->secret));
		free(d->secret);
	}
}

void
config_result_release(struct config_result *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		config_done_release(&r->v[i]);
	free(r->v);
	config_result_init(r);
}

json_t *
config_merge_patch(const json_t *target, const json_t *patch)
{
	json_t *out, *v, *x;
	const char *name;

	/* Copies of jansson lose members without a word when memory ends. */
	if (!json_is_object(patch))
		return json_incref((json_t *)(uintptr_t)patch);
	out = json_object();
	if (out == NULL ||
	    (json_is_object(target) &&
		json_object_update(out, (json_t *)(uintptr_t)target) != 0)) {
		json_decref(out);
		return NULL;
	}
	json_object_foreach ((json_t *)(uintptr_t)patch, name, v) {
		if (json_is_null(v)) {
			(void)json_object_del(out, name);
			continue;
		}
		x = config_merge_patch(json_object_get(out, name), v);
		if (json_object_set_new(out, name, x) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* ---- loading ------------------------------------------------------------- */

static int
commit_on_item(void *ctx, const struct store_item *it)
{
	struct commit *c = ctx;
	struct work *w = commit_find(c, it->kind, it->name);

	if (w == NULL)
		return 0;
	w->uid = it->uid;
	w->version = it->version;
	w->old = json_loadb(it->spec.p, it->spec.len, 0, NULL);
	return w->old != NULL ? 0 : ERR_CORRUPT;
}

struct work *
commit_find(struct commit *c, int kind, struct str name)
{
	char key[KIND_NAME_MAX + 8];
	const json_t *v;

	(void)snprintf(key, sizeof(key), "%d %.*s", kind, STR_ARG(name));
	v = json_object_get(c->index, key);
	return v ? &c->w[json_integer_value(v)] : NULL;
}

/* Names are checked, and each item may be there once. */
static int
commit_index(struct commit *c)
{
	char key[KIND_NAME_MAX + 8];
	struct error e;
	size_t i;

	for (i = 0; i < c->n; i++) {
		const struct config_change *ch = c->w[i].ch;

		if (kind_check_name(ch->k, ch->name, &e) != 0) {
			(void)problems_add(
			    c->p, ERR_INVALID, ch->at_name, "%s", e.text);
			c->w[i].bad = true;
			continue;
		}
		if (commit_find(c, (int)ch->k->kind, ch->name) != NULL) {
			(void)problems_add(c->p, ERR_INVALID, ch->at_name,
			    "%s %.*s is there twice", ch->k->name,
			    STR_ARG(ch->name));
			c->w[i].bad = true;
			continue;
		}
		(void)snprintf(key, sizeof(key), "%d %.*s", (int)ch->k->kind,
		    STR_ARG(ch->name));
		if (json_object_set_new(
			c->index, key, json_integer((json_int_t)i)) != 0)
			return err_set(c->e, ERR_NOMEM, "out of memory");
	}
	return 0;
}

static int
commit_load(struct commit *c)
{
	struct str *names = calloc(c->n + 1, sizeof(*names));
	int kind, rc = 0;
	size_t i, n;

	if (names == NULL)
		return err_set(c->e, ERR_NOMEM, "out of memory");
	for (kind = KIND_TENANT; kind < KIND_END && rc == 0; kind++) {
		n = 0;
		for (i = 0; i < c->n; i++)
			if ((int)c->w[i].ch->k->kind == kind && !c->w[i].bad)
				names[n++] = c->w[i].ch->name;
		if (n > 0)
			rc = store_config_get_many(
			    c->db, kind, names, n, commit_on_item, c, c->e);
	}
	free(names);
	return rc;
}

/* Uids of the items that do not exist yet. */
static int
commit_uids(struct commit *c)
{
	uint64_t *uids = calloc(c->n + 1, sizeof(*uids));
	size_t i, n = 0, k = 0;
	int rc = uids ? 0 : err_set(c->e, ERR_NOMEM, "out of memory");

	for (i = 0; i < c->n; i++)
		n += c->w[i].uid == 0 && c->w[i].ch->op != CONFIG_DELETE;
	if (rc == 0 && n > 0)
		rc = store_config_new_uids(c->db, uids, n, c->e);
	for (i = 0; rc == 0 && i < c->n; i++)
		if (c->w[i].uid == 0 && c->w[i].ch->op != CONFIG_DELETE)
			c->w[i].uid = uids[k++];
	free(uids);
	return rc;
}

/* ---- from changes to specs ------------------------------------------------
 */

static int
commit_precondition(struct commit *c, struct work *w)
{
	const struct config_change *ch = w->ch;

	if (ch->op == CONFIG_CREATE && w->old != NULL)
		return problems_add(c->p, ERR_EXISTS, ch->at_name,
		    "%s %.*s exists already", ch->k->name, STR_ARG(ch->name));
	if (ch->op != CONFIG_CREATE && ch->op != CONFIG_PUT && w->old == NULL)
		return problems_add(c->p, ERR_NOT_FOUND, ch->at_name,
		    "%s %.*s does not exist", ch->k->name, STR_ARG(ch->name));
	if (ch->if_version != 0 && ch->if_version != w->version)
		return problems_add(c->p, ERR_PRECONDITION, "",
		    "%s %.*s has version %llu, not %llu", ch->k->name,
		    STR_ARG(ch->name), (unsigned long long)w->version,
		    (unsigned long long)ch->if_version);
	return 0;
}

static int
commit_spec(struct commit *c, struct work *w)
{
	const struct config_change *ch = w->ch;
	json_t *shown = NULL, *in = NULL;
	int rc;

	if (w->bad || commit_precondition(c, w) != 0) {
		w->bad = true;
		return 0;
	}
	if (ch->op == CONFIG_DELETE)
		return 0;
	if (ch->op == CONFIG_PATCH) {
		shown = spec_public(ch->k, w->old);
		in = shown ? config_merge_patch(shown, ch->spec) : NULL;
		json_decref(shown);
		if (in == NULL)
			return err_set(c->e, ERR_NOMEM, "out of memory");
	}
	rc = spec_normalise(
	    ch->k, in ? in : ch->spec, ch->at, &w->spec, &w->secrets, c->p);
	json_decref(in);
	if (rc == ERR_INVALID) {
		w->bad = true;
		return 0;
	}
	if (rc != 0)
		return err_set(c->e, rc, "out of memory");
	return commit_secrets(c, w);
}

static int
commit_specs(struct commit *c)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < c->n && rc == 0; i++) {
		struct work *w = &c->w[i];
		size_t before = c->p->total;

		rc = commit_spec(c, w);
		if (rc != 0 || w->bad || w->spec == NULL)
			continue;
		w->same = w->old != NULL && json_equal(w->old, w->spec);
		if (!w->same)
			rc = rules_check_change(w->ch->k, w->old, w->spec,
			    w->secrets, w->ch->at, c->p);
		w->bad = c->p->total != before;
	}
	return rc;
}

/* ---- checks against the world ---------------------------------------------
 */

static int
commit_overlay(struct commit *c)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < c->n && rc == 0; i++) {
		const struct config_change *ch = c->w[i].ch;

		/* An item with a fault still exists, so that one fault does
		 * not show up as many. */
		if (c->w[i].bad && ch->op == CONFIG_DELETE)
			continue;
		if (c->w[i].bad)
			rc = world_put(&c->world, ch->k->kind, ch->name,
			    c->w[i].old ? c->w[i].old : c->nothing);
		else
			rc = world_put(
			    &c->world, ch->k->kind, ch->name, c->w[i].spec);
	}
	return rc;
}

static int
commit_references(struct commit *c)
{
	json_t *wanted = json_object();
	size_t i;
	int rc = wanted ? commit_overlay(c) : ERR_NOMEM;

	for (i = 0; i < c->n && rc == 0; i++)
		if (c->w[i].spec != NULL && !c->w[i].bad)
			rc = world_want(&c->world, c->w[i].ch->k,
			    c->w[i].ch->name, c->w[i].spec, wanted);
	if (rc == 0)
		rc = world_fetch(&c->world, wanted, c->e);
	for (i = 0; i < c->n && rc == 0; i++)
		if (c->w[i].spec != NULL && !c->w[i].bad)
			rc = world_check(&c->world, c->w[i].ch->k,
			    c->w[i].ch->name, c->w[i].spec, c->w[i].ch->at,
			    c->w[i].ch->at_name, c->p, c->e);
	json_decref(wanted);
	return rc;
}

struct commit_referred {
	struct commit *c;
	int kind;
};

static int
commit_on_referrer(void *ctx, struct str target, int kind, struct str name)
{
	struct commit_referred *r = ctx;
	struct work *w = commit_find(r->c, kind, name);
	struct work *t = commit_find(r->c, r->kind, target);

	/* What is changed as well was checked with its new references. */
	if (w != NULL && !w->bad)
		return 0;
	(void)problems_add(r->c->p, ERR_CONFLICT, t ? t->ch->at_name : "",
	    "%s %.*s is in use by %s %.*s", kind_get((enum kind)r->kind)->name,
	    STR_ARG(target), kind_get((enum kind)kind)->name, STR_ARG(name));
	return 0;
}

static int
commit_referrers(struct commit *c)
{
	struct str *names = calloc(c->n + 1, sizeof(*names));
	struct commit_referred r = {c, 0};
	size_t i, n;
	int rc = 0;

	if (names == NULL)
		return err_set(c->e, ERR_NOMEM, "out of memory");
	for (r.kind = KIND_TENANT; r.kind < KIND_END && rc == 0; r.kind++) {
		n = 0;
		for (i = 0; i < c->n; i++)
			if ((int)c->w[i].ch->k->kind == r.kind &&
			    c->w[i].ch->op == CONFIG_DELETE && !c->w[i].bad)
				names[n++] = c->w[i].ch->name;
		/* All that the commit itself touches may come first. */
		if (n > 0)
			rc = store_config_referrers(c->db, r.kind, names, n,
			    (int)c->n + PROBLEMS_MAX, commit_on_referrer, &r,
			    c->e);
	}
	free(names);
	return rc;
}

/* ---- result ---------------------------------------------------------------
 */

static int
commit_collect(struct commit *c, struct config_result *r)
{
	size_t i;

	r->v = calloc(c->n + 1, sizeof(*r->v));
	if (r->v == NULL)
		return err_set(c->e, ERR_NOMEM, "out of memory");
	for (i = 0; i < c->n; i++) {
		struct work *w = &c->w[i];
		struct config_done *d = &r->v[r->n];

		if (w->same) {
			r->unchanged++;
			continue;
		}
		d->op = w->spec == NULL	 ? STORE_OP_DELETE
			: w->old == NULL ? STORE_OP_CREATE
					 : STORE_OP_UPDATE;
		d->k = w->ch->k;
		d->name = str_dup(w->ch->name);
		d->uid = w->uid;
		d->old_spec = json_incref(w->old);
		d->new_spec = json_incref(w->spec);
		d->secret = w->secret;
		w->secret = NULL;
		r->n++;
		if (d->name == NULL)
			return err_set(c->e, ERR_NOMEM, "out of memory");
	}
	return 0;
}

/* Order of writing: deletions free names, then the rest as given. */
static size_t
config_fill(const struct config_result *r, struct store_change *ch, bool del,
    size_t n, bool *ok)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct config_done *d = &r->v[i];
		char *o = NULL, *w = NULL;

		if ((d->op == STORE_OP_DELETE) != del)
			continue;
		if (d->old_spec != NULL)
			o = json_dumps(d->old_spec, JSON_COMPACT);
		if (d->new_spec != NULL)
			w = json_dumps(d->new_spec, JSON_COMPACT);
		if ((d->old_spec && !o) || (d->new_spec && !w))
			*ok = false;
		ch[n++] = (struct store_change){.op = d->op,
		    .kind = (int)d->k->kind,
		    .uid = d->uid,
		    .name = str_of(d->name),
		    .old_spec = str_of(o),
		    .new_spec = str_of(w)};
	}
	return n;
}

int
config_write(struct db *db, const struct config_result *r, struct str author,
    struct str message, uint64_t rollback_of, uint64_t *version,
    struct error *e)
{
	struct store_change *ch = calloc(r->n + 1, sizeof(*ch));
	bool ok = ch != NULL;
	size_t i, n = 0;
	int rc;

	if (ok) {
		n = config_fill(r, ch, true, 0, &ok);
		n = config_fill(r, ch, false, n, &ok);
	}
	if (ok)
		rc = store_config_commit(
		    db, ch, n, author, message, rollback_of, version, e);
	else
		rc = err_set(e, ERR_NOMEM, "out of memory");
	for (i = 0; i < n; i++) {
		free((void *)(uintptr_t)ch[i].old_spec.p);
		free((void *)(uintptr_t)ch[i].new_spec.p);
	}
	free(ch);
	return rc;
}

static void
commit_release(struct commit *c)
{
	size_t i;

	for (i = 0; i < c->n && c->w != NULL; i++) {
		struct work *w = &c->w[i];

		json_decref(w->old);
		json_decref(w->spec);
		json_decref(w->secrets);
		if (w->secret != NULL) {
			sodium_memzero(w->secret, strlen(w->secret));
			free(w->secret);
		}
	}
	free(c->w);
	json_decref(c->index);
	json_decref(c->digests);
	json_decref(c->nothing);
	world_release(&c->world);
}

static int
commit_prepare(struct commit *c)
{
	uint64_t latest;
	size_t i;
	int rc;

	c->w = calloc(c->n + 1, sizeof(*c->w));
	c->index = json_object();
	c->digests = json_object();
	c->nothing = json_object();
	rc = world_init(&c->world, c->db);
	if (rc != 0 || !c->w || !c->index || !c->digests || !c->nothing)
		return err_set(c->e, ERR_NOMEM, "out of memory");
	for (i = 0; i < c->n; i++)
		c->w[i].ch = &c->req->changes[i];
	rc = commit_index(c);
	if (rc == 0)
		rc = store_config_lock(c->db, &latest, c->e);
	if (rc == 0)
		rc = commit_load(c);
	if (rc == 0 && !c->req->dry_run)
		rc = commit_uids(c);
	return rc;
}

int
config_commit(struct db *db, const struct config_commit *req,
    struct config_result *r, struct problems *p, struct error *e)
{
	struct commit c = {.db = db, .req = req, .n = req->n, .p = p, .e = e};
	int rc;

	config_result_init(r);
	rc = commit_prepare(&c);
	if (rc == 0)
		rc = commit_specs(&c);
	if (rc == 0)
		rc = commit_references(&c);
	if (rc == 0 && p->n == 0)
		rc = commit_paths(&c);
	if (rc == 0)
		rc = commit_referrers(&c);
	if (rc == 0)
		rc = problems_error(p, e);
	if (rc == 0)
		rc = commit_collect(&c, r);
	if (rc == 0 && r->n > 0 && !req->dry_run)
		rc = config_write(
		    db, r, req->author, req->message, 0, &r->version, e);
	if (rc == ERR_NOMEM && e != NULL && e->code == 0)
		(void)err_set(e, rc, "out of memory");
	if (rc != 0)
		config_result_release(r);
	commit_release(&c);
	return rc;
}
