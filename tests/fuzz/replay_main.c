/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer: feeds each file of a corpus to the fuzz target it
 * is linked with, so that what fuzzing found stays found without clang. With
 * arguments the files (or folders) named there; without, the corpus
 * tests/fuzz/corpus/<name of this program>/. Prints TAP, one line an input.
 * Targets that cut their input try every split (splits.h).
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/splits.h"

/* Defined by the target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

const char splits_every[] = "here";

static int n_inputs;
static int n_bad;

static void
replay_bytes(const char *name, const uint8_t *data, size_t size)
{
	/* A copy of the exact size, so that a sanitizer sees any overread. */
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL) {
		n_bad++;
		return;
	}
	if (size > 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	printf("ok %d - %s\n", ++n_inputs, name);
}

static void
replay_file(const char *path)
{
	static uint8_t data[4 << 20];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (f == NULL) {
		printf(
		    "not ok %d - %s: %s\n", ++n_inputs, path, strerror(errno));
		n_bad++;
		return;
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	replay_bytes(path, data, size);
}

static void
replay_path(const char *path)
{
	struct dirent **names = NULL;
	struct stat st;
	char sub[4096];
	int i, n;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	n = scandir(path, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			snprintf(
			    sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
			replay_file(sub);
		}
		free(names[i]);
	}
	free(names);
}

int
main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	char path[4096];
	struct stat st;
	int i;

	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	replay_bytes("empty input", NULL, 0);
	for (i = 1; i < argc; i++)
		replay_path(argv[i]);
	snprintf(path, sizeof(path), "tests/fuzz/corpus/%s",
	    name != NULL ? name + 1 : argv[0]);
	if (argc == 1 && stat(path, &st) == 0)
		replay_path(path);
	printf("1..%d\n", n_inputs);
	return n_bad != 0;
}
