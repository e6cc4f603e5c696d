/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Config versions, the audit log and admin tokens.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/fetch.h"
#include "cli/show.h"

int
cmd_version_list(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/versions", NULL, "");
	rc = fetch_some(c, a, &path, "20",
	    "version#,at,author,changes:n_changes#,rollback_of#,"
	    "message");
	buf_release(&path);
	return rc;
}

int
cmd_version_show(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/versions/", a->pos[0],
	    args_has(a, "rollout") ? "/rollout" : "");
	rc = fetch_fields(c, buf_cstr(&path));
	buf_release(&path);
	return rc;
}

static void
diff_show(struct cli *c, const json_t *changes)
{
	json_t *one, *d;
	size_t i, k;

	json_array_foreach (changes, i, one) {
		fprintf(c->out, "%-6s %s %s\n",
		    json_string_value(json_object_get(one, "op")),
		    json_string_value(json_object_get(one, "kind")),
		    json_string_value(json_object_get(one, "name")));
		json_array_foreach (json_object_get(one, "diff"), k, d) {
			struct buf b;

			buf_init(&b, 1 << 20);
			show_value(&b, json_object_get(d, "old"));
			buf_addz(&b, " -> ");
			show_value(&b, json_object_get(d, "new"));
			fprintf(c->out, "    %s: %s\n",
			    json_string_value(json_object_get(d, "path")),
			    buf_cstr(&b));
			buf_release(&b);
		}
	}
	if (json_array_size(changes) == 0)
		fprintf(c->out, "No difference\n");
}

int
cmd_version_diff(struct cli *c, const struct cli_args *a)
{
	const char *to = a->pos[a->n_pos - 1];
	json_t *reply = NULL;
	struct buf path;
	int rc;

	client_path(&path, "/v1/versions/", to, "/diff");
	if (a->n_pos == 2)
		client_query(&path, "from", a->pos[0]);
	rc = client_call(c, "GET", buf_cstr(&path), NULL, &reply, NULL);
	if (rc == 0 && c->output == OUT_JSON)
		show_json(c, reply);
	else if (rc == 0)
		diff_show(c, json_object_get(reply, "changes"));
	json_decref(reply);
	buf_release(&path);
	return rc;
}

int
cmd_version_rollback(struct cli *c, const struct cli_args *a)
{
	const char *message = args_get(a, "message");
	json_t *body, *reply = NULL;
	struct buf path;
	int rc;

	client_path(&path, "/v1/versions/", a->pos[0], "/rollback");
	body = json_object();
	if (message != NULL)
		json_object_set_new(body, "message", json_string(message));
	rc = client_call(c, "POST", buf_cstr(&path), body, &reply, NULL);
	if (rc == 0 && c->output == OUT_JSON)
		show_json(c, reply);
	else if (rc == 0)
		fprintf(c->out,
		    "Config version %lld has the content of version %s\n",
		    (long long)json_integer_value(
			json_object_get(reply, "version")),
		    a->pos[0]);
	json_decref(body);
	json_decref(reply);
	buf_release(&path);
	return rc;
}

int
cmd_audit_list(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/audit", NULL, "");
	rc = fetch_some(c, a, &path, "50",
	    "at,actor,role,action,target,version#,request_id");
	buf_release(&path);
	return rc;
}

int
cmd_admin_token_create(struct cli *c, const struct cli_args *a)
{
	const char *role = args_get(a, "role");
	const char *expires = args_get(a, "expires-at");
	json_t *body, *reply = NULL;
	const char *token;
	int rc;

	body = json_pack("{s:s,s:s}", "name", a->pos[0], "role",
	    role != NULL ? role : "viewer");
	if (expires != NULL)
		json_object_set_new(body, "expires_at", json_string(expires));
	rc = client_call(c, "POST", "/v1/admin-tokens", body, &reply, NULL);
	token = json_string_value(json_object_get(reply, "token"));
	if (rc == 0 && c->output == OUT_JSON)
		show_json(c, reply);
	else if (rc == 0)
		fprintf(c->out, "%s\n", token != NULL ? token : "");
	json_decref(body);
	json_decref(reply);
	return rc;
}

int
cmd_admin_token_list(struct cli *c, const struct cli_args *a)
{
	(void)a;
	return fetch_all(
	    c, "/v1/admin-tokens", "id,name,role,created_at,expires_at");
}

int
cmd_admin_token_delete(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/admin-tokens/", a->pos[0], "");
	rc = client_call(c, "DELETE", buf_cstr(&path), NULL, NULL, NULL);
	if (rc == 0)
		fprintf(c->out, "Admin token %s deleted\n", a->pos[0]);
	buf_release(&path);
	return rc;
}
