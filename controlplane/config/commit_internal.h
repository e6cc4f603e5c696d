/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one commit, shared by commit.c (the steps) and secrets.c (what
 * the control plane keeps of keys and credentials).
 */
#ifndef CONTROLPLANE_CONFIG_COMMIT_INTERNAL_H
#define CONTROLPLANE_CONFIG_COMMIT_INTERNAL_H

#include <stdio.h>

#include "controlplane/config/commit.h"
#include "controlplane/config/validate.h"
#include "controlplane/config/world.h"

/* One item of the commit. */
struct work {
	const struct config_change *ch;
	json_t *old;	 /* stored spec, NULL when new */
	json_t *spec;	 /* spec to be stored, NULL for a deletion */
	json_t *secrets; /* write-only fields that were given */
	uint64_t uid, version;
	char *secret; /* generated key */
	bool bad;     /* has a problem */
	bool same;    /* changes nothing */
};

struct commit {
	struct db *db;
	const struct config_commit *req;
	struct work *w;
	size_t n;
	json_t *index;	 /* "kind name" -> position in w */
	json_t *digests; /* digests of the keys in this commit */
	json_t *nothing; /* {} */
	struct world world;
	struct problems *p;
	struct error *e;
};

/* The item of this commit, or NULL. */
struct work *commit_find(struct commit *c, int kind, struct str name);
/* Complete w->spec by internal and read-only fields; makes keys, stores
 * credentials. w->uid is known. Problems go to c->p. */
int commit_secrets(struct commit *c, struct work *w) MUST_CHECK;
/* Check that no key gets more budgets or limits on its path than agents have
 * room for. Problems go to c->p, they name the key and what lies there. */
int commit_paths(struct commit *c) MUST_CHECK;

#endif
