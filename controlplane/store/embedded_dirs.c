/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preparing a private cluster: the user it runs as, the programs, the
 * folders.
 *
 * The socket lives in a short folder of its own because a socket's path is
 * limited to 107 bytes; that folder (mode 0700) is what keeps others out, the
 * server itself trusts who can reach the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/str.h"
#include "controlplane/store/embedded_internal.h"

#define EMBEDDED_SOCKET_DIRS 8

/* ---- who ---- */

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

int
embedded_become(const struct embedded_user *u)
{
	if (!u->change || geteuid() != 0)
		return 0;
	if (setgroups((size_t)u->n_groups, u->groups) != 0 ||
	    setgid(u->gid) != 0 || setuid(u->uid) != 0)
		return -1;
	return 0;
}

/* ---- programs ---- */

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

/* Major version of the cluster in DIR, 0 = none yet: another version's
 * programs cannot open it. */
static int
embedded_cluster_version(const struct embedded *em)
{
	char path[PATH_MAX + 32], text[16] = "";
	FILE *f;
	int v = 0;

	snprintf(path, sizeof(path), "%s/PG_VERSION", em->data);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fgets(text, sizeof(text), f) != NULL)
		v = (int)strtol(text, NULL, 10);
	fclose(f);
	return v;
}

int
embedded_find_bindir(struct embedded *em, const char *given, struct error *e)
{
	/* Versioned folders first: what is on the PATH may be a wrapper. */
	static const int all[] = {15, 16, 17, 18};
	int have = embedded_cluster_version(em);
	char path[PATH_MAX / 2];

	if (given != NULL && *given != '\0') {
		if (embedded_try_bindir(em, given))
			return 0;
		return err_set(
		    e, ERR_NOT_FOUND, "no initdb and postgres in %s", given);
	}
	for (size_t v = 0; v < sizeof(all) / sizeof(*all); v++) {
		for (size_t r = 0; r < 2; r++) {
			if (have != 0 && all[v] != have)
				continue;
			snprintf(path, sizeof(path),
			    r == 0 ? "/usr/lib/postgresql/%d/bin"
				   : "/usr/pgsql-%d/bin",
			    all[v]);
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

/* ---- folders ---- */

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

/* The i-th candidate for the socket's folder of a data folder. */
static void
embedded_socket_path(const char *base, const char *dir, int i, char path[128])
{
	uint8_t hash[16];
	char hex[33];

	crypto_generichash(
	    hash, sizeof(hash), (const uint8_t *)dir, strlen(dir), NULL, 0);
	hex_encode(hash, 6, hex);
	if (i == 0)
		snprintf(path, 128, "%.64s/headgate-%s", base, hex);
	else
		snprintf(path, 128, "%.64s/headgate-%s-%d", base, hex, i);
}

static const char *
embedded_runtime_dir(void)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	/* root's runtime folder cannot be entered by the user */
	if (base == NULL || geteuid() == 0 || strlen(base) > 60 ||
	    access(base, W_OK | X_OK) != 0)
		return "/tmp";
	return base;
}

static int
embedded_socket_dir_make(struct embedded *em, struct error *e)
{
	int rc = ERR_INTERNAL;

	for (int i = 0; i < EMBEDDED_SOCKET_DIRS; i++) {
		/* Somebody may have taken the name in /tmp. */
		embedded_socket_path(
		    embedded_runtime_dir(), em->dir, i, em->socket_dir);
		rc = embedded_own_dir(em, em->socket_dir, e);
		if (rc == 0)
			break;
	}
	return rc;
}

/* The socket's folder must belong to the owner of DIR: in /tmp anybody may
 * make one of that name. */
int
embedded_attach(const char *dir, char *conninfo, size_t cap, struct error *e)
{
	char path[128], sock[160], *real = realpath(dir, NULL);
	struct stat owner, st;
	int rc = ERR_NOT_FOUND;

	for (int i = 0; real != NULL && i < 2 * EMBEDDED_SOCKET_DIRS; i++) {
		embedded_socket_path(
		    i < EMBEDDED_SOCKET_DIRS ? embedded_runtime_dir() : "/tmp",
		    real, i % EMBEDDED_SOCKET_DIRS, path);
		snprintf(sock, sizeof(sock), "%s/.s.PGSQL.5432", path);
		if (stat(real, &owner) == 0 && lstat(path, &st) == 0 &&
		    S_ISDIR(st.st_mode) && st.st_uid == owner.st_uid &&
		    access(sock, F_OK) == 0) {
			snprintf(conninfo, cap,
			    "host=%s user=headgate dbname=headgate", path);
			rc = 0;
			break;
		}
	}
	free(real);
	if (rc != 0)
		return err_set(e, rc, "%s has no running server", dir);
	return 0;
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
