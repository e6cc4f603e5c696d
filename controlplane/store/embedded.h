/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private PostgreSQL cluster that this process starts and owns
 * (--store embedded:DIR): initdb with checksums on first use, Unix socket
 * only, clean stop with the process, crash recovery by PostgreSQL itself.
 * Started as root, the server runs as an unprivileged user.
 */
#ifndef CONTROLPLANE_STORE_EMBEDDED_H
#define CONTROLPLANE_STORE_EMBEDDED_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

struct embedded;

struct embedded_options {
	const char *dir;     /* DIR; made if missing */
	const char *user;    /* to run as when we are root; NULL or "" =
				postgres, else nobody */
	const char *bindir;  /* folder of initdb and postgres; NULL = find */
	bool unsafe_fast;    /* fsync off: tests only */
	unsigned max_conns;  /* max_connections; 0 = 64 */
	int start_timeout_s; /* crash recovery included; 0 = 120 */
};

/* Lock DIR, initialise it if empty, start the server and wait until it
 * accepts connections. A server left over by a killed owner is stopped
 * first. Errors carry the tail of the server's log. */
int embedded_start(const struct embedded_options *o, struct embedded **ret,
    struct error *e) MUST_CHECK;
/* libpq connection string of database "headgate"; lives as long as em. */
const char *embedded_conninfo(const struct embedded *em);
const char *embedded_socket_dir(const struct embedded *em);
pid_t embedded_pid(const struct embedded *em);
/* Has the server exited by itself? (readyz, supervision) */
bool embedded_is_running(struct embedded *em);
/* Start it again after it died (tests kill it); same DIR and socket. */
int embedded_restart(struct embedded *em, struct error *e) MUST_CHECK;
/* Connection string of the server that another process runs on dir, for tools
 * beside a running control plane. ERR_NOT_FOUND: there is none. */
int embedded_attach(
    const char *dir, char *conninfo, size_t cap, struct error *e) MUST_CHECK;
/* For tests: SIGQUIT (as pg_ctl stop -m immediate), waits for the exit. */
void embedded_kill(struct embedded *em);
/* Fast shutdown, unlock, free. After timeout_s (0 = 30) immediate shutdown.
 * NULL is ok. */
void embedded_stop(struct embedded *em, int timeout_s);

#endif
