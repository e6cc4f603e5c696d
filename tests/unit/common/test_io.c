/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/io: the real file system, every fault at every step of the helpers.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static char dir[PATH_MAX / 2];

static const char *
in_dir(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, PATH_MAX, "%s/%s", dir, name);
	return p;
}

static void
setup(void)
{
	(void)snprintf(dir, sizeof(dir), "%s/io-XXXXXX",
	    getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static int
remove_one(void *ctx, const char *name)
{
	(void)ctx;
	return remove(in_dir(name)) == 0 ? 0 : 1;
}

static void
teardown(void)
{
	(void)io_system()->list(io_system(), dir, remove_one, NULL);
	(void)rmdir(dir);
}

static void
write_file(const char *name, const char *text)
{
	struct error e = {0};

	ck_assert_msg(io_write_file_atomic(io_system(), in_dir(name), text,
			  strlen(text), 0600, &e) == 0,
	    "%s", e.text);
}

static void
assert_content(const char *name, const char *want)
{
	struct error e = {0};
	struct buf b;

	buf_init(&b, 1000000);
	ck_assert_msg(
	    io_read_file(io_system(), in_dir(name), &b, &e) == 0, "%s", e.text);
	ck_assert_slice_eq(buf_str(&b), want);
	buf_release(&b);
}

static int
count_one(void *ctx, const char *name)
{
	(void)name;
	++*(int *)ctx;
	return 0;
}

static int
n_files(void)
{
	int n = 0;

	ck_assert_int_eq(io_system()->list(io_system(), dir, count_one, &n), 0);
	return n;
}

static int
stop_at_once(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return 42;
}

START_TEST(test_system)
{
	struct io *io = io_system();
	char b[8] = "";
	int fd;

	fd = io->open(io, in_dir("f"), O_RDWR | O_CREAT, 0640);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(io->write(io, fd, "hello", 5), 5);
	ck_assert_int_eq(io->fsync(io, fd), 0);
	ck_assert_int_eq(io->size(io, fd), 5);
	ck_assert_int_eq(io->pread(io, fd, b, 3, 1), 3);
	ck_assert_str_eq(b, "ell");
	ck_assert_int_eq(io->pread(io, fd, b, 3, 99), 0);
	ck_assert_int_eq(io->ftruncate(io, fd, 2), 0);
	ck_assert_int_eq(io->size(io, fd), 2);
	ck_assert_int_eq(io->close(io, fd), 0);
	ck_assert_int_eq(io->close(io, fd), -EBADF);
	ck_assert_int_eq(io->write(io, fd, "x", 1), -EBADF);
	ck_assert_int_eq(io->size(io, fd), -EBADF);
	ck_assert_int_eq(io->rename(io, in_dir("f"), in_dir("g")), 0);
	ck_assert_int_eq(io->open(io, in_dir("f"), O_RDONLY, 0), -ENOENT);
	ck_assert_int_eq(io->list(io, dir, stop_at_once, NULL), 42);
	ck_assert_int_eq(n_files(), 1);
	ck_assert_int_eq(
	    io->list(io, in_dir("none"), stop_at_once, NULL), -ENOENT);
	ck_assert_int_eq(io->fsync_dir(io, dir), 0);
	ck_assert_int_eq(io->fsync_dir(io, in_dir("none")), -ENOENT);
	ck_assert_int_gt(io->free_bytes(io, dir), 0);
	ck_assert_int_eq(io->free_bytes(io, in_dir("none")), -ENOENT);
	ck_assert_int_eq(io->unlink(io, in_dir("g")), 0);
	ck_assert_int_eq(io->unlink(io, in_dir("g")), -ENOENT);
}
END_TEST

START_TEST(test_read_file)
{
	struct error e = {0};
	struct buf b;

	write_file("ten", "0123456789");
	buf_init(&b, 10);
	ck_assert_int_eq(io_read_file(io_system(), in_dir("ten"), &b, &e), 0);
	ck_assert_slice_eq(buf_str(&b), "0123456789");
	buf_release(&b);
	buf_init(&b, 9);
	ck_assert_int_eq(
	    io_read_file(io_system(), in_dir("ten"), &b, &e), ERR_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(e.text, "ten"));
	buf_release(&b);
	/* Appends to what is there. */
	buf_init(&b, 20);
	buf_addz(&b, "> ");
	ck_assert_int_eq(io_read_file(io_system(), in_dir("ten"), &b, &e), 0);
	ck_assert_slice_eq(buf_str(&b), "> 0123456789");
	buf_clear(&b);
	ck_assert_int_eq(
	    io_read_file(io_system(), in_dir("no"), &b, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "cannot open"));
	ck_assert_int_eq(io_read_file(io_system(), dir, &b, &e), ERR_INVALID);
	/* A file whose size is not known beforehand. */
	buf_release(&b);
	buf_init(&b, 100000);
	ck_assert_int_eq(
	    io_read_file(io_system(), "/proc/self/status", &b, &e), 0);
	ck_assert_uint_gt(b.len, 100);
	buf_release(&b);
	buf_init(&b, 10);
	ck_assert_int_eq(io_read_file(io_system(), "/proc/self/status", &b, &e),
	    ERR_TOO_LARGE);
	buf_release(&b);
}
END_TEST

START_TEST(test_write_file)
{
	struct error e = {0};
	struct stat st;
	char longest[PATH_MAX + 10];

	write_file("f", "one");
	write_file("f", "two");
	assert_content("f", "two");
	ck_assert_int_eq(n_files(), 1);
	ck_assert_int_eq(stat(in_dir("f"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	/* A left-over, wide open or a link, neither keeps its mode nor leads
	 * the write elsewhere. */
	write_file("victim", "untouched");
	ck_assert_int_eq(symlink(in_dir("victim"), in_dir("f.tmp")), 0);
	write_file("f", "three");
	assert_content("victim", "untouched");
	assert_content("f", "three");
	write_file("empty", "");
	assert_content("empty", "");
	ck_assert_int_eq(
	    io_write_file_atomic(io_system(), in_dir("no/f"), "x", 1, 0600, &e),
	    ERR_NOT_FOUND);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(
	    io_write_file_atomic(io_system(), longest, "x", 1, 0600, &e),
	    ERR_INVALID);
	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(
	    io_write_file_atomic(io_system(), "rel", "x", 1, 0600, &e), 0);
	assert_content("rel", "x");
}
END_TEST

/* Whatever fails, the file is the old one or the new one, and no temporary
 * file stays behind. */
START_TEST(test_write_faults)
{
	static const enum io_op ops[] = {
	    IO_OPEN, IO_WRITE, IO_FSYNC, IO_RENAME};
	struct io_fault f;
	struct error e = {0};
	size_t i;
	int rc;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		write_file("f", "old");
		io_fault_init(&f, io_system());
		f.op = ops[i];
		f.countdown = 1;
		f.errnum = ENOSPC;
		e.text[0] = '\0';
		rc = io_write_file_atomic(
		    &f.io, in_dir("f"), "new", 3, 0600, &e);
		ck_assert_int_eq(rc, ERR_IO);
		ck_assert_ptr_nonnull(strstr(e.text, "No space left"));
		assert_content("f", "old");
		ck_assert_int_eq(n_files(), 1);
	}
	/* The folder's fsync comes after the rename: new, but reported. */
	io_fault_init(&f, io_system());
	f.op = IO_FSYNC;
	f.countdown = 2;
	f.errnum = EIO;
	rc = io_write_file_atomic(&f.io, in_dir("f"), "new", 3, 0600, &e);
	ck_assert_int_eq(rc, ERR_IO);
	assert_content("f", "new");
	ck_assert_int_eq(f.calls[IO_FSYNC], 2);
	/* Unlinking the left-over fails. */
	io_fault_init(&f, io_system());
	f.op = IO_UNLINK;
	f.countdown = 1;
	f.errnum = EACCES;
	rc = io_write_file_atomic(&f.io, in_dir("f"), "newer", 5, 0600, &e);
	ck_assert_int_eq(rc, ERR_FORBIDDEN);
	assert_content("f", "new");
}
END_TEST

START_TEST(test_short_writes_and_reads)
{
	struct error e = {0};
	struct io_fault f;
	struct buf b;

	io_fault_init(&f, io_system());
	f.op = IO_WRITE;
	f.countdown = 1;
	f.sticky = 1;
	f.errnum = 0;
	ck_assert_int_eq(io_write_file_atomic(
			     &f.io, in_dir("f"), "0123456789", 10, 0600, &e),
	    0);
	ck_assert_int_gt(f.calls[IO_WRITE], 3);
	assert_content("f", "0123456789");
	f.op = IO_PREAD;
	f.countdown = 1;
	buf_init(&b, 10);
	ck_assert_int_eq(io_read_file(&f.io, in_dir("f"), &b, &e), 0);
	ck_assert_slice_eq(buf_str(&b), "0123456789");
	buf_release(&b);
	f.errnum = EIO;
	f.sticky = 0;
	f.countdown = 2;
	buf_init(&b, 100);
	ck_assert_int_eq(io_read_file(&f.io, in_dir("f"), &b, &e), ERR_IO);
	ck_assert_ptr_nonnull(strstr(e.text, "cannot read"));
	buf_release(&b);
}
END_TEST

START_TEST(test_fault_counting)
{
	struct io_fault f;
	struct io *io = &f.io;
	int fd;

	io_fault_init(&f, io_system());
	fd = io->open(io, in_dir("f"), O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	f.op = IO_TRUNCATE;
	f.countdown = 2;
	f.errnum = EROFS;
	ck_assert_int_eq(io->ftruncate(io, fd, 1), 0);
	ck_assert_int_eq(io->ftruncate(io, fd, 1), -EROFS);
	ck_assert_int_eq(io->ftruncate(io, fd, 1), 0);
	f.countdown = 1;
	f.sticky = 1;
	ck_assert_int_eq(io->ftruncate(io, fd, 1), -EROFS);
	ck_assert_int_eq(io->ftruncate(io, fd, 1), -EROFS);
	ck_assert_int_eq(io->fsync(io, fd), 0);
	ck_assert_int_eq(f.calls[IO_TRUNCATE], 5);
	f.op = IO_N_OPS; /* any */
	ck_assert_int_eq(io->fsync(io, fd), -EROFS);
	ck_assert_int_eq(io->write(io, fd, "x", 1), -EROFS);
	ck_assert_int_eq(io->rename(io, "a", "b"), -EROFS);
	f.countdown = -1;
	ck_assert_int_eq(io->size(io, fd), 1);
	ck_assert_int_gt(io->free_bytes(io, dir), 0);
	ck_assert_int_eq(io->list(io, dir, stop_at_once, NULL), 42);
	ck_assert_int_eq(io->fsync_dir(io, dir), 0);
	ck_assert_int_eq(io->close(io, fd), 0);
}
END_TEST

START_TEST(test_mkdirs)
{
	struct error e = {0};
	struct stat st;

	ck_assert_int_eq(io_mkdirs(in_dir("a/b//c/"), 0700, &e), 0);
	ck_assert_int_eq(stat(in_dir("a/b/c"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(io_mkdirs(in_dir("a/b"), 0700, &e), 0);
	ck_assert_int_eq(io_mkdirs("/", 0700, &e), 0);
	ck_assert_int_eq(io_mkdirs("", 0700, &e), ERR_INVALID);
	write_file("file", "");
	ck_assert_int_eq(io_mkdirs(in_dir("file"), 0700, &e), ERR_INVALID);
	ck_assert_int_eq(io_mkdirs(in_dir("file/x"), 0700, &e), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(e.text, "file"));
	(void)rmdir(in_dir("a/b/c"));
	(void)rmdir(in_dir("a/b"));
}
END_TEST

START_TEST(test_oom)
{
	write_file("f", "0123456789");
	EACH_OOM
	{
		struct error e = {0};
		struct buf b;
		int rc;

		buf_init(&b, 100);
		rc = io_read_file(io_system(), in_dir("f"), &b, &e);
		if (oom_hit()) {
			ck_assert_int_eq(rc, ERR_NOMEM);
			ck_assert_int_eq(e.code, ERR_NOMEM);
			ck_assert_str_ne(e.text, "");
		} else {
			ck_assert_int_eq(rc, 0);
		}
		buf_release(&b);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("common/io");
	TCase *t = tcase_create("io");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_system);
	tcase_add_test(t, test_read_file);
	tcase_add_test(t, test_write_file);
	tcase_add_test(t, test_write_faults);
	tcase_add_test(t, test_short_writes_and_reads);
	tcase_add_test(t, test_fault_counting);
	tcase_add_test(t, test_mkdirs);
	tcase_add_test(t, test_oom);
	suite_add_tcase(s, t);
	return unit_run(s);
}
