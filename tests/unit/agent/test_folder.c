/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's folder: room that is kept for the usage of what runs, and
 * what is found in it, in any order.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/metrics.h"
#include "tests/unit/agent/ship_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static struct kit k;

/* What the disk says and does. */
static struct {
	int64_t room; /* free_bytes */
	unsigned asked, opened, closed, synced, dirs, written;
	unsigned fail_dirs;  /* the next so many fsync_dir fail */
	const char *as_zero; /* a file of this name becomes descriptor 0 */
} disk;
static struct io real;

static int64_t
disk_free(struct io *io, const char *path)
{
	(void)io;
	disk.asked++;
	return strcmp(path, k.dir) == 0 ? disk.room : 0;
}

static int
disk_open(struct io *io, const char *path, int flags, mode_t mode)
{
	int fd = real.open(io, path, flags, mode);

	disk.opened += fd >= 0;
	if (fd > 0 && disk.as_zero != NULL &&
	    str_ends(str_of(path), str_of(disk.as_zero))) {
		ck_assert_int_eq(dup2(fd, 0), 0);
		close(fd);
		fd = 0;
	}
	return fd;
}

static int
disk_close(struct io *io, int fd)
{
	disk.closed++;
	return real.close(io, fd);
}

static int
disk_fsync(struct io *io, int fd)
{
	disk.synced++;
	/* Meanwhile nobody removes it. */
	for (unsigned i = 0; k.j != NULL && i < k.n_shards; i++)
		for (struct segment *seg = k.j->shards[i].stream.first;
		     seg != NULL; seg = seg->next)
			ck_assert(seg->fd != fd || seg->busy);
	return real.fsync(io, fd);
}

static int
disk_fsync_dir(struct io *io, const char *path)
{
	disk.dirs++;
	if (disk.fail_dirs > 0) {
		disk.fail_dirs--;
		return -EIO;
	}
	return real.fsync_dir(io, path);
}

static ssize_t
disk_write(struct io *io, int fd, const void *p, size_t n)
{
	disk.written++;
	return real.write(io, fd, p, n);
}

static void
watch(void)
{
	memset(&disk, 0, sizeof(disk));
	disk.room = (int64_t)1 << 40;
	real = k.io.io;
	k.io.io.free_bytes = disk_free;
	k.io.io.open = disk_open;
	k.io.io.close = disk_close;
	k.io.io.fsync = disk_fsync;
	k.io.io.fsync_dir = disk_fsync_dir;
	k.io.io.write = disk_write;
}

static void
begin(void)
{
	kit_open(&k);
	watch();
	k.metrics = metric_set_new(agent_metric_defs, AM_COUNT);
	ck_assert_ptr_nonnull(k.metrics);
}

static void
end(void)
{
	kit_close(&k);
	metric_set_free(k.metrics);
}

static int64_t
size_of(const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", k.dir, name);
	return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static void
inject(enum io_op op, int errnum)
{
	k.io.op = op;
	k.io.countdown = 1;
	k.io.errnum = errnum;
}

/* ---- room ---------------------------------------------------------------- */

static void
look(int64_t room)
{
	disk.room = room;
	journal_check_space(k.j);
}

static bool
writable(void)
{
	struct journal_backlog b;

	journal_backlog(k.j, &b);
	ck_assert(b.writable == journal_writable(&k.j->shards[0]));
	return b.writable;
}

/* The reserve is kept to the byte, whatever the last run left. */
START_TEST(test_reserve_size)
{
	static const int64_t sizes[] = {1, 4096, (1 << 20) - 1, 1 << 20,
	    (1 << 20) + 1, (3 << 20) + 5, 2 << 20, 5000, 5001, 0};

	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(size_of("ballast"), 4096);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int64_t had = size_of("ballast");
		unsigned was = disk.closed;

		atomic_store(&k.j->ballast, false);
		k.j->opt.reserve = sizes[i];
		disk.written = 0;
		look((int64_t)1 << 40);
		ck_assert_int_eq(size_of("ballast"), sizes[i]);
		ck_assert_uint_eq(disk.written, /* a larger one is cut */
		    had >= sizes[i] ? 0u
				    : (unsigned)((sizes[i] + 1048575) >> 20));
		ck_assert(atomic_load(&k.j->ballast));
		ck_assert(writable());
		ck_assert_uint_eq(disk.closed, was + 1);
		/* One of the right size is taken as it is. */
		atomic_store(&k.j->ballast, false);
		disk.written = 0;
		look((int64_t)1 << 40);
		ck_assert_uint_eq(disk.written, 0);
		ck_assert_int_eq(size_of("ballast"), sizes[i]);
		ck_assert_uint_eq(disk.closed, was + 2);
	}
	end();
}
END_TEST

/* When nothing is admitted for want of room, and when again: with the reserve
 * in place at an eighth of it; without, when there is room for a quarter more
 * than the reserve. */
START_TEST(test_room)
{
	const int64_t reserve = 8000;

	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	journal_drop_ballast(k.j);
	ck_assert_int_eq(size_of("ballast"), -1);
	k.j->opt.reserve = reserve;
	look(reserve + reserve / 4 - 1);
	ck_assert(!writable());
	ck_assert_int_eq(size_of("ballast"), -1);
	look(-1); /* unknown changes nothing */
	ck_assert(!writable());
	look(reserve + reserve / 4);
	ck_assert(writable());
	ck_assert_int_eq(size_of("ballast"), reserve);
	look(reserve / 8);
	ck_assert(writable());
	look(-1);
	ck_assert(writable());
	look(reserve / 8 - 1);
	ck_assert(!writable());
	ck_assert_int_eq(size_of("ballast"), reserve);
	look(reserve / 8);
	ck_assert(writable());
	look(0);
	ck_assert(!writable());
	end();
}
END_TEST

/* A reserve that cannot be written is none: nothing is admitted, and no part
 * of it stays. */
START_TEST(test_no_reserve)
{
	static const enum io_op ops[] = {IO_OPEN, IO_WRITE};

	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	for (unsigned i = 0; i < 2; i++) {
		journal_drop_ballast(k.j);
		journal_drop_ballast(k.j); /* it is gone */
		inject(ops[i], ENOSPC);
		look((int64_t)1 << 40);
		ck_assert(!writable());
		ck_assert(!atomic_load(&k.j->ballast));
		ck_assert_int_eq(size_of("ballast"), -1);
		ck_assert_uint_eq(disk.opened, disk.closed + 1); /* segment */
		look((int64_t)1 << 40);
		ck_assert(writable());
		ck_assert(atomic_load(&k.j->ballast));
	}
	atomic_store(&k.j->ballast, false);
	oom_arm(1, NULL);
	journal_check_space(k.j);
	ck_assert(oom_hit());
	ck_assert(!writable());
	end();
}
END_TEST

/* A folder whose files' names are too long by a byte has none. */
START_TEST(test_long_names)
{
	static char dir[PATH_MAX + 1];
	struct machine m = {0};
	char *was;

	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	was = k.j->dir;
	buf_init(&m.text, MACHINE_FILE_MAX);
	machine_begin(&m, "m1");
	for (size_t n = PATH_MAX - 9; n <= PATH_MAX - 8; n++) {
		long before = k.io.calls[IO_UNLINK];
		bool fits = n == PATH_MAX - 9;
		int rc;

		memset(dir, 'd', n);
		k.j->dir = dir;
		atomic_store(&k.j->ballast, true);
		journal_drop_ballast(k.j);
		k.j->dir = was;
		ck_assert_int_eq(k.io.calls[IO_UNLINK], before + fits);
		rc = machine_save(&m, &k.io.io, dir);
		ck_assert_int_ne(rc, 0);
		ck_assert((rc == ERR_TOO_LARGE) == !fits);
	}
	machine_release(&m);
	end();
}
END_TEST

/* The disk is asked every 100 ms, and when it is dropped is not asked for. */
START_TEST(test_asked_now_and_then)
{
	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_uint_eq(disk.asked, 1);
	for (unsigned i = 1; i < 4; i++) {
		journal_sync_turn(k.j);
		clock_fake_advance(&k.clock, 100 * NS_PER_MS - 1);
		journal_sync_turn(k.j);
		ck_assert_uint_eq(disk.asked, i);
		clock_fake_advance(&k.clock, 1);
		journal_sync_turn(k.j);
		ck_assert_uint_eq(disk.asked, i + 1);
	}
	end();
}
END_TEST

/* ---- many files */

static unsigned turned; /* by so much the list is */

struct names {
	char name[400][40];
	unsigned n;
};

static int
collect(void *ctx, const char *name)
{
	struct names *l = ctx;

	ck_assert_uint_lt(l->n, 400);
	(void)snprintf(l->name[l->n++], sizeof(l->name[0]), "%s", name);
	return 0;
}

static int
list_turned(struct io *io, const char *path,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	static struct names l;
	int rc = 0;

	l.n = 0;
	ck_assert_int_eq(real.list(io, path, collect, &l), 0);
	for (unsigned i = 0; i < l.n && rc == 0; i++)
		rc = each(ctx, l.name[(i * turned + 5) % l.n]);
	return rc;
}

/* Names come in any order; files are read by boot, worker and number, also
 * when there are many, and others are left alone. */
START_TEST(test_many_files)
{
	char path[PATH_MAX + 16];
	unsigned n = 0;

	begin();
	k.n_shards = 2;
	for (unsigned e = 1; e <= 2; e++) {
		ck_assert_int_eq(kit_boot(&k), 0);
		k.j->opt.segment_size = 100;
		for (unsigned i = 0; i < 80; i++) {
			n++;
			kit_usage(&k, i % 2, n, n);
			ck_assert_int_eq(kit_flush(&k, i % 2), 0);
		}
		kit_crash(&k);
	}
	(void)snprintf(path, sizeof(path), "%s/x-1-1.seg", k.dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	for (turned = 1; turned <= 101; turned += 50) {
		real = k.io.io;
		k.io.io.list = list_turned;
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_uint_eq(k.found.records, n);
		ck_assert_uint_eq(
		    k.found.torn + k.found.quarantined + k.found.filled, 0);
		for (struct journal_stream *t = k.j->old; t->next != NULL;
		     t = t->next)
			ck_assert(t->epoch < t->next->epoch ||
				  (t->epoch == t->next->epoch &&
				      t->shard < t->next->shard));
		kit_crash(&k);
	}
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, n);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_uint_eq(kit_files(&k, ".seg"), 3); /* and it */
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/folder");

	UNIT_ADD(s, test_reserve_size);
	UNIT_ADD(s, test_room);
	UNIT_ADD(s, test_no_reserve);
	UNIT_ADD(s, test_long_names);
	UNIT_ADD(s, test_asked_now_and_then);
	UNIT_ADD(s, test_many_files);
	return unit_run(s);
}
