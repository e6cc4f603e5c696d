/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the embedded server share.
 */
#ifndef CONTROLPLANE_STORE_EMBEDDED_INTERNAL_H
#define CONTROLPLANE_STORE_EMBEDDED_INTERNAL_H

#include <limits.h>

#include "controlplane/store/embedded.h"

#define EMBEDDED_MAX_GROUPS 64

/* Who the server runs as. */
struct embedded_user {
	bool change; /* we are root: drop to uid, gid, groups */
	uid_t uid;
	gid_t gid;
	gid_t groups[EMBEDDED_MAX_GROUPS];
	int n_groups;
	char name[64];
};

struct embedded {
	char dir[PATH_MAX / 2]; /* absolute */
	char data[PATH_MAX];	/* dir/data */
	char log[PATH_MAX];	/* dir/server.log */
	char bindir[PATH_MAX / 2];
	char socket_dir[128];
	char conninfo[320];
	struct embedded_user user;
	bool unsafe_fast;
	unsigned max_conns;
	int start_timeout_s;
	int lock_fd;
	pid_t pid; /* 0 = not running */
};

/* Fill em->user from the option. */
int embedded_find_user(
    struct embedded *em, const char *name, struct error *e) MUST_CHECK;
/* Drop to the user; in a child, only system calls (the parent may have
 * threads). -1 on failure. */
int embedded_become(const struct embedded_user *u);
/* Fill em->bindir: the folder that holds initdb and postgres. */
int embedded_find_bindir(
    struct embedded *em, const char *given, struct error *e) MUST_CHECK;
/* Make and own DIR and the socket folder, check that the user gets in. */
int embedded_make_dirs(
    struct embedded *em, const char *dir, struct error *e) MUST_CHECK;
/* initdb unless there is a cluster; write the configuration. */
int embedded_init_cluster(struct embedded *em, struct error *e) MUST_CHECK;
/* Run argv[0] as the user with output to the log. The child dies with the
 * calling thread when `owned` (SIGINT then). */
int embedded_spawn(const struct embedded *em, const char *const *argv,
    bool owned, pid_t *pid, struct error *e) MUST_CHECK;
/* Fail with the last lines of the log in the text. */
int embedded_fail_log(
    const struct embedded *em, int code, const char *what, struct error *e);

#endif
