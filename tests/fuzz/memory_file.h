/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct io with one file in memory, whatever it is called: what is read is
 * `file`; what is written lands in `written`, and becomes `file` when it is
 * renamed over it.
 */
#ifndef TESTS_FUZZ_MEMORY_FILE_H
#define TESTS_FUZZ_MEMORY_FILE_H

#include <string.h>

#include "common/io.h"

struct memory_file {
	struct io io;
	struct buf file, written;
};

static inline int
memory_open(struct io *io, const char *path, int flags, mode_t mode)
{
	struct memory_file *m = (struct memory_file *)io;

	(void)path;
	(void)mode;
	if (flags != 0) /* not only for reading */
		buf_clear(&m->written);
	return 3;
}

static inline int
memory_close(struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

static inline ssize_t
memory_write(struct io *io, int fd, const void *p, size_t n)
{
	(void)fd;
	MUST(buf_add(&((struct memory_file *)io)->written, p, n) == 0);
	return (ssize_t)n;
}

static inline ssize_t
memory_pread(struct io *io, int fd, void *p, size_t n, off_t off)
{
	const struct buf *b = &((struct memory_file *)io)->file;

	(void)fd;
	if ((size_t)off >= b->len)
		return 0;
	if (n > b->len - (size_t)off)
		n = b->len - (size_t)off;
	memcpy(p, b->data + off, n);
	return (ssize_t)n;
}

static inline int64_t
memory_size(struct io *io, int fd)
{
	(void)fd;
	return (int64_t)((struct memory_file *)io)->file.len;
}

static inline int
memory_rename(struct io *io, const char *from, const char *to)
{
	struct memory_file *m = (struct memory_file *)io;

	(void)from;
	(void)to;
	buf_clear(&m->file);
	return buf_add_str(&m->file, buf_str(&m->written));
}

static inline int
memory_done(struct io *io, const char *path)
{
	(void)io;
	(void)path;
	return 0;
}

/* Release both buffers. */
static inline void
memory_file_init(struct memory_file *m, struct str text)
{
	*m = (struct memory_file){.io = {.open = memory_open,
				      .close = memory_close,
				      .write = memory_write,
				      .pread = memory_pread,
				      .fsync = memory_close,
				      .size = memory_size,
				      .rename = memory_rename,
				      .unlink = memory_done,
				      .fsync_dir = memory_done}};
	buf_init(&m->file, (size_t)1 << 22);
	buf_init(&m->written, (size_t)1 << 22);
	MUST(buf_add_str(&m->file, text) == 0);
}

static inline void
memory_file_release(struct memory_file *m)
{
	buf_release(&m->file);
	buf_release(&m->written);
}

#endif
