/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operating system's files behind struct io, and helpers for whole files
 * that work on any struct io.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/io.h"

static int
io_sys_open(struct io *io, const char *path, int flags, mode_t mode)
{
	int fd;

	(void)io;
	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int
io_sys_close(struct io *io, int fd)
{
	(void)io;
	return close(fd) == 0 ? 0 : -errno;
}

static ssize_t
io_sys_write(struct io *io, int fd, const void *p, size_t n)
{
	ssize_t k;

	(void)io;
	do
		k = write(fd, p, n);
	while (k < 0 && errno == EINTR);
	return k < 0 ? -errno : k;
}

static ssize_t
io_sys_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	ssize_t k;

	(void)io;
	do
		k = pread(fd, p, n, off);
	while (k < 0 && errno == EINTR);
	return k < 0 ? -errno : k;
}

static int
io_sys_fsync(struct io *io, int fd)
{
	(void)io;
	return fdatasync(fd) == 0 ? 0 : -errno;
}

static int
io_sys_ftruncate(struct io *io, int fd, off_t len)
{
	(void)io;
	return ftruncate(fd, len) == 0 ? 0 : -errno;
}

static int
io_sys_rename(struct io *io, const char *from, const char *to)
{
	(void)io;
	return rename(from, to) == 0 ? 0 : -errno;
}

static int
io_sys_unlink(struct io *io, const char *path)
{
	(void)io;
	return unlink(path) == 0 ? 0 : -errno;
}

static int64_t
io_sys_size(struct io *io, int fd)
{
	struct stat st;

	(void)io;
	return fstat(fd, &st) == 0 ? (int64_t)st.st_size : -errno;
}

static int
io_sys_fsync_dir(struct io *io, const char *path)
{
	int fd = io_sys_open(io, path, O_RDONLY | O_DIRECTORY, 0);
	int rc;

	if (fd < 0)
		return fd;
	rc = fsync(fd) == 0 ? 0 : -errno;
	(void)close(fd);
	return rc;
}

static int
io_sys_list(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	DIR *d = opendir(path);
	struct dirent *ent;
	int rc = 0;

	(void)io;
	if (d == NULL)
		return -errno;
	while (rc == 0) {
		errno = 0;
		ent = readdir(d);
		if (ent == NULL) {
			rc = -errno;
			break;
		}
		if (strcmp(ent->d_name, ".") != 0 &&
		    strcmp(ent->d_name, "..") != 0)
			rc = each(ctx, ent->d_name);
	}
	(void)closedir(d);
	return rc;
}

static int64_t
io_sys_free_bytes(struct io *io, const char *path)
{
	struct statvfs vfs;

	(void)io;
	if (statvfs(path, &vfs) != 0)
		return -errno;
	return (int64_t)(vfs.f_bavail * vfs.f_frsize);
}

struct io *
io_system(void)
{
	static struct io io = {
	    .open = io_sys_open,
	    .close = io_sys_close,
	    .write = io_sys_write,
	    .pread = io_sys_pread,
	    .fsync = io_sys_fsync,
	    .ftruncate = io_sys_ftruncate,
	    .rename = io_sys_rename,
	    .unlink = io_sys_unlink,
	    .size = io_sys_size,
	    .fsync_dir = io_sys_fsync_dir,
	    .list = io_sys_list,
	    .free_bytes = io_sys_free_bytes,
	};

	return &io;
}

/* What a failed call on path becomes: code and text. */
static int
io_fail(struct error *e, const char *what, const char *path, int64_t neg)
{
	int errnum = (int)-neg;

	return err_set(e, err_from_errno(errnum), "cannot %s %s: %s", what,
	    path, strerrordesc_np(errnum) ? strerrordesc_np(errnum) : "?");
}

int
io_read_file(struct io *io, const char *path, struct buf *out, struct error *e)
{
	size_t start = out->len;
	int64_t size;
	ssize_t k = 1;
	int rc = 0;
	int fd;

	fd = io->open(io, path, O_RDONLY, 0);
	if (fd < 0)
		return io_fail(e, "open", path, fd);
	/* The size is a hint only: files of /proc say 0. */
	size = io->size(io, fd);
	while (rc == 0 && k > 0) {
		size_t done = out->len - start;
		size_t want = size > 0 && (size_t)size > done
				  ? (size_t)size - done
				  : 4096;
		char probe;

		if (want > out->max - out->len)
			want = out->max - out->len;
		if (want == 0) { /* full: anything more is too much */
			k = io->pread(io, fd, &probe, 1, (off_t)done);
			rc = k > 0 ? ERR_TOO_LARGE : 0;
		} else {
			rc = buf_reserve(out, want);
			if (rc != 0)
				break;
			k = io->pread(
			    io, fd, out->data + out->len, want, (off_t)done);
			out->len += k > 0 ? (size_t)k : 0;
		}
		if (k < 0)
			rc = io_fail(e, "read", path, k);
	}
	(void)io->close(io, fd);
	if (rc == ERR_TOO_LARGE && k >= 0)
		return err_set(
		    e, rc, "%s is larger than %zu bytes", path, out->max);
	if (rc == ERR_NOMEM && k >= 0)
		return err_set(e, rc, "%s: out of memory", path);
	return rc;
}

static int
io_write_all(struct io *io, int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t k = io->write(io, fd, at, n);

		if (k < 0)
			return (int)k;
		if (k == 0)
			return -EIO;
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

/* The folder of path into dst. */
static int
io_dirname(const char *path, char dst[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return str_copy(STR("."), dst, PATH_MAX);
	if (slash == path)
		return str_copy(STR("/"), dst, PATH_MAX);
	return str_copy(str_make(path, (size_t)(slash - path)), dst, PATH_MAX);
}

/* Make and fill the temporary file; it is closed in any case. */
static int
io_write_tmp(struct io *io, const char *tmp, const void *p, size_t n,
    mode_t mode, struct error *e)
{
	const char *what = "write";
	int fd, rc, rc_close;

	/* A left-over could have another mode or be a link: start afresh. */
	rc = io->unlink(io, tmp);
	if (rc != 0 && rc != -ENOENT)
		return io_fail(e, "replace", tmp, rc);
	fd = io->open(io, tmp, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (fd < 0)
		return io_fail(e, "create", tmp, fd);
	rc = io_write_all(io, fd, p, n);
	if (rc == 0) {
		what = "sync";
		rc = io->fsync(io, fd);
	}
	rc_close = io->close(io, fd);
	if (rc == 0 && rc_close != 0) {
		what = "close";
		rc = rc_close;
	}
	return rc == 0 ? 0 : io_fail(e, what, tmp, rc);
}

int
io_write_file_atomic(struct io *io, const char *path, const void *p, size_t n,
    mode_t mode, struct error *e)
{
	char tmp[PATH_MAX], dir[PATH_MAX];
	int rc, len;

	len = snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	if (len < 0 || (size_t)len >= sizeof(tmp) || io_dirname(path, dir) != 0)
		return err_set(e, ERR_INVALID, "file name too long");
	rc = io_write_tmp(io, tmp, p, n, mode, e);
	if (rc == 0) {
		rc = io->rename(io, tmp, path);
		if (rc != 0)
			rc = io_fail(e, "rename to", path, rc);
	}
	if (rc != 0) {
		(void)io->unlink(io, tmp);
		return rc;
	}
	rc = io->fsync_dir(io, dir);
	return rc == 0 ? 0 : io_fail(e, "sync folder", dir, rc);
}

int
io_mkdirs(const char *path, mode_t mode, struct error *e)
{
	char part[PATH_MAX];
	struct stat st;
	size_t i;

	if (str_copy(str_of(path), part, sizeof(part)) != 0 || !part[0])
		return err_set(e, ERR_INVALID, "empty or too long file name");
	for (i = 1;; i++) {
		char c = part[i];

		if (c != '/' && c != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, mode) != 0 && errno != EEXIST) {
			int errnum = errno;

			/* A read-only parent that exists is no obstacle. */
			if (stat(part, &st) != 0)
				return io_fail(
				    e, "create folder", part, -errnum);
		}
		if (c == '\0')
			break;
		part[i] = c;
	}
	if (stat(path, &st) != 0)
		return io_fail(e, "create folder", path, -errno);
	if (!S_ISDIR(st.st_mode))
		return io_fail(e, "create folder", path, -ENOTDIR);
	return 0;
}
