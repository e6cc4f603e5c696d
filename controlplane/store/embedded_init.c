/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preparing a private cluster: the user it runs as, the folders, the
 * programs, initdb and the configuration files.
 *
 * The socket lives in a short folder of its own because a socket's path is
 * limited to 107 bytes; that folder (mode 0700) is what keeps others out, the
 * server itself trusts who can reach the socket.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/str.h"
#include "controlplane/store/embedded_internal.h"

/* ---- who ------------------------------------------------------------------
 */

int
embedded_find_user(struct embedded *em, const char *name, struct error *e)
{
	struct embedded_user *u = &em->user;
	bool given = name != NULL && *name != '\0';
	struct passwd *pw;

	u->uid = geteuid();
	u->gid = getegid();
	if (u->uid != 0)
		return 0;
	pw = getpwnam(given ? name : "postgres");
	if (pw == NULL && !given)
		pw = getpwnam("nobody");
	if (pw == NULL)
		return err_set(e, ERR_NOT_FOUND,
		    "no user \"%s\" to run PostgreSQL as (it refuses root)",
		    given ? name : "postgres");
	if (pw->pw_uid == 0)
		return err_set(e, ERR_INVALID,
		    "PostgreSQL cannot run as root: choose another user");
	u->change = true;
	u->uid = pw->pw_uid;
	u->gid = pw->pw_gid;
	snprintf(u->name, sizeof(u->name), "%s", pw->pw_name);
	u->n_groups = EMBEDDED_MAX_GROUPS;
	if (getgrouplist(pw->pw_name, pw->pw_gid, u->groups, &u->n_groups) < 0)
		u->n_groups = 0;
	return 0;
}

/* In a child. Only system calls: the parent may have threads. */
static int
embedded_become(const struct embedded_user *u)
{
	if (!u->change)
		return 0;
	if (setgroups((size_t)u->n_groups, u->groups) != 0 ||
	    setgid(u->gid) != 0 || setuid(u->uid) != 0)
		return -1;
	return 0;
}

/* ---- programs ---------------------------------------------------------------
 */

static bool
embedded_has_programs(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/initdb", dir);
	if (access(path, X_OK) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/postgres", dir);
	return access(path, X_OK) == 0;
}

static bool
embedded_try_bindir(struct embedded *em, const char *dir)
{
	if (!embedded_has_programs(dir))
		return false;
	snprintf(em->bindir, sizeof(em->bindir), "%s", dir);
	return true;
}

/* What pg_config on the PATH says; "" when there is none. */
static void
embedded_pg_config(char *dst, size_t cap)
{
	FILE *f = popen("pg_config --bindir 2>/dev/null", "re");

	*dst = '\0';
	if (f == NULL)
		return;
	if (fgets_unlocked(dst, (int)cap, f) == NULL)
		*dst = '\0';
	dst[strcspn(dst, "\n")] = '\0';
	pclose(f);
}

int
embedded_find_bindir(struct embedded *em, const char *given, struct error *e)
{
	/* Versioned folders first: what is on the PATH may be a wrapper. */
	static const int versions[] = {15, 16, 17, 18};
	char path[PATH_MAX / 2];

	if (given != NULL && *given != '\0') {
		if (embedded_try_bindir(em, given))
			return 0;
		return err_set(
		    e, ERR_NOT_FOUND, "no initdb and postgres in %s", given);
	}
	for (size_t v = 0; v < sizeof(versions) / sizeof(*versions); v++) {
		for (size_t r = 0; r < 2; r++) {
			snprintf(path, sizeof(path),
			    r == 0 ? "/usr/lib/postgresql/%d/bin"
				   : "/usr/pgsql-%d/bin",
			    versions[v]);
			if (embedded_try_bindir(em, path))
				return 0;
		}
	}
	embedded_pg_config(path, sizeof(path));
	if (*path != '\0' && embedded_try_bindir(em, path))
		return 0;
	if (embedded_try_bindir(em, "/usr/bin") ||
	    embedded_try_bindir(em, "/usr/local/bin"))
		return 0;
	return err_set(e, ERR_NOT_FOUND,
	    "PostgreSQL's initdb and postgres were not found; install the "
	    "package postgresql-15 or use --store postgresql://...");
}

/* ---- folders
 * ------------------------------------------------------------------ */

/* Can the user enter every folder of path? Tried in a child that became it;
 * the exit status is the length of the refused prefix (as two halves, since
 * a status has 8 bits, through a pipe). */
static int
embedded_check_access(
    const struct embedded *em, const char *path, struct error *e)
{
	char part[PATH_MAX];
	int p[2], status, bad = -1;
	pid_t pid;
	size_t len = strlen(path);

	if (!em->user.change)
		return 0;
	if (pipe2(p, O_CLOEXEC) != 0)
		return err_set(e, ERR_LIMIT, "cannot make a pipe");
	pid = fork();
	if (pid == 0) {
		int at = -1;

		if (embedded_become(&em->user) == 0) {
			for (size_t i = 1; i <= len && at < 0; i++) {
				if (i < len && path[i] != '/')
					continue;
				memcpy(part, path, i);
				part[i] = '\0';
				if (access(part, X_OK) != 0)
					at = (int)i;
			}
		}
		_exit(write(p[1], &at, sizeof(at)) != sizeof(at));
	}
	close(p[1]);
	if (pid > 0 && read(p[0], &bad, sizeof(bad)) != sizeof(bad))
		bad = -1;
	close(p[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (bad < 0)
		return 0;
	return err_set(e, ERR_FORBIDDEN,
	    "user %s, whom PostgreSQL runs as, cannot enter %.*s: put the "
	    "folder elsewhere, allow entry (chmod o+x), or choose another "
	    "user (--postgres-user)",
	    em->user.name, bad, path);
}

/* A folder of mode 0700 that belongs to the user. */
static int
embedded_own_dir(const struct embedded *em, const char *path, struct error *e)
{
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_set(e, err_from_errno(errno), "cannot make %s: %s",
		    path, strerror(errno));
	if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ERR_CONFLICT, "%s is no folder", path);
	if (st.st_uid != em->user.uid) {
		/* Only root may give away, and only what was root's. */
		if (!em->user.change || st.st_uid != 0)
			return err_set(e, ERR_FORBIDDEN,
			    "%s belongs to user id %u, not to %u", path,
			    st.st_uid, em->user.uid);
		if (chown(path, em->user.uid, em->user.gid) != 0)
			return err_set(e, ERR_FORBIDDEN, "cannot chown %s: %s",
			    path, strerror(errno));
	}
	if ((st.st_mode & 077) != 0 && chmod(path, 0700) != 0)
		return err_set(e, ERR_FORBIDDEN, "cannot chmod %s: %s", path,
		    strerror(errno));
	return 0;
}

static int
embedded_socket_dir_make(struct embedded *em, struct error *e)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	uint8_t hash[16];
	char hex[33];
	int rc = ERR_INTERNAL;

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)em->dir,
	    strlen(em->dir), NULL, 0);
	hex_encode(hash, 6, hex);
	/* root's runtime folder cannot be entered by the user */
	if (base == NULL || em->user.change || strlen(base) > 60 ||
	    access(base, W_OK | X_OK) != 0)
		base = "/tmp";
	for (int i = 0; i < 8; i++) {
		/* Somebody may have taken the name in /tmp. */
		snprintf(em->socket_dir, sizeof(em->socket_dir),
		    i == 0 ? "%.64s/headgate-%s" : "%.64s/headgate-%s-%d", base,
		    hex, i);
		rc = embedded_own_dir(em, em->socket_dir, e);
		if (rc == 0)
			break;
	}
	return rc;
}

static int
embedded_lock(struct embedded *em, struct error *e)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock", em->dir);
	em->lock_fd =
	    open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (em->lock_fd < 0)
		return err_set(e, err_from_errno(errno), "cannot open %s: %s",
		    path, strerror(errno));
	/* Open file description lock: also between threads of a process, and
	 * gone with the process however it ends. */
	if (fcntl(em->lock_fd, F_OFD_SETLK, &fl) != 0)
		return err_set(e, ERR_CONFLICT,
		    "%s is in use by another control plane", em->dir);
	return 0;
}

int
embedded_make_dirs(struct embedded *em, const char *dir, struct error *e)
{
	char *real;
	int rc;

	rc = io_mkdirs(dir, 0755, e);
	if (rc != 0)
		return rc;
	real = realpath(dir, NULL);
	if (real == NULL || strlen(real) >= sizeof(em->dir)) {
		free(real);
		return err_set(e, ERR_INVALID, "%s: bad path", dir);
	}
	snprintf(em->dir, sizeof(em->dir), "%s", real);
	free(real);
	snprintf(em->data, sizeof(em->data), "%s/data", em->dir);
	snprintf(em->log, sizeof(em->log), "%s/server.log", em->dir);
	rc = embedded_own_dir(em, em->dir, e);
	if (rc == 0)
		rc = embedded_check_access(em, em->dir, e);
	if (rc == 0)
		rc = embedded_lock(em, e);
	if (rc == 0)
		rc = embedded_socket_dir_make(em, e);
	return rc;
}

/* ---- children
 * ------------------------------------------------------------------ */

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

/* ---- the cluster
 * ----------------------------------------------------------------- */

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
