/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual keys, agents and budgets.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/fetch.h"
#include "cli/show.h"
#include "common/money.h"
#include "common/clock.h"

/* "90d", "12h", "30m" from now, or an RFC 3339 instant taken as it is. */
static int
expiry_parse(struct cli *c, const char *s, char out[32])
{
	struct str text = str_of(s), digits;
	int64_t unit = 0, now = clock_wall(clock_system()), instant;
	uint64_t n;

	if (time_parse(text, &instant) == 0) {
		time_format(instant, 0, out);
		return 0;
	}
	if (text.len >= 2) {
		switch (s[text.len - 1]) {
		case 'm':
			unit = 60;
			break;
		case 'h':
			unit = 3600;
			break;
		case 'd':
			unit = 86400;
			break;
		default:
			break;
		}
	}
	digits = str_make(s, text.len > 0 ? text.len - 1 : 0);
	if (unit == 0 || str_to_u64(digits, &n) != 0 || n == 0 || n > 36500)
		return err_set(&c->err, ERR_USAGE,
		    "--expires %s: want 30m, 12h, 90d or an RFC "
		    "3339 time",
		    s);
	time_format(now + (int64_t)n * unit * NS_PER_S, 0, out);
	return 0;
}

/* "a,b" as a JSON array of strings. */
static json_t *
split_list(const char *s)
{
	json_t *arr = json_array();
	struct str rest = str_of(s), head;

	while (rest.len > 0) {
		str_cut(rest, ',', &head, &rest);
		head = str_trim(head);
		if (head.len > 0)
			json_array_append_new(
			    arr, json_stringn(head.p, head.len));
	}
	return arr;
}

int
cmd_key_create(struct cli *c, const struct cli_args *a)
{
	const char *expires = args_get(a, "expires");
	const char *routes = args_get(a, "routes");
	json_t *body = json_object(), *reply = NULL;
	const char *secret;
	char when[32];
	int rc = 0;

	json_object_set_new(body, "name", json_string(a->pos[0]));
	if (args_has(a, "display-name"))
		json_object_set_new(body, "display_name",
		    json_string(args_get(a, "display-name")));
	if (routes != NULL)
		json_object_set_new(body, "routes", split_list(routes));
	if (expires != NULL) {
		rc = expiry_parse(c, expires, when);
		json_object_set_new(body, "expires_at", json_string(when));
	}
	if (rc == 0)
		rc = client_call(c, "POST", "/v1/keys", body, &reply, NULL);
	if (rc != 0)
		goto out;
	secret = json_string_value(json_object_get(reply, "secret"));
	if (c->output == OUT_JSON)
		show_json(c, reply);
	else
		fprintf(c->out, "%s\n", secret != NULL ? secret : "");
	if (c->output == OUT_TABLE)
		fprintf(stderr,
		    "Key %s created. This is the only time that its "
		    "secret is shown.\n",
		    a->pos[0]);
out:
	json_decref(body);
	json_decref(reply);
	return rc;
}

int
cmd_key_revoke(struct cli *c, const struct cli_args *a)
{
	json_t *body = json_pack("{s:b}", "disabled", 1), *reply = NULL;
	struct buf path;
	int rc;

	client_path(&path, "/v1/keys/", a->pos[0], "");
	client_query(&path, "message", args_get(a, "message"));
	rc = client_call(c, "PATCH", buf_cstr(&path), body, &reply, NULL);
	if (rc == 0)
		fprintf(c->out, "Key %s revoked (config version %lld)\n",
		    a->pos[0],
		    (long long)json_integer_value(
			json_object_get(reply, "version")));
	json_decref(body);
	json_decref(reply);
	buf_release(&path);
	return rc;
}

int
cmd_agent_list(struct cli *c, const struct cli_args *a)
{
	(void)a;
	return fetch_all(c, "/v1/agents",
	    "id,hostname,group,region,state,version:"
	    "active_version#,lag:lag_versions#,"
	    "unshipped#,software:software_version,last_seen");
}

int
cmd_agent_describe(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/agents/", a->pos[0], "");
	rc = fetch_fields(c, buf_cstr(&path));
	buf_release(&path);
	return rc;
}

int
cmd_agent_revoke(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/agents/", a->pos[0], "");
	rc = client_call(c, "DELETE", buf_cstr(&path), NULL, NULL, NULL);
	if (rc == 0)
		fprintf(c->out, "Agent %s revoked\n", a->pos[0]);
	buf_release(&path);
	return rc;
}

static int
token_labels(struct cli *c, const char *text, json_t *body)
{
	json_t *labels = json_object();
	struct str rest = str_of(text), head, key, value;
	int rc = 0;

	while (rest.len > 0 && rc == 0) {
		char name[128];

		str_cut(rest, ',', &head, &rest);
		if (!str_cut(head, '=', &key, &value) ||
		    str_copy(key, name, sizeof(name)) != 0)
			rc = err_set(
			    &c->err, ERR_USAGE, "--labels: want key=value,...");
		else
			json_object_set_new(
			    labels, name, json_stringn(value.p, value.len));
	}
	json_object_set_new(body, "labels", labels);
	return rc;
}

int
cmd_agent_token(struct cli *c, const struct cli_args *a)
{
	static const char *const plain[] = {"group", "region"};
	const char *uses = args_get(a, "max-uses");
	const char *expires = args_get(a, "expires");
	json_t *body = json_object(), *reply = NULL;
	const char *token;
	uint64_t n;
	int rc = 0;

	for (size_t i = 0; i < 2; i++)
		if (args_has(a, plain[i]))
			json_object_set_new(
			    body, plain[i], json_string(args_get(a, plain[i])));
	if (expires != NULL)
		json_object_set_new(body, "expires_in", json_string(expires));
	if (args_has(a, "labels"))
		rc = token_labels(c, args_get(a, "labels"), body);
	if (rc == 0 && uses != NULL) {
		if (str_to_u64(str_of(uses), &n) != 0 || n == 0 || n > 100000)
			rc = err_set(&c->err, ERR_USAGE,
			    "--max-uses: a number from 1 to 100000");
		else
			json_object_set_new(
			    body, "max_uses", json_integer((json_int_t)n));
	}
	if (rc == 0)
		rc = client_call(
		    c, "POST", "/v1/join-tokens", body, &reply, NULL);
	if (rc != 0)
		goto out;
	token = json_string_value(json_object_get(reply, "token"));
	if (c->output == OUT_JSON)
		show_json(c, reply);
	else
		fprintf(c->out, "%s\n", token != NULL ? token : "");
out:
	json_decref(body);
	json_decref(reply);
	return rc;
}

int
cmd_budget_status(struct cli *c, const struct cli_args *a)
{
	json_t *reply = NULL, *list = NULL;
	struct buf path;
	int rc;

	client_path(&path, "/v1/budgets/", a->pos[0], "/status");
	client_query(&path, "value", args_get(a, "value"));
	rc = client_call(c, "GET", buf_cstr(&path), NULL, &reply, NULL);
	if (rc == 0 && c->output == OUT_JSON) {
		show_json(c, reply);
	} else if (rc == 0) {
		if (json_object_get(reply, "name") == NULL)
			json_object_set_new(
			    reply, "name", json_string(a->pos[0]));
		list = json_pack("[O]", reply);
		show_list(c, list,
		    json_object_get(reply, "values") != NULL
			? "name,each,values#,retired:retired_values#,"
			  "limit:limit_nanousd$,"
			  "spent:spent_nanousd$,leased:leased_nanousd$,"
			  "held:held_nanousd$,period_start,period_end"
			: "name,limit:limit_nanousd$,spent:spent_nanousd$,"
			  "free:free_nanousd$,leased:leased_nanousd$,"
			  "released:released_nanousd$,doubtful:doubtful_"
			  "nanousd$,"
			  "held:held_nanousd$,"
			  "period_start,"
			  "period_end");
	}
	json_decref(reply);
	json_decref(list);
	buf_release(&path);
	return rc;
}

int
cmd_budget_events(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	if (a->n_pos > 0)
		client_path(&path, "/v1/budgets/", a->pos[0], "/events");
	else
		client_path(&path, "/v1/events", NULL, "");
	client_query(&path, "limit", args_get(a, "limit"));
	rc = fetch_page(c, buf_cstr(&path),
	    "at,budget,value,kind,percent#,limit:limit_nanousd$,"
	    "spent:spent_nanousd$,forecast:forecast_nanousd$,"
	    "amount:amount_nanousd$,period_start");
	buf_release(&path);
	return rc;
}

int
cmd_budget_periods(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/budgets/", a->pos[0], "/periods");
	client_query(&path, "limit", args_get(a, "limit"));
	client_query(&path, "value", args_get(a, "value"));
	rc = fetch_page(c, buf_cstr(&path),
	    "period_start,period_end,state,limit:limit_nanousd$,"
	    "spent:spent_nanousd$,free:free_nanousd$,"
	    "held:held_nanousd$,carried:carried_in_nanousd$,"
	    "late:corrections_in_nanousd$,closed_at");
	buf_release(&path);
	return rc;
}

int
cmd_budget_values(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/budgets/", a->pos[0], "/values");
	rc = fetch_some(c, a, &path, "50",
	    "value,limit:limit_nanousd$,spent:spent_nanousd$,"
	    "free:free_nanousd$,leased:leased_nanousd$,"
	    "held:held_nanousd$,first_seen,last_used,retired_at");
	buf_release(&path);
	return rc;
}

/* POST body (taken) to an action of the budget, show what it has then. */
static int
budget_move(struct cli *c, const char *name, const char *action, json_t *body)
{
	json_t *reply = NULL;
	struct buf path;
	char usd[32];
	int rc;

	client_path(&path, "/v1/budgets/", name, action);
	rc = client_call(c, "POST", buf_cstr(&path), body, &reply, NULL);
	if (rc == 0 && c->output == OUT_JSON) {
		show_json(c, reply);
	} else if (rc == 0) {
		money_format(
		    json_integer_value(json_object_get(reply, "limit_nanousd")),
		    usd);
		fprintf(c->out, "%s: limit of this period %s USD\n", name, usd);
	}
	json_decref(body);
	json_decref(reply);
	buf_release(&path);
	return rc;
}

int
cmd_budget_increase(struct cli *c, const struct cli_args *a)
{
	const char *reason = args_get(a, "reason");
	const char *until = args_get(a, "until");

	if (reason == NULL || until == NULL)
		return err_set(
		    &c->err, ERR_USAGE, "--until and --reason are required");
	return budget_move(c, a->pos[0], "/increase",
	    json_pack("{s:s, s:s, s:s, s:s*}", "amount_usd", a->pos[1], "until",
		until, "reason", reason, "value", args_get(a, "value")));
}

int
cmd_budget_transfer(struct cli *c, const struct cli_args *a)
{
	const char *reason = args_get(a, "reason");

	if (reason == NULL)
		return err_set(&c->err, ERR_USAGE, "--reason is required");
	return budget_move(c, a->pos[0], "/transfer",
	    json_pack("{s:s, s:s, s:s}", "to", a->pos[1], "amount_usd",
		a->pos[2], "reason", reason));
}

/* NAME AGENT BOOT-EPOCH release|book, or NAME release|book for what is held
 * behind estimates. */
int
cmd_budget_doubt(struct cli *c, const struct cli_args *a)
{
	const char *reason = args_get(a, "reason");
	const char *action = a->pos[a->n_pos - 1];
	json_t *body, *reply = NULL;
	char usd[32];
	struct buf path;
	int rc;

	if (reason == NULL || reason[0] == '\0')
		return err_set(&c->err, ERR_USAGE,
		    "--reason: say what the decision rests on");
	if (a->n_pos == 3)
		return err_set(&c->err, ERR_USAGE,
		    "want NAME AGENT BOOT-EPOCH release|book, or NAME "
		    "release|book for what is held behind estimates");
	body = json_pack("{s:s, s:s}", "action", action, "reason", reason);
	if (a->n_pos == 4) {
		json_object_set_new(body, "agent", json_string(a->pos[1]));
		json_object_set_new(body, "boot_epoch", json_string(a->pos[2]));
	}
	if (args_has(a, "value"))
		json_object_set_new(
		    body, "value", json_string(args_get(a, "value")));
	if (args_has(a, "period-start"))
		json_object_set_new(body, "period_start",
		    json_string(args_get(a, "period-start")));
	client_path(&path, "/v1/budgets/", a->pos[0], "/doubt");
	rc = client_call(c, "POST", buf_cstr(&path), body, &reply, NULL);
	if (rc == 0 && c->output == OUT_JSON) {
		show_json(c, reply);
	} else if (rc == 0) {
		money_format(json_integer_value(
				 json_object_get(reply, "amount_nanousd")),
		    usd);
		fprintf(c->out, "%s: %s USD %s\n", a->pos[0], usd,
		    strcmp(action, "book") == 0 ? "counted as spent"
						: "given back");
	}
	json_decref(body);
	json_decref(reply);
	buf_release(&path);
	return rc;
}
