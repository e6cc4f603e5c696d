/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File input and output behind a pointer, so that tests inject faults (short
 * writes, ENOSPC, fsync errors) and the simulation keeps a disk in memory.
 * Calls return 0 / a byte count or a negative errno (not ERR_*).
 */
#ifndef COMMON_IO_H
#define COMMON_IO_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/buf.h"

struct io {
	int (*open)(struct io *io, const char *path, int flags, mode_t mode);
	int (*close)(struct io *io, int fd);
	ssize_t (*write)(struct io *io, int fd, const void *p, size_t n);
	ssize_t (*pread)(struct io *io, int fd, void *p, size_t n, off_t off);
	int (*fsync)(struct io *io, int fd); /* fdatasync for files */
	int (*ftruncate)(struct io *io, int fd, off_t len);
	int (*rename)(struct io *io, const char *from, const char *to);
	int (*unlink)(struct io *io, const char *path);
	int64_t (*size)(struct io *io, int fd);
	int (*fsync_dir)(struct io *io, const char *path);
	/* Names of the files in a folder, calling each; stops on non-zero. */
	int (*list)(struct io *io, const char *path,
	    int (*each)(void *ctx, const char *name), void *ctx);
	int64_t (*free_bytes)(struct io *io, const char *path);
};

struct io *io_system(void);

/* Faulty wrapper for tests. After init nothing fails; set op, countdown = n
 * and errnum, and the n-th call of op from then on fails; the countdown then
 * goes to -1 (never), or stays at 0 (every call fails) if sticky. op =
 * IO_N_OPS means a call of any kind. fsync_dir counts as IO_FSYNC. calls[]
 * counts every call, failed or not. */
enum io_op {
	IO_OPEN,
	IO_WRITE,
	IO_PREAD,
	IO_FSYNC,
	IO_RENAME,
	IO_UNLINK,
	IO_TRUNCATE,
	IO_N_OPS
};
struct io_fault {
	struct io io;
	struct io *inner;
	enum io_op op;
	/* Fails when it reaches 0, then keeps failing if sticky. */
	long countdown;
	int sticky;
	int errnum; /* positive errno; 0: a short write or read */
	long calls[IO_N_OPS];
};
void io_fault_init(struct io_fault *f, struct io *inner);

/* Whole-file helpers on the given io; ERR_* codes. */
int io_read_file(struct io *io, const char *path, struct buf *out,
    struct error *e) MUST_CHECK;
/* Write path.tmp, fsync, rename over path, fsync the folder. mode e.g. 0600 */
int io_write_file_atomic(struct io *io, const char *path, const void *p,
    size_t n, mode_t mode, struct error *e) MUST_CHECK;
int io_mkdirs(const char *path, mode_t mode, struct error *e) MUST_CHECK;

#endif
