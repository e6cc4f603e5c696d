/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admin tokens. Only owners get here; the text of a token is in one answer
 * and nowhere else.
 */
#include <sodium.h>

#include "controlplane/rest/handlers.h"
#include "controlplane/rest/call.h"

static json_t *
token_json(const struct admin_token *t)
{
	return json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:s}", "id",
	    json_u64((uint64_t)t->id), "name", t->name, "role",
	    admin_role_name(t->role), "prefix", t->prefix, "created_at",
	    json_instant(t->created_at), "expires_at",
	    json_instant(t->expires_at), "last_used_at",
	    json_instant(t->last_used_at), "created_by", t->created_by);
}

static int
token_on_row(void *ctx, const struct admin_token *t)
{
	return json_array_append_new(ctx, token_json(t)) ? ERR_NOMEM : 0;
}

int
tokens_list(struct rest_call *c)
{
	json_t *list = json_array();
	int rc = admin_token_list(c->db, token_on_row, list, &c->e);

	if (rc != 0) {
		json_decref(list);
		return rc;
	}
	return rest_json(
	    c, 200, json_pack("{s:o, s:n}", "items", list, "next_cursor"));
}

static bool
token_name_ok(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!(((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z') ||
			(s.p[i] >= '0' && s.p[i] <= '9') ||
			strchr("._@-", s.p[i])))
			return false;
	/* Digits alone would be taken for an id. */
	for (i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return true;
	return false;
}

int
tokens_create(struct rest_call *c)
{
	char secret[ADMIN_TOKEN_TEXT] = "";
	struct str name, role_text, expires;
	enum admin_role role = ROLE_VIEWER;
	struct admin_token t;
	int64_t expires_at = 0;
	json_t *out;
	int rc;

	rc = body_only(c, "name role expires_at");
	if (rc == 0)
		rc = body_string(c, "name", 100, true, &name);
	if (rc == 0 && !token_name_ok(name))
		rc = err_set_field(&c->e, ERR_INVALID, "/name",
		    "a token's name has letters, digits and . _ @ -, and not "
		    "only digits");
	if (rc == 0)
		rc = body_string(c, "role", 20, true, &role_text);
	if (rc == 0 && admin_role_parse(role_text, &role) != 0)
		rc = err_set_field(&c->e, ERR_INVALID, "/role",
		    "role must be owner, admin, finance or viewer");
	if (rc == 0)
		rc = body_string(c, "expires_at", 40, false, &expires);
	if (rc == 0 && expires.p != NULL &&
	    (parse_time(expires, &expires_at) != 0 ||
		expires_at <= clock_wall(c->o->clock)))
		rc = err_set_field(&c->e, ERR_INVALID, "/expires_at",
		    "expires_at must be an instant in the future");
	if (rc == 0)
		rc = admin_token_create(c->db, name, role, expires_at,
		    str_of(c->who.name), secret, &t, &c->e);
	if (rc != 0)
		return rc;
	out = token_json(&t);
	if (json_object_set_new(out, "token", json_string(secret)) != 0) {
		json_decref(out);
		out = NULL;
	}
	sodium_memzero(secret, sizeof(secret));
	rest_audit(c, "create",
	    json_pack("{s:s, s:o}", "role", admin_role_name(t.role),
		"expires_at", json_instant(t.expires_at)),
	    "admin-tokens/%s", t.name);
	http_set_header(
	    c->res, "Location", "/v1/admin-tokens/%lld", (long long)t.id);
	return rest_json(c, 201, out);
}

int
tokens_revoke(struct rest_call *c)
{
	struct admin_token t;
	int rc = admin_token_revoke(c->db, c->params[0], &t, &c->e);

	if (rc != 0)
		return rc;
	c->tokens_changed = true;
	rest_audit(c, "revoke", NULL, "admin-tokens/%s", t.name);
	return rest_empty(c, 204);
}

int
whoami_get(struct rest_call *c)
{
	return rest_json(c, 200, token_json(&c->who));
}
