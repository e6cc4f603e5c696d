/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shell completion scripts, made from the command table and the kinds.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/kinds.h"

/* Distinct first words, or second words behind `first`. */
static void
words_after(FILE *f, const char *first)
{
	char last[64] = "";

	for (size_t i = 0; i < n_cli_commands; i++) {
		const char *w = cli_commands[i].words;
		size_t len = strcspn(w, " ");
		char word[64];

		if (first != NULL) {
			if (strlen(first) != len ||
			    memcmp(w, first, len) != 0 || w[len] == '\0')
				continue;
			w += len + 1;
			len = strlen(w);
		}
		snprintf(word, sizeof(word), "%.*s", (int)len, w);
		if (strcmp(word, last) == 0)
			continue;
		fprintf(f, "%s%s", last[0] ? " " : "", word);
		memcpy(last, word, sizeof(last));
	}
}

static void
kind_words(FILE *f)
{
	for (size_t i = 0; i < n_cli_kinds; i++)
		fprintf(f, "%s%s %s", i > 0 ? " " : "", cli_kinds[i].singular,
		    cli_kinds[i].plural);
}

static void
case_groups(FILE *f)
{
	char last[64] = "";

	for (size_t i = 0; i < n_cli_commands; i++) {
		const char *w = cli_commands[i].words;
		size_t len = strcspn(w, " ");
		char word[64];

		snprintf(word, sizeof(word), "%.*s", (int)len, w);
		if (w[len] == '\0' || strcmp(word, last) == 0)
			continue;
		fprintf(f, "    %s) words='", word);
		words_after(f, word);
		fprintf(f, "' ;;\n");
		memcpy(last, word, sizeof(last));
	}
}

static void
bash_function(FILE *f)
{
	fprintf(f, "_headgate()\n{\n"
		   "  local words='' cur=${COMP_WORDS[COMP_CWORD]}\n"
		   "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words='");
	words_after(f, NULL);
	fprintf(f, "'\n  elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
		   "    case ${COMP_WORDS[1]} in\n"
		   "    get|describe|create|set|delete) words='");
	kind_words(f);
	fprintf(f, "' ;;\n");
	case_groups(f);
	fprintf(f, "    esac\n  fi\n"
		   "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
		   "\"$cur\")\n"
		   "}\n");
}

static void
fish_script(FILE *f)
{
	fprintf(f, "complete -c headgate -f\n"
		   "complete -c headgate -n __fish_use_subcommand -a '");
	words_after(f, NULL);
	fprintf(f, "'\ncomplete -c headgate -n '__fish_seen_subcommand_from "
		   "get describe create set delete' -a '");
	kind_words(f);
	fprintf(f, "'\n");
	for (size_t i = 0; i < n_cli_commands; i++) {
		const char *w = cli_commands[i].words;
		size_t len = strcspn(w, " ");

		if (w[len] == ' ')
			fprintf(f,
			    "complete -c headgate -n "
			    "'__fish_seen_subcommand_from %.*s' -a "
			    "'%s' -d '%s'\n",
			    (int)len, w, w + len + 1, cli_commands[i].summary);
	}
}

int
cmd_completion(struct cli *c, const struct cli_args *a)
{
	const char *shell = a->pos[0];

	if (strcmp(shell, "bash") == 0) {
		bash_function(c->out);
		fprintf(c->out, "complete -F _headgate headgate\n");
	} else if (strcmp(shell, "zsh") == 0) {
		fprintf(
		    c->out, "autoload -U +X bashcompinit && bashcompinit\n");
		bash_function(c->out);
		fprintf(c->out, "complete -F _headgate headgate\n");
	} else if (strcmp(shell, "fish") == 0) {
		fish_script(c->out);
	} else {
		return err_set(&c->err, ERR_USAGE,
		    "completion for bash, zsh or fish, not '%s'", shell);
	}
	return 0;
}
