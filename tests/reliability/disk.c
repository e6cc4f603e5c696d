/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory, see torture.h. A file knows which of its blocks are
 * durable and what they were before; a folder entry knows what it was when
 * the folder was synced last. A failed sync loses what was not durable, as
 * Linux does: the pages are clean afterwards, and a second sync would lie.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tests/reliability/torture.h"

#define DISK_FDS   256
#define DISK_NAMES 512
#define DISK_BLOCK 512

struct inode {
	char *data, *old; /* now; durable */
	size_t len, old_len, cap;
	int refs;
	bool bad;	    /* a sync failed */
	struct inode *copy; /* while an image is taken */
};

struct name {
	char path[128]; /* "" = free */
	struct inode *now, *durable;
};

struct disk {
	struct io io;
	struct name names[DISK_NAMES];
	struct inode *fds[DISK_FDS];
	bool fd_bad[DISK_FDS]; /* a sync of it failed */
	struct disk_fault fault;
	long calls, die_at;
	bool dead, hit;
	const char *misuse;
};

static void
inode_unref(struct inode *n)
{
	if (n == NULL || --n->refs > 0)
		return;
	free(n->data);
	free(n->old);
	free(n);
}

static void
inode_set(struct inode **at, struct inode *n)
{
	if (n != NULL)
		n->refs++;
	inode_unref(*at);
	*at = n;
}

static void
inode_resize(struct inode *n, size_t len)
{
	if (len > n->cap) {
		n->cap = 2 * len + 1024;
		n->data = realloc(n->data, n->cap);
		MUST(n->data != NULL);
	}
	if (len > n->len)
		memset(n->data + n->len, 0, len - n->len);
	n->len = len;
}

static void
inode_sync(struct inode *n)
{
	if (n->len > 0) {
		n->old = realloc(n->old, n->len);
		MUST(n->old != NULL);
		memcpy(n->old, n->data, n->len);
	}
	n->old_len = n->len;
}

/* Count a call. 0: go on; 1: do half of it; else what it answers. */
static int
disk_call(struct disk *d)
{
	d->calls++;
	if (d->die_at > 0 && d->calls >= d->die_at)
		d->dead = true;
	if (d->dead)
		return -EIO;
	if (d->fault.at == 0 || d->calls < d->fault.at ||
	    (d->calls > d->fault.at && !d->fault.sticky))
		return 0;
	d->hit = true;
	return d->fault.errnum == 0 ? 1 : -d->fault.errnum;
}

static struct name *
disk_find(struct disk *d, const char *path)
{
	for (int i = 0; i < DISK_NAMES; i++)
		if (d->names[i].path[0] != '\0' &&
		    strcmp(d->names[i].path, path) == 0)
			return &d->names[i];
	return NULL;
}

static struct name *
disk_name(struct disk *d, const char *path)
{
	struct name *n = disk_find(d, path);

	for (int i = 0; n == NULL && i < DISK_NAMES; i++)
		if (d->names[i].now == NULL && d->names[i].durable == NULL)
			n = &d->names[i];
	MUST(n != NULL && strlen(path) < sizeof(n->path));
	memcpy(n->path, path, strlen(path) + 1);
	return n;
}

static int
disk_open(struct io *io, const char *path, int flags, mode_t mode)
{
	struct disk *d = (struct disk *)io;
	struct name *n = disk_find(d, path);
	int fd, rc = disk_call(d);

	(void)mode;
	if (rc < 0)
		return rc;
	if ((n == NULL || n->now == NULL) && !(flags & O_CREAT))
		return -ENOENT;
	if (n != NULL && n->now != NULL && (flags & O_EXCL))
		return -EEXIST;
	for (fd = 3; fd < DISK_FDS && d->fds[fd] != NULL; fd++)
		;
	MUST(fd < DISK_FDS); /* descriptors leak */
	if (n == NULL || n->now == NULL) {
		n = disk_name(d, path);
		inode_set(&n->now, calloc(1, sizeof(struct inode)));
	}
	if (flags & O_TRUNC)
		n->now->len = 0;
	inode_set(&d->fds[fd], n->now);
	d->fd_bad[fd] = false;
	return fd;
}

static int
disk_close(struct io *io, int fd)
{
	struct disk *d = (struct disk *)io;
	int rc = disk_call(d);

	MUST(fd >= 0 && fd < DISK_FDS && d->fds[fd] != NULL);
	inode_set(&d->fds[fd], NULL); /* as Linux: also when it fails */
	return rc < 0 && !d->dead ? rc : 0;
}

static ssize_t
disk_write(struct io *io, int fd, const void *p, size_t n)
{
	struct disk *d = (struct disk *)io;
	struct inode *f = d->fds[fd];
	int rc = disk_call(d);
	size_t at = f->len;

	if (d->dead && rc < 0 && d->calls == d->die_at && n > 1) {
		/* The machine dies in the middle of it. */
		inode_resize(f, at + n / 2);
		memcpy(f->data + at, p, n / 2);
	}
	if (rc < 0)
		return rc;
	if (d->fd_bad[fd])
		d->misuse = "wrote to a file after its sync failed";
	if (rc == 1 && n > 1)
		n /= 2;
	inode_resize(f, at + n);
	memcpy(f->data + at, p, n);
	return (ssize_t)n;
}

static ssize_t
disk_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	struct disk *d = (struct disk *)io;
	const struct inode *f = d->fds[fd];
	int rc = disk_call(d);

	if (rc < 0)
		return rc;
	if (rc == 1 && n > 1)
		n /= 2;
	if ((size_t)off >= f->len)
		return 0;
	if (n > f->len - (size_t)off)
		n = f->len - (size_t)off;
	memcpy(p, f->data + off, n);
	return (ssize_t)n;
}

static int
disk_fsync(struct io *io, int fd)
{
	struct disk *d = (struct disk *)io;
	struct inode *f = d->fds[fd];
	int rc = disk_call(d);

	if (rc < 0 && !d->dead) {
		f->bad = d->fd_bad[fd] = true;
		return rc;
	}
	if (rc < 0)
		return rc;
	if (d->fd_bad[fd])
		d->misuse = "synced a file again after its sync failed";
	if (f->bad)
		return 0; /* the kernel's lie, also to the next process */
	inode_sync(f);
	return 0;
}

static int
disk_ftruncate(struct io *io, int fd, off_t len)
{
	struct disk *d = (struct disk *)io;
	int rc = disk_call(d);

	if (rc < 0)
		return rc;
	inode_resize(d->fds[fd], (size_t)len);
	return 0;
}

static int
disk_rename(struct io *io, const char *from, const char *to)
{
	struct disk *d = (struct disk *)io;
	struct name *a = disk_find(d, from);
	int rc = disk_call(d);

	if (rc < 0)
		return rc;
	if (a == NULL || a->now == NULL)
		return -ENOENT;
	inode_set(&disk_name(d, to)->now, a->now);
	inode_set(&a->now, NULL);
	return 0;
}

static int
disk_unlink(struct io *io, const char *path)
{
	struct disk *d = (struct disk *)io;
	struct name *n = disk_find(d, path);
	int rc = disk_call(d);

	if (rc < 0)
		return rc;
	if (n == NULL || n->now == NULL)
		return -ENOENT;
	inode_set(&n->now, NULL);
	return 0;
}

static int64_t
disk_size(struct io *io, int fd)
{
	struct disk *d = (struct disk *)io;
	int rc = disk_call(d);

	return rc < 0 ? rc : (int64_t)d->fds[fd]->len;
}

/* The last part of a path directly in the folder, else NULL. */
static const char *
disk_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	if (strncmp(path, folder, n) != 0 || path[n] != '/' ||
	    strchr(path + n + 1, '/') != NULL)
		return NULL;
	return path + n + 1;
}

static int
disk_fsync_dir(struct io *io, const char *path)
{
	struct disk *d = (struct disk *)io;
	int rc = disk_call(d);

	if (rc < 0)
		return rc;
	for (int i = 0; i < DISK_NAMES; i++)
		if (disk_in(d->names[i].path, path) != NULL)
			inode_set(&d->names[i].durable, d->names[i].now);
	return 0;
}

static int
disk_list(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	struct disk *d = (struct disk *)io;
	int rc = disk_call(d);

	rc = rc == 1 ? 0 : rc;
	for (int i = 0; rc == 0 && i < DISK_NAMES; i++)
		if (d->names[i].now != NULL &&
		    disk_in(d->names[i].path, path) != NULL)
			rc = each(ctx, disk_in(d->names[i].path, path));
	return rc;
}

static int64_t
disk_free_bytes(struct io *io, const char *path)
{
	int rc = disk_call((struct disk *)io);

	(void)path;
	return rc < 0 ? rc : (int64_t)1 << 30;
}

struct disk *
disk_new(void)
{
	struct disk *d = calloc(1, sizeof(*d));

	MUST(d != NULL);
	d->io = (struct io){.open = disk_open,
	    .close = disk_close,
	    .write = disk_write,
	    .pread = disk_pread,
	    .fsync = disk_fsync,
	    .ftruncate = disk_ftruncate,
	    .rename = disk_rename,
	    .unlink = disk_unlink,
	    .size = disk_size,
	    .fsync_dir = disk_fsync_dir,
	    .list = disk_list,
	    .free_bytes = disk_free_bytes};
	return d;
}

void
disk_free(struct disk *d)
{
	if (d == NULL)
		return;
	disk_reopen(d);
	for (int i = 0; i < DISK_NAMES; i++) {
		inode_set(&d->names[i].now, NULL);
		inode_set(&d->names[i].durable, NULL);
	}
	free(d);
}

struct io *
disk_io(struct disk *d)
{
	return &d->io;
}

void
disk_arm(struct disk *d, const struct disk_fault *f)
{
	d->calls = 0;
	d->fault = *f;
	d->hit = false;
}

bool
disk_hit(const struct disk *d)
{
	return d->hit;
}

void
disk_die_at(struct disk *d, long at)
{
	d->calls = 0;
	d->die_at = at;
}

bool
disk_dead(const struct disk *d)
{
	return d->dead;
}

long
disk_calls(const struct disk *d)
{
	return d->calls;
}

const char *
disk_misuse(const struct disk *d)
{
	return d->misuse;
}

void
disk_reopen(struct disk *d)
{
	for (int i = 0; i < DISK_FDS; i++)
		inode_set(&d->fds[i], NULL);
	memset(&d->fault, 0, sizeof(d->fault));
	d->die_at = 0;
	d->dead = d->hit = false;
}

/* ---- power cuts ------------------------------------------------------------
 */

/* What of the unsynced bytes arrived: the length is any between the two, and
 * each block is new or as it was (zeros where there was nothing). */
static struct inode *
inode_torn(struct inode *n, struct rng *rng)
{
	struct inode *c = calloc(1, sizeof(*c));
	size_t low = n->len < n->old_len ? n->len : n->old_len;
	size_t high = n->len < n->old_len ? n->old_len : n->len;

	MUST(c != NULL);
	/* After a failed sync nothing more is written back. */
	inode_resize(c, n->bad || high == low
			    ? n->old_len
			    : low + (size_t)rng_below(rng, high - low + 1));
	for (size_t at = 0; at < c->len; at += DISK_BLOCK) {
		bool fresh = !n->bad && rng_below(rng, 2) == 0;
		size_t have = fresh ? n->len : n->old_len, k = c->len - at;

		if (k > DISK_BLOCK)
			k = DISK_BLOCK;
		if (at + k > have)
			k = at < have ? have - at : 0;
		if (k > 0)
			memcpy(
			    c->data + at, (fresh ? n->data : n->old) + at, k);
	}
	inode_sync(c);
	return c;
}

static struct inode *
disk_copy_of(struct inode *n, struct rng *rng)
{
	if (n != NULL && n->copy == NULL)
		n->copy = inode_torn(n, rng);
	return n == NULL ? NULL : n->copy;
}

struct disk *
disk_image(const struct disk *d, struct rng *rng)
{
	struct disk *c = disk_new();

	for (int i = 0; i < DISK_NAMES; i++) {
		const struct name *n = &d->names[i];
		struct inode *at = n->now, *copy;

		if (n->now != n->durable && rng_below(rng, 2) == 0)
			at = n->durable;
		copy = disk_copy_of(at, rng);
		if (copy == NULL)
			continue;
		memcpy(c->names[i].path, n->path, sizeof(n->path));
		inode_set(&c->names[i].now, copy);
		inode_set(&c->names[i].durable, copy);
	}
	for (int i = 0; i < DISK_NAMES; i++) {
		if (d->names[i].now != NULL)
			d->names[i].now->copy = NULL;
		if (d->names[i].durable != NULL)
			d->names[i].durable->copy = NULL;
	}
	return c;
}
