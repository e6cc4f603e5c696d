/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and configuring a private cluster: child processes, initdb, the
 * configuration files.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "controlplane/store/embedded_internal.h"

/* ---- children ---- */

static void
embedded_child(const struct embedded *em, const char *const *argv, bool owned,
    int log_fd, pid_t parent)
{
	char path[] = "PATH=/usr/bin:/bin", lc[] = "LC_ALL=C", tz[] = "TZ=UTC";
	char *env[] = {path, lc, tz, NULL};
	sigset_t none;
	int null_fd;

	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); /* Ctrl-C is ours, we stop the server last */
	null_fd = open("/dev/null", O_RDONLY);
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 ||
	    dup2(log_fd, 2) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	umask(077);
	if (embedded_become(&em->user) != 0 || chdir(em->dir) != 0)
		_exit(125);
	/* After setuid, which would clear it. */
	if (owned) {
		prctl(PR_SET_PDEATHSIG, SIGINT);
		if (getppid() != parent)
			_exit(124);
	}
	execve(argv[0], (char *const *)(uintptr_t)argv, env);
	_exit(127);
}

int
embedded_spawn(const struct embedded *em, const char *const *argv, bool owned,
    pid_t *pid, struct error *e)
{
	pid_t parent = getpid(), child;
	int fd;

	fd = open(em->log,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, err_from_errno(errno), "cannot open %s: %s",
		    em->log, strerror(errno));
	if (em->user.change && geteuid() == 0 &&
	    fchown(fd, em->user.uid, em->user.gid) != 0) {
		close(fd);
		return err_set(e, ERR_FORBIDDEN, "cannot chown %s", em->log);
	}
	child = fork();
	if (child == 0)
		embedded_child(em, argv, owned, fd, parent);
	close(fd);
	if (child < 0)
		return err_set(e, ERR_LIMIT, "cannot start a process: %s",
		    strerror(errno));
	*pid = child;
	return 0;
}

int
embedded_fail_log(
    const struct embedded *em, int code, const char *what, struct error *e)
{
	char tail[360];
	ssize_t n = 0;
	int fd = open(em->log, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		off_t size = lseek(fd, 0, SEEK_END);
		off_t from = size > (off_t)sizeof(tail) - 1
				 ? size - (off_t)sizeof(tail) + 1
				 : 0;

		n = pread(fd, tail, sizeof(tail) - 1, from);
		close(fd);
	}
	if (n < 0)
		n = 0;
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	tail[n] = '\0';
	for (char *p = tail; *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	return err_set(
	    e, code, "%s; server.log ends: %s", what, n ? tail : "(empty)");
}

/* ---- the cluster ---- */

static int
embedded_run_initdb(
    const struct embedded *em, const char *target, struct error *e)
{
	char prog[PATH_MAX];
	const char *argv[] = {prog, "-D", target, "--data-checksums", "-E",
	    "UTF8", "--locale=C", "-U", "headgate", "-A", "trust",
	    "--no-instructions", em->unsafe_fast ? "--no-sync" : NULL, NULL};
	pid_t pid;
	int rc, status;

	snprintf(prog, sizeof(prog), "%s/initdb", em->bindir);
	rc = embedded_spawn(em, argv, false, &pid, e);
	if (rc != 0)
		return rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, ERR_INTERNAL, "waitpid failed");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return embedded_fail_log(em, ERR_IO, "initdb failed", e);
	return 0;
}

/* Remove what an interrupted initdb left. Depth-first, own files only. */
static void
embedded_remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct dirent *d;
	DIR *dir;

	if (fd < 0) {
		unlinkat(at, name, 0);
		return;
	}
	dir = fdopendir(fd);
	while (dir != NULL && (d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			embedded_remove_tree(fd, d->d_name);
	if (dir != NULL)
		closedir(dir);
	else
		close(fd);
	unlinkat(at, name, AT_REMOVEDIR);
}

static int64_t
embedded_shared_buffers_mb(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	int64_t mb = (int64_t)pages * size / (1 << 20);

	if (mb < 2048)
		return 64;
	return mb < 8192 ? 128 : 512;
}

static int
embedded_write_conf(const struct embedded *em, struct error *e)
{
	char path[PATH_MAX + 32];
	struct buf b;
	int rc;

	buf_init(&b, 16384);
	buf_addf(&b,
	    "# Written at every start; put your own settings in local.conf.\n"
	    "listen_addresses = ''\n"
	    "unix_socket_directories = '%s'\n"
	    "unix_socket_permissions = 0700\n"
	    "max_connections = %u\n"
	    "shared_buffers = %dMB\n"
	    "max_wal_size = 4GB\nmin_wal_size = 256MB\n"
	    "checkpoint_timeout = 15min\n"
	    "wal_level = minimal\nmax_wal_senders = 0\n"
	    "logging_collector = off\nlog_destination = 'stderr'\n"
	    "log_line_prefix = '%%m [%%p] '\nlog_timezone = 'UTC'\n"
	    "log_min_messages = warning\nlog_min_error_statement = panic\n"
	    "log_parameter_max_length = 0\n"
	    "log_parameter_max_length_on_error = 0\n"
	    "lc_messages = 'C'\ntimezone = 'UTC'\n"
	    "max_locks_per_transaction = 256\n"
	    "recovery_init_sync_method = syncfs\n"
	    "jit = off\nssl = off\nrandom_page_cost = 1.1\n",
	    em->socket_dir, em->max_conns, (int)embedded_shared_buffers_mb());
	if (em->unsafe_fast)
		buf_addz(&b, "fsync = off\nsynchronous_commit = off\n"
			     "full_page_writes = off\nautovacuum = off\n");
	buf_addz(&b, "include_if_exists = 'local.conf'\n");
	snprintf(path, sizeof(path), "%s/postgresql.conf", em->data);
	rc = buf_error(&b);
	if (rc == 0)
		rc = io_write_file_atomic(
		    io_system(), path, b.data, b.len, 0600, e);
	if (rc == 0 && em->user.change &&
	    chown(path, em->user.uid, em->user.gid) != 0)
		rc = err_set(e, ERR_FORBIDDEN, "cannot chown %s", path);
	buf_release(&b);
	return rc;
}

static int
embedded_write_hba(const struct embedded *em, struct error *e)
{
	static const char text[] = "# Only who may open the socket's folder "
				   "gets here.\nlocal all all trust\n";
	char path[PATH_MAX + 32];
	int rc;

	snprintf(path, sizeof(path), "%s/pg_hba.conf", em->data);
	rc = io_write_file_atomic(
	    io_system(), path, text, sizeof(text) - 1, 0600, e);
	if (rc == 0 && em->user.change &&
	    chown(path, em->user.uid, em->user.gid) != 0)
		rc = err_set(e, ERR_FORBIDDEN, "cannot chown %s", path);
	return rc;
}

int
embedded_init_cluster(struct embedded *em, struct error *e)
{
	char path[PATH_MAX + 32];
	int rc = 0;

	snprintf(path, sizeof(path), "%s/PG_VERSION", em->data);
	if (access(path, F_OK) != 0) {
		/* initdb aside, then rename: all or nothing. */
		snprintf(path, sizeof(path), "%s.new", em->data);
		embedded_remove_tree(AT_FDCWD, path);
		rc = embedded_run_initdb(em, path, e);
		if (rc != 0)
			return rc;
		if (rename(path, em->data) != 0)
			return err_set(e, err_from_errno(errno),
			    "cannot rename %s: %s", path, strerror(errno));
	}
	rc = embedded_write_conf(em, e);
	if (rc == 0)
		rc = embedded_write_hba(em, e);
	return rc;
}
