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
#include <unistd.h>

#include "agent/metrics.h"
#include "tests/unit/agent/disk_kit.h"
#include "tests/unit/support/oom.h"
#include "tests/unit/support/unit.h"

static int64_t
errors(const char *op)
{
	struct str v = str_of(op);

	return metric_value(
	    metric_series(dk.metrics, AM_JOURNAL_ERRORS, &v, 1));
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

	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	s = &dk.j->shards[0].stream;
	open = disk.opened - disk.closed;
	ck_assert_int_eq(segment_create(dk.j, s, 1, 1, 0, &seg), ERR_EXISTS);
	ck_assert_int_eq(errors("open"), 1);
	kit_fault(&dk, IO_OPEN, EMFILE);
	ck_assert_int_eq(segment_create(dk.j, s, 5, 1, 0, &seg), ERR_IO);
	ck_assert_int_eq(errors("open"), 2);
	kit_fault(&dk, IO_WRITE, ENOSPC);
	ck_assert_int_eq(segment_create(dk.j, s, 5, 1, 0, &seg), ERR_IO);
	ck_assert_int_eq(errors("write"), 1);
	ck_assert_int_eq(kit_size(&dk, "1-0-5.seg"), -1);
	oom_arm(1, NULL);
	rc = segment_create(dk.j, s, 5, 1, 0, &seg);
	ck_assert(oom_hit());
	ck_assert_int_eq(rc, ERR_NOMEM);
	memset(dir, 'd', sizeof(dir) - 1);
	was = dk.j->dir;
	dk.j->dir = dir;
	ck_assert_int_eq(segment_create(dk.j, s, 5, 1, 0, &seg), ERR_TOO_LARGE);
	dk.j->dir = was;
	ck_assert_uint_eq(disk.opened - disk.closed, open);
	ck_assert_ptr_null(seg);
	ck_assert_int_eq(segment_create(dk.j, s, 5, 9, 1, &seg), 0);
	ck_assert_int_eq(kit_size(&dk, "1-0-5.seg"), SEGMENT_HEADER);
	ck_assert_uint_eq(atomic_load(&seg->flushed), SEGMENT_HEADER);
	ck_assert_uint_eq(atomic_load(&seg->synced), 0);
	ck_assert_uint_eq(seg->head.first_seq, 9);
	ck_assert_uint_eq(seg->head.flags, 1);
	ck_assert(seg->created);
	stream_push(s, seg); /* closed with the stream */
	disk_end();
}
END_TEST

/* Descriptor 0 is one like any other: its file is written, synced, closed. */
START_TEST(test_descriptor_zero)
{
	static const char *const names[] = {".seg", "ballast"};
	int zero = dup(0);

	for (unsigned i = 0; i < 2; i++) {
		disk_begin();
		disk.as_zero = names[i];
		ck_assert_int_eq(kit_boot(&dk), 0);
		disk.as_zero = NULL;
		kit_request(&dk, 0, 1, 1);
		dk.j->opt.segment_size = 100;
		kit_request(&dk, 0, 2, 2);
		ck_assert_int_eq(dk.j->shards[0].stream.first->fd, -1);
		ck_assert_int_eq(kit_ship(&dk), -1);
		ck_assert_uint_eq(dk.sink.n_rows, 2);
		shipper_free(dk.s);
		journal_close(dk.j);
		dk.s = NULL;
		dk.j = NULL;
		ck_assert_uint_eq(disk.opened, disk.closed);
		ck_assert_int_eq(dup2(zero, 0), 0);
		disk_end();
	}
	close(zero);
}
END_TEST

/* What the journal wakes its threads by may be descriptor 0 too. */
START_TEST(test_wake_zero)
{
	int zero = dup(0);

	disk_begin();
	close(0);
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_assert_int_ge(fcntl(0, F_GETFD), 0);
	kit_crash(&dk);
	ck_assert_int_lt(fcntl(0, F_GETFD), 0);
	ck_assert_int_eq(dup2(zero, 0), 0);
	close(zero);
	disk_end();
}
END_TEST

/* A new file's name is made durable once, with its first bytes; a file that
 * nobody writes any more is closed when all of it is. */
START_TEST(test_synced_and_closed)
{
	struct segment *first;
	unsigned closed;

	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	first = dk.j->shards[0].cur;
	ck_assert_uint_eq(disk.synced, 1);
	ck_assert_uint_eq(disk.dirs, 1);
	ck_assert_int_eq(metric_sum(dk.metrics, AM_JOURNAL_FSYNCS), 1);
	ck_assert_uint_eq(atomic_load(&first->synced), SEGMENT_HEADER);
	journal_sync_turn(dk.j); /* nothing was written */
	ck_assert_uint_eq(disk.synced, 1);
	kit_request(&dk, 0, 1, 1);
	ck_assert_uint_eq(disk.synced, 2);
	ck_assert_uint_eq(disk.dirs, 1);
	ck_assert_int_eq(metric_sum(dk.metrics, AM_JOURNAL_WRITES), 2);
	ck_assert_uint_eq(
	    atomic_load(&first->synced), atomic_load(&first->flushed));
	kit_usage(&dk, 0, 2, 2);
	ck_assert_int_eq(kit_flush(&dk, 0), 0);
	dk.j->opt.segment_size = 100;
	kit_usage(&dk, 0, 3, 3);
	ck_assert_int_eq(kit_flush(&dk, 0), 0); /* another segment */
	ck_assert_int_ge(first->fd, 0);
	closed = disk.closed;
	journal_sync_turn(dk.j); /* both, and the first needs no file now */
	ck_assert_uint_eq(disk.synced, 4);
	ck_assert_uint_eq(disk.dirs, 2);
	ck_assert_int_eq(first->fd, -1);
	ck_assert_uint_eq(disk.closed, closed + 1);
	/* Open, it is closed as soon as nobody has it, not twice, and not the
	 * other one. */
	first->fd = dup(0);
	first->busy = true;
	atomic_store(&dk.j->dirty, true);
	journal_sync_turn(dk.j);
	ck_assert_int_ge(first->fd, 0);
	first->busy = false;
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&dk.j->dirty, true);
		journal_sync_turn(dk.j);
		ck_assert_int_eq(first->fd, -1);
		ck_assert_uint_eq(disk.closed, closed + 2);
	}
	ck_assert_int_ge(dk.j->shards[0].cur->fd, 0);
	ck_assert_uint_eq(disk.synced, 4);
	disk_end();
}
END_TEST

/* The name that could not be made durable: the file may be gone after a power
 * cut, so what is in it is repeated in another one. */
START_TEST(test_name_not_durable)
{
	struct segment *second;

	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	kit_request(&dk, 0, 1, 1);
	dk.j->opt.segment_size = 100;
	kit_usage(&dk, 0, 2, 2);
	ck_assert_int_eq(kit_flush(&dk, 0), 0);
	dk.j->opt.segment_size = 1 << 20;
	second = dk.j->shards[0].cur;
	disk.fail_dirs = 1;
	journal_sync_turn(dk.j);
	ck_assert_int_eq(errors("fsync"), 1);
	ck_assert(atomic_load(&second->poisoned));
	ck_assert_uint_eq(atomic_load(&second->synced), 0);
	ck_assert(!atomic_load(&dk.j->shards[0].stream.first->poisoned));
	ck_assert_int_eq(kit_ship(&dk), -1);
	ck_assert_uint_eq(dk.sink.n_rows, 1);
	ck_assert_int_eq(kit_flush(&dk, 0), 0);
	ck_assert_ptr_ne(dk.j->shards[0].cur, second);
	journal_sync_turn(dk.j);
	ck_assert_int_eq(kit_ship(&dk), -1);
	ck_assert_uint_eq(dk.sink.n_rows, 2);
	disk_end();
}
END_TEST

/* The journal does not open on a folder that it cannot make durable. */
START_TEST(test_open_not_durable)
{
	for (unsigned at = 1; at <= 3; at++) {
		disk_begin();
		dk.n_shards = 3;
		dk.io.op = IO_FSYNC;
		dk.io.countdown = at;
		dk.io.errnum = EIO;
		ck_assert_int_eq(kit_boot(&dk), ERR_IO);
		ck_assert_uint_eq(disk.opened, disk.closed);
		ck_assert_int_eq(kit_boot(&dk), 0);
		ck_assert_uint_eq(dk.found.streams, 3);
		disk_end();
	}
}
END_TEST

/* After a failed sync nothing later of the stream counts as durable, though
 * its own sync went well: it would be shipped before what it follows. */
START_TEST(test_poison_spreads)
{
	struct segment *seg;
	unsigned n = 0;

	disk_begin();
	dk.n_shards = 2;
	ck_assert_int_eq(kit_boot(&dk), 0);
	dk.j->opt.segment_size = 100;
	for (unsigned i = 1; i <= 3; i++) { /* three segments */
		kit_usage(&dk, 0, i, 1);
		ck_assert_int_eq(kit_flush(&dk, 0), 0);
	}
	kit_usage(&dk, 1, 9, 1);
	ck_assert_int_eq(kit_flush(&dk, 1), 0);
	kit_fault(&dk, IO_FSYNC, EIO);
	disk.synced = 0;
	journal_sync_turn(dk.j);
	ck_assert_uint_eq(disk.synced, 2); /* the bad one, the other shard */
	for (seg = dk.j->shards[0].stream.first; seg != NULL; seg = seg->next) {
		ck_assert(atomic_load(&seg->poisoned));
		n++;
	}
	ck_assert_uint_eq(n, 3);
	ck_assert(!atomic_load(&dk.j->shards[1].cur->poisoned));
	journal_sync_turn(dk.j);
	ck_assert_uint_eq(disk.synced, 2); /* never asked again */
	ck_assert_int_eq(kit_ship(&dk), -1);
	ck_assert_uint_eq(dk.sink.n_rows, 1);
	dk.j->opt.segment_size = 1 << 20;
	ck_assert_int_eq(kit_flush(&dk, 0), 0);
	journal_sync_turn(dk.j);
	ck_assert_int_eq(kit_ship(&dk), -1);
	ck_assert_uint_eq(dk.sink.n_rows, 4);
	for (unsigned i = 1; i <= 3; i++)
		ck_assert_int_ge(kit_row(&dk, i), 0);
	disk_end();
}
END_TEST

/* ---- what is told -------------------------------------------------------- */

/* Files, bytes and records that are not acknowledged, of this boot and of
 * those before. */
START_TEST(test_backlog)
{
	struct journal_backlog b;

	disk_begin();
	dk.n_shards = 2;
	ck_assert_int_eq(kit_boot(&dk), 0);
	journal_backlog(dk.j, &b);
	ck_assert_uint_eq(b.records, 0);
	ck_assert_uint_eq(b.segments, 2);
	ck_assert_uint_eq(b.bytes, 2 * SEGMENT_HEADER);
	ck_assert(b.writable);
	for (unsigned n = 1; n <= 5; n++)
		kit_request(&dk, n % 2, n, n);
	journal_backlog(dk.j, &b);
	ck_assert_uint_eq(b.records, 5);
	ck_assert_uint_eq(b.bytes, (uint64_t)(kit_size(&dk, "1-0-1.seg") +
					      kit_size(&dk, "1-1-1.seg")));
	kit_crash(&dk);
	disk_watch();
	ck_assert_int_eq(kit_boot(&dk), 0);
	kit_request(&dk, 1, 6, 6);
	journal_backlog(dk.j, &b);
	ck_assert_uint_eq(b.records, 6);
	ck_assert_uint_eq(b.segments, 4);
	ck_assert_uint_eq(b.bytes,
	    (uint64_t)(kit_size(&dk, "1-0-1.seg") + kit_size(&dk, "1-1-1.seg") +
		       kit_size(&dk, "2-0-1.seg") +
		       kit_size(&dk, "2-1-1.seg")));
	/* What the control plane had already, in a number beyond ours. */
	atomic_store(&dk.j->shards[0].stream.watermark, 7);
	journal_backlog(dk.j, &b);
	ck_assert_uint_eq(b.records, 6);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&dk.j->shards[i].stuck, true);
		journal_backlog(dk.j, &b);
		ck_assert(!b.writable);
		ck_assert(!journal_writable(&dk.j->shards[i]));
		ck_assert(journal_writable(&dk.j->shards[1 - i]));
		ck_assert(!shipper_done(dk.s));
		atomic_store(&dk.j->shards[i].stuck, false);
	}
	ck_assert_int_eq(kit_ship(&dk), -1);
	ck_assert(shipper_done(dk.s));
	disk_end();
}
END_TEST

static void
ck_machine(const char *want)
{
	char path[PATH_MAX];
	struct buf b;

	(void)snprintf(path, sizeof(path), "%s/machine", dk.dir);
	buf_init(&b, 4096);
	ck_assert_int_eq(io_read_file(io_system(), path, &b, NULL), 0);
	ck_assert_slice_eq(buf_str(&b), want);
	buf_release(&b);
}

/* Each epoch that a power cut may have cut is noted, once, before anything of
 * this boot is written; and as long as it has files. */
START_TEST(test_machine_file)
{
	disk_begin();
	dk.n_shards = 2;
	dk.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_machine("boot m1\n");
	kit_crash(&dk);
	ck_assert_int_eq(kit_boot(&dk), 0); /* killed, not cut */
	ck_machine("boot m1\n");
	ck_assert_uint_eq(dk.found.may_lack, 0);
	kit_crash(&dk);
	dk.boot_id = "m2";
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_machine("boot m2\nlost 1\nlost 2\n");
	ck_assert_uint_eq(dk.found.may_lack, 4);
	kit_crash(&dk);
	dk.boot_id = "m3";
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_machine("boot m3\nlost 1\nlost 2\nlost 3\n");
	ck_assert_uint_eq(dk.found.may_lack, 6);
	ck_assert_int_eq(kit_ship(&dk), -1);
	ck_assert_uint_eq(dk.sink.n_lacking, 6);
	ck_assert_int_eq(journal_start(dk.j, NULL), 0);
	journal_stop(dk.j);
	journal_stop(dk.j);
	ck_machine("boot m3\nlost 1\nlost 2\nlost 3\nclean 4\n");
	kit_crash(&dk);
	dk.boot_id = "m4";
	ck_assert_int_eq(kit_boot(&dk), 0);
	ck_machine("boot m4\n"); /* 4 ended in order */
	ck_assert_uint_eq(dk.found.may_lack, 0);
	kit_crash(&dk);
	/* When that cannot be written the journal does not open. */
	kit_fault(&dk, IO_RENAME, EIO);
	ck_assert_int_lt(kit_boot(&dk), 0);
	ck_machine("boot m4\n");
	disk_end();
}
END_TEST

/* Only shards that there are count. */
START_TEST(test_no_other_shard)
{
	struct segment bad = {.fd = -1};
	struct journal_backlog b;

	disk_begin();
	dk.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&dk), 0);
	kit_request(&dk, 0, 1, 1);
	ck_assert_int_eq(kit_ship(&dk), -1);
	atomic_store(&dk.j->shards[1].stuck, true);
	ck_assert(shipper_done(dk.s));
	journal_backlog(dk.j, &b);
	ck_assert(b.writable);
	atomic_store(&bad.poisoned, true);
	dk.j->shards[1].stream.first = &bad;
	journal_backlog(dk.j, &b);
	ck_assert_uint_eq(b.segments, 1);
	atomic_store(&bad.poisoned, false);
	atomic_store(&bad.flushed, 5);
	atomic_store(&dk.j->dirty, true);
	disk.synced = 0;
	journal_sync_turn(dk.j);
	ck_assert_uint_eq(disk.synced, 0);
	atomic_store(&bad.poisoned, true);
	ck_assert_int_eq(journal_start(dk.j, NULL), 0);
	journal_stop(dk.j);
	dk.j->shards[1].stream.first = NULL;
	ck_machine("boot m1\nclean 1\n");
	ck_assert_int_eq(errors("machine"), 0);
	disk_end();
}
END_TEST

/* An end in order that cannot be noted is counted, and is none. */
START_TEST(test_end_not_noted)
{
	disk_begin();
	dk.boot_id = "m1";
	ck_assert_int_eq(kit_boot(&dk), 0);
	kit_fault(&dk, IO_RENAME, EIO);
	ck_assert_int_eq(journal_start(dk.j, NULL), 0);
	journal_stop(dk.j);
	ck_assert_int_eq(errors("machine"), 1);
	ck_machine("boot m1\n");
	disk_end();
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
	disk_begin();
	ck_assert_int_eq(kit_boot(&dk), 0);
	dk.j->on_synced_ctx = dk.j;
	dk.j->on_synced = told;
	n_told = 0;
	atomic_store(&dk.j->dirty, true);
	journal_sync_turn(dk.j);
	ck_assert_uint_eq(n_told, 0);
	ck_assert(!atomic_load(&dk.j->dirty));
	dk.j->opt.group_commit_ms = 1;
	kit_usage(&dk, 0, 1, 1);
	ck_assert_int_eq(kit_flush(&dk, 0), 0);
	ck_assert_int_eq(journal_start(dk.j, NULL), 0);
	for (unsigned n = 2; n < 5; n++) {
		while (atomic_load(&dk.j->shards[0].cur->synced) !=
		       atomic_load(&dk.j->shards[0].cur->flushed))
			continue;
		kit_usage(&dk, 0, n, 1);
		ck_assert_int_eq(kit_flush(&dk, 0), 0);
	}
	while (kit_threads("hg-journal") != 1)
		continue;
	shipper_free(dk.s);
	dk.s = NULL;
	journal_close(dk.j);
	dk.j = NULL;
	ck_assert_uint_eq(kit_threads("hg-journal"), 0);
	disk_end();
}
END_TEST

/* Many syncs of few bytes are one: at most one in each group_commit_ms. */
START_TEST(test_group_commit)
{
	int64_t from, took, n;

	disk_begin();
	dk.threads = true;
	ck_assert_int_eq(kit_boot(&dk), 0);
	dk.j->opt.group_commit_ms = 100;
	from = clock_mono(clock_system());
	ck_assert_int_eq(journal_start(dk.j, NULL), 0);
	for (unsigned i = 1; i <= 200; i++) {
		uint64_t had = atomic_load(&dk.j->shards[0].cur->flushed);

		kit_usage(&dk, 0, i, 1);
		ck_assert_int_eq(kit_flush(&dk, 0), 0);
		if (i % 50 == 0) /* durable without another word */
			while (atomic_load(&dk.j->shards[0].cur->synced) <= had)
				continue;
	}
	took = clock_mono(clock_system()) - from;
	n = metric_sum(dk.metrics, AM_JOURNAL_FSYNCS) - 1;
	ck_assert_int_ge(n, 4);
	ck_assert_int_le(n, 2 + took / (100 * NS_PER_MS));
	journal_stop(dk.j);
	disk_end();
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
