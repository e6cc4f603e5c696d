/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that die: the same work with real files in a child that kills
 * itself before, in the middle of, or after the k-th file call, for every k;
 * its successor is killed while it recovers, too; the last one has to keep
 * every promise. What was promised is in shared memory.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>

#include "tests/reliability/torture.h"

enum kill_when { KILL_BEFORE, KILL_IN, KILL_AFTER, KILL_N };

static struct {
	long left; /* calls until it dies; < 0 = never */
	enum kill_when when;
	struct io *real;
} plan;

static void
die(void)
{
	(void)raise(SIGKILL);
	abort();
}

/* Before a call; true: die after it. */
static bool
step(void)
{
	if (plan.left < 0 || plan.left-- > 1)
		return false;
	if (plan.when == KILL_BEFORE)
		die();
	return true;
}

#define CALL(type, call)                   \
	do {                               \
		bool last = step();        \
		type rc = plan.real->call; \
                                           \
		(void)io;                  \
		if (last)                  \
			die();             \
		return rc;                 \
	} while (0)

static int
kill_open(struct io *io, const char *path, int flags, mode_t mode)
{
	CALL(int, open(plan.real, path, flags, mode));
}

static int
kill_close(struct io *io, int fd)
{
	CALL(int, close(plan.real, fd));
}

static ssize_t
kill_write(struct io *io, int fd, const void *p, size_t n)
{
	if (plan.left == 1 && plan.when == KILL_IN)
		n /= 2;
	CALL(ssize_t, write(plan.real, fd, p, n));
}

static ssize_t
kill_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	CALL(ssize_t, pread(plan.real, fd, p, n, off));
}

static int
kill_fsync(struct io *io, int fd)
{
	CALL(int, fsync(plan.real, fd));
}

static int
kill_ftruncate(struct io *io, int fd, off_t len)
{
	CALL(int, ftruncate(plan.real, fd, len));
}

static int
kill_rename(struct io *io, const char *from, const char *to)
{
	CALL(int, rename(plan.real, from, to));
}

static int
kill_unlink(struct io *io, const char *path)
{
	CALL(int, unlink(plan.real, path));
}

static int64_t
kill_size(struct io *io, int fd)
{
	CALL(int64_t, size(plan.real, fd));
}

static int
kill_fsync_dir(struct io *io, const char *path)
{
	CALL(int, fsync_dir(plan.real, path));
}

static int
kill_list(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	CALL(int, list(plan.real, path, each, ctx));
}

static int64_t
kill_free_bytes(struct io *io, const char *path)
{
	CALL(int64_t, free_bytes(plan.real, path));
}

static struct io deadly = {.open = kill_open,
    .close = kill_close,
    .write = kill_write,
    .pread = kill_pread,
    .fsync = kill_fsync,
    .ftruncate = kill_ftruncate,
    .rename = kill_rename,
    .unlink = kill_unlink,
    .size = kill_size,
    .fsync_dir = kill_fsync_dir,
    .list = kill_list,
    .free_bytes = kill_free_bytes};

static void
remove_dir(const char *dir)
{
	DIR *d = opendir(dir);
	char path[PATH_MAX];
	struct dirent *ent;

	while (d != NULL && (ent = readdir(d)) != NULL) {
		if (ent->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name) >=
		    (int)sizeof(path))
			continue;
		if (unlink(path) != 0)
			remove_dir(path);
	}
	if (d != NULL)
		closedir(d);
	(void)rmdir(dir);
}

static const char *
child_work(struct work *w, bool recover)
{
	const char *bug;

	if (!recover) {
		work_run(w);
		return w->bug;
	}
	bug = work_recover(w);
	return bug != NULL ? bug : work_check(w, false);
}

/* A process that works (or recovers) in dir. 1: it was killed, 0: it ended
 * well, -1: it found a bug. */
static int
child(struct work_facts *facts, const char *dir, uint64_t seed, bool recover,
    long kill_at, enum kill_when when)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		struct work w;
		const char *bug;

		plan.real = io_system();
		plan.left = kill_at > 0 ? kill_at : -1;
		plan.when = when;
		work_init(&w, &deadly, dir, facts, seed);
		bug = child_work(&w, recover);
		if (bug != NULL)
			printf("# %s\n", bug);
		fflush(stdout);
		_exit(bug != NULL);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return 1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* False: the work has fewer calls. */
static bool
kill_point(uint64_t seed, const char *base, long at, enum kill_when when,
    struct figures *f)
{
	struct work_facts *facts = mmap(NULL, sizeof(*facts),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char dir[PATH_MAX / 2], path[PATH_MAX], what[128];
	int rc, again = 0;

	MUST(facts != MAP_FAILED);
	(void)snprintf(dir, sizeof(dir), "%s/kill", base);
	remove_dir(dir);
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	MUST(mkdir(dir, 0700) == 0 && mkdir(path, 0700) == 0);
	rc = child(facts, dir, seed, false, at, when);
	f->crash_points += rc == 1;
	/* The successor dies, too, somewhere else each time. */
	if (rc == 1) {
		again =
		    child(facts, dir, seed + 1, true, 1 + at * 7 % 120, when);
		f->crash_points += again == 1;
	}
	(void)snprintf(what, sizeof(what), "kill %d at call %ld seed %" PRIu64,
	    (int)when, at, seed);
	if (rc < 0 || again < 0 ||
	    child(facts, dir, seed + 2, true, 0, when) != 0)
		torture_report(f, what, "see above");
	remove_dir(dir);
	(void)munmap(facts, sizeof(*facts));
	return rc == 1;
}

int
torture_kill(uint64_t seed, const char *dir, unsigned stride, struct figures *f)
{
	for (int when = 0; when < KILL_N; when++)
		for (long at = 1;
		     kill_point(seed, dir, at, (enum kill_when)when, f);
		     at += stride)
			;
	return f->failures > 0;
}
