/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the private cluster: start, wait until it answers, take over from a
 * server that a killed owner left, stop.
 *
 * The server gets SIGINT (fast shutdown) when the thread that started it
 * dies, so start and restart belong on the main thread.
 */
#include "controlplane/store/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "controlplane/store/embedded_internal.h"

#define EMBEDDED_LOG_MAX (16 << 20)

static int64_t
embedded_now(void)
{
	return clock_mono(clock_system());
}

/* Read postmaster.pid: 0 = none or not a server on this folder. */
static pid_t
embedded_leftover(const struct embedded *em)
{
	char path[PATH_MAX + 32], text[32] = "", link[64], cwd[PATH_MAX];
	ssize_t n;
	long pid;
	int fd;

	snprintf(path, sizeof(path), "%s/postmaster.pid", em->data);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	pid = n > 0 ? strtol(text, NULL, 10) : 0;
	if (pid <= 1)
		return 0;
	/* Is it a server of ours? Its working folder is the data folder; a
	 * number that another process got since has another. */
	snprintf(link, sizeof(link), "/proc/%ld/cwd", pid);
	n = readlink(link, cwd, sizeof(cwd) - 1);
	if (n < 0)
		return 0;
	cwd[n] = '\0';
	return strcmp(cwd, em->data) == 0 ? (pid_t)pid : 0;
}

static bool
embedded_wait_gone(pid_t pid, int timeout_ms)
{
	int64_t end = embedded_now() + timeout_ms * NS_PER_MS;

	while (kill(pid, 0) == 0 || errno == EPERM) {
		if (embedded_now() >= end)
			return false;
		poll(NULL, 0, 10);
	}
	return true;
}

/* A killed owner's server was told to stop by the kernel; help it along. Its
 * clients are gone, so nothing is lost by stopping it. */
static int
embedded_stop_leftover(struct embedded *em, struct error *e)
{
	static const int sigs[] = {SIGINT, SIGQUIT};
	char path[PATH_MAX + 32];
	pid_t pid = embedded_leftover(em);

	if (pid == 0) {
		/* A stale file may name a living stranger, which would make
		 * the server refuse to start. We hold the lock. */
		snprintf(path, sizeof(path), "%s/postmaster.pid", em->data);
		unlink(path);
		return 0;
	}
	for (size_t i = 0; i < 2; i++) {
		kill(pid, sigs[i]);
		if (embedded_wait_gone(pid, i == 0 ? 20000 : 10000))
			return 0;
	}
	return err_set(e, ERR_CONFLICT,
	    "a PostgreSQL server (process %d) on %s does not stop", (int)pid,
	    em->data);
}

static void
embedded_rotate_log(const struct embedded *em)
{
	char old[PATH_MAX + 32];
	struct stat st;

	if (stat(em->log, &st) != 0 || st.st_size < EMBEDDED_LOG_MAX)
		return;
	snprintf(old, sizeof(old), "%s.1", em->log);
	(void)!rename(em->log, old);
}

bool
embedded_is_running(struct embedded *em)
{
	int status;

	if (em->pid == 0)
		return false;
	if (waitpid(em->pid, &status, WNOHANG) == 0)
		return true;
	em->pid = 0;
	return false;
}

/* Connect to the server; 0, ERR_AGAIN while it is not ready, ERR_NOT_FOUND
 * when the database does not exist. */
static int
embedded_connect(
    const struct embedded *em, const char *db, PGconn **ret, struct error *e)
{
	const char *keys[] = {
	    "host", "user", "dbname", "connect_timeout", NULL};
	const char *vals[] = {em->socket_dir, "headgate", db, "5", NULL};
	PGconn *pg = PQconnectdbParams(keys, vals, 0);
	int rc = 0;

	if (PQstatus(pg) == CONNECTION_OK) {
		*ret = pg;
		return 0;
	}
	rc = strstr(PQerrorMessage(pg), "does not exist") != NULL &&
		     strstr(PQerrorMessage(pg), "database") != NULL
		 ? ERR_NOT_FOUND
		 : ERR_AGAIN;
	err_set(e, rc, "%s", PQerrorMessage(pg));
	PQfinish(pg);
	return rc;
}

static int
embedded_make_db(const struct embedded *em, struct error *e)
{
	PGconn *pg = NULL;
	PGresult *res;
	int rc;

	rc = embedded_connect(em, "postgres", &pg, e);
	if (rc != 0)
		return rc;
	res = PQexec(pg, "CREATE DATABASE headgate");
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		rc = err_set(e, ERR_IO, "cannot make the database: %s",
		    PQerrorMessage(pg));
	PQclear(res);
	PQfinish(pg);
	return rc;
}

static int
embedded_wait_ready(struct embedded *em, struct error *e)
{
	int64_t end = embedded_now() + em->start_timeout_s * NS_PER_S;
	PGconn *pg = NULL;
	int rc;

	for (;;) {
		rc = embedded_connect(em, "headgate", &pg, e);
		if (rc == ERR_NOT_FOUND)
			rc = embedded_make_db(em, e);
		else if (rc == 0)
			break;
		if (rc != 0 && rc != ERR_AGAIN)
			return rc;
		if (!embedded_is_running(em))
			return embedded_fail_log(
			    em, ERR_UNAVAILABLE, "PostgreSQL did not start", e);
		if (embedded_now() >= end)
			return embedded_fail_log(em, ERR_TIMEOUT,
			    "PostgreSQL was not ready in time", e);
		if (rc != 0)
			poll(NULL, 0, 10);
	}
	PQfinish(pg);
	return 0;
}

static int
embedded_launch(struct embedded *em, struct error *e)
{
	char prog[PATH_MAX];
	const char *argv[] = {prog, "-D", em->data, NULL};
	int rc;

	rc = embedded_stop_leftover(em, e);
	if (rc != 0)
		return rc;
	embedded_rotate_log(em);
	snprintf(prog, sizeof(prog), "%s/postgres", em->bindir);
	rc = embedded_spawn(em, argv, true, &em->pid, e);
	if (rc != 0) {
		em->pid = 0;
		return rc;
	}
	rc = embedded_wait_ready(em, e);
	if (rc != 0 && em->pid != 0) {
		kill(em->pid, SIGQUIT);
		waitpid(em->pid, NULL, 0);
		em->pid = 0;
	}
	return rc;
}

/* After a crash the dead server's children need a moment to let go of the
 * shared memory; until then a start is refused. */
int
embedded_restart(struct embedded *em, struct error *e)
{
	int rc = ERR_INTERNAL;

	if (embedded_is_running(em))
		return 0;
	for (int i = 0; i < 50; i++) {
		rc = embedded_launch(em, e);
		if (rc != ERR_UNAVAILABLE || e == NULL ||
		    strstr(e->text, "still in use") == NULL)
			break;
		poll(NULL, 0, 100);
	}
	return rc;
}

int
embedded_start(
    const struct embedded_options *o, struct embedded **ret, struct error *e)
{
	struct embedded *em = calloc(1, sizeof(*em));
	struct error local;
	int rc;

	if (em == NULL)
		return err_set(e, ERR_NOMEM, "no memory");
	if (e == NULL)
		e = &local;
	em->lock_fd = -1;
	em->unsafe_fast = o->unsafe_fast;
	em->max_conns = o->max_conns ? o->max_conns : 64;
	em->start_timeout_s = o->start_timeout_s ? o->start_timeout_s : 120;
	rc = embedded_find_user(em, o->user, e);
	if (rc == 0)
		rc = embedded_make_dirs(em, o->dir, e);
	if (rc == 0)
		rc = embedded_find_bindir(em, o->bindir, e);
	if (rc == 0)
		rc = embedded_stop_leftover(em, e);
	if (rc == 0)
		rc = embedded_init_cluster(em, e);
	if (rc == 0)
		rc = embedded_restart(em, e);
	if (rc != 0) {
		embedded_stop(em, 0);
		return rc;
	}
	snprintf(em->conninfo, sizeof(em->conninfo),
	    "host=%s user=headgate dbname=headgate", em->socket_dir);
	*ret = em;
	return 0;
}

const char *
embedded_conninfo(const struct embedded *em)
{
	return em->conninfo;
}

const char *
embedded_socket_dir(const struct embedded *em)
{
	return em->socket_dir;
}

pid_t
embedded_pid(const struct embedded *em)
{
	return em->pid;
}

void
embedded_kill(struct embedded *em)
{
	if (em->pid == 0)
		return;
	kill(em->pid, SIGQUIT);
	waitpid(em->pid, NULL, 0);
	em->pid = 0;
}

static bool
embedded_wait_exit(struct embedded *em, int timeout_s)
{
	int64_t end = embedded_now() + timeout_s * NS_PER_S;

	while (embedded_is_running(em)) {
		if (embedded_now() >= end)
			return false;
		poll(NULL, 0, 5);
	}
	return true;
}

void
embedded_stop(struct embedded *em, int timeout_s)
{
	if (em == NULL)
		return;
	if (embedded_is_running(em)) {
		kill(em->pid, SIGINT);
		if (!embedded_wait_exit(em, timeout_s ? timeout_s : 30))
			embedded_kill(em);
	}
	if (em->lock_fd >= 0)
		close(em->lock_fd);
	if (em->socket_dir[0] != '\0')
		rmdir(em->socket_dir);
	free(em);
}
