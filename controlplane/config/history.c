/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions are compared through the changes between them: per item the first
 * old value and the last new one. So the cost is that of what changed, not of
 * the whole configuration.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/config/history.h"
#include "controlplane/config/validate.h"

static int
diff_add(json_t *out, const char *path, const json_t *a, const json_t *b)
{
	json_t *row =
	    json_pack("{s:s, s:O?, s:O?}", "path", path, "old", a, "new", b);

	if (row != NULL && a == NULL)
		(void)json_object_set_new(row, "old", json_null());
	if (row != NULL && b == NULL)
		(void)json_object_set_new(row, "new", json_null());
	return json_array_append_new(out, row);
}

#define DIFF_PATH_SIZE 256

/* The path of a member, for people; one that is too long is cut and says so. */
static void
diff_path(char *dst, const char *path, const char *name)
{
	int n = snprintf(dst, DIFF_PATH_SIZE, "%s/%s", path, name);

	if (n >= DIFF_PATH_SIZE)
		memcpy(dst + DIFF_PATH_SIZE - 4, "...", 4);
}

/* Objects are compared member by member, everything else as a whole. */
static int
diff_value(json_t *out, const char *path, const json_t *a, const json_t *b)
{
	char here[DIFF_PATH_SIZE];
	const char *name;
	json_t *v;
	int rc = 0;

	if (a != NULL && b != NULL && json_equal(a, b))
		return 0;
	if (!json_is_object(a) || !json_is_object(b))
		return diff_add(out, path, a, b);
	json_object_foreach ((json_t *)(uintptr_t)a, name, v) {
		diff_path(here, path, name);
		rc |= diff_value(out, here, v, json_object_get(b, name));
	}
	json_object_foreach ((json_t *)(uintptr_t)b, name, v) {
		if (json_object_get(a, name) != NULL)
			continue;
		diff_path(here, path, name);
		rc |= diff_value(out, here, NULL, v);
	}
	return rc;
}

json_t *
config_diff(
    const struct kind_def *k, const json_t *old_spec, const json_t *new_spec)
{
	json_t *out = json_array(), *secret = json_string("(secret)");
	char path[80];
	size_t i;
	int rc = out && secret ? 0 : -1;

	for (i = 0; i < k->n_fields && rc == 0; i++) {
		const struct field_def *f = &k->fields[i];
		const json_t *a = json_object_get(old_spec, f->name);
		const json_t *b = json_object_get(new_spec, f->name);

		if ((a == NULL && b == NULL) ||
		    (a != NULL && b != NULL && json_equal(a, b)))
			continue;
		(void)snprintf(path, sizeof(path), "/%s", f->name);
		if (f->flags & FF_INTERNAL)
			rc = diff_add(out, "/value", a ? secret : NULL,
			    b ? secret : NULL);
		else if (!(f->flags & FF_WRITE_ONLY))
			rc = diff_value(out, path, a, b);
	}
	json_decref(secret);
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}

json_t *
config_changes_json(const struct config_result *r)
{
	json_t *out = json_array(), *row;
	size_t i;

	for (i = 0; i < r->n && out != NULL; i++) {
		const struct config_done *d = &r->v[i];

		row = json_pack("{s:s, s:s, s:s, s:o}", "op",
		    store_op_name(d->op), "kind", d->k->name, "name", d->name,
		    "diff", config_diff(d->k, d->old_spec, d->new_spec));
		if (json_array_append_new(out, row) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* ---- between versions -----------------------------------------------------
 */

struct history {
	struct config_result *r;
	json_t *index; /* uid -> position in r->v */
	size_t cap;
};

static struct config_done *
history_entry(struct history *h, const struct store_change *c, bool *fresh)
{
	struct config_done *v, *d;
	const json_t *at;
	char uid[24];

	(void)snprintf(uid, sizeof(uid), "%llu", (unsigned long long)c->uid);
	at = json_object_get(h->index, uid);
	*fresh = at == NULL;
	if (at != NULL)
		return &h->r->v[json_integer_value(at)];
	if (h->r->n == h->cap) {
		size_t cap = h->cap ? 2 * h->cap : 64;

		v = realloc(h->r->v, cap * sizeof(*v));
		if (v == NULL)
			return NULL;
		h->r->v = v;
		h->cap = cap;
	}
	if (json_object_set_new(
		h->index, uid, json_integer((json_int_t)h->r->n)) != 0)
		return NULL;
	d = &h->r->v[h->r->n++];
	memset(d, 0, sizeof(*d));
	d->k = kind_get((enum kind)c->kind);
	d->uid = c->uid;
	d->name = str_dup(c->name);
	return d->k != NULL && d->name != NULL ? d : NULL;
}

static int
history_spec(struct str s, json_t **spec)
{
	json_decref(*spec);
	*spec = NULL;
	if (s.len == 0)
		return 0;
	*spec = json_loadb(s.p, s.len, 0, NULL);
	return *spec != NULL ? 0 : ERR_CORRUPT;
}

static int
history_on_change(void *ctx, uint64_t version, const struct store_change *c)
{
	struct history *h = ctx;
	struct config_done *d;
	bool fresh;
	int rc = 0;

	(void)version;
	d = history_entry(h, c, &fresh);
	if (d == NULL)
		return ERR_NOMEM;
	if (fresh && c->op != STORE_OP_CREATE)
		rc = history_spec(c->old_spec, &d->old_spec);
	if (rc == 0)
		rc = history_spec(
		    c->op == STORE_OP_DELETE ? STR_NULL : c->new_spec,
		    &d->new_spec);
	return rc;
}

/* Turn the direction round if asked, drop what is the same, name the rest. */
static void
history_finish(struct config_result *r, bool reverse)
{
	size_t i, n = 0;

	for (i = 0; i < r->n; i++) {
		struct config_done d = r->v[i];

		if (reverse) {
			json_t *t = d.old_spec;

			d.old_spec = d.new_spec;
			d.new_spec = t;
		}
		if ((d.old_spec == NULL && d.new_spec == NULL) ||
		    (d.old_spec != NULL && d.new_spec != NULL &&
			json_equal(d.old_spec, d.new_spec))) {
			free(d.name);
			json_decref(d.old_spec);
			json_decref(d.new_spec);
			continue;
		}
		d.op = d.old_spec == NULL   ? STORE_OP_CREATE
		       : d.new_spec == NULL ? STORE_OP_DELETE
					    : STORE_OP_UPDATE;
		r->v[n++] = d;
	}
	r->n = n;
}

int
config_version_diff(struct db *db, uint64_t from, uint64_t to,
    struct config_result *r, struct error *e)
{
	struct history h = {.r = r, .index = json_object()};
	bool reverse = from > to;
	uint64_t lo = reverse ? to : from, hi = reverse ? from : to, latest;
	int rc;

	config_result_init(r);
	if (h.index == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = store_config_version(db, &latest, e);
	if (rc == 0 && hi > latest)
		rc = err_set(e, ERR_NOT_FOUND, "version %llu does not exist",
		    (unsigned long long)hi);
	if (rc == 0)
		rc = store_config_changes(db, lo, hi, history_on_change, &h, e);
	if (rc == 0)
		history_finish(r, reverse);
	else
		config_result_release(r);
	if (rc == ERR_NOMEM || rc == ERR_CORRUPT)
		(void)err_set(e, rc, "%s", err_text(rc));
	json_decref(h.index);
	return rc;
}

int
config_rollback(struct db *db, uint64_t to, struct str author,
    struct str message, struct config_result *r, struct error *e)
{
	uint64_t latest;
	int rc;

	config_result_init(r);
	rc = store_config_lock(db, &latest, e);
	if (rc == 0 && to > latest)
		rc = err_set(e, ERR_NOT_FOUND, "version %llu does not exist",
		    (unsigned long long)to);
	if (rc == 0)
		rc = config_version_diff(db, latest, to, r, e);
	if (rc == 0 && r->n > 0)
		rc = config_write(db, r, author, message, to, &r->version, e);
	if (rc != 0)
		config_result_release(r);
	return rc;
}
