/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: files of the command line. The first byte says which: m a file
 * of the model catalogue, c the contexts, a a command line (a word a line).
 * What is refused says why, in one clean line; what a catalogue gives are
 * models with prices and fingerprints.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/catalog.h"
#include "cli/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_error(const struct cli *c)
{
	MUST(c->err.text[0] != '\0');
	MUST(strpbrk(c->err.text, "\n\r\x1b") == NULL);
}

static void
fuzz_catalog(struct cli *c, const char *path)
{
	json_t *models = NULL, *m;
	char print[CATALOG_PRINT];
	size_t i;

	if (catalog_load(c, path, NULL, &models) != 0) {
		check_error(c);
		MUST(models == NULL);
		return;
	}
	MUST(json_array_size(models) > 0);
	json_array_foreach (models, i, m) {
		json_t *spec = json_object_get(m, "spec");
		const char *mark =
		    json_string_value(json_object_get(spec, "catalog"));

		MUST(json_string_length(json_object_get(m, "name")) > 0);
		MUST(json_array_size(json_object_get(spec, "prices")) > 0);
		catalog_print(spec, print);
		MUST(strcmp(catalog_mark_print(mark), print) == 0);
	}
	json_decref(models);
}

static void
fuzz_context(struct cli *c, const char *path)
{
	(void)setenv("HEADGATE_CONFIG", path, 1);
	(void)unsetenv("HEADGATE_SERVER");
	(void)unsetenv("HEADGATE_TOKEN");
	if (context_resolve(c) != 0)
		check_error(c);
	else if (c->server != NULL && c->server[0] != '\0')
		MUST(c->server[strlen(c->server) - 1] != '/');
	free(c->server);
	free(c->token);
}

static void
fuzz_args(struct cli *c, struct str in)
{
	char *argv[CLI_MAX_POS + 8], *text = str_dup(in), *at = text;
	const struct cli_cmd *cmd;
	struct cli_args a;
	int argc = 0, used;
	size_t i;

	MUST(text != NULL);
	while (at != NULL && argc < CLI_MAX_POS + 7) {
		argv[argc++] = at;
		at = strchr(at, '\n');
		if (at != NULL)
			*at++ = '\0';
	}
	argv[argc] = NULL;
	cmd = cmd_find(argc, argv, &used);
	if (cmd != NULL) {
		MUST(used > 0 && used <= argc);
		if (args_parse(c, cmd, argc - used, argv + used, &a) != 0) {
			check_error(c);
		} else {
			MUST(
			    a.n_pos >= cmd->min_pos && a.n_pos <= cmd->max_pos);
			for (i = 0;
			     cmd->flags != NULL && cmd->flags[i].name != NULL;
			     i++)
				(void)args_get(&a, cmd->flags[i].name);
		}
	}
	free(c->server);
	free(c->token);
	free(c->context);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cli c = {.out = stdout};
	char path[64];
	int fd;

	if (size < 1 || size > 65536)
		return 0;
	if (data[0] == 'a') {
		fuzz_args(&c, str_make((const char *)data + 1, size - 1));
		return 0;
	}
	fd = memfd_create("file", MFD_CLOEXEC);
	MUST(fd >= 0);
	MUST(write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (data[0] == 'm')
		fuzz_catalog(&c, path);
	else if (data[0] == 'c')
		fuzz_context(&c, path);
	close(fd);
	return 0;
}
