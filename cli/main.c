/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate: the admin CLI. Finds the command, resolves the context, runs it,
 * and turns the error into one line and an exit code.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/context.h"
#include "common/version.h"

static int
cli_fail(const struct cli *c, int rc)
{
	fprintf(stderr, "headgate: %s\n",
	    c->err.text[0] != '\0' ? c->err.text : err_text(rc));
	return err_exit_code(rc);
}

static int
cli_run(struct cli *c, const struct cli_cmd *cmd, int argc, char *const *argv)
{
	struct cli_args a;
	int rc;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0) {
			cmd_help(c->out, cmd);
			return 0;
		}
	}
	rc = args_parse(c, cmd, argc, argv, &a);
	if (rc == 0 && !cmd->offline)
		rc = context_resolve(c);
	if (rc == 0)
		rc = cmd->run(c, &a);
	return rc;
}

static int
cli_unknown(struct cli *c, int argc, char **argv)
{
	struct cli_args a = {.n_pos = 1, .pos = {argv[1]}};

	if (argc == 2 && cmd_help_command(c, &a) == 0)
		return ERR_USAGE;
	return err_set(&c->err, ERR_USAGE,
	    "no command '%s' (see 'headgate help')", argv[1]);
}

int
main(int argc, char **argv)
{
	struct cli c = {.out = stdout};
	const struct cli_cmd *cmd;
	int used, rc, status = 0;

	if (argc < 2 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		cmd_help_all(argc < 2 ? stderr : stdout);
		return argc < 2 ? err_exit_code(ERR_USAGE) : 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("headgate %s\n", HEADGATE_VERSION);
		return 0;
	}
	client_start();
	cmd = cmd_find(argc - 1, argv + 1, &used);
	rc = cmd != NULL ? cli_run(&c, cmd, argc - 1 - used, argv + 1 + used)
			 : cli_unknown(&c, argc, argv);
	if (rc != 0)
		status = cli_fail(&c, rc);
	if (fflush(stdout) != 0 && status == 0) {
		fprintf(stderr, "headgate: cannot write the output\n");
		status = 1;
	}
	client_stop();
	free(c.server);
	free(c.token);
	free(c.context);
	return status;
}
