/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory behind struct io. A file keeps how many bytes were synced,
 * a folder which name was durable for which file. A kill keeps everything that
 * was written; a power cut keeps what was synced and any part of the rest, in
 * blocks and in any order, as real disks do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tests/sim/sim.h"

#define DISK_FDS   4096
#define DISK_BLOCK 64 /* of what a power cut tears; small, to tear much */

struct inode {
	char *data;
	size_t len, cap;
	size_t synced;
	int refs; /* names and descriptors */
};

struct name {
	uint64_t hash;
	char path[128]; /* "" = free */
	struct inode *now, *durable;
};

struct sim_disk {
	struct io io;
	struct rng *rng;
	struct name *names;
	int cap_names;
	struct inode *fds[DISK_FDS];
	int n_names; /* used so far */
	int low_fd;  /* none below is free */
	int n_fds;
	long left; /* calls until the process is dead; -1 = never */
	bool dead, full;
	long fail_write, fail_fsync;
	int errnum;
};

static void
inode_unref(struct inode *n)
{
	if (n == NULL || --n->refs > 0)
		return;
	free(n->data);
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

/* False: the process is dead, nothing happens. */
static bool
disk_alive(struct sim_disk *d)
{
	if (!d->dead && d->left >= 0 && d->left-- == 0)
		d->dead = true;
	return !d->dead;
}

static uint64_t
disk_hash(const char *path)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *path != '\0'; path++)
		h = (h ^ (uint8_t)*path) * UINT64_C(1099511628211);
	return h;
}

static struct name *
disk_find(struct sim_disk *d, const char *path)
{
	uint64_t h = disk_hash(path);

	for (int i = 0; i < d->n_names; i++)
		if (d->names[i].hash == h &&
		    strcmp(d->names[i].path, path) == 0)
			return &d->names[i];
	return NULL;
}

static struct name *
disk_name(struct sim_disk *d, const char *path)
{
	struct name *n = disk_find(d, path);
	int i = 0;

	if (n != NULL)
		return n;
	while (i < d->n_names &&
	       (d->names[i].now != NULL || d->names[i].durable != NULL))
		i++;
	MUST(strlen(path) < sizeof(n->path));
	if (i == d->cap_names) {
		d->cap_names = 2 * i + 16;
		d->names =
		    realloc(d->names, (size_t)d->cap_names * sizeof(*d->names));
		MUST(d->names != NULL);
	}
	n = &d->names[i];
	if (i == d->n_names) {
		memset(n, 0, sizeof(*n));
		d->n_names++;
	}
	n->hash = disk_hash(path);
	memcpy(n->path, path, strlen(path) + 1);
	return n;
}

static int
disk_open(struct io *io, const char *path, int flags, mode_t mode)
{
	struct sim_disk *d = (struct sim_disk *)io;
	struct name *n = disk_find(d, path);
	int fd;

	(void)mode;
	if (!disk_alive(d))
		return -EIO;
	if ((n == NULL || n->now == NULL) && !(flags & O_CREAT))
		return -ENOENT;
	if (n != NULL && n->now != NULL && (flags & O_EXCL))
		return -EEXIST;
	for (fd = d->low_fd; fd < DISK_FDS && d->fds[fd] != NULL; fd++)
		;
	MUST(fd < DISK_FDS);
	if (n == NULL || n->now == NULL) {
		n = disk_name(d, path);
		inode_set(&n->now, calloc(1, sizeof(struct inode)));
	}
	if (flags & O_TRUNC)
		n->now->len = n->now->synced = 0;
	inode_set(&d->fds[fd], n->now);
	d->low_fd = fd + 1;
	if (d->low_fd > d->n_fds)
		d->n_fds = d->low_fd;
	return fd;
}

static int
disk_close(struct io *io, int fd)
{
	struct sim_disk *d = (struct sim_disk *)io;

	if (fd < 0 || fd >= DISK_FDS || d->fds[fd] == NULL)
		return -EBADF;
	inode_set(&d->fds[fd], NULL);
	if (fd < d->low_fd)
		d->low_fd = fd;
	return 0;
}

static void
inode_append(struct inode *n, const void *p, size_t len)
{
	if (n->len + len > n->cap) {
		n->cap = 2 * (n->len + len) + 512;
		n->data = realloc(n->data, n->cap);
		MUST(n->data != NULL);
	}
	memcpy(n->data + n->len, p, len);
	n->len += len;
}

static ssize_t
disk_write(struct io *io, int fd, const void *p, size_t n)
{
	struct sim_disk *d = (struct sim_disk *)io;

	if (!disk_alive(d))
		return -EIO;
	if (d->full || (d->fail_write >= 0 && d->fail_write-- == 0)) {
		/* now and then a part of it arrives */
		if (n > 1 && rng_below(d->rng, 2) == 0 && !d->full) {
			n = 1 + (size_t)rng_below(d->rng, n - 1);
			inode_append(d->fds[fd], p, n);
			d->fail_write = 0;
			return (ssize_t)n;
		}
		return d->full ? -ENOSPC : -d->errnum;
	}
	inode_append(d->fds[fd], p, n);
	return (ssize_t)n;
}

static ssize_t
disk_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	struct sim_disk *d = (struct sim_disk *)io;
	const struct inode *f = d->fds[fd];

	if (!disk_alive(d))
		return -EIO;
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
	struct sim_disk *d = (struct sim_disk *)io;

	if (!disk_alive(d))
		return -EIO;
	if (d->fail_fsync >= 0 && d->fail_fsync-- == 0)
		return -EIO;
	d->fds[fd]->synced = d->fds[fd]->len;
	return 0;
}

static int
disk_ftruncate(struct io *io, int fd, off_t len)
{
	struct sim_disk *d = (struct sim_disk *)io;
	struct inode *f = d->fds[fd];

	if (!disk_alive(d))
		return -EIO;
	if ((size_t)len < f->len)
		f->len = (size_t)len;
	if (f->synced > f->len)
		f->synced = f->len;
	return 0;
}

static int
disk_rename(struct io *io, const char *from, const char *to)
{
	struct sim_disk *d = (struct sim_disk *)io;
	struct name *a = disk_find(d, from), *b;

	if (!disk_alive(d))
		return -EIO;
	if (a == NULL || a->now == NULL)
		return -ENOENT;
	b = disk_name(d, to);
	a = disk_find(d, from); /* the names may have moved */
	inode_set(&b->now, a->now);
	inode_set(&a->now, NULL);
	return 0;
}

static int
disk_unlink(struct io *io, const char *path)
{
	struct sim_disk *d = (struct sim_disk *)io;
	struct name *n = disk_find(d, path);

	if (!disk_alive(d))
		return -EIO;
	if (n == NULL || n->now == NULL)
		return -ENOENT;
	inode_set(&n->now, NULL);
	return 0;
}

static int64_t
disk_size(struct io *io, int fd)
{
	struct sim_disk *d = (struct sim_disk *)io;

	return disk_alive(d) ? (int64_t)d->fds[fd]->len : -EIO;
}

/* Is the name directly in the folder? Returns its last part. */
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
	struct sim_disk *d = (struct sim_disk *)io;

	if (!disk_alive(d))
		return -EIO;
	if (d->fail_fsync >= 0 && d->fail_fsync-- == 0)
		return -EIO;
	for (int i = 0; i < d->n_names; i++)
		if (disk_in(d->names[i].path, path) != NULL)
			inode_set(&d->names[i].durable, d->names[i].now);
	return 0;
}

static int
disk_list(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	struct sim_disk *d = (struct sim_disk *)io;
	int rc = 0;

	if (!disk_alive(d))
		return -EIO;
	for (int i = 0; rc == 0 && i < d->n_names; i++) {
		const char *name = d->names[i].now == NULL
				       ? NULL
				       : disk_in(d->names[i].path, path);

		if (name != NULL)
			rc = each(ctx, name);
	}
	return rc;
}

static int64_t
disk_free_bytes(struct io *io, const char *path)
{
	struct sim_disk *d = (struct sim_disk *)io;

	(void)path;
	return d->full ? 0 : (int64_t)1 << 30;
}

struct sim_disk *
sim_disk_new(struct rng *rng)
{
	struct sim_disk *d = calloc(1, sizeof(*d));

	MUST(d != NULL);
	d->rng = rng;
	d->left = d->fail_write = d->fail_fsync = -1;
	d->low_fd = d->n_fds = 3;
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
sim_disk_free(struct sim_disk *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < d->n_fds; i++)
		inode_set(&d->fds[i], NULL);
	for (int i = 0; i < d->n_names; i++) {
		inode_set(&d->names[i].now, NULL);
		inode_set(&d->names[i].durable, NULL);
	}
	free(d->names);
	free(d);
}

struct io *
sim_disk_io(struct sim_disk *d)
{
	return &d->io;
}

void
sim_disk_die_after(struct sim_disk *d, long ops)
{
	d->left = ops;
	d->dead = d->dead || ops == 0;
}

bool
sim_disk_dead(const struct sim_disk *d)
{
	return d->dead;
}

/* What of the unsynced bytes reached the platter: a prefix, or blocks here and
 * there with zeros between. */
static void
inode_tear(struct sim_disk *d, struct inode *n)
{
	size_t rest = n->len - n->synced, keep;

	if (rest == 0)
		return;
	keep = (size_t)rng_below(d->rng, rest + 1);
	if (rng_below(d->rng, 4) != 0) {
		n->len = n->synced + keep;
	} else {
		for (size_t at = n->synced; at < n->len; at += DISK_BLOCK)
			if (rng_below(d->rng, 2) == 0)
				memset(n->data + at, 0,
				    n->len - at < DISK_BLOCK ? n->len - at
							     : DISK_BLOCK);
	}
	n->synced = n->len;
}

void
sim_disk_restart(struct sim_disk *d, bool power_cut)
{
	for (int i = 0; i < d->n_fds; i++)
		inode_set(&d->fds[i], NULL);
	for (int i = 0; power_cut && i < d->n_names; i++) {
		struct name *n = &d->names[i];

		if (n->now != n->durable && rng_below(d->rng, 2) == 0)
			inode_set(&n->now, n->durable);
		inode_set(&n->durable, n->now);
		if (n->now != NULL)
			inode_tear(d, n->now);
	}
	d->dead = d->full = false;
	d->left = d->fail_write = d->fail_fsync = -1;
}

void
sim_disk_fail_write(struct sim_disk *d, long n, int errnum)
{
	d->fail_write = n;
	d->errnum = errnum;
}

void
sim_disk_fail_fsync(struct sim_disk *d, long n)
{
	d->fail_fsync = n;
}

void
sim_disk_full(struct sim_disk *d, bool full)
{
	d->full = full;
}
