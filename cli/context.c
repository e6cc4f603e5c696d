/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts and login. The file is replaced as a whole (write, fsync, rename),
 * so an interrupted login leaves the old one.
 */
#include "cli/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/table.h"
#include "common/io.h"

static int
context_path(struct cli *c, struct buf *path)
{
	const char *env = getenv("HEADGATE_CONFIG");
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	if (env != NULL && env[0] != '\0')
		buf_addz(path, env);
	else if (xdg != NULL && xdg[0] != '\0')
		buf_addf(path, "%s/headgate/contexts.json", xdg);
	else if (home != NULL && home[0] != '\0')
		buf_addf(path, "%s/.config/headgate/contexts.json", home);
	else
		return err_set(
		    &c->err, ERR_USAGE, "HOME is not set: set HEADGATE_CONFIG");
	return buf_error(path);
}

/* The whole file; an empty document when it does not exist. */
static int
context_load(struct cli *c, json_t **doc)
{
	json_error_t je;
	struct buf path;
	int rc;

	buf_init(&path, 4096);
	rc = context_path(c, &path);
	if (rc != 0)
		goto out;
	if (access(buf_cstr(&path), F_OK) != 0) {
		*doc = json_pack("{s:{}}", "contexts");
		goto out;
	}
	*doc = json_load_file(buf_cstr(&path), JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(json_object_get(*doc, "contexts"))) {
		json_decref(*doc);
		*doc = NULL;
		rc = err_set(&c->err, ERR_CORRUPT,
		    "%s:%d: not a contexts file: %s", buf_cstr(&path), je.line,
		    je.text);
	}
out:
	buf_release(&path);
	return rc;
}

static int
context_save(struct cli *c, const json_t *doc)
{
	char *text = json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS);
	struct buf path, dir;
	char *slash;
	int rc;

	buf_init(&path, 4096);
	buf_init(&dir, 4096);
	rc = context_path(c, &path);
	if (rc != 0 || text == NULL)
		goto out;
	buf_addz(&dir, buf_cstr(&path));
	slash = strrchr(buf_cstr(&dir), '/');
	if (slash != NULL && slash != dir.data) {
		*slash = '\0';
		rc = io_mkdirs(dir.data, 0700, &c->err);
		if (rc != 0)
			goto out;
	}
	rc = io_write_file_atomic(
	    io_system(), buf_cstr(&path), text, strlen(text), 0600, &c->err);
out:
	free(text);
	buf_release(&dir);
	buf_release(&path);
	return rc;
}

static void
context_take(char **dst, const char *value)
{
	if (*dst == NULL && value != NULL && value[0] != '\0')
		*dst = strdup(value);
}

int
context_resolve(struct cli *c)
{
	const char *name = c->context;
	json_t *doc = NULL, *ctx;
	size_t len;
	int rc = 0;

	if (name == NULL) {
		context_take(&c->server, getenv("HEADGATE_SERVER"));
		context_take(&c->token, getenv("HEADGATE_TOKEN"));
	}
	if (c->server == NULL || c->token == NULL) {
		rc = context_load(c, &doc);
		if (rc != 0)
			return rc;
		if (name == NULL)
			name =
			    json_string_value(json_object_get(doc, "current"));
		ctx = json_object_get(
		    json_object_get(doc, "contexts"), name != NULL ? name : "");
		if (ctx == NULL && c->context != NULL)
			rc = err_set(&c->err, ERR_NOT_FOUND,
			    "no context named '%s' (see 'headgate "
			    "context list')",
			    c->context);
		context_take(&c->server,
		    json_string_value(json_object_get(ctx, "server")));
		context_take(&c->token,
		    json_string_value(json_object_get(ctx, "token")));
		json_decref(doc);
	}
	len = c->server != NULL ? strlen(c->server) : 0;
	while (len > 0 && c->server[len - 1] == '/')
		c->server[--len] = '\0';
	return rc;
}

/* The token comes from --token-file, HEADGATE_TOKEN or standard input, never
 * from the command line, where other users could read it. */
static int
login_token(struct cli *c)
{
	char line[512];

	context_take(&c->token, getenv("HEADGATE_TOKEN"));
	if (c->token != NULL)
		return 0;
	if (isatty(STDIN_FILENO)) {
		char *typed = getpass("Admin token: ");

		context_take(&c->token, typed);
	} else if (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		context_take(&c->token, line);
	}
	if (c->token == NULL)
		return err_set(&c->err, ERR_USAGE,
		    "no token: pass --token-file, set "
		    "HEADGATE_TOKEN or write it to standard input");
	return 0;
}

int
cmd_login(struct cli *c, const struct cli_args *a)
{
	const char *name = args_get(a, "name");
	json_t *doc = NULL, *me = NULL;
	size_t len;
	int rc;

	free(c->server);
	c->server = strdup(a->pos[0]);
	if (c->server == NULL)
		return ERR_NOMEM;
	len = strlen(c->server);
	while (len > 0 && c->server[len - 1] == '/')
		c->server[--len] = '\0';
	rc = login_token(c);
	if (rc == 0)
		rc = client_call(c, "GET", "/v1/whoami", NULL, &me, NULL);
	if (rc == 0)
		rc = context_load(c, &doc);
	if (rc != 0)
		goto out;
	if (name == NULL)
		name = "default";
	json_object_set_new(json_object_get(doc, "contexts"), name,
	    json_pack("{s:s,s:s}", "server", c->server, "token", c->token));
	json_object_set_new(doc, "current", json_string(name));
	rc = context_save(c, doc);
	if (rc == 0) {
		const char *who =
		    json_string_value(json_object_get(me, "name"));
		const char *role =
		    json_string_value(json_object_get(me, "role"));

		fprintf(c->out, "Logged in to %s as %s (%s), context '%s'\n",
		    c->server, who ? who : "?", role ? role : "?", name);
	}
out:
	json_decref(me);
	json_decref(doc);
	return rc;
}

int
cmd_context_list(struct cli *c, const struct cli_args *a)
{
	json_t *doc = NULL, *ctx;
	const char *name, *current;
	struct table t;
	int rc = context_load(c, &doc);

	(void)a;
	if (rc != 0)
		return rc;
	current = json_string_value(json_object_get(doc, "current"));
	table_init(&t, "CURRENT,NAME,SERVER");
	json_object_foreach (json_object_get(doc, "contexts"), name, ctx) {
		bool is = current != NULL && strcmp(current, name) == 0;

		table_cell(&t, is ? "*" : " ");
		table_cell(&t, name);
		table_cell(
		    &t, json_string_value(json_object_get(ctx, "server")));
	}
	table_print(&t, c->out);
	table_release(&t);
	json_decref(doc);
	return 0;
}

int
cmd_context_use(struct cli *c, const struct cli_args *a)
{
	json_t *doc = NULL;
	int rc = context_load(c, &doc);

	if (rc != 0)
		return rc;
	if (json_object_get(json_object_get(doc, "contexts"), a->pos[0]) ==
	    NULL) {
		rc = err_set(
		    &c->err, ERR_NOT_FOUND, "no context named '%s'", a->pos[0]);
		goto out;
	}
	json_object_set_new(doc, "current", json_string(a->pos[0]));
	rc = context_save(c, doc);
	if (rc == 0)
		fprintf(c->out, "Context '%s' is current\n", a->pos[0]);
out:
	json_decref(doc);
	return rc;
}

int
cmd_context_delete(struct cli *c, const struct cli_args *a)
{
	const char *current;
	json_t *doc = NULL;
	int rc = context_load(c, &doc);

	if (rc != 0)
		return rc;
	if (json_object_del(json_object_get(doc, "contexts"), a->pos[0]) != 0) {
		rc = err_set(
		    &c->err, ERR_NOT_FOUND, "no context named '%s'", a->pos[0]);
		goto out;
	}
	current = json_string_value(json_object_get(doc, "current"));
	if (current != NULL && strcmp(current, a->pos[0]) == 0)
		json_object_del(doc, "current");
	rc = context_save(c, doc);
out:
	json_decref(doc);
	return rc;
}

int
cmd_whoami(struct cli *c, const struct cli_args *a)
{
	json_t *me = NULL;
	const char *key;
	json_t *value;
	int rc = client_call(c, "GET", "/v1/whoami", NULL, &me, NULL);

	(void)a;
	if (rc != 0)
		return rc;
	if (c->output == OUT_JSON) {
		json_dumpf(me, c->out, JSON_INDENT(2));
		fputc('\n', c->out);
	} else {
		json_object_foreach (me, key, value)
			if (json_is_string(value))
				fprintf(c->out, "%-12s %s\n", key,
				    json_string_value(value));
	}
	json_decref(me);
	return 0;
}
