/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments and help of the commands, all from the one command table.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

const struct cli_flag cli_global_flags[] = {
    {"context", 0, "NAME", "use this context instead of the current one"},
    {"server", 0, "URL", "control plane, also HEADGATE_SERVER"},
    {"token-file", 0, "FILE", "admin token, also HEADGATE_TOKEN"},
    {"output", 'o', "FORMAT", "table, json, csv or name"},
    {"help", 'h', NULL, "explain the command"},
    {NULL, 0, NULL, NULL},
};

const char *
args_get(const struct cli_args *a, const char *name)
{
	if (a->flags == NULL)
		return NULL;
	for (size_t i = 0; a->flags[i].name != NULL; i++)
		if (strcmp(a->flags[i].name, name) == 0)
			return a->values[i];
	return NULL;
}

static int
args_output(struct cli *c, const char *value)
{
	static const char *const names[] = {"table", "json", "csv", "name"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]) == 0) {
			c->output = (enum cli_output)i;
			c->output_given = true;
			return 0;
		}
	}
	return err_set(&c->err, ERR_USAGE,
	    "-o %s: not one of table, json, csv, name", value);
}

static int
args_token_file(struct cli *c, const char *path)
{
	char line[512];
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return err_set(&c->err, ERR_USAGE, "cannot read %s", path);
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	line[strcspn(line, "\r\n")] = '\0';
	free(c->token);
	c->token = strdup(line);
	return c->token != NULL ? 0 : ERR_NOMEM;
}

/* context is looked at before the command runs (main.c). */
static int
args_global(struct cli *c, const char *name, const char *value)
{
	if (strcmp(name, "output") == 0)
		return args_output(c, value);
	if (strcmp(name, "token-file") == 0)
		return args_token_file(c, value);
	if (strcmp(name, "server") == 0) {
		free(c->server);
		c->server = strdup(value);
	} else if (strcmp(name, "context") == 0) {
		free(c->context);
		c->context = strdup(value);
	}
	return 0;
}

static const struct cli_flag *
args_lookup(
    const struct cli_flag *flags, const char *arg, size_t len, size_t *index)
{
	for (size_t i = 0; flags != NULL && flags[i].name != NULL; i++) {
		bool is_long = arg[1] == '-' &&
			       strlen(flags[i].name) == len - 2 &&
			       memcmp(arg + 2, flags[i].name, len - 2) == 0;
		bool is_short =
		    arg[1] != '-' && len == 2 && flags[i].letter == arg[1];

		if (is_long || is_short) {
			*index = i;
			return &flags[i];
		}
	}
	return NULL;
}

/* One "-x", "--name", "--name=value" or "--name value" at argv[*i]. */
static int
args_flag(struct cli *c, const struct cli_cmd *cmd, int argc, char *const *argv,
    int *i, struct cli_args *a)
{
	const char *arg = argv[*i];
	const char *eq = arg[1] == '-' ? strchr(arg, '=') : NULL;
	size_t len = eq != NULL ? (size_t)(eq - arg) : strlen(arg);
	const struct cli_flag *f;
	const char *value = eq != NULL ? eq + 1 : NULL;
	bool global = false;
	size_t index = 0;

	f = args_lookup(cmd->flags, arg, len, &index);
	if (f == NULL) {
		f = args_lookup(cli_global_flags, arg, len, &index);
		global = true;
	}
	if (f == NULL)
		return err_set(&c->err, ERR_USAGE,
		    "unknown option %s (see 'headgate help %s')", arg,
		    cmd->words);
	if (f->arg == NULL && value != NULL)
		return err_set(
		    &c->err, ERR_USAGE, "--%s takes no value", f->name);
	if (f->arg != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return err_set(&c->err, ERR_USAGE,
			    "--%s needs a value: %s", f->name, f->arg);
		value = argv[++*i];
	}
	if (global)
		return args_global(c, f->name, value);
	a->values[index] = value != NULL ? value : "";
	return 0;
}

int
args_parse(struct cli *c, const struct cli_cmd *cmd, int argc,
    char *const *argv, struct cli_args *a)
{
	bool only_pos = false;
	int rc;

	memset(a, 0, sizeof(*a));
	a->flags = cmd->flags;
	for (int i = 0; i < argc; i++) {
		if (!only_pos && strcmp(argv[i], "--") == 0) {
			only_pos = true;
			continue;
		}
		if (!only_pos && argv[i][0] == '-' && argv[i][1] != '\0') {
			rc = args_flag(c, cmd, argc, argv, &i, a);
			if (rc != 0)
				return rc;
			continue;
		}
		if (a->n_pos == cmd->max_pos)
			return err_set(&c->err, ERR_USAGE,
			    "too many arguments: '%s' (usage: "
			    "headgate %s %s)",
			    argv[i], cmd->words, cmd->args);
		a->pos[a->n_pos++] = argv[i];
	}
	if (a->n_pos < cmd->min_pos)
		return err_set(&c->err, ERR_USAGE,
		    "missing argument (usage: headgate %s %s)", cmd->words,
		    cmd->args);
	return 0;
}

const struct cli_cmd *
cmd_find(int argc, char *const *argv, int *used)
{
	const struct cli_cmd *best = NULL;

	*used = 0;
	for (size_t i = 0; i < n_cli_commands; i++) {
		const char *w = cli_commands[i].words;
		int n = 0;

		while (*w != '\0' && n < argc) {
			size_t len = strcspn(w, " ");

			if (strlen(argv[n]) != len ||
			    memcmp(argv[n], w, len) != 0)
				break;
			n++;
			w += len;
			w += *w == ' ' ? 1 : 0;
		}
		if (*w == '\0' && n > *used) {
			best = &cli_commands[i];
			*used = n;
		}
	}
	return best;
}

static void
help_flags(FILE *f, const struct cli_flag *flags)
{
	for (size_t i = 0; flags != NULL && flags[i].name != NULL; i++) {
		char left[64], letter[8] = "    ";

		if (flags[i].letter != 0)
			snprintf(
			    letter, sizeof(letter), "-%c, ", flags[i].letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter,
		    flags[i].name, flags[i].arg ? " " : "",
		    flags[i].arg ? flags[i].arg : "");
		fprintf(f, "  %-28s %s\n", left, flags[i].help);
	}
}

void
cmd_help(FILE *f, const struct cli_cmd *cmd)
{
	fprintf(f, "%s\n\nUsage: headgate %s%s%s [option]...\n", cmd->summary,
	    cmd->words, cmd->args[0] ? " " : "", cmd->args);
	if (cmd->flags != NULL && cmd->flags[0].name != NULL) {
		fprintf(f, "\nOptions:\n");
		help_flags(f, cmd->flags);
	}
	fprintf(f, "\nOptions of every command:\n");
	help_flags(f, cli_global_flags);
	if (cmd->examples != NULL) {
		const char *p = cmd->examples;

		fprintf(f, "\nExamples:\n");
		while (*p != '\0') {
			size_t len = strcspn(p, "\n");

			fprintf(f, "  $ %.*s\n", (int)len, p);
			p += len + (p[len] == '\n' ? 1 : 0);
		}
	}
}

void
cmd_help_group(FILE *f, const char *first_word)
{
	size_t len = strlen(first_word);

	for (size_t i = 0; i < n_cli_commands; i++) {
		const struct cli_cmd *cmd = &cli_commands[i];
		char left[80];

		if (len != 0 &&
		    (strncmp(cmd->words, first_word, len) != 0 ||
			(cmd->words[len] != ' ' && cmd->words[len] != '\0')))
			continue;
		snprintf(left, sizeof(left), "%s %s", cmd->words, cmd->args);
		fprintf(f, "  %-34s %s\n", left, cmd->summary);
	}
}

void
cmd_help_all(FILE *f)
{
	fprintf(f, "headgate: administer a Headgate control plane\n\n"
		   "Usage: headgate COMMAND [argument]... [option]...\n\n"
		   "Commands:\n");
	cmd_help_group(f, "");
	fprintf(f, "\nOptions of every command:\n");
	help_flags(f, cli_global_flags);
	fprintf(f, "\n'headgate help COMMAND' explains one, with examples.\n"
		   "Exit codes: 0 done, 1 failure, 2 wrong usage, 3 not found, "
		   "4 conflict,\n5 refused, 6 unavailable, 7 invalid input.\n");
}

int
cmd_help_command(struct cli *c, const struct cli_args *a)
{
	char *words[4] = {NULL};
	const struct cli_cmd *cmd;
	int used;

	if (a->n_pos == 0) {
		cmd_help_all(c->out);
		return 0;
	}
	for (size_t i = 0; i < a->n_pos; i++)
		words[i] = (char *)(uintptr_t)a->pos[i];
	cmd = cmd_find((int)a->n_pos, words, &used);
	if (cmd != NULL) {
		cmd_help(c->out, cmd);
		return 0;
	}
	for (size_t i = 0; i < n_cli_commands; i++) {
		size_t len = strlen(a->pos[0]);

		if (strncmp(cli_commands[i].words, a->pos[0], len) == 0 &&
		    cli_commands[i].words[len] == ' ') {
			fprintf(c->out, "Commands:\n");
			cmd_help_group(c->out, a->pos[0]);
			return 0;
		}
	}
	return err_set(&c->err, ERR_USAGE, "no command '%s'", a->pos[0]);
}
