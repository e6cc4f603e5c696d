/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get, describe, create, set and delete of every kind of resource.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/fetch.h"
#include "cli/kinds.h"
#include "cli/show.h"

const struct cli_kind cli_kinds[] = {
    {"tenant", "tenants", "name,display_name,disabled,version#"},
    {"team", "teams", "name,display_name,disabled,version#"},
    {"project", "projects", "name,display_name,cost_center,disabled,version#"},
    {"key", "keys", "name,prefix,expires_at,disabled,routes,version#"},
    {"provider", "providers", "name,dialect,base_url,region,version#"},
    {"model", "models",
	"name,capabilities,context_tokens#,max_output_tokens#,version#"},
    {"deployment", "deployments",
	"name,model,provider,upstream_model,region,agent_groups,version#"},
    {"route", "routes", "name,targets,on_disconnect,version#"},
    {"budget", "budgets",
	"name,scope,model,provider,route,limit usd:limit_usd,mode,period,"
	"time_zone,version#"},
    {"limit", "limits",
	"name,scope,rpm:requests_per_minute#,tpm:tokens_per_minute#,"
	"concurrency#,version#"},
};
const size_t n_cli_kinds = sizeof(cli_kinds) / sizeof(cli_kinds[0]);

const struct cli_kind *
kind_find(const char *word)
{
	for (size_t i = 0; i < n_cli_kinds; i++)
		if (strcmp(word, cli_kinds[i].singular) == 0 ||
		    strcmp(word, cli_kinds[i].plural) == 0)
			return &cli_kinds[i];
	return NULL;
}

static const struct cli_kind *
kind_need(struct cli *c, const char *word)
{
	const struct cli_kind *k = kind_find(word);
	struct buf names;

	if (k != NULL)
		return k;
	buf_init(&names, 1024);
	for (size_t i = 0; i < n_cli_kinds; i++)
		buf_addf(
		    &names, "%s%s", i > 0 ? ", " : "", cli_kinds[i].singular);
	err_set(&c->err, ERR_USAGE, "unknown kind '%s' (one of %s)", word,
	    buf_cstr(&names));
	buf_release(&names);
	return NULL;
}

static void
item_path(struct buf *path, const struct cli_kind *k, const char *name)
{
	buf_addf(path, "/v1/%s", k->plural);
	if (name != NULL) {
		buf_addc(path, '/');
		client_encode(path, name);
	}
}

int
cmd_get(struct cli *c, const struct cli_args *a)
{
	const struct cli_kind *k = kind_need(c, a->pos[0]);
	json_t *reply = NULL, *list = NULL;
	struct buf path;
	int rc;

	if (k == NULL)
		return c->err.code;
	buf_init(&path, 8192);
	if (a->n_pos > 1) {
		item_path(&path, k, a->pos[1]);
		rc = client_call(c, "GET", buf_cstr(&path), NULL, &reply, NULL);
		if (rc == 0 && c->output == OUT_JSON)
			show_json(c, reply);
		else if (rc == 0) {
			list = json_pack("[O]", reply);
			show_list(c, list, k->columns);
		}
	} else {
		item_path(&path, k, NULL);
		client_query(&path, "tenant", args_get(a, "tenant"));
		rc = fetch_all(c, buf_cstr(&path), k->columns);
	}
	json_decref(reply);
	json_decref(list);
	buf_release(&path);
	return rc;
}

int
cmd_describe(struct cli *c, const struct cli_args *a)
{
	const struct cli_kind *k = kind_need(c, a->pos[0]);
	struct buf path;
	int rc;

	if (k == NULL)
		return c->err.code;
	buf_init(&path, 8192);
	item_path(&path, k, a->pos[1]);
	rc = fetch_fields(c, buf_cstr(&path));
	buf_release(&path);
	return rc;
}

/* "field=value": the value is JSON when it parses as an array, an object, a
 * whole number, true, false or null; anything else is a string. field:=JSON
 * insists on JSON. */
static int
field_set(struct cli *c, json_t *body, const char *arg)
{
	const char *eq = strchr(arg, '=');
	bool insist = eq != NULL && eq > arg && eq[-1] == ':';
	json_t *v;
	char name[128];
	size_t len;

	if (eq == NULL || eq == arg)
		return err_set(
		    &c->err, ERR_USAGE, "'%s' is not FIELD=VALUE", arg);
	len = (size_t)(eq - arg) - (insist ? 1 : 0);
	if (len >= sizeof(name))
		return err_set(&c->err, ERR_USAGE, "field name too long");
	memcpy(name, arg, len);
	name[len] = '\0';
	v = json_loads(eq + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (v == NULL && insist)
		return err_set(&c->err, ERR_USAGE, "%s: not JSON", name);
	if (v == NULL || json_is_real(v)) {
		json_decref(v);
		v = json_string(eq + 1);
	}
	if (v == NULL)
		return err_set(&c->err, ERR_USAGE, "%s: not UTF-8", name);
	json_object_set_new(body, name, v);
	return 0;
}

static int
item_write(
    struct cli *c, const struct cli_args *a, const char *method, bool named)
{
	const struct cli_kind *k = kind_need(c, a->pos[0]);
	json_t *body = json_object(), *reply = NULL;
	struct buf path;
	int rc = 0;

	buf_init(&path, 8192);
	if (k == NULL) {
		rc = c->err.code;
		goto out;
	}
	item_path(&path, k, named ? a->pos[1] : NULL);
	client_query(&path, "message", args_get(a, "message"));
	if (!named)
		json_object_set_new(body, "name", json_string(a->pos[1]));
	for (size_t i = 2; i < a->n_pos && rc == 0; i++)
		rc = field_set(c, body, a->pos[i]);
	if (rc == 0)
		rc =
		    client_call(c, method, buf_cstr(&path), body, &reply, NULL);
	if (rc != 0)
		goto out;
	if (c->output == OUT_JSON)
		show_json(c, reply);
	else
		fprintf(c->out, "%s %s %s (config version %lld)\n", k->singular,
		    a->pos[1], named ? "changed" : "created",
		    (long long)json_integer_value(
			json_object_get(reply, "version")));
out:
	json_decref(body);
	json_decref(reply);
	buf_release(&path);
	return rc;
}

int
cmd_create(struct cli *c, const struct cli_args *a)
{
	const struct cli_kind *k = kind_find(a->pos[0]);

	if (k != NULL && strcmp(k->singular, "key") == 0)
		return err_set(&c->err, ERR_USAGE,
		    "keys are made by 'headgate key create', which "
		    "shows the secret once");
	return item_write(c, a, "POST", false);
}

int
cmd_set(struct cli *c, const struct cli_args *a)
{
	return item_write(c, a, "PATCH", true);
}

int
cmd_delete(struct cli *c, const struct cli_args *a)
{
	const struct cli_kind *k = kind_need(c, a->pos[0]);
	struct buf path;
	int rc;

	if (k == NULL)
		return c->err.code;
	buf_init(&path, 8192);
	item_path(&path, k, a->pos[1]);
	client_query(&path, "message", args_get(a, "message"));
	rc = client_call(c, "DELETE", buf_cstr(&path), NULL, NULL, NULL);
	if (rc == 0)
		fprintf(c->out, "%s %s deleted\n", k->singular, a->pos[1]);
	buf_release(&path);
	return rc;
}
