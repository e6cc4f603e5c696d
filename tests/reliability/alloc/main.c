/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate-allocs CORPUS [SCENARIO...] (and headgate-allocs-control, for the
 * control plane and the command line): the scenarios, each in a process of
 * its own so that a crash is told and the others go on. The last line of
 * output is JSON.
 */
#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/reliability/alloc/alloc.h"

void
alloc_bad(struct alloc *a, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (a->problems++ < 10)
		printf("not ok %s (%s): %s\n", a->scenario,
		    a->input != NULL ? a->input : "-", text);
	fflush(stdout);
}

void
alloc_corpus(struct alloc *a, const char *name, bool whole,
    void (*fn)(struct alloc *a, struct str bytes))
{
	char dir[2048], path[4096], label[512];
	struct dirent *ent;
	DIR *d;

	(void)snprintf(dir, sizeof(dir), "%s/%s", a->corpus, name);
	d = opendir(dir);
	while (d != NULL && (ent = readdir(d)) != NULL) {
		struct buf b;

		if (ent->d_name[0] == '.')
			continue;
		buf_init(&b, (size_t)1 << 24);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name);
		(void)snprintf(label, sizeof(label), "%s", ent->d_name);
		a->input = label;
		if (io_read_file(io_system(), path, &b, NULL) == 0 && b.len > 0)
			fn(a, whole ? buf_str(&b)
				    : str_make(b.data + 1, b.len - 1));
		buf_release(&b);
	}
	a->input = NULL;
	if (d == NULL)
		alloc_bad(a, "no corpus %s", dir);
	else
		closedir(d);
}

static void *
counted_malloc(size_t n)
{
	return malloc(n);
}

static void
counted_free(void *p)
{
	free(p);
}

static struct alloc now;
static void (*now_run)(struct alloc *a);

START_TEST(test_scenario)
{
	now_run(&now);
}
END_TEST

/* Helpers of unit tests say ck_assert, which wants a runner around it. */
static bool
run_checked(void)
{
	Suite *s = suite_create("alloc");
	TCase *tc = tcase_create("alloc");
	SRunner *r = srunner_create(s);
	bool ok;

	tcase_add_test(tc, test_scenario);
	suite_add_tcase(s, tc);
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_SILENT);
	ok = srunner_ntests_failed(r) == 0;
	if (!ok)
		srunner_print(r, CK_NORMAL);
	srunner_free(r);
	return ok && now.problems == 0;
}

/* The child tells its count through a pipe. */
static unsigned long
run_one(const char *corpus, size_t i, unsigned *problems)
{
	unsigned long got = 0;
	int fds[2], status;
	pid_t pid;

	MUST(pipe(fds) == 0);
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		bool ok;

		close(fds[0]);
		now.corpus = corpus;
		now.scenario = alloc_scenarios[i].name;
		now_run = alloc_scenarios[i].run;
		ok = run_checked();
		if (write(fds[1], &now.failures, sizeof(now.failures)) < 0)
			perror("write");
		fflush(stdout);
		exit(!ok); /* exit(): the leak check */
	}
	close(fds[1]);
	if (read(fds[0], &got, sizeof(got)) != (ssize_t)sizeof(got))
		got = 0;
	close(fds[0]);
	MUST(waitpid(pid, &status, 0) == pid);
	if (status != 0 || got == 0) {
		printf("not ok %s: wait status %d, %lu failures\n",
		    alloc_scenarios[i].name, status, got);
		++*problems;
	} else {
		printf("# %s: %lu failures injected\n", alloc_scenarios[i].name,
		    got);
	}
	return got;
}

static bool
wanted(int argc, char **argv, const char *name)
{
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc <= 2;
}

int
main(int argc, char **argv)
{
	unsigned long failures = 0;
	unsigned problems = 0, n = 0;

	if (argc < 2 || sodium_init() < 0)
		return 2;
	json_set_alloc_funcs(counted_malloc, counted_free);
	for (size_t i = 0; alloc_scenarios[i].name != NULL; i++) {
		if (!wanted(argc, argv, alloc_scenarios[i].name))
			continue;
		failures += run_one(argv[1], i, &problems);
		n++;
	}
	printf("{\"alloc_failures\":%lu,\"alloc_scenarios\":%u,"
	       "\"failures\":%u}\n",
	    failures, n, problems);
	return problems > 0;
}
