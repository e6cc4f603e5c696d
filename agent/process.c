/* SPDX-License-Identifier: Apache-2.0 */
/* Operating system matters of the agent, see process.h. */
#include "agent/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

void
process_harden(void)
{
	struct rlimit none = {0, 0}, files;

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef HEADGATE_SANITIZED /* the leak checker traces itself */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* The folder and everything in it. */
static int
chown_tree(int dir_fd, const char *name, uid_t uid, gid_t gid, int depth)
{
	static const char *const sub[] = {"journal", NULL};
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	int rc = 0;

	if (fd < 0)
		return ERR_IO;
	if (fchown(fd, uid, gid) != 0)
		rc = ERR_IO;
	for (unsigned i = 0; rc == 0 && depth == 0 && sub[i] != NULL; i++)
		rc = chown_tree(fd, sub[i], uid, gid, depth + 1);
	close(fd);
	return rc;
}

static int
become(const char *data_dir, const char *user, struct error *e)
{
	const struct passwd *pw = getpwnam(user);

	if (pw == NULL)
		return err_set_field(
		    e, ERR_INVALID, "user", "no such user: %s", user);
	if (chown_tree(AT_FDCWD, data_dir, pw->pw_uid, pw->pw_gid, 0) != 0)
		return err_set(
		    e, ERR_IO, "cannot give %s to %s", data_dir, user);
	if (initgroups(user, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
	    setuid(pw->pw_uid) != 0 || (pw->pw_uid != 0 && setuid(0) == 0))
		return err_set(e, ERR_FORBIDDEN, "cannot become %s", user);
#ifndef HEADGATE_SANITIZED
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	return 0;
}

int
process_enter(const char *data_dir, const char *user, struct error *e)
{
	char path[PATH_MAX];
	int n, rc;

	n = snprintf(path, sizeof(path), "%s/journal", data_dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set_field(
		    e, ERR_INVALID, "data-dir", "the name is too long");
	rc = io_mkdirs(path, 0700, e);
	if (rc != 0)
		return rc;
	if (geteuid() != 0)
		return 0;
	if (user[0] != '\0')
		return become(data_dir, user, e);
	log_warn("running as root: name another --user");
	return 0;
}

int
process_lock(const char *data_dir, struct error *e)
{
	static bool held; /* also when started over in the same process */
	char path[PATH_MAX];
	int n, fd;

	if (held)
		return 0;
	n = snprintf(path, sizeof(path), "%s/lock", data_dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, ERR_TOO_LARGE, "data-dir is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, ERR_IO, "cannot open %s: %s", path,
		    strerrordesc_np(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		return err_set(
		    e, ERR_CONFLICT, "another agent runs in %s", data_dir);
	}
	held = true; /* the descriptor stays open: it is the lock */
	return 0;
}

static void
stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, PROCESS_RESTART);
}

void
process_ask_restart(void *unused)
{
	(void)unused;
	(void)kill(getpid(), PROCESS_RESTART);
}

void
process_block_signals(void)
{
	sigset_t set;

	stop_signals(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int
process_wait_signal(int ms)
{
	struct timespec limit = {ms / 1000, (long)(ms % 1000) * 1000000};
	sigset_t set;
	int sig;

	stop_signals(&set);
	do {
		sig = ms < 0 ? sigwaitinfo(&set, NULL)
			     : sigtimedwait(&set, NULL, &limit);
	} while (sig < 0 && errno == EINTR && ms < 0);
	return sig < 0 ? 0 : sig;
}

void
process_share_dir(char *dst, size_t cap)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	for (; n > 0 && exe[n - 1] != '/'; n--)
		exe[n - 1] = '\0';
	(void)snprintf(dst, cap, "%s../share/headgate", exe);
}

int
process_write_ports(
    struct io *io, const char *path, int data, int status, struct error *e)
{
	char text[64];
	int n;

	if (path[0] == '\0')
		return 0;
	n = snprintf(text, sizeof(text), "data=%d\nstatus=%d\n", data, status);
	return io_write_file_atomic(io, path, text, (size_t)n, 0644, e);
}
