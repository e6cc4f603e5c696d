/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate apply: a folder of YAML documents becomes one config version, all
 * or nothing. The control plane computes the difference; the CLI shows it and
 * turns its errors back into file, line and field.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/apply.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/yaml.h"
#include "common/io.h"

#define APPLY_FILE_MAX	((size_t)8 << 20)
#define APPLY_FILES_MAX 10000

static int
apply_load_file(struct cli *c, struct yaml_set *set, const char *path)
{
	struct buf text;
	int rc;

	if (set->n_files >= APPLY_FILES_MAX)
		return err_set(&c->err, ERR_TOO_LARGE, "more than %d files",
		    APPLY_FILES_MAX);
	buf_init(&text, APPLY_FILE_MAX);
	rc = io_read_file(io_system(), path, &text, &c->err);
	if (rc == 0)
		rc = yaml_load(set, path, buf_str(&text), &c->err);
	buf_release(&text);
	return rc;
}

static int
apply_load_stdin(struct cli *c, struct yaml_set *set)
{
	char chunk[65536];
	struct buf text;
	ssize_t n;
	int rc;

	buf_init(&text, APPLY_FILE_MAX);
	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
		buf_add(&text, chunk, (size_t)n);
	if (n < 0 || buf_error(&text) != 0)
		rc = err_set(&c->err, ERR_INVALID,
		    "cannot read standard input, or it is larger "
		    "than 8 MiB");
	else
		rc = yaml_load(set, "<stdin>", buf_str(&text), &c->err);
	buf_release(&text);
	return rc;
}

static int
is_yaml(const struct dirent *d)
{
	struct str name = str_of(d->d_name);

	return d->d_name[0] != '.' &&
	       (str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")));
}

/* The .yaml and .yml files of one folder in name order; not recursive. */
static int
apply_load_dir(struct cli *c, struct yaml_set *set, const char *dir)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_yaml, alphasort);
	int rc = 0;

	if (n < 0)
		return err_set(&c->err, ERR_NOT_FOUND, "cannot read %s", dir);
	if (n == 0)
		rc = err_set(&c->err, ERR_NOT_FOUND,
		    "%s holds no .yaml or .yml file", dir);
	for (int i = 0; i < n; i++) {
		struct buf path;

		buf_init(&path, 8192);
		buf_addf(&path, "%s%s%s", dir,
		    str_ends(str_of(dir), STR("/")) ? "" : "/",
		    names[i]->d_name);
		if (rc == 0)
			rc = apply_load_file(c, set, buf_cstr(&path));
		buf_release(&path);
		free(names[i]);
	}
	free(names);
	return rc;
}

int
apply_load(struct cli *c, struct yaml_set *set, const char *from)
{
	struct stat st;

	if (strcmp(from, "-") == 0)
		return apply_load_stdin(c, set);
	if (stat(from, &st) != 0)
		return err_set(
		    &c->err, ERR_NOT_FOUND, "no such file: %s", from);
	return S_ISDIR(st.st_mode) ? apply_load_dir(c, set, from)
				   : apply_load_file(c, set, from);
}

/* One line for each error of the problem, at its place in the files. The
 * first becomes the command's error, the others are printed before it. */
static void
apply_explain(struct cli *c, const struct yaml_set *set, const json_t *problem)
{
	json_t *errors = json_object_get(problem, "errors"), *one;
	size_t i, n = json_array_size(errors);

	json_array_foreach (errors, i, one) {
		const char *field =
		    json_string_value(json_object_get(one, "field"));
		const char *detail =
		    json_string_value(json_object_get(one, "detail"));
		const struct yaml_place *at =
		    field != NULL ? yaml_find(set, field) : NULL;
		const char *shown = field;

		if (at == NULL || detail == NULL)
			continue;
		/* the part behind "/items/N/" is what the file shows */
		shown = strchr(field + 1, '/');
		shown = shown != NULL ? strchr(shown + 1, '/') : NULL;
		shown = shown != NULL ? shown + 1 : "document";
		if (i + 1 < n)
			fprintf(stderr, "headgate: %s:%zu: %s: %s\n", at->file,
			    at->line, shown, detail);
		else
			err_set(&c->err, c->err.code, "%s:%zu: %s: %s",
			    at->file, at->line, shown, detail);
	}
}

static void
apply_show_change(struct cli *c, const json_t *change)
{
	const char *op = json_string_value(json_object_get(change, "op"));
	const char *mark = op == NULL		       ? "?"
			   : strcmp(op, "create") == 0 ? "+"
			   : strcmp(op, "delete") == 0 ? "-"
						       : "~";
	json_t *diff = json_object_get(change, "diff"), *d;
	size_t i;

	fprintf(c->out, "%s %s %s\n", mark,
	    json_string_value(json_object_get(change, "kind")),
	    json_string_value(json_object_get(change, "name")));
	if (mark[0] != '~')
		return;
	json_array_foreach (diff, i, d) {
		struct buf old, new;

		buf_init(&old, 1 << 20);
		buf_init(&new, 1 << 20);
		show_value(&old, json_object_get(d, "old"));
		show_value(&new, json_object_get(d, "new"));
		fprintf(c->out, "    %s: %s -> %s\n",
		    json_string_value(json_object_get(d, "path")),
		    buf_cstr(&old), buf_cstr(&new));
		buf_release(&old);
		buf_release(&new);
	}
}

static void
apply_show(struct cli *c, const json_t *reply)
{
	json_t *changes = json_object_get(reply, "changes"), *one;
	json_t *secrets = json_object_get(reply, "created_secrets");
	long long version =
	    json_integer_value(json_object_get(reply, "version"));
	long long unchanged =
	    json_integer_value(json_object_get(reply, "unchanged"));
	size_t i;

	if (c->output == OUT_JSON) {
		show_json(c, reply);
		return;
	}
	json_array_foreach (changes, i, one)
		apply_show_change(c, one);
	json_array_foreach (secrets, i, one)
		fprintf(c->out, "secret of key %s (shown only now): %s\n",
		    json_string_value(json_object_get(one, "name")),
		    json_string_value(json_object_get(one, "secret")));
	if (json_is_true(json_object_get(reply, "dry_run")))
		fprintf(c->out,
		    "Dry run: %zu to change, %lld unchanged; "
		    "nothing was written\n",
		    json_array_size(changes), unchanged);
	else if (version == 0)
		fprintf(
		    c->out, "Nothing to change (%lld unchanged)\n", unchanged);
	else
		fprintf(c->out,
		    "Config version %lld: %zu changed, %lld "
		    "unchanged\n",
		    version, json_array_size(changes), unchanged);
}

int
apply_send(struct cli *c, json_t *items, const char *message, bool dry_run,
    bool prune, const struct yaml_set *set)
{
	json_t *reply = NULL, *problem = NULL, *body;
	int rc;

	body = json_pack("{s:s,s:b,s:b,s:O}", "message", message, "dry_run",
	    dry_run, "prune", prune, "items", items);
	rc = client_call(c, "POST", "/v1/apply", body, &reply, &problem);
	if (rc != 0 && problem != NULL && set != NULL)
		apply_explain(c, set, problem);
	if (rc == 0)
		apply_show(c, reply);
	json_decref(body);
	json_decref(reply);
	json_decref(problem);
	return rc;
}

int
cmd_apply(struct cli *c, const struct cli_args *a)
{
	const char *from = args_get(a, "filename");
	const char *message = args_get(a, "message");
	struct yaml_set set;
	int rc;

	if (from == NULL && a->n_pos > 0)
		from = a->pos[0];
	if (from == NULL)
		return err_set(&c->err, ERR_USAGE,
		    "name a folder or file: headgate apply -f DIR");
	yaml_set_init(&set);
	rc = apply_load(c, &set, from);
	if (rc == 0)
		rc = apply_send(c, set.items,
		    message != NULL ? message : "headgate apply",
		    args_has(a, "dry-run"), args_has(a, "prune"), &set);
	yaml_set_release(&set);
	return rc;
}
