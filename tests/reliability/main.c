/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-torture: what can go wrong with a disk, tried one by one on the
 * agent's own code. The last line of output is JSON with the figures.
 *
 *   headgate-torture faults [--seed N] [--call N --kind N]
 *   headgate-torture power [--seed N] [--images N] [--stride N]
 *   headgate-torture kill DIR [--seed N] [--stride N]
 *   headgate-torture fill JOURNAL-DIR BYTES
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/reliability/torture.h"

int __real_io_mkdirs(const char *path, mode_t mode, struct error *e);
int __wrap_io_mkdirs(const char *path, mode_t mode, struct error *e);

/* Folders of the disk in memory need not be made. */
int
__wrap_io_mkdirs(const char *path, mode_t mode, struct error *e)
{
	if (strncmp(path, "/mem", 4) == 0)
		return 0;
	return __real_io_mkdirs(path, mode, e);
}

static unsigned long
option(int argc, char **argv, const char *name, unsigned long value)
{
	for (int i = 2; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			value = strtoul(argv[i + 1], NULL, 10);
	return value;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct figures f = {0};
	unsigned long seed = option(argc, argv, "--seed", 1);
	unsigned stride = (unsigned)option(argc, argv, "--stride", 1);
	int rc = 2;

	if (strcmp(what, "faults") == 0)
		rc = torture_faults(seed, (long)option(argc, argv, "--call", 0),
		    (long)option(argc, argv, "--kind", 0), &f);
	else if (strcmp(what, "power") == 0)
		rc = torture_power(seed,
		    (unsigned)option(argc, argv, "--images", 20), stride, &f);
	else if (strcmp(what, "kill") == 0 && argc > 2)
		rc = torture_kill(seed, argv[2], stride, &f);
	else if (strcmp(what, "fill") == 0 && argc > 3)
		return torture_fill(argv[2], strtoll(argv[3], NULL, 10));
	if (rc == 2) {
		fprintf(stderr, "headgate-torture: see tests/reliability\n");
		return rc;
	}
	printf("{\"io_faults\":%ld,\"crash_points\":%ld,"
	       "\"power_loss_images\":%ld,\"failures\":%ld}\n",
	    f.io_faults, f.crash_points, f.power_loss_images, f.failures);
	return rc;
}
