/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing single items of any kind. All writes go through
 * config_commit() as a commit of one change.
 */
#include <stdio.h>
#include <string.h>

#include "controlplane/config/history.h"
#include "controlplane/config/validate.h"
#include "controlplane/rest/handlers.h"
#include "controlplane/rest/items.h"

json_t *
item_json(const struct store_item *it)
{
	const struct kind_def *k = kind_get((enum kind)it->kind);
	json_t *spec = json_text(it->spec), *out, *shown;

	shown = k ? spec_public(k, spec) : NULL;
	out = json_object();
	if (shown == NULL || out == NULL ||
	    json_object_set_new(out, "kind", json_string(k->name)) ||
	    json_object_set_new(out, "name", json_strn(it->name)) ||
	    json_object_set_new(out, "uid", json_u64(it->uid)) ||
	    json_object_set_new(
		out, "version", json_integer((json_int_t)it->version)) ||
	    json_object_set_new(
		out, "created_at", json_instant(it->created_at)) ||
	    json_object_set_new(
		out, "updated_at", json_instant(it->updated_at)) ||
	    json_object_update(out, shown) != 0) {
		json_decref(out);
		out = NULL;
	}
	json_decref(spec);
	json_decref(shown);
	return out;
}

struct items_page {
	json_t *list;
	size_t n, limit;
	char last[KIND_NAME_MAX + 1]; /* name of the last one shown */
	bool more;
};

static int
items_on_list(void *ctx, const struct store_item *it)
{
	struct items_page *p = ctx;

	if (p->n == p->limit) {
		p->more = true;
		return 0;
	}
	p->n++;
	if (str_copy(it->name, p->last, sizeof(p->last)) != 0 ||
	    json_array_append_new(p->list, item_json(it)) != 0)
		return ERR_NOMEM;
	return 0;
}

int
items_list(struct rest_call *c)
{
	struct items_page p = {.list = json_array()};
	char after[KIND_NAME_MAX + 1];
	struct store_item_filter f = {.kind = (int)c->route->kind,
	    .prefix = http_param(c->req, "prefix"),
	    .tenant = http_param(c->req, "tenant")};
	int limit, rc;

	rc = query_limit(c, &limit);
	if (rc == 0)
		rc = cursor_read(c, 'i', after, sizeof(after));
	if (rc == 0 && f.tenant.p != NULL && !name_is_valid(f.tenant, 1))
		rc = err_set_field(&c->e, ERR_INVALID, "tenant",
		    "query parameter tenant must be the name of a tenant");
	if (rc == 0 && f.prefix.len > KIND_NAME_MAX)
		rc = err_set_field(&c->e, ERR_INVALID, "prefix",
		    "query parameter prefix is too long");
	if (rc == 0) {
		p.limit = (size_t)limit;
		f.limit = limit + 1;
		f.after = str_of(after);
		rc = store_config_list(c->db, &f, items_on_list, &p, &c->e);
	}
	if (rc != 0) {
		json_decref(p.list);
		return rc;
	}
	return rest_json(c, 200,
	    json_pack("{s:o, s:o}", "items", p.list, "next_cursor",
		cursor_json('i', p.more ? str_of(p.last) : STR_NULL)));
}

struct items_one {
	json_t *item;
	uint64_t version;
};

static int
items_on_one(void *ctx, const struct store_item *it)
{
	struct items_one *o = ctx;

	o->item = item_json(it);
	o->version = it->version;
	return o->item ? 0 : ERR_NOMEM;
}

/* Read the item called name and answer with it; extra (taken, may be NULL) is
 * merged into the answer. */
static int
items_answer(struct rest_call *c, int status, struct str name, json_t *extra)
{
	struct items_one o = {.item = NULL};
	struct str match = http_header(c->req, "if-none-match");
	char etag[32];
	int rc;

	rc = store_config_get(
	    c->db, (int)c->route->kind, name, items_on_one, &o, &c->e);
	if (rc == 0 && extra != NULL)
		rc = json_object_update(o.item, extra) ? ERR_NOMEM : 0;
	json_decref(extra);
	if (rc != 0) {
		json_decref(o.item);
		return rc;
	}
	(void)snprintf(
	    etag, sizeof(etag), "\"%llu\"", (unsigned long long)o.version);
	http_set_header(c->res, "ETag", "%s", etag);
	if (!(c->route->flags & RR_WRITE) && str_eqz(match, etag)) {
		json_decref(o.item);
		return rest_empty(c, 304);
	}
	return rest_json(c, status, o.item);
}

int
items_get(struct rest_call *c)
{
	return items_answer(c, 200, c->params[0], NULL);
}

/* If-Match: one strong tag or *; 0 = any. */
static int
items_if_match(struct rest_call *c, uint64_t *version)
{
	struct str h = http_header(c->req, "if-match");

	*version = 0;
	if (h.p == NULL || str_eqz(h, "*"))
		return 0;
	if (h.len >= 3 && h.p[0] == '"' && h.p[h.len - 1] == '"' &&
	    h.len <= 20 &&
	    str_to_u64(str_make(h.p + 1, h.len - 2), version) == 0 &&
	    *version != 0)
		return 0;
	return err_set_field(&c->e, ERR_PRECONDITION, "if-match",
	    "If-Match does not hold an ETag of this item");
}

/* Members that describe the item itself may come back as they were read. */
static int
items_strip(struct rest_call *c, struct str name)
{
	static const char *const own[] = {
	    "uid", "version", "created_at", "updated_at"};
	const json_t *kind = json_object_get(c->body, "kind");
	const json_t *n = json_object_get(c->body, "name");
	size_t i;

	if (kind != NULL &&
	    !(json_is_string(kind) && strcmp(json_string_value(kind),
					  kind_get(c->route->kind)->name) == 0))
		return err_set_field(&c->e, ERR_INVALID, "/kind",
		    "kind must be %s here", kind_get(c->route->kind)->name);
	if (n != NULL &&
	    !(json_is_string(n) && str_eqz(name, json_string_value(n))))
		return err_set_field(
		    &c->e, ERR_INVALID, "/name", "a name cannot be changed");
	(void)json_object_del(c->body, "kind");
	(void)json_object_del(c->body, "name");
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		(void)json_object_del(c->body, own[i]);
	return 0;
}

int
config_message(struct rest_call *c, struct str given, const char *what,
    struct str name, char dst[CONFIG_MESSAGE_MAX])
{
	size_t i;

	if (given.len >= CONFIG_MESSAGE_MAX)
		return err_set_field(
		    &c->e, ERR_INVALID, "message", "the message is too long");
	for (i = 0; i < given.len; i++)
		if ((unsigned char)given.p[i] < 0x20 || given.p[i] == 0x7f)
			return err_set_field(&c->e, ERR_INVALID, "message",
			    "the message holds control characters");
	if (given.len > 0)
		(void)snprintf(dst, CONFIG_MESSAGE_MAX, "%.*s", STR_ARG(given));
	else
		(void)snprintf(
		    dst, CONFIG_MESSAGE_MAX, "%s %.*s", what, STR_ARG(name));
	return 0;
}

/* Commit one change; r is released by the caller. */
static int
items_commit(struct rest_call *c, enum config_op op, struct str name,
    struct config_result *r)
{
	static const char *const verbs[] = {[CONFIG_CREATE] = "create",
	    [CONFIG_REPLACE] = "replace",
	    [CONFIG_PUT] = "put",
	    [CONFIG_PATCH] = "change",
	    [CONFIG_DELETE] = "delete"};
	const struct kind_def *k = kind_get(c->route->kind);
	struct config_change ch = {.op = op,
	    .k = k,
	    .name = name,
	    .spec = c->body,
	    .at = "",
	    .at_name = op == CONFIG_CREATE ? "/name" : ""};
	char message[CONFIG_MESSAGE_MAX], what[64];
	struct config_commit cc = {.changes = &ch,
	    .n = 1,
	    .author = str_of(c->who.name),
	    .vault = c->o->vault,
	    .rng = c->o->rng};
	int rc;

	config_result_init(r);
	(void)snprintf(what, sizeof(what), "%s %s", verbs[op], k->name);
	rc = config_message(
	    c, http_param(c->req, "message"), what, name, message);
	if (rc == 0)
		rc = items_if_match(c, &ch.if_version);
	if (rc != 0)
		return rc;
	cc.message = str_of(message);
	rc = config_commit(c->db, &cc, r, &c->problems, &c->e);
	if (rc != 0)
		return rc;
	c->version = r->version;
	if (r->version != 0)
		http_set_header(c->res, "X-Headgate-Config-Version", "%llu",
		    (unsigned long long)r->version);
	rest_audit(c, verbs[op],
	    json_pack("{s:o}", "changes", config_changes_json(r)), "%s/%.*s",
	    k->plural, STR_ARG(name));
	return 0;
}

int
items_create(struct rest_call *c)
{
	const json_t *n = json_object_get(c->body, "name");
	json_t *secret = NULL;
	struct config_result r;
	char name[KIND_NAME_MAX + 1];
	int rc;

	if (!json_is_string(n) ||
	    str_copy(str_make(json_string_value(n), json_string_length(n)),
		name, sizeof(name)) != 0)
		return err_set_field(&c->e, ERR_INVALID, "/name",
		    "name is required and must be a string");
	rc = items_strip(c, str_of(name));
	if (rc != 0)
		return rc;
	rc = items_commit(c, CONFIG_CREATE, str_of(name), &r);
	/* The transaction may run again with the same body. */
	(void)json_object_set_new(c->body, "name", json_string(name));
	if (rc != 0)
		return rc;
	if (r.v[0].secret != NULL) {
		secret = json_pack("{s:s}", "secret", r.v[0].secret);
		if (secret == NULL)
			rc = err_set(&c->e, ERR_NOMEM, "out of memory");
	}
	config_result_release(&r);
	if (rc != 0)
		return rc;
	http_set_header(c->res, "Location", "/v1/%s/%s",
	    kind_get(c->route->kind)->plural, name);
	return items_answer(c, 201, str_of(name), secret);
}

static int
items_change(struct rest_call *c, enum config_op op)
{
	struct config_result r;
	int rc = items_strip(c, c->params[0]);

	if (rc == 0)
		rc = items_commit(c, op, c->params[0], &r);
	if (rc != 0)
		return rc;
	config_result_release(&r);
	return items_answer(c, 200, c->params[0], NULL);
}

int
items_replace(struct rest_call *c)
{
	return items_change(c, CONFIG_REPLACE);
}

int
items_patch(struct rest_call *c)
{
	return items_change(c, CONFIG_PATCH);
}

int
items_delete(struct rest_call *c)
{
	struct config_result r;
	int rc = items_commit(c, CONFIG_DELETE, c->params[0], &r);

	if (rc != 0)
		return rc;
	config_result_release(&r);
	return rest_empty(c, 204);
}
