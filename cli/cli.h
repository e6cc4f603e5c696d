/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of the admin CLI share: the command table, parsed
 * arguments, and the connection to one control plane. The CLI speaks REST
 * only; it has no knowledge of the database or of agents beyond the API.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/err.h"

#define CLI_MAX_POS   64
#define CLI_MAX_FLAGS 16

enum cli_output { OUT_TABLE, OUT_JSON, OUT_CSV, OUT_NAME };

struct cli_flag {
	const char *name; /* without dashes; NULL ends the list */
	char letter;	  /* 'm' for -m, 0 = none */
	const char *arg;  /* placeholder of the value, NULL = a switch */
	const char *help;
};

struct cli_args {
	const char *pos[CLI_MAX_POS];
	size_t n_pos;
	const struct cli_flag *flags;
	const char *values[CLI_MAX_FLAGS]; /* "" for a switch, NULL = absent */
};

struct cli {
	char *server; /* http://host:port, no slash at the end */
	char *token;
	char *context; /* name in use, may be NULL */
	enum cli_output output;
	bool output_given;
	FILE *out;
	struct error err;
};

struct cli_cmd {
	const char *words; /* "version diff" */
	const char *args;  /* "[FROM] TO" */
	const char *summary;
	const char *examples; /* one a line, without prompt */
	const struct cli_flag *flags;
	size_t min_pos, max_pos;
	bool offline; /* needs no control plane */
	int (*run)(struct cli *c, const struct cli_args *a);
};

extern const struct cli_cmd cli_commands[];
extern const size_t n_cli_commands;
extern const struct cli_flag cli_global_flags[];

/* Value of a flag of this command; NULL when absent. */
const char *args_get(const struct cli_args *a, const char *name);
static inline bool
args_has(const struct cli_args *a, const char *name)
{
	return args_get(a, name) != NULL;
}

/* Parse argv behind the command's words: positions, the command's flags and
 * the global ones. 0 or ERR_USAGE with text. */
int args_parse(struct cli *c, const struct cli_cmd *cmd, int argc,
    char *const *argv, struct cli_args *a) MUST_CHECK;

/* Longest command whose words start argv; NULL when none. *used = number of
 * words. */
const struct cli_cmd *cmd_find(int argc, char *const *argv, int *used);
void cmd_help(FILE *f, const struct cli_cmd *cmd);
void cmd_help_group(FILE *f, const char *first_word);
void cmd_help_all(FILE *f);

/* Commands, by file. */
int cmd_login(struct cli *c, const struct cli_args *a);
int cmd_context_list(struct cli *c, const struct cli_args *a);
int cmd_context_use(struct cli *c, const struct cli_args *a);
int cmd_context_delete(struct cli *c, const struct cli_args *a);
int cmd_whoami(struct cli *c, const struct cli_args *a);
int cmd_get(struct cli *c, const struct cli_args *a);
int cmd_describe(struct cli *c, const struct cli_args *a);
int cmd_create(struct cli *c, const struct cli_args *a);
int cmd_set(struct cli *c, const struct cli_args *a);
int cmd_delete(struct cli *c, const struct cli_args *a);
int cmd_apply(struct cli *c, const struct cli_args *a);
int cmd_catalog_list(struct cli *c, const struct cli_args *a);
int cmd_catalog_diff(struct cli *c, const struct cli_args *a);
int cmd_catalog_import(struct cli *c, const struct cli_args *a);
int cmd_key_create(struct cli *c, const struct cli_args *a);
int cmd_key_revoke(struct cli *c, const struct cli_args *a);
int cmd_agent_list(struct cli *c, const struct cli_args *a);
int cmd_agent_token(struct cli *c, const struct cli_args *a);
int cmd_agent_describe(struct cli *c, const struct cli_args *a);
int cmd_agent_revoke(struct cli *c, const struct cli_args *a);
int cmd_budget_status(struct cli *c, const struct cli_args *a);
int cmd_budget_events(struct cli *c, const struct cli_args *a);
int cmd_budget_values(struct cli *c, const struct cli_args *a);
int cmd_budget_periods(struct cli *c, const struct cli_args *a);
int cmd_budget_increase(struct cli *c, const struct cli_args *a);
int cmd_budget_transfer(struct cli *c, const struct cli_args *a);
int cmd_budget_doubt(struct cli *c, const struct cli_args *a);
int cmd_report_chargeback(struct cli *c, const struct cli_args *a);
int cmd_usage_list(struct cli *c, const struct cli_args *a);
int cmd_usage_quarantine(struct cli *c, const struct cli_args *a);
int cmd_usage_correct(struct cli *c, const struct cli_args *a);
int cmd_version_list(struct cli *c, const struct cli_args *a);
int cmd_version_show(struct cli *c, const struct cli_args *a);
int cmd_version_diff(struct cli *c, const struct cli_args *a);
int cmd_version_rollback(struct cli *c, const struct cli_args *a);
int cmd_audit_money(struct cli *c, const struct cli_args *a);
int cmd_audit_list(struct cli *c, const struct cli_args *a);
int cmd_admin_token_create(struct cli *c, const struct cli_args *a);
int cmd_admin_token_list(struct cli *c, const struct cli_args *a);
int cmd_admin_token_delete(struct cli *c, const struct cli_args *a);
int cmd_completion(struct cli *c, const struct cli_args *a);
int cmd_help_command(struct cli *c, const struct cli_args *a);

#endif
