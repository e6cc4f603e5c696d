/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that wrote the journal, see machine.h. */
#include "agent/journal/machine.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int
machine_path(const char *dir, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/machine", dir);

	return (size_t)n < PATH_MAX ? 0 : ERR_TOO_LARGE;
}

void
machine_load(struct machine *m, struct io *io, const char *dir)
{
	char path[PATH_MAX];

	buf_init(&m->text, MACHINE_FILE_MAX);
	(void)buf_addc(&m->text, '\n');
	if (machine_path(dir, path) != 0 ||
	    io_read_file(io, path, &m->text, NULL) != 0 ||
	    m->text.data[m->text.len - 1] != '\n')
		buf_clear(&m->text);
}

void
machine_release(struct machine *m)
{
	buf_release(&m->text);
}

static bool
machine_has(const struct machine *m, const char *line)
{
	return m->text.len > 0 &&
	       memmem(m->text.data, m->text.len, line, strlen(line)) != NULL;
}

bool
machine_may_lack(const struct machine *m, const char *boot_id, uint64_t epoch)
{
	char line[128];

	(void)snprintf(line, sizeof(line), "\nlost %" PRIu64 "\n", epoch);
	if (machine_has(m, line))
		return true;
	(void)snprintf(line, sizeof(line), "\nclean %" PRIu64 "\n", epoch);
	if (machine_has(m, line))
		return false;
	(void)snprintf(line, sizeof(line), "\nboot %s\n", boot_id);
	return !machine_has(m, line);
}

void
machine_begin(struct machine *m, const char *boot_id)
{
	buf_clear(&m->text);
	(void)buf_addf(&m->text, "\nboot %s\n", boot_id);
}

void
machine_lost(struct machine *m, uint64_t epoch)
{
	(void)buf_addf(&m->text, "lost %" PRIu64 "\n", epoch);
}

void
machine_clean(struct machine *m, uint64_t epoch)
{
	(void)buf_addf(&m->text, "clean %" PRIu64 "\n", epoch);
}

int
machine_save(const struct machine *m, struct io *io, const char *dir)
{
	char path[PATH_MAX];
	int rc = buf_error(&m->text);

	if (rc == 0)
		rc = machine_path(dir, path);
	if (rc == 0)
		rc = io_write_file_atomic(
		    io, path, m->text.data + 1, m->text.len - 1, 0600, NULL);
	return rc;
}
