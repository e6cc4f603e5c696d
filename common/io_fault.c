/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct io that fails on purpose. It is part of the library, not of the
 * tests, because the reliability suites of every area use it.
 */
#include <errno.h>

#include "common/io.h"

/* Count a call of op; true if it is the one that must fail. */
static bool
io_fault_hit(struct io_fault *f, enum io_op op)
{
	f->calls[op]++;
	if (f->countdown < 0 || (f->op != op && f->op != IO_N_OPS))
		return false;
	if (f->countdown > 0 && --f->countdown > 0)
		return false;
	if (!f->sticky)
		f->countdown = -1;
	return true;
}

static int
io_fault_errno(const struct io_fault *f)
{
	return f->errnum > 0 ? -f->errnum : -EIO;
}

static struct io_fault *
io_fault_of(struct io *io)
{
	return (struct io_fault *)io;
}

static int
io_fault_open(struct io *io, const char *path, int flags, mode_t mode)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_OPEN))
		return io_fault_errno(f);
	return f->inner->open(f->inner, path, flags, mode);
}

static int
io_fault_close(struct io *io, int fd)
{
	struct io_fault *f = io_fault_of(io);

	return f->inner->close(f->inner, fd);
}

static ssize_t
io_fault_write(struct io *io, int fd, const void *p, size_t n)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_WRITE)) {
		if (f->errnum != 0)
			return io_fault_errno(f);
		n = n > 1 ? n / 2 : n; /* short, but never nothing */
	}
	return f->inner->write(f->inner, fd, p, n);
}

static ssize_t
io_fault_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_PREAD)) {
		if (f->errnum != 0)
			return io_fault_errno(f);
		n = n > 1 ? n / 2 : n;
	}
	return f->inner->pread(f->inner, fd, p, n, off);
}

static int
io_fault_fsync(struct io *io, int fd)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_FSYNC))
		return io_fault_errno(f);
	return f->inner->fsync(f->inner, fd);
}

static int
io_fault_ftruncate(struct io *io, int fd, off_t len)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_TRUNCATE))
		return io_fault_errno(f);
	return f->inner->ftruncate(f->inner, fd, len);
}

static int
io_fault_rename(struct io *io, const char *from, const char *to)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_RENAME))
		return io_fault_errno(f);
	return f->inner->rename(f->inner, from, to);
}

static int
io_fault_unlink(struct io *io, const char *path)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_UNLINK))
		return io_fault_errno(f);
	return f->inner->unlink(f->inner, path);
}

static int64_t
io_fault_size(struct io *io, int fd)
{
	struct io_fault *f = io_fault_of(io);

	return f->inner->size(f->inner, fd);
}

static int
io_fault_fsync_dir(struct io *io, const char *path)
{
	struct io_fault *f = io_fault_of(io);

	if (io_fault_hit(f, IO_FSYNC))
		return io_fault_errno(f);
	return f->inner->fsync_dir(f->inner, path);
}

static int
io_fault_list(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	struct io_fault *f = io_fault_of(io);

	return f->inner->list(f->inner, path, each, ctx);
}

static int64_t
io_fault_free_bytes(struct io *io, const char *path)
{
	struct io_fault *f = io_fault_of(io);

	return f->inner->free_bytes(f->inner, path);
}

void
io_fault_init(struct io_fault *f, struct io *inner)
{
	*f = (struct io_fault){
	    .io =
		{
		    .open = io_fault_open,
		    .close = io_fault_close,
		    .write = io_fault_write,
		    .pread = io_fault_pread,
		    .fsync = io_fault_fsync,
		    .ftruncate = io_fault_ftruncate,
		    .rename = io_fault_rename,
		    .unlink = io_fault_unlink,
		    .size = io_fault_size,
		    .fsync_dir = io_fault_fsync_dir,
		    .list = io_fault_list,
		    .free_bytes = io_fault_free_bytes,
		},
	    .inner = inner,
	    .countdown = -1,
	    .errnum = EIO,
	};
}
