/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's files: when they are begun, made durable and closed, what is
 * told of them, and the thread that does it.
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
errors(const char *op)
{
	struct str v = str_of(op);

	return metric_value(metric_series(k.metrics, AM_JOURNAL_ERRORS, &v, 1));
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

/* ---- files --------------------------------------------------------------- */

/* A segment is begun by one only, durable with its name, and leaves nothing
 * behind when it cannot be. */
START_TEST(test_create)
{
	struct journal_stream *s;
	struct segment *seg = NULL;
	static char dir[PATH_MAX];
	unsigned open;
	char *was;
	int rc;

	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	s = &k.j->shards[0].stream;
	open = disk.opened - disk.closed;
	ck_assert_int_eq(segment_create(k.j, s, 1, 1, 0, &seg), ERR_EXISTS);
	ck_assert_int_eq(errors("open"), 1);
	inject(IO_OPEN, EMFILE);
	ck_assert_int_eq(segment_create(k.j, s, 5, 1, 0, &seg), ERR_IO);
	ck_assert_int_eq(errors("open"), 2);
	inject(IO_WRITE, ENOSPC);
	ck_assert_int_eq(segment_create(k.j, s, 5, 1, 0, &seg), ERR_IO);
	ck_assert_int_eq(errors("write"), 1);
	ck_assert_int_eq(size_of("1-0-5.seg"), -1);
	oom_arm(1, NULL);
	rc = segment_create(k.j, s, 5, 1, 0, &seg);
	ck_assert(oom_hit());
	ck_assert_int_eq(rc, ERR_NOMEM);
	memset(dir, 'd', sizeof(dir) - 1);
	was = k.j->dir;
	k.j->dir = dir;
	ck_assert_int_eq(segment_create(k.j, s, 5, 1, 0, &seg), ERR_TOO_LARGE);
	k.j->dir = was;
	ck_assert_uint_eq(disk.opened - disk.closed, open);
	ck_assert_ptr_null(seg);
	ck_assert_int_eq(segment_create(k.j, s, 5, 9, 1, &seg), 0);
	ck_assert_int_eq(size_of("1-0-5.seg"), SEGMENT_HEADER);
	ck_assert_uint_eq(atomic_load(&seg->flushed), SEGMENT_HEADER);
	ck_assert_uint_eq(atomic_load(&seg->synced), 0);
	ck_assert_uint_eq(seg->head.first_seq, 9);
	ck_assert_uint_eq(seg->head.flags, 1);
	ck_assert(seg->created);
	stream_push(s, seg); /* closed with the stream */
	end();
}
END_TEST

/* Descriptor 0 is one like any other: its file is written, synced, closed. */
START_TEST(test_descriptor_zero)
{
	static const char *const names[] = {".seg", "ballast"};
	int zero = dup(0);

	for (unsigned i = 0; i < 2; i++) {
		begin();
		disk.as_zero = names[i];
		ck_assert_int_eq(kit_boot(&k), 0);
		disk.as_zero = NULL;
		kit_request(&k, 0, 1, 1);
		k.j->opt.segment_size = 100;
		kit_request(&k, 0, 2, 2);
		ck_assert_int_eq(k.j->shards[0].stream.first->fd, -1);
		ck_assert_int_eq(kit_ship(&k), -1);
		ck_assert_uint_eq(k.sink.n_rows, 2);
		shipper_free(k.s);
		journal_close(k.j);
		k.s = NULL;
		k.j = NULL;
		ck_assert_uint_eq(disk.opened, disk.closed);
		ck_assert_int_eq(dup2(zero, 0), 0);
		end();
	}
	close(zero);
}
END_TEST

/* What the journal wakes its threads by may be descriptor 0 too. */
START_TEST(test_wake_zero)
{
	int zero = dup(0);

	begin();
	close(0);
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_assert_int_ge(fcntl(0, F_GETFD), 0);
	kit_crash(&k);
	ck_assert_int_lt(fcntl(0, F_GETFD), 0);
	ck_assert_int_eq(dup2(zero, 0), 0);
	close(zero);
	end();
}
END_TEST

/* A new file's name is made durable once, with its first bytes; a file that
 * nobody writes any more is closed when all of it is. */
START_TEST(test_synced_and_closed)
{
	struct segment *first;
	unsigned closed;

	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	first = k.j->shards[0].cur;
	ck_assert_uint_eq(disk.synced, 1);
	ck_assert_uint_eq(disk.dirs, 1);
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_FSYNCS), 1);
	ck_assert_uint_eq(atomic_load(&first->synced), SEGMENT_HEADER);
	journal_sync_turn(k.j); /* nothing was written */
	ck_assert_uint_eq(disk.synced, 1);
	kit_request(&k, 0, 1, 1);
	ck_assert_uint_eq(disk.synced, 2);
	ck_assert_uint_eq(disk.dirs, 1);
	ck_assert_int_eq(metric_sum(k.metrics, AM_JOURNAL_WRITES), 2);
	ck_assert_uint_eq(
	    atomic_load(&first->synced), atomic_load(&first->flushed));
	kit_usage(&k, 0, 2, 2);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	k.j->opt.segment_size = 100;
	kit_usage(&k, 0, 3, 3);
	ck_assert_int_eq(kit_flush(&k, 0), 0); /* another segment */
	ck_assert_int_ge(first->fd, 0);
	closed = disk.closed;
	journal_sync_turn(k.j); /* both, and the first needs no file now */
	ck_assert_uint_eq(disk.synced, 4);
	ck_assert_uint_eq(disk.dirs, 2);
	ck_assert_int_eq(first->fd, -1);
	ck_assert_uint_eq(disk.closed, closed + 1);
	/* Open, it is closed as soon as nobody has it, not twice, and not the
	 * other one. */
	first->fd = dup(0);
	first->busy = true;
	atomic_store(&k.j->dirty, true);
	journal_sync_turn(k.j);
	ck_assert_int_ge(first->fd, 0);
	first->busy = false;
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&k.j->dirty, true);
		journal_sync_turn(k.j);
		ck_assert_int_eq(first->fd, -1);
		ck_assert_uint_eq(disk.closed, closed + 2);
	}
	ck_assert_int_ge(k.j->shards[0].cur->fd, 0);
	ck_assert_uint_eq(disk.synced, 4);
	end();
}
END_TEST

/* The name that could not be made durable: the file may be gone after a power
 * cut, so what is in it is repeated in another one. */
START_TEST(test_name_not_durable)
{
	struct segment *second;

	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	k.j->opt.segment_size = 100;
	kit_usage(&k, 0, 2, 2);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	k.j->opt.segment_size = 1 << 20;
	second = k.j->shards[0].cur;
	disk.fail_dirs = 1;
	journal_sync_turn(k.j);
	ck_assert_int_eq(errors("fsync"), 1);
	ck_assert(atomic_load(&second->poisoned));
	ck_assert_uint_eq(atomic_load(&second->synced), 0);
	ck_assert(!atomic_load(&k.j->shards[0].stream.first->poisoned));
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 1);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_ptr_ne(k.j->shards[0].cur, second);
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 2);
	end();
}
END_TEST

/* The journal does not open on a folder that it cannot make durable. */
START_TEST(test_open_not_durable)
{
	for (unsigned at = 1; at <= 3; at++) {
		begin();
		k.n_shards = 3;
		k.io.op = IO_FSYNC;
		k.io.countdown = at;
		k.io.errnum = EIO;
		ck_assert_int_eq(kit_boot(&k), ERR_IO);
		ck_assert_uint_eq(disk.opened, disk.closed);
		ck_assert_int_eq(kit_boot(&k), 0);
		ck_assert_uint_eq(k.found.streams, 3);
		end();
	}
}
END_TEST

/* After a failed sync nothing later of the stream counts as durable, though
 * its own sync went well: it would be shipped before what it follows. */
START_TEST(test_poison_spreads)
{
	struct segment *seg;
	unsigned n = 0;

	begin();
	k.n_shards = 2;
	ck_assert_int_eq(kit_boot(&k), 0);
	k.j->opt.segment_size = 100;
	for (unsigned i = 1; i <= 3; i++) { /* three segments */
		kit_usage(&k, 0, i, 1);
		ck_assert_int_eq(kit_flush(&k, 0), 0);
	}
	kit_usage(&k, 1, 9, 1);
	ck_assert_int_eq(kit_flush(&k, 1), 0);
	inject(IO_FSYNC, EIO);
	disk.synced = 0;
	journal_sync_turn(k.j);
	ck_assert_uint_eq(disk.synced, 2); /* the bad one, the other shard */
	for (seg = k.j->shards[0].stream.first; seg != NULL; seg = seg->next) {
		ck_assert(atomic_load(&seg->poisoned));
		n++;
	}
	ck_assert_uint_eq(n, 3);
	ck_assert(!atomic_load(&k.j->shards[1].cur->poisoned));
	journal_sync_turn(k.j);
	ck_assert_uint_eq(disk.synced, 2); /* never asked again */
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 1);
	k.j->opt.segment_size = 1 << 20;
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	journal_sync_turn(k.j);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_rows, 4);
	for (unsigned i = 1; i <= 3; i++)
		ck_assert_int_ge(kit_row(&k, i), 0);
	end();
}
END_TEST

/* ---- what is told -------------------------------------------------------- */

/* Files, bytes and records that are not acknowledged, of this boot and of
 * those before. */
START_TEST(test_backlog)
{
	struct journal_backlog b;

	begin();
	k.n_shards = 2;
	ck_assert_int_eq(kit_boot(&k), 0);
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.records, 0);
	ck_assert_uint_eq(b.segments, 2);
	ck_assert_uint_eq(b.bytes, 2 * SEGMENT_HEADER);
	ck_assert(b.writable);
	for (unsigned n = 1; n <= 5; n++)
		kit_request(&k, n % 2, n, n);
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.records, 5);
	ck_assert_uint_eq(
	    b.bytes, (uint64_t)(size_of("1-0-1.seg") + size_of("1-1-1.seg")));
	kit_crash(&k);
	watch();
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 1, 6, 6);
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.records, 6);
	ck_assert_uint_eq(b.segments, 4);
	ck_assert_uint_eq(
	    b.bytes, (uint64_t)(size_of("1-0-1.seg") + size_of("1-1-1.seg") +
				size_of("2-0-1.seg") + size_of("2-1-1.seg")));
	/* What the control plane had already, in a number beyond ours. */
	atomic_store(&k.j->shards[0].stream.watermark, 7);
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.records, 6);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&k.j->shards[i].stuck, true);
		journal_backlog(k.j, &b);
		ck_assert(!b.writable);
		ck_assert(!journal_writable(&k.j->shards[i]));
		ck_assert(journal_writable(&k.j->shards[1 - i]));
		ck_assert(!shipper_done(k.s));
		atomic_store(&k.j->shards[i].stuck, false);
	}
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert(shipper_done(k.s));
	end();
}
END_TEST

static void
ck_machine(const char *want)
{
	char path[PATH_MAX];
	struct buf b;

	(void)snprintf(path, sizeof(path), "%s/machine", k.dir);
	buf_init(&b, 4096);
	ck_assert_int_eq(io_read_file(io_system(), path, &b, NULL), 0);
	ck_assert_slice_eq(buf_str(&b), want);
	buf_release(&b);
}

/* Each epoch that a power cut may have cut is noted, once, before anything of
 * this boot is written; and as long as it has files. */
START_TEST(test_machine_file)
{
	begin();
	k.n_shards = 2;
	k.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_machine("boot m1\n");
	kit_crash(&k);
	ck_assert_int_eq(kit_boot(&k), 0); /* killed, not cut */
	ck_machine("boot m1\n");
	ck_assert_uint_eq(k.found.may_lack, 0);
	kit_crash(&k);
	k.boot_id = "m2";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_machine("boot m2\nlost 1\nlost 2\n");
	ck_assert_uint_eq(k.found.may_lack, 4);
	kit_crash(&k);
	k.boot_id = "m3";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_machine("boot m3\nlost 1\nlost 2\nlost 3\n");
	ck_assert_uint_eq(k.found.may_lack, 6);
	ck_assert_int_eq(kit_ship(&k), -1);
	ck_assert_uint_eq(k.sink.n_lacking, 6);
	ck_assert_int_eq(journal_start(k.j, NULL), 0);
	journal_stop(k.j);
	journal_stop(k.j);
	ck_machine("boot m3\nlost 1\nlost 2\nlost 3\nclean 4\n");
	kit_crash(&k);
	k.boot_id = "m4";
	ck_assert_int_eq(kit_boot(&k), 0);
	ck_machine("boot m4\n"); /* 4 ended in order */
	ck_assert_uint_eq(k.found.may_lack, 0);
	kit_crash(&k);
	/* When that cannot be written the journal does not open. */
	k.io.op = IO_RENAME;
	k.io.countdown = 1;
	k.io.errnum = EIO;
	ck_assert_int_lt(kit_boot(&k), 0);
	ck_machine("boot m4\n");
	end();
}
END_TEST

/* Only shards that there are count. */
START_TEST(test_no_other_shard)
{
	struct segment bad = {.fd = -1};
	struct journal_backlog b;

	begin();
	k.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&k), 0);
	kit_request(&k, 0, 1, 1);
	ck_assert_int_eq(kit_ship(&k), -1);
	atomic_store(&k.j->shards[1].stuck, true);
	ck_assert(shipper_done(k.s));
	journal_backlog(k.j, &b);
	ck_assert(b.writable);
	atomic_store(&bad.poisoned, true);
	k.j->shards[1].stream.first = &bad;
	journal_backlog(k.j, &b);
	ck_assert_uint_eq(b.segments, 1);
	atomic_store(&bad.poisoned, false);
	atomic_store(&bad.flushed, 5);
	atomic_store(&k.j->dirty, true);
	disk.synced = 0;
	journal_sync_turn(k.j);
	ck_assert_uint_eq(disk.synced, 0);
	atomic_store(&bad.poisoned, true);
	ck_assert_int_eq(journal_start(k.j, NULL), 0);
	journal_stop(k.j);
	k.j->shards[1].stream.first = NULL;
	ck_machine("boot m1\nclean 1\n");
	ck_assert_int_eq(errors("machine"), 0);
	end();
}
END_TEST

/* An end in order that cannot be noted is counted, and is none. */
START_TEST(test_end_not_noted)
{
	begin();
	k.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&k), 0);
	k.io.op = IO_RENAME;
	k.io.countdown = 1;
	k.io.errnum = EIO;
	ck_assert_int_eq(journal_start(k.j, NULL), 0);
	journal_stop(k.j);
	ck_assert_int_eq(errors("machine"), 1);
	ck_machine("boot m1\n");
	end();
}
END_TEST

static unsigned n_told;

static void
told(void *ctx)
{
	/* As if something were written while that was synced. */
	if (++n_told == 1)
		atomic_store(&((struct journal *)ctx)->dirty, true);
}

/* The thread goes on after a round in which more was written, and ends with
 * the journal. Who waits for durable records is told of nothing else. */
START_TEST(test_thread)
{
	begin();
	ck_assert_int_eq(kit_boot(&k), 0);
	k.j->on_synced_ctx = k.j;
	k.j->on_synced = told;
	n_told = 0;
	atomic_store(&k.j->dirty, true);
	journal_sync_turn(k.j);
	ck_assert_uint_eq(n_told, 0);
	ck_assert(!atomic_load(&k.j->dirty));
	k.j->opt.group_commit_ms = 1;
	kit_usage(&k, 0, 1, 1);
	ck_assert_int_eq(kit_flush(&k, 0), 0);
	ck_assert_int_eq(journal_start(k.j, NULL), 0);
	for (unsigned n = 2; n < 5; n++) {
		while (atomic_load(&k.j->shards[0].cur->synced) !=
		       atomic_load(&k.j->shards[0].cur->flushed))
			continue;
		kit_usage(&k, 0, n, 1);
		ck_assert_int_eq(kit_flush(&k, 0), 0);
	}
	while (ship_threads("hg-journal") != 1)
		continue;
	shipper_free(k.s);
	k.s = NULL;
	journal_close(k.j);
	k.j = NULL;
	ck_assert_uint_eq(ship_threads("hg-journal"), 0);
	end();
}
END_TEST

/* Many syncs of few bytes are one: at most one in each group_commit_ms. */
START_TEST(test_group_commit)
{
	int64_t from, took, n;

	begin();
	k.threads = true;
	ck_assert_int_eq(kit_boot(&k), 0);
	k.j->opt.group_commit_ms = 100;
	from = clock_mono(clock_system());
	ck_assert_int_eq(journal_start(k.j, NULL), 0);
	for (unsigned i = 1; i <= 200; i++) {
		uint64_t had = atomic_load(&k.j->shards[0].cur->flushed);

		kit_usage(&k, 0, i, 1);
		ck_assert_int_eq(kit_flush(&k, 0), 0);
		if (i % 50 == 0) /* durable without another word */
			while (atomic_load(&k.j->shards[0].cur->synced) <= had)
				continue;
	}
	took = clock_mono(clock_system()) - from;
	n = metric_sum(k.metrics, AM_JOURNAL_FSYNCS) - 1;
	ck_assert_int_ge(n, 4);
	ck_assert_int_le(n, 2 + took / (100 * NS_PER_MS));
	journal_stop(k.j);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("agent/store");

	UNIT_ADD(s, test_create);
	UNIT_ADD(s, test_descriptor_zero);
	UNIT_ADD(s, test_wake_zero);
	UNIT_ADD(s, test_synced_and_closed);
	UNIT_ADD(s, test_name_not_durable);
	UNIT_ADD(s, test_open_not_durable);
	UNIT_ADD(s, test_poison_spreads);
	UNIT_ADD(s, test_backlog);
	UNIT_ADD(s, test_machine_file);
	UNIT_ADD(s, test_no_other_shard);
	UNIT_ADD(s, test_end_not_noted);
	UNIT_ADD(s, test_thread);
	UNIT_ADD(s, test_group_commit);
	return unit_run(s);
}
