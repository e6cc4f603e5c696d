/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent keeps: its configuration from bundle to cache, its journal
 * over three boots.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config/cache.h"
#include "agent/config/compile.h"
#include "tests/reliability/alloc/alloc.h"
#include "tests/reliability/torture.h"
#include "tests/unit/agent/config_kit.h"

/* A world with some more in it than the kit's. */
static void
make_world(struct world *w)
{
	char name[64];

	world_init(w);
	for (unsigned i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "acme.r.p.k%u", i);
		(void)world_key(w, W_FREE + i, name, W_PROJECT);
	}
	(void)world_budget(w, W_FREE + 100, "acme.more",
	    HG__ITEM_KIND__ITEM_TEAM, W_TEAM, true);
}

void
alloc_items(struct alloc *a)
{
	struct item_state *s;
	struct world w;
	struct error e;
	struct buf b;

	make_world(&w);
	buf_init(&b, 1 << 24);
	world_snapshot(&w, &b);
	EACH_OOM
	{
		int rc = items_apply(NULL, buf_str(&b), &s, &e);
		bool hit = oom_hit();

		if (rc != (hit ? ERR_NOMEM : 0))
			alloc_bad(a, "apply: %d %s", rc, e.text);
		if (rc == 0)
			items_unref(s);
	}
	a->failures += oom_failures();
	buf_release(&b);
	world_release(&w);
}

/* Everything that a compiled bundle hangs on lives and dies in the round. */
static int
compile_once(const struct item_state *s, struct error *e)
{
	struct lease_table *leases = lease_table_new(NULL);
	struct limit_registry *limits = limit_registry_new();
	struct bundle *b = NULL;
	struct reject why;
	int rc = ERR_NOMEM;

	if (leases != NULL && limits != NULL)
		rc = bundle_compile(s, leases, limits, &b, &why, e);
	if (rc == 0)
		bundle_take_effect(b, leases);
	bundle_unref(b);
	limit_registry_free(limits);
	lease_table_free(leases);
	return rc;
}

void
alloc_compile(struct alloc *a)
{
	struct item_state *s;
	struct world w;
	struct error e;

	make_world(&w);
	s = world_state(&w);
	EACH_OOM
	{
		int rc = compile_once(s, &e);
		bool hit = oom_hit();

		if (rc != (hit ? ERR_NOMEM : 0))
			alloc_bad(a, "compile: %d %s", rc, e.text);
	}
	a->failures += oom_failures();
	items_unref(s);
	world_release(&w);
}

void
alloc_cache(struct alloc *a)
{
	static const uint8_t key[DISK_KEY_LEN] = {3};
	struct item_state *s, *again;
	struct world w;
	struct error e;
	struct buf b;

	make_world(&w);
	s = world_state(&w);
	EACH_OOM
	{
		bool hit;
		int rc;

		again = NULL;
		buf_init(&b, 1 << 24);
		rc = cache_seal(key, rng_system(), s, &b);
		if (rc == 0)
			rc = cache_open(key, buf_str(&b), &again, &e);
		hit = oom_hit();
		if (rc != (hit ? ERR_NOMEM : 0))
			alloc_bad(a, "cache: %d", rc);
		if (rc == 0 &&
		    memcmp(again->hash, s->hash, STATE_HASH_LEN) != 0)
			alloc_bad(a, "another state came back");
		items_unref(again);
		buf_release(&b);
	}
	a->failures += oom_failures();
	items_unref(s);
	world_release(&w);
}

/* ---- journal --------------------------------------------------------------
 * The disk's own memory does not run out.
 */

static struct io *disk_real;

#define QUIET(type, call)             \
	do {                          \
		type rc;              \
                                      \
		(void)io;             \
		oom_pause(true);      \
		rc = disk_real->call; \
		oom_pause(false);     \
		return rc;            \
	} while (0)

static int
q_open(struct io *io, const char *path, int flags, mode_t mode)
{
	QUIET(int, open(disk_real, path, flags, mode));
}

static int
q_close(struct io *io, int fd)
{
	QUIET(int, close(disk_real, fd));
}

static ssize_t
q_write(struct io *io, int fd, const void *p, size_t n)
{
	QUIET(ssize_t, write(disk_real, fd, p, n));
}

static ssize_t
q_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	QUIET(ssize_t, pread(disk_real, fd, p, n, off));
}

static int
q_fsync(struct io *io, int fd)
{
	QUIET(int, fsync(disk_real, fd));
}

static int
q_ftruncate(struct io *io, int fd, off_t len)
{
	QUIET(int, ftruncate(disk_real, fd, len));
}

static int
q_rename(struct io *io, const char *from, const char *to)
{
	QUIET(int, rename(disk_real, from, to));
}

static int
q_unlink(struct io *io, const char *path)
{
	QUIET(int, unlink(disk_real, path));
}

static int64_t
q_size(struct io *io, int fd)
{
	QUIET(int64_t, size(disk_real, fd));
}

static int
q_fsync_dir(struct io *io, const char *path)
{
	QUIET(int, fsync_dir(disk_real, path));
}

/* Not quiet: its callback is the code under test. */
static int
q_list(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	(void)io;
	return disk_real->list(disk_real, path, each, ctx);
}

static int64_t
q_free_bytes(struct io *io, const char *path)
{
	QUIET(int64_t, free_bytes(disk_real, path));
}

static struct io quiet = {.open = q_open,
    .close = q_close,
    .write = q_write,
    .pread = q_pread,
    .fsync = q_fsync,
    .ftruncate = q_ftruncate,
    .rename = q_rename,
    .unlink = q_unlink,
    .size = q_size,
    .fsync_dir = q_fsync_dir,
    .list = q_list,
    .free_bytes = q_free_bytes};

static void
journal_round(struct alloc *a, struct work_facts *facts)
{
	struct disk *d;
	const char *bug;
	struct work w;

	oom_pause(true);
	memset(facts, 0, sizeof(*facts));
	d = disk_new();
	disk_real = disk_io(d);
	oom_pause(false);
	work_init(&w, &quiet, "/mem", facts, 5);
	w.faulty = true;
	work_run(&w);
	(void)oom_hit();
	bug = w.bug;
	if (bug != NULL)
		alloc_bad(a, "%s", bug);
	disk_reopen(d);
	work_init(&w, &quiet, "/mem", facts, 6);
	bug = work_recover(&w);
	if (bug == NULL)
		bug = work_check(&w, false);
	if (bug != NULL)
		alloc_bad(a, "afterwards: %s", bug);
	disk_free(d);
}

void
alloc_journal(struct alloc *a)
{
	struct work_facts *facts = calloc(1, sizeof(*facts));

	MUST(facts != NULL);
	EACH_OOM
	{
		journal_round(a, facts);
	}
	a->failures += oom_failures();
	free(facts);
}
